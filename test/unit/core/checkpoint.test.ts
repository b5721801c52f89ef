import { describe, expect, test } from 'vitest';
import {
  CHECKPOINT_MARGIN_MS,
  checkpointAt,
  isSameDirectory,
  judgeCheckpoint,
  type Present,
} from '../../../src/core/checkpoint.js';

const TMPFS = 0x01021994;
const NFS = 0x6969;
const AT_MS = 1_700_000_000_000;

const then: Present = {
  nowMs: AT_MS,
  bootId: 'first',
  clockOffsetMs: 1_600_000_000_000,
  root: '8:2:1000',
  fileSystem: TMPFS,
  mounts: { disk: { identity: '9:1:5', fileSystem: TMPFS } },
};
const later: Present = { ...then, nowMs: AT_MS + 60_000 };
const afterReboot: Present = { ...later, bootId: 'second', clockOffsetMs: 1_699_999_999_000 };

/** As the journal gives it back. */
const saved: unknown = JSON.parse(JSON.stringify(checkpointAt(AT_MS, then)));

describe('a checkpoint is used', () => {
  test.each<readonly [title: string, now: Present]>([
    ['in the same boot', later],
    ['after a reboot', afterReboot],
    [
      'when the clock went forward',
      { ...later, nowMs: AT_MS + 3_600_000, clockOffsetMs: then.clockOffsetMs + 3_600_000 },
    ],
    [
      'when the clock went back by no more than the margin takes',
      { ...later, nowMs: AT_MS - 900, clockOffsetMs: then.clockOffsetMs - 900 },
    ],
    ['when the device has another number after a reboot', { ...afterReboot, root: '77:2:1000' }],
    ['when the birth of the root is not known now', { ...later, root: '8:2:0' }],
  ])('%s', (_title, now) => {
    expect(judgeCheckpoint(saved, now)).toEqual({ kind: 'use', sinceMs: AT_MS - CHECKPOINT_MARGIN_MS, unknown: [] });
  });

  test('from before the smallest step of the clock that counts', () => {
    expect(CHECKPOINT_MARGIN_MS).toBeGreaterThan(1_000);
  });
});

describe('everything is looked at', () => {
  test.each<readonly [title: string, was: unknown, now: Present, reason: RegExp]>([
    ['at the first start', undefined, later, /nothing is known of an earlier run/],
    ['when what was saved is no checkpoint', 'text', later, /cannot be understood/],
    ['when it is null', null, later, /cannot be understood/],
    ['when a time in it is missing', { ...(saved as object), atMs: undefined }, later, /cannot be understood/],
    ['when a time in it is no number', { ...(saved as object), clockOffsetMs: null }, later, /cannot be understood/],
    ['when the root in it is no identity', { ...(saved as object), root: '8:2' }, later, /cannot be understood/],
    ['when a mount in it is no identity', { ...(saved as object), mounts: { a: 1 } }, later, /cannot be understood/],
    ['when it is of an older form', { ...(saved as object), mounts: undefined }, later, /cannot be understood/],
    [
      'when the clock went back in this boot',
      saved,
      { ...later, clockOffsetMs: then.clockOffsetMs - 12_000 },
      /went back by 12 s/,
    ],
    ['when it is earlier now than then', saved, { ...afterReboot, nowMs: AT_MS - 3_600_000 }, /went back by 3600 s/],
    [
      'when it is a little earlier now than then, after a reboot',
      saved,
      { ...afterReboot, nowMs: AT_MS - 10 },
      /went back/,
    ],
    ['when the root is another directory', saved, { ...later, root: '8:3:1000' }, /not the one that it was/],
    ['when the root was made anew', saved, { ...later, root: '8:2:2000' }, /not the one that it was/],
    [
      'when the root was made anew before a reboot',
      saved,
      { ...afterReboot, root: '8:2:2000' },
      /not the one that it was/,
    ],
    ['when the root is on another device', saved, { ...later, root: '9:2:1000' }, /not the one that it was/],
    [
      'when the root is on a file system of another type',
      saved,
      { ...later, fileSystem: 0xef53 },
      /not the one that it was/,
    ],
    ['when the system tells nothing of its boots', saved, { ...later, bootId: undefined }, /does not tell/],
    [
      'on NFS',
      checkpointAt(AT_MS, { ...then, fileSystem: NFS }),
      { ...later, fileSystem: NFS },
      /on NFS, .* the server's clock/,
    ],
    [
      'on a FUSE',
      checkpointAt(AT_MS, { ...then, fileSystem: 0x65735546 }),
      { ...later, fileSystem: 0x65735546 },
      /on FUSE/,
    ],
    [
      'on a FAT',
      checkpointAt(AT_MS, { ...then, fileSystem: 0x4d44 }),
      { ...later, fileSystem: 0x4d44 },
      /FAT, which keeps no ctimes/,
    ],
  ])('%s', (_title, was, now, reason) => {
    expect(judgeCheckpoint(was, now)).toEqual({ kind: 'resync', reason: expect.stringMatching(reason) as string });
  });
});

describe('what is mounted below the root is unknown', () => {
  const disk = { identity: '9:1:5', fileSystem: TMPFS };

  test.each<readonly [title: string, mounts: Present['mounts'], path: string, reason: string]>([
    [
      'when nothing was mounted there',
      { disk, constructor: disk },
      'constructor',
      'nothing was mounted at constructor in the last run',
    ],
    ['when nothing is any more', {}, 'disk', 'nothing is mounted at disk any more'],
    [
      'when it is something else',
      { disk: { ...disk, identity: '9:1:6' } },
      'disk',
      'something else was mounted at disk in the last run',
    ],
    [
      'when its ctimes are of another clock',
      { disk: { ...disk, fileSystem: NFS } },
      'disk',
      "disk is on NFS, where ctimes come from the server's clock",
    ],
  ])('%s', (_title, mounts, path, reason) => {
    expect(judgeCheckpoint(saved, { ...later, mounts })).toMatchObject({ kind: 'use', unknown: [{ path, reason }] });
  });
});

describe('two identities are of one directory', () => {
  test.each<readonly [title: string, one: string, other: string, inOneBoot: boolean, afterReboot: boolean]>([
    ['when all is the same', '8:2:1000', '8:2:1000', true, true],
    ['with another device only after a reboot', '8:2:1000', '9:2:1000', false, true],
    ['never with another inode', '8:2:1000', '8:3:1000', false, false],
    ['never with another birth', '8:2:1000', '8:2:1001', false, false],
    ['when one birth is not known', '8:2:0', '8:2:1000', true, true],
    ['when the other is not known', '8:2:1000', '8:2:0', true, true],
    ['when none is known', '8:2:0', '8:2:0', true, true],
  ])('%s', (_title, one, other, inOneBoot, afterAReboot) => {
    expect([isSameDirectory(one, other, true), isSameDirectory(one, other, false)]).toEqual([inOneBoot, afterAReboot]);
  });
});
