import { describe, expect, test } from 'vitest';
import { Moves } from '../../../src/core/moves.js';
import type { RelativePath } from '../../../src/core/relative-path.js';

type Rename = readonly [from: RelativePath, to: RelativePath];

function movesOf(...renames: readonly Rename[]): Moves {
  const moves = new Moves();
  for (const [from, to] of renames) moves.add(from, to);
  return moves;
}

describe('where the remote may have what is at a name now', () => {
  test.each<readonly [title: string, renames: readonly Rename[], path: RelativePath, origin: RelativePath | undefined]>(
    [
      ['after a rename', [['a', 'b']], 'b', 'a'],
      ['nowhere, of another name', [['a', 'b']], 'c', undefined],
      [
        'after two of them',
        [
          ['a', 'b'],
          ['b', 'c'],
        ],
        'c',
        'a',
      ],
      [
        'not under a name that it had in between',
        [
          ['a', 'b'],
          ['b', 'c'],
        ],
        'b',
        undefined,
      ],
      [
        'where it is, when it was moved back',
        [
          ['a', 'b'],
          ['b', 'a'],
        ],
        'a',
        undefined,
      ],
      [
        'after a rename over another one',
        [
          ['a', 'c'],
          ['b', 'c'],
        ],
        'c',
        'b',
      ],
      [
        'after a rename of the directory that it was moved to',
        [
          ['a', 'd/x'],
          ['d', 'e'],
        ],
        'e/x',
        'a',
      ],
      [
        'in a swap: the one',
        [
          ['a', 't'],
          ['b', 'a'],
          ['t', 'b'],
        ],
        'a',
        'b',
      ],
      [
        'in a swap: the other',
        [
          ['a', 't'],
          ['b', 'a'],
          ['t', 'b'],
        ],
        'b',
        'a',
      ],
      ['nowhere, when it was moved into what took its place', [['a', 'a/b']], 'a/b', undefined],
    ],
  )('%s', (_title, renames, path, origin) => {
    expect(movesOf(...renames).take(path)).toBe(origin);
  });

  test('is said once', () => {
    const moves = movesOf(['a', 'b']);
    expect([moves.take('b'), moves.take('b')]).toEqual(['a', undefined]);
  });

  test('of a thousand names at most', () => {
    const moves = movesOf(...Array.from({ length: 2_000 }, (_, index): Rename => [`a${index}`, `b${index}`]));
    expect(moves.size).toBe(1_000);
  });
});

describe('what must stay on the remote', () => {
  test('the old names and what they are in, while the new ones have not been looked at', () => {
    const moves = movesOf(['d/e/a', 'b'], ['x', 'y']);
    expect([...moves.awaited((path) => path === 'b')].sort()).toEqual(['d', 'd/e', 'd/e/a']);
    // The other one was forgotten.
    expect(moves.size).toBe(1);
    expect([...moves.awaited(() => false)]).toEqual([]);
  });
});
