import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { eventually } from './eventually.js';
import { descendantsOf, processesAt, processesMarked, type ProcessInfo, signal } from './processes.js';
import { freePort, type RsyncDaemon, type RsyncDaemonOptions, startRsyncDaemon } from './rsync-daemon.js';
import { type SersyncOptions, type SersyncProcess, startSersync } from './sersync-process.js';
import { TcpProxy } from './tcp-proxy.js';
import { type TreeComparison, untilSameTree } from './trees.js';
import { type ConfigOptions, writeConfig } from './write-config.js';

export type StartOptions = Partial<ConfigOptions> &
  Pick<SersyncOptions, 'args' | 'env'> & {
    /** Go on as soon as the process runs; default is to wait until every directory is watched. */
    readonly dontWait?: boolean;
  };

/**
 * What a system test works with: a directory in memory with a source, rsync daemons and sersync processes. Closing it
 * ends and removes them all, and fails when the program left a process behind.
 */
export class TestBench {
  readonly directory: string;
  readonly source: string;
  readonly daemons: RsyncDaemon[] = [];
  readonly #mark = `SERSYNC_TEST_BENCH=${randomUUID()}`;
  readonly #started: SersyncProcess[] = [];
  readonly #verified = new Set<string>();
  readonly #releases: (() => void | Promise<void>)[] = [];

  /** `where`: default is in memory, so that nothing waits for a disk. */
  constructor(name: string, where = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()) {
    this.directory = realpathSync(mkdtempSync(join(where, `sersync-${name}-`)));
    this.source = this.path('source');
    mkdirSync(this.source);
  }

  /** A path in the bench's directory, next to the source. */
  path(...parts: readonly string[]): string {
    return join(this.directory, ...parts);
  }

  get failLog(): string {
    return this.path('fail-log.sh');
  }

  /** The program that was started last. */
  get startedLast(): SersyncProcess {
    const started = this.#started.at(-1);
    if (started === undefined) throw new Error('nothing was started');
    return started;
  }

  get remotes(): string[] {
    return this.daemons.map((daemon) => daemon.path());
  }

  /** Starts daemons on one port, each at a loopback address of its own, as one `<userDefinedPort>` needs. */
  async startDaemons(count: number, options: Partial<RsyncDaemonOptions> = {}): Promise<RsyncDaemon[]> {
    const addresses = Array.from({ length: count }, (_, index) => `127.0.0.${index + 1}`);
    const port = options.port ?? (await freePort(addresses));
    for (const [index, address] of addresses.entries()) {
      const directory = this.path(`remote-${index + 1}`);
      const daemon = await startRsyncDaemon({ ...options, address, port, directory });
      this.daemons.push(daemon);
      this.onClose(() => daemon.stop());
    }
    return this.daemons;
  }

  /** How the log names a remote. */
  remoteName(daemon: RsyncDaemon): string {
    return `${daemon.address}:${daemon.port}::${daemon.moduleNames[0]!}`;
  }

  /** Writes a confxml.xml for the source and the daemons, and returns its path. */
  writeConfig(options: Partial<ConfigOptions> = {}): string {
    const file = this.path('confxml.xml');
    const port = this.daemons[0]?.port;
    writeConfig(file, {
      watch: this.source,
      remotes: this.daemons.map((daemon) => ({ ip: daemon.address, name: daemon.moduleNames[0]! })),
      failLog: this.failLog,
      ...(port === undefined ? {} : { port }),
      ...options,
    });
    return file;
  }

  /** A wire to the daemon that can be slowed down, cut and counted; it goes with the bench. */
  async startProxy(daemon: RsyncDaemon, address: string): Promise<TcpProxy> {
    const proxy = new TcpProxy({ address, port: await freePort([address]) }, daemon);
    await proxy.listen();
    this.onClose(() => {
      proxy.close();
    });
    return proxy;
  }

  /** Starts the program on the source and the daemons, with -r; resolves once it watches. */
  async startSersync({ args, env, dontWait, ...config }: StartOptions = {}): Promise<SersyncProcess> {
    const sersync = this.spawnSersync({
      config: this.writeConfig(config),
      ...(args === undefined ? {} : { args }),
      ...(env === undefined ? {} : { env }),
    });
    if (dontWait !== true) await sersync.waitForLog('watch:ready', {}, 30_000);
    return sersync;
  }

  /** Starts the program with -r; resolves once every remote equals the source and no resync is under way any more. */
  async startSynced({
    isExcluded,
    ...options
  }: StartOptions & Pick<TreeComparison, 'isExcluded'> = {}): Promise<SersyncProcess> {
    const sersync = await this.startSersync(options);
    for (const daemon of this.daemons) {
      await sersync.waitForLog('resync:finished', { remote: this.remoteName(daemon) }, 60_000);
    }
    await this.untilSame({ withinMs: 10_000, ...(isExcluded === undefined ? {} : { isExcluded }) });
    return sersync;
  }

  /** Starts the program as told, with a state directory of its own. */
  spawnSersync(options: Omit<SersyncOptions, 'stateDirectory'>): SersyncProcess {
    const sersync = startSersync({
      ...options,
      stateDirectory: this.path('state'),
      env: { ...options.env, SERSYNC_TEST_BENCH: this.#mark.split('=')[1]! },
    });
    this.#started.push(sersync);
    return sersync;
  }

  /** Every remote is what the source is. */
  async untilSame(options: TreeComparison & { readonly withinMs: number; readonly remotes?: readonly string[] }) {
    const { remotes = this.remotes, ...comparison } = options;
    try {
      return await untilSameTree(this.source, remotes, { verified: this.#verified, ...comparison });
    } catch (error) {
      const said = this.#started.map((sersync) => sersync.transcript()).join('\n');
      throw new Error(`${(error as Error).message}\nsersync said:\n${said}`, { cause: error });
    }
  }

  /** What still runs and was started by the program under test, also when its parent is gone. */
  leftProcesses(): string[] {
    return this.#strangers().map((info) => `${info.command} ${info.pid}`);
  }

  /** Registers what has to be undone; done in reverse order. */
  onClose(release: () => void | Promise<void>): void {
    this.#releases.push(release);
  }

  /** Ends everything. Fails when the program does not end on SIGTERM, or a process of it is left. */
  async close(): Promise<void> {
    const problems: unknown[] = [];
    for (const sersync of this.#started) await collect(problems, () => sersync.stop());
    await collect(problems, () => this.#expectNothingLeft());
    for (const info of this.#strangers()) signal(info.pid, 'SIGKILL');
    for (const release of this.#releases.reverse()) await collect(problems, release);
    rmSync(this.directory, { recursive: true, force: true });
    if (problems.length > 0) throw new AggregateError(problems, problems.map(String).join('\n'));
  }

  async #expectNothingLeft(): Promise<void> {
    await eventually(
      () => this.leftProcesses().length === 0,
      { withinMs: 2_000 },
      () => `left behind: ${this.leftProcesses().join(', ')}`,
    );
  }

  #strangers(): ProcessInfo[] {
    const running = this.#started.filter((sersync) => !sersync.hasEnded).map((sersync) => sersync.pid);
    const daemons = this.daemons.map((daemon) => daemon.pid).filter((pid) => pid !== undefined);
    const known = new Set([...running, ...daemons, ...daemons.flatMap((pid) => descendantsOf(pid).map(pidOf))]);
    const found = [...processesMarked(this.#mark), ...processesAt(this.directory)];
    const unknown = new Map(found.filter(({ pid }) => !known.has(pid)).map((info) => [info.pid, info]));
    return [...unknown.values()];
  }
}

function pidOf(info: ProcessInfo): number {
  return info.pid;
}

async function collect(problems: unknown[], action: () => unknown): Promise<void> {
  try {
    await action();
  } catch (error) {
    problems.push(error);
  }
}
