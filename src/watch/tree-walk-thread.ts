import { parentPort, workerData } from 'node:worker_threads';
import { createFilter } from '../core/filter.js';
import { messageOf, SersyncError } from '../errors.js';
import type { ChangedName } from '../replicate/ports.js';
import { takePriority } from '../thread-priority.js';
import type { TreeWalkMessage, TreeWalkThreadData } from './tree-walk-messages.js';
import { walkTree } from './tree-walk.js';

/** The thread of one walk of `ThreadWalker`. It works without a pause and takes no messages: it is terminated. */

const FULL_BATCH = 1_000;
/** How many messages of names may wait in the main thread: while it is slower, the walk waits and nothing piles up. */
const MAX_WAITING_MESSAGES = 4;

function walk(port: NonNullable<typeof parentPort>, data: TreeWalkThreadData): void {
  const post = (message: TreeWalkMessage): void => {
    port.postMessage(message);
  };
  const taken = new Int32Array(data.taken);
  let sent = 0;
  let batch: ChangedName[] = [];
  const flush = (): void => {
    if (batch.length === 0) return;
    post({ kind: 'found', found: batch });
    batch = [];
    sent += 1;
    for (let count = Atomics.load(taken, 0); sent - count >= MAX_WAITING_MESSAGES; count = Atomics.load(taken, 0)) {
      Atomics.wait(taken, 0, count);
    }
  };
  const { root, filter, below, sinceMs, detail } = data;
  try {
    const summary = walkTree({
      root,
      filter: createFilter(filter),
      below,
      sinceMs,
      detail,
      now: Date.now,
      tell: (found) => {
        batch.push(found);
        if (batch.length >= FULL_BATCH) flush();
      },
    });
    flush();
    post({ kind: 'finished', summary });
  } catch (error) {
    const code = error instanceof SersyncError ? error.code : 'SERSYNC_WALK';
    post({ kind: 'failed', code, message: messageOf(error) });
  }
}

if (parentPort !== null) {
  // Nobody waits for a walk.
  takePriority('patient');
  walk(parentPort, workerData as TreeWalkThreadData);
}
