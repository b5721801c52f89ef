import { appendFileSync } from 'node:fs';

import { display, isBelow, type RelativePath } from '../../src/core/relative-path.js';

interface Entry {
  readonly at: number;
  readonly what: string;
  readonly paths: readonly RelativePath[];
}

/** So many entries are kept; a difference has its cause in the last minutes. */
const KEPT = 300_000;

/** What was done to the source and to the service, in order: to be read when something is not equal in the end. */
export class Timeline {
  #entries: Entry[] = [];
  #noted = 0;

  /** How many entries there have been. */
  get length(): number {
    return this.#noted;
  }

  /** `paths` are below the source; none for what concerns everything, such as a fault. */
  note(what: string, ...paths: readonly RelativePath[]): void {
    this.#noted++;
    this.#entries.push({ at: Date.now(), what, paths });
    if (this.#entries.length > 1.2 * KEPT) this.#entries = this.#entries.slice(-KEPT);
  }

  /** The last entries that have to do with what `differences` complains about, and the faults. */
  about(complaints: readonly string[], limit: number): string[] {
    const names = complaints.map((complaint) => complaint.slice(0, complaint.lastIndexOf(': ')));
    const isRelated = (path: RelativePath): boolean => {
      const shown = display(path);
      return names.some((name) => name === shown || isBelow(name, shown) || isBelow(shown, name));
    };
    return this.#entries
      .filter(({ paths }) => paths.length === 0 || paths.some(isRelated))
      .slice(-limit)
      .map(shownEntry);
  }

  writeTo(file: string): void {
    for (let index = 0; index < this.#entries.length; index += 10_000) {
      const lines = this.#entries.slice(index, index + 10_000).map((entry) => `${shownEntry(entry)}\n`);
      appendFileSync(file, lines.join(''));
    }
  }
}

function shownEntry({ at, what, paths }: Entry): string {
  return [new Date(at).toISOString().slice(11, 23), what, ...paths.map((path) => `'${display(path)}'`)].join(' ');
}
