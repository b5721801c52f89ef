import type { RelativePath } from '../core/relative-path.js';
import type { Scope } from '../core/scope.js';

/** What a run is asked to look at: a path, how deep, and whether the name was seen to go. */
export interface Look {
  readonly path: RelativePath;
  readonly scope: Scope;
  /** The name was seen to be removed or moved away: whatever is missing at or below it is a seen deletion. */
  readonly gone: boolean;
}

/** One run of rsync to one remote. */
export type TransferTask =
  | {
      /** Makes the named entries on the remote equal to the disk, and removes there what is missing here. */
      readonly kind: 'entries';
      readonly looks: readonly Look[];
      /** Files of at least this size are handed back (`large`) instead of holding up the others; 0 sends all. */
      readonly largeBytes: number;
    }
  | {
      /** Copies the directories (with everything below for `subtree`); deletes nothing, says whether there is something extra. */
      readonly kind: 'trees';
      readonly looks: readonly Look[];
      /** Part of a full resync: what looks the same to the second is the same. */
      readonly resync: boolean;
      /** The crontab's resync: its patterns hold too. */
      readonly crontab: boolean;
    }
  | {
      /** Names what only the remote has below the directories; changes nothing. */
      readonly kind: 'extras';
      readonly looks: readonly Look[];
      readonly crontab: boolean;
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
  /** Why: `large` files go alone; the others go at once. */
  readonly because: 'large' | 'vanished' | 'reappeared' | 'retyped' | 'divided';
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
 */
export type ComplaintKind = 'lost' | 'cosmetic' | 'vanished' | 'obstructed';

/** How one run ended: plain data, no judgement (that is `judge` in verdict.ts). */
export interface RunReport {
  /** rsync's exit code; `null` when a signal ended it or it could not be started. */
  readonly exitCode: number | null;
  readonly signal: string | null;
  /** Why rsync could not be started, when so. */
  readonly spawnError?: string;
  /** Nothing was run, because the source is not what it was (missing, replaced): why. */
  readonly refused?: string;
  /** What was not deleted, because the source is empty: the names, where they were known. */
  readonly held?: { readonly reason: string; readonly paths: readonly RelativePath[] };
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
  /** `entries` with `-u` in the params: files that are there and were not sent: equal, or newer on the remote. */
  readonly unsent: readonly RelativePath[];
  /** `newer`: the files that stay as they are on the remote. */
  readonly newer: readonly RelativePath[];
  /** Files whose content was sent, and their size in bytes. */
  readonly filesSent: number;
  readonly bytesSent: number;
  readonly durationMs: number;
  /** The command, for the debug log and the fail log; no secret in it. */
  readonly command: readonly string[];
}

/** The report of a task that needed no rsync, and the start of every other. */
export const NO_RUN: RunReport = {
  exitCode: 0,
  signal: null,
  cancelled: false,
  complaints: [],
  messages: [],
  again: [],
  extraneous: 0,
  extras: [],
  unsent: [],
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
