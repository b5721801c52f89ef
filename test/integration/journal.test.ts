import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { StartError } from '../../src/errors.js';
import { levelStorage } from '../../src/journal/level-journal.js';
import type { Database, Storage, Write } from '../../src/journal/storage.js';
import { isWholeTable } from '../../src/journal/table-check.js';
import type { JournalMark } from '../../src/replicate/ports.js';
import { Random } from '../support/random.js';
import { mark, openJournal, Owner, readBack, stateDirectory, stateOf } from './journal-bench.js';

let place: ReturnType<typeof stateDirectory>;

beforeEach(() => {
  place = stateDirectory();
});

afterEach(() => {
  place.remove();
});

/** LevelDB, with what was asked of it, and made to fail or to wait on demand. */
class WatchedStorage implements Storage {
  readonly writes: (readonly Write[])[] = [];
  /** Asked before each call that needs the disk; throws to make it fail. */
  beforeUse: (call: 'create' | 'open' | 'write') => void | Promise<void> = () => undefined;

  async create(directory: string): Promise<Database> {
    await this.beforeUse('create');
    return this.#watch(await levelStorage.create(directory));
  }

  async open(directory: string): Promise<Database> {
    await this.beforeUse('open');
    return this.#watch(await levelStorage.open(directory));
  }

  #watch(database: Database): Database {
    return {
      records: () => database.records(),
      write: async (writes) => {
        await this.beforeUse('write');
        await database.write(writes);
        this.writes.push(writes);
      },
      close: () => database.close(),
    };
  }
}

/** The paths and facts of a write, without its tally. */
const inWords = (writes: readonly Write[]): string[] =>
  writes.slice(0, -1).map(({ key, value }) => `${value === undefined ? '-' : '+'}${key.replace(/^"(.*)"\0/, '$1:')}`);

describe('the journal', () => {
  test('hands over after a restart what was told before', async () => {
    const { journal } = await openJournal(place.journal);
    const one = new Owner(journal, 'one');
    const other = new Owner(journal, 'other "\ud800"');
    expect(one.section.saved).toEqual([]);
    expect(one.section.facts).toBeUndefined();
    one.put(mark('a'), mark('\xff\n/b', { kind: 'held', gone: true, why: 'the \u76ee is empty\ud800' }), mark('c'));
    other.put(mark('', { scope: 'subtree', kind: 'resync' }), mark('a', { since: 7 }));
    one.drop('c');
    one.section.keep({ checkpoint: 12.5, done: true });
    await journal.close();

    const again = await openJournal(place.journal);
    expect(again.journal.damage).toBeUndefined();
    expect(again.journal.status()).toEqual({});
    const oneAgain = new Owner(again.journal, 'one');
    expect(oneAgain.marks).toEqual(one.marks);
    expect(oneAgain.section.facts).toEqual({ checkpoint: 12.5, done: true });
    expect(new Owner(again.journal, 'other "\ud800"').marks).toEqual(other.marks);
    await again.journal.close();
  });

  test('is on the disk 50 ms after it was told, and what went within that time is never written', async () => {
    const storage = new WatchedStorage();
    const { journal, clock } = await openJournal(place.journal, storage);
    const owner = new Owner(journal, 's');
    storage.writes.length = 0;
    owner.put(mark('a'), mark('b'));
    clock.advance(49);
    owner.drop('b');
    expect(clock.waiting).toBe(1);
    clock.advance(1);
    await journal.flush();
    expect(storage.writes.map(inWords)).toEqual([['+s:a']]);
    owner.put(mark('c'));
    owner.drop('c');
    clock.advance(50);
    await journal.flush();
    expect(storage.writes).toHaveLength(1);
    expect(clock.waiting).toBe(0);
    await journal.close();
  });

  test('takes what is told during a write into the next, 50 ms after it was told or as soon as the disk is free', async () => {
    const storage = new WatchedStorage();
    const { journal, clock } = await openJournal(place.journal, storage);
    const owner = new Owner(journal, 's');
    storage.writes.length = 0;
    let release: (() => void) | undefined;
    storage.beforeUse = () => new Promise<void>((resolve) => (release = resolve));
    owner.put(mark('a'));
    clock.advance(50);
    owner.put(mark('b'));
    clock.advance(60);
    owner.put(mark('c'));
    expect(clock.waiting).toBe(0);
    storage.beforeUse = () => undefined;
    release!();
    await journal.flush();
    expect(storage.writes.map(inWords)).toEqual([['+s:a'], ['+s:b', '+s:c']]);
    await journal.close();
  });

  test('writes many marks in pieces: what is put, then what is removed, then the facts of all sections', async () => {
    const storage = new WatchedStorage();
    const { journal } = await openJournal(place.journal, storage);
    const one = new Owner(journal, 'one');
    const other = new Owner(journal, 'other');
    const paths = Array.from({ length: 1_500 }, (_, index) => `d/${index}`);
    one.put(...paths.map((path) => mark(path)));
    await journal.flush();
    storage.writes.length = 0;
    one.drop(...paths);
    one.section.keep({ one: 1 });
    one.put(mark('d', { scope: 'listing' }));
    other.put(mark('x'));
    other.section.keep({ other: 1 });
    await journal.flush();
    const words = storage.writes.map(inWords);
    expect(words.map(({ length }) => length)).toEqual([1_000, 504]);
    const all = words.flat();
    expect(all[0]).toBe('+one:d');
    expect(all.slice(1, 1_501).every((word) => word.startsWith('-one:d/'))).toBe(true);
    expect(all.slice(1_501)).toEqual(['+other:x', '+"one"', '+"other"']);
    await journal.close();
  });

  test('never has facts on the disk before the marks that were told earlier, in any section', async () => {
    const storage = new WatchedStorage();
    const { journal } = await openJournal(place.journal, storage);
    const owners = ['a', 'b', 'c'].map((name) => new Owner(journal, name));
    const random = new Random(1);
    // Facts are the number of the last mark that was told: marks 1 to n must be there by then.
    const onDisk = new Set<number>();
    let told = 0;
    let complete = 0;
    let seen = 0;
    const step = (): void => {
      for (let count = random.below(800); count > 0; count--) {
        told++;
        random.pick(owners).put(mark(String(told)));
      }
      if (random.chance(0.5)) random.pick(owners).section.keep({ told });
    };
    // While it writes, others go on.
    storage.beforeUse = () => {
      if (random.chance(0.7)) step();
    };
    for (let round = 0; round < 100; round++) {
      step();
      await journal.flush();
      for (const { key, value } of storage.writes.splice(0).flat()) {
        if (key.includes('\0')) onDisk.add(Number(key.slice(key.indexOf('\0') + 1)));
        if (value?.startsWith('{"told"') !== true) continue;
        while (onDisk.has(complete + 1)) complete++;
        expect(complete).toBeGreaterThanOrEqual((JSON.parse(value) as { told: number }).told);
        seen++;
      }
    }
    expect(seen).toBeGreaterThan(20);
    await journal.close();
  });

  test('drops the sections that nobody opened, when it is told to', async () => {
    const first = await openJournal(place.journal);
    for (const name of ['a', 'b', 'c']) {
      const owner = new Owner(first.journal, name);
      owner.put(mark(name));
      owner.section.keep({ name });
    }
    await first.journal.close();
    const second = await openJournal(place.journal);
    new Owner(second.journal, 'b');
    await second.journal.close();
    expect((await readBack(place.journal, 'a', 'c')).state).toBe(
      stateOf({ a: { marks: [mark('a')], facts: { name: 'a' } }, c: { marks: [mark('c')], facts: { name: 'c' } } }),
    );
    const third = await openJournal(place.journal);
    new Owner(third.journal, 'b');
    third.journal.forgetOthers();
    await third.journal.close();
    expect((await readBack(place.journal, 'a', 'b', 'c')).state).toBe(
      stateOf({
        a: { marks: [], facts: undefined },
        b: { marks: [mark('b')], facts: { name: 'b' } },
        c: { marks: [], facts: undefined },
      }),
    );
  });

  test('opens each section once', async () => {
    const { journal } = await openJournal(place.journal);
    new Owner(journal, 's');
    expect(() => new Owner(journal, 's')).toThrow(/the section s of the journal is open already/);
    await journal.close();
  });

  test('has no timer left when it is closed, whatever it is told afterwards', async () => {
    const { journal, clock } = await openJournal(place.journal);
    const owner = new Owner(journal, 's');
    owner.put(mark('a'));
    await journal.close();
    owner.put(mark('b'));
    owner.section.keep({});
    await journal.flush();
    await journal.close();
    expect(clock.waiting).toBe(0);
    expect((await readBack(place.journal, 's')).state).toBe(stateOf({ s: { marks: [mark('a')], facts: undefined } }));
  });

  test('that another has open is an error for a person, and no damage', async () => {
    const { journal } = await openJournal(place.journal);
    const error: unknown = await openJournal(place.journal).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(StartError);
    expect(error).toMatchObject({ code: 'SERSYNC_JOURNAL_LOCKED' });
    await journal.close();
    expect(readdirSync(place.path)).toEqual(['journal']);
  });
});

describe('a journal that cannot be written', () => {
  const FULL = 'IO error: /x/000003.log: No space left on device';

  test('says so once, goes on, and has everything when it can be written again', async () => {
    const storage = new WatchedStorage();
    const { journal, clock, told } = await openJournal(place.journal, storage);
    const owner = new Owner(journal, 's');
    owner.put(mark('a'), mark('b'));
    owner.section.keep({ n: 1 });
    await journal.flush();
    storage.beforeUse = () => {
      throw new Error(FULL);
    };
    owner.put(mark('c'));
    await journal.flush();
    const since = clock.now();
    expect(journal.status()).toEqual({ failingSince: since, reason: FULL });
    expect(told).toEqual([
      {
        event: 'journal:failed',
        detail: { directory: place.journal, reason: FULL, hint: expect.stringContaining('free some space') as string },
      },
    ]);
    owner.drop('a');
    owner.section.keep({ n: 2 });
    for (let round = 0; round < 3; round++) {
      clock.advance(5_000);
      await journal.flush();
    }
    expect(told).toHaveLength(1);
    expect(journal.status().failingSince).toBe(since);
    owner.put(mark('d'));
    storage.beforeUse = () => undefined;
    clock.advance(5_000);
    await journal.flush();
    expect(journal.status()).toEqual({});
    expect(told.slice(1)).toEqual([
      { event: 'journal:recovered', detail: { directory: place.journal, durationMs: 20_000 } },
    ]);
    owner.put(mark('e'));
    await journal.close();
    expect(await readBack(place.journal, 's')).toEqual({
      state: stateOf({ s: { marks: ['b', 'c', 'd', 'e'].map((path) => mark(path)), facts: { n: 2 } } }),
      damage: undefined,
      failing: undefined,
    });
    expect(readdirSync(place.path)).toEqual(['journal']);
  });

  test('keeps what was on the disk before, for a service that ends meanwhile', async () => {
    const storage = new WatchedStorage();
    const { journal } = await openJournal(place.journal, storage);
    const owner = new Owner(journal, 's');
    owner.put(mark('a'));
    await journal.flush();
    storage.beforeUse = () => {
      throw new Error(FULL);
    };
    owner.put(mark('b'));
    owner.drop('a');
    await journal.close();
    expect((await readBack(place.journal, 's')).state).toBe(stateOf({ s: { marks: [mark('a')], facts: undefined } }));
  });

  test('is written at the end, when that is possible by then', async () => {
    const storage = new WatchedStorage();
    const { journal } = await openJournal(place.journal, storage);
    const owner = new Owner(journal, 's');
    storage.beforeUse = () => {
      throw new Error(FULL);
    };
    owner.put(mark('a'));
    await journal.flush();
    storage.beforeUse = () => undefined;
    await journal.close();
    expect((await readBack(place.journal, 's')).state).toBe(stateOf({ s: { marks: [mark('a')], facts: undefined } }));
  });

  test('from the start is one that fails: the service starts, and it is written when it can be', async () => {
    const first = await openJournal(place.journal);
    new Owner(first.journal, 's').put(mark('old'));
    await first.journal.close();
    const storage = new WatchedStorage();
    storage.beforeUse = () => {
      throw new Error(FULL);
    };
    const { journal, clock, told } = await openJournal(place.journal, storage);
    expect(journal.damage).toBeUndefined();
    expect(journal.status().reason).toBe(FULL);
    expect(told.map(({ event }) => event)).toEqual(['journal:failed']);
    const owner = new Owner(journal, 's');
    expect(owner.section.saved).toEqual([]);
    owner.put(mark('new'));
    storage.beforeUse = () => undefined;
    clock.advance(5_000);
    await journal.flush();
    expect(journal.status()).toEqual({});
    await journal.close();
    expect((await readBack(place.journal, 's')).state).toBe(stateOf({ s: { marks: [mark('new')], facts: undefined } }));
  });

  test('keeps the sections that nobody has opened yet', async () => {
    const first = await openJournal(place.journal);
    const before = new Owner(first.journal, 's');
    before.put(mark('a'), mark('b'));
    before.section.keep({ n: 1 });
    await first.journal.close();
    const storage = new WatchedStorage();
    const { journal, clock } = await openJournal(place.journal, storage);
    let failures = 0;
    storage.beforeUse = () => {
      if (failures++ === 0) throw new Error(FULL);
    };
    new Owner(journal, 'other').put(mark('x'));
    await journal.flush();
    expect(journal.status().reason).toBe(FULL);
    clock.advance(5_000);
    await journal.flush();
    await journal.close();
    expect((await readBack(place.journal, 's', 'other')).state).toBe(
      stateOf({
        s: { marks: before.marks.values(), facts: { n: 1 } },
        other: { marks: [mark('x')], facts: undefined },
      }),
    );
  });

  test.skipIf(process.getuid?.() !== 0)('because the disk is full is whole again when there is space', async () => {
    const disk = join(place.path, 'disk');
    mkdirSync(disk);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', disk]);
    try {
      const directory = join(disk, 'journal');
      const { journal, clock, told } = await openJournal(directory);
      const owner = new Owner(journal, 's');
      const fill = (): unknown => {
        try {
          writeFileSync(join(disk, 'filler'), Buffer.alloc(1 << 20));
        } catch (error) {
          return error;
        }
        return undefined;
      };
      for (let round = 0; round < 3; round++) {
        owner.put(...Array.from({ length: 100 }, (_, index) => mark(`before/${round}/${index}`)));
        await journal.flush();
        expect(journal.status()).toEqual({});
        expect(fill()).toMatchObject({ code: 'ENOSPC' });
        owner.put(...Array.from({ length: 500 }, (_, index) => mark(`while it was full/${round}/${index}`)));
        await journal.flush();
        expect(journal.status().reason).toMatch(/No space left on device/);
        clock.advance(5_000);
        await journal.flush();
        expect(journal.status().reason).toMatch(/No space left on device/);
        rmSync(join(disk, 'filler'));
        clock.advance(5_000);
        await journal.flush();
        expect(journal.status()).toEqual({});
      }
      await journal.close();
      expect(told.map(({ event }) => event)).toEqual(
        Array.from({ length: 3 }, () => ['journal:failed', 'journal:recovered']).flat(),
      );
      const whole = stateOf({ s: { marks: owner.marks.values(), facts: undefined } });
      expect(await readBack(directory, 's')).toEqual({ state: whole, damage: undefined, failing: undefined });

      expect(fill()).toMatchObject({ code: 'ENOSPC' });
      const full = await openJournal(directory);
      expect(full.journal.damage).toBeUndefined();
      expect(full.told.map(({ event }) => event)).toEqual(['journal:failed']);
      await full.journal.close();
      rmSync(join(disk, 'filler'));
      expect(await readBack(directory, 's')).toEqual({ state: whole, damage: undefined, failing: undefined });
    } finally {
      execFileSync('umount', [disk]);
    }
  });

  test('every now and then loses nothing, and holds a state that was told wherever the service ends', async () => {
    let failed = 0;
    let recovered = 0;
    let killed = 0;
    for (let seed = 0; seed < 15; seed++) {
      const random = new Random(seed);
      const storage = new WatchedStorage();
      const state = join(place.path, String(seed));
      const copy = join(place.path, `${seed}, as a killed service leaves it`);
      const { journal, clock, told } = await openJournal(join(state, 'journal'), storage);
      const owner = new Owner(journal, 's');
      const states = [stateOf({ s: { marks: [], facts: undefined } })];
      let copied: number | undefined;
      let flushed = 0;
      storage.beforeUse = () => {
        if (copied === undefined && random.chance(0.05)) {
          cpSync(state, copy, { recursive: true });
          copied = flushed;
        }
        if (random.chance(0.2)) throw new Error(FULL);
      };
      for (let round = 0; round < 40; round++) {
        for (let count = random.below(10); count > 0; count--) {
          const path = `${random.below(30)}`;
          if (random.chance(0.4)) owner.drop(path);
          else owner.put(mark(path, { since: round }));
        }
        owner.section.keep({ round });
        states.push(stateOf({ s: { marks: owner.marks.values(), facts: { round } } }));
        if (random.chance(0.5)) clock.advance(5_000);
        await journal.flush();
        if (journal.status().reason === undefined) flushed = states.length - 1;
      }
      storage.beforeUse = () => undefined;
      await journal.close();
      expect((await readBack(join(state, 'journal'), 's')).state, `seed ${seed}`).toBe(states.at(-1));
      if (copied !== undefined) {
        const left = await readBack(join(copy, 'journal'), 's');
        expect(left.damage, `seed ${seed}`).toBeUndefined();
        expect(states.indexOf(left.state), `seed ${seed}`).toBeGreaterThanOrEqual(copied);
        killed++;
      }
      failed += told.filter(({ event }) => event === 'journal:failed').length;
      recovered += told.filter(({ event }) => event === 'journal:recovered').length;
    }
    expect(failed).toBeGreaterThan(15);
    expect(recovered).toBeGreaterThan(15);
    expect(killed).toBeGreaterThan(10);
  });
});

describe('a damaged journal', () => {
  /** Two runs of the service that end without a last write: every state that was on the disk, the last one at the end. */
  async function makeHistory(directory: string, seed: number): Promise<string[]> {
    const random = new Random(seed);
    const states: string[] = [];
    for (let run = 0; run < 3; run++) {
      const { journal } = await openJournal(directory);
      const owners = { a: new Owner(journal, 'a'), b: new Owner(journal, 'b') };
      let facts = { a: owners.a.section.facts, b: owners.b.section.facts };
      const record = (): void => {
        states.push(
          stateOf({
            a: { marks: owners.a.marks.values(), facts: facts.a },
            b: { marks: owners.b.marks.values(), facts: facts.b },
          }),
        );
      };
      record();
      for (let step = 0; step < 12; step++) {
        for (let count = random.below(200); count > 0; count--) {
          const owner = random.pick([owners.a, owners.b]);
          const path = `some/directory/with/a/long/name/${random.below(400)}`;
          if (random.chance(0.3)) owner.drop(path);
          else owner.put(mark(path, { since: random.below(1e12) }));
        }
        facts = { ...facts, a: { run, step } };
        owners.a.section.keep({ run, step });
        await journal.flush();
        record();
      }
      await journal.close();
    }
    return states;
  }

  const DAMAGES: Readonly<Record<string, (content: Buffer, random: Random) => Buffer | undefined>> = {
    'cut off': (content, random) => content.subarray(0, random.below(content.length)),
    empty: () => Buffer.alloc(0),
    'a block of zeros': (content, random) => {
      const start = random.below(content.length);
      return Buffer.from(content).fill(0, start, Math.min(content.length, start + (random.chance(0.5) ? 512 : 4096)));
    },
    'flipped bits': (content, random) => {
      const damaged = Buffer.from(content);
      for (let count = 1 + random.below(4); count > 0; count--)
        damaged[random.below(damaged.length)]! ^= 1 << random.below(8);
      return damaged;
    },
    'random bytes': (content, random) => {
      const damaged = Buffer.from(content);
      const start = random.below(damaged.length);
      for (let index = start; index < Math.min(start + 32, damaged.length); index++) damaged[index] = random.below(256);
      return damaged;
    },
    'something at its end': (content, random) =>
      Buffer.concat([content, Buffer.from(Array.from({ length: 50 }, () => random.below(256)))]),
    gone: () => undefined,
  };

  test('is put aside, or gives a state that was on the disk: never another one', { timeout: 180_000 }, async () => {
    const states = await makeHistory(place.journal, 1);
    const files = readdirSync(place.journal).filter((name) => name !== 'LOCK');
    expect(files.some((name) => name.endsWith('.ldb'))).toBe(true);
    const found = { damage: 0, earlier: 0, last: 0 };
    for (const [what, damage] of Object.entries(DAMAGES)) {
      for (const file of files) {
        for (let seed = 0; seed < 3; seed++) {
          const message = `${file} ${what}, seed ${seed}`;
          const state = join(place.path, 'state');
          const directory = join(state, 'journal');
          cpSync(place.journal, directory, { recursive: true });
          const content = readFileSync(join(directory, file));
          if (content.length === 0) continue;
          const damaged = damage(content, new Random(seed));
          if (damaged === undefined) rmSync(join(directory, file));
          else writeFileSync(join(directory, file), damaged);

          const { journal, told } = await openJournal(directory);
          const owners = [new Owner(journal, 'a'), new Owner(journal, 'b')] as const;
          const [a, b] = owners.map(({ section, marks }) => ({ marks: marks.values(), facts: section.facts }));
          const loaded = stateOf({ a: a!, b: b! });
          expect(journal.status(), message).toEqual({});
          if (journal.damage === undefined) {
            expect(states, message).toContain(loaded);
            found[loaded === states.at(-1) ? 'last' : 'earlier']++;
          } else {
            expect(loaded, message).toBe(states[0]);
            expect(told, message).toMatchObject([{ event: 'journal:damaged', detail: { reason: journal.damage } }]);
            expect(
              readdirSync(state).filter((name) => name.startsWith('journal.damaged-')),
              message,
            ).toHaveLength(1);
            found.damage++;
          }
          owners[0].put(mark('afterwards'));
          await journal.close();
          const { state: after } = await readBack(directory, 'a');
          expect(after, message).toContain('afterwards');
          rmSync(state, { recursive: true });
        }
      }
    }
    expect(found.damage).toBeGreaterThan(20);
    expect(found.earlier).toBeGreaterThan(0);
    expect(found.last).toBeGreaterThan(20);
  });

  test('has no table with a flipped bit that is taken for a whole one', async () => {
    await makeHistory(place.journal, 2);
    const random = new Random(2);
    const tables = readdirSync(place.journal).filter((name) => name.endsWith('.ldb'));
    expect(tables).not.toEqual([]);
    for (const name of tables) {
      const table = readFileSync(join(place.journal, name));
      expect(isWholeTable(table), name).toBe(true);
      const places = Array.from({ length: 1_000 }, () => random.below(table.length - 48));
      for (const flipped of places) {
        const bit = 1 << random.below(8);
        table[flipped]! ^= bit;
        expect(isWholeTable(table), `${name}, byte ${flipped}`).toBe(false);
        table[flipped]! ^= bit;
      }
      for (let length = 0; length < table.length; length += 1 + random.below(50)) {
        expect(isWholeTable(table.subarray(0, length)), `${name}, ${length} bytes`).toBe(false);
      }
    }
  });

  test.each<{ what: string; make: () => void; reason: RegExp }>([
    {
      what: 'an empty directory',
      make: () => {
        mkdirSync(place.journal);
      },
      reason: /^it cannot be opened: /,
    },
    {
      what: 'a file',
      make: () => {
        writeFileSync(place.journal, 'x');
      },
      reason: /^it cannot be opened: /,
    },
    {
      what: 'a directory of something else',
      make: () => {
        mkdirSync(place.journal);
        writeFileSync(join(place.journal, 'CURRENT'), 'x');
      },
      reason: /^it cannot be opened: /,
    },
  ])('that is $what is put aside as it is', async ({ make, reason }) => {
    make();
    const { journal, told } = await openJournal(place.journal);
    expect(journal.damage).toMatch(reason);
    expect(told).toMatchObject([
      { event: 'journal:damaged', detail: { directory: place.journal, reason: journal.damage } },
    ]);
    new Owner(journal, 's').put(mark('a'));
    await journal.close();
    const { state, damage } = await readBack(place.journal, 's');
    expect(damage).toBeUndefined();
    expect(state).toBe(stateOf({ s: { marks: [mark('a')], facts: undefined } }));
  });

  test.each<{ what: string; writes: readonly Write[]; reason: RegExp }>([
    { what: 'a record that nobody knows', writes: [{ key: 'x', value: 'y' }], reason: /a record cannot be understood/ },
    { what: 'no tally', writes: [{ key: 'tally', value: undefined }], reason: /it has no tally/ },
    { what: 'a later format', writes: [{ key: 'tally', value: '2 0 0' }], reason: /it has format 2/ },
    { what: 'a mark less', writes: [{ key: '"s"\0a', value: undefined }], reason: /1 records were written, and 0/ },
    { what: 'facts that are no JSON', writes: [{ key: '"s"', value: '{' }], reason: /a record cannot be understood/ },
    { what: 'another mark', writes: [{ key: '"s"\0a', value: '0abc' }], reason: /a record is not what was written/ },
  ])('has $what', async ({ writes, reason }) => {
    const { journal } = await openJournal(place.journal);
    new Owner(journal, 's').put(mark('a'));
    await journal.close();
    const database = await levelStorage.open(place.journal);
    await database.write(writes);
    await database.close();
    const again = await openJournal(place.journal);
    expect(again.journal.damage).toMatch(reason);
    expect(new Owner(again.journal, 's').section.saved).toEqual([]);
    await again.journal.close();
  });

  test('is kept for whoever wants to know, the newest three', async () => {
    for (let time = 1; time <= 5; time++) {
      mkdirSync(join(place.path, `journal.damaged-2020-01-0${time}T000000.000Z`));
    }
    writeFileSync(place.journal, 'x');
    const { journal } = await openJournal(place.journal);
    await journal.close();
    const left = readdirSync(place.path).sort();
    // The clock of the test stands in 1970, so the new one is the oldest: it is one of those that go.
    expect(left).toEqual(['journal', ...[3, 4, 5].map((time) => `journal.damaged-2020-01-0${time}T000000.000Z`)]);
  });
});

describe('a service that ended while it replaced its journal', () => {
  const marks: readonly JournalMark[] = [mark('a'), mark('b', { kind: 'found' })];
  const NEW = stateOf({ s: { marks, facts: undefined } });
  const OLD = stateOf({ s: { marks: [mark('old')], facts: undefined } });

  async function make(name: string, ...content: readonly JournalMark[]): Promise<void> {
    const { journal } = await openJournal(join(place.path, name));
    new Owner(journal, 's').put(...content);
    await journal.close();
  }

  test.each([
    { what: 'before the new one was complete', old: true, suffix: '.new', state: OLD },
    { what: 'when the new one was complete', old: true, suffix: '.next', state: NEW },
    { what: 'when the old one was removed', old: false, suffix: '.next', state: NEW },
  ])('$what finds one of them whole', async ({ old, suffix, state }) => {
    if (old) await make('journal', mark('old'));
    await make(`journal${suffix}`, ...marks);
    expect(await readBack(place.journal, 's')).toEqual({ state, damage: undefined, failing: undefined });
    expect(readdirSync(place.path)).toEqual(['journal']);
  });
});
