import { describe, expect, test } from 'vitest';
import type { DirtyPath } from '../../../src/core/dirty-set.js';
import { Hint } from '../../../src/core/hint.js';
import { ROOT } from '../../../src/core/relative-path.js';
import { createEvents, type EventMap } from '../../../src/events.js';
import { CatchUp } from '../../../src/replicate/catch-up.js';
import { ManualClock } from '../../support/manual-clock.js';
import { turns } from './scripted-transport.js';
import { changed, ScriptedTold, ScriptedWalker } from './scripted-walker.js';

const HOUR_MS = 3_600_000;

/** The kernel's clock is the service's here. */
class Bench {
  readonly clock = new ManualClock();
  readonly walker = new ScriptedWalker();
  readonly marked: DirtyPath[] = [];
  readonly memories: ScriptedTold[] = [];
  readonly finished: EventMap['walk:finished'][0][] = [];
  readonly failed: string[] = [];
  readonly catchUp: CatchUp;
  sinceMs: number | undefined = this.clock.now() - 60_000;
  hasKernelTime = true;

  constructor(auditEveryMs = HOUR_MS) {
    const events = createEvents((error) => {
      throw error;
    });
    events.on('walk:finished', (walk) => this.finished.push(walk));
    events.on('walk:failed', ({ reason }) => this.failed.push(reason));
    this.catchUp = new CatchUp({
      root: '/data',
      walker: this.walker,
      detail: 'folded',
      createTold: () => {
        const memory = new ScriptedTold();
        this.memories.push(memory);
        return memory;
      },
      mark: (dirty) => this.marked.push(dirty),
      sinceMs: () => this.sinceMs,
      kernelNow: () => (this.hasKernelTime ? this.clock.now() : undefined),
      auditEveryMs,
      clock: this.clock,
      events,
    });
  }

  async advance(ms: number): Promise<void> {
    this.clock.advance(ms);
    await turns();
  }

  get walking(): string[] {
    return this.walker.walking.map(({ below }) => below);
  }

  get paths(): string[] {
    return this.marked.map(({ path }) => path);
  }
}

describe('after lost events', () => {
  test('the place is walked from the checkpoint on, and what has changed is marked', async () => {
    const bench = new Bench();
    bench.catchUp.lookFor('d', 'overflow');
    expect(bench.walker.current).toMatchObject({ below: 'd', sinceMs: bench.sinceMs });
    expect(bench.catchUp.isPending).toBe(true);
    expect(bench.catchUp.reason).toBe('overflow');
    const ctimeMs = bench.clock.now() - 500;
    bench.walker.current.find(changed('d/a', ctimeMs), changed('d/e', ctimeMs, 'listing'));
    // Not only when the walk is through: it may take long, or fail.
    expect(bench.marked).toEqual([
      { path: 'd/a', scope: 'entry', gone: false, alone: false, since: ctimeMs },
      // It stands for all in it that has changed since then.
      { path: 'd/e', scope: 'listing', gone: false, alone: false, since: bench.sinceMs },
    ]);
    await bench.walker.current.end({ names: 7 });
    expect(bench.catchUp.isPending).toBe(false);
    expect(bench.finished).toMatchObject([{ path: 'd', reason: 'overflow', names: 7, found: 2, missed: 0 }]);
  });

  test('a time that lies ahead counts as now', async () => {
    const bench = new Bench();
    bench.catchUp.lookFor(ROOT, 'overflow');
    bench.walker.current.find(changed('a', bench.clock.now() + HOUR_MS));
    await bench.walker.current.end();
    expect(bench.marked).toMatchObject([{ since: bench.clock.now() }]);
  });

  test('all of the place is marked when times say nothing', async () => {
    const bench = new Bench();
    bench.sinceMs = undefined;
    bench.catchUp.lookFor('d', 'overflow');
    await turns();
    expect(bench.marked).toMatchObject([{ path: 'd', scope: 'subtree', gone: false }]);
    expect(bench.walking).toEqual([]);
    expect(bench.catchUp.isPending).toBe(false);
  });

  test('one walk at a time; places that wait fold, but not into the walk under way', async () => {
    const bench = new Bench();
    bench.catchUp.lookFor('d', 'first');
    // It may have passed what changed now.
    bench.catchUp.lookFor('d/e', 'second');
    bench.catchUp.lookFor('d/e/f', 'third');
    bench.catchUp.lookFor('d/e', 'fourth');
    const walked: string[] = [];
    while (bench.walking.length > 0) {
      expect(bench.catchUp.isPending).toBe(true);
      walked.push(bench.walker.current.below);
      await bench.walker.current.end();
    }
    expect(walked).toEqual(['d', 'd/e']);
    expect(bench.catchUp.isPending).toBe(false);
  });

  test('very many places are walked as one', async () => {
    const bench = new Bench();
    for (let place = 0; place < 100; place++) bench.catchUp.lookFor(`d${place}`, 'overflow');
    const walked: string[] = [];
    while (bench.walking.length > 0) {
      walked.push(bench.walker.current.below);
      await bench.walker.current.end();
    }
    expect(walked.length).toBeLessThan(20);
    expect(walked).toContain(ROOT);
  });

  test('how many names the source holds is known from a walk of all of it alone', async () => {
    const bench = new Bench();
    bench.catchUp.lookFor('d', 'overflow');
    await bench.walker.current.end({ names: 3 });
    expect(bench.catchUp.names).toBe(0);
    bench.catchUp.lookFor(ROOT, 'overflow');
    await bench.walker.current.end({ names: 40 });
    expect(bench.catchUp.names).toBe(40);
  });
});

describe('a walk that fails', () => {
  test('of the whole tree is told, stays pending, and is tried again', async () => {
    const bench = new Bench();
    bench.catchUp.lookFor(ROOT, 'overflow');
    await bench.walker.current.fail('the root is not there');
    expect(bench.failed).toEqual(['the root is not there']);
    expect(bench.catchUp.isPending).toBe(true);
    expect(bench.catchUp.reason).toBe('overflow');
    await bench.advance(1_999);
    expect(bench.walking).toEqual([]);
    await bench.advance(1);
    expect(bench.walking).toEqual([ROOT]);
    await bench.walker.current.end();
    expect(bench.catchUp.isPending).toBe(false);
    expect(bench.clock.waiting).toBe(0);
  });

  test('of a place that may be gone is not tried again: it is looked at as a whole', async () => {
    const bench = new Bench();
    bench.catchUp.lookFor('d', 'overflow');
    bench.catchUp.lookFor('e', 'overflow');
    await bench.walker.current.fail('d is not there');
    await turns();
    expect(bench.paths).toEqual(['d']);
    expect(bench.walking).toEqual(['e']);
    await bench.walker.current.end();
    expect(bench.catchUp.isPending).toBe(false);
    expect(bench.clock.waiting).toBe(0);
  });
});

describe('while nothing is seen', () => {
  test('no walk begins, and what waits is walked when it is over', async () => {
    const bench = new Bench();
    bench.catchUp.pause();
    bench.catchUp.lookFor(ROOT, 'overflow');
    await turns();
    expect(bench.walking).toEqual([]);
    expect(bench.catchUp.isPending).toBe(true);
    bench.catchUp.resume();
    expect(bench.walking).toEqual([ROOT]);
  });

  test('an audit waits as well', async () => {
    const bench = new Bench();
    bench.catchUp.begin();
    bench.catchUp.pause();
    await bench.advance(2 * HOUR_MS);
    expect(bench.walking).toEqual([]);
    bench.catchUp.resume();
    await turns();
    expect(bench.walking).toEqual([ROOT]);
  });

  test('a walk that was under way and failed is not tried before', async () => {
    const bench = new Bench();
    bench.catchUp.lookFor(ROOT, 'overflow');
    bench.catchUp.pause();
    await bench.walker.current.fail('unmounted');
    await bench.advance(60_000);
    expect(bench.walking).toEqual([]);
    bench.catchUp.resume();
    expect(bench.walking).toEqual([ROOT]);
  });
});

describe('an audit', () => {
  test('marks and counts what has changed and was not told', async () => {
    const bench = new Bench();
    const begunAt = bench.clock.now();
    bench.catchUp.begin();
    bench.catchUp.told('told', Hint.closed);
    await bench.advance(HOUR_MS);
    expect(bench.walker.current).toMatchObject({ below: ROOT, sinceMs: begunAt });
    bench.walker.current.find(changed('told', begunAt + 5), changed('untold', begunAt + 6));
    await bench.walker.current.end({ names: 9, durationMs: 20 });
    expect(bench.paths).toEqual(['untold']);
    expect(bench.catchUp.missed).toBe(1);
    expect(bench.catchUp.lastAudit).toEqual({ at: bench.clock.now(), names: 9, missed: 1, durationMs: 20 });
    expect(bench.catchUp.names).toBe(9);
    expect(bench.finished).toMatchObject([{ reason: 'audit', found: 1, missed: 1 }]);
    expect(bench.catchUp.isPending).toBe(false);
  });

  test('looks at what has changed after it was told, and counts it when that was not soon after', async () => {
    const bench = new Bench();
    bench.catchUp.begin();
    for (const name of ['before', 'soon after', 'long after']) bench.catchUp.told(name, Hint.closed);
    const toldAt = bench.clock.now();
    await bench.advance(HOUR_MS);
    bench.walker.current.find(changed('before', toldAt), changed('soon after', toldAt + 500));
    bench.walker.current.find(changed('long after', toldAt + 5_000));
    await bench.walker.current.end();
    expect(bench.paths).toEqual(['soon after', 'long after']);
    expect(bench.catchUp.missed).toBe(1);
  });

  test('leaves what is too young to be told to the next one, which counts it if it was not', async () => {
    const bench = new Bench();
    bench.catchUp.begin();
    await bench.advance(HOUR_MS);
    const young = bench.clock.now() - 1_000;
    bench.walker.current.find(changed('late', young), changed('never', young));
    bench.catchUp.told('late', Hint.closed);
    await bench.walker.current.end();
    expect(bench.paths).toEqual([]);
    await bench.advance(HOUR_MS);
    expect(bench.walker.current.sinceMs).toBeLessThanOrEqual(young);
    bench.walker.current.find(changed('late', young), changed('never', young));
    await bench.walker.current.end();
    expect(bench.paths).toEqual(['never']);
  });

  test('does not count what was told before the last one and found again', async () => {
    const bench = new Bench();
    bench.catchUp.begin();
    await bench.advance(HOUR_MS - 1_000);
    bench.catchUp.told('a', Hint.closed);
    const changedAt = bench.clock.now();
    await bench.advance(1_000);
    await bench.walker.current.end();
    await bench.advance(HOUR_MS);
    bench.walker.current.find(changed('a', changedAt));
    await bench.walker.current.end();
    expect(bench.catchUp.missed).toBe(0);
  });

  test('counts what was told while it walked as told', async () => {
    const bench = new Bench();
    bench.catchUp.begin();
    const changedAt = bench.clock.now() + HOUR_MS - 2_500;
    await bench.advance(HOUR_MS);
    bench.catchUp.told('a', Hint.closed);
    bench.walker.current.find(changed('a', changedAt));
    await bench.walker.current.end();
    expect(bench.catchUp.missed).toBe(0);
  });

  test('that fails leaves its time to the next one', async () => {
    const bench = new Bench();
    const begunAt = bench.clock.now();
    bench.catchUp.begin();
    await bench.advance(HOUR_MS);
    await bench.walker.current.fail('a worker thread ended');
    await bench.advance(HOUR_MS);
    expect(bench.walker.current.sinceMs).toBeLessThanOrEqual(begunAt);
  });

  test('counts nothing when so much was told that its memory is full', async () => {
    const bench = new Bench();
    bench.catchUp.begin();
    for (const memory of bench.memories) memory.isFull = true;
    const begunAt = bench.clock.now();
    await bench.advance(HOUR_MS);
    bench.walker.current.find(changed('a', begunAt));
    await bench.walker.current.end();
    expect(bench.catchUp.lastAudit).toBeUndefined();
    expect(bench.catchUp.missed).toBe(0);
    expect(bench.paths).toEqual([]);
  });

  test('looks at a file with several names also when it was told: through another one it may have changed since', async () => {
    const bench = new Bench();
    bench.catchUp.begin();
    bench.catchUp.told('told', Hint.closed);
    const changedAt = bench.clock.now();
    await bench.advance(HOUR_MS);
    for (const path of ['told', 'untold']) {
      bench.walker.current.find({ ...changed(path, changedAt), isLinked: true });
    }
    await bench.walker.current.end();
    expect(bench.paths).toEqual(['told', 'untold']);
    expect(bench.catchUp.missed).toBe(1);
  });

  test('needs the kernel for the time, and is tried at the next interval without', async () => {
    const bench = new Bench();
    bench.catchUp.begin();
    bench.hasKernelTime = false;
    await bench.advance(HOUR_MS);
    expect(bench.walking).toEqual([]);
    bench.hasKernelTime = true;
    await bench.advance(HOUR_MS);
    expect(bench.walking).toEqual([ROOT]);
  });

  test('comes again and again, an interval apart', async () => {
    const bench = new Bench();
    bench.catchUp.begin();
    for (let audit = 1; audit <= 3; audit++) {
      await bench.advance(HOUR_MS - 1);
      expect(bench.walking).toEqual([]);
      await bench.advance(1);
      await bench.walker.current.end();
    }
    expect(bench.walker.begun).toBe(3);
  });

  test('waits for a walk under way', async () => {
    const bench = new Bench();
    bench.catchUp.begin();
    bench.catchUp.lookFor('d', 'overflow');
    await bench.advance(HOUR_MS);
    expect(bench.walking).toEqual(['d']);
    await bench.walker.current.end();
    expect(bench.walking).toEqual([ROOT]);
  });

  test('never comes when it is switched off', () => {
    const bench = new Bench(Infinity);
    bench.catchUp.begin();
    expect(bench.clock.waiting).toBe(0);
  });
});

describe('after a write to a file with other names', () => {
  test('an audit comes soon, and others at growing distances, up to the interval', async () => {
    const bench = new Bench();
    bench.catchUp.begin();
    bench.catchUp.auditSoon([7]);
    bench.catchUp.auditSoon([7]);
    const audits: number[] = [];
    for (let second = 0.5; second <= 3 * 3_600; second += 0.5) {
      await bench.advance(500);
      if (bench.walking.length === 0) continue;
      audits.push(second);
      await bench.walker.current.end();
    }
    expect(audits.slice(0, 4)).toEqual([2.5, 7.5, 17.5, 37.5]);
    expect(audits.filter((second) => second > 3_600)).toHaveLength(2);
  });

  test('looks at what had several names also when one is left, and was told', async () => {
    const bench = new Bench();
    bench.catchUp.begin();
    for (const name of ['had several', 'had one']) bench.catchUp.told(name, Hint.created);
    bench.catchUp.auditSoon([7]);
    const changedAt = bench.clock.now();
    await bench.advance(2_500);
    bench.walker.current.find({ ...changed('had several', changedAt), inode: 7 });
    bench.walker.current.find({ ...changed('had one', changedAt), inode: 8 });
    await bench.walker.current.end();
    expect(bench.paths).toEqual(['had several']);
    expect(bench.catchUp.missed).toBe(0);
  });

  test('finds the other names of each, however the writes follow one another', async () => {
    const bench = new Bench();
    const written = new Map<string, number>();
    bench.catchUp.begin();
    for (const name of ['a', 'b']) {
      written.set(name, bench.clock.now());
      await bench.advance(20);
      bench.catchUp.auditSoon([7]);
      await bench.advance(1_880);
    }
    for (let moment = 0; moment < 20; moment++) {
      for (const walk of [...bench.walker.walking]) {
        const isNew = ([, at]: [string, number]): boolean => at >= walk.sinceMs;
        walk.find(...[...written].filter(isNew).map(([name, at]) => changed(name, at)));
        await walk.end({ durationMs: 1 });
      }
      await bench.advance(500);
    }
    expect(new Set(bench.paths)).toEqual(new Set(written.keys()));
  });

  test('walking takes a small share of the time, however often that happens', async () => {
    const bench = new Bench();
    bench.catchUp.begin();
    bench.catchUp.auditSoon([7]);
    await bench.advance(2_500);
    await bench.walker.current.end({ durationMs: 1_000 });
    bench.catchUp.auditSoon([7]);
    await bench.advance(19_000);
    expect(bench.walking).toEqual([]);
    await bench.advance(1_000);
    expect(bench.walking).toEqual([ROOT]);
  });
});

describe('stopping', () => {
  test('ends the walk under way, tells no failure, and leaves no timer', async () => {
    const bench = new Bench();
    bench.catchUp.begin();
    bench.catchUp.lookFor(ROOT, 'overflow');
    await bench.catchUp.stop();
    await turns();
    expect(bench.failed).toEqual([]);
    expect(bench.clock.waiting).toBe(0);
    bench.catchUp.lookFor('d', 'late');
    bench.catchUp.auditSoon([7]);
    expect(bench.walking).toEqual([]);
    expect(bench.clock.waiting).toBe(0);
    // What was not walked is not known.
    expect(bench.catchUp.isPending).toBe(true);
  });
});
