import { describe, expect, test } from 'vitest';
import type { RefreshCdnConfig } from '../../../src/config/config.js';
import { Hint } from '../../../src/core/hint.js';
import { formOf } from '../../../src/plugin/http.js';
import { inotifyMask } from '../../../src/plugin/inotify-mask.js';
import { encodeUrlBase, encodeWritten, percentEncode } from '../../../src/plugin/percent-encoding.js';
import { baseOf, type Change } from '../../../src/plugin/plugin.js';
import { createUrls, readAnswer, requestOf } from '../../../src/plugin/refresh-cdn.js';

const GBK = '\xc4\xe3';

function change(path: string, { root = '/data/www', hint = 0 } = {}): Change {
  return { root, path, hint };
}

describe('encoding', () => {
  test.each([
    ['/data/a-b_c.~/d:e,f', '/data/a-b_c.~/d:e,f'],
    ['a b', 'a%20b'],
    ['a&b=c#d?e+f%20', 'a%26b%3Dc%23d%3Fe%2Bf%2520'],
    ['line\nbreak\0', 'line%0Abreak%00'],
    [GBK, '%C4%E3'],
    ['"<>\\^`{|}[]', '%22%3C%3E%5C%5E%60%7B%7C%7D%5B%5D'],
  ])('a value %j becomes %j', (bytes, encoded) => {
    expect(percentEncode(bytes)).toBe(encoded);
  });

  test.each([
    ['p@ss', 'p@ss'],
    ['a&b', 'a%26b'],
    ['a%26b', 'a%26b'],
    ['100%', '100%25'],
    ['a b\r\nHost: x', 'a%20b%0D%0AHost:%20x'],
  ])('what was written %j becomes %j: what had to be encoded by hand is not encoded twice', (written, encoded) => {
    expect(encodeWritten(written)).toBe(encoded);
  });

  test('the beginning of a URL stays but for what cannot stand in a request', () => {
    expect(encodeUrlBase('http://h:80/a?x=1&y=%20 z\n#')).toBe('http://h:80/a?x=1&y=%20%20z%0A%23');
  });
});

describe('the mask of inotify', () => {
  const DIRECTORY = 1_073_741_824;

  test.each<[string, Hint, 'missing' | 'directory' | 'other', number]>([
    ['a file that was written and closed', Hint.created | Hint.closed, 'other', 8],
    ['a file that stays open', Hint.modified, 'other', 2],
    ['a file that was made and is not closed', Hint.created, 'other', 256],
    ['a file that was moved here', Hint.movedTo, 'other', 128],
    ['a file that was removed', Hint.removed, 'missing', 512],
    ['a file that was moved away', Hint.movedFrom, 'missing', 64],
    ['a file that was moved away, is there again and was removed', Hint.movedFrom | Hint.removed, 'missing', 512],
    ['attributes', Hint.attributes, 'other', 4],
    ['a new directory', Hint.created | Hint.directory, 'directory', 256 + DIRECTORY],
    ['a directory that was moved here', Hint.movedTo | Hint.directory, 'directory', 128 + DIRECTORY],
    ['a directory that was removed', Hint.removed | Hint.directory, 'missing', 512 + DIRECTORY],
    ['a file that was found by comparing', 0, 'other', 8],
    ['a directory that was found by comparing', 0, 'directory', 256 + DIRECTORY],
    ['what is gone when it is looked at', Hint.closed, 'missing', 512],
    ['what a watcher cannot tell', Hint.unknown, 'other', 8],
  ])('of %s', (_title, hint, found, mask) => {
    expect(inotifyMask(hint, found)).toBe(mask);
  });
});

describe('the form that http posts', () => {
  test.each<[string, Change, string | undefined, 'missing' | 'directory' | 'other', string]>([
    [
      'of a file',
      change('d/a b', { hint: Hint.closed }),
      undefined,
      'other',
      'watchroot=/data/www&isdir=0&inotifyPath=/data/www/d/a%20b&mask=8',
    ],
    [
      'of a directory that is gone',
      change('d', { hint: Hint.removed | Hint.directory }),
      undefined,
      'missing',
      'watchroot=/data/www&isdir=1&inotifyPath=/data/www/d&mask=1073742336',
    ],
    [
      'of a file below the watch of the section',
      change('sub/f', { hint: Hint.closed }),
      '/data/www/sub',
      'other',
      'watchroot=/data/www/sub&isdir=0&inotifyPath=/data/www/sub/f&mask=8',
    ],
    [
      'of bytes that are no UTF-8',
      change(`${GBK}&x`, { hint: Hint.closed }),
      '/elsewhere',
      'other',
      'watchroot=/data/www&isdir=0&inotifyPath=/data/www/%C4%E3%26x&mask=8',
    ],
  ])('%s', (_title, given, watch, found, form) => {
    expect(formOf(given, watch, found)).toBe(form);
  });
});

test.each([
  ['/data/www', '/data/www/a'],
  ['/data/www/sub', '/data/www/sub/a'],
  ['/data', '/data/www/a'],
  ['/', '/data/www/a'],
])("a path at or below the section's watch %s begins behind it", (watch, absolute) => {
  expect(baseOf({ root: '/data/www', path: absolute.slice(10), hint: 0 }, watch)).toBe(watch);
});

test('any other path begins behind the watched root, also when a name only begins alike', () => {
  expect(baseOf(change('subway/a'), '/data/www/sub')).toBe('/data/www');
  expect(baseOf(change('a'), undefined)).toBe('/data/www');
});

const CDN: RefreshCdnConfig = {
  name: 'refreshCDN',
  host: 'ccms.example',
  port: 80,
  user: 'me',
  password: 'sec&ret',
  base: 'http://pic.example/cms',
};

describe('refreshCDN', () => {
  test.each<[string, Partial<RefreshCdnConfig>, Change, string | undefined]>([
    ['the relative path behind the base', {}, change('a/b.jpg'), 'http://pic.example/cms/a/b.jpg'],
    ['an encoded one', {}, change(`a b/&${GBK}#.jpg`), 'http://pic.example/cms/a%20b/%26%C4%E3%23.jpg'],
    ['that behind its own watch', { watch: '/data/www/site' }, change('site/x'), 'http://pic.example/cms/x'],
    ['all of it below /', {}, change('a', { root: '/' }), 'http://pic.example/cms/a'],
    [
      'the first group and the rest of what the expression finds',
      { base: 'http://', expression: 'cms.xoyo.com/site([/a-zA-Z0-9]*).xoyo.com/images' },
      change('cms.xoyo.com/site/jx3.xoyo.com/images/2009/a.jpg', { root: '/data0/htdocs' }),
      'http:///jx3/2009/a.jpg',
    ],
    ['the rest alone where there is no group', { expression: 'www/' }, change('a'), 'http://pic.example/cmsa'],
    ['nothing where it finds nothing', { expression: 'elsewhere(.*)' }, change('a'), undefined],
  ])('sends %s', (_title, config, given, url) => {
    expect(createUrls({ ...CDN, ...config })(given)).toBe(url);
  });

  test('sends the request of sersync 2.5, byte for byte', () => {
    expect(requestOf(CDN, 'http://pic.example/cms/a.jpg', false)).toBe(
      'HEAD /index.jsp?user=me&pswd=sec%26ret&ok=ok&urls=http://pic.example/cms/a.jpg HTTP/1.0\r\nHost: ccms.example\r\n\r\n',
    );
    expect(requestOf(CDN, 'http://pic.example/cms/d', true)).toContain(
      '&ok=ok&dirs=http://pic.example/cms/d/ HTTP/1.0\r\n',
    );
  });

  test.each<[string, string, ReturnType<typeof readAnswer>]>([
    [
      'that it is accepted',
      'HTTP/1.1 200 OK\r\nServer: x\r\nwhatsup: content="succeed"\r\n\r\n',
      { whatsup: 'content="succeed"' },
    ],
    ['nothing of it', 'HTTP/1.0 200 OK\r\n\r\n', {}],
    [
      'that there were too many',
      'HTTP/1.1 200 OK\nWhatsup:over quota\n\n',
      { error: 'the CDN did not accept it: whatsup: over quota' },
    ],
    ['that it may not', 'HTTP/1.1 403 Forbidden\r\n\r\n', { error: 'the CDN answered with status 403' }],
    ['garbage', '\x00\x01SSH-2.0', { error: 'what the CDN answered is no HTTP' }],
    ['nothing at all', '', { error: 'the CDN hung up without an answer' }],
  ])('understands an answer that says %s', (_title, text, answer) => {
    expect(readAnswer(text)).toEqual(answer);
  });
});
