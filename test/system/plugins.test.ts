import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import type { ServiceStatus } from '../../src/observe/status.js';
import { eventually, holdsFor } from '../support/eventually.js';
import { TcpListener, WebListener, type Manners } from '../support/listeners.js';
import { median } from '../support/measure.js';
import { processesAt, signal } from '../support/processes.js';
import { PROGRAM } from '../support/sersync-process.js';
import { TestBench } from '../support/test-bench.js';
import { quote } from '../support/write-config.js';

let bench: TestBench;

beforeEach(() => {
  bench = new TestBench('plugins');
});

afterEach(() => bench.close());

type Name = 'command' | 'socket' | 'http' | 'refreshCDN';

/** A listener, its section, and the absolute paths that it was told, in their order. */
interface Heard {
  readonly sections: string;
  readonly paths: () => string[];
  /** Called with each path, where the listener is in this process. */
  onPath: (path: string) => void;
}

async function listenTo(name: Name, watch = bench.source): Promise<Heard> {
  const localpath = (inner: string): string =>
    `<plugin name="${name}"><localpath watch=${quote(watch)}>${inner}</localpath></plugin>`;
  if (name === 'command') {
    const script = writeScript(`printf '%s\\0' "$1" >> ${bench.path('heard')}`);
    return {
      sections: `<plugin name="command"><param prefix="${script}" suffix="" ignoreError="true"/></plugin>`,
      paths: () => readNames(bench.path('heard')),
      onPath: () => undefined,
    };
  }
  if (name === 'http') {
    const listener = await WebListener.start();
    bench.onClose(() => listener.stop());
    const pathOf = (body: string): string => new URLSearchParams(body).get('inotifyPath') ?? '';
    const heard: Heard = {
      sections: localpath(`<deshost url="http://127.0.0.1/x" port="${listener.port}"/>`),
      paths: () => listener.received.map(({ body }) => pathOf(body)),
      onPath: () => undefined,
    };
    listener.onReceived = ({ body }) => {
      heard.onPath(pathOf(body));
    };
    return heard;
  }
  const listener = await TcpListener.start(name === 'socket' ? 'polite' : 'answers');
  bench.onClose(() => listener.stop());
  const cdnPath = (request: string): string => {
    const [, kind, url = ''] = /&ok=ok&(urls|dirs)=http:\/\/pic\.example\/cms(\S*) HTTP/.exec(request) ?? [];
    return watch + decodeURIComponent(kind === 'dirs' ? url.slice(0, -1) : url);
  };
  const pathOf = name === 'socket' ? (text: string) => text : cdnPath;
  const heard: Heard = {
    sections: localpath(
      name === 'socket'
        ? `<deshost ip="127.0.0.1" port="${listener.port}"/>`
        : `<cdninfo domainname="127.0.0.1" port="${listener.port}" username="me" passwd="very-secret"/>
           <sendurl base="http://pic.example/cms"/><regexurl regex="false" match="x"/>`,
    ),
    paths: () => listener.received.map(pathOf),
    onPath: () => undefined,
  };
  listener.onReceived = (text) => {
    heard.onPath(pathOf(text));
  };
  return heard;
}

function writeScript(body: string, name = 'script.sh'): string {
  const script = bench.path(name);
  writeFileSync(script, `#!/bin/sh\n${body}\n`);
  chmodSync(script, 0o755);
  return script;
}

function readNames(file: string): string[] {
  return existsSync(file) ? readFileSync(file, 'latin1').split('\0').slice(0, -1) : [];
}

async function untilHeard(heard: Pick<Heard, 'paths'>, names: readonly string[], withinMs = 15_000): Promise<void> {
  const expected = names.map((name) => join(bench.source, name)).sort();
  await eventually(
    () => expected.every((path) => heard.paths().includes(path)),
    { withinMs },
    () => `heard ${JSON.stringify(heard.paths())} instead of ${JSON.stringify(expected)}`,
  );
}

function write(name: string, content = 'content'): void {
  writeFileSync(join(bench.source, name), content);
}

function status(...args: string[]): ServiceStatus {
  const env = { ...process.env, SERSYNC_STATE_DIR: bench.path('state') };
  return JSON.parse(
    execFileSync(process.execPath, [PROGRAM, 'status', '--json', ...args], { env }).toString(),
  ) as ServiceStatus;
}

const NAMES: readonly Name[] = ['command', 'socket', 'http', 'refreshCDN'];

describe.each(NAMES)('%s', (plugin) => {
  test('runs once for each changed path, when the change is on every remote, and not for a full sync', async () => {
    await bench.startDaemons(2);
    write('old');
    const heard = await listenTo(plugin);
    const early: string[] = [];
    heard.onPath = (path) => {
      const relative = path.slice(bench.source.length);
      const isHere = existsSync(path);
      if (bench.remotes.some((remote) => existsSync(remote + relative) !== isHere)) early.push(path);
    };
    const sersync = await bench.startSynced({ plugin, sections: heard.sections, debug: true });
    expect(heard.paths()).toEqual([]);

    write('a b');
    mkdirSync(join(bench.source, 'd'));
    write('d/f');
    await untilHeard(heard, ['a b', 'd', 'd/f']);
    renameSync(join(bench.source, 'd'), join(bench.source, 'e'));
    await untilHeard(heard, ['e', 'e/f']);
    const before = heard.paths().length;
    rmSync(join(bench.source, 'a b'));
    await eventually(
      () => heard.paths().length > before,
      { withinMs: 10_000 },
      () => 'the removal was not told',
    );
    await bench.untilSame({ withinMs: 10_000 });
    await eventually(
      () => status().plugin?.running === 0,
      { withinMs: 5_000 },
      () => JSON.stringify(status().plugin),
    );

    expect(early).toEqual([]);
    expect(heard.paths()).not.toContain(join(bench.source, 'old'));
    expect(status().plugin).toMatchObject({ name: plugin, waiting: 0, failed: 0, dropped: 0 });
    // What was sent by TCP is here a moment after it was sent.
    await eventually(
      () => status().plugin?.done === heard.paths().length,
      { withinMs: 5_000 },
      () => `${status().plugin?.done ?? NaN} runs, and ${heard.paths().length} heard`,
    );
    expect(JSON.stringify(sersync.log)).not.toContain('very-secret');
    if (plugin === 'refreshCDN') {
      expect(sersync.events('plugin:said').map(({ text }) => text)).toContain('whatsup: content="succeed"');
    }
  });

  test('runs alone with -m, without rsync and remotes', async () => {
    const heard = await listenTo(plugin);
    const alone = bench.spawnSersync({ config: aloneConfig(heard), args: ['-r', '-m', plugin], env: WITHOUT_RSYNC });
    await alone.waitForLog('watch:ready');
    await alone.waitForLog('resync:ignored');

    mkdirSync(join(bench.source, 'd/e'), { recursive: true });
    write('d/e/f');
    await untilHeard(heard, ['d', 'd/e', 'd/e/f']);
    const told = status('-m', plugin);
    expect(told).toMatchObject({ plugin: { name: plugin, failed: 0 }, roots: [{ remotes: [] }] });
    expect((await alone.stop()).code).toBe(0);
  });
});

const WITHOUT_RSYNC = { PATH: '/nowhere' };

function aloneConfig({ sections }: Heard): string {
  const config = bench.path('alone.xml');
  const sersync = `<sersync><localpath watch=${quote(bench.source)}/></sersync>`;
  writeFileSync(config, `<head><debug start="true"/>${sersync}${sections}</head>`);
  return config;
}

test('a plugin runs alone beside the service that syncs the same directory, and no second one of its name', async () => {
  await bench.startDaemons(1);
  write('keep');
  const heard = await listenTo('command');
  const syncing = await bench.startSynced();
  const config = aloneConfig(heard);
  const alone = bench.spawnSersync({ config, args: ['-m', 'command'] });
  await alone.waitForLog('watch:ready');
  write('f');
  await untilHeard(heard, ['f']);
  await bench.untilSame({ withinMs: 10_000 });
  expect(alone.rsyncs()).toEqual([]);
  expect(status().plugin).toBeUndefined();

  const second = bench.spawnSersync({ config, args: ['-m', 'command'] });
  expect((await second.ended).code).toBe(1);
  expect(second.stderr).toContain(`already runs the plugin command for ${bench.source}`);
  expect((await alone.stop()).code).toBe(0);
  expect(syncing.hasEnded).toBe(false);
});

describe('a plugin after each synced change', () => {
  test('does not wait for a remote that is down, and does not run again when that one takes the change', async () => {
    const [, down] = await bench.startDaemons(2);
    const heard = await listenTo('socket');
    const sersync = await bench.startSynced({ plugin: 'socket', sections: heard.sections });
    await down!.stop();
    write('first');
    await sersync.waitForLog('remote:unreachable');
    write('second');
    await untilHeard(heard, ['first', 'second']);
    const count = heard.paths().length;
    await down!.start();
    await bench.untilSame({ withinMs: 20_000 });
    await holdsFor(
      () => heard.paths().length === count,
      500,
      () => `heard again: ${heard.paths().join(' ')}`,
    );
  });

  test('waits while the only remote is down', async () => {
    const [only] = await bench.startDaemons(1);
    const heard = await listenTo('socket');
    const sersync = await bench.startSynced({ plugin: 'socket', sections: heard.sections });
    await only!.stop();
    write('f');
    await sersync.waitForLog('remote:unreachable');
    await holdsFor(
      () => heard.paths().length === 0,
      300,
      () => 'it was told before the change was on a remote',
    );
    await only!.start();
    await untilHeard(heard, ['f']);
  });

  test('counts what changed while the service was not running, files and removals, each by name', async () => {
    await bench.startDaemons(2);
    const heard = await listenTo('http');
    for (const name of ['stays', 'goes']) write(name);
    const first = await bench.startSynced({ plugin: 'http', sections: heard.sections });
    await eventually(
      () => status().roots[0]?.remotes.every(({ mayDelete }) => mayDelete),
      { withinMs: 5_000 },
      () => '-r',
    );
    await first.stop();
    const before = heard.paths().length;
    write('new');
    mkdirSync(join(bench.source, 'dir'));
    write('dir/file');
    rmSync(join(bench.source, 'goes'));
    await bench.startSersync({ plugin: 'http', sections: heard.sections, args: [] });
    await bench.untilSame({ withinMs: 20_000 });
    const names = ['new', 'dir', 'dir/file', 'goes'];
    await untilHeard({ paths: () => heard.paths().slice(before) }, names);
    const again = heard.paths().slice(before);
    for (const name of names) expect(again.filter((path) => path === join(bench.source, name))).toHaveLength(1);
  });

  test('gets names of any bytes as one argument', async () => {
    await bench.startDaemons(1);
    const heard = await listenTo('command');
    await bench.startSynced({ plugin: 'command', sections: heard.sections });
    const names = [`it's "q"`, 'two\nlines', '-rf', '`touch PWNED`', '$(touch PWNED)', '\xc4\xe3\xba\xc3.txt'];
    for (const name of names) writeFileSync(Buffer.from(join(bench.source, name), 'latin1'), 'x');
    await untilHeard(heard, names);
    expect(existsSync('PWNED')).toBe(false);
  });
});

describe('a listener', () => {
  /** The sections of the plugins that the network can hold up, each with a listener of those manners. */
  async function sectionFor(plugin: Name, manners: Manners | 'refuses'): Promise<string> {
    const listener = await TcpListener.start(manners === 'refuses' ? 'polite' : manners);
    const { port } = listener;
    if (manners === 'refuses') await listener.stop();
    else bench.onClose(() => listener.stop());
    const target: Record<Name, string> = {
      command: '',
      socket: `<deshost ip="127.0.0.1" port="${port}"/>`,
      http: `<deshost url="http://127.0.0.1:${port}/"/>`,
      refreshCDN: `<cdninfo domainname="127.0.0.1" port="${port}" username="u" passwd="very-secret"/><sendurl base="b"/>`,
    };
    return `<plugin name="${plugin}"><localpath watch="/x">${target[plugin]}</localpath></plugin>`;
  }

  test.each([
    ['http', 'garbage', /Parse Error/],
    ['refreshCDN', 'hangs up', /hung up|ECONNRESET/],
    ['socket', 'refuses', /ECONNREFUSED/],
  ] as const)('of %s that %s is told once, with a count, and everything is synced', async (plugin, manners, reason) => {
    await bench.startDaemons(1);
    const sersync = await bench.startSynced({ plugin, sections: await sectionFor(plugin, manners), debug: true });
    for (let index = 0; index < 20; index++) write(`f${index}`);
    await bench.untilSame({ withinMs: 20_000 });
    const failed = await sersync.waitForLog('plugin:failed', {}, 20_000);
    expect(failed['reason']).toMatch(reason);
    await eventually(
      () => status().plugin?.failed === 20,
      { withinMs: 30_000 },
      () => JSON.stringify(status().plugin),
    );
    await sersync.stop();
    const lines = sersync.events('plugin:failed');
    expect(lines.length).toBeLessThanOrEqual(2);
    expect(lines.reduce((sum, { failures }) => sum + Number(failures), 0)).toBe(20);
    expect(JSON.stringify(sersync.log)).not.toContain('very-secret');
  });

  test('that is slow or hangs up delays neither syncing nor the stop, whatever the plugin', async () => {
    const benches: TestBench[] = [bench];
    const start = async (given: TestBench, plugin?: Name, sections = ''): Promise<void> => {
      if (given !== bench) benches.push(given);
      await given.startDaemons(1);
      await given.startSynced(plugin === undefined ? {} : { plugin, sections });
    };
    try {
      await start(bench);
      const command = `<plugin name="command"><param prefix="${writeScript('sleep 1000')}" ignoreError="true"/></plugin>`;
      await start(new TestBench('command'), 'command', command);
      await start(new TestBench('socket'), 'socket', await sectionFor('socket', 'hangs up'));
      for (const plugin of ['http', 'refreshCDN'] as const) {
        await start(new TestBench(plugin), plugin, await sectionFor(plugin, 'silent'));
      }
      const lags = benches.map((): number[] => []);
      for (let round = 0; round < 20; round++) {
        for (const [index, given] of benches.entries()) lags[index]!.push(await lagOf(given, `f${round}`));
      }
      const [without = NaN, ...withPlugin] = lags.map(median);
      for (const lag of withPlugin) expect(lag / without, JSON.stringify(lags.map(median))).toBeLessThan(5);
    } finally {
      // Ends the services, and fails where one does not end or leaves a process behind.
      await Promise.all(benches.slice(1).map((given) => given.close()));
    }
  });
});

/** How long it takes from writing a file until it is on the remote, in milliseconds. */
async function lagOf({ source, remotes }: TestBench, name: string): Promise<number> {
  const there = join(remotes[0]!, name);
  const began = performance.now();
  writeFileSync(join(source, name), 'x');
  await eventually(
    () => existsSync(there),
    { withinMs: 30_000, everyMs: 1 },
    () => `${name} does not come`,
  );
  return performance.now() - began;
}

describe('a command', () => {
  test('ends with the service, however that ends', async () => {
    await bench.startDaemons(1);
    const script = writeScript('exec sleep 1000');
    const sections = `<plugin name="command"><param prefix="${script}" ignoreError="true"/></plugin>`;
    const sersync = await bench.startSynced({ plugin: 'command', sections });
    write('f');
    await eventually(
      () => status().plugin?.running === 1,
      { withinMs: 10_000 },
      () => JSON.stringify(status().plugin),
    );
    await sersync.stop('SIGKILL');
    await eventually(
      () => bench.leftProcesses().length === 0,
      { withinMs: 10_000 },
      () => bench.leftProcesses().join(),
    );
  });

  test('has what it prints logged, and its exit code, and is ended when the service stops', async () => {
    await bench.startDaemons(1);
    const script = writeScript(
      `case "$1" in *slow) sleep 1000 & wait ;; *bad) echo broken >&2; exit 4 ;; *) echo fine ;; esac`,
    );
    const sections = `<plugin name="command"><param prefix="${script}" ignoreError="false"/></plugin>`;
    const sersync = await bench.startSynced({ plugin: 'command', sections });
    for (const name of ['good', 'bad']) write(name);
    await sersync.waitForLog('plugin:said', { text: 'fine', path: join(bench.source, 'good') });
    const failed = await sersync.waitForLog('plugin:failed', { path: join(bench.source, 'bad') });
    expect(failed['reason']).toBe(`${script}: exit code 4: broken`);
    write('good2');
    await sersync.waitForLog('plugin:recovered', { failures: 1 });
    write('slow');
    await eventually(
      () => status().plugin?.running === 1,
      { withinMs: 10_000 },
      () => JSON.stringify(status().plugin),
    );
    signal(sersync.pid, 'SIGTERM');
    await sersync.waitForLog('service:stopping');
    // A second one cuts the stop short, which would wait for the command.
    expect((await sersync.stop()).code).toBe(0);
    expect(processesAt(script)).toEqual([]);
  });
});

describe('a plugin that cannot run alone says why and what to write:', () => {
  test.each([
    ['no section', ['-m', 'http'], '', /no <plugin name="http"> section/],
    [
      'a section without its target',
      ['-m', 'socket'],
      '<plugin name="socket"><localpath watch="/"></localpath></plugin>',
      /confxml\.xml:\d+: error: <localpath> of the plugin socket has no <deshost>\n {2}-> write <deshost/,
    ],
    [
      'a directory that is not there',
      ['-m', 'socket'],
      '<plugin name="socket"><localpath watch="/nosuch/x"><deshost ip="1.2.3.4" port="1"/></localpath></plugin>',
      /\/nosuch\/x does not exist/,
    ],
  ])('%s', async (_title, args, sections, says) => {
    const sersync = bench.spawnSersync({ config: bench.writeConfig({ sections }), args });
    expect((await sersync.ended).code).toBe(1);
    expect(sersync.stderr).toMatch(says);
  });
});
