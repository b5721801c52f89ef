/**
 * What the soak does inside the tested service, whose code knows nothing of it: `NODE_OPTIONS=--import` loads this into
 * each of its threads before anything else. It moves the clock (`Date` is the only wall clock that the program has) and
 * ends threads without a warning, as the harness asks by files in the directory `SERSYNC_SOAK_CONTROL`:
 *
 * - `clock`: a number of milliseconds, by which the clock is wrong.
 * - `end-worker`: a worker thread that has an rsync under way ends and removes the file.
 * - `end-watcher`: the thread that watches ends just before it would tell something, and removes the file.
 */
import { readFileSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import process from 'node:process';
import { setInterval } from 'node:timers';
import { isMainThread, parentPort } from 'node:worker_threads';

const control = process.env['SERSYNC_SOAK_CONTROL'];
const LOOK_EVERY_MS = 20;
const EXIT_CODE = 70;

if (control !== undefined) {
  moveClock();
  if (!isMainThread && process.argv[1]?.includes('piscina')) endWorkerWhenAsked();
  if (!isMainThread && process.argv[1]?.includes('inotify-thread')) endWatcherWhenAsked();
}

function moveClock() {
  const RealDate = Date;
  let offsetMs = 0;
  let lookedAt = -Infinity;
  const offset = () => {
    const now = performance.now();
    if (now - lookedAt >= LOOK_EVERY_MS) {
      lookedAt = now;
      offsetMs = Number(read('clock') ?? 0);
    }
    return offsetMs;
  };
  globalThis.Date = class Date extends RealDate {
    constructor(...args) {
      if (args.length === 0) super(RealDate.now() + offset());
      else super(...args);
    }

    static now() {
      return RealDate.now() + offset();
    }
  };
}

function endWorkerWhenAsked() {
  setInterval(() => {
    if (process.getActiveResourcesInfo().includes('PipeWrap') && claim('end-worker')) process.exit(EXIT_CODE);
  }, LOOK_EVERY_MS).unref();
}

function endWatcherWhenAsked() {
  const post = parentPort.postMessage.bind(parentPort);
  parentPort.postMessage = (...args) => {
    if (claim('end-watcher')) process.exit(EXIT_CODE);
    post(...args);
  };
}

function read(name) {
  try {
    return readFileSync(join(control, name), 'latin1');
  } catch {
    // The harness asks for nothing.
    return undefined;
  }
}

/** Whether this thread, and no other, is the one that does what is asked. */
function claim(name) {
  try {
    unlinkSync(join(control, name));
    return true;
  } catch {
    return false;
  }
}
