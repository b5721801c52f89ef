import { chmodSync, existsSync, linkSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { askService } from '../../../src/cli/control-client.js';
import { CONTROL_LIMITS, ControlServer, type ControlHandlers } from '../../../src/observe/control-server.js';
import { MAX_REQUEST_LENGTH, socketAddress } from '../../../src/observe/control-socket.js';
import { ManualClock } from '../../support/manual-clock.js';
import { AT, sampleStatus } from '../../support/sample-status.js';

const IDENTITY = { pid: 1234, config: '/etc/sersync/confxml.xml' };
const HELD = { remotes: [{ root: '/d', remote: 'r', held: [{ path: 'a', reason: 'too many', since: AT }], more: 0 }] };

let top: string;
let directory: string;
let clock: ManualClock;
const logger = { error: vi.fn(), warn: vi.fn(), info: vi.fn(), debug: vi.fn() };
const releases: (() => unknown)[] = [];

beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'sersync-control-'));
  directory = join(top, 'state');
  mkdirSync(directory, { mode: 0o700 });
  clock = new ManualClock();
  vi.clearAllMocks();
});

afterEach(async () => {
  for (const release of releases.splice(0).reverse()) await release();
  rmSync(top, { recursive: true });
});

function newServer(handlers?: Partial<ControlHandlers>): ControlServer {
  const server = new ControlServer({ directory, identity: IDENTITY, logger, clock });
  releases.push(() => server.stop());
  if (handlers !== undefined) {
    server.serve({ status: () => sampleStatus(), held: () => HELD, release: () => 0, ...handlers });
  }
  return server;
}

async function startServer(handlers: Partial<ControlHandlers> = {}): Promise<ControlServer> {
  const server = newServer(handlers);
  await server.start();
  return server;
}

async function open(): Promise<Socket> {
  const address = socketAddress(directory);
  const socket = connect(address.path).setEncoding('utf8');
  releases.push(() => socket.destroy());
  await once(socket, 'connect');
  address.release();
  return socket;
}

/** Says `text`, ends, and returns the lines that come back. */
async function say(text: string | Buffer): Promise<unknown[]> {
  const socket = await open();
  socket.end(text);
  let said = '';
  for await (const chunk of socket) said += chunk as string;
  return said
    .split('\n')
    .filter((line) => line !== '')
    .map((line): unknown => JSON.parse(line));
}

const ask = (command: Parameters<typeof askService>[1]) => askService({ stateDirectory: directory, hint: '' }, command);
const ERROR = { ok: false, error: expect.any(String) as string };

describe('the control server', () => {
  test('answers each command', async () => {
    await startServer({ release: () => 12 });
    expect(await ask('identify')).toEqual(IDENTITY);
    expect(await ask('status')).toEqual(sampleStatus());
    expect(await ask('held')).toEqual(HELD);
    expect(await ask('release')).toEqual({ released: 12 });
  });

  test('says which service it is while the service starts, and of the rest that it starts', async () => {
    await newServer().start();
    expect(await ask('identify')).toEqual(IDENTITY);
    await expect(ask('status')).rejects.toThrow('the service is starting');
  });

  test('answers several lines of one connection in their order, the last one without an end, too', async () => {
    await startServer();
    expect(await say('{"command":"identify"}\n{"command":"held"}\n{"command":"identify"}')).toEqual([
      { ok: true, result: IDENTITY },
      { ok: true, result: HELD },
      { ok: true, result: IDENTITY },
    ]);
  });

  test('tells what a handler throws to whoever asked', async () => {
    await startServer({
      status: () => {
        throw new Error('the status is not known');
      },
    });
    expect(await say('{"command":"status"}\n{"command":"identify"}\n')).toEqual([
      { ok: false, error: 'the status is not known' },
      { ok: true, result: IDENTITY },
    ]);
  });

  test.each<[string, string | Buffer]>([
    ['no JSON', 'status\n'],
    ['an empty line', '\n'],
    ['no object', 'null\n'],
    ['an array', '["status"]\n'],
    ['no command', '{}\n'],
    ['an unknown command', '{"command":"stop"}\n'],
    ['a name that every object has', '{"command":"constructor"}\n'],
    ['a command that is no text', '{"command":{"a":1}}\n'],
    ['bytes that are no text', Buffer.from([0xff, 0, 0xfe, 0x0a])],
    ['too long a line', `{"command":"status","x":"${'x'.repeat(MAX_REQUEST_LENGTH)}"}\n`],
    ['too long a line without an end', 'x'.repeat(MAX_REQUEST_LENGTH * 3)],
  ])('answers %s with an error, and goes on', async (_title, text) => {
    await startServer();
    expect(await say(text)).toEqual([ERROR]);
    expect(await ask('identify')).toEqual(IDENTITY);
  });

  test('reads a line that comes in pieces', async () => {
    await startServer();
    const socket = await open();
    for (const piece of ['{"comm', 'and":"iden', 'tify"}']) {
      await new Promise((resolve) => socket.write(piece, resolve));
    }
    socket.write('\n');
    expect(await once(socket, 'data')).toEqual([`${JSON.stringify({ ok: true, result: IDENTITY })}\n`]);
  });

  test('sends an answer of many megabytes whole', async () => {
    const held = Array.from({ length: 50_000 }, (_, index) => ({
      path: `directory/with/a/long/name/${index}`,
      reason: 'more than 50 %',
      since: AT,
    }));
    const remotes = [{ root: '/data', remote: 'r', held, more: 0 }];
    await startServer({ held: () => ({ remotes }) });
    expect(await ask('held')).toEqual({ remotes });
  });

  test('ends a connection that asks for too long, and each answer gives it new time', async () => {
    await startServer();
    const socket = await open();
    socket.write('{"command":"identify"}\n');
    await once(socket, 'data');
    clock.advance(CONTROL_LIMITS.requestMs - 1);
    socket.write('{"command":"identify"}\n');
    await once(socket, 'data');
    clock.advance(CONTROL_LIMITS.requestMs - 1);
    expect(socket.closed).toBe(false);
    const closed = once(socket.resume(), 'close');
    clock.advance(1);
    await closed;
    expect(clock.waiting).toBe(0);
  });

  test('serves a bounded number of connections', async () => {
    await startServer();
    const sockets = await Promise.all(Array.from({ length: CONTROL_LIMITS.clients }, () => open()));
    const last = sockets.at(-1)!;
    last.write('{"command":"identify"}\n');
    await once(last, 'data');
    const refused = await open();
    await once(refused.resume(), 'close');
    const closed = once(last, 'close');
    last.end();
    await closed;
    expect(await ask('identify')).toEqual(IDENTITY);
  });

  test('leaves clients that vanish behind', async () => {
    await startServer();
    for (let round = 0; round < 50; round++) {
      const socket = await open();
      socket.write('{"command":"held"}\n');
      socket.destroy();
    }
    expect(await ask('identify')).toEqual(IDENTITY);
  });

  test('belongs to its owner alone', async () => {
    chmodSync(directory, 0o755);
    await startServer();
    expect(statSync(join(directory, 'control.sock')).mode & 0o777).toBe(0o600);
  });

  test('ends its connections and removes its socket when it stops', async () => {
    const server = await startServer();
    const socket = await open();
    const closed = once(socket, 'close');
    await server.stop();
    await closed;
    expect(readdirSync(directory)).toEqual([]);
    expect(clock.waiting).toBe(0);
  });
});

describe('the control socket', () => {
  test.runIf(process.platform === 'linux')('lies in a directory whose path is longer than a socket name', async () => {
    directory = join(top, 'x'.repeat(100), 'y'.repeat(100));
    mkdirSync(directory, { recursive: true });
    const openedBefore = readdirSync('/proc/self/fd').length;
    const server = await startServer();
    expect(existsSync(join(directory, 'control.sock'))).toBe(true);
    expect(await ask('identify')).toEqual(IDENTITY);
    await server.stop();
    expect(readdirSync(directory)).toEqual([]);
    expect(readdirSync('/proc/self/fd')).toHaveLength(openedBefore);
  });

  test('that a killed service left behind is replaced', async () => {
    const path = join(directory, 'control.sock');
    await leaveSocketBehind(path);
    expect(existsSync(path)).toBe(true);
    await startServer();
    expect(await ask('identify')).toEqual(IDENTITY);
    expect(logger.warn).not.toHaveBeenCalled();
  });

  test('at which another process answers is left to it', async () => {
    await startServer();
    await startServer();
    expect(logger.warn).toHaveBeenCalledOnce();
    expect(logger.warn.mock.calls[0]).toEqual([
      'control:failed',
      expect.objectContaining({ directory, reason: expect.stringContaining('another process answers') as string }),
    ]);
    expect(await ask('identify')).toEqual(IDENTITY);
  });

  test('that cannot be had is told once, tried again, and told when it is there', async () => {
    directory = join(top, 'missing');
    const server = await startServer();
    expect(logger.warn).toHaveBeenCalledOnce();
    clock.advance(CONTROL_LIMITS.retryMs);
    await vi.waitFor(() => {
      expect(clock.waiting).toBe(1);
    });
    expect(logger.warn).toHaveBeenCalledOnce();

    mkdirSync(directory);
    clock.advance(CONTROL_LIMITS.retryMs);
    await vi.waitFor(() => {
      expect(logger.info).toHaveBeenCalledExactlyOnceWith('control:recovered', { directory });
    });
    expect(await ask('identify')).toEqual(IDENTITY);
    await server.stop();
    expect(clock.waiting).toBe(0);
  });

  test('is not opened any more when the server stops while it is tried again', async () => {
    directory = join(top, 'missing');
    const server = await startServer();
    mkdirSync(directory);
    clock.advance(CONTROL_LIMITS.retryMs);
    await server.stop();
    expect(readdirSync(directory)).toEqual([]);
    expect(clock.waiting).toBe(0);
  });
});

/** A socket file at which nobody listens, as after `kill -9`. */
async function leaveSocketBehind(path: string): Promise<void> {
  const server = createServer();
  server.listen(`${path}.bound`);
  await once(server, 'listening');
  linkSync(`${path}.bound`, path);
  server.close();
  await once(server, 'close');
}
