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
  /**
   * Its ctime, milliseconds since 1970: a name in it came or went then, or its own attributes were set. Its mtime may be set to
   * any time afterwards, as tar does.
   */
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
/** ctimes come from a clock that lags by less than this. */
const TICK_MS = 20;
/** So many counts are remembered. */
const MAX_COUNTS = 10_000;

/** Remembers how many names a directory holds until it changes: the remotes are sent the same one after the other. */
export class FullDirectories {
  readonly #counts = new Map<string, { readonly changedMs: number; readonly names: number }>();

  /**
   * The directory as it is now, if so many names, all of which were there at `seenMs` or later, are all that it holds. Never
   * the root, whose own attributes would go along. Times are milliseconds since 1970.
   */
  findFull(
    path: RelativePath,
    names: number,
    disk: Directories,
    { seenMs, nowMs }: { readonly seenMs: number; readonly nowMs: number },
  ): DirectoryFound | undefined {
    if (path === ROOT || names < WORTH_A_LOOK) return undefined;
    const found = disk.directory(path);
    if (found === undefined || found.changedMs > nowMs - QUIET_MS) return undefined;
    // It may hold another name by now instead of one of these.
    if (found.changedMs > seenMs - TICK_MS) return undefined;
    if (found.bytes > SMALL_BYTES + names * NAME_AT_MOST_BYTES) return undefined;
    return this.#count(path, found, disk) === names ? found : undefined;
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

/** Those in which a name may have come or gone since. */
export function unquietAmong(found: ReadonlyMap<RelativePath, DirectoryFound>, disk: Directories): RelativePath[] {
  return [...found].flatMap(([path, { id, changedMs }]) => {
    const now = disk.directory(path);
    return now?.id === id && now.changedMs === changedMs ? [] : [path];
  });
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
