/** The command line from its words to an exit code: 0 done, 1 failed, 2 not understood. */
import { messageOf, SersyncError, UsageError } from '../errors.js';
import { isBackgroundChild, reportFailure } from './background.js';
import { locateService, type ServiceLocation } from './control-client.js';
import { runHeld, runStatus } from './control-commands.js';
import { HELP } from './help.js';
import { packageVersion } from './package-version.js';
import { parseHeldOptions, parseOptions, parseStatusOptions, type CommandOptions, type Subcommand } from './options.js';

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

function locationFor({ configFile }: CommandOptions): ServiceLocation {
  return locateService(configFile, process.env, process.getuid?.() ?? 0);
}

/** Resolves when all of it is out: the program ends right behind it, and a pipe takes it in pieces. */
async function print(text: string): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    // The callback gets the same error; without a listener it would end the program before.
    process.stdout.once('error', () => undefined);
    process.stdout.write(text, (error) => {
      if (error instanceof Error && !('code' in error && error.code === 'EPIPE')) reject(error);
      // A reader who has gone, as `head` does, has what it wanted.
      else resolve();
    });
  });
  return 0;
}
