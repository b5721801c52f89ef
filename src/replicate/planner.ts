import { conflicts, kindOf, type DirtyPath, type DirtySet, type Mark, type MarkKind } from '../core/dirty-set.js';
import { PathTree } from '../core/path-tree.js';
import { levelsBelow, ROOT, type RelativePath } from '../core/relative-path.js';

/**
 * What a batch is made of. Batches of different kinds may be in flight together, each in a lane of its own:
 *
 * - `entries`: many names in one run; kept short, for this is what people wait for.
 * - `trees`: directories that appeared or must be looked at as a whole.
 * - `large`: one large file.
 * - `resync`: directories of a full resync.
 * - `sweep`: where runs that broke off may have left partial files.
 */
export type BatchKind = (typeof BATCH_KINDS)[number];
export const BATCH_KINDS = ['entries', 'trees', 'large', 'resync', 'sweep'] as const;

/** The paths of one remote that are in flight, for the question whether a path must wait. */
export class InFlight {
  readonly #paths = new PathTree<Pick<Mark, 'scope' | 'gone' | 'since'>>();

  get size(): number {
    return this.#paths.size;
  }

  add(batch: readonly DirtyPath[]): void {
    for (const dirty of batch) this.#paths.set(dirty.path, dirty);
  }

  remove(batch: readonly DirtyPath[]): void {
    // A look that was added later at the same path waits for this one to end, and stays.
    for (const dirty of batch) if (this.#paths.get(dirty.path) === dirty) this.#paths.delete(dirty.path);
  }

  has(path: RelativePath): boolean {
    return this.#paths.get(path) !== undefined;
  }

  /** Whether a look at `path` would meet one that is in flight. */
  blocks(path: RelativePath, mark: Mark): boolean {
    if (this.#paths.size === 0) return false;
    if (this.has(path) || this.#paths.findAbove(path, conflicts) !== undefined) return true;
    if (mark.scope === 'entry' && !mark.gone) return false;
    for (const [below] of this.#paths.below(path)) {
      if (conflicts(mark, levelsBelow(below, path))) return true;
    }
    return false;
  }

  /** Whether everything below `path` must wait. */
  closes(path: RelativePath): boolean {
    const mark = this.#paths.size === 0 ? undefined : this.#paths.get(path);
    return mark !== undefined && (mark.gone || mark.scope === 'subtree');
  }

  oldest(): number | undefined {
    let oldest: number | undefined;
    for (const [, { since }] of this.#paths.entries()) oldest = Math.min(oldest ?? since, since);
    return oldest;
  }
}

/**
 * Takes the next batch of a kind out of the set: at most `limit` paths of one scope, none of which must wait, for a run in
 * flight or because of `mustWait`.
 */
export function takeBatch(
  dirty: DirtySet,
  kind: BatchKind,
  inFlight: InFlight,
  limit: number,
  mustWait: (path: RelativePath, mark: Mark) => boolean = () => false,
): DirtyPath[] {
  const mayGo = (path: RelativePath, mark: Mark): boolean => !inFlight.blocks(path, mark) && !mustWait(path, mark);
  const take = (markKind: MarkKind, most: number): DirtyPath[] =>
    dirty.count(markKind) === 0
      ? []
      : dirty.take(
          most,
          (path, mark) => kindOf(mark) === markKind && mayGo(path, mark),
          (path) => inFlight.closes(path),
        );
  switch (kind) {
    case 'entries':
      return take('entry', limit);
    case 'large':
      return take('large', 1);
    case 'trees':
    case 'resync': {
      // rsync's -r holds for a whole run, so listings and subtrees do not mix.
      const subtrees = take('subtree', limit);
      return subtrees.length > 0 ? subtrees : take('listing', limit);
    }
    case 'sweep':
      return dirty.take(limit, mayGo);
  }
}

/** Takes the whole tree, when it is dirty as such. It is divided before anything is sent, so it waits for nothing. */
export function takeWhole(dirty: DirtySet, inFlight: InFlight): DirtyPath[] {
  if (dirty.count('subtree') === 0 || inFlight.has(ROOT)) return [];
  return dirty.take(
    1,
    (path, mark) => path === ROOT && mark.scope === 'subtree',
    () => true,
  );
}
