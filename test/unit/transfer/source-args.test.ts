import { expect, it } from 'vitest';
import { fromText } from '../../../src/core/relative-path.js';
import { namesAsArguments } from '../../../src/transfer/source-args.js';

it.each([
  ['a/b', './a/b'],
  ['-rf', './-rf'],
  ['#x', './#x'],
  ['a:b', './a:b'],
  ['new\nline', './new\nline'],
  [fromText('文件/é'), './文件/é'],
  [fromText('\uFEFFbom'), './\uFEFFbom'],
])('hands %j over as one word that is no option and no remote', (path, argument) => {
  expect(namesAsArguments([path])).toEqual([argument]);
});

it('leaves names that are not UTF-8 to the list, and the names beside them', () => {
  expect(namesAsArguments(['a', '\xd6\xd0\xb9\xfa'])).toBeUndefined();
});

it('leaves more than a command line holds to the list', () => {
  const names = Array.from({ length: 20_000 }, (_, index) => `${'directory/with/a/long/name/'.repeat(4)}${index}`);
  expect(namesAsArguments(names)).toBeUndefined();
  expect(namesAsArguments(names.slice(0, 10_000))).toHaveLength(10_000);
});
