import { beforeEach, expect, test } from 'vitest';

import { KnownDirectory } from '../../../src/replicate/known-directory.js';

let now: number;
let known: KnownDirectory;

beforeEach(() => {
  now = 1_000;
  known = new KnownDirectory(() => now);
});

function learn(directory: string): void {
  known.learn(directory)(true);
}

function meet(...paths: string[]): void {
  known.meet(paths.map((path) => ({ path })));
}

test('nothing is known at first, nor what a run named that did not get through', () => {
  expect(known.holding('a/b')).toBeUndefined();
  known.learn('a/b')(false);
  expect(known.holding('a/b')).toBeUndefined();
});

test('the root is no directory to be known', () => {
  learn('');
  expect(known.holding('')).toBeUndefined();
  expect(known.holding('a')).toBeUndefined();
});

test('it holds what is in it, and in part what is beside it', () => {
  learn('a/b');
  expect(known.holding('a/b')).toBe('a/b');
  expect(known.holding('a/b/c')).toBe('a/b');
  expect(known.holding('a/bc')).toBe('a');
  expect(known.holding('a')).toBe('a');
  expect(known.holding('b')).toBeUndefined();
});

test('it is known for ten seconds', () => {
  learn('a');
  now += 9_999;
  expect(known.holding('a')).toBe('a');
  now += 1;
  expect(known.holding('a')).toBeUndefined();
});

test.each(['', 'a', 'a/b'])('a run that looks at %j, at or above it, makes it unknown', (path) => {
  learn('a/b');
  meet('x', path);
  expect(known.holding('a/b')).toBeUndefined();
});

test('a run that looks at what is in it, or beside it, does not', () => {
  learn('a/b');
  meet('a/b/c', 'a/bc', 'a/c', 'b');
  expect(known.holding('a/b')).toBe('a/b');
});

test('nothing is learnt from a run beside which another has begun that looks at or above it', () => {
  const learnt = known.learn('a/b');
  meet('a');
  learnt(true);
  expect(known.holding('a/b')).toBeUndefined();
  learn('a/b');
  expect(known.holding('a/b')).toBe('a/b');
});

test('it is forgotten when something went wrong', () => {
  learn('a');
  known.forget();
  expect(known.holding('a')).toBeUndefined();
});
