import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import type { RelativePath } from '../../src/core/relative-path.js';
import { eventually } from '../support/eventually.js';
import { isAlive, processInfo, signal, suspend } from '../support/processes.js';
import type { LogLine } from '../support/sersync-process.js';
import { readStatus } from '../support/sersync-status.js';
import { locate, readTree } from '../support/trees.js';
import { CAN_MOUNT, HAS_NAMESPACES, MODULE, MOST_CONNECTIONS, PASSWORD, type Remote, type World } from './world.js';

/**
 * A kind of fault. It is done to a world in which the writers go on, and has healed when `strike` resolves.
 */
export interface Fault {
  readonly name: string;
  /** Faults of one lane never overlap; those of different lanes do. */
  readonly lane: 'remote' | 'service';
  /** Why it cannot be done on this machine; undefined when it can. */
  readonly obstacle?: string;
  /**
   * Begins it, waits until something shows that it has really happened, and heals it. Resolves with how often it
   * happened; rejects when nothing showed that it did.
   */
  readonly strike: (world: World) => Promise<number>;
}

/** How long it may take until a fault shows. The service may have to come back first, or a remote from a pause. */
const SHOWS_WITHIN_MS = 40_000;
/** A queue that holds more takes too long to fill. */
const MOST_QUEUED_EVENTS = 200_000;
const PLENTY_OF_WATCHES = 1_000_000;
const NOBODY = 65_534;

const NEEDS_MOUNTS = CAN_MOUNT ? {} : { obstacle: 'no file system can be mounted' };
const NEEDS_NAMESPACES = HAS_NAMESPACES ? {} : { obstacle: 'no user namespace can be made' };
const NEEDS_SMALL_QUEUE =
  queueLimit() <= MOST_QUEUED_EVENTS ? {} : { obstacle: `fs.inotify.max_queued_events is ${queueLimit()}` };

export const FAULTS: readonly Fault[] = [
  // --- remotes ------------------------------------------------------------------------------------------------------
  {
    name: 'remote stopped and restarted',
    lane: 'remote',
    strike: async (world) => {
      const { daemon, proxy } = pickRemote(world);
      const before = proxy.unanswered;
      await daemon.stop();
      try {
        await untilShown(world, 'a connection that finds no daemon', () => proxy.unanswered > before);
        await hold(world, 2_000);
      } finally {
        await daemon.start();
      }
      return 1;
    },
  },
  {
    name: 'connections refused',
    lane: 'remote',
    strike: async (world) => {
      const remote = pickRemote(world);
      const position = world.service.position();
      remote.proxy.refuse();
      try {
        await untilShown(world, 'a refused run', () => hasRun(world.service.logSince(position), remote, 'unreachable'));
        await hold(world, 1_000);
      } finally {
        await remote.proxy.listen();
      }
      return 1;
    },
  },
  {
    name: 'remote hanging',
    lane: 'remote',
    strike: async (world) => {
      const { daemon, proxy } = pickRemote(world);
      daemon.freeze();
      try {
        await untilShown(
          world,
          'a connection to the stopped daemon',
          () => proxy.open > 0 && processInfo(daemon.pid!)?.state === 'T',
        );
        // Sometimes longer than the timeout.
        await hold(world, 8_000);
      } finally {
        daemon.thaw();
      }
      return 1;
    },
  },
  {
    name: 'connections used up',
    lane: 'remote',
    strike: async (world) => {
      const { daemon, directory } = pickRemote(world);
      const refusals = countOf(directory, 'max connections');
      const held: Socket[] = [];
      let ownRefusals = 0;
      try {
        await untilShown(world, 'a refused connection of the service', async () => {
          // Those that the service has are taken as soon as it gives them back.
          while (ownRefusals === refusals() && held.length < MOST_CONNECTIONS) {
            const socket = await holdConnection(daemon);
            if (socket === undefined) ownRefusals++;
            else held.push(socket);
          }
          return refusals() > ownRefusals;
        });
        await hold(world, 2_000);
      } finally {
        for (const socket of held) socket.destroy();
      }
      return refusals() - ownRefusals;
    },
  },
  {
    name: 'wrong password',
    lane: 'remote',
    strike: async (world) => {
      const { directory } = pickRemote(world);
      const refusals = countOf(directory, 'auth failed');
      const file = join(directory, 'rsyncd.secrets');
      rewrite(file, PASSWORD, 'another one');
      try {
        await untilShown(world, 'a refused password', () => refusals() > 0);
        await hold(world, 2_000);
      } finally {
        rewrite(file, 'another one', PASSWORD);
      }
      return refusals();
    },
  },
  {
    name: 'remote read-only',
    lane: 'remote',
    strike: async (world) => {
      const remote = pickRemote(world);
      const position = world.service.position();
      const file = join(remote.directory, 'rsyncd.conf');
      // The daemon reads it anew for each connection.
      rewrite(file, 'read only = no', 'read only = yes');
      try {
        await untilShown(world, 'a refused run', () => hasRun(world.service.logSince(position), remote, 'rejected'));
        await hold(world, 2_000);
      } finally {
        rewrite(file, 'read only = yes', 'read only = no');
      }
      return 1;
    },
  },
  {
    name: 'remote disk full',
    lane: 'remote',
    ...NEEDS_MOUNTS,
    strike: async (world) => {
      const { disk, directory } = world.remotes.find((remote) => remote.disk !== undefined)!;
      const complaints = countOf(directory, 'No space left on device');
      const filler = join(disk!, 'filler');
      try {
        fill(filler);
        await untilShown(world, 'a write that finds no space', () => {
          // What the service removes makes room again.
          fill(filler);
          return complaints() > 0;
        });
        await hold(world, 2_000);
      } finally {
        rmSync(filler, { force: true });
      }
      return complaints();
    },
  },
  {
    name: 'connection cut in a transfer',
    lane: 'remote',
    strike: async (world) => {
      const { proxy } = pickRemote(world);
      let cut = 0;
      void proxy.cutAfter(3_000 + world.random.below(200_000)).then((bytes) => (cut = bytes));
      try {
        await untilShown(world, 'a transfer to cut', () => cut > 0);
      } finally {
        proxy.spare();
      }
      return 1;
    },
  },
  {
    name: 'connection stalled',
    lane: 'remote',
    strike: async (world) => {
      const { proxy } = pickRemote(world);
      const before = proxy.heldUp;
      proxy.stall();
      try {
        await untilShown(world, 'data that is held up', () => proxy.heldUp > before);
        await hold(world, 8_000);
      } finally {
        proxy.resume();
      }
      return 1;
    },
  },
  {
    name: 'connection slow',
    lane: 'remote',
    strike: async (world) => {
      const { proxy } = pickRemote(world);
      const before = proxy.heldUp;
      proxy.delayMs = 5 + world.random.below(60);
      try {
        await untilShown(world, 'data that is held up', () => proxy.heldUp > before);
        await hold(world, 2_000);
      } finally {
        proxy.delayMs = 0;
      }
      return 1;
    },
  },

  // --- the service --------------------------------------------------------------------------------------------------
  {
    name: 'service killed',
    lane: 'service',
    strike: async (world) => {
      await world.service.kill();
      await whileDown(world);
      return 1;
    },
  },
  {
    name: 'service ended by SIGTERM',
    lane: 'service',
    strike: async (world) => {
      await world.service.stop();
      await whileDown(world);
      return 1;
    },
  },
  {
    name: 'rsync killed',
    lane: 'service',
    strike: async (world) => {
      const victim = await untilShown(world, 'a running rsync', () => world.service.rsyncs()[0]);
      signal(victim.pid, 'SIGKILL');
      await untilShown(world, 'its end', () => !isAlive(victim.pid));
      return 1;
    },
  },
  {
    name: 'worker thread ended',
    lane: 'service',
    strike: (world) => endThread(world, 'end-worker'),
  },
  {
    name: 'watching thread ended',
    lane: 'service',
    strike: (world) => endThread(world, 'end-watcher'),
  },
  {
    name: 'kernel queue overflowed',
    lane: 'service',
    ...NEEDS_SMALL_QUEUE,
    strike: async (world) => {
      await untilWatched(world);
      const position = world.service.position();
      const { pid } = world.service;
      try {
        await suspend(pid);
        // Two events that are the same in a row count as one.
        const paths = ['overflow-1', 'overflow-2'];
        for (const path of paths) {
          world.timeline.note('the overflow makes', path);
          rmSync(locate(world.source, path), { recursive: true, force: true });
          writeFileSync(locate(world.source, path), '');
        }
        for (let event = 0; event <= queueLimit(); event++) {
          chmodSync(locate(world.source, paths[event % 2]!), 0o600 + (event % 8));
        }
        // What is done now nobody is told of.
        await hold(world, 600);
      } finally {
        signal(pid, 'SIGCONT');
      }
      await untilShown(world, 'an overflow in the log', () =>
        hasLine(world.service.logSince(position), 'watch:lost', /overflow/),
      );
      return 1;
    },
  },
  {
    name: 'watches used up',
    lane: 'service',
    ...NEEDS_NAMESPACES,
    strike: async (world) => {
      const position = world.service.position();
      limitWatches(world.service.pid, watchesOf(world.service.pid));
      try {
        await untilShown(world, 'a directory without a watch', () => {
          const path = `unwatched-${world.random.below(1_000_000)}`;
          world.timeline.note('makes for want of a watch', path);
          mkdirSync(locate(world.source, path), { recursive: true });
          writeFileSync(locate(world.source, `${path}/file`), 'unwatched');
          return hasLine(world.service.logSince(position), 'watch:', /max_user_watches|watch limit|watches/);
        });
        await hold(world, 1_500);
      } finally {
        limitWatches(world.service.pid, PLENTY_OF_WATCHES);
      }
      return 1;
    },
  },
  {
    name: 'clock jumped',
    lane: 'service',
    strike: async (world) => {
      // Back by up to a day, and forward again by as much. Further forward than the kernel's clock, which gives the files
      // their times and stays right, no more than is quickly done: a machine has one clock.
      const jumpMs = world.random.chance(0.7) ? -world.random.below(86_400_000) : world.random.below(30_000);
      const file = join(world.service.control, 'clock');
      const position = world.service.position();
      writeFileSync(file, String(jumpMs));
      try {
        await untilShown(world, 'a log line of another time', () =>
          world.service.logSince(position).some((line) => Math.abs(timeOf(line) - Date.now() - jumpMs) < 5_000),
        );
        await hold(world, 2_000);
      } finally {
        rmSync(file);
      }
      return 1;
    },
  },
  {
    name: 'files unreadable',
    lane: 'service',
    ...NEEDS_NAMESPACES,
    strike: async (world) => {
      const position = world.service.position();
      const path = `unreadable-${world.random.below(1_000_000)}`;
      try {
        await untilShown(world, 'a complaint about it', () => {
          // A writer may have taken it away.
          makeUnreadable(world, path);
          return hasLine(world.service.logSince(position), 'path:failed', /Permission denied/);
        });
        await hold(world, 1_000);
      } finally {
        giveBack(world);
      }
      return 1;
    },
  },
];

/** Changes made while the service is down are a fault of their own: `whileDown` counts them here. */
export const CHANGES_WHILE_DOWN = 'changes while the service is down';

function pickRemote(world: World): Remote {
  return world.random.pick(world.remotes);
}

/** Goes on with the fault for a while, up to `mostMs`. */
async function hold(world: World, mostMs: number): Promise<void> {
  await sleep(world.random.below(mostMs));
}

/** A watcher whose thread was ended is replaced after a moment; until then no queue is there to overflow. */
async function untilWatched(world: World): Promise<void> {
  await eventually(
    async () =>
      (await readStatus(world.service.stateDirectory)).roots.every(({ watcher }) => watcher.blind === undefined),
    { withinMs: SHOWS_WITHIN_MS },
    () => 'nothing is watched',
  );
}

/** Waits for what shows that a fault has met somebody; there is always something to send meanwhile. */
async function untilShown<T>(
  world: World,
  what: string,
  look: () => T | undefined | false | Promise<T | undefined | false>,
): Promise<T> {
  let looks = 0;
  return eventually(
    () => {
      if (looks++ % 10 === 5) stir(world);
      return look();
    },
    { withinMs: SHOWS_WITHIN_MS, everyMs: 30 },
    () => `${what} did not show`,
  );
}

/** Writes something that takes a moment to send. */
function stir(world: World): void {
  const path = `stirred-${world.random.below(4)}`;
  world.timeline.note('the harness writes', path);
  const content = Buffer.alloc(300_000);
  for (let index = 0; index < content.length; index += 4)
    content.writeInt32LE((world.random.next() * 2 ** 32) | 0, index);
  try {
    writeFileSync(locate(world.source, path), content);
  } catch {
    // A writer made a directory of it; there will be another time, and another name.
  }
}

/** The service is down, and the writers go on; then it is started as it would be after a boot. */
async function whileDown(world: World): Promise<void> {
  const changes = world.timeline.length;
  stir(world);
  await hold(world, 1_500);
  world.changesWhileDown += world.timeline.length - changes;
  await world.service.start([]);
}

async function endThread(world: World, request: 'end-worker' | 'end-watcher'): Promise<number> {
  const file = join(world.service.control, request);
  writeFileSync(file, '');
  try {
    await untilShown(world, 'a thread that ends', () => !existsSync(file));
  } finally {
    rmSync(file, { force: true });
  }
  return 1;
}

function hasRun(lines: readonly LogLine[], remote: Remote, verdict: string): boolean {
  return lines.some(
    (line) => line.event === 'run:finished' && line['remote'] === remote.name && line['verdict'] === verdict,
  );
}

function hasLine(lines: readonly LogLine[], event: string, text: RegExp): boolean {
  return lines.some((line) => line.event.startsWith(event) && text.test(String(line['reason'])));
}

function timeOf(line: LogLine): number {
  return Date.parse(String(line['time'] ?? line['timestamp']));
}

/** How often a text has come up in the log of an rsync daemon since the call. */
function countOf(directory: string, text: string): () => number {
  const count = (): number => readFileSync(join(directory, 'rsyncd.log'), 'latin1').split(text).length - 1;
  const before = count();
  return () => count() - before;
}

/** A connection that has been admitted to the module, whose daemon now waits for a password; undefined when refused. */
async function holdConnection({ port, address }: { port: number; address: string }): Promise<Socket | undefined> {
  const socket = connect(port, address);
  let said = '';
  socket.on('data', (chunk: Buffer) => (said += chunk.toString('latin1')));
  await once(socket, 'connect');
  socket.on('error', () => {
    socket.destroy();
  });
  socket.write(`@RSYNCD: 31.0\n${MODULE}\n`);
  await eventually(
    () => /@RSYNCD: AUTHREQD|@ERROR/.test(said),
    { withinMs: 5_000 },
    () => `the daemon said only: ${said}`,
  );
  if (!said.includes('@ERROR')) return socket;
  socket.destroy();
  return undefined;
}

function rewrite(file: string, from: string, to: string): void {
  const text = readFileSync(file, 'utf8');
  if (!text.includes(from)) throw new Error(`${file} does not hold ${from}`);
  writeFileSync(file, text.replace(from, to));
}

/** Appends to the file until nothing more goes into the file system. */
function fill(file: string): void {
  const append = (bytes: number): boolean => {
    try {
      writeFileSync(file, Buffer.alloc(bytes), { flag: 'a' });
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      return false;
    }
  };
  for (const bytes of [1 << 20, 4_096]) while (append(bytes));
}

function queueLimit(): number {
  return Number(readFileSync('/proc/sys/fs/inotify/max_queued_events', 'latin1'));
}

/** How many watches a process holds. */
function watchesOf(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`)
    .filter((fd) => linkOf(`/proc/${pid}/fd/${fd}`).includes('inotify'))
    .reduce((sum, fd) => sum + readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'latin1').split('inotify wd:').length - 1, 0);
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    // Closed meanwhile.
    return '';
  }
}

/** Sets the limit of the user namespace in which the service runs, and of no other. */
function limitWatches(pid: number, limit: number): void {
  const script = `echo ${limit} > /proc/sys/user/max_inotify_watches`;
  execFileSync('nsenter', ['--user', '--preserve-credentials', `--target=${pid}`, 'sh', '-c', script]);
}

/** A file of somebody whom the service, root in a user namespace of its own, does not know. */
function makeUnreadable(world: World, path: RelativePath): void {
  const absolute = locate(world.source, path);
  if (lstatSync(absolute, { throwIfNoEntry: false })?.uid === NOBODY) return;
  world.timeline.note('makes unreadable', path);
  rmSync(absolute, { recursive: true, force: true });
  writeFileSync(absolute, 'for nobody', { mode: 0o600 });
  chownSync(absolute, NOBODY, NOBODY);
}

/** What `files unreadable` took away belongs to root again, wherever the writers have put it. */
export function giveBack(world: World): void {
  for (const [path, stats] of readTree(world.source)) {
    if (stats.uid === 0n || !stats.isFile()) continue;
    world.timeline.note('gives back', path);
    chownSync(locate(world.source, path), 0, 0);
  }
}
