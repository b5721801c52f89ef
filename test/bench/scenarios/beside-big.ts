import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { TimedOut } from '../deadline.js';
import { KILOBYTE, writeLargeFile } from '../files.js';
import { LagSampler } from '../lag-sampler.js';
import type { Row, ScenarioOf } from '../scenario.js';
import type { Turn } from '../turn.js';

const MEGABYTE = 1_000_000;
/** As all of them are told to limit themselves: `--bwlimit`, in KiB a second. */
const BWLIMIT = 20_000;
/** Between two small files, on the average. */
const PAUSE_MS = 250;
const CONTENT = Buffer.alloc(KILOBYTE, 'content ');

/** Small files are written at their times whether those before have arrived or not: who is slow must not be asked less. */
export const besideBigFile: ScenarioOf = (isQuick) => {
  const bytes = (isQuick ? 60 : 1_000) * MEGABYTE;
  const alone = isQuick ? 8 : 100;
  return {
    name: 'beside-big',
    description: `small files of 1 KB, four a second, to one remote while a new file of ${bytes / MEGABYTE} MB is on its way with --bwlimit=${BWLIMIT}, and ${alone} of them before that; all with that limit`,
    limit: 'the push of the large file, and a push of each small file beside it',
    rows: [
      ...(['p50', 'p99'] as const).flatMap((statistic): Row[] => [
        { label: 'small file alone', metric: 'aloneMs', statistic, unit: 'ms' },
        { label: 'small file beside a large one', metric: 'besideMs', statistic, unit: 'ms' },
      ]),
      {
        label: 'small file beside a large one, relative to alone',
        metric: 'besideMs',
        statistic: 'p99',
        unit: 'times',
        relativeTo: 'aloneMs',
      },
    ],
    rounds: isQuick ? 1 : 3,
    limitMs: 300_000,
    run: async (turn) => {
      const { source, paths, directory } = await turn.makeSite({ remotes: 1 });
      await turn.start({ bwlimit: BWLIMIT });
      const aloneMs = await writeSmall(turn, 'alone', (written) => written < alone);
      // Made elsewhere and written in one go: what is measured is its transfer.
      writeLargeFile(join(source, 'large'), bytes);
      const pushed = turn.push({ from: 'large', to: '' });
      const hasArrived = (): boolean => statSync(join(paths[0]!, 'large'), { throwIfNoEntry: false })?.size === bytes;
      const besideMs = await writeSmall(turn, 'beside', () => !hasArrived());
      await pushed;
      if (besideMs.length === 0) throw new Error(`${directory}: the large file was there before any small one`);
      return { aloneMs, besideMs };
    },
  };
};

/** Writes one after another while `goesOn`; returns the lag of each. */
async function writeSmall(turn: Turn, prefix: string, goesOn: (written: number) => boolean): Promise<number[]> {
  const sampler = new LagSampler(turn.site.paths, KILOBYTE);
  const pushes: Promise<void>[] = [];
  const lookUntil = async (at: number): Promise<void> => {
    while (performance.now() < at) {
      sampler.look();
      await sleep(1);
    }
  };
  for (let written = 0; goesOn(written); written++) {
    turn.deadline.check('the large file on the remote');
    const name = `${prefix}-${written}`;
    writeFileSync(turn.source(name), CONTENT);
    sampler.closed(name, performance.now());
    pushes.push(turn.push({ from: name, to: '' }));
    await lookUntil(performance.now() + PAUSE_MS / 2 + turn.random.below(PAUSE_MS));
  }
  while (sampler.missing > 0) {
    if (turn.deadline.leftMs === 0) throw new TimedOut(sampler.describe());
    await lookUntil(performance.now() + PAUSE_MS);
  }
  await Promise.all(pushes);
  return [...sampler.lags[0]!];
}
