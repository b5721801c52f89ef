/** Content that changed although size and time did not: `cp -p`, `mv`, tar, reproducible builds. */
import { chmodSync, lstatSync, mkdirSync, readFileSync, renameSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';

import type { RunReport, TransferTask } from '../../src/replicate/ports.js';
import { eventually } from '../support/eventually.js';
import { entriesOf, treesOf } from '../support/transfer-bench.js';
import { useTransferBench } from '../support/use-transfer-bench.js';
import { expectSameTree } from '../support/trees.js';

const LONG_AGO = 1_577_836_800;
const bench = useTransferBench('doubt');

/** A file of that content with the time that all of them have. */
function write(path: string, content: string): void {
  const file = join(bench.source, path);
  writeFileSync(file, content);
  utimesSync(file, LONG_AGO, LONG_AGO);
}

function makeDirectory(path: string, content: string): void {
  mkdirSync(join(bench.source, path, 'sub'), { recursive: true });
  for (const name of ['a', 'sub/b']) write(`${path}/${name}`, content);
  for (const name of ['sub', '.']) utimesSync(join(bench.source, path, name), LONG_AGO, LONG_AGO);
}

function swap(one: string, other: string): void {
  const [first, second, aside] = [one, other, 'aside'].map((name) => join(bench.source, name)) as [
    string,
    string,
    string,
  ];
  renameSync(first, aside);
  renameSync(second, first);
  renameSync(aside, second);
}

async function sync(task: TransferTask, context = {}): Promise<RunReport> {
  const report = await bench.run(task, { context });
  expect(report).toMatchObject({ exitCode: 0, complaints: [], messages: [] });
  return report;
}

describe('a file of the same size and time', () => {
  beforeEach(async () => {
    for (const name of ['f', 'g']) write(name, `this is ${name}`);
    await sync(entriesOf(['f', 'g']));
  });

  it('that replaced another is sent', async () => {
    write('new', 'THIS IS f');
    renameSync(join(bench.source, 'new'), join(bench.source, 'f'));
    await sync(entriesOf(['f']));
    expectSameTree(bench.source, [bench.remote]);
    expect(readFileSync(join(bench.remote, 'f'), 'utf8')).toBe('THIS IS f');
  });

  it('that was swapped with another is sent', async () => {
    swap('f', 'g');
    await sync(entriesOf(['f', 'g', 'aside']));
    expectSameTree(bench.source, [bench.remote]);
  });

  it('is sent by rules as well', async () => {
    swap('f', 'g');
    await sync(entriesOf(['f', 'g', 'aside']), { deletesBy: 'rules' });
    expectSameTree(bench.source, [bench.remote]);
  });
});

describe.each([
  ['rsync', {}],
  ['us, because there is a filter', { excludes: ['nothing'] }],
])('in a directory that was written to, walked by %s,', (_title, context) => {
  it.each(['listing', 'subtree'] as const)(
    'what was replaced is named, to be compared by content (%s)',
    async (scope) => {
      mkdirSync(join(bench.source, 'd'));
      for (const name of ['f', 'g']) write(`d/${name}`, `this is ${name}`);
      await sync(entriesOf(['d', 'd/f', 'd/g']));
      // What is sent whole, or was not changed, needs no second look: neither g nor new.
      write('d/new', 'new');
      write('d/f', 'THIS IS f');
      const changedAt = lstatSync(join(bench.source, 'd/f')).ctimeMs;
      const before = changedAt - lstatSync(join(bench.source, 'd/g')).ctimeMs;
      expect(before).toBeGreaterThan(0);
      const [look] = treesOf(['d']).looks;

      const report = await sync({ ...treesOf([]), looks: [{ ...look!, scope, since: changedAt + 60_000 }] }, context);

      expect(report.again).toEqual([{ path: 'd/f', scope: 'entry', gone: false, because: 'doubtful' }]);
      await sync(entriesOf(['d/f']));
      expectSameTree(bench.source, [bench.remote]);
    },
  );

  it('what was moved in is compared by content, unless it is new there', async () => {
    makeDirectory('d/one', 'one');
    makeDirectory('d/two', 'two');
    const again = async (): Promise<unknown[]> => {
      // It was written to: without this its own time would make all of it doubtful.
      write('d/changed', '');
      const report = await sync(treesOf(['d'], { since: Date.now() }), context);
      return report.again.map(({ path, scope, because }) => [path, scope, because]);
    };
    expect(await again()).toEqual([]);
    swap('d/one', 'd/two');
    const found = await again();
    expect(found).toHaveLength(2);
    expect(found).toEqual(
      expect.arrayContaining([
        ['d/one', 'subtree', 'doubtful'],
        ['d/two', 'subtree', 'doubtful'],
      ]),
    );
    await sync(treesOf(['d/one', 'd/two']), context);
    expectSameTree(bench.source, [bench.remote]);
  });
});

it('a mode that was changed is set, and nothing of the content goes over', async () => {
  const size = 4 * 1024 * 1024;
  write('f', 'x'.repeat(size));
  await sync(entriesOf(['f']));
  chmodSync(join(bench.source, 'f'), 0o600);
  bench.daemon.clearLog();
  await sync(entriesOf(['f']));
  expect(lstatSync(join(bench.remote, 'f')).mode & 0o777).toBe(0o600);
  expectSameTree(bench.source, [bench.remote]);
  const received = await eventually(
    () => / received ([\d,]+) bytes/.exec(bench.daemon.log())?.[1]?.replaceAll(',', ''),
    { withinMs: 5_000 },
    () => 'the daemon has logged no run',
  );
  expect(Number(received)).toBeLessThan(size / 100);
});

describe.each([
  ['rsync', {}],
  ['us, because there is a filter', { filter: { excludes: ['nothing'] } }],
])('of two directories with equal names, sizes and times, walked by %s,', (_title, context) => {
  beforeEach(async () => {
    makeDirectory('d', 'one');
    makeDirectory('e', 'two');
    await sync(treesOf(['d', 'e']), context);
    swap('d', 'e');
  });

  it('that were swapped, the content is sent', async () => {
    // A third one beside them, which was written: its times are believed.
    makeDirectory('written', 'three');
    writeFileSync(join(bench.source, 'written/new'), '');
    const report = await sync(treesOf(['d', 'e', 'written']), context);
    expectSameTree(bench.source, [bench.remote]);
    expect(report.command).toContain('--ignore-times');
  });

  it('a full resync believes the times', async () => {
    const report = await sync({ ...treesOf(['d', 'e']), resync: true }, context);
    expect(report.command).not.toContain('--ignore-times');
    expect(report.filesSent).toBe(0);
  });
});
