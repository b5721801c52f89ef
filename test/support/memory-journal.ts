import { isDeepStrictEqual } from 'node:util';

import type { RelativePath } from '../../src/core/relative-path.js';
import type { Journal, JournalMark, JournalSection, JournalSource } from '../../src/replicate/ports.js';

interface Saved {
  marks: Map<RelativePath, JournalMark>;
  facts: unknown;
}

interface Open extends Saved {
  readonly source: JournalSource;
  readonly changed: Set<RelativePath>;
  /** What may wait for the next `keep`. */
  readonly dated: Set<RelativePath>;
  newFacts: unknown;
}

/**
 * A journal in memory that keeps to the letter of the port: only what was told by `changed` is asked for, when `write` or
 * `flush` is called and not before, and what is dated as late as it may be. `reopen` is what the next run of the service finds after a crash.
 */
export class MemoryJournal implements Journal {
  readonly #saved: ReadonlyMap<string, Saved>;
  readonly #open = new Map<string, Open>();

  constructor(saved: ReadonlyMap<string, Saved> = new Map()) {
    this.#saved = saved;
  }

  section(name: string, source: JournalSource): JournalSection {
    const saved = this.#saved.get(name);
    const marks = new Map(saved?.marks);
    const told = { changed: new Set<RelativePath>(), dated: new Set<RelativePath>() };
    const open: Open = { marks, facts: saved?.facts, source, ...told, newFacts: saved?.facts };
    this.#open.set(name, open);
    return {
      saved: [...marks.values()],
      facts: saved?.facts,
      changed: (path, isDated = false) =>
        void (isDated && !open.changed.has(path) && !marks.has(path) ? open.dated : open.changed).add(path),
      settled: (path) => void (marks.has(path) ? open.changed : open.dated).add(path),
      keep: (facts) => {
        open.newFacts = facts;
      },
    };
  }

  forgetOthers(): void {
    // What was not opened is not handed on by `reopen` either.
  }

  flush(): Promise<void> {
    for (const { changed, dated } of this.#open.values()) {
      for (const path of dated) changed.add(path);
      dated.clear();
    }
    this.#writeChanged();
    return Promise.resolve();
  }

  /** What is written in any case: dated paths wait, as long as no facts are new. */
  write(): void {
    const hasNewFacts = [...this.#open.values()].some(({ facts, newFacts }) => !isDeepStrictEqual(facts, newFacts));
    if (hasNewFacts) void this.flush();
    else this.#writeChanged();
  }

  #writeChanged(): void {
    for (const open of this.#open.values()) {
      for (const path of open.changed) {
        const mark = open.source.imageOf(path);
        if (mark === undefined) open.marks.delete(path);
        else open.marks.set(path, mark);
      }
      open.changed.clear();
      open.facts = JSON.parse(JSON.stringify(open.newFacts ?? null)) as unknown;
    }
  }

  /** What was flushed last, for the next run. */
  reopen(): MemoryJournal {
    return new MemoryJournal(this.#open);
  }

  marksOf(name: string): JournalMark[] {
    return [...(this.#open.get(name)?.marks.values() ?? [])];
  }
}

/** The journal of a remote that a full resync has been through. */
export function journalAfterResync(key: string, fingerprint: string): MemoryJournal {
  return new MemoryJournal(new Map([[key, { marks: new Map(), facts: { fingerprint, mayDelete: true } }]]));
}
