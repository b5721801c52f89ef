import { describe, expect, it } from 'vitest';

import type { FaultCounts } from './episode.js';
import { ALL_KINDS, shortSoak } from './runs.js';

/** The last one is another each time. `npm run soak` takes more of them, and longer. */
const SEEDS = [1, 2, 3, 4, Math.floor(Math.random() * 1_000_000)];

describe('the short soak', () => {
  const { faults, without } = ALL_KINDS;

  // Each kind of fault once, dealt to the seeds.
  for (const [index, seed] of SEEDS.entries()) {
    const dealt = faults.filter((_, number) => number % SEEDS.length === index);
    const names = dealt.map(({ name }) => name);
    it(`ends with every remote equal to the source after ${names.join(', ')} (seed ${seed})`, async () => {
      const happened: FaultCounts = new Map();
      await shortSoak(seed, happened, { faults: dealt, without });
      expect([...happened.keys()]).toEqual(expect.arrayContaining(names));
    }, 300_000);
  }
});
