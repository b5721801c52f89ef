import { expect, test } from 'vitest';

import { Pace, paceOf } from '../../../src/replicate/pace.js';

/** When each of so many runs may begin, where each is wanted at once. */
function beginningsOf(pace: Pace, count: number, from: number): number[] {
  let now = from;
  return Array.from({ length: count }, () => {
    now = Math.max(now, pace.freeAt());
    pace.began(now);
    return now;
  });
}

test('the first begin at once, then one follows the other', () => {
  const pace = new Pace({ atOnce: 3, perSecond: 20 });
  expect(beginningsOf(pace, 6, 1_000)).toEqual([1_000, 1_000, 1_000, 1_050, 1_100, 1_150]);
});

test('a while without any gives as many a head start again, and no more', () => {
  const pace = new Pace({ atOnce: 3, perSecond: 20 });
  beginningsOf(pace, 5, 1_000);
  expect(beginningsOf(pace, 2, 1_150)).toEqual([1_150, 1_200]);
  expect(beginningsOf(pace, 5, 60_000)).toEqual([60_000, 60_000, 60_000, 60_050, 60_100]);
});

test('those that come no more often than the pace wait for nothing', () => {
  const pace = new Pace({ atOnce: 1, perSecond: 20 });
  for (let now = 0; now < 10_000; now += 50) {
    expect(pace.freeAt()).toBeLessThanOrEqual(now);
    pace.began(now);
  }
});

test.each([
  { remotes: 1, cores: 2, perSecond: 20 },
  { remotes: 3, cores: 2, perSecond: 20 },
  { remotes: 6, cores: 2, perSecond: 10 },
  { remotes: 6, cores: 8, perSecond: 20 },
  { remotes: 100, cores: 1, perSecond: 4 },
  { remotes: 0, cores: 1, perSecond: 20 },
])('$remotes remotes and $cores cores: $perSecond a second for each', ({ remotes, cores, perSecond }) => {
  expect(paceOf(remotes, cores).perSecond).toBe(perSecond);
});
