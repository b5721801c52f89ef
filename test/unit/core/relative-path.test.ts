import { describe, expect, test } from 'vitest';
import {
  ancestorAt,
  ancestorsOf,
  commonAncestor,
  commonDirectory,
  decode,
  display,
  fromBytes,
  fromText,
  isBelow,
  isPlain,
  join,
  levelsBelow,
  lastSlashIn,
  nameOf,
  parentOf,
  pathIn,
  ROOT,
  toBytes,
} from '../../../src/core/relative-path.js';

describe('bytes', () => {
  test('every byte of a name survives the way to a path and back', () => {
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    expect(toBytes(fromBytes(bytes)).equals(bytes)).toBe(true);
  });

  test('a view into a larger buffer is read within its bounds', () => {
    const whole = new Uint8Array([0x61, 0x62, 0x63, 0x64]);
    expect(fromBytes(whole.subarray(1, 3))).toBe('bc');
  });

  test('text that was typed becomes its UTF-8 bytes, and reads the same again', () => {
    expect(toBytes(fromText('报告.txt')).toString('utf8')).toBe('报告.txt');
    expect(decode(fromText('报告.txt'))).toBe('报告.txt');
  });

  test('a name that is not UTF-8 is shown byte by byte', () => {
    const gbk = fromBytes(Buffer.from([0xb1, 0xa8, 0xb8, 0xe6]));
    expect(decode(gbk)).toBe(gbk);
    expect(display(gbk)).toBe('\\#261\\#250\\#270\\#346');
  });
});

describe('display', () => {
  test.each([
    { why: 'the root is a dot', path: ROOT, shown: '.' },
    { why: 'plain names are as they are', path: "a b/it's", shown: "a b/it's" },
    { why: 'UTF-8 is as it is', path: fromText('ä/报'), shown: 'ä/报' },
    { why: 'a newline is escaped, so that a log line stays one', path: 'a\nb', shown: 'a\\#012b' },
    { why: 'a terminal gets no escape sequence', path: '\x1b[31m', shown: '\\#033[31m' },
    { why: 'control characters are escaped beside UTF-8', path: fromText('ä\t'), shown: 'ä\\#011' },
  ])('$why', ({ path, shown }) => {
    expect(display(path)).toBe(shown);
  });
});

describe('the parts of a path', () => {
  test.each([
    { path: ROOT, parent: ROOT, name: '', above: [] },
    { path: 'a', parent: ROOT, name: 'a', above: [] },
    { path: 'a/b', parent: 'a', name: 'b', above: ['a'] },
    { path: 'a/b/c', parent: 'a/b', name: 'c', above: ['a', 'a/b'] },
  ])('"$path"', ({ path, parent, name, above }) => {
    expect(parentOf(path)).toBe(parent);
    expect(nameOf(path)).toBe(name);
    expect([...ancestorsOf(path)]).toEqual(above);
    expect(lastSlashIn(path)).toBe(path.lastIndexOf('/'));
    expect(lastSlashIn(path, 2)).toBe(path.slice(0, 2).lastIndexOf('/'));
    if (path !== ROOT) expect(join(parent, name)).toBe(path);
  });

  test.each([
    { path: 'a', ancestor: ROOT, below: true, levels: 1 },
    { path: 'a/b', ancestor: ROOT, below: true, levels: 2 },
    { path: 'a/b', ancestor: 'a', below: true, levels: 1 },
    { path: 'a/b/c/d', ancestor: 'a/b', below: true, levels: 2 },
    { path: 'a', ancestor: 'a', below: false, levels: 0 },
    { path: ROOT, ancestor: ROOT, below: false, levels: 0 },
  ])('"$path" lies $levels levels below "$ancestor"', ({ path, ancestor, below, levels }) => {
    expect(isBelow(path, ancestor)).toBe(below);
    if (below) expect(levelsBelow(path, ancestor)).toBe(levels);
  });

  test('the directory at a depth stands above the path, never at it', () => {
    expect([0, 1, 2, 3].map((depth) => ancestorAt('a/b/c', depth))).toEqual([ROOT, 'a', 'a/b', undefined]);
    expect(ancestorAt(ROOT, 0)).toBeUndefined();
  });

  test('a name that only begins like a directory is not below it', () => {
    expect(isBelow('ab', 'a')).toBe(false);
    expect(isBelow('a-b/c', 'a')).toBe(false);
    expect(isBelow('a', 'a/b')).toBe(false);
    expect(isBelow(ROOT, 'a')).toBe(false);
  });
});

describe('what paths have in common', () => {
  test.each([
    ['a/b', 'a/b', 'a/b'],
    ['a/b', 'a/b/c', 'a/b'],
    ['a/b/c', 'a/b', 'a/b'],
    ['a/bc', 'a/b', 'a'],
    ['a', 'b', ROOT],
    [ROOT, 'a', ROOT],
  ])('of %j and %j it is %j', (one, other, common) => {
    expect(commonAncestor(one, other)).toBe(common);
  });

  test.each([
    [['a/b/c'], 'a/b'],
    [['a/b/c', 'a/b/d/e'], 'a/b'],
    [['a/b', 'a/b/c'], 'a'],
    [['a/b/c', 'a/b'], 'a'],
    [['a/b/c', 'a/bc/d'], 'a'],
    [['a/b', 'c'], ROOT],
    [['a'], ROOT],
    [[], ROOT],
  ])('%j lie in %j', (paths, directory) => {
    expect(commonDirectory(paths)).toBe(directory);
  });
});

test('the empty path in a directory is that directory', () => {
  expect(pathIn('a', '')).toBe('a');
  expect(pathIn('a', 'b/c')).toBe('a/b/c');
  expect(pathIn(ROOT, 'b')).toBe('b');
});

test.each([
  ['a/b-1_2.txt', true],
  [fromText('目录/报告'), true],
  ['a b', false],
  ['a*', false],
  ['$a', false],
  ['\xb1\xa8', false],
])('whether %j is plain: %j', (path, plain) => {
  expect(isPlain(path)).toBe(plain);
});
