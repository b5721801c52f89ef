import type { RelativePath } from '../core/relative-path.js';
import { messageOf } from '../errors.js';
import { decodeFacts, decodeMark, parseKey, Tally, TALLY_KEY } from './records.js';
import { SectionImage } from './section-image.js';
import type { Database } from './storage.js';

/** What an earlier run of the service has left, by the names of the sections. */
export interface EarlierRun {
  readonly sections: Map<string, SectionImage>;
  readonly tally: Tally;
}

interface Stored {
  readonly marks: Map<RelativePath, string>;
  facts?: string;
}

/** Reads and checks all that is in the database; what is wrong with it when something is. Never rejects. */
export async function readEarlierRun(database: Database): Promise<EarlierRun | { readonly damage: string }> {
  const stored = new Map<string, Stored>();
  const tally = new Tally();
  let found: string | undefined;
  try {
    for await (const records of database.records()) {
      for (const [key, value] of records) {
        if (key === TALLY_KEY) {
          found = value;
          continue;
        }
        tally.add(key, value);
        if (!store(key, value, stored)) return { damage: 'a record cannot be understood' };
      }
    }
  } catch (error) {
    return { damage: `it cannot be read: ${messageOf(error)}` };
  }
  const objection = tally.objectTo(found);
  if (objection !== undefined) return { damage: objection };
  const sections = new Map<string, SectionImage>();
  for (const [name, { marks, facts }] of stored) sections.set(name, new SectionImage(name, marks, facts));
  return { sections, tally };
}

/** Whether the record is one of ours. */
function store(key: string, value: string, stored: Map<string, Stored>): boolean {
  const place = parseKey(key);
  if (place === undefined) return false;
  let section = stored.get(place.section);
  if (section === undefined) stored.set(place.section, (section = { marks: new Map() }));
  if (place.path === undefined) {
    section.facts = value;
    return decodeFacts(value) !== undefined;
  }
  section.marks.set(place.path, value);
  return decodeMark(place.path, value) !== undefined;
}
