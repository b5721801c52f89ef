import { backoffMs, type Backoff } from '../core/backoff.js';
import { covers, type DirtyPath } from '../core/dirty-set.js';
import type { Scope } from '../core/scope.js';
import { isBelow, levelsBelow, type RelativePath } from '../core/relative-path.js';

/** Why a path did not arrive, for the log and the fail log. */
export interface Failure {
  /** rsync's exit code; -1 when it had none. */
  readonly exitCode: number;
  readonly reason: string;
  readonly command: readonly string[];
}

export interface FailedPath extends DirtyPath {
  readonly failure: Failure;
  /** How often it has failed in a row. */
  readonly attempts: number;
  /** When it is due again; `undefined` while it is being tried. */
  readonly dueAt: number | undefined;
}

/**
 * The paths that one remote failed to take, each with a backoff of its own, so that a file which cannot arrive holds up
 * nothing else. A path stays here, waiting or being tried, until a run has settled it.
 */
export class RetryQueue {
  readonly #failed = new Map<RelativePath, FailedPath>();
  readonly #backoff: Backoff;
  readonly #random: () => number;

  constructor(backoff: Backoff, random: () => number) {
    this.#backoff = backoff;
    this.#random = random;
  }

  get size(): number {
    return this.#failed.size;
  }

  [Symbol.iterator](): Iterator<FailedPath> {
    return this.#failed.values();
  }

  has(path: RelativePath): boolean {
    return this.#failed.has(path);
  }

  /** Takes a path that has just failed at `now`. */
  add(dirty: DirtyPath, failure: Failure, now: number): FailedPath {
    const before = this.#failed.get(dirty.path);
    const attempts = (before?.attempts ?? 0) + 1;
    const failed: FailedPath = {
      ...dirty,
      since: Math.min(dirty.since, before?.since ?? dirty.since),
      gone: dirty.gone || (before?.gone ?? false),
      failure,
      attempts,
      dueAt: now + backoffMs(this.#backoff, attempts, this.#random()),
    };
    this.#failed.set(dirty.path, failed);
    return failed;
  }

  /** The paths that are due at `now`: from now on they are being tried. */
  takeDue(now: number): DirtyPath[] {
    const due: DirtyPath[] = [];
    for (const [path, failed] of this.#failed) {
      if (failed.dueAt === undefined || failed.dueAt > now) continue;
      due.push(failed);
      this.#failed.set(path, { ...failed, dueAt: undefined });
    }
    return due;
  }

  /** A path is looked at in another scope from now on: it turned out to be no directory. */
  rescope(path: RelativePath, scope: Scope): void {
    const failed = this.#failed.get(path);
    if (failed !== undefined) this.#failed.set(path, { ...failed, scope });
  }

  /** When the next waiting path is due. */
  nextDue(): number | undefined {
    let next: number | undefined;
    for (const { dueAt } of this.#failed.values()) if (dueAt !== undefined) next = Math.min(next ?? dueAt, dueAt);
    return next;
  }

  /** Lets go of, and returns, what a clean look has settled, but for what `isStillFailing`. */
  settle(look: DirtyPath, isStillFailing: (path: RelativePath) => boolean): FailedPath[] {
    if (this.#failed.size === 0) return [];
    const settled: FailedPath[] = [];
    const consider = (failed: FailedPath | undefined): void => {
      if (failed === undefined || isStillFailing(failed.path)) return;
      this.#failed.delete(failed.path);
      settled.push(failed);
    };
    consider(this.#failed.get(look.path));
    if (look.gone || look.scope !== 'entry') {
      for (const failed of [...this.#failed.values()]) {
        if (isBelow(failed.path, look.path) && covers(look, failed, levelsBelow(failed.path, look.path)))
          consider(failed);
      }
    }
    return settled;
  }
}
