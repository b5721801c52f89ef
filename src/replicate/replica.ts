/**
 * One remote: what is dirty there, the runs in flight, and how it stands.
 *
 *   idle -> transferring (runs on disjoint paths, each in a lane) -> idle
 *                 |- unreachable or rejected -> backing off | halted -> transferring (one run, to see) ...
 *                 '- the source is not what it was -> backing off
 *
 * Every change, retry, lost event and resync is a mark in one of two dirty sets: `changes` (what people wait for) and
 * `resync` (the directories of a full resync, which go when a lane is free). Nothing leaves the sets but into a run, and
 * what a run did not settle is marked again.
 */
import { backoffMs, type Backoff } from '../core/backoff.js';
import { DirtySet, type DirtyPath } from '../core/dirty-set.js';
import { ancestorsOf, ROOT, type RelativePath } from '../core/relative-path.js';
import type { Clock } from '../clock.js';
import type { Events } from '../events.js';
import { RetryQueue, type FailedPath, type Failure } from '../queue/retry-queue.js';
import { InFlight, takeBatch, type BatchKind } from './planner.js';
import type { Again, Run, RunReport, TransferTask, Transport } from './ports.js';
import { judge, type Verdict } from './verdict.js';

export interface ReplicaLimits {
  /** Runs at the same time, at most. */
  readonly lanes: number;
  /** A second run for small changes starts when the first has taken this long. */
  readonly nextLaneAfterMs: number;
  /** Names in one run. */
  readonly entriesPerRun: number;
  /** Directories in one run, for changes. */
  readonly treesPerRun: number;
  /** Directories in one run, for a full resync: few, so that it holds up little. */
  readonly resyncTreesPerRun: number;
  /** A file of at least this size is sent in a run of its own. */
  readonly largeBytes: number;
  readonly unreachable: Backoff;
  readonly halted: Backoff;
  readonly refused: Backoff;
  readonly failedPath: Backoff;
  /** A remote that stays away is logged once, then at this interval. */
  readonly remindEveryMs: number;
}

export const REPLICA_LIMITS: ReplicaLimits = {
  lanes: 4,
  nextLaneAfterMs: 1_000,
  entriesPerRun: 10_000,
  treesPerRun: 1_000,
  resyncTreesPerRun: 16,
  largeBytes: 8 * 1024 * 1024,
  unreachable: { firstMs: 250, maxMs: 5_000 },
  halted: { firstMs: 5_000, maxMs: 20_000 },
  refused: { firstMs: 1_000, maxMs: 5_000 },
  failedPath: { firstMs: 1_000, maxMs: 30_000 },
  remindEveryMs: 10 * 60_000,
};

export interface ReplicaOptions {
  /** As shown to people: `ip::name`. */
  readonly name: string;
  readonly transport: Transport;
  readonly clock: Clock;
  /** 0 to 1. */
  readonly random: () => number;
  readonly events: Events;
  readonly limits: ReplicaLimits;
  /** Whether names may be deleted on the remote (`<delete>`). */
  readonly deletes: boolean;
}

interface Batch {
  readonly kind: BatchKind;
  readonly looks: readonly DirtyPath[];
  readonly startedAt: number;
  readonly crontab: boolean;
  run: Run | undefined;
  /** Resolves when the batch is settled and no longer in flight. */
  settled: Promise<void> | undefined;
}

/** A full resync under way. */
interface Resync {
  readonly reason: string;
  readonly crontab: boolean;
  readonly startedAt: number;
  /** Directories handed out so far and done, for the progress shown. */
  pieces: number;
  piecesDone: number;
  files: number;
  bytes: number;
  failed: number;
  /** What runs in flight have sent so far. */
  readonly sending: Map<Batch, { files: number; bytes: number }>;
  readonly whenDone: (() => void)[];
}

type Standing =
  | { readonly kind: 'well' }
  | {
      readonly kind: 'unreachable' | 'halted' | 'refused';
      readonly since: number;
      readonly failures: number;
      readonly reason: string;
      readonly retryAt: number;
      readonly remindAt: number;
    };

/** A remote at a glance: plain data. */
export interface ReplicaStatus {
  readonly remote: string;
  readonly state: 'idle' | 'transferring' | 'backing off' | 'halted' | 'stopped';
  /** Why it is not well. */
  readonly reason: string | undefined;
  /** Age of the oldest change that is not there yet; 0 when it is in sync. */
  readonly lagMs: number;
  readonly pending: number;
  readonly inFlight: number;
  readonly retrying: number;
  /** Deletions that wait until the source holds something again. */
  readonly held: number;
  readonly resync: { readonly reason: string; readonly fraction: number } | undefined;
  readonly lastSyncedAt: number | undefined;
  readonly newerOnRemote: number;
}

export class Replica {
  readonly name: string;
  readonly #options: ReplicaOptions;
  readonly #changes = new DirtySet();
  readonly #resyncPieces = new DirtySet();
  readonly #inFlight = new InFlight();
  readonly #batches = new Set<Batch>();
  readonly #retries: RetryQueue;
  /** Deletions that wait until the source holds something again. */
  readonly #held: DirtyPath[] = [];
  #resync: Resync | undefined;
  #nextResync: { reason: string; crontab: boolean; whenDone: (() => void)[] } | undefined;
  #standing: Standing = { kind: 'well' };
  /** Halved when a run fails and nothing can be named, so that one bad name cannot hold up the others. */
  #entriesPerRun: number;
  #lastSyncedAt: number | undefined;
  #newerOnRemote = 0;
  #isStopped = false;
  #isDraining = false;
  #onDrained: (() => void) | undefined;
  #isPumpQueued = false;
  #cancelTimer: (() => void) | undefined;

  constructor(options: ReplicaOptions) {
    this.name = options.name;
    this.#options = options;
    this.#entriesPerRun = options.limits.entriesPerRun;
    this.#retries = new RetryQueue(options.limits.failedPath, options.random);
  }

  /** Takes a place to look. Cheap: nothing runs before the current turn of the event loop has ended. */
  mark(dirty: DirtyPath): void {
    this.#changes.mark(dirty);
    // Something happened in the source: what was held because it is empty may go now.
    for (const held of this.#held.splice(0)) this.#changes.mark(held);
    this.#queuePump();
  }

  /**
   * A full resync of the remote; resolves when all of it has been looked at once. Never two at once: a second one waits
   * for the first, a third joins the second.
   */
  resync(reason: string, crontab: boolean): Promise<void> {
    return new Promise((resolve) => {
      if (this.#resync === undefined) {
        this.#startResync(reason, crontab, [resolve]);
      } else if (this.#nextResync === undefined) {
        this.#nextResync = { reason, crontab, whenDone: [resolve] };
      } else {
        // A resync that leaves nothing out serves the one that does, not the other way round.
        this.#nextResync.crontab &&= crontab;
        this.#nextResync.whenDone.push(resolve);
      }
    });
  }

  /** Tries whatever failed or backs off now. */
  retryNow(): void {
    for (const due of this.#retries.takeDue(Infinity)) this.#changes.mark(due);
    if (this.#standing.kind !== 'well') this.#standing = { ...this.#standing, retryAt: 0 };
    this.#queuePump();
  }

  /** What failed and is waiting for its next try, for the fail log. */
  failed(): Iterable<FailedPath> {
    return this.#retries;
  }

  status(): ReplicaStatus {
    const now = this.#now();
    const oldest = [this.#changes.oldest(), this.#resyncPieces.oldest(), this.#inFlight.oldest()];
    for (const failed of this.#retries) oldest.push(failed.since);
    const since = Math.min(...oldest.filter((time) => time !== undefined));
    return {
      remote: this.name,
      state: this.#isStopped ? 'stopped' : this.#state(),
      reason: this.#standing.kind === 'well' ? undefined : this.#standing.reason,
      lagMs: since === Infinity ? 0 : Math.max(0, now - since),
      pending: this.#changes.size + this.#resyncPieces.size,
      inFlight: this.#inFlight.size,
      retrying: this.#retries.size,
      held: this.#held.length,
      resync: this.#resync && { reason: this.#resync.reason, fraction: fractionOf(this.#resync) },
      lastSyncedAt: this.#lastSyncedAt,
      newerOnRemote: this.#newerOnRemote,
    };
  }

  /**
   * Brings over what is dirty, for at most `graceMs` and only while the remote takes it; then ends what still runs.
   * Resolves when no rsync of this remote is left. What a full resync had not begun stays undone.
   */
  async stop(graceMs: number): Promise<void> {
    this.#isDraining = true;
    if (!this.#isDrained()) {
      await new Promise<void>((resolve) => {
        const cancelTimer = this.#options.clock.after(graceMs, resolve);
        this.#onDrained = () => {
          cancelTimer();
          resolve();
        };
        this.#queuePump();
      });
    }
    this.#isStopped = true;
    this.#cancelTimer?.();
    this.cancelRuns();
    await Promise.all([...this.#batches].flatMap((batch) => batch.settled ?? []));
  }

  /** Ends the runs in flight now. */
  cancelRuns(): void {
    for (const batch of this.#batches) batch.run?.cancel();
  }

  // ---- what to run next

  #queuePump(): void {
    if (this.#isPumpQueued || this.#isStopped) return;
    this.#isPumpQueued = true;
    queueMicrotask(() => {
      this.#isPumpQueued = false;
      if (!this.#isStopped) this.#pump();
    });
  }

  #pump(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    const now = this.#now();
    for (const due of this.#retries.takeDue(now)) this.#changes.mark(due);

    if (this.#standing.kind !== 'well' && now < this.#standing.retryAt) {
      if (this.#isDraining && this.#isDrained()) this.#onDrained?.();
      this.#wakeAt(this.#standing.retryAt);
      return;
    }
    for (let batch = this.#nextBatch(now); batch !== undefined; batch = this.#nextBatch(now)) this.#begin(batch);

    this.#finishResyncWhenDone();
    if (this.#isDraining && this.#isDrained()) this.#onDrained?.();
    this.#wakeAt(this.#nextWake(now));
  }

  #nextBatch(now: number): Batch | undefined {
    const { limits } = this.#options;
    // A remote that has just failed is asked with one run before it gets more.
    const lanes = this.#standing.kind === 'well' ? limits.lanes : 1;
    if (this.#batches.size >= lanes) return undefined;
    const isLastLane = lanes > 1 && this.#batches.size === lanes - 1 && this.#runsOf('entries') === 0;

    // Small changes are never kept waiting by anything else: the last free lane is theirs.
    return (
      this.#take('entries', this.#changes, this.#entriesPerRun, now) ??
      (isLastLane
        ? undefined
        : (this.#take('trees', this.#changes, Math.min(limits.treesPerRun, this.#entriesPerRun), now) ??
          this.#take('large', this.#changes, 1, now) ??
          (this.#isDraining
            ? undefined
            : this.#take('resync', this.#resyncPieces, Math.min(limits.resyncTreesPerRun, this.#entriesPerRun), now))))
    );
  }

  #take(kind: BatchKind, dirty: DirtySet, limit: number, now: number): Batch | undefined {
    if (dirty.size === 0 || this.#gathersUntil(kind, now) > now) return undefined;
    const looks = takeBatch(dirty, kind, this.#inFlight, limit);
    if (looks.length === 0) return undefined;
    return {
      kind,
      looks,
      startedAt: now,
      crontab: kind === 'resync' && this.#resync?.crontab === true,
      run: undefined,
      settled: undefined,
    };
  }

  /** While a run of small changes is young, the next batch gathers; large files and resyncs have lanes of their own. */
  #gathersUntil(kind: BatchKind, now: number): number {
    if (kind === 'large' || kind === 'resync') return now;
    let until = now;
    for (const batch of this.#batches) {
      if (batch.kind === kind) until = Math.max(until, batch.startedAt + this.#options.limits.nextLaneAfterMs);
    }
    return until;
  }

  #runsOf(kind: BatchKind): number {
    let runs = 0;
    for (const batch of this.#batches) if (batch.kind === kind) runs++;
    return runs;
  }

  #nextWake(now: number): number | undefined {
    const wakes = [this.#retries.nextDue()];
    if (this.#changes.size > 0 && this.#batches.size > 0) {
      for (const kind of ['entries', 'trees'] as const) {
        const until = this.#gathersUntil(kind, now);
        if (until > now) wakes.push(until);
      }
    }
    return wakes.reduce((next, wake) => (next === undefined || (wake !== undefined && wake < next) ? wake : next));
  }

  #wakeAt(time: number | undefined): void {
    if (time === undefined || this.#isStopped) return;
    // One millisecond more than nothing, so that a time that is due already cannot spin.
    this.#cancelTimer = this.#options.clock.after(Math.max(1, time - this.#now()), () => {
      if (!this.#isStopped) this.#pump();
    });
  }

  // ---- a run and its end

  #begin(batch: Batch): void {
    this.#batches.add(batch);
    this.#inFlight.add(batch.looks);
    batch.settled = this.#carryOut(batch).finally(() => {
      this.#batches.delete(batch);
      this.#inFlight.remove(batch.looks);
      this.#resync?.sending.delete(batch);
      this.#queuePump();
    });
  }

  /** Runs the batch and settles it: when this ends, each of its looks is clean, or marked again, or in the retry queue. */
  async #carryOut(batch: Batch): Promise<void> {
    const task = this.#taskFor(batch);
    let report: RunReport;
    let extras: readonly RelativePath[] = [];
    try {
      report = await this.#run(batch, task);
      if (report.extraneous > 0 && this.#options.deletes && isDone(judge(report, this.#options))) {
        // The directories stay in flight until what is extra in them is known: a crash in between forgets nothing.
        const comparison = await this.#run(batch, { kind: 'extras', looks: batch.looks, crontab: batch.crontab });
        if (isDone(judge(comparison, this.#options))) extras = comparison.extras;
        else report = comparison;
      }
    } catch (error) {
      // The way to the remote broke, not the remote: treated alike, for nothing was settled.
      report = failedToRun(error);
    }
    this.#settle(batch, report, extras);
    if (report.unsent.length > 0) await this.#countNewer(batch, report.unsent);
  }

  /** With `-u`, a file that was not sent is the same on the remote, or newer there and stays: that must be said. */
  async #countNewer(batch: Batch, unsent: readonly RelativePath[]): Promise<void> {
    const looks = unsent.map((path) => ({ path, scope: 'entry', gone: false }) as const);
    try {
      const { newer } = await this.#run(batch, { kind: 'newer', looks });
      const [path] = newer;
      if (path === undefined) return;
      this.#newerOnRemote += newer.length;
      this.#options.events.emit('path:newer', { remote: this.name, path, count: newer.length });
    } catch {
      // The question can go unanswered: nothing depends on it, and the way to the remote speaks for itself next time.
    }
  }

  async #run(batch: Batch, task: TransferTask): Promise<RunReport> {
    const { events, transport } = this.#options;
    events.emit('run:started', { remote: this.name, kind: task.kind, paths: batch.looks.length });
    batch.run = transport.begin(task, ({ filesSent, bytesSent }) => {
      if (batch.kind !== 'resync' || this.#resync === undefined) return;
      this.#resync.sending.set(batch, { files: filesSent, bytes: bytesSent });
      this.#tellProgress(this.#resync);
    });
    const report = await batch.run.done;
    events.emit('run:finished', {
      remote: this.name,
      kind: task.kind,
      paths: batch.looks.length,
      verdict: judge(report, this.#options).kind,
      exitCode: report.exitCode,
      filesSent: report.filesSent,
      bytesSent: report.bytesSent,
      durationMs: report.durationMs,
      command: report.command,
    });
    return report;
  }

  #taskFor({ kind, looks, crontab }: Batch): TransferTask {
    if (kind === 'entries') return { kind: 'entries', looks, largeBytes: this.#options.limits.largeBytes };
    if (kind === 'large') return { kind: 'entries', looks, largeBytes: 0 };
    const whole = looks.find((look) => look.path === ROOT && look.scope === 'subtree');
    if (whole !== undefined && looks.length === 1) return { kind: 'divide', path: ROOT, crontab };
    return { kind: 'trees', looks, resync: kind === 'resync', crontab };
  }

  #settle(batch: Batch, report: RunReport, extras: readonly RelativePath[]): void {
    const verdict = judge(report, this.#options);
    this.#standAfter(verdict);
    const now = this.#now();
    switch (verdict.kind) {
      case 'cancelled':
      case 'unreachable':
      case 'rejected':
      case 'refused':
        this.#markAgain(batch, batch.looks);
        return;
      case 'partial':
        this.#settlePartial(batch, verdict, report, now);
        break;
      case 'moved':
        this.#settleMoved(batch, verdict, report, now);
        break;
      case 'blocked':
        for (const path of verdict.paths) {
          this.#options.events.emit('path:blocked', { remote: this.name, path, reason: verdict.reason });
        }
        break;
      case 'synced':
        this.#settleSynced(verdict);
        break;
    }
    if (report.held !== undefined) this.#tellHeld(report.held);
    this.#settleClean(batch, report, verdict, now);
    this.#lookAgain(batch, report.again, now);
    this.#removeExtras(batch, extras, now);
  }

  #settleClean(batch: Batch, report: RunReport, verdict: Verdict, now: number): void {
    const isFailing = failingTest(verdict, report);
    let oldest = now;
    let synced = 0;
    const again = new Set(report.again.map(({ path }) => path));
    const held = new Set(report.held?.paths);
    for (const look of batch.looks) {
      if (again.has(look.path) || isFailing(look.path) || this.#isHeld(look, held)) continue;
      oldest = Math.min(oldest, look.since);
      synced++;
      for (const recovered of this.#retries.settle(look, isFailing)) {
        this.#options.events.emit('path:recovered', {
          remote: this.name,
          path: recovered.path,
          attempts: recovered.attempts,
        });
      }
    }
    if (batch.kind === 'resync' && this.#resync !== undefined) {
      this.#resync.sending.delete(batch);
      this.#resync.piecesDone += synced;
      this.#resync.files += report.filesSent;
      this.#resync.bytes += report.bytesSent;
      this.#tellProgress(this.#resync);
    }
    if (synced === 0) return;
    this.#lastSyncedAt = now;
    this.#options.events.emit('batch:synced', {
      remote: this.name,
      kind: batch.kind,
      paths: synced,
      lagMs: now - oldest,
    });
  }

  /** Keeps a deletion that was held back; it was named by itself or by the topmost missing directory above it. */
  #isHeld(look: DirtyPath, held: ReadonlySet<RelativePath>): boolean {
    if (held.size === 0 || !(held.has(look.path) || [...ancestorsOf(look.path)].some((path) => held.has(path)))) {
      return false;
    }
    this.#held.push(look);
    return true;
  }

  #tellHeld({ reason, paths }: NonNullable<RunReport['held']>): void {
    const count = paths.length;
    this.#options.events.emit('deletes:held', { remote: this.name, reason, count });
  }

  #settleSynced({ warnings }: Extract<Verdict, { kind: 'synced' }>): void {
    this.#entriesPerRun = Math.min(this.#options.limits.entriesPerRun, this.#entriesPerRun * 2);
    const [message] = warnings;
    if (message === undefined) return;
    this.#options.events.emit('remote:complained', { remote: this.name, message, count: warnings.length });
  }

  /** The world moved under us: what rsync missed is looked at again at once. */
  #settleMoved(batch: Batch, verdict: Extract<Verdict, { kind: 'moved' }>, report: RunReport, now: number): void {
    this.#lookAtVanished(batch, verdict.vanished, now);
    if (verdict.vanished.length > 0 || report.again.length > 0) return;
    // Nothing can be named: all of it again, and slowly, for it may be so each time.
    for (const look of batch.looks) {
      this.#fail(look, { exitCode: report.exitCode ?? -1, reason: verdict.reason, command: report.command }, now);
    }
  }

  #lookAtVanished(batch: Batch, vanished: readonly RelativePath[], now: number): void {
    const sinceOf = timesOf(batch, now);
    for (const path of vanished) {
      this.#changes.mark({ path, scope: 'entry', gone: false, alone: false, since: sinceOf(path) });
    }
  }

  /** Named failures go to the retry queue; of the others, what may not have arrived is marked again at once. */
  #settlePartial(batch: Batch, verdict: Extract<Verdict, { kind: 'partial' }>, report: RunReport, now: number): void {
    const failure: Failure = { exitCode: report.exitCode ?? -1, reason: verdict.reason, command: report.command };
    const isFailing = failingTest(verdict, report);
    const sinceOf = timesOf(batch, now);
    const looks = new Map(batch.looks.map((look) => [look.path, look]));
    const obstructed = new Set(
      report.complaints.flatMap(({ kind, path }) => (kind === 'obstructed' && path !== undefined ? [path] : [])),
    );
    for (const { path, reason } of verdict.failed) {
      if (obstructed.has(path) && batch.kind !== 'entries') {
        // A copying run deletes nothing; by name, what stands in the way on the remote is replaced.
        this.#changes.mark({ path, scope: 'entry', gone: false, alone: false, since: sinceOf(path) });
        continue;
      }
      // What was named but not asked for is looked at as a subtree: it may be a directory that could not be made.
      const look = looks.get(path) ?? { path, scope: 'subtree', gone: false, alone: false, since: sinceOf(path) };
      this.#fail(look, { ...failure, reason }, now, verdict.hint);
    }
    this.#lookAtVanished(batch, verdict.vanished, now);
    if (verdict.unnamed) {
      const [only] = batch.looks;
      if (batch.looks.length === 1 && only !== undefined) {
        this.#fail(only, failure, now);
      } else {
        this.#entriesPerRun = Math.max(1, Math.floor(batch.looks.length / 2));
        this.#markAgain(batch, batch.looks);
      }
    } else if (verdict.othersMissed) {
      this.#markAgain(
        batch,
        batch.looks.filter((look) => !isFailing(look.path)),
      );
    }
  }

  #fail(dirty: DirtyPath, failure: Failure, now: number, hint?: string): void {
    const failed = this.#retries.add(dirty, failure, now);
    if (this.#resync !== undefined) this.#resync.failed++;
    this.#options.events.emit('path:failed', {
      remote: this.name,
      path: failed.path,
      reason: failure.reason,
      ...(hint === undefined ? {} : { hint }),
      exitCode: failure.exitCode,
      attempts: failed.attempts,
      retryInMs: (failed.dueAt ?? now) - now,
    });
  }

  #markAgain(batch: Batch, looks: readonly DirtyPath[]): void {
    const dirty = batch.kind === 'resync' ? this.#resyncPieces : this.#changes;
    for (const look of looks) dirty.mark(look);
  }

  #lookAgain(batch: Batch, again: readonly Again[], now: number): void {
    if (again.length === 0) return;
    const sinceOf = timesOf(batch, now);
    for (const { path, scope, gone, because } of again) {
      const dirty: DirtyPath = { path, scope, gone, alone: because === 'large', since: sinceOf(path) };
      if (because === 'retyped') this.#retries.rescope(path, scope);
      if (because !== 'divided' || batch.kind !== 'resync') this.#changes.mark(dirty);
      else {
        this.#resyncPieces.mark(dirty);
        if (this.#resync !== undefined) this.#resync.pieces++;
      }
    }
    // A look that turned into narrower ones may not cover what was folded into it: failed paths speak for themselves.
    const looks = new Set(batch.looks.map(({ path }) => path));
    for (const failed of this.#retries) {
      const isFolded =
        failed.dueAt === undefined &&
        (looks.has(ROOT) || [...ancestorsOf(failed.path)].some((path) => looks.has(path)));
      if (isFolded) this.#changes.mark(failed);
    }
  }

  #removeExtras(batch: Batch, extras: readonly RelativePath[], now: number): void {
    if (extras.length === 0) return;
    this.#options.events.emit('extras:found', {
      remote: this.name,
      count: extras.length,
      examples: extras.slice(0, 10),
    });
    const sinceOf = timesOf(batch, now);
    for (const path of extras) {
      this.#changes.mark({ path, scope: 'entry', gone: false, alone: false, since: sinceOf(path) });
    }
  }

  // ---- how the remote stands

  #standAfter(verdict: Verdict): void {
    if (verdict.kind === 'cancelled') return;
    if (verdict.kind === 'unreachable') this.#stand('unreachable', this.#options.limits.unreachable, verdict);
    else if (verdict.kind === 'rejected') this.#stand('halted', this.#options.limits.halted, verdict);
    else if (verdict.kind === 'refused') this.#stand('refused', this.#options.limits.refused, verdict);
    // A connection that broke off half way may be the fault of one name or of the way: half the batch, and no hurry.
    else if (verdict.kind === 'partial' && verdict.unnamed && verdict.othersMissed) {
      this.#stand('unreachable', this.#options.limits.unreachable, verdict);
    } else this.#recover();
  }

  #stand(
    kind: 'unreachable' | 'halted' | 'refused',
    backoff: Backoff,
    { reason, hint }: { reason: string; hint?: string | undefined },
  ): void {
    const now = this.#now();
    const before = this.#standing.kind === 'well' ? undefined : this.#standing;
    // Runs that were in flight together fail together: that counts once.
    if (before !== undefined && now < before.retryAt) return;
    const failures = (before?.failures ?? 0) + 1;
    const retryInMs = backoffMs(backoff, failures, this.#options.random());
    const isNews = before?.kind !== kind || now >= before.remindAt;
    this.#standing = {
      kind,
      since: before?.since ?? now,
      failures,
      reason,
      retryAt: now + retryInMs,
      remindAt: isNews ? now + this.#options.limits.remindEveryMs : before.remindAt,
    };
    if (!isNews) return;
    const { events } = this.#options;
    const report = { remote: this.name, reason, retryInMs };
    if (kind === 'refused') events.emit('source:refused', report);
    else events.emit(`remote:${kind}`, { ...report, ...(hint === undefined ? {} : { hint }), failures });
  }

  #recover(): void {
    if (this.#standing.kind === 'well') return;
    const { kind, failures, since } = this.#standing;
    this.#standing = { kind: 'well' };
    const durationMs = this.#now() - since;
    if (kind === 'refused') this.#options.events.emit('source:back', { remote: this.name, durationMs });
    else this.#options.events.emit('remote:recovered', { remote: this.name, failures, durationMs });
  }

  #state(): 'idle' | 'transferring' | 'backing off' | 'halted' {
    if (this.#standing.kind === 'halted') return 'halted';
    if (this.#standing.kind !== 'well') return 'backing off';
    return this.#batches.size > 0 ? 'transferring' : 'idle';
  }

  /** Whether waiting longer before the end would bring nothing more over. */
  #isDrained(): boolean {
    return this.#batches.size === 0 && (this.#changes.size === 0 || this.#standing.kind !== 'well');
  }

  // ---- full resync

  #startResync(reason: string, crontab: boolean, whenDone: (() => void)[]): void {
    const now = this.#now();
    this.#resync = {
      reason,
      crontab,
      startedAt: now,
      pieces: 0,
      piecesDone: 0,
      files: 0,
      bytes: 0,
      failed: 0,
      sending: new Map(),
      whenDone,
    };
    // The full resync is the retry queue's flush: whatever waits there is tried along with it.
    for (const due of this.#retries.takeDue(Infinity)) this.#changes.mark(due);
    this.#resyncPieces.mark({ path: ROOT, scope: 'subtree', gone: false, alone: false, since: now });
    this.#options.events.emit('resync:started', { remote: this.name, reason });
    this.#queuePump();
  }

  #finishResyncWhenDone(): void {
    const resync = this.#resync;
    if (resync === undefined || this.#resyncPieces.size > 0 || this.#runsOf('resync') > 0) return;
    this.#resync = undefined;
    this.#options.events.emit('resync:finished', {
      remote: this.name,
      reason: resync.reason,
      files: resync.files,
      bytes: resync.bytes,
      failed: resync.failed,
      durationMs: this.#now() - resync.startedAt,
    });
    for (const resolve of resync.whenDone) resolve();
    const next = this.#nextResync;
    this.#nextResync = undefined;
    if (next !== undefined) this.#startResync(next.reason, next.crontab, next.whenDone);
  }

  #tellProgress(resync: Resync): void {
    let { files, bytes } = resync;
    for (const sending of resync.sending.values()) {
      files += sending.files;
      bytes += sending.bytes;
    }
    this.#options.events.emit('resync:progress', {
      remote: this.name,
      reason: resync.reason,
      fraction: fractionOf(resync),
      files,
      bytes,
      durationMs: this.#now() - resync.startedAt,
    });
  }

  #now(): number {
    return this.#options.clock.now();
  }
}

function fractionOf({ pieces, piecesDone }: Resync): number {
  return pieces === 0 ? 0 : Math.min(1, piecesDone / pieces);
}

/** When the change at each path of the batch was seen; for any other path, when its oldest was. */
function timesOf({ looks }: Batch, now: number): (path: RelativePath) => number {
  const times = new Map(looks.map((look) => [look.path, look.since]));
  const oldest = looks.reduce((since, look) => Math.min(since, look.since), now);
  return (path) => times.get(path) ?? oldest;
}

function isDone(verdict: Verdict): boolean {
  return (
    verdict.kind === 'synced' || verdict.kind === 'moved' || verdict.kind === 'partial' || verdict.kind === 'blocked'
  );
}

/** Whether a path is, or lies below, one that the verdict names as failed. */
function failingTest(verdict: Verdict, report: RunReport): (path: RelativePath) => boolean {
  if (verdict.kind === 'moved' && verdict.vanished.length + report.again.length === 0) return () => true;
  if (verdict.kind === 'partial' && verdict.unnamed) return () => true;
  if (verdict.kind !== 'partial' || verdict.failed.length === 0) return () => false;
  const failed = new Set(verdict.failed.map(({ path }) => path));
  return (path) => failed.has(path) || [...ancestorsOf(path)].some((above) => failed.has(above));
}

function failedToRun(error: unknown): RunReport {
  return {
    exitCode: null,
    signal: null,
    spawnError: error instanceof Error ? error.message : String(error),
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
}
