import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { eventually } from '../support/eventually.js';
import type { SersyncProcess } from '../support/sersync-process.js';
import { TestBench } from '../support/test-bench.js';
import { directoriesOf, locate } from '../support/trees.js';
import type { ConfigOptions } from '../support/write-config.js';

/** A change that people make, in a directory of its own below the source. */
interface Operation {
  readonly title: string;
  /** What is there before, and everywhere, when the change is made. */
  readonly before?: (at: Place) => void;
  readonly change: (at: Place) => void;
  /** Names that are newer on the remote than what takes their place here, and that `-u` keeps there. */
  readonly keptByUpdate?: { readonly names: RegExp; readonly isTold: boolean };
}

interface Place {
  /** A path in the operation's directory. */
  (path: string): string;
  /** A path outside of the watched tree, on the same file system. */
  outside(path: string): string;
}

const WITHIN_MS = 3_000;
const MMAP_WRITE = resolve(import.meta.dirname, '../support/mmap-write.mjs');

const OPERATIONS: readonly Operation[] = [
  {
    title: 'a new file',
    change: (at) => {
      writeFileSync(at('new'), 'new');
    },
  },
  {
    title: 'an overwritten file',
    before: (at) => {
      writeFileSync(at('file'), 'before');
    },
    change: (at) => {
      writeFileSync(at('file'), 'after!');
    },
  },
  {
    title: 'a file that is appended to',
    before: (at) => {
      writeFileSync(at('log'), 'one\n');
    },
    change: (at) => {
      for (let line = 0; line < 20; line++) appendFileSync(at('log'), `line ${line}\n`);
    },
  },
  {
    title: 'mkdir -p with a file at its end',
    change: (at) => {
      mkdirSync(at('a/b/c/d'), { recursive: true });
      writeFileSync(at('a/b/c/d/file'), 'deep');
    },
  },
  {
    title: 'mkdir -p, many at once, without a file',
    change: (at) => {
      for (let tree = 0; tree < 40; tree++) mkdirSync(at(`${tree}/a/b/c`), { recursive: true });
    },
  },
  {
    title: 'cp -r of 1,000 files in 200 directories',
    before: (at) => {
      plantTree(at.outside('thousand'), 200, 5);
    },
    change: (at) => {
      run('cp', '-r', at.outside('thousand'), at('copy'));
    },
  },
  {
    title: 'tar x of 300 files in 30 directories',
    before: (at) => {
      plantTree(at.outside('packed'), 30, 10);
      run('tar', '-C', at.outside('packed'), '-cf', at.outside('packed.tar'), '.');
    },
    change: (at) => {
      run('tar', '-C', at(''), '-xf', at.outside('packed.tar'));
    },
  },
  {
    title: 'git clone of a local repository',
    before: (at) => {
      plantRepository(at.outside('repository'));
    },
    change: (at) => {
      run('git', 'clone', '-q', '--no-hardlinks', at.outside('repository'), at('clone'));
    },
  },
  {
    title: 'a renamed file',
    before: (at) => {
      writeFileSync(at('old name'), 'content');
    },
    change: (at) => {
      renameSync(at('old name'), at('new name'));
    },
  },
  {
    title: 'a file that replaces another by rename, as editors save',
    before: (at) => {
      writeFileSync(at('page'), 'first');
    },
    change: (at) => {
      writeFileSync(at('page.new'), 'second');
      renameSync(at('page.new'), at('page'));
    },
  },
  {
    title: 'a renamed deep directory',
    before: (at) => {
      plantTree(at('deep/one/two/three'), 20, 5);
    },
    change: (at) => {
      renameSync(at('deep/one'), at('deep/renamed'));
    },
  },
  {
    title: 'a renamed directory that is written to at once, below its new name',
    before: (at) => {
      plantTree(at('old'), 10, 2);
    },
    change: (at) => {
      renameSync(at('old'), at('new'));
      writeFileSync(at('new/directory-3/more'), 'more');
    },
  },
  {
    title: 'a file and a directory moved in',
    before: (at) => {
      plantTree(at.outside('incoming'), 20, 5);
      writeFileSync(at.outside('incoming file'), 'in');
    },
    change: (at) => {
      renameSync(at.outside('incoming'), at('arrived'));
      renameSync(at.outside('incoming file'), at('arrived file'));
    },
  },
  {
    title: 'a file and a directory moved out',
    before: (at) => {
      plantTree(at('leaving'), 20, 5);
      writeFileSync(at('leaving file'), 'out');
    },
    change: (at) => {
      renameSync(at('leaving'), at.outside('left'));
      renameSync(at('leaving file'), at.outside('left file'));
    },
  },
  {
    title: 'two directories that swap their names',
    before: (at) => {
      plantTree(at('one'), 5, 3, 'of one');
      plantTree(at('two'), 5, 3, 'of two, longer');
      writeFileSync(at('one/only in one'), '1');
      for (const path of directoriesOf(at('one'))) makeOld(at(`one/${path}`));
    },
    // Not told: a directory that comes as a whole is not asked what of it is newer there.
    keptByUpdate: { names: /^two\/directory-\d\/file-\d$/, isTold: false },
    change: (at) => {
      renameSync(at('one'), at('three'));
      renameSync(at('two'), at('one'));
      renameSync(at('three'), at('two'));
    },
  },
  {
    title: 'two files of the same size that swap their names',
    before: (at) => {
      writeFileSync(at('one'), '111');
      writeFileSync(at('two'), '222');
      // Not in one tick of the kernel's clock: by size and time alone rsync could not tell them apart.
      utimesSync(at('one'), 1_000_000_000, 1_000_000_000);
    },
    keptByUpdate: { names: /^two$/, isTold: true },
    change: (at) => {
      renameSync(at('one'), at('three'));
      renameSync(at('two'), at('one'));
      renameSync(at('three'), at('two'));
    },
  },
  {
    title: 'a removed file',
    before: (at) => {
      writeFileSync(at('file'), '');
    },
    change: (at) => {
      rmSync(at('file'));
    },
  },
  {
    title: 'rm -rf of 1,000 files in 200 directories',
    before: (at) => {
      plantTree(at('doomed'), 200, 5);
    },
    change: (at) => {
      run('rm', '-rf', at('doomed'));
    },
  },
  {
    title: 'a directory that is removed and made again with other files',
    before: (at) => {
      plantTree(at('again'), 10, 5);
    },
    change: (at) => {
      rmSync(at('again'), { recursive: true });
      mkdirSync(at('again/directory-2'), { recursive: true });
      writeFileSync(at('again/directory-2/other'), 'other');
    },
  },
  {
    title: 'symbolic links: to a file, to a directory, to nothing, and one that is turned',
    before: (at) => {
      mkdirSync(at('directory'));
      writeFileSync(at('file'), '');
      symlinkSync('file', at('turned'));
    },
    change: (at) => {
      symlinkSync('file', at('to file'));
      symlinkSync('directory', at('to directory'));
      symlinkSync('/nowhere/at/all', at('to nothing'));
      rmSync(at('turned'));
      symlinkSync('directory', at('turned'));
    },
  },
  {
    title: 'a hard link',
    before: (at) => {
      writeFileSync(at('file'), 'one inode');
    },
    change: (at) => {
      run('ln', at('file'), at('other name'));
    },
  },
  {
    title: 'a file replaced by a directory, and a directory by a file',
    before: (at) => {
      writeFileSync(at('file'), 'file');
      plantTree(at('directory'), 3, 3);
    },
    change: (at) => {
      rmSync(at('file'));
      plantTree(at('file'), 2, 2);
      rmSync(at('directory'), { recursive: true });
      writeFileSync(at('directory'), 'now a file');
    },
  },
  {
    title: 'a file replaced by a directory and back',
    before: (at) => {
      writeFileSync(at('file'), 'file');
    },
    change: (at) => {
      rmSync(at('file'));
      plantTree(at('file'), 2, 2);
      rmSync(at('file'), { recursive: true });
      writeFileSync(at('file'), 'a file again');
    },
  },
  {
    title: 'an empty file',
    change: (at) => {
      writeFileSync(at('empty'), '');
    },
  },
  {
    title: 'a file emptied',
    before: (at) => {
      writeFileSync(at('full'), 'content');
    },
    change: (at) => {
      writeFileSync(at('full'), '');
    },
  },
  {
    title: 'an empty directory made and one removed',
    before: (at) => {
      mkdirSync(at('old'));
    },
    change: (at) => {
      mkdirSync(at('new'));
      rmSync(at('old'), { recursive: true });
    },
  },
  {
    title: 'a file that is written, renamed and written again',
    change: (at) => {
      writeFileSync(at('a'), '1');
      renameSync(at('a'), at('b'));
      writeFileSync(at('a'), '2');
      appendFileSync(at('b'), '3');
    },
  },
  {
    title: 'files that come and go, of which some stay',
    change: (at) => {
      for (let file = 0; file < 300; file++) {
        writeFileSync(at(`file-${file}`), `${file}`);
        if (file % 3 !== 0) rmSync(at(`file-${file}`));
      }
    },
  },
  {
    title: 'a new file written through a shared mapping',
    change: (at) => {
      run(process.execPath, MMAP_WRITE, at('mapped'), 'through a mapping', '4096');
    },
  },
  {
    title: 'a file of 200 MB',
    change: (at) => {
      // Blocks of text: whoever compresses is not held up by noise, and the daemons write all of it.
      run('dd', 'if=/dev/zero', `of=${at('large')}`, 'bs=1M', 'count=200', 'status=none');
    },
  },
];

const CHMOD: Operation = {
  title: 'chmod of a file and of a directory',
  before: (at) => {
    mkdirSync(at('directory'));
    writeFileSync(at('file'), 'content');
  },
  change: (at) => {
    chmodSync(at('file'), 0o600);
    chmodSync(at('directory'), 0o700);
  },
};

interface Variant {
  readonly name: string;
  readonly config: Partial<ConfigOptions>;
  readonly operations: readonly Operation[];
  /** `-u` is among the params. */
  readonly keepsNewer: boolean;
}

const VARIANTS: readonly Variant[] = [
  // Edited as everybody must: what is watched, the remotes, their port, and the password that they ask for.
  { name: 'the shipped configuration', config: {}, operations: OPERATIONS, keepsNewer: true },
  {
    name: 'all switches on and without -u',
    config: { switches: { attrib: true, createFile: true, modify: true }, params: '-artz' },
    operations: [...OPERATIONS, CHMOD],
    keepsNewer: false,
  },
];

const USER = 'backup';
const PASSWORD = 'secret';

describe.each(VARIANTS)('with three remotes and $name', ({ config, operations, keepsNewer }) => {
  let bench: TestBench;
  let sersync: SersyncProcess;
  /** Directories of operations that failed: they are one failed test, not one for each operation that follows. */
  const broken = new Set<string>();

  beforeAll(async () => {
    bench = new TestBench('main-job');
    await bench.startDaemons(3, { secrets: { [USER]: PASSWORD } });
    plantTree(bench.path('source/initial'), 50, 10);
    for (const [index, operation] of operations.entries()) {
      mkdirSync(bench.path(`source/${index}`));
      mkdirSync(bench.path(`outside/${index}`), { recursive: true });
      operation.before?.(placeOf(bench, index));
    }
    writeFileSync(bench.path('password'), PASSWORD, { mode: 0o600 });
    sersync = await bench.startSersync({ ...config, auth: { users: USER, passwordFile: bench.path('password') } });
  });

  afterAll(() => bench.close());

  it('-r brings the initial tree', async () => {
    await bench.untilSame({ withinMs: 10_000 });
    await eventually(
      () => sersync.events('resync:finished').length === 3,
      { withinMs: 5_000 },
      () => `not three resyncs finished:\n${sersync.transcript()}`,
    );
  });

  for (const [index, { title, change, keptByUpdate }] of operations.entries()) {
    const isKept = keepsNewer && keptByUpdate !== undefined;
    it(`${title} is on every remote within 3 s${isKept ? ', but for what is newer there' : ''}`, async () => {
      change(placeOf(bench, index));

      broken.add(`${index}`);
      await bench.untilSame({
        withinMs: WITHIN_MS,
        isExcluded: (path) => (path !== `${index}` && broken.has(path)) || isKeptThere(path),
      });
      broken.delete(`${index}`);
      if (!isKept || !keptByUpdate.isTold) return;
      await eventually(
        () => bench.remotes.every((_, remote) => newerNames(remote).some(isKeptThere)),
        { withinMs: 5_000 },
        () => `the log does not tell of each remote what is newer there:\n${sersync.transcript()}`,
      );
    });
  }

  it('after all that a write in every directory arrives', async () => {
    for (const directory of directoriesOf(bench.source)) {
      writeFileSync(Buffer.concat([locate(bench.source, directory), Buffer.from('/later')]), directory);
    }

    await bench.untilSame({ withinMs: WITHIN_MS, isExcluded: isKeptThere });
  });

  it('nothing failed on the way, and nobody asked for a walk of the whole tree again', () => {
    expect(sersync.events('path:failed')).toEqual([]);
    expect(sersync.events('remote:unreachable')).toEqual([]);
    expect(sersync.log.filter((line) => line.level === 'error')).toEqual([]);
    expect(sersync.events('resync:started').map((line) => line['reason'])).toHaveLength(3);
  });

  function isKeptThere(path: string): boolean {
    const [, index = '', rest = ''] = /^(\d+)\/(.*)$/.exec(path) ?? [];
    return keepsNewer && operations[Number(index)]?.keptByUpdate?.names.test(rest) === true;
  }

  /** What the log says to be newer on a remote. */
  function newerNames(remote: number): string[] {
    const lines = sersync.events('path:newer', { remote: bench.remoteName(bench.daemons[remote]!) });
    return lines.map((line) => String(line['path']));
  }
});

describe('the switches', () => {
  let bench: TestBench;

  beforeAll(() => {
    bench = new TestBench('switches');
  });

  afterAll(() => bench.close());

  it('attrib off leaves a mere chmod where it is; the next write brings it', async () => {
    await bench.startDaemons(1);
    writeFileSync(bench.path('source/file'), 'content', { mode: 0o644 });
    await bench.startSynced();

    chmodSync(bench.path('source/file'), 0o600);
    writeFileSync(bench.path('source/other'), 'sent after the chmod');
    await bench.untilSame({ withinMs: WITHIN_MS, mode: false });
    await expect(bench.untilSame({ withinMs: 500 })).rejects.toThrow(/file: mode 100644, not 100600/);

    writeFileSync(bench.path('source/file'), 'content!');
    await bench.untilSame({ withinMs: WITHIN_MS });
  });
});

describe('a file whose size stays the same', () => {
  it('arrives each time, however soon it is written again', async () => {
    // rsync compares whole seconds unless it is told otherwise (rsync(1), --modify-window): a file that was sent and
    // changes once more in the same second, to the same size, looks to it as if it were there already.
    const bench = new TestBench('same-second');
    try {
      const [daemon] = await bench.startDaemons(1);
      await bench.startSersync();
      const there = join(daemon!.path(), 'counter');
      for (let count = 100; count < 120; count++) {
        writeFileSync(bench.path('source/counter'), `${count}`);
        await eventually(
          () => existsSync(there) && readFileSync(there, 'utf8') === `${count}`,
          { withinMs: WITHIN_MS, everyMs: 2 },
          () => `the remote has ${readFileSync(there, 'utf8')}, not ${count}`,
        );
      }
    } finally {
      await bench.close();
    }
  });
});

describe('a write through a mapping in place', () => {
  it('arrives when the file is closed', async () => {
    // Not in memory: tmpfs does not move the time of a file whose pages alone change, so that rsync sees no change there.
    const bench = new TestBench('mapping', '/var/tmp');
    try {
      await bench.startDaemons(1);
      writeFileSync(bench.path('source/mapped'), 'before'.repeat(1000));
      await bench.startSynced();

      run(process.execPath, MMAP_WRITE, bench.path('source/mapped'), 'AFTER');

      await bench.untilSame({ withinMs: WITHIN_MS });
      expect(readFileSync(join(bench.remotes[0]!, 'mapped'), 'utf8')).toMatch(/^AFTERe/);
    } finally {
      await bench.close();
    }
  });
});

describe('with the shipped -u', () => {
  let bench: TestBench;
  let sersync: SersyncProcess;

  beforeAll(async () => {
    bench = new TestBench('update');
    await bench.startDaemons(1);
    writeFileSync(bench.path('source/page'), 'ours');
    sersync = await bench.startSynced();
  });

  afterAll(() => bench.close());

  it('a name that is newer on the remote stays there, and the log names it', async () => {
    const there = join(bench.remotes[0]!, 'page');
    const tomorrow = Date.now() / 1000 + 86_400;
    writeFileSync(there, 'newer there');
    utimesSync(there, tomorrow, tomorrow);

    writeFileSync(bench.path('source/page'), 'ours, changed');
    writeFileSync(bench.path('source/other'), 'arrives');

    await eventually(
      () => sersync.log.find((line) => ['newer', 'page'].every((word) => JSON.stringify(line).includes(word))),
      { withinMs: 10_000 },
      () => `no log line tells that "page" is newer on the remote:\n${sersync.transcript()}`,
    );
    await bench.untilSame({ withinMs: WITHIN_MS, isExcluded: (path) => path === 'page' });
    expect(readFileSync(there, 'utf8')).toBe('newer there');
  });
});

describe('a file whose time is set after it was closed, as git and unzip do, with the shipped -u', () => {
  it('has that time on the remote', async () => {
    const bench = new TestBench('backdated');
    try {
      const [daemon] = await bench.startDaemons(1);
      const proxy = await bench.startProxy(daemon!, '127.0.1.1');
      await bench.startSersync({ remotes: [{ ip: proxy.at.address, name: 'backup' }], port: proxy.at.port });
      // After that an rsync waits that is connected already.
      writeFileSync(bench.path('source/first'), 'first');
      await bench.untilSame({ withinMs: WITHIN_MS });
      await sleep(500);

      // rsync has made its list by the time, and is not through.
      proxy.delayMs = 50;
      const file = bench.path('source/file');
      writeFileSync(file, 'content');
      await sleep(60);
      utimesSync(file, 1_700_000_000, 1_700_000_000);
      await bench.untilSame({ withinMs: 10_000 });
    } finally {
      await bench.close();
    }
  });
});

function placeOf(bench: TestBench, index: number): Place {
  const inside = (path: string): string => bench.path('source', `${index}`, path);
  return Object.assign(inside, { outside: (path: string) => bench.path('outside', `${index}`, path) });
}

/** `directories` below `root`, each with `files` small ones. */
function plantTree(root: string, directories: number, files: number, content = 'content of'): void {
  for (let directory = 0; directory < directories; directory++) {
    const path = join(root, `directory-${directory}`);
    mkdirSync(path, { recursive: true });
    for (let file = 0; file < files; file++) {
      writeFileSync(join(path, `file-${file}`), `${content} ${directory}/${file}\n`);
    }
  }
}

/** Sets the times of the files in a directory to long ago. */
function makeOld(directory: string): void {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    if (entry.isFile()) utimesSync(join(directory, entry.name), 1_000_000_000, 1_000_000_000);
  }
}

function plantRepository(root: string): void {
  plantTree(root, 20, 10);
  const git = (...args: string[]): void => {
    run('git', '-C', root, '-c', 'user.name=test', '-c', 'user.email=test@localhost', ...args);
  };
  git('init', '-q');
  git('add', '.');
  git('commit', '-q', '-m', 'first');
  cpSync(join(root, 'directory-0'), join(root, 'copied'), { recursive: true });
  git('add', '.');
  git('commit', '-q', '-m', 'second');
}

function run(command: string, ...args: string[]): void {
  execFileSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
}
