import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { Arrivals, sizeOf } from '../arrival.js';
import { KILOBYTE } from '../files.js';
import type { ScenarioOf } from '../scenario.js';
import type { Turn } from '../turn.js';

/** What the first writes after a start take is not what a service takes that runs for weeks. */
const UNCOUNTED = 3;
const QUIET_MS = 300;
const CONTENT = Buffer.alloc(KILOBYTE, 'content ');

export const isolatedWrites: readonly ScenarioOf[] = [1, 3].map((remotes) => (isQuick) => ({
  name: `isolated-${remotes}`,
  description: `one new file of 1 KB at a time, with 0.3 to 0.5 s of quiet before it, until it is on ${remotes === 1 ? 'the remote' : `all ${remotes} remotes`}`,
  limit: 'a push of that file',
  rows: (['p50', 'p95'] as const).map((statistic) => ({
    label: `isolated write, ${remotes === 1 ? '1 remote' : `${remotes} remotes`}`,
    metric: 'lagMs',
    statistic,
    unit: 'ms',
  })),
  rounds: isQuick ? 2 : 7,
  limitMs: 120_000,
  run: async (turn) => {
    await turn.makeSite({ remotes });
    await turn.start();
    return { lagMs: await writeOneByOne(turn, isQuick ? 4 : 20, turn.site.paths, QUIET_MS) };
  },
}));

/** Writes new files, each when the one before has arrived everywhere and it has been quiet since; returns the lag of each. */
export async function writeOneByOne(
  turn: Turn,
  count: number,
  targets: readonly string[],
  quietMs: number,
): Promise<number[]> {
  const arrivals = new Arrivals(targets);
  const lags: number[] = [];
  try {
    for (let index = -UNCOUNTED; index < count; index++) {
      const name = `file-${index + UNCOUNTED}`;
      const isThere = (): boolean => targets.every((path) => sizeOf(join(path, name)) === KILOBYTE);
      // Not in step with anybody's timer.
      await sleep(quietMs + turn.random.below(200));
      writeFileSync(turn.source(name), CONTENT);
      const since = performance.now();
      const lag = await turn.measure({ from: name, to: '' }, since, () =>
        arrivals.until(isThere, turn.deadline, `${name} on every remote`),
      );
      if (index >= 0) lags.push(lag);
    }
    return lags;
  } finally {
    arrivals.close();
  }
}
