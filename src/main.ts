#!/usr/bin/env node
/** The command: reads the options, then runs the service until it is told to stop. */
import { setFlagsFromString } from 'node:v8';
import { boundHeapGrowth } from './cli/heap-growth.js';
import { runCommand } from './cli/run.js';

// A `<filter>` like `(a+)+` must not keep a thread busy for years on a long name: V8 goes on with its linear engine where
// an expression has been traced back 50,000 times. (That engine knows no back references and no look-around.)
setFlagsFromString('--enable-experimental-regexp-engine-on-excessive-backtracks');
boundHeapGrowth();

// Whatever a library still holds open must not keep a service that has stopped.
process.exit(await runCommand(process.argv.slice(2)));
