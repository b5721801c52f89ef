import { randomUUID } from 'node:crypto';
import { join } from 'node:path';

import { processesMarked, signal } from '../../support/processes.js';
import { type LogLine, type SersyncProcess, startSersync } from '../../support/sersync-process.js';
import { askStatus } from '../../support/sersync-status.js';
import { type ConfigOptions, writeConfig } from '../../support/write-config.js';
import type { Contestant, Running, Started, Task } from '../contestant.js';
import type { Deadline } from '../deadline.js';

const END_MS = 20_000;

export const sersync: Contestant = {
  name: 'sersync',
  description:
    'this program (dist/main.js -r), conf/confxml.xml as shipped but for paths and params: `-a`, as the limit has it (shipped is `-artuz`, which also compresses, and leaves a target that is newer)',
  watches: true,
  warmsUp: true,
  unavailable: () => undefined,
  start: (task) => new Service(task, {}),
};

export const sersyncCold: Contestant = {
  name: 'sersync-cold',
  description: 'the same with `<standby>` off',
  watches: true,
  warmsUp: true,
  unavailable: () => undefined,
  start: (task) => new Service(task, { standby: false }),
};

class Service implements Running {
  readonly #task: Task;
  readonly #process: SersyncProcess;
  readonly #mark = randomUUID();
  readonly #beganAt = performance.now();

  constructor(task: Task, options: Partial<ConfigOptions>) {
    const config = join(task.directory, 'confxml.xml');
    writeConfig(config, {
      watch: task.source,
      remotes: task.remotes.map(({ address, name }) => ({ ip: address, name })),
      port: task.remotes[0]!.port,
      params: task.bwlimit === undefined ? '-a' : `-a --bwlimit=${task.bwlimit}`,
      failLog: join(task.directory, 'fail-log.sh'),
      ...(task.ssh === undefined ? {} : { ssh: true }),
      ...options,
    });
    this.#task = task;
    this.#process = startSersync({
      config,
      stateDirectory: join(task.directory, 'state'),
      env: { SERSYNC_BENCH: this.#mark, ...(task.ssh === undefined ? {} : { PATH: task.ssh.clientPath }) },
    });
  }

  get pids(): number[] {
    return [this.#process.pid];
  }

  async started(deadline: Deadline): Promise<Started> {
    await this.#process.waitForLog('watch:ready', {}, deadline.leftMs);
    const watchingAfterMs = performance.now() - this.#beganAt;
    const resyncOf = (address: string): LogLine | undefined =>
      this.#process.events('resync:finished').find(({ remote }) => isOf(remote, address));
    for (const { address } of this.#task.remotes) {
      await deadline.until(() => resyncOf(address) !== undefined, `the first resync of ${address}`, 20);
    }
    const inSyncAfterMs = performance.now() - this.#beganAt;
    const resyncMs = Math.max(...this.#task.remotes.map(({ address }) => Number(resyncOf(address)?.['durationMs'])));
    return { watchingAfterMs, inSyncAfterMs, resyncMs };
  }

  push(): Promise<void> {
    return Promise.resolve();
  }

  async longestStallMs(): Promise<number> {
    return (await askStatus(this.#process.stateDirectory)).eventLoop.maxStallMs;
  }

  expectAlive(): void {
    if (this.#process.hasEnded) throw new Error('it has ended by itself');
  }

  transcript(): string {
    return this.#process.transcript();
  }

  /** By SIGTERM; at once when it does not hear, and with it whatever it has left. */
  async stop(): Promise<void> {
    try {
      await this.#process.stop('SIGTERM', END_MS);
    } finally {
      for (const { pid } of processesMarked(`SERSYNC_BENCH=${this.#mark}`)) signal(pid, 'SIGKILL');
    }
  }
}

/** A log names a remote by address, port and module. */
function isOf(remote: unknown, address: string): boolean {
  return typeof remote === 'string' && remote.split(':')[0] === address;
}
