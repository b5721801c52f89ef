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

/** What is in flight together. */
export interface FlyingBatch {
  /** What others must keep away from: first each of the looks, as deep as others must, then what else there is. */
  readonly claims: readonly DirtyPath[];
  readonly looks: readonly DirtyPath[];
}

/** One path in flight with a batch. At one path there may be two, one of which waits for the other. */
export interface Flight<Batch> {
  readonly claim: DirtyPath;
  /** Undefined: others keep away from it, and that is all. */
  readonly look: DirtyPath | undefined;
  readonly batch: Batch;
  readonly other: Flight<Batch> | undefined;
}

/** The paths of one remote that are in flight: whether another must wait, and what is looked at. */
export class InFlight<Batch extends FlyingBatch = FlyingBatch> {
  readonly #flights = new PathTree<Flight<Batch>>();

  get size(): number {
    return this.#flights.size;
  }

  /** Adds the claims of the batch from the index `first` on: those before it are in flight. */
  add(batch: Batch, first = 0): void {
    batch.claims.slice(first).forEach((claim, index) => {
      const { path } = claim;
      const look = batch.looks[first + index];
      const place = this.#flights.at(path);
      const flight = { claim, look, batch, other: place?.value };
      if (place === undefined) this.#flights.add(path, flight);
      else this.#flights.set(path, flight);
    });
  }

  /** Removes the claims of the batch from the index `first` on, up to `last` without that. */
  remove(batch: Batch, first = 0, last?: number): void {
    for (const { path } of batch.claims.slice(first, last)) {
      const others = without(batch, this.#flights.delete(path));
      if (others !== undefined) this.#flights.set(path, others);
    }
  }

  has(path: RelativePath): boolean {
    return this.#flights.get(path) !== undefined;
  }

  /** Whether anything flies at the path or above it, whatever it claims. */
  hasAtOrAbove(path: RelativePath): boolean {
    return this.has(path) || this.#flights.findAbove(path, () => true) !== undefined;
  }

  /** What flies at the path itself; the others with it by their `other`. */
  at(path: RelativePath): Flight<Batch> | undefined {
    return this.#flights.get(path);
  }

  /** Whether one of the looks at a path or above it, of a batch that `isMeant`, looks at the path. */
  looksAt(path: RelativePath, isMeant: (batch: Batch) => boolean): boolean {
    const isLook = ({ look, batch }: Flight<Batch>, levels: number): boolean =>
      look !== undefined && conflicts(look, levels) && isMeant(batch);
    return (
      some(this.#flights.get(path), (flight) => isLook(flight, 0)) ||
      this.#flights.findAbove(path, (flight, levels) => some(flight, (one) => isLook(one, levels))) !== undefined
    );
  }

  /** Whether the batch looks at a name in the directory. */
  looksIn(directory: RelativePath, batch: Batch): boolean {
    for (const [path, flight] of this.#flights.below(directory)) {
      const isIts = some(flight, (one) => one.batch === batch && one.look !== undefined);
      if (isIts && levelsBelow(path, directory) === 1) return true;
    }
    return false;
  }

  /** The paths that are looked at. */
  *lookedAt(): Generator<RelativePath> {
    for (const [path, flight] of this.#flights.entries())
      if (some(flight, ({ look }) => look !== undefined)) yield path;
  }

  /** Whether a look at `path` would meet one that is in flight. */
  blocks(path: RelativePath, mark: Mark): boolean {
    if (this.#flights.size === 0) return false;
    if (this.has(path) || this.#flights.findAbove(path, claims) !== undefined) return true;
    if (mark.scope === 'entry' && !mark.gone) return false;
    for (const [below] of this.#flights.below(path)) {
      if (conflicts(mark, levelsBelow(below, path))) return true;
    }
    return false;
  }

  /** Whether everything below `path` must wait. */
  closes(path: RelativePath): boolean {
    return some(this.#flights.get(path), ({ claim }) => claim.gone || claim.scope === 'subtree');
  }

  oldest(): number | undefined {
    let oldest: number | undefined;
    for (const [, first] of this.#flights.entries()) {
      for (let flight: Flight<Batch> | undefined = first; flight !== undefined; flight = flight.other) {
        oldest = Math.min(oldest ?? Infinity, flight.claim.since);
      }
    }
    return oldest;
  }
}

/** Whether others must keep away from what stands `levels` below a flight. */
function claims(flight: Flight<unknown>, levels: number): boolean {
  return some(flight, ({ claim }) => conflicts(claim, levels));
}

function some<Batch>(first: Flight<Batch> | undefined, isWanted: (flight: Flight<Batch>) => boolean): boolean {
  for (let flight = first; flight !== undefined; flight = flight.other) if (isWanted(flight)) return true;
  return false;
}

function without<Batch>(batch: Batch, flight: Flight<Batch> | undefined): Flight<Batch> | undefined {
  if (flight === undefined || flight.batch === batch) return flight?.other;
  return { ...flight, other: without(batch, flight.other) };
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
