import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Writable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { StartError } from '../../../src/errors.js';
import { createLogger, type LogStream } from '../../../src/observe/winston-logger.js';

const now = (): Date => new Date('2025-01-31T23:59:59.123Z');

async function logged(
  kind: 'terminal' | 'json',
  fields: Record<string, unknown>,
  stream: LogStream = new PassThrough(),
) {
  const logger = createLogger({ level: 'info', target: { kind, stream }, now });
  logger.info('remote:recovered', fields);
  await logger.close();
  return String(stream instanceof PassThrough ? stream.read() : '');
}

describe('a line of JSON', () => {
  test('begins with level, time and event, then come the fields', async () => {
    expect(await logged('json', { remote: 'h::m', failures: 3 })).toBe(
      '{"level":"info","time":"2025-01-31T23:59:59.123Z","event":"remote:recovered","remote":"h::m","failures":3}\n',
    );
  });

  test('keeps level, time and event whatever the fields are called', async () => {
    expect(await logged('json', { level: 'x', event: 'y', message: 'z' })).toBe(
      '{"level":"info","time":"2025-01-31T23:59:59.123Z","event":"remote:recovered","message":"z"}\n',
    );
  });

  const circle: Record<string, unknown> = {};
  circle['self'] = circle;
  test.each([
    ['big numbers', { n: 12345678901234567890n }, '"n":"12345678901234567890"'],
    ['sets and maps', { s: new Set([1]), m: new Map([['a', 1]]) }, '"s":[1],"m":{"a":1}'],
    ['errors', { error: new Error('no') }, '"error":"Error: no'],
    ['line ends', { path: 'a\nb' }, String.raw`"path":"a\nb"`],
    ['circles', circle, '"unloggable":"Converting circular'],
  ])('can hold %s', async (_title, fields, expected) => {
    const line = await logged('json', fields);
    expect(line).toContain(expected);
    expect(line.match(/\n/g)).toHaveLength(1);
  });
});

describe('a line on a terminal', () => {
  test.each([
    [{ remote: 'h::m', failures: 3, ok: true }, 'remote=h::m failures=3 ok=true'],
    [{ reason: 'connection refused' }, 'reason="connection refused"'],
    [{ reason: '', text: 'a=b "c"' }, String.raw`reason="" text="a=b \"c\""`],
    [{ list: [1, 'a'], none: undefined, nothing: null }, 'list=[1,"a"] nothing=null'],
    [{ path: 'a\x1b[31m\nb', other: '\x9b31m' }, String.raw`path="a\u001b[31m\nb" other=\u009b31m`],
    [{ error: new Error('it broke') }, 'error="it broke"'],
  ])('%j', async (fields, expected) => {
    expect((await logged('terminal', fields)).slice('2025-01-31 23:59:59.123 '.length)).toBe(
      `INFO  remote:recovered ${expected}\n`,
    );
  });

  test('has colours on a terminal', async () => {
    const stream = Object.assign(new PassThrough(), { isTTY: true });
    expect(await logged('terminal', {}, stream)).toContain('\x1b[32mINFO \x1b[0m remote:recovered');
  });
});

test('what is below the level is not logged', async () => {
  const stream = new PassThrough();
  const logger = createLogger({ level: 'warn', target: { kind: 'json', stream } });
  logger.debug('a:a');
  logger.info('b:b');
  logger.warn('c:c');
  logger.error('d:d');
  await logger.close();
  expect(String(stream.read()).match(/"event":"(.)/g)).toEqual(['"event":"c', '"event":"d']);
});

describe('logging never fails its caller', () => {
  test('when the reader of the output went away', async () => {
    const stream = new Writable({
      write(_chunk, _encoding, callback) {
        callback(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
      },
    });
    const logger = createLogger({ level: 'info', target: { kind: 'json', stream } });
    for (let line = 0; line < 100; line++) {
      logger.info('a:a', { line });
      if (line % 10 === 0) await new Promise(setImmediate);
    }
    await logger.close();
  });

  test.each(['json', 'terminal'] as const)('when a field throws while it is read (%s)', async (kind) => {
    const fields = {
      get trap(): never {
        throw new Error('trapped');
      },
    };
    const stream = new PassThrough();
    const logger = createLogger({ level: 'info', target: { kind, stream } });
    logger.info('a:a', fields);
    logger.info('b:b', { trap: { toJSON: () => fields.trap } });
    logger.info('c:c');
    await logger.close();
    const text = String(stream.read());
    expect(text.match(/trapped/g)).toHaveLength(2);
    expect(text).toContain('c:c');
  });

  test('after it was closed, which may happen twice', async () => {
    const logger = createLogger({ level: 'info', target: { kind: 'json', stream: new PassThrough() } });
    await Promise.all([logger.close(), logger.close()]);
    logger.info('a:a');
  });
});

describe('a log file', () => {
  let directory: string;
  let path: string;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'sersync-log-'));
    path = join(directory, 'sersync.log');
  });

  afterEach(() => {
    rmSync(directory, { recursive: true, force: true });
  });

  const open = (maxBytes = 1_000_000, maxFiles = 3) =>
    createLogger({ level: 'info', target: { kind: 'file', path, maxBytes, maxFiles } });
  const linesOf = (file: string): Record<string, unknown>[] =>
    readFileSync(file, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);

  test('is appended to, with mode 0600 even if it had another one', async () => {
    writeFileSync(path, '{"event":"old"}\n', { mode: 0o644 });
    const logger = open();
    logger.info('a:a');
    await logger.close();
    expect(linesOf(path).map(({ event }) => event)).toEqual(['old', 'a:a']);
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test('has each line on the disk when the call returns', async () => {
    const logger = open();
    logger.info('a:a');
    expect(linesOf(path)).toHaveLength(1);
    await logger.close();
  });

  test('is rotated by size; the youngest lines are kept, none is cut', async () => {
    const logger = open(1_000, 3);
    for (let line = 0; line < 100; line++) logger.info('a:a', { line });
    await logger.close();
    expect(readdirSync(directory).sort()).toEqual(['sersync.log', 'sersync.log.1', 'sersync.log.2']);
    const lines = [`${path}.2`, `${path}.1`, path].flatMap((file) => linesOf(file).map(({ line }) => Number(line)));
    expect(lines.at(-1)).toBe(99);
    expect(lines).toEqual(lines.map((_, index) => 100 - lines.length + index));
    for (const file of readdirSync(directory)) expect(statSync(join(directory, file)).size).toBeLessThanOrEqual(1_000);
  });

  test('of one file alone is emptied when it is full', async () => {
    const logger = open(300, 1);
    for (let line = 0; line < 10; line++) logger.info('a:a', { line });
    await logger.close();
    expect(readdirSync(directory)).toEqual(['sersync.log']);
    expect(linesOf(path).at(-1)).toMatchObject({ line: 9 });
  });

  test('that was moved away by others is begun anew', async () => {
    const logger = open();
    logger.info('a:a');
    renameSync(path, `${path}.moved`);
    logger.info('b:b');
    await logger.close();
    expect(linesOf(path).map(({ event }) => event)).toEqual(['b:b']);
  });

  test('that cannot be written loses lines, counts them and says so when it works again', async () => {
    const logger = open();
    logger.info('a:a');
    rmSync(directory, { recursive: true });
    logger.info('b:b');
    logger.info('c:c');
    directory = mkdtempSync(join(tmpdir(), 'sersync-log-'));
    renameSync(directory, join(path, '..'));
    directory = join(path, '..');
    logger.info('d:d');
    await logger.close();
    expect(linesOf(path)).toMatchObject([{ level: 'warn', event: 'log:resumed', lostLines: 2 }, { event: 'd:d' }]);
  });

  test('that is full fails nobody', async () => {
    path = '/dev/full';
    const logger = open();
    logger.info('a:a');
    logger.info('b:b');
    await logger.close();
  });

  test('that cannot be opened is told at the start', () => {
    path = join(directory, 'no', 'sersync.log');
    expect(open).toThrow(StartError);
    expect(open).toThrow(`cannot write the log file ${path}`);
  });

  test('is never a link', () => {
    symlinkSync('/etc/passwd', path);
    expect(open).toThrow(StartError);
  });
});
