import { describe, expect, test } from 'vitest';
import { conflicts, covers, DirtySet, kindOf, type DirtyPath, type Mark } from '../../../src/core/dirty-set.js';
import { isBelow, levelsBelow, ROOT, type RelativePath } from '../../../src/core/relative-path.js';
import type { Scope } from '../../../src/core/scope.js';
import { Random } from '../../support/random.js';

/** `a`: an entry; `a/`: a listing; `a/**`: a subtree; `-` in front: seen to go; `>`: moved. */
function dirty(text: string, more: Partial<DirtyPath> = {}): DirtyPath {
  const gone = text.startsWith('-');
  const moved = text.startsWith('>');
  const name = gone || moved ? text.slice(1) : text;
  const scope: Scope = name.endsWith('**') ? 'subtree' : name.endsWith('/') ? 'listing' : 'entry';
  const path = name.replace(/\/?\**$/, '').replace(/^\.$/, ROOT);
  return { path, scope, gone, alone: false, since: 100, ...(moved ? { moved } : {}), ...more };
}

function describePath({ path, scope, gone, moved }: DirtyPath): string {
  const shown = path === ROOT ? '.' : path;
  return `${gone ? '-' : ''}${moved === true ? '>' : ''}${shown}${scope === 'subtree' ? '/**' : scope === 'listing' ? '/' : ''}`;
}

function setOf(...texts: string[]): DirtySet {
  const set = new DirtySet();
  for (const text of texts) set.mark(dirty(text));
  return set;
}

const contentOf = (set: DirtySet): string[] => [...set].map(describePath).sort();
const anyMark = (): boolean => true;

describe('marks fold', () => {
  test.each([
    { why: 'the same name twice is one mark', marks: ['a', 'a'], left: ['a'] },
    { why: 'a wider scope at the same path wins', marks: ['a', 'a/**', 'a/'], left: ['a/**'] },
    { why: 'a subtree takes in what is below it', marks: ['d/a', 'd/e/f', 'd/e/', 'd/**'], left: ['d/**'] },
    { why: 'what is below a subtree folds into it', marks: ['d/**', 'd/a', 'd/e/**', 'd/e/f/'], left: ['d/**'] },
    {
      why: 'a listing takes in the names in it, not what is deeper',
      marks: ['d/a', 'd/e/f', 'd/'],
      left: ['d/', 'd/e/f'],
    },
    {
      why: 'a listing takes in no listing and no subtree',
      marks: ['d/', 'd/e/', 'd/f/**'],
      left: ['d/', 'd/e/', 'd/f/**'],
    },
    { why: 'an entry takes in nothing', marks: ['d', 'd/a'], left: ['d', 'd/a'] },
    { why: 'the root as a subtree takes in all', marks: ['a', 'b/c/**', './**'], left: ['./**'] },
    { why: 'a name that begins alike is another one', marks: ['d/**', 'da', 'd-/x'], left: ['d-/x', 'd/**', 'da'] },
    { why: 'a name that is gone takes in all below it', marks: ['d/a', 'd/e/**', '-d/f', '-d'], left: ['-d'] },
    { why: 'what is below a name that is gone folds into it', marks: ['-d', 'd/a', '-d/b', 'd/e/**'], left: ['-d'] },
    { why: 'a subtree does not take in what was seen to go', marks: ['-d/a', 'd/**'], left: ['-d/a', 'd/**'] },
    { why: 'nor the other way round', marks: ['d/**', '-d/a'], left: ['-d/a', 'd/**'] },
    { why: 'a listing does not take in what was seen to go', marks: ['d/', '-d/a'], left: ['-d/a', 'd/'] },
    { why: 'gone and there again: looked at as a whole', marks: ['-d', 'd/**'], left: ['-d/**'] },
    { why: 'gone and listed: unknown below its first level too', marks: ['-d', 'd/'], left: ['-d/**'] },
    { why: 'what was moved stays so', marks: ['>a/**', 'a/', 'b', '>b'], left: ['>a/**', '>b'] },
    {
      why: 'a subtree does not take in what was moved',
      marks: ['>d/a', 'd/**', '>d/e/**'],
      left: ['>d/a', '>d/e/**', 'd/**'],
    },
    { why: 'but one that was moved itself does', marks: ['>d/a', 'd/b', '>d/**', '>d/e/**'], left: ['>d/**'] },
    { why: 'and so does a name that is gone', marks: ['>d/a', '-d'], left: ['-d'] },
    { why: 'gone and there again by a move', marks: ['-d', '>d/**'], left: ['->d/**'] },
    { why: 'a change of a name that is gone keeps it gone', marks: ['-a', 'a'], left: ['-a'] },
  ])('$why', ({ marks, left }) => {
    expect(contentOf(setOf(...marks))).toEqual(left);
  });

  test('a mark keeps the time of the oldest change that it stands for', () => {
    const folds: [string, string][] = [
      ['a', 'a'],
      ['d/a', 'd/**'],
      ['d/**', 'd/a'],
      ['d/a', '-d'],
      ['d/', 'd/a'],
    ];
    for (const [first, second] of folds) {
      for (const [one, other] of [
        [10, 20],
        [20, 10],
      ] as const) {
        const set = new DirtySet();
        set.mark(dirty(first, { since: one }));
        set.mark(dirty(second, { since: other }));
        expect([...set], `${first} then ${second}`).toHaveLength(1);
        expect(set.oldest(), `${first} at ${one}, ${second} at ${other}`).toBe(10);
      }
    }
  });

  test('a file that goes alone stays one that does', () => {
    const set = setOf('a');
    set.mark(dirty('a', { alone: true }));
    set.mark(dirty('a'));
    expect([...set].map(({ alone }) => alone)).toEqual([true]);
  });

  test('the oldest change of a set with nothing in it is undefined', () => {
    expect(new DirtySet().oldest()).toBeUndefined();
  });

  test('what was given stays as it is when an older one is folded into it', () => {
    const given = { path: 'd', scope: 'listing', gone: false, alone: false, since: 5 } as const;
    const [above, below] = [new DirtySet(), new DirtySet()];
    above.mark(given);
    above.mark(dirty('d/x', { since: 1 }));
    below.mark(dirty('d/x', { since: 1 }));
    below.mark(given);
    for (const set of [above, below]) expect([...set]).toEqual([{ ...given, since: 1 }]);
    expect(given.since).toBe(5);
  });
});

describe('covering', () => {
  const mark = (text: string): Mark => dirty(text);

  test.each([
    { one: 'd', other: 'd', covered: true },
    { one: 'd/', other: 'd', covered: true },
    { one: 'd/', other: 'd/', covered: true },
    { one: 'd', other: 'd/', covered: false },
    { one: 'd', other: 'd/**', covered: false },
    { one: 'd/', other: 'd/**', covered: false },
    { one: 'd/**', other: 'd/**', covered: true },
    { one: 'd/**', other: '-d', covered: false },
    { one: '-d', other: 'd', covered: true },
    { one: '-d', other: '-d', covered: true },
  ])('at the same path $one settles $other: $covered', ({ one, other, covered }) => {
    expect(covers(mark(one), mark(other), 0)).toBe(covered);
  });

  test('looks at the same path are never in flight together', () => {
    for (const one of ['d', 'd/', 'd/**', '-d']) expect(conflicts(mark(one), 0), one).toBe(true);
  });

  test.each([
    { upper: 'd', levels: 1, meets: false },
    { upper: 'd/', levels: 1, meets: true },
    { upper: 'd/', levels: 2, meets: false },
    { upper: 'd/**', levels: 5, meets: true },
    { upper: '-d', levels: 5, meets: true },
  ])('$upper meets a look $levels levels below: $meets', ({ upper, levels, meets }) => {
    expect(conflicts(mark(upper), levels)).toBe(meets);
  });
});

describe('counting', () => {
  test('tells how many marks of a kind there are, through folding and taking', () => {
    const set = setOf('a', 'b', 'd/**', 'e/');
    set.mark(dirty('a', { alone: true }));
    const counts = (): number[] => (['entry', 'large', 'listing', 'subtree'] as const).map((kind) => set.count(kind));
    expect(counts()).toEqual([1, 1, 1, 1]);
    set.take(1, (_, mark) => kindOf(mark) === 'large');
    expect(counts()).toEqual([1, 0, 1, 1]);
    set.mark(dirty('./**'));
    expect(counts()).toEqual([0, 0, 0, 1]);
  });
});

describe('coarsening', () => {
  function coarse(maxMarks: number, paths: Iterable<string>): DirtySet {
    const set = new DirtySet({ maxMarks });
    for (const path of paths) set.mark(dirty(path));
    return set;
  }
  function* names(directory: string, count: number): Generator<string> {
    for (let index = 0; index < count; index++) yield `${directory}/${index}`;
  }

  test('many names in a directory become its listing, and another directory keeps its names', () => {
    const set = coarse(100, [...names('quiet', 3), ...names('busy', 98)]);
    expect(contentOf(set)).toEqual(['busy/', 'quiet/0', 'quiet/1', 'quiet/2']);
  });

  test('many directories with few names each become subtrees above them', () => {
    const set = coarse(
      100,
      Array.from({ length: 101 }, (_, index) => `d/${index}/x`),
    );
    expect(set.size).toBeLessThanOrEqual(50);
    expect(contentOf(set)).toContain('d/**');
  });

  test('names that are gone are folded too: nothing grows without bound', () => {
    const set = coarse(
      100,
      Array.from({ length: 101 }, (_, index) => `-d/${index}`),
    );
    expect(contentOf(set)).toEqual(['d/']);
  });

  test('what was moved stays so where it is folded', () => {
    const moved = coarse(100, [...names('quiet', 3), ...names('busy', 97), '>busy/moved']);
    expect(contentOf(moved)).toEqual(['>busy/', 'quiet/0', 'quiet/1', 'quiet/2']);
  });

  test('what was marked twice does not stand for one change', () => {
    const set = new DirtySet();
    for (const since of [100, 200]) set.mark(dirty('a', { since, once: true }));
    set.mark(dirty('b', { once: true }));
    expect([...set].map(({ path, once }) => [path, once === true])).toEqual([
      ['a', false],
      ['b', true],
    ]);
  });

  test('the oldest change is kept', () => {
    const set = new DirtySet({ maxMarks: 10 });
    for (let index = 0; index < 11; index++) set.mark(dirty(`d/${index}`, { since: 50 - index }));
    expect(set.oldest()).toBe(40);
  });

  test('a hundred thousand names are marked, folded and taken without a walk of all for each', () => {
    const set = new DirtySet();
    for (let directory = 0; directory < 100; directory++) {
      for (const name of names(`d${directory}`, 2_000)) set.mark(dirty(name));
    }
    while (set.size > 0) set.take(1_000, anyMark);
    // Something quadratic would end in a timeout; this takes a fraction of a second.
    expect(set.oldest()).toBeUndefined();
  });
});

describe('against all marks ever made', () => {
  const NAMES = ['a', 'b', 'c', 'd'];
  const SCOPES: readonly Scope[] = ['entry', 'entry', 'listing', 'subtree'];

  /** Whether the look settles what was marked, when coarsening may have turned a seen deletion into an inferred one. */
  function settles(look: DirtyPath, marked: DirtyPath, mayCoarsen: boolean): boolean {
    if (look.path !== marked.path && !isBelow(marked.path, look.path)) return false;
    const levels = levelsBelow(marked.path, look.path);
    const asked = mayCoarsen ? { ...marked, gone: false } : marked;
    return covers(look, asked, look.path === marked.path ? 0 : levels);
  }

  test.each([{ maxMarks: 100_000 }, { maxMarks: 12 }, { maxMarks: 4 }])(
    'with at most $maxMarks marks each is covered until it is taken, and no two cover each other',
    ({ maxMarks }) => {
      for (let seed = 0; seed < 200; seed++) {
        const random = new Random(seed);
        const set = new DirtySet({ maxMarks });
        const mayCoarsen = maxMarks < 100;
        let made: DirtyPath[] = [];
        for (let step = 0; step < 60; step++) {
          const message = `seed ${seed}, step ${step}`;
          if (random.chance(0.8)) {
            const depth = random.below(4);
            const path: RelativePath = Array.from({ length: depth }, () => random.pick(NAMES)).join('/');
            const gone = path !== ROOT && random.chance(0.25);
            const mark = {
              path,
              scope: random.pick(SCOPES),
              gone,
              alone: random.chance(0.1),
              since: random.below(1000),
            };
            // A name that is gone is an entry, and nothing else is made of it outside of the set.
            set.mark(gone ? { ...mark, scope: 'entry' } : mark);
            made.push(gone ? { ...mark, scope: 'entry' } : mark);
          } else {
            const name = random.pick(NAMES);
            const taken = set.take(1 + random.below(3), (path) => path.endsWith(name));
            made = made.filter((marked) => !taken.some((look) => settles(look, marked, mayCoarsen)));
          }
          const held = [...set];
          expect(held.length, message).toBe(set.size);
          expect(held.length, message).toBeLessThanOrEqual(maxMarks);
          for (const kind of ['entry', 'large', 'listing', 'subtree'] as const) {
            expect(set.count(kind), message).toBe(held.filter((mark) => kindOf(mark) === kind).length);
          }
          // A call of `expect` for each of so many pairs would take minutes.
          const uncovered = made.filter((marked) => !held.some((look) => settles(look, marked, mayCoarsen)));
          const tooYoung = made.filter(
            (marked) => !held.some((look) => settles(look, marked, mayCoarsen) && look.since <= marked.since),
          );
          const folding = held.filter((lower) =>
            held.some(
              (upper) => isBelow(lower.path, upper.path) && covers(upper, lower, levelsBelow(lower.path, upper.path)),
            ),
          );
          if (uncovered.length + tooYoung.length + folding.length === 0) continue;
          expect(uncovered.map(describePath), `${message}: lost from ${contentOf(set).join(' ')}`).toEqual([]);
          expect(tooYoung.map(describePath), `${message}: since when is forgotten`).toEqual([]);
          expect(folding.map(describePath), `${message}: covered by another`).toEqual([]);
        }
      }
    },
  );
});
