import { parseArgs, type ParseArgsConfig } from 'node:util';
import { PLUGIN_NAMES, type PluginName } from '../config/config.js';
import { messageOf, UsageError } from '../errors.js';

/** What the service is asked for: the options of sersync 2.5. */
export interface Options {
  readonly kind: 'service';
  /** `-h`, `--help` */
  readonly help: boolean;
  /** `--version` */
  readonly version: boolean;
  /** `-r`: a full sync to every remote once the watch is up. */
  readonly resync: boolean;
  /** `-d`: in the background. */
  readonly background: boolean;
  /** `-o FILE` */
  readonly configFile: string;
  /** `-n NUM`: how many worker threads at most. */
  readonly threads: number;
  /** `-m NAME`: run this plugin alone and sync nothing. */
  readonly plugin?: PluginName;
}

/** `sersync status ...`: each command reads the rest by its own rules. */
export interface Subcommand {
  readonly kind: 'command';
  readonly command: Command;
  readonly rest: readonly string[];
}

export const COMMANDS = ['check', 'migrate', 'status', 'held', 'help'] as const;
export type Command = (typeof COMMANDS)[number];

/** What every command understands: which service it is about. */
export interface CommandOptions {
  /** `-h`, `--help` */
  readonly help: boolean;
  /** `-o FILE` */
  readonly configFile: string;
  /** `--json` */
  readonly json: boolean;
  /** `-m NAME`: the service that runs this plugin alone. */
  readonly plugin?: PluginName;
}

export interface StatusOptions extends CommandOptions {
  /** `--health`: one line, and an exit code that says whether the service is well. */
  readonly health: boolean;
}

export interface HeldOptions extends CommandOptions {
  /** `--release`: what is held is deleted. */
  readonly release: boolean;
}

export interface CheckOptions {
  readonly help: boolean;
  readonly json: boolean;
  /** At least one: those of `-o`, then those without an option. */
  readonly files: readonly string[];
  /** `-m NAME`: it is to run alone, and the configuration needs what that needs. */
  readonly plugin?: PluginName;
}

export interface MigrateOptions {
  readonly help: boolean;
  readonly files: readonly string[];
  /** `-o FILE`: where the joined file is written; standard output without it. */
  readonly output?: string;
}

export const DEFAULT_CONFIG_FILE = 'confxml.xml';
export const DEFAULT_THREADS = 10;
export const MAX_THREADS = 128;

/**
 * The arguments behind the program's name, by getopt's rules: flags cluster and values attach (`-dro FILE`, `-oFILE`,
 * `-n4`), the last of several counts. Throws `UsageError`.
 */
export function parseOptions(argv: readonly string[]): Options | Subcommand {
  const [first, ...rest] = argv;
  if (first !== undefined && !first.startsWith('-')) return subcommand(first, rest);
  const values = parseFlags(argv, SERVICE_FLAGS);
  const plugin = values.plugin === undefined ? undefined : parsePlugin(values.plugin);
  return {
    kind: 'service',
    help: values.help ?? false,
    version: values.version ?? false,
    resync: values.resync ?? false,
    background: values.background ?? false,
    configFile: parseConfigFile(values.config ?? DEFAULT_CONFIG_FILE),
    threads: values.threads === undefined ? DEFAULT_THREADS : parseThreads(values.threads),
    ...(plugin === undefined ? {} : { plugin }),
  };
}

/** The arguments behind `status`. Throws `UsageError`. */
export function parseStatusOptions(argv: readonly string[]): StatusOptions {
  const { health = false, ...values } = parseFlags(argv, { ...COMMAND_FLAGS, health: { type: 'boolean' } });
  return { ...commandOptions(values), health };
}

/** The arguments behind `held`. Throws `UsageError`. */
export function parseHeldOptions(argv: readonly string[]): HeldOptions {
  const { release = false, ...values } = parseFlags(argv, { ...COMMAND_FLAGS, release: { type: 'boolean' } });
  return { ...commandOptions(values), release };
}

/** The arguments behind `check`. Throws `UsageError`. */
export function parseCheckOptions(argv: readonly string[]): CheckOptions {
  const { values, positionals } = parseWords(argv, CHECK_FLAGS);
  const named = [...(values.config ?? []), ...positionals].map(parseConfigFile);
  const plugin = values.plugin === undefined ? undefined : parsePlugin(values.plugin);
  return {
    help: values.help ?? false,
    json: values.json ?? false,
    files: named.length === 0 ? [DEFAULT_CONFIG_FILE] : named,
    ...(plugin === undefined ? {} : { plugin }),
  };
}

/** The arguments behind `migrate`. Throws `UsageError`. */
export function parseMigrateOptions(argv: readonly string[]): MigrateOptions {
  const { values, positionals } = parseWords(argv, MIGRATE_FLAGS);
  const { help = false, output } = values;
  if (positionals.length === 0 && !help) {
    throw new UsageError(
      'migrate needs the configuration files of sersync 2.5',
      'sersync migrate FILE... [-o NEWFILE]',
    );
  }
  return { help, files: positionals.map(parseConfigFile), ...(output === undefined ? {} : { output }) };
}

const CHECK_FLAGS = {
  help: { type: 'boolean', short: 'h' },
  config: { type: 'string', short: 'o', multiple: true },
  plugin: { type: 'string', short: 'm' },
  json: { type: 'boolean' },
} as const;

const MIGRATE_FLAGS = {
  help: { type: 'boolean', short: 'h' },
  output: { type: 'string', short: 'o' },
} as const;

const SERVICE_FLAGS = {
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean' },
  resync: { type: 'boolean', short: 'r' },
  background: { type: 'boolean', short: 'd' },
  config: { type: 'string', short: 'o' },
  threads: { type: 'string', short: 'n' },
  plugin: { type: 'string', short: 'm' },
} as const;

const COMMAND_FLAGS = {
  help: { type: 'boolean', short: 'h' },
  config: { type: 'string', short: 'o' },
  json: { type: 'boolean' },
  plugin: { type: 'string', short: 'm' },
} as const;

const HINT = 'sersync -h shows the options and the commands';

function subcommand(word: string, rest: readonly string[]): Subcommand {
  const command = COMMANDS.find((name) => name === word);
  if (command !== undefined) return { kind: 'command', command, rest };
  throw new UsageError(`there is no command "${word}"; the commands are ${COMMANDS.join(', ')}`, HINT);
}

function commandOptions(values: CommandValues): CommandOptions {
  const { help = false, config = DEFAULT_CONFIG_FILE, json = false } = values;
  const plugin = values.plugin === undefined ? {} : { plugin: parsePlugin(values.plugin) };
  return { help, configFile: parseConfigFile(config), json, ...plugin };
}

interface CommandValues {
  readonly help?: boolean | undefined;
  readonly config?: string | undefined;
  readonly json?: boolean | undefined;
  readonly plugin?: string | undefined;
}

function parseFlags<const Flags extends NonNullable<ParseArgsConfig['options']>>(
  argv: readonly string[],
  options: Flags,
) {
  try {
    return parseArgs({ args: [...argv], strict: true, allowPositionals: false, options }).values;
  } catch (error) {
    throw new UsageError(explain(error), HINT);
  }
}

/** The same for commands that take names without an option, too. */
function parseWords<const Flags extends NonNullable<ParseArgsConfig['options']>>(
  argv: readonly string[],
  options: Flags,
) {
  try {
    return parseArgs({ args: [...argv], strict: true, allowPositionals: true, options });
  } catch (error) {
    throw new UsageError(explain(error), HINT);
  }
}

/** The first sentence of Node's message names the option; the others tell programmers how to write a dash. */
function explain(error: unknown): string {
  const [sentence = ''] = messageOf(error).split(/\.(?=\s|$)/);
  return sentence.charAt(0).toLowerCase() + sentence.slice(1);
}

function parseConfigFile(file: string): string {
  if (file === '') throw new UsageError('-o needs the path of a configuration file', HINT);
  return file;
}

function parseThreads(text: string): number {
  const threads = /^\d{1,3}$/.test(text) ? Number(text) : NaN;
  if (threads >= 1 && threads <= MAX_THREADS) return threads;
  throw new UsageError(
    `-n ${text}: a number of threads from 1 to ${MAX_THREADS} was expected`,
    `write -n ${DEFAULT_THREADS}`,
  );
}

function parsePlugin(text: string): PluginName {
  const plugin = PLUGIN_NAMES.find((name) => name === text);
  if (plugin !== undefined) return plugin;
  throw new UsageError(`-m ${text}: there is no such plugin; the plugins are ${PLUGIN_NAMES.join(', ')}`, HINT);
}
