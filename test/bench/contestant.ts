import type { Deadline } from './deadline.js';
import type { Remote } from './site.js';

export interface SshOptions {
  /** A directory with an `ssh` that has the keys, and the rest of the PATH. */
  readonly clientPath: string;
}

/** What a contestant is to keep equal. */
export interface Task {
  readonly source: string;
  readonly remotes: readonly Remote[];
  /** For its configuration, state and log. */
  readonly directory: string;
  /** KiB a second, as rsync's --bwlimit has it. */
  readonly bwlimit?: number;
  /** Over ssh instead of to a daemon. */
  readonly ssh?: SshOptions;
}

/** A change as it has to be told to who does not watch: rsync's source and target, relative to the two trees. */
export interface Change {
  /** With a slash at the end: what is in that directory. */
  readonly from: string;
  readonly to: string;
  /** Also delete what is not there any more. */
  readonly isWithDeletions?: boolean;
}

/** What a contestant tells of its start, in milliseconds from then. */
export interface Started {
  readonly watchingAfterMs: number;
  /** Until every remote was compared, and was sent what it lacked. */
  readonly inSyncAfterMs: number;
  /** The longest that a full resync of a remote took, by itself. */
  readonly resyncMs: number;
}

/** A contestant at work. */
export interface Running {
  /** The processes that it was started as; those that they started are found from them. */
  readonly pids: readonly number[];
  /** Resolves when its start is over, as far as it tells. */
  started?(deadline: Deadline): Promise<Started>;
  /** The longest that its main thread was busy at a stretch since its start, in milliseconds; of who tells that. */
  longestStallMs?(): Promise<number>;
  /** Brings a change to the remotes with these numbers (default: all). Who watches does nothing. */
  push(change: Change, remotes?: readonly number[]): Promise<void>;
  /** Fails when it has ended by itself. */
  expectAlive(): void;
  /** The last of what it said. */
  transcript(): string;
  /** Ends it and everything that it has started. */
  stop(): Promise<void>;
}

export interface Contestant {
  readonly name: string;
  /** How it is configured, for the documentation. */
  readonly description: string;
  /** Bare rsync does not: it is told each change, and stands for what is possible. */
  readonly watches: boolean;
  /** It is compiled as it runs: what it does for the first times after its start, it does slower. */
  readonly warmsUp?: true;
  /** Why it cannot run here, with what to do about it. */
  unavailable(): string | undefined;
  /** Whether it watches yet is found out by a probe. */
  start(task: Task): Running;
}
