/** What an rsync does that was started ahead: the same as one that is started for the run. */
import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';

import { fromText } from '../../src/core/relative-path.js';
import { DeleteMemory } from '../../src/transfer/delete-memory.js';
import type * as pooling from '../../src/transfer/pool.js';
import { REPLACED } from '../../src/transfer/delete-guard.js';
import type { StandbyTerms } from '../../src/transfer/standby.js';
import type * as delivery from '../../src/transfer/worker.js';
import { deletesByName } from '../support/installed-rsync.js';
import { eventually } from '../support/eventually.js';
import { ManualClock } from '../support/manual-clock.js';
import { descendantsOf } from '../support/processes.js';
import { canMount, entriesOf, namesOf, plant, TransferBench, type RunOptions } from '../support/transfer-bench.js';
import { useTransferBench } from '../support/use-transfer-bench.js';

const dist = new URL(`${process.env['SERSYNC_DIST'] ?? new URL('../../dist', import.meta.url).pathname}/`, 'file:');
const load = async (file: string): Promise<unknown> => await import(/* @vite-ignore */ new URL(file, dist).href);
const { TransferPool } = (await load('transfer/pool.js')) as typeof pooling;
const { dropStandbys } = (await load('transfer/worker.js')) as typeof delivery;

const bench = useTransferBench('standby');
let round = 0;
let standby: StandbyTerms;

beforeEach(() => {
  standby = { key: `round ${round++}`, maxAgeMs: 60_000, keepMs: 60_000 };
});

afterEach(() => dropStandbys());

/** How many rsync that are no daemons run here. */
function waiting(): number {
  const isClient = (pid: number): boolean => contentOf(`/proc/${pid}/cmdline`)?.includes('--files-from') === true;
  return descendantsOf(process.pid).filter(({ pid }) => isClient(pid)).length;
}

/** Resolves when one waits, and the remote has let it in. */
async function untilWaiting(connections: number): Promise<void> {
  await eventually(
    () => waiting() === 1 && bench.daemon.connections() >= connections,
    { withinMs: 5_000, everyMs: 2 },
    () => `${waiting()} rsync wait, ${bench.daemon.connections()} connections`,
  );
}

/** A run that finds none, so that the next one does. */
async function warmUp(options: RunOptions = {}): Promise<void> {
  const before = bench.daemon.connections();
  plant(bench.source, ['first']);
  await bench.run(entriesOf(['first']), { standby, ...options });
  await untilWaiting(before + 2);
}

describe('an rsync that waits', () => {
  it('takes the next run, and the next one waits for the one after that', async () => {
    await warmUp();
    const connections = bench.daemon.connections();
    for (const name of ['second', 'third', 'fourth']) {
      plant(bench.source, [name]);
      expect(await bench.run(entriesOf([name]), { standby })).toMatchObject({ exitCode: 0, filesSent: 1 });
      expect(namesOf(bench.remote)).toContain(name);
      await eventually(
        () => waiting() === 1,
        { withinMs: 5_000 },
        () => 'none waits',
      );
    }
    await untilWaiting(connections + 3);
    // One for each run: the first was there before, the last waits.
    expect(bench.daemon.connections()).toBe(connections + 3);
  });

  it('is not used for a list that it would read for longer than another one takes to start', async () => {
    await warmUp();
    const connections = bench.daemon.connections();
    const names = Array.from({ length: 500 }, (_, index) => `a-directory/file-${index}`);
    plant(bench.source, names);
    expect(await bench.run(entriesOf(names), { standby })).toMatchObject({ exitCode: 0, filesSent: 500 });
    expect(namesOf(bench.remote)).toEqual(['a-directory', 'first', 'stays', ...names].sort());
    await untilWaiting(connections + 1);
    plant(bench.source, ['second']);
    await bench.run(entriesOf(['second']), { standby });
    // It has waited meanwhile.
    await untilWaiting(connections + 2);
    expect(bench.daemon.connections()).toBe(connections + 2);
  });

  it('is not used by a run of another kind', async () => {
    await warmUp();
    plant(bench.source, ['second']);
    rmSync(join(bench.source, 'stays'));
    const report = await bench.run(entriesOf(['second', 'stays']), { standby, context: { deletes: false } });
    expect(report.exitCode).toBe(0);
    expect(namesOf(bench.remote)).toEqual(['first', 'second', 'stays']);
  });

  it('ends when it has waited too long, and when nothing changes for long', async () => {
    standby = { ...standby, maxAgeMs: 300, keepMs: 1_000 };
    const before = bench.daemon.connections();
    await warmUp();
    await untilWaiting(before + 4);
    await eventually(
      () => waiting() === 0,
      { withinMs: 5_000 },
      () => 'one still waits',
    );
  });

  it('whose connection has ended is no failure: all goes at once by another one', async () => {
    await warmUp();
    await bench.daemon.restart();
    expect(waiting()).toBe(1);
    plant(bench.source, ['second']);
    rmSync(join(bench.source, 'stays'));
    const report = await bench.run(entriesOf(['second', 'stays']), { standby });
    expect(report).toMatchObject({ exitCode: 0, filesSent: 1, messages: [] });
    expect(namesOf(bench.remote)).toEqual(['first', 'second']);
  });

  it('whose remote does not come back says so as any other, and no further one waits', async () => {
    await warmUp();
    await bench.daemon.stop();
    try {
      plant(bench.source, ['second']);
      expect((await bench.run(entriesOf(['second']), { standby })).exitCode).toBe(10);
      expect(waiting()).toBe(0);
    } finally {
      await bench.daemon.start();
    }
  });
});

const GONE = 'what is gone';

/** What is planted, what happens then, and the names that the run is about. */
const CASES: Readonly<Record<string, { before: () => void; names: readonly string[] }>> = {
  'files, directories and links': {
    before: () => {
      plant(bench.source, ['a/b/c', 'd/', 'e']);
      symlinkSync('e', join(bench.source, 'link'));
    },
    names: ['a/b/c', 'd', 'e', 'link'],
  },
  [GONE]: {
    before: () => {
      plant(bench.remote, ['gone/with/all', 'gone-file']);
    },
    names: ['gone', 'gone-file', 'never/was'],
  },
  'names that look like something else': {
    before: () => {
      plant(bench.source, ['#comment', ';comment', '-rf', ' ', 'new\nline', "quo'te", '$(x)', '*', 'a::b']);
    },
    names: ['#comment', ';comment', '-rf', ' ', 'new\nline', "quo'te", '$(x)', '*', 'a::b'],
  },
  'a file in place of a directory, and the reverse': {
    before: () => {
      plant(bench.remote, ['was-directory/child', 'was-file']);
      plant(bench.source, ['was-directory', 'was-file/child']);
    },
    names: ['was-directory', 'was-file/child'],
  },
  'a file that only looks older': {
    before: () => {
      plant(bench.source, ['older']);
      utimesSync(join(bench.source, 'older'), 1, 1);
    },
    names: ['older'],
  },
};

describe('as a run with an rsync of its own', () => {
  const told = ['exitCode', 'complaints', 'messages', 'again', 'filesSent', 'bytesSent', 'unsent', 'command'] as const;

  for (const [what, { before, names }] of Object.entries(CASES)) {
    it.runIf(what !== GONE || deletesByName())(`brings over ${what}`, async () => {
      const seen = [];
      for (const isReady of [false, true]) {
        bench.newTrees();
        if (isReady) await warmUp();
        else plant(bench.source, ['first']);
        before();
        const report = await bench.run(entriesOf([...names, 'first']), isReady ? { standby } : {});
        // Where the trees are differs, and nothing else may.
        const text = JSON.stringify(Object.fromEntries(told.map((key) => [key, report[key]])));
        const files = namesOf(bench.remote).map((name) => [name, contentOf(join(bench.remote, name))]);
        seen.push({ text: text.replace(/sub-\d+/g, 'sub').replace(/"filesSent":\d+,"bytesSent":\d+/, ''), files });
      }
      expect(seen[1]).toEqual(seen[0]);
    });
  }
});

describe('the watched directory', () => {
  it.runIf(canMount)('can be unmounted while an rsync waits, and nothing is deleted then', async () => {
    bench.mount();
    const guard = bench.guard();
    plant(bench.source, ['kept']);
    await bench.run(entriesOf(['kept']), { standby, guard });
    await eventually(
      () => waiting() === 1,
      { withinMs: 5_000 },
      () => 'none waits',
    );
    bench.unmount();
    const report = await bench.run(entriesOf(['kept']), { standby, guard });
    expect(report.held).toEqual({ reason: REPLACED, paths: ['kept'] });
    expect(namesOf(bench.remote)).toContain('kept');
  });

  it('that is replaced while an rsync waits is not taken for what it was', async () => {
    await warmUp();
    const guard = bench.guard();
    renameSync(bench.source, `${bench.source}-aside`);
    mkdirSync(bench.source);
    plant(bench.source, ['new']);
    const report = await bench.run(entriesOf(['new', 'stays']), { standby, guard });
    expect(report.held).toEqual({ reason: REPLACED, paths: ['stays'] });
    expect(namesOf(bench.remote)).toEqual(['first', 'new', 'stays']);
  });
});

describe('a remote that has no connection left', () => {
  const crowded = new TransferBench('standby-crowded');
  const pool = new TransferPool(2, 2, 1);

  afterAll(async () => {
    await pool.close();
    await crowded.close();
  });

  it('gets that of the rsync that only waits there, when a run needs it', async () => {
    await crowded.start({ maxConnections: 2 });
    const { daemon, source, remote } = crowded;
    const name = `backup/${remote.slice(daemon.path().length + 1)}`;
    const target = { ip: daemon.address, port: daemon.port, name, ssh: false, params: ['-artz'] };
    const context = {
      ...{ rsync: 'rsync', launcher: [], cwd: source, root: fromText(source), target, deletes: true },
      ...{ keepsNewer: false, filter: { excludes: [] }, crontabPatterns: [] },
    };
    const memory = new DeleteMemory(new ManualClock(), () => undefined);
    const [one, other] = ['one', 'other'].map((key) =>
      pool.transport({ context, memory, guard: () => crowded.guard(), standby: { ...standby, key } }),
    );
    plant(source, ['small', 'large']);
    for (const [index, transport] of [one!, other!].entries()) {
      expect(await transport.begin({ ...entriesOf(['small']), largeBytes: 1_000 }).done).toMatchObject({ exitCode: 0 });
      await eventually(
        () => waiting() === index + 1,
        { withinMs: 10_000 },
        () => 'none waits',
      );
      // Both are let in, and stay.
      await sleep(1_000);
      expect(waiting()).toBe(index + 1);
    }
    daemon.clearLog();
    const report = await one!.begin(entriesOf(['large'])).done;
    expect(report).toMatchObject({ exitCode: 0, filesSent: 1 });
    expect(daemon.log()).toContain('max connections (2) reached');
    expect(waiting()).toBe(1);
    expect(namesOf(remote)).toEqual(['large', 'small', 'stays']);
  });
});

function contentOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // No file.
    return undefined;
  }
}
