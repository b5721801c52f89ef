import { fork, type ChildProcess } from 'node:child_process';
import { lstatSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { sep } from 'node:path';
import { Worker } from 'node:worker_threads';
import type Parcel from '@parcel/watcher';
import { createFilter, type Filter } from '../core/filter.js';
import { Hint } from '../core/hint.js';
import { decode, display, fromText, parentOf, ROOT, toBytes, type RelativePath } from '../core/relative-path.js';
import { messageOf, StartError } from '../errors.js';
import { makeOrdinary } from '../thread-priority.js';
import { watchLimitError } from './inotify-limits.js';
import type { Sighting } from './tree-index.js';
import type { IndexAnswer, IndexRequest, IndexThreadData } from './tree-index-thread.js';
import type { TreeWatcher, TreeWatcherListener, TreeWatcherOptions, WatchStarted } from './tree-watcher.js';

/**
 * Watches a tree by `@parcel/watcher`, on every platform. The library is quick and portable, and on Linux it loses
 * events and whole directories without a word (2.6.0, measured: new directories below new ones are not watched, renamed
 * ones are told by their old names, a signal ends its thread). So its events are hints, and an index of the tree
 * (tree-index.ts, in a thread) finds the rest:
 *
 * - It runs in a process of its own: its death, a subscription that hangs, and watches that it leaks end with the process.
 * - After each burst, and now and then, a *sweep* compares the directories: names that came or went unsaid are found.
 * - When directories came, went or moved, a fresh process subscribes to the tree as it is now, and takes over; then an
 *   *audit* compares every name. Until then sweeps follow each other.
 * - At an interval an audit finds changes of content that raised no event (`mmap`, lost events).
 *
 * So a change is told at once or, at worst, by the next audit; nothing is missed for good.
 */
export class ParcelWatcher implements TreeWatcher {
  readonly kind = 'parcel';
  private readonly listener: TreeWatcherListener;
  private readonly filter: Filter;
  private readonly pace: Pace;
  private index: IndexThread | undefined;
  private generation: Generation | undefined;
  private rootIdentity = '';
  private isOver = false;
  private readonly timers = new Timers();

  private hasWork = false;
  private isComparing = false;
  private swapWanted = false;
  private isSwapping = false;
  private lastSwapMs = -Infinity;
  private swapCostMs = 0;
  private failures = 0;
  private isBlind = false;
  private lastAuditMs = -Infinity;
  private auditCostMs = 0;

  constructor(
    private readonly options: TreeWatcherOptions,
    pace: Partial<Pace> = {},
  ) {
    this.listener = options.listener;
    this.filter = createFilter(options.filter);
    this.pace = { ...DEFAULT_PACE, ...pace };
  }

  async start(): Promise<WatchStarted> {
    this.rootIdentity = identify(this.options.root);
    try {
      this.generation = await this.subscribe();
      this.index = new IndexThread(this.options, (reason) => {
        this.die(reason);
      });
      // After the subscription: what changes while the index is read raises an event.
      await this.index.ask({ kind: 'sweep' });
      const { directories } = await this.index.ask({ kind: 'count' });
      // What has not changed since is not fresh any more (tree-index.ts).
      await this.compare({ kind: 'sweep' });
      this.timers.every(this.pace.rootCheckMs, () => {
        this.checkRoot();
      });
      this.planSweep(this.pace.idleSweepMs);
      this.planAudit(0);
      return { directories };
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /**
   * Only an audit knows: events are lost. One that began after the call has told all that was changed before it. What an
   * audit costs, some 3 µs a name, is spent as rarely as any other work here; in between the answer is false.
   */
  async fence(): Promise<boolean> {
    const restMs = this.auditCostMs * FENCE_REST - (performance.now() - this.lastAuditMs);
    if (this.index === undefined || !this.isSeeing() || restMs > 0) return false;
    await this.compare({ kind: 'audit', below: ROOT });
    return this.isSeeing();
  }

  async stop(): Promise<void> {
    this.isOver = true;
    this.timers.clear();
    await Promise.all([this.generation?.stop(), this.index?.stop()]);
  }

  // --- events ---------------------------------------------------------------------------------------------------

  private deliver({ paths, hints, inodes, ctimes }: ParcelEvents): void {
    if (this.isOver) return;
    const sightings: Sighting[] = [];
    const blurred = new Set<RelativePath>();
    paths.forEach((path, position) => {
      const hint = hints[position] ?? 0;
      if (hint === BLURRED) {
        blurred.add(path);
        return;
      }
      if (this.filter.isExcluded(path, (hint & Hint.directory) !== 0)) return;
      this.listener.touched(path, hint);
      if ((hint & Hint.directory) !== 0) return;
      sightings.push({ path, inode: inodes[position] ?? 0, ctimeMs: ctimes[position] ?? 0 });
    });
    this.index?.note(sightings);
    for (const below of blurred) void this.compare({ kind: 'audit', below });
    if (!this.hasWork) {
      this.hasWork = true;
      this.planSweep(this.pace.burstSweepMs);
    }
  }

  // --- comparing ------------------------------------------------------------------------------------------------

  private planSweep(afterMs: number): void {
    this.timers.after('sweep', afterMs, () => {
      void this.sweep();
    });
  }

  private async sweep(): Promise<void> {
    const hadWork = this.hasWork || this.swapWanted;
    this.hasWork = false;
    const costMs = await this.compare({ kind: 'sweep' });
    // Directories that changed in the last tick of the kernel's clock are not settled: one more sweep follows each burst.
    const pauseMs = hadWork ? this.pace.burstSweepMs : this.pace.idleSweepMs;
    this.planSweep(Math.max(pauseMs, costMs * (hadWork ? 4 : 20)));
  }

  private planAudit(costMs: number): void {
    this.timers.after('audit', Math.max(this.pace.auditMs, costMs * 50), () => {
      void this.compare({ kind: 'audit', below: ROOT }).then((cost) => {
        this.planAudit(cost);
      });
    });
  }

  /** Tells what is found; the milliseconds it took. */
  private async compare(request: IndexRequest): Promise<number> {
    if (this.index === undefined || this.isOver) return 0;
    const { found, directoriesMoved, durationMs } = await this.index.ask(request);
    if (this.hasEnded()) return 0;
    if (request.kind === 'audit' && request.below === ROOT) {
      this.lastAuditMs = performance.now();
      this.auditCostMs = durationMs;
    }
    for (const { path, hint } of found) this.listener.touched(path, hint);
    if (directoriesMoved) this.wantSwap();
    return durationMs;
  }

  // --- generations ----------------------------------------------------------------------------------------------

  private async subscribe(): Promise<Generation> {
    for (let attempt = 1; ; attempt++) {
      const generation = new Generation(this.options.root, (events) => {
        this.deliver(events);
      });
      try {
        await generation.subscribed;
        if (this.hasEnded()) throw new Error('it was stopped meanwhile');
        generation.onEnd((reason) => {
          if (generation === this.generation) this.wantSwap(reason);
        });
        return generation;
      } catch (error) {
        await generation.stop();
        // A directory that vanishes while the library walks the tree fails the whole subscription.
        if (attempt === SUBSCRIBE_ATTEMPTS || !/No such file|Not a directory/.test(messageOf(error))) {
          throw subscribeError(this.options.root, messageOf(error), this.index !== undefined);
        }
      }
    }
  }

  /** A fresh subscription is needed: directories may not be watched, or (`reason`) nothing is. */
  private wantSwap(reason?: string): void {
    if (this.isOver) return;
    if (reason !== undefined) {
      this.generation = undefined;
      this.goBlind(reason);
    }
    this.swapWanted = true;
    this.planSweep(this.pace.burstSweepMs);
    if (this.isSwapping) return;
    const restMs = Math.max(this.pace.swapMs, this.swapCostMs * 10) - (performance.now() - this.lastSwapMs);
    this.timers.after('swap', Math.max(this.pace.swapAfterMs, restMs), () => {
      void this.swap();
    });
  }

  private async swap(): Promise<void> {
    this.isSwapping = true;
    this.swapWanted = false;
    const beganMs = performance.now();
    try {
      const fresh = await this.subscribe();
      const old = this.generation;
      this.generation = fresh;
      await old?.stop();
      if (this.hasEnded()) {
        await fresh.stop();
        return;
      }
      this.failures = 0;
      await this.compare({ kind: 'audit', below: ROOT });
      this.regainSight();
    } catch (error) {
      this.failures += 1;
      this.swapWanted = true;
      // Sweeps and audits go on meanwhile, so this is slow, not blind.
      if (this.failures === MAX_FAILURES) this.die(messageOf(error));
    } finally {
      this.swapCostMs = performance.now() - beganMs;
      this.lastSwapMs = performance.now();
      this.isSwapping = false;
      if (this.needsSwap()) this.wantSwap();
    }
  }

  private goBlind(reason: string): void {
    if (this.isBlind) return;
    this.isBlind = true;
    this.listener.blind(ROOT, `@parcel/watcher ended: ${reason}`);
  }

  /** After an audit, which has told what there were no events of; the new subscription may have ended meanwhile. */
  private regainSight(): void {
    if (!this.isBlind || this.isOver || this.generation === undefined) return;
    this.isBlind = false;
    this.listener.sees(ROOT);
  }

  // --- the end --------------------------------------------------------------------------------------------------

  private checkRoot(): void {
    let identity: string | undefined;
    try {
      identity = identify(this.options.root);
    } catch {
      // Not there any more: that is the answer.
    }
    if (identity === this.rootIdentity) return;
    const what = identity === undefined ? 'is gone' : 'is another directory now';
    this.die(`the watched directory ${display(this.options.root)} ${what}`);
  }

  private die(reason: string): void {
    if (this.isOver) return;
    void this.stop();
    this.listener.lost(ROOT, reason);
    this.listener.died(reason);
  }

  /** Asked after a wait: TypeScript takes a field for what it was before. */
  private hasEnded(): boolean {
    return this.isOver;
  }

  private isSeeing(): boolean {
    return !this.isBlind && !this.isOver;
  }

  private needsSwap(): boolean {
    return this.swapWanted;
  }
}

/** How often the tree is looked at, in milliseconds. What takes long is done more rarely. */
export interface Pace {
  /** After the first event of a burst. */
  readonly burstSweepMs: number;
  /** When nothing is told. */
  readonly idleSweepMs: number;
  readonly auditMs: number;
  /** Between directories that moved and the fresh subscription. */
  readonly swapAfterMs: number;
  /** Between two fresh subscriptions. */
  readonly swapMs: number;
  readonly rootCheckMs: number;
}

const DEFAULT_PACE: Pace = {
  burstSweepMs: 100,
  idleSweepMs: 5_000,
  auditMs: 60_000,
  swapAfterMs: 200,
  swapMs: 1_000,
  rootCheckMs: 2_000,
};

/** After an audit, fences cost none for so many times as long as it took. */
const FENCE_REST = 20;
const SUBSCRIBE_ATTEMPTS = 10;
const MAX_FAILURES = 10;
/** Longer than any walk of a tree; a subscription can hang for ever (no inotify instance left). */
const SUBSCRIBE_TIMEOUT_MS = 120_000;

/** In `hints`: the name was not UTF-8, which the library cannot tell. `path` is what is known for sure above it. */
const BLURRED = -1;
const REPLACEMENT_CHARACTER = '\u{fffd}';

/** What the process tells of one batch of events; lists of equal length. */
interface ParcelEvents {
  readonly paths: RelativePath[];
  /** Or `BLURRED`. */
  readonly hints: number[];
  readonly inodes: number[];
  readonly ctimes: number[];
}

type ParcelMessage =
  | ({ readonly kind: 'events' } & ParcelEvents)
  | { readonly kind: 'subscribed' }
  | { readonly kind: 'failed'; readonly reason: string };

type ParcelLibrary = typeof Parcel;

/** Loads the library. Throws where there is no binary of it. */
export function loadParcel(): ParcelLibrary {
  return createRequire(import.meta.url)('@parcel/watcher') as ParcelLibrary;
}

/**
 * Runs in the process of a generation: subscribes, tells, and ends with the parent. `root`: bytes as in `RelativePath`.
 * It starts no processes and handles no signals, because one that interrupts the library's poll ends its thread.
 */
export async function serveParcel(root: string, channel: NodeJS.Process): Promise<void> {
  const tell = (message: ParcelMessage, then?: () => void): void => {
    channel.send?.(message, undefined, undefined, then);
  };
  const fail = (error: unknown): void => {
    tell({ kind: 'failed', reason: messageOf(error) }, () => channel.exit(1));
  };
  channel.once('disconnect', () => channel.exit(0));
  try {
    const text = decode(root);
    // `ignore` would make events slow, and the default back end would start a shell.
    const backend = channel.platform === 'linux' ? { backend: 'inotify' as const } : {};
    await loadParcel().subscribe(
      text,
      (error, events) => {
        if (error !== null) fail(error);
        else tell({ kind: 'events', ...sight(root, text, events) });
      },
      backend,
    );
    tell({ kind: 'subscribed' });
  } catch (error) {
    fail(error);
  }
}

/** Looks at what the events name. They are no facts: what is there is asked of the disk. */
function sight(root: string, rootText: string, events: readonly { path: string; type: string }[]): ParcelEvents {
  const sighted: ParcelEvents = { paths: [], hints: [], inodes: [], ctimes: [] };
  for (const { path: text, type } of events) {
    const below = text.slice(rootText.length + 1).replaceAll(sep, '/');
    const path = fromText(below);
    if (below.includes(REPLACEMENT_CHARACTER)) {
      const clear = fromText(below.slice(0, below.indexOf(REPLACEMENT_CHARACTER)));
      addSight(sighted, parentOf(clear), BLURRED, undefined);
    } else {
      const stats = lookAt(Buffer.concat([toBytes(root), toBytes(path === ROOT ? '' : `/${path}`)]));
      addSight(sighted, path, hintOf(type, stats?.isDirectory() ?? false, stats !== undefined), stats);
    }
  }
  return sighted;
}

function addSight(
  sighted: ParcelEvents,
  path: RelativePath,
  hint: number,
  stats: { ino: number; ctimeMs: number } | undefined,
): void {
  sighted.paths.push(path);
  sighted.hints.push(hint);
  sighted.inodes.push(stats?.ino ?? 0);
  sighted.ctimes.push(stats?.ctimeMs ?? 0);
}

function hintOf(type: string, isDirectory: boolean, exists: boolean): Hint {
  if (!exists) return Hint.removed | Hint.unknown;
  if (isDirectory) return Hint.directory | (type === 'update' ? Hint.attributes : Hint.created);
  return Hint.unknown | (type === 'update' ? Hint.modified : Hint.created);
}

function lookAt(path: Buffer): { ino: number; ctimeMs: number; isDirectory(): boolean } | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch {
    // Below a file, or out of reach: not there for us.
    return undefined;
  }
}

/** One process and its subscription. */
class Generation {
  /** Rejects with the library's reason. */
  readonly subscribed: Promise<void>;
  private readonly child: ChildProcess;
  private readonly ended: Promise<void>;
  private endReason: string | undefined;
  private tellEnd: ((reason: string) => void) | undefined;

  constructor(root: string, deliver: (events: ParcelEvents) => void) {
    this.child = fork(new URL('./parcel-process.js', import.meta.url), [root], {
      serialization: 'advanced',
      execArgv: [],
      // Of its own session: a signal from the terminal would end its thread.
      detached: true,
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    makeOrdinary(this.child.pid);
    this.ended = new Promise((resolve) => {
      this.child.once('exit', () => {
        resolve();
      });
      this.child.once('error', () => {
        resolve();
      });
    });
    this.subscribed = new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new Error(`the library did not answer within ${SUBSCRIBE_TIMEOUT_MS / 1000} s`));
      }, SUBSCRIBE_TIMEOUT_MS);
      const end = (reason: string): void => {
        clearTimeout(timer);
        reject(new Error(reason));
        this.endReason ??= reason;
        this.tellEnd?.(reason);
      };
      this.child.on('message', (message: ParcelMessage) => {
        if (message.kind === 'events') deliver(message);
        else if (message.kind === 'failed') end(message.reason);
        else {
          clearTimeout(timer);
          resolve();
        }
      });
      this.child.once('error', (error) => {
        end(messageOf(error));
      });
      this.child.once('exit', (code, signal) => {
        end(`its process ended (${signal ?? `exit code ${String(code)}`})`);
      });
    });
  }

  onEnd(tell: (reason: string) => void): void {
    this.tellEnd = tell;
    if (this.endReason !== undefined) tell(this.endReason);
  }

  async stop(): Promise<void> {
    this.tellEnd = undefined;
    // The library's own way to unsubscribe fails after renames, and leaks. The kernel cleans up after a process.
    this.child.removeAllListeners('message');
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill('SIGKILL');
    await this.ended;
  }
}

/** The thread of the index: one answer for each question, in order. */
class IndexThread {
  private readonly worker: Worker;
  private readonly waiting: ((answer: IndexAnswer) => void)[] = [];
  private isStopping = false;

  constructor({ root, filter }: TreeWatcherOptions, died: (reason: string) => void) {
    const workerData: IndexThreadData = { root, filter };
    this.worker = new Worker(new URL('./tree-index-thread.js', import.meta.url), { workerData, name: 'tree-index' });
    this.worker.on('message', (answer: IndexAnswer) => this.waiting.shift()?.(answer));
    let reason = 'the index thread ended';
    this.worker.once('error', (error: unknown) => {
      reason = `the index thread failed: ${messageOf(error)}`;
    });
    this.worker.once('exit', () => {
      if (!this.isStopping) died(reason);
      const nothing = { found: [], directoriesMoved: false, directories: 0, durationMs: 0 };
      for (const answer of this.waiting.splice(0)) answer(nothing);
    });
  }

  note(sightings: readonly Sighting[]): void {
    if (sightings.length > 0) this.post({ kind: 'note', sightings });
  }

  ask(request: IndexRequest): Promise<IndexAnswer> {
    return new Promise((resolve) => {
      this.waiting.push(resolve);
      this.post(request);
    });
  }

  async stop(): Promise<void> {
    this.isStopping = true;
    await this.worker.terminate();
  }

  private post(request: IndexRequest): void {
    this.worker.postMessage(request);
  }
}

/** Timers by name: a name has one, and the earlier moment wins. */
class Timers {
  private readonly running = new Map<string, { timer: NodeJS.Timeout; atMs: number }>();
  private readonly intervals: NodeJS.Timeout[] = [];

  after(name: string, delayMs: number, action: () => void): void {
    const atMs = performance.now() + delayMs;
    const before = this.running.get(name);
    if (before !== undefined && before.atMs <= atMs) return;
    clearTimeout(before?.timer);
    const timer = setTimeout(() => {
      this.running.delete(name);
      action();
    }, delayMs);
    this.running.set(name, { timer, atMs });
  }

  every(intervalMs: number, action: () => void): void {
    this.intervals.push(setInterval(action, intervalMs));
  }

  clear(): void {
    for (const { timer } of this.running.values()) clearTimeout(timer);
    for (const interval of this.intervals) clearInterval(interval);
    this.running.clear();
  }
}

function identify(root: string): string {
  try {
    const stats = statSync(toBytes(root), { bigint: true });
    if (!stats.isDirectory()) throw new Error('it is not a directory');
    return `${stats.dev}:${stats.ino}`;
  } catch (error) {
    throw new StartError(
      'SERSYNC_WATCH_ROOT',
      `cannot watch ${display(root)}: ${messageOf(error)}`,
      'create it, or correct <localpath watch="...">',
      { cause: error },
    );
  }
}

function subscribeError(root: string, reason: string, isRunning: boolean): StartError {
  if (reason.includes('No space left') && !isRunning) return watchLimitError(display(root), undefined);
  return new StartError('SERSYNC_WATCH', `cannot watch ${display(root)}: @parcel/watcher: ${reason}`);
}
