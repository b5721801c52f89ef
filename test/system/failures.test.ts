import { execFileSync, spawnSync } from 'node:child_process';
import {
  appendFileSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { eventually } from '../support/eventually.js';
import { inMs, median } from '../support/measure.js';
import type { RsyncDaemon } from '../support/rsync-daemon.js';
import type { SersyncProcess } from '../support/sersync-process.js';
import { TestBench } from '../support/test-bench.js';

const CAN_MOUNT = canMount();
const NOBODY = 65534;

let bench: TestBench;

beforeEach(() => {
  bench = new TestBench('failures');
});

afterEach(() => bench.close());

describe('a remote that does not work', () => {
  const OUTAGES: readonly {
    title: string;
    begin: (daemon: RsyncDaemon) => unknown;
    end: (daemon: RsyncDaemon) => unknown;
    isTold: boolean;
  }[] = [
    { title: 'refuses connections', begin: (daemon) => daemon.stop(), end: (daemon) => daemon.start(), isTold: true },
    {
      title: 'accepts connections and never answers',
      begin: (daemon) => {
        daemon.freeze();
      },
      end: (daemon) => {
        daemon.thaw();
      },
      // Silence is a failure after the timeout only, which is longer than this outage.
      isTold: false,
    },
  ];

  for (const { title, begin, end, isTold } of OUTAGES) {
    it(`and ${title} for a minute slows the others by less than 10 %, and catches up within 10 s without a new event`, async () => {
      const OUTAGE_MS = 60_000;
      const broken = (await bench.startDaemons(3))[2]!;
      const sersync = await bench.startSynced();
      // Beside it a service whose remotes are all well: in turns, so that whatever else the machine does meets both.
      const control = new TestBench('control');
      try {
        await control.startDaemons(3);
        await control.startSynced();

        await begin(broken);
        const outageEnds = performance.now() + OUTAGE_MS;
        const [well, ill]: [number[], number[]] = [[], []];
        while (performance.now() < outageEnds) {
          well.push(await burst(control, `burst-${well.length}`));
          ill.push(await burst(bench, `burst-${ill.length}`));
        }
        if (isTold) await sersync.waitForLog('remote:unreachable', { remote: bench.remoteName(broken) });
        const told = sersync.events('remote:unreachable');
        expect(told.length, `it is told too often:\n${JSON.stringify(told.slice(0, 12), null, 1)}`).toBeLessThanOrEqual(
          10,
        );
        await end(broken);

        const caughtUpMs = await bench.untilSame({ withinMs: 10_000 });

        const measured = `well: ${inMs(well)}; ill: ${inMs(ill)}`;
        console.log(`${title}: ${measured}; caught up after ${caughtUpMs.toFixed(0)} ms`);
        if (isTold) await sersync.waitForLog('remote:recovered', { remote: bench.remoteName(broken) });
        expect(median(ill), measured).toBeLessThan(1.1 * median(well));
      } finally {
        await control.close();
      }
    });
  }

  it('breaks off in the middle of a large file, and has it whole afterwards', async () => {
    const [daemon] = await bench.startDaemons(1);
    await bench.startSynced({ params: '-artuz --bwlimit=20m' });
    writeFileSync(bench.path('source/large'), Buffer.alloc(60_000_000, 'noise to send'));
    await eventually(
      () => readdirSync(daemon!.path()).some((name) => name.startsWith('.large.')),
      { withinMs: 10_000 },
      () => 'the transfer did not begin',
    );

    await daemon!.restart();

    // What the receiver had of it when it was killed stays there: a name of rsync's own, which we never touch.
    await bench.untilSame({ withinMs: 30_000, isExcluded: (path) => path.startsWith('.large.') });
  });

  it('refuses one connection too many, and gets all the same what it is owed', async () => {
    await bench.startDaemons(1, { maxConnections: 1 });
    await bench.startSersync();

    for (let file = 0; file < 200; file++) {
      writeFileSync(bench.path(`source/file-${file}`), 'content');
      await sleep(5);
    }

    await bench.untilSame({ withinMs: 20_000 });
  });

  /** Milliseconds from the last of 300 writes until the first two remotes have them. */
  async function burst(where: TestBench, name: string): Promise<number> {
    const FILES = 300;
    const remotes = where.remotes.slice(0, 2);
    mkdirSync(where.path('source', name));
    await eventually(
      () => remotes.every((remote) => existsSync(join(remote, name))),
      { withinMs: 5_000, everyMs: 2 },
      () => `directory ${name} did not arrive`,
    );
    // The directory's own run is over, and nothing of it is timed.
    await sleep(200);
    for (let file = 0; file < FILES; file++) writeFileSync(where.path('source', name, `file-${file}`), 'content');
    const lastWrite = performance.now();
    const isThere = (remote: string): boolean =>
      readdirSync(join(remote, name)).filter((file) => !file.startsWith('.')).length === FILES;
    await eventually(
      () => remotes.every(isThere),
      { withinMs: 10_000, everyMs: 2 },
      () => `burst ${name} did not arrive`,
    );
    const took = performance.now() - lastWrite;
    await sleep(200);
    return took;
  }
});

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

describe('a file that the remote does not take', () => {
  it.skipIf(process.getuid?.() !== 0)(
    'is retried until it arrives and named in log and fail log, and delays nobody (exit 23)',
    async () => {
      const [daemon] = await bench.startDaemons(1, { uid: 'nobody', gid: 'nogroup' });
      const there = (path: string): string => join(daemon!.path(), path);
      for (const name of ['open', 'blocked']) {
        mkdirSync(bench.path('source', name));
        mkdirSync(there(name));
        chownSync(there(name), NOBODY, NOBODY);
      }
      chownSync(daemon!.path(), NOBODY, NOBODY);
      const sersync = await bench.startSersync();
      await bench.untilSame({ withinMs: 10_000, owner: false });
      chownSync(there('blocked'), 0, 0);

      writeFileSync(bench.path("source/blocked/it's"), 'refused');
      for (let file = 0; file < 50; file++) writeFileSync(bench.path(`source/open/file-${file}`), 'welcome');

      await bench.untilSame({ withinMs: 3_000, owner: false, isExcluded: (path) => path === "blocked/it's" });
      const failure = await sersync.waitForLog('path:failed', { remote: bench.remoteName(daemon!) });
      expect(failure['path']).toBe("blocked/it's");
      await untilFailLogNames('blocked/it');

      chownSync(there('blocked'), NOBODY, NOBODY);

      await bench.untilSame({ withinMs: 60_000, owner: false });
      await sersync.waitForLog('path:recovered', { path: "blocked/it's" });
      await eventually(
        () => !failLog().includes('blocked/it'),
        { withinMs: 5_000 },
        () => `the fail log still names what has arrived:\n${failLog()}`,
      );
    },
  );

  it.skipIf(!CAN_MOUNT)(
    'because it is larger than the free space is retried until it arrives, and delays nobody (exit 11)',
    async () => {
      const mount = bench.path('small');
      mkdirSync(mount);
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', mount]);
      bench.onClose(() => {
        execFileSync('umount', [mount]);
      });
      const [daemon] = await bench.startDaemons(1, { modules: [{ name: 'backup', path: mount }] });
      const sersync = await bench.startSynced();

      writeFileSync(bench.path('source/a-large'), Buffer.alloc(8_000_000, 'x'));
      for (let file = 0; file < 18; file++) writeFileSync(bench.path(`source/small-${file}`), 'small');

      await bench.untilSame({ withinMs: 10_000, isExcluded: (path) => path === 'a-large' });
      const failure = await sersync.waitForLog('path:failed', { remote: bench.remoteName(daemon!) });
      expect(failure['path']).toBe('a-large');
      await untilFailLogNames('a-large');
      writeFileSync(bench.path('source/small-later'), 'small');
      await bench.untilSame({ withinMs: 10_000, isExcluded: (path) => path === 'a-large' });

      execFileSync('mount', ['-o', 'remount,size=64m', mount]);

      await bench.untilSame({ withinMs: 60_000 });
    },
  );

  it.skipIf(process.getuid?.() !== 0)(
    'makes a fail log that only its owner may read, and that follows no link',
    async () => {
      const victim = bench.path('victim');
      writeFileSync(victim, 'untouched', { mode: 0o644 });
      symlinkSync(victim, bench.failLog);
      const sersync = await startWithRefusedFile();
      await sersync.waitForLog('path:failed');

      await bench.untilSame({ withinMs: 3_000, owner: false, isExcluded: (path) => path === 'blocked' });
      expect(readFileSync(victim, 'utf8')).toBe('untouched');
      expect(statSync(victim).mode & 0o777).toBe(0o644);
    },
  );

  it.skipIf(process.getuid?.() !== 0)('is written to a fail log of mode 0600', async () => {
    const sersync = await startWithRefusedFile();
    await sersync.waitForLog('path:failed');

    await untilFailLogNames('blocked/file');
    expect(statSync(bench.failLog).mode & 0o777).toBe(0o600);
  });

  async function startWithRefusedFile(): Promise<SersyncProcess> {
    const [daemon] = await bench.startDaemons(1, { uid: 'nobody', gid: 'nogroup' });
    mkdirSync(bench.path('source/blocked'));
    mkdirSync(join(daemon!.path(), 'blocked'));
    chownSync(daemon!.path(), NOBODY, NOBODY);
    const sersync = await bench.startSersync();
    writeFileSync(bench.path('source/blocked/file'), 'refused');
    return sersync;
  }

  async function untilFailLogNames(name: string): Promise<void> {
    await eventually(
      () => failLog().includes(name),
      { withinMs: 5_000 },
      () => `the fail log does not name ${name}:\n${failLog()}`,
    );
  }

  function failLog(): string {
    return existsSync(bench.failLog) ? readFileSync(bench.failLog, 'utf8') : '';
  }
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

/** Whether this machine lets us make a file system of our own. */
function canMount(): boolean {
  const script = 'd=$(mktemp -d) && mount -t tmpfs -o size=1m tmpfs "$d" && umount "$d"; s=$?; rmdir "$d"; exit $s';
  return process.getuid?.() === 0 && spawnSync('sh', ['-c', script], { stdio: 'ignore' }).status === 0;
}
