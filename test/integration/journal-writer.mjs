/**
 * Changes random marks and tells the journal, until it is killed. Arguments: directory, seed. Prints a digest of each
 * state (`state DIGEST`) before the journal can have it, and `flushed` when the last one printed is on the disk.
 */
import { createHash } from 'node:crypto';
import { writeSync } from 'node:fs';
import process from 'node:process';
import { URL } from 'node:url';

const dist = process.env.SERSYNC_DIST ?? new URL('../../dist', import.meta.url).pathname;
const { systemClock } = await import(`${dist}/clock.js`);
const { createEvents } = await import(`${dist}/events.js`);
const { LevelJournal } = await import(`${dist}/journal/level-journal.js`);

const [directory, seed] = process.argv.slice(2);
const events = createEvents((error) => {
  throw error;
});
const journal = await LevelJournal.open({ directory, clock: systemClock, events });
if (journal.damage !== undefined) throw new Error(`damaged: ${journal.damage}`);
const sections = ['one', 'other'].map((name) => {
  const marks = new Map();
  const section = journal.section(name, { imageOf: (path) => marks.get(path), image: () => marks.values() });
  for (const mark of section.saved) marks.set(mark.path, mark);
  return { marks, section };
});
let step = sections[0].section.facts?.step ?? 0;
const below = numbersOf(Number(seed));
printState();
print('flushed');

for (;;) {
  step++;
  const told = Array.from({ length: below(120) }, () => {
    const { marks, section } = sections[below(2)];
    const path = `a/directory/${below(500)}`;
    if (below(3) === 0) marks.delete(path);
    else marks.set(path, { path, kind: 'change', scope: 'entry', gone: false, alone: false, since: step });
    return () => section.changed(path);
  });
  printState();
  for (const tell of told) tell();
  sections[0].section.keep({ step });
  if (below(3) === 0) {
    await journal.flush();
    print('flushed');
  } else {
    await new Promise((resolve) => void systemClock.after(below(30), resolve));
  }
}

function printState() {
  const lines = sections.flatMap(({ marks }, index) =>
    [...marks.values()].map((mark) => `${index} ${mark.path} ${mark.since}`),
  );
  const digest = createHash('sha256').update([step, ...lines.sort()].join('\n'));
  print(`state ${digest.digest('hex')}`);
}

/** At once: what is printed is with the reader when the process is killed. */
function print(line) {
  writeSync(1, `${line}\n`);
}

/** Repeatable random whole numbers below a limit (mulberry32). */
function numbersOf(seed) {
  let state = seed >>> 0;
  return (limit) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % limit;
  };
}
