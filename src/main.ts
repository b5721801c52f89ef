#!/usr/bin/env node
/** The command: reads the options, then runs the service until it is told to stop. */
import { runCommand } from './cli/run.js';

// Whatever a library still holds open must not keep a service that has stopped.
process.exit(await runCommand(process.argv.slice(2)));
