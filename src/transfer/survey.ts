/**
 * What the disk says about the looks of a task, just before rsync is given its list and just after it has ended. Decides
 * what goes on the list and what is handed back; touches nothing. `Disk` is the watched tree (source.ts).
 */
import type { Filter } from '../core/filter.js';
import { ancestorsOf, parentOf, ROOT, type RelativePath } from '../core/relative-path.js';
import type { Again, Look } from '../replicate/ports.js';

/** `other`: a link, a device, a pipe, or what may not be looked at. */
export type Kind = 'missing' | 'directory' | 'file' | 'other';

export interface Found {
  readonly kind: Kind;
  /** Bytes, of a regular file; else 0. */
  readonly size: number;
  /** Of a regular file that has other names as well (hard links): its inode. */
  readonly linkedInode?: number;
  /** Milliseconds since 1970, where they are known. */
  readonly mtimeMs?: number;
  readonly ctimeMs?: number;
}

export interface Child {
  readonly path: RelativePath;
  readonly isDirectory: boolean;
}

export interface Disk {
  look(path: RelativePath): Found;
  /** The names in a directory, in no order; none when it is gone, or cannot be read: then `onUnreadable` is told why. */
  children(path: RelativePath, onUnreadable?: (error: string) => void): Child[];
}

/** Looks that were made already. */
export interface KnownLooks {
  /** What was found of the name of the look, where that still holds. */
  find(look: Look): Found | undefined;
  /** Takes what was found of a name that was looked at now. */
  note(path: RelativePath, found: Found): void;
}

/** The names for an `entries` run, and how each was found. */
export interface EntriesSurvey {
  readonly names: ReadonlyMap<RelativePath, 'there' | 'missing'>;
  /** Names that are not sent, and of which the filter lets something go there, but not whatever it is. */
  readonly unwanted: readonly Unwanted[];
  readonly again: readonly Again[];
  /** The ordinary files among the names. */
  readonly files: readonly RelativePath[];
  /** Bytes of the largest file among the names. */
  readonly largest: number;
  /** The inodes of the files among the names that have other names as well. */
  readonly linked: readonly number[];
  /** A file is among the names of which the time does not tell whether it has changed. */
  readonly isDoubtful: boolean;
}

/** A name that the remote should not have, as far as the filter lets it go. */
export interface Unwanted {
  readonly path: RelativePath;
  /** The source has the name: it is excluded, or in the way. */
  readonly isHere: boolean;
  /** It is a directory on the remote, and the source sends another kind of file to its place. */
  readonly isInTheWay?: boolean;
}

/**
 * Writing to a file sets mtime and ctime at once; the clock behind them ticks every few milliseconds. Those of a directory
 * are the very same when a name in it comes or goes, and a rename of the directory moves its ctime alone.
 */
const SET_APART_MS = { file: 2_000, directory: 0 };
/** A change is seen after it was made, and a mark may have waited for longer than the file was quiet. */
const SEEN_LATE_MS = 60_000;
const DIVIDE_INTO = 64;
const DIVIDE_AT_MOST_DIRECTORIES = 1_000;
/** A dirty set takes 100,000 marks. */
const DIVIDE_AT_MOST_PIECES = 20_000;

/** `largeBytes`: as in `TransferTask`. `filter`: where one is in force. */
export function surveyEntries(disk: Disk, looks: readonly Look[], largeBytes: number, filter?: Filter): EntriesSurvey {
  const survey = new EntriesSurveyor(disk, largeBytes, filter);
  for (const look of looks) survey.add(look);
  return survey.result();
}

/** The same, a look at a time. */
export class EntriesSurveyor {
  readonly #disk: Disk;
  readonly #largeBytes: number;
  readonly #filter: Filter | undefined;
  readonly #known: KnownLooks | undefined;
  readonly #lift: (path: RelativePath) => RelativePath;
  readonly #names = new Map<RelativePath, 'there' | 'missing'>();
  readonly #unwanted = new Map<RelativePath, Unwanted>();
  readonly #again: Again[] = [];
  readonly #files: RelativePath[] = [];
  readonly #linked: number[] = [];
  #largest = 0;
  #isDoubtful = false;

  constructor(disk: Disk, largeBytes: number, filter?: Filter, known?: KnownLooks) {
    this.#disk = disk;
    this.#largeBytes = largeBytes;
    this.#filter = filter;
    this.#known = known;
    this.#lift = createLift(disk, filter);
  }

  add(look: Look): void {
    const path = this.#lift(look.path);
    const found = (path === look.path ? this.#known?.find(look) : undefined) ?? this.#look(path);
    const { kind, size } = found;
    const standing = this.#filter === undefined ? 'ours' : standingOf(path, kind, this.#filter);
    if (standing !== 'ours') {
      if (standing === 'unwanted') this.#unwanted.set(path, { path, isHere: kind !== 'missing' });
      return;
    }
    if (found.linkedInode !== undefined) this.#linked.push(found.linkedInode);
    this.#isDoubtful ||= kind === 'file' && size > 0 && (look.moved === true || hasOtherTime(found, look));
    if (kind === 'missing') {
      this.#names.set(path, 'missing');
    } else if (kind === 'directory' && (look.gone || path !== look.path)) {
      // It was seen to go and is there again: nothing below is known, and what is missing there was seen to go.
      this.#again.push({ path, scope: 'subtree', gone: true, because: 'reappeared' });
    } else if (this.#largeBytes > 0 && size >= this.#largeBytes) {
      this.#again.push({ path, scope: 'entry', gone: look.gone, because: 'large' });
    } else {
      this.#names.set(path, 'there');
      if (kind === 'file') this.#files.push(path);
      this.#largest = Math.max(this.#largest, size);
    }
  }

  #look(path: RelativePath): Found {
    const found = this.#disk.look(path);
    this.#known?.note(path, found);
    return found;
  }

  result(): EntriesSurvey {
    return {
      names: this.#names,
      unwanted: [...this.#unwanted.values()],
      again: this.#again,
      files: this.#files,
      largest: this.#largest,
      linked: this.#linked,
      isDoubtful: this.#isDoubtful,
    };
  }
}

/**
 * What the filter says of a name, whatever it is on the remote: it is `ours` to be sent or deleted, it `stays` as it is
 * there, or it depends. No directory above it is excluded.
 */
function standingOf(path: RelativePath, kind: Kind, filter: Filter): 'ours' | 'stays' | 'unwanted' {
  if (kind !== 'missing' && !filter.isExcluded(path, kind === 'directory')) return 'ours';
  const stays = [true, false].map((isDirectory) => filter.stays(path, isDirectory, path));
  if (stays.every(Boolean)) return 'stays';
  return kind === 'missing' && !stays.some(Boolean) ? 'ours' : 'unwanted';
}

/**
 * What came back while rsync looked: gone when it was listed and there now. The other way round needs no look: the name
 * stood in a directory that is watched, so its removal is a change of its own.
 */
export function surveyAfter(disk: Disk, names: EntriesSurvey['names']): Again[] {
  const again: Again[] = [];
  names.forEach((before, path) => {
    if (before === 'there') return;
    const { kind } = disk.look(path);
    if (kind === 'directory') again.push({ path, scope: 'subtree', gone: true, because: 'reappeared' });
    else if (kind !== 'missing') again.push({ path, scope: 'entry', gone: false, because: 'reappeared' });
  });
  return again;
}

/**
 * Whether the time of what changed was set by somebody (`cp -p`, tar, utimes) or came with it (`mv`): then it may be that of
 * what stood there before, and rsync would take the one for the other. A change of mode or owner looks the same.
 */
function hasOtherTime({ kind, mtimeMs, ctimeMs }: Found, { since }: Look): boolean {
  if (mtimeMs === undefined || ctimeMs === undefined) return false;
  const apartMs = kind === 'directory' ? SET_APART_MS.directory : SET_APART_MS.file;
  return Math.abs(ctimeMs - mtimeMs) > apartMs && ctimeMs >= since - SEEN_LATE_MS;
}

export interface TreesSurvey {
  readonly directories: readonly Look[];
  /** Those of the directories that may have been moved in, so that the times in them do not tell what has changed. */
  readonly doubtful: ReadonlySet<Look>;
  readonly again: readonly Again[];
}

/** What is in a directory of which the times do not tell whether it has changed. */
export interface DoubtSurvey {
  /** Places that are to be compared by content, and how deep. */
  readonly doubtful: ReadonlyMap<RelativePath, 'entry' | 'subtree'>;
  /** There are more than `atMost`, and not all are among `doubtful`. */
  readonly isMany: boolean;
  /** Bytes of the largest file. */
  readonly largest: number;
  /** The inodes of the files that have other names as well, as far as they are kept. */
  readonly linked: readonly number[];
}

/**
 * In a directory (below it, for a subtree): the files of which the time does not tell whether they have changed since the
 * look was asked for, and the directories that may have been moved in. A wide look covers all that was told of them.
 */
export function surveyDoubtful(disk: Disk, filter: Filter, look: Look, atMost: number): DoubtSurvey {
  const doubtful = new Map<RelativePath, 'entry' | 'subtree'>();
  const linked: number[] = [];
  let isMany = false;
  let largest = 0;
  const pending = [{ path: look.path, isCovered: false }];
  for (let place = pending.pop(); place !== undefined; place = pending.pop()) {
    for (const child of disk.children(place.path)) {
      if ((child.isDirectory && look.scope !== 'subtree') || filter.isExcluded(child.path, child.isDirectory)) continue;
      const found = disk.look(child.path);
      const { kind, size, linkedInode } = found;
      largest = Math.max(largest, size);
      if (linkedInode !== undefined && linked.length < atMost) linked.push(linkedInode);
      const isDirectory = kind === 'directory';
      const isDoubtful = !place.isCovered && (isDirectory || size > 0) && hasOtherTime(found, look);
      if (isDirectory) pending.push({ path: child.path, isCovered: place.isCovered || isDoubtful });
      if (!isDoubtful) continue;
      if (doubtful.size < atMost) doubtful.set(child.path, isDirectory ? 'subtree' : 'entry');
      else isMany = true;
    }
  }
  return { doubtful, isMany, largest, linked };
}

/** The looks that are directories now; the others are handed back as what they are. */
export function surveyTrees(disk: Disk, looks: readonly Look[], filter?: Filter): TreesSurvey {
  const lift = createLift(disk, filter);
  const directories: Look[] = [];
  const doubtful = new Set<Look>();
  const again: Again[] = [];
  for (const look of looks) {
    const path = lift(look.path);
    const found = disk.look(path);
    if (path === look.path && found.kind === 'directory' && filter?.isExcluded(path, true) !== true) {
      directories.push(look);
      // Nobody moves the root: its times say nothing about what is in it.
      if (look.moved === true || (path !== ROOT && hasOtherTime(found, look))) doubtful.add(look);
    } else {
      again.push({ path, scope: 'entry', gone: look.gone, because: 'retyped' });
    }
  }
  return { directories, doubtful, again };
}

/** Every name in the directories that the filter lets through, some at a time; and what could not be read, and why. */
export function* walk(
  disk: Disk,
  filter: Filter,
  directories: readonly Look[],
  onUnreadable: (path: RelativePath, error: string) => void,
): Generator<RelativePath[]> {
  let names: RelativePath[] = [];
  const pending = directories.map(({ path, scope }) => ({ path, isEntered: scope === 'subtree' }));
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    // The root as an entry would list its content.
    if (next.path !== ROOT) names.push(next.path);
    const children = disk.children(next.path, (error) => {
      onUnreadable(next.path, error);
    });
    for (const child of children) {
      if (filter.isExcluded(child.path, child.isDirectory)) continue;
      if (child.isDirectory && next.isEntered) pending.push({ path: child.path, isEntered: true });
      else names.push(child.path);
    }
    if (names.length < 1_000) continue;
    yield names;
    names = [];
  }
  if (names.length > 0) yield names;
}

/**
 * Splits the whole tree into disjoint looks, from the top, until there are enough to use all lanes and to block little:
 * a directory becomes the listing of its names and one subtree for each directory in it. One that holds so many that a
 * dirty set would have to coarsen them again stays as it is; if the root is such a one, the whole tree is handed back.
 */
export function divide(disk: Disk, filter: Filter): Again[] {
  const listings: RelativePath[] = [];
  const wide: RelativePath[] = [];
  const subtrees: RelativePath[] = [ROOT];
  const pieces = (): number => listings.length + wide.length + subtrees.length;
  const isEnough = (): boolean => pieces() >= DIVIDE_INTO || listings.length >= DIVIDE_AT_MOST_DIRECTORIES;
  while (listings.length === 0 || !isEnough()) {
    const path = subtrees.shift();
    if (path === undefined) break;
    const directories = disk
      .children(path)
      .filter((child) => child.isDirectory && !filter.isExcluded(child.path, true))
      .map((child) => child.path);
    if (pieces() + directories.length > DIVIDE_AT_MOST_PIECES) {
      wide.push(path);
    } else {
      listings.push(path);
      for (const directory of directories) subtrees.push(directory);
    }
  }
  return [
    ...listings.map((path) => ({ path, scope: 'listing', gone: false, because: 'divided' }) as const),
    ...[...wide, ...subtrees].map((path) => ({ path, scope: 'subtree', gone: false, because: 'divided' }) as const),
  ];
}

/** What was sent and is not there any more: in a directory that nobody watched yet its removal may cause no event. */
export function surveySent(disk: Disk, sent: Iterable<RelativePath>): Again[] {
  const again: Again[] = [];
  for (const path of sent) {
    if (disk.look(path).kind === 'missing') again.push({ path, scope: 'entry', gone: false, because: 'vanished' });
  }
  return again;
}

/** Files of those whose time was set after `sinceMs` to one before it. */
export function surveyBackdated(disk: Disk, sent: Iterable<RelativePath>, sinceMs: number): RelativePath[] {
  const backdated: RelativePath[] = [];
  for (const path of sent) {
    const { kind, mtimeMs = Infinity, ctimeMs = -Infinity } = disk.look(path);
    if (kind === 'file' && mtimeMs < sinceMs && ctimeMs >= sinceMs) backdated.push(path);
  }
  return backdated;
}

/**
 * Names that only the remote has, in any order; a directory stands for what is below it, unless something there stays. What
 * a directory that is named holds must be named, too.
 */
export class ExtraNames {
  readonly #filter: Pick<Filter, 'stays'>;
  readonly #inTheWay: ReadonlySet<RelativePath>;
  readonly #files = new Set<RelativePath>();
  readonly #directories = new Set<RelativePath>();

  /** `inTheWay`: directories at whose places something else is sent. */
  constructor(filter: Pick<Filter, 'stays'>, inTheWay: ReadonlySet<RelativePath> = new Set()) {
    this.#filter = filter;
    this.#inTheWay = inTheWay;
  }

  add(path: RelativePath, isDirectory: boolean): void {
    if (isDirectory) this.#directories.add(path);
    else this.#files.add(path);
  }

  result(): Extras {
    const names: RelativePath[] = [];
    const kept: RelativePath[] = [];
    for (const path of this.#directories) (this.#stays(path, true) ? kept : names).push(path);
    for (const path of this.#files) (this.#stays(path, false) ? kept : names).push(path);

    const holding = new Set(kept.flatMap((path) => [...ancestorsOf(path)]));
    const going = names.filter((path) => !holding.has(path));
    const extra = new Set(going);
    return {
      names: going.filter((path) => ![...ancestorsOf(path)].some((above) => extra.has(above))),
      count: going.length,
      kept: topmost(kept),
    };
  }

  #stays(path: RelativePath, isDirectory: boolean): boolean {
    for (const above of ancestorsOf(path)) {
      if (this.#directories.has(above)) return this.#filter.stays(path, isDirectory, above, this.#inTheWay.has(above));
    }
    return this.#filter.stays(path, isDirectory, path, this.#inTheWay.has(path));
  }
}

export interface Extras {
  /** What may go, without the names below one that goes as a whole. */
  readonly names: readonly RelativePath[];
  /** The same with all that is below them. */
  readonly count: number;
  /** What stays, without the names below one that stays. */
  readonly kept: readonly RelativePath[];
}

function topmost(paths: readonly RelativePath[]): RelativePath[] {
  const all = new Set(paths);
  return paths.filter((path) => ![...ancestorsOf(path)].some((above) => all.has(above)));
}

/** Whether a path is one of those given or lies below one. */
export function within(paths: { has(path: RelativePath): boolean }): (path: RelativePath) => boolean {
  return (path) => paths.has(ROOT) || paths.has(path) || [...ancestorsOf(path)].some((above) => paths.has(above));
}

/**
 * The place to look for a path: itself, when every directory above it is one; else the topmost of those that is missing
 * or no directory (a link must not be followed; rsync deletes nothing below a parent that is missing: exit 24), or that is
 * excluded (what the remote has of it goes or stays as a whole).
 * Remembers what it saw, so that a thousand names in a directory cost one look at it.
 */
export function createLift(disk: Disk, filter?: Filter): (path: RelativePath) => RelativePath {
  const known = new Map<RelativePath, boolean>([[ROOT, true]]);
  const isDirectory = (path: RelativePath): boolean => {
    let is = known.get(path);
    if (is === undefined) {
      is =
        isDirectory(parentOf(path)) && disk.look(path).kind === 'directory' && filter?.isExcluded(path, true) !== true;
      known.set(path, is);
    }
    return is;
  };
  return function lift(path): RelativePath {
    const parent = parentOf(path);
    return path === ROOT || isDirectory(parent) ? path : lift(parent);
  };
}
