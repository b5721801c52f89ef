import { availableParallelism } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { MessageChannel } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { returnFreeMemory } from '../libc.js';
import {
  CROWDED,
  type DeleteGuard,
  type Run,
  type RunProgress,
  type RunReport,
  type TransferTask,
  type Transport,
} from '../replicate/ports.js';
import type { DeleteMemory } from './delete-memory.js';
import { packTask } from './packed-task.js';
import type { StandbyTerms } from './standby.js';
import type { WorkerContext, WorkerJob } from './worker.js';

/** A thread for what are no names is let go when it has had nothing to do for this long. */
const IDLE_MS = 10_000;
/** By then it has ended. */
const GONE_AFTER_MS = 1_000;

/**
 * For what lives shortly each thread would take up to 48 MB, and there are ten (Node 20). Those for names are shared by many
 * runs and stay. The others are let go, and what they hold of thousands of names lives for as long as the run: with 4 MB it
 * is copied again and again (a burst of 10,000 files to three remotes took the service 13 % more CPU).
 */
const YOUNG_GENERATION_MB = { names: 8, others: 24 };

/** Tasks in one of these threads: no bound, for each waits for an rsync nearly all the time. */
const MANY = 1_000;
/** A connection that was given back is free when the remote has noticed: that is tried after these times. */
const ROOM_AFTER_MS = [10, 100, 400];
/** So many remotes share a thread for names. */
const REMOTES_PER_THREAD = 8;

export interface TransportOptions {
  readonly context: Omit<WorkerContext, 'deletesBy'>;
  readonly memory: DeleteMemory;
  readonly guard: () => DeleteGuard;
  /** How an rsync is kept ready for the remote; undefined: none is. */
  readonly standby?: StandbyTerms;
}

const FILENAME = new URL('./worker.js', import.meta.url).href;

/** Threads that are let go when they have nothing to do. */
function createPool(threads: number, lanes: number): Piscina<WorkerJob, RunReport> {
  return new Piscina<WorkerJob, RunReport>({
    filename: FILENAME,
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB.others },
    minThreads: 0,
    maxThreads: threads,
    idleTimeout: IDLE_MS,
    concurrentTasksPerWorker: Math.max(1, Math.ceil(lanes / threads)),
  });
}

/**
 * The worker threads, shared by all remotes. Each carries out tasks, which run one rsync at a time. Some of the threads
 * are for names alone, which is what people wait for: they last as long as the pool, so that an rsync can wait in them
 * (standby.ts) and what V8 has compiled in them stays; and no walk through a tree keeps a name from its turn.
 */
export class TransferPool {
  readonly #pool: Piscina<WorkerJob, RunReport>;
  /** One thread each. */
  readonly #names: readonly Piscina<WorkerJob, RunReport>[];
  #transports = 0;
  #runs = 0;
  /** When nothing runs any more. */
  #idle: NodeJS.Timeout | undefined;

  /**
   * At most `threads`, and beside those for names no more than there are cores: each takes some 20 MB, and waits most
   * of its time. Where that is fewer than `lanes` (the runs that the remotes may have in flight together), a thread looks
   * after several runs, so that a remote which hangs never takes the place of another.
   */
  constructor(threads: number, lanes: number, remotes: number) {
    const forNames = Math.min(threads, Math.ceil(remotes / REMOTES_PER_THREAD));
    // piscina's threads wait for tasks outside of their event loop unless they are told not to (5.3.2): no timer would run.
    const one = {
      filename: FILENAME,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB.names },
      minThreads: 1,
      maxThreads: 1,
      concurrentTasksPerWorker: MANY,
      atomics: 'disabled',
    } as const;
    this.#names = Array.from({ length: forNames }, () => new Piscina<WorkerJob, RunReport>(one));
    const others = Math.min(threads - forNames, Math.max(2, availableParallelism()));
    const [first] = this.#names;
    this.#pool = others === 0 && first !== undefined ? first : createPool(others, lanes);
  }

  /** The way to one remote through this pool. The threads keep nothing: how it must be told to delete is kept here. */
  transport({ context, memory, guard, standby }: TransportOptions): Transport {
    const forNames = this.#names[this.#transports++ % this.#names.length] ?? this.#pool;
    return {
      begin: (task, onProgress) => {
        const { deletesBy } = memory;
        const begin = (): Run => {
          const job = { context: { ...context, deletesBy }, guard: guard(), task: packTask(task) };
          if (!isOfNames(task)) return begun(this.#pool, job, onProgress);
          const urgent = { ...job, priority: 'urgent' } as const;
          return begun(forNames, standby === undefined ? urgent : { ...urgent, standby }, onProgress);
        };
        this.#runs++;
        clearTimeout(this.#idle);
        const run = standby === undefined ? begin() : makingRoom(begin, () => yieldStandby(forNames, standby.key));
        const done = run.done
          .then((report) => {
            memory.learn(deletesBy, report);
            return report;
          })
          .finally(() => {
            // What the runs have held goes back to the system: 3 MB after the first resync, more after a burst.
            if (--this.#runs === 0) this.#idle = setTimeout(returnFreeMemory, IDLE_MS + GONE_AFTER_MS).unref();
          });
        return { ...run, done };
      },
    };
  }

  /** Ends the threads; no run may be in flight. */
  async close(): Promise<void> {
    clearTimeout(this.#idle);
    await Promise.all(this.#names.map((pool) => dropStandbys(pool)));
    await Promise.all([...new Set([this.#pool, ...this.#names])].map((pool) => pool.destroy()));
  }
}

/** Those alone whose time is short: a large file by itself is none of them. */
function isOfNames(task: TransferTask): boolean {
  return task.kind === 'entries' && task.largeBytes > 0;
}

/** Cancelling is a message: ending a task in piscina stops its thread and leaves its rsync running (piscina 5.3.2). */
function begun(
  pool: Piscina<WorkerJob, RunReport>,
  job: Omit<WorkerJob, 'port'>,
  onProgress: ((progress: RunProgress) => void) | undefined,
): Run {
  const { port1: ours, port2: theirs } = new MessageChannel();
  ours.on('message', (progress: RunProgress) => onProgress?.(progress));
  const done = pool.run({ ...job, port: theirs }, { transferList: [theirs] }).finally(() => {
    ours.close();
  });
  return {
    done,
    cancel: () => {
      ours.postMessage('cancel');
    },
  };
}

/** A run that the remote refuses because of too many connections gets that of the rsync that only waits there. */
function makingRoom(begin: () => Run, makeRoom: () => Promise<boolean>): Run {
  let run = begin();
  let isCancelled = false;
  const isOver = ({ messages }: RunReport): boolean =>
    isCancelled || !messages.some((message) => CROWDED.test(message));
  const done = run.done.then(async (report) => {
    if (isOver(report) || !(await makeRoom())) return report;
    let latest = report;
    for (const pauseMs of ROOM_AFTER_MS) {
      await sleep(pauseMs);
      if (isOver(latest)) return latest;
      run = begin();
      latest = await run.done;
    }
    return latest;
  });
  return {
    done,
    cancel: () => {
      isCancelled = true;
      run.cancel();
    },
  };
}

async function yieldStandby(pool: Piscina<WorkerJob, RunReport>, key: string): Promise<boolean> {
  return (pool as unknown as Piscina<string, boolean>).run(key, { name: 'yieldStandby' });
}

async function dropStandbys(pool: Piscina<WorkerJob, RunReport>): Promise<void> {
  await (pool as unknown as Piscina<undefined, undefined>).run(undefined, { name: 'dropStandbys' });
}
