import { spawnSync } from 'node:child_process';
import { startsAsBatch } from './start-process.js';

/**
 * Asks the kernel to end rsync when the thread that started it ends (util-linux 2.33): otherwise an rsync in a process
 * group of its own goes on with its old list after a SIGKILL of the service (seen).
 */
const ENDS_WITH_US = ['setpriv', '--pdeathsig', 'TERM', '--'];

/** Starts a batch process, where that is not done by the way in which processes are started (posix-spawn.ts says why). */
const PUSHES_NOBODY_ASIDE = ['chrt', '--batch', '0'];

/** The command that has the kernel end what it starts when we end; empty where there is none. */
export function findParentDeathLauncher(): readonly string[] {
  return works(ENDS_WITH_US) ? ENDS_WITH_US : [];
}

const LAUNCHERS = [[...PUSHES_NOBODY_ASIDE, ...ENDS_WITH_US], ENDS_WITH_US, PUSHES_NOBODY_ASIDE];
const LAUNCHERS_OF_BATCH = [ENDS_WITH_US];

/** The command that starts rsync as a good child of the service, as far as this system can; empty where it cannot. */
export function findLauncher(): readonly string[] {
  return (startsAsBatch() ? LAUNCHERS_OF_BATCH : LAUNCHERS).find((launcher) => works(launcher)) ?? [];
}

function works([program = '', ...args]: readonly string[]): boolean {
  return spawnSync(program, [...args, 'true']).status === 0;
}

/** Whether what it starts ends with the service, also when that is killed. */
export function endsWithService(launcher: readonly string[]): boolean {
  return launcher.includes('--pdeathsig');
}
