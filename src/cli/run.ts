/** The command line from its words to an exit code: 0 done, 1 failed, 2 not understood. */
import { messageOf, SersyncError, UsageError } from '../errors.js';
import { runCheck } from './check-command.js';
import { isBackgroundChild, reportFailure } from './background.js';
import { locateService, type ServiceLocation } from './control-client.js';
import { runHeld, runStatus } from './control-commands.js';
import { HELP } from './help.js';
import { runMigrate } from './migrate-command.js';
import { packageVersion } from './package-version.js';
import {
  parseCheckOptions,
  parseHeldOptions,
  parseMigrateOptions,
  parseOptions,
  parseStatusOptions,
  type CommandOptions,
  type Subcommand,
} from './options.js';

export async function runCommand(argv: readonly string[]): Promise<number> {
  try {
    const options = parseOptions(argv);
    if (options.kind === 'command') return await runSubcommand(options);
    if (options.help) return await print(HELP);
    if (options.version) return await print(`sersync ${packageVersion()}\n`);
    // What only the service needs takes longer to load than a command takes to run.
    const { runService } = await import('./service-command.js');
    return await runService(options, argv);
  } catch (error) {
    const text = error instanceof SersyncError ? error.explain() : `sersync: ${messageOf(error)}`;
    if (isBackgroundChild(process.env, process)) await reportFailure(text, process);
    else process.stderr.write(`${text}\n`);
    return error instanceof UsageError ? 2 : 1;
  }
}

async function runSubcommand({ command, rest }: Subcommand): Promise<number> {
  switch (command) {
    case 'help':
      return await print(HELP);
    case 'check': {
      const options = parseCheckOptions(rest);
      return options.help ? print(HELP) : runCheck(options, process.env, print);
    }
    case 'migrate': {
      const options = parseMigrateOptions(rest);
      return options.help ? print(HELP) : runMigrate(options, process.env, { print, printError });
    }
    case 'status': {
      const options = parseStatusOptions(rest);
      return options.help ? print(HELP) : runStatus(options, locationFor(options), print);
    }
    case 'held': {
      const options = parseHeldOptions(rest);
      return options.help ? print(HELP) : runHeld(options, locationFor(options), Date.now(), print);
    }
  }
}

function locationFor({ configFile, plugin }: CommandOptions): ServiceLocation {
  return locateService(configFile, process.env, process.getuid?.() ?? 0, plugin);
}

function print(text: string): Promise<number> {
  return write(process.stdout, text);
}

function printError(text: string): Promise<number> {
  return write(process.stderr, text);
}

/** Resolves when all of it is out: the program ends right behind it, and a pipe takes it in pieces. */
async function write(stream: NodeJS.WriteStream, text: string): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    // The callback gets the same error; without a listener it would end the program before.
    stream.once('error', () => undefined);
    stream.write(text, (error) => {
      if (error instanceof Error && !('code' in error && error.code === 'EPIPE')) reject(error);
      // A reader who has gone, as `head` does, has what it wanted.
      else resolve();
    });
  });
  return 0;
}
