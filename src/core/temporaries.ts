import { compilePattern } from './rsync-pattern.js';
import { nameOf, type RelativePath } from './relative-path.js';

/** Files that programs make for a moment beside the one they write. Directories of these names are ordinary. */
const TEMPORARIES: readonly Temporary[] = [
  { madeBy: 'vim, to try whether the directory can be written', pattern: '4913' },
  { madeBy: 'editors: the version before the last', pattern: '*~' },
  { madeBy: 'vim: swap file', pattern: '.*.sw?' },
  { madeBy: 'emacs: lock and auto-save', pattern: '.#*' },
  { madeBy: 'NFS clients: removed while open', pattern: '.nfs*' },
  { madeBy: 'GLib', pattern: '.goutputstream-*' },
  { madeBy: 'rsync', pattern: '.*.', endsRandomly: true },
  { madeBy: 'sed -i', pattern: 'sed', endsRandomly: true },
];

interface Temporary {
  readonly madeBy: string;
  /** In rsync's exclude syntax, for the last part of a path. */
  readonly pattern: string;
  /**
   * Six letters and digits follow, as mkstemp(3) chooses them. Only a mix of upper case, lower case and digits is taken
   * for its work (59 of 100 are): `.bashrc.202411`, `.env.sample` and `sedations` are somebody's files, and a temporary
   * that passes for a file is only sent in vain.
   */
  readonly endsRandomly?: boolean;
}

const RANDOM_LENGTH = 6;
const RANDOM_CLASSES = ['A-Z', 'a-z', '0-9'];

const fixed = TEMPORARIES.filter((temporary) => temporary.endsRandomly !== true).map(({ pattern }) => pattern);
const random = TEMPORARIES.filter((temporary) => temporary.endsRandomly === true).map(({ pattern }) => pattern);
const anyRandom = `[${RANDOM_CLASSES.join('')}]`.repeat(RANDOM_LENGTH);

const fixedMatchers = fixed.map(compilePattern);
const randomMatchers = random.map((pattern) => compilePattern(pattern + anyRandom));
const randomClasses = RANDOM_CLASSES.map((range) => new RegExp(`[${range}]`));

/** Whether a file, link or other non-directory of this name is a temporary. Takes a name or a whole path. */
export function isTemporary(name: RelativePath): boolean {
  const last = nameOf(name);
  // Every file of the tree comes through here, and few begin or end in a way that any of the patterns could match.
  if (!/^[.4s]|~$/.test(last)) return false;
  if (fixedMatchers.some((matches) => matches(last, false))) return true;
  const end = last.slice(-RANDOM_LENGTH);
  return randomMatchers.some((matches) => matches(last, false)) && randomClasses.every((range) => range.test(end));
}

/**
 * Whether sersync 2.5 takes a file of this name for a temporary: it begins with a dot, ends with `~`, or is `4913`. Its
 * events did not count there; a full sync sent it all the same (`<dotfiles>`). Takes a name or a whole path.
 */
export function isDotfile(name: RelativePath): boolean {
  return /^\.|~$|^4913$/.test(nameOf(name));
}

/**
 * The temporaries as arguments for an rsync that walks by itself. They must come after every other filter argument: the first
 * rule that matches wins, and ours begin by letting all directories through, which would shield these from rules that
 * follow. rsync has no wildcard for a mix of classes, so the names that lack one of them are let through first.
 */
export function temporaryRules(): string[] {
  const lacking = RANDOM_CLASSES.map((range) => `[!${range}]`.repeat(RANDOM_LENGTH));
  return [
    '--include=*/',
    ...fixed.map((pattern) => `--exclude=${pattern}`),
    ...random.flatMap((pattern) => lacking.map((end) => `--include=${pattern}${end}`)),
    ...random.map((pattern) => `--exclude=${pattern}${anyRandom}`),
  ];
}
