import type { Clock } from '../clock.js';
import { messageOf } from '../errors.js';
import type { Events } from '../events.js';
import { CountedNews } from './counted-news.js';
import { absoluteOf, type Change, type Plugin } from './plugin.js';

export interface PluginHostOptions {
  readonly plugin: Plugin;
  /** Runs at the same time, at most. */
  readonly concurrency: number;
  /** Changes that wait for their turn, at most: further ones are dropped, which is told. */
  readonly maxWaiting: number;
  /** What goes on is told once, then at this interval. */
  readonly remindEveryMs: number;
  readonly clock: Clock;
  readonly events: Events;
}

/** The plugin at a glance: plain data. */
export interface PluginHostStatus {
  readonly name: string;
  readonly waiting: number;
  readonly running: number;
  readonly done: number;
  readonly failed: number;
  /** Changes for which it was not run. */
  readonly dropped: number;
  readonly lastError: { readonly at: number; readonly path: string; readonly reason: string } | undefined;
}

export const MAX_WAITING = 100_000;
/** A run that was told to end has this long for it: longer than a command is given before it is killed. */
const END_WITHIN_MS = 2_000;

/**
 * Runs a plugin for changes: some at a time, one path never twice at once, each within its time. Changes of one path fold
 * while they wait. Nothing that the plugin does reaches the caller: what fails is counted and told.
 */
export class PluginHost {
  readonly #options: PluginHostOptions;
  readonly #waiting = new Map<string, Change>();
  readonly #running = new Map<string, AbortController>();
  readonly #failures: CountedNews<{ path: string; reason: string }>;
  readonly #drops: CountedNews<{ reason: string }>;
  #done = 0;
  #failed = 0;
  #dropped = 0;
  #lastError: PluginHostStatus['lastError'];
  /** Since it was told that runs fail: how many have, and since when. */
  #failing: { since: number; failures: number } | undefined;
  #isStopped = false;
  #onIdle: (() => void) | undefined;

  constructor(options: PluginHostOptions) {
    this.#options = options;
    const { clock, remindEveryMs, events, plugin } = options;
    this.#failures = new CountedNews(clock, remindEveryMs, ({ path, reason }, failures) => {
      this.#failing ??= { since: clock.now(), failures: 0 };
      events.emit('plugin:failed', { plugin: plugin.name, path, reason, failures });
    });
    this.#drops = new CountedNews(clock, remindEveryMs, ({ reason }, count) => {
      events.emit('plugin:dropped', { plugin: plugin.name, count, reason });
    });
  }

  /** Runs the plugin for a change as soon as it is its turn. Cheap, and never throws. */
  add(change: Change): void {
    const { plugin, maxWaiting } = this.#options;
    if (!plugin.concerns(change)) return;
    const key = absoluteOf(change);
    const waiting = this.#waiting.get(key);
    if (waiting !== undefined) {
      this.#waiting.set(key, { ...waiting, hint: waiting.hint | change.hint });
      return;
    }
    if (this.#isStopped) this.drop(1, 'the service stops');
    else if (this.#waiting.size >= maxWaiting) this.drop(1, `${maxWaiting} changes wait for the plugin already`);
    else {
      this.#waiting.set(key, change);
      this.#runNext();
    }
  }

  /** Changes for which the plugin cannot be run. */
  drop(count: number, reason: string): void {
    this.#dropped += count;
    this.#drops.add({ reason }, count);
  }

  status(): PluginHostStatus {
    return {
      name: this.#options.plugin.name,
      waiting: this.#waiting.size,
      running: this.#running.size,
      done: this.#done,
      failed: this.#failed,
      dropped: this.#dropped,
      lastError: this.#lastError,
    };
  }

  /** Lets what waits and runs go through within `graceMs`, ends the rest, and resolves when nothing is left of it. */
  async stop(graceMs: number): Promise<void> {
    const { clock, plugin } = this.#options;
    await this.#idleWithin(graceMs);
    this.cancel();
    await this.#idleWithin(END_WITHIN_MS);
    this.#failures.flush();
    this.#drops.flush();
    await Promise.race([
      plugin.close(),
      new Promise<void>((resolve) => {
        clock.after(END_WITHIN_MS, resolve);
      }),
    ]);
  }

  /** Ends what runs, drops what waits, and takes nothing more. */
  cancel(): void {
    this.#isStopped = true;
    if (this.#waiting.size > 0) this.drop(this.#waiting.size, 'the service stops');
    this.#waiting.clear();
    for (const run of this.#running.values()) run.abort(new Error('the service stops'));
    this.#tellIdle();
  }

  #idleWithin(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const cancelTimer = this.#options.clock.after(ms, resolve);
      this.#onIdle = () => {
        cancelTimer();
        resolve();
      };
      this.#tellIdle();
    });
  }

  #tellIdle(): void {
    if (this.#waiting.size + this.#running.size === 0) this.#onIdle?.();
  }

  #runNext(): void {
    if (this.#running.size >= this.#options.concurrency) return;
    // What runs for a path now may not have seen its latest change: it is run once more, and not at the same time.
    for (const [key, change] of this.#waiting) {
      if (this.#running.has(key)) continue;
      this.#waiting.delete(key);
      void this.#run(key, change);
      if (this.#running.size >= this.#options.concurrency) return;
    }
  }

  async #run(key: string, change: Change): Promise<void> {
    const { clock, events, plugin } = this.#options;
    const run = new AbortController();
    const startedAt = clock.now();
    this.#running.set(key, run);
    try {
      const { said, tries } = await this.#try(change, run.signal);
      this.#done++;
      this.#recover();
      const durationMs = clock.now() - startedAt;
      events.emit('plugin:ran', { plugin: plugin.name, path: key, tries, durationMs });
      if (said !== undefined) events.emit('plugin:said', { plugin: plugin.name, path: key, text: said });
    } catch (error) {
      const reason = messageOf(error);
      this.#failed++;
      this.#lastError = { at: clock.now(), path: key, reason };
      this.#failures.add({ path: key, reason });
      if (this.#failing !== undefined) this.#failing.failures++;
    } finally {
      this.#running.delete(key);
      this.#runNext();
      this.#tellIdle();
    }
  }

  async #try(change: Change, signal: AbortSignal): Promise<{ said: string | undefined; tries: number }> {
    const { tries, pauseMs } = this.#options.plugin.limits;
    for (let attempt = 1; ; attempt++) {
      try {
        return { said: await this.#tryOnce(change, signal), tries: attempt };
      } catch (error) {
        if (attempt >= tries || signal.aborted) throw error;
      }
      await this.#pause(pauseMs * 2 ** (attempt - 1), signal);
    }
  }

  async #tryOnce(change: Change, signal: AbortSignal): Promise<string | undefined> {
    const { clock, plugin } = this.#options;
    const { timeMs } = plugin.limits;
    const attempt = new AbortController();
    let ended: string | undefined;
    const cancelTimer = clock.after(timeMs, () => {
      ended = `it took longer than ${timeMs / 1000} s and was ended`;
      attempt.abort();
    });
    const stop = (): void => {
      ended = 'it was ended, for the service stops';
      attempt.abort();
    };
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop);
    try {
      return await plugin.run(change, attempt.signal);
    } catch (error) {
      // What the plugin says to its being ended is not why.
      throw ended === undefined ? error : new Error(ended, { cause: error });
    } finally {
      cancelTimer();
      signal.removeEventListener('abort', stop);
    }
  }

  #pause(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const cancelTimer = this.#options.clock.after(ms, resolve);
      signal.addEventListener(
        'abort',
        () => {
          cancelTimer();
          resolve();
        },
        { once: true },
      );
    });
  }

  /** A run went well: told when it was told that runs fail. */
  #recover(): void {
    const failing = this.#failing;
    if (failing === undefined) return;
    this.#failing = undefined;
    const { clock, events, plugin } = this.#options;
    events.emit('plugin:recovered', {
      plugin: plugin.name,
      failures: failing.failures,
      durationMs: clock.now() - failing.since,
    });
  }
}
