/**
 * An rsync that is kept ready for one remote: started, connected and logged in, it waits for its list, so that the next
 * change pays for none of that (a file was there after 1.7 ms, against 5.8 ms; rsync 3.5.0). It stands among the descriptors
 * that this process has open (proc(5)), so that the file system of the watched directory can be unmounted while it waits,
 * and that directory has a short path when it is held open: rsync reads each byte of a list by itself.
 *
 * ```
 *   none ── a run has ended well ──► waiting ── the next run ──► taken
 *                                    │   ▲
 *                         too old ──►└───┘      unused for long, refused, its connection needed ──► none
 * ```
 */
import { closeSync, constants, openSync, statSync } from 'node:fs';
import process from 'node:process';
import { toBytes, type RelativePath } from '../core/relative-path.js';
import { remoteName, type RemoteTarget } from './rsync-args.js';
import { startRsync, type RsyncStart, type WaitingRsync } from './rsync-process.js';

/** Plain data: sent to the thread that keeps it. */
export interface StandbyTerms {
  /** Of the remote and the watched directory, within the service. */
  readonly key: string;
  /** After this long it is thrown away for a new one: the remote may have given it up. */
  readonly maxAgeMs: number;
  /** So long after the last run there is one. */
  readonly keepMs: number;
}

/** So long after the last change there is one; over ssh as long as the connection lasts that runs share. */
const KEEP_MS = 10 * 60_000;
const KEEP_SSH_MS = 50_000;
/** Younger than any sensible `timeout` of a remote: it would be fed in vain, and what it was fed be sent again. */
const MAX_AGE_MS = 20_000;

/** Options of rsync that name a file of this machine. */
const FILE_OPTION = /^--(?:log-file|early-input|write-batch|only-write-batch|password-file)(?:$|=(?!\/))/;
const RELATIVE_PATH = /(?:^|[=\s])\.{1,2}\//;

/**
 * How an rsync is kept ready for a remote of the watched directory `root`. Undefined where none can be: with filter rules
 * in the params, and with files that they name relative to where rsync stands.
 */
export function standbyTerms(target: RemoteTarget, root: RelativePath, hasRules: boolean): StandbyTerms | undefined {
  const { params, ssh, timeoutSeconds } = target;
  if (hasRules || params.some((word) => FILE_OPTION.test(word) || RELATIVE_PATH.test(word))) return undefined;
  // The remote is told of the timeout, and gives up a connection that has been silent for so long.
  const timeoutMs = 1_000 * (timeoutOf(params) ?? timeoutSeconds ?? Infinity);
  return {
    key: `${remoteName(target)} ${root}`,
    maxAgeMs: Math.min(MAX_AGE_MS, timeoutMs / 2),
    keepMs: ssh ? KEEP_SSH_MS : KEEP_MS,
  };
}

function timeoutOf(params: readonly string[]): number | undefined {
  const at = params.findLastIndex((word) => word === '--timeout' || word.startsWith('--timeout='));
  if (at < 0) return undefined;
  const seconds = Number(params[at] === '--timeout' ? params[at + 1] : params[at]?.slice('--timeout='.length));
  return seconds > 0 ? seconds : undefined;
}

/** The run that has just ended goes first: on few cores the start of another process would hold it up. */
const START_AFTER_MS = 2;
/** One that is not needed is given this long to end by itself. */
const RELEASE_MS = 500;
/** One that the remote did not let in is tried once more after this: the run before it may have been there still. */
const RETRY_MS = 500;
/** Where the remote has no connection for it, or none for others beside it, it is left alone for so long. */
const PAUSE_MS = 60_000;

/** What this process has open, each by its number. */
const DESCRIPTORS = `/proc/${process.pid}/fd`;

/** A process to be started, and what it is for: two runs with the same `purpose` may use one another's. */
export interface StandbyStart {
  readonly purpose: string;
  readonly command: RsyncStart['command'];
}

export class Standby {
  readonly #terms: StandbyTerms;
  readonly #start: (start: RsyncStart) => WaitingRsync;
  #waiting: { readonly rsync: WaitingRsync; readonly purpose: string } | undefined;
  #next: StandbyStart | undefined;
  #timer: NodeJS.Timeout | undefined;
  #usedAt = -Infinity;
  #pausedUntil = -Infinity;
  /** Those in a row that ended before they were given anything. */
  #refusals = 0;

  constructor(terms: StandbyTerms, start: (start: RsyncStart) => WaitingRsync = startRsync) {
    this.#terms = terms;
    this.#start = start;
  }

  /** The one that waits, when it is for this; it is the caller's then. */
  take(purpose: string): WaitingRsync | undefined {
    if (this.#waiting?.purpose !== purpose) return undefined;
    const { rsync } = this.#waiting;
    this.#waiting = undefined;
    this.#stopTimer();
    this.#refusals = 0;
    return rsync.hasEnded() ? undefined : rsync;
  }

  /** A run begins: no other is started beside it. */
  hold(): void {
    if (this.#waiting === undefined) this.#stopTimer();
  }

  /** A run has ended well: soon there is one for the next like it. */
  prepare(next: StandbyStart): void {
    this.#usedAt = performance.now();
    this.#next = next;
    if (this.#waiting?.purpose !== next.purpose) this.#replaceAfter(START_AFTER_MS);
  }

  /** Gives its connection back, and leaves the remote alone for a while. Resolves with whether there was one. */
  async yield(): Promise<boolean> {
    this.#pausedUntil = performance.now() + PAUSE_MS;
    return this.drop();
  }

  /** Resolves when there is none any more, with whether there was. */
  async drop(): Promise<boolean> {
    this.#stopTimer();
    const waiting = this.#waiting;
    this.#waiting = undefined;
    await waiting?.rsync.release(RELEASE_MS);
    return waiting !== undefined;
  }

  #replace(): void {
    void this.drop();
    const now = performance.now();
    if (this.#next === undefined || now < this.#pausedUntil || now - this.#usedAt >= this.#terms.keepMs) return;
    const { purpose, command } = this.#next;
    const rsync = this.#start({ command, cwd: DESCRIPTORS });
    const waiting = { rsync, purpose };
    this.#waiting = waiting;
    this.#replaceAfter(this.#terms.maxAgeMs);
    // What the remote has against it, the next run hears, which starts one of its own.
    void rsync.exited.then(() => {
      if (this.#waiting !== waiting) return;
      void this.drop();
      if (++this.#refusals > 1) this.#pausedUntil = performance.now() + PAUSE_MS;
      else this.#replaceAfter(RETRY_MS);
    });
  }

  #replaceAfter(ms: number): void {
    this.#stopTimer();
    this.#timer = setTimeout(() => {
      this.#replace();
    }, ms);
  }

  #stopTimer(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}

/** A directory that is held open, so that it is the same one under its path here, whatever is mounted over it. */
export interface PinnedDirectory {
  /** Absolute, for this process and those that it has started. */
  readonly path: string;
  /** The same, seen from where an rsync waits. */
  readonly name: string;
  close(): void;
}

/** Holds a directory open (bytes as in `RelativePath`); undefined where the system shows no path of what is open. */
export function pinDirectory(path: RelativePath): PinnedDirectory | undefined {
  let descriptor: number;
  try {
    descriptor = openSync(toBytes(path), constants.O_RDONLY | constants.O_DIRECTORY);
  } catch {
    // It has gone since; a run that looks at it by its path says so.
    return undefined;
  }
  const pinned = {
    path: `${DESCRIPTORS}/${descriptor}`,
    name: `${descriptor}`,
    close: () => {
      closeSync(descriptor);
    },
  };
  try {
    // What it has started may follow it when the process is as open to others as any of its user (proc(5), dumpable).
    if (statSync(`${pinned.path}/.`).isDirectory() && statSync('/proc/self').uid === process.getuid?.()) return pinned;
  } catch {
    // No Linux, or no /proc.
  }
  pinned.close();
  return undefined;
}
