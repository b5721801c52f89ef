import { expect, test } from 'vitest';

import type { Look, TransferTask } from '../../../src/replicate/ports.js';
import { packTask, unpackTask } from '../../../src/transfer/packed-task.js';

test('a task arrives as it was sent', () => {
  const look: Look = { path: 'd/a', scope: 'entry', gone: false, once: false, since: 1.5 };
  const looks: Look[] = [
    look,
    { ...look, path: 'd/b', once: true },
    { ...look, path: '', scope: 'listing', moved: true },
    { ...look, path: 'd/\xc3\xa9', scope: 'subtree', gone: true },
    { ...look, path: 'd/c', gone: true, moved: true, once: true },
  ];
  const tasks: TransferTask[] = [
    { kind: 'entries', looks, askedAt: 7, largeBytes: 8, known: 'd' },
    { kind: 'trees', looks: [], resync: true, crontab: false },
    { kind: 'divide', path: 'd', crontab: true },
  ];
  for (const task of tasks) expect(unpackTask(packTask(task))).toEqual(task);
});
