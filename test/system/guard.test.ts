import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, type TestContext } from 'vitest';

import type { ServiceStatus } from '../../src/observe/status.js';
import {
  canMakeDisk,
  canMount,
  Disk,
  mountBound,
  mountTmpfs,
  unmount,
  unmountAll,
  unmountBusy,
} from '../support/disk.js';
import { eventually } from '../support/eventually.js';
import { askStatus } from '../support/sersync-status.js';
import type { SersyncProcess } from '../support/sersync-process.js';
import { TestBench } from '../support/test-bench.js';
import { readTree } from '../support/trees.js';

const CAN_MOUNT = canMount();
const CAN_MAKE_DISK = CAN_MOUNT && canMakeDisk();

/** More than may go without being asked (100). */
const DIRECTORIES = 12;
const FILES_IN_EACH = 20;
/** Without `-u`: with it, what another directory has brought stays where it is the newer one. */
const EVERY_OTHER_SECOND = { crontab: { schedule: '*/2 * * * * *' }, params: '-artz' };

type SourceState = ServiceStatus['roots'][number]['source']['state'];

/** A source on a disk of its own, and what is done to it. */
class Scene {
  readonly bench = new TestBench('guard');
  readonly source = this.bench.source;
  #disk: Disk | undefined;

  constructor() {
    this.bench.onClose(() => {
      unmountAll(this.bench.directory);
    });
  }

  get disk(): Disk {
    this.#disk ??= new Disk(this.bench.path('disk'));
    return this.#disk;
  }

  /** Another directory beside the source. */
  other(...files: readonly string[]): string {
    const directory = this.bench.path('other');
    mkdirSync(directory);
    for (const file of files) plantFile(join(directory, file), 'of another directory');
    return directory;
  }

  away = (): string => this.bench.path('away');
}

interface Trouble {
  readonly title: string;
  readonly needs: 'nothing' | 'mount' | 'disk';
  /** Before the tree is planted. */
  readonly prepare?: (scene: Scene) => void;
  readonly begin: (scene: Scene) => void | Promise<void>;
  /** Changes made where nobody watches, and the end of the trouble. */
  readonly end: (scene: Scene) => void | Promise<void>;
  readonly state: SourceState;
  /** What a start says while it lasts; default: the same. */
  readonly start?: SourceState | 'refused';
  /** Starts while it lasts; default: with -r. */
  readonly starts?: readonly string[];
}

const TROUBLES: readonly Trouble[] = [
  {
    title: 'is unmounted',
    needs: 'disk',
    prepare: ({ disk, source }) => {
      disk.mount(source);
    },
    begin: ({ source }) => unmount(source),
    end: ({ disk, source }) => {
      disk.change(changeTree);
      disk.mount(source);
    },
    state: 'replaced',
    starts: ['', '-r'],
  },
  {
    title: 'is unmounted, and what it covered is not empty',
    needs: 'disk',
    prepare: ({ disk, source }) => {
      plantFile(join(source, 'directory-1/file-1'), 'covered');
      plantFile(join(source, 'directory-1/covered'), 'covered');
      disk.mount(source);
    },
    begin: ({ source }) => unmount(source),
    end: ({ disk, source }) => {
      disk.change(changeTree);
      disk.mount(source);
    },
    state: 'replaced',
  },
  {
    title: 'is a bind mount and is unmounted',
    needs: 'mount',
    prepare: (scene) => {
      mountBound(scene.other(), scene.source);
    },
    begin: ({ source }) => unmount(source),
    end: ({ bench, source }) => {
      changeTree(bench.path('other'));
      mountBound(bench.path('other'), source);
    },
    state: 'replaced',
  },
  {
    title: 'has another file system with a few files mounted over it',
    needs: 'mount',
    begin: ({ source }) => {
      mountTmpfs(source, '4m');
      plantFile(join(source, 'directory-2/of another'), 'of another');
      plantFile(join(source, 'another'), 'of another');
    },
    end: ({ source }) =>
      unmount(source).then(() => {
        changeTree(source);
      }),
    state: 'replaced',
  },
  {
    title: 'has an empty directory bound over it',
    needs: 'mount',
    begin: (scene) => {
      mountBound(scene.other(), scene.source);
    },
    end: ({ source }) =>
      unmount(source).then(() => {
        changeTree(source);
      }),
    state: 'replaced',
    starts: [],
  },
  {
    title: 'is renamed, and an empty directory takes its place',
    needs: 'nothing',
    begin: (scene) => {
      renameSync(scene.source, scene.away());
      mkdirSync(scene.source);
    },
    end: putBack,
    state: 'replaced',
    starts: [''],
  },
  {
    title: 'is renamed, and another directory takes its place',
    needs: 'nothing',
    begin: (scene) => {
      const other = scene.other('another', 'directory-1/another', 'directory-1/file-1');
      renameSync(scene.source, scene.away());
      renameSync(other, scene.source);
    },
    end: putBack,
    state: 'replaced',
  },
  {
    title: 'is renamed, and a link to an empty directory takes its place',
    needs: 'nothing',
    begin: (scene) => {
      renameSync(scene.source, scene.away());
      symlinkSync(scene.other(), scene.source);
    },
    end: putBack,
    state: 'missing',
    starts: ['', '-r'],
    start: 'replaced',
  },
  {
    title: 'is renamed',
    needs: 'nothing',
    begin: (scene) => {
      renameSync(scene.source, scene.away());
    },
    end: putBack,
    state: 'missing',
    starts: [''],
    start: 'refused',
  },
  {
    title: 'has a file system in it that is unmounted',
    needs: 'disk',
    prepare: mountInside,
    begin: ({ source }) => unmount(join(source, 'directory-1')),
    end: ({ disk, source }) => {
      disk.change((top) => {
        rmSync(join(top, 'file-1'));
        plantFile(join(top, 'new/file'), 'new');
      });
      disk.mount(join(source, 'directory-1'));
    },
    state: 'unmounted',
    starts: ['', '-r'],
  },
  {
    title: 'has a file system in it whose place another one has taken',
    needs: 'disk',
    prepare: mountInside,
    begin: async ({ source }) => {
      await unmount(join(source, 'directory-1'));
      mountTmpfs(join(source, 'directory-1'), '4m');
      plantFile(join(source, 'directory-1/another'), 'of another');
    },
    end: async ({ disk, source }) => {
      await unmount(join(source, 'directory-1'));
      disk.mount(join(source, 'directory-1'));
    },
    state: 'unmounted',
  },
  {
    title: 'has a file system in it that is unmounted, and its place removed',
    needs: 'disk',
    prepare: mountInside,
    begin: async ({ source }) => {
      await unmount(join(source, 'directory-1'));
      rmSync(join(source, 'directory-1'), { recursive: true });
    },
    end: ({ disk, source }) => {
      mkdirSync(join(source, 'directory-1'));
      disk.mount(join(source, 'directory-1'));
    },
    state: 'unmounted',
    starts: [''],
  },
];

const IS_POSSIBLE = { nothing: true, mount: CAN_MOUNT, disk: CAN_MAKE_DISK };

describe('a source that', { concurrent: true }, () => {
  for (const { title, needs, prepare, begin, end, state, start = state, starts = ['-r'] } of TROUBLES) {
    const also = ['by crontab', ...starts.map((option) => `at a start${option === '' ? '' : ` with ${option}`}`)];
    it.runIf(IS_POSSIBLE[needs])(
      `${title} deletes nothing: ${also.join(', ')}; and is followed again`,
      async (test) => {
        const scene = newScene(test);
        const { bench } = scene;
        prepare?.(scene);
        plantTree(scene.source);
        await bench.startDaemons(2);
        let sersync = await bench.startSynced(EVERY_OTHER_SECOND);
        const before = namesOnRemotes(bench);

        await begin(scene);
        await sersync.waitForLog('source:troubled', { state }, 30_000);
        await crontabRun(sersync, bench);
        await untilQuiet(sersync, bench, state);
        expectNothingLost(bench, before);

        for (const option of starts) {
          await sersync.stop('SIGKILL');
          sersync = again(bench, option);
          if (start === 'refused') {
            expect((await sersync.ended).code).toBe(1);
            expect(sersync.stderr).toContain(scene.source);
          } else await untilQuiet(sersync, bench, start);
          expectNothingLost(bench, before);
        }

        // The service follows the directory that it was started on: what a link has led to, another one is not.
        if (start !== state) await sersync.stop();
        await end(scene);
        if (start !== state) sersync = again(bench);
        await bench.untilSame({ withinMs: 60_000 });
        await untilQuiet(sersync, bench, 'well');
      },
    );
  }
});

describe.runIf(CAN_MAKE_DISK)('a disk that is pulled', { concurrent: true }, () => {
  it('in the middle of a burst of changes takes nothing along, and what was changed before arrives afterwards', async (test) => {
    const scene = onDisk(newScene(test));
    const { bench, disk, source } = scene;
    await bench.startDaemons(2);
    const sersync = await bench.startSynced();
    const before = namesOnRemotes(bench);
    const removed = new Set<string>();
    for (let change = 0; change < 200; change++) {
      const directory = `directory-${change % DIRECTORIES}`;
      plantFile(join(source, directory, `new-${change}`), 'new');
      removed.add(`${directory}/file-${change % FILES_IN_EACH}`);
      rmSync(join(source, directory, `file-${change % FILES_IN_EACH}`), { force: true });
      if (change % 20 === 0) await new Promise(setImmediate);
    }
    unmountBusy(source);
    await sersync.waitForLog('source:troubled', { state: 'replaced' }, 30_000);
    await untilQuiet(sersync, bench, 'replaced');
    expectNothingLost(bench, before, removed);
    disk.mount(source);
    await bench.untilSame({ withinMs: 60_000 });
    await untilQuiet(sersync, bench, 'well');
  });

  it('while a full resync is under way deletes nothing, and the resync comes to its end afterwards', async (test) => {
    const scene = onDisk(newScene(test));
    const { bench, disk, source } = scene;
    await bench.startDaemons(2);
    const first = await bench.startSynced();
    await first.stop();
    // Something to be sent slowly, and something to be deleted by comparing.
    for (const name of ['a', 'b', 'c', 'd']) plantFile(join(source, `directory-3/large-${name}`), name.repeat(500_000));
    for (const remote of bench.remotes) plantFile(join(remote, 'directory-4/extra'), 'extra');
    const before = namesOnRemotes(bench);
    const sersync = await bench.startSersync({ params: '-artW --bwlimit=500' });
    await eventually(
      () => sersync.rsyncs().length > 0,
      { withinMs: 10_000, everyMs: 5 },
      () => sersync.transcript(),
    );
    unmountBusy(source);
    await sersync.waitForLog('source:troubled', { state: 'replaced' }, 30_000);
    await untilQuiet(sersync, bench, 'replaced');
    expectNothingLost(bench, before);
    disk.mount(source);
    await bench.untilSame({ withinMs: 60_000 });
    await untilQuiet(sersync, bench, 'well');
  });
});

describe('names that are really gone', { concurrent: true }, () => {
  it('go at once when they are seen to go, were it 99 % of all', async (test) => {
    const { bench, source } = newScene(test);
    plantFile(join(source, 'small/file'), 'stays');
    plantTree(join(source, 'large'));
    await bench.startDaemons(2);
    const sersync = await bench.startSynced();
    rmSync(join(source, 'large'), { recursive: true });
    await bench.untilSame({ withinMs: 20_000 });
    expect(sersync.events('deletes:held')).toEqual([]);
  });

  it('while the service was down are held by a start with -r when they are most of all, and go when they are few', async (test) => {
    const { bench, source } = newScene(test);
    plantTree(source);
    await bench.startDaemons(2);
    await (await bench.startSynced()).stop();
    const before = namesOnRemotes(bench);
    for (let directory = 1; directory < DIRECTORIES; directory++) {
      renameSync(join(source, `directory-${directory}`), bench.path(`aside-${directory}`));
    }
    const sersync = again(bench, '-r');
    const { roots } = await untilQuiet(sersync, bench, 'well');
    expectNothingLost(bench, before);
    for (const { held, heldReasons } of roots[0]!.remotes) {
      expect(held).toBe(DIRECTORIES - 1);
      expect(heldReasons).toEqual([expect.stringMatching(/^231 of \d+ names would be deleted, more than 50 %$/)]);
    }
    await sersync.stop();
    for (let directory = 2; directory < DIRECTORIES; directory++) {
      renameSync(bench.path(`aside-${directory}`), join(source, `directory-${directory}`));
    }
    again(bench, '-r');
    await bench.untilSame({ withinMs: 60_000 });
  });

  it.runIf(CAN_MOUNT)(
    'are not when nothing is known of an earlier run and an empty place is started with -r',
    async (test) => {
      const { bench, source } = newScene(test);
      plantTree(source);
      await bench.startDaemons(2);
      await (await bench.startSynced()).stop();
      const before = namesOnRemotes(bench);
      rmSync(bench.path('state'), { recursive: true });
      mountTmpfs(source, '1m');
      const sersync = again(bench, '-r');
      await untilQuiet(sersync, bench, 'empty');
      expectNothingLost(bench, before);
    },
  );
});

function onDisk(scene: Scene): Scene {
  scene.disk.mount(scene.source);
  plantTree(scene.source);
  return scene;
}

/** The service is started once more. */
function again(bench: TestBench, option = ''): SersyncProcess {
  return bench.spawnSersync({ config: bench.path('confxml.xml'), args: option === '' ? [] : [option] });
}

function newScene({ onTestFinished }: TestContext): Scene {
  const scene = new Scene();
  onTestFinished(() => scene.bench.close());
  return scene;
}

function mountInside({ disk, source }: Scene): void {
  const inside = join(source, 'directory-1');
  mkdirSync(inside, { recursive: true });
  disk.mount(inside);
}

function putBack({ bench, source, away }: Scene): void {
  changeTree(away());
  rmSync(source, { recursive: true, force: true });
  renameSync(away(), source);
  rmSync(bench.path('other'), { recursive: true, force: true });
}

function plantTree(top: string): void {
  for (let directory = 0; directory < DIRECTORIES; directory++) {
    for (let file = 0; file < FILES_IN_EACH; file++) {
      plantFile(join(top, `directory-${directory}/file-${file}`), `${directory} ${file}`);
    }
  }
}

/** A few of everything, of what was planted. */
function changeTree(top: string): void {
  rmSync(join(top, 'directory-2'), { recursive: true });
  rmSync(join(top, 'directory-3/file-3'));
  plantFile(join(top, 'directory-4/file-4'), 'changed meanwhile');
  plantFile(join(top, 'new/below/file'), 'new');
  renameSync(join(top, 'directory-5'), join(top, 'new/moved'));
}

function plantFile(path: string, content: string): void {
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, content);
}

function namesOnRemotes(bench: TestBench): Set<string>[] {
  return bench.remotes.map((remote) => new Set(readTree(remote).keys()));
}

/** `removed`: what was removed while the service saw it. */
function expectNothingLost(bench: TestBench, before: readonly Set<string>[], removed = new Set<string>()): void {
  const now = namesOnRemotes(bench);
  const lost = before.map((names, index) => {
    const missing = [...names].filter((name) => !removed.has(name) && !now[index]!.has(name));
    return missing.length === 0 ? '' : `${missing.length} names are lost: ${missing.slice(0, 5).join(', ')} ...`;
  });
  expect(lost).toEqual(before.map(() => ''));
}

/** A full resync by the crontab that began later than now has been begun, or is kept from it by a missing source. */
async function crontabRun(sersync: SersyncProcess, bench: TestBench): Promise<void> {
  const runs = (remote: string): number => sersync.events('resync:started', { remote, reason: 'crontab' }).length;
  const remotes = bench.daemons.map((daemon) => bench.remoteName(daemon));
  const before = remotes.map(runs);
  await eventually(
    () => remotes.every((remote, index) => runs(remote) > before[index]!) || hasBegun(sersync, remotes),
    { withinMs: 60_000 },
    () => `no resync by the crontab:\n${sersync.transcript()}`,
  );
}

/** A resync is under way on each remote: the next one waits for its end. */
function hasBegun(sersync: SersyncProcess, remotes: readonly string[]): boolean {
  return remotes.every(
    (remote) =>
      sersync.events('source:refused', { remote }).length > 0 &&
      sersync.events('resync:started', { remote }).length > sersync.events('resync:finished', { remote }).length,
  );
}

/** Resolves when all has been done that can be, with the status then. */
async function untilQuiet(sersync: SersyncProcess, bench: TestBench, state: SourceState): Promise<ServiceStatus> {
  await sersync.waitForLog('service:started', {}, 60_000);
  let seen: ServiceStatus | undefined;
  return await eventually(
    async () => {
      if (sersync.hasEnded) throw new Error(`sersync has ended:\n${sersync.transcript()}`);
      seen = await askStatus(sersync.stateDirectory);
      return seen.roots.every((root) => root.source.state === state && isQuiet(root)) && seen;
    },
    { withinMs: 60_000, everyMs: 100 },
    () => `not ${state} and quiet: ${JSON.stringify(seen?.roots, null, 1)}\n${sersync.transcript()}`,
  );
}

function isQuiet({ catchUp, remotes }: ServiceStatus['roots'][number]): boolean {
  return remotes.every((remote) => {
    const { state, pending, inFlight, resync } = remote;
    const isDone = state === 'idle' && pending === 0 && inFlight === 0 && resync === undefined && catchUp === undefined;
    return isDone || state === 'backing off';
  });
}
