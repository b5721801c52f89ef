import { setTimeout as sleep } from 'node:timers/promises';

export interface Patience {
  readonly withinMs: number;
  /** Between two looks. */
  readonly everyMs?: number;
}

/** Looks until `look` gives something else than `undefined` or false, and returns that; fails with `complaint()`. */
export async function eventually<T>(
  look: () => T | undefined | false | Promise<T | undefined | false>,
  { withinMs, everyMs = 20 }: Patience,
  complaint: () => string,
): Promise<T> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    const leftMs = deadline - performance.now();
    if (leftMs <= 0) throw new Error(`not within ${withinMs} ms: ${complaint()}`);
    // The last look begins at the deadline, however long it takes itself.
    await sleep(Math.min(everyMs, leftMs));
  }
}

/** Fails as soon as `holds` says false during `forMs`. For promises that something does *not* happen. */
export async function holdsFor(holds: () => boolean, forMs: number, complaint: () => string): Promise<void> {
  const deadline = performance.now() + forMs;
  while (performance.now() < deadline) {
    if (!holds()) throw new Error(complaint());
    await sleep(20);
  }
}
