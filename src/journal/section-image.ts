import type { RelativePath } from '../core/relative-path.js';
import type { JournalMark, JournalSource } from '../replicate/ports.js';
import { decodeMark, encodeMark, factsKey, marksPrefix } from './records.js';

/** What is to be written of a section: one record, what it is now and what it was. */
export interface RecordChange {
  readonly key: string;
  /** Undefined: there is none. */
  readonly before: string | undefined;
  readonly value: string | undefined;
}

/** Beyond so many told paths all of a section is compared instead. */
export const MOST_TOLD = 200_000;

const NOTHING: JournalSource = { imageOf: () => undefined, image: () => [] };

/**
 * One section: what is stored of it, and of which paths it was told since. What came and went between two writes is the
 * same as what is stored, and is not written.
 */
export class SectionImage {
  #source: JournalSource;
  #isOpen = false;
  /** The encoded marks of the earlier run, until somebody opens or forgets the section. */
  #saved: ReadonlyMap<RelativePath, string>;
  #stored: Map<RelativePath, string>;
  #told = new Set<RelativePath>();
  /** Told, not stored, and the disk tells as much: they are written before the next facts of any section. */
  #toldDated = new Set<RelativePath>();
  /** Which paths have changed is not known: all of it is compared. */
  #isUnknown = false;
  #facts: string | undefined;
  #storedFacts: string | undefined;
  readonly #prefix: string;
  readonly #factsKey: string;

  /** `marks` and `facts` are what an earlier run has stored, encoded. */
  constructor(name: string, marks = new Map<RelativePath, string>(), facts?: string) {
    this.#prefix = marksPrefix(name);
    this.#factsKey = factsKey(name);
    this.#saved = marks;
    this.#stored = marks;
    this.#facts = facts;
    this.#storedFacts = facts;
    this.#source = {
      imageOf: (path) => decodeSaved(this.#saved, path),
      image: () => marksOf(this.#saved),
    };
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** The facts as JSON; undefined when there are none. */
  get facts(): string | undefined {
    return this.#facts;
  }

  /** Whether something may have to be written soon. */
  get hasNews(): boolean {
    return this.#told.size > 0 || this.#isUnknown || this.hasNewFacts;
  }

  get hasNewFacts(): boolean {
    return this.#facts !== this.#storedFacts;
  }

  /** From now on `source` says what is to be stored. Returns what the earlier run has left. */
  open(source: JournalSource): JournalMark[] {
    const saved = [...marksOf(this.#saved)];
    this.#saved = new Map();
    this.#source = source;
    this.#isOpen = true;
    return saved;
  }

  /** Nothing of the section is to be stored any more. */
  forget(): void {
    this.#saved = new Map();
    this.#source = NOTHING;
    this.#facts = undefined;
    this.#isUnknown = true;
  }

  tell(path: RelativePath): void {
    if (this.#isUnknown) return;
    this.#told.add(path);
    if (this.#told.size > MOST_TOLD) this.#compareAll();
  }

  /** Whether it waits for the next facts. */
  tellDated(path: RelativePath): boolean {
    if (this.#isUnknown || this.#told.has(path) || this.#stored.has(path)) {
      this.tell(path);
      return false;
    }
    this.#toldDated.add(path);
    if (this.#toldDated.size > MOST_TOLD) this.#compareAll();
    return !this.#isUnknown;
  }

  /** Whether there is nothing to be written of it soon. */
  tellSettled(path: RelativePath): boolean {
    if (this.#toldDated.size === 0 || !this.#toldDated.has(path) || this.#told.has(path)) {
      this.tell(path);
      return false;
    }
    if (this.#source.imageOf(path) === undefined) this.#toldDated.delete(path);
    return true;
  }

  keep(facts: string): void {
    this.#facts = facts;
  }

  /** Nothing is stored: the next changes are all of the section. */
  startOver(): void {
    this.#stored = new Map();
    this.#storedFacts = undefined;
    this.#compareAll();
  }

  /** What was told as dated is written as well from now on. */
  takeDated(): void {
    for (const path of this.#toldDated) this.#told.add(path);
    this.#toldDated = new Set();
  }

  /**
   * Takes what has changed in the marks as stored: first what is put, then what is removed. A mark that is removed may
   * have been folded into one that is put, and all are asked for at one moment (that of the first step), so cut off
   * anywhere nothing is missing.
   */
  *takeMarks(): Generator<RecordChange> {
    const { present, absent } = this.#isUnknown ? this.#askForAll() : this.#askFor(this.#told);
    this.#told = new Set();
    this.#isUnknown = false;
    for (const mark of present) {
      const before = this.#stored.get(mark.path);
      const value = encodeMark(mark);
      if (before === value) continue;
      this.#stored.set(mark.path, value);
      yield { key: this.#prefix + mark.path, before, value };
    }
    for (const path of absent) {
      const before = this.#stored.get(path);
      if (before === undefined) continue;
      this.#stored.delete(path);
      yield { key: this.#prefix + path, before, value: undefined };
    }
  }

  /** Takes the change of the facts as stored. */
  takeFacts(): RecordChange[] {
    const before = this.#storedFacts;
    const value = this.#facts;
    if (before === value) return [];
    this.#storedFacts = value;
    return [{ key: this.#factsKey, before, value }];
  }

  #compareAll(): void {
    this.#told = new Set();
    this.#toldDated = new Set();
    this.#isUnknown = true;
  }

  #askFor(paths: Iterable<RelativePath>): Answer {
    const present: JournalMark[] = [];
    const absent: RelativePath[] = [];
    for (const path of paths) {
      const mark = this.#source.imageOf(path);
      if (mark === undefined) absent.push(path);
      else present.push(mark);
    }
    return { present, absent };
  }

  #askForAll(): Answer {
    const present = [...this.#source.image()];
    if (this.#stored.size === 0) return { present, absent: [] };
    const paths = new Set(present.map(({ path }) => path));
    return { present, absent: [...this.#stored.keys()].filter((path) => !paths.has(path)) };
  }
}

/** What is to be stored now, and of which paths nothing. */
interface Answer {
  readonly present: readonly JournalMark[];
  readonly absent: readonly RelativePath[];
}

function* marksOf(saved: ReadonlyMap<RelativePath, string>): Generator<JournalMark> {
  for (const path of saved.keys()) {
    const mark = decodeSaved(saved, path);
    if (mark !== undefined) yield mark;
  }
}

function decodeSaved(saved: ReadonlyMap<RelativePath, string>, path: RelativePath): JournalMark | undefined {
  const value = saved.get(path);
  return value === undefined ? undefined : decodeMark(path, value);
}
