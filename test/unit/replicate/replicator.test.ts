import { describe, expect, test } from 'vitest';
import { CHECKPOINT_MARGIN_MS } from '../../../src/core/checkpoint.js';
import { Hint } from '../../../src/core/hint.js';
import { ROOT } from '../../../src/core/relative-path.js';
import type { WatcherListener } from '../../../src/replicate/replicator.js';
import { mountedAt, OTHER_ID, ReplicatorBench, ROOT_ID } from './replicator-bench.js';
import { turns } from './scripted-transport.js';
import { changed } from './scripted-walker.js';

const EVERY_MS = 5_000;
const EMPTY = 'the watched directory is empty';

describe('the first start', () => {
  test('resyncs every remote, copying only, and says why', async () => {
    const bench = new ReplicatorBench({ remotes: 2 });
    await bench.start();
    expect(bench.told).toEqual([
      'watch:ready',
      'start:judged one resync',
      'resync:started one',
      'start:judged two resync',
      'resync:started two',
    ]);
    const runs = await bench.settle((task) => (task.kind === 'trees' ? { extraneous: 1 } : {}));
    expect(runs.filter((run) => run.startsWith('extras'))).toEqual([]);
    expect(bench.replicator.replicas.map((replica) => replica.status().mayDelete)).toEqual([false, false]);
    expect(bench.walker.begun).toBe(0);
  });

  test('with -r resyncs once, and comparing may delete from then on', async () => {
    const bench = new ReplicatorBench();
    await bench.start(true);
    const runs = await bench.settle();
    expect(runs.filter((run) => run === 'divide')).toHaveLength(1);
    expect(bench.replicator.replicas[0]?.status().mayDelete).toBe(true);
  });

  test('is refused when there is no directory', () => {
    expect(() => new ReplicatorBench({}, { identity: undefined })).toThrow('cannot watch /data: it is no directory');
  });
});

describe('a later start', () => {
  test('walks from the checkpoint on, and sends each remote what has changed, and nothing else', async () => {
    const before = await ReplicatorBench.settled({ remotes: 2 });
    const checkpoint = await before.checkpoint();
    const bench = await before.crash();
    await bench.start();
    expect(bench.told).toEqual(['watch:ready', 'start:judged catch-up']);
    expect(bench.walker.current).toMatchObject({
      below: ROOT,
      sinceMs: (checkpoint?.atMs ?? 0) - CHECKPOINT_MARGIN_MS,
    });
    bench.walker.current.find(changed('d/a', bench.kernelNow() - 1));
    await turns();
    expect([bench.running(0), bench.running(1)]).toEqual([['entries d/a'], ['entries d/a']]);
  });

  test('of another configuration resyncs the remote that it is about', async () => {
    const before = await ReplicatorBench.settled({ remotes: 2 });
    const bench = await before.crash({ fingerprints: ['same', 'other'] });
    await bench.start();
    expect(bench.told).toContain('start:judged two resync');
    expect(bench.told).not.toContain('start:judged one resync');
    expect([bench.running(0), bench.running(1)]).toEqual([[], ['divide']]);
    expect(bench.walker.walking).toHaveLength(1);
  });

  test('resyncs a remote that was added, and no other', async () => {
    const before = await ReplicatorBench.settled();
    const bench = await before.crash({ remotes: 2 });
    await bench.start();
    expect([bench.running(0), bench.running(1)]).toEqual([[], ['divide']]);
  });

  test.each([
    { why: 'the clock went back', disk: { clockOffsetMs: -3_600_000 } },
    { why: 'the clock went back across a reboot', disk: { clockOffsetMs: -3_600_000, bootId: 'next' } },
    { why: 'another directory is there', disk: { identity: OTHER_ID } },
  ])('resyncs every remote when $why', async ({ disk }) => {
    const before = await ReplicatorBench.settled({ remotes: 2 });
    const bench = await before.crash({}, disk);
    await bench.start();
    expect([bench.running(0), bench.running(1)]).toEqual([['divide'], ['divide']]);
    expect(bench.walker.walking).toEqual([]);
  });

  test('with -r, of which times say nothing, resyncs once', async () => {
    const before = await ReplicatorBench.settled();
    const bench = await before.crash({}, { clockOffsetMs: -3_600_000 });
    await bench.start(true);
    const runs = await bench.settle();
    expect(runs.filter((run) => run === 'divide')).toHaveLength(1);
  });

  test('looks at all of what was mounted meanwhile, and of what was unmounted', async () => {
    const before = await ReplicatorBench.settled({}, { mounts: ['old'] });
    const bench = await before.crash({}, { mounts: ['new'] });
    await bench.start();
    expect(await bench.settle()).toEqual(['trees new/** old/**']);
  });

  test('looks at all of it although a full resync of the run before is not through, and crashes again', async () => {
    const before = await ReplicatorBench.settled();
    void before.replicator.resync({ reason: '-r', crontab: false, isAsked: true });
    await turns();
    await before.transports[0]?.run().end({
      again: ['d', 'e'].map((path) => ({ path, scope: 'subtree', gone: false, because: 'divided' }) as const),
    });
    // Only the one is left of it when the service ends.
    const batches = before.running();
    expect(batches).toEqual(['trees d/** e/**']);
    await before.transports[0]?.run().end({
      again: [{ path: 'e', scope: 'subtree', gone: false, because: 'divided' }],
    });
    // The clock goes back: nobody knows what has changed in d.
    const second = await before.crash({}, { clockOffsetMs: -3_600_000 });
    await second.start();
    await second.advance(EVERY_MS);
    const third = await second.crash();
    await third.start();
    const seen = await third.settle();
    expect(seen.some((run) => run === 'divide' || run.includes(' d/**'))).toBe(true);
  });
});

describe('the checkpoint', () => {
  test('is as late as the question whether all was told, not as the answer', async () => {
    const bench = await ReplicatorBench.settled();
    bench.listener.touched('a', Hint.closed);
    let answer: (isTold: boolean) => void = () => undefined;
    bench.fence = () => new Promise((resolve) => (answer = resolve));
    await bench.advance(EVERY_MS);
    const askedAt = bench.kernelNow();
    await bench.advance(700);
    answer(true);
    await turns();
    expect((await bench.checkpoint())?.atMs).toBe(askedAt);
  });

  test('is kept when something was told since the last one, and not otherwise', async () => {
    const bench = await ReplicatorBench.settled();
    const first = await bench.checkpoint();
    await bench.advance(10 * EVERY_MS);
    expect(await bench.checkpoint()).toEqual(first);
    bench.listener.touched('a', Hint.closed);
    await bench.advance(EVERY_MS);
    expect((await bench.checkpoint())?.atMs).toBe(bench.kernelNow());
  });

  test('waits while much is on its way to a remote, and no longer than 30 s', async () => {
    const bench = await ReplicatorBench.settled();
    bench.listener.touched('first', Hint.closed);
    await bench.advance(EVERY_MS);
    const before = await bench.checkpoint();
    for (let index = 0; index < 1_100; index++) bench.listener.touched(`d/${index}`, Hint.created | Hint.closed);
    await turns();
    expect(bench.running()).not.toEqual([]);
    for (let passedMs = 0; passedMs < 25_000; passedMs += EVERY_MS) await bench.advance(EVERY_MS);
    expect(await bench.checkpoint()).toEqual(before);
    await bench.advance(EVERY_MS);
    expect((await bench.checkpoint())?.atMs).toBe(bench.kernelNow());
  });

  test('waits for no remote that cannot be had', async () => {
    const bench = await ReplicatorBench.settled();
    bench.listener.touched('first', Hint.closed);
    await turns();
    await bench.transports[0]?.run().end({ exitCode: 10, messages: ['connection refused'] });
    for (let index = 0; index < 1_100; index++) bench.listener.touched(`d/${index}`, Hint.created | Hint.closed);
    await bench.advance(EVERY_MS);
    expect((await bench.checkpoint())?.atMs).toBe(bench.kernelNow());
  });

  const untilThen = async (bench: ReplicatorBench): Promise<boolean> => {
    const before = await bench.checkpoint();
    bench.listener.touched('x', Hint.closed);
    await bench.advance(2 * EVERY_MS);
    const after = await bench.checkpoint();
    return before?.atMs === after?.atMs;
  };

  test.each<{ why: string; happens: (bench: ReplicatorBench) => void; ends: (bench: ReplicatorBench) => void }>([
    {
      why: 'nothing is seen',
      happens: ({ listener }) => {
        listener.blind(ROOT, 'overflow');
      },
      ends: ({ listener }) => {
        listener.sees(ROOT);
      },
    },
    {
      why: 'a part is not seen',
      happens: ({ listener }) => {
        listener.blind('d', 'watch limit');
        listener.blind('e', 'watch limit');
        listener.sees('e');
      },
      ends: ({ listener }) => {
        listener.sees('d');
      },
    },
    {
      why: 'lost events are not made good',
      happens: ({ listener }) => {
        listener.lost('d', 'overflow');
      },
      ends: ({ walker }) => void walker.current.end(),
    },
    {
      why: 'nobody knows whether all was told',
      happens: (bench) => {
        bench.fence = () => Promise.resolve(false);
      },
      ends: (bench) => {
        bench.fence = () => Promise.resolve(true);
      },
    },
    {
      why: 'the time cannot be had',
      happens: ({ disk }) => {
        disk.hasKernelTime = false;
      },
      ends: ({ disk }) => {
        disk.hasKernelTime = true;
      },
    },
    {
      why: 'another directory is there',
      happens: ({ disk }) => {
        disk.identity = OTHER_ID;
      },
      ends: ({ disk }) => {
        disk.identity = ROOT_ID;
      },
    },
    {
      why: 'there is no directory',
      happens: ({ disk }) => {
        disk.identity = undefined;
      },
      ends: ({ disk }) => {
        disk.identity = ROOT_ID;
      },
    },
    {
      why: 'the watcher is dead',
      happens: (bench) => {
        bench.disk.identity = undefined;
        bench.listener.died('gone');
        bench.listener.blind(ROOT, 'gone');
      },
      ends: (bench) => {
        bench.disk.identity = ROOT_ID;
        bench.listener.sees(ROOT);
      },
    },
  ])('stays while $why', async ({ happens, ends }) => {
    const bench = await ReplicatorBench.settled();
    happens(bench);
    expect(await untilThen(bench)).toBe(true);
    ends(bench);
    await turns();
    await bench.settle();
    expect(await untilThen(bench)).toBe(false);
  });

  test('stays when events are lost while it is asked whether all was told', async () => {
    const bench = await ReplicatorBench.settled();
    const before = await bench.checkpoint();
    bench.listener.touched('a', Hint.closed);
    bench.fence = () => {
      bench.listener.lost('d', 'overflow');
      return Promise.resolve(true);
    };
    await bench.advance(EVERY_MS);
    expect(await bench.checkpoint()).toEqual(before);
  });

  test('stands before a file that is still being written, until its writer has closed it', async () => {
    const bench = await ReplicatorBench.settled();
    bench.listener.touched('log', Hint.modified);
    const writtenAt = bench.kernelNow();
    await bench.advance(EVERY_MS);
    expect((await bench.checkpoint())?.atMs).toBeLessThanOrEqual(writtenAt);
    bench.listener.touched('log', Hint.closed);
    await bench.advance(EVERY_MS);
    expect((await bench.checkpoint())?.atMs).toBe(bench.kernelNow());
  });

  test('follows a clock that was set, although nothing was told', async () => {
    const bench = await ReplicatorBench.settled();
    bench.disk.clockOffsetMs = -60_000;
    await bench.advance(EVERY_MS);
    expect(await bench.checkpoint()).toMatchObject({ atMs: bench.kernelNow(), clockOffsetMs: -60_000 });
  });

  test('comes with the journal of whatever was told before it', async () => {
    const bench = await ReplicatorBench.settled();
    bench.fence = () => {
      bench.listener.touched('a', Hint.closed);
      return Promise.resolve(true);
    };
    bench.listener.touched('b', Hint.closed);
    await bench.advance(EVERY_MS);
    await bench.checkpoint();
    expect(bench.journal.marksOf('remote one').map(({ path }) => path)).toEqual(expect.arrayContaining(['a', 'b']));
  });

  test('is kept a last time when the service stops', async () => {
    const bench = await ReplicatorBench.settled();
    await bench.advance(1_000);
    await bench.replicator.stop(0);
    expect((await bench.checkpoint())?.atMs).toBe(bench.kernelNow());
  });
});

describe('lost events', () => {
  test('are made good by a walk of the place', async () => {
    const bench = await ReplicatorBench.settled();
    bench.listener.lost('d', 'overflow');
    expect(bench.walker.current.below).toBe('d');
    expect(bench.replicator.catchUpReason).toBe('overflow');
    bench.walker.current.find(changed('d/a', bench.kernelNow()));
    await bench.walker.current.end();
    expect(bench.running()).toEqual(['entries d/a']);
    expect(bench.replicator.catchUpReason).toBeUndefined();
  });

  test('of the whole tree are told of in the status', async () => {
    const bench = await ReplicatorBench.settled();
    bench.listener.lost('d', 'overflow');
    expect(bench.replicator.watcherStatus().lastOverflow).toBeUndefined();
    bench.listener.blind(ROOT, 'overflow');
    bench.listener.lost(ROOT, 'overflow');
    bench.listener.sees(ROOT);
    bench.listener.lost(ROOT, 'every directory is watched again');
    expect(bench.replicator.watcherStatus().lastOverflow).toEqual({ at: bench.clock.now(), reason: 'overflow' });
  });

  test('before there is a checkpoint mean that all of the place is looked at', async () => {
    const bench = new ReplicatorBench();
    await bench.start();
    bench.listener.lost('d', 'overflow');
    await turns();
    expect(bench.running()).toEqual(['divide', 'trees d/**']);
  });

  test('of a mount that came or went mean that all of it is looked at: its times say nothing', async () => {
    const bench = await ReplicatorBench.settled();
    bench.disk.mounts = ['m'];
    bench.listener.lost('m', 'mounted');
    expect(await bench.settle()).toEqual(['trees m/**']);
    bench.disk.mounts = [];
    bench.listener.lost('m', 'unmounted');
    expect(await bench.settle()).toEqual(['trees m/**']);
    expect(bench.walker.begun).toBe(1);
  });

  test('after the clock was set back are not looked for by times that lie ahead', async () => {
    const bench = await ReplicatorBench.settled();
    bench.disk.clockOffsetMs = -3_600_000;
    const changedAt = bench.kernelNow();
    bench.listener.lost(ROOT, 'overflow');
    await turns();
    const isFound = bench.walker.walking.some(({ below, sinceMs }) => below === ROOT && sinceMs <= changedAt);
    expect(isFound || bench.running().includes('divide')).toBe(true);
  });
});

describe('a watcher that dies', () => {
  test('is replaced after a moment, and what was changed meanwhile is looked for then', async () => {
    const bench = await ReplicatorBench.settled();
    bench.listener.died('gone');
    expect(bench.told).toEqual(['watch:blind']);
    expect(bench.replicator.watcherStatus().blind).toEqual({ since: bench.clock.now(), reason: 'gone' });
    await bench.advance(500);
    expect(bench.listeners).toHaveLength(2);
    expect(bench.told.slice(1)).toEqual(['watch:ready', 'watch:lost']);
    expect(bench.replicator.watcherStatus().blind).toBeUndefined();
    expect(bench.walker.current.below).toBe(ROOT);
    // The first one has nothing more to say.
    bench.listeners[0]?.died('again');
    await bench.advance(60_000);
    expect(bench.listeners).toHaveLength(2);
  });

  test('while it starts, and cannot start either, is replaced by one watcher and not by two', async () => {
    const bench = new ReplicatorBench({
      startWatcher: (listener, count) => {
        if (count !== 2) return Promise.resolve();
        listener.died('died while it started');
        return Promise.reject(new Error('cannot start'));
      },
    });
    await bench.start();
    bench.listener.died('gone');
    await bench.advance(500);
    expect(bench.listeners).toHaveLength(2);
    await bench.advance(60_000);
    expect(bench.listeners).toHaveLength(3);
  });

  test('is not replaced when the service stops', async () => {
    const bench = await ReplicatorBench.settled();
    bench.listener.died('gone');
    await bench.replicator.stop(0);
    await bench.advance(60_000);
    expect(bench.listeners).toHaveLength(1);
    expect(bench.clock.waiting).toBe(0);
  });

  test('knows no parts any more that it could not see', async () => {
    const bench = await ReplicatorBench.settled();
    bench.listener.blind('d', 'watch limit');
    expect(bench.replicator.watcherStatus()).toMatchObject({ partlyBlindCount: 1, partlyBlind: [{ path: 'd' }] });
    bench.listener.died('gone');
    await bench.advance(500);
    expect(bench.replicator.watcherStatus()).toMatchObject({ partlyBlindCount: 0, partlyBlind: [], blind: undefined });
  });

  test('has what was mounted meanwhile looked at as a whole', async () => {
    const bench = await ReplicatorBench.settled();
    bench.listener.died('gone');
    bench.disk.mounts = ['m'];
    await bench.advance(500);
    expect(await bench.settle()).toContain('trees m/**');
  });

  test('because another directory was put there has all of it looked at, for times say nothing', async () => {
    const bench = await ReplicatorBench.settled();
    bench.disk.identity = OTHER_ID;
    bench.listener.died('gone');
    await bench.advance(500);
    expect(bench.running()).toEqual(['divide']);
  });
});

describe('what is not seen', () => {
  const place = (listener: WatcherListener, order: readonly string[]): void => {
    for (const step of order) {
      if (step === 'blind') listener.blind(ROOT, 'overflow');
      else if (step === 'sees') listener.sees(ROOT);
      else listener.lost(ROOT, 'overflow');
    }
  };

  test.each([
    ['blind', 'sees', 'lost'],
    ['blind', 'lost', 'sees'],
    ['lost', 'blind', 'sees', 'lost'],
    ['blind', 'blind', 'sees', 'lost'],
    ['blind', 'sees', 'lost', 'blind', 'lost', 'sees'],
  ])('is walked when it is seen again (%s %s %s %s %s %s)', async (...order: string[]) => {
    const bench = await ReplicatorBench.settled();
    const before = await bench.checkpoint();
    place(bench.listener, order);
    expect(bench.replicator.watcherStatus().blind).toBeUndefined();
    expect(bench.walker.walking).toHaveLength(1);
    await bench.advance(2 * EVERY_MS);
    expect(await bench.checkpoint()).toEqual(before);
  });

  test('is not walked before', async () => {
    const bench = await ReplicatorBench.settled();
    place(bench.listener, ['blind', 'lost']);
    await bench.advance(60_000);
    expect(bench.walker.walking).toEqual([]);
    expect(bench.replicator.watcherStatus().blind).toMatchObject({ reason: 'overflow' });
  });

  test('is told with its first beginning', async () => {
    const bench = await ReplicatorBench.settled();
    const since = bench.clock.now();
    bench.listener.blind(ROOT, 'first');
    await bench.advance(100);
    bench.listener.blind(ROOT, 'second');
    expect(bench.replicator.watcherStatus().blind).toEqual({ since, reason: 'first' });
  });

  test('of a part is told once, and when it ends', async () => {
    const bench = await ReplicatorBench.settled();
    bench.listener.blind('d', 'watch limit');
    bench.listener.blind('d', 'watch limit');
    bench.listener.sees('e');
    bench.listener.sees('d');
    expect(bench.told).toEqual(['watch:partlyBlind d', 'watch:sees d']);
  });
});

describe('the source', () => {
  /** A deletion that was held by the run itself. */
  async function holdIn(bench: ReplicatorBench): Promise<void> {
    bench.listener.touched('a', Hint.removed);
    await turns();
    for (const { running } of bench.transports) {
      await running[0]?.end({ held: { reason: EMPTY, paths: ['a'] }, command: [] });
    }
  }

  test('that is not what it was is told, and when it is again what was held goes to every remote', async () => {
    const bench = await ReplicatorBench.settled({ remotes: 2 });
    bench.disk.isEmpty = true;
    await holdIn(bench);
    await bench.advance(EVERY_MS);
    expect(bench.told).toEqual(['source:troubled empty']);
    expect(bench.replicator.condition).toEqual({ state: 'empty', reason: EMPTY });
    expect([bench.running(0), bench.running(1)]).toEqual([[], []]);
    bench.disk.isEmpty = false;
    await bench.advance(2_000);
    expect(bench.told).toEqual(['source:troubled empty', 'source:well']);
    expect([bench.running(0), bench.running(1)]).toEqual([['entries -a'], ['entries -a']]);
  });

  test('is looked at soon after something happened in it', async () => {
    const bench = await ReplicatorBench.settled();
    bench.disk.isEmpty = true;
    await holdIn(bench);
    await bench.advance(EVERY_MS);
    bench.disk.isEmpty = false;
    bench.listener.touched('b', Hint.closed);
    await bench.advance(50);
    expect(bench.replicator.condition.state).toBe('well');
  });

  test('is looked at again when a run held something back for a moment only', async () => {
    const bench = await ReplicatorBench.settled();
    await holdIn(bench);
    expect(bench.running()).toEqual([]);
    await bench.advance(EVERY_MS);
    expect(bench.running()).toEqual(['entries -a']);
  });

  test('is what a person releases, and what was held goes', async () => {
    const bench = await ReplicatorBench.settled();
    bench.disk.isEmpty = true;
    await holdIn(bench);
    await bench.advance(EVERY_MS);
    expect(bench.replicator.release()).toBe(1);
    expect(bench.guard()).toMatchObject({ identity: ROOT_ID, mayBeEmpty: true });
    await turns();
    expect(bench.running()).toEqual(['entries -a']);
    expect(bench.replicator.condition.state).toBe('well');
  });

  test('that a person has released is the source of the next run of the service', async () => {
    const before = await ReplicatorBench.settled({}, { mounts: ['m'] });
    before.disk.mounts = [];
    before.replicator.release();
    const bench = await before.crash();
    expect(bench.guard().mounts).toEqual([]);
  });

  test('that was replaced while the service was down is not what deletions are believed of', async () => {
    const before = await ReplicatorBench.settled();
    const bench = await before.crash({}, { identity: OTHER_ID });
    await bench.start();
    expect(bench.guard().identity).toBe(ROOT_ID);
    expect(bench.replicator.condition.state).toBe('replaced');
    // Nor after one more start: what is known of it is not overwritten.
    await bench.advance(60_000);
    const next = await bench.crash();
    expect(next.guard().identity).toBe(ROOT_ID);
  });

  test('may have another device number after a reboot', async () => {
    const before = await ReplicatorBench.settled();
    const identity = ROOT_ID.replace(/^8:/, '12:');
    const bench = await before.crash({}, { identity, bootId: 'next' });
    expect(bench.guard().identity).toBe(identity);
    expect(bench.replicator.condition.state).toBe('well');
  });

  test('that misses a mount after a restart deletes nothing there', async () => {
    const before = await ReplicatorBench.settled({}, { mounts: ['m'] });
    const bench = await before.crash({}, { mounts: [] });
    expect(bench.guard().mounts).toEqual([mountedAt('m')]);
    expect(bench.replicator.condition.state).toBe('unmounted');
  });
});

describe('stopping', () => {
  test('leaves no timer, also while the source is not what it was', async () => {
    const bench = await ReplicatorBench.settled();
    bench.disk.isEmpty = true;
    bench.listener.lost('d', 'overflow');
    await bench.settle();
    expect(bench.replicator.condition.state).toBe('empty');
    await bench.replicator.stop(0);
    expect(bench.clock.waiting).toBe(0);
  });

  test('leaves no timer when it comes while a checkpoint is made', async () => {
    const bench = await ReplicatorBench.settled();
    const answers: (() => void)[] = [];
    bench.fence = () =>
      new Promise((resolve) => {
        answers.push(() => {
          resolve(true);
        });
      });
    bench.listener.touched('a', Hint.closed);
    await bench.advance(EVERY_MS);
    await bench.settle();
    const stopped = bench.replicator.stop(0);
    for (const answer of answers) answer();
    await stopped;
    await turns();
    expect(answers).toHaveLength(2);
    expect(bench.clock.waiting).toBe(0);
  });

  test('waits for no walk', async () => {
    const bench = await ReplicatorBench.settled();
    bench.listener.lost(ROOT, 'overflow');
    await bench.replicator.stop(0);
    expect(bench.walker.walking).toEqual([]);
    expect(bench.told).not.toContain('walk:failed');
  });

  test('sends what was waited for', async () => {
    const bench = await ReplicatorBench.settled();
    bench.listener.touched('log', Hint.modified);
    const stopped = bench.replicator.stop(1_000);
    await turns();
    expect(bench.running()).toEqual(['entries log']);
    await bench.settle();
    await stopped;
  });
});
