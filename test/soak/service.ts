import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { eventually } from '../support/eventually.js';
import { descendantsOf, isAlive, processesMarked, type ProcessInfo, signal } from '../support/processes.js';
import { type LogLine, PROGRAM, SersyncProcess } from '../support/sersync-process.js';

const START_MS = 60_000;
const END_MS = 30_000;

export interface ServiceOptions {
  /** Where the state directory and the control files are made. */
  readonly directory: string;
  readonly config: string;
  /** `NAME=value`, in the environment of the service and of all that it starts. */
  readonly mark: string;
  /** Runs in a user namespace of its own, with limits and rights of its own. */
  readonly hasNamespace: boolean;
}

/** A place in what the service said. */
export interface LogPosition {
  readonly process: SersyncProcess | undefined;
  readonly line: number;
}

/** The built program under test, over all its ends and starts. */
export class Service {
  readonly stateDirectory: string;
  /** See inside.mjs. */
  readonly control: string;
  readonly #processes: SersyncProcess[] = [];
  #expectsEnd = false;

  constructor(private readonly options: ServiceOptions) {
    this.stateDirectory = join(options.directory, 'state');
    this.control = join(options.directory, 'control');
    for (const directory of [this.stateDirectory, this.control]) mkdirSync(directory, { recursive: true, mode: 0o700 });
  }

  get isRunning(): boolean {
    return this.#current?.hasEnded === false;
  }

  /** Fails when the service is not running. */
  get pid(): number {
    if (this.#current?.hasEnded !== false) throw new Error('sersync is not running');
    return this.#current.pid;
  }

  /** Resolves once it watches and has noted what it was asked for. `args` stand before `-o`. */
  async start(args: readonly string[]): Promise<void> {
    const [name, value] = this.options.mark.split('=') as [string, string];
    const prefix = this.options.hasNamespace ? ['unshare', '--user', '--map-root-user'] : [];
    const [command, ...rest] = [...prefix, process.execPath, PROGRAM, ...args, '-o', this.options.config];
    const child = spawn(command, rest, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...process.env,
        [name]: value,
        SERSYNC_STATE_DIR: this.stateDirectory,
        SERSYNC_SOAK_CONTROL: this.control,
        NODE_OPTIONS: `--import=${new URL('inside.mjs', import.meta.url).href}`,
      },
    });
    this.#expectsEnd = false;
    const started = new SersyncProcess(child, this.stateDirectory);
    this.#processes.push(started);
    // Before that a `-r` may be forgotten with the process.
    await started.waitForLog('service:started', {}, START_MS);
  }

  /** SIGKILL at this moment. */
  async kill(): Promise<void> {
    this.#expectsEnd = true;
    const ending = await this.#current!.stop('SIGKILL', END_MS);
    if (ending.signal !== 'SIGKILL')
      throw new Error(`sersync ended by itself (${JSON.stringify(ending)}):\n${this.tail(50)}`);
  }

  /** SIGTERM; fails when the service does not end in time, or not with 0. */
  async stop(): Promise<void> {
    this.#expectsEnd = true;
    const ending = await this.#current!.stop('SIGTERM', END_MS);
    if (ending.code !== 0)
      throw new Error(`sersync ended with ${JSON.stringify(ending)} on SIGTERM:\n${this.tail(50)}`);
  }

  /** Fails when the service ended and nobody had asked it to. */
  expectAlive(): void {
    if (this.isRunning || this.#expectsEnd) return;
    throw new Error(`sersync ended by itself:\n${this.tail(50)}`);
  }

  /** The rsync processes that it runs now. */
  rsyncs(): ProcessInfo[] {
    return this.isRunning ? descendantsOf(this.pid).filter((info) => info.command === 'rsync') : [];
  }

  /** Where the log ends now. */
  position(): LogPosition {
    return { process: this.#current, line: this.#current?.log.length ?? 0 };
  }

  /** What was logged since, also by processes that were started since. */
  logSince(position: LogPosition): LogLine[] {
    const first = position.process === undefined ? 0 : this.#processes.indexOf(position.process);
    return this.#processes
      .slice(first)
      .flatMap((one) => (one === position.process ? one.log.slice(position.line) : one.log));
  }

  /** The last of what was said, by all processes. */
  tail(lines: number): string {
    const said = this.#processes.flatMap((one) => [
      `--- pid ${one.pid}`,
      ...one.log.map((line) => JSON.stringify(line)),
      ...one.plainLines,
      ...one.stderr.split('\n').filter((line) => line !== ''),
    ]);
    return said.slice(-lines).join('\n');
  }

  /** Lets go of what was said long ago: a run of hours would fill the memory with it. Positions taken before are void. */
  forget(): void {
    const KEPT = 2_000;
    this.#processes.splice(0, Math.max(0, this.#processes.length - 3));
    for (const one of this.#processes) one.log.splice(0, Math.max(0, one.log.length - KEPT));
  }

  /** What still runs and was started by the service, also when its parent is gone. Resolves when nothing does. */
  async expectNothingLeft(): Promise<void> {
    const left = (): ProcessInfo[] => processesMarked(this.options.mark).filter((info) => isAlive(info.pid));
    await eventually(
      () => left().length === 0,
      { withinMs: 5_000 },
      () =>
        `left behind: ${left()
          .map((info) => `${info.command} ${info.pid}`)
          .join(', ')}`,
    );
  }

  /** Ends all of it, at once. */
  destroy(): void {
    this.#expectsEnd = true;
    for (const info of processesMarked(this.options.mark)) signal(info.pid, 'SIGKILL');
  }

  get #current(): SersyncProcess | undefined {
    return this.#processes.at(-1);
  }
}
