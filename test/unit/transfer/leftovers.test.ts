import { describe, expect, it } from 'vitest';
import { ROOT, type RelativePath } from '../../../src/core/relative-path.js';
import type { Look } from '../../../src/replicate/ports.js';
import type { Scope } from '../../../src/core/scope.js';
import { isLeftover, leftoverPlaces } from '../../../src/transfer/leftovers.js';
import { ModelTree, newDirectory } from '../../model/model-tree.js';

function treeOf(...names: string[]): ModelTree {
  const tree = new ModelTree();
  for (const name of names) {
    if (name.endsWith('/')) tree.put(name.slice(0, -1), newDirectory());
    else tree.put(name, { kind: 'file', content: 1 });
  }
  return tree;
}

const look = (path: RelativePath, scope: Scope = 'entry'): Look => ({ path, scope, gone: false, since: 0 });
const DISK = treeOf('d/', 'd/big', 'd/.env', 'd/.big.Kept77', 'd/sub/', 'd/mine/', 'd/mine/.rsync-partial/');

describe('the places of leftovers', () => {
  it.each([
    ['the directory of a file', [look('d/big'), look('d/gone'), look('top')], ['d listing', '. listing']],
    ['a directory', [look('d', 'subtree'), look('d/sub', 'listing')], ['d subtree', 'd/sub listing']],
    ['the wider of two looks at one', [look('d/big'), look('d', 'subtree'), look('d/x')], ['d subtree']],
    ['none where the directory has gone', [look('x/y'), look('d/big/z')], []],
    [
      'the directory of what is a file, or gone',
      [look('d/big', 'subtree'), look('x', 'subtree')],
      ['d listing', '. listing'],
    ],
  ])('are %s', (_title, looks, places) => {
    const { directories } = leftoverPlaces(DISK, looks);
    expect(directories.map(({ path, scope }) => `${path === ROOT ? '.' : path} ${scope}`)).toEqual(places);
  });
});

describe('what only the remote has', () => {
  const places = leftoverPlaces(DISK, [look('d', 'subtree'), look('d/gone'), look('d/.dot')]);

  it.each([
    ['a directory of parts', 'd/.rsync-partial', true, true],
    ['one at the top', '.rsync-partial', true, true],
    ['one that the source has too', 'd/mine/.rsync-partial', true, false],
    ['a file of its name', 'd/.rsync-partial', false, false],
    ['what it holds, which goes with it', 'd/.rsync-partial/big', false, false],
    ['a temporary of a file that is there', 'd/.big.7QlWsc', false, true],
    ['the same, of a file whose name begins with a dot', 'd/.env.7QlWsc', false, true],
    ['one that the source has too', 'd/.big.Kept77', false, false],
    ['one of a directory', 'd/.sub.7QlWsc', false, false],
    ['one of a file that is nowhere', 'd/.other.7QlWsc', false, false],
    ['one of a file that was being sent and has gone', 'd/.gone.7QlWsc', false, true],
    ['the same, of any six letters', 'd/.gone.qwerty', false, true],
    ['the same, with a dot', 'd/.dot.qwerty', false, true],
    ['what may be meant for the file that is there', 'd/.env.sample', false, false],
    ['an ending that is longer', 'd/.big.7QlWsc1', false, false],
    ['a name without a dot in front', 'd/big.7QlWsc', false, false],
    ['a directory named like a temporary', 'd/.big.7QlWsc', true, false],
  ])('is a leftover or not: %s, %s (a directory: %s): %s', (_title, path, isDirectory, is) => {
    expect(isLeftover(DISK, places, path, isDirectory)).toBe(is);
  });
});
