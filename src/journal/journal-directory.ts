import { lstat, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/** How many damaged journals are kept for whoever wants to know what happened. */
const KEPT_DAMAGED = 3;

/**
 * The places of a journal on the disk. A new one is written beside the old one, and takes its place when it is complete:
 * whenever the service ends there is a whole one, the old or the new.
 */
export class JournalDirectory {
  constructor(readonly path: string) {}

  /** Where a new journal is written. */
  get unfinished(): string {
    return `${this.path}.new`;
  }

  /** A new journal that is complete. */
  get #complete(): string {
    return `${this.path}.next`;
  }

  /** Ends what an earlier run did not come to. Returns whether there is a journal, of whatever kind. */
  async settle(): Promise<boolean> {
    await rm(this.unfinished, { recursive: true, force: true });
    if (await exists(this.#complete)) await this.#replace();
    return exists(this.path);
  }

  /** The new journal, which nobody may have open, takes the place of the present one. */
  async adopt(): Promise<void> {
    await rename(this.unfinished, this.#complete);
    await this.#replace();
  }

  /** Takes the present journal out of the way; returns its new path. `now`: milliseconds since 1970. */
  async setAside(now: number): Promise<string> {
    const prefix = `${this.path}.damaged-`;
    const target = prefix + new Date(now).toISOString().replaceAll(':', '');
    await rm(target, { recursive: true, force: true });
    await rename(this.path, target);
    const parent = dirname(this.path);
    const damaged = (await readdir(parent)).filter((name) => name.startsWith(basename(prefix))).sort();
    for (const name of damaged.slice(0, -KEPT_DAMAGED)) await rm(join(parent, name), { recursive: true, force: true });
    return target;
  }

  async #replace(): Promise<void> {
    // A power cut must not undo the first renaming after the old journal was removed.
    await syncDirectory(dirname(this.path));
    await rm(this.path, { recursive: true, force: true });
    await rename(this.#complete, this.path);
    await syncDirectory(dirname(this.path));
  }
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    (error: unknown) => {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
      throw error;
    },
  );
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path);
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
