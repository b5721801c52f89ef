import type { DirtyPath } from '../core/dirty-set.js';
import type { MountPoint } from '../core/mount-point.js';
import type { RelativePath } from '../core/relative-path.js';
import type { Scope } from '../core/scope.js';

/** What a run is asked to look at: a path, how deep, and whether the name was seen to go. */
export interface Look {
  readonly path: RelativePath;
  readonly scope: Scope;
  /** The name was seen to be removed or moved away: whatever is missing at or below it is a seen deletion. */
  readonly gone: boolean;
  /** It is compared by content (core/dirty-set.ts). Default: false. */
  readonly moved?: boolean;
  /** It is for one change, seen at `since` (core/dirty-set.ts). Default: false. */
  readonly once?: boolean;
  /** When the oldest change that is looked for was seen: milliseconds since 1970. */
  readonly since: number;
}

/** What the source must be for a name to be deleted on a remote. Checked by each run itself, just before it deletes. */
export interface DeleteGuard {
  /** The watched directory (`identify` in transfer/source.ts): another one at the path is not what the remotes hold. */
  readonly identity: string;
  /** What was mounted below it: what is missing at and below a place where that is not mounted now is not gone. */
  readonly mounts: readonly MountPoint[];
  /** A person has said that the directory is rightly empty. */
  readonly mayBeEmpty: boolean;
}

/** What is at `path` the remote may have at `from`: a hint, by which data need not be sent again. */
export interface Moved {
  readonly path: RelativePath;
  readonly from: RelativePath;
}

/** One run of rsync to one remote. */
export type TransferTask =
  | {
      /** Makes the named entries on the remote equal to the disk, and removes there what is missing here. */
      readonly kind: 'entries';
      readonly looks: readonly Look[];
      /** When it was asked for, on the clock of the looks. */
      readonly askedAt: number;
      /** Files of at least this size are handed back (`large`) instead of holding up the others; 0 sends all. */
      readonly largeBytes: number;
      readonly moved?: readonly Moved[];
      /** A directory that the remote has, in which all the looks are: the run may begin there. */
      readonly known?: RelativePath;
    }
  | {
      /** Copies the directories (with everything below for `subtree`); deletes nothing, says whether there is something extra. */
      readonly kind: 'trees';
      readonly looks: readonly Look[];
      /** Part of a full resync: what looks the same to the second is the same. */
      readonly resync: boolean;
      /** The crontab's resync: its patterns hold too. */
      readonly crontab: boolean;
      readonly moved?: readonly Moved[];
    }
  | {
      /** Names what only the remote has below the directories; changes nothing. */
      readonly kind: 'extras';
      readonly looks: readonly Look[];
      readonly crontab: boolean;
    }
  | {
      /**
       * Removes on the remote what runs that broke off have left of files: partial ones, and temporaries of rsync. At, in
       * or below the looks, according to their scope, whatever `<delete>` says. `extras` holds the names afterwards.
       */
      readonly kind: 'sweep';
      readonly looks: readonly Look[];
    }
  | {
      /** Names which of the files are newer on the remote, where the params' `-u` keeps them; changes nothing. */
      readonly kind: 'newer';
      readonly looks: readonly Look[];
    }
  | {
      /** Splits one wide subtree into disjoint looks that cover it; runs no rsync. */
      readonly kind: 'divide';
      readonly path: RelativePath;
      readonly crontab: boolean;
    };

/** What the disk said while a task was carried out: places to look again, and how. */
export interface Again {
  readonly path: RelativePath;
  readonly scope: Scope;
  readonly gone: boolean;
  /**
   * Why: `large` files go alone; `doubtful` ones were compared by a time that does not tell. All but `large` go at once.
   */
  readonly because: 'large' | 'vanished' | 'reappeared' | 'retyped' | 'divided' | 'doubtful';
}

/** One thing that rsync complained about, with the path it named when one could be read from the text. */
export interface Complaint {
  readonly path: RelativePath | undefined;
  readonly kind: ComplaintKind;
  /** rsync's own line, as text for a person. */
  readonly text: string;
}

/**
 * - `lost`: something did not arrive (permission denied, name too long, no space, ...).
 * - `cosmetic`: times, owner or group could not be set; the content is there.
 * - `vanished`: the name went away while rsync looked.
 * - `obstructed`: a directory on the remote stands where a file should be and deleting is off.
 * - `kept`: such a directory, and it holds excluded names, which are not deleted.
 */
export type ComplaintKind = 'lost' | 'cosmetic' | 'vanished' | 'obstructed' | 'kept';

/** How one run ended: plain data, no judgement (that is `judge` in verdict.ts). */
export interface RunReport {
  /** rsync's exit code; `null` when a signal ended it or it could not be started. */
  readonly exitCode: number | null;
  readonly signal: string | null;
  /** Why rsync could not be started, when so. */
  readonly spawnError?: string;
  /** Nothing was run, because the source is not what it was (missing, replaced): why. */
  readonly refused?: string;
  /** What was not deleted, because the source is not what `DeleteGuard` wants: the names, where they were known. */
  readonly held?: { readonly reason: string; readonly paths: readonly RelativePath[] };
  /** `trees` and `extras`: something could not be read, so what is extra on the remote is not known. */
  readonly unreadable: boolean;
  /** `trees` and `extras`: how many names the source has in the directories that were looked at; 0 when it was not told. */
  readonly names: number;
  /** `entries`: the remote refused names that are missing, so that they were deleted by filter rules (delete-rules.ts). */
  readonly deletesBy?: 'rules';
  /** The run was cancelled by us. */
  readonly cancelled: boolean;
  readonly complaints: readonly Complaint[];
  /** Lines of stderr that name no file: connection and protocol errors. Text for a person, bounded. */
  readonly messages: readonly string[];
  readonly again: readonly Again[];
  /** `trees`: how many names only the remote has (rsync's count of deletions not made). */
  readonly extraneous: number;
  /** `extras`: the names, without the directories above them that are extra themselves. */
  readonly extras: readonly RelativePath[];
  /** `trees` and `entries`, where somebody wants to know (`WorkerContext`): names whose content was sent or that were made; bounded. */
  readonly changed: readonly RelativePath[];
  /** How many there were beyond that bound. */
  readonly unnamed: number;
  /** `entries` with `-u` in the params: files that are there and were not sent: equal, or newer on the remote. */
  readonly unsent: readonly RelativePath[];
  /**
   * `entries`: directories that were sent as a whole, in which a name may have come or gone meanwhile: the remote may have it as
   * it was at any moment since.
   */
  readonly unquiet: readonly RelativePath[];
  /** Inodes of files that have more than one name and were looked at; not of a full resync. */
  readonly linked: readonly number[];
  /**
   * Files of which a part may have been left on the remote: those that were sent last by a run that broke off, or all where
   * it did not say which it sent, and those that changed while they were sent.
   */
  readonly cutOff: readonly RelativePath[];
  /** `newer`: the files that stay as they are on the remote. */
  readonly newer: readonly RelativePath[];
  /** Files whose content was sent, and their size in bytes; 0 where rsync tells that at its end only, and broke off before. */
  readonly filesSent: number;
  readonly bytesSent: number;
  readonly durationMs: number;
  /** The command, for the debug log and the fail log; no secret in it. */
  readonly command: readonly string[];
}

/** What an rsync daemon says (`RunReport.messages`) that has as many connections as its module takes. */
export const CROWDED = /@ERROR: max connections/;

/** The report of a task that needed no rsync, and the start of every other. */
export const NO_RUN: RunReport = {
  exitCode: 0,
  signal: null,
  cancelled: false,
  complaints: [],
  messages: [],
  again: [],
  unreadable: false,
  names: 0,
  extraneous: 0,
  extras: [],
  changed: [],
  unnamed: 0,
  unsent: [],
  unquiet: [],
  cutOff: [],
  linked: [],
  newer: [],
  filesSent: 0,
  bytesSent: 0,
  durationMs: 0,
  command: [],
};

/** A run that was begun. */
export interface Run {
  readonly done: Promise<RunReport>;
  /** Asks rsync to stop; `done` resolves with `cancelled` soon after. */
  cancel(): void;
}

/** The way to one remote. */
export interface Transport {
  begin(task: TransferTask, onProgress?: (progress: RunProgress) => void): Run;
}

export interface RunProgress {
  readonly filesSent: number;
  readonly bytesSent: number;
}

export const JOURNAL_KINDS = ['change', 'resync', 'found', 'held', 'parked', 'sweep', 'both', 'copied'] as const;

/** A mark as the journal keeps it. */
export interface JournalMark extends DirtyPath {
  /**
   * - `change`: dirty, in flight or waiting to be tried again.
   * - `resync`: a piece of a full resync that is not done.
   * - `both`: a change at the place of such a piece.
   * - `found`: only the remote has something there; whether it may be deleted is not decided.
   * - `held`: it is not deleted on the remote until a person says so (`why`).
   * - `parked`: it is not looked at, because of how the source is (`why`), until that changes.
   * - `copied`: only the remote has something there, and comparing may not delete yet.
   * - `sweep`: a run that broke off there may have left partial files on the remote.
   */
  readonly kind: (typeof JOURNAL_KINDS)[number];
  /** `held` and `parked`: the reason. */
  readonly why?: string;
}

/** What the journal asks its owner for: the state as it is now. */
export interface JournalSource {
  /** What is to be kept of a path; undefined: nothing. */
  imageOf(path: RelativePath): JournalMark | undefined;
  /** All of it. */
  image(): Iterable<JournalMark>;
}

/** The part of the journal that belongs to one remote or one watched root. */
export interface JournalSection {
  /** What an earlier run of the service left, in no order. */
  readonly saved: readonly JournalMark[];
  /** What `keep` was given last by an earlier run: whatever JSON can hold. Undefined when there was none. */
  readonly facts: unknown;
  /**
   * The image of the path may have changed: `imageOf` is asked for it soon, and what it says is on the disk within 100 ms;
   * with `isDated`, where nothing is stored of the path yet, before the next `keep` of any section.
   */
  changed(path: RelativePath, isDated?: boolean): void;
  /** The same of a path of which there may be nothing to be kept any more: if it is not stored it need not be. */
  settled(path: RelativePath): void;
  /** Replaces the facts. Never on the disk before what `changed` was told earlier, in any section. */
  keep(facts: object): void;
}

/**
 * The durable image of what is dirty and in flight. It never throws and never rejects: while it cannot be written it says
 * so, the service goes on from memory, and all of it is written when it can be again.
 */
export interface Journal {
  /** Opens the section of that name; each once. */
  section(name: string, source: JournalSource): JournalSection;
  /** Drops the sections of an earlier run that were not opened. */
  forgetOthers(): void;
  /** Resolves when all that was told before is on the disk, or cannot be. */
  flush(): Promise<void>;
}

/** Keeps nothing: for a service without a state directory. */
export const NO_JOURNAL: Journal = {
  section: () => ({
    saved: [],
    facts: undefined,
    changed: () => undefined,
    settled: () => undefined,
    keep: () => undefined,
  }),
  forgetOthers: () => undefined,
  flush: () => Promise.resolve(),
};

/** A name that changed since a point in time, as the disk tells it. */
export interface ChangedName {
  readonly path: RelativePath;
  readonly scope: Scope;
  /** Milliseconds since 1970. */
  readonly ctimeMs: number;
  /** It is no directory and has other names (hard links): through any of them it changes, and one alone is told. */
  readonly isLinked?: boolean;
  /** Of what is no directory, with the detail `each`. */
  readonly inode?: number;
}

/** `folded`: what a wider look covers is not told; `each`: it is. */
export type WalkDetail = 'folded' | 'each';

export interface WalkSummary {
  /** Names at and below the place, those that the filter leaves out not among them. */
  readonly names: number;
  /** Directories that could not be read. */
  readonly unreadable: number;
  readonly durationMs: number;
}

/**
 * Finds what changed without knowing what was there before: every change of content, mode, owner, name or link count
 * moves the inode's ctime, and every creation, deletion or rename that of the directory.
 */
export interface TreeWalker {
  /**
   * Walks at and below `below` and tells in batches what has a ctime of `sinceMs` or later. Rejects when it was stopped or
   * the directory is not there.
   */
  walk(
    below: RelativePath,
    sinceMs: number,
    onFound: (found: readonly ChangedName[]) => void,
    detail?: WalkDetail,
  ): Promise<WalkSummary>;
  /** Ends a walk under way. */
  stop(): Promise<void>;
}
