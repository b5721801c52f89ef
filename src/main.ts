#!/usr/bin/env node
/** The command: reads the options, then runs the service until it is told to stop. */
import { setFlagsFromString } from 'node:v8';
import { boundHeapGrowth } from './cli/heap-growth.js';
import { runCommand } from './cli/run.js';

// A `<filter>` like `(a+)+` must not keep a thread busy for years on a long name: V8 goes on with its linear engine where
// an expression has been traced back 50,000 times. (That engine knows no back references and no look-around.)
setFlagsFromString('--enable-experimental-regexp-engine-on-excessive-backtracks');
// V8 notes what a function works with only when that has run for a while, and compiles it later still. When it does so from
// the first call on, the second burst of 10,000 files to three remotes costs the service some 340 ms of CPU instead of 480, for
// no more memory and no longer start; of the third one there is no clear difference (Node 20).
setFlagsFromString('--no-lazy-feedback-allocation');
boundHeapGrowth();

// Whatever a library still holds open must not keep a service that has stopped.
process.exit(await runCommand(process.argv.slice(2)));
