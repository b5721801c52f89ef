import { ancestorsOf, fromText, nameOf, type RelativePath } from './relative-path.js';

/** One include or exclude rule. `pattern` is bytes, as in `RelativePath`: take text through `parsePatternRules`. */
export interface PatternRule {
  readonly include: boolean;
  readonly pattern: string;
}

/** A list of rsync's include and exclude rules: the first that matches a name decides; without one it is included. */
export interface PatternList {
  /** What the rules say of this one name, the directories above it left aside: for a walk that comes from above. */
  readonly excludesName: PathMatcher;
  /** Whether the name or a directory above it is excluded. */
  readonly isExcluded: PathMatcher;
}

/** Compiles rules whose patterns are relative to the root of the transfer. The root itself is never excluded. */
export function createPatternList(rules: readonly PatternRule[]): PatternList {
  const compiled = rules.map(({ include, pattern }) => ({ include, matches: compilePattern(pattern) }));

  function excludesName(path: RelativePath, isDirectory: boolean): boolean {
    const decisive = compiled.find((rule) => rule.matches(path, isDirectory));
    return decisive !== undefined && !decisive.include;
  }

  function isExcluded(path: RelativePath, isDirectory: boolean): boolean {
    for (const ancestor of ancestorsOf(path)) if (excludesName(ancestor, true)) return true;
    return excludesName(path, isDirectory);
  }

  return { excludesName, isExcluded };
}

/**
 * The rules of texts that were written for `--exclude` (or `--include`). rsync accepts there a `+ ` or `- ` in front,
 * which overrules the option, and a lone `!`, which clears all rules before it; an empty text is no rule.
 */
export function parsePatternRules(texts: readonly string[], option: 'exclude' | 'include' = 'exclude'): PatternRule[] {
  let rules: PatternRule[] = [];
  for (const text of texts) {
    if (text === '!') rules = [];
    else if (text.startsWith('+ ')) rules.push({ include: true, pattern: fromText(text.slice(2)) });
    else if (text.startsWith('- ')) rules.push({ include: false, pattern: fromText(text.slice(2)) });
    else rules.push({ include: option === 'include', pattern: fromText(text) });
  }
  return rules.filter((rule) => rule.pattern !== '');
}

export type PathMatcher = (path: RelativePath, isDirectory: boolean) => boolean;

/**
 * What a pattern matches, as in rsync(1), "PATTERN MATCHING RULES", on bytes. What the page leaves open was seen with
 * 3.5.0 (test/integration/filter-oracle.test.ts asks the real rsync): every slash of the pattern counts, also one within
 * a class; a class that is not closed, an unknown `[:class:]` and a backslash at the end match nothing.
 */
export function compilePattern(pattern: string): PathMatcher {
  if (pattern.length > 1 && pattern.endsWith('/')) {
    const matches = compileNames(pattern.slice(0, -1));
    return (path, isDirectory) => isDirectory && path !== '' && matches(path, isDirectory);
  }
  const matches = compileNames(pattern);
  return (path, isDirectory) => path !== '' && matches(path, isDirectory);
}

/** `pattern` without the slash at its end. */
function compileNames(pattern: string): PathMatcher {
  const isAnchored = pattern.startsWith('/');
  const slashes = pattern.split('/').length - 1;
  const body = isAnchored ? pattern.slice(1) : pattern;

  if (!/[*?[]/.test(pattern)) return compileLiteral(body, isAnchored);
  const source = wildcardSource(body);
  if (source === undefined) return () => false;

  if (pattern.includes('**')) return compileAcrossDirectories(pattern, source, isAnchored);
  const whole = new RegExp(`^${source}$`, 's');
  if (slashes === 0) return (path) => whole.test(nameOf(path));
  if (isAnchored) return (path) => whole.test(path);
  return (path) => {
    const end = lastParts(path, slashes + 1);
    return end !== undefined && whole.test(end);
  };
}

/** Without a wildcard a backslash is an ordinary character. */
function compileLiteral(body: string, isAnchored: boolean): PathMatcher {
  if (isAnchored) return (path) => path === body;
  return (path) => path === body || path.endsWith(`/${body}`);
}

/** `**` may match slashes, so the pattern is tried at the start of the path and after every slash of it. */
function compileAcrossDirectories(pattern: string, source: string, isAnchored: boolean): PathMatcher {
  const startsWithStars = pattern.startsWith('**');
  const matchesItsDirectory = pattern.endsWith('***');
  const start = isAnchored || startsWithStars ? '^' : '(?:^|/)';
  const expression = new RegExp(`${start}${source}$`, 's');
  return (path, isDirectory) => {
    const front = startsWithStars ? '/' : '';
    const back = isDirectory && matchesItsDirectory ? '/' : '';
    return expression.test(front + path + back);
  };
}

/** The last `count` parts of the path; undefined when it has fewer. */
function lastParts(path: RelativePath, count: number): RelativePath | undefined {
  let slash = path.length;
  for (let left = count; left > 0; left--) {
    if (slash < 0) return undefined;
    slash = path.lastIndexOf('/', slash - 1);
  }
  return path.slice(slash + 1);
}

/** The regular expression of a pattern with wildcards; undefined when it can match nothing. */
function wildcardSource(pattern: string): string | undefined {
  let source = '';
  for (let at = 0; at < pattern.length; at++) {
    const character = pattern.charAt(at);
    if (character === '*') {
      const stars = /^\*+/.exec(pattern.slice(at))?.[0].length ?? 1;
      source += stars > 1 ? '[^]*' : '[^/]*';
      at += stars - 1;
    } else if (character === '?') {
      source += '[^/]';
    } else if (character === '[') {
      const parsed = parseClass(pattern, at + 1);
      if (parsed === undefined) return undefined;
      source += parsed.source;
      at = parsed.end;
    } else if (character === '\\') {
      at++;
      if (at === pattern.length) return undefined;
      source += escapeByte(pattern.charCodeAt(at));
    } else {
      source += escapeByte(pattern.charCodeAt(at));
    }
  }
  return source;
}

/** The bytes of each `[:name:]`, as in the C locale and in every UTF-8 locale. */
const NAMED_CLASSES: ReadonlyMap<string, RegExp> = new Map([
  ['alnum', /[0-9A-Za-z]/],
  ['alpha', /[A-Za-z]/],
  ['blank', /[ \t]/],
  ['cntrl', /[\x00-\x1f\x7f]/],
  ['digit', /[0-9]/],
  ['graph', /[!-~]/],
  ['lower', /[a-z]/],
  ['print', /[ -~]/],
  ['punct', /[!-/:-@[-`{-~]/],
  ['space', /[ \t\n\v\f\r]/],
  ['upper', /[A-Z]/],
  ['xdigit', /[0-9A-Fa-f]/],
]);

const SLASH = 0x2f;

/** The class that begins at `start`, after its `[`; `end` is the place of its `]`. No class ever matches a slash. */
function parseClass(pattern: string, start: number): { source: string; end: number } | undefined {
  const bytes = new Set<number>();
  let at = start;
  const isNegated = pattern[at] === '!' || pattern[at] === '^';
  if (isNegated) at++;

  // A range needs a single character before its dash: undefined at the beginning, after a range and after a [:name:].
  let previous: number | undefined;
  for (let isFirst = true; isFirst || pattern[at] !== ']'; isFirst = false, at++) {
    if (at >= pattern.length) return undefined;
    const next = pattern[at + 1];
    const named = /^\[:([^\]]*):\]/.exec(pattern.slice(at));
    if (pattern[at] === '-' && previous !== undefined && next !== undefined && next !== ']') {
      at += next === '\\' ? 2 : 1;
      if (at >= pattern.length) return undefined;
      for (let byte = previous; byte <= pattern.charCodeAt(at); byte++) bytes.add(byte);
      previous = undefined;
    } else if (named !== null) {
      const members = NAMED_CLASSES.get(named[1] ?? '');
      if (members === undefined) return undefined;
      for (let byte = 1; byte < 256; byte++) if (members.test(String.fromCharCode(byte))) bytes.add(byte);
      at += named[0].length - 1;
      previous = undefined;
    } else {
      if (pattern[at] === '[' && next === ':' && !pattern.includes(']', at + 2)) return undefined;
      if (pattern[at] === '\\') at++;
      if (at >= pattern.length) return undefined;
      previous = pattern.charCodeAt(at);
      bytes.add(previous);
    }
  }
  return { source: classSource(bytes, isNegated), end: at };
}

function classSource(bytes: ReadonlySet<number>, isNegated: boolean): string {
  const members = [...bytes].filter((byte) => byte !== SLASH).map(escapeByte);
  if (isNegated) return `[^/${members.join('')}]`;
  return members.length === 0 ? '(?!)' : `[${members.join('')}]`;
}

function escapeByte(byte: number): string {
  return `\\x${byte.toString(16).padStart(2, '0')}`;
}
