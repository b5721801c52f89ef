/**
 * No two services on one state directory, one watched directory or one fail log: they would undo each other's work.
 *
 * On Linux each of them is an abstract unix socket that the service listens at (unix(7)). The kernel gives a name to one
 * process only and takes it back when that process ends, however it ends, so that nothing is left behind and nothing in
 * a watched directory is kept open. Who finds a name taken asks there who has it. Such names belong to a network
 * namespace; a service in another one (a container that shares the state directory) answers at its control socket.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { realpathSync, statSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { basename, dirname, join } from 'node:path';
import { addAbortSignal } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { FailLogConfig, LocalPathConfig, PluginName } from '../config/config.js';
import { fromText } from '../core/relative-path.js';
import { messageOf, SersyncError, StartError } from '../errors.js';
import type { ServiceIdentity } from '../observe/control-socket.js';
import { identify } from '../transfer/source.js';
import { askService } from './control-client.js';

/** One thing that a service has for itself. */
export interface Claim {
  readonly kind: 'watch' | 'state' | 'faillog';
  /** Equal for what is the same on the disk, by whatever path. */
  readonly key: string;
  /** What the one who has it does: `watches /data/www`. */
  readonly use: string;
  /** What to do when somebody else has it. */
  readonly hint: string;
}

/** What of a configuration is locked. */
export interface LockedConfig {
  readonly localPaths: readonly Pick<LocalPathConfig, 'watch'>[];
  readonly failLog: Pick<FailLogConfig, 'path'>;
}

export interface InstanceLock {
  release(): Promise<void>;
}

const ANSWER_WITHIN_MS = 1_000;
/** How often a name is tried whose holder has gone when it is asked, and the pause between. */
const ATTEMPTS = 20;
const PAUSE_MS = 50;
/** Who asks, at the same time, who the holder is. */
const MAX_CLIENTS = 32;
/** sun_path in unix(7). */
const NAME_BYTES = 108;

/**
 * What a service with this configuration and state directory has for itself. A plugin that runs alone (`-m`) takes nothing
 * from a service that syncs the same directory. Throws a `StartError` when one is not there.
 */
export function claimsOf({ localPaths, failLog }: LockedConfig, stateDirectory: string, plugin?: PluginName): Claim[] {
  const stopFirst = 'stop that one first';
  const state: Claim = {
    kind: 'state',
    key: directoryKey(stateDirectory),
    use: `uses the state directory ${stateDirectory}`,
    hint: `${stopFirst}, or choose another directory: SERSYNC_STATE_DIR=DIR sersync ...`,
  };
  if (plugin !== undefined) {
    const plugins = localPaths.map(({ watch }): Claim => ({
      kind: 'watch',
      key: `${plugin} ${directoryKey(watch)}`,
      use: `runs the plugin ${plugin} for ${watch}`,
      hint: stopFirst,
    }));
    return [...plugins, state];
  }
  return [
    ...localPaths.map(({ watch }): Claim => ({
      kind: 'watch',
      key: directoryKey(watch),
      use: `watches ${watch}`,
      hint: `${stopFirst}, or put the remotes of both into one configuration`,
    })),
    state,
    {
      kind: 'faillog',
      key: fileKey(failLog.path),
      use: `writes the fail log ${failLog.path}`,
      hint: `${stopFirst}, or name another file: <failLog path="..."/>`,
    },
  ];
}

/**
 * Takes all claims or none. Throws `StartError` `SERSYNC_RUNNING` with the pid of the service that has one of them. Of
 * several that try at the same time one succeeds.
 */
export async function takeInstanceLock(
  claims: readonly Claim[],
  stateDirectory: string,
  identity: ServiceIdentity,
): Promise<InstanceLock> {
  const servers: Server[] = [];
  const lock: InstanceLock = {
    async release() {
      await Promise.all(servers.splice(0).map((server) => close(server)));
    },
  };
  try {
    if (hasAbstractSockets(process.platform, process.versions.node)) {
      for (const [name, claim] of inOrder(claims)) servers.push(await take(name, claim, identity));
    }
    await expectNoOther(stateDirectory);
    return lock;
  } catch (error) {
    await lock.release();
    throw error;
  }
}

/** Node binds the whole of an abstract name since 20.8 (nodejs/node pull request 49667); before, all names were one. */
export function hasAbstractSockets(platform: NodeJS.Platform, nodeVersion: string): boolean {
  const [major = 0, minor = 0] = nodeVersion.split('.').map(Number);
  return platform === 'linux' && (major > 20 || (major === 20 && minor >= 8));
}

/**
 * Each name once: two `<localpath>` may watch one directory. In one order for everybody: whoever has taken the first of
 * two names is the only one who asks for the second, so that two that start together do not refuse each other.
 */
function inOrder(claims: readonly Claim[]): [name: string, claim: Claim][] {
  const order = ['watch', 'state', 'faillog'].map((kind) =>
    claims.filter((claim) => claim.kind === kind).map((claim): [string, Claim] => [socketName(claim), claim]),
  );
  return order.flatMap((named) => [...new Map(named)].sort(([one], [other]) => (one < other ? -1 : 1)));
}

function socketName({ kind, key }: Claim): string {
  const hash = createHash('sha256').update(key).digest('hex').slice(0, 16);
  // Some versions of libuv fill the name up with NULs and others do not; a full one is the same for all.
  return `\0sersync/${kind}/${hash}`.padEnd(NAME_BYTES, '\0');
}

async function take(name: string, claim: Claim, identity: ServiceIdentity): Promise<Server> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    try {
      return await listen(name, identity);
    } catch (error) {
      if (codeOf(error) !== 'EADDRINUSE') throw cannotLock(claim, error);
    }
    const holder = await holderOf(name);
    if (holder !== 'gone') throw alreadyRunning(holder, claim);
    await delay(PAUSE_MS);
  }
  throw alreadyRunning('silent', claim);
}

/** Listens at a name and tells everybody who asks who we are. */
async function listen(name: string, identity: ServiceIdentity): Promise<Server> {
  const server = createServer((socket) => {
    // Whoever asked may have gone already.
    socket.on('error', () => undefined);
    socket.end(`${JSON.stringify(identity)}\n`);
    socket.destroySoon();
  });
  server.maxConnections = MAX_CLIENTS;
  server.listen(name);
  await once(server, 'listening');
  // Later errors are those of accepting: then nobody is told who we are, and the name is ours all the same.
  server.on('error', () => undefined);
  return server;
}

/** Who listens at a name; `gone`: nobody any more; `silent`: somebody who does not say who it is. */
async function holderOf(name: string): Promise<ServiceIdentity | 'gone' | 'silent'> {
  const socket = addAbortSignal(AbortSignal.timeout(ANSWER_WITHIN_MS), connect(name));
  try {
    let text = '';
    for await (const chunk of socket.setEncoding('utf8')) text += chunk as string;
    const { pid, config } = JSON.parse(text) as Partial<Record<keyof ServiceIdentity, unknown>>;
    return typeof pid === 'number' && typeof config === 'string' ? { pid, config } : 'silent';
  } catch (error) {
    return codeOf(error) === 'ECONNREFUSED' ? 'gone' : 'silent';
  } finally {
    socket.destroy();
  }
}

/** Asks at the control socket, which is seen from other network namespaces, too. */
async function expectNoOther(stateDirectory: string): Promise<void> {
  const use = `uses the state directory ${stateDirectory}`;
  const hint = 'stop that one first; it may run in a container that shares the directory';
  let holder: ServiceIdentity | 'silent';
  try {
    holder = await askService({ stateDirectory, hint }, 'identify', ANSWER_WITHIN_MS);
  } catch (error) {
    const code = error instanceof SersyncError ? error.code : undefined;
    if (code === 'SERSYNC_NOT_RUNNING') return;
    if (code !== 'SERSYNC_NO_ANSWER') throw error;
    holder = 'silent';
  }
  throw alreadyRunning(holder, { use, hint });
}

function alreadyRunning(holder: ServiceIdentity | 'silent', { use, hint }: Pick<Claim, 'use' | 'hint'>): StartError {
  const who =
    holder === 'silent'
      ? 'another process, which does not say who it is,'
      : `another sersync (pid ${holder.pid}, ${holder.config})`;
  const find = holder === 'silent' ? '; ss -xlp | grep sersync shows it' : '';
  return new StartError('SERSYNC_RUNNING', `${who} already ${use}`, hint + find);
}

function cannotLock({ use }: Claim, error: unknown): StartError {
  return new StartError(
    'SERSYNC_LOCK',
    `cannot make sure that no other sersync ${use}: ${messageOf(error).replaceAll('\0', '@').replace(/@+$/, '')}`,
    'allow the service to use unix sockets (AF_UNIX)',
    { cause: error },
  );
}

async function close(server: Server): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  await closed;
}

/**
 * Bind mounts of and links to one directory have one key. Its birth belongs to it where that is known: a disk that was
 * pulled leaves its number, and that of its root, to the next one.
 */
function directoryKey(directory: string): string {
  try {
    const { dev, ino } = statSync(directory, { bigint: true });
    return `${dev}:${identify(fromText(realpathSync(directory))) ?? ino}`;
  } catch (error) {
    throw new StartError('SERSYNC_START', `cannot look at ${directory}: ${messageOf(error)}`);
  }
}

/** The file need not exist; a directory that does not either is told by whoever writes the file. */
function fileKey(file: string): string {
  try {
    return join(realpathSync(dirname(file)), basename(file));
  } catch {
    return file;
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
