import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { eventually } from '../support/eventually.js';
import { inMs, median } from '../support/measure.js';
import { processesAt } from '../support/processes.js';
import type { SersyncProcess } from '../support/sersync-process.js';
import { readStatus } from '../support/sersync-status.js';
import { SshServer } from '../support/ssh-server.js';
import { type StartOptions, TestBench } from '../support/test-bench.js';
import { locate, untilSameTree } from '../support/trees.js';

let server: SshServer;
let bench: TestBench;
/** Where the remote's files lie: a path with blanks, which nobody may split. */
let there: string;

beforeEach(async () => {
  server = await SshServer.start();
  bench = new TestBench('ssh');
  there = server.path('a remote', 'of  mine');
  mkdirSync(there, { recursive: true });
});

afterEach(async () => {
  await bench.close();
  await server.close();
});

describe('over ssh', () => {
  it('what is there, changes and goes is the same on the remote, through one connection that runs share', async () => {
    server.introduce();
    server.authorize();
    plant(bench.path('source/initial'));
    await startOverSsh(bench);
    await untilSame();
    // The first runs connect by themselves, while the connection comes about.
    await untilShared(bench);
    const logins = server.logins();

    for (const name of ODD_NAMES) writeFileSync(locate(bench.source, name), name);
    await untilSame();
    for (const name of ODD_NAMES) writeFileSync(locate(bench.source, name), `${name} changed`);
    mkdirSync(bench.path('source/deep/down'), { recursive: true });
    symlinkSync('nowhere', bench.path('source/deep/link'));
    renameSync(bench.path('source/initial/d-1'), bench.path('source/renamed'));
    await untilSame();
    for (const name of ODD_NAMES) rmSync(locate(bench.source, name));
    rmSync(bench.path('source/initial'), { recursive: true });
    await untilSame();

    expect(server.logins()).toBe(logins);
  });

  it('a remote that goes away is told, and gets what it is owed when it is back', async () => {
    server.introduce();
    server.authorize();
    const sersync = await startOverSsh(bench);
    await untilSame();
    await untilShared(bench);

    await server.stop();
    writeFileSync(bench.path('source/meanwhile'), 'content');
    await sersync.waitForLog('remote:unreachable');
    // The first run only lost the connection; the next ones say what is the matter.
    await eventually(
      async () =>
        (await readStatus(sersync.stateDirectory)).roots[0]?.remotes[0]?.reason?.includes('Connection refused'),
      { withinMs: 10_000 },
      () => `nobody says that the connection is refused:\n${sersync.transcript()}`,
    );
    await server.start();

    await untilSame();
    await sersync.waitForLog('remote:recovered');
    // And the connection is shared again.
    await eventually(
      () => {
        writeFileSync(bench.path('source/later'), `${performance.now()}`);
        return existsSync(socketOf(bench) ?? '');
      },
      { withinMs: 20_000, everyMs: 1_000 },
      () => `no shared connection came about again:\n${sersync.transcript()}`,
    );
    await untilSame();
  });

  it('the ssh of the params wins, with its port and without a connection of ours', async () => {
    server.introduce();
    server.authorize();
    plant(bench.path('source/initial'));

    await startOverSsh(bench, { port: 1, params: `-artuz -e 'ssh -p ${server.port} -o BatchMode=yes'` });

    await untilSame();
    writeFileSync(bench.path('source/later'), 'content');
    await untilSame();
    expect(socketOf(bench)).toBeUndefined();
  });

  it('where the socket would have too long a path each run connects by itself', async () => {
    server.introduce();
    server.authorize();
    const long = bench.path('state-directory-with-a-name-of-more-than-ninety-bytes-in-all'.repeat(2));
    await startOverSsh(bench, { env: { ...environment(), SERSYNC_STATE_DIR: long } });

    writeFileSync(bench.path('source/file'), 'content');
    await untilSame();

    expect(readdirSync(long).filter((name) => name.startsWith('ssh-'))).toEqual([]);
  });
});

describe('a remote that ssh does not get to is halted with the next step, and recovers when that is done:', () => {
  it('one whose host key is not known', async () => {
    server.authorize();
    const sersync = await startOverSsh(bench);
    const told = await sersync.waitForLog('remote:halted');
    expect(told['reason']).toMatch(/Host key verification failed/);
    expect(told['hint']).toMatch(/ssh-keyscan .*known_hosts/);

    server.introduce();

    await untilSame();
  });

  it('one whose host key is another than before', async () => {
    server.authorize();
    server.introduce();
    await server.stop();
    server.renewHostKey();
    await server.start();
    const sersync = await startOverSsh(bench);

    const told = await sersync.waitForLog('remote:halted');

    expect(told['reason']).toMatch(/IDENTIFICATION HAS CHANGED/);
    expect(told['hint']).toMatch(/ssh-keygen -R/);
  });

  it('one that does not accept the key', async () => {
    server.introduce();
    const sersync = await startOverSsh(bench);
    const told = await sersync.waitForLog('remote:halted');
    expect(told['reason']).toMatch(/Permission denied \(publickey/);
    expect(told['hint']).toMatch(/ssh-copy-id/);

    server.authorize();

    await untilSame();
  });
});

describe('no ssh is left', () => {
  it.each(['SIGTERM', 'SIGKILL'] as const)('after %s, not the one that holds the connection either', async (name) => {
    server.introduce();
    server.authorize();
    plant(bench.path('source/initial'));
    const sersync = await startOverSsh(bench);
    await untilSame();
    await untilShared(bench);
    expect(sshsOf(bench)).not.toEqual([]);

    await sersync.stop(name);

    await eventually(
      () => sshsOf(bench).length === 0 && bench.leftProcesses().length === 0,
      { withinMs: 5_000 },
      () => `left behind: ${[...sshsOf(bench), ...bench.leftProcesses()].join(', ')}`,
    );
    if (name === 'SIGTERM') expect(socketOf(bench)).toBeUndefined();

    // A socket that nobody listens at is in nobody's way.
    const next = await startOverSsh(bench, { args: [] });
    writeFileSync(bench.path('source/later'), 'content');
    await untilSame();
    await untilShared(bench);
    await next.stop();
  });
});

describe('a shared connection', () => {
  it('saves a lone change the time to log in', async () => {
    server.introduce();
    server.authorize();
    const own = new TestBench('ssh-own');
    const toOwn = server.path('own');
    mkdirSync(toOwn);
    try {
      await startOverSsh(bench);
      await startOverSsh(own, {
        remotes: [{ ip: `${server.user}@${server.address}`, name: toOwn }],
        params: `-artuz -e 'ssh -o BatchMode=yes -p ${server.port}'`,
      });
      await untilSame();
      await untilShared(bench);

      const [shared, alone]: [number[], number[]] = [[], []];
      for (let turn = 0; turn < 9; turn++) {
        shared.push(await untilThere(bench, there, `${turn}`));
        alone.push(await untilThere(own, toOwn, `${turn}`));
      }

      const ratio = median(shared) / median(alone);
      const measured = `shared ${inMs(shared)}; each its own ${inMs(alone)}; ratio ${ratio.toFixed(2)}`;
      console.log(`a lone change over ssh: ${measured}`);
      expect(ratio, measured).toBeLessThan(0.8);
    } finally {
      await own.close();
    }
  });
});

const ODD_NAMES = [
  'plain',
  'two  blanks ',
  "it's",
  'say "hello"',
  'back\\slash',
  '$(touch PWNED)',
  '`touch PWNED`',
  'a;touch PWNED',
  '*?[a]',
  'new\nline',
  '-rf',
  '#comment',
  'host:path',
  '\xb2\xe2\xca\xd4',
];

function environment(): Record<string, string> {
  return { PATH: server.clientPath };
}

async function startOverSsh(where: TestBench, options: StartOptions = {}): Promise<SersyncProcess> {
  return where.startSersync({
    remotes: [{ ip: `${server.user}@${server.address}`, name: there }],
    port: server.port,
    ssh: true,
    env: environment(),
    ...options,
  });
}

async function untilSame(): Promise<void> {
  await untilSameTree(bench.source, [there], { withinMs: 30_000 });
}

/** Until the connection that runs share is there. */
async function untilShared(where: TestBench): Promise<void> {
  await eventually(
    () => socketOf(where) !== undefined,
    { withinMs: 10_000 },
    () => `no socket in ${readdirSync(where.path('state')).join(', ')}`,
  );
}

function socketOf(where: TestBench): string | undefined {
  const name = readdirSync(where.path('state')).find((entry) => /^ssh-[0-9a-f]{8}$/.test(entry));
  return name === undefined ? undefined : where.path('state', name);
}

/** The ssh processes of the program. */
function sshsOf(where: TestBench): string[] {
  return processesAt(where.directory)
    .filter(({ command }) => command === 'ssh')
    .map(({ command, pid }) => `${command} ${pid}`);
}

/** Milliseconds from a write to a quiet tree until the remote has it. */
async function untilThere(where: TestBench, remote: string, name: string): Promise<number> {
  writeFileSync(where.path('source', name), 'content');
  const begin = performance.now();
  await eventually(
    () => existsSync(join(remote, name)),
    { withinMs: 10_000, everyMs: 2 },
    () => `${name} did not arrive`,
  );
  return performance.now() - begin;
}

function plant(directory: string): void {
  for (let at = 0; at < 5; at++) {
    mkdirSync(join(directory, `d-${at}`), { recursive: true });
    for (let file = 0; file < 10; file++) writeFileSync(join(directory, `d-${at}`, `file ${file}`), `${at} ${file}`);
  }
}
