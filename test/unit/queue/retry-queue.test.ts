import { describe, expect, test } from 'vitest';
import type { DirtyPath } from '../../../src/core/dirty-set.js';
import { isBelow, ROOT, type RelativePath } from '../../../src/core/relative-path.js';
import { RetryQueue, type Failure, type FailedPath } from '../../../src/queue/retry-queue.js';
import { Random } from '../../support/random.js';

const DENIED: Failure = { exitCode: 23, reason: 'Permission denied', command: ['rsync'] };
const BACKOFF = { firstMs: 1_000, maxMs: 30_000 };
const NOW = 1_000_000;

const queueOf = (maxPaths?: number): RetryQueue => new RetryQueue(BACKOFF, () => 0, maxPaths);

function dirty(path: RelativePath, more: Partial<DirtyPath> = {}): DirtyPath {
  return { path, scope: 'entry', gone: false, alone: false, since: NOW, ...more };
}

const pathsOf = (failed: Iterable<DirtyPath>): RelativePath[] => [...failed].map(({ path }) => path).sort();
const nothing = (): boolean => false;

describe('a path that failed', () => {
  test('is due after its backoff, which doubles with each failure', () => {
    const queue = queueOf();
    const waits: number[] = [];
    let now = NOW;
    for (let attempt = 1; attempt <= 7; attempt++) {
      const failed = queue.add(dirty('a'), DENIED, now);
      expect(failed.attempts).toBe(attempt);
      waits.push((failed.dueAt ?? 0) - now);
      now = failed.dueAt ?? 0;
      expect(queue.nextDue()).toBe(now);
      expect(queue.takeDue(now - 1)).toEqual([]);
      expect(pathsOf(queue.takeDue(now))).toEqual(['a']);
    }
    expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
  });

  test('is taken once, and stays until it is settled', () => {
    const queue = queueOf();
    queue.add(dirty('a'), DENIED, NOW);
    expect(pathsOf(queue.takeDue(NOW + 60_000))).toEqual(['a']);
    expect(queue.takeDue(NOW + 120_000)).toEqual([]);
    expect(queue.nextDue()).toBeUndefined();
    expect(queue.size).toBe(1);
    expect(pathsOf(queue.settle(dirty('a'), nothing))).toEqual(['a']);
    expect(queue.size).toBe(0);
  });

  test('keeps what is known of it: the oldest time, the widest scope, that it was seen to go', () => {
    const queue = queueOf();
    queue.add(dirty('d', { scope: 'subtree', since: 5 }), DENIED, NOW);
    expect(queue.add(dirty('d', { since: 9 }), DENIED, NOW)).toMatchObject({ scope: 'subtree', since: 5 });
    expect(queue.add(dirty('d', { gone: true, since: 9 }), DENIED, NOW)).toMatchObject({ gone: true, since: 5 });
    expect(queue.add(dirty('d'), DENIED, NOW)).toMatchObject({ scope: 'subtree', gone: true, attempts: 4 });
  });

  test('is looked at as what it turned out to be', () => {
    const queue = queueOf();
    queue.add(dirty('d', { scope: 'subtree' }), DENIED, NOW);
    queue.rescope('d', 'entry', [dirty('d', { scope: 'subtree' })]);
    queue.rescope('nowhere', 'entry', [dirty(ROOT, { scope: 'subtree' })]);
    expect(queue.takeDue(Infinity)).toMatchObject([{ path: 'd', scope: 'entry' }]);
    expect(queue.size).toBe(1);
  });

  test('stays as it is where a look that does not cover it was divided: it has one of its own', () => {
    const queue = queueOf();
    queue.add(dirty('d', { moved: true }), DENIED, NOW);
    queue.rescope('d', 'listing', [dirty(ROOT, { scope: 'subtree' })]);
    expect(queue.takeDue(Infinity)).toMatchObject([{ path: 'd', scope: 'entry' }]);
    expect(queue.settle(dirty('d', { moved: true }), () => false)).toHaveLength(1);
  });

  test('many that failed at about the same time come back together', () => {
    const random = new Random(1);
    const queue = new RetryQueue(BACKOFF, () => random.next());
    for (let index = 0; index < 5_000; index++) queue.add(dirty(`d/${index}`), DENIED, NOW + index / 50);
    let wakes = 0;
    for (let next = queue.nextDue(); next !== undefined; next = queue.nextDue(), wakes++) queue.takeDue(next);
    expect(wakes).toBeLessThan(20);
  });
});

describe('a clean look settles', () => {
  const SETTLED: readonly {
    why: string;
    failed: Partial<DirtyPath> & { path: string };
    look: DirtyPath;
    is: boolean;
  }[] = [
    { why: 'the same name', failed: { path: 'a' }, look: dirty('a'), is: true },
    { why: 'nothing of another name', failed: { path: 'a' }, look: dirty('b'), is: false },
    {
      why: 'nothing of a name that begins alike',
      failed: { path: 'ab' },
      look: dirty('a', { scope: 'subtree' }),
      is: false,
    },
    { why: 'names in a listing', failed: { path: 'd/a' }, look: dirty('d', { scope: 'listing' }), is: true },
    {
      why: 'not what is deeper than a listing',
      failed: { path: 'd/e/a' },
      look: dirty('d', { scope: 'listing' }),
      is: false,
    },
    { why: 'all below a subtree', failed: { path: 'd/e/a' }, look: dirty('d', { scope: 'subtree' }), is: true },
    {
      why: 'a directory by a look at all of it',
      failed: { path: 'd', scope: 'subtree' },
      look: dirty('d', { scope: 'subtree' }),
      is: true,
    },
    {
      why: 'not a directory by a look at its attributes',
      failed: { path: 'd', scope: 'subtree' },
      look: dirty('d'),
      is: false,
    },
    {
      why: 'not a directory by its listing',
      failed: { path: 'd', scope: 'subtree' },
      look: dirty('d', { scope: 'listing' }),
      is: false,
    },
    {
      why: 'no deletion by a subtree above',
      failed: { path: 'd/a', gone: true },
      look: dirty('d', { scope: 'subtree' }),
      is: false,
    },
    { why: 'a deletion by the same', failed: { path: 'a', gone: true }, look: dirty('a', { gone: true }), is: true },
    {
      why: 'everything below a name that is gone',
      failed: { path: 'd/a', gone: true },
      look: dirty('d', { gone: true }),
      is: true,
    },
    {
      why: 'everything by the whole tree',
      failed: { path: 'd/e/a' },
      look: dirty(ROOT, { scope: 'subtree' }),
      is: true,
    },
  ];

  test.each(SETTLED)('$why', ({ failed, look, is }) => {
    const queue = queueOf();
    queue.add(dirty(failed.path, failed), DENIED, NOW);
    expect(pathsOf(queue.settle(look, nothing))).toEqual(is ? [failed.path] : []);
    expect(queue.size).toBe(is ? 0 : 1);
  });

  test('all but what fails still', () => {
    const queue = queueOf();
    for (const path of ['d/a', 'd/b', 'd/c']) queue.add(dirty(path), DENIED, NOW);
    const settled = queue.settle(dirty('d', { scope: 'subtree' }), ({ path }) => path === 'd/b');
    expect(pathsOf(settled)).toEqual(['d/a', 'd/c']);
    expect(pathsOf(queue)).toEqual(['d/b']);
  });

  test('waiting paths, too, and they are not due any more', () => {
    const queue = queueOf();
    queue.add(dirty('a'), DENIED, NOW);
    queue.settle(dirty('a'), nothing);
    expect(queue.nextDue()).toBeUndefined();
    expect(queue.takeDue(Infinity)).toEqual([]);
  });
});

describe('a path that is being tried', () => {
  test('is named when a look that may have taken it in has not settled it', () => {
    const queue = queueOf();
    queue.add(dirty('d/a', { gone: true }), DENIED, NOW);
    queue.add(dirty('d/e/b'), DENIED, NOW);
    queue.add(dirty('x'), DENIED, NOW);
    queue.takeDue(Infinity);
    expect(pathsOf(queue.triedBy([dirty('d', { scope: 'listing' })]))).toEqual(['d/a']);
    expect(pathsOf(queue.triedBy([dirty('d', { scope: 'subtree' }), dirty('x')]))).toEqual(['d/a', 'd/e/b', 'x']);
  });

  test('is not named while it waits', () => {
    const queue = queueOf();
    queue.add(dirty('d/a'), DENIED, NOW);
    expect(queue.triedBy([dirty('d', { scope: 'subtree' })])).toEqual([]);
  });
});

describe('more failures than can be kept by name', () => {
  test('are kept as the listing of their directory, which counts as one failure', () => {
    const queue = queueOf(3);
    for (let index = 0; index < 10; index++) queue.add(dirty(`d/${index}`, { since: NOW - index }), DENIED, NOW);
    expect(pathsOf(queue)).toEqual(['d', 'd/0', 'd/1', 'd/2']);
    const folded = [...queue].find(({ path }) => path === 'd');
    expect(folded).toMatchObject({ scope: 'listing', isFolded: true, attempts: 1, since: NOW - 9 });
  });

  test('back off further each time the directory is tried in vain', () => {
    const queue = queueOf(1);
    queue.add(dirty('x'), DENIED, NOW);
    const attempts: number[] = [];
    let now = NOW;
    for (let round = 0; round < 3; round++) {
      let folded: FailedPath | undefined;
      for (let index = 0; index < 5; index++) folded = queue.add(dirty(`d/${index}`), DENIED, now);
      attempts.push(folded?.attempts ?? 0);
      now = folded?.dueAt ?? 0;
      queue.takeDue(now);
    }
    expect(attempts).toEqual([1, 2, 3]);
  });

  test('in more directories than can be kept are kept as the whole tree', () => {
    const queue = queueOf(3);
    for (let index = 0; index < 50; index++) queue.add(dirty(`d${index}/a`), DENIED, NOW);
    expect(queue.size).toBeLessThanOrEqual(7);
    expect([...queue].find(({ path }) => path === ROOT)).toMatchObject({ scope: 'subtree', isFolded: true });
  });

  test('a path that is kept by name already stays so', () => {
    const queue = queueOf(1);
    queue.add(dirty('a'), DENIED, NOW);
    expect(queue.add(dirty('a'), DENIED, NOW)).toMatchObject({ path: 'a', attempts: 2, isFolded: false });
    expect(queue.size).toBe(1);
  });
});

describe('against a plain map', () => {
  test('what was added and not settled is due once after each failure', () => {
    const NAMES = ['a', 'b', 'c'];
    for (let seed = 0; seed < 200; seed++) {
      const random = new Random(seed);
      const queue = new RetryQueue(BACKOFF, () => random.next());
      const plain = new Map<RelativePath, 'waiting' | 'tried'>();
      let now = NOW;
      for (let step = 0; step < 100; step++) {
        const message = `seed ${seed}, step ${step}`;
        const path = Array.from({ length: 1 + random.below(3) }, () => random.pick(NAMES)).join('/');
        now += random.below(800);
        switch (random.below(3)) {
          case 0:
            queue.add(dirty(path), DENIED, now);
            plain.set(path, 'waiting');
            break;
          case 1: {
            const due = pathsOf(queue.takeDue(now));
            for (const each of due) {
              expect(plain.get(each), message).toBe('waiting');
              plain.set(each, 'tried');
            }
            break;
          }
          case 2: {
            const look = dirty(path, { scope: random.pick(['entry', 'subtree']) });
            const expected = [...plain.keys()].filter(
              (each) => each === path || (look.scope === 'subtree' && isBelow(each, path)),
            );
            expect(pathsOf(queue.settle(look, nothing)), message).toEqual(expected.sort());
            for (const each of expected) plain.delete(each);
            break;
          }
        }
        expect(pathsOf(queue), message).toEqual([...plain.keys()].sort());
        expect(queue.nextDue() !== undefined, message).toBe([...plain.values()].includes('waiting'));
      }
      const waiting = [...plain].filter(([, state]) => state === 'waiting').map(([path]) => path);
      expect(pathsOf(queue.takeDue(now + 60_000)), `seed ${seed}`).toEqual(waiting.sort());
    }
  });
});
