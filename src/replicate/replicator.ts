import { backoffMs, type Backoff } from '../core/backoff.js';
import { checkpointAt, isSameDirectory, judgeCheckpoint, type Checkpoint, type Present } from '../core/checkpoint.js';
import type { DirtyPath } from '../core/dirty-set.js';
import type { Hint } from '../core/hint.js';
import { ROOT, type RelativePath } from '../core/relative-path.js';
import type { Clock } from '../clock.js';
import { messageOf, StartError } from '../errors.js';
import type { Events } from '../events.js';
import type { FilterQueue } from '../queue/filter-queue.js';
import { CatchUp, type Audit, type Told } from './catch-up.js';
import type { DeleteGuard, Journal, JournalSection, TreeWalker, WalkDetail } from './ports.js';
import type { Replica, ResyncRequest } from './replica.js';
import { RootGuard, type SourceCondition, type SourceFacts, type SourceLook } from './root-guard.js';

/** What is needed of a watcher (watch/tree-watcher.ts is the port that the front ends implement). */
export interface Watcher {
  readonly kind: string;
  start(): Promise<{ readonly directories: number }>;
  fence(): Promise<boolean>;
  stop(): Promise<void>;
}

export interface WatcherListener {
  touched(path: RelativePath, hint: Hint): void;
  moved(from: RelativePath, to: RelativePath): void;
  lost(below: RelativePath, reason: string): void;
  blind(below: RelativePath, reason: string): void;
  sees(below: RelativePath): void;
  died(reason: string): void;
}

/** The watched directory and the kernel's time, as they are now. */
export interface SourceReader {
  look(): SourceLook;
  /** What a checkpoint is judged by; undefined when the directory is not there. */
  present(): Present | undefined;
  /** The kernel's time, by which files get theirs: milliseconds since 1970; undefined when it cannot be had. */
  kernelNow(): number | undefined;
}

export interface ReplicatorOptions {
  /** The watched directory, for people. */
  readonly root: string;
  readonly createWatcher: (listener: WatcherListener) => Watcher;
  readonly walker: TreeWalker;
  readonly createTold: () => Told;
  readonly source: SourceReader;
  readonly queue: FilterQueue;
  /** Makes the remotes, which ask the guard before each run and the catch-up for the size of the source. */
  readonly createReplicas: (source: {
    guard: () => DeleteGuard;
    sourceNames: () => number;
    onLinked: (inodes: readonly number[]) => void;
  }) => readonly Replica[];
  /** A place to look was found that the watcher did not tell of; the remotes have it marked. */
  readonly onFound?: (dirty: DirtyPath) => void;
  /** All runs are over, and nothing more comes. */
  readonly onStopped?: () => void;
  /** What walks tell of names that a wider place covers. */
  readonly walkDetail?: WalkDetail;
  readonly journal: Journal;
  readonly auditEveryMs: number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly events: Events;
}

/** What the journal keeps of a root. */
interface Facts {
  readonly source: SourceFacts;
  readonly bootId: string | undefined;
  readonly checkpoint?: Checkpoint;
}

/** The watcher at a glance: plain data. */
export interface WatcherStatus {
  readonly kind: string;
  readonly directories: number;
  readonly blind: { readonly since: number; readonly reason: string } | undefined;
  readonly partlyBlind: readonly { readonly path: RelativePath; readonly since: number; readonly reason: string }[];
  readonly partlyBlindCount: number;
  readonly lastOverflow: { readonly at: number; readonly reason: string } | undefined;
  readonly audit: Audit | undefined;
  readonly missedTotal: number;
}

const RESTART_WATCHER: Backoff = { firstMs: 500, maxMs: 5_000 };
const CHECKPOINT_EVERY_MS = 5_000;
/** With a checkpoint all that is dirty is written to the journal: where much of it will soon be clean it waits so long. */
const CHECKPOINT_AT_LATEST_MS = 30_000;
const MUCH_OWED = 1_000;
/** A source that is not what it was is looked at so often. */
const LOOK_EVERY_MS = 2_000;
/** Something happened in it: it may be what it was. */
const LOOK_SOON_MS = 50;
const SHOWN_BLIND = 100;

/** One watched root: its watcher, its filter queue, what finds out what was not seen, and the remotes that follow it. */
export class Replicator {
  readonly root: string;
  readonly replicas: readonly Replica[];
  readonly #options: ReplicatorOptions;
  readonly #section: JournalSection;
  readonly #catchUp: CatchUp;
  readonly #guard: RootGuard;
  /** What is mounted below the root, as far as it was looked at. */
  #mounts: readonly RelativePath[];
  #present: Present;
  #savedCheckpoint: Checkpoint | undefined;
  #checkpoint: Checkpoint | undefined;
  #checkpointedAt = -Infinity;
  #cancelCheckpoint: (() => void) | undefined;
  /** Something was told since the last checkpoint. */
  #isTouched = true;
  #condition: SourceCondition = { state: 'well' };
  #troubledSince = 0;
  #cancelLook: (() => void) | undefined;
  #watcher: Watcher | undefined;
  #kind = '';
  #directories = 0;
  #blind: { since: number; reason: string } | undefined;
  readonly #partlyBlind = new Map<RelativePath, { since: number; reason: string }>();
  #lastOverflow: { at: number; reason: string } | undefined;
  #isStopped = false;
  #restarts = 0;
  #cancelRestart: (() => void) | undefined;

  /** A `StartError` when there is no directory to be watched. */
  constructor(options: ReplicatorOptions) {
    this.root = options.root;
    this.#options = options;
    const { source, journal, clock, events } = options;
    const present = source.present();
    const firstLook = source.look();
    const { identity } = firstLook;
    if (present === undefined || identity === undefined) {
      throw new StartError('SERSYNC_WATCH_ROOT', `cannot watch ${options.root}: it is no directory`);
    }
    this.#present = present;
    this.#mounts = placesOf(firstLook);
    this.#section = journal.section(`root ${options.root}`, { imageOf: () => undefined, image: () => [] });
    const facts = readFacts(this.#section.facts);
    this.#savedCheckpoint = facts?.checkpoint;
    const isSameBoot = facts?.bootId === present.bootId;
    const isSame = facts !== undefined && isSameDirectory(facts.source.identity, identity, isSameBoot);
    this.#guard = new RootGuard({ ...firstLook, identity }, facts?.source, isSame);
    this.#catchUp = new CatchUp({
      root: this.root,
      walker: options.walker,
      detail: options.walkDetail ?? 'folded',
      createTold: options.createTold,
      mark: (dirty) => {
        this.mark(dirty);
      },
      sinceMs: () => this.#changedSince(),
      kernelNow: () => source.kernelNow(),
      auditEveryMs: options.auditEveryMs,
      clock,
      events,
    });
    this.replicas = options.createReplicas({
      guard: () => this.#guard.guard(),
      sourceNames: () => this.#catchUp.names,
      onLinked: (inodes) => {
        this.#catchUp.auditSoon(inodes);
      },
    });
    this.#condition = this.#judge(firstLook);
  }

  /**
   * Resolves once every directory is watched: whatever changes from then on is seen. Begins the full resync that was asked
   * for, if any (`resynced` resolves when it has been through), and finds out what changed while nobody watched; a remote
   * of which nothing is known is resynced in any case. Rejects when the root cannot be watched.
   */
  async start(request?: ResyncRequest): Promise<{ readonly resynced: Promise<void> }> {
    await this.#watch();
    // Before the first checkpoint: that says that all which is not known to be on the remotes is marked.
    const resynced = request === undefined ? Promise.resolve() : this.resync(request);
    const judged = judgeCheckpoint(this.#savedCheckpoint, this.#present);
    if (judged.kind === 'use') {
      this.#checkpoint = this.#savedCheckpoint;
      this.#catchUp.lookFor(ROOT, 'the service was not running');
      for (const { path, reason } of judged.unknown) {
        this.#options.events.emit('watch:lost', { root: this.root, path, reason });
        this.#markSubtree(path);
      }
      this.#tellStart('catch-up', `changes since ${new Date(judged.sinceMs).toISOString()} are looked for`);
    }
    for (const replica of this.replicas) {
      const reason = judged.kind === 'resync' ? judged.reason : replica.unknownBecause;
      if (reason === undefined || request !== undefined) continue;
      this.#tellStart('resync', reason, replica.name);
      void replica.resync({ reason, crontab: false, isAsked: false });
    }
    this.#catchUp.begin();
    this.#keepCheckpointLater(0);
    return { resynced };
  }

  /** A place to look, for every remote. */
  mark(dirty: DirtyPath): void {
    for (const replica of this.replicas) replica.mark(dirty);
    this.#options.onFound?.(dirty);
  }

  /** Changes at or below `path` may have been missed. */
  lost(path: RelativePath, reason: string): void {
    const { clock, events } = this.#options;
    events.emit('watch:lost', { root: this.root, path, reason });
    const now = clock.now();
    // What comes while all is blind says why; what comes after that says that it is over.
    if (path === ROOT && this.#blind !== undefined) this.#lastOverflow = { at: now, reason };
    const before = this.#mounts;
    const mounts = placesOf(this.#lookAtSource());
    const isMount = before.includes(path) || mounts.includes(path);
    if (this.#checkpoint !== undefined && !isMount) this.#catchUp.lookFor(path, reason);
    else this.#markSubtree(path);
  }

  /** A full resync of every remote; resolves when each has been through. */
  async resync(request: ResyncRequest): Promise<void> {
    await Promise.all(this.replicas.map((replica) => replica.resync(request)));
  }

  /** What a person has released: the source is right as it is, and what is held may go. Returns how many names that is. */
  release(): number {
    this.#guard.accept(this.#options.source.look());
    const released = this.replicas.reduce((sum, replica) => sum + replica.release(), 0);
    this.#lookAtSource();
    this.#keep();
    return released;
  }

  /** What of the source is not as it was. */
  get condition(): SourceCondition {
    return this.#condition;
  }

  /** Why the disk is being walked, while it is. */
  get catchUpReason(): string | undefined {
    return this.#catchUp.reason;
  }

  watcherStatus(): WatcherStatus {
    return {
      kind: this.#kind,
      directories: this.#directories,
      blind: this.#blind,
      partlyBlind: [...this.#partlyBlind].slice(0, SHOWN_BLIND).map(([path, blind]) => ({ path, ...blind })),
      partlyBlindCount: this.#partlyBlind.size,
      lastOverflow: this.#lastOverflow,
      audit: this.#catchUp.lastAudit,
      missedTotal: this.#catchUp.missed,
    };
  }

  /** Stops watching and lets runs end within `graceMs`; no rsync is left when it resolves. */
  async stop(graceMs: number): Promise<void> {
    // What was told until now is in the journal when it is closed: the next start goes on from here.
    this.#isTouched = true;
    await this.#keepCheckpoint();
    this.#isStopped = true;
    this.#cancelCheckpoint?.();
    this.#cancelLook?.();
    this.#cancelRestart?.();
    // First of all no more changes come in: under constant writing the remotes would never be done.
    await this.#watcher?.stop();
    await this.#catchUp.stop();
    this.#options.queue.stop();
    await Promise.all(this.replicas.map((replica) => replica.stop(graceMs)));
    this.#options.onStopped?.();
  }

  /** What was mounted or unmounted has times of its own, which say nothing about when it came here: all of it is looked at. */
  #markMounts(now: readonly RelativePath[]): void {
    const before = this.#mounts;
    this.#mounts = now;
    const appeared = now.filter((mount) => !before.includes(mount));
    const vanished = before.filter((mount) => !now.includes(mount));
    for (const path of [...appeared, ...vanished]) this.#markSubtree(path);
  }

  #markSubtree(path: RelativePath): void {
    this.mark({ path, scope: 'subtree', gone: false, alone: false, since: this.#options.clock.now() });
  }

  // ---- the watcher

  async #watch(): Promise<void> {
    const { clock, events } = this.#options;
    const startedAt = clock.now();
    const watcher: Watcher = this.#options.createWatcher({
      touched: (path, hint) => {
        this.#touched(path, hint);
      },
      moved: (from, to) => {
        for (const replica of this.replicas) replica.moved(from, to);
      },
      lost: (below, reason) => {
        this.lost(below, reason);
      },
      blind: (path, reason) => {
        this.#blindAt(path, reason);
      },
      sees: (path) => {
        this.#seesAt(path);
      },
      died: (reason) => {
        // A watcher that was replaced may still report its own end.
        if (this.#watcher === watcher) this.#restartWatcher(reason);
      },
    });
    this.#watcher = watcher;
    this.#kind = watcher.kind;
    const { directories } = await watcher.start();
    this.#restarts = 0;
    this.#directories = directories;
    events.emit('watch:ready', {
      root: this.root,
      watcher: watcher.kind,
      directories,
      durationMs: clock.now() - startedAt,
    });
  }

  #touched(path: RelativePath, hint: Hint): void {
    this.#isTouched = true;
    this.#catchUp.told(path, hint);
    this.#options.queue.touched(path, hint);
    if (this.#condition.state !== 'well') this.#lookLater(LOOK_SOON_MS);
  }

  #blindAt(path: RelativePath, reason: string): void {
    const since = this.#options.clock.now();
    if (path === ROOT) {
      if (this.#blind === undefined) this.#options.events.emit('watch:blind', { root: this.root, reason });
      this.#blind ??= { since, reason };
      this.#catchUp.pause();
    } else if (!this.#partlyBlind.has(path)) {
      this.#partlyBlind.set(path, { since, reason });
      this.#options.events.emit('watch:partlyBlind', { root: this.root, path, reason });
    }
  }

  #seesAt(path: RelativePath): void {
    if (path === ROOT) {
      if (this.#blind !== undefined) this.#options.events.emit('watch:sees', { root: this.root, path });
      this.#blind = undefined;
      this.#catchUp.resume();
    } else if (this.#partlyBlind.delete(path)) {
      this.#options.events.emit('watch:sees', { root: this.root, path });
    }
  }

  #restartWatcher(reason: string): void {
    const { clock, events, random } = this.#options;
    const dead = this.#watcher;
    this.#watcher = undefined;
    if (this.#isStopped) return;
    this.#blind ??= { since: clock.now(), reason };
    this.#catchUp.pause();
    this.#partlyBlind.clear();
    // A watcher may die while it starts and fail to start as well: that is one end.
    this.#cancelRestart?.();
    const retryInMs = backoffMs(RESTART_WATCHER, ++this.#restarts, random());
    events.emit('watch:blind', { root: this.root, reason, retryInMs });
    this.#lookAtSource();
    this.#cancelRestart = clock.after(retryInMs, () => {
      void this.#replaceWatcher(dead);
    });
  }

  async #replaceWatcher(dead: Watcher | undefined): Promise<void> {
    try {
      await dead?.stop();
    } catch {
      // It is dead: what it could not give back, its thread gave back when it ended.
    }
    if (this.#isStopped) return;
    try {
      await this.#watch();
    } catch (error) {
      this.#restartWatcher(messageOf(error));
      return;
    }
    const before = this.#present;
    this.#present = this.#options.source.present() ?? before;
    // Another directory than before: its times say nothing about what the remotes hold.
    if (!isSameDirectory(before.root, this.#present.root, true)) this.#checkpoint = undefined;
    this.#blind = undefined;
    this.#catchUp.resume();
    this.lost(ROOT, 'nothing was seen while the watcher was down');
  }

  // ---- the source

  #judge(look: SourceLook): SourceCondition {
    const before = this.#condition;
    const now = this.#guard.judge(look);
    const { clock, events } = this.#options;
    if (now.state !== before.state) {
      if (now.state === 'well')
        events.emit('source:well', { root: this.root, durationMs: clock.now() - this.#troubledSince });
      else {
        if (before.state === 'well') this.#troubledSince = clock.now();
        events.emit('source:troubled', { root: this.root, state: now.state, reason: now.reason ?? '' });
      }
    }
    return now;
  }

  #lookAtSource(): SourceLook {
    this.#cancelLook?.();
    this.#cancelLook = undefined;
    const look = this.#options.source.look();
    this.#condition = this.#judge(look);
    if (look.identity === this.#guard.facts.identity) this.#markMounts(placesOf(look));
    if (this.#condition.state === 'well') for (const replica of this.replicas) replica.sourceIsBack();
    else this.#lookLater(LOOK_EVERY_MS);
    return look;
  }

  #lookLater(delayMs: number): void {
    if (this.#isStopped) return;
    if (this.#cancelLook !== undefined && delayMs > LOOK_SOON_MS) return;
    this.#cancelLook?.();
    this.#cancelLook = this.#options.clock.after(delayMs, () => {
      this.#lookAtSource();
    });
  }

  // ---- the checkpoint

  #keepCheckpointLater(delayMs = CHECKPOINT_EVERY_MS): void {
    if (this.#isStopped) return;
    this.#cancelCheckpoint = this.#options.clock.after(delayMs, () => {
      const isPostponed =
        this.#isInBurst() && this.#options.clock.now() - this.#checkpointedAt < CHECKPOINT_AT_LATEST_MS;
      void (isPostponed ? Promise.resolve() : this.#keepCheckpoint()).then(() => {
        this.#keepCheckpointLater();
      });
    });
  }

  /**
   * Notes up to which time all changes are marked, unless there may be some that are not. The order counts: the time is
   * taken first, then everything that was changed until then is told, then it is marked, then the journal keeps it.
   */
  async #keepCheckpoint(): Promise<void> {
    const { source, clock, queue } = this.#options;
    if (this.replicas.some((replica) => replica.waitsForSource) || this.#condition.state !== 'well') {
      this.#lookAtSource();
    }
    const present = source.present();
    const hasClockMoved = present !== undefined && Math.abs(present.clockOffsetMs - this.#present.clockOffsetMs) > 500;
    if (present === undefined || !(this.#isTouched || hasClockMoved) || this.#isUnsure()) return;
    const nowMs = source.kernelNow();
    if (nowMs === undefined) return;
    const before = clock.now();
    this.#isTouched = false;
    const isTold = (await this.#watcher?.fence()) ?? false;
    if (!isTold || this.#isUnsure() || this.#lookAtSource().identity !== this.#guard.facts.identity) {
      this.#isTouched = true;
      return;
    }
    // A file that is still being written has been told, and is not marked yet.
    const waitsSince = queue.oldest();
    const waitedMs = waitsSince === undefined ? 0 : Math.max(0, before - waitsSince);
    if (waitedMs > 0) this.#isTouched = true;
    this.#present = present;
    this.#checkpoint = checkpointAt(nowMs - waitedMs, present);
    this.#checkpointedAt = clock.now();
    this.#keep();
  }

  #isInBurst(): boolean {
    return this.replicas.some(({ owed }) => owed > MUCH_OWED);
  }

  /** From which ctime on there may be changes that nobody has marked; undefined when ctimes do not tell. */
  #changedSince(): number | undefined {
    const present = this.#options.source.present();
    if (this.#checkpoint === undefined || present === undefined) return undefined;
    const judged = judgeCheckpoint(this.#checkpoint, present);
    return judged.kind === 'use' ? judged.sinceMs : undefined;
  }

  /** Whether something may have changed that nobody has marked. */
  #isUnsure(): boolean {
    return this.#blind !== undefined || this.#partlyBlind.size > 0 || this.#catchUp.isPending || this.#isStopped;
  }

  #keep(): void {
    const checkpoint = this.#checkpoint ?? this.#savedCheckpoint;
    this.#section.keep({
      source: this.#guard.facts,
      bootId: this.#present.bootId,
      ...(checkpoint === undefined ? {} : { checkpoint }),
    } satisfies Facts);
  }

  #tellStart(kind: 'catch-up' | 'resync', reason: string, remote?: string): void {
    this.#options.events.emit('start:judged', {
      root: this.root,
      ...(remote === undefined ? {} : { remote }),
      kind,
      reason,
    });
  }
}

function placesOf({ mounts }: SourceLook): RelativePath[] {
  return mounts.map(({ path }) => path);
}

/** Facts of an earlier run; undefined when there are none, or none that can be understood. */
function readFacts(facts: unknown): Facts | undefined {
  if (typeof facts !== 'object' || facts === null || !('source' in facts)) return undefined;
  const { source } = facts as Facts;
  return source.mounts.every((mount) => typeof mount === 'object') ? (facts as Facts) : undefined;
}
