/**
 * The words of `commonParams` as rsync(1) reads them, and which of its options cannot be what they say here: the service
 * runs rsync for single names and decides by itself what is deleted. Seen with rsync 3.5.0.
 */

/** What becomes of an option. */
export type Treatment =
  /** Left out: the service decides it for each run. */
  | 'dropped'
  /** Handed to rsync, with a warning: it keeps something from arriving, or holds for full syncs alone. */
  | 'doubtful'
  /** The configuration is refused: with it rsync reports success and sends nothing, or sends something else. */
  | 'refused';

interface OptionRule {
  readonly treatment: Treatment;
  /** Long names without their dashes. */
  readonly names: readonly string[];
  /** Letters that mean the same. */
  readonly flags?: string;
  /** What holds instead, or what it does. */
  readonly effect: string;
}

export const OPTION_RULES: readonly OptionRule[] = [
  {
    treatment: 'dropped',
    names: ['del', 'delete', 'delete-before', 'delete-during', 'delete-delay', 'delete-after', 'delete-missing-args'],
    effect: 'names are deleted one by one; it switches deleting on, as <delete start="true"/> does',
  },
  {
    treatment: 'dropped',
    names: ['delete-excluded'],
    effect: 'what is excluded is never deleted; it switches deleting on, as <delete start="true"/> does',
  },
  {
    treatment: 'dropped',
    names: ['max-delete'],
    effect: 'sersync has a limit of its own: <delete limit="50"/>, in percent',
  },
  { treatment: 'dropped', names: ['remove-source-files', 'remove-sent-files'], effect: 'nothing is deleted here' },
  {
    treatment: 'dropped',
    names: ['dry-run', 'list-only'],
    flags: 'n',
    effect: 'rsync would report success and send nothing; everything is sent',
  },
  { treatment: 'dropped', names: ['files-from', 'from0'], flags: '0', effect: 'sersync gives each run its own names' },
  {
    treatment: 'dropped',
    names: ['no-R', 'no-relative'],
    effect: 'names are always relative to the watched directory',
  },
  {
    treatment: 'dropped',
    names: ['ignore-errors', 'force'],
    effect: 'sersync decides it for each run, for what is to be deleted',
  },
  {
    treatment: 'dropped',
    names: ['quiet', 'out-format', 'log-format', 'stderr', 'msgs2stderr', 'no-msgs2stderr'],
    flags: 'q',
    effect: "sersync reads rsync's messages, and logs what they say",
  },
  {
    treatment: 'refused',
    names: ['help', 'version'],
    flags: 'V',
    effect: 'rsync prints a text, reports success and sends nothing',
  },
  {
    treatment: 'refused',
    names: ['only-write-batch', 'write-batch', 'read-batch'],
    effect: 'rsync writes or reads a file of changes and may send nothing',
  },
  {
    treatment: 'refused',
    names: ['daemon', 'server', 'sender', 'config', 'dparam', 'detach', 'no-detach'],
    effect: 'it is for the other side of a connection',
  },
  {
    treatment: 'doubtful',
    names: ['existing', 'ignore-non-existing'],
    effect: 'a name that the remote does not have yet NEVER arrives there',
  },
  {
    treatment: 'doubtful',
    names: ['ignore-existing'],
    effect: 'a file that the remote has is NEVER brought up to date there',
  },
  {
    treatment: 'doubtful',
    names: ['max-size', 'min-size'],
    effect: 'files beyond that size NEVER arrive, and nobody is told of them',
  },
  {
    treatment: 'doubtful',
    names: ['size-only'],
    effect: 'a file that changes and keeps its size NEVER arrives',
  },
  {
    treatment: 'doubtful',
    names: ['append'],
    effect: 'a file that changes and does not grow NEVER arrives; where it grows only the new end is sent',
  },
  {
    treatment: 'doubtful',
    names: ['compare-dest'],
    effect: 'what is the same in that directory does not arrive: the remote is no copy',
  },
  {
    treatment: 'doubtful',
    names: ['copy-links', 'copy-dirlinks'],
    flags: 'Lk',
    effect:
      'changes behind a link are not seen, and a link to a directory arrives as an empty one; full syncs (-r, crontab) bring what is behind it',
  },
  {
    treatment: 'doubtful',
    names: ['safe-links', 'no-links', 'no-l'],
    effect: 'links that it leaves out NEVER arrive',
  },
  {
    treatment: 'doubtful',
    names: ['one-file-system'],
    flags: 'x',
    effect: 'it holds for full syncs (-r, crontab); a change below a mount point is sent all the same',
  },
  {
    treatment: 'doubtful',
    names: ['ignore-times'],
    flags: 'I',
    effect: 'each full sync (-r, crontab) looks at the content of every file again',
  },
  {
    treatment: 'doubtful',
    names: ['stop-after', 'stop-at', 'time-limit'],
    effect: 'runs that it cuts off are tried again, and nothing gets done behind that time',
  },
];

/** A word, or one letter of a word, of the params. */
export interface ParamItem {
  /** As in the params: `--delete`, `--max-size=1m`, `-n`; a word that is no option as it is. */
  readonly text: string;
  /** The long name without dashes, or the letter; undefined for a word that is neither an option nor a value. */
  readonly option: string | undefined;
  readonly value?: string;
}

/** Every option of the params, and every word that is none. */
export function readParamItems(words: readonly string[]): ParamItem[] {
  const items: ParamItem[] = [];
  for (let index = 0; index < words.length; index++) {
    const word = words[index] ?? '';
    const next = takesNextWord(word) && index + 1 < words.length ? words[++index] : undefined;
    if (word.startsWith('--') && word !== '--') {
      const [, name = '', attached] = /^--([^=]*)(?:=(.*))?$/s.exec(word) ?? [];
      items.push(item(word, name, attached ?? next));
    } else if (word.startsWith('-') && word !== '-' && word !== '--') {
      const flags = shortFlags(word);
      for (const flag of flags) items.push(item(`-${flag}`, flag, undefined));
      const valueFlag = word[1 + flags.length];
      if (valueFlag !== undefined) items.push(item(`-${valueFlag}`, valueFlag, word.slice(2 + flags.length) || next));
    } else {
      items.push({ text: word, option: undefined });
    }
  }
  return items;
}

/** The rule for an option, when there is one. */
export function ruleFor({ option }: ParamItem): OptionRule | undefined {
  if (option === undefined) return undefined;
  return OPTION_RULES.find(
    ({ names, flags = '' }) => names.includes(option) || (option.length === 1 && flags.includes(option)),
  );
}

/** The words that rsync gets, and those that are the service's to decide. */
export function takeOutOurs(words: readonly string[]): { kept: string[]; dropped: string[] } {
  return takeOut(words, DROPPED, DROPPED_FLAGS);
}

/** Takes options and flags out of the words; the value of an option is nobody's flag, whatever it says: `-f '- *.log'`. */
export function takeOut(
  words: readonly string[],
  options: RegExp,
  flags: RegExp,
): { kept: string[]; dropped: string[] } {
  const kept: string[] = [];
  const dropped: string[] = [];
  for (let index = 0; index < words.length; index++) {
    const word = words[index] ?? '';
    if (options.test(word)) {
      dropped.push(word);
      if (takesNextWord(word) && index + 1 < words.length) dropped.push(words[++index] ?? '');
      continue;
    }
    const cluster = shortFlags(word);
    const found = cluster.match(flags);
    if (found !== null) dropped.push(`-${found.join('')}`);
    const rest = cluster === '' ? word : `-${cluster.replace(flags, '')}${word.slice(1 + cluster.length)}`;
    if (rest !== '-') kept.push(rest);
    if (takesNextWord(word) && index + 1 < words.length) kept.push(words[++index] ?? '');
  }
  return { kept, dropped };
}

/** Flags whose value is the rest of the word, or the next word. */
const VALUE_FLAGS = /[BefMT@]/;
const VALUE_OPTIONS = new Set(
  (
    'address block-size bwlimit cc checksum-choice checksum-seed chmod chown compare-dest compress-choice ' +
    'compress-level compress-threads confine-root contimeout copy-as copy-dest debug early-input exclude exclude-from files-from ' +
    'filter groupmap iconv include include-from info link-dest log-file log-file-format log-format max-alloc ' +
    'max-delete max-size min-size modify-window only-write-batch out-format outbuf partial-dir password-file port ' +
    'protocol read-batch remote-option rsh rsync-path skip-compress sockopts stderr stop-after stop-at suffix temp-dir ' +
    'time-limit timeout usermap write-batch backup-dir zc zl zt'
  )
    .split(' ')
    .map((option) => `--${option}`),
);

const DROPPED_RULES = OPTION_RULES.filter(({ treatment }) => treatment === 'dropped');
const DROPPED = new RegExp(`^--(${DROPPED_RULES.flatMap(({ names }) => names).join('|')})(=.*)?$`, 's');
const DROPPED_FLAGS = new RegExp(`[${DROPPED_RULES.map(({ flags = '' }) => flags).join('')}]`, 'g');

function takesNextWord(word: string): boolean {
  if (word.startsWith('--')) return VALUE_OPTIONS.has(word);
  return word.startsWith('-') && word.search(VALUE_FLAGS) === word.length - 1;
}

/** The flags of a cluster before the first one that takes a value: `-ae ssh` says `a`, then `e` with a value. */
function shortFlags(word: string): string {
  if (word.startsWith('--') || !word.startsWith('-')) return '';
  const value = word.search(VALUE_FLAGS);
  return value < 0 ? word.slice(1) : word.slice(1, value);
}

function item(text: string, option: string, value: string | undefined): ParamItem {
  return value === undefined ? { text, option } : { text, option, value };
}
