/**
 * Filters everywhere: 40 expressions, among them those of real configurations, by changes, `-r` and crontab, on names that
 * the source has, the remote, or both. All are in one tree and one configuration: each expression leaves out its own names
 * and nothing else.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { createFilter } from '../../src/core/filter.js';
import { fromText } from '../../src/core/relative-path.js';
import { eventually } from '../support/eventually.js';
import type { SersyncProcess } from '../support/sersync-process.js';
import { readStatus } from '../support/sersync-status.js';
import { TestBench } from '../support/test-bench.js';

interface Row {
  readonly expression: string;
  /** Files that it excludes, and the nearest that it does not; `tag` makes several of each. */
  readonly out: (tag: string) => readonly string[];
  readonly kept: (tag: string) => readonly string[];
}

const ROWS: readonly Row[] = [
  // Of the configurations that every package ships, and of others found in public places.
  row(
    '(.*)\\.gz',
    (t) => [`${t}.gz`, `files/${t}.tar.gz`, `dir.gz/${t}`],
    (t) => [`${t}.gz.txt`, `${t}gz`],
  ),
  row(
    '(.*)\\.svn',
    (t) => [`.svn/${t}`, `code/.svn/${t}/entries`],
    (t) => [`.svnignore/${t}`, `svn/${t}`],
  ),
  row(
    '(.*)\\.log',
    (t) => [`${t}.log`, `logs/${t}.log`],
    (t) => [`${t}.logx`, `catalog/${t}`],
  ),
  row(
    '.*\\.log',
    (t) => [`deep/er/${t}.log`],
    (t) => [`deep/er/${t}.login`],
  ),
  row(
    '(.*)\\.php',
    (t) => [`${t}.php`, `web/${t}.php`],
    (t) => [`web/${t}.php5`],
  ),
  row(
    '(.*)\\.swp',
    (t) => [`${t}.swp`, `edit/.${t}.swp`],
    (t) => [`edit/${t}swp`],
  ),
  row(
    '(.*)\\.tmp',
    (t) => [`${t}.tmp`, `work.tmp/${t}`],
    (t) => [`work/${t}tmp`],
  ),
  row(
    '(.*)~',
    (t) => [`old~/${t}`, `edit/${t}~/x`],
    (t) => [`edit/~${t}`],
  ),
  row(
    '(.*)/info/*',
    (t) => [`site/info/${t}`],
    (t) => [`site/infos/${t}`],
  ),
  row(
    'info/*',
    (t) => [`info/d/${t}`],
    (t) => [`informal/${t}`],
  ),
  row(
    '^info/*',
    (t) => [`info/${t}`],
    (t) => [`information/${t}`],
  ),
  row(
    '^static/*',
    (t) => [`static/${t}`, `static/d/${t}`],
    (t) => [`statics/${t}`, `web/static/${t}`],
  ),
  row(
    '^data/*',
    (t) => [`data/${t}`],
    (t) => [`database/${t}`, `site/data/${t}`],
  ),
  row(
    '^cache/*',
    (t) => [`cache/${t}`],
    (t) => [`caches/${t}`],
  ),
  row(
    '.*/cache/.*',
    (t) => [`app/cache/${t}`, `app/cache/d/${t}`],
    (t) => [`app/cached/${t}`],
  ),
  row(
    '.*/Cache/.*',
    (t) => [`app/Cache/${t}`],
    (t) => [`app/CACHE/${t}`],
  ),
  row(
    '.*/backupfiles/.*',
    (t) => [`app/backupfiles/${t}`],
    (t) => [`backupfiles/${t}`],
  ),
  row(
    '.*\\.db',
    (t) => [`${t}.db`, `app/${t}.db`],
    (t) => [`app/${t}.dbf`],
  ),
  row(
    '.*\\.svn',
    (t) => [`lib/.svn/${t}`],
    (t) => [`lib/svn.${t}`],
  ),
  row(
    '\\.sersync',
    (t) => [`.sersync/${t}`],
    (t) => [`app/.sersync/${t}`],
  ),
  row(
    '^\\.git',
    (t) => [`.git/${t}`, `.git/refs/${t}`],
    (t) => [`.github/${t}`, `app/.git/${t}`],
  ),
  // Boost's and Perl's syntax.
  row(
    'run/[[:digit:]]+',
    (t) => [`run/1${code(t)}`],
    (t) => [`run/1${code(t)}a`],
  ),
  row(
    'run/[^[:alnum:]]+[a-z-]*',
    (t) => [`run/_-${t}`],
    (t) => [`run/${t}_`],
  ),
  row(
    'up/[[:upper:]]{2}.*',
    (t) => [`up/AB${t}`],
    (t) => [`up/Ab${t}`],
  ),
  row(
    '(img|pic)/.*\\.(jpe?g|png)',
    (t) => [`img/${t}.jpg`, `pic/${t}.png`],
    (t) => [`img/${t}.gif`, `pix/${t}.png`],
  ),
  row(
    'a|b',
    (t) => [`a/${t}`, `b/${t}`],
    (t) => [`ab/${t}`, `c/a/${t}`],
  ),
  row(
    '^only/this$',
    (t) => [`only/this/${t}`],
    (t) => [`only/this${t}`],
  ),
  row(
    'only/that/',
    (t) => [`only/that/${t}`],
    (t) => [`only/that${t}`],
  ),
  row(
    '(?!keep/).*\\.iso',
    (t) => [`isos/${t}.iso`],
    (t) => [`keep/${t}.iso`],
  ),
  row(
    '(.)\\1/.*',
    (t) => [`xx/${t}`],
    (t) => [`xy/${t}`],
  ),
  row(
    'v\\d+\\.\\d+/.*',
    (t) => [`v1.20/${t}`],
    (t) => [`v1/${t}`],
  ),
  row(
    '[^/]+/target/.*',
    (t) => [`one/target/${t}`],
    (t) => [`one/two/target/${t}`],
  ),
  row(
    '.*/node_modules',
    (t) => [`js/node_modules/${t}`],
    (t) => [`js/node_modules.${t}`],
  ),
  row(
    'x{3}.*',
    (t) => [`xxx${t}`],
    (t) => [`xx-${t}`],
  ),
  row(
    'with blank/.*',
    (t) => [`with blank/${t}`],
    (t) => [`with  blank/${t}`],
  ),
  row(
    'quote"&<>/.*',
    (t) => [`quote"&<>/${t}`],
    (t) => [`quote&/${t}`],
  ),
  row(
    '图片/.*',
    (t) => [`图片/${t}`],
    (t) => [`图片库/${t}`],
  ),
  row(
    '名./临时',
    (t) => [`名字/临时/${t}`, `名😀/临时/${t}`],
    (t) => [`名/临时/${t}`],
  ),
  row(
    'star\\*/.*',
    (t) => [`star*/${t}`],
    (t) => [`star/${t}`],
  ),
  // Without a bound this would take longer than the sun lasts, for the name that it does not match.
  row(
    '(a+)+\\.never',
    (t) => [`aaaa.never/${t}`],
    (t) => [`${'a'.repeat(200)}.n/${t}`],
  ),
];

function row(expression: string, out: Row['out'], kept: Row['kept']): Row {
  return { expression, out, kept };
}

/** A tag in digits. */
function code(tag: string): string {
  return [...Buffer.from(tag)].join('');
}

const outOf = (tag: string): string[] => ROWS.flatMap(({ out }) => out(tag));
const keptOf = (tag: string): string[] => ROWS.flatMap(({ kept }) => kept(tag));
const EXCLUDES = ROWS.map(({ expression }) => expression);

describe('the 40 expressions', () => {
  // As the program does (main.ts).
  setFlagsFromString('--enable-experimental-regexp-engine-on-excessive-backtracks');

  test.each(ROWS)('$expression excludes its own names and nothing else', ({ expression, out, kept }) => {
    const filter = createFilter({ excludes: [expression] });
    expect(out('t').map((name) => [name, filter.isExcluded(fromText(name), false)])).toEqual(
      out('t').map((name) => [name, true]),
    );
    expect(keptOf('t').filter((name) => filter.isExcluded(fromText(name), false))).toEqual([]);
    expect(kept('t')).not.toEqual([]);
  });

  test('are 40', () => {
    expect(new Set(EXCLUDES).size).toBe(40);
  });
});

let bench: TestBench;
let remote: string;

beforeEach(async () => {
  bench = new TestBench('filters');
  const [daemon] = await bench.startDaemons(1);
  remote = daemon!.path();
});
afterEach(() => bench.close());

test('-r and changes neither send nor delete what is excluded, and miss nothing else', async () => {
  plantAll();
  const sersync = await bench.startSersync({ excludes: EXCLUDES, params: '-artz' });
  await sersync.waitForLog('resync:finished', {}, 60_000);
  await settled(sersync);
  expectPlanted();

  for (const name of [...outOf('new'), ...keptOf('new')]) write(bench.source, name, 'new');
  for (const name of [...outOf('both'), ...keptOf('both')]) write(bench.source, name, 'changed');
  await settled(sersync);
  expect(absent(remote, keptOf('new'))).toEqual([]);
  expect(present(remote, outOf('new'))).toEqual([]);
  expect(keptOf('both').filter((name) => read(remote, name) !== 'changed')).toEqual([]);
  expect(outOf('both').filter((name) => read(remote, name) !== 'of the remote alone')).toEqual([]);

  for (const name of [...outOf('both'), ...keptOf('both')]) rmSync(join(bench.source, name));
  await settled(sersync);
  expect(present(remote, keptOf('both'))).toEqual([]);
  expect(absent(remote, outOf('both'))).toEqual([]);

  // Directories that go, by one and by all, take nothing with them that is excluded.
  for (const name of ['files', 'app', 'site'])
    renameSync(join(bench.source, name), join(bench.source, `${name}-moved`));
  for (const name of ['web', 'run', '名字', 'deep']) rmSync(join(bench.source, name), { recursive: true });
  await settled(sersync);
  expect(absent(remote, [...outOf('both'), ...outOf('there')])).toEqual([]);
  expect(present(remote, ['run/here_', 'app/cached/here', 'web/here.php5', 'site/data/here'])).toEqual([]);
  expect(absent(remote, ['app-moved/cached/here', 'site-moved/data/here'])).toEqual([]);
  expect(present(remote, ['app-moved/cache/here', 'files-moved/here.tar.gz', 'site-moved/info/here'])).toEqual([]);
  expect((await readStatus(sersync.stateDirectory)).roots[0]?.remotes[0]).toMatchObject({ lagMs: 0, retrying: 0 });
  expect(sersync.events('path:failed')).toEqual([]);
});

test('crontab does so as well, with its own patterns and the rules of the params beside', async () => {
  write(bench.source, 'list-of-rules', '*.byfile\n');
  plantAll();
  const mine = ['c.crontab', 'only-there/c.crontab', 'byrule/x', 'a.byfile', 'protected.p'];
  for (const name of [...mine, 'only-there/goes']) write(remote, `d/${name}`, 'of the remote alone');
  for (const name of ['c2.crontab', 'byrule/y', 'b.byfile', 'sent.p'])
    write(bench.source, `d/${name}`, 'of the source');
  const sersync = await bench.startSersync({
    args: [],
    excludes: EXCLUDES,
    params: `-artz --exclude=/d/byrule/ --exclude-from=${join(bench.source, 'list-of-rules')} -f 'P *.p'`,
    crontab: { schedule: '*/2 * * * * *', excludes: ['*.crontab'] },
  });
  await sersync.waitForLog('resync:finished', { reason: 'crontab' }, 60_000);
  await settled(sersync);
  expectPlanted();
  expect(
    absent(
      remote,
      mine.map((name) => `d/${name}`),
    ),
  ).toEqual([]);
  expect(absent(remote, ['d/sent.p'])).toEqual([]);
  expect(present(remote, ['d/byrule/y', 'd/b.byfile', 'd/only-there/goes'])).toEqual([]);

  // A change is none of the crontabfilter's business.
  write(bench.source, 'd/c3.crontab', 'new');
  write(bench.source, 'd/c.byfile', 'new');
  rmSync(join(bench.source, 'd/sent.p'));
  await settled(sersync);
  expect(absent(remote, ['d/c3.crontab', 'd/sent.p'])).toEqual([]);
  expect(present(remote, ['d/c.byfile'])).toEqual([]);
  rmSync(join(bench.source, 'd'), { recursive: true });
  await settled(sersync);
  expect(absent(remote, ['d/byrule/x', 'd/a.byfile', 'd/protected.p', 'd/sent.p'])).toEqual([]);
  expect(present(remote, ['d/c3.crontab'])).toEqual([]);
});

/** Each name in the source alone, on the remote alone, and on both with other content. */
function plantAll(): void {
  for (const name of [...outOf('here'), ...keptOf('here')]) write(bench.source, name, 'of the source');
  for (const name of [...outOf('there'), ...keptOf('there')]) write(remote, name, 'of the remote alone');
  for (const name of [...outOf('both'), ...keptOf('both')]) {
    write(bench.source, name, 'of the source');
    write(remote, name, 'of the remote alone');
  }
}

function expectPlanted(): void {
  expect(present(remote, outOf('here'))).toEqual([]);
  expect(absent(remote, outOf('there'))).toEqual([]);
  expect(outOf('both').filter((name) => read(remote, name) !== 'of the remote alone')).toEqual([]);
  expect(absent(remote, keptOf('here'))).toEqual([]);
  expect(present(remote, keptOf('there'))).toEqual([]);
  expect(keptOf('both').filter((name) => read(remote, name) !== 'of the source')).toEqual([]);
}

let markers = 0;

/** All that was changed until now has been seen and brought over, or left alone. */
async function settled(sersync: SersyncProcess): Promise<void> {
  const marker = `marker-${++markers}`;
  write(bench.source, marker, '');
  await eventually(
    async () => {
      if (!existsSync(join(remote, marker))) return false;
      const status = (await readStatus(sersync.stateDirectory)).roots[0]?.remotes[0];
      return status?.pending === 0 && status.inFlight === 0;
    },
    { withinMs: 30_000, everyMs: 50 },
    () => sersync.transcript(),
  );
}

function write(root: string, name: string, content: string): void {
  mkdirSync(dirname(join(root, name)), { recursive: true });
  writeFileSync(join(root, name), content);
}

function read(root: string, name: string): string | undefined {
  return existsSync(join(root, name)) ? readFileSync(join(root, name), 'utf8') : undefined;
}

function present(root: string, names: readonly string[]): string[] {
  return names.filter((name) => existsSync(join(root, name)));
}

function absent(root: string, names: readonly string[]): string[] {
  return names.filter((name) => !existsSync(join(root, name)));
}
