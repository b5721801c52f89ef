import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import type { ServiceStatus } from '../../src/observe/status.js';
import { eventually } from '../support/eventually.js';
import { PROGRAM } from '../support/sersync-process.js';
import { TestBench } from '../support/test-bench.js';

describe('the status of a service that runs', () => {
  let bench: TestBench;

  beforeEach(() => {
    bench = new TestBench('status');
  });

  afterEach(() => bench.close());

  function sersync(...args: string[]): string {
    const env = { ...process.env, SERSYNC_STATE_DIR: bench.path('state') };
    return execFileSync(process.execPath, [PROGRAM, ...args], { encoding: 'utf8', env });
  }

  const status = (): ServiceStatus => JSON.parse(sersync('status', '--json')) as ServiceStatus;

  it('tells what is watched and how its remotes are', async () => {
    const [first, second] = await bench.startDaemons(2);
    mkdirSync(bench.path('source/directory'));
    writeFileSync(bench.path('source/directory/file'), 'content');
    const service = await bench.startSynced();

    const { pid, config, stateDirectory, version, startedAt, at, journal, eventLoop, roots } = status();
    expect({ pid, config, stateDirectory, journal }).toEqual({
      pid: service.pid,
      config: bench.path('confxml.xml'),
      stateDirectory: bench.path('state'),
      journal: {},
    });
    expect(sersync('--version')).toBe(`sersync ${version}\n`);
    expect(startedAt).toBeLessThanOrEqual(at);
    // What starting the service takes cannot be nothing.
    expect(eventLoop.maxStallMs).toBeGreaterThan(0);
    expect(eventLoop.maxStallMs).toBeGreaterThanOrEqual(eventLoop.stallMs);
    expect(roots).toHaveLength(1);
    const [{ root, watcher, source, remotes }] = roots as [ServiceStatus['roots'][number]];
    expect(root).toBe(bench.source);
    expect(watcher).toMatchObject({ directories: 2, partlyBlind: [], partlyBlindCount: 0, missedTotal: 0 });
    expect(watcher.blind).toBeUndefined();
    expect(source).toEqual({ state: 'well' });
    expect(remotes.map(({ remote }) => remote)).toEqual([bench.remoteName(first!), bench.remoteName(second!)]);
    for (const remote of remotes) expect(remote).toMatchObject({ state: 'idle', lagMs: 0, held: 0, mayDelete: true });
    expect(sersync('status', '--health')).toBe('ok: 2 remotes in sync\n');
    expect(sersync('held')).toBe('no deletion is held\n');
  });

  it('counts what a remote that is away lacks, and calls that healthy for a while', async () => {
    const [daemon] = await bench.startDaemons(1);
    await bench.startSynced();
    await daemon!.stop();
    writeFileSync(bench.path('source/new'), 'content');
    const behind = await eventually(
      () => status().roots[0]?.remotes.find(({ state }) => state === 'backing off'),
      { withinMs: 10_000 },
      () => sersync('status'),
    );
    expect(behind.lagMs).toBeGreaterThan(0);
    // In flight while it is tried once more.
    expect(behind.pending + behind.inFlight).toBe(1);
    expect(behind.reason).toMatch(/refused/i);
    expect(sersync('status', '--health')).toContain('ok: 0 of 1 remote in sync, farthest behind ');
  });

  it('holds deletions of an emptied source, names them, and releases them', async () => {
    const [daemon] = await bench.startDaemons(1);
    for (const name of ['one', 'two']) writeFileSync(bench.path('source', name), name);
    await bench.startSynced();
    for (const name of ['one', 'two']) rmSync(bench.path('source', name));
    await eventually(
      () => sersync('held').includes('    two\n'),
      { withinMs: 10_000 },
      () => sersync('held'),
    );
    expect(sersync('held')).toContain(`${bench.source} -> ${bench.remoteName(daemon!)}\n  2 names for `);
    expect(sersync('status', '--health')).toBe('ok: 0 of 1 remote in sync, 2 deletions held\n');
    expect(sersync('held', '--release')).toBe('2 names released\n');
    await bench.untilSame({ withinMs: 10_000 });
    expect(sersync('held')).toBe('no deletion is held\n');
  });
});
