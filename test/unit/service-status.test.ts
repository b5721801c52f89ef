import { describe, expect, test } from 'vitest';
import { fromText } from '../../src/core/relative-path.js';
import { Hint } from '../../src/core/hint.js';
import { heldDeletionsOf, rootStatusOf } from '../../src/service-status.js';
import { ReplicatorBench, ROOT_ID } from './replicate/replicator-bench.js';
import { complaint, turns, UNREACHABLE } from './replicate/scripted-transport.js';

const lost = (...paths: string[]) => ({ exitCode: 23, complaints: paths.map((path) => complaint('lost', path)) });
const namesIn = (directory: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${directory}/${index}`);

describe('the status of a watched directory', () => {
  test('is short while there is nothing to tell', async () => {
    const bench = await ReplicatorBench.settled();
    expect(rootStatusOf(bench.replicator)).toEqual({
      root: '/data',
      watcher: { kind: 'scripted', directories: 1, partlyBlind: [], partlyBlindCount: 0, missedTotal: 0 },
      source: { state: 'well' },
      remotes: [
        {
          remote: 'one',
          state: 'idle',
          lagMs: 0,
          pending: 0,
          inFlight: 0,
          retrying: 0,
          held: 0,
          heldReasons: [],
          mayDelete: true,
          newerOnRemote: 0,
          failing: [],
        },
      ],
    });
  });

  test('is what JSON can hold, in every state', async () => {
    const bench = await ReplicatorBench.settled({ remotes: 2, auditEveryMs: 3_600_000 });
    const held = (): unknown => JSON.parse(JSON.stringify(rootStatusOf(bench.replicator)));
    bench.listener.blind('d', 'watch limit');
    bench.listener.blind('', 'overflow');
    bench.listener.lost('', 'overflow');
    bench.listener.sees('');
    bench.listener.touched('a', Hint.closed);
    await turns();
    await bench.transports[0]?.run().end(UNREACHABLE);
    expect(held()).toEqual(rootStatusOf(bench.replicator));
    expect(rootStatusOf(bench.replicator)).toMatchObject({
      watcher: { lastOverflow: { reason: 'overflow' }, partlyBlindCount: 1 },
      catchUp: { reason: 'overflow' },
      remotes: [{ state: 'backing off', reason: expect.any(String) as string }, { state: 'transferring' }],
    });
  });

  test('tells while nothing is seen, since when and why', async () => {
    const bench = await ReplicatorBench.settled();
    bench.listener.died('gone');
    const since = bench.clock.now();
    await bench.advance(100);
    expect(rootStatusOf(bench.replicator).watcher.blind).toEqual({ since, reason: 'gone' });
  });

  test('tells how the last audit went', async () => {
    const bench = await ReplicatorBench.settled({ auditEveryMs: 3_600_000 });
    await bench.advance(3_600_000);
    await bench.walker.current.end({ names: 12, durationMs: 34 });
    expect(rootStatusOf(bench.replicator).watcher.audit).toEqual({
      at: bench.clock.now(),
      names: 12,
      missed: 0,
      durationMs: 34,
    });
  });

  test('shows names as text, whatever bytes they have', async () => {
    const bench = await ReplicatorBench.settled();
    const name = fromText('数据');
    bench.listener.blind(name, 'watch limit');
    bench.listener.touched(`${name}/a\n`, Hint.closed);
    await turns();
    await bench.transports[0]?.run().end(lost(`${name}/a\n`));
    const { watcher, remotes } = rootStatusOf(bench.replicator);
    expect(watcher.partlyBlind.map(({ path }) => path)).toEqual(['数据']);
    expect(remotes[0]?.failing).toMatchObject([{ path: String.raw`数据/a\#012`, attempts: 1 }]);
  });

  test('shows what is wrong with the source as text', async () => {
    const bench = await ReplicatorBench.settled({}, { mounts: [fromText('数据')] });
    bench.disk.mounts = [];
    bench.listener.lost(fromText('数据'), 'unmounted');
    expect(rootStatusOf(bench.replicator).source).toEqual({
      state: 'unmounted',
      reason: 'what was mounted at 数据 is not there any more',
    });
  });

  test('shows some of the names that fail, and counts all', async () => {
    const bench = await ReplicatorBench.settled();
    const names = namesIn('d', 50);
    for (const name of names) bench.listener.touched(name, Hint.closed);
    await turns();
    await bench.transports[0]?.run().end(lost(...names));
    const [remote] = rootStatusOf(bench.replicator).remotes;
    expect(remote?.retrying).toBe(50);
    expect(remote?.failing).toHaveLength(20);
  });
});

describe('the deletions that wait', () => {
  test('are none of a remote that holds nothing back', async () => {
    const bench = await ReplicatorBench.settled({ remotes: 2 });
    expect(heldDeletionsOf([bench.replicator])).toEqual({ remotes: [] });
  });

  test('are listed by remote, as text', async () => {
    const bench = await ReplicatorBench.settled({ remotes: 2 });
    const name = fromText('数据');
    bench.listener.touched(name, Hint.removed);
    const since = bench.clock.now();
    await turns();
    const reason = 'what was mounted at 数据 is not there any more';
    await bench.transports[1]?.run().end({ held: { reason, paths: [name] }, command: [] });
    await bench.transports[0]?.run().end();
    expect(heldDeletionsOf([bench.replicator])).toEqual({
      remotes: [{ root: '/data', remote: 'two', held: [{ path: '数据', reason, since }], more: 0 }],
    });
    expect(rootStatusOf(bench.replicator).remotes.map(({ held }) => held)).toEqual([0, 1]);
  });

  test('name what a comparison has found, and go from the list when they are released', async () => {
    const bench = await ReplicatorBench.settled();
    bench.listener.touched('d', Hint.created | Hint.directory);
    await turns();
    const extras = namesIn('d', 2_000);
    await bench.transports[0]?.run().end({ extraneous: extras.length });
    await bench.transports[0]?.run().end({ extras, extraneous: extras.length });
    expect(heldDeletionsOf([bench.replicator]).remotes[0]?.held).toHaveLength(2_000);
    expect(bench.guard().identity).toBe(ROOT_ID);
    expect(bench.replicator.release()).toBe(2_000);
    expect(heldDeletionsOf([bench.replicator])).toEqual({ remotes: [] });
  });
});
