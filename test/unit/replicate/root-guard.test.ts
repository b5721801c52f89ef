import { describe, expect, test } from 'vitest';
import type { MountPoint } from '../../../src/core/mount-point.js';
import { fromText } from '../../../src/core/relative-path.js';
import { RootGuard, type SourceLook } from '../../../src/replicate/root-guard.js';

const ROOT_ID = '8:1:2';
const OTHER_ID = '8:2:2';

function look(fields: Partial<SourceLook> = {}): SourceLook {
  return { identity: ROOT_ID, mounts: [], isEmpty: false, ...fields };
}

function guardOf(fields: Partial<SourceLook> = {}, identity = ROOT_ID): RootGuard {
  return new RootGuard({ ...look(fields), identity }, undefined, false);
}

function at(...paths: readonly string[]): MountPoint[] {
  return paths.map((path) => ({ path, identity: `disk of ${path}` }));
}

const MISSING = look({ identity: undefined, isEmpty: true });

describe('a source', () => {
  test.each([
    { why: 'as it was is well', mounts: [], now: look(), state: 'well' },
    { why: 'that is no more is missing', mounts: [], now: MISSING, state: 'missing' },
    { why: 'that is another directory is replaced', mounts: [], now: look({ identity: OTHER_ID }), state: 'replaced' },
    {
      why: 'that is another directory and empty is replaced',
      mounts: [],
      now: look({ identity: OTHER_ID, isEmpty: true }),
      state: 'replaced',
    },
    { why: 'with nothing in it is empty', mounts: [], now: look({ isEmpty: true }), state: 'empty' },
    { why: 'with all its mounts is well', mounts: at('m', 'n'), now: look({ mounts: at('n', 'm') }), state: 'well' },
    {
      why: 'with one mount less is unmounted',
      mounts: at('m', 'n'),
      now: look({ mounts: at('n') }),
      state: 'unmounted',
    },
    {
      why: 'with something else mounted at a place is unmounted',
      mounts: at('m'),
      now: look({ mounts: [{ path: 'm', identity: 'another disk' }] }),
      state: 'unmounted',
    },
    { why: 'with one mount more is well', mounts: at('m'), now: look({ mounts: at('m', 'n') }), state: 'well' },
  ])('$why', ({ mounts, now, state }) => {
    expect(guardOf({ mounts }).judge(now).state).toBe(state);
  });

  test('is well again when it is what it was', () => {
    const guard = guardOf({ mounts: at('m') });
    const was = look({ mounts: at('m') });
    for (const troubled of [MISSING, look({ identity: OTHER_ID }), look({ isEmpty: true }), look()]) {
      expect(guard.judge(troubled)).toMatchObject({ state: expect.not.stringContaining('well') as string });
      expect(guard.judge(was)).toEqual({ state: 'well' });
    }
  });

  test('says which mount is missing, in the characters of its name', () => {
    const mount = fromText('数据');
    expect(guardOf({ mounts: at(mount) }).judge(look()).reason).toBe('what was mounted at 数据 is not there any more');
  });
});

describe('what was mounted', () => {
  test('later is missed when it vanishes', () => {
    const guard = guardOf();
    guard.judge(look({ mounts: at('m') }));
    expect(guard.guard().mounts).toEqual(at('m'));
    expect(guard.judge(look()).state).toBe('unmounted');
    expect(guard.guard().mounts).toEqual(at('m'));
  });

  test('while another mount was missing is missed as well', () => {
    const guard = guardOf({ mounts: at('m') });
    guard.judge(look({ mounts: at('n') }));
    expect(guard.guard().mounts).toEqual(at('m', 'n'));
    guard.judge(look());
    expect(guard.guard().mounts).toEqual(at('m', 'n'));
  });

  test('in another directory at the path is not taken over', () => {
    const guard = guardOf({ mounts: at('m') });
    guard.judge(look({ identity: OTHER_ID, mounts: at('n') }));
    expect(guard.facts).toEqual({ identity: ROOT_ID, mounts: at('m') });
  });
});

describe('after a restart', () => {
  const saved = { identity: ROOT_ID, mounts: at('m') };

  test('the same directory is known by the identity that it has now', () => {
    const guard = new RootGuard({ ...look({ mounts: at('m') }), identity: '9:1:2' }, saved, true);
    expect(guard.facts.identity).toBe('9:1:2');
    expect(guard.judge(look({ identity: '9:1:2', mounts: at('m') })).state).toBe('well');
  });

  test('another directory is not the source', () => {
    const guard = new RootGuard({ ...look(), identity: OTHER_ID }, saved, false);
    expect(guard.judge(look({ identity: OTHER_ID })).state).toBe('replaced');
    expect(guard.guard().identity).toBe(ROOT_ID);
  });

  test('what was mounted in the last run and is not mounted now is missed', () => {
    const guard = new RootGuard({ ...look({ mounts: at('n') }), identity: ROOT_ID }, saved, true);
    expect(guard.judge(look({ mounts: at('n') })).state).toBe('unmounted');
    expect(guard.guard().mounts).toEqual(at('m', 'n'));
  });

  test('nothing of what a person accepted before that holds for an empty directory', () => {
    const before = guardOf();
    before.accept(look({ isEmpty: true }));
    const guard = new RootGuard({ ...look({ isEmpty: true }), identity: ROOT_ID }, before.facts, true);
    expect(guard.judge(look({ isEmpty: true })).state).toBe('empty');
  });
});

describe('what a person accepts', () => {
  test('is the source from then on', () => {
    const guard = guardOf({ mounts: at('m') });
    const now = look({ identity: OTHER_ID, isEmpty: true });
    guard.accept(now);
    expect(guard.judge(now).state).toBe('well');
    expect(guard.guard()).toEqual({ identity: OTHER_ID, mounts: [], mayBeEmpty: true });
  });

  test('an empty directory is accepted until it holds something again', () => {
    const guard = guardOf();
    guard.accept(look({ isEmpty: true }));
    expect(guard.judge(look({ isEmpty: true })).state).toBe('well');
    expect(guard.judge(look()).state).toBe('well');
    expect(guard.judge(look({ isEmpty: true })).state).toBe('empty');
  });

  test('is nothing while there is no directory: it may come back with half of what was mounted in it, or empty', () => {
    const guard = guardOf({ mounts: at('m') });
    guard.accept(MISSING);
    expect(guard.guard()).toEqual({ identity: ROOT_ID, mounts: at('m'), mayBeEmpty: false });
    expect(guard.judge(look()).state).toBe('unmounted');
  });
});
