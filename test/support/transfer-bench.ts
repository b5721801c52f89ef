import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MessageChannel } from 'node:worker_threads';

import { parentOf, type RelativePath } from '../../src/core/relative-path.js';
import type { DeleteGuard, Look, RunReport, TransferTask } from '../../src/replicate/ports.js';
import type * as packing from '../../src/transfer/packed-task.js';
import { identify } from '../../src/transfer/source.js';
import type { StandbyTerms } from '../../src/transfer/standby.js';
import type * as delivery from '../../src/transfer/worker.js';
import { startRsyncDaemon, type RsyncDaemon, type RsyncDaemonOptions } from './rsync-daemon.js';
import { locate, readTree } from './trees.js';

const dist = new URL(`${process.env['SERSYNC_DIST'] ?? new URL('../../dist', import.meta.url).pathname}/`, 'file:');
const load = async (file: string): Promise<unknown> => await import(/* @vite-ignore */ new URL(file, dist).href);
const { default: carryOut, dropStandbys } = (await load('transfer/worker.js')) as typeof delivery;
const { packTask } = (await load('transfer/packed-task.js')) as typeof packing;

export interface RunOptions {
  readonly context?: Partial<delivery.WorkerContext>;
  readonly params?: readonly string[];
  readonly guard?: Partial<DeleteGuard>;
  /** An rsync is kept ready in this thread; default: none is. */
  readonly standby?: StandbyTerms;
  /** Where the remote is reached; default: the daemon itself. */
  readonly port?: number;
}

/** A source, a real rsync daemon, and what a thread of the pool does between them, run in this thread. In memory. */
export class TransferBench {
  readonly directory: string;
  #daemon: RsyncDaemon | undefined;
  #round = 0;
  readonly #mounts: string[] = [];

  constructor(name: string) {
    this.directory = realpathSync(
      mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), `sersync-${name}-`)),
    );
  }

  get daemon(): RsyncDaemon {
    if (this.#daemon === undefined) throw new Error('the bench has no daemon yet: await start()');
    return this.#daemon;
  }

  get source(): string {
    return join(this.directory, `source-${this.#round}`);
  }

  get remote(): string {
    return join(this.daemon.path(), `sub-${this.#round}`);
  }

  async start(options: Partial<RsyncDaemonOptions> = {}): Promise<void> {
    this.#daemon = await startRsyncDaemon({ directory: join(this.directory, 'daemon'), ...options });
    this.newTrees();
  }

  /** A source and a remote that hold the same file. */
  newTrees(): void {
    this.#round++;
    for (const tree of [this.source, this.remote]) {
      plant(tree, ['stays']);
      utimesSync(join(tree, 'stays'), 0, 0);
    }
  }

  async close(): Promise<void> {
    await dropStandbys();
    await this.#daemon?.stop();
    for (const mount of this.#mounts.reverse()) spawnSync('umount', ['-l', mount]);
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** Mounts a new, small file system in memory. */
  mount(place = this.source): void {
    mkdirSync(place, { recursive: true });
    const { status, stderr } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', place]);
    if (status !== 0) throw new Error(`cannot mount at ${place}: ${stderr.toString()}`);
    this.#mounts.push(place);
  }

  unmount(place = this.source): void {
    const { status, stderr } = spawnSync('umount', [place]);
    if (status !== 0) throw new Error(`cannot unmount ${place}: ${stderr.toString()}`);
    this.#mounts.splice(this.#mounts.indexOf(place), 1);
  }

  /** The guard that fits the source as it is now. */
  guard(): DeleteGuard {
    return { identity: identify(this.source) ?? '', mounts: [], mayBeEmpty: false };
  }

  run(task: TransferTask, options: RunOptions = {}): Promise<RunReport> {
    return this.begin(task, options).done;
  }

  begin(task: TransferTask, { context, params = ['-artuz'], guard, standby, port }: RunOptions = {}): BegunRun {
    const { port1, port2 } = new MessageChannel();
    const name = `${this.daemon.moduleNames[0]!}/sub-${this.#round}`;
    const target = { ip: this.daemon.address, port: port ?? this.daemon.port, name, ssh: false, params };
    const done = carryOut({
      context: {
        rsync: 'rsync',
        cwd: this.source,
        root: this.source,
        target,
        deletes: true,
        launcher: [],
        deletesBy: 'names',
        keepsNewer: false,
        filter: { excludes: [] },
        crontabPatterns: [],
        ...context,
      },
      guard: { ...this.guard(), ...guard },
      ...(standby === undefined ? {} : { standby }),
      task: packTask(task),
      port: port2,
    }).finally(() => {
      port1.close();
    });
    return {
      done,
      cancel: () => {
        port1.postMessage('cancel');
      },
    };
  }

  /** A program that is run in place of rsync; `"$@"` are the arguments. */
  script(body: string): string {
    const file = join(this.directory, `script-${this.#round}.sh`);
    writeFileSync(file, `#!/bin/sh\n${body}\n`, { mode: 0o755 });
    return file;
  }
}

export interface BegunRun {
  readonly done: Promise<RunReport>;
  cancel(): void;
}

type TaskOf<Kind extends TransferTask['kind']> = Extract<TransferTask, { kind: Kind }>;

function looksAt(paths: readonly RelativePath[], more: Partial<Look>): Look[] {
  return paths.map((path) => ({ path, scope: 'entry', gone: false, since: Date.now(), ...more }));
}

export function entriesOf(paths: readonly RelativePath[], more: Partial<Look> = {}): TaskOf<'entries'> {
  return { kind: 'entries', looks: looksAt(paths, more), askedAt: Date.now(), largeBytes: 0 };
}

export function treesOf(paths: readonly RelativePath[], more: Partial<Look> = {}): TaskOf<'trees'> {
  return { kind: 'trees', looks: looksAt(paths, { scope: 'subtree', ...more }), resync: false, crontab: false };
}

export function extrasOf(paths: readonly RelativePath[], more: Partial<Look> = {}): TaskOf<'extras'> {
  return { kind: 'extras', looks: looksAt(paths, { scope: 'subtree', ...more }), crontab: false };
}

export function sweepOf(paths: readonly RelativePath[], more: Partial<Look> = {}): TaskOf<'sweep'> {
  return { kind: 'sweep', looks: looksAt(paths, { scope: 'subtree', ...more }) };
}

/** Makes files that hold their own name; a slash at the end makes a directory. */
export function plant(tree: string, names: readonly RelativePath[]): void {
  mkdirSync(tree, { recursive: true });
  for (const name of names) {
    if (name.endsWith('/')) {
      mkdirSync(locate(tree, name.slice(0, -1)), { recursive: true });
    } else {
      mkdirSync(locate(tree, parentOf(name)), { recursive: true });
      writeFileSync(locate(tree, name), name);
    }
  }
}

/** Every name in the tree, sorted. */
export function namesOf(tree: string): RelativePath[] {
  return [...readTree(tree).keys()].filter((name) => name !== '').sort();
}

/** Whether file systems can be mounted here: by root, where no container forbids it. */
export function canMount(): boolean {
  const place = mkdtempSync(join(tmpdir(), 'sersync-mount-'));
  const isMounted = spawnSync('mount', ['-t', 'tmpfs', 'tmpfs', place]).status === 0;
  if (isMounted) spawnSync('umount', [place]);
  rmSync(place, { recursive: true });
  return isMounted;
}
