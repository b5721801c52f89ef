import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, statfsSync } from 'node:fs';
import { join } from 'node:path';

import { freePort, type RsyncDaemon, startRsyncDaemon } from '../support/rsync-daemon.js';
import { Relay } from './relay.js';

const MEMORY = '/dev/shm';
const TMPFS_MAGIC = 0x01021994;
const MODULE = 'backup';

/** Where a contestant sends to. */
export interface Remote {
  readonly address: string;
  readonly port: number;
  /** The module of a daemon; over ssh a path. */
  readonly name: string;
  /** Where what was sent can be looked at. */
  readonly path: string;
}

export interface SiteRemote extends Remote {
  readonly daemon: RsyncDaemon;
  /** Between the contestant and the daemon, when its bytes are counted. */
  readonly relay?: Relay;
}

export interface SiteOptions {
  readonly remotes: number;
  /** Counts the bytes that go over the wire, at the cost of one more hop for every contestant. */
  readonly isMetered?: boolean;
}

/** A source and rsync daemons, all in memory: what a contestant works with during its turn. */
export class Site {
  readonly source: string;
  readonly remotes: SiteRemote[] = [];
  private constructor(readonly directory: string) {
    this.source = join(directory, 'source');
    mkdirSync(this.source);
  }

  static async make({ remotes, isMetered = false }: SiteOptions): Promise<Site> {
    if (!isInMemory()) throw new Error(`${MEMORY} is no tmpfs: the benchmark measures no disks`);
    const site = new Site(realpathSync(mkdtempSync(join(MEMORY, 'sersync-bench-'))));
    try {
      await site.#startRemotes(remotes, isMetered);
      return site;
    } catch (error) {
      await site.close();
      throw error;
    }
  }

  get paths(): string[] {
    return this.remotes.map(({ path }) => path);
  }

  /** Gives every remote a copy of the source, so that a contestant finds nothing to send. */
  seed(): void {
    for (const path of this.paths) execFileSync('cp', ['-a', `${this.source}/.`, path]);
  }

  /** A directory of a contestant's own, outside of what is replicated. */
  workDirectory(name: string): string {
    const directory = join(this.directory, name);
    mkdirSync(directory, { recursive: true });
    return directory;
  }

  async close(): Promise<void> {
    for (const { relay, daemon } of this.remotes) {
      await relay?.close();
      await daemon.stop();
    }
    // For millions of files far faster than Node's own.
    execFileSync('rm', ['-rf', this.directory]);
  }

  /** All at one port, as one <userDefinedPort> needs. */
  async #startRemotes(count: number, isMetered: boolean): Promise<void> {
    if (count === 0) return;
    const addresses = Array.from({ length: count }, (_, index) => `127.0.0.${index + 1}`);
    const behind = Array.from({ length: count }, (_, index) => `127.0.1.${index + 1}`);
    const port = await freePort([...addresses, ...behind]);
    for (const [index, address] of addresses.entries()) {
      const daemon = await startRsyncDaemon({
        directory: join(this.directory, `remote-${index + 1}`),
        modules: [MODULE],
        address: isMetered ? behind[index]! : address,
        port,
      });
      const remote = { address, port, name: MODULE, path: daemon.path(), daemon };
      if (isMetered) {
        const relay = new Relay({ address, port }, { address: daemon.address, port });
        this.remotes.push({ ...remote, relay });
        await relay.listen();
      } else this.remotes.push(remote);
    }
  }
}

export function urlOf({ address, port, name }: Remote): string {
  return `rsync://${address}:${port}/${name}`;
}

function isInMemory(): boolean {
  return statfsSync(MEMORY).type === TMPFS_MAGIC;
}
