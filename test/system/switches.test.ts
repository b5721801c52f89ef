import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';

import { eventually } from '../support/eventually.js';
import { signal } from '../support/processes.js';
import type { SersyncProcess } from '../support/sersync-process.js';
import {
  arrivalOf,
  SWITCH_TABLE,
  SWITCHES,
  type Arrival,
  type Operation,
  type Switch,
  type SwitchRow,
} from '../support/switch-table.js';
import { TestBench } from '../support/test-bench.js';
import { differences, readTree } from '../support/trees.js';

/** One change of an operation, in a directory of its own below the source. */
interface Case {
  /** What is there before, and on the remote as well. */
  readonly before?: (at: Place) => void;
  readonly change: (at: Place) => void;
  /** How much of it is on the remote. */
  readonly found: (there: Find) => Arrival;
  /** Names that go: they stay on the remote where nothing is deleted. */
  readonly removes?: readonly string[];
  /** Nobody may look between its parts: whether they count as one change or as several is not what is tested. */
  readonly isOneChange?: boolean;
}

interface Place {
  /** A path in the case's directory. */
  (path: string): string;
  /** A path outside of the watched tree, on the same file system. */
  outside(path: string): string;
  /** Opens a file that stays open until the test is over. */
  open(path: string, flags: string): number;
}

type Find = (path: string) => string;

const FUTURE = 2_000_000_000;

const CASES: Readonly<Record<Operation, readonly Case[]>> = {
  '`mkdir d`': [
    {
      change: (at) => {
        mkdirSync(at('d'));
      },
      found: isThere('d'),
    },
  ],
  '`mkdir -p a/b && echo x > a/b/f`': [
    {
      // And an empty directory beside it.
      change: (at) => {
        mkdirSync(at('a/b/empty'), { recursive: true });
        writeFileSync(at('a/b/f'), 'x');
      },
      isOneChange: true,
      found: (there) =>
        !hasContent(there('a/b/f'), 'x') ? 'nothing' : existsSync(there('a/b/empty')) ? 'all' : 'files',
    },
  ],
  '`echo x > new`': [
    {
      change: (at) => {
        writeFileSync(at('new'), 'x');
      },
      found: holds('new', 'x'),
    },
  ],
  '`touch new`': [
    {
      change: (at) => {
        run('touch', at('new'));
      },
      found: isThere('new'),
    },
  ],
  'a new file is written and stays open': [
    { change: (at) => writeSync(at.open('new', 'w'), 'open'), found: holds('new', 'open') },
  ],
  '`echo x > existing`': [
    {
      before: (at) => {
        writeFileSync(at('existing'), 'before');
      },
      change: (at) => {
        writeFileSync(at('existing'), 'x');
      },
      found: holds('existing', 'x'),
    },
  ],
  'an existing file is appended to and stays open': [
    {
      before: (at) => {
        writeFileSync(at('existing'), 'one');
      },
      change: (at) => writeSync(at.open('existing', 'a'), ' two'),
      found: holds('existing', 'one two'),
    },
  ],
  '`touch existing`': [
    {
      before: (at) => {
        writeFileSync(at('existing'), 'content');
        utimesSync(at('existing'), 1_000_000_000, 1_000_000_000);
      },
      change: (at) => {
        run('touch', at('existing'));
      },
      found: (there) => (lstatSync(there('existing')).mtimeMs > 1_500_000_000_000 ? 'all' : 'nothing'),
    },
  ],
  '`chmod`, `chown`, a new time (`utime`) of an existing name; `touch` of a directory': [
    attributesOf('file', 'chmod'),
    attributesOf('directory', 'chmod'),
    ...(process.getuid?.() === 0 ? [attributesOf('file', 'chown'), attributesOf('directory', 'chown')] : []),
    attributesOf('file', 'utime'),
    attributesOf('directory', 'utime'),
    {
      before: (at) => {
        mkdirSync(at('d'));
        utimesSync(at('d'), 1_000_000_000, 1_000_000_000);
      },
      change: (at) => {
        run('touch', at('d'));
      },
      found: (there) => (lstatSync(there('d')).mtimeMs > 1_500_000_000_000 ? 'all' : 'nothing'),
    },
  ],
  '`ln -s`, `ln`, a device or pipe is made': [
    {
      change: (at) => {
        symlinkSync('/nowhere', at('link'));
      },
      found: isThere('link'),
    },
    {
      before: (at) => {
        writeFileSync(at('file'), 'one inode');
      },
      change: (at) => {
        linkSync(at('file'), at('other name'));
      },
      found: holds('other name', 'one inode'),
    },
    {
      change: (at) => {
        run('mkfifo', at('pipe'));
      },
      found: isThere('pipe'),
    },
    ...(canMakeDevices()
      ? [
          {
            change: (at: Place) => {
              run('mknod', at('null'), 'c', '1', '3');
            },
            found: isThere('null'),
          },
        ]
      : []),
  ],
  '`rm f`, `rm -r d`': [
    {
      before: (at) => {
        writeFileSync(at('f'), '');
      },
      change: (at) => {
        rmSync(at('f'));
      },
      found: isGone('f'),
      removes: ['f'],
    },
    {
      before: (at) => {
        plant(at('d'));
      },
      change: (at) => {
        rmSync(at('d'), { recursive: true });
      },
      found: isGone('d'),
      removes: planted('d'),
    },
  ],
  '`mv a b`: `b` arrives': [
    {
      before: (at) => {
        writeFileSync(at('a'), 'moved');
      },
      removes: ['a'],
      change: (at) => {
        move(at);
      },
      found: holds('b', 'moved'),
    },
    {
      before: (at) => {
        plant(at('a'));
      },
      removes: planted('a'),
      change: (at) => {
        move(at);
      },
      found: holds('b/c/f', 'planted'),
    },
  ],
  '`mv a b`: `a` is removed': [
    {
      before: (at) => {
        writeFileSync(at('a'), 'moved');
      },
      change: (at) => {
        move(at);
      },
      found: isGone('a'),
      removes: ['a'],
    },
    {
      before: (at) => {
        plant(at('a'));
      },
      change: (at) => {
        move(at);
      },
      found: isGone('a'),
      removes: planted('a'),
    },
  ],
  'a name is moved in from outside the tree, or over an existing one': [
    {
      before: (at) => {
        writeFileSync(at.outside('f'), 'in');
      },
      change: (at) => {
        renameSync(at.outside('f'), at('f'));
      },
      found: holds('f', 'in'),
    },
    {
      before: (at) => {
        plant(at.outside('d'));
      },
      change: (at) => {
        renameSync(at.outside('d'), at('d'));
      },
      found: holds('d/c/f', 'planted'),
    },
    {
      before: (at) => {
        writeFileSync(at('f'), 'first');
        writeFileSync(at.outside('f'), 'second!');
        utimesSync(at.outside('f'), FUTURE, FUTURE);
      },
      change: (at) => {
        renameSync(at.outside('f'), at('f'));
      },
      found: holds('f', 'second!'),
    },
  ],
  'a name is moved out of the tree: it is removed': [
    {
      before: (at) => {
        writeFileSync(at('f'), 'out');
      },
      change: (at) => {
        renameSync(at('f'), at.outside('f'));
      },
      found: isGone('f'),
      removes: ['f'],
    },
    {
      before: (at) => {
        plant(at('d'));
      },
      change: (at) => {
        renameSync(at('d'), at.outside('d'));
      },
      found: isGone('d'),
      removes: planted('d'),
    },
  ],
};

const DEFAULT = ['delete', 'createFolder', 'closeWrite', 'moveFrom', 'moveTo'] as const;

interface SwitchSet {
  readonly name: string;
  readonly on: readonly Switch[];
  /** A full resync is looked at as well. */
  readonly resyncs?: boolean;
}

const SETS: readonly SwitchSet[] = [
  ...SWITCHES.map((name) => ({ name: `${name} alone`, on: [name], resyncs: name === 'moveFrom' })),
  { name: 'no switch', on: [], resyncs: true },
  { name: 'the shipped default', on: DEFAULT, resyncs: true },
  { name: 'the default without delete', on: DEFAULT.filter((name) => name !== 'delete'), resyncs: true },
  { name: 'the default and createFile', on: [...DEFAULT, 'createFile'] },
  { name: 'the default and attrib', on: [...DEFAULT, 'attrib'] },
  { name: 'the default and modify', on: [...DEFAULT, 'modify'] },
  { name: 'delete, closeWrite and moveTo', on: ['delete', 'closeWrite', 'moveTo'] },
  { name: 'moveFrom, closeWrite and moveTo', on: ['moveFrom', 'closeWrite', 'moveTo'] },
  { name: 'all switches', on: SWITCHES },
];

const ROWS: readonly (SwitchRow & { readonly operation: Operation })[] = SWITCH_TABLE;

/** Longer than a file stays open before it is sent all the same (10 s). */
const WITHIN_MS = 30_000;

interface Outcome {
  readonly arrived: ReadonlyMap<Operation, readonly Arrival[]>;
  readonly failures: readonly unknown[];
  /** Names that only the remote has after a full resync, and in what it differs otherwise. */
  readonly resync?: { readonly extra: readonly string[]; readonly different: readonly string[] };
}

describe('<inotify>', () => {
  const outcomes = new Map<string, Promise<Outcome>>();

  beforeAll(async () => {
    // Most of the time goes by in waiting for the interval of open files, so the services run side by side.
    const waiting = [...SETS];
    const workers = Array.from({ length: 3 * availableParallelism() }, async () => {
      for (let set = waiting.shift(); set !== undefined; set = waiting.shift()) {
        const outcome = observe(set);
        outcomes.set(set.name, outcome);
        // Whatever is wrong with it is told by the tests of this set.
        await outcome.catch(() => undefined);
      }
    });
    await Promise.all(workers);
  }, 170_000);

  describe.each(SETS)('with $name', ({ name, on, resyncs }) => {
    it.each(ROWS)('$operation', async (row) => {
      const { arrived } = await outcomes.get(name)!;
      const expected = arrivalOf(row, new Set(on));
      expect(arrived.get(row.operation)).toEqual(CASES[row.operation].map(() => expected));
    });

    it.runIf(resyncs)(
      `a full resync brings the rest and ${on.includes('delete') ? 'deletes' : 'deletes nothing'}`,
      async () => {
        const { resync } = await outcomes.get(name)!;
        expect(resync).toEqual({ extra: on.includes('delete') ? [] : staying().sort(), different: [] });
      },
    );

    it('nothing fails', async () => {
      expect((await outcomes.get(name)!).failures).toEqual([]);
    });
  });
});

describe('<dotfiles> off', () => {
  it('changes of such files do not count, and a full resync sends them', async () => {
    const bench = new TestBench('dotfiles');
    try {
      const [daemon] = await bench.startDaemons(1);
      const names = ['.env', '.old', 'd/.hidden', 'd/page', '.git/config'];
      const [here, there] = [bench.source, daemon!.path()].map(
        (root) => (): Record<string, string> =>
          Object.fromEntries(
            names
              .map((name) => join(root, name))
              .filter(existsSync)
              .map((path) => [path.slice(root.length + 1), readFileSync(path, 'utf8')]),
          ),
      ) as [() => Record<string, string>, () => Record<string, string>];
      mkdirSync(bench.path('source/d'));
      for (const name of ['.env', '.old']) writeFileSync(bench.path('source', name), 'before');
      const first = await bench.startSynced({ dotfiles: false });

      writeFileSync(bench.path('source/.env'), 'changed');
      rmSync(bench.path('source/.old'));
      writeFileSync(bench.path('source/d/.hidden'), 'new');
      writeFileSync(bench.path('source/d/page'), 'new');
      mkdirSync(bench.path('source/.git'));
      writeFileSync(bench.path('source/.git/config'), 'new');
      // It has heard of all that, and has sent what counts of it.
      await first.stop();
      expect(there()).toEqual({ '.env': 'before', '.old': 'before', 'd/page': 'new', '.git/config': 'new' });

      const second = await bench.startSersync({ dotfiles: false });
      await second.waitForLog('resync:finished', {}, 60_000);
      await second.stop();
      expect(there()).toEqual(here());
    } finally {
      await bench.close();
    }
  });
});

/** Carries out all operations with one set of switches, and looks at what became of them. */
async function observe({ on, resyncs = false }: SwitchSet): Promise<Outcome> {
  const bench = new TestBench('switches');
  try {
    const [daemon] = await bench.startDaemons(1);
    const cases = ROWS.flatMap((row) => CASES[row.operation].map((it, index) => ({ row, it, index })));
    const places = cases.map(({ row, index }) => placeOf(bench, row, index));
    cases.forEach(({ it }, at) => it.before?.(places[at]!));
    const switches = Object.fromEntries(SWITCHES.map((name) => [name, on.includes(name)]));
    const first = await bench.startSynced({ switches });

    cases.forEach(({ it }, at) => {
      if (it.isOneChange !== true) it.change(places[at]!);
    });
    signal(first.pid, 'SIGSTOP');
    cases.forEach(({ it }, at) => {
      if (it.isOneChange === true) it.change(places[at]!);
    });
    signal(first.pid, 'SIGCONT');

    const remote = daemon!.path();
    const find = (index: number): Arrival => {
      const { row, it, index: which } = cases[index]!;
      return it.found((path) => join(remote, directoryOf(row, which), path));
    };
    const isDone = (index: number): boolean => {
      const expected = arrivalOf(cases[index]!.row, new Set(on));
      return expected === 'nothing' || find(index) === 'all' || find(index) === expected;
    };
    // What should arrive is waited for. Whether it did is told by the tests, one for each operation.
    await eventually(
      () => cases.every((_, index) => isDone(index)),
      { withinMs: WITHIN_MS, everyMs: 200 },
      () => '',
    ).catch(() => undefined);
    // What should not arrive: a service that ends has heard of all that was changed before (a fence of the watcher), and
    // has sent what of it counts.
    const ending = await first.stop();
    const arrived = new Map<Operation, Arrival[]>();
    cases.forEach(({ row }, index) => {
      arrived.set(row.operation, [...(arrived.get(row.operation) ?? []), find(index)]);
    });

    const failures = [...failuresOf(first), ...(ending.code === 0 ? [] : [ending])];
    if (!resyncs) return { arrived, failures };

    const second = await bench.startSersync({ switches });
    await second.waitForLog('resync:finished', {}, 60_000);
    await second.stop();
    const here = readTree(bench.source);
    const extra = [...readTree(remote).keys()].filter((path) => !here.has(path)).sort();
    const different = differences(bench.source, remote, { isExcluded: (path) => extra.includes(path) });
    return { arrived, failures: [...failures, ...failuresOf(second)], resync: { extra, different } };
  } finally {
    await bench.close();
  }
}

function failuresOf(sersync: SersyncProcess): unknown[] {
  return [...sersync.events('path:failed'), ...sersync.log.filter(({ level }) => level === 'error')];
}

/** As the comparison of trees tells what the source does not have. */
function staying(): string[] {
  return ROWS.flatMap((row) =>
    CASES[row.operation].flatMap(({ removes = [] }, index) =>
      removes.map((path) => join(directoryOf(row, index), path)),
    ),
  );
}

function directoryOf(row: SwitchRow, index: number): string {
  return `${ROWS.findIndex(({ operation }) => operation === row.operation)}-${index}`;
}

function placeOf(bench: TestBench, row: SwitchRow, index: number): Place {
  const directory = directoryOf(row, index);
  mkdirSync(bench.path('source', directory));
  mkdirSync(bench.path('outside', directory), { recursive: true });
  const at = (path: string): string => bench.path('source', directory, path);
  return Object.assign(at, {
    outside: (path: string) => bench.path('outside', directory, path),
    open(path: string, flags: string) {
      const descriptor = openSync(at(path), flags);
      bench.onClose(() => {
        closeSync(descriptor);
      });
      return descriptor;
    },
  });
}

function plant(directory: string): void {
  mkdirSync(join(directory, 'c'), { recursive: true });
  writeFileSync(join(directory, 'c/f'), 'planted');
}

function planted(directory: string): string[] {
  return ['', 'c', 'c/f'].map((path) => join(directory, path));
}

function move(at: Place): void {
  renameSync(at('a'), at('b'));
}

/** A change of nothing but attributes. */
function attributesOf(kind: 'file' | 'directory', change: 'chmod' | 'chown' | 'utime'): Case {
  return {
    before(at) {
      if (kind === 'file') writeFileSync(at('it'), 'content');
      else mkdirSync(at('it'));
      chmodSync(at('it'), 0o755);
    },
    change(at) {
      if (change === 'chmod') chmodSync(at('it'), 0o700);
      else if (change === 'chown') chownSync(at('it'), 1234, 1234);
      else utimesSync(at('it'), FUTURE, FUTURE);
    },
    found(there) {
      const { mode, uid, mtimeMs } = lstatSync(there('it'));
      const isChanged = { chmod: (mode & 0o777) === 0o700, chown: uid === 1234, utime: mtimeMs === FUTURE * 1000 };
      return isChanged[change] ? 'all' : 'nothing';
    },
  };
}

function isThere(path: string): Case['found'] {
  return (there) => (lstatSync(there(path), { throwIfNoEntry: false }) === undefined ? 'nothing' : 'all');
}

function isGone(path: string): Case['found'] {
  return (there) => (isThere(path)(there) === 'all' ? 'nothing' : 'all');
}

function holds(path: string, content: string): Case['found'] {
  return (there) => (hasContent(there(path), content) ? 'all' : 'nothing');
}

function hasContent(path: string, content: string): boolean {
  return existsSync(path) && readFileSync(path, 'utf8') === content;
}

function canMakeDevices(): boolean {
  const script = 'd=$(mktemp -d) && mknod "$d/null" c 1 3; s=$?; rm -r "$d"; exit $s';
  return spawnSync('sh', ['-c', script], { stdio: 'ignore' }).status === 0;
}

function run(command: string, ...args: string[]): void {
  execFileSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
}
