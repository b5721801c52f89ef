import { Hint } from '../core/hint.js';
import type { Filter } from '../core/filter.js';
import { ancestorsOf, join, nameOf, ROOT, type RelativePath } from '../core/relative-path.js';

/**
 * Which directory each inotify watch descriptor (wd) stands for, kept true while the tree changes under it.
 *
 * An event about a directory is, like every event, only *a place to look*: `addWatch` on a path tells which inode is
 * there **now** (a directory that is watched keeps its wd wherever it goes), and the table is made to say so. Events are
 * behind the disk, so what they tell in between may contradict it; looking again at each of them ends right, because the
 * last event about a name is handled after the last change of it.
 *
 * Two orders carry the promise that no directory stays blind and no change goes untold:
 *
 * 1. *Watch, then list.* A subdirectory made before the watch is found by listing; one made after it raises an event.
 * 2. *Watch everything below, then tell.* Files written between the creation of a directory and its watch raise no
 *    event. `touched(directory, created)` makes the consumer look at the whole subtree, so it is told only when that
 *    subtree is watched: what is written before the consumer looks, it finds; what is written after, a watch sees.
 *    Directories found by listing are covered by the one that was told and are not told themselves.
 *
 * ```
 *   attached (a path from the root) ── name gone or taken by another ──► stranded
 *      ▲                                                                │  │
 *      └──────────── found again by its wd (moved inside) ──────────────┘  ├─ IN_IGNORED (deleted) ──► forgotten
 *                                                                          └─ nobody asked for it (moved out) ──► released
 * ```
 * Events of stranded directories are dropped: if one comes back into the tree, it is told as moved there after a full
 * walk below it, and whatever happened in between is covered by that.
 */
export class WatchedTree {
  private readonly root: WatchedDirectory;
  private readonly byWd = new Map<number, WatchedDirectory>();
  /** The topmost directories that have no place now, and since when (ms). In order of time. */
  private readonly stranded = new Map<WatchedDirectory, number>();
  /** Watches we ended whose last events may still be on the way. */
  private readonly released = new Set<number>();
  private walks = 0;
  /** While everything is walked again: where those directories were before that are found elsewhere or nowhere. */
  private placesBefore: Map<WatchedDirectory, Place> | undefined;
  private cachedDirectory: WatchedDirectory | undefined;
  private cachedPath: RelativePath = ROOT;

  constructor(
    private readonly system: WatchSystem,
    private readonly filter: Filter,
    private readonly reports: WatchReports,
  ) {
    this.root = { wd: -1, parent: undefined, name: ROOT, children: undefined, walk: 0 };
  }

  /** How many directories are watched. */
  get size(): number {
    return this.byWd.size;
  }

  /** Watches the root and everything below it. An errno when the root itself cannot be watched. */
  start(): string | undefined {
    const wd = this.system.addWatch(ROOT);
    if (typeof wd === 'string') return wd;
    this.root.wd = wd;
    this.byWd.set(wd, this.root);
    this.walk(this.root);
    return undefined;
  }

  /** The directory that a watch stands for: `released` when it is one of those we ended, and its events mean nothing. */
  find(wd: number): WatchedDirectory | 'released' | undefined {
    return this.byWd.get(wd) ?? (this.released.has(wd) ? 'released' : undefined);
  }

  isRoot(directory: WatchedDirectory): boolean {
    return directory === this.root;
  }

  /** Where a directory is, as far as the events handled so far tell; undefined when it is stranded. */
  pathOf(directory: WatchedDirectory): RelativePath | undefined {
    if (directory === this.root) return ROOT;
    if (directory === this.cachedDirectory) return this.cachedPath;
    let path = directory.name;
    let above = directory.parent;
    while (above?.parent !== undefined) {
      path = `${above.name}/${path}`;
      above = above.parent;
    }
    if (above !== this.root) return undefined;
    this.cachedDirectory = directory;
    this.cachedPath = path;
    return path;
  }

  /**
   * A directory may have appeared at the name, or left it. What is found out by looking: `FOUND_DIRECTORY` when there is
   * one that was not known to be there, which is watched now; `removed` when one that was known to be there is not.
   */
  changed(parent: WatchedDirectory, name: RelativePath, path: RelativePath): Hint {
    const before = parent.children?.get(name);
    const now = this.place(parent, name, path);
    if (now !== before && typeof now !== 'string') this.walk(now);
    return whatChanged(before, now);
  }

  /**
   * A directory was moved to the name. It is walked even when it is known to be there: whatever was made in it while
   * its path was another one could not be watched by the path that the table had then. The answer is that of `changed`.
   */
  arrived(parent: WatchedDirectory, name: RelativePath, path: RelativePath): Hint {
    const before = parent.children?.get(name);
    const now = this.place(parent, name, path);
    if (typeof now !== 'string') this.walk(now);
    return whatChanged(before, now);
  }

  /** Tries once more to watch a directory and everything below it. */
  lookAgain(path: RelativePath): Look {
    if (path === ROOT) return this.walk(this.root);
    let parent: WatchedDirectory | undefined = this.root;
    for (const above of ancestorsOf(path)) parent = parent?.children?.get(nameOf(above));
    if (parent === undefined) return 'gone';
    const now = this.place(parent, nameOf(path), path);
    return typeof now === 'string' ? now : this.walk(now);
  }

  knows(parent: WatchedDirectory, name: RelativePath): boolean {
    return parent.children?.has(name) ?? false;
  }

  /** The kernel ended a watch (directory deleted or unmounted): forgets it. */
  ended(directory: WatchedDirectory): void {
    this.byWd.delete(directory.wd);
    this.detach(directory);
    this.stranded.delete(directory);
    // Only an unmount ends a directory before what is below it.
    for (const child of directory.children?.values() ?? []) this.strand(child);
  }

  /** A watch that we ended has told its last event. */
  forgetReleased(wd: number): void {
    this.released.delete(wd);
  }

  /** Since when the first of the stranded directories has no place (ms); infinite when there is none. */
  get strandedSince(): number {
    for (const since of this.stranded.values()) return since;
    return Infinity;
  }

  /** Ends the watches below directories that have been stranded since `before`: they were moved out of the tree. */
  releaseStranded(before: number): void {
    for (const [directory, since] of this.stranded) {
      if (since > before) return;
      this.stranded.delete(directory);
      this.release(directory);
    }
  }

  /**
   * Makes the whole table true again after events were lost: missing watches are added, moved directories get their new
   * place by their wd, and those that are found nowhere are released. What the table knew and the disk does not hold any
   * more is what the lost events would have told; the answer is that, by path: the topmost directories that went, and
   * those that were found elsewhere. An errno when the root cannot be watched.
   */
  walkAgain(): ReadonlyMap<RelativePath, Hint> | string {
    const wd = this.system.addWatch(ROOT);
    if (wd !== this.root.wd) return typeof wd === 'string' ? wd : 'ESTALE';
    this.placesBefore = new Map();
    this.walk(this.root);
    const missed = this.whatWasMissed(this.placesBefore);
    this.placesBefore = undefined;
    for (const directory of this.byWd.values()) {
      if (directory.walk === this.root.walk) continue;
      this.detach(directory);
      this.stranded.delete(directory);
      this.releaseOne(directory);
      this.system.breathe();
    }
    return missed;
  }

  /** Right after a walk of everything, before those that it did not meet are dropped. */
  private whatWasMissed(placesBefore: ReadonlyMap<WatchedDirectory, Place>): Map<RelativePath, Hint> {
    const hints = new Map<RelativePath, Hint>();
    const tell = (path: RelativePath, hint: Hint): void => {
      hints.set(path, (hints.get(path) ?? 0) | hint | Hint.directory);
    };
    const placeBefore = (directory: WatchedDirectory): Place => placesBefore.get(directory) ?? directory;
    const isAsBefore = (directory: WatchedDirectory): boolean => {
      const { parent, name } = placeBefore(directory);
      return directory.walk === this.root.walk && directory.parent === parent && directory.name === name;
    };
    const isWhereItWas = (directory: WatchedDirectory): boolean => {
      let above: WatchedDirectory | undefined = directory;
      while (above !== undefined && above !== this.root && isAsBefore(above)) above = above.parent;
      return above === this.root;
    };

    for (const directory of this.byWd.values()) {
      if (directory === this.root) continue;
      const { parent, name } = placeBefore(directory);
      // Below another one that went it is covered by that one, and without a place it was told when it lost that.
      if (isAsBefore(directory) || parent === undefined || !isWhereItWas(parent)) continue;
      const path = join(this.pathOf(parent) ?? ROOT, name);
      const now = parent.children?.get(name);
      if (now !== undefined && now !== directory) tell(path, Hint.removed | FOUND_DIRECTORY);
      // What stands in a directory that cannot be listed was not met either.
      else if (!this.system.mayBeDirectory(path)) tell(path, Hint.removed);
      this.system.breathe();
    }
    for (const directory of placesBefore.keys()) {
      const path = isAsBefore(directory) ? undefined : this.pathOf(directory);
      if (path !== undefined && directory.walk === this.root.walk) tell(path, Hint.movedTo);
    }
    return hints;
  }

  /** Watches everything at and below `top`, which is watched itself. What it says is about `top` alone. */
  private walk(top: WatchedDirectory): Look {
    const walk = ++this.walks;
    const toList = [top];
    let look: Look = 'gone';
    top.walk = walk;
    for (let directory = toList.pop(); directory !== undefined; directory = toList.pop()) {
      const path = this.pathOf(directory);
      // Stranded by something found later in this walk: it is walked when it arrives where it went.
      if (path === undefined) continue;
      const names = this.system.directoriesIn(path);
      const outcome = typeof names === 'string' ? this.excuse(path, names) : 'watched';
      if (directory === top) look = outcome;
      if (typeof names === 'string') continue;
      for (const name of names) {
        const childPath = join(path, name);
        if (this.filter.isExcluded(childPath, true)) continue;
        const child = this.place(directory, name, childPath);
        // A directory is walked once, so that one which moves about while it is walked cannot keep us here.
        if (typeof child === 'string' || child.walk === walk) continue;
        child.walk = walk;
        toList.push(child);
      }
      this.system.breathe();
    }
    return look;
  }

  /** Makes the table say what directory is at the name now, watched; or why there is none. */
  private place(parent: WatchedDirectory, name: RelativePath, path: RelativePath): Placed {
    const wd = this.system.addWatch(path);
    const before = parent.children?.get(name);
    if (typeof wd === 'string') {
      if (before !== undefined) this.strand(before);
      return this.excuse(path, wd);
    }
    const known = this.byWd.get(wd);
    if (known !== undefined && known === before) return known;
    if (known !== undefined && this.isElsewhereToo(known, parent, path)) {
      this.reports.unwatchable(path, 'EXDEV');
      return 'unwatchable';
    }
    if (before !== undefined) this.strand(before);
    if (known === undefined) {
      const fresh: WatchedDirectory = { wd, parent: undefined, name, children: undefined, walk: 0 };
      this.byWd.set(wd, fresh);
      this.attach(fresh, parent);
      return fresh;
    }
    this.notePlace(known);
    this.detach(known);
    this.stranded.delete(known);
    known.name = name;
    this.attach(known, parent);
    return known;
  }

  /**
   * Whether a directory that was just found below `parent` is at its old place as well: mounted twice (`mount --bind`).
   * inotify watches inodes, so it has one wd, and one place in the table.
   */
  private isElsewhereToo(known: WatchedDirectory, parent: WatchedDirectory, path: RelativePath): boolean {
    for (let above: WatchedDirectory | undefined = parent; above !== undefined; above = above.parent) {
      if (above === known) return true;
    }
    const oldPath = this.pathOf(known);
    return oldPath !== undefined && this.system.isSameDirectory(oldPath, path);
  }

  private excuse(path: RelativePath, errno: string): Exclude<Look, 'watched'> {
    // Gone, or something else by now: the event that tells so is on its way.
    if (errno === 'ENOENT' || errno === 'ENOTDIR' || errno === 'ELOOP') return 'gone';
    this.reports.unwatchable(path, errno);
    return 'unwatchable';
  }

  /** Before a directory leaves its place. */
  private notePlace(directory: WatchedDirectory): void {
    if (this.placesBefore === undefined || this.placesBefore.has(directory)) return;
    this.placesBefore.set(directory, { parent: directory.parent, name: directory.name });
  }

  private attach(directory: WatchedDirectory, parent: WatchedDirectory): void {
    directory.parent = parent;
    parent.children ??= new Map();
    parent.children.set(directory.name, directory);
    this.cachedDirectory = undefined;
  }

  private detach(directory: WatchedDirectory): void {
    const parent = directory.parent;
    if (parent === undefined) return;
    if (parent.children?.get(directory.name) === directory) parent.children.delete(directory.name);
    if (parent.children?.size === 0) parent.children = undefined;
    directory.parent = undefined;
    this.cachedDirectory = undefined;
  }

  private strand(directory: WatchedDirectory): void {
    this.notePlace(directory);
    this.detach(directory);
    this.stranded.set(directory, this.system.now());
  }

  private release(top: WatchedDirectory): void {
    const toRelease = [top];
    for (let directory = toRelease.pop(); directory !== undefined; directory = toRelease.pop()) {
      for (const child of directory.children?.values() ?? []) toRelease.push(child);
      this.releaseOne(directory);
      this.system.breathe();
    }
  }

  private releaseOne(directory: WatchedDirectory): void {
    this.byWd.delete(directory.wd);
    this.released.add(directory.wd);
    this.system.removeWatch(directory.wd);
  }
}

/** A directory and its watch. Some 100,000 of them are everyday, so it holds no path and nothing about files. */
export interface WatchedDirectory {
  wd: number;
  /** Undefined for the root, and for the topmost of stranded ones. */
  parent: WatchedDirectory | undefined;
  name: RelativePath;
  /** Undefined instead of empty. */
  children: Map<RelativePath, WatchedDirectory> | undefined;
  /** The number of the last walk that met it. */
  walk: number;
}

type Place = Pick<WatchedDirectory, 'parent' | 'name'>;

/** What was found at a path. `gone`: no directory. */
export type Look = 'watched' | 'gone' | 'unwatchable';

/** What stands at a name, or why nothing watched does. */
type Placed = WatchedDirectory | Exclude<Look, 'watched'>;

/** About a name where `before` was known to be. What cannot be watched now may be the same. */
function whatChanged(before: WatchedDirectory | undefined, now: Placed): Hint {
  if (now === before || now === 'unwatchable') return 0;
  return (before === undefined ? 0 : Hint.removed) | (now === 'gone' ? 0 : FOUND_DIRECTORY);
}

/** The kernel, as the table needs it. Paths are relative to the root. Failures are names of errnos. */
export interface WatchSystem {
  addWatch(path: RelativePath): number | string;
  removeWatch(wd: number): void;
  /** Whether both paths lead to one directory. */
  isSameDirectory(one: RelativePath, other: RelativePath): boolean;
  /** The names of the subdirectories; symbolic links are none. */
  directoriesIn(path: RelativePath): string[] | string;
  /** False when there is none for sure; true also when that cannot be found out. Symbolic links are none. */
  mayBeDirectory(path: RelativePath): boolean;
  /** Called often in long work: the place to empty the kernel's queue into memory. */
  breathe(): void;
  /** Milliseconds that never go back. */
  now(): number;
}

export interface WatchReports {
  /** Nothing is told of what happens in this directory and below. */
  unwatchable(path: RelativePath, errno: string): void;
}

/** The hint of a directory that is found at a name of which something else was told. */
export const FOUND_DIRECTORY: Hint = Hint.created | Hint.directory;
