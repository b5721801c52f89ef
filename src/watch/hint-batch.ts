import { Hint } from '../core/hint.js';
import type { RelativePath } from '../core/relative-path.js';

/** What is told to the main thread in one message: `hints[i]` is about `paths[i]`. No path stands twice. */
export interface Hints {
  readonly paths: RelativePath[];
  readonly hints: Uint16Array<ArrayBuffer>;
}

/**
 * Changes gathered until the next message, one entry for each path. Paths keep the order in which they were first seen.
 */
export class HintBatch {
  private readonly slots = new Map<RelativePath, number>();
  private paths: RelativePath[] = [];
  private hints: Hint[] = [];

  get size(): number {
    return this.paths.length;
  }

  add(path: RelativePath, hint: Hint): void {
    const slot = this.slots.get(path);
    if (slot === undefined) {
      this.slots.set(path, this.paths.length);
      this.paths.push(path);
      this.hints.push(hint);
    } else {
      this.hints[slot] = mergeHints(this.hints[slot] ?? 0, hint);
    }
  }

  /** What was gathered; the batch is empty then. */
  take(): Hints {
    const taken = { paths: this.paths, hints: Uint16Array.from(this.hints) };
    this.slots.clear();
    this.paths = [];
    this.hints = [];
    return taken;
  }
}

/** Two hints about one name as one. The writer who closed the file takes back `modified`; who writes on sets it again. */
export function mergeHints(earlier: Hint, later: Hint): Hint {
  return (later & Hint.closed) === 0 ? earlier | later : (earlier & ~Hint.modified) | later;
}
