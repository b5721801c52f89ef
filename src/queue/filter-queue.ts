import type { Clock } from '../clock.js';
import type { DirtyPath } from '../core/dirty-set.js';
import type { Filter } from '../core/filter.js';
import { Hint } from '../core/hint.js';
import { ROOT, type RelativePath } from '../core/relative-path.js';
import { effectsOf, type EventSwitches, type Effect } from '../core/event-switches.js';
import { isDotfile } from '../core/temporaries.js';

export interface FilterQueueTimes {
  /** A file that counts as it grows is released when nothing was written for this long ... */
  readonly quietMs: number;
  /** ... and at the latest after this long. */
  readonly maxQuietMs: number;
  /** A file that is written and not closed is released at this interval. */
  readonly openIntervalMs: number;
}

export const FILTER_QUEUE_TIMES: FilterQueueTimes = { quietMs: 100, maxQuietMs: 1_000, openIntervalMs: 10_000 };

export interface FilterQueueOptions {
  readonly filter: Filter;
  readonly switches: EventSwitches;
  /** `<dotfiles>`: changes of such files count (core/temporaries.ts says which). */
  readonly dotfiles: boolean;
  readonly clock: Clock;
  readonly times: FilterQueueTimes;
  /** What a new name is: an ordinary file with one link has a writer who will close it. */
  readonly inspect: (path: RelativePath) => 'missing' | 'file' | 'other';
  /** A run looks at the name now. */
  readonly isInFlight: (path: RelativePath) => boolean;
  /** The files in a directory that appeared and does not count itself (`createFolder` off). */
  readonly filesBelow: (path: RelativePath) => Iterable<RelativePath>;
  /** Takes what is released, and what is believed to have happened. */
  readonly release: (dirty: DirtyPath, hint: Hint) => void;
  /** A file stayed open through a whole interval; told once for each path. */
  readonly onOpenFile: (path: RelativePath) => void;
}

interface Waiting {
  readonly since: number;
  touchedAt: number;
  /** It counts as it grows; otherwise it waits to be closed. */
  isQuietEnough: boolean;
  dated: boolean;
}

/** More files than this are not waited for: they are released at once. */
const MAX_WAITING = 50_000;
/** Names of open files that were told, so that each is told once. */
const MAX_TOLD = 1_000;

/**
 * Between the watcher and the remotes: drops what does not count (excluded names, temporaries, switched-off events),
 * waits until a file is quiet or closed, and releases the rest as places to look. Duplicates fold in the dirty sets
 * behind it.
 */
export class FilterQueue {
  readonly #options: FilterQueueOptions;
  readonly #effectOf: (hint: Hint) => Effect;
  readonly #waiting = new Map<RelativePath, Waiting>();
  readonly #toldOpen = new Set<RelativePath>();
  #cancelTimer: (() => void) | undefined;
  #isStopped = false;

  constructor(options: FilterQueueOptions) {
    this.#options = options;
    this.#effectOf = effectsOf(options.switches);
  }

  /** Files that are being waited for. */
  get size(): number {
    return this.#waiting.size;
  }

  /** Whether it is being waited for a file. */
  waitsFor(path: RelativePath): boolean {
    return this.#waiting.has(path);
  }

  /** Since when the oldest of them is being waited for; undefined when there is none. */
  oldest(): number | undefined {
    let oldest: number | undefined;
    for (const { since } of this.#waiting.values()) oldest = Math.min(oldest ?? since, since);
    return oldest;
  }

  touched(path: RelativePath, hint: Hint): void {
    const { filter, clock } = this.#options;
    const isDirectory = (hint & Hint.directory) !== 0;
    if (filter.isExcluded(path, isDirectory) || this.#isSilent(path, isDirectory)) return;
    const effect = this.#effectOf(hint);
    const now = clock.now();

    if ((hint & (Hint.removed | Hint.movedFrom)) !== 0) this.#waiting.delete(path);
    if (effect.gone) this.#options.release({ path, scope: 'entry', gone: true, alone: false, since: now }, hint);
    if (effect.whole) this.#releaseWhole(path, hint, now);
    else if (effect.contents) for (const file of this.#options.filesBelow(path)) this.#releaseFile(file, now);
    // Attributes say nothing about the writer: a file that is waited for is waited for still.
    const isComplete = (hint & (Hint.closed | Hint.movedTo)) !== 0;
    if (effect.now) this.#releaseNow(path, hint, isComplete, now);
    else if (effect.release && this.#waiting.has(path)) this.#releaseNow(path, hint, true, now);
    // It may have been read in between: who writes a file often sets its time or mode when it is closed (git, install).
    else if ((hint & Hint.attributes) !== 0 && this.#options.isInFlight(path)) this.#releaseNow(path, hint, false, now);
    // A link or a device is complete as it is: nobody will close it.
    if (effect.inspect && this.#options.inspect(path) !== 'file') this.#releaseNow(path, hint, true, now);
    else if (effect.whenQuiet || effect.whenClosed) this.#wait(path, effect.whenQuiet, isDated(hint), now);
  }

  /** Releases whatever is being waited for: before the service stops. */
  flush(): void {
    for (const [path, { since, dated }] of this.#waiting) this.#releaseWritten(path, since, dated);
    this.#waiting.clear();
  }

  /** Waits for nothing any more: what comes from now on is released at once. */
  stop(): void {
    this.#isStopped = true;
    this.#cancelTimer?.();
    this.flush();
  }

  #wait(path: RelativePath, isQuietEnough: boolean, dated: boolean, now: number): void {
    const waiting = this.#waiting.get(path);
    if (waiting !== undefined) {
      waiting.touchedAt = now;
      waiting.isQuietEnough ||= isQuietEnough;
      waiting.dated ||= dated;
    } else if (this.#isStopped || this.#waiting.size >= MAX_WAITING) {
      this.#releaseWritten(path, now, dated);
      return;
    } else {
      this.#waiting.set(path, { since: now, touchedAt: now, isQuietEnough, dated });
    }
    this.#lookLater();
  }

  #lookLater(): void {
    this.#cancelTimer ??= this.#options.clock.after(this.#options.times.quietMs, () => {
      this.#cancelTimer = undefined;
      this.#releaseRipe();
    });
  }

  #releaseRipe(): void {
    const { clock, times, onOpenFile } = this.#options;
    const now = clock.now();
    for (const [path, { since, touchedAt, isQuietEnough, dated }] of this.#waiting) {
      const isRipe = isQuietEnough
        ? now - touchedAt >= times.quietMs || now - since >= times.maxQuietMs
        : now - since >= times.openIntervalMs;
      if (!isRipe) continue;
      this.#waiting.delete(path);
      this.#releaseWritten(path, since, dated);
      if (isQuietEnough || this.#toldOpen.has(path)) continue;
      if (this.#toldOpen.size >= MAX_TOLD) this.#toldOpen.clear();
      this.#toldOpen.add(path);
      onOpenFile(path);
    }
    if (this.#waiting.size > 0) this.#lookLater();
  }

  #releaseNow(path: RelativePath, hint: Hint, isComplete: boolean, now: number): void {
    const isDirectory = (hint & Hint.directory) !== 0;
    const waiting = this.#waiting.get(path);
    const since = waiting?.since ?? now;
    if (isComplete) this.#waiting.delete(path);
    // The root as an entry would bring all that is in it; its listing is the narrowest look that brings its attributes.
    const scope = isDirectory && path === ROOT ? 'listing' : 'entry';
    const moved = isMovedHere(hint);
    const dated = waiting?.dated === true || isDated(hint);
    const once = waiting === undefined;
    this.#options.release({ path, scope, gone: false, alone: false, moved, dated, once, since }, hint);
  }

  #releaseWhole(path: RelativePath, hint: Hint, since: number): void {
    const moved = isMovedHere(hint);
    this.#options.release({ path, scope: 'subtree', gone: false, alone: false, moved, since }, hint);
  }

  #releaseWritten(path: RelativePath, since: number, dated: boolean): void {
    this.#options.release({ path, scope: 'entry', gone: false, alone: false, dated, since }, Hint.modified);
  }

  /** A file whose changes do not count because of its name. Directories of such names are ordinary. */
  #isSilent(path: RelativePath, isDirectory: boolean): boolean {
    return !this.#options.dotfiles && !isDirectory && isDotfile(path);
  }

  /** It may be older than its directory is here. */
  #releaseFile(path: RelativePath, since: number): void {
    if (!this.#options.filter.isExcluded(path, false) && !this.#isSilent(path, false))
      this.#options.release({ path, scope: 'entry', gone: false, alone: false, since }, Hint.created);
  }
}

/** What moves the ctime of the name; that a file was closed says nothing of when it was written (mmap). */
const SETS_CTIME = Hint.created | Hint.modified | Hint.attributes | Hint.movedTo;

function isDated(hint: Hint): boolean {
  return (hint & SETS_CTIME) !== 0;
}

function isMovedHere(hint: Hint): boolean {
  return (hint & Hint.movedTo) !== 0;
}
