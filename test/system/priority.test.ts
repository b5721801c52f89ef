import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { constants, getPriority } from 'node:os';
import { expect, onTestFinished, test } from 'vitest';

import { eventually } from '../support/eventually.js';
import { descendantsOf, type ProcessInfo } from '../support/processes.js';
import { TestBench } from '../support/test-bench.js';

const ORDINARY = getPriority();
/** Root may not everywhere, in a container for one. */
const mayComeFirst = spawnSync('nice', ['-n', '-1', 'true'], { encoding: 'utf8' }).stderr === '';
const URGENT = mayComeFirst ? ORDINARY + constants.priority.PRIORITY_HIGH : ORDINARY;

test('where there are not enough cores the threads that are waited for come first, and rsync and commands do not', async () => {
  const bench = new TestBench('priority');
  onTestFinished(() => bench.close());
  await bench.startDaemons(2);
  const heard = bench.path('heard');
  writeFileSync(bench.path('command'), `#!/bin/sh\nnice >> ${heard}\n`, { mode: 0o755 });
  writeFileSync(heard, '');
  const sections = `<plugin name="command"><param prefix="${bench.path('command')}" ignoreError="true"/></plugin>`;
  const sersync = await bench.startSynced({ plugin: 'command', sections });

  writeFileSync(bench.path('source/file'), 'content');
  await eventually(
    () => readFileSync(heard, 'utf8') !== '',
    { withinMs: 10_000 },
    () => sersync.transcript(),
  );

  expect(readFileSync(heard, 'utf8').trim()).toBe(String(ORDINARY));
  const waiting = (): ProcessInfo[] => descendantsOf(sersync.pid).filter(({ command }) => command === 'rsync');
  await eventually(
    () => waiting().length === bench.daemons.length,
    { withinMs: 10_000 },
    () => sersync.transcript(),
  );
  expect(waiting().map(({ pid }) => getPriority(pid))).toEqual([ORDINARY, ORDINARY]);
  expect(getPriority(sersync.pid)).toBe(URGENT);
  const threads = readdirSync(`/proc/${sersync.pid}/task`).map((thread) => getPriority(Number(thread)));
  // The main thread, the watcher's and that for names.
  if (mayComeFirst) expect(threads.filter((nice) => nice === URGENT)).toHaveLength(3);
  expect(threads.filter((nice) => nice < URGENT)).toEqual([]);
});
