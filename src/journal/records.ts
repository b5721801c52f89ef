/**
 * What the journal's database holds: text keys and text values.
 *
 * | key                  | value                                                                  |
 * |----------------------|------------------------------------------------------------------------|
 * | `"section"` NUL path | a mark: one character for its flags, `since`, `+` if it was moved, and why, as a JSON string |
 * | `"section"`          | the facts of the section: JSON                                         |
 * | `tally`              | format, number and sum of all other records                            |
 *
 * Sections are written as JSON strings and paths are latin1, so every key and value is text that UTF-8 can hold.
 */
import { movedIf } from '../core/dirty-set.js';
import type { RelativePath } from '../core/relative-path.js';
import type { Scope } from '../core/scope.js';
import type { JournalMark } from '../replicate/ports.js';

export const TALLY_KEY = 'tally';

export function factsKey(section: string): string {
  return JSON.stringify(section);
}

/** What the keys of a section's marks begin with; the path follows. */
export function marksPrefix(section: string): string {
  return `${JSON.stringify(section)}\0`;
}

/** The section that a key belongs to, and the path if it is that of a mark; undefined when it is no such key. */
export function parseKey(key: string): { section: string; path: RelativePath | undefined } | undefined {
  const end = key.indexOf('\0');
  const section = parseText(end < 0 ? key : key.slice(0, end));
  if (section === undefined) return undefined;
  return { section, path: end < 0 ? undefined : key.slice(end + 1) };
}

/** On the disk these are numbers: what is there stays in its place, others follow. */
const KINDS: readonly JournalMark['kind'][] = [
  'change',
  'resync',
  'found',
  'held',
  'parked',
  'sweep',
  'both',
  'copied',
];
const SCOPES: readonly Scope[] = ['entry', 'listing', 'subtree'];
const FIRST_FLAG = '0'.charCodeAt(0);
const MOVED = '+';
const FLAGS = KINDS.length * SCOPES.length * 4;

/** A mark without its path. `since` is kept to the millisecond, rounded down: a change is never taken for a newer one. */
export function encodeMark({ kind, scope, gone, alone, moved, since, why }: Omit<JournalMark, 'path'>): string {
  const flags = (KINDS.indexOf(kind) * SCOPES.length + SCOPES.indexOf(scope)) * 4 + (gone ? 2 : 0) + (alone ? 1 : 0);
  const head = String.fromCharCode(FIRST_FLAG + flags) + Math.floor(since).toString(36) + (moved === true ? MOVED : '');
  return why === undefined ? head : head + JSON.stringify(why);
}

/** Undefined when it is not the value of a mark. */
export function decodeMark(path: RelativePath, value: string): JournalMark | undefined {
  const flags = value.charCodeAt(0) - FIRST_FLAG;
  const quote = value.indexOf('"');
  const text = value.slice(1, quote < 0 ? value.length : quote);
  const moved = text.endsWith(MOVED);
  const digits = moved ? text.slice(0, -MOVED.length) : text;
  const since = /^[0-9a-z]{1,11}$/.test(digits) ? parseInt(digits, 36) : NaN;
  const kind = KINDS[Math.floor(flags / (SCOPES.length * 4))];
  const scope = SCOPES[Math.floor(flags / 4) % SCOPES.length];
  if (!(flags >= 0 && flags < FLAGS) || kind === undefined || scope === undefined) return undefined;
  if (!Number.isSafeInteger(since)) return undefined;
  const mark = { path, kind, scope, gone: (flags & 2) !== 0, alone: (flags & 1) !== 0, since, ...movedIf(moved) };
  if (quote < 0) return mark;
  const why = parseText(value.slice(quote));
  return why === undefined ? undefined : { ...mark, why };
}

/** The facts of a section; undefined when it is no JSON (which has no undefined). */
export function decodeFacts(value: string): unknown {
  try {
    return JSON.parse(value) as unknown;
  } catch {
    return undefined;
  }
}

function parseText(json: string): string | undefined {
  const text = json.startsWith('"') ? decodeFacts(json) : undefined;
  return typeof text === 'string' ? text : undefined;
}

const FORMAT = 1;

/**
 * Counts and sums all records but itself, and goes with every write. LevelDB drops a damaged record of its log, and all
 * that follows in the same 32 kB, without a word; what it had dropped in the middle is missing in the tally of what
 * came after.
 */
export class Tally {
  #count = 0;
  #sum = 0;

  add(key: string, value: string): void {
    this.#count++;
    this.#sum = (this.#sum + hash(key, value)) >>> 0;
  }

  remove(key: string, value: string): void {
    this.#count--;
    this.#sum = (this.#sum - hash(key, value)) >>> 0;
  }

  encode(): string {
    return `${FORMAT} ${this.#count} ${this.#sum.toString(16)}`;
  }

  /** What is wrong when `encoded` was found beside the records of this tally; undefined when nothing is. */
  objectTo(encoded: string | undefined): string | undefined {
    if (encoded === undefined) return 'it has no tally of its records';
    const match = /^([0-9]+) ([0-9]+) [0-9a-f]+$/.exec(encoded);
    if (match === null) return 'the tally of its records cannot be read';
    const [, format, count] = match;
    if (Number(format) !== FORMAT) return `it has format ${format}, and this version reads format ${FORMAT}`;
    if (encoded === this.encode()) return undefined;
    if (Number(count) === this.#count) return 'a record is not what was written';
    return `${count} records were written, and ${this.#count} are there`;
  }
}

/** FNV-1a (32 bits) over the UTF-16 units. */
function hash(key: string, value: string): number {
  let state = 0x811c9dc5;
  for (let index = 0; index < key.length; index++) state = Math.imul(state ^ key.charCodeAt(index), 0x01000193);
  state = Math.imul(state, 0x01000193);
  for (let index = 0; index < value.length; index++) state = Math.imul(state ^ value.charCodeAt(index), 0x01000193);
  return state >>> 0;
}
