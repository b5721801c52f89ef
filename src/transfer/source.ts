import { lstatSync, opendirSync, readdirSync, type Dir, type Dirent, type Stats } from 'node:fs';
import { fromBytes, join, ROOT, toBytes, type RelativePath } from '../core/relative-path.js';
import type { Child, Disk, Found } from './survey.js';

/** The directory that was there when the service started: `device:inode`. */
export type RootIdentity = string;

const MISSING: Found = { kind: 'missing', size: 0 };
const NON_ASCII = /[^\x00-\x7f]/;

/** Identifies the directory at `root` (bytes as in `RelativePath`); `undefined` when there is none. */
export function identify(root: RelativePath): RootIdentity | undefined {
  const stats = lstatOf(root);
  return stats !== 'unknown' && stats?.isDirectory() === true ? `${stats.dev}:${stats.ino}` : undefined;
}

/** The watched tree on the disk. Synchronous: it is used in worker threads. */
export class Source implements Disk {
  readonly #root: RelativePath;
  readonly #prefix: string;

  /** `root`: absolute, bytes as in `RelativePath`. */
  constructor(root: RelativePath) {
    this.#root = root;
    this.#prefix = root === '/' ? '/' : `${root}/`;
  }

  /** Why nothing may be done now, or `undefined`: an unmounted or replaced root would bring over the wrong tree. */
  refusal(expected: RootIdentity): string | undefined {
    const found = identify(this.#root);
    if (found === undefined) return 'the watched directory is missing: unmounted or removed';
    if (found !== expected) return 'the watched directory is not the one that it was at start: unmounted or replaced';
    return undefined;
  }

  look(path: RelativePath): Found {
    const stats = lstatOf(path === ROOT ? this.#root : this.#prefix + path);
    if (stats === 'unknown') return { kind: 'other', size: 0 };
    if (stats === undefined) return MISSING;
    if (stats.isFile()) return { kind: 'file', size: stats.size };
    return { kind: stats.isDirectory() ? 'directory' : 'other', size: 0 };
  }

  /** The names in a directory, in no order; none when it is gone or cannot be read (rsync will say so). */
  children(path: RelativePath): Child[] {
    let entries: Dirent<Buffer>[];
    try {
      entries = readdirSync(systemPath(path === ROOT ? this.#root : this.#prefix + path), {
        withFileTypes: true,
        encoding: 'buffer',
      });
    } catch {
      return [];
    }
    return entries.map((entry) => ({ path: join(path, fromBytes(entry.name)), isDirectory: entry.isDirectory() }));
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
}

function lstatOf(path: string): Stats | undefined | 'unknown' {
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
