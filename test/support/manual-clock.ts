import type { Clock } from '../../src/clock.js';

/** A clock that stands until it is moved. */
export class ManualClock implements Clock {
  #now = 1_000_000;
  readonly #timers = new Set<{ at: number; action: () => void }>();

  now(): number {
    return this.#now;
  }

  after(delayMs: number, action: () => void): () => void {
    const timer = { at: this.#now + delayMs, action };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** How many timers wait. */
  get waiting(): number {
    return this.#timers.size;
  }

  advance(ms: number): void {
    const until = this.#now + ms;
    for (let next = this.#next(until); next !== undefined; next = this.#next(until)) this.#fire(next);
    this.#now = until;
  }

  /** Moves to the next timer and fires it; false when none waits. */
  advanceToNext(): boolean {
    const next = this.#next(Infinity);
    if (next === undefined) return false;
    this.#fire(next);
    return true;
  }

  #next(until: number): { at: number; action: () => void } | undefined {
    let next: { at: number; action: () => void } | undefined;
    for (const timer of this.#timers) if (timer.at <= until && timer.at < (next?.at ?? Infinity)) next = timer;
    return next;
  }

  #fire(timer: { at: number; action: () => void }): void {
    this.#timers.delete(timer);
    this.#now = Math.max(this.#now, timer.at);
    timer.action();
  }
}
