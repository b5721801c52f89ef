import { randomBytes } from 'node:crypto';
import { closeSync, lstatSync, mkdirSync, openSync, readdirSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { eventually } from '../support/eventually.js';
import { signal } from '../support/processes.js';
import type { RsyncDaemon } from '../support/rsync-daemon.js';
import type { SersyncProcess } from '../support/sersync-process.js';
import { TestBench } from '../support/test-bench.js';
import { readTree } from '../support/trees.js';

const MEGABYTE = 1024 * 1024;
const SIZE = Number(process.env['SERSYNC_TEST_LARGE_MB'] ?? 256) * MEGABYTE;
/** Slow enough to be met in the middle. */
const SLOWLY = { params: '-artz --bwlimit=80m' };

let bench: TestBench;
let daemon: RsyncDaemon;

beforeEach(async () => {
  bench = new TestBench('resume');
  [daemon] = (await bench.startDaemons(1)) as [RsyncDaemon];
});

afterEach(() => bench.close());

/** After the first SIGTERM runs may go on for 8 seconds; the second one ends them at once. */
const ENDS = [
  ['SIGTERM, twice,', ['SIGTERM', 'SIGTERM']],
  ['SIGKILL', ['SIGKILL']],
] as const;

describe.each(ENDS)('a large file that was half over when %s ended the service', (_title, signals) => {
  it('goes on from there at a start without -r, and leaves nothing behind', async () => {
    await cutOffAtHalf(signals);
    daemon.clearLog();

    startAgain();

    await bench.untilSame({ withinMs: 120_000 });
    await untilNothingIsLeft();
    const received = await receivedBytes();
    expect(received / SIZE).toBeGreaterThan(0.2);
    expect(received / SIZE).toBeLessThan(0.6);
  });

  it('and was deleted before the next start goes from the remote with all that was over of it', async () => {
    await cutOffAtHalf(signals);
    rmSync(bench.path('source/directory/large'));

    startAgain();

    await bench.untilSame({ withinMs: 60_000 });
    await untilNothingIsLeft();
  });
});

async function cutOffAtHalf(signals: readonly NodeJS.Signals[]): Promise<void> {
  mkdirSync(bench.path('source/directory'));
  const sersync = await bench.startSynced(SLOWLY);
  plantLarge(bench.path('source/directory/large'));
  await eventually(
    () => sizeOver() >= SIZE / 2,
    { withinMs: 120_000 },
    () => `half of it did not arrive:\n${sersync.transcript()}`,
  );
  for (const name of signals.slice(1)) {
    signal(sersync.pid, name);
    await sersync.waitForLog('signal:received');
  }
  await sersync.stop(signals[0]);
  await eventually(
    () => partials().length > 0,
    { withinMs: 10_000 },
    () => `nothing is kept of it:\n${sersync.transcript()}`,
  );
}

function startAgain(): SersyncProcess {
  return bench.spawnSersync({ config: bench.path('confxml.xml'), args: [] });
}

/** Content that cannot be compressed: neither the limit nor the count of bytes would mean anything. */
function plantLarge(path: string): void {
  const file = openSync(path, 'w');
  for (let at = 0; at < SIZE; at += MEGABYTE) writeSync(file, randomBytes(MEGABYTE));
  closeSync(file);
}

/** How much of the file the receiver has. */
function sizeOver(): number {
  const directory = join(daemon.path(), 'directory');
  const temporary = readdirSync(directory).find((name) => name.startsWith('.large.'));
  return temporary === undefined ? 0 : (lstatSync(join(directory, temporary), { throwIfNoEntry: false })?.size ?? 0);
}

/** Names that a run which broke off has left. */
function partials(): string[] {
  return [...readTree(daemon.path()).keys()].filter((path) => /(^|\/)\.(rsync-partial|large\.)/.test(path));
}

async function untilNothingIsLeft(): Promise<void> {
  await eventually(
    () => partials().length === 0,
    { withinMs: 30_000 },
    () => `left on the remote: ${partials().join(', ')}`,
  );
}

/** What the daemon received in all its runs. */
async function receivedBytes(): Promise<number> {
  const runs = (): RegExpMatchArray[] => [...daemon.log().matchAll(/ received ([\d,]+) bytes/g)];
  await eventually(
    () => runs().length > 0,
    { withinMs: 10_000 },
    () => `the daemon has logged no run:\n${daemon.log()}`,
  );
  return runs().reduce((sum, [, bytes = '']) => sum + Number(bytes.replaceAll(',', '')), 0);
}
