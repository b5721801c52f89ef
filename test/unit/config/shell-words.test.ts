import { expect, test } from 'vitest';
import { splitWords } from '../../../src/config/shell-words.js';

test.each([
  ['nothing gives no words', '  \t ', []],
  ['blanks separate', ' -artuz  --delete\t--partial\n-v ', ['-artuz', '--delete', '--partial', '-v']],
  ['double quotes keep blanks', '-e "ssh -p 22 -o X=y"', ['-e', 'ssh -p 22 -o X=y']],
  ['single quotes keep everything', `--exclude='a "b" \\ $c'`, ['--exclude=a "b" \\ $c']],
  ['quotes join what touches them', `--ex'clu'"de"=a\\ b`, ['--exclude=a b']],
  ['empty quotes are a word', `-a '' ""`, ['-a', '', '']],
  [
    'globs are literal',
    '--exclude=*.c --exclude=dhcpd.leases? [a-z]*',
    ['--exclude=*.c', '--exclude=dhcpd.leases?', '[a-z]*'],
  ],
  ['operators are literal', '--x=a;b|c&d >e (f)', ['--x=a;b|c&d', '>e', '(f)']],
  ['variables are literal', "$HOME ${x} `id` $(id) $'\\n'", ['$HOME', '${x}', '`id`', '$(id)', '$\\n']],
  ['comments are literal', '-a #b c', ['-a', '#b', 'c']],
  ['a backslash escapes any character', '\\"a\\\\ \\n', ['"a\\', 'n']],
  ['within double quotes it escapes four', '"\\"\\\\\\$\\`\\n\\ "', ['"\\$`\\n\\ ']],
  ['a backslash before a line end joins', 'a\\\nb "c\\\nd"', ['ab', 'cd']],
  ['a backslash at the end is itself', 'a\\', ['a\\']],
])('%s', (_title, text, words) => {
  expect(splitWords(text)).toEqual(words);
});

test.each([
  ["-e 'ssh -p 22", "the quote ' is never closed"],
  ['a"b', 'the quote " is never closed'],
  ['"a\\"', 'the quote " is never closed'],
])('%s has a quote that is never closed', (text, message) => {
  expect(() => splitWords(text)).toThrow(message);
});
