import { execFileSync, spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Random } from '../support/random.js';
import { freePort, type RsyncDaemon, startRsyncDaemon } from '../support/rsync-daemon.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { writeConfig } from '../support/write-config.js';
import { Service } from './service.js';
import { Timeline } from './timeline.js';
import { type TreeLimits, UNTOUCHED, Writers } from './writers.js';

export const MODULE = 'backup';
export const USER = 'soak';
export const PASSWORD = 'correct horse';
/** What each remote admits. Enough for the service, few enough to be taken away from it. */
export const MOST_CONNECTIONS = 12;
/** Room for the tree and for what is under way to replace it. */
const SMALL_DISK = '96m';
const MODULE_DIRECTORY = 'module';
/** A hanging remote is noticed after this. */
const TIMEOUT_SECONDS = 5;

export interface Remote {
  readonly daemon: RsyncDaemon;
  readonly proxy: TcpProxy;
  /** As the service's log names it. */
  readonly name: string;
  /** The daemon's own: configuration, log. The service cannot tell it from a machine far away. */
  readonly directory: string;
  /** The file system of the module, when it is a small one of its own. */
  readonly disk?: string;
}

export interface WorldOptions {
  readonly seed: number;
  readonly limits: TreeLimits;
  /** Names of operations that the writers leave out. */
  readonly without: ReadonlySet<string>;
}

/** What the machine lets us do: some faults need it. */
export const CAN_MOUNT = succeeds(
  'd=$(mktemp -d) && mount -t tmpfs -o size=1m tmpfs "$d" && umount "$d" && rmdir "$d"',
);
export const HAS_NAMESPACES = succeeds('unshare --user --map-root-user true');

/** A source with its writers, remotes behind proxies, and the service between them, in a directory in memory. */
export class World {
  readonly source: string;
  readonly outside: string;
  readonly remotes: Remote[] = [];
  readonly timeline = new Timeline();
  /** Draws what is done to the world; the writers have their own. */
  readonly random: Random;
  readonly writers: Writers;
  /** How many changes were made while the service was down. */
  changesWhileDown = 0;
  #service: Service | undefined;

  /** Worlds that were made and have not ended. */
  static readonly living = new Set<World>();

  private constructor(
    readonly directory: string,
    { seed, limits, without }: WorldOptions,
  ) {
    this.random = new Random(seed);
    this.source = join(directory, 'source');
    this.outside = join(directory, 'outside');
    for (const path of [this.source, this.outside]) mkdirSync(path);
    this.#plantUntouched();
    const { source, outside, timeline } = this;
    const count = 2 + this.random.below(3);
    const randoms = Array.from({ length: count }, (_, index) => new Random(seed * 1_000 + index));
    this.writers = new Writers({ source, outside, timeline, limits, without }, randoms);
  }

  /** Makes everything but does not start the service yet. */
  static async make(options: WorldOptions): Promise<World> {
    const where = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
    const world = new World(realpathSync(mkdtempSync(join(where, 'sersync-soak-'))), options);
    World.living.add(world);
    try {
      await world.#makeRemotes(2 + world.random.below(3));
      world.#service = new Service({
        directory: world.directory,
        config: world.#writeConfig(),
        mark: `SERSYNC_SOAK=${randomUUID()}`,
        hasNamespace: HAS_NAMESPACES,
      });
      return world;
    } catch (error) {
      await world.destroy();
      throw error;
    }
  }

  get service(): Service {
    return this.#service!;
  }

  get remotePaths(): string[] {
    return this.remotes.map(({ daemon }) => daemon.path());
  }

  /** Ends whatever runs; the directory stays. */
  async end(): Promise<void> {
    World.living.delete(this);
    this.#service?.destroy();
    for (const { proxy, daemon, disk } of this.remotes) {
      proxy.close();
      await daemon.stop();
      // What was in it can be seen no more: who keeps the directory copies it before.
      if (disk !== undefined) execFileSync('umount', [disk]);
    }
    this.remotes.length = 0;
  }

  async destroy(): Promise<void> {
    await this.end();
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** A tree is never empty, and most of it is not what changes. */
  #plantUntouched(): void {
    for (let directory = 0; directory < 10; directory++) {
      const path = join(this.source, UNTOUCHED, `directory-${directory}`);
      mkdirSync(path, { recursive: true });
      for (let file = 0; file < 20; file++) writeFileSync(join(path, `file-${file}`), `${directory} ${file}`);
    }
  }

  async #makeRemotes(count: number): Promise<void> {
    const addresses = Array.from({ length: count }, (_, index) => `127.0.0.${index + 1}`);
    // All at one port, as one <userDefinedPort> needs.
    const port = await freePort(addresses);
    for (const [index, address] of addresses.entries()) {
      const directory = join(this.directory, `remote-${index + 1}`);
      const disk = index === 0 && CAN_MOUNT ? join(this.directory, 'small-disk') : undefined;
      if (disk !== undefined) {
        mkdirSync(disk);
        execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${SMALL_DISK}`, 'tmpfs', disk]);
      }
      const daemon = await startRsyncDaemon({
        address: `127.0.1.${index + 1}`,
        directory,
        modules: [{ name: MODULE, path: join(disk ?? directory, MODULE_DIRECTORY) }],
        secrets: { [USER]: PASSWORD },
        maxConnections: MOST_CONNECTIONS,
      });
      const proxy = new TcpProxy({ address, port }, daemon);
      this.remotes.push({
        daemon,
        proxy,
        directory,
        name: `${address}:${port}::${MODULE}`,
        ...(disk === undefined ? {} : { disk }),
      });
      await proxy.listen();
    }
  }

  #writeConfig(): string {
    const passwordFile = join(this.directory, 'password');
    writeFileSync(passwordFile, `${PASSWORD}\n`, { mode: 0o600 });
    const config = join(this.directory, 'confxml.xml');
    writeConfig(config, {
      watch: this.source,
      remotes: this.remotes.map(({ proxy }) => ({ ip: proxy.at.address, name: MODULE })),
      port: this.remotes[0]!.proxy.at.port,
      auth: { users: USER, passwordFile },
      timeoutSeconds: TIMEOUT_SECONDS,
      // Not the shipped -artuz: older files replace newer ones, and must arrive.
      params: '-artz',
      // Modes are changed, and must arrive.
      switches: { attrib: true },
      debug: true,
      failLog: join(this.directory, 'fail-log.sh'),
    });
    return config;
  }
}

function succeeds(script: string): boolean {
  return process.getuid?.() === 0 && spawnSync('sh', ['-c', script], { stdio: 'ignore' }).status === 0;
}
