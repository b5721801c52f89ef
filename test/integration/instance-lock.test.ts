import { spawnSync } from 'node:child_process';
import { mkdirSync, readlinkSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { eventually } from '../support/eventually.js';
import { isAlive, processInfo, signal } from '../support/processes.js';
import { PROGRAM, type SersyncProcess } from '../support/sersync-process.js';
import { TestBench } from '../support/test-bench.js';
import { writeConfig } from '../support/write-config.js';

describe.runIf(process.platform === 'linux')('of two services on the same things one runs:', () => {
  let bench: TestBench;

  beforeEach(async () => {
    bench = new TestBench('lock');
    await bench.startDaemons(1);
  });

  afterEach(() => bench.close());

  /** The program on the bench's configuration, with what differs. */
  function start(env: Record<string, string> = {}): SersyncProcess {
    return bench.spawnSersync({ config: bench.writeConfig(), args: [], env });
  }

  async function expectRefused(second: SersyncProcess, first: SersyncProcess): Promise<void> {
    expect((await second.ended).code, second.transcript()).toBe(1);
    expect(second.stderr).toContain(`another sersync (pid ${first.pid}, ${bench.path('confxml.xml')}) already `);
    expect(second.log).toEqual([]);
  }

  it('the second is refused with the pid of the first, and the first goes on', async () => {
    const first = await bench.startSersync();
    await expectRefused(start(), first);
    await expectRefused(start({ SERSYNC_STATE_DIR: bench.path('state-2') }), first);
    expect(first.hasEnded).toBe(false);
  });

  it.each(['the watched directory', 'the fail log'])('%s of another configuration is enough', async (what) => {
    const first = await bench.startSersync();
    mkdirSync(bench.path('another'));
    const differs =
      what === 'the fail log' ? { watch: bench.path('another') } : { failLog: bench.path('another/fail-log.sh') };
    const config = bench.path('another.xml');
    const remotes = [{ ip: '127.0.0.1', name: 'elsewhere' }];
    writeConfig(config, { watch: bench.source, remotes, failLog: bench.failLog, ...differs });
    const env = { SERSYNC_STATE_DIR: bench.path('state-2') };
    await expectRefused(bench.spawnSersync({ config, args: [], env }), first);
    expect(first.hasEnded).toBe(false);
  });

  it('with -d the parent says so', async () => {
    const first = await bench.startSersync();
    const args = [PROGRAM, '-d', '-o', bench.writeConfig()];
    const env = { ...process.env, SERSYNC_STATE_DIR: bench.path('state') };
    const second = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 30_000, env });
    expect(second.status).toBe(1);
    expect(second.stderr).toContain(`another sersync (pid ${first.pid}, `);
  });

  it('one that was killed does not stand in the way', async () => {
    const first = await bench.startSersync();
    await first.stop('SIGKILL');
    const second = start();
    await second.waitForLog('watch:ready');
    expect(second.events('control:failed')).toEqual([]);
  });

  it('one that does not answer does', async () => {
    const first = await bench.startSersync();
    signal(first.pid, 'SIGSTOP');
    try {
      await eventually(
        () => processInfo(first.pid)?.state === 'T',
        { withinMs: 5_000 },
        () => 'it was not stopped',
      );
      const second = start();
      expect((await second.ended).code).toBe(1);
      expect(second.stderr).toContain(`another process, which does not say who it is, already watches ${bench.source}`);
    } finally {
      signal(first.pid, 'SIGCONT');
    }
  });

  it('of ten that start at once exactly one', async () => {
    const config = bench.writeConfig();
    const started = Array.from({ length: 10 }, () => bench.spawnSersync({ config, args: [] }));
    const winner = await eventually(
      () => started.find((process) => process.events('service:started').length > 0),
      { withinMs: 40_000 },
      () => started.map((process) => process.transcript()).join('\n'),
    );
    const others = started.filter((process) => process !== winner);
    await Promise.all(others.map((process) => expectRefused(process, winner)));
    expect(winner.hasEnded).toBe(false);
  });

  it.runIf(mayUnshare('--mount'))('a bind mount of the watched directory is that directory', async () => {
    const first = await bench.startSersync();
    mkdirSync(bench.path('mounted'));
    const config = bench.writeConfig({ watch: bench.path('mounted'), failLog: bench.path('other-log.sh') });
    // In a mount namespace of its own, which ends with it.
    const script = 'mount --bind "$1" "$2" && exec "$0" "$3" -o "$4"';
    const second = unshared('--mount', script, [bench.source, bench.path('mounted'), PROGRAM, config], 'state-2');
    expect(second.status).toBe(1);
    expect(second.stderr).toContain(`(pid ${first.pid}, `);
    expect(second.stderr).toContain(`already watches ${bench.path('mounted')}`);
  });

  it.runIf(mayUnshare('--net'))('one in another network namespace is seen in the state directory', async () => {
    const first = await bench.startSersync();
    const second = unshared('--net', 'exec "$0" "$1" -o "$2"', [PROGRAM, bench.path('confxml.xml')], 'state');
    expect(second.status).toBe(1);
    expect(second.stderr).toContain(`(pid ${first.pid}, `);
    expect(second.stderr).toContain(`already uses the state directory ${bench.path('state')}`);
  });

  it('the background service works in no directory that could be unmounted', async () => {
    const config = bench.writeConfig();
    const env = { ...process.env, SERSYNC_STATE_DIR: bench.path('state') };
    const args = [PROGRAM, '-d', '-o', config.slice(bench.directory.length + 1)];
    const started = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 30_000, env, cwd: bench.directory });
    const pid = Number(/pid +(\d+)/.exec(started.stdout)?.[1]);
    expect(started.stderr).toBe('');
    expect(readlinkSync(`/proc/${pid}/cwd`)).toBe('/');
    signal(pid, 'SIGTERM');
    await eventually(
      () => !isAlive(pid),
      { withinMs: 15_000 },
      () => `${pid} still runs`,
    );
  });

  function unshared(what: string, script: string, args: readonly string[], state: string) {
    return spawnSync('unshare', [what, 'sh', '-c', script, process.execPath, ...args], {
      encoding: 'utf8',
      timeout: 30_000,
      env: { ...process.env, SERSYNC_STATE_DIR: bench.path(state) },
    });
  }
});

/** Whether this process may have a namespace of its own, as in a container it may not. */
function mayUnshare(what: '--mount' | '--net'): boolean {
  return spawnSync('unshare', [what, 'true']).status === 0;
}
