import { describe, expect, test } from 'vitest';
import {
  COMMANDS,
  parseCheckOptions,
  parseHeldOptions,
  parseMigrateOptions,
  parseOptions,
  parseStatusOptions,
  type HeldOptions,
  type Options,
  type StatusOptions,
} from '../../../src/cli/options.js';
import { HELP } from '../../../src/cli/help.js';
import { UsageError } from '../../../src/errors.js';

const defaults: Options = {
  kind: 'service',
  help: false,
  version: false,
  resync: false,
  background: false,
  configFile: 'confxml.xml',
  threads: 10,
};

test.each<[string, Partial<Options>]>([
  ['', {}],
  ['-h', { help: true }],
  ['--help', { help: true }],
  ['--version', { version: true }],
  ['-r -d -o /etc/c.xml', { resync: true, background: true, configFile: '/etc/c.xml' }],
  ['-dro c.xml', { resync: true, background: true, configFile: 'c.xml' }],
  ['-rd -o c.xml', { resync: true, background: true, configFile: 'c.xml' }],
  ['-droc.xml', { resync: true, background: true, configFile: 'c.xml' }],
  ['-oc.xml', { configFile: 'c.xml' }],
  ['-o c.xml -d', { background: true, configFile: 'c.xml' }],
  ['-n4', { threads: 4 }],
  ['-n 128 -d', { threads: 128, background: true }],
  ['-dn20', { threads: 20, background: true }],
  ['-m command', { plugin: 'command' }],
  ['-d -m refreshCDN -o c.xml', { background: true, plugin: 'refreshCDN', configFile: 'c.xml' }],
  ['-o a.xml -o b.xml', { configFile: 'b.xml' }],
])('sersync %s', (line, expected) => {
  expect(parseOptions(line.split(' ').filter((word) => word !== ''))).toEqual({ ...defaults, ...expected });
});

describe('what cannot be understood is a usage error that says what was found', () => {
  test.each([
    [['-x'], "unknown option '-x'"],
    [['-rx'], "unknown option '-x'"],
    [['-o'], "option '-o, --config <value>' argument missing"],
    [['-o', ''], '-o needs the path'],
    [['-n', 'many'], '-n many: a number of threads from 1 to 128 was expected'],
    [['-n0'], '-n 0: a number'],
    [['-n', '129'], '-n 129: a number'],
    [['-n', '1e1'], '-n 1e1: a number'],
    [['-n', '-4'], "option '-n' argument is ambiguous"],
    [['-m', 'ftp'], '-m ftp: there is no such plugin; the plugins are command, socket, http, refreshCDN'],
    [['-r', 'confxml.xml'], "unexpected argument 'confxml.xml'"],
    [['statsu'], 'there is no command "statsu"; the commands are check, migrate, status, held, help'],
  ])('%j', (argv, message) => {
    const parse = (): unknown => parseOptions(argv);
    expect(parse).toThrow(UsageError);
    expect(parse).toThrow(message);
  });
});

test('a first argument without a dash is a command, which reads the rest itself', () => {
  expect(parseOptions(['status', '-o', 'c.xml', '--json'])).toEqual({
    kind: 'command',
    command: 'status',
    rest: ['-o', 'c.xml', '--json'],
  });
});

const commandDefaults = { help: false, configFile: 'confxml.xml', json: false };

test.each<[string, Partial<StatusOptions>]>([
  ['', {}],
  ['-h', { help: true }],
  ['--json', { json: true }],
  ['--health', { health: true }],
  ['-oc.xml --json --health', { configFile: 'c.xml', json: true, health: true }],
])('sersync status %s', (line, expected) => {
  const words = line.split(' ').filter((word) => word !== '');
  expect(parseStatusOptions(words)).toEqual({ ...commandDefaults, health: false, ...expected });
});

test.each<[string, Partial<HeldOptions>]>([
  ['', {}],
  ['--release -o c.xml', { release: true, configFile: 'c.xml' }],
  ['--json', { json: true }],
])('sersync held %s', (line, expected) => {
  const words = line.split(' ').filter((word) => word !== '');
  expect(parseHeldOptions(words)).toEqual({ ...commandDefaults, release: false, ...expected });
});

test.each<[line: string, expected: object]>([
  ['', { files: ['confxml.xml'] }],
  ['-o a.xml', { files: ['a.xml'] }],
  ['-oa.xml -o b.xml c.xml', { files: ['a.xml', 'b.xml', 'c.xml'] }],
  ['a.xml --json -m command', { files: ['a.xml'], json: true, plugin: 'command' }],
])('sersync check %s', (line, expected) => {
  const words = line.split(' ').filter((word) => word !== '');
  expect(parseCheckOptions(words)).toEqual({ help: false, json: false, ...expected });
});

test.each<[line: string, expected: object]>([
  ['a.xml', { files: ['a.xml'] }],
  ['a.xml b.xml -o new.xml', { files: ['a.xml', 'b.xml'], output: 'new.xml' }],
])('sersync migrate %s', (line, expected) => {
  expect(parseMigrateOptions(line.split(' '))).toEqual({ help: false, ...expected });
});

describe('a command knows its own options alone:', () => {
  test.each<[string, () => unknown, string]>([
    ['status --release', () => parseStatusOptions(['--release']), "unknown option '--release'"],
    ['status -r', () => parseStatusOptions(['-r']), "unknown option '-r'"],
    ['held --health', () => parseHeldOptions(['--health']), "unknown option '--health'"],
    ['check -r', () => parseCheckOptions(['-r']), "unknown option '-r'"],
    ['check -m nosuch', () => parseCheckOptions(['-m', 'nosuch']), 'there is no such plugin'],
    ['migrate', () => parseMigrateOptions([]), 'migrate needs the configuration files of sersync 2.5'],
    ['held all', () => parseHeldOptions(['all']), "unexpected argument 'all'"],
  ])('%s', (_title, parse, message) => {
    expect(parse).toThrow(UsageError);
    expect(parse).toThrow(message);
  });
});

test('the help names every option of sersync 2.5, and every command', () => {
  for (const option of ['-h', '-d', '-r', '-o', '-n', '-m']) expect(HELP).toContain(`  ${option} `);
  for (const command of COMMANDS) expect(HELP).toContain(`  sersync ${command}`);
});
