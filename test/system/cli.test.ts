import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { eventually, holdsFor } from '../support/eventually.js';
import { descendantsOf, isAlive, signal } from '../support/processes.js';
import { PROGRAM, type SersyncProcess } from '../support/sersync-process.js';
import { TestBench } from '../support/test-bench.js';
import { differences } from '../support/trees.js';

let bench: TestBench;

beforeEach(() => {
  bench = new TestBench('cli');
});

afterEach(() => bench.close());

describe('a start that cannot succeed says why and what to do, ends, and has begun nothing:', () => {
  interface Row {
    readonly title: string;
    /** Returns the arguments. */
    readonly prepare: () => readonly string[];
    readonly code: number;
    /** What stderr must tell. */
    readonly says: readonly RegExp[];
    readonly env?: () => Record<string, string>;
  }

  /** The bench's own configuration, with one thing spoilt. */
  const spoilt = (pattern: RegExp | string, replacement: string): readonly string[] => {
    const text = readFileSync(bench.writeConfig(), 'utf8');
    const changed = text.replace(pattern, replacement);
    if (changed === text) throw new Error(`${String(pattern)} is not in the configuration`);
    writeFileSync(bench.path('confxml.xml'), changed);
    return ['-r', '-o', bench.path('confxml.xml')];
  };
  const configured = (): readonly string[] => ['-r', '-o', bench.writeConfig()];

  const ROWS: readonly Row[] = [
    { title: 'an unknown option', prepare: () => ['-x'], code: 2, says: [/-x/, /-h/] },
    { title: 'an unknown option in a cluster', prepare: () => ['-rdx'], code: 2, says: [/x/, /-h/] },
    { title: 'an unknown long option', prepare: () => ['--frobnicate'], code: 2, says: [/--frobnicate/, /-h/] },
    { title: '-o without a file', prepare: () => ['-r', '-o'], code: 2, says: [/-o/, /-h/] },
    { title: '-n that is not a number', prepare: () => ['-n', 'many'], code: 2, says: [/-n/, /many/, /number/] },
    { title: '-n 0', prepare: () => ['-n0'], code: 2, says: [/-n/, /number/] },
    {
      title: '-m with an unknown plugin',
      prepare: () => ['-m', 'nosuch'],
      code: 2,
      says: [/-m/, /nosuch/, /refreshCDN/],
    },
    { title: 'an unknown command', prepare: () => ['frobnicate'], code: 2, says: [/frobnicate/] },
    {
      title: 'a configuration file that is missing',
      prepare: () => ['-o', bench.path('nosuch.xml')],
      code: 1,
      says: [/nosuch\.xml/, /-o/],
    },
    {
      title: 'no confxml.xml in the working directory',
      prepare: () => ['-r'],
      code: 1,
      says: [/confxml\.xml/, /-o/],
    },
    {
      title: 'a configuration file that is a directory',
      prepare: () => ['-o', bench.directory],
      code: 1,
      says: [/directory/i],
    },
    {
      title: 'a configuration file that is no XML',
      prepare: () => {
        writeFileSync(bench.path('confxml.xml'), 'watch=/data\nremote=10.0.0.1\n');
        return ['-o', bench.path('confxml.xml')];
      },
      code: 1,
      says: [/confxml\.xml/],
    },
    {
      title: 'a configuration file that is empty',
      prepare: () => {
        writeFileSync(bench.path('confxml.xml'), '');
        return ['-o', bench.path('confxml.xml')];
      },
      code: 1,
      says: [/confxml\.xml/, /<head>/, /sample/],
    },
    {
      title: 'XML that ends in the middle of an element',
      prepare: () => spoilt(/<rsync>[\s\S]*/, '<rsync><commonParams par'),
      code: 1,
      says: [/confxml\.xml:\d+/],
    },
    {
      title: 'no localpath',
      prepare: () => spoilt(/<localpath[\s\S]*<\/localpath>/, ''),
      code: 1,
      says: [/confxml\.xml/, /localpath/],
    },
    { title: 'no remote', prepare: () => spoilt(/<remote .*\/>/, ''), code: 1, says: [/confxml\.xml:\d+/, /<remote/] },
    {
      title: 'an empty ip',
      prepare: () => spoilt('ip="127.0.0.1"', 'ip=""'),
      code: 1,
      says: [/confxml\.xml:\d+/, /ip/],
    },
    {
      title: 'an empty module name',
      prepare: () => spoilt('name="backup"', 'name=""'),
      code: 1,
      says: [/confxml\.xml:\d+/, /name/],
    },
    {
      title: 'no watch path',
      prepare: () => spoilt(/watch="[^"]*"/, 'watch=""'),
      code: 1,
      says: [/confxml\.xml:\d+/, /watch/],
    },
    {
      title: 'a watch path that is missing',
      prepare: () => spoilt(/watch="[^"]*"/, `watch="${bench.path('nosuch')}"`),
      code: 1,
      says: [/nosuch/],
    },
    {
      title: 'a watch path that is a file',
      prepare: () => {
        writeFileSync(bench.path('file'), '');
        return spoilt(/watch="[^"]*"/, `watch="${bench.path('file')}"`);
      },
      code: 1,
      says: [/file/, /directory/],
    },
    {
      title: 'a port that is no number',
      prepare: () => spoilt(/userDefinedPort start="true" port="\d+"/, 'userDefinedPort start="true" port="rsync"'),
      code: 1,
      says: [/confxml\.xml:\d+/, /port/],
    },
    {
      title: 'a password file that is missing',
      prepare: () => ['-o', bench.writeConfig({ auth: { users: 'sync', passwordFile: bench.path('nosuch') } })],
      code: 1,
      says: [/nosuch/, /password/i],
    },
    {
      title: 'a password file that others can read',
      prepare: () => {
        writeFileSync(bench.path('password'), 'secret\n', { mode: 0o644 });
        return ['-o', bench.writeConfig({ auth: { users: 'sync', passwordFile: bench.path('password') } })];
      },
      code: 1,
      says: [/password/, /chmod 600/],
    },
    {
      title: 'rsync that is not installed',
      prepare: configured,
      env: () => ({ PATH: bench.path('bin') }),
      code: 1,
      says: [/rsync/, /install/],
    },
    {
      title: 'rsync that is too old',
      prepare: () => {
        writeFileSync(
          bench.path('bin/rsync'),
          '#!/bin/sh\necho "rsync  version 2.6.8  protocol version 29"\nexit 0\n',
          { mode: 0o755 },
        );
        symlinkSync('/bin/sh', bench.path('bin/sh'));
        return configured();
      },
      env: () => ({ PATH: bench.path('bin') }),
      code: 1,
      says: [/rsync/, /2\.6\.8/, /3\.\d/],
    },
  ];

  it.each(ROWS)('$title', async ({ prepare, code, says, env }) => {
    const [daemon] = await bench.startDaemons(1);
    mkdirSync(bench.path('bin'));
    mkdirSync(bench.path('cwd'));
    writeFileSync(bench.path('source/file'), 'content');
    const args = prepare();

    const sersync = bench.spawnSersync({ args, cwd: bench.path('cwd'), ...(env === undefined ? {} : { env: env() }) });
    const ending = await untilEnded(sersync);

    expect(ending.code, sersync.transcript()).toBe(code);
    for (const pattern of says) expect(sersync.stderr).toMatch(pattern);
    expect(sersync.stderr, 'no stack trace for a mistake of the user').not.toMatch(/\n\s+at .*\.js:\d+/);
    expect(daemon!.connections()).toBe(0);
    expect(existsSync(bench.failLog)).toBe(false);
    expect(readdirSync(bench.path('cwd'))).toEqual([]);
  });

  it('all problems of a configuration at once, each with its line', async () => {
    await bench.startDaemons(1);
    const file = bench.writeConfig();
    const text = readFileSync(file, 'utf8')
      .replace('ip="127.0.0.1"', 'ip=""')
      .replace(/watch="[^"]*"/, 'watch=""');
    writeFileSync(file, text);

    const sersync = bench.spawnSersync({ config: file });
    await untilEnded(sersync);

    const lineOf = (part: string): number => text.slice(0, text.indexOf(part)).split('\n').length;
    expect(sersync.stderr).toContain(`confxml.xml:${lineOf('watch=""')}:`);
    expect(sersync.stderr).toContain(`confxml.xml:${lineOf('ip=""')}:`);
  });

  const LIMITS = [
    { title: 'too few inotify watches', limit: 'max_inotify_watches', says: [/inotify/, /max_user_watches/, /sysctl/] },
    {
      title: 'no inotify instance left',
      limit: 'max_inotify_instances',
      says: [/inotify/, /max_user_instances/, /sysctl/],
    },
  ];
  it.skipIf(!canLimitInotify()).each(LIMITS)('$title', async ({ limit, says }) => {
    await bench.startDaemons(1);
    for (let index = 0; index < 20; index++) mkdirSync(bench.path(`source/directory-${index}`));
    const file = bench.writeConfig();

    // The limits of a user namespace of its own: the machine's stay as they are.
    const started = spawnSync(
      'unshare',
      ['--user', '--map-root-user', 'sh', '-c', `echo 0 > /proc/sys/user/${limit} && exec "$0" "$@"`].concat([
        process.execPath,
        PROGRAM,
        '-r',
        '-o',
        file,
      ]),
      {
        encoding: 'utf8',
        timeout: 20_000,
        env: { ...process.env, SERSYNC_STATE_DIR: bench.path('state'), SERSYNC_WATCHER: 'inotify' },
      },
    );

    expect(started.status, started.stdout + started.stderr).toBe(1);
    for (const pattern of says) expect(started.stderr).toMatch(pattern);
  });
});

describe('a start that succeeds', () => {
  it('-h prints the options on stdout, and does nothing else', async () => {
    const sersync = bench.spawnSersync({ args: ['-h'] });

    expect((await untilEnded(sersync)).code).toBe(0);
    const text = sersync.plainLines.join('\n');
    for (const option of ['-r', '-d', '-o', '-n', '-m', '-h']) expect(text).toContain(option);
    expect(sersync.stderr).toBe('');
  });

  it.each([
    { title: '-r -o FILE', args: (file: string) => ['-r', '-o', file] },
    { title: '-rn4 -oFILE', args: (file: string) => ['-rn4', `-o${file}`] },
    { title: '-n 2 -ro FILE', args: (file: string) => ['-n', '2', '-ro', file] },
  ])('understands $title as getopt does', async ({ args }) => {
    await bench.startDaemons(1);
    writeFileSync(bench.path('source/file'), 'content');
    const sersync = bench.spawnSersync({ args: args(bench.writeConfig()) });
    await sersync.waitForLog('watch:ready');

    await bench.untilSame({ withinMs: 10_000 });
  });

  it('reads confxml.xml in the working directory when no file is given', async () => {
    await bench.startDaemons(1);
    bench.writeConfig();
    const sersync = bench.spawnSersync({ args: ['-r'], cwd: bench.directory });
    await sersync.waitForLog('watch:ready');

    await bench.untilSame({ withinMs: 10_000 });
  });

  it('without -r leaves alone what was there before, and brings what changes', async () => {
    const [daemon] = await bench.startDaemons(1);
    writeFileSync(bench.path('source/old'), 'old');
    await bench.startSersync({ args: [] });

    writeFileSync(bench.path('source/new'), 'new');

    await bench.untilSame({ withinMs: 5_000, isExcluded: (path) => path === 'old' });
    expect(existsSync(join(daemon!.path(), 'old'))).toBe(false);
  });

  it('warns loudly of a filter expression that is none, and uses the others', async () => {
    const [daemon] = await bench.startDaemons(1);
    for (const name of ['a.gz', 'b.txt']) writeFileSync(bench.path('source', name), 'content');
    const sersync = await bench.startSersync({ excludes: ['(unclosed', '(.*)\\.gz'] });

    await bench.untilSame({ withinMs: 10_000, isExcluded: (path) => path === 'a.gz' });
    expect(existsSync(join(daemon!.path(), 'a.gz'))).toBe(false);
    const warnings = [
      ...sersync.log.filter((line) => line.level === 'warn').map((line) => JSON.stringify(line)),
      sersync.stderr,
    ];
    expect(warnings.join('\n')).toContain('(unclosed');
  });

  it('says each log line as one JSON object with level, time and event', async () => {
    await bench.startDaemons(1);
    const sersync = await bench.startSersync({ debug: true });
    writeFileSync(bench.path('source/file'), 'content');
    await bench.untilSame({ withinMs: 5_000 });
    await sersync.waitForLog('run:finished');

    expect(sersync.plainLines.filter((line) => line !== '')).toEqual([]);
    expect(sersync.log.filter((line) => Number.isNaN(Date.parse(String(line['time']))))).toEqual([]);
    expect(sersync.log.filter((line) => !/^(error|warn|info|debug)$/.test(line.level))).toEqual([]);
    expect(sersync.log.filter((line) => !/^[a-z]+:[a-zA-Z]+/.test(line.event))).toEqual([]);
  });

  it('never tells the password', async () => {
    await bench.startDaemons(1, { secrets: { sync: 'very-secret' } });
    writeFileSync(bench.path('password'), 'very-secret\n', { mode: 0o600 });
    writeFileSync(bench.path('source/file'), 'content');
    const sersync = await bench.startSynced({
      debug: true,
      auth: { users: 'sync', passwordFile: bench.path('password') },
    });

    expect(sersync.transcript() + JSON.stringify(sersync.log)).not.toContain('very-secret');
  });
});

describe('-d', () => {
  it.each([{ flags: ['-rd', '-o'] }, { flags: ['-dro'] }, { flags: ['-d', '-r', '-o'] }])(
    '($flags FILE) returns once the watch is up, and tells pid, log and state',
    async ({ flags }) => {
      await bench.startDaemons(1);
      writeFileSync(bench.path('source/file'), 'content');
      const parent = bench.spawnSersync({
        args: [...flags, bench.writeConfig()],
      });

      expect((await untilEnded(parent)).code, parent.transcript()).toBe(0);
      const said = parent.plainLines.join('\n');
      const pid = Number(/pid\s+(\d+)/.exec(said)?.[1]);
      bench.onClose(() => {
        signal(pid, 'SIGKILL');
      });
      const log = /log\s+(\S+)/.exec(said)![1]!;
      expect(isAlive(pid), said).toBe(true);
      expect(said).toMatch(/state\s+\S+/);

      // The watch is up: what is written now arrives without anything else.
      writeFileSync(bench.path('source/later'), 'later');
      await bench.untilSame({ withinMs: 5_000 });
      expect(readFileSync(log, 'utf8')).toMatch(/^\{.*"event":"watch:ready"/m);

      signal(pid, 'SIGTERM');
      await eventually(
        () => !isAlive(pid),
        { withinMs: 10_000 },
        () => `the service ${pid} does not end`,
      );
      expect(bench.leftProcesses()).toEqual([]);
      expect(readFileSync(log, 'utf8')).toMatch(/"event":"service:stopped"/);
    },
  );

  it('fails with the reason when the service cannot start', async () => {
    await bench.startDaemons(1);
    const parent = bench.spawnSersync({ args: ['-rd', '-o', bench.writeConfig({ watch: bench.path('nosuch') })] });

    expect((await untilEnded(parent)).code).toBe(1);
    expect(parent.stderr).toMatch(/nosuch/);
    expect(bench.leftProcesses()).toEqual([]);
  });

  it('survives the end of the terminal on which it was started', async () => {
    await bench.startDaemons(1);
    const command = [process.execPath, PROGRAM, '-rd', '-o', bench.writeConfig()].join(' ');

    // script(1) gives the command a terminal, and takes it away when the command returns.
    const terminal = spawnSync('script', ['-qec', command, '/dev/null'], {
      encoding: 'utf8',
      timeout: 20_000,
      env: { ...process.env, SERSYNC_STATE_DIR: bench.path('state') },
    });
    const pid = Number(/pid\s+(\d+)/.exec(terminal.stdout)?.[1]);
    bench.onClose(() => {
      signal(pid, 'SIGKILL');
    });

    await holdsFor(
      () => isAlive(pid),
      500,
      () => `the service ended with its terminal:\n${terminal.stdout}`,
    );
    signal(pid, 'SIGTERM');
    await eventually(
      () => !isAlive(pid),
      { withinMs: 10_000 },
      () => `the service ${pid} does not end`,
    );
  });

  it('stays in the foreground in a container, its log on stdout', async () => {
    await bench.startDaemons(1);
    const sersync = bench.spawnSersync({
      args: ['-rd', '-o', bench.writeConfig()],
      env: { SERSYNC_CONTAINER: '1' },
    });

    await sersync.waitForLog('watch:ready');
    expect((await sersync.stop('SIGTERM')).code).toBe(0);
  });
});

describe('a signal', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)(
    '%s ends an idle service with exit code 0 and leaves no process',
    async (name) => {
      await bench.startDaemons(2);
      const sersync = await bench.startSynced();

      const ending = await sersync.stop(name, 10_000);

      expect(ending).toEqual({ code: 0, signal: null });
      expect(bench.leftProcesses()).toEqual([]);
      expect(sersync.events('service:stopping')).toHaveLength(1);
      expect(sersync.events('service:stopped')).toHaveLength(1);
    },
  );

  it('lets a transfer end that is nearly done', async () => {
    await bench.startDaemons(1);
    const sersync = await startSlowTransfer(1_500_000, '1m');

    expect(await sersync.stop('SIGTERM', 15_000)).toEqual({ code: 0, signal: null });

    expect(differences(bench.source, bench.remotes[0]!)).toEqual([]);
  });

  it('stops a transfer that goes on for too long, with exit code 0, and no rsync is left', async () => {
    await bench.startDaemons(1);
    const sersync = await startSlowTransfer(200_000_000, '1m');
    const rsyncs = descendantsOf(sersync.pid).map((info) => info.pid);

    expect(await sersync.stop('SIGTERM', 60_000)).toEqual({ code: 0, signal: null });

    expect(rsyncs.filter(isAlive)).toEqual([]);
    expect(bench.leftProcesses()).toEqual([]);
  });

  it('that comes twice cuts the grace time short', async () => {
    await bench.startDaemons(1);
    const sersync = await startSlowTransfer(200_000_000, '1m');

    signal(sersync.pid, 'SIGTERM');
    await sersync.waitForLog('service:stopping');
    await holdsFor(
      () => !sersync.hasEnded,
      1_000,
      () => `there was no grace time:\n${sersync.transcript()}`,
    );
    await sersync.stop('SIGTERM', 3_000);

    expect(bench.leftProcesses()).toEqual([]);
  });

  it('during the start ends it, and leaves nothing', async () => {
    await bench.startDaemons(1);
    for (let index = 0; index < 3_000; index++)
      mkdirSync(bench.path(`source/${index % 50}/${index}`), { recursive: true });
    const sersync = bench.spawnSersync({ config: bench.writeConfig() });
    await sersync.waitForLog('service:starting');

    const ending = await sersync.stop('SIGTERM', 10_000);

    expect(ending).toEqual({ code: 0, signal: null });
    expect(bench.leftProcesses()).toEqual([]);
  });

  it('SIGKILL leaves no rsync that goes on with an old list', async () => {
    await bench.startDaemons(1);
    const sersync = await startSlowTransfer(200_000_000, '1m');

    await sersync.stop('SIGKILL');

    await eventually(
      () => bench.leftProcesses().length === 0,
      { withinMs: 5_000 },
      () => `left behind: ${bench.leftProcesses().join(', ')}`,
    );
  });

  /** A large file on its way, at so many bytes a second. */
  async function startSlowTransfer(bytes: number, bwlimit: string): Promise<SersyncProcess> {
    const sersync = await bench.startSynced({ params: `-artu --bwlimit=${bwlimit}` });
    writeFileSync(bench.path('source/large'), Buffer.alloc(bytes, 'noise to send'));
    await eventually(
      () => readdirSync(bench.remotes[0]!).some((name) => name.startsWith('.large.')),
      { withinMs: 10_000 },
      () => 'the transfer did not begin',
    );
    return sersync;
  }
});

describe('a remote that does not work at the start stops nobody:', () => {
  it('one that is down', async () => {
    const [well, ill] = await bench.startDaemons(2);
    writeFileSync(bench.path('source/file'), 'content');
    await ill!.stop();
    const sersync = await bench.startSersync();

    await bench.untilSame({ withinMs: 10_000, remotes: [well!.path()] });
    const line = await sersync.waitForLog('remote:unreachable', { remote: bench.remoteName(ill!) });
    expect(line['reason']).toMatch(/refused/i);
    expect(line['hint']).toEqual(expect.any(String));

    await ill!.start();

    await bench.untilSame({ withinMs: 15_000 });
    await sersync.waitForLog('remote:recovered', { remote: bench.remoteName(ill!) });
  });

  it('one that refuses the password', async () => {
    await bench.startDaemons(2, { secrets: { sync: 'right' } });
    const [well, ill] = bench.daemons;
    writeFileSync(bench.path('password'), 'right\n', { mode: 0o600 });
    const secrets = bench.path('remote-2/rsyncd.secrets');
    writeFileSync(secrets, 'sync:other\n', { mode: 0o600 });
    writeFileSync(bench.path('source/file'), 'content');
    const sersync = await bench.startSersync({ auth: { users: 'sync', passwordFile: bench.path('password') } });

    await bench.untilSame({ withinMs: 10_000, remotes: [well!.path()] });
    const line = await sersync.waitForLog('remote:halted', { remote: bench.remoteName(ill!) });
    expect(line['reason']).toMatch(/auth/i);
    expect(line['hint']).toMatch(/password/i);
  });

  it('one that does not know the module', async () => {
    const [well, ill] = await bench.startDaemons(2);
    writeFileSync(bench.path('source/file'), 'content');
    const remotes = [
      { ip: well!.address, name: 'backup' },
      { ip: ill!.address, name: 'nosuch' },
    ];
    const sersync = await bench.startSersync({ remotes });

    await bench.untilSame({ withinMs: 10_000, remotes: [well!.path()] });
    const line = await sersync.waitForLog('remote:halted', { remote: `${ill!.address}:${ill!.port}::nosuch` });
    expect(line['reason']).toMatch(/unknown module/i);
    expect(line['hint']).toMatch(/nosuch|module/);
  });
});

async function untilEnded(sersync: SersyncProcess) {
  await eventually(
    () => sersync.hasEnded,
    { withinMs: 15_000 },
    () => `sersync does not end:\n${sersync.transcript()}`,
  );
  return sersync.ended;
}

/** Whether we may have a user namespace, with inotify limits of its own. */
function canLimitInotify(): boolean {
  const script = 'echo 5 > /proc/sys/user/max_inotify_watches';
  return spawnSync('unshare', ['--user', '--map-root-user', 'sh', '-c', script], { stdio: 'ignore' }).status === 0;
}
