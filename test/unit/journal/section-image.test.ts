import { describe, expect, test } from 'vitest';
import { covers, DirtySet, type DirtyPath } from '../../../src/core/dirty-set.js';
import { isBelow, levelsBelow, type RelativePath } from '../../../src/core/relative-path.js';
import { decodeMark, encodeMark, marksPrefix, parseKey } from '../../../src/journal/records.js';
import { MOST_TOLD, SectionImage, type RecordChange } from '../../../src/journal/section-image.js';
import type { JournalMark, JournalSource } from '../../../src/replicate/ports.js';
import { Random } from '../../support/random.js';

function mark(path: RelativePath, more: Partial<JournalMark> = {}): JournalMark {
  return { path, kind: 'change', scope: 'entry', gone: false, alone: false, since: 1_000, ...more };
}

/** An owner whose image is a map. */
class Owner implements JournalSource {
  readonly marks = new Map<RelativePath, JournalMark>();
  asked = 0;

  imageOf(path: RelativePath): JournalMark | undefined {
    this.asked++;
    return this.marks.get(path);
  }

  image(): Iterable<JournalMark> {
    return this.marks.values();
  }
}

function opened(...marks: readonly JournalMark[]): { owner: Owner; section: SectionImage } {
  const owner = new Owner();
  const section = new SectionImage('s');
  section.open(owner);
  for (const each of marks) {
    owner.marks.set(each.path, each);
    section.tell(each.path);
  }
  return { owner, section };
}

const written = (section: SectionImage): RecordChange[] => [...section.takeMarks()];

/** Changes for a reader: `+path` was put, `-path` removed. */
const inWords = (changes: Iterable<RecordChange>): string[] =>
  [...changes].map(({ key, value }) => `${value === undefined ? '-' : '+'}${parseKey(key)?.path}`);

describe('a section', () => {
  test('writes what it was told of', () => {
    const { section } = opened(mark('a'), mark('b'));
    expect(section.hasNews).toBe(true);
    expect(inWords(section.takeMarks())).toEqual(['+a', '+b']);
    expect(section.hasNews).toBe(false);
    expect(written(section)).toEqual([]);
  });

  test('writes nothing of what came and went since it was last asked', () => {
    const { owner, section } = opened(mark('a'));
    written(section);
    owner.marks.set('b', mark('b'));
    section.tell('b');
    owner.marks.delete('b');
    section.tell('b');
    owner.marks.set('a', mark('a', { scope: 'subtree' }));
    section.tell('a');
    owner.marks.set('a', mark('a'));
    section.tell('a');
    expect(written(section)).toEqual([]);
  });

  test('writes marks before it removes those that were folded into them', () => {
    const { owner, section } = opened(mark('d/a'), mark('d/b'));
    written(section);
    owner.marks.clear();
    owner.marks.set('d', mark('d', { scope: 'listing' }));
    for (const path of ['d/a', 'd', 'd/b']) section.tell(path);
    expect(inWords(section.takeMarks())).toEqual(['+d', '-d/a', '-d/b']);
  });

  test('says what a record was, for the tally', () => {
    const { owner, section } = opened(mark('a'));
    const [first] = written(section);
    owner.marks.delete('a');
    section.tell('a');
    expect(written(section)).toEqual([{ key: first!.key, before: first!.value, value: undefined }]);
  });

  test('that was told of more paths than it remembers compares all of its image', () => {
    const { owner, section } = opened(mark('a'), mark('b'), mark('c'));
    written(section);
    owner.marks.delete('b');
    owner.marks.set('d', mark('d'));
    for (let index = 0; index <= MOST_TOLD; index++) section.tell(`x/${index}`);
    owner.asked = 0;
    expect(inWords(section.takeMarks())).toEqual(['+d', '-b']);
    expect(owner.asked).toBe(0);
    section.tell('a');
    written(section);
    expect(owner.asked).toBe(1);
  });

  test('gives all of it to a database in which nothing is', () => {
    const { owner, section } = opened(mark('a'), mark('b'));
    section.keep('{}');
    written(section);
    section.takeFacts();
    owner.marks.delete('b');
    section.startOver();
    expect(inWords(section.takeMarks())).toEqual(['+a']);
    expect(section.takeFacts()).toHaveLength(1);
  });

  test('leaves what the disk tells as well until it is taken, and has no news of it', () => {
    const { owner, section } = opened();
    owner.marks.set('a', mark('a'));
    expect(section.tellDated('a')).toBe(true);
    expect(section.hasNews).toBe(false);
    expect(written(section)).toEqual([]);
    section.takeDated();
    expect(section.hasNews).toBe(true);
    expect(inWords(section.takeMarks())).toEqual(['+a']);
  });

  test('writes nothing of what the disk tells when it was settled before it was taken', () => {
    const { owner, section } = opened();
    for (const path of ['a', 'b']) owner.marks.set(path, mark(path));
    for (const path of ['a', 'b']) section.tellDated(path);
    owner.marks.delete('a');
    expect(section.tellSettled('a')).toBe(true);
    // It was marked again.
    expect(section.tellSettled('b')).toBe(true);
    owner.asked = 0;
    section.takeDated();
    expect(inWords(section.takeMarks())).toEqual(['+b']);
    expect(owner.asked).toBe(1);
  });

  test('writes soon what is stored already or was told otherwise, whatever the disk tells', () => {
    const { owner, section } = opened(mark('a'));
    written(section);
    owner.marks.set('a', mark('a', { since: 900 }));
    expect(section.tellDated('a')).toBe(false);
    owner.marks.set('b', mark('b', { gone: true }));
    section.tellDated('b');
    section.tell('b');
    expect(section.tellDated('b')).toBe(false);
    expect(section.tellSettled('b')).toBe(false);
    expect(inWords(section.takeMarks())).toEqual(['+a', '+b']);
    owner.marks.delete('a');
    expect(section.tellSettled('a')).toBe(false);
    expect(inWords(section.takeMarks())).toEqual(['-a']);
  });

  test('that was told of more that the disk tells than it remembers compares all of its image', () => {
    const { owner, section } = opened();
    owner.marks.set('a', mark('a'));
    for (let index = 0; index <= MOST_TOLD; index++) section.tellDated(`x/${index}`);
    expect(section.hasNews).toBe(true);
    expect(inWords(section.takeMarks())).toEqual(['+a']);
  });

  test('writes facts when they are others', () => {
    const { section } = opened();
    expect(section.takeFacts()).toEqual([]);
    section.keep('{"a":1}');
    expect(section.hasNews).toBe(true);
    expect(section.takeFacts()).toMatchObject([{ before: undefined, value: '{"a":1}' }]);
    section.keep('{"a":1}');
    expect(section.hasNews).toBe(false);
    section.keep('{"a":2}');
    expect(section.takeFacts()).toMatchObject([{ before: '{"a":1}', value: '{"a":2}' }]);
  });
});

describe('a section of an earlier run', () => {
  const saved = mark('a', { kind: 'held', why: 'because' });
  const earlier = (): SectionImage => new SectionImage('s', new Map([['a', encodeMark(saved)]]), '{"x":1}');

  test('hands over what was saved, and writes what is different now', () => {
    const section = earlier();
    const owner = new Owner();
    expect(section.open(owner)).toEqual([saved]);
    expect(section.facts).toBe('{"x":1}');
    expect(section.hasNews).toBe(false);
    section.tell('a');
    expect(inWords(section.takeMarks())).toEqual(['-a']);
  });

  test('is kept as it is while nobody opens it, in a new database, too', () => {
    const section = earlier();
    expect(section.hasNews).toBe(false);
    section.startOver();
    expect(written(section)).toMatchObject([{ value: encodeMark(saved) }]);
    expect(section.takeFacts()).toMatchObject([{ value: '{"x":1}' }]);
    expect(section.open(new Owner())).toEqual([saved]);
  });

  test('is removed when it is forgotten, and hands over nothing any more', () => {
    const section = earlier();
    section.forget();
    expect(inWords(section.takeMarks())).toEqual(['-a']);
    expect(section.takeFacts()).toMatchObject([{ before: '{"x":1}', value: undefined }]);
    expect(section.open(new Owner())).toEqual([]);
    expect(section.facts).toBeUndefined();
  });
});

describe('against a dirty set that folds, coarsens and settles', () => {
  const NAMES = ['a', 'b', 'c', 'd'];
  const SEEDS = 100;

  test('what is stored is the image, and what stayed dirty is stored wherever the writing broke off', () => {
    let cuts = 0;
    let removals = 0;
    for (let seed = 0; seed < SEEDS; seed++) {
      const random = new Random(seed);
      const section = new SectionImage('s');
      const set = new DirtySet({
        maxMarks: 12,
        onChanged: (path) => {
          section.tell(path);
        },
      });
      section.open({
        imageOf: (path) => {
          const present = set.get(path);
          return present === undefined ? undefined : { path, kind: 'change', ...present };
        },
        image: () => [...set].map((dirty) => ({ kind: 'change', ...dirty })),
      });
      const disk = new Map<string, string>();
      for (let step = 0; step < 40; step++) {
        const message = `seed ${seed}, step ${step}`;
        for (let count = random.below(12); count > 0; count--) {
          const path = Array.from({ length: 1 + random.below(4) }, () => random.pick(NAMES)).join('/');
          const scope = random.pick(['entry', 'entry', 'listing', 'subtree'] as const);
          set.mark({ path, scope, gone: false, alone: false, since: step });
        }
        if (random.chance(0.3)) for (const { path } of set.take(random.below(4), () => true)) section.tell(path);
        const stayed = marksOn(disk).filter((each) => isCovered(each, [...set]));
        for (const { key, before, value } of section.takeMarks()) {
          expect(disk.get(key), message).toBe(before);
          if (value === undefined) {
            disk.delete(key);
            removals++;
          } else {
            disk.set(key, value);
          }
          cuts++;
          const left = marksOn(disk);
          for (const each of stayed) expect(isCovered(each, left), `${message}: ${each.path}`).toBe(true);
        }
        expect(marksOn(disk), message).toEqual([...set].map((dirty) => ({ kind: 'change', ...dirty })).sort(byPath));
      }
    }
    expect(cuts).toBeGreaterThan(SEEDS);
    expect(removals).toBeGreaterThan(SEEDS);
  });

  const byPath = (one: { path: string }, other: { path: string }): number => (one.path < other.path ? -1 : 1);

  function marksOn(disk: ReadonlyMap<string, string>): JournalMark[] {
    const prefix = marksPrefix('s');
    return [...disk].map(([key, value]) => decodeMark(key.slice(prefix.length), value)!).sort(byPath);
  }

  function isCovered(one: JournalMark, marks: readonly DirtyPath[]): boolean {
    return marks.some(
      (other) =>
        (other.path === one.path && covers(other, one, 0)) ||
        (isBelow(one.path, other.path) && covers(other, one, levelsBelow(one.path, other.path))),
    );
  }
});
