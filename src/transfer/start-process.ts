import { environment, startByFork, type StartProcess } from './piped-process.js';
import { loadPosixSpawn } from './posix-spawn.js';

let chosen: StartProcess | undefined;

/** The quickest way that there is here. */
export const startProcess: StartProcess = (start) => {
  chosen ??= quickest();
  return chosen(start);
};

function quickest(): StartProcess {
  try {
    return loadPosixSpawn(environment);
  } catch {
    // No Linux, or a C library that cannot be loaded: the other way does the same.
    return startByFork;
  }
}
