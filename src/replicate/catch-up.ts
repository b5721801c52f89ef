/**
 * Finds on the disk what nobody told: after a start, after lost events, and, as an audit, now and then. One walk at a
 * time; what it finds is marked like any change.
 */
import type { DirtyPath } from '../core/dirty-set.js';
import { Hint } from '../core/hint.js';
import { isBelow, ROOT, type RelativePath } from '../core/relative-path.js';
import type { Clock } from '../clock.js';
import { messageOf } from '../errors.js';
import type { Events } from '../events.js';
import type { ChangedName, TreeWalker, WalkDetail, WalkSummary } from './ports.js';

/** Remembers in bounded memory which names the watcher has told, and when last (core/told-names.ts). */
export interface Told {
  add(path: RelativePath, hint: Hint, at: number): void;
  /** `-Infinity`: never. */
  toldAt(changed: ChangedName): number;
  /** It holds so much that it does not remember all that was told. */
  readonly isFull: boolean;
}

export interface CatchUpOptions {
  /** The watched directory, for people. */
  readonly root: string;
  readonly walker: TreeWalker;
  /** What is told of names that a wider place covers, by walks that are no audits. */
  readonly detail: WalkDetail;
  readonly createTold: () => Told;
  readonly mark: (dirty: DirtyPath) => void;
  /**
   * From which ctime on (milliseconds since 1970) the disk holds what the remotes may not; undefined when times say
   * nothing about that: everything must be looked at.
   */
  readonly sinceMs: () => number | undefined;
  /** The kernel's time: milliseconds since 1970; undefined when it cannot be had. */
  readonly kernelNow: () => number | undefined;
  readonly auditEveryMs: number;
  readonly clock: Clock;
  readonly events: Events;
}

export interface Audit {
  readonly at: number;
  readonly names: number;
  /** What had changed and was not told. */
  readonly missed: number;
  readonly durationMs: number;
}

/** A change gets its ctime a moment before it is told: an audit leaves what is younger than this to the next one. */
const YOUNG_MS = 2_000;
/** The kernel dates a change by a clock that lags by less than this (10 ms: 100 ticks a second). */
const TICK_MS = 10;
/** A walk that failed is tried again after this long. */
const RETRY_MS = 2_000;
/** After a write to a file that has other names, an audit finds those: at the earliest after this long ... */
const AUDIT_SOON_MS = YOUNG_MS + 500;
/** So many files with several names are remembered; beyond that it begins anew. */
const MAX_LINKED = 100_000;
/** Those that follow from it come at double distances, up to this one. */
const FOLLOW_FOR_MS = 60 * 60_000;
/** ... and so that walking takes no more than this share of the time. */
const WALKING_SHARE = 1 / 20;
/** Timers take no more (24.8 days). */
const MAX_TIMER_MS = 2 ** 31 - 1;
/** More places than this are walked as one. */
const MAX_PLACES = 16;

export class CatchUp {
  readonly #options: CatchUpOptions;
  /** Places to be walked, and why. */
  #places: { readonly below: RelativePath; readonly reason: string }[] = [];
  #isWalking = false;
  #isPaused = false;
  #isStopped = false;
  #cancelRetry: (() => void) | undefined;
  #reason: string | undefined;
  #names = 0;

  /** What the watcher has told since the audit before last, the last one, and now. */
  #told: Told[];
  #auditedFromMs: number | undefined;
  /** How far the kernel's clock is ahead of ours. */
  #kernelAheadMs = 0;
  #lastAudit: Audit | undefined;
  #missed = 0;
  #lastWalkMs = 0;
  #cancelAudit: (() => void) | undefined;
  #auditAt = Infinity;
  #isAuditDue = false;
  /** When `auditSoon` was called last. */
  #askedAt = -Infinity;
  /** Files that were seen with several names, also when one is left: each was told, and then changed by another one. */
  readonly #linked = new Set<number>();
  /** How long after that the next audit comes that follows from it: doubled with each; `Infinity` when none does. */
  #followMs = Infinity;

  constructor(options: CatchUpOptions) {
    this.#options = options;
    this.#told = [options.createTold()];
  }

  /** A walk is under way or waits: not all that has changed is marked. */
  get isPending(): boolean {
    return this.#places.length > 0 || this.#reason !== undefined;
  }

  /** Why the disk is being walked. */
  get reason(): string | undefined {
    return this.#reason ?? this.#places[0]?.reason;
  }

  /** How many names the source held when all of it was last walked; 0 before that. */
  get names(): number {
    return this.#names;
  }

  get lastAudit(): Audit | undefined {
    return this.#lastAudit;
  }

  /** What all audits together have found that was not told. */
  get missed(): number {
    return this.#missed;
  }

  /** The watcher told of a name. */
  told(path: RelativePath, hint: Hint): void {
    this.#told[0]?.add(path, hint, this.#options.clock.now() + this.#kernelAheadMs + TICK_MS);
  }

  /** The watch is up: what changes from now on is told, so audits have something to compare with. */
  begin(): void {
    this.#auditedFromMs = this.#kernelNow();
    this.#told = [this.#options.createTold()];
    this.#auditAfter(this.#options.auditEveryMs);
  }

  /** What changed at and below a place may not have been told. */
  lookFor(below: RelativePath, reason: string): void {
    const isCovered = this.#places.some((place) => place.below === below || isBelow(below, place.below));
    if (!isCovered) this.#places.push({ below, reason });
    if (this.#places.length > MAX_PLACES) this.#places = [{ below: ROOT, reason }];
    void this.#walkNext();
  }

  /** While nothing is seen a walk would come too early: what it does not find could change behind it. */
  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    void this.#walkNext();
  }

  /**
   * A file was changed that has names which nobody told of: an audit finds them. Others follow at growing distances, for
   * what has several names changes again, and a name that is removed soon after says nothing about the others.
   */
  auditSoon(inodes: readonly number[]): void {
    this.#keepLinked(inodes);
    this.#askedAt = this.#options.clock.now();
    this.#followMs = AUDIT_SOON_MS;
    this.#auditNoSoonerThan(AUDIT_SOON_MS);
  }

  #keepLinked(inodes: readonly number[]): void {
    if (this.#linked.size + inodes.length > MAX_LINKED) this.#linked.clear();
    for (const inode of inodes) this.#linked.add(inode);
  }

  #auditNoSoonerThan(afterMs: number): void {
    this.#auditAfter(Math.max(afterMs, this.#lastWalkMs / WALKING_SHARE));
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancelRetry?.();
    this.#cancelAudit?.();
    await this.#options.walker.stop();
  }

  async #walkNext(): Promise<void> {
    if (this.#isWalking || this.#isPaused || this.#isStopped) return;
    const place = this.#places.shift();
    if (place === undefined && !this.#isAuditDue) return;
    this.#isWalking = true;
    try {
      if (place === undefined) await this.#audit();
      else await this.#repair(place.below, place.reason);
    } catch (error) {
      if (place === undefined || place.below === ROOT) {
        this.#retryLater(place, messageOf(error));
        return;
      }
      // It may be gone: who looks at it to send it sees what it is.
      this.#markWhole(place.below);
    } finally {
      this.#isWalking = false;
      this.#reason = undefined;
    }
    void this.#walkNext();
  }

  #retryLater(place: { below: RelativePath; reason: string } | undefined, error: string): void {
    if (place !== undefined) this.#places.push(place);
    if (this.#isStopped) return;
    this.#options.events.emit('walk:failed', { root: this.#options.root, reason: error });
    this.#cancelRetry?.();
    this.#cancelRetry = this.#options.clock.after(RETRY_MS, () => void this.#walkNext());
  }

  /** Marks whatever has changed since the checkpoint. */
  async #repair(below: RelativePath, reason: string): Promise<void> {
    this.#reason = reason;
    // What is looked for here is not for an audit to count.
    this.told(below, Hint.unknown | Hint.directory);
    const sinceMs = this.#options.sinceMs();
    if (sinceMs === undefined) {
      this.#markWhole(below);
      return;
    }
    let found = 0;
    const { walker, detail } = this.#options;
    const onFound = (names: readonly ChangedName[]): void => {
      found += names.length;
      for (const name of names) this.#mark(name, sinceMs);
    };
    const summary = await walker.walk(below, sinceMs, onFound, detail);
    this.#finish(below, reason, summary, found, 0);
  }

  /** Marks whatever has changed since the last audit and was not told since, or may have changed once more since it was. */
  async #audit(): Promise<void> {
    this.#isAuditDue = false;
    const { createTold, clock, auditEveryMs } = this.#options;
    this.#auditAfter(auditEveryMs);
    const sinceMs = this.#auditedFromMs;
    const beginsAt = this.#kernelNow();
    if (beginsAt === undefined) return;
    // What was asked for is too young for this one.
    if (clock.now() - this.#askedAt < AUDIT_SOON_MS) this.auditSoon([]);
    const untilMs = beginsAt - YOUNG_MS;
    const isFull = this.#told.some((memory) => memory.isFull);
    this.#told = [createTold(), ...this.#told];
    if (sinceMs !== undefined && sinceMs <= untilMs) await this.#auditBetween(sinceMs, untilMs, isFull);
    this.#followMs = 2 * this.#followMs < Math.min(auditEveryMs, FOLLOW_FOR_MS) ? 2 * this.#followMs : Infinity;
    if (this.#followMs < Infinity) this.#auditNoSoonerThan(this.#followMs);
    // Only now: one that fails leaves its time to the next.
    this.#auditedFromMs = untilMs;
    this.#told = this.#told.slice(0, 3);
  }

  /** `isFull`: what was told is not known any more, so that nothing can be counted. */
  async #auditBetween(sinceMs: number, untilMs: number, isFull: boolean): Promise<void> {
    let found = 0;
    let missed = 0;
    const look = (name: ChangedName): void => {
      // A directory that cannot be read is told whatever its time.
      if (name.ctimeMs >= untilMs || name.ctimeMs < sinceMs) return;
      const toldAt = isFull ? Infinity : this.#toldAt(name);
      // It was told, and may have been changed after that by another of its names: a look is cheap.
      const hadNames = name.isLinked === true || (name.inode !== undefined && this.#linked.has(name.inode));
      if (toldAt >= name.ctimeMs && !hadNames) return;
      // What changes while its directory is new and not yet watched was told with that.
      const wasTold = toldAt >= name.ctimeMs - YOUNG_MS;
      if (name.isLinked === true && name.inode !== undefined) this.#keepLinked([name.inode]);
      found++;
      // What went, and what is left out by the filter, moves the time of the directory alone.
      if (!wasTold && name.scope !== 'listing') missed++;
      this.#mark(name, sinceMs);
    };
    const { walker, clock } = this.#options;
    const summary = await walker.walk(
      ROOT,
      sinceMs,
      (names) => {
        names.forEach(look);
      },
      'each',
    );
    this.#missed += missed;
    const { names, durationMs } = summary;
    if (!isFull) this.#lastAudit = { at: clock.now(), names, missed, durationMs };
    this.#finish(ROOT, 'audit', summary, found, missed);
  }

  #toldAt(name: ChangedName): number {
    return Math.max(...this.#told.map((memory) => memory.toldAt(name)));
  }

  #kernelNow(): number | undefined {
    // Taken before: with one that is behind, what was told would seem to have changed after that.
    const before = this.#options.clock.now();
    const now = this.#options.kernelNow();
    if (now !== undefined) this.#kernelAheadMs = now - before;
    return now;
  }

  #finish(path: RelativePath, reason: string, summary: WalkSummary, found: number, missed: number): void {
    const { names, durationMs } = summary;
    if (path === ROOT) {
      this.#names = names;
      this.#lastWalkMs = durationMs;
    }
    this.#options.events.emit('walk:finished', {
      root: this.#options.root,
      path,
      reason,
      names,
      found,
      missed,
      durationMs,
    });
  }

  #markWhole(path: RelativePath): void {
    const since = this.#options.clock.now();
    this.#options.mark({ path, scope: 'subtree', gone: false, alone: false, since });
  }

  /** A wide mark stands for changes that may be older than that of the directory, down to those of `sinceMs`. */
  #mark({ path, scope, ctimeMs }: ChangedName, sinceMs: number): void {
    const since = Math.min(scope === 'entry' ? ctimeMs : sinceMs, this.#options.clock.now());
    this.#options.mark({ path, scope, gone: false, alone: false, since });
  }

  /** At the latest after this long; an earlier one that was asked for stays. */
  #auditAfter(afterMs: number): void {
    if (afterMs === Infinity) return;
    const delayMs = Math.min(afterMs, MAX_TIMER_MS);
    const at = this.#options.clock.now() + delayMs;
    if (this.#isStopped || (this.#cancelAudit !== undefined && this.#auditAt <= at)) return;
    this.#cancelAudit?.();
    this.#auditAt = at;
    this.#cancelAudit = this.#options.clock.after(delayMs, () => {
      this.#cancelAudit = undefined;
      this.#isAuditDue = true;
      void this.#walkNext();
    });
  }
}
