import { describe, expect, test } from 'vitest';
import { DEFAULTS } from '../../../src/config/config.js';
import { createFilter } from '../../../src/core/filter.js';
import { createEvents } from '../../../src/events.js';
import { FILTER_QUEUE_TIMES, FilterQueue } from '../../../src/queue/filter-queue.js';
import { Replicator, type Watcher, type WatcherListener } from '../../../src/replicate/replicator.js';
import { ManualClock } from '../../support/manual-clock.js';
import { turns } from './scripted-transport.js';

/** A root without remotes, whose watchers the test starts, fails and kills. */
function benchOf(start: (listener: WatcherListener, count: number) => Promise<void>): {
  replicator: Replicator;
  clock: ManualClock;
  told: string[];
  created: () => number;
} {
  const clock = new ManualClock();
  const events = createEvents((error) => {
    throw error;
  });
  const told: string[] = [];
  for (const name of ['watch:ready', 'watch:blind', 'watch:lost'] as const) events.on(name, () => told.push(name));
  let created = 0;
  const replicator = new Replicator({
    root: '/data',
    createWatcher(listener): Watcher {
      const count = ++created;
      return {
        kind: 'scripted',
        start: async () => {
          await start(listener, count);
          return { directories: 1 };
        },
        fence: () => Promise.resolve(true),
        stop: () => Promise.resolve(),
      };
    },
    queue: new FilterQueue({
      filter: createFilter({ excludes: [], patterns: [] }),
      switches: DEFAULTS.events,
      clock,
      times: FILTER_QUEUE_TIMES,
      inspect: () => 'file',
      filesBelow: () => [],
      release: () => undefined,
      onOpenFile: () => undefined,
    }),
    replicas: [],
    clock,
    random: () => 0,
    events,
  });
  return { replicator, clock, told, created: () => created };
}

describe('a watcher that dies', () => {
  test('is replaced after a moment, and the whole tree is looked at then', async () => {
    const listeners: WatcherListener[] = [];
    const { replicator, clock, told, created } = benchOf((listener) => {
      listeners.push(listener);
      return Promise.resolve();
    });
    await replicator.start();
    listeners[0]?.died('gone');
    expect(told).toEqual(['watch:ready', 'watch:blind']);
    clock.advance(500);
    await turns();
    expect(created()).toBe(2);
    expect(told.slice(2)).toEqual(['watch:ready', 'watch:lost']);
    // The first one has nothing more to say.
    listeners[0]?.died('again');
    expect(clock.waiting).toBe(0);
  });

  test('while it starts, and cannot start either, is replaced by one watcher and not by two', async () => {
    const listeners: WatcherListener[] = [];
    const { replicator, clock, created } = benchOf((listener, count) => {
      listeners.push(listener);
      if (count !== 2) return Promise.resolve();
      listener.died('died while it started');
      return Promise.reject(new Error('cannot start'));
    });
    await replicator.start();
    listeners[0]?.died('gone');
    clock.advance(500);
    await turns();
    expect(created()).toBe(2);
    expect(clock.waiting).toBe(1);
    clock.advance(60_000);
    await turns();
    expect(created()).toBe(3);
  });

  test('is not replaced when the service stops', async () => {
    const listeners: WatcherListener[] = [];
    const { replicator, clock, created } = benchOf((listener) => {
      listeners.push(listener);
      return Promise.resolve();
    });
    await replicator.start();
    listeners[0]?.died('gone');
    await replicator.stop(0);
    clock.advance(60_000);
    await turns();
    expect(created()).toBe(1);
    expect(clock.waiting).toBe(0);
  });
});
