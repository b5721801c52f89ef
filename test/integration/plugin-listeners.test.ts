import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Hint } from '../../src/core/hint.js';
import type { CommandConfig } from '../../src/config/config.js';
import type * as Command from '../../src/plugin/command.js';
import { HttpPlugin } from '../../src/plugin/http.js';
import type { Change, Plugin } from '../../src/plugin/plugin.js';
import { RefreshCdnPlugin } from '../../src/plugin/refresh-cdn.js';
import { SocketPlugin } from '../../src/plugin/socket.js';
import { eventually } from '../support/eventually.js';
import { TcpListener, WebListener, type Manners } from '../support/listeners.js';
import { isAlive, processesAt } from '../support/processes.js';
import { freePort } from '../support/rsync-daemon.js';

// It starts its thread from a file: as built.
const { CommandPlugin } = (await import(join(process.cwd(), 'dist/plugin/command.js'))) as typeof Command;

const GBK = 'd/\xc4\xe3\xba\xc3';
let directory: string;
let plugin: Plugin | undefined;
const closing: (() => Promise<void>)[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'sersync-plugins-'));
});

afterEach(async () => {
  await plugin?.close();
  plugin = undefined;
  for (const close of closing.splice(0)) await close();
  rmSync(directory, { recursive: true, force: true });
});

async function tcp(manners: Manners): Promise<TcpListener> {
  const listener = await TcpListener.start(manners);
  closing.push(() => listener.stop());
  return listener;
}

function change(path: string, hint: Hint = Hint.closed): Change {
  return { root: directory, path, hint };
}

/** What became of a run: what it said, or why it failed. */
async function outcome(given: Change, within = AbortSignal.timeout(20_000)): Promise<string | undefined> {
  return plugin!.run(given, within).catch((error: unknown) => `failed: ${(error as Error).message}`);
}

describe('socket', () => {
  const use = (port: number): void => {
    plugin = new SocketPlugin({ name: 'socket', host: '127.0.0.1', port });
  };

  test('sends the bytes of the path and nothing else, and closes', async () => {
    const listener = await tcp('polite');
    use(listener.port);
    expect(await outcome(change('a b\n'))).toBeUndefined();
    expect(await outcome(change(GBK))).toBeUndefined();
    await eventually(
      () => listener.received.length === 2,
      { withinMs: 5_000 },
      () => String(listener.received.length),
    );
    expect(listener.received).toEqual([`${directory}/a b\n`, `${directory}/${GBK}`]);
  });

  test('does its part whatever the other side does with it', async () => {
    for (const manners of ['silent', 'garbage'] as const) {
      const listener = await tcp(manners);
      use(listener.port);
      expect(await outcome(change('a'))).toBeUndefined();
    }
  });

  test('says when nobody listens', async () => {
    use(await freePort(['127.0.0.1']));
    expect(await outcome(change('a'))).toMatch(/^failed: connect ECONNREFUSED 127\.0\.0\.1/);
  });
});

describe('http', () => {
  const use = (port: number): void => {
    plugin = new HttpPlugin({ name: 'http', url: `http://127.0.0.1:${port}/changed?by=x` });
  };

  test('posts a form', async () => {
    const listener = await WebListener.start();
    closing.push(() => listener.stop());
    use(listener.port);
    mkdirSync(join(directory, 'd'));
    expect(await outcome(change('d', Hint.created | Hint.directory))).toBeUndefined();
    const [post] = listener.received;
    expect(post).toMatchObject({
      method: 'POST',
      url: '/changed?by=x',
      contentType: 'application/x-www-form-urlencoded',
      body: `watchroot=${directory}&isdir=1&inotifyPath=${directory}/d&mask=1073742080`,
    });
    listener.status = 503;
    expect(await outcome(change('d'))).toBe('failed: the server answered with status 503');
  });

  test.each<[Manners, RegExp]>([
    ['hangs up', /socket hang up|ECONNRESET/],
    ['garbage', /Parse Error/],
    ['silent', /aborted/],
  ])('fails with a server that is or does: %s', async (manners, reason) => {
    use((await tcp(manners)).port);
    expect(await outcome(change('a'), AbortSignal.timeout(300))).toMatch(reason);
  });
});

describe('refreshCDN', () => {
  const use = (port: number): void => {
    plugin = new RefreshCdnPlugin({
      name: 'refreshCDN',
      host: '127.0.0.1',
      port,
      user: 'me',
      password: 'secret',
      base: 'http://pic.example/cms',
    });
  };

  test('sends the request of the original and reads what is said to it', async () => {
    const listener = await tcp('answers');
    use(listener.port);
    mkdirSync(join(directory, 'd'));
    writeFileSync(join(directory, 'd/a.jpg'), '');
    expect(await outcome(change('d/a.jpg'))).toBe('whatsup: content="succeed"');
    expect(await outcome(change('d'))).toBe('whatsup: content="succeed"');
    expect(await outcome(change('gone', Hint.removed | Hint.directory))).toBe('whatsup: content="succeed"');
    const head = 'HEAD /index.jsp?user=me&pswd=secret&ok=ok';
    const tail = ' HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n';
    expect(listener.received).toEqual([
      `${head}&urls=http://pic.example/cms/d/a.jpg${tail}`,
      `${head}&dirs=http://pic.example/cms/d/${tail}`,
      `${head}&dirs=http://pic.example/cms/gone/${tail}`,
    ]);
  });

  test.each<[Manners, RegExp]>([
    ['hangs up', /hung up without an answer|ECONNRESET/],
    ['garbage', /no HTTP/],
    ['silent', /aborted/],
  ])('fails with a CDN that is or does: %s, and names no password', async (manners, reason) => {
    use((await tcp(manners)).port);
    const said = await outcome(change('a'), AbortSignal.timeout(300));
    expect(said).toMatch(reason);
    expect(said).not.toContain('secret');
  });
});

describe('command', () => {
  const use = (config: Partial<CommandConfig>, launcher: readonly string[] = []): void => {
    plugin = new CommandPlugin({
      config: { name: 'command', prefix: [], suffix: [], hidesOutput: false, ...config },
      launcher,
    });
  };

  /** A script that notes its arguments, one to a NUL. */
  const notes = (): { script: string; arguments: () => string[] } => {
    const script = join(directory, 'notes args.sh');
    const file = join(directory, 'args');
    writeFileSync(script, `#!/bin/sh\nprintf '%s\\0' "$@" >> '${file}'\n`);
    chmodSync(script, 0o755);
    return { script, arguments: () => readFileSync(file, 'latin1').split('\0').slice(0, -1) };
  };

  test.each([
    ['plain', 'a'],
    ['blanks and quotes', `it's "a" \\ file`],
    ['what a shell would run', '`touch PWNED`;$(touch PWNED) && x'],
    ['a newline', 'two\nlines'],
    ['a leading dash', '-rf'],
    ['UTF-8', '\xe4\xb8\xad\xe6\x96\x87'],
    ['bytes that are no UTF-8', GBK],
    ['one that begins and ends with blanks, no UTF-8', ' \xff '],
  ])('gets the path as one argument, byte for byte, between the others: %s', async (_title, path) => {
    const { script, arguments: given } = notes();
    use({ prefix: [script, '-x', 'two words', '中'], suffix: ['end', ''] });
    expect(await outcome(change(path))).toBeUndefined();
    const utf8 = Buffer.from('中').toString('latin1');
    expect(given()).toEqual(['-x', 'two words', utf8, `${directory}/${path}`, 'end', '']);
    expect(existsSync('PWNED') || existsSync(join(directory, 'PWNED'))).toBe(false);
  });

  test('tells what it prints, in bounds, unless that is hidden', async () => {
    use({ prefix: ['/bin/sh', '-c', 'echo out; echo err >&2; exit 0'] });
    expect((await outcome(change('a')))?.split('\n').sort()).toEqual(['err', 'out']);
    use({ prefix: ['/bin/sh', '-c', 'head -c 1000000 /dev/zero | tr "\\0" x'] });
    const long = await outcome(change('a'));
    expect(long).toMatch(/^x{2000} \.\.\. \(1000000 bytes\)$/);
    use({ prefix: ['/bin/sh', '-c', 'echo out; echo err >&2'], hidesOutput: true });
    expect(await outcome(change('a'))).toBeUndefined();
  });

  test('tells how it failed', async () => {
    use({ prefix: ['/bin/sh', '-c', 'echo no disk >&2; exit 3'] });
    expect(await outcome(change('a'))).toBe('failed: /bin/sh: exit code 3: no disk');
    use({ prefix: ['/bin/sh', '-c', 'kill -KILL $$'] });
    expect(await outcome(change('a'))).toBe('failed: /bin/sh: ended by SIGKILL');
    use({ prefix: [join(directory, 'nosuch')] });
    expect(await outcome(change('a'))).toMatch(/^failed: .*nosuch.*ENOENT/);
  });

  test('runs for what an include expression matches as a whole, and for nothing else', () => {
    use({ prefix: ['/x'], includes: ['(.*)\\.php', '/etc/.*'] });
    expect([change('a.php'), change('a.php5'), change('d/中.php')].map((given) => plugin!.concerns(given))).toEqual([
      true,
      false,
      true,
    ]);
    expect(plugin!.concerns({ root: '/etc', path: 'x', hint: 0 })).toBe(true);
  });

  test('is ended with all that it has started in its group, also when that ignores SIGTERM', async () => {
    use({ prefix: ['/bin/sh', '-c', `trap '' TERM; sleep 1000 & sleep 1000 & wait; wait`, directory] });
    const stop = new AbortController();
    const ended = outcome(change('a'), stop.signal);
    const started = await eventually(
      () => {
        const found = processesAt(directory);
        return found.length > 0 && found;
      },
      { withinMs: 10_000 },
      () => 'nothing was started',
    );
    stop.abort();
    expect(await ended).toMatch(/^failed: .*ended by SIGKILL/);
    expect(started.filter(({ pid }) => isAlive(pid))).toEqual([]);
  });

  test('has what it leaves in the background ended when the service stops', async () => {
    const pidFile = join(directory, 'pid');
    use({ prefix: ['/bin/sh', '-c', `sleep 1000 & echo $! > '${pidFile}'`] });
    expect(await outcome(change('a'))).toBeUndefined();
    const pid = Number(readFileSync(pidFile, 'utf8'));
    expect(isAlive(pid)).toBe(true);
    await plugin!.close();
    plugin = undefined;
    await eventually(
      () => !isAlive(pid),
      { withinMs: 5_000 },
      () => `sleep ${pid} lives`,
    );
  });
});
