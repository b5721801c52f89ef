/**
 * The filter rules among the params of rsync, in the order in which rsync heeds them: rsync(1), "FILTER RULES". What the
 * page leaves open was seen with 3.5.0 (test/integration/filter-params.test.ts asks the real rsync).
 */
import { fromText, type RelativePath } from './relative-path.js';
import { readParamItems } from './rsync-params.js';
import { compilePattern, type PathMatcher } from './rsync-pattern.js';

/** Who heeds a rule: the sender hides and shows what is sent, the receiver protects and risks what may be deleted. */
export type Side = 'sender' | 'receiver';

/** One rule: plain data. */
export interface FilterRule {
  readonly include: boolean;
  /** Bytes, as in `RelativePath`. */
  readonly pattern: string;
  /** Undefined: both. */
  readonly side?: Side;
  /** It holds for the names that the pattern does not match. */
  readonly isNegated?: boolean;
  /** It protects nothing in a directory that is deleted. */
  readonly isPerishable?: boolean;
  /** The pattern is one of absolute paths: on the sender of its disk, on the receiver of its module. */
  readonly isAbsolute?: boolean;
}

export interface RuleReading {
  readonly rules: readonly FilterRule[];
  /** What depends on files in the directories themselves, as written: with `--files-from` rsync does not read them (3.5.0). */
  readonly unheeded: readonly string[];
}

/** Why rsync would refuse the rules. The message holds them as bytes. */
export class RuleError extends Error {}

/** The bytes of a file with rules (latin1); throws when it cannot be read. Relative names as rsync would take them. */
export type ReadRuleFile = (path: string) => string;

/** The rules in the words of `commonParams`. Throws `RuleError`, or what `readFile` throws. */
export function readFilterRules(words: readonly string[], readFile: ReadRuleFile): RuleReading {
  const list = new RuleList(readFile);
  let filterFiles = 0;
  let hasCvs = false;
  for (const { option, value = '' } of readParamItems(words)) {
    const text = fromText(value);
    switch (option ?? '') {
      case 'exclude':
        list.add(text, { isOld: true });
        break;
      case 'include':
        list.add(text, { isOld: true, include: true });
        break;
      case 'exclude-from':
        list.addFile(text, { isOld: true });
        break;
      case 'include-from':
        list.addFile(text, { isOld: true, include: true });
        break;
      case 'filter':
      case 'f':
        // `-f=- a` says `-f '- a'` (popt).
        list.add(option === 'f' ? text.replace(/^=/, '') : text, {});
        break;
      case 'F':
        list.add(filterFiles++ === 0 ? ': /.rsync-filter' : '- .rsync-filter', {}, '-F');
        break;
      case 'C':
      case 'cvs-exclude':
        hasCvs = true;
        break;
    }
  }
  // Wherever it stands, its rules come last.
  if (hasCvs) {
    list.add(':C', {}, '-C (.cvsignore)');
    list.add('-C', {});
  }
  return { rules: list.rules, unheeded: list.unheeded };
}

/** The absolute path of the source, and that of the remote within its module: what absolute rules are about. */
export interface RuleRoots {
  readonly sender: RelativePath;
  readonly receiver: RelativePath;
}

/**
 * What the rules of one side say of a name, the directories above it left aside: the first that matches decides, and true
 * means excluded (hidden, protected).
 */
export function compileRules(rules: readonly FilterRule[], side: Side, roots: RuleRoots): PathMatcher {
  const compiled = rules
    .filter((rule) => rule.side === undefined || rule.side === side)
    .map((rule) => ({ include: rule.include, matches: compileRule(rule, roots[side]) }));
  // Behind the last exclude the others decide nothing.
  const last = compiled.findLastIndex(({ include }) => !include);
  const decisive = compiled.slice(0, last + 1);
  return (path, isDirectory) => {
    for (const { include, matches } of decisive) if (matches(path, isDirectory)) return !include;
    return false;
  };
}

function compileRule({ pattern, isNegated = false, isAbsolute = false }: FilterRule, root: RelativePath): PathMatcher {
  const plain = compilePattern(pattern);
  // A pattern without a slash or `**` is one of the last part, absolute or not.
  const prefix = isAbsolute && root !== '' && /\/.|\*\*/s.test(pattern) ? `${root.replace(/^\//, '')}/` : '';
  if (prefix === '' && !isNegated) return plain;
  return (path, isDirectory) => path !== '' && plain(prefix + path, isDirectory) !== isNegated;
}

/** What a rule takes from the option or the file that it stands in. */
interface Container {
  /** Of `--exclude` and its like: nothing but `+ ` and `- ` in front, and a lone `!`. */
  readonly isOld?: boolean;
  /** Patterns without anything in front. */
  readonly isPlain?: boolean;
  readonly include?: boolean;
  readonly side?: Side;
  readonly isNegated?: boolean;
  readonly isPerishable?: boolean;
  readonly isAbsolute?: boolean;
  /** Of the names of extended attributes: none of the rules of names. */
  readonly isXattr?: boolean;
  /** Rules end at white space. */
  readonly isSplit?: boolean;
  readonly isCvs?: boolean;
}

const WORDS: Readonly<Record<string, string>> = {
  clear: '!',
  'dir-merge': ':',
  exclude: '-',
  hide: 'H',
  include: '+',
  merge: '.',
  protect: 'P',
  risk: 'R',
  show: 'S',
};

/** rsync(1), --cvs-exclude. */
const CVS_PATTERNS = (
  'RCS SCCS CVS CVS.adm RCSLOG cvslog.* tags TAGS .make.state .nse_depinfo *~ #* .#* ,* _$* *$ *.old *.bak *.BAK ' +
  '*.orig *.rej .del-* *.a *.olb *.o *.obj *.so *.exe *.Z *.elc *.ln core .svn/ .git/ .hg/ .bzr/'
).split(' ');

const MERGES_WITHIN_AT_MOST = 20;

class RuleList {
  rules: FilterRule[] = [];
  unheeded: string[] = [];
  readonly #readFile: ReadRuleFile;
  #depth = 0;

  constructor(readFile: ReadRuleFile) {
    this.#readFile = readFile;
  }

  /** `shown`: what a person wrote, where it is not the rule itself. */
  add(text: string, container: Container, shown = text): void {
    if (container.isSplit === true)
      for (const word of text.split(/[ \t\n\v\f\r]+/)) this.#addOne(word, container, word);
    else this.#addOne(text, container, shown);
  }

  addFile(path: string, container: Container): void {
    if (this.#depth >= MERGES_WITHIN_AT_MOST) throw new RuleError(`${path} is merged within itself`);
    const text = this.#readFile(path);
    this.#depth++;
    for (const line of text.split(container.isSplit === true ? /[ \t\n\v\f\r]/ : /[\n\r]/)) {
      if (line === '' || (container.isSplit !== true && /^[;#]/.test(line))) continue;
      this.add(line, container);
    }
    this.#depth--;
  }

  #addOne(text: string, container: Container, shown: string): void {
    if (text === '') return;
    const { kind, pattern, ...rule } = parse(text, container);
    if (kind === '!') {
      this.rules = [];
      this.unheeded = [];
    } else if (kind === '.' || kind === ':') {
      this.#merge(kind, pattern === '' ? '.cvsignore' : pattern, rule, shown);
    } else if (pattern !== '' && rule.isXattr !== true) {
      this.rules.push({ ...sides(rule), include: rule.include ?? false, pattern });
    }
    if (kind === '-' && rule.isCvs === true)
      for (const cvs of CVS_PATTERNS) this.rules.push({ include: false, pattern: cvs, isPerishable: true });
  }

  #merge(kind: '.' | ':', file: string, rule: Parsed, shown: string): void {
    const { excludesItself = false, ...inner } = rule;
    if (excludesItself) this.rules.push({ include: false, pattern: file.slice(file.lastIndexOf('/') + 1) });
    if (kind === ':') this.unheeded.push(shown);
    else this.addFile(file, inner);
  }
}

interface Parsed extends Container {
  readonly excludesItself?: boolean;
}

type Rule = Parsed & { readonly kind: '!' | '.' | ':' | '-' | '+'; readonly pattern: string };

function sides({ side, isNegated, isPerishable, isAbsolute }: Container): Omit<FilterRule, 'include' | 'pattern'> {
  return {
    ...(side === undefined ? {} : { side }),
    ...(isNegated === true ? { isNegated } : {}),
    ...(isPerishable === true ? { isPerishable } : {}),
    ...(isAbsolute === true ? { isAbsolute } : {}),
  };
}

/** As `parse_rule_tok` of rsync's exclude.c does. */
function parse(text: string, container: Container): Rule {
  const inherited = { ...sides(container), isXattr: container.isXattr === true, include: container.include ?? false };
  const kindOf = (include: boolean): '+' | '-' => (include ? '+' : '-');
  if (container.isPlain === true) {
    if (text === '!' && container.isCvs === true) return { kind: '!', pattern: '' };
    return { ...inherited, kind: kindOf(inherited.include), pattern: text };
  }
  if (container.isOld === true) {
    if (text === '!') return { kind: '!', pattern: '' };
    const prefix = /^([-+]) /.exec(text)?.[1];
    const include = prefix === undefined ? inherited.include : prefix === '+';
    return { ...inherited, include, kind: kindOf(include), pattern: prefix === undefined ? text : text.slice(2) };
  }
  return parseNew(text, inherited, container);
}

function parseNew(text: string, inherited: Parsed, container: Container): Rule {
  const word = /^([a-z-]+)(?=[,_ ]|$)/.exec(text)?.[1] ?? '';
  const letter = WORDS[word] ?? (/^[a-z]/.test(text) ? '' : text.charAt(0));
  const rest = text.slice(WORDS[word] === undefined ? 1 : word.length).replace(/^,/, '');
  if (!/^[-+.:!HSPR]$/.test(letter)) throw new RuleError(`rsync knows no filter rule "${text}"`);
  if (letter === '!') {
    if (rest !== '') throw new RuleError(`the filter rule "${text}" has characters behind its "!"`);
    return { kind: '!', pattern: '' };
  }
  const end = rest.search(/[ _]/);
  const modifiers = end < 0 ? rest : rest.slice(0, end);
  const pattern = end < 0 ? '' : rest.slice(end + 1);
  const isMerge = letter === '.' || letter === ':';
  const side = 'HS'.includes(letter) ? 'sender' : 'PR'.includes(letter) ? 'receiver' : undefined;
  let rule: { -readonly [Key in keyof Parsed]: Parsed[Key] } = {
    ...inherited,
    include: '+SR'.includes(letter) || (isMerge && inherited.include === true),
  };
  if (side !== undefined) rule.side = side;
  for (const modifier of modifiers) rule = { ...rule, ...modify(modifier, text, { rule, isMerge, side }) };
  if (container.side !== undefined && (side !== undefined || /[rs]/.test(modifiers)))
    throw new RuleError(`the filter rule "${text}" names a side, as its file does already`);
  if (pattern === '' && rule.isCvs !== true) throw new RuleError(`the filter rule "${text}" has no pattern`);
  return { ...rule, kind: isMerge ? letter : rule.include === true ? '+' : '-', pattern };
}

interface Modified {
  readonly rule: Parsed;
  readonly isMerge: boolean;
  readonly side: Side | undefined;
}

function modify(modifier: string, text: string, { rule, isMerge, side }: Modified): Parsed {
  const invalid = new RuleError(`rsync knows no modifier "${modifier}" in the filter rule "${text}"`);
  switch (modifier) {
    case '/':
      return { isAbsolute: true };
    case 'p':
      return { isPerishable: true };
    case 'x':
      return { isXattr: true };
    case '!':
      if (isMerge) throw invalid;
      return { isNegated: true };
    case 'C':
      if (rule.isPlain === true || side !== undefined) throw invalid;
      return { isPlain: true, isSplit: true, isCvs: true };
    case 'r':
    case 's':
      if (side !== undefined) throw invalid;
      return { side: modifier === 'r' ? 'receiver' : 'sender' };
  }
  if (!isMerge) throw invalid;
  switch (modifier) {
    case '-':
    case '+':
      if (rule.isPlain === true) throw invalid;
      return { isPlain: true, include: modifier === '+' };
    case 'e':
      return { excludesItself: true };
    case 'n':
      return {};
    case 'w':
      return { isSplit: true };
  }
  throw invalid;
}
