import { spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';

import { readParamItems } from '../../src/core/rsync-params.js';

/** The options that the installed rsync names in its help with a value: `--bwlimit=RATE`, `-e`. */
function optionsWithValue(): string[] {
  const { stdout } = spawnSync('rsync', ['--help'], { encoding: 'utf8' });
  return [...stdout.matchAll(/^(--[\w-]+)=\S+?(?:, (-\S))? /gm)].flatMap(([, long, short]) =>
    [long, short].filter((option) => option !== undefined),
  );
}

it('knows of every option of the installed rsync that its value may be the next word', () => {
  const options = optionsWithValue();
  expect(options.length).toBeGreaterThan(40);
  const wrong = options.filter((option) => {
    const items = readParamItems([option, 'value']);
    return items.length !== 1 || items[0]?.value !== 'value';
  });
  expect(wrong).toEqual([]);
});
