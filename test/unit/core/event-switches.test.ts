import { describe, expect, test } from 'vitest';
import { effectsOf, type Effect, type EventSwitches } from '../../../src/core/event-switches.js';
import { Hint } from '../../../src/core/hint.js';

type Switch = keyof EventSwitches;

const OFF: EventSwitches = {
  delete: false,
  createFolder: false,
  createFile: false,
  closeWrite: false,
  moveFrom: false,
  moveTo: false,
  attrib: false,
  modify: false,
};
const SHIPPED: EventSwitches = {
  ...OFF,
  delete: true,
  createFolder: true,
  closeWrite: true,
  moveFrom: true,
  moveTo: true,
};

const only = (...names: Switch[]): EventSwitches => ({
  ...OFF,
  ...Object.fromEntries(names.map((name) => [name, true])),
});

/** What is true, in words; nothing is an empty text. */
function effects(hint: Hint, switches: EventSwitches): string {
  const effect = effectsOf(switches)(hint);
  return (Object.keys(effect) as (keyof Effect)[])
    .filter((name) => effect[name])
    .sort()
    .join(' ');
}

const SWITCHES: readonly Switch[] = [
  'delete',
  'createFolder',
  'createFile',
  'closeWrite',
  'moveFrom',
  'moveTo',
  'attrib',
  'modify',
];

/** One row a kind of event; what each switch makes of it when it is the only one that is on. Nothing where none is named. */
const TABLE: readonly { event: string; hint: Hint; off?: string; by?: Partial<Record<Switch, string>> }[] = [
  {
    event: 'a file appears',
    hint: Hint.created,
    by: { createFile: 'inspect whenQuiet', closeWrite: 'inspect whenClosed', modify: 'inspect' },
  },
  { event: 'a file is written', hint: Hint.modified, by: { closeWrite: 'whenClosed', modify: 'whenQuiet' } },
  {
    event: 'a file is closed by its writer',
    hint: Hint.closed,
    off: 'release',
    by: { closeWrite: 'now release', modify: 'now release' },
  },
  {
    event: 'a new file is written and closed',
    hint: Hint.created | Hint.modified | Hint.closed,
    off: 'release',
    by: {
      createFile: 'now release whenQuiet',
      closeWrite: 'now release whenClosed',
      modify: 'now release whenQuiet',
    },
  },
  {
    event: 'a new file is closed',
    hint: Hint.created | Hint.closed,
    off: 'release',
    by: { createFile: 'now release', closeWrite: 'now release', modify: 'now release' },
  },
  { event: "a file's attributes change", hint: Hint.attributes, by: { attrib: 'now' } },
  { event: 'a file is removed', hint: Hint.removed, by: { delete: 'gone' } },
  { event: 'a file is moved away', hint: Hint.movedFrom },
  { event: 'a file is moved here', hint: Hint.movedTo, by: { moveTo: 'now' } },
  { event: 'something happened to a file', hint: Hint.unknown, off: 'whenQuiet' },
  {
    event: 'a directory appears',
    hint: Hint.created | Hint.directory,
    by: { createFolder: 'whole', createFile: 'contents', closeWrite: 'contents', modify: 'contents' },
  },
  { event: "a directory's attributes change", hint: Hint.attributes | Hint.directory, by: { attrib: 'now' } },
  { event: 'a directory is removed', hint: Hint.removed | Hint.directory, by: { delete: 'gone' } },
  { event: 'a directory is moved away', hint: Hint.movedFrom | Hint.directory },
  { event: 'a directory is moved here', hint: Hint.movedTo | Hint.directory, by: { moveTo: 'whole' } },
  { event: 'something happened to a directory', hint: Hint.unknown | Hint.directory, off: 'whole' },
];

describe('each switch alone', () => {
  const rows = TABLE.flatMap(({ event, hint, off = '', by = {} }) => [
    { event, name: 'no switch', hint, switches: OFF, effect: off },
    ...SWITCHES.map((name) => ({ event, name, hint, switches: only(name), effect: by[name] ?? off })),
  ]);

  test.each(rows)('$event, $name on: "$effect"', ({ hint, switches, effect }) => {
    expect(effects(hint, switches)).toBe(effect);
  });
});

describe('switches together', () => {
  test.each([
    {
      why: 'a name moved away is gone with delete and moveFrom',
      hint: Hint.movedFrom,
      on: ['delete', 'moveFrom'],
      effect: 'gone',
    },
    { why: 'with moveFrom alone nothing is deleted', hint: Hint.movedFrom, on: ['moveFrom'], effect: '' },
    { why: 'with delete alone a name moved away stays', hint: Hint.movedFrom, on: ['delete'], effect: '' },
    {
      why: 'a directory that counts itself brings what is in it along',
      hint: Hint.created | Hint.directory,
      on: ['createFolder', 'closeWrite'],
      effect: 'whole',
    },
    {
      why: 'a file that was removed and is there again is both',
      hint: Hint.removed | Hint.created | Hint.closed,
      on: ['delete', 'closeWrite'],
      effect: 'gone now release',
    },
    {
      why: 'a file that grows counts as it grows also where closing counts',
      hint: Hint.modified,
      on: ['modify', 'closeWrite'],
      effect: 'whenClosed whenQuiet',
    },
  ] as const)('$why', ({ hint, on, effect }) => {
    expect(effects(hint, only(...on))).toBe(effect);
  });

  test('as shipped, every change of a name or of content is looked at', () => {
    const unseen = TABLE.filter(({ hint }) => (hint & Hint.attributes) === 0 && effects(hint, SHIPPED) === '');
    expect(unseen.map(({ event }) => event)).toEqual([]);
  });

  test('with delete off no hint ever deletes', () => {
    const all = Object.values(Hint).reduce((bits, bit) => bits | bit, 0);
    const everything = { ...only(...SWITCHES), delete: false };
    const effectOf = effectsOf(everything);
    for (let hint = 0; hint <= all; hint++) expect(effectOf(hint).gone, `hint ${hint}`).toBe(false);
  });
});
