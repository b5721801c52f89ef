import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { Hint } from '../../src/core/hint.js';
import { eventually } from '../support/eventually.js';
import { WatchBench } from '../support/watch-bench.js';

/** What the parcel watcher promises beyond the suite that both front ends pass. */

const support = new URL('../support/', import.meta.url).pathname;

describe('the parcel watcher', () => {
  let bench: WatchBench;

  beforeEach(() => {
    bench = new WatchBench('parcel');
  });

  afterEach(async () => {
    await bench.close();
  });

  it('is blind while it has no subscription, and tells what was missed before it says that it sees', async () => {
    await bench.shell('mkdir -p a/b; echo old > a/b/f');
    await bench.start();
    const [subscribed, ...others] = subscriptions();
    expect(others).toEqual([]);
    process.kill(subscribed ?? 0, 'SIGKILL');
    await eventually(
      () => bench.follower.sights.length > 0,
      { withinMs: 10_000 },
      () => 'it did not notice',
    );
    expect(await bench.fence()).toBe(false);
    await bench.shell('echo new > a/b/f; mkdir c; echo new > c/f');
    await eventually(
      () => bench.follower.sights.length > 1,
      { withinMs: 20_000 },
      () => 'it did not recover',
    );
    expect(bench.follower.mistakes()).toEqual([]);
    expect(bench.follower.sights).toEqual(['blind : @parcel/watcher ended: its process ended (SIGKILL)', 'sees ']);
    expect(bench.follower.deaths).toEqual([]);
  });

  it.skipIf(spawnSync('unshare', ['-m', 'true']).status !== 0)(
    'does not take what went with a mount for removed, also when another one comes in its place',
    () => {
      const fill = 'mkdir -p m/d{1..20}/a; touch m/d{1..20}/a/f';
      const setUp = `cd ${bench.root}; mkdir m; mount -t tmpfs none m; ${fill}; exec "$@"`;
      const script = 'umount m; sleep 1; mount -t tmpfs none m; touch m/new; sleep 1; umount m; mount -t tmpfs none m';
      const watch = [process.execPath, `${support}watch-once.mjs`, bench.root, script, 'touched m: ', 'parcel'];
      const text = execFileSync('unshare', ['-m', 'bash', '-euc', setUp, '-', ...watch], {
        encoding: 'utf8',
        timeout: 60_000,
      });
      const { told } = JSON.parse(text) as { told: [string, Hint][] };
      expect(told.filter(([path, hint]) => path.startsWith('m/') && (hint & Hint.removed) !== 0)).toEqual([]);
      expect(told).toContainEqual(['m', Hint.created | Hint.directory]);
    },
  );
});

/** The processes in which this one watches. */
function subscriptions(): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0 && commandOf(pid).includes('parcel-process') && parentOf(pid) === process.pid);
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1');
  } catch {
    return '';
  }
}

function parentOf(pid: number): number {
  return Number(/^PPid:\t(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]);
}
