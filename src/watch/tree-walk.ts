import { lstatSync, readdirSync, type Stats } from 'node:fs';
import type { Filter } from '../core/filter.js';
import { display, join, parentOf, ROOT, toBytes, type RelativePath } from '../core/relative-path.js';
import type { Scope } from '../core/scope.js';
import { messageOf, SersyncError } from '../errors.js';
import type { ChangedName, WalkSummary } from '../replicate/ports.js';

/**
 * What is told of names that another told name covers:
 *
 * - `folded`: nothing. Enough for whoever looks at all that is told.
 * - `each`: the same as of others. For an audit, which asks of each name whether it was told before: that a directory was
 *   says nothing about what is below it.
 */
export type WalkDetail = 'folded' | 'each';

export interface WalkOptions {
  /** Absolute; bytes as in `RelativePath`. */
  readonly root: string;
  readonly filter: Pick<Filter, 'isExcluded'>;
  readonly below: RelativePath;
  /** Milliseconds since 1970, by the clock of the file system. */
  readonly sinceMs: number;
  readonly detail: WalkDetail;
  /** The clock, for what has no ctime of its own any more: milliseconds since 1970. */
  readonly now: () => number;
  readonly tell: (found: ChangedName) => void;
}

/**
 * Walks at and below a directory and tells what has a ctime of `sinceMs` or later. What the filter leaves out is neither
 * counted nor entered, links are not followed, file systems that are mounted below are entered.
 *
 * | found | told as | because |
 * |---|---|---|
 * | a file, link, ... with a new ctime | `entry` | content, mode, owner, link count or name changed |
 * | a directory with a new ctime | `listing` | its attributes changed, or a name in it came or went |
 * | ... in a directory with a new ctime | `subtree` | it may have been moved there, with children of any age |
 * | a name that is gone when it is looked at | `entry` | its removal is a change, of now |
 * | a directory that cannot be read, or a name in it looked at | `listing` | it cannot be known; with its own ctime, which may be old |
 *
 * That a rename moves the ctime of what was renamed is no rule of POSIX, but ext4, tmpfs, XFS and btrfs do it.
 *
 * Synchronous, and the tree may change meanwhile. What changed before the walk began is found where it is then. A
 * directory that is renamed during the walk, from where the walk comes late to where it was early, is missed with all
 * below it: somebody must watch the tree from before the walk on, who sees that rename.
 *
 * Throws when there is no directory at `below`.
 */
export function walkTree(options: WalkOptions): WalkSummary {
  const began = performance.now();
  const walk = new Walk(options);
  walk.run();
  return { names: walk.names, unreadable: walk.unreadable, durationMs: performance.now() - began };
}

/** A directory still to be read. */
interface Place {
  readonly path: RelativePath;
  readonly ctimeMs: number;
  /** A told subtree covers it. */
  readonly isCovered: boolean;
}

class Walk {
  names = 0;
  unreadable = 0;
  private readonly prefix: string;
  /** Every ctime from here on is new. */
  private readonly fromMs: number;
  private readonly toRead: Place[] = [];

  constructor(private readonly options: WalkOptions) {
    this.prefix = options.root === '/' ? '/' : `${options.root}/`;
    this.fromMs = Math.floor(options.sinceMs);
  }

  run(): void {
    const { below } = this.options;
    const stats = this.lookAtTop();
    const isInNew = below !== ROOT && this.isNew(this.ctimeOf(parentOf(below)));
    this.foundDirectory(below, stats, isInNew, false);
    for (let place = this.toRead.pop(); place !== undefined; place = this.toRead.pop()) this.read(place);
  }

  private lookAtTop(): Stats {
    const { below } = this.options;
    let found = 'there is no such directory';
    try {
      const stats = this.look(below);
      if (stats?.isDirectory() === true) return stats;
      if (stats !== undefined) found = 'it is no directory';
    } catch (error) {
      found = messageOf(error);
    }
    throw new SersyncError('SERSYNC_WALK', `cannot look for changes in ${display(this.absolute(below))}: ${found}`);
  }

  private ctimeOf(path: RelativePath): number {
    try {
      return this.look(path)?.ctimeMs ?? this.options.now();
    } catch {
      // Whatever may not be looked at counts as new.
      return this.options.now();
    }
  }

  private read(place: Place): void {
    const { path, ctimeMs, isCovered } = place;
    let names: string[];
    try {
      names = readdirSync(systemPath(this.absolute(path)), 'latin1');
    } catch (error) {
      if (isGone(error)) this.tell(path, 'entry', this.options.now(), isCovered);
      else this.cannotRead(place);
      return;
    }
    const isNew = this.isNew(ctimeMs);
    let isReadable = true;
    for (const name of names) {
      const child = join(path, name);
      let stats: Stats | undefined;
      try {
        stats = this.look(child);
      } catch {
        // It may be searched no more, or the disk is bad at this place. The other names may be well.
        isReadable = false;
        continue;
      }
      if (stats?.isDirectory() === true) this.foundDirectory(child, stats, isNew, isCovered);
      else this.foundName(child, stats, isCovered || isNew);
    }
    if (!isReadable) this.cannotRead(place);
  }

  private foundDirectory(path: RelativePath, stats: Stats, isInNew: boolean, isCovered: boolean): void {
    if (this.options.filter.isExcluded(path, true)) return;
    this.names += 1;
    const { ctimeMs } = stats;
    const isNew = this.isNew(ctimeMs);
    const scope = isInNew ? 'subtree' : 'listing';
    if (isNew) this.tell(path, scope, ctimeMs, isCovered);
    this.toRead.push({ path, ctimeMs, isCovered: isCovered || (isNew && scope === 'subtree') });
  }

  /** `stats`: undefined when the name was there a moment ago. */
  private foundName(path: RelativePath, stats: Stats | undefined, isCovered: boolean): void {
    if (this.options.filter.isExcluded(path, false)) return;
    this.names += 1;
    const ctimeMs = stats?.ctimeMs ?? this.options.now();
    if (stats !== undefined && !this.isNew(ctimeMs)) return;
    this.tell(path, 'entry', ctimeMs, isCovered, stats);
  }

  private cannotRead({ path, ctimeMs, isCovered }: Place): void {
    this.unreadable += 1;
    // With a new ctime it was told when it was found.
    if (!this.isNew(ctimeMs)) this.tell(path, 'listing', ctimeMs, isCovered);
  }

  /** `file`: of what is no directory and is there. */
  private tell(path: RelativePath, scope: Scope, ctimeMs: number, isCovered: boolean, file?: Stats): void {
    const isEach = this.options.detail === 'each';
    if (isCovered && !isEach) return;
    const links =
      file === undefined || !isEach ? {} : { inode: file.ino, ...(file.nlink > 1 ? { isLinked: true } : {}) };
    this.options.tell({ path, scope, ctimeMs, ...links });
  }

  /** A ctime is a fraction that was rounded when it became a double: rather one name too many. */
  private isNew(ctimeMs: number): boolean {
    return Math.ceil(ctimeMs) >= this.fromMs;
  }

  /** Undefined when there is no such name. Throws when it may not be looked at. */
  private look(path: RelativePath): Stats | undefined {
    try {
      return lstatSync(systemPath(this.absolute(path)), { throwIfNoEntry: false });
    } catch (error) {
      if (isGone(error)) return undefined;
      throw error;
    }
  }

  private absolute(path: RelativePath): string {
    return path === ROOT ? this.options.root : this.prefix + path;
  }
}

/** The name is not there, or what was the directory above it is none any more. */
function isGone(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ENOTDIR';
}

const NOT_ASCII = /[^\x00-\x7f]/;

/** Text is cheaper to hand over than bytes, and the same where it is ASCII. */
function systemPath(path: string): string | Buffer {
  return NOT_ASCII.test(path) ? toBytes(path) : path;
}
