import {
  closeSync,
  constants,
  lstatSync,
  opendirSync,
  openSync,
  readdirSync,
  statfsSync,
  type BigIntStats,
  type Dir,
  type Dirent,
  type Stats,
} from 'node:fs';
import type { MountPoint } from '../core/mount-point.js';
import { fromBytes, join, ROOT, toBytes, type RelativePath } from '../core/relative-path.js';
import { messageOf } from '../errors.js';
import { mountsBelow } from '../mount-points.js';
import type { GuardedSource } from './delete-guard.js';
import type { Directories, DirectoryFound } from './full-directories.js';
import { loadStatx, type Statx } from './statx.js';
import type { Child, Disk, Found } from './survey.js';

/**
 * Which directory it is: `device:inode:birth`, the birth in nanoseconds since 1970. A file system that is mounted anew may
 * have the numbers of another one before (tmpfs, Linux 6.18: each time), and may have another number than it had itself
 * (a disk that was plugged in again, NFS, btrfs). So where there is a birth the device does not count, and is 0. The birth
 * is 0 where the system does not say.
 */
export type RootIdentity = string;

const MISSING: Found = { kind: 'missing', size: 0 };
const NON_ASCII = /[^\x00-\x7f]/;

/** Identifies the directory at `root` (bytes as in `RelativePath`); `undefined` when there is none. */
export function identify(root: RelativePath): RootIdentity | undefined {
  const stats = exactStatsOf(root);
  if (stats?.isDirectory() !== true) return undefined;
  try {
    const birth = birthOf(root, stats);
    return `${birth === 0n ? stats.dev : 0}:${stats.ino}:${birth}`;
  } catch {
    // It has gone since: as the working directory of a process does that has ended.
    return undefined;
  }
}

/** Directories of an overlay are born again when something is first changed in them: its birth is that of a layer. */
const OVERLAYFS = 0x794c7630;
/** By the number that statfs(2) gives: tmpfs, ramfs. */
const FLEETING = new Set([0x01021994, 0x858458f6, OVERLAYFS]);

function birthOf(root: RelativePath, { birthtimeNs }: BigIntStats): bigint {
  return tellsBirths() && statfsSync(systemPath(root)).type !== OVERLAYFS ? birthtimeNs : 0n;
}

/** Where statx(2) is missing or forbidden, libuv calls the ctime so; the files of the kernel show it: none is ever born. */
function tellsBirths(): boolean {
  const stats = exactStatsOf('/proc/self');
  return stats === undefined || stats.birthtimeNs === 0n;
}

/**
 * What is mounted at a place: `type:inode:birth`. Of what is new each time (in memory, an overlay), and of what is no
 * directory, the type alone: it is at its place again after every boot, as another one.
 */
function identifyMount(place: RelativePath): string {
  try {
    const { type } = statfsSync(systemPath(place));
    const [, inode = '', birth = ''] = FLEETING.has(type) ? [] : (identify(place) ?? '').split(':');
    return `${type}:${inode}:${birth}`;
  } catch (error) {
    // Unmounted meanwhile, or of a server that is away: it is not what it was, whatever that is.
    return `unknown: ${(error as NodeJS.ErrnoException).code ?? ''}`;
  }
}

function exactStatsOf(path: RelativePath): BigIntStats | undefined {
  try {
    return lstatSync(systemPath(path), { bigint: true, throwIfNoEntry: false });
  } catch {
    // What cannot be looked at is not known to be there.
    return undefined;
  }
}

/** The watched tree on the disk. Synchronous: it is used in worker threads. */
export class Source implements Disk, Directories, GuardedSource {
  readonly #root: RelativePath;
  readonly #prefix: string;
  /** Of the root, while looks begin there. */
  #descriptor: number | undefined;

  /** `root`: absolute, bytes as in `RelativePath`. */
  constructor(root: RelativePath) {
    this.#root = root;
    this.#prefix = root === '/' ? '/' : `${root}/`;
  }

  identity(): RootIdentity | undefined {
    return identify(this.#root);
  }

  mountPoints(): MountPoint[] {
    // What is mounted over another mount hides it.
    const places = new Set(mountsBelow(this.#root).values());
    return [...places].map((path) => ({ path, identity: identifyMount(this.#prefix + path) }));
  }

  look(path: RelativePath): Found {
    statx ??= findStatx();
    // What statx(2) is refused is for Node to say, which also knows systems that forbid the call itself.
    return (
      (this.#descriptor === undefined || path === ROOT ? statx(this.#pathOf(path)) : statx(path, this.#descriptor)) ??
      foundByNode(this.#pathOf(path))
    );
  }

  /**
   * Until `unpin` all looks are at the directory that the root is now, whatever takes its place, and cost less: the way to
   * it need not be gone again for each. It cannot be unmounted meanwhile.
   */
  pin(): void {
    this.unpin();
    try {
      this.#descriptor = openSync(systemPath(this.#root), constants.O_RDONLY | constants.O_DIRECTORY);
    } catch {
      // It has gone, or may be entered but not read: then it is looked at by its path.
    }
  }

  unpin(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }

  children(path: RelativePath, onUnreadable?: (error: string) => void): Child[] {
    let entries: Dirent<Buffer>[];
    try {
      entries = readdirSync(systemPath(this.#pathOf(path)), {
        withFileTypes: true,
        encoding: 'buffer',
      });
    } catch (error) {
      const { code = '' } = error as NodeJS.ErrnoException;
      if (code !== 'ENOENT' && code !== 'ENOTDIR') onUnreadable?.(messageOf(error));
      return [];
    }
    return entries.map((entry) => ({ path: join(path, fromBytes(entry.name)), isDirectory: entry.isDirectory() }));
  }

  directory(path: RelativePath): DirectoryFound | undefined {
    const stats = lstatOf(this.#pathOf(path));
    if (stats === undefined || stats === 'unknown' || !stats.isDirectory()) return undefined;
    return { id: `${stats.dev}:${stats.ino}`, bytes: stats.size, changedMs: stats.ctimeMs };
  }

  countNames(path: RelativePath): number | undefined {
    try {
      return readdirSync(systemPath(this.#pathOf(path)), 'latin1').length;
    } catch {
      return undefined;
    }
  }

  /** Whether the root holds nothing: it may have been emptied, or it may be the mount point of what is not mounted. */
  isEmpty(): boolean {
    let directory: Dir;
    try {
      directory = opendirSync(systemPath(this.#root));
    } catch {
      // It has gone since the task began: then it holds nothing.
      return true;
    }
    try {
      return directory.readSync() === null;
    } finally {
      directory.closeSync();
    }
  }

  #pathOf(path: RelativePath): string {
    return path === ROOT ? this.#root : this.#prefix + path;
  }
}

let statx: Statx | undefined;

function findStatx(): Statx {
  try {
    return loadStatx();
  } catch {
    // No Linux, or a C library that cannot be loaded or has no such call: the other way says the same.
    return () => undefined;
  }
}

/** What there is at an absolute path, by the means of Node. */
export function foundByNode(path: RelativePath): Found {
  const stats = lstatOf(path);
  if (stats === 'unknown') return { kind: 'other', size: 0 };
  if (stats === undefined) return MISSING;
  const { mtimeMs, ctimeMs } = stats;
  if (stats.isFile()) {
    const linked = stats.nlink > 1 ? { linkedInode: stats.ino } : {};
    return { kind: 'file', size: stats.size, ...linked, mtimeMs, ctimeMs };
  }
  return { kind: stats.isDirectory() ? 'directory' : 'other', size: 0, mtimeMs, ctimeMs };
}

function lstatOf(path: RelativePath): Stats | undefined | 'unknown' {
  try {
    return lstatSync(systemPath(path), { throwIfNoEntry: false });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // A name that the system cannot hold cannot be there. One that may not be looked at may be: rsync will say so.
    return code === 'ENAMETOOLONG' || code === 'ELOOP' || code === 'ENOTDIR' ? undefined : 'unknown';
  }
}

function systemPath(path: string): string | Buffer {
  return NON_ASCII.test(path) ? toBytes(path) : path;
}
