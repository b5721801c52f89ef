import { lstatSync, readdirSync, type Stats } from 'node:fs';
import { Hint } from '../core/hint.js';
import type { Filter } from '../core/filter.js';
import { join, nameOf, parentOf, ROOT, type RelativePath } from '../core/relative-path.js';

/**
 * What a tree looked like when it was last told of: inode and ctime of every name, some 160 bytes each. Comparing finds
 * what a watcher missed. Every change of content, mode, owner or link count moves the ctime; every name that comes or
 * goes moves that of its directory.
 *
 * What is remembered was read *before* it is told, so whoever looks after being told sees that state or a later one.
 */
export class TreeIndex {
  private readonly root: Entry = {
    inode: 0,
    identity: '',
    ctimeMs: NEVER,
    children: new Map(),
    isFresh: false,
    gone: undefined,
  };
  private found: Finding[] = [];
  private directoriesMoved = false;

  constructor(
    /** Absolute; bytes as in `RelativePath`. */
    private readonly rootBytes: string,
    private readonly filter: Filter,
    /** The clock of the file system: milliseconds since 1970. */
    private readonly now: () => number = Date.now,
  ) {}

  get directories(): number {
    const count = (entry: Entry): number =>
      [...(entry.children?.values() ?? [])].reduce((sum, child) => sum + (child.children ? count(child) : 0), 1);
    return count(this.root);
  }

  /** Compares directories only, and the names in those that changed. Some 3 µs a directory. */
  sweep(): Comparison {
    return this.comparing(() => {
      this.compareDirectory(this.root, ROOT, 'directories');
    });
  }

  /** Compares every name at and below `path`. Some 3 µs a name. */
  audit(path: RelativePath = ROOT): Comparison {
    return this.comparing(() => {
      const entry = this.find(path);
      // A directory that is not known is found by comparing what is above it.
      if (entry?.children === undefined) this.compareDirectory(this.root, ROOT, 'directories');
      else this.compareDirectory(entry, path, 'all');
    });
  }

  /** What is being told of a name that is not a directory, by somebody else: no need to tell it again. */
  note({ path, inode, ctimeMs }: Sighting): void {
    const parent = this.find(parentOf(path));
    if (parent?.children === undefined || parent.children.get(nameOf(path))?.children !== undefined) return;
    if (inode === 0) this.bury(parent, nameOf(path));
    else parent.children.set(nameOf(path), fileEntry(inode, this.settled(ctimeMs)));
  }

  private comparing(compare: () => void): Comparison {
    this.found = [];
    this.directoriesMoved = false;
    compare();
    return { found: this.found, directoriesMoved: this.directoriesMoved };
  }

  private find(path: RelativePath): Entry | undefined {
    if (path === ROOT) return this.root;
    let entry: Entry | undefined = this.root;
    for (const name of path.split('/')) entry = entry?.children?.get(name);
    return entry;
  }

  private compareDirectory(top: Entry, topPath: RelativePath, depth: Depth): void {
    const toCompare: Place[] = [{ directory: top, path: topPath }];
    for (let next = toCompare.pop(); next !== undefined; next = toCompare.pop()) {
      const { directory, path } = next;
      // Before the names are read: what comes after this moves the ctime again.
      const stats = this.look(path);
      if (stats?.isDirectory() !== true) continue;
      const isChanged = directory.identity !== identityOf(stats) || directory.ctimeMs !== stats.ctimeMs;
      if (isChanged && directory.inode !== 0) this.tellDirectory(directory, path, stats);
      if (isChanged || depth === 'all') this.compareNames(directory, path, isChanged ? this.list(path) : undefined);
      if (!isChanged) {
        directory.isFresh = false;
        directory.gone = undefined;
      }
      directory.inode = stats.ino;
      directory.identity = identityOf(stats);
      directory.ctimeMs = this.settled(stats.ctimeMs);
      for (const [name, child] of directory.children ?? []) {
        if (child.children !== undefined) toCompare.push({ directory: child, path: join(path, name) });
      }
    }
  }

  private tellDirectory(directory: Entry, path: RelativePath, stats: Stats): void {
    if (directory.identity === identityOf(stats)) {
      this.tell(path, (directory.isFresh ? Hint.created : 0) | Hint.attributes | Hint.directory);
      return;
    }
    // Replaced since the names above it were compared.
    directory.children = new Map();
    this.tell(path, Hint.created | Hint.directory);
    this.directoriesMoved = true;
  }

  /** `names`: as listed now; undefined when they are known to be the same. */
  private compareNames(directory: Entry, path: RelativePath, names: readonly string[] | undefined): void {
    const { children } = directory;
    if (children === undefined) return;
    const goneBefore = [...(directory.gone ?? [])];
    const isListed = names !== undefined;
    for (const name of names ?? [...children.keys()]) {
      this.compareName(directory, children, name, join(path, name), isListed);
    }
    if (names === undefined) return;
    const present = new Set(names);
    for (const [name, child] of children) {
      if (!present.has(name)) this.remove(directory, name, child, join(path, name));
    }
    for (const name of goneBefore) {
      if (present.has(name)) directory.gone?.delete(name);
      else this.tell(join(path, name), Hint.removed);
    }
  }

  /** `isListed`: the names of its directory were read anew, because that has changed. */
  private compareName(
    directory: Entry,
    children: Map<string, Entry>,
    name: string,
    path: RelativePath,
    isListed: boolean,
  ): void {
    const known = children.get(name);
    const stats = this.look(path);
    if (stats === undefined) {
      if (known !== undefined) this.remove(directory, name, known, path);
      return;
    }
    const isDirectory = stats.isDirectory();
    if (this.filter.isExcluded(path, isDirectory)) return;
    if (known !== undefined && (isDirectory ? known.identity === identityOf(stats) : isUnchanged(known, stats))) {
      // A directory that is the same is compared in its turn. Whoever was told of it may have seen it away for a moment.
      if (isListed && isDirectory && known.ctimeMs !== stats.ctimeMs) known.isFresh = true;
      return;
    }
    if (isDirectory) {
      // Whoever is told looks at everything below.
      children.set(name, this.remember(path, stats));
      this.tell(path, Hint.created | Hint.directory);
      this.directoriesMoved = true;
      return;
    }
    if (known?.children !== undefined) this.directoriesMoved = true;
    children.set(name, fileEntry(stats.ino, this.settled(stats.ctimeMs)));
    this.tell(path, known === undefined ? Hint.created | Hint.unknown : Hint.unknown);
  }

  private remove(directory: Entry, name: string, known: Entry, path: RelativePath): void {
    this.bury(directory, name);
    if (known.children !== undefined) this.directoriesMoved = true;
    this.tell(path, Hint.removed | (known.children === undefined ? 0 : Hint.directory));
  }

  private bury(directory: Entry, name: string): void {
    directory.children?.delete(name);
    directory.gone ??= new Set();
    // The youngest are kept: a directory where names come and go all the time would gather them for ever.
    directory.gone.delete(name);
    directory.gone.add(name);
    for (const oldest of directory.gone) {
      if (directory.gone.size <= MOST_GONE) return;
      directory.gone.delete(oldest);
    }
  }

  /** A directory and everything below it, as it is now. */
  private remember(topPath: RelativePath, topStats: Stats): Entry {
    const top = this.directoryEntry(topStats);
    const toList: Place[] = [{ directory: top, path: topPath }];
    for (let next = toList.pop(); next !== undefined; next = toList.pop()) {
      const { directory, path } = next;
      for (const name of this.list(path)) {
        const childPath = join(path, name);
        const stats = this.look(childPath);
        if (stats === undefined || this.filter.isExcluded(childPath, stats.isDirectory())) continue;
        if (!stats.isDirectory()) {
          directory.children?.set(name, fileEntry(stats.ino, this.settled(stats.ctimeMs)));
          continue;
        }
        const child = this.directoryEntry(stats);
        directory.children?.set(name, child);
        toList.push({ directory: child, path: childPath });
      }
    }
    return top;
  }

  private directoryEntry(stats: Stats): Entry {
    return {
      inode: stats.ino,
      identity: identityOf(stats),
      ctimeMs: this.settled(stats.ctimeMs),
      children: new Map(),
      isFresh: true,
      gone: undefined,
    };
  }

  /**
   * A ctime to compare with later. The kernel takes it from a clock that ticks every few milliseconds: after a change of
   * just now, another one in the same tick would not show. Such a time equals nothing, so the name is told once more.
   */
  private settled(ctimeMs: number): number {
    return ctimeMs > this.now() - CLOCK_MARGIN_MS ? NEVER : ctimeMs;
  }

  private tell(path: RelativePath, hint: Hint): void {
    this.found.push({ path, hint });
  }

  private look(path: RelativePath): Stats | undefined {
    try {
      return lstatSync(this.absolute(path), { throwIfNoEntry: false });
    } catch {
      // A parent that is a file by now, or may not be searched: there is nothing that we could tell of.
      return undefined;
    }
  }

  private list(path: RelativePath): string[] {
    try {
      return readdirSync(this.absolute(path), { encoding: 'latin1' });
    } catch {
      // Gone by now (the comparison of what is above finds that), or unreadable: the transfer says so.
      return [];
    }
  }

  private absolute(path: RelativePath): Buffer {
    return Buffer.from(path === ROOT ? this.rootBytes : `${this.rootBytes}/${path}`, 'latin1');
  }
}

export interface Finding {
  readonly path: RelativePath;
  readonly hint: Hint;
}

export interface Comparison {
  readonly found: readonly Finding[];
  /** Directories appeared, vanished or are others now: a watcher may not watch them. */
  readonly directoriesMoved: boolean;
}

/** What lstat said about a name just before somebody was told of it; inode 0 (which no file has) when it was gone. */
export interface Sighting {
  readonly path: RelativePath;
  readonly inode: number;
  readonly ctimeMs: number;
}

interface Entry {
  inode: number;
  /** Which directory it is; empty for what is none. */
  identity: string;
  ctimeMs: number;
  /** Undefined for what is not a directory. */
  children: Map<string, Entry> | undefined;
  /**
   * A directory that was told as a whole and has changed ever since, or that has changed together with the one above it.
   * Whoever looked at it may have seen names that came and went between two comparisons, or nothing because it was moved
   * away and back, so it is told as a whole once more.
   */
  isFresh: boolean;
  /**
   * Names that were told as removed while the directory changed. Whoever looked may have seen one that was back for a
   * moment, so they are told again until the directory is found unchanged.
   */
  gone: Set<string> | undefined;
}

function fileEntry(inode: number, ctimeMs: number): Entry {
  return { inode, identity: '', ctimeMs, children: undefined, isFresh: false, gone: undefined };
}

/**
 * The roots of file systems that are mounted in turn have one inode number, and often one device number, so the time at
 * which it was made belongs to it (0 where the file system does not tell).
 */
function identityOf(directory: Stats): string {
  return `${directory.dev}:${directory.ino}:${directory.birthtimeMs}`;
}

/** Whether what is no directory is what was remembered. */
function isUnchanged(known: Entry, found: Stats): boolean {
  return known.children === undefined && known.inode === found.ino && known.ctimeMs === found.ctimeMs;
}

interface Place {
  readonly directory: Entry;
  readonly path: RelativePath;
}

type Depth = 'directories' | 'all';

/** Equals no time, not even itself. */
const NEVER = NaN;
const CLOCK_MARGIN_MS = 30;
const MOST_GONE = 1_000;
