import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { DEFAULTS, type Config } from '../../../src/config/config.js';
import { readConfig, type Purpose } from '../../../src/config/read-config.js';

interface Parts {
  head?: string;
  sersync?: string;
  rsync?: string;
  localpath?: string;
}

const LOCALPATH = '<localpath watch="/data"><remote ip="10.0.0.2" name="backup"/></localpath>';

/** Line 1: head's own elements; 2: localpath; 3: rsync; 4: the rest of sersync. */
function fileOf(parts: Parts): string {
  return `<head>${parts.head ?? ''}
<sersync>${parts.localpath ?? LOCALPATH}
<rsync>${parts.rsync ?? ''}</rsync>
${parts.sersync ?? ''}</sersync></head>`;
}

function read(text: string, env: Record<string, string> = {}, purpose: Purpose = 'sync') {
  const { config, problems, diskChecks } = readConfig(Buffer.from(text), 'confxml.xml', env, purpose);
  const told = problems.map((p) => `${p.severity} ${p.line}: ${p.message}`);
  return { config, told, hints: problems.map((p) => p.hint ?? ''), diskChecks };
}

describe('defaults', () => {
  const expected: Config = {
    file: 'confxml.xml',
    host: DEFAULTS.host,
    debug: false,
    xfs: false,
    excludes: [],
    events: DEFAULTS.events,
    localPaths: [{ watch: '/data', remotes: [{ ip: '10.0.0.2', name: 'backup' }] }],
    rsync: { params: ['-artuz'], rawParams: '-artuz', ssh: false, standby: true },
    failLog: { path: '/tmp/rsync_fail_log.sh', retryMinutes: 60 },
    plugins: [],
    deleteLimitPercent: 50,
    auditMinutes: 60,
    dotfiles: true,
    watcher: 'auto',
  };

  test('stand for everything that the file leaves out', () => {
    expect(read(`<head><sersync>${LOCALPATH}</sersync></head>`)).toMatchObject({ config: expected, told: [] });
  });

  test('are what the sample file says', () => {
    const { config, told } = read(readFileSync('conf/confxml.xml', 'utf8'));
    expect(told).toEqual([]);
    expect(config).toEqual({
      ...expected,
      localPaths: [{ watch: '/opt/tongbu', remotes: [{ ip: '127.0.0.1', name: 'tongbu1' }] }],
      plugins: [
        expect.objectContaining({ name: 'command' }),
        expect.objectContaining({ name: 'socket' }),
        expect.objectContaining({ name: 'refreshCDN' }),
      ],
    });
  });
});

test('the sample keeps the lines of the shipped file, which people edit by number', () => {
  const lines = readFileSync('conf/confxml.xml', 'utf8').split('\n');
  const lineOf = (text: string): number => lines.findIndex((line) => line.includes(text)) + 1;
  expect([
    lineOf('<host hostip='),
    lineOf('<filter start='),
    lineOf('<delete start='),
    lineOf('<modify start='),
    lineOf('<localpath watch="/opt/tongbu">'),
    lineOf('<remote ip="127.0.0.1" name="tongbu1"/>'),
    lineOf('<commonParams'),
    lineOf('<auth '),
    lineOf('<ssh '),
    lineOf('<failLog '),
    lineOf('<crontab '),
    lineOf('</head>'),
  ]).toEqual([3, 6, 13, 20, 24, 25, 30, 31, 34, 36, 37, 66]);
});

describe('values', () => {
  test.each<[title: string, parts: Parts, expected: object]>([
    [
      'an address of the status page',
      { head: '<host hostip="0.0.0.0" port="9000"/>' },
      { host: { ip: '0.0.0.0', port: 9000 } },
    ],
    ['debug and xfs', { head: '<debug start="true"/><fileSystem xfs="true"/>' }, { debug: true, xfs: true }],
    [
      'inotify switches, each by itself',
      { head: '<inotify><delete start="false"/><attrib start="true"/></inotify>' },
      { events: { ...DEFAULTS.events, delete: false, attrib: true } },
    ],
    ['dotfiles off', { head: '<inotify><dotfiles start="false"/></inotify>' }, { dotfiles: false }],
    [
      'filter expressions, each once',
      {
        head: String.raw`<filter start="true"><exclude expression="(.*)\.gz"/><exclude expression="^info/*"/><exclude expression="^info/*"/></filter>`,
      },
      { excludes: [String.raw`(.*)\.gz`, '^info/*'] },
    ],
    [
      'no expression of a filter that is off',
      { head: '<filter start="false"><exclude expression="a"/></filter>' },
      { excludes: [] },
    ],
    [
      'params in words',
      { rsync: `<commonParams params="-az -e 'ssh -p 22' "/>` },
      { rsync: { params: ['-az', '-e', 'ssh -p 22'], rawParams: "-az -e 'ssh -p 22' ", ssh: false, standby: true } },
    ],
    [
      'auth, port and timeout that are on',
      {
        rsync:
          '<auth start="true" users=" u " passwordfile=" /p "/><userDefinedPort start="true" port="8730"/><timeout start="true" time="100"/>',
      },
      {
        rsync: {
          params: ['-artuz'],
          rawParams: '-artuz',
          ssh: false,
          standby: true,
          auth: { users: 'u', passwordFile: '/p' },
          port: 8730,
          timeoutSeconds: 100,
        },
      },
    ],
    [
      'none of them when off, whatever they hold',
      {
        rsync:
          '<auth start="false" users=""/><userDefinedPort start="false" port="x"/><timeout start="false" time=""/>',
      },
      { rsync: { params: ['-artuz'], rawParams: '-artuz', ssh: false, standby: true } },
    ],
    [
      'a timeout of 0 as none',
      { rsync: '<timeout start="true" time="0"/>' },
      { rsync: { params: ['-artuz'], rawParams: '-artuz', ssh: false, standby: true } },
    ],
    [
      'a fail log',
      { sersync: '<failLog path="/var/log/f.sh" timeToExecute="5"/>' },
      { failLog: { path: '/var/log/f.sh', retryMinutes: 5 } },
    ],
    [
      'crontab minutes',
      { sersync: '<crontab start="true" schedule=" 20 "/>' },
      { crontab: { schedule: { everyMinutes: 20 }, excludes: [] } },
    ],
    [
      'crontab without a schedule',
      { sersync: '<crontab start="true"/>' },
      { crontab: { schedule: { everyMinutes: 600 }, excludes: [] } },
    ],
    [
      'a cron expression',
      { sersync: '<crontab start="true" schedule="30 3 * * mon-fri"/>' },
      { crontab: { schedule: { expression: '30 3 * * mon-fri' }, excludes: [] } },
    ],
    [
      'one with seconds',
      { sersync: '<crontab start="true" schedule="*/5  * * * * *"/>' },
      { crontab: { schedule: { expression: '*/5 * * * * *' }, excludes: [] } },
    ],
    [
      'crontabfilter patterns when it is on',
      {
        sersync:
          '<crontab start="true"><crontabfilter start="true"><exclude expression="*.php"/></crontabfilter></crontab>',
      },
      { crontab: { schedule: { everyMinutes: 600 }, excludes: ['*.php'] } },
    ],
    [
      'and none when it is off',
      {
        sersync:
          '<crontab start="true"><crontabfilter start="false"><exclude expression="*.php"/></crontabfilter></crontab>',
      },
      { crontab: { schedule: { everyMinutes: 600 }, excludes: [] } },
    ],
    [
      'crontab together with a filter, which sersync 2.5 switched off',
      { head: '<filter start="true"><exclude expression="a"/></filter>', sersync: '<crontab start="true"/>' },
      { excludes: ['a'], crontab: { schedule: { everyMinutes: 600 }, excludes: [] } },
    ],
    [
      'a plugin after each sync',
      {
        head: '<plugin name="command"><param prefix="/bin/sh"/></plugin>',
        sersync: '<plugin start="true" name="command"/>',
      },
      { afterSyncPlugin: 'command' },
    ],
    [
      'a plugin that is off as none',
      { sersync: '<plugin start="false" name="nonsense"/>' },
      { afterSyncPlugin: undefined },
    ],
    ['the watcher', { sersync: '<watcher kind="parcel"/>' }, { watcher: 'parcel' }],
    [
      'how often the tree is audited, the watcher being chosen by itself',
      { sersync: '<watcher auditMinutes="5"/>' },
      { auditMinutes: 5, watcher: 'auto' },
    ],
    ['no audits', { sersync: '<watcher kind="parcel" auditMinutes="0"/>' }, { auditMinutes: 0, watcher: 'parcel' }],
    [
      'how much a comparison may delete',
      { head: '<inotify><delete start="true" limit="20"/></inotify>' },
      { deleteLimitPercent: 20, events: DEFAULTS.events },
    ],
    [
      'that it may delete all',
      { head: '<inotify><delete start="true" limit="off"/></inotify>' },
      { deleteLimitPercent: 'off' },
    ],
    [
      'that it may delete a few',
      { head: '<inotify><delete start="true" limit="0"/></inotify>' },
      { deleteLimitPercent: 0 },
    ],
    [
      'the limit of those that say none',
      { head: '<inotify><delete start="true"/></inotify>' },
      { deleteLimitPercent: 50 },
    ],
  ])('%s', (_title, parts, expected) => {
    const { config, told } = read(fileOf(parts));
    expect(told).toEqual([]);
    expect({ afterSyncPlugin: undefined, ...config }).toMatchObject(expected);
    if ('rsync' in expected) expect(config.rsync).toEqual(expected.rsync);
  });

  test('SERSYNC_WATCHER overrides the file', () => {
    expect(read(fileOf({ sersync: '<watcher kind="parcel"/>' }), { SERSYNC_WATCHER: 'inotify' }).config.watcher).toBe(
      'inotify',
    );
    expect(read(fileOf({}), { SERSYNC_WATCHER: '' }).config.watcher).toBe('auto');
  });
});

describe('localpaths and remotes', () => {
  const remotesOf = (remotes: string, rsync = ''): unknown =>
    read(fileOf({ localpath: `<localpath watch="/d">${remotes}</localpath>`, rsync })).config.localPaths[0]?.remotes;

  test.each([
    ['blanks around', ' 10.0.0.1 ', ' mod ', '10.0.0.1', 'mod'],
    ['a host name', 'backup.example.com', 'mod/sub/dir/', 'backup.example.com', 'mod/sub/dir'],
    ['IPv6', 'fe80::1', 'mod', 'fe80::1', 'mod'],
    ['IPv6 in brackets', '[::1]', 'mod', '::1', 'mod'],
    ['a user', 'root@[::1]', 'mod', 'root@::1', 'mod'],
    ['a placeholder', '{target_host}', '模块 名', '{target_host}', '模块 名'],
  ])('%s', (_title, ip, name, readIp, readName) => {
    expect(remotesOf(`<remote ip="${ip}" name="${name}"/>`)).toEqual([{ ip: readIp, name: readName }]);
  });

  test.each([
    ['/data/backup/', '/data/backup'],
    ['//data', '/data'],
    ['data/backup', 'data/backup'],
    ['/', '/'],
    ['~/b', '~/b'],
  ])('with ssh a name is a path: %s', (name, path) => {
    expect(remotesOf(`<remote ip="h" name="${name}"/>`, '<ssh start="true"/>')).toEqual([{ ip: 'h', name: path }]);
  });

  test.each([
    ['its own login', '<auth start="true" users="u" passwordfile="/p"/>', { auth: { users: 'u', passwordFile: '/p' } }],
    ['none', '<auth start="false" users="u" passwordfile="/p"/>', { auth: 'none' }],
    ['the common one', '', {}],
  ])('a remote may have %s', (_title, auth, expected) => {
    expect(remotesOf(`<remote ip="h" name="m">${auth}</remote>`)).toEqual([{ ip: 'h', name: 'm', ...expected }]);
  });

  test('the password file of a remote is looked at', () => {
    const remote = '<remote ip="h" name="m"><auth start="true" users="u" passwordfile="/p"/></remote>';
    const { diskChecks } = read(fileOf({ localpath: `<localpath watch="/d">${remote}</localpath>` }));
    expect(diskChecks).toContainEqual({ kind: 'password-file', path: '/p', line: 2 });
  });

  test('all localpaths are kept, each with its remotes and without trailing slashes', () => {
    const { config, told, diskChecks } = read(
      fileOf({
        localpath: `<localpath watch=" /a// "><remote ip="h" name="a"/><remote ip="i" name="a"/></localpath>
                    <localpath watch="/b/./c"><remote ip="h" name="b"/></localpath>
                    <localpath watch="/b/../d/"><remote ip="h" name="d"/></localpath>`,
      }),
    );
    expect(told).toEqual([]);
    expect(config.localPaths.map(({ watch, remotes }) => [watch, remotes.length])).toEqual([
      ['/a', 2],
      ['/b/c', 1],
      ['/b/../d', 1],
    ]);
    expect(diskChecks.map(({ kind, path, line }) => [kind, path, line])).toEqual([
      ['watched-directory', '/a', 2],
      ['watched-directory', '/b/c', 3],
      ['watched-directory', '/b/../d', 4],
    ]);
  });

  test('two localpaths of one directory are joined', () => {
    const { config, told } = read(fileOf({ localpath: LOCALPATH + LOCALPATH.replace('10.0.0.2', '10.0.0.3') }));
    expect(config.localPaths).toEqual([
      {
        watch: '/data',
        remotes: [
          { ip: '10.0.0.2', name: 'backup' },
          { ip: '10.0.0.3', name: 'backup' },
        ],
      },
    ]);
    expect(told).toEqual([
      'warning 2: /data is watched by the <localpath> of line 2 already: their remotes are joined',
    ]);
  });
});

const withRemote = (remote: string): Parts => ({ localpath: `<localpath watch="/d">${remote}</localpath>` });

describe('errors', () => {
  test.each<[title: string, text: string | Parts, told: string]>([
    ['an empty file', '', 'error 0: there is no <head> element in it'],
    ['another root', '<conf/>', 'error 1: the file begins with <conf>, not with <head>'],
    ['no localpath', { localpath: ' ' }, 'error 2: there is no <localpath> to be watched in <sersync>'],
    [
      'no watch',
      { localpath: '<localpath><remote ip="h" name="m"/></localpath>' },
      'error 2: <localpath> does not say what to watch',
    ],
    [
      'an empty watch',
      { localpath: '<localpath watch=" "><remote ip="h" name="m"/></localpath>' },
      'error 2: <localpath> does not say what to watch',
    ],
    [
      'a relative watch',
      { localpath: '<localpath watch="data"><remote ip="h" name="m"/></localpath>' },
      'error 2: watch="data" is no absolute path',
    ],
    [
      'no remote',
      { localpath: '<localpath watch="/d"/>' },
      'error 2: <localpath watch="/d"> has no <remote>: there is nowhere to sync to',
    ],
    ['an empty ip', withRemote('<remote ip="" name="m"/>'), 'error 2: <remote>: ip is empty'],
    ['no ip', withRemote('<remote name="m"/>'), 'error 2: <remote>: ip is empty'],
    ['an empty name', withRemote('<remote ip="h" name=" "/>'), 'error 2: <remote>: name is empty'],
    [
      'an ip that rsync would take for an option',
      withRemote('<remote ip="-e=x" name="m"/>'),
      'error 2: <remote ip="-e=x">: this is no host',
    ],
    ['a URL', withRemote('<remote ip="rsync://h" name="m"/>'), 'error 2: <remote ip="rsync://h">: this is no host'],
    [
      'a port at the ip',
      withRemote('<remote ip="h:873" name="m"/>'),
      'error 2: <remote ip="h:873">: this is neither a host nor an IPv6 address',
    ],
    [
      'a path as module',
      withRemote('<remote ip="h" name="/data"/>'),
      `error 2: <remote name="/data">: a module's name was expected`,
    ],
    [
      'a port that is none',
      { rsync: '<userDefinedPort start="true" port="87x"/>' },
      'error 3: <userDefinedPort port="87x">: a port from 1 to 65535 was expected',
    ],
    [
      'a port out of range',
      { head: '<host port="70000"/>' },
      'error 1: <host port="70000">: a port from 1 to 65535 was expected',
    ],
    ['no port', { rsync: '<userDefinedPort start="true"/>' }, 'error 3: <userDefinedPort> is on and has no port'],
    ['no time', { rsync: '<timeout start="true"/>' }, 'error 3: <timeout> is on and has no time'],
    [
      'a time that is none',
      { rsync: '<timeout start="true" time="-1"/>' },
      'error 3: <timeout time="-1">: a number of seconds from 0 to 1000000 was expected',
    ],
    [
      'a retry time of 0',
      { sersync: '<failLog timeToExecute="0"/>' },
      'error 4: <failLog timeToExecute="0">: a number of minutes from 1 to 10000000 was expected',
    ],
    [
      'a fail log that is no path',
      { sersync: '<failLog path="f.sh"/>' },
      'error 4: <failLog path="f.sh">: an absolute path was expected',
    ],
    [
      'a schedule of 0',
      { sersync: '<crontab start="true" schedule="0"/>' },
      'error 4: <crontab schedule="0"> is neither a number of minutes nor a cron expression',
    ],
    [
      'a schedule in words',
      { sersync: '<crontab start="true" schedule="once a day"/>' },
      'error 4: <crontab schedule="once a day"> is neither a number of minutes nor a cron expression',
    ],
    [
      'auth without users',
      { rsync: '<auth start="true" passwordfile="/p"/>' },
      'error 3: <auth> is on and users is empty',
    ],
    [
      'auth without a password file',
      { rsync: '<auth start="true" users="u"/>' },
      'error 3: <auth> is on and passwordfile is empty',
    ],
    [
      'an open quote in params',
      { rsync: `<commonParams params="-e 'ssh"/>` },
      "error 3: <commonParams params=...>: the quote ' is never closed in -e 'ssh",
    ],
    ['an unknown plugin', { sersync: '<plugin start="true" name="comand"/>' }, 'error 4: there is no plugin "comand"'],
    [
      'a limit that is none',
      { head: '<inotify><delete limit="all"/></inotify>' },
      'error 1: <delete limit="all">: off, or a number of percent from 0 to 100 was expected',
    ],
    [
      'a limit of more than all',
      { head: '<inotify><delete limit="101"/></inotify>' },
      'error 1: <delete limit="101">: off, or a number of percent from 0 to 100 was expected',
    ],
    [
      'an interval of audits that is none',
      { sersync: '<watcher auditMinutes="hourly"/>' },
      'error 4: <watcher auditMinutes="hourly">: a number of minutes from 0 to 10000000 was expected',
    ],
    [
      'an unknown watcher',
      { sersync: '<watcher kind="fanotify"/>' },
      'error 4: <watcher kind="fanotify"> is no watcher',
    ],
  ])('%s', (_title, text, told) => {
    expect(read(typeof text === 'string' ? text : fileOf(text)).told).toContain(told);
  });

  test('an unknown watcher in the environment', () => {
    expect(read(fileOf({}), { SERSYNC_WATCHER: 'x' }).told).toEqual([
      `error 0: the environment's SERSYNC_WATCHER="x" is no watcher`,
    ]);
  });

  test('are all told at once, in the order of lines, each with what to write', () => {
    const { told, hints } = read(fileOf({ ...withRemote('<remote ip="" name=""/>'), rsync: '<auth start="true"/>' }));
    expect(told.map((line) => line.slice(0, 8))).toEqual(['error 2:', 'error 2:', 'error 3:', 'error 3:']);
    expect(hints.every((hint) => hint.includes('write'))).toBe(true);
  });

  test('a tag that could not be read is not complained about a second time', () => {
    expect(read(fileOf(withRemote('\n<remote ip="h name="m"/>\n'))).told).toEqual([
      'error 3: <remote>: the quotes around its values do not pair (near "m")',
    ]);
  });
});

describe('warnings', () => {
  test.each<[title: string, parts: Parts, told: string, hint: string]>([
    [
      'an unknown element',
      { head: '<debugg start="true"/>' },
      'warning 1: <debugg> in <head> is not known: it is ignored',
      'did you mean <debug>?',
    ],
    [
      'an element in another case',
      { sersync: '<faillog path="/x"/>' },
      'warning 4: <faillog> in <sersync> is not known: it is ignored',
      'did you mean <failLog>?',
    ],
    [
      'an element in the wrong place',
      { sersync: '<filter start="true"/>' },
      'warning 4: <filter> in <sersync> is not known: it is ignored',
      'it belongs into <head> or <plugin>',
    ],
    [
      'an unknown attribute',
      { head: '<debug stat="true" start="false"/>' },
      'warning 1: <debug> has no attribute stat: it is ignored',
      'did you mean start="..."?',
    ],
    [
      'a user at ssh',
      { rsync: '<ssh start="false" user="root"/>' },
      'warning 3: <ssh> has no attribute user: it is ignored',
      'write the user before the address: <remote ip="user@host" .../>',
    ],
    [
      'a switch that is not true',
      { head: '<debug start="start"/>' },
      'warning 1: <debug start="start"> is neither "true" nor "false": it is off',
      'write start="true" to switch it on',
    ],
    [
      'a switch in capitals',
      { head: '<debug start="TRUE"/>' },
      'warning 1: <debug start="TRUE"> is neither "true" nor "false": it is off',
      'write start="true" to switch it on',
    ],
    [
      'a switch without value',
      { head: '<inotify><delete/></inotify>' },
      'warning 1: <delete> has no start=: it is off',
      'write start="true" or start="false"',
    ],
    [
      'an expression that is a file name pattern',
      { head: '<filter start="true"><exclude expression="*.php"/></filter>' },
      'warning 1: <exclude expression="*.php"> is no regular expression (nothing to repeat): it EXCLUDES NOTHING, the others work',
      String.raw`did you mean expression="(.*)\.php"?`,
    ],
    [
      'a class that nobody knows',
      { head: '<filter start="true"><exclude expression="[[:digits:]]+"/></filter>' },
      'warning 1: <exclude expression="[[:digits:]]+"> is no regular expression (the class [:digits:] is not known): it EXCLUDES NOTHING, the others work',
      'write it as a regular expression of the relative path',
    ],
    [
      'an empty expression',
      { head: '<filter start="true"><exclude/></filter>' },
      'warning 1: <exclude> has an empty expression: it excludes nothing',
      'write expression="..." or remove it',
    ],
    [
      'a filter without expressions',
      { head: '<filter start="true"/>' },
      'warning 1: the filter is on and has no expressions: nothing is excluded',
      'write <exclude expression="..."/> into it',
    ],
    [
      'a second element',
      { head: '<debug start="true"/><debug start="false"/>' },
      'warning 1: a second <debug> is ignored: the one in line 1 counts',
      'remove one of them',
    ],
    [
      'empty params',
      { rsync: '<commonParams params=" "/>' },
      'warning 3: <commonParams> is empty: -artuz is used',
      'write params="-artuz"',
    ],
    [
      'auth with ssh',
      { rsync: '<ssh start="true"/><auth start="true" users="u" passwordfile="/p"/>' },
      'warning 3: <auth> has no effect while <ssh> is on',
      'ssh logs in by key: write ip="user@host" for a user',
    ],
    [
      'a plugin without its section',
      { sersync: '<plugin start="true" name="http"/>' },
      'warning 4: the plugin http is on and has no <plugin name="http"> section in <head>',
      'add the section',
    ],
    [
      'the same remote twice',
      withRemote('<remote ip="h" name="m"/><remote ip="h" name="m/"/>'),
      'warning 2: the remote h m stands in line 2 already: it counts once',
      'remove one',
    ],
    [
      'watched paths that overlap',
      { localpath: `${LOCALPATH}<localpath watch="/data/www"><remote ip="h" name="m"/></localpath>` },
      'warning 2: /data/www and /data (line 2) overlap: what is in both is sent twice',
      '',
    ],
    [
      'one remote for two trees',
      { localpath: `${LOCALPATH}<localpath watch="/other"><remote ip="10.0.0.2" name="backup/sub"/></localpath>` },
      'warning 2: the remote 10.0.0.2 backup/sub also receives /data (line 2): each full sync may delete what the other one brought',
      'give each <localpath> a module or directory of its own',
    ],
  ])('%s', (_title, parts, message, hint) => {
    const { told, hints } = read(fileOf(parts));
    expect(told).toEqual([message]);
    expect(hints).toEqual([hint]);
  });

  test('paths that only begin alike do not overlap', () => {
    const localpath = `${LOCALPATH}<localpath watch="/data2"><remote ip="10.0.0.2" name="backup2"/></localpath>`;
    expect(read(fileOf({ localpath })).told).toEqual([]);
  });

  test('expressions that are none are left out, the others are kept', () => {
    const filter =
      '<filter start="true"><exclude expression="*.php"/><exclude expression="b(c"/><exclude expression="^d/*"/></filter>';
    expect(read(fileOf({ head: filter })).config.excludes).toEqual(['^d/*']);
  });
});
