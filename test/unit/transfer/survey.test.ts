import { describe, expect, test } from 'vitest';
import { createFilter } from '../../../src/core/filter.js';
import { ROOT, type RelativePath } from '../../../src/core/relative-path.js';
import type { Again, Look } from '../../../src/replicate/ports.js';
import {
  divide,
  ExtraNames,
  surveyAfter,
  surveyDoubtful,
  surveyEntries,
  surveySent,
  surveyTrees,
  walk,
  within,
  type Disk,
  type Found,
} from '../../../src/transfer/survey.js';
import { ModelTree, newDirectory } from '../../model/model-tree.js';

const NOTHING = createFilter({ excludes: [], patterns: [] });

/** `d/` is a directory, `f` a file of one byte, `f=9` one of nine; parents come first. */
function treeOf(...names: string[]): ModelTree {
  const tree = new ModelTree();
  for (const text of names) {
    const [name = '', size] = text.split('=');
    if (name.endsWith('/')) tree.put(name.slice(0, -1), newDirectory());
    else tree.put(name, { kind: 'file', content: Number(size ?? 1) });
  }
  return tree;
}

const look = (path: RelativePath, more: Partial<Look> = {}): Look => ({
  path,
  scope: 'entry',
  gone: false,
  since: 0,
  ...more,
});

const describeAgain = ({ path, scope, gone, because }: Again): string =>
  `${because} ${gone ? '-' : ''}${path === ROOT ? '.' : path}${scope === 'subtree' ? '/**' : scope === 'listing' ? '/' : ''}`;

describe('before entries are sent through a filter', () => {
  const filter = createFilter({
    excludes: ['cache/', '(.*)\\.log'],
    rules: [
      { include: false, pattern: 'hidden', side: 'sender' },
      { include: false, pattern: 'kept', side: 'receiver' },
    ],
  });
  const disk = treeOf('a', 'a.log', 'cache/', 'cache/x', 'hidden/', 'hidden/kept', 'kept', 'd/', 'd/b~');

  test.each<{ why: string; path: RelativePath; names?: Record<string, string>; unwanted?: RelativePath[] }>([
    { why: 'what it lets through is sent', path: 'a', names: { a: 'there' } },
    { why: 'what is missing is removed', path: 'd/x', names: { 'd/x': 'missing' } },
    { why: 'what is excluded is left alone', path: 'a.log' },
    { why: 'so is what is missing', path: 'd/gone.log' },
    { why: 'so is what stands in a missing directory that is excluded', path: 'x.log/a' },
    { why: 'a temporary is left alone, unless a directory has its name', path: 'd/b~', unwanted: ['d/b~'] },
    { why: 'a directory is excluded that was a file: what is there is to be seen', path: 'cache', unwanted: ['cache'] },
    { why: 'a name in it stands for it', path: 'cache/x', unwanted: ['cache'] },
    { why: 'what is hidden alone is to go', path: 'hidden', unwanted: ['hidden'] },
    { why: 'and goes as a whole', path: 'hidden/kept', unwanted: ['hidden'] },
    { why: 'what is protected alone is sent', path: 'kept', names: { kept: 'there' } },
    { why: 'and stays when it is missing', path: 'd/kept' },
  ])('$why: $path', ({ path, names = {}, unwanted = [] }) => {
    const survey = surveyEntries(disk, [look(path)], 0, filter);
    expect(Object.fromEntries(survey.names)).toEqual(names);
    expect(survey.unwanted.map((one) => one.path)).toEqual(unwanted);
  });
});

describe('before entries are sent', () => {
  const DISK = ['a', 'd/', 'd/f', 'd/e/', 'big=100'];

  test.each<{ why: string; looks: Look[]; names: Record<string, string>; again?: string[] }>([
    { why: 'a file that is there is listed', looks: [look('a'), look('d/f')], names: { a: 'there', 'd/f': 'there' } },
    { why: 'a directory is listed as a name', looks: [look('d')], names: { d: 'there' } },
    { why: 'a name that is missing is listed to be removed', looks: [look('x')], names: { x: 'missing' } },
    { why: 'also one that was not seen to go', looks: [look('d/x')], names: { 'd/x': 'missing' } },
    {
      why: 'a name whose directory is missing, too, is handled at the topmost that is missing',
      looks: [look('x/y/z'), look('x/y/w')],
      names: { x: 'missing' },
    },
    {
      why: 'a name below what is a file now is handled at that file',
      looks: [look('a/b/c')],
      names: { a: 'there' },
    },
    {
      why: 'a directory that was seen to go and is there again is looked at as a whole',
      looks: [look('d', { gone: true })],
      names: {},
      again: ['reappeared -d/**'],
    },
    {
      why: 'a file that was seen to go and is there again is sent',
      looks: [look('a', { gone: true })],
      names: { a: 'there' },
    },
    {
      why: 'a large file among others is handed back to go alone',
      looks: [look('a'), look('big')],
      names: { a: 'there' },
      again: ['large big'],
    },
    { why: 'also when there are no others yet', looks: [look('big')], names: {}, again: ['large big'] },
  ])('$why', ({ looks, names, again = [] }) => {
    const survey = surveyEntries(treeOf(...DISK), looks, 100);
    expect(Object.fromEntries(survey.names)).toEqual(names);
    expect(survey.again.map(describeAgain)).toEqual(again);
  });

  test('the largest file is told, and no size makes a file large with 0', () => {
    const survey = surveyEntries(treeOf('a=7', 'big=100'), [look('a'), look('big')], 0);
    expect(survey.largest).toBe(100);
    expect(survey.again).toEqual([]);
  });

  test('a file that has other names as well is told', () => {
    const tree = treeOf('a', 'b');
    const linked: Disk = {
      look: (path) => ({ ...tree.look(path), ...(path === 'b' ? { linkedInode: 7 } : {}) }),
      children: (path) => tree.children(path),
    };
    expect(surveyEntries(linked, [look('a')], 0).linked).toEqual([]);
    expect(surveyEntries(linked, [look('a'), look('b')], 0).linked).toEqual([7]);
  });

  const SEEN = 1_000_000;
  test.each<{ why: string; found: Partial<Found>; is: boolean }>([
    { why: 'it was written', found: { mtimeMs: SEEN, ctimeMs: SEEN }, is: false },
    { why: 'it was written, and the clock ticked', found: { mtimeMs: SEEN - 2_000, ctimeMs: SEEN }, is: false },
    { why: 'its time was set', found: { mtimeMs: SEEN - 2_001, ctimeMs: SEEN }, is: true },
    { why: 'its time was set to one to come', found: { mtimeMs: SEEN + 9_000, ctimeMs: SEEN }, is: true },
    { why: 'it was seen late', found: { mtimeMs: 0, ctimeMs: SEEN - 60_000 }, is: true },
    { why: 'it changed long before what was seen', found: { mtimeMs: 0, ctimeMs: SEEN - 60_001 }, is: false },
    { why: 'it is empty', found: { size: 0, mtimeMs: 0, ctimeMs: SEEN }, is: false },
    { why: 'it is a link', found: { kind: 'other', mtimeMs: 0, ctimeMs: SEEN }, is: false },
    { why: 'nobody knows its times', found: {}, is: false },
  ])('the time of a file tells whether it has changed, or not ($is): $why', ({ found, is }) => {
    const disk: Disk = { look: () => ({ kind: 'file', size: 1, ...found }), children: () => [] };
    expect(surveyEntries(disk, [look('a', { since: SEEN })], 0).isDoubtful).toBe(is);
  });

  test('the time of a file that was moved tells nothing', () => {
    const disk: Disk = { look: () => ({ kind: 'file', size: 1, mtimeMs: 0, ctimeMs: 0 }), children: () => [] };
    expect(surveyEntries(disk, [look('a', { since: SEEN })], 0).isDoubtful).toBe(false);
    expect(surveyEntries(disk, [look('a', { since: SEEN, moved: true })], 0).isDoubtful).toBe(true);
  });

  test('a thousand names in one directory cost one look at each directory above them', () => {
    const tree = treeOf('d/', 'd/e/');
    const seen: RelativePath[] = [];
    const counting: Disk = {
      look: (path) => {
        seen.push(path);
        return tree.look(path);
      },
      children: (path) => tree.children(path),
    };
    const looks = Array.from({ length: 1_000 }, (_, index) => look(`d/e/${index}`));
    surveyEntries(counting, looks, 0);
    expect(seen.filter((path) => path === 'd' || path === 'd/e')).toEqual(['d', 'd/e']);
    expect(seen).toHaveLength(1_002);
  });
});

describe('after entries were sent', () => {
  test.each<{ why: string; disk: string[]; before: [string, 'there' | 'missing'][]; again: string[] }>([
    {
      why: 'nothing has changed',
      disk: ['a'],
      before: [
        ['a', 'there'],
        ['x', 'missing'],
      ],
      again: [],
    },
    {
      why: 'a missing name that is a file now is sent',
      disk: ['x'],
      before: [['x', 'missing']],
      again: ['reappeared x'],
    },
    {
      why: 'a missing name that is a directory now is looked at as a whole: its deletion may have come after',
      disk: ['x/'],
      before: [['x', 'missing']],
      again: ['reappeared -x/**'],
    },
  ])('$why', ({ disk, before, again }) => {
    expect(surveyAfter(treeOf(...disk), new Map(before)).map(describeAgain)).toEqual(again);
  });

  test('what was created on the remote and is gone here is looked at again', () => {
    expect(surveySent(treeOf('a', 'd/'), ['a', 'd', 'x', 'd/y']).map(describeAgain)).toEqual([
      'vanished x',
      'vanished d/y',
    ]);
  });
});

describe('before directories are sent', () => {
  test.each<{ why: string; looks: Look[]; directories: string[]; again?: string[] }>([
    { why: 'a directory is one', looks: [look('d', { scope: 'subtree' })], directories: ['d'] },
    { why: 'the root, too', looks: [look(ROOT, { scope: 'listing' })], directories: [ROOT] },
    {
      why: 'what is a file now goes by name',
      looks: [look('a', { scope: 'subtree' })],
      directories: [],
      again: ['retyped a'],
    },
    {
      why: 'what is missing now goes by name',
      looks: [look('x', { scope: 'listing' })],
      directories: [],
      again: ['retyped x'],
    },
    {
      why: 'what was seen to go stays so',
      looks: [look('x', { scope: 'subtree', gone: true })],
      directories: [],
      again: ['retyped -x'],
    },
    {
      why: 'what lies below something missing is handled there',
      looks: [look('x/y', { scope: 'subtree' })],
      directories: [],
      again: ['retyped x'],
    },
  ])('$why', ({ looks, directories, again = [] }) => {
    const survey = surveyTrees(treeOf('a', 'd/'), looks);
    expect(survey.directories.map(({ path }) => path)).toEqual(directories);
    expect(survey.again.map(describeAgain)).toEqual(again);
  });
});

describe('a directory whose time was not made by what changed in it', () => {
  const moved: Disk = { look: () => ({ kind: 'directory', size: 0, mtimeMs: 0, ctimeMs: 5_000 }), children: () => [] };

  test('may have been moved in, with other content of the same time', () => {
    const looks = [look('d', { scope: 'subtree', since: 5_000 }), look('e', { scope: 'subtree', since: 90_000 })];
    const { directories, doubtful } = surveyTrees(moved, looks);
    expect(directories).toEqual(looks);
    expect([...doubtful].map(({ path }) => path)).toEqual(['d']);
  });

  test('is doubted for a millisecond, and whatever its time when it was told to have moved', () => {
    const at = (mtimeMs: number): Disk => ({
      ...moved,
      look: () => ({ kind: 'directory', size: 0, mtimeMs, ctimeMs: 5_000 }),
    });
    const isDoubted = (disk: Disk, told: Partial<Look>): boolean =>
      surveyTrees(disk, [look('d', { scope: 'subtree', since: 5_000, ...told })]).doubtful.size > 0;
    expect(isDoubted(at(4_999), {})).toBe(true);
    expect(isDoubted(at(5_000), {})).toBe(false);
    expect(isDoubted(at(5_000), { moved: true })).toBe(true);
  });

  test('is not doubted when it is the root, or by its name alone', () => {
    expect(surveyTrees(moved, [look(ROOT, { scope: 'subtree' })]).doubtful.size).toBe(0);
    expect(surveyEntries(moved, [look('d')], 0).isDoubtful).toBe(false);
  });
});

describe('what is doubtful in a directory whose times are believed', () => {
  const OLD = { mtimeMs: 0, ctimeMs: 100_000 };
  const NEW = { mtimeMs: 100_000, ctimeMs: 100_000 };
  const DISK: Readonly<Record<string, Found>> = {
    'd/replaced': { kind: 'file', size: 1, ...OLD },
    'd/empty': { kind: 'file', size: 0, ...OLD },
    'd/link': { kind: 'other', size: 0, ...OLD },
    'd/written': { kind: 'file', size: 1, ...NEW },
    'd/long ago': { kind: 'file', size: 1, mtimeMs: 0, ctimeMs: 10_000 },
    'd/left out': { kind: 'file', size: 1, ...OLD },
    'd/moved': { kind: 'directory', size: 0, ...OLD },
    'd/moved/f': { kind: 'file', size: 9, mtimeMs: 0, ctimeMs: 0 },
    'd/moved/replaced': { kind: 'file', size: 1, ...OLD },
    'd/e': { kind: 'directory', size: 0, ...NEW },
    'd/e/replaced': { kind: 'file', size: 1, ...OLD },
  };
  const disk: Disk = {
    look: (path) => DISK[path] ?? { kind: 'missing', size: 0 },
    children: (path) =>
      Object.keys(DISK)
        .filter((name) => name.slice(0, name.lastIndexOf('/')) === path)
        .map((name) => ({ path: name, isDirectory: DISK[name]?.kind === 'directory' })),
  };
  const filter = createFilter({ excludes: ['.*left out'], patterns: [] });
  const survey = (scope: Look['scope'], atMost = 10): unknown => {
    const { doubtful, ...survey } = surveyDoubtful(disk, filter, look('d', { scope, since: 90_000 }), atMost);
    return { ...survey, doubtful: Object.fromEntries(doubtful) };
  };

  test('is what was replaced by something of an older time, and what may have been moved in', () => {
    const doubtful = { 'd/replaced': 'entry', 'd/e/replaced': 'entry', 'd/moved': 'subtree' };
    expect(survey('subtree')).toEqual({ doubtful, isMany: false, largest: 9, linked: [] });
  });

  test('lies no deeper than it is looked', () => {
    expect(survey('listing')).toEqual({ doubtful: { 'd/replaced': 'entry' }, isMany: false, largest: 1, linked: [] });
  });

  test('is named up to a number', () => {
    expect(survey('subtree', 3)).toMatchObject({ isMany: false });
    expect(survey('subtree', 2)).toMatchObject({ isMany: true, largest: 9 });
  });
});

describe('the walk', () => {
  const fail = (path: RelativePath): never => {
    throw new Error(`${path} can be read`);
  };
  const DISK = treeOf('a', 'a.log', 'd/', 'd/b', 'd/e/', 'd/e/c', 'cache/', 'cache/x');
  const names = (filter: Parameters<typeof walk>[1], ...looks: Look[]): string[] =>
    [...walk(DISK, filter, looks, fail)].flat().sort();

  test('of a subtree names everything at and below it', () => {
    expect(names(NOTHING, look('d', { scope: 'subtree' }))).toEqual(['d', 'd/b', 'd/e', 'd/e/c']);
  });

  test('of a listing names what is in it and enters nothing', () => {
    expect(names(NOTHING, look('d', { scope: 'listing' }))).toEqual(['d', 'd/b', 'd/e']);
  });

  test('of the root does not name the root, which would list what the filter leaves out', () => {
    const filter = createFilter({ excludes: ['cache', '.*\\.log'], patterns: [] });
    expect(names(filter, look(ROOT, { scope: 'subtree' }))).toEqual(['a', 'd', 'd/b', 'd/e', 'd/e/c']);
  });

  test('tells what could not be read', () => {
    const disk: Disk = {
      look: (path) => DISK.look(path),
      children: (path, onUnreadable) => {
        if (path === 'd/e') onUnreadable?.('EACCES');
        return path === 'd/e' ? [] : DISK.children(path);
      },
    };
    const unreadable: string[] = [];
    const found = walk(disk, NOTHING, [look('d', { scope: 'subtree' })], (path, error) => {
      unreadable.push(`${path}: ${error}`);
    });
    expect([...found].flat().sort()).toEqual(['d', 'd/b', 'd/e']);
    expect(unreadable).toEqual(['d/e: EACCES']);
  });

  test('hands names on in parts', () => {
    const tree = treeOf('d/', 'e/');
    for (let index = 0; index < 1_500; index++) {
      tree.put(`d/${index}`, { kind: 'file', content: 1 });
      tree.put(`e/${index}`, { kind: 'file', content: 1 });
    }
    const parts = [...walk(tree, NOTHING, [look(ROOT, { scope: 'subtree' })], fail)];
    expect(parts.length).toBeGreaterThan(1);
    expect(parts.flat()).toHaveLength(3_002);
  });
});

describe('dividing the tree', () => {
  test('gives looks that cover each name once', () => {
    const tree = treeOf('a', 'd/', 'd/b', 'd/e/', 'd/e/c', 'f/');
    const pieces = divide(tree, NOTHING);
    const covered = pieces.flatMap(({ path, scope }) =>
      scope === 'subtree'
        ? [path, ...tree.paths(path)]
        : tree.children(path).flatMap((child) => (child.isDirectory ? [] : [child.path])),
    );
    const directories = pieces.filter(({ scope }) => scope === 'listing').map(({ path }) => path);
    expect([...covered, ...directories].sort()).toEqual([ROOT, ...tree.paths()].sort());
  });

  test('leaves out what the filter leaves out', () => {
    const filter = createFilter({ excludes: ['cache'], patterns: [] });
    expect(divide(treeOf('cache/', 'cache/d/', 'd/'), filter).map(({ path }) => path)).not.toContain('cache');
  });

  test('stops when there is enough for all lanes', () => {
    const tree = new ModelTree();
    for (let index = 0; index < 100; index++) {
      tree.put(`d${index}`, newDirectory());
      tree.put(`d${index}/e`, newDirectory());
    }
    expect(divide(tree, NOTHING)).toHaveLength(101);
  });

  test('of a chain of directories comes to an end', () => {
    const tree = new ModelTree();
    let path = 'd';
    for (let depth = 0; depth < 1_200; depth++, path += '/d') tree.put(path, newDirectory());
    expect(divide(tree, NOTHING).length).toBeLessThanOrEqual(1_001);
  });

  test('keeps a directory whole that holds more directories than a dirty set keeps', () => {
    const tree = treeOf('wide/', 'd/', 'd/e/');
    for (let index = 0; index < 30_000; index++) tree.put(`wide/${index}`, newDirectory());
    const pieces = divide(tree, NOTHING).map(describeAgain);
    expect(pieces).toContain('divided wide/**');
    expect(pieces).toContain('divided d/');
    expect(pieces.length).toBeLessThan(10);
  });

  test('hands the whole tree back when its root is such a directory', () => {
    const tree = new ModelTree();
    for (let index = 0; index < 30_000; index++) tree.put(`${index}`, newDirectory());
    expect(divide(tree, NOTHING).map(describeAgain)).toEqual(['divided ./**']);
  });
});

describe('what only the remote has', () => {
  const extras = (excludes: string[], ...names: string[]): string[] => {
    const found = new ExtraNames(createFilter({ excludes, patterns: [] }));
    for (const name of names) found.add(name.replace(/\/$/, ''), name.endsWith('/'));
    return [...found.result().names].sort();
  };

  test('is named by the topmost directory', () => {
    expect(extras([], 'd/a', 'd/e/f', 'd/e/', 'd/', 'x')).toEqual(['d', 'x']);
  });

  test('is left alone where the filter leaves it out, with the directories above it', () => {
    expect(extras(['.*\\.log'], 'd/a', 'd/k.log', 'd/e/b', 'd/e/', 'd/', 'y.log')).toEqual(['d/a', 'd/e']);
  });

  test('is counted with all that is below it', () => {
    const found = new ExtraNames(NOTHING);
    for (const name of ['d/a', 'd/e/f', 'd/e', 'd', 'x']) found.add(name, false);
    expect(found.result().count).toBe(5);
    expect(found.result().names).toHaveLength(2);
  });

  test('is named once', () => {
    expect(extras([], 'x', 'x')).toEqual(['x']);
  });
});

describe('what belongs to a run', () => {
  test.each([
    { given: ['d'], path: 'd', is: true },
    { given: ['d'], path: 'd/e/f', is: true },
    { given: ['d'], path: 'de', is: false },
    { given: ['d/e'], path: 'd', is: false },
    { given: [ROOT], path: 'anything/at/all', is: true },
    { given: [], path: 'a', is: false },
  ])('$path of $given: $is', ({ given, path, is }) => {
    expect(within(new Set<RelativePath>(given))(path)).toBe(is);
  });
});
