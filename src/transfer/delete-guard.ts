/**
 * Whether the source may be believed when it says that something is gone: pure. An unmounted disk looks like a disk whose
 * files were all removed.
 */
import { notMounted, whyNotMounted, type MountPoint } from '../core/mount-point.js';
import { ancestorsOf, isBelow, type RelativePath } from '../core/relative-path.js';
import type { DeleteGuard, RunReport } from '../replicate/ports.js';

/** What is asked of the watched directory (source.ts), each time as it is then. */
export interface GuardedSource {
  /** Which directory it is; undefined when there is none. */
  identity(): string | undefined;
  isEmpty(): boolean;
  /** What is mounted below it. */
  mountPoints(): Iterable<MountPoint>;
}

export type Held = NonNullable<RunReport['held']>;

/** Why nothing may be sent; undefined when there is a directory. */
export function refusal(source: GuardedSource): string | undefined {
  return source.identity() === undefined ? 'the watched directory is missing: unmounted or removed' : undefined;
}

export const REPLACED = 'the watched directory is not the one that it was: unmounted, mounted over or replaced';

/** Why nothing at all may be deleted, undefined when names may. Whatever is in the directory may still be sent. */
export function reasonToKeep(guard: DeleteGuard, source: GuardedSource): string | undefined {
  if (source.identity() !== guard.identity) return REPLACED;
  if (!guard.mayBeEmpty && source.isEmpty()) return 'the watched directory is empty';
  return undefined;
}

/**
 * Which of the names that are missing stay on the remote; `reason`: what `reasonToKeep` has said. Asked after it was seen
 * that they are missing, so that what was unmounted before that is known.
 */
export function holdBack(
  names: readonly RelativePath[],
  reason: string | undefined,
  guard: DeleteGuard,
  source: GuardedSource,
): Held | undefined {
  if (names.length === 0) return undefined;
  return reason === undefined ? holdUnmounted(names, guard, source) : { reason, paths: names };
}

/** The names at, below and above a place where what was mounted is not. */
function holdUnmounted(names: readonly RelativePath[], guard: DeleteGuard, source: GuardedSource): Held | undefined {
  if (guard.mounts.length === 0) return undefined;
  const vanished = new Set(notMounted(guard.mounts, source.mountPoints()).map(({ path }) => path));
  // A name that is missing stands for all that was below it, so for what was mounted there as well.
  const above = new Set([...vanished].flatMap((path) => [...ancestorsOf(path)]));
  const placeOf = (name: RelativePath): RelativePath | undefined =>
    [name, ...ancestorsOf(name)].find((path) => vanished.has(path)) ??
    (above.has(name) ? [...vanished].find((path) => isBelow(path, name)) : undefined);

  const paths: RelativePath[] = [];
  const places = new Set<RelativePath>();
  for (const name of names) {
    const place = placeOf(name);
    if (place === undefined) continue;
    paths.push(name);
    places.add(place);
  }
  if (paths.length === 0) return undefined;
  return { reason: whyNotMounted([...places]), paths };
}
