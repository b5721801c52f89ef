import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { checkBytes, checkConfig, compareFiles, reportOf, type CheckReport } from '../../../src/config/check-config.js';
import type { PluginName } from '../../../src/config/config.js';

const directory = mkdtempSync(join(tmpdir(), 'sersync-check-'));
afterAll(() => {
  rmSync(directory, { recursive: true });
});

const SAMPLE = readFileSync('conf/confxml.xml', 'utf8').replace('watch="/opt/tongbu"', `watch="${directory}"`);

function check(text: string, plugin?: PluginName): CheckReport {
  return reportOf(checkBytes(Buffer.from(text), 'confxml.xml', {}, plugin));
}

/** The sample with one thing replaced, which must be there. */
function sample(pattern: string, replacement: string): string {
  const changed = SAMPLE.replace(pattern, replacement);
  if (changed === SAMPLE) throw new Error(`${pattern} is not in the sample`);
  return changed;
}

describe('the view', () => {
  test('has what sersync 2.5 reads from the shipped file, in its forms', () => {
    expect(check(SAMPLE).view).toEqual({
      hostip: 'localhost',
      hostport: '8008',
      filter: false,
      excludes: [],
      events: ['delete', 'createFolder', 'closeWrite', 'moveFrom', 'moveTo'],
      debug: false,
      xfs: false,
      failLog: '/tmp/rsync_fail_log.sh',
      failLogSeconds: '3600',
      crontabMinutes: '-1',
      crontabExcludes: [],
      auth: false,
      users: '',
      passwordfile: '',
      ssh: false,
      port: '',
      timeout: '',
      params: '-artuz',
      afterSyncPlugin: '',
      watch: directory,
      remotes: ['127.0.0.1 :: tongbu1'],
    });
  });

  test.each<[title: string, pattern: string, replacement: string, expected: object]>([
    [
      'the filter that is on, also what is no expression',
      '<filter start="false">',
      '<filter start="true"><exclude expression="*.php"/>',
      { filter: true, excludes: ['*.php', String.raw`(.*)\.svn`, String.raw`(.*)\.gz`, '^info/*', '^static/*'] },
    ],
    [
      'all events in one order',
      '<createFile start="false"/>',
      '<createFile start="true"/>',
      { events: ['delete', 'createFile', 'createFolder', 'closeWrite', 'moveFrom', 'moveTo'] },
    ],
    [
      'auth that is on',
      '<auth start="false"',
      '<auth start="true"',
      { auth: true, users: 'root', passwordfile: '/etc/rsync.pas' },
    ],
    ['port and its ssh', '<userDefinedPort start="false"', '<userDefinedPort start="true"', { port: '874' }],
    ['a timeout', '<timeout start="false"', '<timeout start="true"', { timeout: '100' }],
    [
      'crontab minutes',
      '<crontab start="false"',
      '<crontab start="true"',
      { crontabMinutes: '600', crontabExcludes: [] },
    ],
    [
      'crontab patterns',
      '<crontab start="false" schedule="600"><!-- a full sync every 600 minutes, or a cron expression such as 30 3 * * * 定时全量同步：分钟数或 cron 表达式 -->\n\t    <crontabfilter start="false">',
      '<crontab start="true" schedule="20"><crontabfilter start="true">',
      { crontabMinutes: '20', crontabExcludes: ['*.php', 'info/*'] },
    ],
    ['params as written', '"-artuz"', '"-auz --partial "', { params: '-auz --partial ' }],
    [
      'a remote as written',
      'ip="127.0.0.1" name="tongbu1"',
      'ip="{host}" name=" a b "',
      { remotes: ['{host} ::  a b '] },
    ],
    ['a remote that cannot be used', 'name="tongbu1"', 'name=""', { remotes: ['127.0.0.1 :: '] }],
    [
      'a plugin',
      '<plugin start="false" name="command"/>',
      '<plugin start="true" name="command"/>',
      { afterSyncPlugin: 'command' },
    ],
    ['a watch with a slash at its end', `watch="${directory}"`, `watch="${directory}/"`, { watch: `${directory}/` }],
  ])('has %s', (_title, pattern, replacement, expected) => {
    expect(check(sample(pattern, replacement)).view).toMatchObject(expected);
  });

  test('has the parts of a command that is to run alone', () => {
    const view = check(
      sample('<filter start="false">\n\t    <include', '<filter start="true">\n\t    <include'),
      'command',
    ).view;
    expect(view).toMatchObject({
      watch: directory,
      prefix: '/bin/sh',
      suffix: '',
      ignoreError: 'true',
      pluginFilter: true,
      includes: [String.raw`(.*)\.php`, String.raw`(.*)\.sh`],
    });
  });

  test('of another plugin names what that one watches', () => {
    expect(check(SAMPLE, 'refreshCDN').view?.watch).toBe('/data0/htdocs/cms.xoyo.com/site/');
  });

  test('is there when the watched directory and the password file are not', () => {
    const report = check(
      sample(
        '<auth start="false" users="root" passwordfile="/etc/rsync.pas"/>',
        '<auth start="true" users="u" passwordfile="/nosuch/pas"/>',
      ).replace(directory, '/nosuch/dir'),
    );
    expect(report.view).toMatchObject({ watch: '/nosuch/dir', passwordfile: '/nosuch/pas' });
    expect(report.errors.map(({ line, message }) => [line, message])).toEqual([
      [24, 'the watched directory /nosuch/dir does not exist'],
      [31, expect.stringContaining('cannot read the password file /nosuch/pas')],
    ]);
  });

  test.each([
    ['nothing', ''],
    ['no head', '<conf/>'],
    ['no text', '\0\u0001'],
  ])('is not there of %s', (_title, text) => {
    const report = check(text);
    expect(report.view).toBeNull();
    expect(report.errors.map(({ message }) => message).join()).toMatch(/<head>/);
  });

  test('has the first localpath alone; the report has all', () => {
    const report = check(
      sample('<rsync>', `<localpath watch="${directory}/b"><remote ip="h" name="b"/></localpath><rsync>`),
    );
    expect(report.view?.watch).toBe(directory);
    expect(report.localpaths.map(({ watch }) => watch)).toEqual([directory, `${directory}/b`]);
  });
});

describe('advice that is told by check alone', () => {
  test.each<[title: string, pattern: string, replacement: string, message: RegExp, hint: RegExp]>([
    [
      'minutes that look like seconds',
      'timeToExecute="60"',
      'timeToExecute="3600"',
      /<failLog timeToExecute="3600">: minutes, that is 2.5 days; are seconds meant\?/,
      /write timeToExecute="60" for 60 minutes/,
    ],
    [
      'a schedule in seconds',
      '<crontab start="false" schedule="600">',
      '<crontab start="true" schedule="86400">',
      /<crontab schedule="86400">: minutes, that is 60 days/,
      /schedule="1440" for 24 hours/,
    ],
    [
      'a timeout in milliseconds',
      '<timeout start="false" time="100"/>',
      '<timeout start="true" time="100000"/>',
      /<timeout time="100000">: seconds, that is 27.8 hours/,
      /time="100"/,
    ],
    [
      'a timeout that is too short',
      '<timeout start="false" time="100"/>',
      '<timeout start="true" time="2"/>',
      /a busy remote is silent for longer/,
      /time="100"/,
    ],
    [
      'a filter that is off and has own expressions',
      '<exclude expression="^info/*">',
      '<exclude expression="^tmp/.*">',
      /the filter is off: its expressions exclude nothing/,
      /start="true"/,
    ],
    [
      'an absolute path',
      '<filter start="false">',
      '<filter start="true"><exclude expression="^/data/.*"/>',
      /excludes nothing: paths are relative/,
      /expression="data\/\.\*"/,
    ],
    [
      'a file name pattern',
      '<filter start="false">',
      '<filter start="true"><exclude expression="temp*"/>',
      /looks like a file name pattern/,
      /did you mean expression="temp\.\*"\?/,
    ],
    [
      'a name',
      '<filter start="false">',
      String.raw`<filter start="true"><exclude expression="^\.git"/>`,
      /at the top of the watched directory alone/,
      /\(\.\*\/\)\?\\\.git/,
    ],
    [
      'a regular expression in a crontabfilter',
      '<rsync>',
      String.raw`<crontab start="true"><crontabfilter start="true"><exclude expression="(.*)\.log"/></crontabfilter></crontab><rsync>`,
      /this looks like a regular expression/,
      /did you mean expression="\*\.log"\?/,
    ],
    [
      'a crontabfilter without a crontab',
      '<crontabfilter start="false">',
      '<crontabfilter start="true">',
      /the crontabfilter is on while <crontab> is off/,
      /crontab start="true"/,
    ],
    [
      'a placeholder',
      'ip="127.0.0.1"',
      'ip="{target_host}"',
      /a placeholder stands where an address should be/,
      /192\.168/,
    ],
    [
      'params that fight with us',
      '"-artuz"',
      '"-artz --remove-source-files"',
      /--remove-source-files is left out: nothing is deleted here/,
      /remove --remove-source-files/,
    ],
  ])('%s', (_title, pattern, replacement, message, hint) => {
    const found = check(sample(pattern, replacement)).warnings.filter(
      ({ message: told }) => !/-u: an older|a second <crontab>/.test(told),
    );
    expect(found.map((warning) => [warning.message, warning.hint])).toEqual([
      [expect.stringMatching(message), expect.stringMatching(hint)],
    ]);
    expect(found[0]?.line).toBeGreaterThan(0);
    expect(found[0]?.column).toBeGreaterThan(0);
  });

  test('of the shipped file is that of -u alone', () => {
    const { warnings, errors } = check(SAMPLE);
    expect(errors).toEqual([]);
    expect(warnings.map(({ line, message }) => [line, message])).toEqual([
      [30, '<commonParams params=...>: -u: an older file that is restored will not replace a newer one on the remote'],
    ]);
  });
});

describe('differences from sersync 2.5 for this file', () => {
  const elements = (text: string): string[] => check(text).differences.map(({ line, element }) => `${line} ${element}`);
  const ALWAYS = ['12 <inotify>', '13 <delete>', '30 <commonParams> -u', '33 <timeout>', '36 <failLog>'];

  test('of the shipped file', () => {
    expect(elements(SAMPLE)).toEqual(ALWAYS);
  });

  test.each<[title: string, pattern: string, replacement: string, added: string]>([
    ['a filter with -r', '<filter start="false">', '<filter start="true">', '6 <filter>'],
    [
      'a second localpath',
      '<rsync>',
      `<localpath watch="${directory}/b"><remote ip="h" name="b"/></localpath><rsync>`,
      '29 <localpath>',
    ],
    [
      'a cron expression',
      '<crontab start="false" schedule="600">',
      '<crontab start="true" schedule="0 3 * * *">',
      '37 <crontab schedule>',
    ],
    [
      'a plugin',
      '<plugin start="false" name="command"/>',
      '<plugin start="true" name="command"/>',
      '43 <plugin name="command">',
    ],
    ['ssh', '<ssh start="false"/>', '<ssh start="true"/>', '34 <ssh>'],
    ['params that are left out', '"-artuz"', '"-artuz --delete"', '30 <commonParams> --delete'],
    ['no host', '<host hostip="localhost" port="8008"></host>', '', '0 <host>'],
    ['an element of ours', '<rsync>', '<watcher kind="auto"/><rsync>', '29 <watcher>'],
    ['a login of a remote', 'name="tongbu1"/>', 'name="tongbu1"><auth start="false"/></remote>', '25 <remote><auth>'],
  ])('%s', (_title, pattern, replacement, added) => {
    const found = elements(sample(pattern, replacement));
    expect(found.filter((element) => !ALWAYS.includes(element))).toEqual([added]);
  });

  test('the port with ssh, and the crontab with a filter', () => {
    const ssh = sample('<ssh start="false"/>', '<ssh start="true"/>').replace(
      '<userDefinedPort start="false"',
      '<userDefinedPort start="true"',
    );
    expect(elements(ssh)).toContain('32 <userDefinedPort>');
    const filtered = sample('<filter start="false">', '<filter start="true">').replace(
      '<crontab start="false"',
      '<crontab start="true"',
    );
    expect(elements(filtered)).toContain('37 <crontab>');
  });
});

describe('several files', () => {
  const fileOf = (name: string, text: string): string => {
    const path = join(directory, name);
    writeFileSync(path, text);
    return path;
  };

  test('that share a fail log or a directory are told', () => {
    const one = fileOf('a.xml', SAMPLE);
    const two = fileOf('b.xml', SAMPLE);
    const [first, second] = compareFiles([one, two].map((file) => checkConfig(file, {})));
    expect(first?.problems.filter(({ message }) => message.includes('does not start'))).toEqual([]);
    expect(second?.problems.map(({ line, message }) => `${line} ${message}`)).toEqual(
      expect.arrayContaining([
        `24 ${directory} is also watched by ${one}: the second service does not start`,
        `36 the fail log /tmp/rsync_fail_log.sh is also that of ${one}: the second service does not start`,
      ]),
    );
  });

  test('a file that cannot be read is an error', () => {
    expect(reportOf(checkConfig('/nosuch.xml', {}))).toMatchObject({
      view: null,
      errors: [{ line: 0, message: 'cannot read the configuration: no such file or directory' }],
    });
  });
});
