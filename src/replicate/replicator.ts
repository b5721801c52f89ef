import { backoffMs, type Backoff } from '../core/backoff.js';
import { ROOT, type RelativePath } from '../core/relative-path.js';
import type { Hint } from '../core/hint.js';
import type { Clock } from '../clock.js';
import { messageOf } from '../errors.js';
import type { Events } from '../events.js';
import type { FilterQueue } from '../queue/filter-queue.js';
import type { Replica } from './replica.js';

/** What is needed of a watcher (watch/tree-watcher.ts is the port that the front ends implement). */
export interface Watcher {
  readonly kind: string;
  start(): Promise<{ readonly directories: number }>;
  fence(): Promise<boolean>;
  stop(): Promise<void>;
}

export interface WatcherListener {
  touched(path: RelativePath, hint: Hint): void;
  lost(below: RelativePath, reason: string): void;
  blind(below: RelativePath, reason: string): void;
  sees(below: RelativePath): void;
  died(reason: string): void;
}

export interface ReplicatorOptions {
  /** The watched directory, for people. */
  readonly root: string;
  readonly createWatcher: (listener: WatcherListener) => Watcher;
  readonly queue: FilterQueue;
  readonly replicas: readonly Replica[];
  readonly clock: Clock;
  readonly random: () => number;
  readonly events: Events;
}

const RESTART_WATCHER: Backoff = { firstMs: 500, maxMs: 5_000 };

/** One watched root: its watcher, its filter queue, and the remotes that follow it. */
export class Replicator {
  readonly root: string;
  readonly replicas: readonly Replica[];
  readonly #options: ReplicatorOptions;
  #watcher: Watcher | undefined;
  #isStopped = false;
  #restarts = 0;
  #cancelRestart: (() => void) | undefined;

  constructor(options: ReplicatorOptions) {
    this.root = options.root;
    this.replicas = options.replicas;
    this.#options = options;
  }

  /** Resolves once every directory is watched: whatever changes from then on is seen. Rejects when it cannot be. */
  async start(): Promise<void> {
    const { clock, events } = this.#options;
    const startedAt = clock.now();
    const watcher: Watcher = this.#options.createWatcher({
      touched: (path, hint) => {
        this.#options.queue.touched(path, hint);
      },
      lost: (below, reason) => {
        this.lost(below, reason);
      },
      blind: (path, reason) => {
        events.emit('watch:partlyBlind', { root: this.root, path, reason });
      },
      sees: (path) => {
        events.emit('watch:sees', { root: this.root, path });
      },
      died: (reason) => {
        // A watcher that was replaced may still report its own end.
        if (this.#watcher === watcher) this.#restartWatcher(reason);
      },
    });
    this.#watcher = watcher;
    const { directories } = await watcher.start();
    this.#restarts = 0;
    events.emit('watch:ready', {
      root: this.root,
      watcher: watcher.kind,
      directories,
      durationMs: clock.now() - startedAt,
    });
  }

  /** Changes at or below `path` may have been missed: look at all of it. */
  lost(path: RelativePath, reason: string): void {
    const { clock, events } = this.#options;
    events.emit('watch:lost', { root: this.root, path, reason });
    const since = clock.now();
    for (const replica of this.replicas) replica.mark({ path, scope: 'subtree', gone: false, alone: false, since });
  }

  /** A full resync of every remote; resolves when each has been through. */
  async resync(reason: string, crontab: boolean): Promise<void> {
    await Promise.all(this.replicas.map((replica) => replica.resync(reason, crontab)));
  }

  /** Stops watching and lets runs end within `graceMs`; no rsync is left when it resolves. */
  async stop(graceMs: number): Promise<void> {
    this.#isStopped = true;
    this.#cancelRestart?.();
    // First of all no more changes come in: under constant writing the remotes would never be done.
    await this.#watcher?.stop();
    this.#options.queue.stop();
    await Promise.all(this.replicas.map((replica) => replica.stop(graceMs)));
  }

  #restartWatcher(reason: string): void {
    const { clock, events, random } = this.#options;
    const dead = this.#watcher;
    this.#watcher = undefined;
    if (this.#isStopped) return;
    // A watcher may die while it starts and fail to start as well: that is one end.
    this.#cancelRestart?.();
    const retryInMs = backoffMs(RESTART_WATCHER, ++this.#restarts, random());
    events.emit('watch:blind', { root: this.root, reason, retryInMs });
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
      await this.start();
    } catch (error) {
      this.#restartWatcher(messageOf(error));
      return;
    }
    this.lost(ROOT, 'nothing was seen while the watcher was down');
  }
}
