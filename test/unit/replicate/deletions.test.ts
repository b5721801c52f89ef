import { describe, expect, test } from 'vitest';
import type { DirtyPath } from '../../../src/core/dirty-set.js';
import { ROOT, type RelativePath } from '../../../src/core/relative-path.js';
import type { Scope } from '../../../src/core/scope.js';
import { Deletions, exceeds, placeOfFound, type Comparer, type DeleteLimit } from '../../../src/replicate/deletions.js';
import type { JournalMark } from '../../../src/replicate/ports.js';
import { Random } from '../../support/random.js';

const NOW = 2_000;
const SINCE = 1_000;
const LIMIT: DeleteLimit = { percent: 50, names: 100 };
const UNMOUNTED = 'nothing is mounted at m any more';

/** `a`: an entry; `d/`: a listing; `d/**`: a subtree; `-a`: seen to go. */
function dirty(text: string): DirtyPath {
  const name = text.replace(/^-/, '');
  const scope: Scope = name.endsWith('**') ? 'subtree' : name.endsWith('/') ? 'listing' : 'entry';
  const path = name.replace(/\/?\**$/, '').replace(/^\.$/, ROOT);
  return { path, scope, gone: text.startsWith('-'), alone: false, since: SINCE };
}

function describePath({ path, scope, gone }: DirtyPath): string {
  const end = scope === 'subtree' ? '/**' : scope === 'listing' ? '/' : '';
  return `${gone ? '-' : ''}${path === ROOT ? '.' : path}${end}`;
}

const described = (looks: readonly DirtyPath[]): string[] => looks.map(describePath).sort();
const namesIn = (directory: string, count: number): RelativePath[] =>
  Array.from({ length: count }, (_, index) => `${directory}/${index}`);

/** The deletions of one remote, with a journal that asks only for what it is told of. */
class Bench {
  readonly deletions: Deletions;
  /** Where the run before had found something and not decided about it. */
  readonly places: DirtyPath[] = [];
  readonly #maxNames: number;
  readonly #marks = new Map<RelativePath, JournalMark>();
  readonly #changed = new Set<RelativePath>();

  constructor({ limit = LIMIT, maxNames = 50_000 }: { limit?: DeleteLimit | undefined; maxNames?: number } = {}) {
    this.#maxNames = maxNames;
    this.deletions = new Deletions({ limit, maxNames, onChanged: (path) => this.#changed.add(path) });
  }

  find(names: readonly RelativePath[], { look = 'd/**', count = names.length, sourceNames = 0, by = 'repair' } = {}) {
    this.deletions.found(by as Comparer, { looks: [dirty(look)], names, count, sourceNames }, NOW);
  }

  /** Holds `d/0`, `d/1`, ... for they are too many. */
  hold(count = 101): void {
    this.find(namesIn('d', count));
    expect(this.deletions.judge('repair', 0).held).toBeDefined();
  }

  journal(): JournalMark[] {
    for (const path of this.#changed) {
      const mark = this.deletions.imageOf(path);
      if (mark === undefined) this.#marks.delete(path);
      else this.#marks.set(path, mark);
    }
    this.#changed.clear();
    return [...this.#marks.values()];
  }

  /** What the next run of the service takes up. */
  crash(): Bench {
    const next = new Bench({ maxNames: this.#maxNames });
    for (const mark of this.journal()) {
      if (mark.kind === 'found') next.places.push(placeOfFound(mark));
      else next.deletions.restore(mark);
    }
    return next;
  }

  heldNames(): string[] {
    return this.deletions
      .list()
      .names.map(({ path }) => path)
      .sort();
  }
}

describe('how much may go without being asked', () => {
  test.each([
    { why: 'all of it without a limit', limit: undefined, deletions: 1_000_000, holds: 1_000_000, isHeld: false },
    { why: 'a hundred names in any case', limit: LIMIT, deletions: 100, holds: 100, isHeld: false },
    { why: 'half of what the remote holds', limit: LIMIT, deletions: 101, holds: 202, isHeld: false },
    { why: 'not one more than half', limit: LIMIT, deletions: 101, holds: 201, isHeld: true },
    { why: 'not all of it', limit: LIMIT, deletions: 101, holds: 101, isHeld: true },
    { why: 'many names of very many', limit: LIMIT, deletions: 400_000, holds: 1_000_000, isHeld: false },
    {
      why: 'with 0 percent only the hundred',
      limit: { percent: 0, names: 100 },
      deletions: 101,
      holds: 1e6,
      isHeld: true,
    },
    { why: 'with 0 percent the hundred', limit: { percent: 0, names: 100 }, deletions: 100, holds: 100, isHeld: false },
    { why: 'with 100 percent all', limit: { percent: 100, names: 100 }, deletions: 1e6, holds: 1e6, isHeld: false },
  ])('$why', ({ limit, deletions, holds, isHeld }) => {
    expect(exceeds(limit, deletions, holds) !== undefined).toBe(isHeld);
  });

  test('is told in figures', () => {
    expect(exceeds(LIMIT, 150, 200)).toBe('150 of 200 names would be deleted, more than 50 %');
  });
});

describe('what was found', () => {
  test('goes by name when it is not too much, each as old as its finding', () => {
    const bench = new Bench();
    bench.find(['d/x', 'd/y']);
    const { go, held } = bench.deletions.judge('repair', 1_000);
    expect(go).toMatchObject([
      { path: 'd/x', scope: 'entry', gone: false, since: NOW },
      { path: 'd/y', scope: 'entry', gone: false, since: NOW },
    ]);
    expect(held).toBeUndefined();
    expect(bench.deletions.size).toBe(0);
  });

  test('stays all of it when it is too much, and is listed', () => {
    const bench = new Bench();
    bench.find(namesIn('d', 101), { sourceNames: 100 });
    const { go, held } = bench.deletions.judge('repair', 0);
    expect(go).toEqual([]);
    expect(held).toEqual({ reason: '101 of 201 names would be deleted, more than 50 %', count: 101 });
    expect(bench.deletions.size).toBe(101);
    expect(bench.deletions.reasons()).toEqual([held?.reason]);
    expect(bench.deletions.list().names[0]).toMatchObject({ path: 'd/0', since: NOW, reason: held?.reason });
  });

  test('is judged by what all comparisons together have met, those without a finding too', () => {
    const bench = new Bench();
    bench.find(namesIn('d', 101), { sourceNames: 1 });
    bench.deletions.compared('repair', 100);
    expect(bench.deletions.judge('repair', 0)).toMatchObject({ sourceNames: 101, go: { length: 101 } });
  });

  test('counts a directory with all that is below it', () => {
    const bench = new Bench();
    bench.find(['d/big'], { count: 10_000 });
    expect(bench.deletions.judge('repair', 1_000).held?.count).toBe(10_000);
  });

  test('counts so after a crash, too', () => {
    const bench = new Bench();
    bench.find(['d/big'], { count: 10_000 });
    // How many that are is not known any more: the place is compared again.
    expect(described(bench.crash().places)).toEqual(['d/']);
  });

  test('is judged apart for a repair and a resync', () => {
    const bench = new Bench();
    bench.find(['d/x']);
    bench.find(namesIn('e', 101), { by: 'resync' });
    expect(described(bench.deletions.judge('repair', 0).go)).toEqual(['d/x']);
    expect(bench.deletions.hasFound('repair')).toBe(false);
    expect(bench.deletions.hasFound('resync')).toBe(true);
    expect(bench.deletions.judge('resync', 0).held).toBeDefined();
  });

  test('is forgotten when it is compared anew', () => {
    const bench = new Bench();
    bench.find(['d/x'], { by: 'resync' });
    expect(bench.journal()).toHaveLength(1);
    bench.deletions.begin('resync');
    expect(bench.deletions.judge('resync', 0).go).toEqual([]);
    expect(bench.journal()).toEqual([]);
  });

  test('and was not judged when the service ended is compared again by the next run', () => {
    const bench = new Bench();
    bench.find(['d/x', 'y'], { by: 'resync' });
    expect(described(bench.crash().places)).toEqual(['./', 'd/']);
    expect(bench.journal()).toMatchObject([
      { path: 'd/x', kind: 'found', since: NOW },
      { path: 'y', kind: 'found', since: NOW },
    ]);
  });
});

describe('more than is kept by name', () => {
  test('goes as the place where it was found, when it is not too much', () => {
    const bench = new Bench({ maxNames: 2 });
    bench.find(['d/x', 'd/y']);
    bench.find(['e/x'], { look: 'e/' });
    expect(described(bench.deletions.judge('repair', 1_000).go)).toEqual(['d/x', 'd/y', 'e/']);
  });

  test('is held as that place, and counted', () => {
    const bench = new Bench({ maxNames: 2 });
    bench.find(namesIn('d', 101));
    expect(bench.deletions.judge('repair', 0).held?.count).toBe(101);
    expect(bench.deletions.list()).toEqual({ names: [], more: 1 });
    expect(bench.deletions.size).toBe(1);
    expect(bench.crash().deletions.list()).toEqual({ names: [], more: 1 });
  });

  test('is held with the reason, before and after a crash', () => {
    const bench = new Bench({ maxNames: 2 });
    bench.find(namesIn('d', 101));
    const { held } = bench.deletions.judge('repair', 0);
    expect(bench.deletions.reasons()).toEqual([held?.reason]);
    expect(bench.crash().deletions.reasons()).toEqual([held?.reason]);
  });

  test('and is not judged yet is not forgotten in a crash', () => {
    const bench = new Bench({ maxNames: 2 });
    bench.find(namesIn('d', 3));
    expect(described(bench.crash().places)).toEqual(['d/**']);
  });
});

describe('what is held', () => {
  test('goes when a person releases it, and is held no longer', () => {
    const bench = new Bench();
    bench.hold();
    expect(described(bench.deletions.release().looks)).toEqual(namesIn('d', 101).sort());
    expect(bench.deletions.size).toBe(0);
    expect(bench.journal()).toEqual([]);
  });

  test('is held after a crash, with its reason', () => {
    const bench = new Bench();
    bench.hold();
    const next = bench.crash();
    expect(next.deletions.list()).toEqual(bench.deletions.list());
    expect(next.deletions.reasons()).toEqual(bench.deletions.reasons());
  });

  test('and has come back is no deletion any more', () => {
    const bench = new Bench();
    bench.hold();
    bench.deletions.drop('d/7');
    bench.deletions.drop('never/held');
    expect(bench.heldNames()).not.toContain('d/7');
    expect(bench.crash().heldNames()).toEqual(bench.heldNames());
    expect(described(bench.deletions.release().looks)).not.toContain('d/7');
  });

  test('is left to the full resync that looks at all of it anew', () => {
    const bench = new Bench({ maxNames: 200 });
    bench.hold();
    bench.find(namesIn('e', 201), { look: 'e/**' });
    bench.deletions.judge('repair', 0);
    expect(bench.deletions.size).toBe(102);
    bench.deletions.forgetHeld();
    expect(bench.deletions.size).toBe(0);
    expect(bench.journal()).toEqual([]);
    expect(bench.deletions.release()).toEqual({ looks: [], isCompared: false });
  });

  test('as a place is compared again on release, and what is found there goes unasked', () => {
    const bench = new Bench({ maxNames: 2 });
    bench.hold();
    expect(described(bench.deletions.release().looks)).toEqual(['d/**']);
    expect(bench.deletions.isApproved('d/7')).toBe(true);
    expect(bench.deletions.isApproved('d')).toBe(true);
    expect(bench.deletions.isApproved('da')).toBe(false);
    bench.deletions.endRepair();
    expect(bench.deletions.isApproved('d/7')).toBe(false);
  });
});

describe('what a person has released', () => {
  test.each([
    { released: './**', path: 'e/x', isApproved: true },
    { released: './', path: 'x', isApproved: true },
    { released: './', path: 'e/x', isApproved: false },
    { released: 'd/', path: 'd/x', isApproved: true },
    { released: 'd/', path: 'd/e/x', isApproved: false },
    { released: 'd/**', path: 'd/e/x', isApproved: true },
    { released: '-a', path: 'a/x', isApproved: false },
  ])('of $released says of $path: $isApproved', ({ released, path, isApproved }) => {
    const bench = new Bench();
    bench.deletions.park([dirty(released)], UNMOUNTED);
    bench.deletions.release();
    expect(bench.deletions.isApproved(path)).toBe(isApproved);
  });
});

describe('what waits for the source', () => {
  test('is looked at again as it was when the source is back', () => {
    const bench = new Bench();
    bench.deletions.park([dirty('-a'), dirty('m/**')], UNMOUNTED, ['m/x', 'm/y']);
    expect(bench.deletions.hasParked).toBe(true);
    expect(described(bench.deletions.unpark())).toEqual(['-a', 'm/**']);
    expect(bench.deletions.hasParked).toBe(false);
    expect(bench.deletions.list()).toEqual({ names: [], more: 0 });
    expect(bench.journal()).toEqual([]);
  });

  test('is listed with the names that a comparison has found', () => {
    const bench = new Bench();
    bench.deletions.park([dirty('m/**')], UNMOUNTED, ['m/x', 'm/y']);
    expect(bench.heldNames()).toEqual(['m', 'm/x', 'm/y']);
    expect(bench.deletions.list().names.every(({ reason }) => reason === UNMOUNTED)).toBe(true);
    expect(bench.deletions.size).toBe(2);
    expect(bench.deletions.reasons()).toEqual([UNMOUNTED]);
  });

  test('waits after a crash, a deletion that was seen as one that was seen', () => {
    const bench = new Bench();
    bench.deletions.park([dirty('-a'), dirty('m/')], UNMOUNTED, ['m/x']);
    const next = bench.crash();
    expect(next.deletions.reasons()).toEqual([UNMOUNTED]);
    expect(described(next.deletions.unpark())).toEqual(['-a', 'm/']);
  });

  test('is compared again on release', () => {
    const bench = new Bench();
    bench.deletions.park([dirty('m/**'), dirty('-a')], UNMOUNTED);
    expect(described(bench.deletions.release().looks)).toEqual(['-a', 'm/**']);
    expect(bench.deletions.isApproved('m/x')).toBe(true);
    expect(bench.deletions.isApproved('a')).toBe(false);
  });
});

describe('what could not be read', () => {
  test('is compared again when it can, and after a crash', () => {
    const bench = new Bench();
    bench.deletions.holdUnread([dirty('d/**')]);
    expect(bench.deletions.reasons()).toHaveLength(1);
    expect(bench.journal()).toMatchObject([{ path: 'd', scope: 'subtree', kind: 'change' }]);
    expect(described(bench.deletions.takeUnread())).toEqual(['d/**']);
    expect(bench.deletions.reasons()).toEqual([]);
    expect(bench.journal()).toEqual([]);
  });
});

describe('the journal', () => {
  test.each([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])('is told of whatever changes (seed %i)', (seed) => {
    const random = new Random(seed);
    const bench = new Bench({ limit: { percent: 50, names: 2 }, maxNames: 6 });
    const { deletions } = bench;
    const places = ['a', 'd/**', 'd/', 'd/x', '-d/x', '-e', 'e/**', './', './**'];
    const paths = ['a', 'd', 'd/x', 'd/y', 'e', 'e/x'];
    const by = (): Comparer => random.pick(['repair', 'resync']);
    const steps: (() => void)[] = [
      () => {
        bench.find([random.pick(paths), random.pick(paths)], { look: random.pick(places), by: by() });
      },
      () => void deletions.judge(by(), random.below(10)),
      () => {
        deletions.begin(by());
      },
      () => {
        deletions.park([dirty(random.pick(places))], UNMOUNTED, [random.pick(paths)]);
      },
      () => void deletions.unpark(),
      () => {
        deletions.drop(random.pick(paths));
      },
      () => {
        deletions.holdUnread([dirty(random.pick(places))]);
      },
      () => void deletions.takeUnread(),
      () => void deletions.release(),
      () => {
        deletions.forgetHeld();
      },
    ];
    const byPath = (one: JournalMark, other: JournalMark): number => (one.path < other.path ? -1 : 1);
    let most = 0;
    for (let step = 0; step < 500; step++) {
      random.pick(steps)();
      const kept = bench.journal().sort(byPath);
      expect(kept, `seed ${seed}, step ${step}`).toEqual([...deletions.image()].sort(byPath));
      most = Math.max(most, kept.length);
    }
    expect(most).toBeGreaterThan(3);
  });
});
