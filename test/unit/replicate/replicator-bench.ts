import { DEFAULTS } from '../../../src/config/config.js';
import type { Checkpoint, Present } from '../../../src/core/checkpoint.js';
import type { MountPoint } from '../../../src/core/mount-point.js';
import { createFilter } from '../../../src/core/filter.js';
import { createEvents } from '../../../src/events.js';
import { FILTER_QUEUE_TIMES, FilterQueue } from '../../../src/queue/filter-queue.js';
import type { DeleteGuard, RunReport, TransferTask } from '../../../src/replicate/ports.js';
import { Replica, REPLICA_LIMITS } from '../../../src/replicate/replica.js';
import { Replicator, type WatcherListener } from '../../../src/replicate/replicator.js';
import { ManualClock } from '../../support/manual-clock.js';
import { MemoryJournal } from '../../support/memory-journal.js';
import { describeTask, ScriptedTransport, turns } from './scripted-transport.js';
import { ScriptedTold, ScriptedWalker } from './scripted-walker.js';

export const ROOT_ID = '8:1:100';
export const OTHER_ID = '9:1:200';
const EXT4 = 0xef53;
const NAMES = ['one', 'two', 'three'];
const TOLD = [
  'watch:ready',
  'watch:blind',
  'watch:partlyBlind',
  'watch:sees',
  'watch:lost',
  'walk:failed',
  'source:troubled',
  'source:well',
  'start:judged',
  'resync:started',
  'resync:finished',
] as const;

export interface BenchOptions {
  readonly remotes?: number;
  readonly journal?: MemoryJournal;
  /** Of each remote, in their order; `same` for those that are not named. */
  readonly fingerprints?: readonly string[];
  readonly auditEveryMs?: number;
  readonly nowMs?: number;
  readonly startWatcher?: (listener: WatcherListener, count: number) => Promise<void>;
}

/** What is at the watched path: the test changes it as it likes. */
export function mountedAt(path: string): MountPoint {
  return { path, identity: `disk of ${path}` };
}

export interface Disk {
  identity: string | undefined;
  isEmpty: boolean;
  mounts: string[];
  bootId: string;
  /** How far the kernel's clock is from the service's. */
  clockOffsetMs: number;
  hasKernelTime: boolean;
}

/** One watched root, whose watchers, walks and runs the test ends, with real remotes behind it. */
export class ReplicatorBench {
  readonly clock = new ManualClock();
  readonly journal: MemoryJournal;
  readonly walker = new ScriptedWalker();
  readonly listeners: WatcherListener[] = [];
  readonly transports: ScriptedTransport[];
  readonly told: string[] = [];
  readonly disk: Disk = {
    identity: ROOT_ID,
    isEmpty: false,
    mounts: [],
    bootId: 'boot',
    clockOffsetMs: 0,
    hasKernelTime: true,
  };
  readonly queue: FilterQueue;
  readonly replicator: Replicator;
  /** What a watcher answers when it is asked whether all has been told. */
  fence: () => Promise<boolean> = () => Promise.resolve(true);
  guard: () => DeleteGuard = () => {
    throw new Error('no remote was made');
  };

  readonly #options: BenchOptions;

  constructor(options: BenchOptions = {}, disk: Partial<Disk> = {}) {
    this.#options = options;
    const { remotes = 1, journal = new MemoryJournal(), fingerprints = [], startWatcher, nowMs } = options;
    if (nowMs !== undefined) this.clock.advance(nowMs - this.clock.now());
    Object.assign(this.disk, disk);
    this.journal = journal;
    this.transports = Array.from({ length: remotes }, () => new ScriptedTransport());
    const events = createEvents((error) => {
      throw error;
    });
    for (const name of TOLD) {
      events.on(name, (detail: object) => {
        const said = Object.entries(detail).flatMap(([key, value]) =>
          ['remote', 'path', 'state', 'kind'].includes(key) ? [String(value)] : [],
        );
        this.told.push([name, ...said].join(' ').trim());
      });
    }
    const { clock, walker, disk: source } = this;
    this.queue = new FilterQueue({
      filter: createFilter({ excludes: [], patterns: [] }),
      switches: DEFAULTS.events,
      dotfiles: true,
      clock,
      times: FILTER_QUEUE_TIMES,
      inspect: () => 'file',
      isInFlight: () => false,
      filesBelow: () => [],
      release: (dirty) => {
        this.replicator.mark(dirty);
      },
      onOpenFile: () => undefined,
    });
    this.replicator = new Replicator({
      root: '/data',
      createWatcher: (listener) => {
        const count = this.listeners.push(listener);
        return {
          kind: 'scripted',
          start: async () => {
            await startWatcher?.(listener, count);
            return { directories: 1 };
          },
          fence: () => this.fence(),
          stop: () => Promise.resolve(),
        };
      },
      walker,
      createTold: () => new ScriptedTold(),
      source: {
        look: () => ({ identity: source.identity, mounts: source.mounts.map(mountedAt), isEmpty: source.isEmpty }),
        present: () => this.#present(),
        kernelNow: () => (source.hasKernelTime ? this.kernelNow() : undefined),
      },
      queue: this.queue,
      createReplicas: ({ guard, sourceNames, onLinked }) => {
        this.guard = guard;
        return this.transports.map(
          (transport, index) =>
            new Replica({
              name: NAMES[index] ?? '',
              transport,
              clock,
              random: () => 0,
              events,
              limits: { ...REPLICA_LIMITS, gather: { afterLastMs: 0, atMostMs: 0 } },
              deletes: true,
              deleteLimit: { percent: 50, names: 100 },
              sourceNames,
              onLinked,
              journal,
              key: `remote ${NAMES[index] ?? ''}`,
              fingerprint: fingerprints[index] ?? 'same',
            }),
        );
      },
      journal,
      auditEveryMs: options.auditEveryMs ?? Infinity,
      clock,
      random: () => 0,
      events,
    });
  }

  /** A service that was resynced, stopped and started again, with all of its walks through. */
  static async settled(options: BenchOptions = {}, disk: Partial<Disk> = {}): Promise<ReplicatorBench> {
    const first = new ReplicatorBench(options, disk);
    await first.start(true);
    await first.settle();
    await first.advance(10_000);
    const bench = await first.crash();
    await bench.start();
    await bench.settle();
    await bench.advance(10_000);
    bench.told.length = 0;
    return bench;
  }

  async start(isAsked = false): Promise<void> {
    void this.replicator.start(isAsked ? { reason: '-r', crontab: false, isAsked: true } : undefined);
    await turns();
  }

  /** What the next run of the service finds after a crash; this one should do nothing more. */
  async crash(options: BenchOptions = {}, disk: Partial<Disk> = {}): Promise<ReplicatorBench> {
    await this.journal.flush();
    const journal = this.journal.reopen();
    const nowMs = this.clock.now() + 60_000;
    return new ReplicatorBench({ ...this.#options, nowMs, ...options, journal }, { ...this.disk, ...disk });
  }

  /** Ends walks and runs, each well, until there are none; returns what runs were asked for. */
  async settle(reply: (task: TransferTask) => Partial<RunReport> = () => ({})): Promise<string[]> {
    await turns();
    const seen: string[] = [];
    for (let round = 0; round < 200; round++) {
      const walk = this.walker.walking[0];
      const transport = this.transports.find(({ running }) => running.length > 0);
      if (walk !== undefined) await walk.end();
      else if (transport !== undefined) {
        const run = transport.run();
        seen.push(describeTask(run.task));
        const isWhole = run.task.kind === 'divide';
        await run.end(isWhole ? { again: PIECES, ...reply(run.task) } : reply(run.task));
      } else return seen;
    }
    throw new Error(`there is no end: ${seen.slice(-5).join('; ')}`);
  }

  async advance(ms: number): Promise<void> {
    this.clock.advance(ms);
    await turns();
  }

  get listener(): WatcherListener {
    const listener = this.listeners.at(-1);
    if (listener === undefined) throw new Error('nothing is watched');
    return listener;
  }

  running(remote = 0): string[] {
    return (this.transports[remote]?.running ?? []).map(({ task }) => describeTask(task));
  }

  kernelNow(): number {
    return this.clock.now() + this.disk.clockOffsetMs;
  }

  /** What the journal would give the next run of the service. */
  async checkpoint(): Promise<Checkpoint | undefined> {
    await this.journal.flush();
    const section = this.journal.reopen().section('root /data', { imageOf: () => undefined, image: () => [] });
    return (section.facts as { checkpoint?: Checkpoint } | null)?.checkpoint;
  }

  #present(): Present | undefined {
    const { identity, bootId, clockOffsetMs, mounts } = this.disk;
    if (identity === undefined) return undefined;
    return {
      nowMs: this.kernelNow(),
      bootId,
      clockOffsetMs,
      root: identity,
      fileSystem: EXT4,
      mounts: Object.fromEntries(mounts.map((path) => [path, { identity: '7:1:1', fileSystem: EXT4 }])),
    };
  }
}

const PIECES = [
  { path: '', scope: 'listing', gone: false, because: 'divided' },
  { path: 'd', scope: 'subtree', gone: false, because: 'divided' },
] as const;
