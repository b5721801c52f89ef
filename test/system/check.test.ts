import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { mutateConfig } from '../support/mutate-config.js';
import { Random } from '../support/random.js';
import { PROGRAM } from '../support/sersync-process.js';
import { TestBench } from '../support/test-bench.js';

let bench: TestBench;

beforeEach(() => {
  bench = new TestBench('check');
});

afterEach(() => bench.close());

const SAMPLE = readFileSync('conf/confxml.xml', 'utf8');
/** How long a file may take that is no configuration; far above what it takes on an idle machine. */
const LIMIT_MS = 10_000;

interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function run(...args: readonly string[]): Outcome {
  const { status, stdout, stderr } = spawnSync(process.execPath, [PROGRAM, ...args], {
    encoding: 'utf8',
    timeout: LIMIT_MS,
    cwd: bench.directory,
  });
  return { code: status, stdout, stderr };
}

function write(name: string, content: string | Buffer): string {
  writeFileSync(bench.path(name), content);
  return bench.path(name);
}

/** The sample for a directory that is there. */
function usable(watch = bench.source): string {
  return SAMPLE.replace('watch="/opt/tongbu"><', `watch="${watch}"><`);
}

interface Report {
  readonly file: string;
  readonly view: { readonly watch: string } | null;
  readonly warnings: readonly { readonly line: number; readonly message: string }[];
  readonly errors: readonly { readonly line: number; readonly message: string; readonly hint?: string }[];
  readonly differences: readonly object[];
}

describe('sersync check', () => {
  it('tells what a usable file means, in lines that fit, and exits with 0', () => {
    const { code, stdout, stderr } = run('check', '-o', write('confxml.xml', usable()));
    expect([code, stderr]).toEqual([0, '']);
    for (const text of ['127.0.0.1::tongbu1', '60 minutes', '120 seconds', 'will not replace a newer one', '2.5:']) {
      expect(stdout.replace(/\s+/g, ' ')).toContain(text);
    }
    // A path without blanks may be longer.
    const long = stdout.split('\n').filter((line) => line.length > 100 && !line.includes(bench.directory));
    expect(long).toEqual([]);
  });

  it('tells each error with its line, and exits with 1', () => {
    const file = write('confxml.xml', usable('/nosuch/dir').replace('name="tongbu1"', 'name=""'));
    const { code, stdout } = run('check', '-o', file);
    expect(code).toBe(1);
    expect(stdout).toMatch(/line 24: the watched directory \/nosuch\/dir does not exist/);
    expect(stdout).toMatch(/line 25: <remote>: name is empty/);
  });

  it('reads confxml.xml in the working directory when no file is named, and a pipe', () => {
    write('confxml.xml', usable());
    expect(run('check').code).toBe(0);
    const { status } = spawnSync('bash', ['-c', `"$0" "$1" check -o <(cat confxml.xml)`, process.execPath, PROGRAM], {
      cwd: bench.directory,
      timeout: LIMIT_MS,
    });
    expect(status).toBe(0);
  });

  it('gives programs one object for a file, and a list for several', () => {
    const one = write('a.xml', usable());
    const two = write('b.xml', usable());
    const report = JSON.parse(run('check', '--json', '-o', one).stdout) as Report;
    expect(Object.keys(report)).toEqual([
      'file',
      'encoding',
      'view',
      'localpaths',
      'warnings',
      'errors',
      'differences',
    ]);
    expect(report.view?.watch).toBe(bench.source);
    const { code, stdout } = run('check', '--json', '-o', one, '-o', two);
    const reports = JSON.parse(stdout) as Report[];
    expect([code, reports.map(({ file }) => file)]).toEqual([0, [one, two]]);
    expect(reports[1]?.warnings.some(({ message }) => message.includes('is also that of'))).toBe(true);
  });

  it('takes -m for a plugin that runs alone: no remote is needed', () => {
    const file = write('confxml.xml', usable().replace(/<remote [^>]*\/>/, ''));
    expect(run('check', '-o', file).code).toBe(1);
    expect(run('check', '-m', 'command', '-o', file).code).toBe(0);
    expect(run('check', '-m', 'nosuch', '-o', file).code).toBe(2);
  });

  it('starts nothing: no state directory, no lock', () => {
    const file = write('confxml.xml', usable());
    const state = bench.path('state');
    spawnSync(process.execPath, [PROGRAM, 'check', '-o', file], { env: { ...process.env, SERSYNC_STATE_DIR: state } });
    expect(existsSync(state)).toBe(false);
  });
});

describe('what is no configuration is refused quickly, with a reason:', () => {
  const entities = Array.from({ length: 30 }, (_, n) => `<!ENTITY e${n + 1} "&e${n};&e${n};">`).join('');
  it.each<[title: string, content: () => Buffer | string, says: RegExp]>([
    [
      'an entity bomb',
      () => `<!DOCTYPE head [<!ENTITY e0 "x">${entities}]><head><debug start="&e30;"/></head>`,
      /document type/,
    ],
    ['an external entity', () => '<!DOCTYPE head [<!ENTITY x SYSTEM "file:///etc/passwd">]><head/>', /document type/],
    ['50 MB of nesting', () => Buffer.alloc(50 * 1024 * 1024, '<a>'), /larger than 4 MB/],
    ['4 MB of nesting', () => Buffer.alloc(4 * 1024 * 1024 - 3, '<a>'), /32 levels/],
    ['4 MB of <', () => Buffer.alloc(4 * 1024 * 1024, '<'), /100000 tags/],
    ['4 MB of attributes', () => `<head ${'a="b" '.repeat(690_000)}`, /500 parts/],
    ['a value of 4 MB', () => `<head><debug start="${'x'.repeat(4_100_000)}"/></head>`, /there is no <localpath>/],
    ['4 MB of quotes', () => Buffer.alloc(4 * 1024 * 1024, `<head a="`), /there is no <localpath>/],
    ['4 MB of comments', () => Buffer.alloc(4 * 1024 * 1024, '<!--'), /never ends/],
    ['4 MB of NUL', () => Buffer.alloc(4 * 1024 * 1024), /there is no <head>/],
  ])('%s', (_title, content, says) => {
    const { code, stdout, stderr } = run('check', '-o', write('confxml.xml', content()));
    expect([code, stderr]).toEqual([1, '']);
    expect(stdout).toMatch(says);
    expect(stdout).not.toContain('root:');
    expect(stdout.length).toBeLessThan(1_000_000);
  });

  it.each<[title: string, path: () => string, says: RegExp]>([
    ['a directory', () => bench.source, /it is a directory/],
    ['a device', () => '/dev/zero', /it is a device/],
    ['a pipe that nobody writes to', () => fifo(), /there is no <head>/],
    ['a file that is not there', () => bench.path('nosuch.xml'), /no such file/],
  ])('%s', (_title, path, says) => {
    const { code, stdout } = run('check', '-o', path());
    expect(code).toBe(1);
    expect(stdout).toMatch(says);
  });

  it('a pipe whose writer says nothing', async () => {
    const path = fifo();
    const holder = spawn('bash', ['-c', 'exec 3<>"$0"; echo open; read -r _', path], {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    try {
      await once(holder.stdout, 'data');
      const { code, stdout } = run('check', '-o', path);
      expect(code).toBe(1);
      expect(stdout).toMatch(/it is a pipe, and nothing comes out of it/);
    } finally {
      holder.kill('SIGKILL');
    }
  });

  const FILES = 30;
  it(`${FILES} mutated files: no stack, no crash, no wait`, () => {
    const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
    const random = new Random(seed);
    for (let number = 0; number < FILES; number++) {
      const bytes = mutateConfig(usable(), random);
      const { code, stdout, stderr } = run('check', '--json', '-o', write('confxml.xml', bytes));
      const which = `SEED=${seed}, file ${number}:\n${bytes.toString('latin1')}\n${stderr}`;
      expect([0, 1], which).toContain(code);
      expect(stderr, which).toBe('');
      const report = JSON.parse(stdout) as Report;
      expect(report.errors.length > 0, which).toBe(code === 1);
    }
  });
});

describe('sersync migrate', () => {
  const second = (): string => {
    const other = bench.path('other');
    mkdirSync(other);
    return usable(other).replace('tongbu1', 'other');
  };

  it('gives one file for several on standard output, and what changes on standard error', () => {
    const one = write('a.xml', usable());
    const two = write('b.xml', second().replace('<ssh start="false"/>', '<ssh start=false/>'));
    const { code, stdout, stderr } = run('migrate', one, two);
    expect(code).toBe(0);
    expect(stderr).toContain('read as <ssh start="false"/>');
    expect(stderr).toContain('is a script with mode 777');
    expect(stderr).toContain('Comments');
    const report = JSON.parse(run('check', '--json', '-o', write('new.xml', stdout)).stdout) as Report & {
      readonly localpaths: readonly { readonly watch: string }[];
    };
    expect(report.errors).toEqual([]);
    expect(report.localpaths.map(({ watch }) => watch)).toEqual([bench.source, bench.path('other')]);
    expect(report.view).toEqual((JSON.parse(run('check', '--json', '-o', one).stdout) as Report).view);
  });

  it('writes it where -o says, and never over a file', () => {
    const one = write('a.xml', usable());
    const made = bench.path('new.xml');
    expect(run('migrate', one, '-o', made).code).toBe(0);
    expect(run('check', '-o', made).code).toBe(0);
    const again = run('migrate', one, '-o', made);
    expect(again.code).toBe(1);
    expect(again.stderr).toContain('is not overwritten');
    expect(run('migrate', one, '-o', one).code).toBe(1);
    expect(readFileSync(one, 'utf8')).toBe(usable());
  });

  it('says why files stay apart, and writes each group into a file of its own', () => {
    const one = write('a.xml', usable());
    const two = write('b.xml', second().replace('"-artuz"', '"-az"'));
    const told = run('migrate', one, two);
    expect([told.code, told.stdout]).toEqual([1, '']);
    expect(told.stderr).toMatch(/b\.xml cannot be joined with .*a\.xml, for they differ in <commonParams params>/);
    expect(run('migrate', one, two, '-o', bench.path('new.xml')).code).toBe(0);
    expect(run('check', '-o', bench.path('new.xml')).code).toBe(0);
    expect(run('check', '-o', bench.path('new-2.xml')).code).toBe(0);
  });

  it('leaves out a file with errors, and says so', () => {
    const { code, stdout, stderr } = run('migrate', write('a.xml', usable()), write('b.xml', '<head/>'));
    expect(code).toBe(1);
    expect(stderr).toMatch(/b\.xml is left out: correct its errors first/);
    expect(stdout).toContain(`watch="${bench.source}"`);
  });

  it('needs a file', () => {
    expect(run('migrate').code).toBe(2);
  });
});

function fifo(): string {
  const path = bench.path('fifo');
  spawnSync('mkfifo', [path]);
  return path;
}
