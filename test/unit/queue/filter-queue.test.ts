import { describe, expect, test } from 'vitest';
import type { DirtyPath } from '../../../src/core/dirty-set.js';
import type { EventSwitches } from '../../../src/core/event-switches.js';
import { DEFAULTS } from '../../../src/config/config.js';
import { createFilter } from '../../../src/core/filter.js';
import { Hint } from '../../../src/core/hint.js';
import { ROOT, type RelativePath } from '../../../src/core/relative-path.js';
import { FilterQueue } from '../../../src/queue/filter-queue.js';
import { ManualClock } from '../../support/manual-clock.js';

const SHIPPED: EventSwitches = DEFAULTS.events;
const TIMES = { quietMs: 100, maxQuietMs: 1_000, openIntervalMs: 10_000 };
const DIRECTORY = Hint.directory;

class Bench {
  readonly clock = new ManualClock();
  readonly startedAt = this.clock.now();
  readonly told: RelativePath[] = [];
  readonly queue: FilterQueue;
  /** What is no ordinary file with one link. */
  readonly others = new Set<RelativePath>();
  readonly missing = new Set<RelativePath>();
  readonly files: RelativePath[] = [];
  readonly inFlight = new Set<RelativePath>();
  #released: DirtyPath[] = [];

  constructor(switches: Partial<EventSwitches> = {}, excludes: readonly string[] = [], dotfiles = true) {
    this.queue = new FilterQueue({
      filter: createFilter({ excludes, patterns: [] }),
      switches: { ...SHIPPED, ...switches },
      dotfiles,
      clock: this.clock,
      times: TIMES,
      inspect: (path) => (this.missing.has(path) ? 'missing' : this.others.has(path) ? 'other' : 'file'),
      isInFlight: (path) => this.inFlight.has(path),
      filesBelow: () => this.files,
      release: (dirty) => this.#released.push(dirty),
      onOpenFile: (path) => this.told.push(path),
    });
  }

  touch(path: RelativePath, hint: Hint): string[] {
    this.queue.touched(path, hint);
    return this.released();
  }

  advance(ms: number): string[] {
    this.clock.advance(ms);
    return this.released();
  }

  /** What was released since the last question. */
  released(): string[] {
    return this.take().map(({ path, scope, gone }) => {
      const end = scope === 'subtree' ? '/**' : scope === 'listing' ? '/' : '';
      return `${gone ? '-' : ''}${path === ROOT ? '.' : path}${end}`;
    });
  }

  take(): DirtyPath[] {
    return this.#released.splice(0);
  }
}

describe('a change is dated', () => {
  const isDated = (hints: readonly Hint[], more: Partial<Bench> = {}): boolean[] => {
    const bench = Object.assign(new Bench({ attrib: true, createFolder: false }), more);
    for (const hint of hints) bench.queue.touched('a', hint);
    bench.clock.advance(200);
    return bench.take().map(({ dated }) => dated === true);
  };

  test('when it moves the ctime of the name', () => {
    expect(isDated([Hint.created, Hint.modified, Hint.closed])).toEqual([true]);
    expect(isDated([Hint.modified, Hint.closed])).toEqual([true]);
    expect(isDated([Hint.attributes])).toEqual([true]);
    expect(isDated([Hint.movedTo])).toEqual([true]);
    expect(isDated([Hint.unknown, Hint.modified | Hint.closed])).toEqual([true]);
  });

  test('not when it may be of any time before', () => {
    // What was written through a mapping is told when the file is closed.
    expect(isDated([Hint.closed])).toEqual([false]);
    expect(isDated([Hint.unknown])).toEqual([false]);
    expect(isDated([Hint.removed])).toEqual([false]);
    expect(isDated([Hint.created | DIRECTORY], { files: ['a/old'] })).toEqual([false]);
    expect(isDated([Hint.movedTo | DIRECTORY])).toEqual([false]);
  });
});

test('a change is the only one when it was not waited for, and the name is there', () => {
  const isOnce = (...hints: readonly Hint[]): boolean[] => {
    const bench = new Bench();
    for (const hint of hints) bench.queue.touched('a', hint);
    return bench.take().map(({ once }) => once === true);
  };
  expect(isOnce(Hint.created | Hint.closed)).toEqual([true]);
  expect(isOnce(Hint.movedTo)).toEqual([true]);
  expect(isOnce(Hint.created, Hint.closed)).toEqual([false]);
  expect(isOnce(Hint.removed)).toEqual([false]);
});

describe('a file that is written', () => {
  test('is released when its writer closes it, and not before', () => {
    const bench = new Bench();
    expect(bench.touch('a', Hint.created)).toEqual([]);
    expect(bench.touch('a', Hint.modified)).toEqual([]);
    expect(bench.advance(5_000)).toEqual([]);
    expect(bench.touch('a', Hint.closed)).toEqual(['a']);
    expect(bench.advance(60_000)).toEqual([]);
    expect(bench.clock.waiting).toBe(0);
  });

  test('is released at once when it is new and closed already', () => {
    expect(new Bench().touch('a', Hint.created | Hint.closed)).toEqual(['a']);
  });

  test('is as old as its first change', () => {
    const bench = new Bench();
    bench.touch('a', Hint.modified);
    bench.advance(3_000);
    bench.queue.touched('a', Hint.closed);
    expect(bench.take()).toMatchObject([{ path: 'a', since: bench.startedAt }]);
  });

  test('and stays open is released at an interval and told once', () => {
    const bench = new Bench();
    const released: number[] = [];
    for (let elapsed = 0; elapsed < 45_000; elapsed += 500) {
      bench.touch('log', Hint.modified);
      if (bench.advance(500).length > 0) released.push(elapsed);
    }
    expect(released).toHaveLength(4);
    expect(bench.told).toEqual(['log']);
  });

  test('and stays open with nothing more written costs no timer after its interval', () => {
    const bench = new Bench();
    bench.touch('log', Hint.modified);
    expect(bench.advance(11_000)).toEqual(['log']);
    expect(bench.clock.waiting).toBe(0);
    expect(bench.queue.size).toBe(0);
  });

  test('is not waited for when it was removed', () => {
    const bench = new Bench();
    bench.touch('a', Hint.modified);
    expect(bench.touch('a', Hint.removed)).toEqual(['-a']);
    expect(bench.queue.size).toBe(0);
    expect(bench.advance(60_000)).toEqual([]);
  });

  test('is not waited for under the name that it was moved away from', () => {
    const bench = new Bench();
    bench.touch('a', Hint.modified);
    expect(bench.touch('a', Hint.movedFrom)).toEqual(['-a']);
    expect(bench.touch('b', Hint.movedTo)).toEqual(['b']);
    expect(bench.advance(60_000)).toEqual([]);
  });

  test('is told to have moved when it came by a move, and so is a directory', () => {
    const bench = new Bench();
    bench.queue.touched('b', Hint.movedFrom | Hint.movedTo);
    bench.queue.touched('d', Hint.movedTo | DIRECTORY);
    bench.queue.touched('e', Hint.created | DIRECTORY);
    const moved = bench.take().map(({ path, gone, moved }) => [path, gone, moved === true]);
    expect(moved).toEqual([
      ['b', true, false],
      ['b', false, true],
      ['d', false, true],
      ['e', false, false],
    ]);
  });

  test('that was removed and written again in one hint is both', () => {
    const bench = new Bench();
    expect(bench.touch('a', Hint.removed | Hint.created | Hint.closed)).toEqual(['-a', 'a']);
  });

  test('gets the attributes that are set while it is looked at, and no later ones, with attrib off', () => {
    const bench = new Bench();
    expect(bench.touch('a', Hint.created | Hint.closed)).toEqual(['a']);
    bench.inFlight.add('a');
    expect(bench.touch('a', Hint.attributes)).toEqual(['a']);
    expect(bench.touch('b', Hint.attributes)).toEqual([]);
    bench.inFlight.clear();
    expect(bench.touch('a', Hint.attributes)).toEqual([]);
  });

  test('is waited for still when its attributes have changed', () => {
    const bench = new Bench({ attrib: true, closeWrite: false, createFile: true });
    bench.touch('a', Hint.created);
    // mkstemp, fchmod, write, close: what is sent now is empty.
    expect(bench.touch('a', Hint.attributes)).toEqual(['a']);
    expect(bench.touch('a', Hint.closed)).toEqual(['a']);
  });
});

describe('a file that counts as it grows', () => {
  const GROWING = { modify: true, closeWrite: false };

  test('is released when nothing was written for a moment', () => {
    const bench = new Bench(GROWING);
    bench.touch('a', Hint.modified);
    expect(bench.advance(90)).toEqual([]);
    bench.touch('a', Hint.modified);
    expect(bench.advance(90)).toEqual([]);
    expect(bench.advance(110)).toEqual(['a']);
  });

  test('is released at the latest after a second when writing never pauses', () => {
    const bench = new Bench(GROWING);
    let released = 0;
    for (let elapsed = 0; elapsed < 5_000; elapsed += 50) {
      bench.touch('a', Hint.modified);
      released += bench.advance(50).length;
    }
    expect(released).toBeGreaterThanOrEqual(4);
    expect(released).toBeLessThanOrEqual(5);
  });

  test('is released at once when it is closed', () => {
    const bench = new Bench(GROWING);
    bench.touch('a', Hint.modified);
    expect(bench.touch('a', Hint.closed)).toEqual(['a']);
    expect(bench.advance(60_000)).toEqual([]);
  });

  test('is not told as open', () => {
    const bench = new Bench(GROWING);
    bench.touch('a', Hint.modified);
    bench.advance(60_000);
    expect(bench.told).toEqual([]);
  });
});

describe('what has no writer', () => {
  test('a link, a device or a second name of a file is released as soon as it is there', () => {
    const bench = new Bench();
    bench.others.add('link');
    expect(bench.touch('link', Hint.created)).toEqual(['link']);
    expect(bench.advance(60_000)).toEqual([]);
    expect(bench.queue.size).toBe(0);
  });

  test('a name that is gone again is looked at at once', () => {
    const bench = new Bench();
    bench.missing.add('short');
    expect(bench.touch('short', Hint.created)).toEqual(['short']);
  });

  test('is nothing when no kind of file counts', () => {
    const bench = new Bench({ closeWrite: false });
    bench.others.add('link');
    expect(bench.touch('link', Hint.created)).toEqual([]);
  });
});

describe('names', () => {
  test('that are excluded, or temporaries, are dropped whatever happened to them', () => {
    const bench = new Bench({ attrib: true, modify: true, createFile: true }, ['cache/.*']);
    const hints = [Hint.created, Hint.closed, Hint.modified, Hint.removed, Hint.movedTo, Hint.attributes, Hint.unknown];
    for (const path of ['cache/a', '.a.swp', '4913', '.a.aB3dE5', 'a~']) {
      for (const hint of hints) expect(bench.touch(path, hint), path).toEqual([]);
    }
    expect(bench.advance(60_000)).toEqual([]);
    expect(bench.queue.size).toBe(0);
  });

  test('that were temporaries count when they are moved to their own', () => {
    const bench = new Bench();
    expect(bench.touch('.a.aB3dE5', Hint.created | Hint.closed)).toEqual([]);
    expect(bench.touch('.a.aB3dE5', Hint.movedFrom)).toEqual([]);
    expect(bench.touch('a', Hint.movedTo)).toEqual(['a']);
  });

  test('of which nothing is known are looked at when they are quiet', () => {
    const bench = new Bench();
    expect(bench.touch('a', Hint.unknown)).toEqual([]);
    expect(bench.advance(200)).toEqual(['a']);
  });

  test('that are removed are kept with delete off, and not waited for', () => {
    const bench = new Bench({ delete: false });
    bench.touch('a', Hint.modified);
    expect(bench.touch('a', Hint.removed)).toEqual([]);
    expect(bench.queue.size).toBe(0);
  });
});

describe('directories', () => {
  test('that appear or are moved here are looked at as a whole', () => {
    expect(new Bench().touch('d', Hint.created | DIRECTORY)).toEqual(['d/**']);
    expect(new Bench().touch('d', Hint.movedTo | DIRECTORY)).toEqual(['d/**']);
    expect(new Bench().touch('d', Hint.unknown | DIRECTORY)).toEqual(['d/**']);
  });

  test('that went and came back are both', () => {
    expect(new Bench().touch('d', Hint.removed | Hint.created | DIRECTORY)).toEqual(['-d', 'd/**']);
  });

  test('whose attributes changed bring these alone; the root brings its names', () => {
    const bench = new Bench({ attrib: true });
    expect(bench.touch('d', Hint.attributes | DIRECTORY)).toEqual(['d']);
    expect(bench.touch(ROOT, Hint.attributes | DIRECTORY)).toEqual(['./']);
  });

  test('that do not count themselves bring the files in them, as far as the filter lets through', () => {
    const bench = new Bench({ createFolder: false }, ['.*\\.log']);
    bench.files.push('d/a', 'd/b.log', 'd/e/c');
    expect(bench.touch('d', Hint.created | DIRECTORY)).toEqual(['d/a', 'd/e/c']);
  });
});

describe('the oldest file that is waited for', () => {
  test('tells since when, and nothing when none is', () => {
    const bench = new Bench();
    expect(bench.queue.oldest()).toBeUndefined();
    bench.touch('a', Hint.modified);
    bench.advance(3_000);
    bench.touch('b', Hint.modified);
    // Writing on makes it no younger.
    bench.touch('a', Hint.modified);
    expect(bench.queue.oldest()).toBe(bench.startedAt);
    bench.touch('a', Hint.closed);
    expect(bench.queue.oldest()).toBe(bench.startedAt + 3_000);
    bench.touch('b', Hint.removed);
    expect(bench.queue.oldest()).toBeUndefined();
  });

  test('is not one that was released at its interval, until it is written again', () => {
    const bench = new Bench();
    bench.touch('log', Hint.modified);
    bench.advance(11_000);
    expect(bench.queue.oldest()).toBeUndefined();
    bench.touch('log', Hint.modified);
    expect(bench.queue.oldest()).toBe(bench.startedAt + 11_000);
  });
});

describe('a file whose name begins with a dot, ends with ~ or is 4913', () => {
  const SILENT = ['.env', 'd/.hidden', '.x/.y', '..a'];

  test.each(SILENT)('%s counts like any other where dotfiles are on', (path) => {
    expect(new Bench().touch(path, Hint.created | Hint.closed)).toEqual([path]);
    expect(new Bench().touch(path, Hint.removed)).toEqual([`-${path}`]);
  });

  test.each(SILENT)('%s does not count where they are off, whatever happens to it', (path) => {
    const bench = new Bench({ attrib: true, createFile: true, modify: true }, [], false);
    for (const [name, bit] of Object.entries(Hint)) {
      if (name !== 'directory') expect(bench.touch(path, bit), name).toEqual([]);
    }
    expect(bench.advance(60_000)).toEqual([]);
  });

  test('is no directory: one of such a name counts, with all that is in it', () => {
    const bench = new Bench({}, [], false);
    expect(bench.touch('.git', Hint.created | DIRECTORY)).toEqual(['.git/**']);
    expect(bench.touch('.git/config', Hint.modified | Hint.closed)).toEqual(['.git/config']);
    expect(bench.touch('.git', Hint.removed | DIRECTORY)).toEqual(['-.git']);
  });

  test('is left out of a new directory whose files alone count', () => {
    const bench = new Bench({ createFolder: false }, [], false);
    bench.files.push('d/a', 'd/.env');
    expect(bench.touch('d', Hint.created | DIRECTORY)).toEqual(['d/a']);
  });
});

describe('many files', () => {
  test('more than can be waited for are released at once', () => {
    const bench = new Bench();
    for (let index = 0; index < 50_000; index++) bench.queue.touched(`d/f${index}`, Hint.modified);
    expect(bench.released()).toEqual([]);
    expect(bench.touch('one/more', Hint.modified)).toEqual(['one/more']);
    expect(bench.queue.size).toBe(50_000);
  });

  test('are waited for with one timer', () => {
    const bench = new Bench();
    for (let index = 0; index < 100; index++) bench.queue.touched(`d/f${index}`, Hint.modified);
    expect(bench.clock.waiting).toBe(1);
  });
});

describe('stopping', () => {
  test('releases what is waited for, as old as it is', () => {
    const bench = new Bench();
    bench.touch('a', Hint.modified);
    bench.advance(50);
    bench.queue.flush();
    expect(bench.take()).toMatchObject([{ path: 'a', since: bench.startedAt }]);
    expect(bench.queue.size).toBe(0);
  });

  test('leaves no timer, and what comes after it is released at once', () => {
    const bench = new Bench();
    bench.touch('a', Hint.modified);
    bench.queue.stop();
    expect(bench.released()).toEqual(['a']);
    expect(bench.touch('b', Hint.modified)).toEqual(['b']);
    expect(bench.clock.waiting).toBe(0);
  });
});
