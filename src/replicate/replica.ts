/**
 * One remote: what is dirty there, the runs in flight, and how it stands.
 *
 *   idle -> transferring (runs on disjoint paths, each in a lane) -> idle
 *                 |- unreachable or rejected -> backing off | halted -> transferring (one run, to see) ...
 *                 '- the source is not what it was -> backing off
 *
 * Every change, retry, lost event and resync is a mark in one of two dirty sets: `changes` (what people wait for) and
 * `resync` (the directories of a full resync, which go when a lane is free). Nothing leaves the sets but into a run, and
 * what a run did not settle is marked again. The journal holds the image of all of it: dirty, in flight, waiting to be
 * tried again, held.
 */
import { backoffMs, type Backoff } from '../core/backoff.js';
import { covers, DirtySet, merge, movedIf, type DirtyPath, type Mark } from '../core/dirty-set.js';
import { Moves } from '../core/moves.js';
import { ancestorsOf, commonDirectory, levelsBelow, parentOf, ROOT, type RelativePath } from '../core/relative-path.js';
import type { Clock } from '../clock.js';
import { messageOf } from '../errors.js';
import type { Events } from '../events.js';
import { doSoon, nextPiece } from '../turns.js';
import { RetryQueue, type FailedPath, type Failure } from '../queue/retry-queue.js';
import { BATCH_KINDS, InFlight, takeBatch, takeWhole, type BatchKind, type FlyingBatch } from './planner.js';
import { Gathering, type GatheringTimes } from './gathering.js';
import { Pace, paceOf, type PaceLimits } from './pace.js';
import { KnownDirectory } from './known-directory.js';
import { Deletions, placeOfFound, type Comparer, type DeleteLimit, type HeldName } from './deletions.js';
import {
  NO_RUN,
  type Again,
  type Journal,
  type JournalMark,
  type JournalSection,
  type JournalSource,
  type Moved,
  type Run,
  type RunReport,
  type TransferTask,
  type Transport,
} from './ports.js';
import { Standing } from './standing.js';
import { judge, type Verdict } from './verdict.js';

export interface ReplicaLimits {
  /** Runs at the same time, at most. */
  readonly lanes: number;
  /** A second run for small changes starts when the first has taken this long. */
  readonly nextLaneAfterMs: number;
  /**
   * After a run for small changes the next one waits for as long as that took, at most this, and while more come: what
   * comes meanwhile goes along.
   */
  readonly pauseAtMostMs: number;
  /** Runs for small changes: where such changes do not end, each would otherwise have a process of its own. */
  readonly pace: PaceLimits;
  /** With so many small changes it waits no longer: they are worth a run. */
  readonly worthARun: number;
  /** Directories gather for a moment, since who makes one often makes others, and fills them; small changes when they come in numbers. */
  readonly gather: GatheringTimes;
  /** So many small changes at once are the beginning of more. */
  readonly gatheredFrom: number;
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
  /** A remote that had no connection left for a lane is tried with one more after this long. */
  readonly widenEveryMs: number;
}

export const REPLICA_LIMITS: ReplicaLimits = {
  lanes: 4,
  nextLaneAfterMs: 1_000,
  pauseAtMostMs: 250,
  pace: paceOf(1, 1),
  worthARun: 200,
  gather: { afterLastMs: 5, atMostMs: 20 },
  gatheredFrom: 8,
  entriesPerRun: 10_000,
  treesPerRun: 1_000,
  resyncTreesPerRun: 16,
  largeBytes: 8 * 1024 * 1024,
  unreachable: { firstMs: 250, maxMs: 5_000 },
  halted: { firstMs: 5_000, maxMs: 20_000 },
  refused: { firstMs: 1_000, maxMs: 5_000 },
  failedPath: { firstMs: 1_000, maxMs: 30_000 },
  remindEveryMs: 10 * 60_000,
  widenEveryMs: 60_000,
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
  /** How much a comparison may delete without being asked; undefined: all. */
  readonly deleteLimit: DeleteLimit | undefined;
  /** How many names the source holds, as far as that is known; 0 when it is not. */
  readonly sourceNames: () => number;
  /** A file that has other names was looked at: those have changed with it, and nobody told of them. */
  readonly onLinked: (inodes: readonly number[]) => void;
  /** A run is over and settled. */
  readonly onLanded?: (landing: Landing) => void;
  /** Names that were found to be here alone, by a comparison that no full resync asked for, are removed here from now on. */
  readonly onRemoving?: (paths: readonly RelativePath[]) => void;
  readonly journal: Journal;
  /** Names the remote's section in the journal. */
  readonly key: string;
  /** Of all that decides what should be on the remote: when it is another one, everything is looked at. */
  readonly fingerprint: string;
}

/** What a run has left behind: plain data. */
export interface Landing {
  readonly remote: string;
  /** The remote can be had. */
  readonly isWell: boolean;
  readonly looks: readonly DirtyPath[];
  /** The names that were sent or made here, where directories were looked at as a whole; of a full resync none. */
  readonly changed: readonly RelativePath[];
  /** How many there were beyond those. */
  readonly unnamed: number;
  /** Places that are looked at again. */
  readonly again: readonly Again[];
}

type Findings = Pick<Landing, 'changed' | 'unnamed' | 'again'>;
const NOTHING_FOUND: Findings = { changed: [], unnamed: 0, again: [] };

/** What the journal keeps of a remote beside its marks. */
interface Facts {
  readonly fingerprint: string;
  /** A full resync that somebody asked for has once been through: comparing may delete. */
  readonly mayDelete: boolean;
  /** The full resync under way. */
  readonly resync?: ResyncRequest;
  /** The one that waits for its end. */
  readonly next?: ResyncRequest;
}

export interface ResyncRequest {
  readonly reason: string;
  /** The crontab's: its patterns hold too. */
  readonly crontab: boolean;
  /** Somebody asked for it (`-r`, crontab), so that it may delete what only the remote has. */
  readonly isAsked: boolean;
}

/** So many names are taken into a batch at a stretch, in 0.4 ms by itself (p95 2.2; Node 20), or settled. */
const NAMES_IN_A_PIECE = 1_000;
/** What was found to be extra is decided about when all of a repair has been compared, at the latest after this long. */
const JUDGE_AFTER_MS = 10_000;
/** What could not be read, while nothing is known to fail, is looked at again: it was being changed. */
const UNREAD_AGAIN: Backoff = { firstMs: 5_000, maxMs: 10 * 60_000 };
/** Why a place is looked at again of which times tell nothing. */
const COMPARED_BY_CONTENT: ReadonlySet<Again['because']> = new Set(['doubtful', 'reappeared']);
/** Names that others have sent while a run goes on, by themselves. */
const MAX_OVERTAKEN = 10_000;
/** Places in one run that looks for partial files, and of those in all. */
const SWEEPS_PER_RUN = 100;
const MAX_SWEEPS = 1_000;
/** Names that are deleted after one comparison. */
const MAX_EXTRAS = 20_000;
/** So many files in a row may each be larger than what is free on the remote before it counts as full. */
const FULL_AFTER_RUNS = 2;

/** A name that only the remote has, and that goes. `gone`: here it was seen to go, by itself or with a directory above it. */
type Extra = Pick<DirtyPath, 'path' | 'gone'>;

interface Batch extends FlyingBatch {
  readonly kind: BatchKind;
  /** More names may come, until it runs. */
  readonly looks: DirtyPath[];
  readonly claims: DirtyPath[];
  readonly startedAt: number;
  readonly crontab: boolean;
  /** The whole tree, to be divided: runs no rsync. */
  readonly isDivision: boolean;
  /** What of it the remote may have under another name. */
  readonly moved: readonly Moved[];
  /** The end of those in flight that must have ended before this one begins. */
  readonly waitsFor: readonly Promise<void>[];
  run: Run | undefined;
  /**
   * What others have sent meanwhile in the directories of this one. It may have sent it as well, as it was before, with the
   * whole directory (`RunReport.unquiet`), so until it has ended it is not known that the remote has it.
   */
  overtaken: DirtySet | undefined;
  /** Resolves when the batch is settled and no longer in flight. */
  settled: Promise<void> | undefined;
}

/** A full resync under way. */
interface Resync extends ResyncRequest {
  readonly startedAt: number;
  /** An earlier run of the service has begun it. */
  readonly isResumed: boolean;
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
  /** Names that stay on the remote for now, and why. */
  readonly held: number;
  readonly heldReasons: readonly string[];
  /** Comparing may delete here: a full resync has once been through. */
  readonly mayDelete: boolean;
  readonly resync: { readonly reason: string; readonly fraction: number } | undefined;
  readonly lastSyncedAt: number | undefined;
  readonly lastError: { readonly at: number; readonly reason: string } | undefined;
  readonly newerOnRemote: number;
}

export class Replica implements JournalSource {
  readonly name: string;
  readonly #options: ReplicaOptions;
  readonly #section: Pick<JournalSection, 'changed' | 'settled' | 'keep'>;
  readonly #changes: DirtySet;
  readonly #resyncPieces: DirtySet;
  readonly #inFlight = new InFlight<Batch>();
  readonly #batches = new Set<Batch>();
  readonly #retries: RetryQueue;
  /** Where runs that broke off may have left partial files, to be looked after when nothing else is dirty there. */
  readonly #sweeps: DirtySet;
  readonly #moves = new Moves();
  readonly #known = new KnownDirectory(() => this.#now());
  readonly #deletions: Deletions;
  /** Since when something that was found to be extra waits to be decided about. */
  #foundAt: number | undefined;
  /** When what could not be read is looked at again; what was looked at again last, and how often that was in vain. */
  #unreadDueAt: number | undefined;
  #unreadBefore: ReadonlySet<RelativePath> = new Set();
  #unreadAttempts = 0;
  #mayDelete: boolean;
  /** That repairs only copy, as long as no full resync has been through, is told once. */
  #hasToldCopyOnly = false;
  /** How many names the source held when it was last resynced. */
  #resyncNames = 0;
  /** What the remote holds is known, or all of it is marked. */
  #isKnown: boolean;
  /** Why it is not known what the remote holds; undefined when an earlier run of the service has left it in order. */
  readonly unknownBecause: string | undefined;
  #resync: Resync | undefined;
  #nextResync: (ResyncRequest & { whenDone: (() => void)[] }) | undefined;
  readonly #standing: Standing;
  /** Halved when a run fails and nothing can be named, so that one bad name cannot hold up the others. */
  #entriesPerRun: number;
  #lastSyncedAt: number | undefined;
  #lastError: { readonly at: number; readonly reason: string } | undefined;
  #newerOnRemote = 0;
  /** When a batch of each kind was last begun, as a count of batches. */
  readonly #lastTurns = new Map<BatchKind, number>();
  #turns = 0;
  /** Since when each kind has had something to send and could not, for overlapping runs in flight. */
  readonly #blockedSince = new Map<BatchKind, number>();
  /** Until when small changes gather, after a run of them. */
  #pausesUntil = -Infinity;
  readonly #gathering: { readonly entries: Gathering; readonly trees: Gathering };
  readonly #pace: Pace;
  /** Until when it is not asked again whether something of a kind may go. */
  readonly #restsUntil = new Map<BatchKind, number>();
  /** The root holds too many directories to be divided into them. */
  #isIndivisible = false;
  /** Runs in a row that broke off because the remote is full. */
  #fullRuns = 0;
  #isStopped = false;
  #isDraining = false;
  /** After lost events the parts of the whole tree are among the changes: few go in one run, so that it blocks little. */
  #isRepairing = false;
  #onDrained: (() => void) | undefined;
  #isPumpQueued = false;
  #cancelTimer: (() => void) | undefined;

  constructor(options: ReplicaOptions) {
    this.name = options.name;
    this.#options = options;
    this.#entriesPerRun = options.limits.entriesPerRun;
    this.#standing = new Standing(options);
    const { gather } = options.limits;
    this.#gathering = { entries: new Gathering(gather), trees: new Gathering(gather) };
    this.#pace = new Pace(options.limits.pace);
    this.#retries = new RetryQueue(options.limits.failedPath, options.random);
    const onChanged = (path: RelativePath, isDated = false): void => {
      this.#section.changed(path, isDated);
    };
    this.#changes = new DirtySet({ onChanged });
    this.#resyncPieces = new DirtySet({ onChanged });
    this.#sweeps = new DirtySet({ maxMarks: MAX_SWEEPS, onChanged });
    this.#deletions = new Deletions({ limit: options.deleteLimit, onChanged });
    const section = options.journal.section(options.key, this);
    // Not the section itself: what it has saved is needed once.
    this.#section = {
      changed: (path, isDated) => {
        section.changed(path, isDated);
      },
      settled: (path) => {
        section.settled(path);
      },
      keep: (kept) => {
        section.keep(kept);
      },
    };
    const facts = readFacts(section.facts);
    this.#mayDelete = facts?.mayDelete === true;
    this.unknownBecause = unknownBecause(facts, options.fingerprint);
    this.#isKnown = this.unknownBecause === undefined;
    this.#restore(section.saved, facts);
  }

  /** Takes a place to look. Cheap: nothing runs before the current turn of the event loop has ended. */
  mark(dirty: DirtyPath): void {
    this.#changes.mark(this.#isToldByTime(dirty) ? { ...dirty, moved: false } : dirty);
    this.#deletions.drop(dirty.path);
    this.#queuePump();
  }

  /**
   * A file that came by a rename has its own time, but where a run looks at the name, which may have read another one; and
   * where the remote is to take it from its old name, which it does by size and time.
   */
  #isToldByTime({ path, scope, moved, gone, since, alone }: DirtyPath): boolean {
    if (moved !== true || scope !== 'entry' || this.#moves.has(path)) return false;
    return !this.#inFlight.blocks(path, { scope, gone, since, alone });
  }

  /** A directory or a large file was renamed: a hint, given before the marks of both names. */
  moved(from: RelativePath, to: RelativePath): void {
    this.#moves.add(from, to);
  }

  /** The source is what it was: what had to wait for that is looked at. */
  sourceIsBack(): void {
    this.#markAll(this.#deletions.unpark());
  }

  /** Whether something waits for `sourceIsBack`. */
  get waitsForSource(): boolean {
    return this.#deletions.hasParked;
  }

  /** The names that stay on the remote for now, and how many more there are that are not kept by name. */
  held(): { names: HeldName[]; more: number } {
    return this.#deletions.list();
  }

  /** A person has said that what is held may go. Returns how many names and places that is. */
  release(): number {
    const { looks, isCompared } = this.#deletions.release();
    if (isCompared) this.#setMayDelete();
    this.#markAll(looks);
    return looks.length;
  }

  /**
   * Whether what changed at a path is on the remote: `there`; `owed`: it is on its way; `stuck`: it waits for the end of a
   * trouble, of the remote, of the source or of its own. A full resync under way says nothing of it.
   */
  stateOf(path: RelativePath): 'there' | 'owed' | 'stuck' {
    const kept = this.#deletions.imageOf(path);
    // What is extra below a place that was copied says nothing of what changed there.
    const waiting = kept?.kind === 'copied' ? undefined : kept;
    if (this.#retries.has(path) || (waiting !== undefined && waiting.kind !== 'found')) return 'stuck';
    if (waiting === undefined && !this.#changes.holds(path) && !this.isInFlight(path)) return 'there';
    return this.#standing.kind === 'well' && !this.#isStopped ? 'owed' : 'stuck';
  }

  /**
   * A full resync of the remote; resolves when all of it has been looked at once, or when the remote is stopped. Never two at once: a second one waits
   * for the first, a third joins the second.
   */
  resync(request: ResyncRequest): Promise<void> {
    return new Promise((resolve) => {
      const next = this.#nextResync;
      if (this.#resync === undefined) {
        this.#startResync(request, [resolve]);
        return;
      }
      this.#nextResync =
        next === undefined
          ? { ...request, whenDone: [resolve] }
          : {
              reason: next.isAsked ? next.reason : request.reason,
              // A resync that leaves nothing out serves the one that does, not the other way round.
              crontab: next.crontab && request.crontab,
              isAsked: next.isAsked || request.isAsked,
              whenDone: [...next.whenDone, resolve],
            };
      this.#isKnown = true;
      this.#keepFacts();
    });
  }

  /** How many changes are on their way there; 0 while none gets through. */
  get owed(): number {
    return this.#standing.kind === 'well' ? this.#changes.size + this.#inFlight.size : 0;
  }

  /** Tries whatever failed or backs off now. */
  retryNow(): void {
    for (const due of this.#retries.takeDue(Infinity)) this.#changes.mark(due);
    this.#standing.retryNow();
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
      reason: this.#standing.reason,
      lagMs: since === Infinity ? 0 : Math.max(0, now - since),
      pending: this.#changes.size + this.#resyncPieces.size,
      inFlight: this.#inFlight.size,
      retrying: this.#retries.size,
      held: this.#deletions.size,
      heldReasons: this.#deletions.reasons(),
      mayDelete: this.#mayDelete,
      resync: this.#resync && { reason: this.#resync.reason, fraction: fractionOf(this.#resync) },
      lastSyncedAt: this.#lastSyncedAt,
      lastError: this.#lastError,
      newerOnRemote: this.#newerOnRemote,
    };
  }

  /**
   * Brings over what is dirty, for at most `graceMs` and only while the remote takes it; then ends what still runs.
   * Resolves when no rsync of this remote is left. What a full resync had not begun stays undone.
   */
  async stop(graceMs: number): Promise<void> {
    this.#isDraining = true;
    if (!this.#isStopped && !this.#isDrained()) {
      await new Promise<void>((resolve) => {
        const cancelTimer = this.#options.clock.after(graceMs, resolve);
        this.#onDrained = () => {
          cancelTimer();
          resolve();
        };
        this.#queuePump();
      });
    }
    this.cancelRuns();
    this.#cancelTimer?.();
    await Promise.all([...this.#batches].flatMap((batch) => batch.settled ?? []));
    for (const resolve of [...(this.#resync?.whenDone ?? []), ...(this.#nextResync?.whenDone ?? [])]) resolve();
  }

  /** Ends the runs in flight now and begins no more; a stop under way waits no longer. */
  cancelRuns(): void {
    this.#isStopped = true;
    this.#onDrained?.();
    for (const batch of this.#batches) batch.run?.cancel();
  }

  // ---- what to run next

  #queuePump(): void {
    if (this.#isPumpQueued || this.#isStopped) return;
    this.#isPumpQueued = true;
    doSoon(() => {
      this.#isPumpQueued = false;
      if (!this.#isStopped) this.#pump();
    });
  }

  #pump(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    const now = this.#now();
    for (const due of this.#retries.takeDue(now)) this.#changes.mark(due);
    this.#lookAtUnread(now);
    this.#judgeRepair(now);
    this.#gathering.entries.see(this.#countOf('entries'), now);
    this.#gathering.trees.see(this.#countOf('trees'), now);

    const waitsUntil = this.#standing.waitsUntil(now);
    if (waitsUntil !== undefined) {
      if (this.#isDraining && this.#isDrained()) this.#onDrained?.();
      this.#wakeAt(waitsUntil);
      return;
    }
    for (let batch = this.#nextBatch(now); batch !== undefined; batch = this.#nextBatch(now)) this.#begin(batch);

    this.#finishResyncWhenDone();
    if (this.#isDraining && this.#isDrained()) this.#onDrained?.();
    this.#wakeAt(this.#nextWake(now));
  }

  #nextBatch(now: number): Batch | undefined {
    const lanes = this.#standing.lanes(now);
    if (this.#batches.size >= lanes) return undefined;
    for (const kind of this.#kindsInTurn(lanes)) {
      const batch = this.#take(kind, now);
      if (batch === undefined) continue;
      this.#lastTurns.set(kind, ++this.#turns);
      return batch;
    }
    return undefined;
  }

  /**
   * Which kinds may have the next lane, in order. Small changes are never kept waiting by anything else: they come first,
   * and the last free lane is theirs; but when all others are theirs, too, it is for the rest. Otherwise, and where there
   * is one lane only, who has waited longest comes first, so that nothing starves while changes never end.
   */
  #kindsInTurn(lanes: number): BatchKind[] {
    const lastTurn = (kind: BatchKind): number => this.#lastTurns.get(kind) ?? 0;
    const kinds = BATCH_KINDS.filter((kind) => !this.#isDraining || (kind !== 'resync' && kind !== 'sweep'));
    const inTurn = [...kinds].sort((one, other) => lastTurn(one) - lastTurn(other));
    if (lanes === 1) return inTurn;
    const others = inTurn.filter((kind) => kind !== 'entries');
    if (this.#batches.size < lanes - 1) return ['entries', ...others];
    return this.#runsOf('entries') === 0 ? ['entries'] : [...others, 'entries'];
  }

  #take(kind: BatchKind, now: number): Batch | undefined {
    if (kind === 'sweep') return this.#takeSweeps(now);
    const dirty = kind === 'resync' ? this.#resyncPieces : this.#changes;
    if (dirty.size === 0 || this.#gathersUntil(kind, now) > now || (this.#restsUntil.get(kind) ?? 0) > now)
      return undefined;
    const isWide = kind === 'trees' || kind === 'resync';
    if (isWide && !this.#isIndivisible) {
      const whole = takeWhole(dirty, this.#inFlight);
      if (whole.length > 0) return this.#batchOf(kind, whole, now, { isDivision: true });
    }
    this.#isRepairing &&= this.#countOf('trees') > 0;
    const limit = this.#limitOf(kind);
    const askedAt = this.#now();
    const looks = this.#takeSome(kind, dirty, limit);
    if (looks.length > 0) return this.#batchOf(kind, looks, now);
    this.#restAfter(kind, this.#now() - askedAt);
    return isWide ? this.#claim(kind, dirty, limit, now) : undefined;
  }

  #takeSome(kind: BatchKind, dirty: DirtySet, limit: number): DirtyPath[] {
    const most = Math.min(limit, NAMES_IN_A_PIECE);
    const looks = takeBatch(dirty, kind, this.#inFlight, most, this.#mustStay());
    if (kind === 'entries' || kind === 'trees') this.#gathering[kind].taken(this.#countOf(kind));
    return looks;
  }

  /** What was moved away is deleted when its new name has been looked at. That never waits, so no two wait for each other. */
  #mustStay(): (path: RelativePath, mark: Mark) => boolean {
    if (this.#moves.size === 0) return () => false;
    const isDeletion = ({ scope, gone }: Mark): boolean => scope === 'entry' && gone;
    const awaited = this.#moves.awaited((path) => {
      const mark = this.#changes.get(path);
      return mark === undefined ? this.isInFlight(path) : !isDeletion(mark);
    });
    return (path, mark) => isDeletion(mark) && awaited.has(path);
  }

  /** A file that is to be sent again goes on where it was cut off: its partial stays until it is settled. */
  #takeSweeps(now: number): Batch | undefined {
    const isDirty = (path: RelativePath): boolean =>
      this.#changes.overlaps(path) || this.#resyncPieces.overlaps(path) || this.#retries.has(path);
    const looks = takeBatch(this.#sweeps, 'sweep', this.#inFlight, SWEEPS_PER_RUN, isDirty);
    return looks.length === 0 ? undefined : this.#batchOf('sweep', looks, now);
  }

  /**
   * To find that all of 100,000 names must wait takes 100 ms: with each new change that would be all that is done. So it
   * is asked again when a run has ended, or when ten times that has passed.
   */
  #restAfter(kind: BatchKind, tookMs: number): void {
    if (tookMs >= 2) this.#restsUntil.set(kind, this.#now() + 9 * tookMs);
  }

  /**
   * Small changes in a busy directory follow one another without a gap, and a look at all of it would wait for ever. So
   * after a while it gets its lane, new changes keep away from it, and it begins when those in flight have ended.
   */
  #claim(kind: BatchKind, dirty: DirtySet, limit: number, now: number): Batch | undefined {
    if (dirty.count('listing') + dirty.count('subtree') === 0) return undefined;
    const blockedSince = this.#blockedSince.get(kind) ?? now;
    this.#blockedSince.set(kind, blockedSince);
    if (now - blockedSince < this.#options.limits.nextLaneAfterMs) return undefined;
    const waitsFor = [...this.#batches].flatMap(({ kind, settled }) => (kind === 'entries' ? (settled ?? []) : []));
    const lasting = new InFlight();
    for (const batch of this.#batches) if (batch.kind !== 'entries') lasting.add(batch);
    const looks = takeBatch(dirty, kind, lasting, limit);
    return looks.length === 0 ? undefined : this.#batchOf(kind, looks, now, { waitsFor });
  }

  #batchOf(
    kind: BatchKind,
    looks: DirtyPath[],
    now: number,
    { isDivision = false, waitsFor = [] }: { isDivision?: boolean; waitsFor?: readonly Promise<void>[] } = {},
  ): Batch {
    this.#blockedSince.delete(kind);
    const mayHaveMoved = kind === 'trees' || kind === 'large' || (kind === 'entries' && isSingle({ looks }));
    const moved = mayHaveMoved ? this.#takeMoved(looks) : [];
    const origins = moved.map(
      ({ from }) => ({ path: from, scope: 'subtree', gone: true, alone: false, since: now }) as const,
    );
    return {
      kind,
      looks,
      startedAt: now,
      crontab: kind === 'resync' && this.#resync?.crontab === true,
      isDivision,
      // To divide the tree is in nobody's way; it only must not be forgotten.
      claims: isDivision ? looks.map((look) => ({ ...look, scope: 'entry', gone: false })) : [...looks, ...origins],
      moved,
      waitsFor,
      run: undefined,
      overtaken: undefined,
      settled: undefined,
    };
  }

  /** What stands at an old name in a run under way is not relied on. */
  #takeMoved(looks: readonly DirtyPath[]): Moved[] {
    return looks.flatMap(({ path }) => {
      const from = this.#moves.take(path);
      return from === undefined || this.#inFlight.has(from) ? [] : [{ path, from }];
    });
  }

  #limitOf(kind: BatchKind): number {
    const { treesPerRun, resyncTreesPerRun } = this.#options.limits;
    switch (kind) {
      case 'entries':
        return this.#entriesPerRun;
      case 'trees':
        return Math.min(this.#isRepairing ? resyncTreesPerRun : treesPerRun, this.#entriesPerRun);
      case 'resync':
        return Math.min(resyncTreesPerRun, this.#entriesPerRun);
      case 'large':
        return 1;
      case 'sweep':
        return SWEEPS_PER_RUN;
    }
  }

  /**
   * While a run of small changes is young, and for a while after it, the next batch gathers: under load half of the time
   * and fewer processes. Large files and resyncs have lanes of their own.
   */
  #gathersUntil(kind: BatchKind, now: number): number {
    if (kind !== 'entries' && kind !== 'trees') return now;
    const { limits } = this.#options;
    const count = this.#countOf(kind);
    let until = now;
    if (!this.#isDraining) {
      const gathering = this.#gathering[kind];
      if (kind === 'trees' || count >= limits.gatheredFrom) until = Math.max(until, gathering.until());
      if (kind === 'entries' && count < limits.worthARun)
        until = Math.max(until, this.#pace.freeAt(), Math.min(this.#pausesUntil, gathering.quietAt()));
    }
    for (const batch of this.#batches) {
      if (batch.kind === kind) until = Math.max(until, batch.startedAt + limits.nextLaneAfterMs);
    }
    return until;
  }

  #countOf(kind: 'entries' | 'trees'): number {
    const changes = this.#changes;
    return kind === 'entries' ? changes.count('entry') : changes.count('listing') + changes.count('subtree');
  }

  #runsOf(kind: BatchKind): number {
    let runs = 0;
    for (const batch of this.#batches) if (batch.kind === kind) runs++;
    return runs;
  }

  #nextWake(now: number): number | undefined {
    const unreadDueAt = this.#retries.size === 0 ? this.#unreadDueAt : undefined;
    const wakes = [this.#retries.nextDue(), this.#foundAt && this.#foundAt + JUDGE_AFTER_MS, unreadDueAt];
    if (this.#changes.size > 0) {
      for (const kind of ['entries', 'trees'] as const) {
        const until = Math.max(this.#gathersUntil(kind, now), this.#restsUntil.get(kind) ?? 0);
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
    this.#takeOff(batch);
    if (batch.kind === 'entries') this.#pace.began(batch.startedAt);
    // The image of names in flight is that of dirty ones, but for one by itself, of which a part may be left.
    const isKeptOtherwise = batch.kind !== 'entries' || isSingle(batch);
    if (isKeptOtherwise) for (const { path } of batch.looks) this.#section.changed(path);
    batch.settled = this.#fly(batch);
  }

  /** What the batch claims, from the index `first` on, is in flight. */
  #takeOff(batch: Batch, first = 0): void {
    this.#known.meet(batch.claims.slice(first));
    this.#inFlight.add(batch, first);
  }

  async #fly(batch: Batch): Promise<void> {
    let report: RunReport | undefined;
    try {
      report = await this.#carryOut(batch);
    } finally {
      this.#land(batch, 0, report);
      for (let first = NAMES_IN_A_PIECE; first < batch.claims.length; first += NAMES_IN_A_PIECE) {
        await nextPiece();
        this.#land(batch, first, report && NOTHING_FOUND);
      }
      this.#batches.delete(batch);
      for (const { path } of batch.overtaken ?? []) this.#section.settled(path);
      this.#restsUntil.clear();
      this.#resync?.sending.delete(batch);
      this.#queuePump();
    }
  }

  /**
   * A piece of the batch, from the index `first` on, is in flight no more. It is told at once: who asks a moment later
   * whether something is there takes it for told.
   */
  #land(batch: Batch, first: number, found: Findings | undefined): void {
    const last = first + NAMES_IN_A_PIECE;
    const looks = batch.looks.slice(first, last);
    this.#inFlight.remove(batch, first, last);
    if (this.#batches.size > 1 && batch.kind !== 'sweep') this.#overtake(batch, looks);
    for (const { path } of looks) this.#section.settled(path);
    if (found === undefined || batch.kind === 'sweep') return;
    const isWell = this.#standing.kind === 'well';
    const { changed, unnamed, again } = batch.kind === 'resync' ? NOTHING_FOUND : found;
    this.#options.onLanded?.({ remote: this.name, isWell, looks, changed, unnamed, again });
  }

  /** Notes what was sent while other runs go on in the same directory. */
  #overtake(batch: Batch, looks: readonly DirtyPath[]): void {
    let directory: RelativePath | undefined;
    let slower: readonly Batch[] = [];
    for (const look of looks) {
      const parent = parentOf(look.path);
      if (parent !== directory) {
        directory = parent;
        slower = [...this.#batches].filter(
          (other) => other !== batch && other.kind === 'entries' && this.#inFlight.looksIn(parent, other),
        );
      }
      for (const other of slower) {
        other.overtaken ??= new DirtySet({
          maxMarks: MAX_OVERTAKEN,
          onChanged: (path) => {
            this.#section.changed(path);
          },
        });
        other.overtaken.mark(asSentAgain(look));
      }
    }
  }

  /** Runs the batch and settles it: when this ends, each of its looks is clean, or marked again, or in the retry queue. */
  async #carryOut(batch: Batch): Promise<RunReport> {
    await Promise.all(batch.waitsFor);
    await this.#fill(batch);
    if (this.#hasStopped()) {
      this.#markAgain(batch, batch.looks);
      return NO_RUN;
    }
    const directory = isByName(batch) ? commonDirectory(batch.looks.map(({ path }) => path)) : ROOT;
    const known = this.#known.holding(directory);
    const learn = known === undefined ? this.#learn(directory) : undefined;
    const task = this.#taskFor(batch, known);
    let report: RunReport;
    const extras: Extra[] = [];
    try {
      report = await this.#run(batch, task);
      // The directories stay in flight until what is extra in them is known: a crash in between forgets nothing.
      for (const looks of this.#looksToCompare(batch, report)) {
        const comparison = await this.#compare(batch, looks);
        if (comparison === undefined) {
          report = { ...report, cancelled: true };
          break;
        }
        const compared = judge(comparison, this.#options);
        if (isDone(compared) && !isUnnamed(compared)) extras.push(...this.#keepExtras(batch, looks, comparison));
        report = withComparison(report, judge(report, this.#options), comparison, compared);
        if (!isDone(judge(report, this.#options)) || isUnnamed(compared)) break;
      }
    } catch (error) {
      // The way to the remote broke, not the remote: treated alike, for nothing was settled.
      report = { ...failedToRun(error), unquiet: isByName(batch) ? batch.looks.map(({ path }) => parentOf(path)) : [] };
    }
    learn?.(report.exitCode === 0 && report.filesSent > 0);
    if (report.exitCode !== 0) this.#known.forget();
    this.#settle(batch, report, extras);
    const isAsked = report.unsent.length > 0 && !this.#hasStopped() && isDone(judge(report, this.#options));
    if (isAsked) await this.#countNewer(batch, report.unsent);
    return report;
  }

  /** Takes the other names of a batch that has begun with a full piece. */
  async #fill(batch: Batch): Promise<void> {
    const { kind, looks, claims } = batch;
    if (kind !== 'entries') return;
    for (let taken = looks.length; taken === NAMES_IN_A_PIECE && looks.length < this.#entriesPerRun;) {
      await nextPiece();
      if (this.#hasStopped()) return;
      const more = this.#takeSome(kind, this.#changes, this.#entriesPerRun - looks.length);
      taken = more.length;
      const first = claims.length;
      looks.push(...more);
      claims.push(...more);
      this.#takeOff(batch, first);
    }
  }

  /**
   * The directories of which it must be known what only the remote has: all that may delete, when something is extra. In
   * two parts: below what was seen to go, and where it is inferred.
   */
  #looksToCompare(batch: Batch, report: RunReport): (readonly DirtyPath[])[] {
    if ((batch.kind !== 'trees' && batch.kind !== 'resync') || batch.isDivision || !this.#options.deletes) return [];
    if (!isDone(judge(report, this.#options))) return [];
    if (report.unreadable) {
      this.#holdUnread(batch.looks);
      return [];
    }
    if (report.extraneous === 0) {
      this.#deletions.compared(comparerOf(batch), report.names);
      return [];
    }
    const mayInfer = this.#mayDelete || (batch.kind === 'resync' && this.#resync?.isAsked === true);
    const seen = batch.looks.filter(({ gone }) => gone);
    const others = batch.looks.filter(({ path, gone }) => !gone && (mayInfer || this.#deletions.isApproved(path)));
    const compared = new Set([...seen, ...others]);
    const copied = batch.looks.filter((look) => !compared.has(look));
    this.#deletions.keepCopied(copied);
    if (copied.length > 0 && !this.#hasToldCopyOnly) {
      this.#hasToldCopyOnly = true;
      this.#options.events.emit('deletes:copyOnly', { remote: this.name, count: report.extraneous });
    }
    return [seen, others].filter((looks) => looks.length > 0);
  }

  /** Names what only the remote has; undefined when the service stops, for then no run is begun any more. */
  async #compare(batch: Batch, looks: readonly DirtyPath[]): Promise<RunReport | undefined> {
    if (this.#hasStopped()) return undefined;
    return this.#run(batch, { kind: 'extras', looks, crontab: batch.crontab });
  }

  /** Sorts what a comparison has found: returns what goes at once, for its deletion was seen or a person has released it. */
  #keepExtras(batch: Batch, looks: readonly DirtyPath[], comparison: RunReport): readonly Extra[] {
    const { extras, held, names, unreadable } = comparison;
    if (held !== undefined) {
      this.#deletions.park(looks, held.reason, extras);
      this.#tellHeld(held.reason, Math.max(1, extras.length));
      return [];
    }
    if (unreadable) {
      this.#holdUnread(looks);
      return [];
    }
    const isSeen = looks.every(({ gone }) => gone);
    // One that was seen stays so: in a wider look that covers it, it would become one that comparing alone has found.
    const goes = extras
      .filter((path) => isSeen || this.#deletions.isApproved(path))
      .map((path) => ({ path, gone: isSeen }));
    const waits = extras.filter((path) => !isSeen && !this.#deletions.isApproved(path));
    const comparer = comparerOf(batch);
    const count = Math.max(comparison.extraneous, extras.length) - goes.length;
    if (waits.length === 0) this.#deletions.compared(comparer, names);
    else this.#deletions.found(comparer, { looks, names: waits, count, sourceNames: names }, this.#now());
    if (comparer === 'repair' && this.#deletions.hasFound('repair')) this.#foundAt ??= this.#now();
    if (goes.length <= MAX_EXTRAS) return goes;
    // More marks than a dirty set takes would become looks like this one again: so many now, the others when those are gone.
    this.#deletions.lookFurther(looks);
    return goes.slice(0, MAX_EXTRAS);
  }

  #holdUnread(looks: readonly DirtyPath[]): void {
    this.#deletions.holdUnread(looks);
    const isInVain = looks.some(({ path }) => this.#unreadBefore.has(path));
    this.#unreadAttempts = isInVain ? this.#unreadAttempts + 1 : 1;
    const dueAt = this.#now() + backoffMs(UNREAD_AGAIN, this.#unreadAttempts, this.#options.random());
    this.#unreadDueAt = Math.min(this.#unreadDueAt ?? Infinity, dueAt);
    this.#tellHeld('something could not be read', 0);
  }

  /** What fails by name is waited for. Otherwise a directory went away, or became something else, while it was read. */
  #lookAtUnread(now: number): void {
    if (this.#unreadDueAt === undefined || now < this.#unreadDueAt || this.#retries.size > 0) return;
    this.#unreadDueAt = undefined;
    const looks = this.#deletions.takeUnread();
    this.#unreadBefore = new Set(looks.map(({ path }) => path));
    for (const look of looks) this.#changes.mark(look);
  }

  /** With `-u`, a file that was not sent is the same on the remote, or newer there and stays: that must be said. */
  async #countNewer(batch: Batch, unsent: readonly RelativePath[]): Promise<void> {
    const sinceOf = timesOf(batch, this.#now());
    const looks = unsent.map((path) => ({ path, scope: 'entry', gone: false, since: sinceOf(path) }) as const);
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
    const { events, transport, limits } = this.#options;
    events.emit('run:started', { remote: this.name, kind: task.kind, paths: batch.looks.length });
    batch.run = transport.begin(task, ({ filesSent, bytesSent }) => {
      if (batch.kind !== 'resync' || this.#resync === undefined) return;
      this.#resync.sending.set(batch, { files: filesSent, bytes: bytesSent });
      this.#tellProgress(this.#resync);
    });
    const report = await batch.run.done;
    if (task.kind === 'entries') this.#pausesUntil = this.#now() + Math.min(report.durationMs, limits.pauseAtMostMs);
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

  #taskFor(batch: Batch, known: RelativePath | undefined): TransferTask {
    const { kind, looks, crontab, isDivision, moved } = batch;
    if (isDivision) return { kind: 'divide', path: ROOT, crontab };
    if (isByName(batch)) {
      const largeBytes = kind === 'large' ? 0 : this.#options.limits.largeBytes;
      const named = known === undefined ? {} : { known };
      return { kind: 'entries', looks, askedAt: this.#now(), largeBytes, moved, ...named };
    }
    if (kind === 'sweep') return { kind, looks };
    return { kind: 'trees', looks, resync: kind === 'resync', crontab, moved };
  }

  /** Of names that are sent from the top it is known afterwards that the remote has the directory which they are in. */
  #learn(directory: RelativePath): ((isThrough: boolean) => void) | undefined {
    return directory === ROOT || this.#inFlight.hasAtOrAbove(directory) ? undefined : this.#known.learn(directory);
  }

  #settle(batch: Batch, report: RunReport, extras: readonly Extra[]): void {
    const verdict = judge(report, this.#options);
    this.#standAfter(verdict, report, batch);
    const now = this.#now();
    if ('reason' in verdict) this.#lastError = { at: now, reason: verdict.reason };
    for (const path of report.cutOff)
      this.#sweeps.mark({ path, scope: 'entry', gone: false, alone: false, since: now });
    this.#markOvertaken(batch, new Set(report.unquiet));
    if (batch.kind === 'sweep') {
      if (!isDone(verdict)) for (const look of batch.looks) this.#sweeps.mark(look);
      return;
    }
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
    if (report.held !== undefined) this.#tellHeld(report.held.reason, report.held.paths.length);
    this.#settleClean(batch, report, verdict, now);
    this.#lookAgain(batch, report.again, now);
    this.#removeExtras(batch, extras, now);
    this.#speakForRetries(batch, report, verdict, now);
    if (report.linked.length > 0) this.#options.onLinked(report.linked);
  }

  #settleClean(batch: Batch, report: RunReport, verdict: Verdict, now: number): void {
    const isFailing = failingTest(verdict, report);
    const holdsFailing = aboveFailing(verdict);
    const isStillFailing = (failed: FailedPath): boolean =>
      isFailing(failed.path) || (failed.isFolded && holdsFailing.has(failed.path));
    let oldest = now;
    let synced = 0;
    let hasRecovered = false;
    const again = new Set(report.again.map(({ path }) => path));
    const held = new Set(report.held?.paths);
    for (const look of batch.looks) {
      if (again.has(look.path) || isFailing(look.path) || this.#isHeld(look, held, report.held?.reason)) continue;
      oldest = Math.min(oldest, look.since);
      synced++;
      for (const recovered of this.#retries.settle(look, isStillFailing)) {
        hasRecovered = true;
        this.#section.changed(recovered.path);
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
    // What could not be read before may be readable now.
    if (hasRecovered) this.#markAll(this.#deletions.takeUnread());
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
  #isHeld(look: DirtyPath, held: ReadonlySet<RelativePath>, reason = ''): boolean {
    if (held.size === 0 || !(held.has(look.path) || [...ancestorsOf(look.path)].some((path) => held.has(path)))) {
      return false;
    }
    this.#deletions.park([look], reason);
    return true;
  }

  #tellHeld(reason: string, count: number): void {
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
    if (saysWhatMoved(verdict, report)) return;
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
    const below = looksBelow(batch.looks, new Set(verdict.failed.map(({ path }) => path)));
    for (const { path, reason } of verdict.failed) {
      const missed = below.get(path) ?? [];
      if (obstructed.has(path) && (batch.kind === 'trees' || batch.kind === 'resync')) {
        // A copying run deletes nothing; by name, what stands in the way on the remote is replaced.
        this.#changes.mark({ path, scope: 'entry', gone: false, alone: false, since: sinceOf(path) });
        this.#markAgain(batch, missed);
        continue;
      }
      // What was named but not asked for is looked at as a subtree: it may be a directory that could not be made.
      const look = looks.get(path) ?? { path, scope: 'subtree', gone: false, alone: false, since: sinceOf(path) };
      // Nobody says what was missed below it.
      const failed = missed.some(({ gone }) => !gone) ? subtreeOf(look, missed) : look;
      this.#fail(failed, { ...failure, reason }, now, verdict.hint);
      for (const other of missed)
        if (!covers(failed, other, levelsBelow(other.path, path))) this.#fail(other, { ...failure, reason }, now);
    }
    this.#lookAtVanished(batch, verdict.vanished, now);
    if (verdict.unnamed) {
      const [only] = batch.looks;
      if (batch.looks.length === 1 && only !== undefined) {
        // By itself the next time, too: it must not take others down with it again.
        this.#fail({ ...only, alone: only.scope === 'entry' }, failure, now);
      } else {
        this.#entriesPerRun = Math.max(1, Math.floor(batch.looks.length / 2));
        const isNamed = belowAny(verdict.failed.map(({ path }) => path));
        this.#markAgain(
          batch,
          batch.looks.filter(({ path }) => !isNamed(path)),
        );
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
    this.#section.changed(failed.path);
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
    this.#keepMoves(batch);
  }

  /**
   * In directories which the batch may have sent as they were at any moment since it began: what others have sent there
   * meanwhile, or are sending. Which of the two the remote was left with is not known, so it goes once more, by its content.
   */
  #markOvertaken(batch: Batch, unquiet: ReadonlySet<RelativePath>): void {
    if (unquiet.size === 0) return;
    for (const mark of batch.overtaken ?? [])
      if (mark.scope !== 'entry' || unquiet.has(parentOf(mark.path))) this.#changes.mark(mark);
    for (const other of this.#batches) {
      if (other === batch || other.kind === 'sweep') continue;
      for (const look of other.looks) if (unquiet.has(parentOf(look.path))) this.#changes.mark(asSentAgain(look));
    }
  }

  #keepMoves({ moved }: Batch): void {
    for (const { path, from } of moved) this.#moves.add(from, path);
  }

  #lookAgain(batch: Batch, again: readonly Again[], now: number): void {
    if (again.length === 0) return;
    const sinceOf = timesOf(batch, now);
    const wasMoved = belowAny(batch.looks.filter(({ moved }) => moved === true).map(({ path }) => path));
    // It was not looked for under its old name yet.
    if (again.some(({ because }) => because === 'large')) this.#keepMoves(batch);
    for (const { path, scope, gone, because } of again) {
      const moved = COMPARED_BY_CONTENT.has(because) || wasMoved(path);
      const dirty = { path, scope, gone, alone: because === 'large', since: sinceOf(path), ...movedIf(moved) };
      if (because === 'retyped' || because === 'divided') {
        this.#retries.rescope(path, scope, batch.looks);
        this.#section.changed(path);
      }
      if (because === 'divided' && path === ROOT && scope === 'subtree') this.#isIndivisible = true;
      if (because === 'divided' && batch.kind === 'trees') this.#isRepairing = true;
      if (because !== 'divided' || batch.kind !== 'resync') this.#changes.mark(dirty);
      else {
        this.#resyncPieces.mark(dirty);
        if (this.#resync !== undefined) this.#resync.pieces++;
      }
    }
  }

  /**
   * A failed path that is being tried may have been folded into a wider look that has not settled it: by coarsening, or
   * because the look turned into narrower ones. It is tried by itself then, and slowly where it would fail again.
   */
  #speakForRetries(batch: Batch, report: RunReport, verdict: Verdict, now: number): void {
    const isFailing = failingTest(verdict, report);
    for (const failed of this.#retries.triedBy(batch.looks)) {
      if (report.held !== undefined || isFailing(failed.path)) {
        this.#section.changed(this.#retries.add(failed, failed.failure, now).path);
      } else this.#changes.mark(failed);
    }
  }

  #removeExtras(batch: Batch, extras: readonly Extra[], now: number): void {
    if (extras.length === 0) return;
    const sinceOf = timesOf(batch, now);
    if (batch.kind !== 'resync') this.#options.onRemoving?.(extras.map(({ path }) => path));
    this.#act(extras.map(({ path, gone }) => ({ path, scope: 'entry', gone, alone: false, since: sinceOf(path) })));
  }

  /** What is extra on the remote after a repair is decided about as a whole, and by name then. */
  #judgeRepair(now: number): void {
    const isPending = this.#changes.count('listing') + this.#changes.count('subtree') + this.#runsOf('trees') > 0;
    if (this.#foundAt !== undefined && (!isPending || now >= this.#foundAt + JUDGE_AFTER_MS)) {
      this.#foundAt = undefined;
      const { go, held } = this.#deletions.judge('repair', Math.max(this.#options.sourceNames(), this.#resyncNames));
      if (go.length > 0) this.#options.onRemoving?.(go.map(({ path }) => path));
      this.#act(go, held);
    } else if (!isPending) {
      const isDeleting = this.#changes.size + this.#runsOf('entries') + this.#retries.size > 0;
      const further = isDeleting ? [] : this.#deletions.takeFurther();
      for (const look of further) this.#changes.mark(look);
      if (further.length === 0 && !isDeleting) this.#deletions.endRepair();
    }
  }

  #act(go: readonly DirtyPath[], held?: { readonly reason: string; readonly count: number }): void {
    if (held !== undefined) this.#tellHeld(held.reason, held.count);
    if (go.length === 0) return;
    this.#options.events.emit('extras:found', {
      remote: this.name,
      count: go.length,
      examples: go.slice(0, 10).map(({ path }) => path),
    });
    this.#markAll(go);
  }

  #markAll(looks: readonly DirtyPath[]): void {
    if (looks.length === 0) return;
    for (const look of looks) this.#changes.mark(look);
    this.#queuePump();
  }

  #hasStopped(): boolean {
    return this.#isStopped;
  }

  // ---- how the remote stands

  #standAfter(verdict: Verdict, report: RunReport, batch: Batch): void {
    switch (verdict.kind) {
      case 'cancelled':
        return;
      case 'unreachable':
        // The other lanes are on their way there: this one was one too many.
        if (verdict.isCrowded === true && this.#batches.size > 1) this.#standing.narrow(this.#batches.size, verdict);
        else this.#standing.fail('unreachable', verdict);
        return;
      case 'rejected':
        this.#standing.fail('halted', verdict);
        return;
      case 'refused':
        this.#standing.fail('refused', verdict);
        return;
      default:
        if (brokeOff(verdict) && (verdict.unnamed || this.#isFull(verdict, batch))) {
          // The fault of one name or of the way: half the batch, and no hurry.
          this.#standing.fail('unreachable', verdict);
          return;
        }
        if (!brokeOff(verdict)) this.#fullRuns = 0;
        // A task that ran no rsync has seen the source, and nothing of the remote.
        if (report.command.length > 0 || this.#standing.kind === 'refused') this.#standing.recover();
    }
  }

  /**
   * Whether the remote is full: not when one file is larger than what is free, for the others may get through; but when
   * those that go at once break off for the same reason again and again.
   */
  #isFull(verdict: Extract<Verdict, { kind: 'partial' }>, { looks }: Batch): boolean {
    const hasOthers = looks.length > 1 || looks[0]?.scope !== 'entry';
    if (!verdict.outOfSpace || !hasOthers) return false;
    return ++this.#fullRuns > FULL_AFTER_RUNS;
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

  // ---- the journal

  imageOf(path: RelativePath): JournalMark | undefined {
    let change = eitherOf(this.#changes.get(path), this.#retries.get(path));
    let piece = this.#resyncPieces.get(path);
    let sweep = this.#sweeps.get(path);
    let mayBeCutOff = sweep !== undefined;
    for (let flight = this.#inFlight.at(path); flight !== undefined; flight = flight.other) {
      const { look, batch } = flight;
      if (look === undefined) continue;
      if (batch.kind === 'resync') piece = eitherOf(piece, look);
      else if (batch.kind === 'sweep') sweep = eitherOf(sweep, look);
      // After a crash nobody knows what of it was renamed while it was looked at; of names it is not asked (`#restore`).
      else change = eitherOf(change, batch.kind === 'trees' ? { ...look, moved: true } : look);
      // By itself after a restart, and looked after then (`#restore`): a part of it may be on the remote.
      mayBeCutOff ||= batch.kind === 'sweep' || (batch.kind === 'entries' && isSingle(batch));
    }
    for (const { overtaken } of this.#batches) change = eitherOf(change, overtaken?.get(path));
    const mark = eitherOf(change, piece);
    if (mark !== undefined) {
      const alone = mark.alone || (mark.scope === 'entry' && mayBeCutOff);
      return imageOf(
        path,
        { ...mark, alone },
        piece === undefined ? 'change' : change === undefined ? 'resync' : 'both',
      );
    }
    const waiting = this.#deletions.imageOf(path);
    return waiting === undefined && sweep !== undefined ? imageOf(path, sweep, 'sweep') : waiting;
  }

  *image(): Generator<JournalMark> {
    const paths = new Set<RelativePath>(this.#inFlight.lookedAt());
    for (const marks of [this.#changes, this.#resyncPieces, this.#retries, this.#sweeps]) {
      for (const { path } of marks) paths.add(path);
    }
    for (const { overtaken } of this.#batches) for (const { path } of overtaken ?? []) paths.add(path);
    for (const path of paths) {
      const mark = this.imageOf(path);
      if (mark !== undefined) yield mark;
    }
    for (const mark of this.#deletions.image()) if (!paths.has(mark.path)) yield mark;
  }

  /** Takes up what an earlier run of the service had left undone. */
  #restore(saved: readonly JournalMark[], facts: Facts | undefined): void {
    const now = this.#now();
    for (const mark of saved) {
      const dirty = { ...mark, since: Math.min(mark.since, now) };
      const isChange = mark.kind === 'change' || mark.kind === 'both';
      // It may have been in flight, and cut off.
      const isLong =
        mark.kind === 'resync' ||
        mark.kind === 'both' ||
        (mark.kind === 'change' && (mark.alone || mark.scope !== 'entry'));
      if (isLong) this.#sweeps.mark(dirty);
      // Whether a name was in flight is not worth a record of its own: all count as if they had been.
      if (isChange) this.#changes.mark(mark.scope === 'entry' ? { ...dirty, moved: true } : dirty);
      if (mark.kind === 'resync' || mark.kind === 'both') this.#resyncPieces.mark({ ...dirty, gone: false });
      if (mark.kind === 'sweep') this.#sweeps.mark(dirty);
      if (mark.kind === 'found')
        (facts?.resync === undefined ? this.#changes : this.#resyncPieces).mark(placeOfFound(dirty));
      if (mark.kind === 'held' || mark.kind === 'parked' || mark.kind === 'copied') this.#deletions.restore(dirty);
    }
    if (facts?.resync !== undefined) {
      this.#resync = { ...newResync(facts.resync, now, []), isResumed: true, pieces: this.#resyncPieces.size };
      this.#options.events.emit('resync:started', { remote: this.name, reason: facts.resync.reason });
    } else for (const piece of this.#resyncPieces.take(Infinity, () => true)) this.#changes.mark(piece);
    for (const { path } of saved) this.#section.changed(path);
    if (facts?.next !== undefined) void this.resync(facts.next);
    this.#keepFacts();
    this.#queuePump();
  }

  /** Whether a run for changes looks at the name now. */
  isInFlight(path: RelativePath): boolean {
    return this.#inFlight.looksAt(path, ({ kind }) => kind !== 'resync' && kind !== 'sweep');
  }

  /** What was only copied until now is compared. */
  #setMayDelete(): void {
    this.#mayDelete = true;
    this.#markAll(this.#deletions.takeCopied());
    this.#keepFacts();
  }

  #keepFacts(): void {
    const fingerprint = this.#isKnown ? this.#options.fingerprint : '';
    const resync = this.#resync && requestOf(this.#resync);
    const next = this.#nextResync && requestOf(this.#nextResync);
    this.#section.keep({
      fingerprint,
      mayDelete: this.#mayDelete,
      ...(resync && { resync }),
      ...(next && { next }),
    } satisfies Facts);
  }

  // ---- full resync

  #startResync(request: ResyncRequest, whenDone: (() => void)[]): void {
    const now = this.#now();
    this.#resync = newResync(request, now, whenDone);
    this.#isIndivisible = false;
    // The full resync is the retry queue's flush: whatever waits there is tried along with it.
    for (const due of this.#retries.takeDue(Infinity)) this.#changes.mark(due);
    // It finds again what is still extra; the crontab's may leave something out.
    if (request.isAsked && !request.crontab) {
      this.#deletions.forgetHeld();
      this.#deletions.takeCopied();
    }
    this.#deletions.begin('resync');
    this.#resyncPieces.mark({ path: ROOT, scope: 'subtree', gone: false, alone: false, since: now });
    this.#isKnown = true;
    this.#keepFacts();
    this.#options.events.emit('resync:started', { remote: this.name, reason: request.reason });
    this.#queuePump();
  }

  #finishResyncWhenDone(): void {
    const resync = this.#resync;
    if (resync === undefined || this.#resyncPieces.size > 0 || this.#runsOf('resync') > 0) return;
    this.#resync = undefined;
    // A resync that was resumed has compared a part of the source only.
    const { go, held, sourceNames } = this.#deletions.judge(
      'resync',
      resync.isResumed ? this.#options.sourceNames() : 0,
    );
    this.#resyncNames = sourceNames;
    this.#act(go, held);
    // What is held has not been through: its release completes the resync.
    if (resync.isAsked && held === undefined && !this.#deletions.hasParked) this.#setMayDelete();
    else this.#keepFacts();
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
    if (next !== undefined) this.#startResync(next, next.whenDone);
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

/** One mark for two, of which each may be missing. */
function eitherOf(one: Mark | undefined, other: Mark | undefined): Mark | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return merge(one, other);
}

function imageOf(
  path: RelativePath,
  { scope, gone, alone, moved, since }: Mark,
  kind: JournalMark['kind'],
): JournalMark {
  return { path, kind, scope, gone, alone, since, ...movedIf(moved) };
}

function requestOf({ reason, crontab, isAsked }: ResyncRequest): ResyncRequest {
  return { reason, crontab, isAsked };
}

function newResync({ reason, crontab, isAsked }: ResyncRequest, startedAt: number, whenDone: (() => void)[]): Resync {
  const counts = { pieces: 0, piecesDone: 0, files: 0, bytes: 0, failed: 0 };
  return { reason, crontab, isAsked, startedAt, isResumed: false, ...counts, sending: new Map(), whenDone };
}

/** Its looks go by their names, and not as what is in them. */
function isByName({ kind }: Batch): boolean {
  return kind === 'entries' || kind === 'large';
}

function isSingle({ looks }: Pick<Batch, 'looks'>): boolean {
  return looks.length === 1;
}

function comparerOf({ kind }: Batch): Comparer {
  return kind === 'resync' ? 'resync' : 'repair';
}

/** Facts of an earlier run; undefined when there are none, or none that can be understood. */
function readFacts(facts: unknown): Facts | undefined {
  if (typeof facts !== 'object' || facts === null || !('fingerprint' in facts)) return undefined;
  return facts as Facts;
}

function unknownBecause(facts: Facts | undefined, fingerprint: string): string | undefined {
  if (facts === undefined || facts.fingerprint === '') return 'first start: nothing is known of what the remote holds';
  if (facts.fingerprint !== fingerprint) return 'the configuration has changed';
  return undefined;
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
  if (verdict.kind === 'moved' && !saysWhatMoved(verdict, report)) return () => true;
  if (verdict.kind === 'partial' && verdict.unnamed) return () => true;
  if (verdict.kind !== 'partial' || verdict.failed.length === 0) return () => false;
  return belowAny(verdict.failed.map(({ path }) => path));
}

function saysWhatMoved({ vanished }: Extract<Verdict, { kind: 'moved' }>, { again }: RunReport): boolean {
  return vanished.length > 0 || again.some(({ because }) => because !== 'doubtful');
}

/** The looks that lie below some of the paths, by the nearest one above them. */
function looksBelow(
  looks: readonly DirtyPath[],
  paths: ReadonlySet<RelativePath>,
): ReadonlyMap<RelativePath, readonly DirtyPath[]> {
  const below = new Map<RelativePath, DirtyPath[]>();
  if (paths.size === 0) return below;
  for (const look of looks) {
    if (paths.has(look.path)) continue;
    const above = [ROOT, ...ancestorsOf(look.path)].findLast((path) => paths.has(path));
    if (above === undefined) continue;
    const others = below.get(above);
    if (others === undefined) below.set(above, [look]);
    else others.push(look);
  }
  return below;
}

/** A look as deep as can be, for others below it as well, but for what was seen to go there. */
function subtreeOf(look: DirtyPath, below: readonly DirtyPath[]): DirtyPath {
  const since = below.reduce((oldest, other) => Math.min(oldest, other.since), look.since);
  const isMoved = look.moved === true || below.some(({ moved, gone }) => moved === true && !gone);
  return { ...look, scope: 'subtree', alone: false, since, ...movedIf(isMoved) };
}

function belowAny(paths: readonly RelativePath[]): (path: RelativePath) => boolean {
  const given = new Set(paths);
  return (path) => given.has(path) || [...ancestorsOf(path)].some((above) => given.has(above));
}

/** The directories above what the verdict names as failed. */
function aboveFailing(verdict: Verdict): ReadonlySet<RelativePath> {
  const failed = verdict.kind === 'partial' ? verdict.failed : [];
  return new Set(failed.flatMap(({ path }) => [ROOT, ...ancestorsOf(path)]));
}

function brokeOff(verdict: Verdict): verdict is Extract<Verdict, { kind: 'partial' }> {
  return verdict.kind === 'partial' && verdict.othersMissed;
}

/** What is to be settled of a run when what it has looked at was compared: what failed in that is looked at again. */
function withComparison(report: RunReport, verdict: Verdict, comparison: RunReport, compared: Verdict): RunReport {
  const isInstead = !isDone(compared) || (isUnnamed(compared) && !isUnnamed(verdict));
  if (isInstead) return { ...comparison, ...changesOf(report) };
  if (compared.kind !== 'partial' || isUnnamed(verdict)) return report;
  const { complaints, again } = comparison;
  return {
    ...comparison,
    ...changesOf(report),
    complaints: [...report.complaints, ...complaints],
    again: [...report.again, ...again],
  };
}

/** Something failed and nobody knows where: all of it is looked at again. */
function isUnnamed(verdict: Verdict): boolean {
  return verdict.kind === 'partial' && verdict.unnamed;
}

/** By its content, where a run may have sent it with its directory; what is below it was not sent with that. */
function asSentAgain(look: DirtyPath): DirtyPath {
  return { ...look, scope: 'entry', moved: true };
}

function changesOf({ changed, unnamed }: RunReport): Pick<RunReport, 'changed' | 'unnamed'> {
  return { changed, unnamed };
}

function failedToRun(error: unknown): RunReport {
  return { ...NO_RUN, exitCode: null, spawnError: messageOf(error) };
}
