import type { EventSwitches } from '../../src/core/event-switches.js';

/** The switches of `<inotify>` in the order of the file. */
export const SWITCHES = [
  'delete',
  'createFolder',
  'createFile',
  'closeWrite',
  'moveFrom',
  'moveTo',
  'attrib',
  'modify',
] as const satisfies readonly (keyof EventSwitches)[];
export type Switch = (typeof SWITCHES)[number];

/** What a switch that is on makes of an operation, as docs/confxml.md writes it. */
export type Mark =
  /** The whole change arrives. */
  | '●'
  /** The file arrives as it is when it was quiet; what is written later does not count. */
  | '● ²'
  /** The file arrives at the interval for files that stay open. */
  | '● 10 s'
  /** The files arrive, with the directories above them; an empty directory does not. */
  | 'files ¹'
  /** Nothing is deleted by this switch alone. */
  | 'with `delete`'
  | 'with `moveFrom`';

export interface SwitchRow {
  /** The first cell, as docs/confxml.md has it. */
  readonly operation: string;
  readonly marks: Readonly<Partial<Record<Switch, Mark>>>;
}

const AS_FILES = { createFile: '●', closeWrite: '●', modify: '●' } as const;
const AS_MOVED_AWAY = { delete: 'with `moveFrom`', moveFrom: 'with `delete`' } as const;

/** The table of docs/confxml.md: what each switch brings when it is the only one that is on. */
export const SWITCH_TABLE = [
  { operation: '`mkdir d`', marks: { createFolder: '●' } },
  {
    operation: '`mkdir -p a/b && echo x > a/b/f`',
    marks: { createFolder: '●', createFile: 'files ¹', closeWrite: 'files ¹', modify: 'files ¹' },
  },
  { operation: '`echo x > new`', marks: AS_FILES },
  { operation: '`touch new`', marks: { ...AS_FILES, attrib: '●' } },
  {
    operation: 'a new file is written and stays open',
    marks: { createFile: '● ²', closeWrite: '● 10 s', modify: '●' },
  },
  { operation: '`echo x > existing`', marks: { closeWrite: '●', modify: '●' } },
  {
    operation: 'an existing file is appended to and stays open',
    marks: { closeWrite: '● 10 s', modify: '●' },
  },
  { operation: '`touch existing`', marks: { closeWrite: '●', attrib: '●', modify: '●' } },
  {
    operation: '`chmod`, `chown`, a new time (`utime`) of an existing name; `touch` of a directory',
    marks: { attrib: '●' },
  },
  { operation: '`ln -s`, `ln`, a device or pipe is made', marks: AS_FILES },
  { operation: '`rm f`, `rm -r d`', marks: { delete: '●' } },
  { operation: '`mv a b`: `b` arrives', marks: { moveTo: '●' } },
  { operation: '`mv a b`: `a` is removed', marks: AS_MOVED_AWAY },
  { operation: 'a name is moved in from outside the tree, or over an existing one', marks: { moveTo: '●' } },
  { operation: 'a name is moved out of the tree: it is removed', marks: AS_MOVED_AWAY },
] as const satisfies readonly SwitchRow[];
export type Operation = (typeof SWITCH_TABLE)[number]['operation'];

/** How much of a change is on a remote. */
export type Arrival = 'nothing' | 'files' | 'all';

/** What the table promises of a row for a set of switches: what one of them brings, all of them bring together. */
export function arrivalOf({ marks }: SwitchRow, on: ReadonlySet<Switch>): Arrival {
  const held = Object.entries(marks)
    .filter(([name]) => on.has(name as Switch))
    .map(([, mark]) => mark);
  if (held.some((mark) => mark.startsWith('●'))) return 'all';
  if (held.includes('with `delete`') && held.includes('with `moveFrom`')) return 'all';
  return held.includes('files ¹') ? 'files' : 'nothing';
}
