import type { Dirent } from 'node:fs';
import { readdir } from 'node:fs/promises';
import type { Filter } from '../core/filter.js';
import { fromBytes, join, ROOT, toBytes, type RelativePath } from '../core/relative-path.js';

/**
 * Every name strictly below a directory that the filter lets through, directories before what is in them. `root`: absolute,
 * bytes as in `RelativePath`. What goes away meanwhile is left out; links are not followed. Blocks nobody.
 */
export async function* namesBelow(
  root: RelativePath,
  filter: Filter,
  directory: RelativePath,
): AsyncGenerator<RelativePath> {
  const toRead = [directory];
  for (let place = toRead.pop(); place !== undefined; place = toRead.pop()) {
    for (const { path, isDirectory } of await children(root, place)) {
      if (filter.isExcluded(path, isDirectory)) continue;
      if (isDirectory) toRead.push(path);
      yield path;
    }
  }
}

async function children(root: RelativePath, directory: RelativePath) {
  const absolute = directory === ROOT ? root : root === '/' ? `/${directory}` : `${root}/${directory}`;
  let entries: Dirent<Buffer>[];
  try {
    entries = await readdir(toBytes(absolute), { withFileTypes: true, encoding: 'buffer' });
  } catch {
    // It has gone, which is told, or may not be read: then nobody can say what is in it.
    return [];
  }
  return entries.map((entry) => ({
    path: join(directory, fromBytes(entry.name)),
    isDirectory: entry.isDirectory(),
  }));
}
