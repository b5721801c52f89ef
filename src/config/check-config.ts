import { ConfigError, type ConfigProblem } from '../errors.js';
import { adviseOn } from './advice.js';
import type { Config, ConfigElement, LocalPathConfig, PluginName } from './config.js';
import { viewOf, type ConfigView } from './config-view.js';
import type { DecodedText } from './text-encoding.js';
import { differencesOf, type Difference } from './differences.js';
import { lookAtDisk, lookAtRules, readConfigFile } from './load-config.js';
import { readConfig } from './read-config.js';

/** All that can be said of a configuration file without starting anything. */
export interface CheckedConfig {
  /** As it was named. */
  readonly file: string;
  /** `undefined` when there is no `<head>` to be read. */
  readonly reading?: {
    readonly head: ConfigElement;
    readonly config: Config;
    readonly encoding: DecodedText['encoding'];
    readonly view: ConfigView;
    readonly differences: readonly Difference[];
    /** What is wrong in the file alone, whatever this machine has. */
    readonly fileErrors: readonly ConfigProblem[];
  };
  /** Errors and warnings in the order of lines. */
  readonly problems: readonly ConfigProblem[];
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Reads a configuration and looks at what it names on the disk. `plugin`: what `-m` names. Throws nothing. */
export function checkConfig(file: string, env: Environment, plugin?: PluginName): CheckedConfig {
  let bytes: Uint8Array;
  try {
    bytes = readConfigFile(file);
  } catch (error) {
    if (error instanceof ConfigError) return { file, problems: error.problems };
    throw error;
  }
  return checkBytes(bytes, file, env, plugin);
}

/** The same for the content of a file. */
export function checkBytes(bytes: Uint8Array, file: string, env: Environment, plugin?: PluginName): CheckedConfig {
  const { config, head, encoding, problems, diskChecks, ruleSource } = readConfig(bytes, file, env, plugin ?? 'sync');
  if (head === undefined) return { file, problems };
  // With a plugin alone nothing is sent: what the file says of rsync is not for it.
  const rules = plugin === undefined && ruleSource !== undefined ? lookAtRules(ruleSource).problems : [];
  const all = [...problems, ...adviseOn(head, config), ...diskChecks.flatMap((check) => lookAtDisk(check)), ...rules];
  return {
    file,
    reading: {
      head,
      config,
      encoding,
      view: viewOf(head, config, plugin),
      differences: differencesOf(head, config),
      fileErrors: problems.filter(({ severity }) => severity === 'error'),
    },
    problems: inOrder(all),
  };
}

/** What keeps services of several files from running at the same time, as warnings of the later file. */
export function compareFiles(checked: readonly CheckedConfig[]): CheckedConfig[] {
  return checked.map((one, index) => {
    const earlier = checked.slice(0, index);
    return { ...one, problems: inOrder([...one.problems, ...sharedWith(earlier, one)]) };
  });
}

function sharedWith(earlier: readonly CheckedConfig[], { reading }: CheckedConfig): ConfigProblem[] {
  if (reading === undefined) return [];
  const { config, head } = reading;
  const sersync = head.children.find(({ name }) => name === 'sersync');
  const lineOf = (name: string): number => sersync?.children.find((child) => child.name === name)?.line ?? 0;
  const found: ConfigProblem[] = [];
  const failLog = earlier.find((other) => other.reading?.config.failLog.path === config.failLog.path);
  if (failLog !== undefined) {
    found.push({
      severity: 'warning',
      line: lineOf('failLog'),
      message: `the fail log ${config.failLog.path} is also that of ${failLog.file}: the second service does not start`,
      hint: 'give each file a fail log of its own, or join the files: sersync migrate FILE...',
    });
  }
  for (const { watch } of config.localPaths) {
    const other = earlier.find(({ reading: theirs }) => theirs?.config.localPaths.some((path) => path.watch === watch));
    if (other === undefined) continue;
    found.push({
      severity: 'warning',
      line: lineOf('localpath'),
      message: `${watch} is also watched by ${other.file}: the second service does not start`,
      hint: 'write all remotes of a directory into one file: sersync migrate FILE... joins them',
    });
  }
  return found;
}

/** One file's report as `sersync check --json` prints it. */
export interface CheckReport {
  readonly file: string;
  readonly encoding: string | null;
  readonly view: ConfigView | null;
  /** All of them, as they are used; `view` has the first one alone. */
  readonly localpaths: readonly LocalPathConfig[];
  readonly warnings: readonly Omit<ConfigProblem, 'severity'>[];
  readonly errors: readonly Omit<ConfigProblem, 'severity'>[];
  readonly differences: readonly Difference[];
}

export function reportOf({ file, reading, problems }: CheckedConfig): CheckReport {
  const ofKind = (kind: ConfigProblem['severity']): Omit<ConfigProblem, 'severity'>[] =>
    problems
      .filter(({ severity }) => severity === kind)
      .map(({ line, column, message, hint, mended }) => ({
        line,
        ...(column === undefined ? {} : { column }),
        message,
        ...(hint === undefined ? {} : { hint }),
        ...(mended === undefined ? {} : { mended }),
      }));
  return {
    file,
    encoding: reading?.encoding ?? null,
    view: reading?.view ?? null,
    localpaths: reading?.config.localPaths ?? [],
    warnings: ofKind('warning'),
    errors: ofKind('error'),
    differences: reading?.differences ?? [],
  };
}

export function hasErrors({ problems }: CheckedConfig): boolean {
  return problems.some(({ severity }) => severity === 'error');
}

function inOrder(problems: readonly ConfigProblem[]): ConfigProblem[] {
  return [...problems].sort((one, other) => one.line - other.line);
}
