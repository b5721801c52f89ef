#!/usr/bin/env node
/** The command: reads the options, then runs the service until it is told to stop. */
import { setFlagsFromString } from 'node:v8';
import { runCommand } from './cli/run.js';

// A `<filter>` like `(a+)+` must not keep a thread busy for years on a long name: V8 goes on with its linear engine where
// an expression has been traced back 50,000 times. (That engine knows no back references and no look-around.)
setFlagsFromString('--enable-experimental-regexp-engine-on-excessive-backtracks');
// V8 lets a heap grow to a multiple of what is alive in it before it collects garbage. A service that runs for months beside
// others takes less instead: for 1,000,000 paths with a remote away it took up to 590 MB, and with this up to 320 (Node 20).
setFlagsFromString('--heap-growing-percent=30');

// Whatever a library still holds open must not keep a service that has stopped.
process.exit(await runCommand(process.argv.slice(2)));
