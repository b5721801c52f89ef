import { existsSync, type FSWatcher, lstatSync, readdirSync, watch } from 'node:fs';
import { join } from 'node:path';

import type { Awaited, Deadline } from './deadline.js';

/** Without an event it is looked at so often, should one be missed. */
const FALLBACK_MS = 10;

/**
 * Waits for something in a few directories by the kernel's events, which costs nothing while nothing happens: looking
 * again and again would take a core from those who are measured.
 */
export class Arrivals {
  readonly #watchers: FSWatcher[];
  #look: () => void = () => undefined;

  constructor(directories: readonly string[]) {
    this.#watchers = directories.map((directory) =>
      watch(directory, { persistent: false }, () => {
        this.#look();
      }),
    );
  }

  /** Returns when `condition` was seen to hold; fails when it throws. */
  async until(condition: () => boolean, deadline: Deadline, awaited: Awaited): Promise<number> {
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise((resolve, reject) => {
        this.#look = () => {
          try {
            if (condition()) resolve(performance.now());
            else deadline.check(awaited);
          } catch (error) {
            reject(error instanceof Error ? error : new Error(String(error)));
          }
        };
        timer = setInterval(this.#look, FALLBACK_MS);
        this.#look();
      });
    } finally {
      clearInterval(timer);
      this.#look = () => undefined;
    }
  }

  close(): void {
    for (const watcher of this.#watchers) watcher.close();
  }
}

/** On tmpfs the size of a directory tells how many names are in it: one stat instead of reading it. */
const EMPTY_BYTES = 40;
const BYTES_PER_NAME = 20;

/**
 * Whether directories hold so many files. Asked again and again it costs one stat a remote until the directory in question
 * is full; only then it is read, and rsync's temporary files, which begin with a dot, do not count.
 */
export class Counted {
  readonly #cursors: number[];

  constructor(
    private readonly roots: readonly string[],
    private readonly directories: readonly string[],
    private readonly filesInEach: number,
  ) {
    this.#cursors = roots.map(() => 0);
  }

  isComplete(): boolean {
    return this.roots.map((root, index) => this.#isComplete(root, index)).every(Boolean);
  }

  /** Where the first root stands that is not complete. */
  describe(): string {
    const states = this.roots.map((root, index) => {
      const directory = this.directories[this.#cursors[index]!];
      if (directory === undefined) return 'complete';
      const files = countFiles(join(root, directory));
      return `${files} of ${this.filesInEach} files in ${directory} (${this.#cursors[index]!} of ${this.directories.length} directories complete)`;
    });
    return states.join('; ');
  }

  #isComplete(root: string, index: number): boolean {
    for (; this.#cursors[index]! < this.directories.length; this.#cursors[index]!++) {
      const directory = join(root, this.directories[this.#cursors[index]!]!);
      if (namesIn(directory) < this.filesInEach) return false;
      if (countFiles(directory) !== this.filesInEach) return false;
    }
    return true;
  }
}

function namesIn(directory: string): number {
  const size = lstatSync(directory, { throwIfNoEntry: false })?.size ?? EMPTY_BYTES;
  return (size - EMPTY_BYTES) / BYTES_PER_NAME;
}

function countFiles(directory: string): number {
  return existsSync(directory) ? readdirSync(directory).filter((name) => !name.startsWith('.')).length : 0;
}
