import { expect, test } from 'vitest';

import { Gathering } from '../../../src/replicate/gathering.js';

const TIMES = { afterLastMs: 5, atMostMs: 20 };

test('nothing gathers before anything has come', () => {
  const gathering = new Gathering(TIMES);
  gathering.see(0, 100);
  expect(gathering.until()).toBe(-Infinity);
  expect(gathering.quietAt()).toBe(-Infinity);
});

test('each that comes makes it longer, as far as it goes', () => {
  const gathering = new Gathering(TIMES);
  const until = [100, 104, 108, 112, 116, 119].map((now, index) => {
    gathering.see(index + 1, now);
    return gathering.until();
  });
  expect(until).toEqual([105, 109, 113, 117, 120, 120]);
  expect(gathering.quietAt()).toBe(124);
});

test('a look at what has come already makes it no longer', () => {
  const gathering = new Gathering(TIMES);
  gathering.see(3, 100);
  gathering.see(3, 104);
  gathering.see(2, 104);
  expect(gathering.until()).toBe(105);
});

test('what a run has left behind gathers no longer, what comes then does', () => {
  const gathering = new Gathering(TIMES);
  gathering.see(3, 100);
  gathering.taken(1);
  gathering.see(1, 101);
  expect(gathering.until()).toBe(-Infinity);
  gathering.see(2, 200);
  expect(gathering.until()).toBe(205);
});
