import { backoffMs, type Backoff } from '../core/backoff.js';
import type { Clock } from '../clock.js';
import type { Events } from '../events.js';

/**
 * - `unreachable`: it cannot be had now; tried again by itself.
 * - `halted`: it does not want us as we are; a person must act, and it is tried again rarely.
 * - `refused`: the source is not what it was; nothing is sent until it is back.
 */
export type Trouble = 'unreachable' | 'halted' | 'refused';

export interface StandingOptions {
  /** The remote, as shown to people. */
  readonly name: string;
  readonly clock: Clock;
  /** 0 to 1. */
  readonly random: () => number;
  readonly events: Events;
  readonly limits: {
    readonly lanes: number;
    readonly unreachable: Backoff;
    readonly halted: Backoff;
    readonly refused: Backoff;
    readonly remindEveryMs: number;
    readonly widenEveryMs: number;
  };
}

interface Troubled {
  readonly kind: Trouble;
  readonly since: number;
  readonly failures: number;
  readonly reason: string;
  readonly retryAt: number;
  readonly remindAt: number;
}

interface Cause {
  readonly reason: string;
  readonly hint?: string | undefined;
}

/** How a remote stands: well, or in trouble with a backoff that grows; and how many runs it takes at the same time. */
export class Standing {
  readonly #options: StandingOptions;
  #trouble: Troubled | undefined;
  /** Fewer than `limits.lanes` while the remote takes no more connections. */
  #lanes: number;
  #widenAt = 0;

  constructor(options: StandingOptions) {
    this.#options = options;
    this.#lanes = options.limits.lanes;
  }

  get kind(): Trouble | 'well' {
    return this.#trouble?.kind ?? 'well';
  }

  /** Why it is not well. */
  get reason(): string | undefined {
    return this.#trouble?.reason;
  }

  /** When it may be tried again; `undefined`: now. */
  waitsUntil(now: number): number | undefined {
    return this.#trouble !== undefined && now < this.#trouble.retryAt ? this.#trouble.retryAt : undefined;
  }

  retryNow(): void {
    if (this.#trouble !== undefined) this.#trouble = { ...this.#trouble, retryAt: 0 };
  }

  /** A run ended so that all of it must go again later. Told when it is news, then at an interval. */
  fail(kind: Trouble, { reason, hint }: Cause): void {
    const { name, clock, random, events, limits } = this.#options;
    const now = clock.now();
    const before = this.#trouble;
    // Runs that were in flight together fail together: that counts once.
    if (before !== undefined && now < before.retryAt) return;
    const failures = (before?.failures ?? 0) + 1;
    const retryInMs = backoffMs(limits[kind], failures, random());
    const isNews = before?.kind !== kind || now >= before.remindAt;
    this.#trouble = {
      kind,
      since: before?.since ?? now,
      failures,
      reason,
      retryAt: now + retryInMs,
      remindAt: isNews ? now + limits.remindEveryMs : before.remindAt,
    };
    if (!isNews) return;
    const report = { remote: name, reason, retryInMs };
    if (kind === 'refused') events.emit('source:refused', report);
    else events.emit(`remote:${kind}`, { ...report, ...(hint === undefined ? {} : { hint }), failures });
  }

  /** A run went through. */
  recover(): void {
    if (this.#trouble === undefined) return;
    const { name, clock, events } = this.#options;
    const { kind, failures, since } = this.#trouble;
    this.#trouble = undefined;
    const durationMs = clock.now() - since;
    if (kind === 'refused') events.emit('source:back', { remote: name, durationMs });
    else events.emit('remote:recovered', { remote: name, failures, durationMs });
  }

  /** One of `running` runs found no connection left: does with fewer, and tries one more after a while. */
  narrow(running: number, { reason, hint }: Cause): void {
    const { name, clock, events, limits } = this.#options;
    const isNews = this.#lanes === limits.lanes;
    this.#lanes = Math.max(1, Math.min(this.#lanes, running) - 1);
    this.#widenAt = clock.now() + limits.widenEveryMs;
    if (!isNews) return;
    events.emit('remote:crowded', {
      remote: name,
      reason,
      ...(hint === undefined ? {} : { hint }),
      lanes: this.#lanes,
    });
  }

  /** How many runs may be in flight now. */
  lanes(now: number): number {
    const { limits } = this.#options;
    if (this.#lanes < limits.lanes && now >= this.#widenAt) {
      this.#lanes++;
      this.#widenAt = now + limits.widenEveryMs;
    }
    // A remote that has just failed is asked with one run before it gets more.
    return this.#trouble === undefined ? this.#lanes : 1;
  }
}
