import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { readConfig } from '../../../src/config/read-config.js';
import { Random } from '../../support/random.js';

const SAMPLE = readFileSync('conf/confxml.xml', 'utf8');
const SNIPPETS = [
  '<',
  '>',
  '/',
  '"',
  "'",
  '=',
  '<!--',
  '-->',
  '&',
  '\n',
  ' ',
  '# ',
  '- ',
  '</head>',
  '<debug start=',
  '“',
  '\0',
  '<?xml',
];
const FILES = 1_500;

test(`of ${FILES} damaged files each is read to an end, every problem with a line of the file`, () => {
  const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
  const random = new Random(seed);
  let damagedToErrors = 0;
  for (let file = 0; file < FILES; file++) {
    let text = SAMPLE;
    for (let damage = random.below(4) + 1; damage > 0; damage--) {
      const at = random.below(text.length);
      const snippet = random.chance(0.5) ? random.pick(SNIPPETS) : '';
      text = text.slice(0, at) + snippet + text.slice(at + random.below(6));
    }
    const reading = readConfig(Buffer.from(text), 'confxml.xml', {});
    const lines = text.split('\n').length;
    const wrong = reading.problems.filter(({ line }) => line < 0 || line > lines);
    expect(wrong, `SEED=${seed}, file ${file}:\n${text}`).toEqual([]);
    if (reading.problems.some(({ severity }) => severity === 'error')) damagedToErrors++;
  }
  expect(damagedToErrors, `SEED=${seed}`).toBeGreaterThan(FILES / 100);
  expect(damagedToErrors, `SEED=${seed}`).toBeLessThan(FILES);
});
