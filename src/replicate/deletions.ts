/**
 * Deletions that wait: what only the remote has, from being found until it may go, and what may not go.
 *
 *   comparison -> found -> judged -> by name (marks for the replica)
 *                            '- held: more than the limit; until a person releases it
 *   parked: the source is not what it was (missing, replaced, empty, something in it unmounted); until it is
 *   copied: comparing may not delete yet (no full resync has been through); until it may
 *   unread: something could not be read, so what is extra is not known; until what failed has recovered
 *
 * A *seen* deletion is only ever parked. Decides and keeps; runs nothing.
 */
import { DirtySet, type DirtyPath } from '../core/dirty-set.js';
import { ancestorsOf, parentOf, ROOT, type RelativePath } from '../core/relative-path.js';
import type { Scope } from '../core/scope.js';
import type { JournalMark } from './ports.js';

/** How much a comparison may delete without being asked. */
export interface DeleteLimit {
  /** Of the names that the remote holds where it was compared. */
  readonly percent: number;
  /** So many names may go in any case. */
  readonly names: number;
}

/** A name that stays on the remote for now. */
export interface HeldName {
  readonly path: RelativePath;
  readonly reason: string;
  readonly since: number;
}

/** What one run of comparing has found: a full resync, or the repair of what was lost. */
interface Findings {
  /** When each name was found. */
  readonly names: Map<RelativePath, number>;
  /** Names with all that is below them. */
  count: number;
  /** Names that the source holds where it was compared, as far as that was told. */
  sourceNames: number;
  /** Where more was found than is kept by name. */
  readonly unlisted: DirtySet;
}

export type Comparer = 'repair' | 'resync';

/** What became of the findings: marks to be made now, and what stays. */
export interface Judgement {
  readonly go: readonly DirtyPath[];
  /** Names that the source holds where it was compared. */
  readonly sourceNames: number;
  readonly held?: { readonly reason: string; readonly count: number };
}

export interface DeletionsOptions {
  /** Undefined: no limit. */
  readonly limit: DeleteLimit | undefined;
  /** Called for each path whose `image` may have changed. */
  readonly onChanged: (path: RelativePath) => void;
  /** Names of each kind that are kept; beyond that the places are kept where they were found. */
  readonly maxNames?: number;
}

export class Deletions {
  readonly #options: Required<DeletionsOptions>;
  readonly #findings: Record<Comparer, Findings>;
  readonly #held = new Map<RelativePath, Omit<HeldName, 'path'>>();
  /** Where more was held than is kept by name. */
  readonly #heldPlaces: DirtySet;
  #placesReason = '';
  readonly #parked: DirtySet;
  #parkedReason = '';
  /** What a comparison has found while the source was not what it was: for a person to read. */
  readonly #parkedNames = new Map<RelativePath, number>();
  readonly #unread: DirtySet;
  /** Where something extra was told of while comparing might not delete. */
  readonly #copied: DirtySet;
  /** Where more was found than is deleted after one comparison: looked at again when that has gone. */
  readonly #further: DirtySet;
  /** What was judged or released as a whole: what is found there goes. */
  readonly #approved = new Map<RelativePath, Scope>();
  /** How many names have gone in the repair that is under way: piece by piece they count together. */
  #repaired = 0;

  constructor(options: DeletionsOptions) {
    this.#options = { maxNames: 50_000, ...options };
    const { onChanged } = options;
    this.#findings = { repair: newFindings(onChanged), resync: newFindings(onChanged) };
    this.#heldPlaces = new DirtySet({ onChanged });
    this.#parked = new DirtySet({ onChanged });
    this.#unread = new DirtySet({ onChanged });
    this.#copied = new DirtySet({ maxMarks: MAX_COPIED, onChanged });
    this.#further = new DirtySet({ onChanged });
  }

  /** Names and places that stay on the remote for now. */
  get size(): number {
    return this.#held.size + this.#heldPlaces.size + Math.max(this.#parked.size, this.#parkedNames.size);
  }

  get hasParked(): boolean {
    return this.#parked.size > 0;
  }

  hasFound(comparer: Comparer): boolean {
    const { names, unlisted } = this.#findings[comparer];
    return names.size > 0 || unlisted.size > 0;
  }

  reasons(): string[] {
    const reasons = new Set([...this.#held.values()].map(({ reason }) => reason));
    if (this.#heldPlaces.size > 0) reasons.add(this.#placesReason);
    if (this.#parked.size > 0) reasons.add(this.#parkedReason);
    if (this.#unread.size > 0) reasons.add(UNREAD);
    return [...reasons];
  }

  /** The names that stay, and how many more there are that are not kept by name. */
  list(): { names: HeldName[]; more: number } {
    const held = [...this.#held].map(([path, name]) => ({ path, ...name }));
    const parked = new Map([...this.#parked].map(({ path, since }) => [path, since]));
    // A place that was compared stands for the names that were found in it.
    for (const [path, since] of this.#parkedNames) parked.set(path, since);
    const names = [...parked].map(([path, since]) => ({ path, since, reason: this.#parkedReason }));
    return { names: [...held, ...names], more: this.#heldPlaces.size };
  }

  // ---- found and judged

  /** What was found before counts no more: it is compared anew. */
  begin(comparer: Comparer): void {
    this.#take(comparer);
  }

  #take(comparer: Comparer): Findings {
    const findings = this.#findings[comparer];
    this.#findings[comparer] = newFindings(this.#options.onChanged);
    for (const path of findings.names.keys()) this.#options.onChanged(path);
    for (const { path } of findings.unlisted) this.#options.onChanged(path);
    return findings;
  }

  /** Takes what a comparison of `looks` has found. `count`: the names with all that is below them. */
  found(comparer: Comparer, { looks, names, count, sourceNames }: Comparison, now: number): void {
    const findings = this.#findings[comparer];
    findings.count += count;
    findings.sourceNames += sourceNames;
    if (findings.names.size + names.length > this.#options.maxNames) {
      for (const look of looks) findings.unlisted.mark(look);
      return;
    }
    for (const path of names) {
      findings.names.set(path, now);
      this.#options.onChanged(path);
    }
  }

  /** Counts what the source holds in directories where nothing extra was found. */
  compared(comparer: Comparer, sourceNames: number): void {
    this.#findings[comparer].sourceNames += sourceNames;
  }

  /** Decides about all that was found. `sourceNames`: what the source holds in all, where that is known. */
  judge(comparer: Comparer, sourceNames: number): Judgement {
    const findings = this.#take(comparer);
    const holds = Math.max(sourceNames, findings.sourceNames);
    const before = comparer === 'repair' ? this.#repaired : 0;
    const count = before + findings.count;
    const reason = exceeds(this.#options.limit, count, holds + count);
    if (reason === undefined) {
      if (comparer === 'repair') this.#repaired = count;
      const named = [...findings.names].map(([path, since]) => entryOf(path, since));
      const places = [...findings.unlisted];
      this.#approve(places);
      return { go: [...named, ...places], sourceNames: holds };
    }
    for (const [path, since] of findings.names) this.#held.set(path, { reason, since });
    for (const place of findings.unlisted) this.#heldPlaces.mark(place);
    this.#placesReason = reason;
    return { go: [], sourceNames: holds, held: { reason, count: findings.count } };
  }

  /** Whether what is found at a path goes without being judged again. */
  isApproved(path: RelativePath): boolean {
    if (this.#approved.size === 0) return false;
    if (this.#approved.has(path) || this.#approved.has(parentOf(path))) return true;
    return [ROOT, ...ancestorsOf(path)].some((above) => this.#approved.get(above) === 'subtree');
  }

  /** The repair is over: what was judged or released in it has been looked at. */
  endRepair(): void {
    this.#approved.clear();
    this.#repaired = 0;
  }

  #approve(places: readonly DirtyPath[]): void {
    for (const { path, scope } of places) if (scope !== 'entry') this.#approved.set(path, scope);
  }

  // ---- held by the source

  /** Keeps looks until the source is what it was; `names`: what a comparison has found there, if there was one. */
  park(looks: Iterable<DirtyPath>, reason: string, names: readonly RelativePath[] = []): void {
    this.#parkedReason = reason;
    let oldest = Infinity;
    for (const look of looks) {
      this.#parked.mark(look);
      oldest = Math.min(oldest, look.since);
    }
    for (const path of names) {
      if (this.#parkedNames.size >= this.#options.maxNames) return;
      this.#parkedNames.set(path, oldest);
    }
  }

  /** The source is what it was: everything that was parked is to be looked at again. */
  unpark(): DirtyPath[] {
    this.#parkedNames.clear();
    return this.#takeAll(this.#parked);
  }

  /** The name has come back, so it is no deletion any more. */
  drop(path: RelativePath): void {
    if (this.#held.size > 0 && this.#held.delete(path)) this.#options.onChanged(path);
  }

  // ---- held because something could not be read

  holdUnread(looks: Iterable<DirtyPath>): void {
    for (const look of looks) this.#unread.mark(look);
  }

  takeUnread(): DirtyPath[] {
    return this.#takeAll(this.#unread);
  }

  // ---- copied only

  /** Keeps looks that were not compared, because comparing may not delete yet. */
  keepCopied(looks: Iterable<DirtyPath>): void {
    for (const look of looks) this.#copied.mark(look);
  }

  /** It may from now on, or all of it is compared anyway: what is to be compared again. */
  takeCopied(): DirtyPath[] {
    return this.#takeAll(this.#copied);
  }

  // ---- too many for one comparison

  lookFurther(looks: Iterable<DirtyPath>): void {
    for (const look of looks) this.#further.mark(look);
  }

  takeFurther(): DirtyPath[] {
    return this.#takeAll(this.#further);
  }

  // ---- a person

  /**
   * Everything that is held goes: the marks to be made. What was parked is compared again, and goes then. `isCompared`: a
   * comparison had found it, so that comparing has been allowed by a person.
   */
  release(): { readonly looks: DirtyPath[]; readonly isCompared: boolean } {
    const isCompared = this.#held.size + this.#heldPlaces.size + this.#parkedNames.size > 0;
    const named = [...this.#held].map(([path, { since }]) => entryOf(path, since));
    this.#held.clear();
    for (const { path } of named) this.#options.onChanged(path);
    const places = [...this.#takeAll(this.#heldPlaces), ...this.unpark()];
    this.#approve(places);
    return { looks: [...named, ...places, ...this.takeUnread()], isCompared };
  }

  /** What stays on the remote is looked at anew by a full resync: it finds again what is still extra. */
  forgetHeld(): void {
    const paths = [...this.#held.keys(), ...[...this.#heldPlaces].map(({ path }) => path)];
    this.#held.clear();
    this.#takeAll(this.#heldPlaces);
    for (const path of paths) this.#options.onChanged(path);
  }

  // ---- the journal

  imageOf(path: RelativePath): JournalMark | undefined {
    const held = this.#held.get(path);
    if (held !== undefined) return { ...entryOf(path, held.since), kind: 'held', why: held.reason };
    const place = this.#heldPlaces.get(path);
    if (place !== undefined) return { path, ...place, kind: 'held', why: this.#placesReason };
    const parked = this.#parked.get(path);
    if (parked !== undefined) return { path, ...parked, kind: 'parked', why: this.#parkedReason };
    for (const { names, unlisted } of [this.#findings.resync, this.#findings.repair]) {
      const since = names.get(path);
      if (since !== undefined) return { ...entryOf(path, since), kind: 'found' };
      const place = unlisted.get(path);
      if (place !== undefined) return { path, ...place, kind: 'found' };
    }
    const further = this.#further.get(path);
    if (further !== undefined) return { path, ...further, kind: 'found' };
    const copied = this.#copied.get(path);
    if (copied !== undefined) return { path, ...copied, kind: 'copied' };
    // What could not be read is compared again after a restart.
    const unread = this.#unread.get(path);
    return unread === undefined ? undefined : { path, ...unread, kind: 'change' };
  }

  *image(): Generator<JournalMark> {
    const { resync, repair } = this.#findings;
    const ours = [this.#heldPlaces, this.#parked, this.#unread, this.#further, this.#copied];
    const sets = [...ours, resync.unlisted, repair.unlisted];
    const places = sets.flatMap((set) => [...set].map(({ path }) => path));
    const paths = new Set([...this.#held.keys(), ...resync.names.keys(), ...repair.names.keys(), ...places]);
    for (const path of paths) {
      const mark = this.imageOf(path);
      if (mark !== undefined) yield mark;
    }
  }

  /** Takes back what an earlier run of the service had held, parked or only copied. */
  restore({ kind, why = '', ...dirty }: JournalMark): void {
    if (kind === 'copied') this.keepCopied([dirty]);
    else if (kind === 'parked') this.park([dirty], why);
    else if (dirty.scope === 'entry') this.#held.set(dirty.path, { reason: why, since: dirty.since });
    else {
      this.#heldPlaces.mark(dirty);
      this.#placesReason = why;
    }
  }

  #takeAll(set: DirtySet): DirtyPath[] {
    const taken = set.take(Infinity, () => true);
    for (const { path } of taken) this.#options.onChanged(path);
    return taken;
  }
}

/** What a comparison said. */
export interface Comparison {
  readonly looks: readonly DirtyPath[];
  readonly names: readonly RelativePath[];
  readonly count: number;
  readonly sourceNames: number;
}

/** Places; beyond that those above them are kept. */
const MAX_COPIED = 1_000;
const UNREAD = 'something could not be read, so what only the remote has is not known';

/** Why so many deletions are too many; undefined when they are not. */
export function exceeds(limit: DeleteLimit | undefined, deletions: number, holds: number): string | undefined {
  if (limit === undefined || deletions <= limit.names || deletions * 100 <= holds * limit.percent) return undefined;
  return `${deletions} of ${holds} names would be deleted, more than ${limit.percent} %`;
}

/** Where to look again for what a comparison had found: how much it is, with all below it, is not known any more. */
export function placeOfFound({ path, scope, since }: DirtyPath): DirtyPath {
  if (scope !== 'entry') return { path, scope, gone: false, alone: false, since };
  return { path: parentOf(path), scope: 'listing', gone: false, alone: false, since };
}

function newFindings(onChanged: (path: RelativePath) => void): Findings {
  return { names: new Map(), count: 0, sourceNames: 0, unlisted: new DirtySet({ onChanged }) };
}

function entryOf(path: RelativePath, since: number): DirtyPath {
  return { path, scope: 'entry', gone: false, alone: false, since };
}
