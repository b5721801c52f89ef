import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';

import { eventually } from './eventually.js';
import { descendantsOf, processInfo, type ProcessInfo, signal } from './processes.js';

/** `dist/main.js` as built, or of the folder that SERSYNC_DIST names. */
export const PROGRAM = join(process.env['SERSYNC_DIST'] ?? resolve(import.meta.dirname, '../../dist'), 'main.js');

export interface LogLine {
  readonly level: string;
  readonly event: string;
  readonly [field: string]: unknown;
}

export interface SersyncOptions {
  /** The confxml.xml; given as `-o`. */
  readonly config?: string;
  /** Before `-o`. Default: `-r`. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly stateDirectory: string;
  readonly cwd?: string;
}

export interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** The program as a process, with everything it says. */
export class SersyncProcess {
  readonly log: LogLine[] = [];
  /** What was said and is no log line. */
  readonly plainLines: string[] = [];
  stderr = '';
  #rest = '';
  #ending: Promise<Ending>;

  constructor(
    private readonly child: ChildProcess,
    readonly stateDirectory: string,
  ) {
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      this.#read(text);
    });
    child.stderr!.setEncoding('utf8').on('data', (text: string) => (this.stderr += text));
    this.#ending = once(child, 'close').then(([code, name]) => ({
      code: code as number | null,
      signal: name as NodeJS.Signals | null,
    }));
  }

  get pid(): number {
    return this.child.pid!;
  }

  get hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  /** Resolves when the process has ended and everything it said was read. */
  get ended(): Promise<Ending> {
    return this.#ending;
  }

  /** Log lines of one event. */
  events(event: string, matches: Partial<LogLine> = {}): LogLine[] {
    return this.log.filter(
      (line) => line.event === event && Object.entries(matches).every(([key, value]) => line[key] === value),
    );
  }

  /** The first such line, past or to come. */
  async waitForLog(event: string, matches: Partial<LogLine> = {}, withinMs = 10_000): Promise<LogLine> {
    return eventually(
      () => {
        const found = this.events(event, matches)[0];
        if (found === undefined && this.hasEnded)
          throw new Error(`sersync ended before ${event}:\n${this.transcript()}`);
        return found;
      },
      { withinMs, everyMs: 5 },
      () => `no log line ${event} ${JSON.stringify(matches)}:\n${this.transcript()}`,
    );
  }

  /** Sends a signal and waits for the end. */
  async stop(name: NodeJS.Signals = 'SIGTERM', withinMs = 30_000): Promise<Ending> {
    if (!this.hasEnded) signal(this.pid, name);
    await eventually(
      () => this.hasEnded,
      { withinMs },
      () => `sersync still runs after ${name}:\n${this.transcript()}`,
    );
    return this.#ending;
  }

  /** CPU time of the process, of its children that ended, and of those that live. */
  cpuMs(): number {
    const self = processInfo(this.pid);
    if (self === undefined) throw new Error('sersync has ended');
    return descendantsOf(this.pid).reduce((sum, info) => sum + info.cpuMs, self.cpuMs);
  }

  residentBytes(): number {
    return processInfo(this.pid)?.residentBytes ?? 0;
  }

  /** The rsync processes that it runs now. */
  rsyncs(): ProcessInfo[] {
    return descendantsOf(this.pid).filter((info) => info.command === 'rsync');
  }

  /** The last of what it said. */
  transcript(): string {
    const lines = this.log.slice(-25).map((line) => JSON.stringify(line).slice(0, 400));
    return [...this.plainLines.slice(-10), ...lines, this.stderr.slice(-2000)].join('\n');
  }

  #read(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop()!;
    for (const line of lines) {
      const parsed = parseLogLine(line);
      if (parsed === undefined) this.plainLines.push(line);
      else this.log.push(parsed);
    }
  }
}

export function startSersync(options: SersyncOptions): SersyncProcess {
  mkdirSync(options.stateDirectory, { recursive: true });
  const args = [...(options.args ?? ['-r']), ...(options.config === undefined ? [] : ['-o', options.config])];
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    env: { ...process.env, SERSYNC_STATE_DIR: options.stateDirectory, ...options.env },
  });
  return new SersyncProcess(child, options.stateDirectory);
}

function parseLogLine(line: string): LogLine | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    const parsed = JSON.parse(line) as Partial<LogLine>;
    return typeof parsed.event === 'string' ? (parsed as LogLine) : undefined;
  } catch {
    // Not one of ours: kept as a plain line.
    return undefined;
  }
}
