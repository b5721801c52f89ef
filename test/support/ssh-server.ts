import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';

import { eventually } from './eventually.js';
import { descendantsOf, isAlive, signal } from './processes.js';
import { accepts, freePort } from './rsync-daemon.js';

/** Debian's place, which is in the PATH of root alone; sshd wants to be called by its whole name. */
const SSHD = ['/usr/sbin/sshd', '/usr/bin/sshd', '/usr/local/sbin/sshd'].find(existsSync) ?? '/usr/sbin/sshd';

/** A real sshd on loopback with a host key of its own, and a client's key that it accepts. */
export class SshServer {
  readonly directory: string;
  readonly user = userInfo().username;
  readonly #log: string;
  #listener: ChildProcess | undefined;

  private constructor(
    readonly address: string,
    readonly port: number,
  ) {
    this.directory = realpathSync(mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'ssh-server-')));
    this.#log = this.path('sshd.log');
  }

  static async start(address = '127.0.0.1'): Promise<SshServer> {
    const server = new SshServer(address, await freePort([address]));
    server.#configure();
    await server.start();
    return server;
  }

  path(...parts: readonly string[]): string {
    return join(this.directory, ...parts);
  }

  /**
   * A directory to be put in front of the PATH: its `ssh` is the system's, with the key and the known hosts of this
   * server. It stands for ~/.ssh, which ssh looks for where the password file says, whatever HOME is.
   */
  get clientPath(): string {
    return `${this.path('bin')}:${process.env['PATH'] ?? ''}`;
  }

  get knownHosts(): string {
    return this.path('known_hosts');
  }

  get authorizedKeys(): string {
    return this.path('authorized_keys');
  }

  /** Resolves when it accepts connections. */
  async start(): Promise<void> {
    const listener = spawn(SSHD, ['-D', '-E', this.#log, '-f', this.path('sshd_config')], {
      stdio: 'ignore',
      env: { PATH: process.env['PATH'], LANG: 'C.UTF-8' },
    });
    this.#listener = listener;
    await eventually(
      async () => {
        if (listener.exitCode !== null) throw new Error(`${SSHD} ended: ${this.log()}`);
        return (await accepts(this.address, this.port)) || undefined;
      },
      { withinMs: 10_000 },
      () => `${SSHD} accepts no connection on ${this.address} port ${this.port}: ${this.log()}`,
    );
  }

  /** Ends the listener and every session. Connections are refused from then on. Idempotent. */
  async stop(): Promise<void> {
    const listener = this.#listener;
    if (listener?.pid === undefined) return;
    this.#listener = undefined;
    const family = [listener.pid, ...descendantsOf(listener.pid).map(({ pid }) => pid)];
    const ended = listener.exitCode === null && listener.signalCode === null ? once(listener, 'exit') : undefined;
    for (const pid of family) signal(pid, 'SIGKILL');
    await ended;
    await eventually(
      () => !family.some(isAlive),
      { withinMs: 5_000 },
      () => `sshd ${family.join(', ')} is still there after SIGKILL`,
    );
  }

  async close(): Promise<void> {
    await this.stop();
    rmSync(this.directory, { recursive: true, force: true });
  }

  log(): string {
    return existsSync(this.#log) ? readFileSync(this.#log, 'latin1') : '';
  }

  /** How many connections logged in: several sessions may share one. */
  logins(): number {
    return this.log().split('Accepted publickey').length - 1;
  }

  /** Makes the host key known to the client, as a person does. */
  introduce(): void {
    const keys = execFileSync('ssh-keyscan', ['-p', `${this.port}`, this.address], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    writeFileSync(this.knownHosts, keys);
  }

  /** Lets the client's key in. */
  authorize(): void {
    writeFileSync(this.authorizedKeys, readFileSync(this.path('client_key.pub')));
  }

  /** From the next start on it is another host under the same address. */
  renewHostKey(): void {
    rmSync(this.path('host_key'));
    this.#makeKey('host_key');
  }

  #makeKey(name: string): void {
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', this.path(name)]);
  }

  #configure(): void {
    for (const name of ['host_key', 'client_key']) this.#makeKey(name);
    // Where sshd shuts in what talks to strangers; the package's service makes it when it starts.
    if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true, mode: 0o755 });
    writeFileSync(
      this.path('sshd_config'),
      `ListenAddress ${this.address}
Port ${this.port}
HostKey ${this.path('host_key')}
PidFile none
AuthorizedKeysFile ${this.authorizedKeys}
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
`,
    );
    mkdirSync(this.path('bin'));
    const real = execFileSync('sh', ['-c', 'command -v ssh'], { encoding: 'utf8' }).trim();
    writeFileSync(this.path('bin/ssh'), `#!/bin/sh\nexec ${real} -F '${this.path('ssh_config')}' "$@"\n`);
    chmodSync(this.path('bin/ssh'), 0o755);
    writeFileSync(
      this.path('ssh_config'),
      `IdentityFile ${this.path('client_key')}
IdentitiesOnly yes
UserKnownHostsFile ${this.knownHosts}
GlobalKnownHostsFile /dev/null
`,
    );
    writeFileSync(this.authorizedKeys, '');
    writeFileSync(this.knownHosts, '');
  }
}
