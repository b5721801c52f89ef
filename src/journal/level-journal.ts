import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import type { Clock } from '../clock.js';
import { messageOf, StartError } from '../errors.js';
import type { Events } from '../events.js';
import type { Journal, JournalSection, JournalSource } from '../replicate/ports.js';
import { readEarlierRun } from './earlier-run.js';
import { JournalDirectory } from './journal-directory.js';
import { decodeFacts, Tally, TALLY_KEY } from './records.js';
import { SectionImage, type RecordChange } from './section-image.js';
import type { Database, Storage, Write } from './storage.js';
import { isWholeTable } from './table-check.js';

export interface LevelJournalOptions {
  /** `<state directory>/journal`; names that begin with it belong to the journal, too. */
  readonly directory: string;
  readonly clock: Clock;
  readonly events: Events;
  readonly storage?: Storage;
}

/** So long a change may come and go again without being written. */
const GATHER_MS = 50;
/** Records a write: some 1 ms of the main thread. */
const PIECE = 1_000;
/** A journal that cannot be written is tried again after this time. */
const RETRY_MS = 5_000;

/**
 * The journal in a LevelDB database. One write at a time; what is told meanwhile goes into the next one.
 *
 * After a write has failed LevelDB takes others again and says that all is well, but what follows the half record in its
 * log is gone when it is opened next (seen: disk full, then space again). So the database is not touched any more, and a
 * new one with all that is to be stored takes its place as soon as it can be written.
 */
export class LevelJournal implements Journal {
  readonly #directory: JournalDirectory;
  readonly #storage: Storage;
  readonly #clock: Clock;
  readonly #events: Events;
  #sections = new Map<string, SectionImage>();
  #tally = new Tally();
  /** Undefined while it cannot be written, and when it is closed. */
  #database: Database | undefined;
  #failure: { readonly since: number; readonly reason: string } | undefined;
  #damage: string | undefined;
  #isClosed = false;
  #writing: Promise<void> | undefined;
  /** When something was told that no write has taken yet. */
  #toldAt: number | undefined;
  #takeBack: (() => void) | undefined;

  private constructor({ directory, clock, events, storage = levelStorage }: LevelJournalOptions) {
    this.#directory = new JournalDirectory(directory);
    this.#storage = storage;
    this.#clock = clock;
    this.#events = events;
  }

  /**
   * Opens the journal, a new one where there is none. One that is damaged is put aside (`damage`); where none can be
   * written the journal begins as one that fails. Rejects with a StartError when another process has it open.
   */
  static async open(options: LevelJournalOptions): Promise<LevelJournal> {
    const journal = new LevelJournal(options);
    try {
      const isThere = await journal.#directory.settle();
      const damage = isThere ? await journal.#load() : undefined;
      if (journal.#database === undefined) await journal.#renew(damage);
    } catch (error) {
      if (error instanceof StartError) throw error;
      await journal.#fail(error);
      journal.#writeAfter(RETRY_MS);
    }
    return journal;
  }

  /** Why the journal of an earlier run was put aside. */
  get damage(): string | undefined {
    return this.#damage;
  }

  /** Since when (milliseconds since 1970) and why it cannot be written; nothing when it can. */
  status(): { failingSince?: number; reason?: string } {
    return this.#failure === undefined ? {} : { failingSince: this.#failure.since, reason: this.#failure.reason };
  }

  section(name: string, source: JournalSource): JournalSection {
    const section = this.#sections.get(name) ?? new SectionImage(name);
    if (section.isOpen) throw new Error(`the section ${name} of the journal is open already`);
    this.#sections.set(name, section);
    return {
      facts: section.facts === undefined ? undefined : decodeFacts(section.facts),
      saved: section.open(source),
      changed: (path, isDated = false) => {
        if (isDated && section.tellDated(path)) return;
        if (!isDated) section.tell(path);
        if (this.#toldAt === undefined) this.#expectWrite();
      },
      settled: (path) => {
        if (!section.tellSettled(path) && this.#toldAt === undefined) this.#expectWrite();
      },
      keep: (facts) => {
        section.keep(JSON.stringify(facts));
        if (this.#toldAt === undefined) this.#expectWrite();
      },
    };
  }

  forgetOthers(): void {
    for (const section of this.#sections.values()) if (!section.isOpen) section.forget();
    this.#expectWrite();
  }

  async flush(): Promise<void> {
    // What is being written may be older than what was told last.
    await this.#writing;
    this.#takeDated();
    if (this.#failure === undefined) await this.#write();
  }

  /** Writes what is to be written, also when it could not be before, and closes the database. */
  async close(): Promise<void> {
    await this.#writing;
    this.#takeDated();
    await this.#write();
    this.#isClosed = true;
    this.#takeBack?.();
    const database = this.#database;
    this.#database = undefined;
    await database?.close();
  }

  #expectWrite(): void {
    this.#toldAt ??= this.#clock.now();
    if (this.#writing !== undefined || this.#takeBack !== undefined || this.#isClosed) return;
    const passed = this.#clock.now() - this.#toldAt;
    this.#writeAfter(Math.max(0, GATHER_MS - passed));
  }

  #writeAfter(delayMs: number): void {
    this.#takeBack = this.#clock.after(delayMs, () => void this.#write());
  }

  /** Begins a write, or joins the one that is under way. Never rejects. */
  #write(): Promise<void> {
    if (this.#isClosed) return Promise.resolve();
    this.#takeBack?.();
    this.#takeBack = undefined;
    this.#writing ??= this.#writeOnce().finally(() => {
      this.#writing = undefined;
      if (this.#failure !== undefined) this.#writeAfter(RETRY_MS);
      else if (this.#toldAt !== undefined) this.#expectWrite();
    });
    return this.#writing;
  }

  async #writeOnce(): Promise<void> {
    this.#toldAt = undefined;
    try {
      if (this.#database === undefined) await this.#renew();
      else await this.#writeChanges(this.#database);
    } catch (error) {
      await this.#fail(error);
    }
  }

  async #writeChanges(database: Database): Promise<void> {
    let piece: RecordChange[] = [];
    for (const change of this.#takeChanges()) {
      piece.push(change);
      if (piece.length < PIECE) continue;
      await this.#writePiece(database, piece);
      piece = [];
    }
    if (piece.length > 0) await this.#writePiece(database, piece);
  }

  /**
   * The facts are taken first and written last: the marks that are taken after them are no older than what was told
   * before the facts. A section is looked at when its turn has come.
   */
  *#takeChanges(): Generator<RecordChange> {
    if ([...this.#sections.values()].some(({ hasNewFacts }) => hasNewFacts)) this.#takeDated();
    const sections = [...this.#sections.values()].filter(({ hasNews }) => hasNews);
    const facts = sections.flatMap((section) => section.takeFacts());
    for (const section of sections) yield* section.takeMarks();
    yield* facts;
  }

  #takeDated(): void {
    for (const section of this.#sections.values()) section.takeDated();
  }

  async #writePiece(database: Database, changes: readonly RecordChange[]): Promise<void> {
    for (const { key, before, value } of changes) {
      if (before !== undefined) this.#tally.remove(key, before);
      if (value !== undefined) this.#tally.add(key, value);
    }
    await database.write([...changes, { key: TALLY_KEY, value: this.#tally.encode() }]);
  }

  /** Takes over what an earlier run has left; what is wrong with it when that cannot be. */
  async #load(): Promise<string | undefined> {
    let database: Database;
    try {
      database = await this.#storage.open(this.#directory.path);
    } catch (error) {
      if (error instanceof StartError) throw error;
      // A damaged file may be quoted in it.
      return `it cannot be opened: ${messageOf(error).replace(/[^\x20-\x7e]+/g, '?')}`;
    }
    const earlier = await readEarlierRun(database);
    if ('damage' in earlier) {
      await database.close();
      return earlier.damage;
    }
    this.#sections = earlier.sections;
    this.#tally = earlier.tally;
    this.#database = database;
    return undefined;
  }

  /**
   * Puts a new database with all that is to be stored in the place of the present one. Whether one that could not be
   * opened is damaged shows here: where no new one can be written either, it is the disk, and the present one stays.
   */
  async #renew(damage?: string): Promise<void> {
    this.#tally = new Tally();
    const database = await this.#storage.create(this.#directory.unfinished);
    try {
      await this.#writePiece(database, []);
      await this.#writeChanges(database);
    } finally {
      await database.close();
    }
    if (damage !== undefined) await this.#setAside(damage);
    await this.#directory.adopt();
    this.#database = await this.#storage.open(this.#directory.path);
    if (this.#failure === undefined) return;
    const durationMs = this.#clock.now() - this.#failure.since;
    this.#failure = undefined;
    this.#events.emit('journal:recovered', { directory: this.#directory.path, durationMs });
  }

  async #setAside(damage: string): Promise<void> {
    const setAside = await this.#directory.setAside(this.#clock.now());
    this.#damage = damage;
    this.#events.emit('journal:damaged', { directory: this.#directory.path, reason: damage, setAside });
  }

  /** From now on all is in memory alone, until `#renew` has been through. */
  async #fail(error: unknown): Promise<void> {
    const reason = messageOf(error);
    const isNew = this.#failure === undefined;
    this.#failure = { since: this.#failure?.since ?? this.#clock.now(), reason };
    for (const section of this.#sections.values()) section.startOver();
    const database = this.#database;
    this.#database = undefined;
    // It is given up in any case.
    await database?.close().catch(() => undefined);
    const directory = this.#directory.path;
    if (isNew) this.#events.emit('journal:failed', { directory, reason, hint: hintFor(reason, directory) });
  }
}

function hintFor(reason: string, directory: string): string {
  const step = /No space left|ENOSPC|quota/i.test(reason)
    ? `free some space for ${directory}`
    : `see that ${directory} can be written`;
  return `${step}; until then a crash of the service is followed by a search for what it had not sent yet`;
}

/** Nothing is read but when it is opened, so it needs no cache. */
const LEVEL_OPTIONS = { keyEncoding: 'utf8', valueEncoding: 'utf8', cacheSize: 65_536, compression: false } as const;
const RECORDS_A_READ = 1_000;

class LevelDatabase implements Database {
  private constructor(readonly level: ClassicLevel) {}

  static async open(directory: string, isNew: boolean): Promise<LevelDatabase> {
    const level = new ClassicLevel(directory, { ...LEVEL_OPTIONS, createIfMissing: isNew, errorIfExists: isNew });
    try {
      await level.open();
    } catch (error) {
      // What the system said is in the cause.
      const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
      if (!(cause instanceof Error && 'code' in cause && cause.code === 'LEVEL_LOCKED')) throw cause;
      throw new StartError(
        'SERSYNC_JOURNAL_LOCKED',
        `the journal ${directory} cannot be opened: another process has it open`,
        'stop the other sersync that runs with this configuration, or set SERSYNC_STATE_DIR for one of the two',
        { cause },
      );
    }
    return new LevelDatabase(level);
  }

  async *records(): AsyncGenerator<[key: string, value: string][]> {
    const iterator = this.level.iterator({ fillCache: false });
    try {
      for (;;) {
        const records = await iterator.nextv(RECORDS_A_READ);
        if (records.length === 0) return;
        yield records;
      }
    } finally {
      await iterator.close();
    }
  }

  /** As a chained batch: 0.4 ms of the main thread for 1,000 records, and 5.5 ms as an array (classic-level 3.0.0). */
  async write(writes: readonly Write[]): Promise<void> {
    const batch = this.level.batch();
    for (const { key, value } of writes) {
      if (value === undefined) batch.del(key);
      else batch.put(key, value);
    }
    await batch.write({ sync: true });
  }

  close(): Promise<void> {
    return this.level.close();
  }
}

export const levelStorage: Storage = {
  async create(directory) {
    await rm(directory, { recursive: true, force: true });
    await mkdir(directory, { recursive: true, mode: 0o700 });
    return LevelDatabase.open(directory, true);
  },
  async open(directory) {
    await hideDamagedTables(directory);
    return LevelDatabase.open(directory, false);
  },
};

/**
 * Gives tables that are not whole a name that LevelDB does not know. It says so when one is missing that it needs; one
 * that it does not need was being written when the service was killed.
 */
async function hideDamagedTables(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    if (!/\.(ldb|sst)$/.test(name)) continue;
    const path = join(directory, name);
    if (!isWholeTable(await readFile(path))) await rename(path, `${path}.not-whole`);
  }
}
