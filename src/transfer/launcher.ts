import { spawnSync } from 'node:child_process';
import { startsAsBatch } from './start-process.js';

/**
 * Asks the kernel to end a process when the thread that started it ends (util-linux 2.33): otherwise one in a process group
 * of its own goes on after a SIGKILL of the service, an rsync with its old list (seen).
 */
function endingWithUs(signal: 'TERM' | 'KILL'): readonly string[] {
  return ['setpriv', '--pdeathsig', signal, '--'];
}

const ENDS_WITH_US = endingWithUs('TERM');

/**
 * On SIGTERM rsync sleeps 0.4 s before it closes its connection (3.2.7 and 3.5.0), and only then does the remote keep what
 * it has of a large file: a service that was back sooner sent all of it again. A sender leaves nothing to be put in order.
 */
const ENDS_WITH_US_AT_ONCE = endingWithUs('KILL');

/** Starts a batch process, where that is not done by the way in which processes are started (posix-spawn.ts says why). */
const PUSHES_NOBODY_ASIDE = ['chrt', '--batch', '0'];

/** The command that has the kernel end what it starts when we end; empty where there is none. */
export function findParentDeathLauncher(): readonly string[] {
  return works(ENDS_WITH_US) ? ENDS_WITH_US : [];
}

const LAUNCHERS = [[...PUSHES_NOBODY_ASIDE, ...ENDS_WITH_US_AT_ONCE], ENDS_WITH_US_AT_ONCE, PUSHES_NOBODY_ASIDE];
const LAUNCHERS_OF_BATCH = [ENDS_WITH_US_AT_ONCE];

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
