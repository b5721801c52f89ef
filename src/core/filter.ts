import { decode, fromText, parentOf, ROOT, type RelativePath } from './relative-path.js';
import { createPatternList, parsePatternRules, type PathMatcher } from './rsync-pattern.js';
import { isTemporary } from './temporaries.js';

/** What is left out. Plain data, so that a thread can compile its own. */
export interface FilterSpec {
  /** `<filter>`: regular expressions that match the whole relative path. */
  readonly excludes: readonly string[];
  /** rsync exclude patterns (crontabfilter). */
  readonly patterns: readonly string[];
}

/** Decides which names are ours. Excluded means not touched: neither sent nor deleted. */
export interface Filter {
  /** Whether the name, or a directory above it, is excluded. */
  isExcluded(path: RelativePath, isDirectory: boolean): boolean;
}

/**
 * Compiles the expressions and patterns; one that is no regular expression is left out (whoever read the configuration
 * has said so). Temporaries (temporaries.ts) are always excluded, the root never.
 */
export function createFilter(spec: FilterSpec): Filter {
  const matchers: PathMatcher[] = [];
  const expressions = spec.excludes.flatMap((expression) => compileExpression(expression) ?? []);
  if (expressions.length > 0) matchers.push(matchesAny(expressions));
  const rules = parsePatternRules(spec.patterns);
  if (rules.length > 0) matchers.push(createPatternList(rules).excludesName);
  if (matchers.length === 0) return { isExcluded: (path, isDirectory) => !isDirectory && isTemporary(path) };

  const excludesName: PathMatcher = (path, isDirectory) => matchers.some((matches) => matches(path, isDirectory));
  const isDirectoryExcluded = rememberDirectories(excludesName);
  return {
    isExcluded(path, isDirectory) {
      if (isDirectory) return isDirectoryExcluded(path);
      return isTemporary(path) || isDirectoryExcluded(parentOf(path)) || (path !== ROOT && excludesName(path, false));
    },
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
 * A `<filter>` expression as the original reads it: it must match the whole text. Undefined when it is no regular
 * expression.
 */
export function compileExpression(expression: string): TextMatcher | undefined {
  const source = `^(?:${expandNamedClasses(expression)})$`;
  const ascii = compileOrSkip(source, 's');
  if (ascii === undefined) return undefined;
  // With `u` a character beyond U+FFFF counts as one, but escapes such as `\-` or `\_` are errors.
  const unicode = compileOrSkip(source, 'su') ?? ascii;
  return (text) => (NOT_ASCII.test(text) ? unicode.test(text) : ascii.test(text));
}

/** Whether one of the expressions matches the whole path, absolute or not: what `<filter>` does for the relative one. */
export function createPathMatcher(expressions: readonly string[]): (path: RelativePath) => boolean {
  const matches = matchesAny(expressions.flatMap((expression) => compileExpression(expression) ?? []));
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
  const found = compileOrSkip(expandNamedClasses(fromText(expression)), 's');
  if (found === undefined) return undefined;
  return (path) => {
    const match = found.exec(path);
    if (match === null) return undefined;
    return { group: match[1] ?? '', rest: path.slice(match.index + match[0].length) };
  };
}

const NOT_ASCII = /[^\x00-\x7f]/;

/** A directory is tried with and without a slash at its end. */
function matchesAny(expressions: readonly TextMatcher[]): PathMatcher {
  return (path, isDirectory) => {
    const text = decodeParts(path);
    return expressions.some((matches) => matches(text) || (isDirectory && matches(`${text}/`)));
  };
}

function compileOrSkip(source: string, flags: string): RegExp | undefined {
  try {
    return new RegExp(source, flags);
  } catch {
    // The configuration's reader has warned; the other expressions must work.
    return undefined;
  }
}

/** Each name by itself: one that is not UTF-8 must not spoil the names above it. */
function decodeParts(path: RelativePath): string {
  return NOT_ASCII.test(path) ? path.split('/').map(decode).join('/') : path;
}

/** The `[:digit:]` of Perl's and boost's classes, which JavaScript would silently read as five characters. */
const NAMED_CLASSES: ReadonlyMap<string, string> = new Map([
  ['alnum', '0-9A-Za-z'],
  ['alpha', 'A-Za-z'],
  ['blank', ' \\t'],
  ['digit', '0-9'],
  ['lower', 'a-z'],
  ['space', '\\s'],
  ['upper', 'A-Z'],
  ['word', '\\w'],
  ['xdigit', '0-9A-Fa-f'],
]);

function expandNamedClasses(expression: string): string {
  return expression.replace(/\[:([a-z]+):\]/g, (whole, name: string) => NAMED_CLASSES.get(name) ?? whole);
}
