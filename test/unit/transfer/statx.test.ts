import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fromBytes, fromText, toBytes, type RelativePath } from '../../../src/core/relative-path.js';
import { foundByNode } from '../../../src/transfer/source.js';
import { loadStatx } from '../../../src/transfer/statx.js';

const NOBODY = 65_534;
const GBK = fromBytes(Buffer.from([0xb1, 0xa8, 0x2e, 0x74, 0x78, 0x74]));

describe.runIf(process.platform === 'linux')('statx says the same as Node', () => {
  let top: string;
  const at = (name: RelativePath): RelativePath => `${fromText(top)}/${name}`;
  const statx = process.platform === 'linux' ? loadStatx() : foundByNode;

  beforeAll(() => {
    top = mkdtempSync(join(tmpdir(), 'statx-'));
    mkdirSync(join(top, 'directory/below'), { recursive: true });
    writeFileSync(join(top, 'empty'), '');
    writeFileSync(join(top, 'file'), '12345');
    writeFileSync(join(top, 'one'), '1');
    linkSync(join(top, 'one'), join(top, 'another'));
    writeFileSync(join(top, 'huge'), '');
    truncateSync(join(top, 'huge'), 2 ** 33 + 5);
    writeFileSync(join(top, 'old'), '');
    utimesSync(join(top, 'old'), -1_000.25, -1_000.25);
    writeFileSync(join(top, 'future'), '');
    utimesSync(join(top, 'future'), 5e9, 5e9 + 0.125);
    writeFileSync(join(top, '报告.txt'), 'x');
    writeFileSync(toBytes(at(GBK)), 'xy');
    writeFileSync(join(top, 'new\nline'), '');
    symlinkSync('file', join(top, 'link'));
    symlinkSync('nowhere', join(top, 'broken'));
    symlinkSync('loop', join(top, 'loop'));
    spawnSync('mkfifo', [join(top, 'pipe')]);
  });

  afterAll(() => {
    rmSync(top, { recursive: true, force: true });
  });

  test.each<[what: string, name: RelativePath, kind: string]>([
    ['a directory', 'directory', 'directory'],
    ['a directory with a slash at its end', 'directory/', 'directory'],
    ['an empty file', 'empty', 'file'],
    ['a file', 'file', 'file'],
    ['a file with two names', 'one', 'file'],
    ['its other name', 'another', 'file'],
    ['a file of more than 4 GiB', 'huge', 'file'],
    ['a file from before 1970', 'old', 'file'],
    ['a file from after 2106', 'future', 'file'],
    ['a name in another alphabet', fromText('报告.txt'), 'file'],
    ['a name that is not UTF-8', GBK, 'file'],
    ['a name of two lines', 'new\nline', 'file'],
    ['a link', 'link', 'other'],
    ['a link to nothing', 'broken', 'other'],
    ['a link to itself', 'loop', 'other'],
    ['a pipe', 'pipe', 'other'],
    ['what is not there', 'none', 'missing'],
    ['what is not there, in another alphabet', fromText('没有'), 'missing'],
    ['what stands in a directory that is not there', 'none/none', 'missing'],
  ])('of %s', (_, name, kind) => {
    expect(statx(at(name))).toEqual(foundByNode(at(name)));
    expect(statx(at(name))?.kind).toBe(kind);
  });

  test.each([
    '/',
    '/dev/null',
    '/proc/self',
    '/proc/self/status',
    '/proc/self/fd/0',
    '/dev/shm',
    '/sys',
    '/etc/passwd',
  ])('of %s', (path) => {
    const { kind, size } = foundByNode(path);
    expect(statx(path)).toMatchObject({ kind, size });
  });

  test('of a socket', async () => {
    const server = createServer().listen(join(top, 'socket'));
    await new Promise((resolve) => server.once('listening', resolve));
    expect(statx(at('socket'))).toEqual(foundByNode(at('socket')));
    expect(statx(at('socket'))?.kind).toBe('other');
    server.close();
  });

  test('of names that were written one after the other, each at a time of its own', () => {
    for (let index = 0; index < 500; index++) {
      writeFileSync(join(top, `directory/${index}`), 'x'.repeat(index));
      utimesSync(join(top, `directory/${index}`), index, index * 1_234_567.891);
      expect(statx(at(`directory/${index}`)), `${index}`).toEqual(foundByNode(at(`directory/${index}`)));
    }
  });

  test('with the fractions of a millisecond, and the inode', () => {
    const stats = lstatSync(join(top, 'one'));
    const { mtimeMs, ctimeMs, ino: linkedInode } = stats;
    expect(statx(at('one'))).toEqual({ kind: 'file', size: 1, linkedInode, mtimeMs, ctimeMs });
  });

  test.each([
    ['below a file', 'file/below/x'],
    ['below a link to itself', 'loop/x'],
    ['too long', 'n'.repeat(300)],
    ['too long as a path', 'n/'.repeat(3_000)],
    ['holding what ends a path', 'file\0x'],
    ['holding what ends a path, in another alphabet', fromText('报告.txt\0x')],
  ])('or nothing, of a name that is %s', (_, name) => {
    expect(statx(at(name))).toBeUndefined();
  });

  test('or nothing, of what may not be looked at', () => {
    writeFileSync(join(top, 'directory/below/secret'), '');
    chmodSync(join(top, 'directory/below'), 0o000);
    chmodSync(top, 0o755);
    const isRoot = process.getuid?.() === 0;
    if (isRoot) process.seteuid?.(NOBODY);
    try {
      expect(statx(at('directory/below/secret'))).toBeUndefined();
      expect(foundByNode(at('directory/below/secret'))).toEqual({ kind: 'other', size: 0 });
      expect(statx(at('directory/below'))?.kind).toBe('directory');
    } finally {
      if (isRoot) process.seteuid?.(0);
      chmodSync(join(top, 'directory/below'), 0o755);
    }
  });
});
