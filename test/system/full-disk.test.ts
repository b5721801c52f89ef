import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, statfsSync, statSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { canMount, mountTmpfs, unmountAll } from '../support/disk.js';
import { eventually } from '../support/eventually.js';
import { isAlive, signal } from '../support/processes.js';
import { PROGRAM, type SersyncProcess } from '../support/sersync-process.js';
import { askStatus } from '../support/sersync-status.js';
import { TestBench } from '../support/test-bench.js';

let bench: TestBench;

beforeEach(async () => {
  bench = new TestBench('full');
  bench.onClose(() => {
    unmountAll(bench.directory);
  });
  mkdirSync(bench.path('state'));
  await bench.startDaemons(2);
});

afterEach(() => bench.close());

describe.runIf(canMount())('a state directory on a disk that is full', () => {
  beforeEach(() => {
    mountTmpfs(bench.path('state'), '4m');
  });

  it('holds up nothing, is told, and is written anew when there is room: a crash after that loses nothing', async () => {
    plantFiles('before', 50);
    const sersync = await bench.startSynced();
    expect(health()).toMatchObject({ status: 0 });

    fillDisk();
    // What cannot go at once is what the journal is for.
    await bench.daemons[1]!.stop();
    await untilJournalFails(sersync);
    plantFiles('while it is full', 50);
    await bench.untilSame({ withinMs: 30_000, remotes: [bench.remotes[0]!] });
    expect((await askStatus(sersync.stateDirectory)).journal.failingSince).toBeGreaterThan(0);
    expect(health()).toMatchObject({ status: 1, stdout: expect.stringContaining('journal') as string });

    makeRoom();
    await sersync.waitForLog('journal:recovered', {}, 30_000);
    await bench.daemons[1]!.start();
    await bench.untilSame({ withinMs: 30_000 });
    await eventually(
      () => health().status === 0,
      { withinMs: 20_000, everyMs: 200 },
      () => health().stdout,
    );

    await bench.daemons[1]!.stop();
    plantFiles('before the crash', 50);
    await bench.untilSame({ withinMs: 30_000, remotes: [bench.remotes[0]!] });
    await sersync.stop('SIGKILL');
    rmSync(bench.path('source/before'), { recursive: true });
    plantFiles('while it was down', 50);
    await bench.daemons[1]!.start();

    const next = startAgain();
    await bench.untilSame({ withinMs: 30_000 });
    expect(next.events('journal:damaged')).toEqual([]);
  });

  it('loses nothing by a crash meanwhile, when there is room at the next start', async () => {
    plantFiles('before', 50);
    const sersync = await bench.startSynced();
    fillDisk();
    await bench.daemons[1]!.stop();
    await untilJournalFails(sersync);
    rmSync(bench.path('source/before'), { recursive: true });
    plantFiles('while it is full', 50);
    await bench.untilSame({ withinMs: 30_000, remotes: [bench.remotes[0]!] });
    await sersync.stop('SIGKILL');
    plantFiles('while it was down', 50);
    await bench.daemons[1]!.start();

    makeRoom();
    startAgain();
    await bench.untilSame({ withinMs: 60_000 });
  });

  it('at the start keeps the service from nothing', async () => {
    fillDisk();
    const sersync = await bench.startSersync();
    plantFiles('new', 50);
    await bench.untilSame({ withinMs: 30_000 });
    await sersync.waitForLog('journal:failed', {}, 30_000);
    makeRoom();
    await sersync.waitForLog('journal:recovered', {}, 60_000);
  });

  it('holds the log of -d: the service goes on, and logs again when there is room', async () => {
    const config = bench.writeConfig();
    const env = { ...process.env, SERSYNC_STATE_DIR: bench.path('state') };
    const started = spawnSync(process.execPath, [PROGRAM, '-rd', '-o', config], {
      encoding: 'utf8',
      timeout: 60_000,
      env,
    });
    const pid = Number(/pid +(\d+)/.exec(started.stdout)?.[1]);
    expect(started.stderr).toBe('');
    bench.onClose(() => {
      signal(pid, 'SIGKILL');
    });
    await bench.untilSame({ withinMs: 30_000 });

    fillDisk();
    await bench.daemons[1]!.stop();
    plantFiles('while it is full', 50);
    await bench.untilSame({ withinMs: 30_000, remotes: [bench.remotes[0]!] });
    await bench.daemons[1]!.start();
    await bench.untilSame({ withinMs: 30_000 });
    expect(isAlive(pid)).toBe(true);

    makeRoom();
    const before = statSync(bench.path('state/sersync.log')).size;
    signal(pid, 'SIGTERM');
    await eventually(
      () => !isAlive(pid),
      { withinMs: 20_000 },
      () => `${pid} still runs`,
    );
    expect(statSync(bench.path('state/sersync.log')).size).toBeGreaterThan(before);
  });
});

function plantFiles(directory: string, count: number): void {
  mkdirSync(bench.path('source', directory), { recursive: true });
  for (let file = 0; file < count; file++) {
    writeFileSync(bench.path('source', directory, `file-${file}`), `${directory} ${file}`);
  }
}

/** One piece after the other, each as large as there is room for. */
function fillDisk(): void {
  for (let piece = 0; ; piece++) {
    const { bavail, bsize } = statfsSync(bench.path('state'));
    if (bavail === 0) return;
    writeFileSync(bench.path('state', `filler-${piece}`), Buffer.alloc(bavail * bsize, 'x'));
  }
}

function makeRoom(): void {
  for (const name of readdirSync(bench.path('state'))) {
    if (name.startsWith('filler-')) rmSync(bench.path('state', name));
  }
}

/** What is marked and cannot go must be written: names, until the room in the last block is used up. */
async function untilJournalFails(sersync: SersyncProcess): Promise<void> {
  let written = 0;
  await eventually(
    () => {
      plantFiles('too much', ++written * 20);
      return sersync.events('journal:failed').length > 0;
    },
    { withinMs: 30_000, everyMs: 100 },
    () => `the journal was written all the same:\n${sersync.transcript()}`,
  );
}

function startAgain(): SersyncProcess {
  return bench.spawnSersync({ config: bench.path('confxml.xml'), args: [] });
}

function health(): { status: number | null; stdout: string } {
  const env = { ...process.env, SERSYNC_STATE_DIR: bench.path('state') };
  const args = [PROGRAM, 'status', '--health'];
  const { status, stdout } = spawnSync(process.execPath, args, { encoding: 'utf8', env });
  return { status, stdout };
}
