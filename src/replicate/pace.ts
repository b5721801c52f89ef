export interface PaceLimits {
  /** So many begin at once, when none has for a while ... */
  readonly atOnce: number;
  /** ... and so many in a second for as long as it goes on. */
  readonly perSecond: number;
}

/** How quickly runs may follow one another. */
export class Pace {
  readonly #intervalMs: number;
  readonly #headStartMs: number;
  /** When the next one would begin, had all begun one interval after the other. */
  #inStepAt = -Infinity;

  constructor({ atOnce, perSecond }: PaceLimits) {
    this.#intervalMs = 1_000 / perSecond;
    this.#headStartMs = (atOnce - 1) * this.#intervalMs;
  }

  began(now: number): void {
    this.#inStepAt = Math.max(now, this.#inStepAt) + this.#intervalMs;
  }

  /** When the next one may begin. */
  freeAt(): number {
    return this.#inStepAt - this.#headStartMs;
  }
}

/** A run takes 8 to 25 ms of cores, both sides together: with an rsync that waited, and with one that did not (rsync 3.5.0). */
const PER_SECOND_AND_CORE = 30;
const PER_SECOND = { least: 4, most: 20 };
const AT_ONCE = 20;

/** The pace of each remote, of so many that share the cores of this machine. */
export function paceOf(remotes: number, cores: number): PaceLimits {
  const share = (PER_SECOND_AND_CORE * cores) / Math.max(1, remotes);
  return { atOnce: AT_ONCE, perSecond: Math.min(PER_SECOND.most, Math.max(PER_SECOND.least, share)) };
}
