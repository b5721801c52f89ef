import { describe, expect, test } from 'vitest';
import { createFilter, type Filter } from '../../../src/core/filter.js';
import { readFilterRules, RuleError, type RuleReading } from '../../../src/core/filter-rules.js';
import { fromText } from '../../../src/core/relative-path.js';
import { splitWords } from '../../../src/config/shell-words.js';

/** What test/integration/filter-params.test.ts asks the real rsync about is not repeated here. */

const FILES: Readonly<Record<string, string>> = {
  '/list': '*.log\n# no rule\n; none either\n\n+ keep\r\n- *.tmp\n!x\n',
  '/rules': '- *.log\nP /kept\ninclude,s a\n. /more\n',
  '/more': 'H hidden\n',
  '/words': '*.log  keep\n\t+ literal\n',
  '/clears': '!\n- b\n',
  '/gbk': '\xb2\xe2*\n',
  '/self': '. /self\n',
};

function read(params: string): RuleReading {
  return readFilterRules(splitWords(params), (path) => {
    const text = FILES[path];
    if (text === undefined) throw new Error(`no file ${path}`);
    return text;
  });
}

/** The rules in rsync's own words. */
function shown(params: string): string[] {
  return read(params).rules.map(({ include, pattern, side, isNegated, isPerishable, isAbsolute }) => {
    const modifiers = [isNegated && '!', isPerishable && 'p', isAbsolute && '/', side === 'sender' && 's'];
    return `${include ? '+' : '-'}${[...modifiers, side === 'receiver' && 'r'].filter(Boolean).join('')} ${pattern}`;
  });
}

describe('the filter rules among the params', () => {
  test.each([
    [
      'the rules of all options in their order',
      '-a --exclude=a --include b -f "- c" --filter="+ d"',
      ['- a', '+ b', '- c', '+ d'],
    ],
    ['the forms of a short option', '-avf "- a" -f=-_b "-f- c"', ['- a', '- b', '- c']],
    ['no value of another option', '--rsh "--exclude=a" -e "-f- b" -T --exclude=c -M --filter=x', []],
    [
      'prefixes within --exclude and --include',
      '--exclude="+ a" --include="- b" --exclude="!c"',
      ['+ a', '- b', '- !c'],
    ],
    ['a lone ! that clears', '--exclude=a --exclude=! --exclude=b --filter=! --include=c', ['+ c']],
    [
      'the letters and the words',
      '-f"H a" -f"S b" -f"P c" -f"R d" -f"hide e" -f"show f" -f"protect,p g" -f"risk_h"',
      ['-s a', '+s b', '-r c', '+r d', '-s e', '+s f', '-pr g', '+r h'],
    ],
    ['modifiers', '-f"-! a" -f"-,p b" -f"-/s /c" -f"+r d"', ['-! a', '-p b', '-/s /c', '+r d']],
    ['no rule of extended attributes', '-f"-x user.*" -f"-xr security.*" -f"- a"', ['- a']],
    ['files of patterns', '--exclude-from=/list', ['- *.log', '+ keep', '- *.tmp', '- !x']],
    ['files of patterns to be included', '--include-from /list', ['+ *.log', '+ keep', '- *.tmp', '+ !x']],
    [
      'files of rules, in files',
      '-f". /rules" -f"merge /more"',
      ['- *.log', '-r /kept', '+s a', '-s hidden', '-s hidden'],
    ],
    [
      'files of plain patterns, words and a side',
      '-f".- /more" -f".w+ /words" -f".-s /gbk"',
      ['- H hidden', '+ *.log', '+ keep', '+ +', '+ literal', '-s \xb2\xe2*'],
    ],
    ['a file that clears, and one that leaves itself out', '--exclude=a -f".e /clears"', ['- b']],
    ['the names that CVS leaves out, behind everything else', '-C --exclude=z', ['- z', '-p RCS', '-p SCCS']],
    ['an empty pattern as none', '--exclude= --include ""', []],
    ['text as bytes', '--exclude=图', [`- ${fromText('图')}`]],
  ])('are read: %s', (_, params, expected) => {
    expect(shown(params).slice(0, expected.length + (params.includes('-C ') ? 0 : 1))).toEqual(expected);
  });

  test.each([
    ['-F', ['-F'], []],
    ['-FF', ['-F'], ['- .rsync-filter']],
    ['-f ": /.rules" -f "dir-merge,e /.other"', [': /.rules', 'dir-merge,e /.other'], ['- .other']],
    ['-f ":C" --filter=! -f "- a"', [], ['- a']],
  ])('say which of them nobody heeds: %s', (params, unheeded, rules) => {
    expect(read(params).unheeded).toEqual(unheeded);
    expect(shown(params)).toEqual(rules);
  });

  test('say so of the files of -C', () => {
    expect(read('-aC').unheeded).toEqual(['-C (.cvsignore)']);
  });

  test.each([
    ['-f "x a"', 'rsync knows no filter rule "x a"'],
    ['-f "excl a"', 'rsync knows no filter rule "excl a"'],
    ['-f "-z a"', 'rsync knows no modifier "z" in the filter rule "-z a"'],
    ['-f "Hs a"', 'rsync knows no modifier "s" in the filter rule "Hs a"'],
    ['-f "-e a"', 'rsync knows no modifier "e" in the filter rule "-e a"'],
    ['-f ".! /list"', 'rsync knows no modifier "!" in the filter rule ".! /list"'],
    ['-f "-"', 'the filter rule "-" has no pattern'],
    ['-f "! a"', 'the filter rule "! a" has characters behind its "!"'],
    ['-f ".s /rules"', 'the filter rule "P /kept" names a side, as its file does already'],
    ['-f ". /self"', '/self is merged within itself'],
  ])('that rsync refuses are refused: %s', (params, message) => {
    expect(() => read(params)).toThrow(new RuleError(message));
  });
});

describe('a filter of such rules', () => {
  const filterOf = (params: string): Filter =>
    createFilter({ excludes: [], rules: read(params).rules, roots: { sender: '/srv/www', receiver: 'sub' } });

  test.each([
    {
      params: '--exclude=d/',
      path: 'd/in/f',
      isSent: false,
      stays: true,
      why: 'a directory takes with it what is below',
    },
    { params: '-f "H d/"', path: 'd/in/f', isSent: false, stays: false, why: 'what is hidden alone does not stay' },
    { params: '-f "P *.log"', path: 'a.log', isSent: true, stays: true, why: 'what is protected alone is sent' },
    {
      params: '--include=k.log --exclude=*.log',
      path: 'd/k.log',
      isSent: true,
      stays: false,
      why: 'the first that matches decides',
    },
    {
      params: '-f "-/ /srv/www/a"',
      path: 'a',
      isSent: false,
      stays: false,
      why: 'an absolute one is of the disk here',
    },
    { params: '-f "-/ /sub/a"', path: 'a', isSent: true, stays: true, why: 'and of the module there' },
    { params: '-f "-/ a"', path: 'd/a', isSent: false, stays: true, why: 'of a name it is as any other' },
    { params: '-f "-! */"', path: 'f', isSent: false, stays: true, why: 'a negated one is of all others' },
  ])('$why: $params', ({ params, path, isSent, stays }) => {
    const filter = filterOf(params);
    expect(filter.isExcluded(path, false)).toBe(!isSent);
    expect(filter.stays(path, false, path.split('/')[0] ?? '')).toBe(stays);
  });

  test('asks for what stays from the topmost name on that is not sent', () => {
    const filter = filterOf('-f "P d/" -f "-p e/" -f "P *.log"');
    expect(filter.stays('d/e/f', false, 'd/e/f'), 'd is sent').toBe(false);
    expect(filter.stays('d/e/f', false, 'd'), 'd is not').toBe(true);
    expect(filter.stays('d/e/f', false, 'd', true), 'something else is sent to its place').toBe(false);
    expect(filter.stays('d/e', true, 'd/e'), 'perishable, and the topmost').toBe(true);
    expect(filter.stays('x/e', true, 'x'), 'perishable, in a directory that goes').toBe(false);
    expect(filter.stays('x/e/a.log', false, 'x')).toBe(true);
  });

  test('lets temporaries stay by themselves, and go with the directory that holds them', () => {
    const filter = filterOf('--exclude=*.log');
    expect(filter.stays('d/a~', false, 'd/a~')).toBe(true);
    expect(filter.stays('d/a~', false, 'd')).toBe(false);
  });
});
