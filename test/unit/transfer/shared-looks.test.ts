import { beforeEach, describe, expect, test, vi } from 'vitest';

import type { Look } from '../../../src/replicate/ports.js';
import { SharedLooks } from '../../../src/transfer/shared-looks.js';
import { EntriesSurveyor, type Disk, type Found } from '../../../src/transfer/survey.js';

const FILE: Found = { kind: 'file', size: 5 };

/** In directories there are files; which of them were looked at. */
class CountingDisk implements Disk {
  readonly looks: string[] = [];

  look(path: string): Found {
    if (!path.includes('/')) return { kind: 'directory', size: 0 };
    this.looks.push(path);
    return FILE;
  }

  children(): [] {
    return [];
  }
}

let disk: CountingDisk;
let shared: SharedLooks;

beforeEach(() => {
  disk = new CountingDisk();
  shared = new SharedLooks();
});

/** A run that was asked for at a time, and has looked at names. */
function run(askedAt: number, names: readonly string[], more: Partial<Look> = {}): ReturnType<SharedLooks['begin']> {
  const looks = shared.begin(askedAt);
  const survey = new EntriesSurveyor(disk, 0, undefined, looks);
  for (const path of names) survey.add({ path, scope: 'entry', gone: false, once: true, since: 100, ...more });
  expect([...survey.result().names.keys()]).toEqual(names);
  return looks;
}

/** What the next run looks at by itself. */
function looksOf(askedAt: number, names: readonly string[], more: Partial<Look> = {}): string[] {
  disk.looks.length = 0;
  run(askedAt, names, more);
  return disk.looks;
}

describe('a name is not looked at again', () => {
  test('while a run that has looked at it is under way', () => {
    const first = run(100, ['d/a', 'd/b']);
    expect(looksOf(110, ['d/a', 'd/b', 'd/c'])).toEqual(['d/c']);
    expect(looksOf(120, ['d/b', 'd/c'])).toEqual([]);
    first.end();
    expect(looksOf(130, ['d/a', 'd/c'])).toEqual(['d/a']);
  });

  test('and it is found to be what it was', () => {
    run(100, ['d/a']);
    expect(shared.begin(110).find({ path: 'd/a', scope: 'entry', gone: false, once: true, since: 100 })).toBe(FILE);
  });
});

describe('a name is looked at again', () => {
  test('for a change that was told after the run was asked for', () => {
    run(100, ['d/a']);
    expect(looksOf(120, ['d/a'], { since: 101 })).toEqual(['d/a']);
  });

  test('for more than one change, the last of which may have been told later', () => {
    run(100, ['d/a']);
    expect(looksOf(120, ['d/a'], { once: false })).toEqual(['d/a']);
  });
});

test('the names of a directory are as old as the oldest look at one of them', () => {
  vi.useFakeTimers({ now: 1_000 });
  const first = run(100, ['d/a', 'e/a']);
  vi.setSystemTime(2_000);
  const second = run(110, ['d/b', 'f/a', 'd/a']);
  expect(['d', 'e'].map((directory) => first.seenMs(directory))).toEqual([1_000, 1_000]);
  expect(['d', 'f'].map((directory) => second.seenMs(directory))).toEqual([1_000, 2_000]);
  vi.useRealTimers();
});
