import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { eventually } from '../support/eventually.js';
import { inMs, median } from '../support/measure.js';
import type { RsyncDaemon } from '../support/rsync-daemon.js';
import { TestBench } from '../support/test-bench.js';

let bench: TestBench;

beforeEach(() => {
  bench = new TestBench('outages');
});

afterEach(() => bench.close());

describe('a remote that does not work', () => {
  const OUTAGES: readonly {
    title: string;
    begin: (daemon: RsyncDaemon) => unknown;
    end: (daemon: RsyncDaemon) => unknown;
    isTold: boolean;
  }[] = [
    { title: 'refuses connections', begin: (daemon) => daemon.stop(), end: (daemon) => daemon.start(), isTold: true },
    {
      title: 'accepts connections and never answers',
      begin: (daemon) => {
        daemon.freeze();
      },
      end: (daemon) => {
        daemon.thaw();
      },
      // Silence is a failure after the timeout only, which is longer than this outage.
      isTold: false,
    },
  ];

  for (const { title, begin, end, isTold } of OUTAGES) {
    it(`and ${title} for a minute slows the others by less than 10 %, and catches up within 10 s without a new event`, async () => {
      const OUTAGE_MS = 60_000;
      const broken = (await bench.startDaemons(3))[2]!;
      const sersync = await bench.startSynced();
      // Beside it a service whose remotes are all well: in turns, so that whatever else the machine does meets both.
      const control = new TestBench('control');
      try {
        await control.startDaemons(3);
        await control.startSynced();

        await begin(broken);
        const outageEnds = performance.now() + OUTAGE_MS;
        const [well, ill]: [number[], number[]] = [[], []];
        while (performance.now() < outageEnds) {
          well.push(await burst(control, `burst-${well.length}`));
          ill.push(await burst(bench, `burst-${ill.length}`));
        }
        if (isTold) await sersync.waitForLog('remote:unreachable', { remote: bench.remoteName(broken) });
        const told = sersync.events('remote:unreachable');
        expect(told.length, `it is told too often:\n${JSON.stringify(told.slice(0, 12), null, 1)}`).toBeLessThanOrEqual(
          10,
        );
        await end(broken);

        const caughtUpMs = await bench.untilSame({ withinMs: 10_000 });

        const measured = `well: ${inMs(well)}; ill: ${inMs(ill)}`;
        console.log(`${title}: ${measured}; caught up after ${caughtUpMs.toFixed(0)} ms`);
        if (isTold) await sersync.waitForLog('remote:recovered', { remote: bench.remoteName(broken) });
        expect(median(ill), measured).toBeLessThan(1.1 * median(well));
      } finally {
        await control.close();
      }
    });
  }

  it('breaks off in the middle of a large file, and has it whole afterwards', async () => {
    const [daemon] = await bench.startDaemons(1);
    await bench.startSynced({ params: '-artuz --bwlimit=20m' });
    writeFileSync(bench.path('source/large'), Buffer.alloc(60_000_000, 'noise to send'));
    await eventually(
      () => readdirSync(daemon!.path()).some((name) => name.startsWith('.large.')),
      { withinMs: 10_000 },
      () => 'the transfer did not begin',
    );

    await daemon!.restart();

    // What the receiver had of it when it was killed stays there: a name of rsync's own, which we never touch.
    await bench.untilSame({ withinMs: 30_000, isExcluded: (path) => path.startsWith('.large.') });
  });

  it('refuses one connection too many, and gets all the same what it is owed', async () => {
    await bench.startDaemons(1, { maxConnections: 1 });
    await bench.startSersync();

    for (let file = 0; file < 200; file++) {
      writeFileSync(bench.path(`source/file-${file}`), 'content');
      await sleep(5);
    }

    await bench.untilSame({ withinMs: 20_000 });
  });

  /** Milliseconds from the last of 300 writes until the first two remotes have them. */
  async function burst(where: TestBench, name: string): Promise<number> {
    const FILES = 300;
    const remotes = where.remotes.slice(0, 2);
    mkdirSync(where.path('source', name));
    await eventually(
      () => remotes.every((remote) => existsSync(join(remote, name))),
      { withinMs: 5_000, everyMs: 2 },
      () => `directory ${name} did not arrive`,
    );
    // The directory's own run is over, and nothing of it is timed.
    await sleep(200);
    for (let file = 0; file < FILES; file++) writeFileSync(where.path('source', name, `file-${file}`), 'content');
    const lastWrite = performance.now();
    const isThere = (remote: string): boolean =>
      readdirSync(join(remote, name)).filter((file) => !file.startsWith('.')).length === FILES;
    await eventually(
      () => remotes.every(isThere),
      { withinMs: 10_000, everyMs: 2 },
      () => `burst ${name} did not arrive`,
    );
    const took = performance.now() - lastWrite;
    await sleep(200);
    return took;
  }
});
