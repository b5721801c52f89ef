/**
 * The words of this program, used alike in code, log, status and documentation:
 *
 * - *dirty path*: a place where a remote may differ from the disk; never an instruction what to do there.
 * - *scope*: how deep to look at it (scope.ts).
 * - *gone*: the name, or one above it, was seen to be removed or moved away; what is missing there is a *seen* deletion.
 *   Anything else that only the remote has is an *inferred* deletion.
 * - *moved*: the name came by a rename, or was renamed while it was looked at: times say nothing of what is at and below
 *   it, for a remote may have the content of one name with the time of another. It is compared by content.
 * - *dated*: the disk tells of the change by itself, by a ctime that is no older than the mark: the walk that follows a crash
 *   finds it, from the last checkpoint on.
 * - *once*: the mark stands for one change, which was told at `since`: nothing is known of a later one.
 * - *mark*: to put a path into the set. *Take*: to move paths from the set into a run; they are *in flight* then.
 *   *Settle*: to end that: the path is clean, or marked again.
 * - *cover*: a mark covers another when settling it settles the other too; what is covered is folded into it.
 * - *coarsen*: to replace many narrow marks by few wide ones, so that memory is bounded and nothing is dropped.
 */
import { PathTree } from './path-tree.js';
import { ancestorAt, levelsBelow, parentOf, ROOT, type RelativePath } from './relative-path.js';
import { widest, type Scope } from './scope.js';

export interface Mark {
  readonly scope: Scope;
  readonly gone: boolean;
  /** A large file: it is sent in a run of its own. */
  readonly alone: boolean;
  /** Default: false. */
  readonly moved?: boolean;
  /** Default: false. */
  readonly dated?: boolean;
  /** Default: false. */
  readonly once?: boolean;
  /** When the oldest change that this mark stands for was seen: milliseconds of the service's clock. */
  readonly since: number;
}

/** What a mark asks for: one name, one large file, the names in a directory, or all that is below it. */
export type MarkKind = 'entry' | 'large' | 'listing' | 'subtree';

export function kindOf({ scope, alone }: Pick<Mark, 'scope' | 'alone'>): MarkKind {
  return scope === 'entry' && alone ? 'large' : scope;
}

export interface DirtyPath extends Mark {
  readonly path: RelativePath;
}

/**
 * Whether settling `mark` settles `other` as well, which stands `levels` below it (0: at the same path).
 *
 * A subtree covers what was written below it, but not what was seen to be deleted there: folded in, that deletion would
 * become an inferred one. A gone name covers all: as long as it is missing it takes everything below with it, and when
 * it is there again it is looked at as a subtree in which deletions count as seen. What was moved is covered by what is
 * compared by content as well.
 */
export function covers(mark: Mark, other: Mark, levels: number): boolean {
  if (mark.gone) return true;
  if (other.gone || (other.moved === true && mark.moved !== true)) return false;
  if (levels === 0) return widest(mark.scope, other.scope) === mark.scope;
  if (mark.scope === 'subtree') return true;
  return mark.scope === 'listing' && levels === 1 && other.scope === 'entry';
}

/**
 * Whether looks at two paths, `lower` at or `levels` below `upper`, may not be in flight at the same time: an older run
 * that ends late must never overwrite what a newer one has brought.
 */
export function conflicts(upper: Pick<Mark, 'scope' | 'gone'>, levels: number): boolean {
  return levels === 0 || upper.gone || upper.scope === 'subtree' || (upper.scope === 'listing' && levels === 1);
}

export interface DirtySetOptions {
  readonly maxMarks?: number;
  readonly onChanged?: (path: RelativePath, isDated: boolean) => void;
}

/** The dirty paths of one remote. Marks that others cover are folded; no two marks in the set cover each other. */
export class DirtySet {
  /** As they were given: of one change the sets of all remotes hold the same object. */
  readonly #marks = new PathTree<DirtyPath>();
  readonly #counts: Record<MarkKind, number> = { entry: 0, large: 0, listing: 0, subtree: 0 };
  readonly #maxMarks: number;
  readonly #onChanged: (path: RelativePath, isDated: boolean) => void;

  /**
   * Beyond `maxMarks` the set coarsens itself. `onChanged` is called for each path whose mark was made, widened or folded
   * into another one; not for those that are taken. With `isDated` the disk tells as much of it as the mark.
   */
  constructor({ maxMarks = 100_000, onChanged = () => undefined }: DirtySetOptions = {}) {
    this.#maxMarks = maxMarks;
    this.#onChanged = onChanged;
  }

  get(path: RelativePath): Mark | undefined {
    return this.#marks.get(path);
  }

  /** Whether a look at `path` and all below it would meet what is marked. */
  overlaps(path: RelativePath): boolean {
    return this.#marks.hasBelow(path) || this.holds(path);
  }

  /** Whether the name itself is to be looked at: it is marked, or a directory above it is so that it is looked at, too. */
  holds(path: RelativePath): boolean {
    return this.#marks.get(path) !== undefined || this.#marks.findAbove(path, conflicts) !== undefined;
  }

  get size(): number {
    return this.#marks.size;
  }

  /** How many marks of a kind there are: whether it is worth while to look for one. */
  count(kind: MarkKind): number {
    return this.#counts[kind];
  }

  mark(dirty: DirtyPath): void {
    const { path } = dirty;
    const above = this.#marks.findAbove(path, (mark, levels) => covers(mark, dirty, levels));
    if (above !== undefined) {
      if (dirty.since < above.since) this.#marks.set(above.path, { ...above, since: dirty.since });
      return;
    }
    const place = this.#marks.at(path);
    const present = place?.value;
    const given = keepable(dirty);
    let merged = present === undefined ? given : { path, ...merge(present, given) };
    if (place?.hasBelow === true) {
      let { since } = merged;
      this.#marks.pruneBelow(path, (below, levels, belowPath) => {
        const isCovered = covers(merged, below, levels);
        if (!isCovered) return false;
        since = Math.min(since, below.since);
        this.#counts[kindOf(below)]--;
        this.#onChanged(belowPath, false);
        return true;
      });
      if (since < merged.since) merged = { ...merged, since };
    }
    if (present !== undefined) this.#counts[kindOf(present)]--;
    this.#counts[kindOf(merged)]++;
    if (place === undefined) this.#marks.add(path, merged);
    else this.#marks.set(path, merged);
    this.#onChanged(path, merged.dated === true);
    if (this.#marks.size > this.#maxMarks) this.#coarsen();
  }

  /** Removes and returns up to `limit` of the dirty paths that `isWanted`; nothing below a path that `isClosed` is tried. */
  take(
    limit: number,
    isWanted: (path: RelativePath, mark: Mark) => boolean,
    isClosed?: (path: RelativePath) => boolean,
  ): DirtyPath[] {
    const taken = this.#marks.take(limit, isWanted, isClosed);
    for (const mark of taken) this.#counts[kindOf(mark)]--;
    return taken;
  }

  *[Symbol.iterator](): Generator<DirtyPath> {
    for (const [, mark] of this.#marks.entries()) yield mark;
  }

  /** When the oldest change that is not settled was seen. */
  oldest(): number | undefined {
    let oldest: number | undefined;
    for (const [, mark] of this.#marks.entries()) oldest = Math.min(oldest ?? mark.since, mark.since);
    return oldest;
  }

  /**
   * Directories with many marks become one listing, then whole subtrees, then those above them, until half of what is
   * allowed is left. A name that is gone becomes part of the listing of its directory: what is missing there is an
   * inferred deletion then.
   */
  #coarsen(): void {
    const goal = this.#maxMarks / 2;
    for (let fewest = 1024; this.#marks.size > goal && fewest >= 2; fewest /= 4) this.#foldInto('listing', fewest);
    for (let fewest = 64; this.#marks.size > goal && fewest >= 2; fewest /= 4) this.#foldInto('subtree', fewest);
    for (let depth = this.#deepest() - 2; this.#marks.size > goal && depth > 0; depth--) this.#foldAtDepth(depth);
    if (this.#marks.size > goal) this.#fold(ROOT, 'subtree');
  }

  #foldInto(scope: Scope, fewest: number): void {
    const counts = new Map<RelativePath, number>();
    for (const [path, mark] of this.#marks.entries()) {
      if (path === ROOT || (scope === 'listing' && mark.scope !== 'entry')) continue;
      const parent = parentOf(path);
      counts.set(parent, (counts.get(parent) ?? 0) + 1);
    }
    for (const [path, count] of counts) if (count >= fewest) this.#fold(path, scope);
  }

  #deepest(): number {
    let deepest = 0;
    for (const [path] of this.#marks.entries()) deepest = Math.max(deepest, levelsBelow(path, ROOT));
    return deepest;
  }

  /** Marks that are scattered over many directories meet at the directory that stands `depth` levels below the root. */
  #foldAtDepth(depth: number): void {
    const counts = new Map<RelativePath, number>();
    for (const [path] of this.#marks.entries()) {
      const above = ancestorAt(path, depth);
      if (above !== undefined) counts.set(above, (counts.get(above) ?? 0) + 1);
    }
    for (const [path, count] of counts) if (count > 1) this.#fold(path, 'subtree');
  }

  #fold(path: RelativePath, scope: Scope): void {
    let since = Infinity;
    let moved = false;
    this.#marks.pruneBelow(path, (below, levels, belowPath) => {
      const isFolded = scope === 'subtree' || (levels === 1 && below.scope === 'entry');
      if (!isFolded) return false;
      since = Math.min(since, below.since);
      moved ||= below.moved === true;
      this.#counts[kindOf(below)]--;
      this.#onChanged(belowPath, false);
      return true;
    });
    if (since < Infinity) this.mark({ path, scope, gone: false, alone: false, since, ...movedIf(moved) });
  }
}

/** One mark that stands for two of the same path. */
export function merge(one: Mark, other: Mark): Mark {
  const scope = widest(one.scope, other.scope);
  const gone = one.gone || other.gone;
  return {
    // A gone name that is there again is unknown below its first level too, for its mark has covered what was there.
    scope: gone && scope === 'listing' ? 'subtree' : scope,
    gone,
    alone: one.alone || other.alone,
    since: Math.min(one.since, other.since),
    ...movedIf(one.moved === true || other.moved === true),
    ...datedIf(one.dated === true && other.dated === true),
  };
}

/** Most marks are not: they do without the field. */
export function movedIf(moved: boolean | undefined): Pick<Mark, 'moved'> {
  return moved === true ? { moved } : {};
}

function datedIf(dated: boolean | undefined): Pick<Mark, 'dated'> {
  return dated === true ? { dated } : {};
}

/** A walk finds a name that is there, and nothing more of it: no deletion, no move, no size. */
function keepable(dirty: DirtyPath): DirtyPath {
  const { scope, gone, alone, moved, dated } = dirty;
  const isFound = scope === 'entry' && !gone && !alone && moved !== true;
  return dated === true && !isFound ? { ...dirty, dated: false } : dirty;
}
