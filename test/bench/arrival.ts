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
 * Waits until directories hold so many files of a size. Asked again and again it costs one stat a remote until the directory in question
 * is full; only then it is read, and rsync's temporary files, which begin with a dot, do not count. Sizes are looked at last, and
 * change the time only where one is wrong: who sends files while they are written has to send them again.
 */
export class Counted {
  readonly #cursors: number[];

  constructor(
    private readonly roots: readonly string[],
    private readonly directories: readonly string[],
    private readonly filesInEach: number,
    private readonly bytes: number,
  ) {
    this.#cursors = roots.map(() => 0);
  }

  /** Returns when the last file was seen to be there. */
  async until(deadline: Deadline): Promise<number> {
    const everyMs = 2;
    const at = await deadline.until(
      () => this.isComplete(),
      () => this.describe(),
      everyMs,
    );
    let wrong = this.#files().filter((file) => sizeOf(file) !== this.bytes);
    if (wrong.length === 0) return at;
    return await deadline.until(
      () => {
        wrong = wrong.filter((file) => sizeOf(file) !== this.bytes);
        return wrong.length === 0;
      },
      () => `${wrong.length} files have not ${this.bytes} bytes, the first is ${wrong[0] ?? ''}`,
      everyMs,
    );
  }

  isComplete(): boolean {
    return this.roots.map((root, index) => this.#isComplete(root, index)).every(Boolean);
  }

  /** Where the first root stands that is not complete. */
  describe(): string {
    const states = this.roots.map((root, index) => {
      const directory = this.directories[this.#cursors[index]!];
      if (directory === undefined) return 'complete';
      const files = filesIn(join(root, directory)).length;
      return `${files} of ${this.filesInEach} files in ${directory} (${this.#cursors[index]!} of ${this.directories.length} directories complete)`;
    });
    return states.join('; ');
  }

  #files(): string[] {
    return this.roots.flatMap((root) =>
      this.directories.flatMap((directory) =>
        filesIn(join(root, directory)).map((name) => join(root, directory, name)),
      ),
    );
  }

  #isComplete(root: string, index: number): boolean {
    for (; this.#cursors[index]! < this.directories.length; this.#cursors[index]!++) {
      const directory = join(root, this.directories[this.#cursors[index]!]!);
      if (namesIn(directory) < this.filesInEach) return false;
      if (filesIn(directory).length !== this.filesInEach) return false;
    }
    return true;
  }
}

/** Of a file on a remote; undefined while it is not there. */
export function sizeOf(file: string): number | undefined {
  return lstatSync(file, { throwIfNoEntry: false })?.size;
}

function namesIn(directory: string): number {
  return ((sizeOf(directory) ?? EMPTY_BYTES) - EMPTY_BYTES) / BYTES_PER_NAME;
}

function filesIn(directory: string): string[] {
  return existsSync(directory) ? readdirSync(directory).filter((name) => !name.startsWith('.')) : [];
}
