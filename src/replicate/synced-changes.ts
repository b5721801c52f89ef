/**
 * Finds out for which changed paths a plugin is to be run, and when: each once, as soon as the change is on every remote
 * that can be had now. A remote that is in trouble is not waited for, and what it takes later is no change; a change that
 * is on no remote yet waits. Without remotes every change counts at once.
 *
 * A change is noted when it is marked. A directory that is looked at as a whole stands for names that nobody told: rsync
 * says which of them it has sent. Full resyncs bring no changes.
 */
import type { DirtyPath } from '../core/dirty-set.js';
import type { Hint } from '../core/hint.js';
import { PathTree } from '../core/path-tree.js';
import { ROOT, type RelativePath } from '../core/relative-path.js';
import type { Scope } from '../core/scope.js';
import type { Clock } from '../clock.js';
import type { Landing, Replica } from './replica.js';

export interface SyncedChangesOptions {
  readonly replicas: () => readonly Pick<Replica, 'stateOf'>[];
  /** Paths that wait, at most: further ones are dropped. */
  readonly maxPending: number;
  readonly clock: Clock;
  /** `hint` 0: it was found by comparing. */
  readonly onSynced: (path: RelativePath, hint: Hint) => void;
  readonly onDropped: (count: number, reason: string) => void;
  /** The names below a directory that the filter lets through; asked for only where there are no remotes. */
  readonly namesBelow: (path: RelativePath) => AsyncIterable<RelativePath>;
  /** The filter queue waits for the writer of a file, and will tell of it then. */
  readonly isAwaited: (path: RelativePath) => boolean;
}

interface Pending {
  hint: Hint;
  /** The path itself has changed, not only what is in it. */
  isChange: boolean;
  /** What is looked at there beside the name itself. */
  scope: Scope;
}

/** So many paths are looked at in one turn of the event loop. */
const PATHS_PER_TURN = 1_000;
/** A directory that has appeared is listed when those that are writing into it have had time to be told. */
const LIST_AFTER_MS = 200;

export class SyncedChanges {
  readonly #options: SyncedChangesOptions;
  readonly #pending = new PathTree<Pending>();
  /** Remotes that could not be had when they were last heard of. */
  readonly #unwell = new Set<string>();
  #isLookingAtAll = false;
  /** Directories that are to be listed, or are being. */
  #listings = 0;
  /** What was told since one of them appeared. */
  readonly #toldMeanwhile = new Set<RelativePath>();
  #isStopped = false;

  constructor(options: SyncedChangesOptions) {
    this.#options = options;
  }

  /** Paths that wait for remotes. */
  get size(): number {
    return this.#pending.size;
  }

  /** The watcher told of a change; the remotes have it marked. */
  touched({ path, scope }: Pick<DirtyPath, 'path' | 'scope'>, hint: Hint): void {
    const isChange = path !== ROOT || scope === 'entry';
    if (this.#options.replicas().length === 0) {
      if (this.#listings > 0) this.#remember(path);
      if (isChange) this.#options.onSynced(path, hint);
      if (scope === 'subtree') void this.#list(path);
      return;
    }
    this.#note(path, { hint, isChange, scope });
  }

  /** A place to look that nobody told of: after lost events, a start, an audit. The remotes have it marked. */
  found({ path, scope }: Pick<DirtyPath, 'path' | 'scope'>): void {
    if (this.#options.replicas().length > 0) this.#note(path, { hint: 0, isChange: scope === 'entry', scope });
    // Whoever walked has told each name that has changed. A listing is told for what is in it, a subtree as one that may have
    // been moved here.
    else if (scope !== 'listing' && path !== ROOT) this.#options.onSynced(path, 0);
  }

  /** A run of a remote is over and settled. */
  landed({ remote, isWell, looks, changed, again, unnamed }: Landing): void {
    for (const { path, scope, because } of again) {
      // A name that is compared by content may turn out to be what it was: it counts when it is sent.
      if ((scope === 'entry' && because !== 'doubtful') || !this.#isNoted(path)) continue;
      this.#note(path, { hint: 0, isChange: false, scope });
    }
    for (const path of changed) {
      if (this.#isNoted(path)) this.#note(path, { hint: 0, isChange: true, scope: 'entry' });
    }
    if (unnamed > 0 && looks.some(({ path }) => this.#isNoted(path))) {
      this.#options.onDropped(unnamed, 'more names were sent at once than are told one by one');
    }
    for (const { path, scope, gone } of looks) {
      if (gone || scope !== 'entry') for (const below of this.#pathsBelow(path)) this.#look(below);
      this.#look(path);
    }
    for (const path of changed) this.#look(path);
    if (isWell) this.#unwell.delete(remote);
    else if (!this.#unwell.has(remote)) {
      // What waited for this remote alone waits no more.
      this.#unwell.add(remote);
      this.#lookAtAll();
    }
  }

  /** Names were found to be on a remote alone, and are removed there now. */
  removing(paths: readonly RelativePath[]): void {
    for (const path of paths) this.#note(path, { hint: 0, isChange: true, scope: 'entry' });
  }

  stop(): void {
    this.#isStopped = true;
    if (this.#pending.size > 0) this.#options.onDropped(this.#pending.size, 'they are on no remote yet');
  }

  #note(path: RelativePath, { hint, isChange, scope }: Pending): void {
    const pending = this.#pending.get(path);
    if (pending !== undefined) {
      pending.hint |= hint;
      pending.isChange ||= isChange;
      if (scope !== 'entry' && pending.scope !== 'subtree') pending.scope = scope;
    } else if (this.#pending.size < this.#options.maxPending) {
      this.#pending.set(path, { hint, isChange, scope });
    } else {
      this.#options.onDropped(1, `${this.#options.maxPending} changes wait for a remote already`);
    }
  }

  /** Whether a directory that is looked at as a whole stands for the name. */
  #isCovered(path: RelativePath): boolean {
    if (this.#pending.size === 0) return false;
    const isCovering = ({ scope }: Pending, levels: number): boolean =>
      scope === 'subtree' || (scope === 'listing' && levels === 1);
    if (this.#pending.findAbove(path, isCovering) !== undefined) return true;
    return path === ROOT ? false : this.#pending.get(path)?.scope === 'subtree';
  }

  #isNoted(path: RelativePath): boolean {
    return this.#pending.get(path) !== undefined || this.#isCovered(path);
  }

  #pathsBelow(path: RelativePath): RelativePath[] {
    return this.#pending.hasBelow(path) ? [...this.#pending.below(path)].map(([below]) => below) : [];
  }

  /** Lets a path go when it has arrived wherever it can. */
  #look(path: RelativePath): void {
    const pending = this.#pending.get(path);
    if (pending === undefined) return;
    const states = this.#options.replicas().map((replica) => replica.stateOf(path));
    if (states.includes('owed') || !states.includes('there')) return;
    this.#pending.delete(path);
    if (pending.isChange) this.#options.onSynced(path, pending.hint);
  }

  #lookAtAll(): void {
    if (this.#isLookingAtAll || this.#pending.size === 0) return;
    this.#isLookingAtAll = true;
    const paths = [...this.#pending.entries()].map(([path]) => path);
    const lookAtSome = (): void => {
      for (const path of paths.splice(-PATHS_PER_TURN)) this.#look(path);
      if (paths.length > 0) this.#options.clock.after(0, lookAtSome);
      else this.#isLookingAtAll = false;
    };
    lookAtSome();
  }

  /** A path too many is forgotten with the others: at worst a name is told twice. */
  #remember(path: RelativePath): void {
    if (this.#toldMeanwhile.size >= this.#options.maxPending) this.#toldMeanwhile.clear();
    this.#toldMeanwhile.add(path);
  }

  async #list(directory: RelativePath): Promise<void> {
    const { clock, isAwaited, namesBelow, onSynced } = this.#options;
    this.#listings++;
    await new Promise<void>((resolve) => {
      clock.after(LIST_AFTER_MS, resolve);
    });
    try {
      if (this.#hasStopped()) return;
      for await (const name of namesBelow(directory)) {
        if (this.#hasStopped()) return;
        // One that was told, or whose writer is waited for, has a change of its own.
        if (!this.#toldMeanwhile.has(name) && !isAwaited(name)) onSynced(name, 0);
      }
    } finally {
      this.#listings--;
      if (this.#listings === 0) this.#toldMeanwhile.clear();
    }
  }

  #hasStopped(): boolean {
    return this.#isStopped;
  }
}
