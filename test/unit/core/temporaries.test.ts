import { describe, expect, test } from 'vitest';
import { isDotfile, isTemporary, temporaryRules } from '../../../src/core/temporaries.js';

describe('isDotfile tells what sersync 2.5 passes over', () => {
  test.each(['.', '.env', 'd/.env', '..', 'a~', '~', 'd/4913', '4913'])('%s', (name) => {
    expect(isDotfile(name)).toBe(true);
  });

  test.each(['', 'a', 'a.b', '~a', 'a~b', '4913a', '.d/a', 'd~/a', '4913/a'])('but not %j', (name) => {
    expect(isDotfile(name)).toBe(false);
  });
});

describe('isTemporary', () => {
  test.each([
    '4913',
    'report.txt~',
    '~',
    '.report.txt.swp',
    '.a.swx',
    '.#lock',
    '.nfs000000000123',
    '.goutputstream-ABC123',
    '.report.txt.aB3dEf',
    '.bashrc.Zz9aaa',
    'sedaB3dEf',
    'deep/down/.report.txt.aB3dEf',
    '.\xe9\xff.aB3dEf',
  ])('%s is one', (name) => {
    expect(isTemporary(name)).toBe(true);
  });

  test.each([
    '4913.txt',
    '.bashrc',
    '.env.sample',
    '.env.SAMPLE',
    '.env.Sample',
    '.bashrc.202411',
    '.config.v2beta',
    '.log.2024-1',
    'sedations',
    'sedation1',
    'sedABC123',
    'sed',
    'report.aB3dEf',
    '.aB3dEf',
    '.report.txt.aB3dE',
    '.report.txt.aB3dEfg',
    '.report.txt.aB3d_f',
    '.swp',
    '.a.swap',
    'a.swp',
    'nfs0001',
    'a~b',
    '.nfs/file',
    '',
  ])('%s is a file like any other', (name) => {
    expect(isTemporary(name)).toBe(false);
  });
});

test('the rules for rsync let directories through first, and names that lack a class before the random ones', () => {
  const rules = temporaryRules();
  expect(rules[0]).toBe('--include=*/');
  expect(rules.indexOf('--include=sed[!0-9][!0-9][!0-9][!0-9][!0-9][!0-9]')).toBeGreaterThan(
    rules.indexOf('--exclude=*~'),
  );
  expect(rules.at(-1)).toBe(`--exclude=sed${'[A-Za-z0-9]'.repeat(6)}`);
});
