import { describe, expect, test } from 'vitest';
import { backoffMs } from '../../../src/core/backoff.js';
import { Random } from '../../support/random.js';

const backoff = { firstMs: 250, maxMs: 5_000 };

describe('backoff', () => {
  test.each([
    { attempts: 1, ms: 250 },
    { attempts: 2, ms: 500 },
    { attempts: 3, ms: 1_000 },
    { attempts: 5, ms: 4_000 },
    { attempts: 6, ms: 5_000 },
    { attempts: 1_000_000, ms: 5_000 },
  ])('waits $ms ms after $attempts failures in a row', ({ attempts, ms }) => {
    expect(backoffMs(backoff, attempts, 0)).toBe(ms);
  });

  test('never waits less than half of that, and never more', () => {
    const random = new Random(1);
    for (let attempts = 1; attempts < 200; attempts++) {
      const full = backoffMs(backoff, attempts, 0);
      const waited = backoffMs(backoff, attempts, random.next());
      expect(waited, `attempt ${attempts}`).toBeGreaterThan(full / 2);
      expect(waited, `attempt ${attempts}`).toBeLessThanOrEqual(full);
    }
  });
});
