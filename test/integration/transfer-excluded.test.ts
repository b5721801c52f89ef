/** What is excluded stays on the remote, whatever becomes of the directory that holds it. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';

import type { FilterSpec } from '../../src/core/filter.js';
import type { RelativePath } from '../../src/core/relative-path.js';
import { judge } from '../../src/replicate/verdict.js';
import { deletesByName } from '../support/installed-rsync.js';
import { entriesOf, extrasOf, namesOf, plant, treesOf } from '../support/transfer-bench.js';
import { useTransferBench } from '../support/use-transfer-bench.js';

const bench = useTransferBench('excluded', { modules: [{ name: 'backup', settings: { charset: 'utf-8' } }] });

const LOGS: FilterSpec = { excludes: ['(.*)\\.log', '^cache/'] };
const LOG_RULES: FilterSpec = {
  excludes: [],
  rules: [
    { include: false, pattern: '*.log' },
    { include: false, pattern: '/cache/' },
  ],
};

interface Situation {
  readonly why: string;
  readonly remote: readonly RelativePath[];
  /** What is in the source beside `stays`. */
  readonly source?: readonly RelativePath[];
  readonly looks: readonly RelativePath[];
  readonly left: readonly RelativePath[];
  readonly verdict?: string;
}

const SITUATIONS: readonly Situation[] = [
  { why: 'a directory without excluded names goes', remote: ['d/a', 'd/e/f'], looks: ['d'], left: [] },
  {
    why: 'in one that is missing excluded names stay, with the directories above them',
    remote: ['d/a', 'd/k.log', 'd/e/f', 'd/e/k.log', 'd/g/f', 'd/g/h/'],
    looks: ['d'],
    left: ['d', 'd/e', 'd/e/k.log', 'd/k.log'],
  },
  {
    why: 'so they do when a name below it is looked at, which is missing with it',
    remote: ['d/a', 'd/e/k.log', 'd/e/f'],
    looks: ['d/e/f', 'd/a'],
    left: ['d', 'd/e', 'd/e/k.log'],
  },
  {
    why: 'an excluded directory stays with all that it holds',
    remote: ['cache/a', 'cache/d/b', 'd/x.log/a', 'd/b'],
    looks: ['cache', 'd'],
    left: ['cache', 'cache/a', 'cache/d', 'cache/d/b', 'd', 'd/x.log', 'd/x.log/a'],
  },
  { why: 'an excluded name stays', remote: ['a.log', 'b'], looks: ['a.log', 'b'], left: ['a.log'] },
  {
    why: 'temporaries in a directory go with it',
    remote: ['d/a~', 'd/.b.swp', 'd/e/4913', 'd/f'],
    looks: ['d'],
    left: [],
  },
  {
    why: 'names are bytes, whatever they mean to rsync',
    remote: ['d[*]\\?/a\\*.log', 'd[*]\\?/b\nc', 'd[*]\\?/\xff\xe9', '#d/-x', '#d/*.log', ' e/ .log', ' e/y'],
    looks: ['d[*]\\?', '#d', ' e'],
    left: [' e', ' e/ .log', '#d', '#d/*.log', 'd[*]\\?', 'd[*]\\?/a\\*.log'],
  },
  {
    why: 'a file takes the place of a directory that holds nothing excluded',
    remote: ['d/a', 'd/e/f'],
    source: ['d'],
    looks: ['d'],
    left: ['d'],
  },
  {
    why: 'a file waits where a directory holds excluded names, and nobody tries again',
    remote: ['d/a', 'd/e/k.log'],
    source: ['d'],
    looks: ['d'],
    left: ['d', 'd/e', 'd/e/k.log'],
    verdict: 'blocked',
  },
  {
    why: 'a file that was there is deleted when an excluded directory takes its name',
    remote: ['cache'],
    source: ['cache/a'],
    looks: ['cache'],
    left: [],
  },
  {
    why: 'an excluded name that is there is not sent',
    remote: [],
    source: ['d/a.log', 'b.log', 'cache/x', 'd/c'],
    looks: ['d/a.log', 'b.log', 'cache/x', 'cache', 'd/c'],
    left: ['d', 'd/c'],
  },
];

describe.each([
  ['an expression', LOGS, 'names'],
  ['a rule of the params', LOG_RULES, 'names'],
  ['an expression, on a remote that refuses missing names,', LOGS, 'rules'],
] as const)('with %s', (_, filter, deletesBy) => {
  const params =
    filter.rules === undefined ? ['-artz'] : ['-artz', ...filter.rules.map(({ pattern }) => `--exclude=${pattern}`)];
  const options = { params, context: { filter, deletesBy } };

  test.each(SITUATIONS)('$why', async ({ remote, source = [], looks, left, verdict = 'synced' }) => {
    plant(bench.remote, remote);
    plant(bench.source, source);
    const report = await bench.run(entriesOf(looks, { gone: true }), options);
    expect(namesOf(bench.remote).filter((name) => name !== 'stays')).toEqual(left);
    expect(judge(report, { deletes: true }).kind).toBe(verdict);

    // What stays is nothing that a comparison finds, again and again.
    const { extras, extraneous } = await bench.run(extrasOf(['']), options);
    expect({ extras, extraneous }).toEqual({ extras: [], extraneous: 0 });
  });

  test('with deleting off nothing is deleted', async () => {
    plant(bench.remote, ['d/a', 'd/k.log', 'e/b']);
    const report = await bench.run(entriesOf(['d', 'e'], { gone: true }), {
      ...options,
      context: { ...options.context, deletes: false },
    });
    expect(namesOf(bench.remote)).toEqual(['d', 'd/a', 'd/k.log', 'e', 'e/b', 'stays']);
    expect(judge(report, { deletes: false }).kind).toBe('synced');
  });

  test('what was unmounted is held back, as without a filter', async () => {
    plant(bench.remote, ['d/a', 'd/k.log']);
    const report = await bench.run(entriesOf(['d'], { gone: true }), {
      ...options,
      guard: { mounts: [{ path: 'd', identity: 'a disk' }] },
    });
    expect(namesOf(bench.remote)).toEqual(['d', 'd/a', 'd/k.log', 'stays']);
    expect(report.held?.paths).toEqual(['d']);
  });

  test('a comparison names what may go, and a look at an excluded directory brings nothing', async () => {
    plant(bench.remote, ['d/a', 'd/e/f', 'd/g/k.log', 'd/g/f', 'cache/b', 'x.log']);
    plant(bench.source, ['cache/a', 'cache/d/e', 'x.log']);
    const { extras, extraneous } = await bench.run(extrasOf(['']), options);
    expect([...extras].sort()).toEqual(['d/a', 'd/e', 'd/g/f']);
    expect(extraneous).toBe(4);
    const report = await bench.run(treesOf(['cache', 'cache/d']), options);
    expect(report.command, 'for nothing rsync is run').toEqual([]);
    for (const { path, scope, gone } of report.again) {
      expect({ path, scope }).toEqual({ path: 'cache', scope: 'entry' });
      await bench.run(entriesOf([path], { gone }), options);
    }
    expect(namesOf(bench.remote)).toContain('cache/b');
    expect(namesOf(bench.remote)).not.toContain('cache/a');
    expect(namesOf(bench.remote)).not.toContain('cache/d');
  });
});

test('what the crontab excludes stays where a comparison deletes, and goes with what was seen to go', async () => {
  const context = { crontabPatterns: ['*.crontab'] };
  plant(bench.remote, ['d/x.crontab', 'd/y', 'e/x.crontab', 'e/y', 'f/y', 'g.crontab']);
  plant(bench.source, ['g.crontab']);
  const { extras } = await bench.run({ ...extrasOf(['']), crontab: true }, { context });
  expect([...extras].sort()).toEqual(['d/y', 'e/y', 'f']);
  rmSync(join(bench.remote, 'g.crontab'));
  await bench.run(
    {
      ...entriesOf([]),
      looks: [...entriesOf(['d/y', 'f', 'g.crontab']).looks, ...entriesOf(['e'], { gone: true }).looks],
    },
    { context },
  );
  expect(namesOf(bench.remote)).toEqual(['d', 'd/x.crontab', 'g.crontab', 'stays']);
});

test('a name that comes back while it is deleted is looked at again', async () => {
  plant(bench.remote, ['d/a', 'd/k.log']);
  const back = join(bench.source, 'd');
  // The deletion that follows the first run finds a directory again.
  const rsync = bench.script(`rsync "$@"; code=$?; mkdir -p '${back}'; exit $code`);
  const report = await bench.run(entriesOf(['d'], { gone: true }), { context: { filter: LOGS, rsync } });
  expect(namesOf(bench.remote)).toEqual(['d', 'd/a', 'd/k.log', 'stays']);
  expect(report.again).toEqual([{ path: 'd', scope: 'subtree', gone: true, because: 'reappeared' }]);
});

test.runIf(deletesByName())(
  'with --iconv, for which rules say nothing, what holds something stays and that is told',
  async () => {
    plant(bench.remote, ['d/a', 'e']);
    const params = ['-artz', '--iconv=utf-8,utf-8'];
    const report = await bench.run(entriesOf(['d', 'e'], { gone: true }), { params, context: { filter: LOGS } });
    expect(namesOf(bench.remote)).toEqual(['d', 'd/a', 'stays']);
    expect(judge(report, { deletes: true })).toMatchObject({
      kind: 'blocked',
      paths: ['d'],
      reason: 'the directory d stays on the remote: with --iconv it cannot be told what of it may be deleted',
    });
  },
);

test('a thousand directories with excluded names in them take few runs', async () => {
  const directories = Array.from({ length: 1_000 }, (_, index) => `d${index}`);
  plant(
    bench.remote,
    directories.flatMap((directory) => [`${directory}/a`, `${directory}/k.log`]),
  );
  rmSync(join(bench.remote, 'd7', 'k.log'));
  writeFileSync(join(bench.source, 'd8'), '');
  const logged = bench.daemon.connections();
  const report = await bench.run(entriesOf(directories, { gone: true }), { context: { filter: LOGS } });
  const left = namesOf(bench.remote);
  expect(left.filter((name) => name.endsWith('/a') || name === 'd7')).toEqual([]);
  expect(left.filter((name) => name.endsWith('/k.log'))).toHaveLength(999);
  expect(judge(report, { deletes: true })).toMatchObject({ kind: 'blocked', paths: ['d8'] });
  expect(bench.daemon.connections() - logged).toBeLessThanOrEqual(4);
});
