import { describe, expect, test } from 'vitest';
import { PathTree } from '../../../src/core/path-tree.js';
import { isBelow, levelsBelow, ROOT, type RelativePath } from '../../../src/core/relative-path.js';
import { Random } from '../../support/random.js';

interface Value {
  readonly id: string;
}

function treeOf(...paths: RelativePath[]): PathTree<Value> {
  const tree = new PathTree<Value>();
  for (const path of paths) tree.set(path, { id: path });
  return tree;
}

const pathsIn = (tree: PathTree<Value>): RelativePath[] => [...tree.entries()].map(([path]) => path);
const anyPath = (): boolean => true;

function above(tree: PathTree<Value>, path: RelativePath): [string, number][] {
  const found: [string, number][] = [];
  tree.findAbove(path, ({ id }, levels) => {
    found.push([id, levels]);
    return false;
  });
  return found;
}

describe('a tree of paths', () => {
  test('holds what was set, the root too, and nothing in between', () => {
    const tree = treeOf('a/b/c', ROOT, 'd');
    expect(tree.size).toBe(3);
    expect(tree.get('a/b/c')).toEqual({ id: 'a/b/c' });
    expect(tree.get(ROOT)).toEqual({ id: ROOT });
    expect(tree.get('a')).toBeUndefined();
    expect(tree.get('a/b/c/d')).toBeUndefined();
    expect(pathsIn(tree)).toEqual([ROOT, 'a/b/c', 'd']);
  });

  test('says of one path all at once what is there and below it', () => {
    const tree = treeOf('a/b');
    expect(tree.at('a')).toMatchObject({ value: undefined, hasBelow: true });
    expect(tree.at('a/b')).toMatchObject({ value: { id: 'a/b' }, hasBelow: false });
    expect(tree.at('a/c')).toBeUndefined();
    tree.add('a/c', { id: 'a/c' });
    expect(pathsIn(tree)).toEqual(['a/b', 'a/c']);
    expect(tree.delete('a/c')).toEqual({ id: 'a/c' });
    expect(tree.delete('a/c')).toBeUndefined();
    expect(tree.size).toBe(1);
  });

  test('replaces a value without growing', () => {
    const tree = treeOf('a');
    tree.set('a', { id: 'other' });
    expect(tree.size).toBe(1);
    expect(tree.get('a')).toEqual({ id: 'other' });
  });

  test('tells what stands above from the nearest up, with its distance, until one is wanted', () => {
    const tree = treeOf(ROOT, 'a/b', 'a/b/c/d', 'a/x');
    expect(above(tree, 'a/b/c/d')).toEqual([
      ['a/b', 2],
      [ROOT, 4],
    ]);
    expect(above(tree, 'a/b/c/d/e/f').at(0)).toEqual(['a/b/c/d', 2]);
    expect(above(tree, ROOT)).toEqual([]);
    expect(tree.findAbove('a/b/c/d', (_, levels) => levels > 2)).toEqual({ id: ROOT });
    expect(tree.findAbove('a/b/c/d', (_, levels) => levels > 4)).toBeUndefined();
  });

  test('tells what stands below, without the path itself', () => {
    const tree = treeOf('a', 'a/b', 'a/b/c', 'ab');
    expect([...tree.below('a')].map(([path]) => path)).toEqual(['a/b', 'a/b/c']);
    expect([...tree.below(ROOT)]).toHaveLength(4);
    expect([...tree.below('nowhere')]).toEqual([]);
    expect(tree.hasBelow('a/b')).toBe(true);
    expect(tree.hasBelow('a/b/c')).toBe(false);
    expect(tree.hasBelow('nowhere')).toBe(false);
  });

  test('keeps no empty directories when paths are deleted', () => {
    const tree = treeOf('a/b/c', 'a/d');
    tree.delete('a/b/c');
    expect(tree.hasBelow('a/b')).toBe(false);
    expect(tree.hasBelow('a')).toBe(true);
    tree.delete('a/d');
    expect(tree.hasBelow(ROOT)).toBe(false);
    expect(tree.size).toBe(0);
  });

  test('deleting what is not there, or only a part of a path, changes nothing', () => {
    const tree = treeOf('a/b/c');
    for (const path of ['a', 'a/b', 'a/b/c/d', 'x', ROOT]) tree.delete(path);
    expect(pathsIn(tree)).toEqual(['a/b/c']);
    expect(tree.size).toBe(1);
  });

  test('prunes what is chosen below a path and leaves the path itself', () => {
    const tree = treeOf('a', 'a/b', 'a/b/c', 'x');
    tree.pruneBelow('a', ({ id }, levels) => {
      expect(levels).toBe(levelsBelow(id, 'a'));
      return levels === 2;
    });
    expect(pathsIn(tree)).toEqual(['a', 'a/b', 'x']);
    expect(tree.size).toBe(3);
  });

  test('is empty when it was cleared', () => {
    const tree = treeOf(ROOT, 'a/b');
    tree.clear();
    expect(tree.size).toBe(0);
    expect(pathsIn(tree)).toEqual([]);
  });
});

describe('taking from the tree', () => {
  test('takes no more than asked for and removes what it took', () => {
    const tree = treeOf('a', 'b', 'c');
    expect(tree.take(2, anyPath).map(({ id }) => id)).toEqual(['a', 'b']);
    expect(pathsIn(tree)).toEqual(['c']);
    expect(tree.take(0, anyPath)).toEqual([]);
    expect(tree.take(5, anyPath).map(({ id }) => id)).toEqual(['c']);
    expect(tree.size).toBe(0);
    expect(tree.hasBelow(ROOT)).toBe(false);
  });

  test('leaves what is not wanted, and what is below a closed path', () => {
    const tree = treeOf('a/1', 'a/2', 'b', 'b/1', 'c');
    const taken = tree.take(
      10,
      (path) => path !== 'a/1',
      (path) => path === 'b',
    );
    // A closed path itself may be taken: only what is below it is shut off.
    expect(taken.map(({ id }) => id)).toEqual(['a/2', 'b', 'c']);
    expect(pathsIn(tree)).toEqual(['a/1', 'b/1']);
  });

  test('a directory that is refilled all the time cannot starve the others', () => {
    const tree = treeOf(...Array.from({ length: 10 }, (_, index) => `busy/${index}`), 'quiet/1');
    const taken = new Set<RelativePath>();
    for (let turn = 0; turn < 3; turn++) {
      for (const { id } of tree.take(5, anyPath)) taken.add(id);
      for (let index = 0; index < 10; index++) tree.set(`busy/${index}`, { id: `busy/${index}` });
    }
    expect(taken).toContain('quiet/1');
  });

  test('within a busy directory, too, each name has its turn', () => {
    const tree = treeOf(...Array.from({ length: 10 }, (_, index) => `d/${index}`));
    const taken = new Set<RelativePath>();
    for (let turn = 0; turn < 4; turn++) {
      const batch = tree.take(3, anyPath);
      for (const { id } of batch) taken.add(id);
      for (const value of batch) tree.set(value.id, value);
    }
    expect(taken.size).toBe(10);
  });
});

describe('against a plain map', () => {
  const NAMES = ['a', 'b', 'c'];
  const randomPath = (random: Random): RelativePath =>
    Array.from({ length: random.below(5) }, () => random.pick(NAMES)).join('/');

  test('says the same after any sequence of calls', () => {
    for (let seed = 0; seed < 150; seed++) {
      const random = new Random(seed);
      const tree = new PathTree<Value>();
      const plain = new Map<RelativePath, Value>();
      for (let step = 0; step < 120; step++) {
        const path = randomPath(random);
        const message = `seed ${seed}, step ${step}, path "${path}"`;
        switch (random.below(5)) {
          case 0:
          case 1: {
            const value = { id: path };
            tree.set(path, value);
            plain.set(path, value);
            break;
          }
          case 2:
            tree.delete(path);
            plain.delete(path);
            break;
          case 3: {
            const most = random.below(4);
            const isPruned = (_: Value, levels: number): boolean => levels <= most;
            tree.pruneBelow(path, isPruned);
            // Whoever prunes puts something in the place of what went.
            tree.set(path, { id: path });
            plain.set(path, { id: path });
            for (const below of [...plain.keys()]) {
              if (isBelow(below, path) && levelsBelow(below, path) <= most) plain.delete(below);
            }
            break;
          }
          case 4: {
            const limit = random.below(4);
            const wanted = random.pick(NAMES);
            const closed = randomPath(random);
            const isWanted = (candidate: RelativePath): boolean => candidate.endsWith(wanted);
            const candidates = [...plain.keys()].filter((each) => isWanted(each) && !isBelow(each, closed));
            const taken = tree.take(limit, isWanted, (each) => each === closed).map(({ id }) => id);
            expect(taken.length, message).toBe(Math.min(limit, candidates.length));
            expect(candidates, message).toEqual(expect.arrayContaining(taken));
            for (const each of taken) plain.delete(each);
            break;
          }
        }
        expect(tree.size, message).toBe(plain.size);
        expect(pathsIn(tree).sort(), message).toEqual([...plain.keys()].sort());
        const question = randomPath(random);
        expect(tree.get(question), message).toEqual(plain.get(question));
        expect(tree.hasBelow(question), message).toBe([...plain.keys()].some((each) => isBelow(each, question)));
        expect([...tree.below(question)].map(([each]) => each).sort(), message).toEqual(
          [...plain.keys()].filter((each) => isBelow(each, question)).sort(),
        );
        expect(above(tree, question), message).toEqual(
          [...plain.keys()]
            .filter((each) => isBelow(question, each))
            .sort((one, other) => other.length - one.length)
            .map((each) => [each, levelsBelow(question, each)]),
        );
      }
    }
  });
});
