import { display, type RelativePath } from './relative-path.js';

/**
 * Identifies a directory: `device:inode:birthtimeNs`, all decimal; the birthtime is 0 when the file system keeps none.
 */
export type DirectoryIdentity = string;

/**
 * The point from which a later start finds by ctimes what changed (watch/tree-walk.ts): every change of an earlier ctime
 * is in the journal or on the remotes. With it, what the meaning of that number hangs on. JSON can hold it.
 */
export interface Checkpoint {
  /** Milliseconds since 1970, by the kernel's clock. */
  readonly atMs: number;
  /** Of the kernel that was running; undefined where the system does not tell. */
  readonly bootId: string | undefined;
  /** Real time minus the time since boot, in milliseconds: within one boot it changes only when the clock is set. */
  readonly clockOffsetMs: number;
  readonly root: DirectoryIdentity;
  /** The type of the root's file system, as statfs(2) tells it. */
  readonly fileSystem: number;
  /** What was mounted below the root, where. */
  readonly mounts: Readonly<Record<RelativePath, DirectoryIdentity>>;
}

/** How it stands now: what the next checkpoint will say, and what a saved one is judged by. */
export interface Present extends Omit<Checkpoint, 'atMs' | 'mounts'> {
  readonly nowMs: number;
  readonly mounts: Readonly<Record<RelativePath, Mount>>;
}

export interface Mount {
  readonly identity: DirectoryIdentity;
  readonly fileSystem: number;
}

export type CheckpointJudgement =
  | {
      /** Ctimes tell what changed. */
      readonly kind: 'use';
      /** Names with a ctime from here on may have changed: the margin is taken off. */
      readonly sinceMs: number;
      /** Directories of which ctimes tell nothing, each with the reason for a person: to be looked at as subtrees. */
      readonly unknown: readonly { readonly path: RelativePath; readonly reason: string }[];
    }
  /** They do not; everything is to be looked at. */
  | { readonly kind: 'resync'; readonly reason: string };

/**
 * How much before a checkpoint ctimes count as new. A change gets its ctime first, from a clock that ticks every few
 * milliseconds; then it is done, its event is queued, read and handed on, and only then can it be in the journal. A
 * clock that was set back by less than `CLOCK_STEP_MS` is in it too. What takes longer than this in one system call is
 * not: a write(2) of many megabytes to a slow disk, and memory that was mapped and written to later.
 */
export const CHECKPOINT_MARGIN_MS = 2_000;

/** Adjusting a clock slowly moves real time and time since boot alike; what is read of both is true to some milliseconds. */
const CLOCK_STEP_MS = 1_000;

export function checkpointAt(atMs: number, { bootId, clockOffsetMs, root, fileSystem, mounts }: Present): Checkpoint {
  const identities = Object.entries(mounts).map(([path, { identity }]) => [path, identity] as const);
  return { atMs, bootId, clockOffsetMs, root, fileSystem, mounts: Object.fromEntries(identities) };
}

/**
 * Whether what changed since a checkpoint can be told by ctimes. `saved` is what JSON gave back; undefined when nothing was
 * saved.
 *
 * Not to be known, and so in no reason: a clock that was set back and forth again between the two, or set back across a
 * reboot to a moment after the checkpoint; a file system that was set back to an earlier state (a snapshot, a backup of the
 * whole disk) and kept its identity.
 */
export function judgeCheckpoint(saved: unknown, now: Present): CheckpointJudgement {
  if (saved === undefined) return resync('nothing is known of an earlier run');
  if (!isCheckpoint(saved)) return resync('what an earlier run has recorded cannot be understood');
  const clock = FOREIGN_CLOCKS.get(now.fileSystem);
  if (clock !== undefined) return resync(`the directory is on ${clock}`);
  if (now.bootId === undefined) return resync('the system does not tell whether its clock went back');
  const isSameBoot = saved.bootId === now.bootId;
  const backMs = Math.max(saved.atMs - now.nowMs, isSameBoot ? saved.clockOffsetMs - now.clockOffsetMs : 0);
  if (backMs > (isSameBoot ? CLOCK_STEP_MS : 0)) {
    return resync(`the clock went back by ${Math.ceil(backMs / 1_000)} s or more since the last run`);
  }
  if (saved.fileSystem !== now.fileSystem || !isSameDirectory(saved.root, now.root, isSameBoot)) {
    return resync('the directory is not the one that it was in the last run: another one, or another file system');
  }
  const sinceMs = saved.atMs - CHECKPOINT_MARGIN_MS;
  return { kind: 'use', sinceMs, unknown: unknownMounts(saved.mounts, now.mounts, isSameBoot) };
}

/**
 * Whether two identities, taken in the same boot or not, are those of one directory. A device may have another number after
 * a reboot. A birthtime that is not known to both says nothing.
 */
export function isSameDirectory(one: DirectoryIdentity, other: DirectoryIdentity, isSameBoot: boolean): boolean {
  const [oneDevice, oneInode, oneBirth] = one.split(':');
  const [otherDevice, otherInode, otherBirth] = other.split(':');
  if (oneInode !== otherInode) return false;
  if (isSameBoot && oneDevice !== otherDevice) return false;
  return oneBirth === '0' || otherBirth === '0' || oneBirth === otherBirth;
}

function unknownMounts(
  saved: Checkpoint['mounts'],
  now: Present['mounts'],
  isSameBoot: boolean,
): { path: RelativePath; reason: string }[] {
  // Maps: a directory may be called `constructor`.
  const before = new Map(Object.entries(saved));
  const after = new Map(Object.entries(now));
  const unmounted = [...before.keys()].filter((path) => !after.has(path));
  return [
    ...unmounted.map((path) => ({ path, reason: `nothing is mounted at ${display(path)} any more` })),
    ...[...after].flatMap(([path, mount]) => {
      const reason = whyUnknown(display(path), before.get(path), mount, isSameBoot);
      return reason === undefined ? [] : [{ path, reason }];
    }),
  ];
}

function whyUnknown(
  place: string,
  before: DirectoryIdentity | undefined,
  { identity, fileSystem }: Mount,
  isSameBoot: boolean,
): string | undefined {
  if (before === undefined) return `nothing was mounted at ${place} in the last run`;
  if (!isSameDirectory(before, identity, isSameBoot)) return `something else was mounted at ${place} in the last run`;
  const clock = FOREIGN_CLOCKS.get(fileSystem);
  return clock === undefined ? undefined : `${place} is on ${clock}`;
}

function resync(reason: string): CheckpointJudgement {
  return { kind: 'resync', reason };
}

function isCheckpoint(value: unknown): value is Checkpoint {
  if (typeof value !== 'object' || value === null) return false;
  const { atMs, bootId, clockOffsetMs, root, fileSystem, mounts } = value as Partial<Record<keyof Checkpoint, unknown>>;
  return (
    Number.isFinite(atMs) &&
    (bootId === undefined || typeof bootId === 'string') &&
    Number.isFinite(clockOffsetMs) &&
    isIdentity(root) &&
    Number.isInteger(fileSystem) &&
    typeof mounts === 'object' &&
    mounts !== null &&
    Object.values(mounts).every(isIdentity)
  );
}

function isIdentity(value: unknown): value is DirectoryIdentity {
  return typeof value === 'string' && /^\d+:\d+:\d+$/.test(value);
}

const serverOf = (name: string): string => `${name}, where ctimes come from the server's clock`;
const clusterOf = (name: string): string => `${name}, where ctimes come from the clocks of several machines`;
const hostOf = (name: string): string => `${name}, where ctimes come from the host's clock`;
const noneOf = (name: string): string => `${name}, which keeps no ctimes`;

/**
 * File systems whose ctimes are not of this kernel's clock, and those that keep none on the disk (Linux shows the mtime), by
 * the number that statfs(2) gives. Numbers: linux/magic.h, statfs(2), and stat.c of coreutils. GlusterFS, sshfs, ntfs-3g
 * and virtiofs are FUSE.
 */
const FOREIGN_CLOCKS: ReadonlyMap<number, string> = new Map([
  [0x6969, serverOf('NFS')],
  [0x517b, serverOf('SMB')],
  [0xff534d42, serverOf('CIFS')],
  [0xfe534d42, serverOf('SMB2')],
  [0x564c, serverOf('NCP')],
  [0x5346414f, serverOf('AFS')],
  [0x6b414653, serverOf('AFS')],
  [0x73757245, serverOf('Coda')],
  [0x00c36400, serverOf('Ceph')],
  [0x0bd00bd0, serverOf('Lustre')],
  [0x19830326, serverOf('BeeGFS')],
  [0xaad7aaea, serverOf('PanFS')],
  [0x20030528, serverOf('OrangeFS')],
  [0x61636673, clusterOf('ACFS')],
  [0x47504653, clusterOf('GPFS')],
  [0x01161970, clusterOf('GFS2')],
  [0x7461636f, clusterOf('OCFS2')],
  [0x01021997, hostOf('9p')],
  [0xbacbacbc, hostOf('vmhgfs')],
  [0x786f4256, hostOf('vboxsf')],
  [0x7c7c6673, hostOf('prl_fs')],
  [0x65735546, 'FUSE, where ctimes are what its program says'],
  [0x4d44, noneOf('FAT')],
  [0x2011bab0, noneOf('exFAT')],
  [0x4244, noneOf('HFS')],
]);
