import { describe, expect, it } from 'vitest';
import type { DeleteGuard } from '../../../src/replicate/ports.js';
import { holdBack, reasonToKeep, refusal, REPLACED, type GuardedSource } from '../../../src/transfer/delete-guard.js';

const PLACES = ['data/disk1', 'data/disk2', 'usb'];
const guard: DeleteGuard = { identity: '1:2:3', mounts: PLACES.map((path) => at(path)), mayBeEmpty: false };

function at(path: string, what = 'its own') {
  return { path, identity: `${what} disk` };
}

function sourceOf({ identity = '1:2:3', isEmpty = false, mounted = PLACES, other = [] as string[] } = {}) {
  let reads = 0;
  const source: GuardedSource = {
    identity: () => identity,
    isEmpty: () => isEmpty,
    mountPoints: () => {
      reads++;
      return [...mounted.map((path) => at(path)), ...other.map((path) => at(path, 'another'))];
    },
  };
  return { source, reads: () => reads };
}

const hold = (names: string[], source: GuardedSource) => holdBack(names, reasonToKeep(guard, source), guard, source);

describe('a watched directory', () => {
  it('that is missing is not run on at all, one that is another is', () => {
    expect(refusal({ ...sourceOf().source, identity: () => undefined })).toContain('missing');
    expect(refusal(sourceOf({ identity: '1:2:4' }).source)).toBeUndefined();
  });

  it.each([
    ['is what it was', {}, undefined],
    ['is another', { identity: '1:2:4' }, REPLACED],
    ['is empty', { isEmpty: true }, 'the watched directory is empty'],
  ])('that %s: %j says %j', (_title, state, reason) => {
    const { source } = sourceOf(state);
    expect(reasonToKeep(guard, source)).toBe(reason);
    expect(hold(['x', 'data/disk2'], source)).toEqual(
      reason === undefined ? undefined : { reason, paths: ['x', 'data/disk2'] },
    );
  });

  it('that went away meanwhile is not the one that it was', () => {
    expect(reasonToKeep(guard, { ...sourceOf().source, identity: () => undefined })).toBe(REPLACED);
  });

  it('may be empty when a person said so', () => {
    expect(reasonToKeep({ ...guard, mayBeEmpty: true }, sourceOf({ isEmpty: true }).source)).toBeUndefined();
  });
});

describe('a place where what was mounted is not', () => {
  it.each([
    ['keeps what was in it, and its own name', ['data/disk2', 'data/disk2/a/b', 'data/other', 'x'], [0, 1]],
    ['keeps what was above it, for that held it as well', ['data', 'd'], [0]],
    ['keeps no name that only begins like it', ['data/disk22', 'data/disk', 'dat'], []],
    ['keeps nothing where the mount is still there', ['data/disk1', 'data/disk1/a', 'usb'], []],
  ])('%s: %j', (_title, names, held) => {
    const { source } = sourceOf({ mounted: ['data/disk1', 'usb'] });
    const paths = held.map((at) => names[at]);
    expect(hold(names, source)).toEqual(
      paths.length === 0 ? undefined : { reason: 'what was mounted at data/disk2 is not there any more', paths },
    );
  });

  it('keeps what was in it when something else is mounted there', () => {
    const { source } = sourceOf({ mounted: ['data/disk1', 'usb'], other: ['data/disk2'] });
    expect(hold(['data/disk2/a', 'usb/b'], source)?.paths).toEqual(['data/disk2/a']);
  });

  it('is named with the others that keep something', () => {
    const { source } = sourceOf({ mounted: [] });
    expect(hold(['usb/a', 'data/disk1/b'], source)?.reason).toBe(
      'what was mounted at usb, data/disk1 is not there any more',
    );
  });

  it('is looked for once, and only when something is missing and something was mounted', () => {
    const { source, reads } = sourceOf();
    hold([], source);
    holdBack(['x'], undefined, { ...guard, mounts: [] }, source);
    expect(reads()).toBe(0);
    hold(['x', 'y', 'data/disk1/z'], source);
    expect(reads()).toBe(1);
  });
});
