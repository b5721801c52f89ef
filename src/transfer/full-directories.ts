/**
 * Directories of which every name is to be sent. Such a one is named to rsync as a whole: to go through it costs rsync less
 * than as many names among its arguments, each of which it looks up twice (3.5.0: 10,000 files of 1 KB in directories of 100
 * took it and the remote 366 ms of CPU so, and 396 by name; `rsync -a` of the same: 373).
 */
import { lastSlashIn, ROOT, type RelativePath } from '../core/relative-path.js';

/** What is asked of the disk (source.ts). */
export interface Directories {
  /** Undefined when it is none, or cannot be looked at. */
  directory(path: RelativePath): DirectoryFound | undefined;
  /** How many names it holds; undefined when it cannot be read. */
  countNames(path: RelativePath): number | undefined;
}

export interface DirectoryFound {
  /** That name no other directory of the system, as long as they are there: `device:inode`. */
  readonly id: string;
  /** What it takes on the disk, which grows with the names in it: ext4 says a multiple of 4096, tmpfs 20 a name. */
  readonly bytes: number;
  /** When a name in it last came or went: milliseconds since 1970. */
  readonly changedMs: number;
}

/** So many names in a directory are worth the look into it. */
const WORTH_A_LOOK = 8;
/** One that is larger may hold many more names than are to be sent, and to count them would take long. */
const SMALL_BYTES = 4096;
const NAME_AT_MOST_BYTES = 256;
/**
 * In one that changes just now a file may appear that somebody still writes, before rsync goes through it: it would be sent
 * twice, the first time as it is then.
 */
const QUIET_MS = 50;
/** So many counts are remembered. */
const MAX_COUNTS = 10_000;

/** Remembers how many names a directory holds until it changes: the remotes are sent the same one after the other. */
export class FullDirectories {
  readonly #counts = new Map<string, { readonly changedMs: number; readonly names: number }>();

  /**
   * Whether so many names, all of which were there a moment ago, are all that the directory holds. Never of the root, whose
   * own attributes would go along.
   */
  isFull(path: RelativePath, names: number, disk: Directories, nowMs: number): boolean {
    if (path === ROOT || names < WORTH_A_LOOK) return false;
    const found = disk.directory(path);
    if (found === undefined || found.changedMs > nowMs - QUIET_MS) return false;
    if (found.bytes > SMALL_BYTES + names * NAME_AT_MOST_BYTES) return false;
    return this.#count(path, found, disk) === names;
  }

  #count(path: RelativePath, { id, changedMs }: DirectoryFound, disk: Directories): number | undefined {
    const known = this.#counts.get(id);
    if (known?.changedMs === changedMs) return known.names;
    const names = disk.countNames(path);
    if (this.#counts.size >= MAX_COUNTS) this.#counts.clear();
    if (names !== undefined) this.#counts.set(id, { changedMs, names });
    return names;
  }
}

/** The names of each directory, in the order in which they come. */
export function byDirectory(names: Iterable<RelativePath>): ReadonlyMap<RelativePath, readonly RelativePath[]> {
  const directories = new Map<RelativePath, RelativePath[]>();
  let last = ROOT;
  let group: RelativePath[] = [];
  for (const path of names) {
    const slash = lastSlashIn(path);
    // Names of one directory usually follow one another.
    const isSame = group.length > 0 && Math.max(slash, 0) === last.length && path.startsWith(last);
    if (!isSame) {
      last = slash < 0 ? ROOT : path.slice(0, slash);
      group = directories.get(last) ?? [];
      directories.set(last, group);
    }
    group.push(path);
  }
  return directories;
}
