import { randomUUID } from 'node:crypto';
import { join } from 'node:path';

import { processesOf, signal } from '../../support/processes.js';
import { type SersyncProcess, startSersync } from '../../support/sersync-process.js';
import { type ConfigOptions, writeConfig } from '../../support/write-config.js';
import type { Contestant, Running, Task } from '../contestant.js';
import type { Deadline } from '../deadline.js';

/**
 * What the configuration needs so that no rsync process waits for the next change. Undefined: this build has no such
 * attribute, and with and without it cannot be compared.
 */
function withoutStandby(): Partial<ConfigOptions> | undefined {
  return undefined;
}

const END_MS = 20_000;

export const sersync: Contestant = {
  name: 'sersync',
  description:
    'this program (dist/main.js -r), conf/confxml.xml as shipped but for paths and params: `-artz`, since with the shipped `-artuz` a target that is newer stays',
  watches: true,
  unavailable: () => undefined,
  start: (task, deadline) => Service.start(task, deadline, {}),
};

export const sersyncCold: Contestant = {
  name: 'sersync-cold',
  description: 'the same without the rsync processes that stand by',
  watches: true,
  unavailable: () =>
    withoutStandby() === undefined ? 'this build has no attribute that turns the standby off' : undefined,
  start: (task, deadline) => Service.start(task, deadline, withoutStandby() ?? {}),
};

class Service implements Running {
  private constructor(
    private readonly process: SersyncProcess,
    private readonly mark: string,
    readonly watchingAfterMs: number,
  ) {}

  static async start(task: Task, deadline: Deadline, options: Partial<ConfigOptions>): Promise<Service> {
    const config = join(task.directory, 'confxml.xml');
    writeConfig(config, {
      watch: task.source,
      remotes: task.remotes.map(({ address, name }) => ({ ip: address, name })),
      port: task.remotes[0]!.port,
      params: task.bwlimit === undefined ? '-artz' : `-artz --bwlimit=${task.bwlimit}`,
      failLog: join(task.directory, 'fail-log.sh'),
      ...(task.ssh === undefined ? {} : { ssh: true }),
      ...options,
    });
    const mark = randomUUID();
    const begin = performance.now();
    const started = startSersync({
      config,
      stateDirectory: join(task.directory, 'state'),
      env: { SERSYNC_BENCH: mark, ...(task.ssh === undefined ? {} : { PATH: task.ssh.clientPath }) },
    });
    try {
      await started.waitForLog('watch:ready', {}, deadline.leftMs);
      const watchingAfterMs = performance.now() - begin;
      for (const remote of task.remotes) {
        await deadline.until(
          () => started.events('resync:finished').some((line) => isOf(line['remote'], remote.address)),
          `the first resync of ${remote.address}`,
          20,
        );
      }
      return new Service(started, mark, watchingAfterMs);
    } catch (error) {
      await endProcess(started, mark);
      throw error;
    }
  }

  get pids(): number[] {
    return [this.process.pid];
  }

  push(): Promise<void> {
    return Promise.resolve();
  }

  expectAlive(): void {
    if (this.process.hasEnded) throw new Error('it has ended by itself');
  }

  transcript(): string {
    return this.process.transcript();
  }

  async stop(): Promise<void> {
    await endProcess(this.process, this.mark);
  }
}

/** A log names a remote by address, port and module. */
function isOf(remote: unknown, address: string): boolean {
  return typeof remote === 'string' && remote.split(':')[0] === address;
}

/** By SIGTERM; at once when it does not hear, and with it whatever it has left. */
async function endProcess(started: SersyncProcess, mark: string): Promise<void> {
  try {
    await started.stop('SIGTERM', END_MS);
  } finally {
    for (const { pid } of processesOf(`SERSYNC_BENCH=${mark}`, '/nowhere')) signal(pid, 'SIGKILL');
  }
}
