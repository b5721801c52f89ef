import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { isSameDirectory } from '../../../src/core/checkpoint.js';
import { createFilter } from '../../../src/core/filter.js';
import { mountsBelow } from '../../../src/mount-points.js';
import { readPresent, touchClock, type KernelClocks } from '../../../src/watch/kernel-time.js';

const filter = createFilter({ excludes: [], patterns: [] });
let base: string;

beforeEach(() => {
  base = mkdtempSync(`${existsSync('/dev/shm') ? '/dev/shm' : realpathSync(tmpdir())}/sersync-clock-`);
});

afterEach(() => {
  rmSync(base, { recursive: true, force: true });
});

describe('how it stands now', () => {
  const rootOf = (root: string): string => readPresent({ root, filter })?.root ?? 'none';

  test('holds what the clocks say, and how far they are apart', () => {
    const clocks: KernelClocks = { realTime: () => 5_000_000, sinceBoot: () => 1_000 };
    expect(readPresent({ root: base, filter }, clocks)).toMatchObject({ nowMs: 5_000_000, clockOffsetMs: 4_999_000 });
  });

  test('holds the same distance of the real clocks whenever it is asked', () => {
    const [one, other] = [readPresent({ root: base, filter }), readPresent({ root: base, filter })];
    expect(Math.abs(one!.clockOffsetMs - other!.clockOffsetMs)).toBeLessThan(500);
    expect(one!.bootId).toMatch(/^[0-9a-f-]{36}$/);
    expect(other!.bootId).toBe(one!.bootId);
  });

  test('knows a directory again when something was made in it and it was renamed', () => {
    mkdirSync(`${base}/one`);
    const before = rootOf(`${base}/one`);
    writeFileSync(`${base}/one/file`, '');
    renameSync(`${base}/one`, `${base}/other`);
    expect(isSameDirectory(before, rootOf(`${base}/other`), true)).toBe(true);
  });

  test('tells another directory at the path from it', () => {
    mkdirSync(`${base}/one`);
    const before = rootOf(`${base}/one`);
    renameSync(`${base}/one`, `${base}/other`);
    mkdirSync(`${base}/one`);
    expect(isSameDirectory(before, rootOf(`${base}/one`), true)).toBe(false);
  });

  test('is nothing when there is no directory', () => {
    writeFileSync(`${base}/file`, '');
    expect(readPresent({ root: `${base}/nowhere`, filter })).toBeUndefined();
    expect(readPresent({ root: `${base}/file`, filter })).toBeUndefined();
  });

  test('holds what is mounted below, but what is excluded', () => {
    // The system's own mounts: a test may make none.
    const directories = [...new Set(mountsBelow('/').values())].filter((path) => isDirectory(`/${path}`));
    const { mounts } = readPresent({ root: '/', filter })!;
    expect(Object.keys(mounts).sort()).toEqual(directories.sort());
    expect(mounts['proc']?.fileSystem).toBe(0x9fa0);
    const withoutProc = createFilter({ excludes: ['proc'], patterns: [] });
    expect(Object.keys(readPresent({ root: '/', filter: withoutProc })!.mounts)).not.toContain('proc');
  });
});

describe("the kernel's time", () => {
  test('is the ctime of what was just touched', () => {
    const clock = touchClock(`${base}/clock`)!;
    writeFileSync(`${base}/file`, '');
    expect(statSync(`${base}/file`).ctimeMs).toBeGreaterThanOrEqual(clock);
    // The real time is told in whole milliseconds.
    expect(clock).toBeGreaterThan(statSync(`${base}/clock`).ctimeMs - 1);
  });

  test('goes on with a file that is there, and makes no other', () => {
    touchClock(`${base}/clock`);
    utimesSync(`${base}/clock`, 1, 1);
    const before = statSync(`${base}/clock`).ctimeMs;
    expect(touchClock(`${base}/clock`)).toBeGreaterThan(before - 1);
    expect(readdirSync(base)).toEqual(['clock']);
  });

  test('is never later than the real time', () => {
    expect(touchClock(`${base}/clock`, { realTime: () => 1_000 })).toBe(1_000);
  });

  test('is not known when the file cannot be touched', () => {
    expect(touchClock(`${base}/nowhere/clock`)).toBeUndefined();
  });
});

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}
