import { describe, expect, test } from 'vitest';
import { Hint } from '../../../src/core/hint.js';
import { ROOT, type RelativePath } from '../../../src/core/relative-path.js';
import type { Scope } from '../../../src/core/scope.js';
import { ToldNames } from '../../../src/core/told-names.js';

const { created, modified, closed, attributes, removed, movedFrom, movedTo, unknown, directory } = Hint;

type Told = readonly [path: RelativePath, hint: Hint];

function toldNames(...told: readonly Told[]): ToldNames {
  const names = new ToldNames();
  for (const [path, hint] of told) names.add(path, hint, 1);
  return names;
}

describe('what an audit found was told', () => {
  test.each<readonly [title: string, told: readonly Told[], path: RelativePath, scope: Scope, wasTold: boolean]>([
    ['a file that was', [['d/f', modified]], 'd/f', 'entry', true],
    ['not a file that was not', [['d/f', modified]], 'd/g', 'entry', false],
    ['not a file whose directory was', [['d', attributes | directory]], 'd/f', 'entry', false],
    ['not a file beside one that came', [['d/g', created]], 'd/f', 'entry', false],
    ['a directory in which a name came', [['d/f', created | closed]], 'd', 'listing', true],
    ['a directory from which a name went', [['d/f', removed]], 'd', 'listing', true],
    ['a directory from which a name was moved away', [['d/f', movedFrom]], 'd', 'listing', true],
    ['a directory into which a name was moved', [['d/f', movedTo]], 'd', 'listing', true],
    ['a directory of which nobody knows what happened in it', [['d/f', unknown]], 'd', 'listing', true],
    ['not a directory in which a file was only written', [['d/f', modified]], 'd', 'listing', false],
    ['a directory whose attributes changed', [['d', attributes | directory]], 'd', 'listing', true],
    ['the root when a name in it came', [['f', created]], ROOT, 'listing', true],
    ['the root when its attributes changed', [[ROOT, attributes | directory]], ROOT, 'listing', true],
    ['not the root when a name came further below', [['d/f', created]], ROOT, 'listing', false],
    ['a directory that was made', [['d/e', created | directory]], 'd/e', 'subtree', true],
    [
      'a directory when names came in it and beside it',
      [
        ['d/e/f', created],
        ['d/g', created],
      ],
      'd/e',
      'subtree',
      true,
    ],
    ['not a directory when names came only in it', [['d/e/f', created]], 'd/e', 'subtree', false],
    ['not a directory when names came only beside it', [['d/g', created]], 'd/e', 'subtree', false],
    ['all below a directory that was made', [['d', created | directory]], 'd/e/f', 'entry', true],
    ['all below a directory that was moved there', [['d', movedTo | directory]], 'd/e', 'subtree', true],
    ['all below a directory that is unknown', [['d/e', unknown | directory]], 'd/e/f', 'entry', true],
    ['all when the root is unknown', [[ROOT, unknown | directory]], 'd/e/f', 'entry', true],
    ['not what is beside a directory that was made', [['d', created | directory]], 'da/f', 'entry', false],
    ['not what is below a directory that was only removed', [['d', removed | directory]], 'd/f', 'entry', false],
    ['not what is below a file that was made', [['d', created]], 'd/f', 'entry', false],
    ['names that are no UTF-8', [['\xb2\xe2/\xe9', closed]], '\xb2\xe2/\xe9', 'entry', true],
  ])('%s', (_title, told, path, scope, wasTold) => {
    expect(toldNames(...told).toldAt({ path, scope })).toBe(wasTold ? 1 : -Infinity);
  });

  test('when it was told last', () => {
    const names = new ToldNames();
    for (const at of [1, 3, 2]) names.add('d/f', modified, at);
    expect(names.toldAt({ path: 'd/f', scope: 'entry' })).toBe(3);
    names.add('d', movedTo | directory, 5);
    expect(names.toldAt({ path: 'd/f', scope: 'entry' })).toBe(5);
    names.add('d/f', modified, 7);
    expect(names.toldAt({ path: 'd/f', scope: 'entry' })).toBe(7);
    names.add('d/g', created, 9);
    expect(names.toldAt({ path: 'd', scope: 'listing' })).toBe(9);
  });
});

describe('the memory of told names', () => {
  /** Names alike, as they are in a tree: what differs is a number. */
  const name = (number: number): RelativePath => `shop/images/${number % 1_000}/photo-${number}.jpeg`;

  test('says when it is full, and of every name that it was told even then', () => {
    const names = new ToldNames();
    let count = 0;
    while (!names.isFull) names.add(name(count++), modified, 1);
    // Another one with the hash of one that is there counts for none.
    expect(count).toBeGreaterThanOrEqual(700_000);
    expect(count).toBeLessThan(750_000);
    const forgotten = Array.from({ length: count }, (_, number) => number).filter(
      (number) => names.toldAt({ path: name(number), scope: 'entry' }) !== 1,
    );
    expect(forgotten).toEqual([]);
    // Four keys are asked about at this depth, of each of which 1 of 5,800 passes for told.
    const asked = 200_000;
    let wrong = 0;
    for (let number = count; number < count + asked; number++) {
      if (names.toldAt({ path: name(number), scope: 'entry' }) > -Infinity) wrong++;
    }
    expect(wrong).toBeGreaterThan(0);
    expect(wrong / asked).toBeLessThan(5 / 5_800);
  });

  test('does not fill with what it is told again and again', () => {
    const names = new ToldNames();
    for (let count = 0; count < 1_100_000; count++) names.add(name(count % 100), modified, count);
    expect(names.isFull).toBe(false);
  });
});
