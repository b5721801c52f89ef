import { describe, expect, test } from 'vitest';
import { createFilter, type Filter } from '../../../src/core/filter.js';
import { fromText } from '../../../src/core/relative-path.js';

function filterOf(excludes: readonly string[], patterns: readonly string[] = []): Filter {
  return createFilter({ excludes, patterns });
}

/** A path as typed; a slash at its end makes it a directory. */
function isExcluded(filter: Filter, text: string): boolean {
  const isDirectory = text.endsWith('/') || text === '';
  return filter.isExcluded(fromText(isDirectory ? text.slice(0, -1) : text), isDirectory);
}

describe('<filter> expressions', () => {
  test.each<{ why: string; excludes: string[]; out: string[]; in: string[] }>([
    {
      why: 'an expression must match the whole path',
      excludes: ['tmp'],
      out: ['tmp', 'tmp/', 'tmp/a', 'tmp/a/b/'],
      in: ['tmpx', 'xtmp', 'a/tmp', 'a/tmp/b'],
    },
    {
      why: '^info/* of the sample file excludes the directory info and everything below it',
      excludes: ['^info/*'],
      out: ['info/', 'info/a', 'info/a/b/c', 'info'],
      in: ['information', 'information/a', 'a/info/', 'a/info/b'],
    },
    {
      why: 'an expression that ends with a slash excludes the directory, not a file of that name',
      excludes: ['^static/'],
      out: ['static/', 'static/a', 'static/a/b'],
      in: ['static', 'astatic/'],
    },
    {
      why: '(.*)\\.gz excludes by ending, at every level',
      excludes: ['(.*)\\.gz'],
      out: ['a.gz', 'd/a.gz', 'd.gz/', 'd.gz/file', '.gz'],
      in: ['a.gz.txt', 'agz', 'd/agz'],
    },
    {
      why: 'alternatives are anchored as a whole',
      excludes: ['a|b'],
      out: ['a', 'b', 'a/', 'b/c'],
      in: ['ab', 'xa', 'bx', 'c/a'],
    },
    {
      why: 'a name with a newline is text like any other',
      excludes: ['(.*)\\.log'],
      out: ['a\nb.log', '\n.log'],
      in: ['a.log\n'],
    },
    {
      why: 'several expressions: one that matches is enough',
      excludes: ['x', 'y/.*'],
      out: ['x', 'y/', 'y/z', 'x/z'],
      in: ['y', 'z'],
    },
    {
      why: 'an expression that is no regular expression is left out and the others work',
      excludes: ['*(', 'x'],
      out: ['x'],
      in: ['*(', 'y'],
    },
    {
      why: 'text is Unicode, and a dot is one character of any plane',
      excludes: ['图片/.', '..\\.tmp', 'é+'],
      out: ['图片/a', '图片/丁', '图片/😀', '目录.tmp', '😀a.tmp', 'é', 'éé'],
      in: ['图片/ab', '目.tmp', '图片/', 'e'],
    },
    {
      why: 'an escape that Unicode mode forbids works on ASCII and on other text',
      excludes: ['a\\-b', '日\\-本'],
      out: ['a-b', '日-本'],
      in: ['ab', '日本'],
    },
    {
      why: "boost's named classes are classes",
      excludes: ['[[:digit:]]+', 'x[^[:alpha:]_]', 'p[[:punct:][:u:]]', '[]b]c', '[^]]e'],
      out: ['123', '123/', 'x1', 'x-', 'p[', 'p!', 'pQ', ']c', 'bc', 'xe'],
      in: ['d', 'digit', '12a', 'xa', 'x_', 'pa', 'p9', 'ac', ']e'],
    },
    {
      why: 'a named class outside of a set is a set of letters, as in Perl, and one behind a backslash is text',
      excludes: ['[:digit:]', '\\[[:digit:]]'],
      out: ['d', ':', '[d]'],
      in: ['1', '[1'],
    },
    {
      why: 'an expression with a class that is not known is left out',
      excludes: ['[[:digits:]]', '[[.hyphen.]]', 'a)|(b'],
      out: [],
      in: ['d', '1', '-', 'a', 'b', 'ab'],
    },
    {
      why: 'a property of Unicode is one in text that is no ASCII',
      excludes: ['\\p{Script=Han}+', '[^文]😀'],
      out: ['图片', 'a😀'],
      in: ['a', '图a', '文😀'],
    },
    { why: 'the root is never excluded', excludes: ['', '.*'], out: ['a', 'a/', 'a/b'], in: [''] },
  ])('$why', ({ excludes, out, in: kept }) => {
    const filter = filterOf(excludes);
    for (const path of out) expect(isExcluded(filter, path), `${path} is excluded`).toBe(true);
    for (const path of kept) expect(isExcluded(filter, path), `${path} is kept`).toBe(false);
  });

  test('a name that is not UTF-8 is matched byte for byte and leaves the names above it readable', () => {
    const filter = filterOf(['图片/.*\\.gz', '(.*)\\.bak']);
    const gbkName = '\xb2\xe2\xca\xd4';
    expect(filter.isExcluded(`${fromText('图片')}/${gbkName}.gz`, false)).toBe(true);
    expect(filter.isExcluded(`${gbkName}.bak`, false)).toBe(true);
    expect(filter.isExcluded(`${gbkName}.txt`, false)).toBe(false);
  });
});

describe('crontabfilter patterns', () => {
  test.each<{ why: string; patterns: string[]; out: string[]; in: string[] }>([
    { why: 'a plain name matches at every level', patterns: ['x'], out: ['x', 'a/x', 'x/', 'a/x/b'], in: ['xa', 'ax'] },
    { why: 'a leading slash anchors at the root', patterns: ['/x'], out: ['x', 'x/', 'x/a'], in: ['a/x', 'a/x/b'] },
    { why: 'a slash at the end is for directories', patterns: ['x/'], out: ['x/', 'a/x/', 'x/a'], in: ['x', 'a/x'] },
    { why: 'a star stops at slashes', patterns: ['/a*z'], out: ['az', 'a-z', 'abcz/'], in: ['a/z', 'a/bz'] },
    { why: 'two stars do not', patterns: ['/a**z'], out: ['az', 'a/z', 'a/b/cz'], in: ['b/az', 'a/b'] },
    {
      why: 'a slash inside matches the last parts',
      patterns: ['a/b'],
      out: ['a/b', 'x/a/b', 'a/b/c'],
      in: ['b', 'a/x/b'],
    },
    { why: 'three stars take the directory too', patterns: ['a/***'], out: ['a/', 'a/b', 'x/a/'], in: ['a', 'b'] },
    { why: 'dir/* leaves the directory itself', patterns: ['a/*'], out: ['a/b', 'a/b/c', 'x/a/b'], in: ['a/', 'a'] },
    { why: 'a backslash escapes a wildcard', patterns: ['a\\*'], out: ['a*'], in: ['ab', 'a\\'] },
    { why: 'a backslash is literal without one', patterns: ['a\\b'], out: ['a\\b'], in: ['ab'] },
    { why: 'text is UTF-8 bytes', patterns: ['图*'], out: ['图', '图片/', '图片/a'], in: ['片图'] },
    { why: '+ in front lets through what comes later', patterns: ['+ a.log', '*.log'], out: ['b.log'], in: ['a.log'] },
    { why: '- in front is the usual exclude', patterns: ['- a'], out: ['a'], in: ['- a', 'b'] },
    { why: 'a lone ! clears what came before', patterns: ['a', '!', 'b'], out: ['b'], in: ['a', '!'] },
    { why: 'an empty pattern is none', patterns: [''], out: [], in: ['a', 'a/', ''] },
    { why: 'the root is never excluded', patterns: ['*', '**', '/***'], out: ['a', 'a/'], in: [''] },
  ])('$why: $patterns', ({ patterns, out, in: kept }) => {
    const filter = filterOf([], patterns);
    for (const path of out) expect(isExcluded(filter, path), `${path} is excluded`).toBe(true);
    for (const path of kept) expect(isExcluded(filter, path), `${path} is kept`).toBe(false);
  });
});

describe('every filter', () => {
  test.each([
    ['nothing configured', filterOf([])],
    ['an expression', filterOf(['never'])],
    ['a pattern', filterOf([], ['never'])],
  ])('drops temporaries but no directory of such a name: %s', (_, filter) => {
    expect(isExcluded(filter, 'a/b.txt~')).toBe(true);
    expect(isExcluded(filter, '4913')).toBe(true);
    expect(isExcluded(filter, 'a/b.txt')).toBe(false);
    expect(isExcluded(filter, 'old~/')).toBe(false);
    expect(isExcluded(filter, 'old~/b.txt')).toBe(false);
  });

  test('gives the same verdict again after it has seen more directories than it remembers', () => {
    const filter = filterOf(['(.*)/secret']);
    for (let round = 0; round < 2; round++) {
      for (let at = 0; at < 12_000; at++) {
        expect(filter.isExcluded(`d${at}/secret/file`, false)).toBe(true);
        expect(filter.isExcluded(`d${at}/open/file`, false)).toBe(false);
      }
    }
  });
});
