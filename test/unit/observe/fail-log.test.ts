import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { fromBytes, fromText } from '../../../src/core/relative-path.js';
import type { LogFields, Logger } from '../../../src/logger.js';
import { FailLog, MAX_LISTED, quoteForShell, renderFailures, type Failure } from '../../../src/observe/fail-log.js';
import { ManualClock } from '../../support/manual-clock.js';

const failure: Failure = {
  remote: '10.0.0.2::backup',
  path: 'a/b.txt',
  errno: 23,
  command: ['rsync', '-artuz', './a b', '10.0.0.2::backup'],
  reason: 'mkstemp failed: Permission denied (13)',
};

let directory: string;
let path: string;
let clock: ManualClock;
let warnings: [event: string, fields: LogFields | undefined][];

const ignore = (): void => undefined;
const logger: Logger = {
  error: ignore,
  info: ignore,
  debug: ignore,
  warn: (event, fields) => warnings.push([event, fields]),
};

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'sersync-faillog-'));
  path = join(directory, 'rsync_fail_log.sh');
  clock = new ManualClock();
  warnings = [];
});

afterEach(() => {
  rmSync(directory, { recursive: true });
});

const open = (): FailLog => new FailLog(path, { clock, logger });
const content = (): string => readFileSync(path, 'utf8');

test('the list has the shape of the script that sersync 2.5 wrote', () => {
  open().write([failure]);
  expect(content()).toBe(`#!/bin/bash
#errno 23
# 10.0.0.2::backup a/b.txt: mkstemp failed: Permission denied (13)
rsync -artuz './a b' 10.0.0.2::backup
`);
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

test('nothing is created as long as nothing failed', () => {
  open().write([]);
  expect(existsSync(path)).toBe(false);
});

test('an empty list leaves the first line alone', () => {
  const failLog = open();
  failLog.write([failure]);
  failLog.write([]);
  failLog.flush();
  expect(content()).toBe('#!/bin/bash\n');
});

test('it is written at once, then once a second, with the latest list', () => {
  const failLog = open();
  failLog.write([failure]);
  failLog.write([failure, failure]);
  failLog.write([failure, failure, failure]);
  const entries = (): number => content().match(/#errno/g)?.length ?? 0;
  expect(entries()).toBe(1);
  clock.advance(999);
  expect(entries()).toBe(1);
  clock.advance(1);
  expect(entries()).toBe(3);
  clock.advance(5_000);
  expect(clock.waiting).toBe(0);
});

test('a flush writes what waits and leaves no timer', () => {
  const failLog = open();
  failLog.write([failure]);
  failLog.write([failure, failure]);
  failLog.flush();
  expect(content().match(/#errno/g)).toHaveLength(2);
  expect(clock.waiting).toBe(0);
});

test('a very long list is cut, and says so', () => {
  const lines = renderFailures(Array.from({ length: MAX_LISTED + 5 }, () => failure))
    .trimEnd()
    .split('\n');
  expect(lines).toHaveLength(1 + 3 * MAX_LISTED + 1);
  expect(lines.at(-1)).toBe('# and 5 more');
});

test('no name and no message can begin a line of its own', () => {
  const text = renderFailures([
    {
      ...failure,
      remote: 'h\n::m',
      path: fromBytes(Buffer.from('a\nrm -rf x\xff', 'latin1')),
      reason: 'x\nrm -rf /\r\u2028y\n',
      command: ['rsync', 'a\ntouch PWNED'],
      input: './a\nrm -rf x\xff',
    },
  ]);
  expect(text).toBe(String.raw`#!/bin/bash
#errno 23
# h ::m a\#012rm -rf x\#377: x rm -rf / y
printf './a\012rm -rf x\377\000' | rsync "$(printf 'a\012touch PWNED')"
`);
});

describe('an old script', () => {
  test('that everybody could write is emptied and becomes 0600, even if nothing fails', () => {
    writeFileSync(path, '#!/bin/bash\nrm -rf /\n');
    chmodSync(path, 0o777);
    open().write([]);
    expect(content()).toBe('#!/bin/bash\n');
    expect(statSync(path).mode & 0o7777).toBe(0o600);
  });
});

describe('a file that is not ours alone is refused, which is told once', () => {
  const target = (): string => join(directory, 'target');
  test.each<[title: string, prepare: () => void, reason: string]>([
    [
      'a link',
      () => {
        symlinkSync(target(), path);
      },
      'it is a symbolic link',
    ],
    [
      'a link to nothing',
      () => {
        symlinkSync(join(directory, 'nothing'), path);
      },
      'it is a symbolic link',
    ],
    [
      'a hard link',
      () => {
        linkSync(target(), path);
      },
      'it has 2 hard links',
    ],
    ['a named pipe', () => execFileSync('mkfifo', [path]), 'ENXIO'],
    ['a directory', () => execFileSync('mkdir', [path]), 'EISDIR'],
  ])('%s', (_title, prepare, reason) => {
    writeFileSync(target(), 'precious');
    prepare();
    const failLog = open();
    failLog.write([failure]);
    failLog.write([failure, failure]);
    failLog.flush();
    expect(warnings).toHaveLength(1);
    expect(warnings[0]?.[0]).toBe('faillog:refused');
    expect(String(warnings[0]?.[1]?.['reason'])).toContain(reason);
    expect(readFileSync(target(), 'utf8')).toBe('precious');
    expect(existsSync(join(directory, 'nothing'))).toBe(false);
  });

  test.runIf(process.getuid?.() === 0)("somebody else's file", () => {
    writeFileSync(path, 'precious');
    execFileSync('chown', ['1', path]);
    open().write([failure]);
    expect(content()).toBe('precious');
    expect(warnings[0]?.[1]?.['reason']).toBe('it belongs to user 1, not to user 0');
  });

  test('and it is written again once it is gone', () => {
    symlinkSync('/etc/passwd', path);
    const failLog = open();
    failLog.write([failure]);
    rmSync(path);
    failLog.write([failure]);
    failLog.flush();
    expect(lstatSync(path).isFile()).toBe(true);
    expect(warnings).toHaveLength(1);
  });
});

const SHELLS = ['sh', 'bash'];

describe('a word is quoted so that every shell reads the same word', () => {
  test.each([
    ['plain', 'plain'],
    ['--exclude=*.c', "'--exclude=*.c'"],
    ['--port=873', '--port=873'],
    ['user@h::m/d', 'user@h::m/d'],
    ['', "''"],
    ["it's", String.raw`'it'\''s'`],
    ['a b$x`y`"z"\\', '\'a b$x`y`"z"\\\''],
    ['~root', "'~root'"],
    ['=x', "'=x'"],
    ['#x', "'#x'"],
    ["a\n1'\\%d\x7f", String.raw`"$(printf 'a\0121\047\134%%d\177')"`],
    ['-n\n.', String.raw`"$(printf '\055n\012.')"`],
    ["\n';touch PWNED;'", String.raw`"$(printf '\012\047;touch PWNED;\047')"`],
    ['名字', "'名字'"],
  ])('%j', (word, quoted) => {
    expect(quoteForShell(word)).toBe(quoted);
    for (const shell of SHELLS) {
      expect(execFileSync(shell, ['-c', `printf %s ${quoted}`], { encoding: 'utf8' }), shell).toBe(word);
    }
  });
});

describe('the name that a command reads is what it reads, in every shell', () => {
  test.each([
    './plain',
    "./it's",
    './%s %d %%',
    './\\012',
    "./\n';touch PWNED;'",
    './ends\n',
    './$(touch PWNED)`touch PWNED`',
    fromText('./名字'),
    './\xb2\xe2\xca\xd4 9',
    './',
  ])('%j', (input) => {
    const line =
      renderFailures([{ ...failure, command: ['cat'], input }])
        .trimEnd()
        .split('\n')
        .at(-1) ?? '';
    for (const shell of SHELLS) {
      expect(execFileSync(shell, ['-c', line], { encoding: 'latin1' }), shell).toBe(`${input}\0`);
    }
  });
});
