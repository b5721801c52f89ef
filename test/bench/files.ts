import { randomFillSync } from 'node:crypto';
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';

export const KILOBYTE = 1024;
const CHUNK_BYTES = 4 << 20;

/** Directories with the same number of files in each. */
export interface TreeShape {
  readonly directories: readonly string[];
  readonly filesInEach: number;
}

/** So many files below a directory, a hundred in each directory but where there are fewer. */
export function shapeOf(below: string, files: number): TreeShape {
  const count = Math.max(1, Math.round(files / 100));
  return {
    directories: Array.from({ length: count }, (_, index) => `${below}/directory-${index}`),
    filesInEach: Math.round(files / count),
  };
}

export function makeDirectories(root: string, { directories }: TreeShape): void {
  for (const directory of directories) mkdirSync(join(root, directory), { recursive: true });
}

/** Files of 1 KB, each with other content; one directory after the other. */
export function writeFiles(root: string, { directories, filesInEach }: TreeShape): void {
  const content = Buffer.alloc(KILOBYTE);
  randomFillSync(content);
  let written = 0;
  for (const directory of directories) {
    for (let file = 0; file < filesInEach; file++) {
      content.writeUInt32LE(written++);
      writeFileSync(join(root, directory, `file-${file}`), content);
    }
  }
}

/** A file that does not compress. */
export function writeLargeFile(path: string, bytes: number): void {
  const chunk = Buffer.alloc(Math.min(bytes, CHUNK_BYTES));
  const file = openSync(path, 'w');
  try {
    for (let left = bytes; left > 0; left -= chunk.length) {
      randomFillSync(chunk);
      writeSync(file, chunk, 0, Math.min(left, chunk.length));
    }
  } finally {
    closeSync(file);
  }
}
