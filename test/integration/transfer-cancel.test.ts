/** A task that is called off: whatever it does at the time, it sends nothing more. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

import { entriesOf, namesOf, plant, treesOf } from '../support/transfer-bench.js';
import { useTransferBench } from '../support/use-transfer-bench.js';

const bench = useTransferBench('cancel');
const NAMES = Array.from({ length: 3_000 }, (_, index) => `d/file-${index}`);

it('starts no rsync when that happens while its names are looked at', async () => {
  plant(bench.source, NAMES);
  const connections = bench.daemon.connections();
  const run = bench.begin(entriesOf(NAMES));
  run.cancel();
  expect(await run.done).toMatchObject({ cancelled: true, filesSent: 0 });
  expect(bench.daemon.connections()).toBe(connections);
  expect(namesOf(bench.remote)).toEqual(['stays']);
});

it('starts no further rsync when that happens while one runs', async () => {
  // Moved in with old times: first one rsync for what is told by time, then one that compares content.
  plant(bench.source, ['a/one', 'b/two']);
  const rsync = bench.script(`echo >> "$0.count"; trap 'exit 20' TERM; sleep 30 & wait`);
  const looks = [...treesOf(['a']).looks, ...treesOf(['b'], { moved: true }).looks];
  const run = bench.begin({ ...treesOf([]), looks }, { context: { rsync } });
  setTimeout(() => {
    run.cancel();
  }, 300);
  expect(await run.done).toMatchObject({ cancelled: true, filesSent: 0 });
  expect(namesOf(bench.remote)).toEqual(['stays']);
  expect(readFileSync(`${rsync}.count`, 'utf8')).toBe('\n');
});
