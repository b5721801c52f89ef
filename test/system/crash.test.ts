import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { Random } from '../support/random.js';
import type { SersyncProcess } from '../support/sersync-process.js';
import { TestBench } from '../support/test-bench.js';

const EQUAL_WITHIN_MS = 60_000;
/** Whole seconds, which utimes(2) keeps exactly; long ago. */
const LONG_AGO = 1_700_000_000;

let bench: TestBench;

beforeEach(() => {
  bench = new TestBench('crash');
});

afterEach(() => bench.close());

describe('a service that was killed', () => {
  const KILLS = 3;
  const STILL = { directories: 200, filesInEach: 100 };

  it(`in the middle of a burst, ${KILLS} times, has after each start without -r sent what changed meanwhile, and only that`, async () => {
    await bench.startDaemons(2);
    plantStill();
    plantForDowntime();
    // Without -u: a directory that takes the place of another brings older files, which must arrive.
    let sersync = await bench.startSynced({ switches: { attrib: true }, params: '-artz' });
    for (const daemon of bench.daemons) daemon.clearLog();
    const random = new Random(Date.now());

    for (let kill = 1; kill <= KILLS; kill++) {
      const burst = changeAllTheTime(new Random(random.below(1_000_000)));
      await sleep(100 + random.below(900));
      const { signal } = await sersync.stop('SIGKILL');
      expect(signal).toBe('SIGKILL');
      // The burst goes on for a moment, seen by nobody.
      await sleep(random.below(300));
      await burst.end();
      changeWhileDown(kill);

      sersync = await startAgain();

      await bench.untilSame({ withinMs: EQUAL_WITHIN_MS });
    }

    for (const daemon of bench.daemons) {
      const unchanged = daemon.sentNames().filter((name) => name.startsWith('still/'));
      expect(unchanged, `seed ${random.seed}`).toEqual([]);
    }
  });

  it('while it resynced everything goes on with that after a start without -r', async () => {
    await bench.startDaemons(2);
    plantStill();
    const first = await bench.startSersync();
    await first.waitForLog('resync:started');
    await sleep(150);
    await first.stop('SIGKILL');
    rmSync(bench.path('source/still/directory-7'), { recursive: true });

    await startAgain();

    await bench.untilSame({ withinMs: EQUAL_WITHIN_MS });
  });

  async function startAgain(): Promise<SersyncProcess> {
    const sersync = bench.spawnSersync({ config: bench.path('confxml.xml'), args: [] });
    await sersync.waitForLog('watch:ready', {}, 30_000);
    return sersync;
  }

  /** What nobody touches. */
  function plantStill(): void {
    for (let directory = 0; directory < STILL.directories; directory++) {
      const path = bench.path(`source/still/directory-${directory}`);
      mkdirSync(path, { recursive: true });
      for (let file = 0; file < STILL.filesInEach; file++) {
        writeFileSync(join(path, `file-${file}`), `${directory} ${file}`);
      }
    }
  }

  /** For each downtime a directory of its own, in which things have their place before. */
  function plantForDowntime(): void {
    for (let kill = 1; kill <= KILLS; kill++) {
      const at = (path: string): string => bench.path(`source/downtime-${kill}`, path);
      for (const directory of [
        'removed/below',
        'moved/below',
        'swap-1',
        'swap-2',
        'replaced',
        'kinds/directory',
        'alone',
      ]) {
        mkdirSync(at(directory), { recursive: true });
        for (let file = 0; file < 10; file++) plant(at(`${directory}/file-${file}`), `${directory} ${file}`);
      }
    }
  }

  /** All that a comparison of sizes and times would miss is among it. */
  function changeWhileDown(kill: number): void {
    const at = (path: string): string => bench.path(`source/downtime-${kill}`, path);
    rmSync(at('removed'), { recursive: true });
    unlinkSync(at('alone/file-1'));
    renameSync(at('moved'), at('alone/moved'));
    renameSync(at('swap-1'), at('swap'));
    renameSync(at('swap-2'), at('swap-1'));
    renameSync(at('swap'), at('swap-2'));
    plant(at('replaced/new'), 'REPLACED 1');
    renameSync(at('replaced/new'), at('replaced/file-1'));
    plant(at('replaced/file-2'), 'REPLACED 2');
    chmodSync(at('replaced/file-3'), 0o600);
    chmodSync(at('swap-1'), 0o700);
    rmSync(at('kinds/directory'), { recursive: true });
    plant(at('kinds/directory'), 'a file now');
    unlinkSync(at('alone/file-2'));
    mkdirSync(at('alone/file-2/below'), { recursive: true });
    unlinkSync(at('alone/file-3'));
    symlinkSync('nowhere', at('alone/file-3'));
    mkdirSync(at('new/a/b/c'), { recursive: true });
    plant(at('new/a/b/c/file'), 'new');
  }

  function plant(path: string, content: string): void {
    writeFileSync(path, content);
    utimesSync(path, LONG_AGO, LONG_AGO);
  }

  /** Writes, appends, moves and removes below `busy` until it is told to end. */
  function changeAllTheTime(random: Random): { end: () => Promise<void> } {
    const ending = new AbortController();
    const busy = bench.path('source/busy');
    const change = (): void => {
      const directory = join(busy, `directory-${random.below(20)}`);
      const file = join(directory, `file-${random.below(50)}`);
      mkdirSync(directory, { recursive: true });
      const kind = random.below(10);
      if (kind < 6) writeFileSync(file, `content ${random.next()}`);
      else if (kind < 8) appendFileSync(file, 'more\n');
      else if (kind < 9) rmSync(file, { force: true });
      else if (random.chance(0.1)) rmSync(directory, { recursive: true });
      else if (random.chance(0.2)) {
        const to = join(busy, `directory-${random.below(20)}`);
        rmSync(to, { recursive: true, force: true });
        if (to !== directory) renameSync(directory, to);
      }
    };
    const done = (async () => {
      while (!ending.signal.aborted) {
        for (let count = 0; count < 20; count++) change();
        await sleep(5);
      }
    })();
    return {
      end: () => {
        ending.abort();
        return done;
      },
    };
  }
});
