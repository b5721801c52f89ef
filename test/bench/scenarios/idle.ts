import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { makeDirectories, shapeOf, writeFiles } from '../files.js';
import type { ScenarioOf } from '../scenario.js';

const REMOTES = 3;
const FILES = 1_000;
const LAST = 'last';
const SETTLE_MS = 1_000;

export const idle: ScenarioOf = (isQuick) => {
  const seconds = isQuick ? 3 : 20;
  return {
    name: 'idle',
    description: `one root with ${FILES} files, ${REMOTES} remotes that are equal to it, one change that reaches them, and then ${seconds} s in which nothing happens`,
    limit: 'no part in it: nothing of it runs',
    excludes: { rsync: 'nothing of it runs between two changes' },
    rows: [
      { label: 'idle: CPU without rsync', metric: 'ownCpu', statistic: 'median', unit: 'percent of a core' },
      { label: 'idle: CPU with rsync', metric: 'allCpu', statistic: 'median', unit: 'percent of a core' },
      { label: 'idle: memory without rsync', metric: 'ownBytes', statistic: 'median', unit: 'bytes' },
      { label: 'idle: memory with rsync', metric: 'allBytes', statistic: 'median', unit: 'bytes' },
    ],
    rounds: isQuick ? 1 : 5,
    limitMs: 90_000,
    run: async (turn) => {
      const { source } = await turn.makeSite({ remotes: REMOTES });
      const shape = shapeOf('tree', FILES);
      makeDirectories(source, shape);
      writeFiles(source, shape);
      turn.site.seed();
      await turn.start();
      // Whoever keeps something ready for the next change has had a change to do so.
      writeFileSync(turn.source(LAST), LAST);
      await turn.deadline.until(
        () => turn.site.paths.every((remote) => existsSync(join(remote, LAST))),
        'the last change before it is quiet',
      );
      await sleep(SETTLE_MS);
      const before = turn.usage();
      await sleep(seconds * 1_000);
      const after = turn.usage();
      const percentOfCore = (one: number, other: number): number => (other - one) / (seconds * 10);
      return {
        ownCpu: [percentOfCore(before.ownCpuMs, after.ownCpuMs)],
        allCpu: [percentOfCore(before.allCpuMs, after.allCpuMs)],
        ownBytes: [after.ownResidentBytes],
        allBytes: [after.allResidentBytes],
      };
    },
  };
};
