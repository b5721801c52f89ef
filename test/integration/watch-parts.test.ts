import { describe, expect, it } from 'vitest';

import { Hint } from '../../src/core/hint.js';
import { HintBatch, mergeHints } from '../../src/watch/hint-batch.js';
import { BlindSpots } from '../../src/watch/inotify-blind-spots.js';
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

describe('blind spots', () => {
  const noted = (): { spots: BlindSpots; told: string[] } => {
    const told: string[] = [];
    const spots = new BlindSpots({
      blind: (below, reason) => told.push(`blind ${below}: ${reason}`),
      sees: (below) => told.push(`sees ${below}`),
    });
    return { spots, told };
  };

  it('are told once, and once that they are over', () => {
    const { spots, told } = noted();
    expect([spots.add('a', 'full', true), spots.add('a', 'full', true)]).toEqual([true, false]);
    expect(spots.isAny).toBe(true);
    spots.remove('a');
    spots.remove('a');
    expect(told).toEqual(['blind a: full', 'sees a']);
    expect(spots.isAny).toBe(false);
  });

  it('are tried again when trying may help', () => {
    const { spots } = noted();
    spots.add('passes', 'full', true);
    spots.add('stays', 'forbidden', false);
    expect(spots.passing()).toEqual(['passes']);
    expect(spots.atOrBelow('')).toEqual(['passes', 'stays']);
    expect(spots.atOrBelow('pass')).toEqual([]);
  });

  it('are over when a walk of everything does not meet them', () => {
    const { spots, told } = noted();
    spots.add('a', 'full', true);
    spots.add('b', 'full', true);
    spots.beginWalk();
    expect(spots.add('b', 'full', true)).toBe(false);
    spots.endWalk(false);
    expect(told).toEqual(['blind a: full', 'blind b: full', 'sees a']);
  });

  it('are everything while events are lost, until a walk during which none were', () => {
    const { spots, told } = noted();
    spots.eventsAreLost('overflow');
    spots.beginWalk();
    spots.eventsAreLost('overflow again');
    spots.endWalk(true);
    expect(told).toEqual(['blind : overflow']);
    spots.beginWalk();
    spots.endWalk(false);
    expect(told).toEqual(['blind : overflow', 'sees ']);
  });

  it('are everything when they are very many, in bounded memory, until a walk finds few', () => {
    const { spots, told } = noted();
    for (let index = 0; index < 5_000; index++) spots.add(`${index}`, 'full', true);
    expect(spots.atOrBelow('')).toHaveLength(1_000);
    expect(told.slice(1_000)).toEqual(['blind : full']);
    spots.beginWalk();
    spots.add('7', 'full', true);
    spots.endWalk(false);
    expect(told.slice(1_001)).toHaveLength(1_000);
    expect(told.at(-1)).toBe('sees ');
    expect(told).not.toContain('sees 7');
    expect(spots.isAny).toBe(true);
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
    moved: () => undefined,
    lost: () => undefined,
    blind: () => undefined,
    sees: () => undefined,
    died: () => undefined,
  };
  const options = { root: '/nowhere', filter: { excludes: [] }, listener };

  it.runIf(process.platform === 'linux')('is inotify on Linux, and says why', () => {
    const { watcher, why } = selectWatcher('auto', options);
    expect([watcher.kind, why]).toEqual(['inotify', 'inotify: Linux and libc loaded']);
  });

  it('is what was asked for', () => {
    const { watcher, why } = selectWatcher('parcel', options);
    expect([watcher.kind, why]).toEqual(['parcel', 'parcel: as configured']);
  });
});
