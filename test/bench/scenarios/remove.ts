import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { Arrivals } from '../arrival.js';
import { makeDirectories, shapeOf, writeFiles } from '../files.js';
import type { ScenarioOf } from '../scenario.js';

const REMOTES = 3;

export const remove: ScenarioOf = (isQuick) => {
  const files = isQuick ? 500 : 10_000;
  return {
    name: 'remove-10000',
    description: `\`rm -rf\` of a directory with ${files} files in directories of 100, from its end until it is gone on all ${REMOTES} remotes`,
    limit: 'a push of the whole tree with --delete',
    rows: [{ label: `rm -rf of ${files} files, ${REMOTES} remotes`, metric: 'lagMs', statistic: 'median', unit: 'ms' }],
    rounds: isQuick ? 2 : 7,
    limitMs: 180_000,
    run: async (turn) => {
      const site = await turn.makeSite({ remotes: REMOTES });
      for (const below of ['kept', 'removed']) {
        const shape = shapeOf(below, files);
        makeDirectories(site.source, shape);
        writeFiles(site.source, shape);
      }
      site.seed();
      await turn.start();
      const arrivals = new Arrivals(site.paths);
      try {
        execFileSync('rm', ['-rf', turn.source('removed')]);
        const since = performance.now();
        const isGone = (): boolean => site.paths.every((path) => !existsSync(join(path, 'removed')));
        const lag = await turn.measure({ from: '', to: '', isWithDeletions: true }, since, () =>
          arrivals.until(isGone, turn.deadline, 'the directory is gone on every remote'),
        );
        return { lagMs: [lag] };
      } finally {
        arrivals.close();
      }
    },
  };
};
