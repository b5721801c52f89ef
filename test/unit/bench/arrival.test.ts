import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { Arrivals, Counted } from '../../bench/arrival.js';
import { Deadline, TimedOut } from '../../bench/deadline.js';
import { LagSampler } from '../../bench/lag-sampler.js';
import { firstDifference } from '../../bench/verify.js';

let directory: string;
let one: string;
let two: string;

beforeEach(() => {
  // A directory's size is the number of its names on tmpfs alone.
  directory = mkdtempSync(join(process.platform === 'linux' ? '/dev/shm' : tmpdir(), 'bench-arrival-'));
  [one, two] = [join(directory, 'one'), join(directory, 'two')];
  for (const root of [one, two]) mkdirSync(join(root, 'd-1'), { recursive: true });
});

afterEach(() => {
  rmSync(directory, { recursive: true });
});

describe('a burst is complete', () => {
  it('when every directory of every remote holds all files', () => {
    const counted = new Counted([one, two], ['d-1'], 2, 7);
    write('d-1/a', one, two);
    write('d-1/b', one);
    expect(counted.isComplete()).toBe(false);
    expect(counted.describe()).toBe('complete; 1 of 2 files in d-1 (0 of 1 directories complete)');
    write('d-1/b', two);
    expect(counted.isComplete()).toBe(true);
  });

  it('not when a temporary file of rsync stands for the one that is missing', () => {
    const counted = new Counted([one], ['d-1'], 2, 7);
    write('d-1/a', one);
    write('d-1/.b.X7fT3a', one);
    expect(counted.isComplete()).toBe(false);
  });

  it('not when a file is there in part, as it was sent while it was written', async () => {
    const counted = new Counted([one], ['d-1'], 2, 7);
    write('d-1/a', one);
    write('d-1/b', one, 'cont');
    await expect(counted.until(new Deadline(30))).rejects.toThrow(
      `1 files have not 7 bytes, the first is ${one}/d-1/b`,
    );
    const complete = counted.until(new Deadline(5_000));
    await sleep(20);
    const before = performance.now();
    write('d-1/b', one);
    expect(await complete).toBeGreaterThan(before);
  });

  it('not when a directory is missing', () => {
    expect(new Counted([one], ['d-1', 'd-2'], 0, 7).isComplete()).toBe(true);
    expect(new Counted([one], ['d-2'], 1, 7).isComplete()).toBe(false);
  });
});

describe('the lag of sampled files', () => {
  it('is told for each remote, from the close', () => {
    const sampler = new LagSampler([one, two], 7);
    sampler.closed('d-1/a', performance.now() - 1_000);
    write('d-1/a', one);
    sampler.look();
    expect(sampler.missing).toBe(1);
    write('d-1/a', two);
    sampler.look();
    expect(sampler.lags.map((lags) => lags.length)).toEqual([1, 1]);
    expect(sampler.lags.flat().every((lag) => lag >= 1_000 && lag < 2_000)).toBe(true);
  });

  it('is told for none while one has not arrived', () => {
    const sampler = new LagSampler([one, two], 7);
    sampler.closed('d-1/a', performance.now());
    write('d-1/a', one);
    sampler.look();
    expect(() => sampler.lags).toThrow(TimedOut);
    expect(() => sampler.lags).toThrow('1 of the sampled files have not arrived, the first is d-1/a');
  });

  it('is told for none that is there in part', () => {
    const sampler = new LagSampler([one], 7);
    sampler.closed('d-1/a', performance.now());
    write('d-1/a', one, 'cont');
    sampler.look();
    expect(sampler.missing).toBe(1);
  });

  it('is found behind many that do not arrive', () => {
    const sampler = new LagSampler([one], 7);
    for (let index = 0; index < 1_000; index++) sampler.closed(`d-1/missing-${index}`, performance.now());
    sampler.closed('d-1/a', performance.now());
    write('d-1/a', one);
    for (let look = 0; look < 11; look++) sampler.look();
    expect(sampler.missing).toBe(1_000);
  });
});

describe('waiting', () => {
  it('ends by an event, long before the next look by the clock', async () => {
    const arrivals = new Arrivals([join(one, 'd-1')]);
    let looks = 0;
    const arrived = arrivals.until(() => ++looks > 1, new Deadline(5_000), 'a second look');
    write('d-1/a', one);
    await arrived;
    arrivals.close();
    expect(looks).toBe(2);
  });

  it('fails when the time is over, and when what is asked fails', async () => {
    const arrivals = new Arrivals([one]);
    await expect(arrivals.until(() => false, new Deadline(30), 'nothing')).rejects.toThrow(TimedOut);
    const broken = (): boolean => {
      throw new Error('broken');
    };
    await expect(arrivals.until(broken, new Deadline(30), 'nothing')).rejects.toThrow('broken');
    arrivals.close();
    await expect(new Deadline(20).until(() => false, 'a file')).rejects.toThrow('not within 0 s: a file');
  });
});

describe('trees are compared', () => {
  beforeEach(() => {
    write('d-1/a', one, two);
  });

  it('and equal ones are', () => {
    expect(firstDifference(one, [two])).toBeUndefined();
  });

  it.each([
    [
      'a lost file',
      () => {
        write('d-1/b', one);
      },
      'remote 1: d-1/b is missing',
    ],
    [
      'a file that should have gone',
      () => {
        write('d-1/b', two);
      },
      'remote 1: d-1/b should not be there',
    ],
    [
      'a file that was cut',
      () => {
        write('d-1/a', two, 'cont');
      },
      'remote 1: d-1/a has 4 bytes, not 7',
    ],
    [
      'other content of the same size',
      () => {
        write('d-1/a', two, 'CONTENT');
      },
      'remote 1: d-1/a has other content',
    ],
    [
      'another time',
      () => {
        utimesSync(join(two, 'd-1/a'), 7, 7);
      },
      'remote 1: d-1/a has another time',
    ],
  ])('%s is found', (_, change, expected) => {
    change();
    expect(firstDifference(one, [two])).toBe(expected);
  });
});

/** In the given roots; a last argument that is none of them is the content. */
function write(name: string, ...where: readonly string[]): void {
  const content = where.find((text) => text !== one && text !== two) ?? 'content';
  for (const root of where.filter((text) => text !== content)) {
    writeFileSync(join(root, name), content);
    utimesSync(join(root, name), 1_000, 1_000);
  }
}
