import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Scope } from '../../../src/core/scope.js';
import {
  decodeFacts,
  decodeMark,
  encodeMark,
  factsKey,
  marksPrefix,
  parseKey,
  Tally,
} from '../../../src/journal/records.js';
import { JOURNAL_KINDS, type JournalMark } from '../../../src/replicate/ports.js';

/** Any bytes but NUL, as latin1. */
const paths = fc
  .array(fc.integer({ min: 1, max: 255 }), { maxLength: 40 })
  .map((bytes) => Buffer.from(bytes).toString('latin1'));
/** Any UTF-16, surrogates that stand alone among them. */
const texts = fc
  .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 20 })
  .map((units) => String.fromCharCode(...units));
const flags = {
  kind: fc.constantFrom(...JOURNAL_KINDS),
  scope: fc.constantFrom<Scope>('entry', 'listing', 'subtree'),
  gone: fc.boolean(),
  alone: fc.boolean(),
  since: fc.maxSafeNat(),
};
const marks: fc.Arbitrary<JournalMark> = fc.oneof(
  fc.record({ path: paths, ...flags }),
  fc.record({ path: paths, ...flags, why: texts }),
  fc.record({ path: paths, ...flags, moved: fc.constant(true), why: texts }),
  fc.record({ path: paths, ...flags, moved: fc.constant(true) }),
);

/** What a database that stores UTF-8 hands back. */
const stored = (text: string): string => Buffer.from(text, 'utf8').toString('utf8');

describe('a mark', () => {
  test('is read as it was written', () => {
    fc.assert(
      fc.property(marks, (mark) => {
        expect(decodeMark(stored(mark.path), stored(encodeMark(mark)))).toEqual(mark);
      }),
      { numRuns: 2_000 },
    );
  });

  test('takes ten bytes when it needs no reason', () => {
    const mark = { kind: 'sweep', scope: 'subtree', gone: true, alone: true, since: Date.UTC(2026, 0) } as const;
    expect(Buffer.byteLength(encodeMark(mark))).toBeLessThanOrEqual(10);
  });

  test('is never taken for a newer one', () => {
    const mark = { kind: 'change', scope: 'entry', gone: false, alone: false } as const;
    expect(decodeMark('a', encodeMark({ ...mark, since: 1_999.9 }))).toEqual({ ...mark, path: 'a', since: 1_999 });
  });

  test.each([
    '',
    '0',
    '/abc',
    '\u0090abc',
    '\u00ffabc',
    '0ab-c',
    '0abc"',
    '0abc"a"b',
    '0abcabcabcabc',
    '0ABC',
    '0abc ',
  ])('is not made of %j', (value) => {
    expect(decodeMark('a', value)).toBeUndefined();
  });

  test('is not made of what a damaged disk gives, or has all its parts', () => {
    fc.assert(
      fc.property(texts, (value) => {
        const mark = decodeMark('a', value);
        if (mark !== undefined) expect(decodeMark('a', encodeMark(mark))).toEqual(mark);
      }),
    );
  });
});

describe('a key', () => {
  test('tells section and path, whatever they are', () => {
    fc.assert(
      fc.property(texts, paths, (section, path) => {
        expect(parseKey(stored(marksPrefix(section) + path))).toEqual({ section, path });
        expect(parseKey(stored(factsKey(section)))).toEqual({ section, path: undefined });
      }),
    );
  });

  test.each(['', 'a', '\0a', '"a', 'tally', '1\0a', '"a"b\0c'])('is not %j', (key) => {
    expect(parseKey(key)).toBeUndefined();
  });
});

test('facts that are no JSON are none', () => {
  expect(decodeFacts('{"a":1}')).toEqual({ a: 1 });
  expect(decodeFacts('{"a":')).toBeUndefined();
});

describe('a tally', () => {
  const RECORDS = [
    ['a', '1'],
    ['b', '2'],
    ['c', '3'],
  ] as const;

  function tallyOf(records: readonly (readonly [string, string])[]): Tally {
    const tally = new Tally();
    for (const [key, value] of records) tally.add(key, value);
    return tally;
  }

  test('knows its records in any order, and however they came to be so', () => {
    const tally = tallyOf([...RECORDS].reverse());
    tally.add('d', '4');
    tally.remove('d', '4');
    tally.remove('a', '1');
    tally.add('a', '1');
    expect(tally.objectTo(tallyOf(RECORDS).encode())).toBeUndefined();
  });

  test.each<{ found: readonly (readonly [string, string])[]; objection: RegExp }>([
    { found: RECORDS.slice(1), objection: /^3 records were written, and 2 are there$/ },
    { found: [...RECORDS, ['d', '4']], objection: /^3 records were written, and 4 are there$/ },
    { found: [...RECORDS.slice(1), ['a', '2']], objection: /^a record is not what was written$/ },
    { found: [...RECORDS.slice(1), ['a1', '']], objection: /^a record is not what was written$/ },
    { found: [], objection: /^3 records were written, and 0 are there$/ },
  ])('objects to $found', ({ found, objection }) => {
    expect(tallyOf(found).objectTo(tallyOf(RECORDS).encode())).toMatch(objection);
  });

  test.each([
    [undefined, /no tally/],
    ['', /cannot be read/],
    ['1 3', /cannot be read/],
    ['2 3 1a', /format 2, and this version reads format 1/],
  ])('is not %j', (encoded, objection) => {
    expect(tallyOf(RECORDS).objectTo(encoded)).toMatch(objection);
  });
});
