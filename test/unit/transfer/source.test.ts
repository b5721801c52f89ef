import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { fromBytes, fromText, ROOT, toBytes } from '../../../src/core/relative-path.js';
import { identify, Source } from '../../../src/transfer/source.js';

let top: string;
let root: string;
let source: Source;

beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'source-'));
  root = join(top, 'root');
  mkdirSync(root);
  source = new Source(fromText(root));
});

afterEach(() => {
  rmSync(top, { recursive: true, force: true });
});

describe('a root that is pinned', () => {
  beforeEach(() => {
    writeFileSync(join(root, 'old'), '');
    source.pin();
    renameSync(root, `${root}-aside`);
    mkdirSync(root);
    writeFileSync(join(root, 'new'), '');
  });

  afterEach(() => {
    source.unpin();
  });

  test.skipIf(process.platform !== 'linux')('is the same directory, whatever takes its place', () => {
    expect(source.look('old').kind).toBe('file');
    expect(source.look('new').kind).toBe('missing');
  });

  test('is what stands there when it is pinned no more, or once more', () => {
    source.unpin();
    expect(source.look('new').kind).toBe('file');
    source.pin();
    expect(source.look('old').kind).toBe('missing');
  });

  test('is looked at by its path where it cannot be opened', () => {
    rmSync(root, { recursive: true });
    source.pin();
    expect(source.look('new').kind).toBe('missing');
    mkdirSync(root);
    writeFileSync(join(root, 'new'), '');
    expect(source.look('new').kind).toBe('file');
  });
});

describe('a look at a name', () => {
  test('tells what it is, and the size of an ordinary file', () => {
    writeFileSync(join(root, 'f'), '12345');
    mkdirSync(join(root, 'd'));
    symlinkSync('f', join(root, 'l'));
    linkSync(join(root, 'f'), join(root, 'second'));
    expect(source.look('f')).toMatchObject({ kind: 'file', size: 5, linkedInode: expect.any(Number) as number });
    expect(source.look('second')).toMatchObject({ kind: 'file', size: 5, linkedInode: expect.any(Number) as number });
    expect(source.look('d')).toMatchObject({ kind: 'directory', size: 0 });
    expect(source.look(ROOT)).toMatchObject({ kind: 'directory', size: 0 });
    expect(source.look('x')).toEqual({ kind: 'missing', size: 0 });
  });

  test('tells when it was written and when it was changed', () => {
    writeFileSync(join(root, 'f'), '');
    utimesSync(join(root, 'f'), 1, 2);
    const { mtimeMs, ctimeMs } = source.look('f');
    expect(mtimeMs).toBe(2_000);
    expect(ctimeMs).toBe(lstatSync(join(root, 'f')).ctimeMs);
  });

  test('follows no link, whatever it points to', () => {
    symlinkSync('/', join(root, 'out'));
    symlinkSync('nowhere', join(root, 'broken'));
    symlinkSync('loop', join(root, 'loop'));
    for (const name of ['out', 'broken', 'loop'])
      expect(source.look(name), name).toMatchObject({ kind: 'other', size: 0 });
  });

  test('says missing of a name that cannot be there', () => {
    writeFileSync(join(root, 'f'), '');
    symlinkSync('loop', join(root, 'loop'));
    expect(source.look('f/below/a/file').kind).toBe('missing');
    expect(source.look('loop/x').kind).toBe('missing');
    expect(source.look('n'.repeat(300)).kind).toBe('missing');
  });

  test('finds names that are not UTF-8', () => {
    const gbk = fromBytes(Buffer.from([0xb1, 0xa8, 0x2e, 0x74, 0x78, 0x74]));
    writeFileSync(Buffer.concat([Buffer.from(`${root}/`), toBytes(gbk)]), 'x');
    expect(source.look(gbk)).toMatchObject({ kind: 'file', size: 1 });
    expect(source.look(gbk).linkedInode).toBeUndefined();
    expect(source.children(ROOT)).toEqual([{ path: gbk, isDirectory: false }]);
  });

  test('works where the root has a name in another alphabet', () => {
    const other = join(top, '数据');
    mkdirSync(join(other, '目录'), { recursive: true });
    const moved = new Source(fromText(other));
    expect(moved.look(fromText('目录')).kind).toBe('directory');
    expect(moved.children(ROOT)).toEqual([{ path: fromText('目录'), isDirectory: true }]);
    expect(identify(fromText(other))).toBeDefined();
  });
});

describe('the names in a directory', () => {
  test('come with their path; a link to a directory is none', () => {
    mkdirSync(join(root, 'd/e'), { recursive: true });
    writeFileSync(join(root, 'd/f'), '');
    symlinkSync('e', join(root, 'd/l'));
    const byPath = source.children('d').sort((one, other) => (one.path < other.path ? -1 : 1));
    expect(byPath).toEqual([
      { path: 'd/e', isDirectory: true },
      { path: 'd/f', isDirectory: false },
      { path: 'd/l', isDirectory: false },
    ]);
  });

  test('are none where there is no directory', () => {
    writeFileSync(join(root, 'f'), '');
    const unreadable: string[] = [];
    expect(source.children('f', (error) => unreadable.push(error))).toEqual([]);
    expect(source.children('x/y', (error) => unreadable.push(error))).toEqual([]);
    expect(unreadable).toEqual([]);
  });

  test('are none where the directory cannot be read, and that is told', () => {
    const unreadable: string[] = [];
    expect(source.children('n'.repeat(300), (error) => unreadable.push(error))).toEqual([]);
    expect(unreadable).toEqual([expect.stringContaining('ENAMETOOLONG')]);
  });
});

describe('the root', () => {
  test('is known again when it is back, and no other directory at its path is taken for it', () => {
    const identity = source.identity();
    expect(identity).toMatch(/^\d+:\d+:\d+$/);

    renameSync(root, join(top, 'aside'));
    expect(source.identity()).toBeUndefined();
    mkdirSync(root);
    expect(source.identity()).not.toBe(identity);
    rmSync(root, { recursive: true });
    writeFileSync(root, '');
    expect(source.identity()).toBeUndefined();

    rmSync(root);
    renameSync(join(top, 'aside'), root);
    expect(source.identity()).toBe(identity);
  });

  test('is known by its birth, and by its device only where there is none', () => {
    const [device, , birth] = source.identity()?.split(':') ?? [];
    expect(device === '0').toBe(birth !== '0');
  });

  test('stays the same directory whatever happens in it', () => {
    const identity = source.identity();
    writeFileSync(join(root, 'new'), '');
    chmodSync(root, 0o700);
    expect(source.identity()).toBe(identity);
  });

  test('has no identity through a link: the real path is watched', () => {
    symlinkSync(root, join(top, 'link'));
    expect(identify(fromText(join(top, 'link')))).toBeUndefined();
  });

  test('is empty when it holds no name at all, hidden ones included', () => {
    expect(source.isEmpty()).toBe(true);
    writeFileSync(join(root, '.hidden'), '');
    expect(source.isEmpty()).toBe(false);
  });

  test('may be the root of the whole system', () => {
    const whole = new Source('/');
    expect(whole.look('tmp').kind).toBe('directory');
    expect(whole.children(ROOT).map(({ path }) => path)).toContain('tmp');
  });

  test.skipIf(process.getuid?.() === 0)('says of what may not be looked at that it may be there', () => {
    mkdirSync(join(root, 'closed'));
    chmodSync(join(root, 'closed'), 0o000);
    expect(source.look('closed/x')).toEqual({ kind: 'other', size: 0 });
    chmodSync(join(root, 'closed'), 0o700);
  });
});
