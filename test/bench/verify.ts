import { type Dirent, lstatSync, readdirSync, readFileSync, type Stats } from 'node:fs';
import { join } from 'node:path';

import type { Deadline } from './deadline.js';

/** In a tree with more files than that the content of only so many is read, evenly spread. */
const FILES_READ = 20_000;

/**
 * Resolves once every remote holds what the source holds and nothing besides: names, types, sizes, times to the second,
 * content. What was lost or is wrong makes a scenario fail instead of being counted as fast.
 */
export async function untilSame(source: string, remotes: readonly string[], deadline: Deadline): Promise<void> {
  let found: string | undefined;
  await deadline.until(
    () => {
      found = firstDifference(source, remotes);
      return found === undefined;
    },
    () => `the remotes are not the source: ${found ?? ''}`,
    200,
  );
}

export function firstDifference(source: string, remotes: readonly string[]): string | undefined {
  const files = listTree(source);
  for (const [index, remote] of remotes.entries()) {
    const found = differenceOf(source, remote, files);
    if (found !== undefined) return `remote ${index + 1}: ${found}`;
  }
  return undefined;
}

function differenceOf(source: string, remote: string, here: ReadonlyMap<string, Dirent>): string | undefined {
  const there = listTree(remote);
  for (const path of there.keys()) if (!here.has(path)) return `${path} should not be there`;
  let countdown = 0;
  const step = Math.max(1, Math.ceil(here.size / FILES_READ));
  for (const [path, entry] of here) {
    const other = there.get(path);
    if (other === undefined) return `${path} is missing`;
    if (entry.isDirectory() !== other.isDirectory()) return `${path} is of another type`;
    if (!entry.isFile()) continue;
    const [one, two] = [join(source, path), join(remote, path)].map((file) =>
      lstatSync(file, { throwIfNoEntry: false }),
    );
    if (one === undefined || two === undefined) return `${path} has just gone`;
    if (one.size !== two.size) return `${path} has ${two.size} bytes, not ${one.size}`;
    if (secondOf(one) !== secondOf(two)) return `${path} has another time`;
    if (countdown-- > 0) continue;
    countdown = step - 1;
    if (!readFileSync(join(source, path)).equals(readFileSync(join(remote, path)))) return `${path} has other content`;
  }
  return undefined;
}

/**
 * As exact as rsync's own comparison is by default: what is sent while it is being written may keep a time that is wrong
 * by milliseconds, and its content is right.
 */
function secondOf({ mtimeMs }: Stats): number {
  return Math.floor(mtimeMs / 1_000);
}

/** The paths below a directory. One that goes away under our eyes is not there. */
function listTree(root: string): Map<string, Dirent> {
  const found = new Map<string, Dirent>();
  const visit = (below: string): void => {
    for (const entry of namesIn(join(root, below))) {
      const path = join(below, entry.name);
      found.set(path, entry);
      if (entry.isDirectory()) visit(path);
    }
  };
  visit('');
  return found;
}

function namesIn(directory: string): Dirent[] {
  try {
    return readdirSync(directory, { withFileTypes: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
