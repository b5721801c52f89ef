import { readFileSync } from 'node:fs';
import { StartError } from '../errors.js';

export type InotifyLimit = 'max_queued_events' | 'max_user_watches' | 'max_user_instances';

/** The limit that holds here; undefined when it cannot be read (a container may hide it). */
export function inotifyLimit(limit: InotifyLimit): number | undefined {
  // A user namespace (a rootless container) may have a lower one of its own: namespaces(7), user_namespaces(7).
  const own = limit === 'max_queued_events' ? undefined : readNumber(`user/${limit.replace('user', 'inotify')}`);
  const limits = [readNumber(`fs/inotify/${limit}`), own].filter((value) => value !== undefined);
  return limits.length === 0 ? undefined : Math.min(...limits);
}

function readNumber(setting: string): number | undefined {
  try {
    return Number(readFileSync(`/proc/sys/${setting}`, 'latin1'));
  } catch {
    // Only a text for a person gets shorter by it.
    return undefined;
  }
}

/** The root cannot be watched because the user's watches are used up; `directories` are below it, when counted. */
export function watchLimitError(root: string, directories: number | undefined): StartError {
  const limit = inotifyLimit('max_user_watches');
  const enough = sensibleWatches(Math.max(directories ?? 0, limit ?? 0));
  const holding = directories === undefined ? '' : ` with its ${directories} directories`;
  return new StartError(
    'SERSYNC_WATCH_LIMIT',
    `cannot watch ${root}${holding}: the inotify watches of this user are used up (fs.inotify.max_user_watches is ${limit ?? 'unknown'}, shared with all programs and containers of the user)`,
    raise('max_user_watches', enough),
  );
}

/** No inotify instance can be opened. */
export function instanceLimitError(root: string): StartError {
  const limit = inotifyLimit('max_user_instances') ?? 128;
  return new StartError(
    'SERSYNC_WATCH_LIMIT',
    `cannot watch ${root}: this user has no inotify instance or file descriptor left (fs.inotify.max_user_instances is ${limit})`,
    `${raise('max_user_instances', limit * 4)}; if that is not it, raise the limit of open files (ulimit -n)`,
  );
}

/** Twice what is needed, as a power of two: trees grow, and a watch that is not used costs nothing. */
export function sensibleWatches(needed: number): number {
  return Math.max(524_288, 2 ** Math.ceil(Math.log2(needed * 2)));
}

function raise(limit: InotifyLimit, value: number): string {
  const setting = `fs.inotify.${limit}=${value}`;
  return `run: sysctl -w ${setting} (to keep it: echo ${setting} > /etc/sysctl.d/60-sersync.conf)`;
}
