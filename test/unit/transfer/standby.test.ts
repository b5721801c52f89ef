import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';

import type { WaitingRsync } from '../../../src/transfer/rsync-process.js';
import { Standby } from '../../../src/transfer/standby.js';

const NEXT = { purpose: 'names', command: ['rsync'] } as const;
/** By then one is started that nothing holds up. */
const SOON_MS = 50;

let started: number;
let standby: Standby;

beforeEach(() => {
  started = 0;
  standby = new Standby({ key: 'remote', maxAgeMs: 60_000, keepMs: 60_000 }, () => {
    started++;
    return waitingFor();
  });
});

afterEach(() => standby.drop());

test('one is started soon after a run, but not beside the next one', async () => {
  standby.prepare(NEXT);
  standby.hold();
  await sleep(SOON_MS);
  expect(started).toBe(0);
  standby.prepare(NEXT);
  await sleep(SOON_MS);
  expect(started).toBe(1);
});

test('one that waits already still does when a run has gone without it', async () => {
  standby.prepare(NEXT);
  await sleep(SOON_MS);
  standby.hold();
  standby.prepare(NEXT);
  await sleep(SOON_MS);
  expect(started).toBe(1);
  expect(standby.take(NEXT.purpose)).toBeDefined();
});

test('one that waits is still replaced when it is too old, also after a run has gone without it', async () => {
  standby = new Standby({ key: 'remote', maxAgeMs: SOON_MS, keepMs: 60_000 }, () => {
    started++;
    return waitingFor();
  });
  standby.prepare(NEXT);
  await sleep(SOON_MS / 2);
  standby.hold();
  await sleep(4 * SOON_MS);
  expect(started).toBeGreaterThan(1);
});

/** An rsync that waits until it is released. */
function waitingFor(): WaitingRsync {
  let hasEnded = false;
  let end = (): void => undefined;
  const exited = new Promise<void>((resolve) => {
    end = () => {
      hasEnded = true;
      resolve();
    };
  });
  return {
    pid: undefined,
    hasEnded: () => hasEnded,
    exited,
    feed: () => ({ pid: undefined, done: Promise.resolve({ exitCode: 0, signal: null }), cancel: () => undefined }),
    release: () => {
      end();
      return Promise.resolve();
    },
  };
}
