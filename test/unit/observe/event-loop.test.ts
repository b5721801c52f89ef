import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { EventLoopMeter, LongestStalls } from '../../../src/observe/event-loop.js';

function block(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

describe('the event loop is measured', () => {
  let meter: EventLoopMeter;

  beforeEach(() => {
    meter = new EventLoopMeter();
    meter.start();
  });

  afterEach(() => {
    meter.stop();
  });

  test('and one that was blocked has stalled for as long', async () => {
    await sleep(1);
    block(120);
    await nextTurn();
    await nextTurn();
    const { stallMs, maxStallMs } = meter.status();
    expect(stallMs).toBeGreaterThanOrEqual(119);
    expect(maxStallMs).toBe(stallMs);
  });

  test('and one that waits does not stall', async () => {
    await sleep(300);
    await nextTurn();
    expect(meter.status().maxStallMs).toBeLessThan(300);
  });

  test('until it is told to stop', async () => {
    await nextTurn();
    meter.stop();
    const before = meter.status();
    block(before.maxStallMs + 60);
    await nextTurn();
    await nextTurn();
    expect(meter.status()).toEqual(before);
  });
});

describe('of the stalls', () => {
  test('the longest since a time is told, and the longest of all', () => {
    const stalls = new LongestStalls();
    stalls.add(1_000, 80);
    stalls.add(2_000, 30);
    stalls.add(3_000, 50);
    expect(stalls.since(0)).toBe(80);
    expect(stalls.since(1_000)).toBe(80);
    expect(stalls.since(1_001)).toBe(50);
    expect(stalls.since(3_001)).toBe(0);
    expect(stalls.max).toBe(80);
  });

  test('one that is followed by a longer one is forgotten, and so is one that is long past', () => {
    const stalls = new LongestStalls();
    stalls.add(1_000, 80);
    stalls.add(90_000, 20);
    stalls.add(91_000, 20);
    expect(stalls.since(31_000)).toBe(20);
    expect(stalls.since(90_500)).toBe(20);
    expect(stalls.max).toBe(80);
  });

  test('none are as long as nothing', () => {
    expect(new LongestStalls().since(0)).toBe(0);
    expect(new LongestStalls().max).toBe(0);
  });
});
