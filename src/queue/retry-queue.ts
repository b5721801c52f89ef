import { backoffMs, type Backoff } from '../core/backoff.js';
import { covers, merge, movedIf, type DirtyPath } from '../core/dirty-set.js';
import { PathTree } from '../core/path-tree.js';
import type { Scope } from '../core/scope.js';
import { isBelow, levelsBelow, parentOf, ROOT, type RelativePath } from '../core/relative-path.js';

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
  /** It stands for names in it or below it that failed, too many to be kept by name. */
  readonly isFolded: boolean;
}

/** Paths that fall due within this time come back together: many that failed must not become as many runs. */
const DUE_EVERY_MS = 100;

/**
 * The paths that one remote failed to take, each with a backoff of its own, so that a file which cannot arrive holds up
 * nothing else. A path stays here, waiting or being tried, until a run has settled it.
 */
export class RetryQueue {
  readonly #failed = new PathTree<FailedPath>();
  /** Those that wait, by the time at which they are due. */
  readonly #waiting = new Map<number, Set<RelativePath>>();
  readonly #backoff: Backoff;
  readonly #random: () => number;
  readonly #maxPaths: number;

  /** Beyond `maxPaths` a failure is kept as one of its directory, beyond twice as many as one of the whole tree. */
  constructor(backoff: Backoff, random: () => number, maxPaths = 10_000) {
    this.#backoff = backoff;
    this.#random = random;
    this.#maxPaths = maxPaths;
  }

  get size(): number {
    return this.#failed.size;
  }

  *[Symbol.iterator](): Generator<FailedPath> {
    for (const [, failed] of this.#failed.entries()) yield failed;
  }

  get(path: RelativePath): FailedPath | undefined {
    return this.#failed.get(path);
  }

  has(path: RelativePath): boolean {
    return this.#failed.get(path) !== undefined;
  }

  /** Takes a path that has just failed at `now`; what is kept may be a directory above it (`isFolded`). */
  add(dirty: DirtyPath, failure: Failure, now: number): FailedPath {
    const place = this.#placeOf(dirty);
    const before = this.#failed.get(place.path);
    const isFolded = before?.isFolded ?? place.path !== dirty.path;
    // The names that a folded path stands for fail one after the other, and that counts once.
    const isCounted = isFolded && before?.dueAt !== undefined;
    const attempts = isCounted ? before.attempts : (before?.attempts ?? 0) + 1;
    const failed: FailedPath = {
      ...(before === undefined ? place : { path: place.path, ...merge(place, before) }),
      failure,
      attempts,
      dueAt: isCounted ? before.dueAt : roundUp(now + backoffMs(this.#backoff, attempts, this.#random())),
      isFolded,
    };
    this.#put(failed);
    return failed;
  }

  /** The paths that are due at `now`: from now on they are being tried. */
  takeDue(now: number): DirtyPath[] {
    const due: DirtyPath[] = [];
    for (const [time, paths] of [...this.#waiting]) {
      if (time > now) continue;
      for (const path of paths) {
        const failed = this.#failed.get(path);
        if (failed === undefined) continue;
        this.#failed.set(path, { ...failed, dueAt: undefined });
        due.push(failed);
      }
      this.#waiting.delete(time);
    }
    return due;
  }

  /**
   * A path that was being tried by one of the looks is looked at in another scope from now on: it turned out to be no
   * directory, or was divided. What none of them covers has a look of its own, which is to settle it.
   */
  rescope(path: RelativePath, scope: Scope, looks: readonly DirtyPath[]): void {
    const failed = this.#failed.get(path);
    const isAtOrAbove = (look: DirtyPath): boolean => look.path === path || isBelow(path, look.path);
    if (failed === undefined) return;
    if (looks.some((look) => isAtOrAbove(look) && covers(look, failed, levelsTo(path, look.path))))
      this.#failed.set(path, { ...failed, scope });
  }

  /** When the next waiting path is due. */
  nextDue(): number | undefined {
    let next: number | undefined;
    for (const time of this.#waiting.keys()) next = Math.min(next ?? time, time);
    return next;
  }

  /** Lets go of, and returns, what a clean look has settled, but for what `isStillFailing`. */
  settle(look: DirtyPath, isStillFailing: (failed: FailedPath) => boolean): FailedPath[] {
    const settled = this.#under(look).filter(
      (failed) => covers(look, failed, levelsTo(failed.path, look.path)) && !isStillFailing(failed),
    );
    for (const failed of settled) this.#drop(failed);
    return settled;
  }

  /**
   * The paths being tried whose mark may have been folded into one of these looks: when the looks are over and have not
   * settled them, nothing else will.
   */
  triedBy(looks: readonly DirtyPath[]): FailedPath[] {
    if (this.#failed.size === 0) return [];
    return looks.flatMap((look) =>
      this.#under(look).filter(
        (failed) =>
          failed.dueAt === undefined && covers(look, { ...failed, gone: false }, levelsTo(failed.path, look.path)),
      ),
    );
  }

  /** The failed paths at the path of a look, and below it where the look goes deeper. */
  #under(look: DirtyPath): FailedPath[] {
    if (this.#failed.size === 0) return [];
    const at = this.#failed.get(look.path);
    const under = at === undefined ? [] : [at];
    if (look.gone || look.scope !== 'entry') for (const [, failed] of this.#failed.below(look.path)) under.push(failed);
    return under;
  }

  #placeOf(dirty: DirtyPath): DirtyPath {
    const { path, scope, moved, since } = dirty;
    const size = this.#failed.size;
    if (size < this.#maxPaths || this.has(path)) return dirty;
    const wide = { gone: false, alone: false, since, ...movedIf(moved) };
    if (size >= 2 * this.#maxPaths) return { path: ROOT, scope: 'subtree', ...wide };
    return { path: parentOf(path), scope: scope === 'entry' ? 'listing' : 'subtree', ...wide };
  }

  #put(failed: FailedPath): void {
    const before = this.#failed.get(failed.path);
    if (before !== undefined) this.#forgetTime(before);
    this.#failed.set(failed.path, failed);
    if (failed.dueAt === undefined) return;
    const paths = this.#waiting.get(failed.dueAt);
    if (paths === undefined) this.#waiting.set(failed.dueAt, new Set([failed.path]));
    else paths.add(failed.path);
  }

  #drop(failed: FailedPath): void {
    this.#forgetTime(failed);
    this.#failed.delete(failed.path);
  }

  #forgetTime({ path, dueAt }: FailedPath): void {
    if (dueAt === undefined) return;
    const paths = this.#waiting.get(dueAt);
    paths?.delete(path);
    if (paths?.size === 0) this.#waiting.delete(dueAt);
  }
}

function roundUp(time: number): number {
  return Math.ceil(time / DUE_EVERY_MS) * DUE_EVERY_MS;
}

function levelsTo(path: RelativePath, look: RelativePath): number {
  return path === look ? 0 : levelsBelow(path, look);
}
