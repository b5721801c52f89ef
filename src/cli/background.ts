import { fork, type ChildProcess } from 'node:child_process';
import { messageOf } from '../errors.js';

/** What the service says once its watch is up. */
export interface ReadyInfo {
  readonly pid: number;
  readonly logPath: string;
  readonly statePath: string;
}

export interface BackgroundStart {
  /** The program's main file, started again with the same arguments. */
  readonly program: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly print: (text: string) => void;
  readonly printError: (text: string) => void;
}

/** Tells the child that it is the one in the background: `isBackgroundChild`. */
const MARK = 'SERSYNC_BACKGROUND_CHILD';

/** What the child tells its parent, once. */
type ChildMessage = { readonly ready: ReadyInfo } | { readonly failed: string };

/** How much of what the child says on stderr is kept for the case that it fails without a message. */
const MAX_STDERR = 64 * 1024;

/**
 * `-d`: starts the program again in a session of its own, waits until it reports, prints where it is, and gives the
 * exit code of the parent: 0 when the service runs, 1 when it does not. Nothing of the child is left open then.
 */
export async function startInBackground(start: BackgroundStart): Promise<number> {
  const child = fork(start.program, start.args, {
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    env: { ...start.env, [MARK]: '1' },
  });
  const takeBack = stopTogether(child);
  const outcome = await outcomeOf(child);
  takeBack();
  release(child);
  if ('failed' in outcome) {
    start.printError(`${outcome.failed.trimEnd()}\n`);
    return 1;
  }
  const { pid, logPath, statePath } = outcome.ready;
  start.print(
    `sersync runs in the background 已在后台运行\n  pid    ${pid}\n  log    ${logPath}\n  state  ${statePath}\n`,
  );
  return 0;
}

/** Whether this process is the one that `startInBackground` started. */
export function isBackgroundChild(env: NodeJS.ProcessEnv, channel: ParentChannel): boolean {
  return env[MARK] !== undefined && channel.send !== undefined;
}

/** In a container the service is the container: it stays in the foreground, its log on stdout. */
export function isContainer(env: NodeJS.ProcessEnv, pid: number): boolean {
  const mark = env['SERSYNC_CONTAINER'] ?? '';
  return pid === 1 || (mark !== '' && mark !== '0' && mark !== 'false');
}

/** The way from the child to its parent: `process`. */
export interface ParentChannel {
  readonly connected?: boolean;
  readonly stderr?: { on(event: 'error', listener: () => void): unknown };
  send?(message: unknown, callback: (error: Error | null) => void): unknown;
  disconnect?(): void;
}

/** The child's side: the watch is up. Resolves when it is said; a parent that is gone is no failure. */
export function reportReady(info: ReadyInfo, channel: ParentChannel): Promise<void> {
  return report({ ready: info }, channel);
}

/** The child's side: the start failed; `text` is for the person who started it. The child ends itself afterwards. */
export function reportFailure(text: string, channel: ParentChannel): Promise<void> {
  return report({ failed: text }, channel);
}

async function report(message: ChildMessage, channel: ParentChannel): Promise<void> {
  if (channel.send === undefined || channel.connected !== true) return;
  // The parent reads our stderr until it ends. What is written there later is lost, as with any terminal that was
  // closed, but must not end the service with EPIPE.
  channel.stderr?.on('error', () => undefined);
  await new Promise<void>((resolve) => {
    channel.send?.(message, () => {
      // An error means that the parent was ended meanwhile: there is nobody left to tell, and the service goes on.
      resolve();
    });
  });
  // The parent may have gone while we sent, and disconnecting twice throws.
  if (isConnected(channel)) channel.disconnect?.();
}

function isConnected(channel: ParentChannel): boolean {
  return channel.connected === true;
}

function outcomeOf(child: ChildProcess): Promise<ChildMessage> {
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-MAX_STDERR);
  });
  return new Promise((resolve) => {
    child.on('message', (message) => {
      const understood = understand(message);
      if (understood !== undefined) resolve(understood);
    });
    child.on('error', (error) => {
      resolve({ failed: `cannot start the program again: ${messageOf(error)}` });
    });
    // `close` comes after the last message and the last of stderr, which `exit` does not wait for.
    child.on('close', (code, signal) => {
      const how = signal === null ? `with exit code ${code ?? 'unknown'}` : `by ${signal}`;
      resolve({ failed: `${said}the service ended ${how} before it was ready` });
    });
  });
}

function understand(message: unknown): ChildMessage | undefined {
  if (typeof message !== 'object' || message === null) return undefined;
  if ('failed' in message) return { failed: String(message.failed) };
  if (!('ready' in message) || typeof message.ready !== 'object' || message.ready === null) return undefined;
  const { pid, logPath, statePath } = message.ready as Partial<Record<keyof ReadyInfo, unknown>>;
  return { ready: { pid: Number(pid), logPath: String(logPath), statePath: String(statePath) } };
}

/** Who interrupts the start means both processes; the child has a session of its own and would not hear it. */
function stopTogether(child: ChildProcess): () => void {
  const forward = (signal: NodeJS.Signals): void => {
    child.kill(signal);
  };
  process.on('SIGINT', forward).on('SIGTERM', forward);
  return () => {
    process.off('SIGINT', forward).off('SIGTERM', forward);
  };
}

/** Lets go of everything that would keep the parent from ending. */
function release(child: ChildProcess): void {
  if (child.connected) child.disconnect();
  child.stderr?.destroy();
  child.unref();
}
