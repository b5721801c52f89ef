import { spawn, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../clock.js';
import type { RunReport, Transport } from '../replicate/ports.js';
import { makeOrdinary } from '../thread-priority.js';
import { hasOwnShell, remoteName, SSH, type RemoteTarget } from './rsync-args.js';

/**
 * Runs over ssh share one connection (ssh_config(5), "ControlMaster"), which this keeps: an ssh of our own that does
 * nothing else, so that it can be ended with the service. (With `ControlMaster=auto` and `ControlPersist` a run would leave
 * one behind that nobody owns.) Where it is not there, not yet or not any more, a run connects by itself: ssh does that
 * where nobody listens at the socket.
 *
 * ```
 *   none ── a run begins ──► connecting, connected ── idle for a minute, or a run lost the remote ──► none
 * ```
 */
export class SshMaster {
  readonly #options: SshMasterOptions;
  #child: ChildProcess | undefined;
  #startedAt = -Infinity;
  #runs = 0;
  /** A run could not reach the remote or lost it, so the connection may be dead without knowing. */
  #isDoubtful = false;
  #isClosed = false;
  #cancelIdle: (() => void) | undefined;

  constructor(options: SshMasterOptions) {
    this.#options = options;
  }

  /** The same way to the remote, through the shared connection. */
  around(transport: Transport): Transport {
    return {
      begin: (task, onProgress) => {
        this.#begin();
        const run = transport.begin(task, onProgress);
        const done = run.done.then(
          (report) => {
            this.#end(wasLost(report));
            return report;
          },
          (error: unknown) => {
            this.#end(true);
            throw error;
          },
        );
        return { ...run, done };
      },
    };
  }

  /** Ends the connection; no run may be in flight. Resolves when its ssh is gone. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#drop();
  }

  #begin(): void {
    this.#runs++;
    this.#cancelIdle?.();
    this.#cancelIdle = undefined;
    const now = this.#options.clock.now();
    if (this.#isClosed || this.#child !== undefined || now - this.#startedAt < RETRY_MS) return;
    this.#startedAt = now;
    this.#start();
  }

  #end(wasLost: boolean): void {
    this.#runs--;
    this.#isDoubtful ||= wasLost;
    // Others may be at work through it still.
    if (this.#runs > 0) return;
    if (this.#isDoubtful) void this.#drop();
    else this.#cancelIdle = this.#options.clock.after(IDLE_MS, () => void this.#drop());
  }

  #start(): void {
    const [program = '', ...args] = this.#options.command;
    this.#isDoubtful = false;
    // What a service that was killed has left: nobody listens there, and ssh would not take its place.
    rmSync(this.#options.controlPath, { force: true });
    // Of its own process group, so that Ctrl-C does not end it under runs that may come to their end. What it has to say
    // the runs say as well, which connect by themselves when it does not get through.
    const child = spawn(program, args, { stdio: 'ignore', detached: true });
    makeOrdinary(child.pid);
    this.#child = child;
    const forget = (): void => {
      if (this.#child === child) this.#child = undefined;
    };
    child.once('error', forget);
    child.once('exit', forget);
  }

  async #drop(): Promise<void> {
    this.#cancelIdle?.();
    this.#cancelIdle = undefined;
    // Known until it is gone: it removes its socket, which must not be that of the next one.
    const child = this.#child;
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    const kill = setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MS);
    await exited;
    clearTimeout(kill);
  }
}

export interface SshMasterOptions {
  /** The program and its arguments. */
  readonly command: readonly string[];
  readonly controlPath: string;
  readonly clock: Clock;
}

/** A connection that nobody uses is given up after this long. */
const IDLE_MS = 60_000;
/** One that did not come about is tried again after this long. */
const RETRY_MS = 5_000;
const KILL_AFTER_MS = 2_000;
/** The other side is asked whether it is there, so that the end of the way there is noticed. */
const ALIVE_OPTIONS = ['-o', 'ServerAliveInterval=10', '-o', 'ServerAliveCountMax=3'];
/** A socket's path takes 107 bytes, and ssh puts a name beside it that is 17 longer (OpenSSH 9.2, mux.c). */
const MAX_CONTROL_PATH = 90;

/** Surroundings in which a connection can be shared. */
export interface SshSurroundings {
  readonly launcher: readonly string[];
  /** What the launcher starts ends with the service, whatever ends that. */
  readonly endsWithUs: boolean;
  readonly stateDirectory: string | undefined;
  readonly clock: Clock;
}

/**
 * The target, its runs going through a shared connection. Undefined where that cannot be: no ssh, an ssh of the user's own,
 * nothing that ends the connection when the service is killed, or no place for its socket.
 */
export function shareConnection(
  target: RemoteTarget,
  { launcher, endsWithUs, stateDirectory, clock }: SshSurroundings,
): { readonly target: RemoteTarget; readonly master: SshMaster } | undefined {
  if (!target.ssh || hasOwnShell(target.params) || !endsWithUs || stateDirectory === undefined) return undefined;
  const name = createHash('sha256').update(remoteName(target)).digest('hex').slice(0, 8);
  const controlPath = join(stateDirectory, `ssh-${name}`);
  // rsync splits the command at blanks, and ssh takes `%` and quotes for more than they are.
  if (controlPath.length > MAX_CONTROL_PATH || !/^[\w@+:,./-]+$/.test(controlPath)) return undefined;
  const master = [
    ...SSH,
    ...['-o', 'ControlMaster=yes', '-o', `ControlPath=${controlPath}`, '-o', 'ControlPersist=no'],
    ...['-o', 'ClearAllForwardings=yes', ...ALIVE_OPTIONS, '-N', '-T'],
    ...(target.port === undefined ? [] : ['-p', `${target.port}`]),
    target.ip,
  ];
  return {
    target: { ...target, controlPath },
    master: new SshMaster({ command: [...launcher, ...master], controlPath, clock }),
  };
}

/** rsync(1): socket, protocol stream, ended because it was silent, timeouts; 255 is of ssh. */
const LOST: ReadonlySet<number> = new Set([10, 12, 20, 30, 35, 255]);

function wasLost({ exitCode, cancelled }: RunReport): boolean {
  return !cancelled && (exitCode === null || LOST.has(exitCode));
}
