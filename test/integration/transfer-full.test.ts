/** Directories of which every name is to be sent are named to rsync as a whole. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, describe, expect, it } from 'vitest';

import type { RunReport } from '../../src/replicate/ports.js';
import { judge } from '../../src/replicate/verdict.js';
import { eventually } from '../support/eventually.js';
import { entriesOf, namesOf, plant, type RunOptions } from '../support/transfer-bench.js';
import { useTransferBench } from '../support/use-transfer-bench.js';
import { expectSameTree } from '../support/trees.js';

const bench = useTransferBench('full');
/** In five directories, one of which has a name that is no ASCII. */
const PLACES = ['a/d-0', 'a/d-1', 'a/d-2', 'a/d-3', Buffer.from('a/目录').toString('latin1')];
const NAMES = PLACES.flatMap((place) => Array.from({ length: 50 }, (_, index) => `${place}/file-${index}`));
const LONG_AGO = 1_577_836_800;
/** What each of the runs of rsync was told, a line for a word. */
const words = (): string[] => readFileSync(join(bench.directory, 'words'), 'utf8').split('\n');

/** Longer than a directory must have been as it is, to be taken for full. */
async function rest(): Promise<void> {
  await sleep(100);
}

function onDisk(path: string): string {
  return Buffer.from(path, 'latin1').toString('utf8');
}

beforeEach(async () => {
  rmSync(join(bench.directory, 'words'), { force: true });
  plant(bench.source, NAMES);
  await rest();
});

/** `before` is done, in the source, when rsync has been started and has looked at nothing. */
function send(names: readonly string[], { before = ':', ...options }: RunOptions & { before?: string } = {}) {
  const rsync = bench.script(`${before}\nprintf '%s\\n' "$@" >>${bench.directory}/words\nexec rsync "$@"`);
  return bench.run(entriesOf(names), { params: ['-artz'], ...options, context: { rsync, ...options.context } });
}

/** All that the names were in has its own mode, owner and times, too. */
async function expectSynced(report: RunReport): Promise<void> {
  expect(judge(report, { deletes: true }).kind).toBe('synced');
  await bench.run(entriesOf(['a', ...PLACES]));
  expectSameTree(bench.source, [bench.remote]);
}

describe('a full directory', () => {
  it('is named instead of its names', async () => {
    const report = await send(NAMES);
    expect(words()).toEqual(expect.arrayContaining(PLACES.map((place) => `./${onDisk(place)}/`)));
    expect(words().filter((word) => word.includes('file-'))).toEqual([]);
    expect(report.filesSent).toBe(NAMES.length);
    const bytes = NAMES.map((name) => readFileSync(join(bench.source, onDisk(name))).length);
    expect(report.bytesSent).toBe(bytes.reduce((sum, each) => sum + each, 0));
    expect(report).toMatchObject({ again: [], unquiet: [], changed: [], messages: [] });
    await expectSynced(report);
  });

  it('is named so, too, where somebody must be told of the names', async () => {
    const report = await send(NAMES, { context: { namesChanges: true } });
    expect(words()).toEqual(expect.arrayContaining(PLACES.map((place) => `./${onDisk(place)}/`)));
    expect(words().filter((word) => word.includes('file-'))).toEqual([]);
    expect(report.filesSent).toBe(NAMES.length);
    expect(report.changed.filter((path) => path.includes('file-')).sort()).toEqual([...NAMES].sort());
    expect(report).toMatchObject({ again: [], unquiet: [] });
    await expectSynced(report);
  });

  it('is named from the directory that the remote is known to have, and may be that directory', async () => {
    mkdirSync(join(bench.remote, 'a/d-0'), { recursive: true });
    plant(
      bench.source,
      Array.from({ length: 250 }, (_, index) => `a/d-0/file-${index}`),
    );
    await rest();
    const names = namesOf(bench.source).filter((name) => name.startsWith('a/d-0/'));
    const report = await bench.run({ ...entriesOf(names), known: 'a/d-0' }, { params: ['-artz'] });
    expect(report.command.at(-1)).toMatch(/\/a\/d-0\/\.\/$/);
    expect(report).toMatchObject({ filesSent: 250, unquiet: [] });
    expect(namesOf(bench.remote).filter((name) => name.startsWith('a/d-0/'))).toEqual(names);
  });

  it('sends what changed in it alone, and by their content what times do not tell apart', async () => {
    const file = join(bench.source, 'a/d-1/file-7');
    utimesSync(file, LONG_AGO, LONG_AGO);
    await send(NAMES);
    writeFileSync(file, 'A/D-1/FILE-7');
    utimesSync(file, LONG_AGO, LONG_AGO);
    const report = await send(NAMES);
    expect(words().filter((word) => word.includes('file-'))).toEqual([]);
    expect(report.filesSent).toBe(1);
    await expectSynced(report);
  });

  it('takes the place of a file, and its names that of directories', async () => {
    plant(bench.remote, ['a/d-1', 'a/d-2/file-3/holds something']);
    await expectSynced(await send(NAMES));
  });

  it('that is gone by then takes nothing with it on the remote', async () => {
    await send(NAMES);
    plant(bench.remote, ['a/d-1/remote alone']);
    const report = await send(NAMES, { before: `rm -r ${bench.source}/a/d-1` });
    expect(judge(report, { deletes: true }).kind).toBe('synced');
    expect(namesOf(bench.remote)).toEqual(expect.arrayContaining(['a/d-1/remote alone', 'a/d-1/file-0']));
  });
});

describe('by their names go', () => {
  it.each([
    { why: 'those in a directory with a name that is not to be sent', plants: ['a/d-1/another'] },
    { why: 'those in one with a temporary', plants: ['a/d-1/.file-1.swp'] },
  ])('$why', async ({ plants }) => {
    plant(bench.source, plants);
    await rest();
    const report = await send(NAMES);
    expect(words()).toEqual(expect.arrayContaining(['./a/d-0/', './a/d-1/file-1']));
    expect(words()).not.toContain('./a/d-1/');
    expect(report.filesSent).toBe(NAMES.length);
    expect(namesOf(bench.remote)).not.toEqual(expect.arrayContaining(['a/d-1/another']));
  });

  it('those in one that changes just now', async () => {
    const place = join(bench.source, 'a/d-1');
    const before = statSync(place).ctimeMs;
    const busy = spawn('sh', ['-c', 'while :; do chmod 755 "$0"; done', place]);
    try {
      await eventually(
        () => statSync(place).ctimeMs > before,
        { withinMs: 10_000 },
        () => 'it does not change',
      );
      await send(NAMES);
    } finally {
      busy.kill('SIGKILL');
      await once(busy, 'close');
    }
    expect(words()).toEqual(expect.arrayContaining(['./a/d-0/', './a/d-1/file-1']));
    expect(words()).not.toContain('./a/d-1/');
  });

  it.each<{ why: string; options: RunOptions }>([
    { why: 'a filter', options: { context: { filter: { excludes: ['\\.log$'] } } } },
    {
      why: 'rules in the params',
      options: { context: { filter: { excludes: [], rules: [{ include: false, pattern: '*.log' }] } } },
    },
    { why: 'a source that is not what it was', options: { guard: { identity: 'another' } } },
  ])('all with $why', async ({ options }) => {
    const report = await send(NAMES, options);
    expect(words()).toContain('./a/d-1/file-1');
    expect(words().filter((word) => /^\.\/a\/[^/]*\/$/.test(word))).toEqual([]);
    expect(report.filesSent).toBe(NAMES.length);
  });

  it('all when one is missing here, which is deleted there', async () => {
    await send(NAMES);
    rmSync(join(bench.source, 'a/d-2/file-2'));
    await rest();
    const report = await send(NAMES);
    expect(words()).toContain('./a/d-1/file-1');
    expect(words().slice(words().indexOf('./a/d-1/file-1'))).not.toContain('./a/d-1/');
    await expectSynced(report);
  });
});

describe('what appears in a full directory before rsync goes through it', () => {
  it('is sent, and where that was is told', async () => {
    const report = await send(NAMES, { before: 'echo late >a/d-1/late; mkdir a/d-2/late-directory; echo x >a/other' });
    expect(report.unquiet).toEqual(['a/d-1', 'a/d-2']);
    expect(namesOf(bench.remote)).toEqual(expect.arrayContaining(['a/d-1/late', 'a/d-2/late-directory']));
    expect(namesOf(bench.remote)).not.toContain('a/other');
    expect(report.complaints).toEqual([]);
  });

  it('is told also when it has gone again, and the directory has its old time', async () => {
    const { source } = bench;
    const before = `touch -r ${source}/a/d-1 ${source}/time; echo late >${source}/a/d-1/late; rm ${source}/a/d-1/late`;
    const report = await send(NAMES, { before: `${before}; touch -r ${source}/time ${source}/a/d-1` });
    expect(report.unquiet).toEqual(['a/d-1']);
  });

  it('is told also when the run broke off', async () => {
    const rsync = bench.script('echo late >a/d-1/late; rsync "$@"; exit 12');
    const report = await bench.run(entriesOf(NAMES), { params: ['-artz'], context: { rsync } });
    expect(judge(report, { deletes: true }).kind).not.toBe('synced');
    expect(report.unquiet).toEqual(['a/d-1']);
  });

  it('is not sent when it is a temporary', async () => {
    await send(NAMES, { before: 'for name in 4913 .x.swp x~ .file-1.aB3xYz; do echo >a/d-1/$name; done' });
    expect(words()).toContain('./a/d-1/');
    expect(namesOf(bench.remote).filter((name) => !/file-\d+$/.test(name) && name.startsWith('a/d-1/'))).toEqual([]);
  });
});

describe('a run that does not say which files it sends', () => {
  it('tells all of them for cut off when it broke off', async () => {
    const rsync = bench.script('rsync "$@"; exit 12');
    const report = await bench.run(entriesOf(NAMES), { params: ['-artz'], context: { rsync } });
    expect([...report.cutOff].sort()).toEqual([...NAMES].sort());
  });

  it('tells none when it did not come to the remote', async () => {
    const rsync = bench.script('exit 12');
    const report = await bench.run(entriesOf(NAMES), { params: ['-artz'], context: { rsync } });
    expect(report.cutOff).toEqual([]);
  });

  it('has sent what it says, and says nothing more, with params that have it say much', async () => {
    for (const params of [['-avz'], ['-ai'], ['-a', '--stats', '-hh']]) {
      rmSync(bench.remote, { recursive: true });
      mkdirSync(bench.remote);
      const report = await bench.run(entriesOf(NAMES), { params });
      expect(report).toMatchObject({ filesSent: NAMES.length, messages: [], complaints: [] });
    }
  });
});
