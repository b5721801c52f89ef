import { describe, expect, test } from 'vitest';
import { Hint } from '../../../src/core/hint.js';
import type { Scope } from '../../../src/core/scope.js';
import type { Landing } from '../../../src/replicate/replica.js';
import { SyncedChanges } from '../../../src/replicate/synced-changes.js';
import { ManualClock } from '../../support/manual-clock.js';

type State = 'there' | 'owed' | 'stuck';

/** What a remote is said to have: `there` where nothing is said. */
class ScriptedRemote {
  readonly states = new Map<string, State>();

  constructor(readonly name: string) {}

  stateOf(path: string): State {
    return this.states.get(path) ?? 'there';
  }
}

class Bench {
  readonly clock = new ManualClock();
  readonly remotes: ScriptedRemote[];
  readonly synced: string[] = [];
  readonly hints: Hint[] = [];
  readonly dropped: string[] = [];
  readonly below = new Map<string, string[]>();
  readonly awaited = new Set<string>();
  readonly changes: SyncedChanges;

  constructor(remotes: readonly string[], maxPending = 100) {
    this.remotes = remotes.map((name) => new ScriptedRemote(name));
    this.changes = new SyncedChanges({
      replicas: () => this.remotes,
      maxPending,
      clock: this.clock,
      onSynced: (path, hint) => {
        this.synced.push(path);
        this.hints.push(hint);
      },
      onDropped: (count, reason) => this.dropped.push(`${count}: ${reason}`),
      namesBelow: (path) => this.#namesBelow(path),
      isAwaited: (path) => this.awaited.has(path),
    });
  }

  /** `d/**` is looked at as a whole, `d/` for the names in it. Every remote owes it. */
  touch(text: string, hint: Hint = Hint.closed): void {
    const place = placeOf(text);
    for (const remote of this.remotes) remote.states.set(place.path, 'owed');
    this.changes.touched(place, hint);
  }

  find(text: string): void {
    const place = placeOf(text);
    for (const remote of this.remotes) remote.states.set(place.path, 'owed');
    this.changes.found(place);
  }

  /** A run of a remote is over: what it looked at is there now, unless something else is said. */
  land(
    name: string,
    looks: readonly string[],
    { state = 'there', ...landing }: Partial<Landing> & { state?: State } = {},
  ): void {
    const remote = this.remotes.find((candidate) => candidate.name === name)!;
    for (const look of looks) remote.states.set(placeOf(look).path, state);
    this.changes.landed({
      remote: name,
      isWell: true,
      looks: looks.map((look) => ({ ...placeOf(look), gone: false, alone: false, since: 0 })),
      changed: [],
      unnamed: 0,
      again: [],
      ...landing,
    });
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- the port is one for the disk
  async *#namesBelow(path: string): AsyncGenerator<string> {
    yield* this.below.get(path) ?? [];
  }
}

function placeOf(text: string): { path: string; scope: Scope } {
  const scope = text.endsWith('/**') ? 'subtree' : text.endsWith('/') ? 'listing' : 'entry';
  return { path: text.replace(/\/\**$/, '').replace(/^\.$/, ''), scope };
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < 30; turn++) await Promise.resolve();
}

describe('a changed path', () => {
  test('counts when the last remote that can be had has it, and once', () => {
    const bench = new Bench(['a', 'b']);
    bench.touch('f', Hint.created);
    bench.touch('f', Hint.closed);
    bench.land('a', ['f']);
    expect(bench.synced).toEqual([]);
    bench.land('b', ['f']);
    expect(bench.synced).toEqual(['f']);
    expect(bench.hints).toEqual([Hint.created | Hint.closed]);
    bench.land('b', ['f']);
    expect(bench.synced).toEqual(['f']);
    expect(bench.changes.size).toBe(0);
  });

  test('does not wait for a remote that is in trouble, and what that one takes later does not count', () => {
    const bench = new Bench(['a', 'b']);
    bench.touch('f');
    bench.remotes[1]!.states.set('f', 'stuck');
    bench.land('a', ['f']);
    expect(bench.synced).toEqual(['f']);
    bench.land('b', ['f']);
    expect(bench.synced).toEqual(['f']);
  });

  test('waits no more for a remote that gets into trouble, whatever that one was about', () => {
    const bench = new Bench(['a', 'b']);
    bench.touch('f');
    bench.touch('g');
    bench.land('a', ['f', 'g']);
    bench.remotes[1]!.states.set('f', 'stuck');
    bench.remotes[1]!.states.set('g', 'stuck');
    bench.land('b', ['other'], { isWell: false });
    expect(bench.synced.sort()).toEqual(['f', 'g']);
  });

  test('waits while no remote has it', () => {
    const bench = new Bench(['a']);
    bench.touch('f');
    bench.land('a', ['f'], { state: 'stuck', isWell: false });
    expect(bench.synced).toEqual([]);
    bench.land('a', ['f']);
    expect(bench.synced).toEqual(['f']);
  });

  test('counts again when it changes again', () => {
    const bench = new Bench(['a']);
    bench.touch('f');
    bench.land('a', ['f']);
    bench.touch('f');
    bench.land('a', ['f']);
    expect(bench.synced).toEqual(['f', 'f']);
  });

  test('counts when a look at the directory above it has brought it over', () => {
    const bench = new Bench(['a']);
    bench.touch('d/f');
    bench.remotes[0]!.states.set('d/f', 'there');
    bench.land('a', ['d/']);
    expect(bench.synced).toEqual(['d/f']);
  });

  test('that was found by a walk counts like one that was told', () => {
    const bench = new Bench(['a']);
    bench.find('f');
    bench.land('a', ['f']);
    expect(bench.synced).toEqual(['f']);
  });

  test('that is removed after a comparison counts when it is gone', () => {
    const bench = new Bench(['a']);
    bench.remotes[0]!.states.set('f', 'owed');
    bench.changes.removing(['f']);
    bench.land('a', ['f']);
    expect(bench.synced).toEqual(['f']);
  });

  test('of a full resync does not count', () => {
    const bench = new Bench(['a']);
    bench.land('a', ['d/**'], { changed: ['d/f'] });
    expect(bench.synced).toEqual([]);
  });
});

describe('a directory that is looked at as a whole', () => {
  test('counts, with each name that was sent', () => {
    const bench = new Bench(['a', 'b']);
    bench.touch('d/**', Hint.created | Hint.directory);
    for (const remote of bench.remotes) remote.states.set('d/f', 'owed');
    bench.remotes[0]!.states.set('d/f', 'there');
    bench.land('a', ['d/**'], { changed: ['d', 'd/f'] });
    expect(bench.synced).toEqual([]);
    bench.remotes[1]!.states.set('d/f', 'there');
    bench.land('b', ['d/**'], { changed: ['d', 'd/f'] });
    expect(bench.synced.sort()).toEqual(['d', 'd/f']);
    expect(bench.changes.size).toBe(0);
  });

  test('does not count itself when it was found by a walk: what was sent does', () => {
    const bench = new Bench(['a']);
    bench.find('d/');
    bench.land('a', ['d/'], { changed: ['d/new', 'd/e/deeper'] });
    expect(bench.synced).toEqual(['d/new']);
  });

  test('counts by its parts when it is divided', () => {
    const bench = new Bench(['a']);
    bench.find('./**');
    bench.remotes[0]!.states.set('d', 'owed');
    bench.land('a', ['./**'], { again: [{ path: 'd', scope: 'subtree', gone: false, because: 'divided' }] });
    bench.land('a', ['d/**'], { changed: ['d/f'] });
    expect(bench.synced).toEqual(['d/f']);
    expect(bench.changes.size).toBe(0);
  });

  test('counts what had to be compared by content when that was sent, and not when it was the same', () => {
    const bench = new Bench(['a']);
    bench.find('d/');
    for (const path of ['d/other', 'd/same']) bench.remotes[0]!.states.set(path, 'owed');
    const doubtful = (path: string) => ({ path, scope: 'entry', gone: false, because: 'doubtful' }) as const;
    bench.land('a', ['d/'], { again: [doubtful('d/other'), doubtful('d/same')] });
    bench.land('a', ['d/other', 'd/same'], { changed: ['d/other'] });
    expect(bench.synced).toEqual(['d/other']);
    expect(bench.changes.size).toBe(0);
  });

  test('tells how many names were too many to be named', () => {
    const bench = new Bench(['a']);
    bench.touch('d/**');
    bench.land('a', ['d/**'], { changed: ['d/f'], unnamed: 7 });
    expect(bench.dropped).toEqual(['7: more names were sent at once than are told one by one']);
  });
});

test('more paths than may wait are dropped, which is told', () => {
  const bench = new Bench(['a'], 2);
  for (const path of ['f', 'g', 'h', 'f']) bench.touch(path);
  expect(bench.dropped).toEqual(['1: 2 changes wait for a remote already']);
  bench.land('a', ['f', 'g', 'h']);
  expect(bench.synced).toEqual(['f', 'g']);
});

test('what is on no remote when the service stops is told', () => {
  const bench = new Bench(['a']);
  bench.touch('f');
  bench.changes.stop();
  expect(bench.dropped).toEqual(['1: they are on no remote yet']);
});

test('thousands of paths are looked at in several turns when a remote gets into trouble', () => {
  const bench = new Bench(['a', 'b'], 10_000);
  for (let index = 0; index < 2_500; index++) bench.touch(`f${index}`);
  for (let index = 0; index < 2_500; index++) {
    bench.remotes[0]!.states.set(`f${index}`, 'there');
    bench.remotes[1]!.states.set(`f${index}`, 'stuck');
  }
  bench.land('b', ['other'], { isWell: false });
  expect(bench.synced).toHaveLength(1_000);
  bench.clock.advance(0);
  expect(bench.synced).toHaveLength(2_500);
});

describe('without remotes', () => {
  test('every change counts at once', () => {
    const bench = new Bench([]);
    bench.touch('f');
    bench.find('g');
    bench.find('moved/**');
    expect(bench.synced).toEqual(['f', 'g', 'moved']);
  });

  test('a directory that appears counts, and each name below it that has no change of its own', async () => {
    const bench = new Bench([]);
    bench.below.set('d', ['d/e', 'd/e/f', 'd/told', 'd/open']);
    bench.awaited.add('d/open');
    bench.touch('d/**', Hint.created | Hint.directory);
    bench.touch('d/told');
    bench.clock.advance(200);
    await turns();
    expect(bench.synced).toEqual(['d', 'd/told', 'd/e', 'd/e/f']);
  });

  test('the watched directory itself and listings say nothing: the walk told the names', () => {
    const bench = new Bench([]);
    bench.find('./**');
    bench.find('d/');
    expect(bench.synced).toEqual([]);
  });
});
