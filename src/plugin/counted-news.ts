import type { Clock } from '../clock.js';

/** Tells the first of many at once, and of the others once in an interval, with their number and the latest of them. */
export class CountedNews<Detail> {
  readonly #clock: Clock;
  readonly #everyMs: number;
  readonly #tell: (detail: Detail, count: number) => void;
  #untold = 0;
  #latest: Detail | undefined;
  #cancelTimer: (() => void) | undefined;

  constructor(clock: Clock, everyMs: number, tell: (detail: Detail, count: number) => void) {
    this.#clock = clock;
    this.#everyMs = everyMs;
    this.#tell = tell;
  }

  add(detail: Detail, count = 1): void {
    this.#untold += count;
    this.#latest = detail;
    if (this.#cancelTimer === undefined) this.#tellNow();
  }

  /** Tells what was not told yet. */
  flush(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#tellUntold();
  }

  #tellNow(): void {
    this.#tellUntold();
    this.#cancelTimer = this.#clock.after(this.#everyMs, () => {
      this.#cancelTimer = undefined;
      if (this.#untold > 0) this.#tellNow();
    });
  }

  #tellUntold(): void {
    const detail = this.#latest;
    if (this.#untold === 0 || detail === undefined) return;
    const count = this.#untold;
    this.#untold = 0;
    this.#latest = undefined;
    this.#tell(detail, count);
  }
}
