import { expect, test } from 'vitest';
import { fromText, type RelativePath } from '../../../src/core/relative-path.js';
import type { Moved } from '../../../src/replicate/ports.js';
import * as relocation from '../../../src/transfer/relocation.js';

const MB = 1024 * 1024;

const relocationOf = (
  moved: Moved,
  on: relocation.MovedDisk,
  isExcluded: (path: RelativePath) => boolean = () => false,
): ReturnType<typeof relocation.relocationOf> => relocation.relocationOf(moved, on, { isExcluded });

/** A disk of files with their sizes; directories are what they are in. */
function disk(files: Readonly<Record<RelativePath, number>>): relocation.MovedDisk {
  const paths = Object.keys(files);
  return {
    look: (path) => {
      const size = files[path];
      if (size !== undefined) return { kind: 'file', size };
      return { kind: paths.some((file) => file.startsWith(`${path}/`)) ? 'directory' : 'missing', size: 0 };
    },
    children: (path) => {
      const below = paths.filter((file) => file.startsWith(`${path}/`));
      const names = new Set(below.map((file) => file.slice(path.length + 1).split('/')[0]!));
      return [...names].map((name) => ({
        path: `${path}/${name}`,
        isDirectory: files[`${path}/${name}`] === undefined,
      }));
    },
  };
}

test('a directory is looked for relative to its new place', () => {
  const found = relocationOf({ path: 'x/new', from: 'deep/old' }, disk({ 'x/new/a': MB / 2, 'x/new/b/c': MB / 2 }));
  expect(found).toEqual({ directory: 'x/new', basis: '../../deep/old' });
});

test('a file is looked for in its old directory', () => {
  expect(relocationOf({ path: 'x/new', from: 'old' }, disk({ 'x/new': MB }))).toEqual({
    directory: 'x',
    basis: '..',
    file: 'new',
  });
  expect(relocationOf({ path: 'new', from: 'old' }, disk({ new: MB }))).toMatchObject({ directory: '', basis: '.' });
});

test('names in Chinese are said to rsync', () => {
  const path = fromText('新目录');
  expect(relocationOf({ path, from: 'old' }, disk({ [`${path}/a`]: MB }))).toEqual({
    directory: path,
    basis: '../old',
  });
});

test.each(['a b', 'a*', 'a?', '[a]', 'a;b', '$a', "a'b", 'a\nb', '\xb2\xe2'])('nothing is said of %j', (name) => {
  expect(relocationOf({ path: name, from: 'old' }, disk({ [`${name}/f`]: MB }))).toBeUndefined();
  expect(relocationOf({ path: 'new', from: name }, disk({ 'new/f': MB }))).toBeUndefined();
});

test('what is small, or gone, is sent', () => {
  expect(relocationOf({ path: 'new', from: 'old' }, disk({ 'new/a': MB - 1 }))).toBeUndefined();
  expect(relocationOf({ path: 'new', from: 'old' }, disk({ new: MB - 1 }))).toBeUndefined();
  expect(relocationOf({ path: 'new', from: 'old' }, disk({}))).toBeUndefined();
});

test('what is excluded is not sent', () => {
  const isExcluded = (path: RelativePath): boolean => path === 'new';
  expect(relocationOf({ path: 'new', from: 'old' }, disk({ new: MB }), isExcluded)).toBeUndefined();
  expect(relocationOf({ path: 'new', from: 'old' }, disk({ 'new/a': MB }), isExcluded)).toBeUndefined();
});
