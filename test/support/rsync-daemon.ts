import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';

import { eventually } from './eventually.js';
import { descendantsOf, freezeFamily, isAlive, signal } from './processes.js';

export interface RsyncModuleOptions {
  readonly name: string;
  /** Default: a new directory of that name below the daemon's. */
  readonly path?: string;
  /** More lines of the module's section, as in rsyncd.conf(5). They win over what the daemon gives. */
  readonly settings?: Readonly<Record<string, string>>;
}

export interface RsyncDaemonOptions {
  /** Where its configuration, log and modules live. Made when missing. */
  readonly directory: string;
  /** Default: one module, `backup`. */
  readonly modules?: readonly (string | RsyncModuleOptions)[];
  /** A loopback address. Several daemons on one port, as one confxml.xml needs, have each its own. */
  readonly address?: string;
  /** Default: one that is free. */
  readonly port?: number;
  readonly useChroot?: boolean;
  readonly readOnly?: boolean;
  readonly maxConnections?: number;
  /** Users and passwords; without, everybody may come in. */
  readonly secrets?: Readonly<Record<string, string>>;
  readonly uid?: string;
  readonly gid?: string;
}

/** A real `rsync --daemon` on loopback. Its modules are directories that a test can look into. */
export class RsyncDaemon {
  #listener: ChildProcess | undefined;

  constructor(
    readonly address: string,
    readonly port: number,
    private readonly directory: string,
    private readonly modulePaths: ReadonlyMap<string, string>,
  ) {}

  get pid(): number | undefined {
    return this.#listener?.pid;
  }

  /** The directory of a module; of the only one when no name is given. */
  path(module?: string): string {
    const name = module ?? this.moduleNames[0]!;
    const path = this.modulePaths.get(name);
    if (path === undefined) throw new Error(`no module ${name} in ${this.moduleNames.join(', ')}`);
    return path;
  }

  get moduleNames(): string[] {
    return [...this.modulePaths.keys()];
  }

  /** As rsync wants it on its command line. */
  url(module?: string): string {
    return `rsync://${this.address}:${this.port}/${module ?? this.moduleNames[0]!}`;
  }

  /** Resolves when it accepts connections. Idempotent. */
  async start(): Promise<void> {
    if (this.#listener !== undefined) return;
    const listener = spawn('rsync', ['--daemon', '--no-detach', `--config=${join(this.directory, 'rsyncd.conf')}`], {
      stdio: ['ignore', 'ignore', 'pipe'],
      // Not ours: a leak check looks for what the tested program leaves.
      env: { PATH: process.env['PATH'], LANG: 'C.UTF-8' },
    });
    this.#listener = listener;
    let complaints = '';
    listener.stderr.on('data', (chunk: Buffer) => (complaints += chunk.toString()));
    await eventually(
      async () => {
        if (listener.exitCode !== null) throw new Error(`rsync --daemon ended: ${complaints}${this.log().slice(-500)}`);
        return (await accepts(this.address, this.port)) || undefined;
      },
      { withinMs: 10_000 },
      () => `rsync --daemon accepts no connection on ${this.address}:${this.port}: ${complaints}`,
    );
  }

  /** Ends the listener and every transfer. Connections are refused from then on. Idempotent. */
  async stop(): Promise<void> {
    const listener = this.#listener;
    if (listener === undefined) return;
    this.#listener = undefined;
    const ended = listener.exitCode === null && listener.signalCode === null ? once(listener, 'exit') : undefined;
    const family = freezeFamily(listener.pid!);
    for (const pid of family) signal(pid, 'SIGKILL');
    await ended;
    await eventually(
      () => !family.some(isAlive),
      { withinMs: 5_000 },
      () => `rsync --daemon ${family.join(', ')} is still there after SIGKILL`,
    );
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  /** From now on the port accepts connections (the kernel does) and nobody answers; transfers stand still. */
  freeze(): void {
    freezeFamily(this.#pid());
  }

  thaw(): void {
    const pid = this.#pid();
    for (const one of [pid, ...descendantsOf(pid).map((info) => info.pid)]) signal(one, 'SIGCONT');
  }

  log(): string {
    const file = join(this.directory, 'rsyncd.log');
    return existsSync(file) ? readFileSync(file, 'latin1') : '';
  }

  /** How many connections clients made, without the ones by which `start` waits. */
  connections(): number {
    return this.log().split(/ (?:rsync to|rsync on|unknown module|auth failed on module|max connections) /).length - 1;
  }

  /** Names of files and links whose content or target was received, relative to the module, in order; bytes as latin1. */
  sentNames(): string[] {
    return [...this.log().matchAll(/ recv \d+ [<>ch.][fLDS]\S* (.*)$/gm)].map((match) => unescape(match[1]!));
  }

  /** Forgets what was logged. */
  clearLog(): void {
    writeFileSync(join(this.directory, 'rsyncd.log'), '');
  }

  #pid(): number {
    const pid = this.#listener?.pid;
    if (pid === undefined) throw new Error('the rsync daemon is not running');
    return pid;
  }
}

/** Resolves when it accepts connections. */
export async function startRsyncDaemon(options: RsyncDaemonOptions): Promise<RsyncDaemon> {
  const address = options.address ?? '127.0.0.1';
  const port = options.port ?? (await freePort([address]));
  const modules = (options.modules ?? ['backup']).map((module) =>
    typeof module === 'string' ? { name: module } : module,
  );
  const paths = new Map(modules.map((module) => [module.name, module.path ?? join(options.directory, module.name)]));
  mkdirSync(options.directory, { recursive: true });
  for (const path of paths.values()) mkdirSync(path, { recursive: true });
  appendFileSync(join(options.directory, 'rsyncd.log'), '');
  writeFileSync(join(options.directory, 'rsyncd.conf'), rsyncdConf(options, address, port, modules, paths));
  const daemon = new RsyncDaemon(address, port, options.directory, paths);
  await daemon.start();
  return daemon;
}

/** A port on which nobody listens at any of the addresses. */
export async function freePort(addresses: readonly string[]): Promise<number> {
  for (;;) {
    const port = await boundPort(addresses[0]!, 0);
    const others = await Promise.all(addresses.slice(1).map((address) => boundPort(address, port!)));
    if (port !== undefined && others.every((bound) => bound === port)) return port;
  }
}

function rsyncdConf(
  options: RsyncDaemonOptions,
  address: string,
  port: number,
  modules: readonly RsyncModuleOptions[],
  paths: ReadonlyMap<string, string>,
): string {
  const lines = [
    `address = ${address}`,
    `port = ${port}`,
    `log file = ${join(options.directory, 'rsyncd.log')}`,
    `lock file = ${join(options.directory, 'rsyncd.lock')}`,
    'reverse lookup = no',
    `use chroot = ${yesOrNo(options.useChroot ?? true)}`,
    'munge symlinks = no',
    `read only = ${yesOrNo(options.readOnly ?? false)}`,
    `uid = ${options.uid ?? 'root'}`,
    `gid = ${options.gid ?? 'root'}`,
    'transfer logging = yes',
    'log format = %o %l %i %f',
    ...(options.maxConnections === undefined ? [] : [`max connections = ${options.maxConnections}`]),
    ...(options.secrets === undefined ? [] : secretsLines(options.directory, options.secrets)),
  ];
  const sections = modules.map((module) =>
    [
      `[${module.name}]`,
      `path = ${paths.get(module.name)!}`,
      ...Object.entries(module.settings ?? {}).map(([key, value]) => `${key} = ${value}`),
    ].join('\n'),
  );
  return `${[...lines, ...sections].join('\n')}\n`;
}

function secretsLines(directory: string, secrets: Readonly<Record<string, string>>): string[] {
  const file = join(directory, 'rsyncd.secrets');
  const lines = Object.entries(secrets).map(([user, password]) => `${user}:${password}\n`);
  writeFileSync(file, lines.join(''), { mode: 0o600 });
  return [`auth users = ${Object.keys(secrets).join(' ')}`, `secrets file = ${file}`];
}

function yesOrNo(value: boolean): string {
  return value ? 'yes' : 'no';
}

/** rsync 3.5.0 writes control and high bytes of names as `\#ooo`, 3.2.7 as they are (a line break there ends the name). */
function unescape(name: string): string {
  return name.replace(/\\#(\d{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/** Whether somebody listens there. */
export async function accepts(address: string, port: number): Promise<boolean> {
  const socket = connect(port, address);
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    // Refused: nobody listens yet.
    return false;
  } finally {
    socket.destroy();
  }
}

async function boundPort(address: string, port: number): Promise<number | undefined> {
  const server = createServer();
  try {
    server.listen(port, address);
    await once(server, 'listening');
    const bound = server.address();
    server.close();
    await once(server, 'close');
    return typeof bound === 'object' && bound !== null ? bound.port : undefined;
  } catch {
    // Taken at this address.
    return undefined;
  }
}
