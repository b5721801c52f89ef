import { closeSync, lstatSync, openSync, readFileSync, statfsSync, utimesSync } from 'node:fs';
import { uptime } from 'node:os';
import type { Mount, Present } from '../core/checkpoint.js';
import type { Filter } from '../core/filter.js';
import { toBytes, type RelativePath } from '../core/relative-path.js';
import { mountsBelow } from '../mount-points.js';

/** The clocks that people may set, unlike that of the service, which never goes back. Milliseconds. */
export interface KernelClocks {
  /** Since 1970. */
  readonly realTime: () => number;
  /** Since boot, the time that the machine slept included. */
  readonly sinceBoot: () => number;
}

const SYSTEM_CLOCKS: KernelClocks = { realTime: Date.now, sinceBoot: () => uptime() * 1_000 };

export interface PresentOptions {
  /** Absolute; bytes as in `RelativePath`. */
  readonly root: string;
  /** What is mounted at or below directories that it leaves out does not count. */
  readonly filter: Filter;
}

/** What a checkpoint is judged by. Undefined when there is no directory at `root`. */
export function readPresent(
  { root, filter }: PresentOptions,
  { realTime, sinceBoot }: KernelClocks = SYSTEM_CLOCKS,
): Present | undefined {
  const found = mountAt(root);
  if (found === undefined) return undefined;
  const prefix = root === '/' ? '/' : `${root}/`;
  // What is mounted over another mount hides it.
  const places = new Set(mountsBelow(root).values());
  const mounts = [...places].flatMap((path): [RelativePath, Mount][] => {
    const mount = filter.isExcluded(path, true) ? undefined : mountAt(prefix + path);
    return mount === undefined ? [] : [[path, mount]];
  });
  const nowMs = realTime();
  return {
    nowMs,
    clockOffsetMs: nowMs - sinceBoot(),
    bootId: readBootId(),
    root: found.identity,
    fileSystem: found.fileSystem,
    mounts: Object.fromEntries(mounts),
  };
}

/**
 * The kernel's time, as the ctimes of what changes now will have it: milliseconds since 1970. Touches `file`, which is made
 * when it is missing; one that is there is touched on a full disk too. Undefined when it cannot be.
 *
 * Never later than `realTime`: the state directory may be on a server whose clock is ahead, and a checkpoint that is early
 * only tells more.
 */
export function touchClock(
  file: string,
  { realTime }: Pick<KernelClocks, 'realTime'> = SYSTEM_CLOCKS,
): number | undefined {
  try {
    closeSync(openSync(file, 'a', 0o600));
    const seconds = realTime() / 1_000;
    utimesSync(file, seconds, seconds);
    return Math.min(lstatSync(file).ctimeMs, realTime());
  } catch {
    // No room for it, read only, gone: whoever keeps the state there says so. Without a time there is no new checkpoint.
    return undefined;
  }
}

function mountAt(place: string): Mount | undefined {
  try {
    const bytes = toBytes(place);
    const stats = lstatSync(bytes, { bigint: true });
    if (!stats.isDirectory()) return undefined;
    const fileSystem = statfsSync(bytes).type;
    const birthtimeNs = fileSystem !== OVERLAYFS && tellsBirths() ? stats.birthtimeNs : 0n;
    return { identity: `${stats.dev}:${stats.ino}:${birthtimeNs}`, fileSystem };
  } catch {
    // Gone, or not to be looked at: so there is nothing to compare with.
    return undefined;
  }
}

/** Directories of an overlay are born again when something is first changed in them: its birth is that of a layer. */
const OVERLAYFS = 0x794c7630;

/** Where statx(2) is missing or forbidden, libuv calls the ctime so; the files of the kernel show it: none is ever born. */
function tellsBirths(): boolean {
  const stats = lstatSync('/proc/self', { bigint: true, throwIfNoEntry: false });
  return stats === undefined || stats.birthtimeNs === 0n;
}

/** proc_sys_kernel(5): a random number of each boot. */
function readBootId(): string | undefined {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
  } catch {
    return undefined;
  }
}
