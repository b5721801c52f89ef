import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { eventually } from '../support/eventually.js';
import { inMs, median } from '../support/measure.js';
import type { RsyncDaemon } from '../support/rsync-daemon.js';
import { TestBench } from '../support/test-bench.js';

/**
 * Never against the clock: always against bare rsync in the same run, by the medians of rounds that take turns. Bare
 * rsync has TCP_NODELAY too; without it a push waits 0.17 s for nothing.
 */
describe('compared with bare rsync', () => {
  let bench: TestBench;

  beforeEach(() => {
    bench = new TestBench('performance');
  });

  afterEach(() => bench.close());

  it('a burst of 5,000 files reaches three remotes in at most 3 times what three rsync runs of the whole take', async () => {
    const [ROUNDS, DIRECTORIES, FILES] = [5, 50, 5_000];
    await bench.startDaemons(3, { modules: ['backup', 'bare'] });
    for (let round = 0; round < ROUNDS; round++) {
      for (let index = 0; index < DIRECTORIES; index++) {
        for (const root of [bench.source, ...bench.daemons.map((daemon) => daemon.path('bare'))]) {
          mkdirSync(join(root, `round-${round}/directory-${index}`), { recursive: true });
        }
      }
    }
    const sersync = await bench.startSynced();

    const [ours, bare]: [number[], number[]] = [[], []];
    for (let round = 0; round < ROUNDS; round++) {
      const content = Buffer.alloc(1024, round + 65);
      for (let file = 0; file < FILES; file++) {
        writeFileSync(bench.path(`source/round-${round}/directory-${file % DIRECTORIES}/file-${file}`), content);
      }
      const lastWrite = performance.now();
      await eventually(
        () => bench.remotes.every((remote) => countFiles(join(remote, `round-${round}`)) === FILES),
        { withinMs: 30_000, everyMs: 10 },
        () => `the burst did not arrive:\n${sersync.transcript()}`,
      );
      ours.push(performance.now() - lastWrite);
      await bench.untilSame({ withinMs: 3_000 });

      const start = performance.now();
      await Promise.all(
        bench.daemons.map((daemon) => push(`${bench.source}/round-${round}/`, `${daemon.url('bare')}/round-${round}/`)),
      );
      bare.push(performance.now() - start);
    }

    report(`burst of ${FILES}`, ours, bare);
    expect(median(ours), `sersync: ${inMs(ours)}; rsync: ${inMs(bare)}`).toBeLessThanOrEqual(3 * median(bare));
  });

  it('an isolated write reaches one remote in no more time than a push of that file takes', async () => {
    const ROUNDS = 21;
    const [daemon] = await bench.startDaemons(1, { modules: ['backup', 'bare'] });
    const sersync = await bench.startSynced();

    const [ours, bare]: [number[], number[]] = [[], []];
    for (let round = 0; round < ROUNDS; round++) {
      // What makes a write isolated: nothing else happens before it, or at the same time.
      await sleep(150);
      const start = performance.now();
      writeFileSync(bench.path(`source/file-${round}`), 'content');
      ours.push(await untilThere(daemon!, `file-${round}`, start, () => sersync.transcript()));

      await sleep(150);
      const startBare = performance.now();
      await push(bench.path(`source/file-${round}`), `${daemon!.url('bare')}/`);
      bare.push(performance.now() - startBare);
    }

    report('isolated write', ours, bare);
    expect(median(ours), `sersync: ${inMs(ours)}; rsync: ${inMs(bare)}`).toBeLessThanOrEqual(median(bare));
  });

  it('beside 100,000 unchanged files it sends what changed, walks nothing for it, and idles for nothing', async () => {
    const [DIRECTORIES, FILES, SECONDS] = [1_000, 100_000, 20];
    const [daemon] = await bench.startDaemons(1);
    for (let index = 0; index < DIRECTORIES; index++) {
      mkdirSync(bench.path(`source/directory-${index}`));
      for (let file = 0; file < FILES / DIRECTORIES; file++) {
        writeFileSync(bench.path(`source/directory-${index}/file-${file}`), '');
      }
    }
    const sersync = await bench.startSynced();
    const usage = (): { cpuMs: number; connections: number } => ({
      cpuMs: sersync.cpuMs(),
      connections: daemon!.connections(),
    });

    const before = usage();
    for (let second = 0; second < SECONDS; second++) {
      writeFileSync(bench.path(`source/directory-${second * 40}/file-7`), `written in second ${second}`);
      await sleep(1_000);
    }
    const afterWrites = usage();
    await bench.untilSame({ withinMs: 3_000 });

    const quiet = usage();
    await sleep(SECONDS * 1_000);
    const afterQuiet = usage();

    const writing = {
      cpuMs: afterWrites.cpuMs - before.cpuMs,
      connections: afterWrites.connections - before.connections,
    };
    const idling = { cpuMs: afterQuiet.cpuMs - quiet.cpuMs, connections: afterQuiet.connections - quiet.connections };
    console.log(`${FILES} files: ${SECONDS} writes ${JSON.stringify(writing)}, idle ${JSON.stringify(idling)}`);
    expect(writing.cpuMs).toBeLessThan(2_000);
    expect(writing.connections).toBeLessThanOrEqual(25);
    expect(idling.cpuMs).toBeLessThan(SECONDS * 10);
    // The rsync that waits is a new one every 20 s.
    expect(idling.connections).toBeLessThanOrEqual(2);
    expect(daemon!.sentNames().slice(FILES)).toHaveLength(SECONDS);
  });
});

function report(what: string, ours: readonly number[], bare: readonly number[]): void {
  const ratio = (median(ours) / median(bare)).toFixed(2);
  console.log(`${what}: sersync ${inMs(ours)}; rsync ${inMs(bare)}; ratio ${ratio}`);
}

/** Milliseconds since `start` when the file is there. Who looked without a pause would take a core from both. */
async function untilThere(daemon: RsyncDaemon, name: string, start: number, said: () => string): Promise<number> {
  const file = join(daemon.path('backup'), name);
  while (!existsSync(file)) {
    if (performance.now() - start > 10_000) throw new Error(`${name} did not arrive:\n${said()}`);
    await sleep(1);
  }
  return performance.now() - start;
}

/** Files that arrived: rsync's own temporaries begin with a dot. */
function countFiles(root: string): number {
  return readdirSync(root).reduce(
    (sum, directory) => sum + readdirSync(join(root, directory)).filter((name) => !name.startsWith('.')).length,
    0,
  );
}

async function push(source: string, url: string): Promise<void> {
  const rsync = spawn('rsync', ['-artz', '--sockopts=TCP_NODELAY', source, url], { stdio: 'inherit' });
  const [code] = (await once(rsync, 'close')) as [number | null];
  if (code !== 0) throw new Error(`rsync ${source} ${url} ended with ${code}`);
}
