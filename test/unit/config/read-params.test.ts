import { describe, expect, test } from 'vitest';
import { adviseOnParams, readCommonParams } from '../../../src/config/read-params.js';
import { OPTION_RULES, takeOutOurs } from '../../../src/core/rsync-params.js';

const told = (params: string): string[] =>
  readCommonParams(params).findings.map(({ severity, message }) => `${severity}: ${message}`);

describe('the params are read without a shell', () => {
  test.each<[title: string, params: string, words: string[]]>([
    ['what people customarily write', '-artuz', ['-artuz']],
    [
      'options of ssh',
      `-az -e 'ssh -o StrictHostKeyChecking=no -p 22'`,
      ['-az', '-e', 'ssh -o StrictHostKeyChecking=no -p 22'],
    ],
    [
      'patterns, which rsync reads',
      '-a --exclude=*.log --include=[a-z]?',
      ['-a', '--exclude=*.log', '--include=[a-z]?'],
    ],
    [
      'quoted signs of the shell',
      `-a --exclude='a&b;c>d' "--exclude=(x)" --exclude=\\$HOME`,
      ['-a', '--exclude=a&b;c>d', '--exclude=(x)', '--exclude=$HOME'],
    ],
    ['a dollar sign alone', '-a --exclude=a$', ['-a', '--exclude=a$']],
  ])('%s', (_title, params, words) => {
    expect(readCommonParams(params)).toEqual({ words, findings: [] });
  });

  test.each<[params: string, words: string[], left: string]>([
    ['-artuz >/dev/null 2>&1', ['-artuz'], '>/dev/null 2>&1'],
    ['-artuz > /tmp/log', ['-artuz'], '> /tmp/log'],
    ['-artuz &>> /tmp/log -v', ['-artuz', '-v'], '&>> /tmp/log'],
    ['2>/dev/null -a', ['-a'], '2>/dev/null'],
  ])('where its output went is left out, with a warning: %s', (params, words, left) => {
    expect(readCommonParams(params)).toEqual({
      words,
      findings: [
        {
          severity: 'warning',
          message: `"${left}" is left out: no shell runs, and what rsync says is in the log`,
          hint: 'remove it',
        },
      ],
    });
  });

  test.each<[params: string, error: string]>([
    ['-a --password-file=$HOME/pass', 'no shell puts a value in place of the variable in "--password-file=$HOME/pass"'],
    ['-a "--exclude=${X}"', 'no shell puts a value in place of the variable in "--exclude=${X}"'],
    ['-a --suffix=`date`', 'no shell runs the command in "--suffix=`date`"'],
    ['-a "--suffix=$(date)"', 'no shell runs the command in "--suffix=$(date)"'],
    ['-a -T ~/tmp', 'no shell puts a directory in place of ~ in "~/tmp"'],
    ['-a && touch', '"&&" means something to a shell, and no shell runs'],
    ['-a; reboot', '"-a;" means something to a shell, and no shell runs'],
    ['-a | tee', '"|" means something to a shell, and no shell runs'],
    ['-a /etc', '"/etc" is no option: rsync would take it for a file to be sent'],
    [`-a '>x'`, '">x" is no option: rsync would take it for a file to be sent'],
    ['-a --version', '--version is refused: rsync prints a text, reports success and sends nothing'],
    ['-aV', '-V is refused: rsync prints a text, reports success and sends nothing'],
    [
      '-a --only-write-batch=x',
      '--only-write-batch=x is refused: rsync writes or reads a file of changes and may send nothing',
    ],
    [`-e 'ssh`, "the quote ' is never closed in -e 'ssh"],
  ])('what it cannot mean here is an error: %s', (params, error) => {
    expect(told(params)).toContain(`error: ${error}`);
  });

  test.each([
    ['--existing'],
    ['--ignore-existing'],
    ['--max-size=1m'],
    ['--min-size 1k'],
    ['--size-only'],
    ['--append'],
    ['--compare-dest=/x'],
    ['-L'],
    ['--copy-links'],
    ['-k'],
    ['--safe-links'],
    ['--no-l'],
    ['-x'],
    ['-I'],
    ['--stop-after=5'],
  ])('what keeps something from arriving is a warning: %s', (option) => {
    const [finding, ...others] = readCommonParams(`-az ${option}`).findings;
    expect(finding?.severity).toBe('warning');
    expect(finding?.message.startsWith(option.split(' ')[0] ?? '')).toBe(true);
    expect(others).toEqual([]);
  });
});

describe('advice on params', () => {
  const advice = (...words: string[]): string[] => adviseOnParams(words).map(({ message }) => message);

  test.each<[title: string, words: string[], message: RegExp]>([
    ['-u', ['-artuz'], /^-u: an older file that is restored will not replace a newer one on the remote$/],
    ['--update', ['-a', '--update'], /^-u: /],
    ['no times', ['-rlz'], /^without -t/],
    ['times switched off', ['-az', '--no-t'], /^without -t/],
    ['no links', ['-rtz'], /^without -l/],
    ['backups beside the files', ['-ab'], /^-b keeps/],
    ['backups in the tree', ['-ab', '--backup-dir=old'], /^--backup-dir=old lies in the tree/],
    ['a dry run', ['-anz'], /^-n is left out: rsync would report success and send nothing/],
    [
      'deleting excluded files',
      ['-a', '--delete-excluded'],
      /^--delete-excluded is left out: what is excluded is never deleted/,
    ],
    [
      'deleting the source',
      ['-a', '--remove-source-files'],
      /^--remove-source-files is left out: nothing is deleted here$/,
    ],
    ['its own list', ['-a', '--files-from=x'], /^--files-from=x is left out/],
    ['paths of its own', ['-a', '--no-R'], /^--no-R is left out/],
  ])('%s', (_title, words, message) => {
    expect(advice(...words)).toEqual([expect.stringMatching(message)]);
  });

  test.each([
    [['-artz']],
    [['-az', '-W', '--inplace', '--bwlimit=500']],
    [['-ab', '--backup-dir=../old']],
    [['-e', 'ssh -u', '-a']],
  ])('nothing on %j', (words) => {
    expect(advice(...words)).toEqual([]);
  });
});

test('every option that is told to be left out is left out, and no other', () => {
  for (const { treatment, names, flags = '' } of OPTION_RULES) {
    for (const word of [...names.map((name) => `--${name}`), ...Array.from(flags, (flag) => `-${flag}`)]) {
      expect([word, takeOutOurs([word]).kept]).toEqual([word, treatment === 'dropped' ? [] : [word]]);
    }
  }
});
