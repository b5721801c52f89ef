import { execFileSync, spawnSync } from 'node:child_process';
import { chownSync, existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { eventually } from '../support/eventually.js';
import type { SersyncProcess } from '../support/sersync-process.js';
import { TestBench } from '../support/test-bench.js';

const CAN_MOUNT = canMount();
const NOBODY = 65534;

let bench: TestBench;

beforeEach(() => {
  bench = new TestBench('failures');
});

afterEach(() => bench.close());

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

/** Whether this machine lets us make a file system of our own. */
function canMount(): boolean {
  const script = 'd=$(mktemp -d) && mount -t tmpfs -o size=1m tmpfs "$d" && umount "$d"; s=$?; rmdir "$d"; exit $s';
  return process.getuid?.() === 0 && spawnSync('sh', ['-c', script], { stdio: 'ignore' }).status === 0;
}
