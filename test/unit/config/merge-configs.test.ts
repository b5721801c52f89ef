import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { checkBytes, type CheckedConfig } from '../../../src/config/check-config.js';
import { mergeConfigs, type Mergeable, type MergePlan } from '../../../src/config/merge-configs.js';

const SAMPLE = readFileSync('conf/confxml.xml', 'utf8');

function reading(file: string, text: string): Mergeable {
  const checked = checkBytes(Buffer.from(text), file, {});
  if (checked.reading === undefined) throw new Error(`${file} has no head`);
  return { file, reading: checked.reading };
}

/** The sample for another directory and remote. */
function sampleFor(watch: string, ip: string, name: string): string {
  return SAMPLE.replace('/opt/tongbu"><', `${watch}"><`).replace(
    'ip="127.0.0.1" name="tongbu1"',
    `ip="${ip}" name="${name}"`,
  );
}

function merge(...texts: string[]): MergePlan {
  return mergeConfigs(texts.map((text, index) => reading(`${'abc'.charAt(index)}.xml`, text)));
}

const again = (text: string): CheckedConfig['reading'] => checkBytes(Buffer.from(text), 'new.xml', {}).reading;

describe('files whose settings agree become one', () => {
  const { merged, reasons } = merge(
    sampleFor('/a/', '10.0.0.1', 'a'),
    sampleFor('/b', '10.0.0.2', 'b&amp;"c"'.replaceAll('"', '&quot;')),
  );

  test('with all their localpaths', () => {
    expect(reasons).toEqual([]);
    expect(merged.map(({ files }) => files)).toEqual([['a.xml', 'b.xml']]);
    expect(again(merged[0]?.text ?? '')?.config.localPaths).toEqual([
      { watch: '/a', remotes: [{ ip: '10.0.0.1', name: 'a' }] },
      { watch: '/b', remotes: [{ ip: '10.0.0.2', name: 'b&"c"' }] },
    ]);
  });

  test('that is read without an error, and says all the same else', () => {
    const read = again(merged[0]?.text ?? '');
    const before = reading('a.xml', sampleFor('/a/', '10.0.0.1', 'a')).reading;
    expect(read?.fileErrors).toEqual([]);
    expect(read?.view).toEqual({ ...before.view, watch: '/a' });
    expect({ ...read?.config, localPaths: [], file: '', plugins: [] }).toEqual({
      ...before.config,
      localPaths: [],
      file: '',
      plugins: [],
    });
    expect(read?.config.plugins.map(({ name }) => name)).toEqual(['command', 'socket', 'refreshCDN']);
  });
});

test('a password is not shown where settings differ', () => {
  const withPassword = (word: string): string =>
    SAMPLE.replace('<plugin start="false" name="command"/>', '<plugin start="true" name="refreshCDN"/>').replace(
      /passwd="[^"]*"/,
      `passwd="${word}"`,
    );
  const { reasons } = merge(withPassword('the-secret'), withPassword('another-secret'));
  expect(reasons).toHaveLength(1);
  expect(reasons[0]).toContain('<plugin>');
  expect(reasons[0]).not.toContain('secret');
});

test('one directory in two files gets the remotes of both, each once', () => {
  const { merged } = merge(sampleFor('/a', 'h', 'a'), sampleFor('/a/', 'i', 'a'), sampleFor('/a', 'h', 'a'));
  expect(merged).toHaveLength(1);
  expect(again(merged[0]?.text ?? '')?.config.localPaths).toEqual([
    {
      watch: '/a',
      remotes: [
        { ip: 'h', name: 'a' },
        { ip: 'i', name: 'a' },
      ],
    },
  ]);
});

test('what was ignored is not written, and one of what may stand once', () => {
  const odd = SAMPLE.replace('<debug start="false"/>', '<debug start="true" x="1"/><debug start="false"/><unknown/>');
  const text = merge(odd).merged[0]?.text ?? '';
  expect(text.match(/<debug.*>/g)).toEqual(['<debug start="true"/>']);
  expect(text).not.toContain('unknown');
  expect(text.match(/<exclude /g)).toHaveLength(6);
});

test('the login of a remote stays with it', () => {
  const own = SAMPLE.replace(
    'name="tongbu1"/>',
    'name="tongbu1"><auth start="true" users="u" passwordfile="/p"/></remote>',
  );
  expect(again(merge(own).merged[0]?.text ?? '')?.config.localPaths[0]?.remotes).toEqual([
    { ip: '127.0.0.1', name: 'tongbu1', auth: { users: 'u', passwordFile: '/p' } },
  ]);
});

test('what does not matter to the sync is that of the first file, and told', () => {
  const other = SAMPLE.replace('path="/tmp/rsync_fail_log.sh"', 'path="/tmp/b.sh"').replace(
    '<debug start="false"',
    '<debug start="true"',
  );
  expect(merge(SAMPLE, other).merged.map(({ notes }) => notes)).toEqual([
    ['fail log: /tmp/rsync_fail_log.sh, as in a.xml; b.xml has /tmp/b.sh', 'debug: false, as in a.xml; b.xml has true'],
  ]);
});

describe('files whose settings differ stay apart, and why is told', () => {
  test.each([
    ['<commonParams params>', '"-artuz"', '"-artz"'],
    ['<auth>', '<auth start="false"', '<auth start="true"'],
    ['<userDefinedPort>', '<userDefinedPort start="false"', '<userDefinedPort start="true"'],
    ['<ssh>', '<ssh start="false"', '<ssh start="true"'],
    ['<timeout>', '<timeout start="false"', '<timeout start="true"'],
    ['<filter>', '<filter start="false"', '<filter start="true"'],
    ['<inotify>', '<delete start="true"', '<delete start="false"'],
    ['<crontab>', '<crontab start="false"', '<crontab start="true"'],
    ['<failLog timeToExecute>', 'timeToExecute="60"', 'timeToExecute="5"'],
    ['<plugin>', '<plugin start="false"', '<plugin start="true"'],
  ])('%s', (setting, pattern, replacement) => {
    const { merged, reasons } = merge(SAMPLE, SAMPLE.replace(pattern, replacement), sampleFor('/c', 'h', 'c'));
    expect(merged.map(({ files }) => files)).toEqual([['a.xml', 'c.xml'], ['b.xml']]);
    expect(reasons).toHaveLength(1);
    expect(reasons[0]?.startsWith(`b.xml cannot be joined with a.xml, for they differ in ${setting} (`)).toBe(true);
  });
});
