import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RelativePath } from '../../src/core/relative-path.js';
import { createEvents, type EventMap } from '../../src/events.js';
import { LevelJournal } from '../../src/journal/level-journal.js';
import type { Storage } from '../../src/journal/storage.js';
import type { Journal, JournalMark, JournalSection, JournalSource } from '../../src/replicate/ports.js';
import { ManualClock } from '../support/manual-clock.js';

export function mark(path: RelativePath, more: Partial<JournalMark> = {}): JournalMark {
  return { path, kind: 'change', scope: 'entry', gone: false, alone: false, since: 1_000, ...more };
}

/** One part of the service: its marks are a map, and the journal is told of each change. */
export class Owner implements JournalSource {
  readonly section: JournalSection;
  readonly marks = new Map<RelativePath, JournalMark>();

  constructor(journal: Journal, name: string) {
    this.section = journal.section(name, this);
    for (const saved of this.section.saved) this.marks.set(saved.path, saved);
  }

  put(...marks: readonly JournalMark[]): void {
    for (const each of marks) {
      this.marks.set(each.path, each);
      this.section.changed(each.path);
    }
  }

  drop(...paths: readonly RelativePath[]): void {
    for (const path of paths) {
      this.marks.delete(path);
      this.section.changed(path);
    }
  }

  imageOf(path: RelativePath): JournalMark | undefined {
    return this.marks.get(path);
  }

  image(): Iterable<JournalMark> {
    return this.marks.values();
  }
}

/** A state in a form that can be compared. */
export function stateOf(sections: Readonly<Record<string, { marks: Iterable<JournalMark>; facts: unknown }>>): string {
  return JSON.stringify(
    Object.entries(sections).map(([name, { marks, facts }]) => [
      name,
      facts,
      [...marks].sort((one, other) => (one.path < other.path ? -1 : 1)).map((each) => Object.entries(each).sort()),
    ]),
  );
}

/** Opens and closes the journal; what it hands over for sections of these names, and what it says of itself. */
export async function readBack(
  directory: string,
  ...names: readonly string[]
): Promise<{ state: string; damage: string | undefined; failing: string | undefined }> {
  const journal = await LevelJournal.open({ directory, clock: new ManualClock(), events: createEvents(rethrow) });
  const sections = names.map((name) => {
    const { saved, facts } = journal.section(name, { imageOf: () => undefined, image: () => [] });
    return [name, { marks: saved, facts }] as const;
  });
  const { damage } = journal;
  const { reason: failing } = journal.status();
  await journal.close();
  return { state: stateOf(Object.fromEntries(sections)), damage, failing };
}

export interface Told {
  readonly event: keyof EventMap;
  readonly detail: object;
}

/** A journal with a clock that is moved by hand, and what it told. */
export interface Opened {
  readonly journal: LevelJournal;
  readonly clock: ManualClock;
  readonly told: Told[];
}

export async function openJournal(directory: string, storage?: Storage): Promise<Opened> {
  const clock = new ManualClock();
  const events = createEvents(rethrow);
  const told: Told[] = [];
  events.on('journal:failed', (detail) => told.push({ event: 'journal:failed', detail }));
  events.on('journal:recovered', (detail) => told.push({ event: 'journal:recovered', detail }));
  events.on('journal:damaged', (detail) => told.push({ event: 'journal:damaged', detail }));
  const options = { directory, clock, events };
  const journal = await LevelJournal.open(storage === undefined ? options : { ...options, storage });
  return { journal, clock, told };
}

/** In memory where there is such a place: each write waits for the disk. */
const DIRECTORY = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

/** A state directory of its own for a test. */
export function stateDirectory(): { path: string; journal: string; remove: () => void } {
  const path = mkdtempSync(join(DIRECTORY, 'sersync-journal-'));
  return {
    path,
    journal: join(path, 'journal'),
    remove: () => {
      rmSync(path, { recursive: true, force: true });
    },
  };
}

function rethrow(error: unknown): never {
  throw error;
}
