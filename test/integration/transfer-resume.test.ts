/** What becomes of files that were sent in part when a run breaks off. */
import { randomBytes } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';

import type { RunReport } from '../../src/replicate/ports.js';
import { judge } from '../../src/replicate/verdict.js';
import { eventually } from '../support/eventually.js';
import { descendantsOf, type ProcessInfo } from '../support/processes.js';
import { freePort } from '../support/rsync-daemon.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import {
  canMount,
  entriesOf,
  extrasOf,
  namesOf,
  plant,
  sweepOf,
  treesOf,
  type BegunRun,
} from '../support/transfer-bench.js';
import { useTransferBench } from '../support/use-transfer-bench.js';

const SIZE = 64 * 1024 * 1024;
/** Slow enough to be met in the middle. */
const SLOWLY = ['-artuz', '--bwlimit=64m'];
const TEMPORARY = /^\.big\.[A-Za-z0-9]{6}$/;

const bench = useTransferBench('resume');

function plantBig(path: string): void {
  plant(bench.source, [path]);
  writeFileSync(join(bench.source, path), randomBytes(SIZE));
}

/** Resolves when half of the file has arrived. */
async function untilHalf(directory: string): Promise<void> {
  await eventually(
    () => {
      const temporary = readdirSync(join(bench.remote, directory)).find((name) => TEMPORARY.test(name));
      return temporary !== undefined && lstatSync(join(bench.remote, directory, temporary)).size >= SIZE / 2;
    },
    { withinMs: 20_000 },
    () => `half of the file has not arrived in ${directory}`,
  );
}

/** Bytes that the daemon received in its last run. */
function received(): number {
  const runs = [...bench.daemon.log().matchAll(/ received ([\d,]+) bytes/g)];
  return Number(runs.at(-1)?.[1]?.replaceAll(',', ''));
}

function killRsync(): void {
  const isOurs = (info: ProcessInfo): boolean => info.parent === process.pid && info.pid !== bench.daemon.pid;
  const [rsync] = descendantsOf(process.pid).filter((info) => info.command === 'rsync' && isOurs(info));
  process.kill(rsync!.pid, 'SIGKILL');
}

const ways: [string, (run: BegunRun) => void][] = [
  [
    'was cancelled',
    (run) => {
      run.cancel();
    },
  ],
  ['was killed', killRsync],
];
const tasks = [
  ['by itself', () => entriesOf(['d/big'])],
  ['in a directory', () => treesOf(['d'])],
] as const;

describe.each(ways)('a large file whose run %s at half', (_way, breakOff) => {
  it.each(tasks)('goes on from there, sent %s', async (_title, task) => {
    plantBig('d/big');
    plant(bench.remote, ['d/']);
    const run = bench.begin(task(), { params: SLOWLY });
    await untilHalf('d');
    breakOff(run);
    const report = await run.done;
    expect(report.cutOff).toEqual(['d/big']);
    await untilLeft('d/.rsync-partial/big');

    bench.daemon.clearLog();
    const next = await bench.run(task());
    expect(judge(next, { deletes: true }).kind).toBe('synced');
    expect(next).toMatchObject({ filesSent: 1, extraneous: 0, cutOff: [] });
    await eventually(
      () => received() > 0,
      { withinMs: 5_000 },
      () => 'the daemon has logged no run',
    );
    expect(received()).toBeLessThan(SIZE * 0.6);
    expectSame('d/big');
    expect(namesOf(bench.remote)).toEqual(['d', 'd/big', 'stays']);
  });
});

it('a file that changed while it was sent may have left a part, though the run went on to its end', async () => {
  plant(bench.source, ['d/f']);
  const said = 'ERROR: d/f failed verification -- update put into partial-dir.';
  const rsync = bench.script(`echo '${said}' >&2; exit 23`);
  const report = await bench.run(treesOf(['d']), { context: { rsync } });
  expect(report.cutOff).toEqual(['d/f']);
  expect(judge(report, { deletes: true })).toMatchObject({ kind: 'partial', failed: [{ path: 'd/f' }] });
});

it('one that rsync was to send again, and that was gone by then, may have left a part as well', async () => {
  plant(bench.source, ['d/f']);
  const said = 'WARNING: d/f failed verification -- update discarded (will try again).';
  const rsync = bench.script(`echo '${said}' >&2; exit 24`);
  const report = await bench.run(treesOf(['d']), { context: { rsync } });
  expect(report.cutOff).toEqual(['d/f']);
});

describe('a part that waits', () => {
  beforeEach(() => {
    plant(bench.source, ['d/big']);
    plant(bench.remote, ['d/big', 'd/.rsync-partial/big', 'extra/.rsync-partial/x']);
  });

  it('is not taken for something extra, but with the directory that holds it', async () => {
    expect(await bench.run(treesOf(['d']))).toMatchObject({ exitCode: 0, extraneous: 0 });
    const report = await bench.run(extrasOf(['']));
    expect(report.extras).toEqual(['extra']);
  });

  it('is removed with its directory by name', async () => {
    await bench.run(entriesOf(['d/.rsync-partial', 'd/big']));
    expect(namesOf(join(bench.remote, 'd'))).toEqual(['big']);
  });
});

describe('a sweep', () => {
  it('removes what runs that broke off have left, and nothing else', async () => {
    const leftovers = ['.rsync-partial/a', 'd/.rsync-partial/big', 'd/.big.7QlWsc', 'd/e/.rsync-partial/sub/x'];
    const kept = ['d/.env.sample', 'd/.other.7QlWsc', 'd/extra', 'extra/.rsync-partial/y', 'mine/.rsync-partial/z'];
    plant(bench.source, ['d/big', 'd/.env', 'd/e/f', 'mine/.rsync-partial/']);
    plant(bench.remote, ['d/big', ...leftovers, ...kept]);
    const report = await bench.run(sweepOf(['']), { context: { deletes: false } });
    expect(judge(report, { deletes: false }).kind).toBe('synced');
    expect([...report.extras].sort()).toEqual([
      '.rsync-partial',
      'd/.big.7QlWsc',
      'd/.rsync-partial',
      'd/e/.rsync-partial',
    ]);
    const files = namesOf(bench.remote).filter((name) => lstatSync(join(bench.remote, name)).isFile());
    expect(files).toEqual([...kept, 'd/big', 'stays'].sort());
  });

  it('by the name of a file finds what is left of it, though the file has gone', async () => {
    plant(bench.source, ['d/stays']);
    plant(bench.remote, ['d/.gone.abcdef', 'd/.rsync-partial/gone', 'd/e/.rsync-partial/x', 'd/.stays.abcdef']);
    const report = await bench.run(sweepOf(['d/gone'], { scope: 'entry' }));
    expect([...report.extras].sort()).toEqual(['d/.gone.abcdef', 'd/.rsync-partial']);
    expect(namesOf(bench.remote)).toContain('d/.stays.abcdef');
    expect(namesOf(bench.remote)).toContain('d/e/.rsync-partial/x');
  });

  it('leaves alone what the filter leaves out', async () => {
    plant(bench.source, ['cache/x', 'd/x']);
    plant(bench.remote, ['cache/.rsync-partial/x', 'd/.rsync-partial/x']);
    const excludes = ['cache', '(.*/)?\\.rsync-partial'];
    const report = await bench.run(sweepOf(['']), { context: { filter: { excludes } } });
    expect(report.extras).toEqual(['d/.rsync-partial']);
  });

  it('removes nothing when the source is not what it was', async () => {
    plant(bench.remote, ['.rsync-partial/a']);
    const report = await bench.run(sweepOf(['']), { guard: { identity: 'another' } });
    expect(report).toMatchObject({ extras: [], held: { paths: ['.rsync-partial'] } });
    expect(namesOf(bench.remote)).toContain('.rsync-partial/a');
  });

  it('finds what a reset connection leaves', async () => {
    plantBig('big');
    const proxy = new TcpProxy({ address: '127.0.0.1', port: await freePort(['127.0.0.1']) }, bench.daemon);
    await proxy.listen();
    const cut = proxy.cutAfter(SIZE / 2);
    const report: RunReport = await bench.run(entriesOf(['big']), { port: proxy.at.port });
    await cut;
    proxy.close();
    expect(judge(report, { deletes: true }).kind).not.toBe('synced');
    expect(report.cutOff).toEqual(['big']);
    await eventually(
      () => descendantsOf(bench.daemon.pid!).length === 0,
      { withinMs: 5_000 },
      () => 'the receiver goes on',
    );
    const swept = await bench.run(sweepOf(report.cutOff, { scope: 'entry' }));
    expect(swept.extras).toEqual(['.rsync-partial']);
    expect(namesOf(bench.remote)).toEqual(['stays']);
  });
});

it.runIf(canMount())('a file that the remote has no room for keeps none of it', async () => {
  plantBig('d/big');
  bench.mount(join(bench.remote, 'd'));
  for (const task of [entriesOf(['d/big']), treesOf(['d'])]) {
    const report = await bench.run(task);
    expect(judge(report, { deletes: true })).toMatchObject({ kind: 'partial', outOfSpace: true });
    expect(namesOf(join(bench.remote, 'd'))).toEqual([]);
  }
});

it('a directory of that name in the source is sent like any other', async () => {
  plant(bench.source, ['d/.rsync-partial/theirs']);
  await bench.run(treesOf(['d']));
  expectSame('d/.rsync-partial/theirs');
  rmSync(join(bench.source, 'd/.rsync-partial'), { recursive: true });
  await bench.run(entriesOf(['d/.rsync-partial']));
  expect(namesOf(bench.remote)).toEqual(['d', 'stays']);
});

async function untilLeft(name: string): Promise<void> {
  await eventually(
    () => namesOf(bench.remote).includes(name),
    { withinMs: 5_000 },
    () => `${name} was not left: ${namesOf(bench.remote).join(' ')}`,
  );
}

function expectSame(path: string): void {
  expect(readFileSync(join(bench.remote, path)).equals(readFileSync(join(bench.source, path)))).toBe(true);
}
