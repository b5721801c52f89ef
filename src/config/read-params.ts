import { readParamItems, ruleFor } from '../core/rsync-params.js';
import { messageOf } from '../errors.js';
import { readWords, type ShellWord } from './shell-words.js';

/** Something about the params that a person should know. The line is the element's. */
export interface ParamsFinding {
  readonly severity: 'error' | 'warning';
  readonly message: string;
  readonly hint: string;
}

export interface ParamsReading {
  /** What is left for rsync and the service. Empty when the text cannot be split. */
  readonly words: readonly string[];
  readonly findings: readonly ParamsFinding[];
}

/**
 * The words of `commonParams`. sersync 2.5 pasted the text into a shell command, so that people have things in it that only
 * a shell understands: where its output went does not matter and is left out, anything else is an error. So is an option
 * with which rsync would report success and send nothing. What keeps something from arriving is a warning.
 */
export function readCommonParams(text: string): ParamsReading {
  let written: ShellWord[];
  try {
    written = readWords(text);
  } catch (error) {
    const hint = 'close it, or write a backslash before a quote that is meant as it is';
    return { words: [], findings: [refuse(`${messageOf(error)} in ${text}`, hint)] };
  }
  const { words, left } = leaveOutRedirections(written);
  const redirected: ParamsFinding[] =
    left.length === 0
      ? []
      : [
          {
            severity: 'warning',
            message: `"${left.join(' ')}" is left out: no shell runs, and what rsync says is in the log`,
            hint: 'remove it',
          },
        ];
  return {
    words: words.map((word) => word.text),
    findings: [...redirected, ...words.flatMap(shellFindings), ...optionFindings(words)],
  };
}

const REDIRECTION = /^(\d*|&)(>>|>\||>|<)(&?[\d-]*)/;

/** `>/dev/null`, `2>&1`, `> FILE`: not for rsync. */
function leaveOutRedirections(written: readonly ShellWord[]): { words: ShellWord[]; left: string[] } {
  const words: ShellWord[] = [];
  const left: string[] = [];
  for (let index = 0; index < written.length; index++) {
    const word = written[index];
    if (word === undefined) break;
    const operator = REDIRECTION.exec(word.bare)?.[0];
    if (operator === undefined) {
      words.push(word);
      continue;
    }
    left.push(word.text);
    const target = written[index + 1];
    if (operator === word.bare && !/[\d-]$/.test(operator) && target !== undefined) {
      left.push(target.text);
      index++;
    }
  }
  return { words, left };
}

const COMMAND = /\$\(|`/;
const VARIABLE = /\$(\w+|\{)/;
const OPERATOR = /[;|&<>()]/;

function shellFindings({ text, bare }: ShellWord): ParamsFinding[] {
  if (COMMAND.test(bare)) {
    return [refuse(`no shell runs the command in "${text}"`, 'write what it would print')];
  }
  if (VARIABLE.test(bare)) {
    return [
      refuse(
        `no shell puts a value in place of the variable in "${text}"`,
        'write the value, or \\$ for a dollar sign',
      ),
    ];
  }
  if (bare.startsWith('~/')) {
    return [refuse(`no shell puts a directory in place of ~ in "${text}"`, 'write the full path')];
  }
  if (OPERATOR.test(bare)) {
    const hint =
      'remove it, or put quotes around it when it is meant as it is; a command after each change is what <plugin name="command"> is for';
    return [refuse(`"${text}" means something to a shell, and no shell runs`, hint)];
  }
  return [];
}

function optionFindings(words: readonly ShellWord[]): ParamsFinding[] {
  const items = readParamItems(words.map((word) => word.text));
  const isShells = new Set(words.filter((word) => shellFindings(word).length > 0).map((word) => word.text));
  const told = new Set<string>();
  return items.flatMap((item): ParamsFinding[] => {
    const { text, option } = item;
    if (told.has(text)) return [];
    told.add(text);
    if (option === undefined) {
      if (isShells.has(text)) return [];
      const hint = 'remove it; what is watched and where it goes stand in <localpath> and <remote>';
      return [refuse(`"${text}" is no option: rsync would take it for a file to be sent`, hint)];
    }
    const rule = ruleFor(item);
    if (rule?.treatment === 'refused') return [refuse(`${text} is refused: ${rule.effect}`, `remove ${text}`)];
    if (rule?.treatment === 'doubtful') {
      return [{ severity: 'warning', message: `${text}: ${rule.effect}`, hint: `is ${text} meant?` }];
    }
    return [];
  });
}

/** Of options whose absence is a mistake, and that go well together only. */
export function adviseOnParams(words: readonly string[]): ParamsFinding[] {
  const items = readParamItems(words);
  const has = (...names: string[]): boolean => items.some(({ option = '' }) => names.includes(option));
  const archive = has('archive', 'a');
  const advice: ParamsFinding[] = [];
  const advise = (message: string, hint: string): void => {
    advice.push({ severity: 'warning', message, hint });
  };
  for (const item of items) {
    const rule = ruleFor(item);
    if (rule?.treatment === 'dropped') {
      advise(`${item.text} is left out: ${rule.effect}`, `remove ${item.text}`);
    }
  }
  if (has('update', 'u')) {
    advise(
      '-u: an older file that is restored will not replace a newer one on the remote',
      'write the params without u, as in -artz, unless files are changed on the remote too',
    );
  }
  if (!(archive || has('times', 't')) || has('no-times', 'no-t')) {
    advise(
      'without -t (or -a) times differ on the remote: each full sync sends every file again',
      'add t, as in -artz',
    );
  }
  if (!(archive || has('links', 'l', 'copy-links', 'L')) && !has('no-links', 'no-l')) {
    advise('without -l (or -a) symbolic links NEVER arrive', 'add l, as in -rltz');
  }
  if (has('backup', 'b') && !has('backup-dir')) {
    advise(
      '-b keeps what is replaced or deleted on the remote beside the new file, as NAME~, for ever',
      'add --backup-dir=../DIRECTORY, outside of the tree, to keep it elsewhere',
    );
  }
  const backupDirectory = items.find(({ option }) => option === 'backup-dir')?.value ?? '';
  if (backupDirectory !== '' && !/^(\/|\.\.\/)/.test(backupDirectory)) {
    advise(
      `--backup-dir=${backupDirectory} lies in the tree: a full sync finds it on the remote alone and deletes it`,
      'write a directory outside of the tree, as in --backup-dir=../backup',
    );
  }
  return advice;
}

function refuse(message: string, hint: string): ParamsFinding {
  return { severity: 'error', message, hint };
}
