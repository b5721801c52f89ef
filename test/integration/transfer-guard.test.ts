/** What a run deletes when the watched directory is not what it was. */
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';

import type { MountPoint } from '../../src/core/mount-point.js';
import { fromText } from '../../src/core/relative-path.js';
import { REPLACED } from '../../src/transfer/delete-guard.js';
import { judge } from '../../src/replicate/verdict.js';
import { identify, Source } from '../../src/transfer/source.js';
import { deletesByName } from '../support/installed-rsync.js';
import { canMount, entriesOf, extrasOf, namesOf, plant, treesOf } from '../support/transfer-bench.js';
import { useTransferBench } from '../support/use-transfer-bench.js';

const bench = useTransferBench('guard');

const extrasTask = extrasOf(['']);

describe('a watched directory that was replaced', () => {
  beforeEach(() => {
    plant(bench.remote, ['d/gone', 'gone']);
  });

  const replace = (): { identity: string } => {
    const identity = identify(bench.source)!;
    renameSync(bench.source, `${bench.source}-aside`);
    plant(bench.source, ['new', 'd/']);
    return { identity };
  };

  it('sends what is in it and deletes nothing', async () => {
    const report = await bench.run(entriesOf(['new', 'gone', 'd/gone']), { guard: replace() });
    expect(report.held).toEqual({ reason: REPLACED, paths: ['gone', 'd/gone'] });
    expect(judge(report, { deletes: true }).kind).toBe('synced');
    expect(report.command).toContain('--ignore-missing-args');
    expect(namesOf(bench.remote)).toEqual(['d', 'd/gone', 'gone', 'new', 'stays']);
  });

  it('is compared all the same, so that a person sees what would go', async () => {
    const guard = replace();
    expect(await bench.run(treesOf(['']), { guard })).toMatchObject({ exitCode: 0, extraneous: 3 });
    const report = await bench.run(extrasTask, { guard });
    expect([...report.extras].sort()).toEqual(['d/gone', 'gone', 'stays']);
    expect(report.held?.reason).toBe(REPLACED);
    expect(report.held?.paths).toEqual(report.extras);
    expect(namesOf(bench.remote)).toEqual(['d', 'd/gone', 'gone', 'new', 'stays']);
  });

  it('just before rsync stood in it is not run on', async () => {
    // As if it had happened between the look at the directory and the start: rsync stands in another one.
    const cwd = join(bench.directory, 'another');
    mkdirSync(cwd);
    const report = await bench.run(entriesOf(['stays', 'gone']), { context: { cwd } });
    expect(judge(report, { deletes: true })).toMatchObject({ kind: 'refused' });
    expect(namesOf(bench.remote)).toEqual(['d', 'd/gone', 'gone', 'stays']);
  });

  it.runIf(deletesByName())('while rsync ran is still the one that rsync looks at', async () => {
    // The script is what rsync is to the service: it stands in the directory when that is moved away.
    const rsync = bench.script(`mv ${bench.source} ${bench.source}-aside; mkdir ${bench.source}; exec rsync "$@"`);
    const report = await bench.run(entriesOf(['stays', 'gone']), { context: { rsync } });
    expect(judge(report, { deletes: true }).kind).toBe('synced');
    expect(namesOf(bench.remote)).toEqual(['d', 'd/gone', 'stays']);
  });
});

describe('a directory that only the remote has', () => {
  it.each(['listing', 'subtree'] as const)(
    'is extra with all that is in it, and no failure, for a %s',
    async (scope) => {
      plant(bench.remote, ['extra/sub/x', 'extra/y']);
      const report = await bench.run(treesOf([''], { scope }));
      expect(judge(report, { deletes: true })).toEqual({ kind: 'synced', warnings: [] });
      expect(report.extraneous).toBeGreaterThan(0);
      expect(await bench.run(extrasOf([''], { scope }))).toMatchObject({ extras: ['extra'], extraneous: 4 });
      expect(namesOf(bench.remote)).toEqual(['extra', 'extra/sub', 'extra/sub/x', 'extra/y', 'stays']);
    },
  );

  it('stands in the way of a file of its name, and that is complained of', async () => {
    plant(bench.source, ['d/name']);
    plant(bench.remote, ['d/name/x']);
    const report = await bench.run(treesOf(['d'], { scope: 'listing' }));
    expect(judge(report, { deletes: true })).toMatchObject({ kind: 'partial', failed: [{ path: 'd/name' }] });
  });
});

describe('a watched directory that is', () => {
  it('missing is not run on', async () => {
    const guard = bench.guard();
    rmSync(bench.source, { recursive: true });
    const report = await bench.run(entriesOf(['stays']), { guard });
    expect(judge(report, { deletes: true })).toMatchObject({ kind: 'refused' });
    expect(namesOf(bench.remote)).toEqual(['stays']);
  });

  it('empty deletes nothing, and says what it would', async () => {
    rmSync(join(bench.source, 'stays'));
    const held = { reason: 'the watched directory is empty', paths: ['stays'] };
    expect(await bench.run(entriesOf(['stays']))).toMatchObject({ held, command: [] });
    expect(await bench.run(extrasTask)).toMatchObject({ held, extras: ['stays'], extraneous: 1 });
    expect(namesOf(bench.remote)).toEqual(['stays']);
  });

  it('empty and may be so deletes', async () => {
    rmSync(join(bench.source, 'stays'));
    const guard = { mayBeEmpty: true };
    expect((await bench.run(extrasTask, { guard })).held).toBeUndefined();
    expect((await bench.run(entriesOf(['stays']), { guard })).held).toBeUndefined();
    expect(namesOf(bench.remote)).toEqual([]);
  });
});

describe.runIf(canMount())('a file system', () => {
  const mountPoints = (): MountPoint[] => new Source(fromText(bench.source)).mountPoints();

  it('that is mounted anew at the watched directory is another', () => {
    bench.mount();
    const first = identify(bench.source);
    bench.unmount();
    bench.mount();
    expect(identify(bench.source)).not.toBe(first);
  });

  it('that is not mounted any more holds back what was in it, and nothing else', async () => {
    for (const path of ['data/disk1', 'data/disk2']) bench.mount(join(bench.source, path));
    const guard = { mounts: mountPoints() };
    plant(bench.source, ['data/disk1/a', 'data/disk2/b', 'c', 'new']);
    plant(bench.remote, ['data/disk1/a', 'data/disk1/gone', 'data/disk2/b', 'data/disk2/sub/b', 'c']);
    bench.unmount(join(bench.source, 'data/disk2'));
    rmSync(join(bench.source, 'c'));

    const reason = 'what was mounted at data/disk2 is not there any more';
    const extras = await bench.run(extrasOf(['data']), { guard });
    expect([...extras.extras].sort()).toEqual(['data/disk1/gone', 'data/disk2/b', 'data/disk2/sub']);
    expect(extras.held?.reason).toBe(reason);
    expect([...(extras.held?.paths ?? [])].sort()).toEqual(['data/disk2/b', 'data/disk2/sub']);

    const names = ['c', 'new', 'data/disk1/gone', 'data/disk2/b', 'data/disk2/sub/b'];
    const report = await bench.run(entriesOf(names), { guard });
    expect(report.held).toEqual({ reason, paths: ['data/disk2/b', 'data/disk2/sub'] });
    expect(judge(report, { deletes: true }).kind).toBe('synced');
    expect(namesOf(bench.remote)).toEqual([
      'data',
      'data/disk1',
      'data/disk1/a',
      'data/disk2',
      'data/disk2/b',
      'data/disk2/sub',
      'data/disk2/sub/b',
      'new',
      'stays',
    ]);
  });

  it('that is mounted holds nothing back', async () => {
    bench.mount(join(bench.source, 'disk'));
    plant(bench.remote, ['disk/gone']);
    writeFileSync(join(bench.source, 'disk/new'), '');
    const report = await bench.run(entriesOf(['disk/new', 'disk/gone']), { guard: { mounts: mountPoints() } });
    expect(report.held).toBeUndefined();
    expect(namesOf(bench.remote)).toEqual(['disk', 'disk/new', 'stays']);
  });
});
