import { Worker } from 'node:worker_threads';
import type { CommandConfig } from '../config/config.js';
import { createPathMatcher } from '../core/filter.js';
import { messageOf } from '../errors.js';
import type { CommandAnswer, CommandRequest, CommandThreadData } from './command-messages.js';
import type { CommandEnd } from './command-process.js';
import { absoluteOf, type Change, type Plugin } from './plugin.js';

export const COMMAND_TIME_MS = 60_000;

export interface CommandPluginOptions {
  readonly config: CommandConfig;
  /** What starts the command: a program and its arguments, or nothing. */
  readonly launcher: readonly string[];
}

interface Pending {
  readonly resolve: (end: CommandEnd) => void;
  readonly reject: (error: Error) => void;
}

/** Runs a program for each change: words of prefix, the absolute path, words of suffix. No shell reads any of it. */
export class CommandPlugin implements Plugin {
  readonly name = 'command';
  readonly limits = { timeMs: COMMAND_TIME_MS, tries: 1, pauseMs: 0 };
  readonly #options: CommandPluginOptions;
  readonly #isIncluded: (path: string) => boolean;
  readonly #pending = new Map<number, Pending>();
  #thread: Worker | undefined;
  #lastId = 0;

  constructor(options: CommandPluginOptions) {
    this.#options = options;
    const { includes } = options.config;
    this.#isIncluded = includes === undefined ? () => true : createPathMatcher(includes);
  }

  concerns(change: Change): boolean {
    return this.#isIncluded(absoluteOf(change));
  }

  async run(change: Change, signal: AbortSignal): Promise<string | undefined> {
    const { config, launcher } = this.#options;
    const { prefix, suffix, hidesOutput } = config;
    const id = ++this.#lastId;
    const thread = (this.#thread ??= this.#start());
    const cancel = (): void => {
      thread.postMessage({ kind: 'cancel', id } satisfies CommandRequest);
    };
    signal.addEventListener('abort', cancel);
    try {
      const { failure, output } = await new Promise<CommandEnd>((resolve, reject) => {
        this.#pending.set(id, { resolve, reject });
        const line = { prefix, path: absoluteOf(change), suffix, hidesOutput, launcher };
        thread.postMessage({ kind: 'run', id, line } satisfies CommandRequest);
      });
      if (failure !== undefined) {
        throw new Error(output === '' ? `${prefix[0] ?? ''}: ${failure}` : `${prefix[0] ?? ''}: ${failure}: ${output}`);
      }
      return output === '' ? undefined : output;
    } finally {
      this.#pending.delete(id);
      signal.removeEventListener('abort', cancel);
    }
  }

  async close(): Promise<void> {
    const thread = this.#thread;
    if (thread === undefined) return;
    this.#thread = undefined;
    const stopped = new Promise<void>((resolve) => {
      thread.on('message', ({ kind }: CommandAnswer) => {
        if (kind === 'stopped') resolve();
      });
      thread.once('exit', () => {
        resolve();
      });
    });
    thread.postMessage({ kind: 'stop' } satisfies CommandRequest);
    await stopped;
    await thread.terminate();
  }

  #start(): Worker {
    const thread = new Worker(new URL('./command-thread.js', import.meta.url), {
      workerData: { leftForMs: COMMAND_TIME_MS } satisfies CommandThreadData,
    });
    thread.on('message', (answer: CommandAnswer) => {
      if (answer.kind === 'ended') this.#pending.get(answer.id)?.resolve(answer.end);
    });
    thread.once('error', (error) => {
      // The next run starts another one.
      if (this.#thread === thread) this.#thread = undefined;
      const reason = new Error(`the thread that runs commands has ended: ${messageOf(error)}`);
      for (const { reject } of this.#pending.values()) reject(reason);
    });
    return thread;
  }
}
