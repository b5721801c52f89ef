import { execFile, type ExecFileException } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tmpdir } from 'node:os';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { systemClock } from '../../src/clock.js';
import { ControlServer } from '../../src/observe/control-server.js';
import type { HeldDeletions, ServiceStatus } from '../../src/observe/status.js';
import { PROGRAM } from '../support/sersync-process.js';
import { AT, sampleRemote, sampleRoot, sampleStatus } from '../support/sample-status.js';

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The commands as they are built, against a service of which the test says how it is. */
describe('a command that asks the service', () => {
  let top: string;
  let state: string;
  let server: ControlServer;
  let status: ServiceStatus;
  let held: HeldDeletions;
  let released: number;

  beforeEach(async () => {
    top = mkdtempSync(join(tmpdir(), 'sersync-commands-'));
    // Longer than the name of a socket may be.
    state = join(top, 'x'.repeat(100), 'y'.repeat(100));
    mkdirSync(state, { recursive: true, mode: 0o700 });
    status = sampleStatus();
    held = { remotes: [] };
    released = 0;
    const quiet = () => undefined;
    server = new ControlServer({
      directory: state,
      identity: { pid: 1234, config: status.config },
      logger: { error: quiet, warn: quiet, info: quiet, debug: quiet },
      clock: systemClock,
    });
    await server.start();
    server.serve({
      status: () => status,
      held: () => held,
      release: () => {
        released = held.remotes.reduce((sum, remote) => sum + remote.held.length, 0);
        return released;
      },
    });
  });

  afterEach(async () => {
    await server.stop();
    rmSync(top, { recursive: true });
  });

  function sersync(args: readonly string[], env: NodeJS.ProcessEnv = { SERSYNC_STATE_DIR: state }): Promise<Outcome> {
    return run(process.execPath, [PROGRAM, ...args], { ...process.env, ...env }, top);
  }

  it('shows the status, without a configuration file when the state directory is named', async () => {
    const { code, stdout, stderr } = await sersync(['status']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('sersync  3.0.0, pid 1234, up 1h02m\n');
    expect(stdout).toContain('health   ok: 1 remote in sync\n');
  });

  it('gives the status as JSON', async () => {
    const { code, stdout } = await sersync(['status', '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual(status);
  });

  it('says in one line and by its exit code whether the service is well', async () => {
    expect(await sersync(['status', '--health'])).toEqual({ code: 0, stdout: 'ok: 1 remote in sync\n', stderr: '' });
    const remotes = [sampleRemote({ state: 'halted', reason: 'unknown module' })];
    status = sampleStatus({ roots: [sampleRoot({ remotes })] });
    const line = 'unhealthy: 10.0.0.1::www is halted: unknown module';
    expect(await sersync(['status', '--health'])).toEqual({ code: 1, stdout: `${line}\n`, stderr: '' });
    const asJson = await sersync(['status', '--health', '--json']);
    expect(asJson.code).toBe(1);
    expect(JSON.parse(asJson.stdout)).toEqual({ healthy: false, line });
  });

  it('lists all that is held, and lets it go', async () => {
    const names = Array.from({ length: 5_000 }, (_, index) => ({
      path: `old/${index}`,
      reason: 'too many',
      since: AT,
    }));
    held = { remotes: [{ root: '/data/www', remote: '10.0.0.1::www', held: names, more: 0 }] };
    const { code, stdout } = await sersync(['held']);
    expect(code).toBe(0);
    expect(stdout).toContain('/data/www -> 10.0.0.1::www\n  5,000 names for ');
    expect(stdout.match(/^ {4}old\/\d+$/gm)).toHaveLength(5_000);
    expect(JSON.parse((await sersync(['held', '--json'])).stdout)).toEqual(held);
    expect(released).toBe(0);

    expect(await sersync(['held', '--release'])).toEqual({ code: 0, stdout: '5,000 names released\n', stderr: '' });
    expect(released).toBe(5_000);
  });

  it('whose reader goes away ends without a complaint', async () => {
    const names = Array.from({ length: 50_000 }, (_, index) => ({ path: `old/${index}`, reason: 'many', since: AT }));
    held = { remotes: [{ root: '/data/www', remote: '10.0.0.1::www', held: names, more: 0 }] };
    const env = { ...process.env, SERSYNC_STATE_DIR: state };
    const { stdout, stderr } = await run(
      'sh',
      ['-c', '"$0" "$1" held | head -n 1', process.execPath, PROGRAM],
      env,
      top,
    );
    expect({ stdout, stderr }).toEqual({ stdout: '/data/www -> 10.0.0.1::www\n', stderr: '' });
  });

  it('finds the service of a configuration file', async () => {
    writeFileSync(join(top, 'confxml.xml'), '');
    const env = { SERSYNC_STATE_DIR: undefined, XDG_STATE_HOME: top, HOME: top };
    const { code, stderr } = await sersync(['status'], env);
    expect(code).toBe(1);
    expect(stderr).toMatch(/no sersync runs with the state directory \/.*\/sersync\/confxml-[0-9a-f]{8}\n/);
    expect(stderr).toContain(`start it: sersync -d -o ${join(top, 'confxml.xml')}`);
    expect((await sersync(['status', '-o', 'other.xml'], env)).stderr).toContain(
      `there is no ${join(top, 'other.xml')}`,
    );
  });

  it.each([[['status']], [['held']], [['held', '--release']]])('%j fails when no service runs', async (args) => {
    await server.stop();
    const { code, stdout, stderr } = await sersync(args);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain(`no sersync runs with the state directory ${state}\n  -> start it: `);
  });

  it('calls a service that does not run not healthy', async () => {
    await server.stop();
    expect(await sersync(['status', '--health'])).toEqual({
      code: 1,
      stdout: `unhealthy: no sersync runs with the state directory ${state}\n`,
      stderr: '',
    });
  });

  it.runIf(process.getuid?.() === 0)('tells another user whose service it is', async () => {
    for (const directory of [top, join(top, 'x'.repeat(100))]) chmodSync(directory, 0o755);
    const env = { ...process.env, SERSYNC_STATE_DIR: state };
    const asNobody = ['--reuid=65534', '--regid=65534', '--clear-groups', process.execPath, PROGRAM];
    const { code, stderr } = await run('setpriv', [...asNobody, 'status'], env, top);
    expect(code).toBe(1);
    expect(stderr).toContain(`may not use the state directory ${state}: it belongs to user 0 (root)\n  -> `);
    expect(stderr).toContain('sudo sersync status');
  });

  it.each([
    [['status', '--release'], "unknown option '--release'"],
    [['held', '--health'], "unknown option '--health'"],
    [['stop'], 'there is no command "stop"; the commands are check, migrate, status, held, help'],
  ])('%j is not understood', async (args, message) => {
    const { code, stderr } = await sersync(args);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
  });

  it.each([[['help']], [['-h']], [['status', '-h']], [['held', '--help']]])('%j names the commands', async (args) => {
    const { code, stdout } = await sersync(args);
    expect(code).toBe(0);
    for (const command of ['status', 'status --health', 'held', 'held --release', 'help']) {
      expect(stdout).toContain(`  sersync ${command} `);
    }
  });
});

function run(program: string, args: readonly string[], env: NodeJS.ProcessEnv, cwd: string): Promise<Outcome> {
  return new Promise((resolve) => {
    const options = { env, cwd, maxBuffer: 64 * 1024 * 1024, timeout: 30_000 };
    execFile(program, args, options, (error: ExecFileException | null, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}
