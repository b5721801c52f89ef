import { appendFileSync, existsSync, mkdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { eventually } from '../support/eventually.js';
import { TestBench } from '../support/test-bench.js';

let bench: TestBench;

beforeEach(() => {
  bench = new TestBench('crontab');
});

afterEach(() => bench.close());

describe('crontab', () => {
  it.each([
    { title: 'every 10 seconds, as an expression with seconds', schedule: '*/10 * * * * *', withinMs: 25_000 },
    { title: 'of one minute', schedule: '1', withinMs: 75_000 },
  ])('$title repairs what was deleted, changed and added by hand on the remote', async ({ schedule, withinMs }) => {
    const [daemon] = await bench.startDaemons(1);
    plantFiles(100);
    // With -u what was changed by hand, and so is newer, would stay.
    const sersync = await bench.startSynced({ crontab: { schedule }, params: '-artz' });

    rmSync(join(daemon!.path(), 'directory-1/file-1'));
    rmSync(join(daemon!.path(), 'directory-2'), { recursive: true });
    writeFileSync(join(daemon!.path(), 'directory-3/file-3'), 'changed by hand');
    writeFileSync(join(daemon!.path(), 'directory-4/added'), 'added by hand');
    mkdirSync(join(daemon!.path(), 'added/below'), { recursive: true });
    writeFileSync(join(daemon!.path(), 'added/below/file'), 'added by hand');
    symlinkSync('nowhere', join(daemon!.path(), 'added link'));

    await bench.untilSame({ withinMs });
    await eventually(
      () => sersync.log.some((line) => line.event === 'resync:finished' && String(line['reason']).includes('cron')),
      { withinMs: 5_000 },
      () => `no resync by the crontab in the log:\n${sersync.transcript()}`,
    );
  });

  it('touches nothing that filter or crontabfilter exclude', async () => {
    const [daemon] = await bench.startDaemons(1);
    plantFiles(20);
    writeFileSync(bench.path('source/a.log'), 'excluded');
    const there = (path: string): string => join(daemon!.path(), path);
    await bench.startSynced({
      crontab: { schedule: '*/5 * * * * *', excludes: ['*.php', 'info/*'] },
      excludes: ['(.*)\\.log', '^cache/*'],
      isExcluded,
    });
    const excluded = ['b.log', 'index.php', 'directory-1/x.php', 'info/f', 'cache/f', 'directory-2/c.log'];
    mkdirSync(there('info'), { recursive: true });
    mkdirSync(there('cache'), { recursive: true });
    for (const path of excluded) writeFileSync(there(path), 'by hand');
    writeFileSync(there('extra'), 'by hand');

    await eventually(
      () => !existsSync(there('extra')),
      { withinMs: 20_000 },
      () => 'the crontab did not remove what it should',
    );

    await bench.untilSame({ withinMs: 10_000, isExcluded });
    expect(excluded.filter((path) => !existsSync(there(path)))).toEqual([]);
    expect(existsSync(there('a.log'))).toBe(false);

    function isExcluded(path: string): boolean {
      return /\.(log|php)$|^(info|cache)$/.test(path);
    }
  });

  it('deletes nothing where <delete> is off', async () => {
    const [daemon] = await bench.startDaemons(1);
    plantFiles(20);
    await bench.startSynced({ crontab: { schedule: '*/5 * * * * *' }, switches: { delete: false } });
    writeFileSync(join(daemon!.path(), 'extra'), 'by hand');
    rmSync(join(daemon!.path(), 'directory-1/file-1'));
    rmSync(bench.path('source/directory-2'), { recursive: true });

    await eventually(
      () => existsSync(join(daemon!.path(), 'directory-1/file-1')),
      { withinMs: 20_000 },
      () => 'the crontab did not bring back what was deleted by hand',
    );

    expect(existsSync(join(daemon!.path(), 'extra'))).toBe(true);
    expect(existsSync(join(daemon!.path(), 'directory-2/file-2'))).toBe(true);
  });

  it('leaves right what changes while it runs', async () => {
    await bench.startDaemons(2);
    plantFiles(3_000);
    const sersync = await bench.startSynced({ crontab: { schedule: '* * * * * *' } });
    const crontabRuns = (): number =>
      sersync.events('resync:finished').filter((line) => String(line['reason']).includes('cron')).length;

    const enough = crontabRuns() + 8;
    for (let change = 0; crontabRuns() < enough && change < 4_000; change++) {
      const directory = bench.path(`source/directory-${change % 50}`);
      writeFileSync(join(directory, `file-${(change * 7) % 97}`), `change ${change}`);
      appendFileSync(join(directory, 'log'), `${change}\n`);
      if (change % 3 === 0) writeFileSync(join(directory, `new-${change}`), 'new');
      if (change % 6 === 0) rmSync(join(directory, `new-${change}`));
      if (change % 50 === 7) rmSync(directory, { recursive: true });
      if (change % 50 === 7) mkdirSync(directory);
      await sleep(5);
    }

    const runsMeanwhile = crontabRuns();
    await bench.untilSame({ withinMs: 10_000 });
    expect(runsMeanwhile, `changes kept the crontab from its end:\n${sersync.transcript()}`).toBeGreaterThanOrEqual(
      enough,
    );
  });
});

/** Some directories, each with some of the files; old ones, so that a change by hand is seen by its time, too. */
function plantFiles(files: number): void {
  const DIRECTORIES = 50;
  for (let file = 0; file < files; file++) {
    const directory = bench.path(`source/directory-${file % Math.min(DIRECTORIES, files / 5)}`);
    mkdirSync(directory, { recursive: true });
    const path = join(directory, `file-${file % 97}`);
    writeFileSync(path, `file ${file}`);
    utimesSync(path, 1_700_000_000, 1_700_000_000);
  }
}
