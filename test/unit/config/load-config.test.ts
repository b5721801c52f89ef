import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { complainAboutPasswordFile, loadConfig } from '../../../src/config/load-config.js';
import { ConfigError } from '../../../src/errors.js';

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'sersync-config-'));
  mkdirSync(join(directory, 'data'));
});

afterEach(() => {
  rmSync(directory, { recursive: true });
});

function write(rsync = '', watch = join(directory, 'data')): string {
  const file = join(directory, 'confxml.xml');
  writeFileSync(
    file,
    `<head><sersync>\n<localpath watch="${watch}"><remote ip="h" name="m"/></localpath>\n<rsync>${rsync}</rsync></sersync></head>`,
  );
  return file;
}

function refusal(file: string): string {
  try {
    loadConfig(file, {});
  } catch (error) {
    if (error instanceof ConfigError) return error.message.replaceAll(directory, 'DIR');
    throw error;
  }
  throw new Error('it was accepted');
}

const auth = (passwordFile: string): string => `<auth start="true" users="u" passwordfile="${passwordFile}"/>`;

test('a sound file is loaded with its absolute path and its warnings', () => {
  const file = write('<ssh start="yes"/>');
  const { config, warnings } = loadConfig(file, {});
  expect(config.file).toBe(file);
  expect(warnings.map(({ line }) => line)).toEqual([3]);
});

describe('the configuration file', () => {
  test('that is missing', () => {
    expect(refusal(join(directory, 'no.xml'))).toBe(
      'DIR/no.xml: error: cannot read the configuration: no such file or directory\n  -> give its path with -o FILE, or copy the sample conf/confxml.xml there',
    );
  });

  test('that is a directory', () => {
    expect(refusal(directory)).toContain('DIR: error: it is a directory, not a file');
  });

  test('that never ends is refused at once', () => {
    expect(refusal('/dev/zero')).toContain('it is a device, not a file');
  });
});

describe('the watched path', () => {
  test('that is missing', () => {
    expect(refusal(write('', join(directory, 'no')))).toBe(
      'DIR/confxml.xml:2: error: the watched directory DIR/no does not exist\n  -> create it (mkdir -p DIR/no), mount it, or correct watch="..."',
    );
  });

  test('that is a file', () => {
    expect(refusal(write('', '/dev/null'))).toContain(
      'DIR/confxml.xml:2: error: the watched path /dev/null is not a directory',
    );
  });
});

describe('the password file', () => {
  test('that is missing', () => {
    expect(refusal(write(auth('/no/such')))).toContain(
      'DIR/confxml.xml:3: error: cannot read the password file /no/such: no such file or directory',
    );
  });

  test('that others may read', () => {
    const path = join(directory, 'p');
    writeFileSync(path, 'x');
    chmodSync(path, 0o644);
    expect(refusal(write(auth(path)))).toBe(
      'DIR/confxml.xml:3: error: others may read or write the password file DIR/p: rsync refuses it\n  -> chmod 600 DIR/p',
    );
  });

  test("that is its owner's alone is accepted", () => {
    const path = join(directory, 'p');
    writeFileSync(path, 'x', { mode: 0o600 });
    expect(loadConfig(write(auth(path)), {}).config.rsync.auth).toEqual({ users: 'u', passwordFile: path });
  });

  test('is not looked at with ssh', () => {
    expect(loadConfig(write(`<ssh start="true"/>${auth('/no/such')}`), {}).config.rsync.auth).toBeUndefined();
  });

  test.each([
    [0o600, 0, 0, undefined],
    [0o400, 1000, 1000, undefined],
    [0o640, 0, 0, 'warning'],
    [0o620, 0, 0, 'warning'],
    [0o604, 0, 0, 'error'],
    [0o602, 0, 0, 'error'],
    [0o601, 0, 0, undefined],
    [0o600, 1000, 0, 'error'],
    [0o600, 0, 1000, undefined],
  ])('mode %o of user %i, run by user %i: %s', (mode, owner, uid, severity) => {
    const complaint = complainAboutPasswordFile('p', { isFile: () => true, mode, uid: owner }, uid);
    expect(complaint?.severity).toBe(severity);
  });
});

test('what the file says and what the disk says are told together, in the order of lines', () => {
  const file = write(`${auth('/no/such')}<timeout start="true" time="x"/>`, '/no/such');
  const lines = refusal(file)
    .split('\n')
    .filter((line) => line.includes('error:'));
  expect(lines.map((line) => line.replace(/^DIR\/confxml.xml:(\d+).*$/, '$1'))).toEqual(['2', '3', '3']);
});

describe('the filter rules among the params', () => {
  const params = (text: string): string => `<commonParams params="${text}"/>`;

  test('are read with the files that they name, relative to the watched directory where they are', () => {
    writeFileSync(join(directory, 'rules'), 'P kept\n');
    writeFileSync(join(directory, 'data', 'list'), '*.log\n');
    const { config, warnings } = loadConfig(
      write(params(`-artz --exclude-from=list -f '. ${join(directory, 'rules')}'`)),
      {},
    );
    expect(config.rsync.filterRules).toEqual([
      { include: false, pattern: '*.log' },
      { include: false, pattern: 'kept', side: 'receiver' },
    ]);
    expect(warnings).toEqual([]);
  });

  test.each([
    ['--exclude-from=no', 'cannot read the filter rules in DIR/data/no: no such file or directory'],
    ['--exclude-from=/', 'cannot read the filter rules in /: illegal operation on a directory'],
    ['--include-from=-', 'filter rules cannot come from standard input'],
    [`-f '*.日志'`, 'rsync knows no filter rule "*.日志"'],
  ])('that rsync would not take are refused: %s', (text, message) => {
    expect(refusal(write(params(text)))).toContain(
      `DIR/confxml.xml:3: error: <commonParams>: ${message}\n  -> correct it, or write the rule as`,
    );
  });

  test('in a relative file are refused where several directories are watched', () => {
    const file = write(params('--exclude-from=list'));
    const other = `<localpath watch="${directory}"><remote ip="h" name="n"/></localpath><rsync>`;
    writeFileSync(file, readFileSync(file, 'utf8').replace('<rsync>', other));
    expect(refusal(file)).toContain('<commonParams>: list is no absolute path');
  });

  test.each([
    ['-a -F', '"-F": rules in the directories themselves do NOT HOLD'],
    ['-aC', '"-C (.cvsignore)": rules in the directories themselves do NOT HOLD'],
  ])('that do not hold are warned about: %s', (text, message) => {
    const { warnings } = loadConfig(write(params(text)), {});
    expect(warnings.map(({ line }) => line)).toEqual([3]);
    expect(warnings[0]?.message).toContain(message);
  });
});
