/** What a run says about the source when it could not read all of it, and how many names it has. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { judge } from '../../src/replicate/verdict.js';
import { extrasOf, namesOf, plant, treesOf } from '../support/transfer-bench.js';
import { useTransferBench } from '../support/use-transfer-bench.js';

const bench = useTransferBench('unreadable');
/** For root nothing is closed: its rsync runs as somebody else. */
const isRoot = process.getuid?.() === 0;

beforeAll(() => {
  chmodSync(bench.directory, 0o755);
});

function asSomebody(): { rsync: string } {
  return isRoot ? { rsync: bench.script('exec setpriv --reuid=65534 --clear-groups rsync "$@"') } : { rsync: 'rsync' };
}

describe('a directory that cannot be read', () => {
  const closed = (): string => join(bench.source, 'd/closed');

  beforeEach(() => {
    plant(bench.source, ['d/closed/f', 'e/g']);
    plant(bench.remote, ['d/closed/f', 'd/extra', 'e/extra']);
    chmodSync(closed(), 0o000);
    return () => {
      chmodSync(closed(), 0o755);
    };
  });

  it.each([
    ['a copy', () => treesOf(['d', 'e'])],
    ['a comparison', () => extrasOf(['d', 'e'])],
  ])('leaves open what is extra, says %s', async (_title, task) => {
    const report = await bench.run(task(), { context: asSomebody() });
    expect(report.unreadable).toBe(true);
    expect(judge(report, { deletes: true })).toMatchObject({
      kind: 'partial',
      failed: [{ path: 'd/closed' }],
      hint: expect.stringContaining('must be allowed to read it') as string,
    });
  });

  it('in another one leaves nothing open', async () => {
    expect(await bench.run(treesOf(['e']), { context: asSomebody() })).toMatchObject({
      unreadable: false,
      extraneous: 1,
    });
    const report = await bench.run(extrasOf(['e']), { context: asSomebody() });
    expect(report).toMatchObject({ unreadable: false, extras: ['e/extra'], names: 3 });
  });

  it.skipIf(isRoot)('is told where the walk is ours', async () => {
    const report = await bench.run(treesOf(['d', 'e']), { context: { filter: { excludes: ['nothing'] } } });
    expect(report.unreadable).toBe(true);
    expect(judge(report, { deletes: true })).toMatchObject({ kind: 'partial', failed: [{ path: 'd/closed' }] });
  });
});

it('a name that is too long to be reached is told where the walk is ours', async () => {
  // Deeper than a path may be long (4,096 bytes): nobody can read what is there, root neither.
  const part = 'n'.repeat(250);
  let path = join(bench.source, 'deep');
  mkdirSync(path);
  const before = process.cwd();
  process.chdir(path);
  for (let depth = 0; depth < 20; depth++) {
    mkdirSync(part);
    process.chdir(part);
    path = join(path, part);
  }
  writeFileSync('unreachable', '');
  process.chdir(before);
  const report = await bench.run(treesOf(['deep']), { context: { filter: { excludes: ['nothing'] } } });
  expect(report.unreadable).toBe(true);
  expect(judge(report, { deletes: true }).kind).toBe('partial');
  // Node removes by whole paths, and these are too long for it.
  execFileSync('rm', ['-rf', join(bench.source, 'deep')]);
});

it.each([[['-artuz']], [['-artuzv', '--stats']], [['-artuz', '-hh', '--info=stats0']]])(
  'the names of the source are counted with the params %j',
  async (params) => {
    plant(bench.source, ['d/a', 'd/b', 'd/e/c', 'f/x']);
    for (const tree of [bench.source, bench.remote]) utimesSync(join(tree, 'stays'), 0, 0);
    // Directories are names, and the destination itself, of which the first has none.
    expect((await bench.run(treesOf(['d']), { params })).names).toBe(6);
    expect((await bench.run(extrasOf(['']), { params })).names).toBe(9);
    expect(
      (await bench.run(treesOf(['']), { params, context: { filter: { excludes: ['f'] } } })).names,
    ).toBeGreaterThanOrEqual(6);
    expect(namesOf(bench.remote)).toEqual(['d', 'd/a', 'd/b', 'd/e', 'd/e/c', 'stays']);
  },
);
