/** Where something is that was moved, and where the remote may still have it, as rsync must be told: pure. */
import { posix } from 'node:path';
import type { Filter } from '../core/filter.js';
import { WORTH_MOVING_BYTES } from '../core/moves.js';
import { decode, isPlain, nameOf, parentOf, ROOT, type RelativePath } from '../core/relative-path.js';
import type { Moved } from '../replicate/ports.js';
import type { Child, Found } from './survey.js';
import type { Relocation } from './rsync-args.js';

/** What is asked of the watched directory. */
export interface MovedDisk {
  look(path: RelativePath): Found;
  children(path: RelativePath): Child[];
}

/** Undefined where it is too little to be worth a run, or where it cannot be said to rsync. */
export function relocationOf(
  { path, from }: Moved,
  disk: MovedDisk,
  filter: Pick<Filter, 'isExcluded'>,
): Relocation | undefined {
  if (!isPlain(path) || !isPlain(from)) return undefined;
  const found = disk.look(path);
  if (filter.isExcluded(path, found.kind === 'directory')) return undefined;
  if (found.kind === 'file' && found.size >= WORTH_MOVING_BYTES) {
    const directory = parentOf(path);
    return { directory, basis: relative(directory, parentOf(from)), file: decode(nameOf(path)) };
  }
  if (found.kind !== 'directory' || path === ROOT || !isLarge(path, disk)) return undefined;
  return { directory: path, basis: relative(path, from) };
}

function relative(directory: RelativePath, to: RelativePath): string {
  const basis = posix.relative(`/${decode(directory)}`, `/${decode(to)}`);
  return basis === '' ? '.' : basis;
}

/** Whether what is in the directory comes to so much: stops as soon as it does. */
function isLarge(path: RelativePath, disk: MovedDisk): boolean {
  let bytes = 0;
  const directories = [path];
  for (let directory = directories.pop(); directory !== undefined; directory = directories.pop()) {
    for (const child of disk.children(directory)) {
      if (child.isDirectory) directories.push(child.path);
      else bytes += disk.look(child.path).size;
      if (bytes >= WORTH_MOVING_BYTES) return true;
    }
  }
  return false;
}
