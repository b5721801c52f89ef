import { beforeEach, describe, expect, test } from 'vitest';

import {
  byDirectory,
  FullDirectories,
  unquietAmong,
  type Directories,
} from '../../../src/transfer/full-directories.js';

const NOW = 1_000_000;
const LONG_AGO = NOW - 60_000;

/** One directory as the test says it is, and how often its names were counted. */
class Disk implements Directories {
  names = 100;
  bytes = 2_040;
  changedMs = LONG_AGO;
  isThere = true;
  isReadable = true;
  counts = 0;
  id = '1:2';

  directory(): ReturnType<Directories['directory']> {
    return this.isThere ? { id: this.id, bytes: this.bytes, changedMs: this.changedMs } : undefined;
  }

  countNames(): number | undefined {
    this.counts++;
    return this.isReadable ? this.names : undefined;
  }
}

let disk: Disk;
let directories: FullDirectories;
const isFull = (names = 100, path = 'd', seenMs = NOW): boolean =>
  directories.findFull(path, names, disk, { seenMs, nowMs: NOW }) !== undefined;

beforeEach(() => {
  disk = new Disk();
  directories = new FullDirectories();
});

describe('a directory is full', () => {
  test('when all that it holds is to be sent, and not with one name more or less', () => {
    expect(isFull()).toBe(true);
    expect(isFull(99)).toBe(false);
    expect(isFull(101)).toBe(false);
  });

  test('never when it is the root, gone, or cannot be read', () => {
    expect(isFull(100, '')).toBe(false);
    disk.isReadable = false;
    expect(isFull()).toBe(false);
    disk.isThere = false;
    expect(isFull()).toBe(false);
  });

  test('not while names come and go in it, nor by a clock that is ahead', () => {
    for (const changedMs of [NOW, NOW - 10, NOW + 3_600_000]) {
      disk.changedMs = changedMs;
      expect(isFull()).toBe(false);
    }
    expect(disk.counts).toBe(0);
  });

  test('not when a name may have come or gone since they were looked at', () => {
    expect(isFull(100, 'd', LONG_AGO + 50)).toBe(true);
    for (const seenMs of [LONG_AGO + 10, LONG_AGO, LONG_AGO - 10]) expect(isFull(100, 'd', seenMs)).toBe(false);
  });

  test('not when it is not worth a look, or may hold so many more that counting takes long', () => {
    disk.names = 3;
    expect(isFull(3)).toBe(false);
    disk.names = 100;
    disk.bytes = 1_000_000;
    expect(isFull()).toBe(false);
    expect(disk.counts).toBe(0);
  });
});

test('names are counted once for all remotes, and again when the directory has changed', () => {
  for (let remote = 0; remote < 3; remote++) expect(isFull()).toBe(true);
  expect(disk.counts).toBe(1);
  disk.names = 101;
  disk.changedMs = LONG_AGO + 1;
  expect(isFull()).toBe(false);
  expect(disk.counts).toBe(2);
});

test('a directory is unquiet when it has changed since, is another one, or gone', () => {
  const found = new Map([['d', { id: '1:2', bytes: 2_040, changedMs: LONG_AGO }]]);
  expect(unquietAmong(found, disk)).toEqual([]);
  disk.changedMs = NOW;
  expect(unquietAmong(found, disk)).toEqual(['d']);
  disk.changedMs = LONG_AGO;
  disk.id = '1:3';
  expect(unquietAmong(found, disk)).toEqual(['d']);
  disk.isThere = false;
  expect(unquietAmong(found, disk)).toEqual(['d']);
});

test('names are put together by directory, also when those of one come apart', () => {
  expect([...byDirectory(['a', 'd/a', 'd/b', 'dd/a', 'd/e/a', 'd/c', 'b'])]).toEqual([
    ['', ['a', 'b']],
    ['d', ['d/a', 'd/b', 'd/c']],
    ['dd', ['dd/a']],
    ['d/e', ['d/e/a']],
  ]);
});
