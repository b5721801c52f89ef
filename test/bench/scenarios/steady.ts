import { closeSync, openSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

import { LagSampler } from '../lag-sampler.js';
import { KILOBYTE, makeDirectories } from '../files.js';
import { type Row, type ScenarioOf, stallRow, type Values } from '../scenario.js';
import type { Turn } from '../turn.js';

const REMOTES = [1, 2, 3];
const DIRECTORIES = Array.from({ length: 100 }, (_, index) => `directory-${index}`);
/** Of so many changes a second the lag is taken. */
const SAMPLES_PER_SECOND = 50;
/** What is written late was written at another rate. */
const LATE = 1.1;
const CONTENT = Buffer.alloc(KILOBYTE, 'content ');

export const steadyChanges: readonly ScenarioOf[] = [50, 500, 5_000].map((rate) => (isQuick) => {
  const seconds = isQuick ? 4 : 60;
  return {
    name: `steady-${rate}`,
    description: `${rate} new files of 1 KB a second for ${seconds} s, in ${DIRECTORIES.length} directories, to ${REMOTES.length} remotes; the lag from a file's close until it is on a remote, of ${Math.min(rate, SAMPLES_PER_SECOND)} files a second`,
    limit: 'no part in it: nobody tells it of each change',
    excludes: { rsync: 'it would have to be told of each change' },
    rows: rowsOf(`${rate} changes a second`),
    rounds: isQuick ? 1 : 3,
    limitMs: (seconds + 120) * 1_000,
    run: async (turn) => {
      const { source, paths } = await turn.makeSite({ remotes: REMOTES.length });
      for (const root of [source, ...paths]) makeDirectories(root, { directories: DIRECTORIES, filesInEach: 0 });
      await turn.start();
      return await changeSteadily(turn, rate, seconds);
    },
  };
});

function rowsOf(label: string): Row[] {
  return [
    { label: `${label}: lag, all remotes`, metric: 'lagMs', statistic: 'p50', unit: 'ms' },
    ...REMOTES.map((remote): Row => {
      return { label: `${label}: lag, remote ${remote}`, metric: `lag${remote}Ms`, statistic: 'p99', unit: 'ms' };
    }),
    { label: `${label}: CPU without rsync`, metric: 'ownCpu', statistic: 'median', unit: 'percent of a core' },
    { label: `${label}: CPU with rsync`, metric: 'allCpu', statistic: 'median', unit: 'percent of a core' },
    { label: `${label}: memory at the end, without rsync`, metric: 'ownBytes', statistic: 'median', unit: 'bytes' },
    stallRow(label),
  ];
}

async function changeSteadily(turn: Turn, rate: number, seconds: number): Promise<Values> {
  const sampler = new LagSampler(turn.site.paths, KILOBYTE);
  const sampleEvery = Math.max(1, Math.round(rate / SAMPLES_PER_SECOND));
  const before = turn.usage();
  const begin = performance.now();
  for (let written = 0; written < rate * seconds;) {
    const due = Math.min(rate * seconds, Math.floor(((performance.now() - begin) * rate) / 1_000));
    for (; written < due; written++) {
      const name = `${DIRECTORIES[written % DIRECTORIES.length]!}/file-${written}`;
      writeAndClose(turn.source(name));
      if (written % sampleEvery === 0) sampler.closed(name, performance.now());
    }
    sampler.look();
    await sleep(1);
  }
  const elapsedMs = performance.now() - begin;
  if (elapsedMs > seconds * 1_000 * LATE) throw new Error(`the machine writes no ${rate} files a second`);
  const after = turn.usage();
  await turn.deadline.until(
    () => {
      sampler.look();
      return sampler.missing === 0;
    },
    () => sampler.describe(),
    1,
  );
  const percentOfCore = (one: number, other: number): number => ((other - one) / elapsedMs) * 100;
  return {
    lagMs: sampler.lags.flat(),
    ...Object.fromEntries(sampler.lags.map((lags, index) => [`lag${index + 1}Ms`, lags])),
    ownCpu: [percentOfCore(before.ownCpuMs, after.ownCpuMs)],
    allCpu: [percentOfCore(before.allCpuMs, after.allCpuMs)],
    ownBytes: [after.ownResidentBytes],
    ...(await turn.stalls()),
  };
}

function writeAndClose(path: string): void {
  const file = openSync(path, 'w');
  writeSync(file, CONTENT);
  closeSync(file);
}
