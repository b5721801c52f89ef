import type { Clock } from '../clock.js';
import type { RunReport } from '../replicate/ports.js';
import type { DeletesBy } from './delete-rules.js';

/** So that a remote that was updated is served in the fast way again. */
const FORGET_AFTER_MS = 60 * 60_000;

/** Remembers of one remote whether it must be told by rules what to delete. */
export class DeleteMemory {
  readonly #clock: Clock;
  readonly #onRules: () => void;
  #rulesUntil = -Infinity;
  #isTold = false;

  /** `onRules` is called once, when it is first found out. */
  constructor(clock: Clock, onRules: () => void) {
    this.#clock = clock;
    this.#onRules = onRules;
  }

  /** How the next run should delete. */
  get deletesBy(): DeletesBy {
    return this.#clock.now() < this.#rulesUntil ? 'rules' : 'names';
  }

  /** Takes notice of how a run deleted that was `told` how to begin. */
  learn(told: DeletesBy, { deletesBy }: Pick<RunReport, 'deletesBy'>): void {
    // A run by rules that was told to says nothing new: else a busy remote would never be forgotten.
    if (told === 'rules' || deletesBy !== 'rules') return;
    this.#rulesUntil = this.#clock.now() + FORGET_AFTER_MS;
    if (this.#isTold) return;
    this.#isTold = true;
    this.#onRules();
  }
}
