import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { DirtyPath } from '../../../src/core/dirty-set.js';
import { ROOT } from '../../../src/core/relative-path.js';
import type { Scope } from '../../../src/core/scope.js';
import { createEvents } from '../../../src/events.js';
import type { Again, JournalMark, RunReport, TransferTask } from '../../../src/replicate/ports.js';
import { InFlight } from '../../../src/replicate/planner.js';
import {
  Replica,
  REPLICA_LIMITS,
  type Landing,
  type ReplicaLimits,
  type ResyncRequest,
} from '../../../src/replicate/replica.js';
import { ManualClock } from '../../support/manual-clock.js';
import { journalAfterResync, MemoryJournal } from '../../support/memory-journal.js';
import { Random } from '../../support/random.js';
import {
  complaint,
  describeTask,
  REFUSED,
  REJECTED,
  ScriptedTransport,
  turns,
  UNREACHABLE,
} from './scripted-transport.js';

const TOLD = [
  'path:failed',
  'path:recovered',
  'path:blocked',
  'path:newer',
  'remote:unreachable',
  'remote:halted',
  'remote:crowded',
  'remote:recovered',
  'source:refused',
  'source:back',
  'deletes:held',
  'deletes:copyOnly',
  'extras:found',
  'resync:started',
  'resync:finished',
] as const;

const NEXT_LANE_MS = 1_000;
const SAME_JITTER = 0;
const ASKED: ResyncRequest = { reason: '-r', crontab: false, isAsked: true };
const CRONTAB: ResyncRequest = { reason: 'crontab', crontab: true, isAsked: true };
const NOT_ASKED: ResyncRequest = { reason: 'first start', crontab: false, isAsked: false };

interface BenchOptions extends Partial<ReplicaLimits> {
  readonly deletes?: boolean;
  readonly fingerprint?: string;
}

/** It is too early to tell that no more will come. */
const MORE_MAY_COME = { afterLastMs: 1_000, atMostMs: 0 };
/** Whatever comes is looked at as soon as it is marked. */
const GATHERING_NOTHING = { gather: { afterLastMs: 0, atMostMs: 0 } };

/** One remote, whose runs the test ends. */
class Bench {
  readonly clock = new ManualClock();
  readonly transport = new ScriptedTransport();
  readonly told: string[] = [];
  readonly details: Record<string, unknown>[] = [];
  readonly replica: Replica;
  readonly landings: Landing[] = [];
  readonly removing: string[] = [];
  sourceNames = 1_000;

  constructor(
    { deletes = true, fingerprint = 'same', ...limits }: BenchOptions = {},
    readonly journal = journalAfterResync('remote', 'same'),
  ) {
    const events = createEvents((error) => {
      throw error;
    });
    for (const name of TOLD) {
      events.on(name, (detail: Record<string, unknown>) => {
        const path = typeof detail['path'] === 'string' ? ` ${detail['path']}` : '';
        this.told.push(`${name}${path}`);
        this.details.push(detail);
      });
    }
    this.replica = new Replica({
      name: 'ip::backup',
      transport: this.transport,
      clock: this.clock,
      random: () => SAME_JITTER,
      events,
      limits: { ...REPLICA_LIMITS, ...GATHERING_NOTHING, lanes: 4, nextLaneAfterMs: NEXT_LANE_MS, ...limits },
      deletes,
      deleteLimit: { percent: 50, names: 100 },
      sourceNames: () => this.sourceNames,
      onLinked: () => this.told.push('linked'),
      onLanded: (landing) => this.landings.push(landing),
      onRemoving: (paths) => this.removing.push(...paths),
      journal: this.journal,
      key: 'remote',
      fingerprint,
    });
  }

  /** The next run of the service, after a crash at this moment. */
  async crash(options: BenchOptions = {}): Promise<Bench> {
    await this.journal.flush();
    const next = new Bench(options, this.journal.reopen());
    await turns();
    return next;
  }

  async resync(request: ResyncRequest): Promise<void> {
    void this.replica.resync(request);
    await turns();
  }

  /** Ends runs until there are none, and tells what they were asked for. */
  async drain(reply: (task: TransferTask) => Partial<RunReport> = () => ({})): Promise<string[]> {
    const seen: string[] = [];
    while (this.running.length > 0) {
      const { task } = this.transport.run();
      seen.push(describeTask(task));
      if (seen.length > 100) throw new Error(`there is no end: ${seen.slice(-5).join('; ').slice(0, 500)}`);
      await this.end(reply(task));
    }
    return seen;
  }

  /** A comparison of a directory finds names that only the remote has. */
  async find(look: string, extras: readonly string[], extraneous = extras.length): Promise<void> {
    await this.mark(look);
    await this.end({ extraneous });
    await this.end({ extras, extraneous });
  }

  heldNames(): string[] {
    return this.replica
      .held()
      .names.map(({ path }) => path)
      .sort();
  }

  /** `a`: an entry; `d/`: a listing; `d/**`: a subtree; `-a`: seen to go; `!a`: a large file; `>a`: moved. */
  async mark(...texts: string[]): Promise<void> {
    for (const text of texts) this.replica.mark(this.dirty(text));
    await turns();
  }

  dirty(text: string): DirtyPath {
    const name = text.replace(/^[-!>]/, '');
    const scope: Scope = name.endsWith('**') ? 'subtree' : name.endsWith('/') ? 'listing' : 'entry';
    const path = name.replace(/\/?\**$/, '').replace(/^\.$/, ROOT);
    const moved = text.startsWith('>');
    return { path, scope, gone: text.startsWith('-'), alone: text.startsWith('!'), moved, since: this.clock.now() };
  }

  async advance(ms: number): Promise<void> {
    this.clock.advance(ms);
    await turns();
  }

  get running(): string[] {
    return this.transport.running.map(({ task }) => describeTask(task));
  }

  async end(fields?: Partial<RunReport>, index = 0): Promise<void> {
    await this.transport.run(index).end(fields);
  }

  status(): ReturnType<Replica['status']> {
    return this.replica.status();
  }

  expectInSync(): void {
    expect(this.running).toEqual([]);
    expect(this.status()).toMatchObject({ pending: 0, inFlight: 0, retrying: 0, lagMs: 0, state: 'idle' });
  }
}

const lost = (...paths: (string | undefined)[]): Partial<RunReport> => ({
  exitCode: 23,
  complaints: paths.map((path) => complaint('lost', path)),
});

const again = (because: Again['because'], path: string, scope: Scope = 'entry', gone = false): Again => ({
  path,
  scope,
  gone,
  because,
});

test('whatever failed is tried again within a minute, the shortest <failLog timeToExecute> that there is', () => {
  const { unreachable, halted, refused, failedPath } = REPLICA_LIMITS;
  for (const { maxMs } of [unreachable, halted, refused, failedPath]) expect(maxMs).toBeLessThanOrEqual(60_000);
});

describe('small changes', () => {
  test('are sent at once when nothing is in flight, all of one turn in one run', async () => {
    const bench = new Bench();
    await bench.mark('a', 'b', '-c');
    expect(bench.running).toEqual(['entries -c a b']);
    await bench.end();
    bench.expectInSync();
  });

  test('gather while a run is in flight, and go when it has ended', async () => {
    const bench = new Bench();
    await bench.mark('a');
    await bench.mark('b');
    await bench.mark('c', 'b');
    expect(bench.running).toEqual(['entries a']);
    await bench.end();
    expect(bench.running).toEqual(['entries b c']);
  });

  test('get a second lane when the first run takes long', async () => {
    const bench = new Bench();
    await bench.mark('a');
    await bench.mark('b');
    await bench.advance(NEXT_LANE_MS - 1);
    expect(bench.running).toEqual(['entries a']);
    await bench.advance(1);
    expect(bench.running).toEqual(['entries a', 'entries b']);
  });

  test('that come during their own run are sent again after it', async () => {
    const bench = new Bench();
    await bench.mark('a');
    await bench.mark('a');
    await bench.advance(10 * NEXT_LANE_MS);
    expect(bench.running).toEqual(['entries a']);
    await bench.end();
    expect(bench.running).toEqual(['entries a']);
    await bench.end();
    bench.expectInSync();
  });

  test('gather after a run for as long as it took, but not when it took next to nothing, and not for long', async () => {
    const { pauseAtMostMs } = REPLICA_LIMITS;
    for (const [tookMs, pauseMs] of [
      [0, 0],
      [20, 20],
      [5_000, pauseAtMostMs],
    ] as const) {
      const bench = new Bench({ lanes: 1, gather: MORE_MAY_COME });
      await bench.mark('a');
      await bench.end({ durationMs: tookMs });
      if (pauseMs > 0) {
        await bench.mark('b');
        await bench.advance(pauseMs - 1);
        await bench.mark('c');
        expect(bench.running).toEqual([]);
        await bench.advance(1);
        expect(bench.running).toEqual(['entries b c']);
      } else {
        await bench.mark('b');
        expect(bench.running).toEqual(['entries b']);
      }
    }
  });

  test('gather after a run no longer than they come', async () => {
    const bench = new Bench({ gather: { afterLastMs: 5, atMostMs: 20 } });
    await bench.mark('a');
    await bench.end({ durationMs: 200 });
    await bench.mark('b');
    await bench.advance(4);
    await bench.mark('c');
    await bench.advance(4);
    expect(bench.running).toEqual([]);
    await bench.advance(1);
    expect(bench.running).toEqual(['entries b c']);
  });

  test('that come in numbers gather first, since they are the beginning of more', async () => {
    const bench = new Bench({ gatheredFrom: 3, gather: { afterLastMs: 5, atMostMs: 20 } });
    await bench.mark('a', 'b', 'c');
    await bench.advance(4);
    await bench.mark('d');
    expect(bench.running).toEqual([]);
    await bench.advance(5);
    expect(bench.running).toEqual(['entries a b c d']);
  });

  test('gather no longer when they are worth a run', async () => {
    const bench = new Bench({ worthARun: 3, gather: MORE_MAY_COME });
    await bench.mark('a');
    await bench.end({ durationMs: 200 });
    await bench.mark('b', 'c');
    expect(bench.running).toEqual([]);
    await bench.mark('d');
    expect(bench.running).toEqual(['entries b c d']);
  });

  test('that do not end have so many runs in a second and no more, each with what has come meanwhile', async () => {
    const bench = new Bench({ pace: { atOnce: 2, perSecond: 20 } });
    for (const name of ['a', 'b']) {
      await bench.mark(name);
      expect(bench.running).toEqual([`entries ${name}`]);
      await bench.end();
    }
    await bench.mark('c');
    await bench.advance(49);
    await bench.mark('d');
    expect(bench.running).toEqual([]);
    await bench.advance(1);
    expect(bench.running).toEqual(['entries c d']);
    await bench.end();
    bench.expectInSync();
  });

  test('have a run at once, whatever the pace, when they are worth one or the service stops', async () => {
    for (const isStopped of [false, true]) {
      const bench = new Bench({ pace: { atOnce: 1, perSecond: 1 }, worthARun: 2 });
      await bench.mark('a');
      await bench.end();
      await bench.mark('b');
      expect(bench.running).toEqual([]);
      if (isStopped) {
        void bench.replica.stop(1_000);
        await turns();
      } else await bench.mark('c');
      expect(bench.running).toEqual([isStopped ? 'entries b' : 'entries b c']);
      await bench.end();
    }
  });

  test('do not wait for others when the service stops', async () => {
    const bench = new Bench({ gather: MORE_MAY_COME });
    await bench.mark('a');
    await bench.end({ durationMs: 200 });
    await bench.mark('b');
    expect(bench.running).toEqual([]);
    void bench.replica.stop(1_000);
    await turns();
    expect(bench.running).toEqual(['entries b']);
    await bench.end();
  });

  test('are at most so many in one run', async () => {
    const bench = new Bench({ entriesPerRun: 2 });
    await bench.mark('a', 'b', 'c');
    expect(bench.running).toEqual(['entries a b']);
    await bench.end();
    expect(bench.running).toEqual(['entries c']);
  });

  test('tell how old the oldest of them is until it is there', async () => {
    const bench = new Bench();
    await bench.mark('a');
    await bench.advance(500);
    expect(bench.status()).toMatchObject({ lagMs: 500, inFlight: 1, state: 'transferring' });
    await bench.end();
    expect(bench.status()).toMatchObject({ lagMs: 0, lastSyncedAt: bench.clock.now() });
  });

  test('cost no timer while nothing is dirty', async () => {
    const bench = new Bench();
    await bench.mark('a');
    await bench.end();
    expect(bench.clock.waiting).toBe(0);
  });
});

describe('new directories', () => {
  const gathering = { gather: { afterLastMs: 5, atMostMs: 20 } };

  test('gather until none has come for a moment, and not for long', async () => {
    const bench = new Bench(gathering);
    await bench.mark('a/**');
    await bench.advance(4);
    await bench.mark('b/**', 'b/file');
    expect(bench.running).toEqual([]);
    await bench.advance(5);
    expect(bench.running).toEqual(['trees a/** b/**']);
    await bench.end();

    for (let age = 0; age < 20; age += 4) {
      expect(bench.running).toEqual([]);
      await bench.mark(`c${age}/**`);
      await bench.advance(4);
    }
    expect(bench.running).toEqual(['trees c0/** c12/** c16/** c4/** c8/**']);
    await bench.end();
    bench.expectInSync();
  });

  test('keep no small change waiting', async () => {
    const bench = new Bench(gathering);
    await bench.mark('d/**', 'e/file');
    expect(bench.running).toEqual(['entries e/file']);
  });

  test('gather no longer when the service stops', async () => {
    const bench = new Bench(gathering);
    await bench.mark('d/**');
    void bench.replica.stop(1_000);
    await turns();
    expect(bench.running).toEqual(['trees d/**']);
    await bench.end();
  });
});

describe('overlapping looks', () => {
  test.each([
    { first: 'd/**', second: 'd/e/f' },
    { first: 'd/', second: 'd/a' },
    { first: '-d', second: '-d/e' },
    { first: 'd/e', second: 'd/**' },
    { first: 'd/e', second: 'd/' },
    { first: 'd', second: 'd/**' },
  ])('$second waits until $first has ended', async ({ first, second }) => {
    const bench = new Bench();
    await bench.mark(first);
    await bench.mark(second);
    const [begun] = bench.running;
    expect(bench.running).toHaveLength(1);
    await bench.end();
    expect(bench.running).toHaveLength(1);
    // What the first covers is looked at again: it was marked during the run.
    expect(bench.running[0]).not.toBe(begun);
  });

  test('that are many are not tried with each new change, and one elsewhere waits for a moment only', async () => {
    const bench = new Bench();
    await bench.mark('d/');
    const blocks = vi.spyOn(InFlight.prototype, 'blocks');
    blocks.mockImplementation(() => {
      bench.clock.advance(0.01);
      return true;
    });
    await bench.mark(...Array.from({ length: 1_000 }, (_, index) => `d/${index}`));
    for (let change = 0; change < 100; change++) await bench.mark(`d/new${change}`);
    expect(blocks.mock.calls.length).toBeLessThan(5_000);
    blocks.mockRestore();
    await bench.mark('e/f');
    await bench.advance(100);
    expect(bench.running).toEqual(['trees d/', 'entries e/f']);
  });

  test('do not keep other directories waiting', async () => {
    const bench = new Bench();
    await bench.mark('d/**');
    await bench.mark('d/a', 'e/a');
    expect(bench.running).toEqual(['trees d/**', 'entries e/a']);
  });
});

describe('what came by a move', () => {
  test('is compared by content: a directory always, a file when a run looks at its name', async () => {
    const bench = new Bench();
    await bench.mark('>a', '>d/**');
    expect(bench.running).toEqual(['entries a', 'trees >d/**']);
    await bench.mark('>a', '>d/x');
    expect((await bench.drain()).slice(2)).toEqual(['entries >a', 'entries >d/x']);
    bench.expectInSync();
  });

  test('stays so in what it turns into, until that is settled', async () => {
    const bench = new Bench();
    await bench.mark('>d/**');
    await bench.end({ again: [again('divided', 'd', 'listing'), again('divided', 'd/e', 'subtree')] });
    expect(bench.running).toEqual(['trees >d/e/**']);
    await bench.end(UNREACHABLE);
    await bench.advance(5_000);
    expect(await bench.drain()).toEqual(['trees >d/e/**', 'trees >d/']);
    bench.expectInSync();
  });

  test('is what is there again after it was seen to go, and what was doubtful', async () => {
    const bench = new Bench();
    await bench.mark('-d', 'x');
    await bench.end({ again: [again('reappeared', 'd', 'subtree', true), again('doubtful', 'x')] });
    expect(await bench.drain()).toEqual(['entries >x', 'trees ->d/**']);
    bench.expectInSync();
  });
});

describe('large files', () => {
  test('are sent alone, in a lane beside small changes', async () => {
    const bench = new Bench();
    await bench.mark('a', 'big');
    await bench.end({ again: [again('large', 'big')] });
    expect(bench.running).toEqual(['entries big']);
    expect(bench.transport.run().task).toMatchObject({ largeBytes: 0 });
    await bench.mark('b');
    expect(bench.running).toEqual(['entries big', 'entries b']);
  });

  test('are looked for under their old names when they are sent', async () => {
    const bench = new Bench();
    bench.replica.moved('old', 'big');
    await bench.mark('big', '-old');
    const moved = [{ path: 'big', from: 'old' }];
    expect(bench.transport.run().task).toMatchObject({ moved });
    await bench.end({ again: [again('large', 'big')] });
    expect(bench.running).toEqual(['entries big']);
    expect(bench.transport.run().task).toMatchObject({ largeBytes: 0, moved });
    expect(await bench.drain()).toEqual(['entries big', 'entries -old']);
    bench.expectInSync();
  });

  test('never take the last lane: it is for small changes', async () => {
    const bench = new Bench({ lanes: 3 });
    await bench.mark('!one', '!two', '!three');
    expect(bench.running).toEqual(['entries one', 'entries two']);
    await bench.mark('small');
    expect(bench.running).toEqual(['entries one', 'entries two', 'entries small']);
  });

  test('nor do directories and resyncs', async () => {
    const bench = new Bench({ lanes: 2 });
    await bench.mark('d/**', '!one');
    expect(bench.running).toHaveLength(1);
    await bench.mark('small');
    expect(bench.running).toContain('entries small');
  });
});

describe('fairness', () => {
  test('with one lane, directories and large files get their turn although small changes never end', async () => {
    const bench = new Bench({ lanes: 1 });
    const seen = new Set<string>();
    await bench.mark('x0', 'd/**', '!big');
    for (let turn = 1; turn < 8; turn++) {
      for (const run of bench.running) seen.add(run);
      await bench.mark(`x${turn}`);
      await bench.end();
    }
    expect([...seen]).toEqual(expect.arrayContaining(['trees d/**', 'entries big']));
  });

  test('with two lanes, a large file gets its turn although new directories never end', async () => {
    const bench = new Bench({ lanes: 2 });
    const seen = new Set<string>();
    await bench.mark('d0/**', '!big');
    for (let turn = 1; turn < 6; turn++) {
      for (const run of bench.running) seen.add(run);
      await bench.mark(`d${turn}/**`);
      await bench.end();
    }
    expect([...seen]).toContain('entries big');
  });

  test('slow runs of small changes in all lanes leave one for directories that wait', async () => {
    const bench = new Bench({ lanes: 3 });
    await bench.mark('a');
    for (const path of ['b', 'c', 'd']) {
      await bench.mark(path);
      await bench.advance(NEXT_LANE_MS);
    }
    expect(bench.running).toEqual(['entries a', 'entries b', 'entries c']);
    await bench.mark('new/**');
    await bench.end();
    expect(bench.running).toContain('trees new/**');
  });

  test('a look at a busy directory begins although changes in it follow one another without a gap', async () => {
    const bench = new Bench();
    await bench.mark('d/0');
    void bench.replica.resync({ reason: 'test', crontab: false, isAsked: true });
    await turns();
    await bench.end({ again: [again('divided', 'd', 'subtree'), again('divided', ROOT, 'listing')] }, 1);
    const seen = new Set<string>();
    for (let turn = 1; turn < 30; turn++) {
      for (const run of bench.running) seen.add(run);
      await bench.mark(`d/${turn}`);
      await bench.advance(100);
      await bench.end();
    }
    expect([...seen]).toContain('trees d/**');
  });

  test('meanwhile changes in it wait, and those elsewhere do not', async () => {
    const bench = new Bench();
    await bench.mark('-d/0');
    await bench.mark('d/**');
    await bench.advance(NEXT_LANE_MS);
    await bench.mark('-d/1', 'e/1');
    expect(bench.running).toEqual(['entries -d/0', 'entries e/1']);
    await bench.end();
    expect(bench.running).toEqual(['entries e/1', 'trees d/**']);
    await bench.end({}, 1);
    await bench.end();
    expect(bench.running).toEqual(['entries -d/1']);
    await bench.end();
    bench.expectInSync();
  });
});

describe('a remote that is away', () => {
  test('is told once, backs off further each time, and keeps what is dirty', async () => {
    const bench = new Bench();
    await bench.mark('a');
    const waits: number[] = [];
    for (let failure = 0; failure < 7; failure++) {
      const failedAt = bench.clock.now();
      await bench.end(UNREACHABLE);
      expect(bench.running).toEqual([]);
      expect(bench.status()).toMatchObject({ state: 'backing off', pending: 1 });
      while (bench.running.length === 0) {
        bench.clock.advanceToNext();
        await turns();
      }
      waits.push(bench.clock.now() - failedAt);
    }
    expect(waits).toEqual([250, 500, 1_000, 2_000, 4_000, 5_000, 5_000]);
    expect(bench.told).toEqual(['remote:unreachable']);
  });

  test('is told again after an interval, not at each failure', async () => {
    const bench = new Bench({ remindEveryMs: 60_000 });
    await bench.mark('a');
    for (let failure = 0; failure < 40; failure++) {
      await bench.end(UNREACHABLE);
      await bench.advance(5_000);
    }
    expect(bench.told.length).toBeGreaterThanOrEqual(3);
    expect(bench.told.length).toBeLessThanOrEqual(5);
  });

  test('is asked with one run before it gets more', async () => {
    const bench = new Bench();
    await bench.mark('a', 'd/**', '!big');
    for (let index = bench.running.length; index > 0; index--) await bench.end(UNREACHABLE);
    await bench.advance(250);
    expect(bench.running).toHaveLength(1);
    await bench.end();
    expect(bench.running.length).toBeGreaterThan(1);
  });

  test('counts runs that failed together as one failure', async () => {
    const bench = new Bench();
    await bench.mark('a', 'd/**');
    await bench.end(UNREACHABLE);
    await bench.end(UNREACHABLE);
    await bench.advance(250);
    expect(bench.running).toHaveLength(1);
    expect(bench.details).toMatchObject([{ failures: 1 }]);
  });

  test('takes nothing new meanwhile, and all of it when it is back', async () => {
    const bench = new Bench();
    await bench.mark('a');
    await bench.end(UNREACHABLE);
    await bench.mark('b', 'c');
    expect(bench.running).toEqual([]);
    await bench.advance(250);
    expect(bench.running).toEqual(['entries a b c']);
    await bench.end();
    expect(bench.told).toEqual(['remote:unreachable', 'remote:recovered']);
    expect(bench.details[1]).toMatchObject({ failures: 1, durationMs: 250 });
    bench.expectInSync();
  });

  test('has not recovered because the tree was divided here', async () => {
    const bench = new Bench();
    await bench.mark('a');
    await bench.end(UNREACHABLE);
    await bench.mark('./**');
    await bench.advance(250);
    expect(bench.running).toEqual(['divide']);
    await bench.end({ again: [again('divided', ROOT, 'listing'), again('divided', 'd', 'subtree')] });
    await bench.end(UNREACHABLE);
    expect(bench.told).toEqual(['remote:unreachable']);
  });

  test('is treated alike when the thread breaks: nothing is lost', async () => {
    const bench = new Bench();
    await bench.mark('a');
    await bench.transport.run().break(new Error('the worker thread ended'));
    expect(bench.told).toEqual(['remote:unreachable']);
    await bench.advance(250);
    expect(bench.running).toEqual(['entries a']);
  });

  test('is tried at once when somebody asks for it', async () => {
    const bench = new Bench();
    await bench.mark('a');
    await bench.end(UNREACHABLE);
    bench.replica.retryNow();
    await turns();
    expect(bench.running).toEqual(['entries a']);
  });
});

describe('a remote with no connection left', () => {
  const CROWDED: Partial<RunReport> = {
    exitCode: 5,
    messages: ['@ERROR: max connections (1) reached -- try again later'],
  };

  test('is served with fewer lanes, told once, and not taken for away', async () => {
    const bench = new Bench();
    await bench.mark('a');
    await bench.mark('d/**');
    expect(bench.running).toHaveLength(2);
    await bench.transport.run(1).end(CROWDED);
    expect(bench.running).toEqual(['entries a']);
    await bench.transport.run().end();
    expect(bench.running).toHaveLength(1);
    expect(bench.told).toEqual(['remote:crowded']);
    await bench.advance(REPLICA_LIMITS.widenEveryMs);
    await bench.mark('b');
    expect(bench.running).toHaveLength(2);
  });

  test('is away when the only run finds none', async () => {
    const bench = new Bench();
    await bench.mark('a');
    await bench.transport.run().end(CROWDED);
    expect(bench.told).toEqual(['remote:unreachable']);
  });
});

describe('a remote that wants a person', () => {
  test('is halted, and tried again rarely', async () => {
    const bench = new Bench();
    await bench.mark('a');
    await bench.end(REJECTED);
    expect(bench.status()).toMatchObject({ state: 'halted', pending: 1 });
    expect(bench.status().reason).toContain('auth failed');
    expect(bench.told).toEqual(['remote:halted']);
    await bench.advance(4_999);
    expect(bench.running).toEqual([]);
    await bench.advance(1);
    await bench.end();
    expect(bench.told).toEqual(['remote:halted', 'remote:recovered']);
  });
});

describe('a source that is not what it was', () => {
  test('sends nothing until it is back', async () => {
    const bench = new Bench();
    await bench.mark('-a');
    await bench.end(REFUSED);
    expect(bench.told).toEqual(['source:refused']);
    expect(bench.running).toEqual([]);
    await bench.advance(1_000);
    expect(bench.running).toEqual(['entries -a']);
    await bench.end();
    expect(bench.told).toEqual(['source:refused', 'source:back']);
    bench.expectInSync();
  });
});

describe('a path that does not arrive', () => {
  test('is told, tried again after its backoff, and told when it has arrived; the others are not delayed', async () => {
    const bench = new Bench();
    await bench.mark('a', 'bad');
    await bench.end(lost('bad'));
    expect(bench.told).toEqual(['path:failed bad']);
    expect(bench.status()).toMatchObject({ retrying: 1, state: 'idle' });
    await bench.mark('b');
    expect(bench.running).toEqual(['entries b']);
    await bench.end();
    await bench.advance(1_000);
    expect(bench.running).toEqual(['entries bad']);
    await bench.end(lost('bad'));
    expect(bench.details.at(-1)).toMatchObject({ attempts: 2, retryInMs: 2_000, exitCode: 23 });
    await bench.advance(2_000);
    await bench.end();
    expect(bench.told.at(-1)).toBe('path:recovered bad');
    bench.expectInSync();
  });

  test('recovers by a change of it, too', async () => {
    const bench = new Bench();
    await bench.mark('bad');
    await bench.end(lost('bad'));
    await bench.mark('bad');
    await bench.end();
    expect(bench.told).toEqual(['path:failed bad', 'path:recovered bad']);
    bench.expectInSync();
  });

  test('in a directory that was looked at as a whole is a failure of its own', async () => {
    const bench = new Bench();
    await bench.mark('d/**');
    await bench.end(lost('d/bad'));
    expect(bench.told).toEqual(['path:failed d/bad']);
    await bench.advance(1_000);
    // It may be a directory that could not be made.
    expect(bench.running).toEqual(['trees d/bad/**']);
    await bench.end({ again: [again('retyped', 'd/bad')] });
    expect(bench.running).toEqual(['entries d/bad']);
    await bench.end();
    expect(bench.told.at(-1)).toBe('path:recovered d/bad');
    bench.expectInSync();
  });

  test('that is a directory has not recovered when its attributes alone have arrived', async () => {
    const bench = new Bench();
    await bench.mark('d/**');
    await bench.end(lost('d/e'));
    await bench.mark('d/e');
    await bench.end();
    expect(bench.status().retrying).toBe(1);
    await bench.advance(1_000);
    expect(bench.running).toEqual(['trees d/e/**']);
    await bench.end();
    bench.expectInSync();
  });

  test('because a directory above it cannot be made is settled with that directory', async () => {
    const bench = new Bench();
    await bench.mark('d/a');
    await bench.end(lost('d'));
    expect(bench.running).toEqual([]);
    await bench.advance(1_000);
    expect(bench.running).toEqual(['trees d/**']);
    await bench.end();
    bench.expectInSync();
  });

  test('and fails through a directory above it is not tried in a loop, nor forgotten', async () => {
    const bench = new Bench();
    await bench.mark('-d/a');
    await bench.end(lost('d/a'));
    await bench.advance(1_000);
    expect(bench.running).toEqual(['entries -d/a']);
    await bench.end(lost('d'));
    expect(bench.running).toEqual([]);
    const runs = bench.transport.begun;
    await bench.advance(3_000);
    while (bench.running.length > 0) await bench.end();
    expect(bench.transport.begun - runs).toBeLessThanOrEqual(3);
    bench.expectInSync();
  });

  test('is tried by itself when a wider look has taken it in and has not settled it', async () => {
    const bench = new Bench();
    await bench.mark('d/x');
    await bench.end(lost('d/x'));
    await bench.mark('d/**');
    await bench.advance(1_000);
    expect(bench.running).toEqual(['trees d/**']);
    await bench.mark('-d');
    // The directory went meanwhile: the look at it hands back a name.
    await bench.end({ again: [again('retyped', 'd')] });
    while (bench.running.length > 0) await bench.end();
    await bench.advance(60_000);
    while (bench.running.length > 0) await bench.end();
    bench.expectInSync();
  });

  test('is looked at as what only the remote has, by name, when it stands in the way there', async () => {
    const bench = new Bench();
    await bench.mark('d/**');
    await bench.end({ exitCode: 23, complaints: [complaint('obstructed', 'd/o')] });
    expect(bench.running).toEqual(['entries d/o']);
    await bench.end();
    bench.expectInSync();
  });

  test.each(['a', '!big'])('and stands in the way there for good backs off (%s)', async (name) => {
    const bench = new Bench();
    await bench.mark(name);
    await bench.end({ exitCode: 23, complaints: [complaint('obstructed', bench.dirty(name).path)] });
    expect(bench.running).toEqual([]);
    expect(bench.status().retrying).toBe(1);
  });

  test('with deleting off is told once and not tried again', async () => {
    const bench = new Bench({ deletes: false });
    await bench.mark('o');
    await bench.end({ exitCode: 23, complaints: [complaint('obstructed', 'o')] });
    expect(bench.told).toEqual(['path:blocked o']);
    bench.expectInSync();
  });

  test('costs one look at the clock for all that fail together', async () => {
    const bench = new Bench();
    const names = Array.from({ length: 500 }, (_, index) => `d/${index}`);
    await bench.mark(...names);
    await bench.end(lost(...names));
    const runs = bench.transport.begun;
    await bench.advance(1_000);
    expect(bench.transport.begun - runs).toBe(1);
    expect(bench.status()).toMatchObject({ retrying: 500, inFlight: 500 });
  });
});

describe('a directory that does not arrive', () => {
  test('is looked at with all that was looked at below it in the same run: nobody says what was missed there', async () => {
    for (const [looks, retried] of [
      [['d/', 'd/x/y/'], 'trees d/**'],
      [['d', 'd/x'], 'trees d/**'],
      [['d/', '>d/x/y/'], 'trees >d/**'],
      [['d/'], 'trees d/'],
    ] as const) {
      const bench = new Bench();
      await bench.mark(...looks);
      await bench.end({ ...lost('d'), exitCode: 11 });
      expect(bench.running).toEqual([]);
      await bench.advance(60_000);
      expect(bench.running).toEqual([retried]);
      await bench.end();
      bench.expectInSync();
    }
  });

  test('takes no deletion below it along that was seen', async () => {
    const bench = new Bench();
    await bench.mark('d', '-d/x', 'd/y');
    await bench.end(lost('d'));
    await bench.advance(60_000);
    expect(bench.running).toEqual(['entries -d/x']);
    await bench.end();
    expect(bench.running).toEqual(['trees d/**']);
    await bench.end();
    bench.expectInSync();
  });
});

describe('a failure that names nothing', () => {
  /** Runs that hold the culprit fail; tells the sizes of all runs until nothing is at work. */
  async function untilQuiet(bench: Bench, culprit: string, fields: Partial<RunReport>): Promise<number[]> {
    const sizes: number[] = [];
    for (let run = 0; run < 100 && (bench.running.length > 0 || bench.status().state === 'backing off'); run++) {
      if (bench.running.length === 0) await bench.advance(10);
      else {
        const { task } = bench.transport.run();
        const looks = task.kind === 'divide' ? [] : task.looks;
        sizes.push(looks.length);
        await bench.end(looks.some(({ path }) => path === culprit) ? fields : {});
      }
    }
    return sizes;
  }

  test('halves the batch until the culprit stands alone and the others have arrived', async () => {
    const bench = new Bench();
    await bench.mark(...Array.from({ length: 16 }, (_, index) => `f${index}`));
    const sizes = await untilQuiet(bench, 'f5', { exitCode: 23, messages: ['rsync: something went wrong'] });
    expect(sizes.slice(0, 2)).toEqual([16, 8]);
    expect(bench.told).toEqual(['path:failed f5']);
    expect(bench.status()).toMatchObject({ retrying: 1, pending: 0 });
  });

  test('lets the culprit go alone the next time, too', async () => {
    const bench = new Bench();
    await bench.mark('a', 'b');
    await untilQuiet(bench, 'b', { exitCode: 23, messages: ['rsync: something went wrong'] });
    bench.replica.retryNow();
    await bench.mark('c', 'd');
    expect(bench.running).toContain('entries b');
    expect(bench.running.filter((run) => run.includes(' b ') || run.includes(' c b'))).toEqual([]);
  });

  test('does not try again at once what it did name', async () => {
    const bench = new Bench();
    await bench.mark('a', 'b', 'named');
    await bench.end(lost('named', undefined));
    expect(bench.running).toEqual(['entries a']);
    expect(bench.told).toEqual(['path:failed named']);
  });

  test('and broke off slows the remote down, for it may be the way to it', async () => {
    const bench = new Bench();
    await bench.mark('a', 'b');
    await bench.end({ exitCode: 12, messages: ['rsync: connection unexpectedly closed (123 bytes received so far)'] });
    expect(bench.running).toEqual([]);
    expect(bench.told).toEqual(['remote:unreachable']);
    await bench.advance(250);
    expect(bench.running).toEqual(['entries a']);
  });

  test('of the world moving under the run is tried again slowly', async () => {
    const bench = new Bench();
    await bench.mark('a');
    await bench.end({ exitCode: 24 });
    expect(bench.running).toEqual([]);
    expect(bench.status().retrying).toBe(1);
    await bench.advance(1_000);
    await bench.end();
    bench.expectInSync();
  });

  test('of names that vanished sends those again at once', async () => {
    const bench = new Bench();
    await bench.mark('a', 'd/**');
    await bench.end({ exitCode: 24, complaints: [complaint('vanished', 'a')] });
    expect(bench.running).toContain('entries a');
  });
});

describe('a file larger than what is free on the remote', () => {
  const full = (path: string): Partial<RunReport> => ({
    exitCode: 11,
    complaints: [complaint('lost', path, `write failed on "${path}": No space left on device (28)`)],
  });

  test('waits, and the others of its run go again at once', async () => {
    const bench = new Bench();
    await bench.mark('a', 'big', 'c');
    await bench.end(full('big'));
    expect(bench.running).toEqual(['entries a c']);
    expect(bench.told).toEqual(['path:failed big']);
    await bench.end();
    await bench.advance(1_000);
    expect(bench.running).toEqual(['entries big']);
    await bench.end(full('big'));
    expect(bench.status().state).toBe('idle');
  });

  test('and after it another and another: the remote is full and backs off, instead of a run for each name', async () => {
    const bench = new Bench();
    await bench.mark(...Array.from({ length: 50 }, (_, index) => `f${index}`));
    let runs = 0;
    while (bench.running.length > 0) {
      const { task } = bench.transport.run();
      await bench.end(full(task.kind === 'divide' ? '' : (task.looks[0]?.path ?? '')));
      expect(++runs).toBeLessThan(10);
    }
    expect(bench.status()).toMatchObject({ state: 'backing off' });
    expect(bench.told).toContain('remote:unreachable');
    await bench.advance(250);
    await bench.end();
    expect(bench.told.at(-1)).toBe('remote:recovered');
  });
});

describe('a full resync', () => {
  const PIECES = [
    again('divided', ROOT, 'listing'),
    again('divided', 'd', 'subtree'),
    again('divided', 'e', 'subtree'),
  ];

  test('divides the tree, looks at all of it, and resolves', async () => {
    const bench = new Bench();
    let isDone = false;
    void bench.replica.resync({ reason: '-r', crontab: false, isAsked: true }).then(() => (isDone = true));
    await turns();
    expect(bench.running).toEqual(['divide']);
    await bench.end({ again: PIECES });
    expect(bench.transport.run().task).toMatchObject({ kind: 'trees', resync: true, crontab: false });
    expect(isDone).toBe(false);
    while (bench.running.length > 0) await bench.end();
    expect(isDone).toBe(true);
    expect(bench.told).toEqual(['resync:started', 'resync:finished']);
    bench.expectInSync();
  });

  test('holds up only what is in flight', async () => {
    const bench = new Bench({ resyncTreesPerRun: 1 });
    void bench.replica.resync({ reason: '-r', crontab: false, isAsked: true });
    await turns();
    await bench.mark('d/a');
    expect(bench.running).toContain('entries d/a');
    await bench.end({ again: PIECES });
    await bench.mark('x');
    expect(bench.running).toContain('trees e/**');
    expect(bench.running.filter((run) => run.startsWith('entries'))).toHaveLength(1);
  });

  test('starts although small changes never end', async () => {
    const bench = new Bench();
    await bench.mark('x');
    void bench.replica.resync({ reason: '-r', crontab: false, isAsked: true });
    await turns();
    expect(bench.running).toEqual(['entries x', 'divide']);
  });

  test('is never two at once: a second one waits for the first, a third joins the second', async () => {
    const bench = new Bench();
    const done: number[] = [];
    for (const [index, crontab] of [true, true, false].entries()) {
      void bench.replica.resync({ reason: 'test', crontab, isAsked: true }).then(() => done.push(index));
    }
    await turns();
    await bench.end({ again: PIECES });
    while (done.length === 0) await bench.end();
    expect(done).toEqual([0]);
    // It leaves nothing out, for the sake of the third.
    expect(bench.transport.run().task).toMatchObject({ kind: 'divide', crontab: false });
    await bench.end({ again: PIECES });
    while (bench.running.length > 0) await bench.end();
    expect(done).toEqual([0, 1, 2]);
    expect(bench.told.filter((event) => event === 'resync:started')).toHaveLength(2);
  });

  test('tries along with it what waits in the retry queue', async () => {
    const bench = new Bench();
    await bench.mark('bad');
    await bench.end(lost('bad'));
    void bench.replica.resync({ reason: 'crontab', crontab: true, isAsked: true });
    await turns();
    expect(bench.running).toContain('entries bad');
  });

  test('goes on where it was when the remote comes back', async () => {
    const bench = new Bench({ lanes: 1, resyncTreesPerRun: 1 });
    void bench.replica.resync({ reason: '-r', crontab: false, isAsked: true });
    await turns();
    await bench.end({ again: PIECES });
    await bench.end();
    const unfinished = bench.running;
    await bench.end(UNREACHABLE);
    await bench.advance(250);
    const seen = [...unfinished, ...bench.running];
    while (bench.running.length > 0) {
      await bench.end();
      seen.push(...bench.running);
    }
    expect(seen.filter((run) => run === 'divide')).toEqual([]);
    expect(bench.told.at(-1)).toBe('resync:finished');
    bench.expectInSync();
  });

  test('of a root with too many directories in it goes undivided instead of being divided for ever', async () => {
    const bench = new Bench();
    void bench.replica.resync({ reason: '-r', crontab: false, isAsked: true });
    await turns();
    await bench.end({ again: [again('divided', ROOT, 'subtree')] });
    expect(bench.running).toEqual(['trees ./**']);
    await bench.end();
    expect(bench.told.at(-1)).toBe('resync:finished');
    bench.expectInSync();
  });

  test('tells how far it is', async () => {
    const bench = new Bench({ lanes: 1, resyncTreesPerRun: 1 });
    void bench.replica.resync({ reason: '-r', crontab: false, isAsked: true });
    await turns();
    await bench.end({ again: PIECES });
    await bench.end();
    expect(bench.status().resync).toEqual({ reason: '-r', fraction: 1 / 3 });
  });

  test('says how many paths failed', async () => {
    const bench = new Bench();
    void bench.replica.resync({ reason: '-r', crontab: false, isAsked: true });
    await turns();
    await bench.end({ again: PIECES });
    await bench.end(lost('d/bad'));
    while (bench.running.length > 0) await bench.end();
    const finished = bench.details[bench.told.indexOf('resync:finished')];
    expect(finished).toMatchObject({ failed: 1 });
  });

  test('that failed as a whole is settled by the pieces it was divided into', async () => {
    const bench = new Bench();
    await bench.mark('d/**');
    await bench.end(lost(ROOT));
    await bench.advance(1_000);
    expect(bench.running).toEqual(['divide']);
    await bench.end({ again: PIECES });
    while (bench.running.length > 0) await bench.end();
    bench.expectInSync();
  });
});

describe('what only the remote has', () => {
  test('is asked for when the copy says so, and removed by name after it', async () => {
    const bench = new Bench();
    await bench.mark('d/**');
    await bench.end({ extraneous: 2 });
    expect(bench.running).toEqual(['extras d/**']);
    await bench.mark('d/new');
    expect(bench.running).toEqual(['extras d/**']);
    await bench.end({ extras: ['d/x', 'd/y'] });
    expect(bench.running).toEqual(['entries d/new d/x d/y']);
    expect(bench.told).toEqual(['extras:found']);
  });

  test('is not asked for with deleting off, nor when the copy failed', async () => {
    const off = new Bench({ deletes: false });
    await off.mark('d/**');
    await off.end({ extraneous: 2 });
    expect(off.running).toEqual([]);
    const failed = new Bench();
    await failed.mark('d/**');
    await failed.end({ ...UNREACHABLE, extraneous: 2 });
    expect(failed.running).toEqual([]);
  });

  test('is asked for again when the remote went away in between', async () => {
    const bench = new Bench();
    await bench.mark('d/**');
    await bench.end({ extraneous: 1 });
    await bench.end(UNREACHABLE);
    await bench.advance(250);
    expect(bench.running).toEqual(['trees d/**']);
  });

  test('stays while the source is empty, and is compared again when the source is what it was', async () => {
    const bench = new Bench();
    await bench.mark('./');
    await bench.end({ extraneous: 3 });
    await bench.end({ held: { reason: 'the watched directory is empty', paths: [] } });
    expect(bench.told).toEqual(['deletes:held']);
    expect(bench.running).toEqual([]);
    expect(bench.status().held).toBe(1);
    bench.replica.sourceIsBack();
    await turns();
    expect(bench.running).toContain('trees ./');
  });
});

describe('deletions from an empty source', () => {
  test('are held until it is what it was, without a run in between', async () => {
    const bench = new Bench();
    await bench.mark('-a', '-d');
    await bench.end({ held: { reason: 'the watched directory is empty', paths: ['a', 'd'] }, command: [] });
    expect(bench.running).toEqual([]);
    expect(bench.status().held).toBe(2);
    expect(bench.clock.waiting).toBe(0);
    bench.replica.sourceIsBack();
    await bench.mark('b');
    expect(bench.running).toEqual(['entries -a -d b']);
  });

  test('are not tried in a loop when they had failed before', async () => {
    const bench = new Bench();
    await bench.mark('-a');
    await bench.end(lost('a'));
    await bench.advance(1_000);
    await bench.end({ held: { reason: 'the watched directory is empty', paths: ['a'] }, command: [] });
    expect(bench.running).toEqual([]);
  });
});

describe('files that are newer on the remote', () => {
  test('are asked for once after the run, counted and told', async () => {
    const bench = new Bench();
    await bench.mark('a', 'b');
    await bench.end({ unsent: ['a', 'b'] });
    expect(bench.running).toEqual(['newer a b']);
    await bench.end({ newer: ['b'] });
    expect(bench.told).toEqual(['path:newer b']);
    expect(bench.status().newerOnRemote).toBe(1);
    bench.expectInSync();
  });

  test('are not asked for when the run failed', async () => {
    const bench = new Bench();
    await bench.mark('a');
    await bench.end({ ...UNREACHABLE, unsent: ['a'] });
    expect(bench.running).toEqual([]);
  });
});

describe('stopping', () => {
  const stopped = (bench: Bench, graceMs = 5_000): { isDone: boolean } => {
    const state = { isDone: false };
    void bench.replica.stop(graceMs).then(() => (state.isDone = true));
    return state;
  };

  test('is done at once when nothing is dirty', async () => {
    const bench = new Bench();
    const state = stopped(bench);
    await turns();
    expect(state.isDone).toBe(true);
    expect(bench.clock.waiting).toBe(0);
  });

  test('sends what is dirty first', async () => {
    const bench = new Bench();
    await bench.mark('a');
    await bench.mark('b');
    const state = stopped(bench);
    await turns();
    await bench.end();
    expect(bench.running).toEqual(['entries b']);
    expect(state.isDone).toBe(false);
    await bench.end();
    expect(state.isDone).toBe(true);
    expect(bench.clock.waiting).toBe(0);
  });

  test('ends runs that take longer than the grace time', async () => {
    const bench = new Bench();
    await bench.mark('a');
    const state = stopped(bench);
    await bench.advance(4_999);
    expect(bench.transport.run().isCancelled).toBe(false);
    await bench.advance(1);
    expect(bench.transport.run().isCancelled).toBe(true);
    expect(state.isDone).toBe(false);
    await bench.end({ cancelled: true, exitCode: null });
    expect(state.isDone).toBe(true);
    expect(bench.running).toEqual([]);
    // What was not brought over is still known.
    expect(bench.status()).toMatchObject({ state: 'stopped', pending: 1 });
  });

  test('waits for no remote that is away', async () => {
    const bench = new Bench();
    await bench.mark('a');
    await bench.end(UNREACHABLE);
    const state = stopped(bench);
    await turns();
    expect(state.isDone).toBe(true);
  });

  test('is cut short by a second signal: runs end, and none begins again', async () => {
    const bench = new Bench();
    await bench.mark('a');
    const state = stopped(bench);
    await turns();
    bench.replica.cancelRuns();
    expect(bench.transport.run().isCancelled).toBe(true);
    await bench.end({ cancelled: true, exitCode: null });
    expect(bench.running).toEqual([]);
    expect(state.isDone).toBe(true);
  });

  test('begins no comparison and no question about newer files', async () => {
    const bench = new Bench();
    await bench.mark('d/**', 'a');
    const state = stopped(bench, 1);
    await bench.advance(1);
    const tree = bench.running.indexOf('trees d/**');
    await bench.end({ extraneous: 1 }, tree);
    await bench.end({ unsent: ['a'] });
    expect(bench.running).toEqual([]);
    expect(state.isDone).toBe(true);
    expect(bench.status().pending).toBe(1);
  });

  test('leaves what a resync had not begun', async () => {
    const bench = new Bench();
    void bench.replica.resync({ reason: '-r', crontab: false, isAsked: true });
    await turns();
    const state = stopped(bench);
    await bench.end({ again: [again('divided', 'd', 'subtree')] });
    expect(bench.running).toEqual([]);
    expect(state.isDone).toBe(true);
  });
});

const PIECES = [again('divided', ROOT, 'listing'), again('divided', 'd', 'subtree'), again('divided', 'e', 'subtree')];

const namesIn = (directory: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${directory}/${index}`);

/** Divides the tree, and has a comparison find what `extras` says of a directory. */
function answering(extras: Record<string, readonly string[]> = {}): (task: TransferTask) => Partial<RunReport> {
  const found = ({ looks }: { looks: readonly { path: string }[] }): string[] =>
    looks.flatMap(({ path }) => extras[path] ?? []);
  return (task) => {
    if (task.kind === 'divide') return { again: PIECES };
    if (task.kind === 'trees') return { extraneous: found(task).length };
    if (task.kind === 'extras') return { extras: found(task), extraneous: found(task).length };
    return {};
  };
}

describe('after a crash', () => {
  // Names, and directories that were in flight, may have been renamed while a run looked: they are compared by content.
  test.each<{ why: string; before: (bench: Bench) => Promise<void>; seen: string[] }>([
    { why: 'what was in flight', before: (bench) => bench.mark('a', '-b'), seen: ['entries ->b >a'] },
    {
      why: 'what waited for a run in flight',
      before: async (bench) => {
        await bench.mark('a');
        await bench.mark('b', 'd/e');
      },
      seen: ['entries >b >d/e', 'entries >a', 'sweep a'],
    },
    {
      why: 'what was marked during its own run',
      before: async (bench) => {
        await bench.mark('a');
        await bench.mark('a');
        await bench.journal.flush();
        await bench.end();
      },
      seen: ['entries >a'],
    },
    {
      why: 'what the remote did not take because it was away',
      before: async (bench) => {
        await bench.mark('a', '-b');
        await bench.end(UNREACHABLE);
      },
      seen: ['entries ->b >a'],
    },
    {
      why: 'what had failed',
      before: async (bench) => {
        await bench.mark('a', 'bad');
        await bench.journal.flush();
        await bench.end(lost('bad'));
      },
      seen: ['entries >bad'],
    },
    {
      why: 'a large file that was handed back',
      before: async (bench) => {
        await bench.mark('a', 'big');
        await bench.end({ again: [again('large', 'big')] });
      },
      seen: ['entries >big'],
    },
    {
      why: 'a name that was gone and waited behind its directory',
      before: async (bench) => {
        await bench.mark('d/**');
        await bench.mark('-d');
      },
      seen: ['trees ->d/**'],
    },
    {
      why: 'a directory whose comparison was under way',
      before: async (bench) => {
        await bench.mark('d/**');
        await bench.end({ extraneous: 1 });
      },
      seen: ['trees >d/**'],
    },
    {
      why: 'what was found and not judged',
      before: async (bench) => {
        await bench.mark('./');
        await bench.mark('d/**');
        await bench.end({ extraneous: 1 });
        await bench.end({ extras: ['x'] });
        await bench.end();
      },
      seen: ['entries >x'],
    },
    {
      why: 'what was judged and not deleted',
      before: (bench) => bench.find('d/**', ['d/x']),
      seen: ['entries >d/x'],
    },
    {
      why: 'what a run that was ended has left of a file that waits again',
      before: async (bench) => {
        await bench.mark('a');
        await bench.end({ ...UNREACHABLE, cutOff: ['a'] });
      },
      seen: ['entries >a', 'sweep a'],
    },
    {
      why: 'what could not be read and so was not compared',
      before: async (bench) => {
        await bench.mark('d/**');
        await bench.end({ ...lost('d/secret'), unreadable: true });
      },
      seen: ['trees d/**'],
    },
  ])('$why is looked at', async ({ before, seen }) => {
    const bench = new Bench();
    await before(bench);
    const next = await bench.crash();
    const runs = await next.drain();
    expect(runs).toEqual(expect.arrayContaining(seen));
    next.expectInSync();
  });

  test('what was settled is not looked at again', async () => {
    const bench = new Bench();
    await bench.mark('a', 'd/**');
    await bench.journal.flush();
    await bench.drain();
    const next = await bench.crash();
    expect(next.running).toEqual([]);
    expect(next.replica.unknownBecause).toBeUndefined();
    expect(bench.journal.marksOf('remote')).toEqual([]);
  });

  test('a change is as old as it was', async () => {
    const bench = new Bench();
    await bench.mark('a');
    const since = bench.clock.now();
    await bench.advance(5_000);
    const next = await bench.crash();
    expect(next.transport.run().task).toMatchObject({ looks: [{ path: 'a', since }] });
  });

  test('what waits for the source waits, and goes when that is what it was', async () => {
    const bench = new Bench();
    await bench.mark('-a');
    await bench.end({ held: { reason: 'the watched directory is empty', paths: ['a'] }, command: [] });
    const next = await bench.crash();
    expect(next.running).toEqual([]);
    expect(next.replica.waitsForSource).toBe(true);
    next.replica.sourceIsBack();
    await turns();
    expect(next.running).toEqual(['entries -a']);
  });

  test('what is held is held', async () => {
    const bench = new Bench();
    bench.sourceNames = 0;
    await bench.find('d/**', namesIn('d', 101));
    const next = await bench.crash();
    expect(next.running).toEqual([]);
    expect(next.replica.held()).toEqual(bench.replica.held());
  });

  test('a directory that stands for very many names is not taken for one', async () => {
    const bench = new Bench();
    await bench.mark('./');
    await bench.mark('e/**');
    await bench.end({ extraneous: 1 });
    await bench.end({ extras: ['big'], extraneous: 10_000 });
    const next = await bench.crash();
    await next.drain((task) => {
      if (task.kind === 'trees') return { extraneous: 1 };
      return task.kind === 'extras' ? { extras: ['big'], extraneous: 10_000 } : {};
    });
    expect(next.heldNames()).toEqual(['big']);
  });
});

describe('the journal', () => {
  test.each([1, 2, 3, 4, 5, 6, 7, 8])('holds at any moment what is not done (seed %i)', async (seed) => {
    const random = new Random(seed);
    const bench = new Bench({ resyncTreesPerRun: 2, entriesPerRun: 3 });
    const marks = ['a', '-a', 'd', '-d', 'd/', 'd/**', '-d/**', 'd/x', '-d/x', '!d/big', 'e/**', 'e/f/', './', './**'];
    const paths = ['a', 'd', 'd/x', 'd/y', 'e', 'e/f'];
    const ends: (() => Partial<RunReport>)[] = [
      () => ({}),
      () => UNREACHABLE,
      () => REFUSED,
      () => ({ ...UNREACHABLE, cutOff: [random.pick(paths)] }),
      () => lost(random.pick(paths)),
      () => ({ ...lost(random.pick(paths)), unreadable: true }),
      () => ({ extraneous: 1 }),
      () => ({ extraneous: 1, extras: [random.pick(paths)] }),
      () => ({ held: { reason: 'empty', paths: [random.pick(paths)] } }),
      () => ({ again: [again('reappeared', random.pick(paths), 'subtree', true)] }),
      () => ({ again: [again('retyped', random.pick(paths))] }),
    ];
    const steps: (() => Promise<void>)[] = [
      () => bench.mark(random.pick(marks), random.pick(marks)),
      () => bench.advance(random.below(3_000)),
      () => bench.resync(random.pick([ASKED, CRONTAB, NOT_ASKED])),
      async () => {
        bench.replica.release();
        await turns();
      },
      async () => {
        bench.replica.sourceIsBack();
        await turns();
      },
    ];
    const kept = (marks: Iterable<JournalMark>): string[] =>
      [...marks].map(({ path, kind, scope, gone }) => `${kind} ${gone ? '-' : ''}${path} ${scope}`).sort();
    let ended = 0;
    for (let step = 0; step < 400; step++) {
      if (bench.running.length > 0 && random.chance(0.6)) {
        const { task } = bench.transport.run();
        ended++;
        await bench.end(task.kind === 'divide' ? { again: PIECES } : random.pick(ends)());
      } else await random.pick(steps)();
      await bench.journal.flush();
      const told = kept(bench.journal.marksOf('remote'));
      expect(told, `seed ${seed}, step ${step}`).toEqual(kept(bench.replica.image()));
    }
    expect(ended).toBeGreaterThan(50);
  });
});

describe('a remote of which nothing is known', () => {
  test('is one at the first start, and one whose configuration has changed', async () => {
    const first = new Bench({}, new MemoryJournal());
    expect(first.replica.unknownBecause).toContain('first start');
    const known = new Bench();
    expect(known.replica.unknownBecause).toBeUndefined();
    expect((await known.crash({ fingerprint: 'other' })).replica.unknownBecause).toBe('the configuration has changed');
  });

  test('stays so until all of it is marked, whatever crashes before', async () => {
    const first = new Bench({}, new MemoryJournal());
    await first.mark('a');
    const second = await first.crash();
    expect(second.replica.unknownBecause).toContain('first start');
    await second.resync(NOT_ASKED);
    const third = await second.crash();
    expect(third.replica.unknownBecause).toBeUndefined();
    expect(third.running).toContain('divide');
  });

  test('and changed twice without a resync in between is not known', async () => {
    const known = new Bench();
    const changed = await known.crash({ fingerprint: 'other' });
    const back = await changed.crash({ fingerprint: 'same' });
    expect(back.replica.unknownBecause).toBeDefined();
  });

  test('is only copied to by what repairs it, and that is told once', async () => {
    const bench = new Bench({}, new MemoryJournal());
    await bench.mark('d/**');
    await bench.end({ extraneous: 3 });
    await bench.mark('e/**');
    await bench.end({ extraneous: 3 });
    expect(bench.running).toEqual([]);
    expect(bench.told).toEqual(['deletes:copyOnly']);
  });

  test('loses nothing by a resync that nobody asked for, nor by what follows it', async () => {
    const bench = new Bench({}, new MemoryJournal());
    await bench.resync(NOT_ASKED);
    const runs = await bench.drain(answering({ d: ['d/x'] }));
    expect(runs.filter((run) => run.startsWith('extras'))).toEqual([]);
    expect(bench.status().mayDelete).toBe(false);
    const next = await bench.crash();
    await next.mark('d/**');
    await next.end({ extraneous: 1 });
    expect(next.running).toEqual([]);
  });

  test('loses what was seen to go', async () => {
    const bench = new Bench({}, new MemoryJournal());
    await bench.mark('-a');
    expect(await bench.drain()).toEqual(['entries -a']);
    await bench.mark('-d/**');
    await bench.end({ extraneous: 1 });
    expect(bench.running).toEqual(['extras -d/**']);
    await bench.end({ extras: ['d/x'] });
    expect(bench.running).toEqual(['entries -d/x']);
  });

  test('loses what was seen to go also when all that is around it is looked at before it has gone', async () => {
    const bench = new Bench({}, new MemoryJournal());
    await bench.mark('other', '-d/**');
    // The lane of names is taken, so that the deletion waits.
    await bench.end({ extraneous: 1 }, 1);
    await bench.end({ extras: ['d/x'] }, 1);
    await bench.mark('d/**');
    const runs = await bench.drain(answering({ d: ['d/x'] }));
    expect(runs).toContain('entries -d/x');
  });

  test.each([ASKED, CRONTAB])('may lose what it has alone after $reason', async (request) => {
    const bench = new Bench({}, new MemoryJournal());
    await bench.resync(request);
    const runs = await bench.drain(answering({ d: ['d/x'] }));
    expect(runs.at(-1)).toBe('entries d/x');
    expect(bench.status().mayDelete).toBe(true);
    const next = await bench.crash();
    await next.find('d/**', ['d/y']);
    expect(next.running).toEqual(['entries d/y']);
  });

  test('may not before that resync has been through', async () => {
    const bench = new Bench({ lanes: 2, resyncTreesPerRun: 1 }, new MemoryJournal());
    await bench.resync(ASKED);
    await bench.end({ again: PIECES });
    const next = await bench.crash();
    expect(next.status().mayDelete).toBe(false);
    const runs = await next.drain(answering({ d: ['d/x'] }));
    expect(runs.at(-1)).toBe('entries d/x');
    expect(next.status().mayDelete).toBe(true);
    expect(next.told.at(-1)).toBe('resync:finished');
  });

  test('may not when that resync has found too much, before a person has released it', async () => {
    const bench = new Bench({}, new MemoryJournal());
    await bench.resync(ASKED);
    await bench.drain(answering({ d: namesIn('d', 101) }));
    expect(bench.status()).toMatchObject({ mayDelete: false, held: 101 });
    expect(bench.replica.release()).toBe(101);
    expect(bench.status().mayDelete).toBe(true);
  });

  test('may not when the source was not what it was', async () => {
    const bench = new Bench({}, new MemoryJournal());
    await bench.resync(ASKED);
    const answer = answering({ d: ['d/x'] });
    await bench.drain((task) =>
      task.kind === 'extras' ? { extras: ['d/x'], held: { reason: 'replaced', paths: ['d/x'] } } : answer(task),
    );
    expect(bench.status()).toMatchObject({ mayDelete: false, held: expect.any(Number) as number });
    expect(bench.replica.waitsForSource).toBe(true);
  });

  test('may not because a person has released what was only not read', async () => {
    const bench = new Bench({}, new MemoryJournal());
    await bench.mark('d/**');
    await bench.end({ ...lost('d/secret'), unreadable: true });
    expect(bench.replica.held().names).toEqual([]);
    bench.replica.release();
    expect(bench.status().mayDelete).toBe(false);
  });
});

describe('a comparison that goes wrong in part', () => {
  const PART: Partial<RunReport> = { exitCode: 23, messages: ['something went wrong'] };

  test('and names nothing has found nothing: all of it is looked at again', async () => {
    const bench = new Bench();
    await bench.mark('-d/**', 'e/**');
    await bench.end({ extraneous: 1 });
    expect(bench.running).toEqual(['extras -d/**']);
    await bench.end(PART);
    const drained = await bench.drain((task) => ({
      extraneous: 1,
      ...(describeTask(task) === 'extras -d/**' ? { extras: ['d/old'] } : {}),
    }));
    expect(drained).toContain('entries -d/old');
    expect(drained).toContain('trees e/**');
    bench.expectInSync();
  });

  test('and says where has found the others, and is made again there', async () => {
    const bench = new Bench();
    await bench.mark('-d/**', '-e/**');
    await bench.end({ extraneous: 1 });
    await bench.end({ ...lost('e'), extras: ['d/old'], extraneous: 1 });
    expect(bench.running).toEqual(['entries -d/old']);
    await bench.end();
    await bench.advance(60_000);
    expect(bench.running).toEqual(['trees -e/**']);
    await bench.end();
    bench.expectInSync();
  });

  test('after a run that did not send all, takes nothing back of that', async () => {
    const bench = new Bench();
    await bench.mark('-d/**', '-e/**');
    await bench.end({ ...lost('d'), extraneous: 1 });
    await bench.end(lost('e'));
    await bench.advance(60_000);
    expect(bench.running).toEqual(['trees -d/** -e/**']);
  });
});

describe('too many deletions', () => {
  test('are held, told, and go by name when a person releases them', async () => {
    const bench = new Bench();
    bench.sourceNames = 100;
    await bench.find('d/**', namesIn('d', 101));
    expect(bench.running).toEqual([]);
    expect(bench.told).toEqual(['deletes:held']);
    expect(bench.details.at(-1)).toMatchObject({ count: 101, reason: expect.stringContaining('101 of 201') as string });
    expect(bench.status()).toMatchObject({ held: 101, heldReasons: [expect.any(String)] });
    expect(bench.replica.release()).toBe(101);
    await turns();
    expect(bench.transport.run().task).toMatchObject({ kind: 'entries', looks: { length: 101 } });
    await bench.drain();
    bench.expectInSync();
    expect(bench.status().held).toBe(0);
  });

  test('are not half of what the remote holds, nor a hundred', async () => {
    const half = new Bench();
    half.sourceNames = 101;
    await half.find('d/**', namesIn('d', 101));
    expect(half.status().held).toBe(0);
    const hundred = new Bench();
    hundred.sourceNames = 0;
    await hundred.find('d/**', namesIn('d', 100));
    expect(hundred.status().held).toBe(0);
  });

  test('hold up no writes', async () => {
    const bench = new Bench();
    bench.sourceNames = 0;
    await bench.find('d/**', namesIn('d', 101));
    await bench.mark('d/new');
    expect(bench.running).toEqual(['entries d/new']);
  });

  test('are none where the deletion was seen, however many', async () => {
    const bench = new Bench();
    bench.sourceNames = 0;
    await bench.find('-d/**', namesIn('d', 500));
    expect(bench.transport.run().task).toMatchObject({ kind: 'entries', looks: { length: 500 } });
    expect(bench.status().held).toBe(0);
  });

  test('are counted with all that is below the names, also where other deletions were seen', async () => {
    const bench = new Bench();
    await bench.mark('-d/**', 'e/**');
    await bench.end({ extraneous: 10_001 });
    await bench.end({ extras: ['d/x'], extraneous: 1 });
    await bench.end({ extras: ['e/big'], extraneous: 10_000 });
    expect(bench.running).toEqual(['entries -d/x']);
    expect(bench.heldNames()).toEqual(['e/big']);
  });

  test('stay held no longer when the names have come back', async () => {
    const bench = new Bench();
    bench.sourceNames = 0;
    await bench.find('d/**', namesIn('d', 101));
    await bench.mark('d/7');
    expect(bench.heldNames()).not.toContain('d/7');
    expect(bench.status().held).toBe(100);
  });

  test('are found anew by a full resync, and left held by the crontab', async () => {
    const bench = new Bench();
    bench.sourceNames = 0;
    await bench.find('d/**', namesIn('d', 101));
    await bench.resync(CRONTAB);
    expect(bench.status().held).toBe(101);
    await bench.drain(answering());
    await bench.resync(ASKED);
    expect(bench.status().held).toBe(0);
    await bench.drain(answering({ e: namesIn('e', 101) }));
    expect(bench.heldNames()[0]).toBe('e/0');
  });

  test('are not let through piece by piece while one repair goes on', async () => {
    const bench = new Bench();
    bench.sourceNames = 1_000;
    let sent = 0;
    await bench.mark('p0/**');
    for (let piece = 0; piece < 6;) {
      const { task } = bench.transport.run();
      if (task.kind === 'trees') await bench.end({ extraneous: 500 });
      else if (task.kind === 'extras') {
        // The repair goes on: something waits to be compared.
        await bench.mark(`p${++piece}/**`);
        await bench.end({ extras: namesIn(task.looks[0]?.path ?? '', 500), extraneous: 500 });
        await bench.advance(10_000);
      } else if (task.kind === 'entries') {
        sent += task.looks.length;
        await bench.end();
      }
    }
    expect(bench.running).not.toEqual([]);
    expect(sent).toBeLessThanOrEqual(1_000);
  });
});

describe('what was found to be extra', () => {
  test('is judged when all of a repair has been compared', async () => {
    const bench = new Bench({ treesPerRun: 1, lanes: 4 });
    await bench.mark('d/**', 'e/**');
    await bench.end({ extraneous: 1 });
    await bench.end({ extras: ['d/x'] });
    expect(bench.running).toEqual(['trees e/**']);
    await bench.end();
    expect(bench.running).toEqual(['entries d/x']);
  });

  test('is judged after a while at the latest, for a busy tree is never done', async () => {
    const bench = new Bench({ treesPerRun: 1 });
    await bench.mark('d/**', 'e/**');
    await bench.end({ extraneous: 1 });
    await bench.end({ extras: ['d/x'] });
    await bench.advance(9_999);
    expect(bench.running).toEqual(['trees e/**']);
    await bench.advance(1);
    expect(bench.running).toEqual(['trees e/**', 'entries d/x']);
  });

  test('goes although it is more than can be kept by name', async () => {
    const bench = new Bench({ entriesPerRun: 100_000 });
    bench.sourceNames = 1_000_000;
    const there = new Set(namesIn('d', 50_001));
    await bench.mark('d/**');
    await bench.drain((task) => {
      if (task.kind !== 'entries') return answering({ d: [...there] })(task);
      for (const { path } of task.looks) there.delete(path);
      return {};
    });
    expect(there.size).toBe(0);
  });

  test('by an interrupted resync is judged by what the source holds, not by what was compared after it', async () => {
    const bench = new Bench({ resyncTreesPerRun: 1, lanes: 2 });
    await bench.resync(ASKED);
    const answer = answering({ d: namesIn('d', 200) });
    await bench.end({ again: PIECES });
    for (let isFound = false; !isFound;) {
      const { task } = bench.transport.run();
      isFound = task.kind === 'extras';
      await bench.end({ ...answer(task), names: 400 });
    }
    const next = await bench.crash();
    await next.drain();
    expect(next.told).not.toContain('deletes:held');
  });

  test('in a directory that changes while -r looks at it is found after a crash, too', async () => {
    const bench = new Bench({ lanes: 2, resyncTreesPerRun: 1 }, new MemoryJournal());
    await bench.resync(ASKED);
    await bench.end({ again: PIECES });
    await bench.mark('d/**');
    const next = await bench.crash();
    const runs = await next.drain(answering({ d: ['d/x'] }));
    expect(runs).toContain('entries d/x');
  });
});

describe('what a person has released', () => {
  test('is what was held, and nothing that is found elsewhere at the time', async () => {
    const bench = new Bench({ treesPerRun: 1 });
    bench.sourceNames = 0;
    await bench.mark('./');
    await bench.end({ extraneous: 1 });
    await bench.end({ extras: ['x'], held: { reason: 'the watched directory is empty', paths: ['x'] } });
    bench.replica.release();
    await bench.mark('e/**');
    await bench.drain(answering({ [ROOT]: ['x'], e: namesIn('e', 500) }));
    expect(bench.heldNames()).toHaveLength(500);
  });

  test('while a full resync runs goes at once, and what that finds is judged for itself', async () => {
    const bench = new Bench({ resyncTreesPerRun: 1 });
    bench.sourceNames = 0;
    await bench.find('d/**', namesIn('d', 101));
    await bench.resync(CRONTAB);
    bench.replica.release();
    await turns();
    expect(bench.running.some((run) => run.startsWith('entries d/0'))).toBe(true);
    await bench.drain(answering({ e: namesIn('e', 101) }));
    expect(bench.heldNames()).toHaveLength(101);
    expect(bench.heldNames()[0]).toBe('e/0');
  });

  test('is nothing when nothing is held', () => {
    const bench = new Bench({}, new MemoryJournal());
    expect(bench.replica.release()).toBe(0);
    expect(bench.status().mayDelete).toBe(false);
  });
});

describe('what is extra while comparing may only copy', () => {
  test('is compared again once a release has said that it may delete, also after a crash', async () => {
    const first = new Bench({}, new MemoryJournal());
    await first.resync(ASKED);
    first.sourceNames = 0;
    await first.drain(answering({ d: Array.from({ length: 101 }, (_, index) => `d/${index}`) }));
    expect(first.status()).toMatchObject({ held: 101, mayDelete: false });
    await first.mark('e/**');
    await first.end({ extraneous: 1 });
    expect(first.told).toContain('deletes:copyOnly');
    expect(first.replica.stateOf('e')).toBe('there');
    const bench = await first.crash();
    expect(bench.running).toEqual([]);
    bench.replica.release();
    await turns();
    expect(bench.running).toContain('trees e/**');
  });
});

describe('what could not be read', () => {
  test('is compared again when nothing fails any more, and until then nothing is deleted there', async () => {
    const bench = new Bench();
    await bench.mark('d/**');
    await bench.end({ ...lost('d/secret'), unreadable: true, extraneous: 7 });
    expect(bench.running).toEqual([]);
    expect(bench.status().heldReasons).toHaveLength(1);
    await bench.advance(1_000);
    await bench.end({ again: [again('retyped', 'd/secret')] });
    await bench.end();
    expect(bench.running).toEqual(['trees d/**']);
    await bench.end({ extraneous: 1 });
    await bench.end({ extras: ['d/x'] });
    expect(bench.running).toEqual(['entries d/x']);
  });

  test('because it changed meanwhile is compared again by itself, ever more rarely', async () => {
    const bench = new Bench();
    await bench.mark('d/**');
    const moved = { exitCode: 23, complaints: [complaint('vanished', 'd/x')], unreadable: true };
    const pauses: number[] = [];
    for (let attempt = 0; attempt < 3; attempt++) {
      await bench.end(moved);
      await bench.end();
      const heldAt = bench.clock.now();
      while (bench.running.length === 0) await bench.advance(500);
      expect(bench.running).toEqual(['trees d/**']);
      pauses.push(bench.clock.now() - heldAt);
    }
    expect(pauses[0]).toBeLessThanOrEqual(5_000);
    expect(pauses[2]).toBeGreaterThan(pauses[0]!);
    await bench.end({ extraneous: 1 });
    await bench.end({ extras: ['d/y'] });
    expect(bench.running).toEqual(['entries d/y']);
  });

  test('in the comparison itself deletes nothing either', async () => {
    const bench = new Bench();
    await bench.mark('bad');
    await bench.end(lost('bad'));
    await bench.mark('d/**');
    await bench.end({ extraneous: 1 });
    await bench.end({ extras: ['d/x'], unreadable: true });
    expect(bench.running).toEqual([]);
    expect(bench.told).toContain('deletes:held');
    expect(bench.told).not.toContain('extras:found');
  });

  test('for no reason that can be named is not compared in a loop', async () => {
    const bench = new Bench();
    await bench.mark('d/**');
    for (let run = 0; run < 20 && bench.running.length > 0; run++) {
      await bench.end({ exitCode: 23, complaints: [complaint('cosmetic', 'd/x')], unreadable: true });
    }
    expect(bench.transport.begun).toBeLessThan(5);
  });
});

describe('a resync that is asked for while another runs', () => {
  test('may delete, although the one that runs may not', async () => {
    const bench = new Bench({}, new MemoryJournal());
    await bench.resync(NOT_ASKED);
    await bench.resync(ASKED);
    const runs = await bench.drain(answering({ d: ['d/x'] }));
    expect(runs.filter((run) => run === 'divide')).toHaveLength(2);
    expect(runs).toContain('entries d/x');
    expect(bench.status().mayDelete).toBe(true);
  });

  test('may delete although it joins one that waits and may not', async () => {
    const bench = new Bench({}, new MemoryJournal());
    await bench.resync(NOT_ASKED);
    await bench.resync(NOT_ASKED);
    await bench.resync(CRONTAB);
    await bench.drain(answering({ d: ['d/x'] }));
    expect(bench.status().mayDelete).toBe(true);
    expect(bench.details.filter(({ reason }) => reason === 'crontab').length).toBeGreaterThan(0);
  });

  test('is not forgotten in a crash', async () => {
    const bench = new Bench({ resyncTreesPerRun: 1 });
    await bench.resync(CRONTAB);
    await bench.end({ again: PIECES });
    await bench.resync(ASKED);
    const next = await bench.crash();
    const runs = await next.drain(answering());
    expect(runs).toContain('divide');
  });
});

describe('a full resync that was interrupted', () => {
  test('goes on with what is left, and is through then', async () => {
    const bench = new Bench({ lanes: 2, resyncTreesPerRun: 1 });
    await bench.resync(ASKED);
    await bench.end({ again: PIECES });
    const [done] = bench.running;
    await bench.end();
    const next = await bench.crash();
    const runs = await next.drain();
    expect(runs).not.toContain('divide');
    expect(runs).not.toContain(done);
    expect(next.told).toEqual(['resync:started', 'resync:finished']);
    next.expectInSync();
  });

  test('before it was divided is divided then', async () => {
    const bench = new Bench();
    await bench.resync(CRONTAB);
    const next = await bench.crash();
    expect(next.transport.run().task).toMatchObject({ kind: 'divide', crontab: true });
  });

  test('after its last run is through at once', async () => {
    const bench = new Bench({}, new MemoryJournal());
    await bench.resync(ASKED);
    // The last piece is settled, and the facts were written before.
    await bench.end({ again: [again('divided', 'd', 'subtree')] });
    await bench.journal.flush();
    const finished = bench.end();
    const next = await bench.crash();
    await finished;
    await next.drain();
    expect(next.told.at(-1)).toBe('resync:finished');
    expect(next.status().mayDelete).toBe(true);
  });
});

describe('a file that has more than one name', () => {
  test('is told, for its other names have changed with it', async () => {
    const bench = new Bench();
    await bench.mark('a');
    await bench.end({ linked: [7] });
    expect(bench.told).toEqual(['linked']);
  });
});

describe('whether a change is on the remote', () => {
  test('is owed from its mark on until its run is settled', async () => {
    const bench = new Bench();
    expect(bench.replica.stateOf('a')).toBe('there');
    bench.replica.mark(bench.dirty('a'));
    expect(bench.replica.stateOf('a')).toBe('owed');
    await turns();
    expect(bench.replica.stateOf('a')).toBe('owed');
    expect(bench.replica.stateOf('b')).toBe('there');
    await bench.end();
    expect(bench.replica.stateOf('a')).toBe('there');
    expect(bench.landings).toMatchObject([{ remote: 'ip::backup', isWell: true, looks: [{ path: 'a' }] }]);
  });

  test('is told for what a directory that is looked at as a whole stands for', async () => {
    const bench = new Bench();
    await bench.mark('d/**', 'e/');
    expect(['d', 'd/x/y', 'e/x', 'e/x/y', 'f'].map((path) => bench.replica.stateOf(path))).toEqual([
      'owed',
      'owed',
      'owed',
      'there',
      'there',
    ]);
  });

  test('is stuck while the remote cannot be had, and while the name fails by itself', async () => {
    const bench = new Bench();
    await bench.mark('a');
    await bench.end(UNREACHABLE);
    expect(bench.replica.stateOf('a')).toBe('stuck');
    expect(bench.landings.at(-1)?.isWell).toBe(false);
    await bench.advance(60_000);
    await bench.end({ exitCode: 23, complaints: [complaint('lost', 'a')] });
    expect(bench.replica.stateOf('a')).toBe('stuck');
    await bench.advance(60_000);
    await bench.end();
    expect(bench.replica.stateOf('a')).toBe('there');
  });

  test('does not depend on a full resync, whose names are not told as changes', async () => {
    const bench = new Bench();
    await bench.resync(ASKED);
    await bench.end({ again: [{ path: 'd', scope: 'subtree', gone: false, because: 'divided' }] });
    expect(bench.running).toEqual(['trees d/**']);
    expect(bench.replica.stateOf('d/a')).toBe('there');
    await bench.end({ changed: ['d/a'], unnamed: 3 });
    expect(bench.landings.map(({ changed, unnamed }) => [changed, unnamed])).toEqual([
      [[], 0],
      [[], 0],
    ]);
  });

  test('is told by name for directories, and for what a comparison finds to be removed', async () => {
    const bench = new Bench();
    await bench.mark('d/**');
    await bench.end({ changed: ['d/a'], extraneous: 1 });
    await bench.end({ extras: ['d/old'], extraneous: 1 });
    expect(bench.landings[0]?.changed).toEqual(['d/a']);
    expect(bench.removing).toEqual(['d/old']);
    expect(bench.replica.stateOf('d/old')).toBe('owed');
  });
});

describe('a directory that the remote is known to have', () => {
  test('is told to the next run for what is in it', async () => {
    const bench = new Bench();
    await bench.mark('a/b/x');
    expect(bench.transport.run().task).not.toHaveProperty('known');
    await bench.end({ filesSent: 1 });
    await bench.mark('a/b/y');
    expect(bench.transport.run().task).toMatchObject({ kind: 'entries', known: 'a/b' });
  });

  test('is not, where the run before sent nothing, failed, or looked at the directory itself', async () => {
    const bench = new Bench();
    for (const [path, report, known] of [
      ['a/b/x', {}, undefined],
      ['a/b/x', { filesSent: 1, exitCode: 23 }, undefined],
      ['a/b', { filesSent: 1 }, 'a'],
    ] as const) {
      await bench.mark(path);
      await bench.end(report);
      await bench.mark('a/b/y');
      const { task } = bench.transport.run();
      expect([task.kind, 'known' in task ? task.known : undefined]).toEqual(['entries', known]);
      await bench.end();
    }
  });

  test('is not after a look at all of it', async () => {
    const bench = new Bench();
    await bench.mark('a/b/x');
    await bench.end({ filesSent: 1 });
    await bench.mark('a/b/**');
    await bench.end({ filesSent: 1 });
    await bench.mark('a/b/y');
    expect(bench.transport.run().task).not.toHaveProperty('known');
  });
});

test('what has just left the flight is told to have landed: nobody can ask in between', async () => {
  const bench = new Bench();
  await bench.mark('a');
  void bench.transport.run().end();
  while (bench.replica.isInFlight('a')) await Promise.resolve();
  expect(bench.landings.map(({ looks }) => looks.map(({ path }) => path))).toEqual([['a']]);
});

describe('a name that a slower run may have sent with its directory, as it was before,', () => {
  const slowAndQuick = async (...names: string[]): Promise<Bench> => {
    const bench = new Bench();
    await bench.mark('d/a');
    await bench.advance(NEXT_LANE_MS);
    await bench.mark(...names);
    return bench;
  };

  test('is sent once more, by its content, however the slower run has ended', async () => {
    for (const ending of [{}, UNREACHABLE, REJECTED]) {
      const bench = await slowAndQuick('d/x', '-d/y', 'e/z');
      await bench.end({}, 1);
      await bench.end({ ...ending, unquiet: ['d'] });
      await bench.advance(60_000);
      const sent = (await bench.drain()).join(' ');
      for (const name of ['>d/x', '->d/y']) expect(sent).toContain(name);
      expect(sent).not.toContain('e/z');
      bench.expectInSync();
    }
  });

  test('is so, too, when several are slower, and one that has not sent it ends first', async () => {
    const bench = await slowAndQuick('d/b');
    await bench.advance(NEXT_LANE_MS);
    await bench.mark('d/x');
    expect(bench.running).toEqual(['entries d/a', 'entries d/b', 'entries d/x']);
    await bench.end({}, 2);
    await bench.end();
    await bench.end({ unquiet: ['d'] });
    // The first of them, too, was quicker than the second.
    expect(bench.running).toEqual(['entries >d/a >d/x']);
    await bench.end();
    bench.expectInSync();
  });

  test('is so, too, when its own run ends last, or looks at all of it', async () => {
    for (const own of ['d/x', 'd/x/**']) {
      const bench = await slowAndQuick(own);
      await bench.end({ unquiet: ['d'] });
      await bench.end();
      expect(bench.running).toEqual(['entries >d/x']);
      await bench.end();
      bench.expectInSync();
    }
  });

  test('is not forgotten when the service is killed between its own run and the end of that one', async () => {
    const bench = new Bench();
    await bench.mark('d/a');
    await bench.advance(NEXT_LANE_MS);
    await bench.mark('d/x', '-d/y', 'e/z');
    expect(bench.running).toEqual(['entries d/a', 'entries -d/y d/x e/z']);
    await bench.end({}, 1);
    const next = await bench.crash();
    expect(next.running).toEqual(['entries ->d/y >d/x', 'entries >d/a']);
  });

  test('is forgotten when that one has ended without it', async () => {
    const bench = new Bench();
    await bench.mark('d/a');
    await bench.advance(NEXT_LANE_MS);
    await bench.mark('d/x');
    await bench.end({}, 1);
    await bench.end();
    bench.expectInSync();
    expect((await bench.crash()).running).toEqual([]);
  });

  test('may be on the remote as it was, where nobody knows how that one has ended', async () => {
    const bench = new Bench();
    await bench.mark('d/a');
    await bench.advance(NEXT_LANE_MS);
    await bench.mark('d/x');
    await bench.end({}, 1);
    await bench.transport.run().break(new Error('the thread ended'));
    await bench.advance(60_000);
    expect(bench.running).toEqual(['entries >d/x d/a']);
  });
});

describe('names by the thousand', () => {
  const NAMES = Array.from({ length: 3_500 }, (_, index) => `d/${index}`);

  /** One piece in each turn of the event loop. */
  async function markSlowly(limits: BenchOptions = {}): Promise<Bench> {
    const bench = new Bench(limits);
    // A turn that has begun by another clock is over.
    await nextTurn();
    let now = performance.now();
    const slow = vi.spyOn(performance, 'now').mockImplementation(() => (now += 10));
    onTestFinished(() => {
      slow.mockRestore();
    });
    for (const name of NAMES) bench.replica.mark(bench.dirty(name));
    while (bench.status().inFlight === 0) await nextTurn();
    return bench;
  }

  test('are taken in pieces, and go in one run with what came meanwhile', async () => {
    const bench = await markSlowly();
    expect(bench.status()).toMatchObject({ inFlight: 1_000, pending: 2_500 });
    expect(bench.running).toEqual([]);
    await bench.mark('d/new');
    while (bench.running.length === 0) await nextTurn();
    expect(bench.transport.run().task).toMatchObject({ looks: { length: 3_501 } });
    void bench.end();
    while (bench.landings.length === 0) await nextTurn();
    const told = (): string[] => bench.landings.flatMap(({ looks }) => looks.map(({ path }) => path));
    const { inFlight } = bench.status();
    expect(inFlight).toBeGreaterThan(0);
    expect(told()).toHaveLength(3_501 - inFlight);
    while (bench.status().inFlight > 0) await nextTurn();
    expect(told().sort()).toEqual([...NAMES, 'd/new'].sort());
    await turns();
    bench.expectInSync();
  });

  test('are no more than one run may take', async () => {
    const bench = await markSlowly({ entriesPerRun: 1_500 });
    while (bench.running.length === 0) await nextTurn();
    expect(bench.transport.run().task).toMatchObject({ looks: { length: 1_500 } });
  });

  test('stay marked when the remote is stopped before they are taken', async () => {
    const bench = await markSlowly();
    bench.replica.cancelRuns();
    while (bench.status().inFlight > 0) await nextTurn();
    expect(bench.running).toEqual([]);
    expect(bench.status()).toMatchObject({ pending: 3_500 });
  });
});
