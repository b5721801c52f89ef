/** Runs that begin in a directory which the remote is known to have. */
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';

import type { RunReport } from '../../src/replicate/ports.js';
import { judge } from '../../src/replicate/verdict.js';
import { entriesOf, namesOf, plant, type RunOptions } from '../support/transfer-bench.js';
import { useTransferBench } from '../support/use-transfer-bench.js';
import { expectSameTree } from '../support/trees.js';

const bench = useTransferBench('known');
/** Enough of them to pay; the directory has a name that is no ASCII. */
const KNOWN = Buffer.from('a/目录').toString('latin1');
const ON_DISK = 'a/目录';
const COUNT = 250;
const NAMES = Array.from({ length: COUNT }, (_, index) => `${KNOWN}/d-${index % 5}/file-${index}`);

beforeEach(() => {
  plant(bench.source, NAMES);
});

function send(names: readonly string[] = NAMES, options: RunOptions = {}): Promise<RunReport> {
  return bench.run({ ...entriesOf(names), known: KNOWN }, { params: ['-artz'], ...options });
}

function beganThere(report: RunReport): boolean {
  return report.command.at(-1)?.endsWith(`/${ON_DISK}/./`) === true;
}

function expectSynced(report: RunReport): void {
  expect(judge(report, { deletes: true }).kind).toBe('synced');
  expectSameTree(bench.source, [bench.remote]);
}

describe('where the remote has the directory', () => {
  beforeEach(() => {
    mkdirSync(join(bench.remote, ON_DISK), { recursive: true });
  });

  it('the names go there, and are told by the names that they have from the root', async () => {
    const report = await send(NAMES, { context: { namesChanges: true } });
    expect(beganThere(report)).toBe(true);
    expect(report.filesSent).toBe(COUNT);
    expect(report.changed.filter((path) => path.includes('/file-')).sort()).toEqual([...NAMES].sort());
    // Its own mode and owner were not looked at: it is named by a run from the top.
    await bench.run(entriesOf(['a', KNOWN]));
    expectSynced(report);
  });

  it('what is missing here is deleted there', async () => {
    await send();
    rmSync(join(bench.source, ON_DISK, 'd-3'), { recursive: true });
    rmSync(join(bench.source, ON_DISK, 'd-2/file-2'));
    const report = await send();
    expect(beganThere(report)).toBe(true);
    await bench.run(entriesOf(['a', KNOWN]));
    expectSynced(report);
  });

  it('a complaint names the path from the root', async () => {
    plant(bench.remote, [`${KNOWN}/d-0/file-0/holds something`]);
    const report = await send(NAMES, { context: { deletes: false } });
    expect(beganThere(report)).toBe(true);
    expect(report.complaints.map(({ path, kind }) => [path, kind])).toEqual([[`${KNOWN}/d-0/file-0`, 'obstructed']]);
    expect(report.filesSent).toBeGreaterThanOrEqual(COUNT - 1);
  });

  it('a few names go from the top, and so do all where the params may mean something else there', async () => {
    expect(beganThere(await send(NAMES.slice(0, 20)))).toBe(false);
    expect(beganThere(await send(NAMES, { params: ['-artz', '--backup-dir=old'] }))).toBe(false);
    expect(beganThere(await send(NAMES, { params: ['-artz', '--no-implied-dirs'] }))).toBe(false);
  });

  it('all goes from the top when the directory itself is gone here', async () => {
    await send();
    rmSync(join(bench.source, 'a'), { recursive: true });
    const report = await send();
    expect(beganThere(report)).toBe(false);
    expectSynced(report);
  });
});

describe('where it has none after all', () => {
  it('all goes from the top, and the directory is like that of the source', async () => {
    const report = await send();
    expect(beganThere(report)).toBe(false);
    expectSynced(report);
  });

  it('nor one above it', async () => {
    mkdirSync(join(bench.remote, 'a'));
    expectSynced(await send());
  });

  it('but a file', async () => {
    mkdirSync(join(bench.remote, 'a'));
    writeFileSync(join(bench.remote, ON_DISK), 'a file');
    expectSynced(await send());
  });
});

it('a link in its place here leads nowhere: all goes as where nothing is known', async () => {
  const left: string[][] = [];
  for (const known of [true, false]) {
    bench.newTrees();
    plant(bench.source, NAMES);
    mkdirSync(join(bench.remote, ON_DISK), { recursive: true });
    plant(bench.source, ['b/']);
    renameSync(join(bench.source, ON_DISK), join(bench.source, 'b/elsewhere'));
    symlinkSync('../b/elsewhere', join(bench.source, ON_DISK));
    const report = await (known ? send() : bench.run(entriesOf(NAMES), { params: ['-artz'] }));
    expect(beganThere(report)).toBe(false);
    left.push(namesOf(bench.remote));
  }
  expect(left[0]).toEqual(left[1]);
});

it('a run from the top makes a directory of a link that stands in its place on the remote', async () => {
  plant(bench.remote, ['elsewhere/']);
  mkdirSync(join(bench.remote, 'a'));
  symlinkSync('../elsewhere', join(bench.remote, ON_DISK));
  await bench.run(entriesOf(NAMES.slice(0, 1)));
  expect(namesOf(bench.remote)).toContain(NAMES[0]);
  expect(namesOf(bench.remote).filter((name) => name.startsWith('elsewhere'))).toEqual(['elsewhere']);
});
