import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';

import { doSoon } from '../../src/turns.js';

function work(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

test('work that is short is done when the code that asked for it has ended', async () => {
  const done: string[] = [];
  for (const name of ['a', 'b', 'c']) doSoon(() => done.push(name));
  expect(done).toEqual([]);
  await Promise.resolve();
  await Promise.resolve();
  await Promise.resolve();
  expect(done).toEqual(['a', 'b', 'c']);
  await nextTurn();
});

test('after long work others have to wait for the next turn, and come in their order', async () => {
  const done: string[] = [];
  const sequence = ['long', 'second', 'long', 'third'];
  for (const name of sequence) {
    doSoon(() => {
      if (name === 'long') work(15);
      done.push(name);
    });
  }
  const seen: string[][] = [];
  while (done.length < sequence.length) {
    await nextTurn();
    seen.push([...done]);
  }
  expect(done).toEqual(sequence);
  // Between the two long ones whatever else waits for a turn has had one.
  expect(seen).toContainEqual(['long']);
  expect(seen).toContainEqual(['long', 'second', 'long']);
  await nextTurn();
});
