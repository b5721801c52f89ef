import { parseArgs } from 'node:util';
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

/** `sersync check ...`: the command reads the rest itself. */
export interface Subcommand {
  readonly kind: 'command';
  readonly command: string;
  readonly rest: readonly string[];
}

export const DEFAULT_CONFIG_FILE = 'confxml.xml';
export const DEFAULT_THREADS = 10;
export const MAX_THREADS = 128;

/**
 * The arguments behind the program's name, by getopt's rules: flags cluster and values attach (`-dro FILE`, `-oFILE`,
 * `-n4`), the last of several counts. `commands` are the subcommands that exist. Throws `UsageError`.
 */
export function parseOptions(argv: readonly string[], commands: readonly string[] = []): Options | Subcommand {
  const [first, ...rest] = argv;
  if (first !== undefined && !first.startsWith('-')) return subcommand(first, rest, commands);
  const values = parseFlags(argv);
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

const HINT = 'sersync -h shows the options';

function subcommand(command: string, rest: readonly string[], commands: readonly string[]): Subcommand {
  if (commands.includes(command)) return { kind: 'command', command, rest };
  const existing = commands.length === 0 ? '' : `; the commands are ${commands.join(', ')}`;
  throw new UsageError(`there is no command "${command}"${existing}`, HINT);
}

function parseFlags(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      strict: true,
      allowPositionals: false,
      options: {
        help: { type: 'boolean', short: 'h' },
        version: { type: 'boolean' },
        resync: { type: 'boolean', short: 'r' },
        background: { type: 'boolean', short: 'd' },
        config: { type: 'string', short: 'o' },
        threads: { type: 'string', short: 'n' },
        plugin: { type: 'string', short: 'm' },
      },
    }).values;
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
