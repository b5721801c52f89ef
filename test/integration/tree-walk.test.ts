import { existsSync, mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import type { ChangedName } from '../../src/replicate/ports.js';
import { eventually } from '../support/eventually.js';
import { ThreadWalker } from '../support/walk-build.js';

const FILES = 25_000;

let root: string;
let walker: InstanceType<typeof ThreadWalker>;

beforeEach(() => {
  root = mkdtempSync(`${existsSync('/dev/shm') ? '/dev/shm' : realpathSync(tmpdir())}/sersync-walk-`);
  walker = new ThreadWalker({ root, filter: { excludes: ['skip'] } });
});

afterEach(async () => {
  await walker.stop();
  rmSync(root, { recursive: true, force: true });
});

function makeFiles(directory: string, count: number): void {
  mkdirSync(`${root}/${directory}`);
  for (let number = 0; number < count; number++) writeFileSync(`${root}/${directory}/file-${number}`, '');
}

const threads = (): number => readdirSync('/proc/self/task').length;

describe('a walk in a thread', () => {
  it('tells each name once, in batches of 1,000 at most, and sums up', async () => {
    makeFiles('d', FILES);
    makeFiles('skip', 10);
    const batches: (readonly ChangedName[])[] = [];
    const summary = await walker.walk('', 0, (found) => batches.push(found), 'each');
    expect(Math.max(...batches.map(({ length }) => length))).toBe(1_000);
    const paths = batches.flat().map(({ path }) => path);
    expect(new Set(paths).size).toBe(FILES + 2);
    expect(paths).toHaveLength(FILES + 2);
    expect(summary).toMatchObject({ names: FILES + 2, unreadable: 0 });
  });

  it('folds what is covered unless asked for each', async () => {
    makeFiles('d', 10);
    const found: ChangedName[] = [];
    await walker.walk('', 0, (names) => found.push(...names));
    expect(found.map(({ path, scope }) => [path, scope])).toEqual([
      ['', 'listing'],
      ['d', 'subtree'],
    ]);
  });

  it('lets the event loop turn while names come in, and waits while they are not taken', async () => {
    makeFiles('d', FILES);
    let turn = 0;
    const turns = setInterval(() => turn++, 0);
    const inTurn = new Map<number, number>();
    try {
      await walker.walk(
        '',
        0,
        (found) => {
          inTurn.set(turn, (inTurn.get(turn) ?? 0) + found.length);
          // Slower than the walk.
          const untilMs = performance.now() + 5;
          while (performance.now() < untilMs);
        },
        'each',
      );
    } finally {
      clearInterval(turns);
    }
    expect(Math.max(...inTurn.values())).toBeLessThanOrEqual(4_000);
  });

  it('does one walk after the other, and each ends its thread', async () => {
    makeFiles('d', 10);
    const before = threads();
    const order: string[] = [];
    const walks = ['one', 'two', 'three'].map((name) =>
      walker.walk('', 0, () => order.push(`${name} found`)).then(() => order.push(`${name} ended`)),
    );
    await Promise.all(walks);
    expect(order).toEqual(['one found', 'one ended', 'two found', 'two ended', 'three found', 'three ended']);
    await eventually(
      () => threads() <= before,
      { withinMs: 5_000 },
      () => `${threads()} threads, ${before} before`,
    );
  });

  it('rejects when the place is not there, and goes on with the next', async () => {
    const missing = walker.walk('nowhere', 0, () => undefined);
    const next = walker.walk('', 0, () => undefined);
    await expect(missing).rejects.toMatchObject({
      code: 'SERSYNC_WALK',
      message: `cannot look for changes in ${root}/nowhere: there is no such directory`,
    });
    await expect(next).resolves.toMatchObject({ names: 1 });
  });

  it('rejects with what went wrong in taking the names', async () => {
    makeFiles('d', 10);
    const walk = walker.walk('', 0, () => {
      throw new Error('no room');
    });
    await expect(walk).rejects.toThrow('no room');
  });

  it('is ended by stop, with those that wait, and tells nothing after it', async () => {
    makeFiles('d', FILES);
    let isStopped = false;
    let late = 0;
    let stopped: Promise<void> | undefined;
    const running = walker.walk(
      '',
      0,
      () => {
        if (isStopped) late++;
        stopped ??= walker.stop().then(() => {
          isStopped = true;
        });
      },
      'each',
    );
    const waiting = walker.walk('', 0, () => late++);
    await expect(running).rejects.toMatchObject({ code: 'SERSYNC_WALK_STOPPED' });
    await expect(waiting).rejects.toMatchObject({ code: 'SERSYNC_WALK_STOPPED' });
    await stopped;
    expect(late).toBe(0);
  });

  it('can be asked for again after a stop', async () => {
    await walker.stop();
    await expect(walker.walk('', 0, () => undefined)).resolves.toMatchObject({ names: 1 });
  });
});
