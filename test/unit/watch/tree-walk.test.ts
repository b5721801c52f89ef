import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createFilter } from '../../../src/core/filter.js';
import { parentOf, ROOT, type RelativePath } from '../../../src/core/relative-path.js';
import type { ChangedName, WalkSummary } from '../../../src/replicate/ports.js';
import { touchClock } from '../../../src/watch/kernel-time.js';
import { walkTree, type WalkOptions } from '../../../src/watch/tree-walk.js';
import { Random } from '../../support/random.js';
import { DEED_KINDS, TreeHistory } from '../../support/tree-history.js';

let base: string;
let root: string;

beforeEach(() => {
  base = mkdtempSync(`${existsSync('/dev/shm') ? '/dev/shm' : realpathSync(tmpdir())}/sersync-walk-`);
  root = `${base}/root`;
  mkdirSync(root);
});

afterEach(() => {
  // Not rmSync: it fails at paths that are too long.
  execFileSync('rm', ['-rf', base]);
});

/** The kernel's time once it is later than whatever was changed before. Its clock ticks every few milliseconds. */
function nextTick(): number {
  const clock = (): number => touchClock(`${base}/clock`) ?? NaN;
  const before = clock();
  for (;;) {
    const now = clock();
    if (now > before + 2) return now;
  }
}

function walk(options: Partial<WalkOptions> = {}): { found: ChangedName[]; summary: WalkSummary } {
  const found: ChangedName[] = [];
  const filter = createFilter({ excludes: [], patterns: [] });
  const tell = (name: ChangedName): void => {
    found.push(name);
  };
  const summary = walkTree({
    root,
    filter,
    below: ROOT,
    sinceMs: 0,
    detail: 'folded',
    now: Date.now,
    tell,
    ...options,
  });
  return { found, summary };
}

/** `a`: an entry; `a/`: a listing; `a/**`: a subtree. */
function told(options: Partial<WalkOptions>): string[] {
  return walk(options)
    .found.map(({ path, scope }) => {
      const shown = path === ROOT ? '.' : path;
      return `${shown}${scope === 'subtree' ? '/**' : scope === 'listing' ? '/' : ''}`;
    })
    .sort();
}

test('a walk tells of a file that has other names', () => {
  make('a', 'b');
  linkSync(`${root}/a`, `${root}/c`);
  const linked = walk({ detail: 'each' }).found.filter(({ isLinked }) => isLinked === true);
  expect(linked.map(({ path }) => path).sort()).toEqual(['a', 'c']);
});

function make(...paths: string[]): void {
  for (const path of paths) {
    mkdirSync(`${root}/${parentOf(path)}`, { recursive: true });
    if (path.endsWith('/')) mkdirSync(`${root}/${path}`, { recursive: true });
    else writeFileSync(`${root}/${path}`, 'text');
  }
}

describe('a walk tells', () => {
  test.each<readonly [title: string, deed: () => void, told: readonly string[]]>([
    ['nothing of what has not changed', () => undefined, []],
    [
      'a file that was written',
      () => {
        writeFileSync(`${root}/d/e/f`, 'new');
      },
      ['d/e/f'],
    ],
    [
      'a file whose mode changed',
      () => {
        chmodSync(`${root}/d/e/f`, 0o600);
      },
      ['d/e/f'],
    ],
    [
      'the directory of a file that was removed',
      () => {
        unlinkSync(`${root}/d/e/f`);
      },
      ['d/e/'],
    ],
    [
      'the directory of a file that was made, which covers the file',
      () => {
        make('d/e/new');
      },
      ['d/e/'],
    ],
    [
      'a directory that was made, as a whole',
      () => {
        make('d/e/new/below/');
      },
      ['d/e/', 'd/e/new/**'],
    ],
    [
      'a directory whose mode changed',
      () => {
        chmodSync(`${root}/d/e`, 0o700);
      },
      ['d/e/'],
    ],
    [
      'a directory that was moved in, with its old children',
      () => {
        renameSync(`${base}/old`, `${root}/d/e/in`);
      },
      ['d/e/', 'd/e/in/**'],
    ],
    [
      'both directories of a move, and what was moved',
      () => {
        renameSync(`${root}/d/e/f`, `${root}/x/y/f`);
      },
      ['d/e/', 'x/y/'],
    ],
    [
      'directories that changed places',
      () => {
        renameSync(`${root}/d/e`, `${base}/aside`);
        renameSync(`${root}/x/y`, `${root}/d/e`);
        renameSync(`${base}/aside`, `${root}/x/y`);
      },
      ['d/', 'd/e/**', 'x/', 'x/y/**'],
    ],
    [
      'the root, when a name in it came',
      () => {
        make('new');
      },
      ['./'],
    ],
  ])('%s', (_title, deed, expected) => {
    make('d/e/f', 'd/g', 'x/y/z');
    mkdirSync(`${base}/old/child`, { recursive: true });
    const sinceMs = nextTick();
    deed();
    expect(told({ sinceMs })).toEqual(expected);
  });

  test('with every detail what is covered too', () => {
    make('d/g', 'x/y');
    const sinceMs = nextTick();
    make('d/e/f');
    expect(told({ sinceMs })).toEqual(['d/', 'd/e/**']);
    expect(told({ sinceMs, detail: 'each' })).toEqual(['d/', 'd/e/**', 'd/e/f']);
  });

  test('everything when it asks from the beginning of time', () => {
    make('a', 'd/e');
    expect(told({ sinceMs: 0, detail: 'each' })).toEqual(['./', 'a', 'd/**', 'd/e']);
  });

  test('the place where it begins as what it is to the directory above it', () => {
    make('d/e/f');
    const sinceMs = nextTick();
    writeFileSync(`${root}/d/e/f`, 'new');
    expect(told({ sinceMs, below: 'd/e' })).toEqual(['d/e/f']);
    make('d/e/new');
    expect(told({ sinceMs, below: 'd/e' })).toEqual(['d/e/']);
    make('d/other');
    expect(told({ sinceMs, below: 'd/e' })).toEqual(['d/e/**']);
  });

  test('when each name changed', () => {
    make('a');
    const { found } = walk({ detail: 'each' });
    expect(found.find(({ path }) => path === 'a')?.ctimeMs).toBe(statSync(`${root}/a`).ctimeMs);
  });

  test('a ctime in the very millisecond that was asked for', () => {
    make('a');
    const { ctimeMs } = statSync(`${root}/a`);
    expect(told({ sinceMs: Math.ceil(ctimeMs), detail: 'each' })).toContain('a');
    expect(told({ sinceMs: Math.ceil(ctimeMs) + 1, detail: 'each' })).not.toContain('a');
  });

  test('names that are no UTF-8, byte by byte', () => {
    mkdirSync(Buffer.from(`${root}/\xb2\xe2`, 'latin1'));
    writeFileSync(Buffer.from(`${root}/\xb2\xe2/\xe9`, 'latin1'), '');
    expect(told({ detail: 'each' })).toContain('\xb2\xe2/\xe9');
  });
});

describe('a walk leaves out', () => {
  test('what the filter excludes, with all that is below, and temporaries', () => {
    make('keep/a', 'skip/a', 'keep/no.log', 'keep/.a.swp');
    const filter = createFilter({ excludes: ['skip', '.*\\.log'], patterns: [] });
    const { found, summary } = walk({ filter, detail: 'each' });
    expect(found.map(({ path }) => path).sort()).toEqual(['', 'keep', 'keep/a']);
    expect(summary.names).toBe(3);
  });

  test('what links lead to', () => {
    make('d/a');
    symlinkSync(`${root}/d`, `${root}/link`);
    expect(told({ detail: 'each' })).toEqual(['./', 'd/**', 'd/a', 'link']);
  });
});

describe('while the tree changes, a walk', () => {
  /** A filter that does something the first time it is asked about a name. */
  const meddling = (name: RelativePath, deed: () => void): WalkOptions['filter'] => {
    let isDone = false;
    return {
      isExcluded(path) {
        if (path === name && !isDone) {
          isDone = true;
          deed();
        }
        return false;
      },
    };
  };

  test('tells a name that is gone when it is looked at, as of now', () => {
    make('a', 'b', 'c');
    const sinceMs = nextTick();
    // Whichever of them comes first is asked about after all were listed, and before the others are looked at.
    const removeAll = (): void => {
      for (const name of ['a', 'b', 'c']) rmSync(`${root}/${name}`, { force: true });
    };
    const filter = { isExcluded: (path: RelativePath) => (path === ROOT ? false : (removeAll(), false)) };
    const { found, summary } = walk({ sinceMs, filter, now: () => 12_345 });
    expect(found).toHaveLength(2);
    for (const { scope, ctimeMs } of found) expect([scope, ctimeMs]).toEqual(['entry', 12_345]);
    expect(summary).toMatchObject({ names: 4, unreadable: 0 });
  });

  test('tells a directory that is gone when it is read', () => {
    make('d/a');
    const sinceMs = nextTick();
    const filter = meddling('d', () => {
      rmSync(`${root}/d`, { recursive: true });
    });
    expect(told({ sinceMs, filter })).toEqual(['d']);
  });

  test('tells a directory that is a file when it is read', () => {
    make('d/a');
    const sinceMs = nextTick();
    const filter = meddling('d', () => {
      rmSync(`${root}/d`, { recursive: true });
      make('d');
    });
    expect(told({ sinceMs, filter })).toEqual(['d']);
  });
});

describe('what cannot be read', () => {
  /** Root may read everything, but no path of more than 4,096 bytes. One that is longer is made by moving its end. */
  function makeTooDeep(): void {
    const name = 'n'.repeat(200);
    mkdirSync(`${root}/${Array.from({ length: 19 }, () => name).join('/')}`, { recursive: true });
    mkdirSync(`${root}/above`);
    renameSync(`${root}/${name}`, `${root}/above/${name}`);
    renameSync(`${root}/above`, `${root}/${'w'.repeat(250)}`);
  }

  test('is counted and told as a listing, whatever its ctime', () => {
    make('other/a');
    makeTooDeep();
    const sinceMs = nextTick();
    const { found, summary } = walk({ sinceMs });
    expect(summary.unreadable).toBe(1);
    expect(found.map(({ scope }) => scope)).toEqual(['listing']);
    expect(found[0]!.ctimeMs).toBeLessThan(sinceMs);
  });

  test.each([
    ['is not there', 'nowhere', 'there is no such directory'],
    ['is below what is no directory', 'file/below', 'there is no such directory'],
    ['is a file', 'file', 'it is no directory'],
  ])('ends the walk when it is the place where it begins, which %s', (_title, below, found) => {
    make('file');
    expect(() => walk({ below })).toThrow(`cannot look for changes in ${root}/${below}: ${found}`);
  });
});

describe('after any history', () => {
  const SEEDS = 300;

  /** Whether whoever looks at what was told, each as deep as its scope says, sees the name. */
  function isCovered(path: RelativePath, scopes: ReadonlyMap<RelativePath, string>): boolean {
    if (scopes.has(path) || (path !== ROOT && scopes.get(parentOf(path)) === 'listing')) return true;
    for (let above = path; ; above = parentOf(above)) {
      if (scopes.get(above) === 'subtree') return true;
      if (above === ROOT) return false;
    }
  }

  test(`(${SEEDS} seeds) a walk tells all that is not as it was, not much more, and nothing when it is asked again`, () => {
    const histories = Array.from({ length: SEEDS }, (_, seed) => new TreeHistory(`${base}/${seed}`, new Random(seed)));
    const sinceMs = nextTick();
    const before = histories.map((history) => history.snapshot());
    for (const history of histories) for (let left = history.random.below(8); left > 0; left--) history.happen();
    const later = nextTick();

    const count = { names: 0, changed: 0, covered: 0 };
    for (const [seed, history] of histories.entries()) {
      const [was, is] = [before[seed]!, history.snapshot()];
      // What went with its directory is covered by what covers the directory.
      const isThere = (path: RelativePath): boolean => is.get(path)?.startsWith(DIRECTORY_MODE) ?? false;
      const changed = [...new Set([...was.keys(), ...is.keys()])].filter(
        (path) => was.get(path) !== is.get(path) && (path === ROOT || is.has(path) || isThere(parentOf(path))),
      );
      for (const detail of ['folded', 'each'] as const) {
        const { found, summary } = walk({ root: history.root, sinceMs, detail });
        const scopes = new Map(found.map(({ path, scope }) => [path, scope]));
        const missed = changed.filter((path) => !isCovered(path, scopes));
        expect(missed, `seed ${seed}, ${detail}, done: ${[...history.done.keys()].join(', ')}`).toEqual([]);
        expect(scopes.size).toBe(found.length);
        expect(summary).toMatchObject({ names: is.size, unreadable: 0 });
        if (detail === 'folded') count.covered += [...is.keys()].filter((path) => isCovered(path, scopes)).length;
      }
      expect(walk({ root: history.root, sinceMs: later }).found).toEqual([]);
      count.names += is.size;
      count.changed += changed.length;
    }
    const done = new Set(histories.flatMap((history) => [...history.done.keys()]));
    expect(DEED_KINDS.filter((kind) => !done.has(kind))).toEqual([]);
    expect(count.changed).toBeGreaterThan(5 * SEEDS);
    expect(count.covered / count.names).toBeLessThan(0.6);
  });

  /** As the snapshot begins: octal 040000 as a decimal number, with any permissions. */
  const DIRECTORY_MODE = '16';
});
