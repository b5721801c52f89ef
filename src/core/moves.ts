import { ancestorsOf, isBelow, type RelativePath } from './relative-path.js';

/** Less, in one file or in all of a directory, is sent again sooner than it is found under its old name. */
export const WORTH_MOVING_BYTES = 1024 * 1024;

/** More are forgotten: what they were about is sent again. */
const MAX_MOVES = 1_000;

/**
 * Renames within the tree that one remote has not followed yet: what is at the new name now, the remote may have at the old
 * one. Hints alone: what is there decides, and a wrong one costs a comparison.
 */
export class Moves {
  /** The name on the remote by the new name. */
  readonly #origins = new Map<RelativePath, RelativePath>();

  /** Renames follow one another: what was moved twice is on the remote under its first name. */
  add(from: RelativePath, to: RelativePath): void {
    const origin = this.#origins.get(from) ?? from;
    this.#origins.delete(from);
    this.#origins.delete(to);
    for (const [path, below] of [...this.#origins]) {
      if (!isBelow(path, from)) continue;
      this.#origins.delete(path);
      this.#origins.set(to + path.slice(from.length), below);
    }
    if (origin !== to && !isBelow(to, origin) && this.#origins.size < MAX_MOVES) this.#origins.set(to, origin);
  }

  has(path: RelativePath): boolean {
    return this.#origins.has(path);
  }

  /** Where the remote may have what is at the path now; that is asked once. */
  take(path: RelativePath): RelativePath | undefined {
    const origin = this.#origins.get(path);
    this.#origins.delete(path);
    return origin;
  }

  /**
   * The old names, and the directories above them, that must stay on the remote for now; `isOpen`: the new name has not been
   * looked at yet. Moves that are not open any more are forgotten.
   */
  awaited(isOpen: (path: RelativePath) => boolean): ReadonlySet<RelativePath> {
    const awaited = new Set<RelativePath>();
    for (const [path, origin] of this.#origins) {
      if (!isOpen(path)) {
        this.#origins.delete(path);
        continue;
      }
      awaited.add(origin);
      for (const above of ancestorsOf(origin)) awaited.add(above);
    }
    return awaited;
  }

  get size(): number {
    return this.#origins.size;
  }
}
