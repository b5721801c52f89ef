import { describe, expect, test } from 'vitest';
import { DirtySet, type DirtyPath } from '../../../src/core/dirty-set.js';
import { ROOT } from '../../../src/core/relative-path.js';
import type { Scope } from '../../../src/core/scope.js';
import {
  BATCH_KINDS,
  InFlight,
  takeBatch,
  takeWhole,
  type BatchKind,
  type FlyingBatch,
} from '../../../src/replicate/planner.js';
import { Random } from '../../support/random.js';

/** `a`: an entry; `a/`: a listing; `a/**`: a subtree; `-a`: seen to go; `!a`: a large file. */
function dirty(text: string): DirtyPath {
  const name = text.replace(/^[-!]/, '');
  const scope: Scope = name.endsWith('**') ? 'subtree' : name.endsWith('/') ? 'listing' : 'entry';
  const path = name.replace(/\/?\**$/, '').replace(/^\.$/, ROOT);
  return { path, scope, gone: text.startsWith('-'), alone: text.startsWith('!'), since: 1 };
}

function setOf(...texts: string[]): DirtySet {
  const set = new DirtySet();
  for (const text of texts) set.mark(dirty(text));
  return set;
}

function batchOf(...looks: DirtyPath[]): FlyingBatch {
  return { looks, claims: looks };
}

function inFlightOf(...texts: string[]): InFlight {
  const inFlight = new InFlight();
  inFlight.add(batchOf(...texts.map(dirty)));
  return inFlight;
}

const pathsOf = (batch: readonly DirtyPath[]): string[] => batch.map(({ path }) => path).sort();

describe('a batch', () => {
  const ALL = ['a', 'b', '-c', '!big', 'd/**', 'e/', 'f/**'];

  test.each<{ kind: BatchKind; taken: string[] }>([
    { kind: 'entries', taken: ['a', 'b', 'c'] },
    { kind: 'large', taken: ['big'] },
    { kind: 'trees', taken: ['d', 'f'] },
    { kind: 'resync', taken: ['d', 'f'] },
    { kind: 'sweep', taken: ['a', 'b', 'big', 'c', 'd', 'e', 'f'] },
  ])('of $kind holds nothing of another kind', ({ kind, taken }) => {
    expect(pathsOf(takeBatch(setOf(...ALL), kind, new InFlight(), 100))).toEqual(taken);
  });

  test('of directories holds listings when there is no subtree: one run has one depth', () => {
    expect(pathsOf(takeBatch(setOf('e/', 'f/', 'a'), 'trees', new InFlight(), 100))).toEqual(['e', 'f']);
  });

  test('holds one large file at a time', () => {
    expect(takeBatch(setOf('!a', '!b'), 'large', new InFlight(), 100)).toHaveLength(1);
  });

  test('is no larger than asked for, and leaves the rest', () => {
    const set = setOf('a', 'b', 'c');
    expect(takeBatch(set, 'entries', new InFlight(), 2)).toHaveLength(2);
    expect(set.size).toBe(1);
  });
});

describe('what must wait', () => {
  test.each([
    { flying: 'd/**', asks: 'd/e/f', waits: true },
    { flying: 'd/**', asks: 'd', waits: true },
    { flying: 'd/**', asks: 'x', waits: false },
    { flying: 'd/**', asks: 'dx', waits: false },
    { flying: 'd/', asks: 'd/a', waits: true },
    { flying: 'd/', asks: 'd/e/f', waits: false },
    { flying: 'd/', asks: 'd/e/**', waits: true },
    { flying: '-d', asks: 'd/e', waits: true },
    { flying: 'd', asks: 'd/e', waits: false },
    { flying: 'd/e', asks: 'd', waits: false },
    { flying: 'd/e', asks: '-d', waits: true },
    { flying: 'd/e', asks: 'd/', waits: true },
    { flying: 'd/e/f', asks: 'd/', waits: false },
    { flying: 'd/e/f', asks: 'd/**', waits: true },
    { flying: 'a', asks: './**', waits: true },
    { flying: './', asks: 'a', waits: true },
    { flying: './**', asks: 'a/b/c', waits: true },
    { flying: '!a', asks: 'a', waits: true },
  ])('$asks beside $flying: $waits', ({ flying, asks, waits }) => {
    const { path, ...mark } = dirty(asks);
    expect(inFlightOf(flying).blocks(path, mark)).toBe(waits);
  });

  test('waits no longer when the run has ended', () => {
    const inFlight = new InFlight();
    const batch = batchOf(dirty('d/**'));
    inFlight.add(batch);
    inFlight.remove(batch);
    expect(inFlight.size).toBe(0);
    expect(takeBatch(setOf('d/e'), 'entries', inFlight, 1)).toHaveLength(1);
  });

  test('does so for each of two looks at the same path, until it ends', () => {
    for (const isFirstDone of [true, false]) {
      const inFlight = new InFlight();
      const [wide, narrow] = [batchOf(dirty('d/**')), batchOf(dirty('d'))];
      const [first, second] = isFirstDone ? [narrow, wide] : [wide, narrow];
      inFlight.add(first);
      inFlight.add(second);
      expect(takeBatch(setOf('d/e'), 'entries', inFlight, 1)).toEqual([]);
      inFlight.remove(narrow);
      expect(takeBatch(setOf('d/e'), 'entries', inFlight, 1)).toEqual([]);
      inFlight.remove(wide);
      expect(inFlight.size).toBe(0);
      expect(takeBatch(setOf('d/e'), 'entries', inFlight, 1)).toHaveLength(1);
    }
  });

  test('keeps away from what a batch claims beside its looks, which nothing looks at', () => {
    const inFlight = new InFlight();
    const batch = { looks: [dirty('new/**')], claims: [dirty('new/**'), dirty('-old/**')] };
    inFlight.add(batch);
    expect(takeBatch(setOf('new/a', 'old/a'), 'entries', inFlight, 2)).toEqual([]);
    expect([...inFlight.lookedAt()]).toEqual(['new']);
    expect(inFlight.at('new')).toMatchObject({ look: dirty('new/**'), batch });
    expect(inFlight.at('old')?.look).toBeUndefined();
    const isLookedAt = (path: string, isMeant = true): boolean => inFlight.looksAt(path, () => isMeant);
    expect(['new', 'new/a', 'old', 'old/a', 'other'].filter((path) => isLookedAt(path))).toEqual(['new', 'new/a']);
    expect(isLookedAt('new/a', false)).toBe(false);
  });

  test('a claim may be narrower than its look, which divides the tree and sends nothing', () => {
    const inFlight = new InFlight();
    inFlight.add({ looks: [dirty('./**')], claims: [dirty('.')] });
    expect(takeBatch(setOf('a'), 'entries', inFlight, 1)).toHaveLength(1);
    expect(inFlight.looksAt('a', () => true)).toBe(true);
  });

  test('tells the oldest change in flight', () => {
    const inFlight = new InFlight();
    expect(inFlight.oldest()).toBeUndefined();
    inFlight.add(batchOf({ ...dirty('a'), since: 7 }, { ...dirty('b'), since: 3 }));
    expect(inFlight.oldest()).toBe(3);
  });
});

describe('the whole tree', () => {
  test('is taken by itself, whatever is in flight', () => {
    const set = setOf('./**', '-d/e');
    expect(pathsOf(takeWhole(set, inFlightOf('a', 'd/**')))).toEqual([ROOT]);
    expect(set.size).toBe(1);
  });

  test('is not taken twice, nor when only a part of it is dirty', () => {
    expect(takeWhole(setOf('./**'), inFlightOf('.'))).toEqual([]);
    expect(takeWhole(setOf('./', 'd/**'), new InFlight())).toEqual([]);
    expect(takeWhole(setOf('a'), new InFlight())).toEqual([]);
  });
});

describe('batches taken one after the other', () => {
  test('never overlap with one another while they are in flight', () => {
    const NAMES = ['a', 'b', 'c'];
    const isOverlap = (one: DirtyPath, other: DirtyPath): boolean => {
      const { path, ...mark } = one;
      const inFlight = new InFlight();
      inFlight.add(batchOf(other));
      return inFlight.blocks(path, mark);
    };
    for (let seed = 0; seed < 300; seed++) {
      const random = new Random(seed);
      const set = new DirtySet();
      for (let count = 0; count < 25; count++) {
        const path = Array.from({ length: 1 + random.below(3) }, () => random.pick(NAMES)).join('/');
        set.mark(dirty(random.pick(['', '-', '!']) + path + random.pick(['', '', '/', '/**'])));
      }
      const inFlight = new InFlight();
      const flying: FlyingBatch[] = [];
      for (let round = 0; round < 20; round++) {
        const batch = batchOf(...takeBatch(set, random.pick(BATCH_KINDS), inFlight, 1 + random.below(4)));
        for (const taken of batch.looks) {
          const met = flying
            .flatMap(({ looks }) => looks)
            .filter((other) => isOverlap(taken, other) || isOverlap(other, taken));
          expect(met, `seed ${seed}, round ${round}: ${taken.path}`).toEqual([]);
        }
        inFlight.add(batch);
        flying.push(batch);
        if (random.chance(0.4))
          for (const ended of flying.splice(random.below(flying.length), 1)) inFlight.remove(ended);
      }
    }
  });
});
