export interface GatheringTimes {
  /** So long after the last one that came ... */
  readonly afterLastMs: number;
  /** ... and at most so long after the first. */
  readonly atMostMs: number;
}

/** What comes in quick succession goes together: says how long to wait for more of it. */
export class Gathering {
  readonly #times: GatheringTimes;
  #count = 0;
  #cameAt: { readonly first: number; readonly last: number } | undefined;

  constructor(times: GatheringTimes) {
    this.#times = times;
  }

  /** Takes how many there are now; more than before: some have come. */
  see(count: number, now: number): void {
    if (count > this.#count) this.#cameAt = { first: this.#cameAt?.first ?? now, last: now };
    this.#count = count;
  }

  /** A run has taken of them, and left so many. */
  taken(left: number): void {
    this.#count = left;
    this.#cameAt = undefined;
  }

  /** Until when no more is likely to come; long ago where nothing has come since some were taken. */
  quietAt(): number {
    return this.#cameAt === undefined ? -Infinity : this.#cameAt.last + this.#times.afterLastMs;
  }

  /** Until when to wait for more. */
  until(): number {
    return this.#cameAt === undefined ? -Infinity : Math.min(this.quietAt(), this.#cameAt.first + this.#times.atMostMs);
  }
}
