import { describe, expect, it } from 'vitest';
import {
  canDeleteByRules,
  planDeletions,
  planRemovals,
  refusesMissingNames,
  type DeletionRun,
} from '../../../src/transfer/delete-rules.js';

/** What a run says, a line each. */
function said({ list, rules }: DeletionRun): { list: string[]; rules: string[] } {
  const lines = (bytes: Buffer): string[] => bytes.toString('latin1').split('\0').slice(0, -1);
  return { list: lines(list), rules: lines(rules) };
}

describe('planDeletions', () => {
  it.each<[string, string[], string[], string[]]>([
    ['lists the root for a name in it', ['a'], ['./'], ['+ /a']],
    ['lists the directory that held the name', ['d/e/a'], ['./d/e/'], ['S /d/', 'S /d/e/', '+ /d/e/a']],
    ['lists a directory once', ['d/a', 'd/b'], ['./d/'], ['S /d/', '+ /d/a', '+ /d/b']],
    ['keeps neighbours together', ['d/b', 'a', 'd/a'], ['./', './d/'], ['S /d/', '+ /a', '+ /d/a', '+ /d/b']],
    ['escapes a name that would be a wildcard', ['*'], ['./'], ['+ /\\*']],
    ['escapes every special character of such a name', ['[a]\\?*]'], ['./'], ['+ /\\[a]\\\\\\?\\*]']],
    ['leaves a backslash alone where there is no wildcard', ['a\\b]'], ['./'], ['+ /a\\b]']],
    ['escapes a directory like a name', ['d*/a'], ['./d*/'], ['S /d\\*/', '+ /d\\*/a']],
    ['keeps what looks like a comment or a rule', ['#a', '- b'], ['./'], ['+ /#a', '+ /- b']],
    ['keeps bytes and newlines as they are', ['\xb2\xe2\n'], ['./'], ['+ /\xb2\xe2\n']],
  ])('%s', (_title, names, list, rules) => {
    const { runs, tooLong } = planDeletions(names);
    expect(runs.map(said)).toEqual([{ list, rules: [...rules, '-p **'] }]);
    expect(tooLong).toEqual([]);
  });

  it('protects what stays in a directory, whatever its name, and hides a name that is here', () => {
    const { runs, tooLong } = planRemovals([
      { path: 'd/e', keeps: ['d/e/k.log', 'd/e/[x]'] },
      { path: 'd/f', isHere: true },
      { path: 'g', keeps: [`g/${'*'.repeat(2_600)}`] },
    ]);
    const rules = ['S /d/', 'P /d/e/k.log', 'P /d/e/\\[x]', '+ /d/e', 'H /d/f', 'R /d/f', '-p **'];
    expect(runs.map(said)).toEqual([{ list: ['./d/'], rules }]);
    expect(tooLong).toEqual(['g']);
  });

  it('plans nothing for no names', () => {
    expect(planDeletions([])).toEqual({ runs: [], tooLong: [] });
  });

  it('splits many names into runs that protect everything else, each', () => {
    const names = Array.from({ length: 10_000 }, (_, at) => `d${at % 7}/f${at}`);
    const { runs } = planDeletions(names);
    expect(runs.length).toBeGreaterThan(1);
    expect(runs.flatMap((run) => run.names).sort()).toEqual([...names].sort());
    for (const run of runs) expect(said(run).rules.at(-1)).toBe('-p **');
    // Sorted by directory, ten runs list seven directories hardly more than once each.
    expect(runs.flatMap((run) => said(run).list).length).toBeLessThan(7 + runs.length);
  });

  it('leaves out a name whose rule rsync could not read, and none of the others', () => {
    const long = `${'*'.repeat(250)}/`.repeat(16).slice(0, 4_000);
    const { runs, tooLong } = planDeletions(['a', long, 'b']);
    expect(tooLong).toEqual([long]);
    expect(runs.flatMap((run) => run.names)).toEqual(['a', 'b']);
  });
});

describe('refusesMissingNames', () => {
  it.each([
    ['invalid file mode 00 for d/gone [Receiver]', true],
    ['invalid file mode 0100 for d/gone [Receiver]', false],
    ['rsync error: protocol incompatibility (code 2) at flist.c(874) [Receiver=3.2.7]', false],
  ])('takes %j for that: %s', (message, refuses) => {
    expect(refusesMissingNames({ messages: ['something before', message] })).toBe(refuses);
  });
});

it('does not use rules where names are converted, since rules are not', () => {
  expect(canDeleteByRules(['-artuz', '--exclude=--iconv', '--filter=!'])).toBe(true);
  expect(canDeleteByRules(['-a', '--iconv=utf8,gbk'])).toBe(false);
  expect(canDeleteByRules(['-a', '--iconv', '.'])).toBe(false);
});
