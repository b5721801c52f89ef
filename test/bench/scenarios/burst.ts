import { setTimeout as sleep } from 'node:timers/promises';

import { Counted } from '../arrival.js';
import { KILOBYTE, makeDirectories, shapeOf, writeFiles } from '../files.js';
import { type ScenarioOf, stallRow } from '../scenario.js';

const REMOTES = 3;
/** A service runs for months: its first bursts after a start say little. */
const WARM_UP_FILES = 10_000;
const QUIET_MS = 2_000;

export const bursts: readonly ScenarioOf[] = [1_000, 10_000, 100_000].map((full) => (isQuick) => {
  const [files, warmUpFiles] = [full, WARM_UP_FILES].map((count) => (isQuick ? count / 20 : count)) as [number, number];
  return {
    name: `burst-${full}`,
    description: `${files} new files of 1 KB in directories of 100, as fast as they can be written, from the last write until all are on all ${REMOTES} remotes; sersync, which is compiled as it runs, has had such a burst of ${warmUpFiles} before`,
    limit: 'a push of the finished tree',
    rows: [
      { label: `burst of ${files} files, ${REMOTES} remotes`, metric: 'lagMs', statistic: 'median', unit: 'ms' },
      stallRow(`burst of ${files} files`),
    ],
    rounds: isQuick ? 2 : full > 10_000 ? 5 : 7,
    limitMs: full > 10_000 ? 900_000 : 90_000,
    run: async (turn) => {
      await turn.makeSite({ remotes: REMOTES });
      const burst = async (name: string, shape: ReturnType<typeof shapeOf>): Promise<number> => {
        writeFiles(turn.site.source, shape);
        const since = performance.now();
        const counted = new Counted(turn.site.paths, shape.directories, shape.filesInEach, KILOBYTE);
        return await turn.measure({ from: `${name}/`, to: `${name}/` }, since, () => counted.until(turn.deadline));
      };
      const [warmUp, counted] = [shapeOf('warm-up', warmUpFiles), shapeOf('burst', files)];
      // They are there before: what is measured is files.
      for (const root of [turn.site.source, ...turn.site.paths]) {
        for (const shape of [warmUp, counted]) makeDirectories(root, shape);
      }
      await turn.start();
      if (turn.contestant.warmsUp) {
        await burst('warm-up', warmUp);
        await sleep(QUIET_MS);
      }
      return { lagMs: [await burst('burst', counted)], ...(await turn.stalls()) };
    },
  };
});
