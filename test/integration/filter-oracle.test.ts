import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createFilter } from '../../src/core/filter.js';
import { ancestorsOf, fromBytes, toBytes, type RelativePath } from '../../src/core/relative-path.js';
import { createPatternList, type PatternRule } from '../../src/core/rsync-pattern.js';
import { isTemporary, temporaryRules } from '../../src/core/temporaries.js';

/** The real rsync says what it would send; ours must say the same. */

const seed = Number(process.env['SERSYNC_TEST_SEED'] ?? 20_240_601);
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sersync-oracle-'));
  console.log(`filter-oracle: seed ${seed} (SERSYNC_TEST_SEED)`);
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** Bytes that mean something in a pattern, two letters, a digit, a blank and two bytes that are no UTF-8. */
const letter = fc.constantFrom(...'abB1-]! \\:*?[^\xe9\xff'.split(''));
const name = fc.array(letter, { minLength: 1, maxLength: 3 }).map((letters) => letters.join(''));
const path = fc.array(name, { minLength: 1, maxLength: 4 }).map((names) => names.join('/'));

const classBody = fc.oneof(
  fc.constantFrom(
    'a',
    'ab',
    '!a',
    '^b',
    'a-c',
    '!a-b',
    ']',
    '!]',
    '-a',
    'a-',
    '\\]',
    '\\\\',
    '/',
    '!/',
    'a/',
    '\xe9-\xff',
  ),
  fc.constantFrom(
    '[:alpha:]',
    '![:alpha:]',
    '[:digit:]b',
    '[:punct:]',
    '[:upper:]-b',
    '[:bad:]',
    '[:',
    '[::]',
    '[:a',
    'b-\\c',
  ),
  fc
    .array(fc.constantFrom(...'ab-]![:^\\1\xe9'.split('')), { minLength: 1, maxLength: 5 })
    .map((letters) => letters.join('')),
);
const piece = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('a', 'b', 'B', '1', 'ab', '\xe9') },
  { weight: 5, arbitrary: fc.constantFrom('*', '?', '**', '***', '*', '?') },
  { weight: 4, arbitrary: fc.constant('/') },
  { weight: 2, arbitrary: classBody.map((body) => `[${body}]`) },
  { weight: 1, arbitrary: fc.constantFrom('[', '\\', '\\*', '\\a', '\\?', '\\[', '\\\\', ']', ' ', '-', '!') },
);
const pattern = fc
  .tuple(
    fc.constantFrom('', '', '/', '**/', '*/'),
    fc.array(piece, { minLength: 1, maxLength: 5 }),
    fc.constantFrom('', '', '/', '/**', '/***'),
  )
  .map(([front, pieces, back]) => front + pieces.join('') + back);
const rules: fc.Arbitrary<PatternRule[]> = fc.array(
  fc.record({ include: fc.nat({ max: 3 }).map((throwOfDice) => throwOfDice === 0), pattern }),
  { minLength: 1, maxLength: 3 },
);

describe('a list of rsync patterns', () => {
  test('lets through exactly what rsync itself lets through', () => {
    let excluded = 0;
    let kept = 0;
    const check = fc.property(
      fc.array(path, { minLength: 10, maxLength: 30 }),
      fc.array(rules, { minLength: 20, maxLength: 20 }),
      (files, lists) => {
        const tree = plant(files);
        for (const list of lists) {
          const ours = createPatternList(list);
          const expected = new Set(whatRsyncSends(tree.root, list));
          for (const [entry, isDirectory] of tree.entries) {
            const isExcluded = ours.isExcluded(entry, isDirectory);
            if (isExcluded) excluded++;
            else kept++;
            if (isExcluded === expected.has(isDirectory ? `${entry}/` : entry)) {
              throw new Error(
                `${JSON.stringify(list)} on ${JSON.stringify(entry)}${isDirectory ? ' (directory)' : ''}: ours says ${isExcluded ? 'excluded' : 'included'}`,
              );
            }
          }
        }
      },
    );
    fc.assert(check, { seed, numRuns: 12 });
    expect(Math.min(excluded, kept), `the oracle saw ${excluded} excluded and ${kept} kept names`).toBeGreaterThan(
      1000,
    );
  });

  test('reads the prefixes of --exclude as rsync does', () => {
    const texts = ['+ keep.log', '- *.log', 'tmp/', '!', '+ a*', '- b', '!x', '*c'];
    const files = ['keep.log', 'x.log', 'tmp/a', 'ab', 'ac', 'b', '!x', 'xc', 'c', 'd/b', 'd/abc', '- b'];
    const tree = plant(files);
    const filter = createFilter({ excludes: [], patterns: texts });
    const sent = rsyncList(
      tree.root,
      texts.map((text) => `--exclude=${text}`),
    );
    const ours = tree.entries.filter(([entry, isDirectory]) => !filter.isExcluded(entry, isDirectory));
    expect(ours.map(([entry, isDirectory]) => (isDirectory ? `${entry}/` : entry)).sort()).toEqual(sent.sort());
  });
});

describe('temporaries', () => {
  const random = fc
    .array(fc.constantFrom(...'abzAZ019_~.\xe9'.split('')), { minLength: 5, maxLength: 7 })
    .map((letters) => letters.join(''));
  const nearly = fc
    .tuple(
      fc.constantFrom('', '.', '..', 'sed', '4913', '.x.sw', '.#', '.nfs', '.goutputstream-', '.a.', '.a.b.', 'x'),
      fc.oneof(random, fc.constantFrom('', 'p', '~', 'aB3dEf', 'ab1cde', '202411', 'Sample')),
    )
    .map(([front, back]) => front + back)
    .filter((text) => text !== '' && text !== '.' && text !== '..');

  test('are the same names for our filter and for an rsync that is given the rules', () => {
    let temporaries = 0;
    const check = fc.property(fc.uniqueArray(nearly, { minLength: 50, maxLength: 150 }), (names) => {
      const tree = plant(names.map((file, at) => (at % 7 === 0 ? `${file}/inner` : file)));
      const sent = new Set(rsyncList(tree.root, temporaryRules()));
      for (const [entry, isDirectory] of tree.entries) {
        const isOut = !isDirectory && isTemporary(entry);
        if (isOut) temporaries++;
        expect(sent.has(isDirectory ? `${entry}/` : entry), entry).toBe(!isOut);
      }
    });
    fc.assert(check, { seed, numRuns: 12 });
    expect(temporaries).toBeGreaterThan(200);
  });
});

interface Tree {
  readonly root: string;
  /** Every name below the root and whether it is a directory. */
  readonly entries: readonly (readonly [RelativePath, boolean])[];
}

let planted = 0;

/** Makes the files; one whose parent is a file, or that is a directory already, is left out. */
function plant(files: readonly RelativePath[]): Tree {
  const root = join(folder, String(planted++));
  mkdirSync(root);
  const types = new Map<RelativePath, boolean>();
  for (const file of files) {
    const above = [...ancestorsOf(file)];
    if (types.has(file) || above.some((ancestor) => types.get(ancestor) === false)) continue;
    for (const ancestor of above) {
      if (!types.has(ancestor)) mkdirSync(toBytes(`${root}/${ancestor}`));
      types.set(ancestor, true);
    }
    writeFileSync(toBytes(`${root}/${file}`), '');
    types.set(file, false);
  }
  return { root, entries: [...types] };
}

/** The rules go through stdin, because an argument cannot carry every byte. */
function whatRsyncSends(root: string, list: readonly PatternRule[]): RelativePath[] {
  const text = list.map((rule) => `${rule.include ? '+' : '-'} ${rule.pattern}\0`).join('');
  return rsyncList(root, ['--from0', '--filter=. -'], toBytes(text));
}

/** Every name that rsync would copy to an empty place; directories end with a slash. */
function rsyncList(root: string, args: readonly string[], input?: Buffer): RelativePath[] {
  const run = spawnSync('rsync', ['-rn', '--8-bit-output', '--out-format=%n', ...args, `${root}/`, `${root}.none/`], {
    ...(input === undefined ? {} : { input }),
  });
  if (run.status !== 0) throw new Error(`rsync exits ${String(run.status)}: ${run.stderr.toString()}`);
  const lines = fromBytes(run.stdout).split('\n');
  return lines.filter((line) => line !== '' && line !== './' && line !== `created directory ${root}.none`);
}
