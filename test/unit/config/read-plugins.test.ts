import { describe, expect, test } from 'vitest';
import type { PluginConfig } from '../../../src/config/config.js';
import { readConfig, type Purpose } from '../../../src/config/read-config.js';

/** Line 1: head; 2: the section; 3: sersync with its localpath; 4: the plugin after each sync. */
function read(section: string, purpose: Purpose, after = '', localpath = '<localpath watch="/data/www/"/>') {
  const text = `<head>\n${section}\n<sersync>${localpath}\n${after}</sersync></head>`;
  const { config, problems, diskChecks } = readConfig(Buffer.from(text), 'confxml.xml', {}, purpose);
  return {
    config,
    told: problems.map(({ severity, line, message }) => `${severity} ${line}: ${message}`),
    hints: problems.map(({ hint }) => hint),
    watched: config.localPaths.map(({ watch }) => watch),
    checked: diskChecks.map(({ kind, path, line }) => `${kind} ${path} ${line}`),
  };
}

const command = (inner: string): string => `<plugin name="command">${inner}</plugin>`;
const socket = (inner: string, watch = '/data/sub'): string =>
  `<plugin name="socket"><localpath watch="${watch}">${inner}</localpath></plugin>`;
const http = (inner: string): string =>
  `<plugin name="http"><localpath watch="/data/sub">${inner}</localpath></plugin>`;
const cdn = (inner: string): string =>
  `<plugin name="refreshCDN"><localpath watch="/data/sub/">${inner}</localpath></plugin>`;

const CDN_INFO = '<cdninfo domainname="cdn.example" port="81" username="me" passwd="secret"/>';
const SEND_URL = '<sendurl base="http://pic.example/cms"/>';
const CDN = { name: 'refreshCDN', host: 'cdn.example', port: 81, user: 'me', password: 'secret', watch: '/data/sub' };

describe('a section says', () => {
  test.each<[title: string, section: string, purpose: Purpose, expected: PluginConfig]>([
    [
      'what the shipped file says',
      command(
        '<param prefix="/bin/sh" suffix="" ignoreError="true"/><filter start="false"><include expression="(.*)\\.php"/></filter>',
      ),
      'command',
      { name: 'command', prefix: ['/bin/sh'], suffix: [], hidesOutput: true },
    ],
    [
      'a program with words before and behind the path, and what it runs for',
      command(
        `<param prefix="/opt/run -x 'a b'" suffix="--end \\&quot;"/><filter start="true"><include expression="(.*)\\.php"/></filter>`,
      ),
      'command',
      {
        name: 'command',
        prefix: ['/opt/run', '-x', 'a b'],
        suffix: ['--end', '"'],
        hidesOutput: false,
        includes: ['(.*)\\.php'],
      },
    ],
    [
      'that output is hidden only where it is exactly "true"',
      command('<param prefix="/bin/sh" ignoreError="yes"/>'),
      'command',
      { name: 'command', prefix: ['/bin/sh'], suffix: [], hidesOutput: false },
    ],
    [
      'a TCP server',
      socket('<deshost ip="10.0.0.9" port="8009"/>'),
      'socket',
      { name: 'socket', host: '10.0.0.9', port: 8009, watch: '/data/sub' },
    ],
    [
      'a TCP server by its IPv6 address',
      socket('<deshost ip="[::1]" port="8009"/>'),
      'socket',
      { name: 'socket', host: '::1', port: 8009, watch: '/data/sub' },
    ],
    [
      'a web server',
      http('<deshost url="http://10.0.0.9/changed?by=me"/>'),
      'http',
      { name: 'http', url: 'http://10.0.0.9/changed?by=me', watch: '/data/sub' },
    ],
    [
      'a web server and its port',
      http('<deshost url="http://10.0.0.9/changed" port="8080"/>'),
      'http',
      { name: 'http', url: 'http://10.0.0.9:8080/changed', watch: '/data/sub' },
    ],
    [
      'a port in the address, which wins',
      http('<deshost url="http://10.0.0.9:81/changed" port="8080"/>'),
      'http',
      { name: 'http', url: 'http://10.0.0.9:81/changed', watch: '/data/sub' },
    ],
    [
      'an address without http://, as curl takes it',
      http('<deshost url="host:8081/changed" port="8080"/>'),
      'http',
      { name: 'http', url: 'http://host:8081/changed', watch: '/data/sub' },
    ],
    [
      'a CDN',
      cdn(`${CDN_INFO}${SEND_URL}<regexurl regex="false" match="("/>`),
      'refreshCDN',
      { ...CDN, base: 'http://pic.example/cms' } as PluginConfig,
    ],
    [
      'a CDN with an expression for its URLs',
      cdn(`${CDN_INFO}${SEND_URL}<regexurl regex="true" match="site([a-z]*)x"/>`),
      'refreshCDN',
      { ...CDN, base: 'http://pic.example/cms', expression: 'site([a-z]*)x' } as PluginConfig,
    ],
  ])('%s', (_title, section, purpose, expected) => {
    const { config, told } = read(section, purpose);
    expect(told).toEqual([]);
    expect(config.plugin).toEqual(expected);
  });

  test('the first of two sections of one name counts', () => {
    const two = command('<param prefix="/a"/>') + command('<param prefix="/b"/>');
    expect(read(two, 'command').config.plugin).toMatchObject({ prefix: ['/a'] });
  });
});

describe('a plugin that runs alone', () => {
  test('watches the directories of <sersync> when it is command, and reads no remote', () => {
    const localpath = '<localpath watch="/data/www/"><remote ip="" name=""/></localpath>';
    const { told, watched, checked, config } = read(command('<param prefix="/a"/>'), 'command', '', localpath);
    expect(told).toEqual([]);
    expect(watched).toEqual(['/data/www']);
    expect(checked).toEqual(['watched-directory /data/www 3']);
    expect(config.localPaths[0]?.remotes).toEqual([]);
  });

  test('watches the directory of its own section otherwise', () => {
    const { told, watched, checked } = read(socket('<deshost ip="10.0.0.9" port="1"/>'), 'socket');
    expect(told).toEqual([]);
    expect(watched).toEqual(['/data/sub']);
    expect(checked).toEqual(['watched-directory /data/sub 2']);
  });

  test.each<[title: string, section: string, purpose: Purpose, told: string[], localpath?: string]>([
    ['no section', '', 'http', ['error 0: -m http: there is no <plugin name="http"> section in <head>']],
    [
      'no directory to watch',
      socket('<deshost ip="10.0.0.9" port="1"/>', ''),
      'socket',
      ['error 2: <localpath> does not say what to watch'],
    ],
    [
      'no localpath for command',
      command('<param prefix="/a"/>'),
      'command',
      ['error 3: -m command watches the <localpath> of <sersync>, and there is none'],
      ' ',
    ],
  ])('says that there is %s', (_title, section, purpose, told, localpath) => {
    expect(read(section, purpose, '', localpath).told).toEqual(told);
  });
});

describe('a section that misses what is needed is told with its line:', () => {
  test.each<[title: string, section: string, purpose: Purpose, told: string[]]>([
    ['param', command(''), 'command', ['error 2: <plugin> of the plugin command has no <param>']],
    [
      'a program',
      command('<param prefix=" " suffix="x"/>'),
      'command',
      ['error 2: <param> of the plugin command: prefix is empty, so that there is no program to run'],
    ],
    [
      'a closing quote',
      command(`<param prefix="/a 'b"/>`),
      'command',
      [`error 2: <param prefix="/a 'b">: the quote ' is never closed`],
    ],
    [
      'an expression that is one',
      command('<param prefix="/a"/><filter start="true"><include expression="*.php"/></filter>'),
      'command',
      ['error 2: <include expression="*.php"> is no regular expression'],
    ],
    ['a localpath', '<plugin name="socket"/>', 'socket', ['error 2: <plugin> of the plugin socket has no <localpath>']],
    ['deshost', socket(''), 'socket', ['error 2: <localpath> of the plugin socket has no <deshost>']],
    [
      'an address and a port, both at once',
      socket('<deshost/>'),
      'socket',
      [
        'error 2: <deshost> of the plugin socket: ip is empty',
        'error 2: <deshost> of the plugin socket: port is empty',
      ],
    ],
    [
      'a port that can be one',
      socket('<deshost ip="a" port="80900"/>'),
      'socket',
      ['error 2: <deshost port="80900">: a port from 1 to 65535 was expected'],
    ],
    [
      'a web address',
      http('<deshost url="ftp://a/b"/>'),
      'http',
      ['error 2: <deshost url="ftp://a/b"> is no address of a web server'],
    ],
    [
      'user and password of the CDN',
      cdn(`<cdninfo domainname="a"/>${SEND_URL}`),
      'refreshCDN',
      [
        'error 2: <cdninfo> of the plugin refreshCDN: username is empty',
        'error 2: <cdninfo> of the plugin refreshCDN: passwd is empty',
      ],
    ],
    [
      'an expression for the URL where it is on',
      cdn(`${CDN_INFO}${SEND_URL}<regexurl regex="true" match="("/>`),
      'refreshCDN',
      ['error 2: <regexurl match="("> is no regular expression'],
    ],
  ])('%s', (_title, section, purpose, told) => {
    expect(read(section, purpose).told).toEqual(told);
  });
});

describe('a plugin that follows each sync', () => {
  const after = '<plugin start="true" name="socket"/>';
  const withRemote = '<localpath watch="/data"><remote ip="10.0.0.2" name="m"/></localpath>';

  test('is read, and the synced directories stay what is watched', () => {
    const { told, watched, config } = read(socket('<deshost ip="a" port="1"/>'), 'sync', after, withRemote);
    expect(told).toEqual([]);
    expect(watched).toEqual(['/data']);
    expect(config.plugin).toMatchObject({ name: 'socket', host: 'a' });
  });

  test('needs no directory of its own', () => {
    const { told, config } = read(socket('<deshost ip="a" port="1"/>', ''), 'sync', after, withRemote);
    expect(told).toEqual([]);
    expect(config.plugin).toEqual({ name: 'socket', host: 'a', port: 1 });
  });

  test('is told to be wrong when it is on, and not looked at when it is off', () => {
    expect(read(socket('<deshost ip="a" port="x"/>'), 'sync', after, withRemote).told).toHaveLength(1);
    const off = '<plugin start="false" name="socket"/>';
    const { told, config } = read(socket('<deshost ip="a" port="x"/>'), 'sync', off, withRemote);
    expect(told).toEqual([]);
    expect(config.plugin).toBeUndefined();
  });
});

describe('what only a shell understands is warned about:', () => {
  test.each([
    ['/a >> /tmp/log', '>>'],
    ['cd /x; ./run', '/x;'],
    ['/a | logger', '|'],
    ['/a $HOME/x', '$HOME/x'],
    ['/a 2>&amp;1', '2>&1'],
  ])('%s', (prefix, word) => {
    const { told, config } = read(command(`<param prefix="${prefix}"/>`), 'command');
    expect(told).toEqual([expect.stringContaining(`so that ${word} is only a word`)]);
    expect(config.plugin).toBeDefined();
  });

  test('but not what a shell is given', () => {
    expect(read(command(`<param prefix="/bin/sh -c 'cd /x; ./run &quot;$0&quot; &gt; $L'"/>`), 'command').told).toEqual(
      [],
    );
  });
});
