import { MessageChannel } from 'node:worker_threads';
import { Piscina } from 'piscina';
import type { DeleteGuard, Run, RunProgress, RunReport, TransferTask, Transport } from '../replicate/ports.js';
import type { DeleteMemory } from './delete-memory.js';
import { packTask } from './packed-task.js';
import type { WorkerContext, WorkerJob } from './worker.js';

/** A thread that has had nothing to do for this long is let go; the first one stays. */
const IDLE_MS = 30_000;

/** Each thread would take up to 48 MB for what lives shortly, and there are ten (Node 20). */
const YOUNG_GENERATION_MB = 4;

/** The worker threads, shared by all remotes. Each carries out one task, which runs one rsync, at a time. */
export class TransferPool {
  readonly #pool: Piscina<WorkerJob, RunReport>;

  /**
   * At most `threads`. Where that is fewer than `lanes` (the runs that the remotes may have in flight together), a thread
   * looks after several runs, so that a remote which hangs never takes the place of another.
   */
  constructor(threads: number, lanes: number) {
    this.#pool = new Piscina<WorkerJob, RunReport>({
      filename: new URL('./worker.js', import.meta.url).href,
      minThreads: 1,
      maxThreads: threads,
      idleTimeout: IDLE_MS,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
      concurrentTasksPerWorker: Math.max(1, Math.ceil(lanes / threads)),
    });
  }

  /** The way to one remote through this pool. The threads keep nothing: how it must be told to delete is kept here. */
  transport(context: Omit<WorkerContext, 'deletesBy'>, memory: DeleteMemory, guard: () => DeleteGuard): Transport {
    return {
      begin: (task, onProgress) => {
        const { deletesBy } = memory;
        const run = this.#begin({ context: { ...context, deletesBy }, guard: guard(), task }, onProgress);
        const done = run.done.then((report) => {
          memory.learn(deletesBy, report);
          return report;
        });
        return { ...run, done };
      },
    };
  }

  /** Ends the threads; no run may be in flight. */
  async close(): Promise<void> {
    await this.#pool.destroy();
  }

  /** Cancelling is a message: ending a task in piscina stops its thread and leaves its rsync running (piscina 5.3.2). */
  #begin(
    job: { context: WorkerContext; guard: DeleteGuard; task: TransferTask },
    onProgress: ((progress: RunProgress) => void) | undefined,
  ): Run {
    const { port1: ours, port2: theirs } = new MessageChannel();
    ours.on('message', (progress: RunProgress) => onProgress?.(progress));
    const done = this.#pool

      .run({ ...job, task: packTask(job.task), port: theirs }, { transferList: [theirs] })
      .finally(() => {
        ours.close();
      });
    return {
      done,
      cancel: () => {
        ours.postMessage('cancel');
      },
    };
  }
}
