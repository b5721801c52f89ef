import { describe, expect, it } from 'vitest';

import { percentile, statisticOf } from '../../bench/statistics.js';

const ONE_TO_HUNDRED = Array.from({ length: 100 }, (_, index) => 100 - index);

describe('percentiles', () => {
  it.each([
    [50, 50],
    [95, 95],
    [99, 99],
    [100, 100],
    [0, 1],
  ])('the %i. of 1 to 100 is %i', (percent, expected) => {
    expect(percentile(ONE_TO_HUNDRED, percent)).toBe(expected);
  });

  it('are values that were measured: of few the highest is the 95th and the 99th', () => {
    expect(percentile([3, 1, 2], 95)).toBe(3);
    expect(percentile([3, 1, 2, 4], 50)).toBe(2);
    expect(percentile([7], 99)).toBe(7);
  });

  it('order numbers as numbers', () => {
    expect(statisticOf([100, 9, 20], 'median')).toBe(20);
  });

  it('of nothing there is none', () => {
    expect(() => percentile([], 50)).toThrow('no values');
  });
});
