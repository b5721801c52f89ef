import { describe, expect, it } from 'vitest';

import { Hint } from '../../src/core/hint.js';
import { HintBatch, mergeHints } from '../../src/watch/hint-batch.js';
import { sensibleWatches } from '../../src/watch/inotify-limits.js';
import { selectWatcher } from '../support/watch-build.js';

const { created, modified, closed, attributes, removed } = Hint;

describe('two hints about one name', () => {
  it.each<readonly [title: string, earlier: Hint, later: Hint, merged: Hint]>([
    ['add up', created, attributes, created | attributes],
    ['keep what was written until it is closed', created | modified, attributes, created | modified | attributes],
    ['are closed when the writer closes', created | modified, closed, created | closed],
    ['are modified and closed when somebody writes again', closed, modified, closed | modified],
    ['are closed alone when that one closes too', closed | modified, closed, closed],
    ['tell both of a name that came and went', created, removed, created | removed],
  ])('%s', (_title, earlier, later, merged) => {
    expect(mergeHints(earlier, later)).toBe(merged);
  });
});

describe('a batch of hints', () => {
  it('holds each path once, in the order in which they were first seen', () => {
    const batch = new HintBatch();
    batch.add('b', created);
    batch.add('a', created);
    batch.add('b', closed);
    expect(batch.size).toBe(2);
    expect(batch.take()).toEqual({ paths: ['b', 'a'], hints: Uint16Array.of(created | closed, created) });
  });

  it('is empty when it was taken', () => {
    const batch = new HintBatch();
    batch.add('a', created);
    batch.take();
    batch.add('a', closed);
    expect(batch.take()).toEqual({ paths: ['a'], hints: Uint16Array.of(closed) });
  });
});

describe('the number of watches to ask for', () => {
  it.each([
    [10, 524_288],
    [8192, 524_288],
    [262_144, 524_288],
    [262_145, 1_048_576],
    [524_288, 1_048_576],
  ])('for %i directories is %i', (needed, watches) => {
    expect(sensibleWatches(needed)).toBe(watches);
  });
});

describe('the choice of a watcher', () => {
  const listener = {
    touched: () => undefined,
    lost: () => undefined,
    blind: () => undefined,
    sees: () => undefined,
    died: () => undefined,
  };
  const options = { root: '/nowhere', excludes: [], listener };

  it.runIf(process.platform === 'linux')('is inotify on Linux, and says why', () => {
    const { watcher, why } = selectWatcher('auto', options);
    expect([watcher.kind, why]).toEqual(['inotify', 'inotify: Linux and libc loaded']);
  });

  it('is what was asked for', () => {
    const { watcher, why } = selectWatcher('parcel', options);
    expect([watcher.kind, why]).toEqual(['parcel', 'parcel: as configured']);
  });
});
