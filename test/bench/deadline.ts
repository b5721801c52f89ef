import { setTimeout as sleep } from 'node:timers/promises';

/** A contestant has not done in time what a scenario asks for. */
export class TimedOut extends Error {}

/** What is waited for, in words; a function where it is dear to say. */
export type Awaited = string | (() => string);

/** How long a contestant has for its turn. */
export class Deadline {
  #end: number;
  #isExpired = false;

  constructor(private readonly limitMs: number) {
    this.#end = performance.now() + limitMs;
  }

  get leftMs(): number {
    return Math.max(0, this.#end - performance.now());
  }

  /** Nobody waits any longer. */
  expire(): void {
    this.#isExpired = true;
    this.#end = 0;
  }

  /** Fails when the time is over. */
  check(awaited: Awaited): void {
    if (this.leftMs > 0) return;
    if (this.#isExpired) throw new TimedOut('the turn was ended');
    const what = typeof awaited === 'string' ? awaited : awaited();
    throw new TimedOut(`not within ${(this.limitMs / 1000).toFixed(0)} s: ${what}`);
  }

  /** Looks at `condition` until it holds; returns when that was seen. */
  async until(condition: () => boolean, awaited: Awaited, everyMs = 2): Promise<number> {
    for (;;) {
      if (condition()) return performance.now();
      this.check(awaited);
      await sleep(everyMs);
    }
  }
}
