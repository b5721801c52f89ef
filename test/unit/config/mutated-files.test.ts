import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { describeCheck, describeMigration } from '../../../src/cli/check-text.js';
import { checkBytes, reportOf } from '../../../src/config/check-config.js';
import { mergeConfigs } from '../../../src/config/merge-configs.js';
import { mutateConfig } from '../../support/mutate-config.js';
import { Random } from '../../support/random.js';

const SAMPLE = readFileSync('conf/confxml.xml', 'utf8');
const FILES = 300;
const LIMIT_MS = 2_000;

test(`of ${FILES} mutated files each is checked, described and joined, or refused with a reason`, () => {
  const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
  const random = new Random(seed);
  let withView = 0;
  let refused = 0;
  for (let number = 0; number < FILES; number++) {
    const bytes = mutateConfig(SAMPLE, random);
    const which = `SEED=${seed}, file ${number}:\n${bytes.toString('latin1')}`;
    const started = performance.now();
    const checked = checkBytes(bytes, 'confxml.xml', {});
    const report = reportOf(checked);
    const text = describeCheck(checked) + describeMigration(checked);
    expect(performance.now() - started, which).toBeLessThan(LIMIT_MS);
    expect(text, which).not.toMatch(/\bat .*\.[jt]s:\d|undefined|\[object/);
    expect(report.view !== null || report.errors.length > 0, which).toBe(true);
    if (report.view !== null) withView++;
    if (report.errors.length > 0) refused++;
    const { reading } = checked;
    if (reading === undefined || reading.fileErrors.length > 0) continue;
    // What can be joined is read again without an error, and to the same.
    const [joined] = mergeConfigs([{ file: 'confxml.xml', reading }]).merged;
    const again = checkBytes(Buffer.from(joined?.text ?? ''), 'new.xml', {}).reading;
    expect(again?.fileErrors, which).toEqual([]);
    expect(again?.config.localPaths, which).toEqual(reading.config.localPaths);
    expect({ ...again?.view, remotes: [] }, which).toEqual({ ...reading.view, remotes: [] });
  }
  expect(withView, `SEED=${seed}`).toBeGreaterThan(FILES / 3);
  expect(refused, `SEED=${seed}`).toBeGreaterThan(FILES / 10);
});
