import { join } from 'node:path';
import { RuleError, readFilterRules, type FilterRule, type ReadRuleFile } from '../core/filter-rules.js';
import { decode } from '../core/relative-path.js';
import { readParamItems } from '../core/rsync-params.js';
import { messageOf, type ConfigProblem } from '../errors.js';

/** The options of rsync that filter. */
const FILTERING = new Set('exclude include exclude-from include-from filter f F C cvs-exclude'.split(' '));

export interface RuleSource {
  /** `commonParams`, as words. */
  readonly params: readonly string[];
  /** The watched directories: rsync runs there, so names of files are relative to them. */
  readonly watched: readonly string[];
  readonly line: number;
}

export function hasFilterRules(params: readonly string[]): boolean {
  return readParamItems(params).some(({ option = '' }) => FILTERING.has(option));
}

/**
 * The filter rules of `commonParams`, with those in the files that they name, and what is wrong with them. `readFile` gets
 * absolute paths.
 */
export function readRules(
  { params, watched, line }: RuleSource,
  readFile: ReadRuleFile,
): { rules: readonly FilterRule[]; problems: ConfigProblem[] } {
  const problem = (severity: ConfigProblem['severity'], message: string, hint: string): ConfigProblem => {
    return { severity, line, message: `<commonParams>: ${message}`, hint };
  };
  const [directory, ...others] = watched;
  const locate: ReadRuleFile = (bytes) => {
    const path = decode(bytes);
    if (path === '-') throw new RuleError('filter rules cannot come from standard input');
    if (path.startsWith('/')) return readFile(path);
    if (directory === undefined || others.length > 0) throw new RuleError(`${bytes} is no absolute path`);
    return readFile(join(directory, path));
  };
  try {
    const { rules, unheeded } = readFilterRules(params, locate);
    return { rules, problems: warningsOf(params, unheeded.map(decode), problem) };
  } catch (error) {
    const said = error instanceof RuleError ? decode(error.message) : messageOf(error);
    const hint = 'correct it, or write the rule as <exclude expression="..."/> into <filter>';
    return { rules: [], problems: [problem('error', said, hint)] };
  }
}

function warningsOf(
  params: readonly string[],
  unheeded: readonly string[],
  problem: (severity: 'warning', message: string, hint: string) => ConfigProblem,
): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  if (unheeded.length > 0) {
    const what = `${unheeded.map((rule) => `"${rule}"`).join(', ')}: rules in the directories themselves do NOT HOLD: what they exclude is sent and deleted`;
    const hint = 'write the rules into the params, or as <exclude expression="..."/> into <filter>';
    problems.push(problem('warning', what, hint));
  }
  return problems;
}
