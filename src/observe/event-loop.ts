import { closeSync, openSync, readSync } from 'node:fs';
import type { EventLoopStatus } from './status.js';

/** How long a stall counts as one of late. */
const RECENT_MS = 60_000;
/** The scheduler is asked no more often than this: each time costs some 10 µs. */
const ASK_EVERY_MS = 10;

/**
 * Measures how long the event loop of this thread stalls: for how long it is busy at a stretch, while no message is taken
 * and no timer kept. Every turn of the loop is measured at its end, and nothing but a turn is: no timer wakes a service that idles.
 */
export class EventLoopMeter {
  readonly #stalls = new LongestStalls();
  #scheduler: number | undefined;
  #asked = { at: 0, awakeMs: 0 };
  #turn = { at: 0, idleMs: 0 };
  #next: NodeJS.Immediate | undefined;

  /** Measures the thread that calls it. */
  start(): void {
    this.#scheduler = openScheduler();
    this.#turn = { at: performance.now(), idleMs: performance.nodeTiming.idleTime };
    this.#asked = { at: this.#turn.at, awakeMs: this.#askScheduler() };
    this.#awaitTurn();
  }

  stop(): void {
    clearImmediate(this.#next);
    if (this.#scheduler !== undefined) closeSync(this.#scheduler);
    this.#scheduler = undefined;
  }

  status(): EventLoopStatus {
    const recent = this.#stalls.since(performance.now() - RECENT_MS);
    return { stallMs: Math.round(recent), maxStallMs: Math.round(this.#stalls.max) };
  }

  /** What is not to keep the process running does not keep the loop from waiting either, and comes once it has waited. */
  #awaitTurn(): void {
    this.#next = setImmediate(() => {
      this.#turnEnded();
    }).unref();
  }

  #turnEnded(): void {
    const turn = { at: performance.now(), idleMs: performance.nodeTiming.idleTime };
    const busyMs = turn.at - this.#turn.at - (turn.idleMs - this.#turn.idleMs);
    this.#turn = turn;
    this.#stalls.add(turn.at, Math.min(busyMs, this.#awakeAtMost(turn.at)));
    this.#awaitTurn();
  }

  /**
   * How long this thread was awake in the turn that ended, at most. Node counts too little as idle at times
   * (seen: two turns of 2.3 s in a minute in which the thread ran for 1 ms; Node 20.20). Short turns are believed without asking.
   */
  #awakeAtMost(now: number): number {
    if (now - this.#asked.at < ASK_EVERY_MS) return Infinity;
    const before = this.#asked.awakeMs;
    this.#asked = { at: now, awakeMs: this.#askScheduler() };
    return this.#scheduler === undefined ? Infinity : this.#asked.awakeMs - before;
  }

  /** How long this thread has run or waited for a core, ever; infinite where the system does not say. */
  #askScheduler(): number {
    if (this.#scheduler === undefined) return Infinity;
    const text = Buffer.alloc(64);
    const length = readSync(this.#scheduler, text, 0, text.length, 0);
    const [ranNs = 0, waitedNs = 0] = text.toString('latin1', 0, length).split(' ').map(Number);
    return (ranNs + waitedNs) / 1e6;
  }
}

function openScheduler(): number | undefined {
  try {
    return openSync('/proc/thread-self/schedstat', 'r');
  } catch {
    // Not Linux, or a kernel without it: what Node says has to do.
    return undefined;
  }
}

/** The longest stall there ever was, and the longest since a time of late. Milliseconds. */
export class LongestStalls {
  #max = 0;
  /** In order of time, each shorter than the one before it: what is followed by a longer one never counts again. */
  #recent: { readonly at: number; readonly ms: number }[] = [];

  get max(): number {
    return this.#max;
  }

  add(at: number, ms: number): void {
    this.#max = Math.max(this.#max, ms);
    while (this.#recent.length > 0 && (this.#recent.at(-1)?.ms ?? 0) <= ms) this.#recent.pop();
    this.#recent.push({ at, ms });
    this.#forgetBefore(at - RECENT_MS);
  }

  /** The longest that ended at `from` or later: `from` is at most `RECENT_MS` ago and never goes back. */
  since(from: number): number {
    this.#forgetBefore(from);
    return this.#recent[0]?.ms ?? 0;
  }

  #forgetBefore(from: number): void {
    while ((this.#recent[0]?.at ?? from) < from) this.#recent.shift();
  }
}
