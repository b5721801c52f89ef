import { compileRules, type FilterRule, type RuleRoots } from './filter-rules.js';
import { ancestorsOf, decode, fromText, isBelow, parentOf, ROOT, type RelativePath } from './relative-path.js';
import { createPatternList, parsePatternRules, type PathMatcher } from './rsync-pattern.js';
import { isTemporary } from './temporaries.js';

/** What is left out. Plain data, so that a thread can compile its own. */
export interface FilterSpec {
  /** `<filter>`: regular expressions that match the whole relative path. */
  readonly excludes: readonly string[];
  /** rsync exclude patterns (crontabfilter). */
  readonly patterns?: readonly string[];
  /** The rules of `commonParams`. */
  readonly rules?: readonly FilterRule[];
  /** What absolute rules are about; by default the watched root is the root of everything. */
  readonly roots?: RuleRoots;
}

/** Decides which names are ours. An expression or pattern excludes on both sides, a rule of the params may on one. */
export interface Filter {
  /** Whether the name, or a directory above it, is excluded from what is sent. */
  isExcluded(path: RelativePath, isDirectory: boolean): boolean;
  /**
   * Whether what a remote has at the path stays there, although nothing is sent for it. `top`: where that begins, the path
   * itself or a directory above it that is not sent either. rsync decides about a directory and then about what it holds, so
   * rules for what stands above `top` say nothing; perishable ones say nothing below it. `isInTheWay`: `top` stands where
   * something else is sent to, and rsync asks its rules about what it holds alone.
   */
  stays(path: RelativePath, isDirectory: boolean, top: RelativePath, isInTheWay?: boolean): boolean;
}

/** Whether anything is left out but temporaries. */
export function isFiltering({ excludes, patterns = [], rules = [] }: FilterSpec): boolean {
  return excludes.length + patterns.length + rules.length > 0;
}

const SAME_ROOTS: RuleRoots = { sender: ROOT, receiver: ROOT };

/**
 * Compiles the expressions, patterns and rules; an expression that is none is left out (whoever read the configuration has
 * said so). Temporaries (temporaries.ts) are never sent and stay by themselves, but they go with the directory that holds
 * them: they are nobody's, and it could never be removed. The root is never excluded.
 */
export function createFilter(spec: FilterSpec): Filter {
  const { rules = [], roots = SAME_ROOTS } = spec;
  const onBothSides = matchersOf(spec);
  const senderRules = rules.length === 0 ? [] : [compileRules(rules, 'sender', roots)];
  const isExcluded = withDirectoriesAbove([...onBothSides, ...senderRules]);
  const isExcludedThere = senderRules.length === 0 ? isExcluded : withDirectoriesAbove(onBothSides);
  const lasting = rules.filter(({ isPerishable }) => isPerishable !== true);
  const protects = compileRules(rules, 'receiver', roots);
  const protectsBelow = lasting.length === rules.length ? protects : compileRules(lasting, 'receiver', roots);

  return {
    isExcluded: (path, isDirectory) => (!isDirectory && isTemporary(path)) || isExcluded(path, isDirectory),
    stays(path, isDirectory, top, isInTheWay = false) {
      if (path === top && !isDirectory && isTemporary(path)) return true;
      if (isExcludedThere(path, isDirectory)) return true;
      if (rules.length === 0 || path === ROOT) return false;
      if (path === top) return !isInTheWay && protects(path, isDirectory);
      for (const above of ancestorsOf(path)) {
        if (above === top ? !isInTheWay && protects(above, true) : isBelow(above, top) && protectsBelow(above, true))
          return true;
      }
      return protectsBelow(path, isDirectory);
    },
  };
}

/** What excludes a name on both sides. */
function matchersOf({ excludes, patterns = [] }: FilterSpec): PathMatcher[] {
  const expressions = excludes.flatMap(compileOrLeaveOut);
  const rules = parsePatternRules(patterns);
  return [
    ...(expressions.length > 0 ? [matchesAny(expressions)] : []),
    ...(rules.length > 0 ? [createPatternList(rules).excludesName] : []),
  ];
}

function withDirectoriesAbove(matchers: readonly PathMatcher[]): PathMatcher {
  const [first, ...others] = matchers;
  if (first === undefined) return () => false;
  const excludesName: PathMatcher =
    others.length === 0 ? first : (path, isDirectory) => matchers.some((matches) => matches(path, isDirectory));
  const isDirectoryExcluded = rememberDirectories(excludesName);
  return (path, isDirectory) => {
    if (isDirectory) return isDirectoryExcluded(path);
    return isDirectoryExcluded(parentOf(path)) || (path !== ROOT && excludesName(path, false));
  };
}

/** Directories whose verdict is kept: about 2 MB of the usual names. */
const REMEMBERED_DIRECTORIES = 10_000;

/** Events come in runs from the same directories: their verdict, which holds that of all above, is worked out once. */
function rememberDirectories(excludesName: PathMatcher): (directory: RelativePath) => boolean {
  const verdicts = new Map<RelativePath, boolean>();

  return function isDirectoryExcluded(directory: RelativePath): boolean {
    if (directory === ROOT) return false;
    const known = verdicts.get(directory);
    if (known !== undefined) return known;
    const verdict = isDirectoryExcluded(parentOf(directory)) || excludesName(directory, true);
    if (verdicts.size >= REMEMBERED_DIRECTORIES) verdicts.clear();
    verdicts.set(directory, verdict);
    return verdict;
  };
}

/** Whether a `<filter>` expression matches the whole text. */
export type TextMatcher = (text: string) => boolean;

/**
 * A `<filter>` expression as the original reads it: it must match the whole text. Throws when it is no regular expression,
 * or has a class that is not known.
 */
export function compileExpression(expression: string): TextMatcher {
  const translated = expandNamedClasses(expression);
  // By itself first: `a)|(b` is one only within our brackets.
  new RegExp(translated, 's');
  const source = `^(?:${translated})$`;
  const plain = new RegExp(source, 's');
  // With `u` a character beyond U+FFFF counts as one, but escapes such as `\-` or `\_` are errors. And V8 bounds the
  // backtracking of expressions without it only (main.ts), so it is kept for the text that needs it.
  const unicode = compileOr(plain, source, 'su');
  const needsUnicode = /\\[pP]\{/.test(expression) ? NOT_ASCII : SURROGATE;
  return (text) => (needsUnicode.test(text) ? unicode : plain).test(text);
}

/** Whether one of the expressions matches the whole path, absolute or not: what `<filter>` does for the relative one. */
export function createPathMatcher(expressions: readonly string[]): (path: RelativePath) => boolean {
  const matches = matchesAny(expressions.flatMap(compileOrLeaveOut));
  return (path) => matches(path, false);
}

/** What an expression finds in a path. */
export interface Finding {
  /** Its first group; empty when it has none, or when that took no part. */
  readonly group: RelativePath;
  /** What comes behind the match. */
  readonly rest: RelativePath;
}

/**
 * An expression that is searched in a path, byte by byte as the original does. Undefined when it is no regular expression.
 */
export function compileSearch(expression: string): ((path: RelativePath) => Finding | undefined) | undefined {
  let found: RegExp;
  try {
    found = new RegExp(expandNamedClasses(fromText(expression)), 's');
  } catch {
    // The caller says so.
    return undefined;
  }
  return (path) => {
    const match = found.exec(path);
    if (match === null) return undefined;
    return { group: match[1] ?? '', rest: path.slice(match.index + match[0].length) };
  };
}

const NOT_ASCII = /[^\x00-\x7f]/;
const SURROGATE = /[\ud800-\udfff]/;

function compileOr(other: RegExp, source: string, flags: string): RegExp {
  try {
    return new RegExp(source, flags);
  } catch {
    return other;
  }
}

function compileOrLeaveOut(expression: string): TextMatcher[] {
  try {
    return [compileExpression(expression)];
  } catch {
    // The configuration's reader has warned; the other expressions must work.
    return [];
  }
}

/** A directory is tried with and without a slash at its end. */
function matchesAny(expressions: readonly TextMatcher[]): PathMatcher {
  return (path, isDirectory) => {
    const text = decodeParts(path);
    return expressions.some((matches) => matches(text) || (isDirectory && matches(`${text}/`)));
  };
}

/** Each name by itself: one that is not UTF-8 must not spoil the names above it. */
function decodeParts(path: RelativePath): string {
  return NOT_ASCII.test(path) ? path.split('/').map(decode).join('/') : path;
}

/** The `[[:digit:]]` of Perl's and boost's classes, which JavaScript would silently read as a set of letters. */
const NAMED_CLASSES: ReadonlyMap<string, string> = new Map([
  ['alnum', '0-9A-Za-z'],
  ['alpha', 'A-Za-z'],
  ['blank', ' \\t'],
  ['cntrl', '\\x00-\\x1f\\x7f'],
  ['digit', '0-9'],
  ['graph', '!-~'],
  ['lower', 'a-z'],
  ['print', ' -~'],
  ['punct', '!-\\/:-@\\[-`{-~'],
  ['space', '\\s'],
  ['upper', 'A-Z'],
  ['word', '\\w'],
  ['xdigit', '0-9A-Fa-f'],
  // boost's short names.
  ['d', '0-9'],
  ['l', 'a-z'],
  ['s', '\\s'],
  ['u', 'A-Z'],
  ['w', '\\w'],
]);

function expandNamedClasses(expression: string): string {
  // A class as a whole: `[:digit:]` by itself is the set of its letters, in Perl, in boost and in JavaScript.
  return expression.replace(/\\.|\[\^?\]?(?:\[[:.=].*?[:.=]\]|\\.|[^\]\\])*\]/gs, (whole) =>
    whole.startsWith('\\') ? whole : expandMembers(whole),
  );
}

function expandMembers(set: string): string {
  const inside = set
    .slice(1, -1)
    .replace(/\\.|\[([:.=])(.*?)\1\]/gs, (member, kind: string | undefined, name: string) => {
      if (kind === undefined) return member;
      const members = kind === ':' ? NAMED_CLASSES.get(name) : undefined;
      if (members === undefined) throw new SyntaxError(`the class ${member} is not known`);
      return members;
    });
  // A bracket that comes first is a member; in JavaScript it would end the set.
  return `[${inside.replace(/^(\^?)\]/, '$1\\]')}]`;
}
