import { setImmediate as nextTurn } from 'node:timers/promises';
import {
  NO_RUN,
  type Complaint,
  type Run,
  type RunProgress,
  type RunReport,
  type TransferTask,
  type Transport,
} from '../../../src/replicate/ports.js';

/** A run that waits for the test to say how it ends. */
export interface ScriptedRun {
  readonly task: TransferTask;
  readonly isCancelled: boolean;
  progress(progress: RunProgress): void;
  /** Ends it; resolves when the core has dealt with that. Without fields: exit 0, nothing said. */
  end(fields?: Partial<RunReport>): Promise<void>;
  /** The thread breaks. */
  break(error: Error): Promise<void>;
}

/** Carries nothing: collects what the core asks for. */
export class ScriptedTransport implements Transport {
  /** Runs that were begun and not ended, oldest first. */
  readonly running: ScriptedRun[] = [];
  begun = 0;

  begin(task: TransferTask, onProgress?: (progress: RunProgress) => void): Run {
    this.begun++;
    let isCancelled = false;
    const { promise, resolve, reject } = deferred<RunReport>();
    const remove = (): void => void this.running.splice(this.running.indexOf(run), 1);
    const run: ScriptedRun = {
      task,
      get isCancelled() {
        return isCancelled;
      },
      progress: (progress) => onProgress?.(progress),
      end: async (fields = {}) => {
        remove();
        resolve(report({ ...(task.kind === 'divide' ? { command: [] } : {}), ...fields }));
        await turns();
      },
      break: async (error) => {
        remove();
        reject(error);
        await turns();
      },
    };
    this.running.push(run);
    return {
      done: promise,
      cancel: () => {
        isCancelled = true;
      },
    };
  }

  /** The only run, or the one at `index`. */
  run(index = 0): ScriptedRun {
    const run = this.running[index];
    if (run === undefined) throw new Error(`only ${this.running.length} runs are in flight`);
    return run;
  }
}

/** Lets everything that waits for nothing but its turn happen. */
export async function turns(): Promise<void> {
  // What would make a turn of the event loop long goes to the next ones.
  for (let turn = 0; turn < 4; turn++) await nextTurn();
}

/** `entries a b`, `trees d/**`, `divide .`: what a run was asked for. */
export function describeTask(task: TransferTask): string {
  if (task.kind === 'divide') return 'divide';
  const looks = task.looks.map(({ path, scope, gone, moved }) => {
    const end = scope === 'subtree' ? '/**' : scope === 'listing' ? '/' : '';
    return `${gone ? '-' : ''}${moved === true ? '>' : ''}${path === '' ? '.' : path}${end}`;
  });
  return [task.kind, ...looks.sort()].join(' ');
}

export function complaint(
  kind: Complaint['kind'],
  path: string | undefined,
  text = `${kind} ${path ?? ''}`,
): Complaint {
  return { kind, path, text };
}

export const UNREACHABLE: Partial<RunReport> = {
  exitCode: 10,
  messages: ['rsync: [sender] failed to connect to 127.0.0.1 (127.0.0.1): Connection refused (111)'],
};
export const REJECTED: Partial<RunReport> = { exitCode: 5, messages: ['@ERROR: auth failed on module backup'] };
export const REFUSED: Partial<RunReport> = { exitCode: null, refused: 'the watched directory is missing', command: [] };

function report(fields: Partial<RunReport>): RunReport {
  return {
    ...NO_RUN,
    durationMs: 0,
    command: ['rsync'],
    ...fields,
  };
}

function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void; reject: (error: Error) => void } {
  let resolve!: (value: T) => void;
  let reject!: (error: Error) => void;
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}
