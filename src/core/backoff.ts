/** How long to wait before the next attempt. */
export interface Backoff {
  readonly firstMs: number;
  readonly maxMs: number;
}

/**
 * Milliseconds to wait after `attempts` failures in a row (from 1): doubled each time up to `maxMs`, then shortened by up
 * to half at `random` (0 to 1), so that what failed together does not come back together.
 */
export function backoffMs({ firstMs, maxMs }: Backoff, attempts: number, random: number): number {
  const full = Math.min(maxMs, firstMs * 2 ** Math.min(attempts - 1, 30));
  return full * (1 - random / 2);
}
