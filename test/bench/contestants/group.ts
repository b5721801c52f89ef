import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { eventually } from '../../support/eventually.js';
import { isAlive } from '../../support/processes.js';
import type { Running, Task } from '../contestant.js';

const END_MS = 10_000;
const SHOWN_CHARACTERS = 3_000;

/** A program that watches, with all that it starts in a process group of its own. */
export class WatchingGroup implements Running {
  private constructor(
    private readonly children: readonly ChildProcess[],
    private readonly logs: readonly string[],
  ) {}

  /** Starts a command for each list of words. What they say goes to files: a pipe would have to be read beside the measuring. */
  static start(commands: readonly (readonly [string, ...string[]])[], task: Task): WatchingGroup {
    const logs = commands.map((_, index) => join(task.directory, `log-${index + 1}`));
    const children = commands.map(([command, ...args], index) => {
      const log = openSync(logs[index]!, 'a');
      const env = { ...process.env, ...(task.ssh === undefined ? {} : { PATH: task.ssh.clientPath }) };
      const child = spawn(command, args, { stdio: ['ignore', log, log], detached: true, env });
      closeSync(log);
      return child;
    });
    return new WatchingGroup(children, logs);
  }

  get pids(): number[] {
    return this.children.map(({ pid }) => pid!);
  }

  push(): Promise<void> {
    return Promise.resolve();
  }

  expectAlive(): void {
    const ended = this.children.find(({ exitCode, signalCode }) => exitCode !== null || signalCode !== null);
    if (ended !== undefined) throw new Error(`it has ended by itself with ${ended.exitCode ?? ended.signalCode ?? ''}`);
  }

  transcript(): string {
    return this.logs.map((log) => readFileSync(log, 'utf8').slice(-SHOWN_CHARACTERS)).join('\n');
  }

  /** At once: what is left to be done is no business of the next one's turn. */
  async stop(): Promise<void> {
    for (const child of this.children) {
      const ended = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : undefined;
      killGroup(child.pid!);
      await ended;
    }
    await eventually(
      () => !this.pids.some(isAlive),
      { withinMs: END_MS },
      () => `${this.pids.join(', ')} are still there after SIGKILL`,
    );
  }
}

function killGroup(leader: number): void {
  try {
    process.kill(-leader, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
