import { makeOrdinary } from '../thread-priority.js';
import { environment, startByFork, type StartProcess } from './piped-process.js';
import { loadBatch, loadPosixSpawn } from './posix-spawn.js';

let chosen: StartProcess | undefined;

/** The quickest way that there is here. The thread that starts it may be urgent; what it starts is not. */
export const startProcess: StartProcess = (start) => {
  chosen ??= quickest();
  const started = chosen(start);
  makeOrdinary(started.pid);
  return started;
};

/** Whether that way starts batch processes (sched(7)). */
export function startsAsBatch(): boolean {
  try {
    loadPosixSpawn(environment);
    return loadBatch() !== undefined;
  } catch {
    // By the other way nothing but another program can do so.
    return false;
  }
}

function quickest(): StartProcess {
  try {
    return loadPosixSpawn(environment);
  } catch {
    // No Linux, or a C library that cannot be loaded: the other way does the same.
    return startByFork;
  }
}
