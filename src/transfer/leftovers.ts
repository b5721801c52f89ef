/**
 * What runs that broke off have left on a remote: pure. A part of a file waits in `.rsync-partial` to be gone on from; a
 * temporary, `.NAME.` and six letters and digits, is what a receiver leaves that was killed or whose connection was reset
 * (seen with 3.5.0 and 3.2.7: a signal to the sender and a closed connection leave the former).
 */
import { isTemporary } from '../core/temporaries.js';
import { join, nameOf, parentOf, type RelativePath } from '../core/relative-path.js';
import type { Look } from '../replicate/ports.js';
import { PARTIAL_DIR } from './rsync-args.js';
import { surveyTrees, type Disk } from './survey.js';

export interface LeftoverPlaces {
  /** Directories that are there, to be listed. */
  readonly directories: readonly Look[];
  /** Files that were being sent when a run broke off, whether they are there or not. */
  readonly files: ReadonlySet<RelativePath>;
}

/**
 * Where to look for leftovers: an entry is looked for in its directory, and so is what is no directory, for what failed in
 * a directory is tried again as a whole, be it a file.
 */
export function leftoverPlaces(disk: Disk, looks: readonly Look[]): LeftoverPlaces {
  const files = new Set<RelativePath>();
  const places = new Map<RelativePath, Look>();
  for (const look of looks) {
    const { kind } = disk.look(look.path);
    const isEntry = look.scope === 'entry';
    // What is missing was a file or a directory: then it is named after nothing here that a temporary was made of.
    if (isEntry || (kind !== 'directory' && kind !== 'missing')) files.add(look.path);
    const isInside = !isEntry && kind === 'directory';
    const place: Look = isInside ? look : { ...look, path: parentOf(look.path), scope: 'listing' };
    if (place.scope === 'subtree' || !places.has(place.path)) places.set(place.path, place);
  }
  // Where there is no directory any more nothing is left: what it held on the remote goes with it.
  return { directories: surveyTrees(disk, [...places.values()]).directories, files };
}

/**
 * Whether a name that only the remote has is a leftover. A temporary of a file that was not being sent must look like one
 * all the more (temporaries.ts), for `.env.sample` beside `.env` may be somebody's.
 */
export function isLeftover(disk: Disk, { files }: LeftoverPlaces, path: RelativePath, isDirectory: boolean): boolean {
  const isHere = (at: RelativePath): boolean => disk.look(at).kind !== 'missing';
  const isFile = (at: RelativePath): boolean => isHere(at) && disk.look(at).kind !== 'directory';
  if (isDirectory) return nameOf(path) === PARTIAL_DIR && !isHere(path);
  const name = /^\.(.+)\.[A-Za-z0-9]{6}$/s.exec(nameOf(path))?.[1];
  if (name === undefined || isHere(path)) return false;
  // rsync puts no second dot before a name that begins with one.
  const origins = [name, `.${name}`].map((origin) => join(parentOf(path), origin));
  return origins.some((origin) => files.has(origin) || (isTemporary(path) && isFile(origin)));
}

/** The directory in which a part of the file waits. */
export function partialDirOf(path: RelativePath): RelativePath {
  return join(parentOf(path), PARTIAL_DIR);
}
