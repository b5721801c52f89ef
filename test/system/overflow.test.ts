import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { canSetQueueLimit, withQueueLimit } from '../support/queue-limit.js';
import { readStatus } from '../support/sersync-status.js';
import { TestBench } from '../support/test-bench.js';

let bench: TestBench;

beforeEach(() => {
  bench = new TestBench('overflow');
});

afterEach(() => bench.close());

describe('a kernel queue that is too short for what happens', () => {
  const QUEUED_EVENTS = 128;
  const STILL = 5_000;
  const WRITTEN = { directories: 300, filesInEach: 150 };

  it.skipIf(!canSetQueueLimit())(
    `loses events and no change: of ${QUEUED_EVENTS} events, while 45,000 files are written and directories of them removed`,
    async () => {
      await bench.startDaemons(2);
      for (let file = 0; file < STILL; file++) plantStill(file);
      const sersync = await withQueueLimit(QUEUED_EVENTS, () => bench.startSersync());
      for (const daemon of bench.daemons) {
        await sersync.waitForLog('resync:finished', { remote: bench.remoteName(daemon) }, 60_000);
      }
      await bench.untilSame({ withinMs: 10_000 });
      for (const daemon of bench.daemons) daemon.clearLog();

      for (let directory = 0; directory < WRITTEN.directories; directory++) {
        const path = bench.path(`source/busy/${directory % 10}/directory-${directory}`);
        mkdirSync(path, { recursive: true });
        for (let file = 0; file < WRITTEN.filesInEach; file++) writeFileSync(join(path, `file-${file}`), `${file}`);
        if (directory % 7 === 6) rmSync(bench.path(`source/busy/${(directory - 3) % 10}`), { recursive: true });
        await nextTurn();
      }

      await bench.untilSame({ withinMs: 60_000 });
      const losses = sersync.events('watch:lost').map(({ reason }) => String(reason));
      expect(
        losses.some((reason) => reason.includes('overflow')),
        losses.join('\n'),
      ).toBe(true);
      const [root] = (await readStatus(sersync.stateDirectory)).roots;
      expect(root?.watcher.lastOverflow?.reason).toContain(`max_queued_events`);
      for (const daemon of bench.daemons) {
        expect(daemon.sentNames().filter((name) => name.startsWith('still/'))).toEqual([]);
      }
    },
  );

  function plantStill(file: number): void {
    const directory = bench.path(`source/still/directory-${file % 100}`);
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, `file-${file}`), `still ${file}`);
  }
});
