import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { Random } from '../support/random.js';
import { Arrivals } from './arrival.js';
import type { Change, Contestant, Running, SshOptions, Started } from './contestant.js';
import { Deadline } from './deadline.js';
import { type Remote, Site, type SiteOptions } from './site.js';
import type { Values } from './scenario.js';
import { type Usage, usageOf } from './usage.js';
import { untilSame } from './verify.js';

/** A probe that is not answered is followed by another one. */
const PROBE_EVERY_MS = 250;
/** After its first answer, a contestant may be busy for a while with what the start has left. */
const SETTLE_MS = 2_000;
/** At the end what was measured is compared, for so long. */
const COMPARE_MS = 30_000;

export interface StartOptions {
  readonly bwlimit?: number;
  readonly ssh?: SshOptions;
  /** Default: those of the site. */
  readonly remotes?: readonly Remote[];
  /** Measures the start itself: no time to settle down. */
  readonly isColdStart?: boolean;
}

export interface StartTimes extends Partial<Started> {
  /** Until a change that was made meanwhile had reached every remote. */
  readonly readyAfterMs: number;
}

/** One contestant in one round of a scenario. Nobody else runs meanwhile. */
export class Turn {
  readonly random: Random;
  #site: Site | undefined;
  #isOwnSite = true;
  #running: Running | undefined;
  /** What a contestant that was stopped had said at last. */
  #said = '';

  constructor(
    readonly contestant: Contestant,
    readonly round: number,
    readonly deadline: Deadline,
    private readonly compareMs = COMPARE_MS,
  ) {
    // The same pauses for all contestants of a round.
    this.random = new Random(round);
  }

  get site(): Site {
    if (this.#site === undefined) throw new Error('no site was made');
    return this.#site;
  }

  get running(): Running {
    if (this.#running === undefined) throw new Error('the contestant was not started');
    return this.#running;
  }

  /** A new source with remotes, which goes when the turn is over. */
  async makeSite(options: SiteOptions): Promise<Site> {
    this.#site = await Site.make(options);
    return this.#site;
  }

  /** One that was prepared for all turns. */
  useSite(site: Site): void {
    this.#site = site;
    this.#isOwnSite = false;
  }

  /** A path in the source. */
  source(...parts: readonly string[]): string {
    return join(this.site.source, ...parts);
  }

  /** Starts the contestant; resolves when it watches, has brought the remotes up to date, and is quiet. */
  async start({ isColdStart = false, remotes, ...options }: StartOptions = {}): Promise<StartTimes> {
    const { site, contestant, deadline } = this;
    const targets = remotes ?? site.remotes;
    const directory = site.workDirectory(`${contestant.name}-${this.round}`);
    const begin = performance.now();
    this.#running = contestant.start({ source: site.source, remotes: targets, directory, ...options });
    if (!contestant.watches) return { readyAfterMs: 0 };
    const [readyAt, started] = await Promise.all([
      this.#probe(targets.map(({ path }) => path)),
      this.#running.started?.(deadline),
    ]);
    if (!isColdStart) await sleep(SETTLE_MS);
    return { readyAfterMs: readyAt - begin, ...started };
  }

  /** Brings a change to the remotes when the contestant has to be told of it. */
  async push(change: Change, remotes?: readonly number[]): Promise<void> {
    await this.running.push(change, remotes);
  }

  /**
   * Milliseconds from `since`, when the change was made, until `until` saw it on the remotes. Who has to be told of it is
   * told now; its own end does not count, as that of a watching one is not seen either.
   */
  async measure(
    change: Change,
    since: number,
    until: () => Promise<number>,
    remotes?: readonly number[],
  ): Promise<number> {
    const [end] = await Promise.all([until(), this.push(change, remotes)]);
    return end - since;
  }

  transcript(): string {
    return this.#running?.transcript() ?? this.#said;
  }

  usage(): Usage {
    return usageOf(this.running.pids);
  }

  /** The metric of `stallRow`; nothing of who does not tell it. */
  async stalls(): Promise<Values> {
    const stallMs = await this.running.longestStallMs?.();
    return stallMs === undefined ? {} : { stallMs: [stallMs] };
  }

  /** Fails unless the remotes are what the source is. */
  async verify(): Promise<void> {
    this.running.expectAlive();
    await untilSame(this.site.source, this.site.paths, new Deadline(this.compareMs));
  }

  /** Ends the contestant. Idempotent. */
  async stop(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    this.#said ||= running?.transcript() ?? '';
    await running?.stop();
  }

  /** Ends whatever the turn has started. */
  async end(): Promise<void> {
    this.deadline.expire();
    await this.stop();
    if (this.#isOwnSite) await this.#site?.close();
  }

  /** Writes new files until one of them is on every remote; returns when that was. */
  async #probe(remotes: readonly string[]): Promise<number> {
    const probes: string[] = [];
    const write = (): void => {
      probes.push(`ready-${this.round}-${this.contestant.name}-${probes.length}`);
      writeFileSync(this.source(probes.at(-1)!), 'ready');
    };
    const arrivals = new Arrivals(remotes);
    const timer = setInterval(write, PROBE_EVERY_MS);
    try {
      write();
      const isAnswered = (): boolean => {
        this.running.expectAlive();
        return probes.some((name) => remotes.every((remote) => existsSync(join(remote, name))));
      };
      return await arrivals.until(isAnswered, this.deadline, 'the first change after the start');
    } finally {
      clearInterval(timer);
      arrivals.close();
    }
  }
}
