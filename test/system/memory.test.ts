import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { TestBench } from '../support/test-bench.js';

/** How many paths change while a remote is away. `SERSYNC_MEMORY_PATHS=1000000` is the promise; it takes some minutes. */
const PATHS = Number(process.env['SERSYNC_MEMORY_PATHS'] ?? 150_000);
const MOST_GROWTH_BYTES = 300_000_000;
const IN_DIRECTORY = 1_000;

let bench: TestBench;

beforeEach(() => {
  bench = new TestBench('memory');
});

afterEach(() => bench.close());

describe('a remote that is away for long', () => {
  it(`costs less than 300 MB for ${PATHS} paths that change meanwhile, and gets all of them when it is back`, async () => {
    const [daemon, away] = await bench.startDaemons(2);
    const sersync = await bench.startSynced();
    const before = sersync.residentBytes();
    let most = before;
    await away!.stop();

    for (let directory = 0; directory * IN_DIRECTORY < PATHS; directory++) {
      const path = bench.path(`source/${directory % 10}/directory-${directory}`);
      mkdirSync(path, { recursive: true });
      for (let file = 0; file < IN_DIRECTORY; file++) {
        writeFileSync(join(path, `file-${file}`), '');
        // Files that are written every second and gone soon after are what fills a set for good.
        if (file % 2 === 1) rmSync(join(path, `file-${file}`));
        if (file % 100 === 0) await nextTurn();
      }
      most = Math.max(most, sersync.residentBytes());
    }
    await bench.untilSame({ withinMs: 120_000, remotes: [daemon!.path()] });
    most = Math.max(most, sersync.residentBytes());
    const shown = `${mb(before)} before, ${mb(most)} at most, for ${PATHS} paths`;
    console.log(`resident memory: ${shown}`);
    expect(most - before, shown).toBeLessThan(MOST_GROWTH_BYTES);

    await away!.start();

    await bench.untilSame({ withinMs: 300_000 });
  }, 1_800_000);

  function mb(bytes: number): string {
    return `${(bytes / 1e6).toFixed(0)} MB`;
  }
});
