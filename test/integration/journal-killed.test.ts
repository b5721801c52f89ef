import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Random } from '../support/random.js';
import { openJournal, Owner, stateDirectory } from './journal-bench.js';

let place: ReturnType<typeof stateDirectory>;

beforeEach(() => {
  place = stateDirectory();
});

afterEach(() => {
  place.remove();
});

const WRITER = new URL('journal-writer.mjs', import.meta.url).pathname;
const KILLS = 25;

test('a service that is killed at any moment finds the last flushed state again, or a later one', async () => {
  const random = new Random(1);
  let changed = 0;
  let later = 0;
  for (let kill = 0; kill < KILLS; kill++) {
    const { lines, errors } = await writeUntilKilled(kill, 5 + random.below(60), random.below(20));
    expect(errors, `kill ${kill}`).toBe('');
    const states = lines.filter((line) => line.startsWith('state ')).map((line) => line.slice('state '.length));
    const flushed = lines.slice(0, lines.lastIndexOf('flushed')).filter((line) => line.startsWith('state ')).length - 1;
    const found = states.indexOf(await digestOf(place.journal), flushed);
    expect(found, `kill ${kill}`).toBeGreaterThanOrEqual(flushed);
    if (found > 0) changed++;
    if (found > flushed) later++;
  }
  expect(changed).toBeGreaterThan(KILLS / 2);
  expect(later).toBeGreaterThan(0);
});

/** What the writer printed until it was killed: `delayMs` after so many lines. */
async function writeUntilKilled(
  seed: number,
  afterLines: number,
  delayMs: number,
): Promise<{ lines: string[]; errors: string }> {
  const writer = spawn(process.execPath, [WRITER, place.journal, String(seed)], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  let errors = '';
  const ended = new Promise<void>((resolve) => writer.once('close', resolve));
  writer.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  const enough = new Promise<void>((resolve) => {
    writer.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      if (output.split('\n').length > afterLines) resolve();
    });
  });
  await Promise.race([enough, ended]);
  // At any moment of a write, not only when something was printed.
  await sleep(delayMs);
  writer.kill('SIGKILL');
  await ended;
  return { lines: output.split('\n').slice(0, -1), errors };
}

/** The digest that the writer prints for what is in the journal. */
async function digestOf(directory: string): Promise<string> {
  const { journal } = await openJournal(directory);
  expect(journal.damage).toBeUndefined();
  const owners = [new Owner(journal, 'one'), new Owner(journal, 'other')];
  const facts = owners[0]!.section.facts as { step: number } | undefined;
  const marks = owners.flatMap((owner, index) =>
    [...owner.marks.values()].map(({ path, since }) => `${index} ${path} ${since}`),
  );
  await journal.close();
  return createHash('sha256')
    .update([facts?.step ?? 0, ...marks.sort()].join('\n'))
    .digest('hex');
}
