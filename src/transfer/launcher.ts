import { spawnSync } from 'node:child_process';

/**
 * Asks the kernel to end rsync when the thread that started it ends (util-linux 2.33): otherwise an rsync in a process
 * group of its own goes on with its old list after a SIGKILL of the service (seen).
 */
const ENDS_WITH_US = ['setpriv', '--pdeathsig', 'TERM', '--'];

/**
 * As a batch process (sched(7)) rsync does not push aside what runs when it is woken, such as the other side on the same
 * host. Where it did, the other side was stopped between two small writes of the handshake, and the second one then
 * waited 40 ms for a delayed ACK: 31 of 42 isolated writes on two busy cores, 2 of 42 as a batch process (rsync 3.5.0,
 * Linux 6.18).
 */
const PUSHES_NOBODY_ASIDE = ['chrt', '--batch', '0'];

/** The command that has the kernel end what it starts when we end; empty where there is none. */
export function findParentDeathLauncher(): readonly string[] {
  return works(ENDS_WITH_US) ? ENDS_WITH_US : [];
}

const LAUNCHERS = [[...PUSHES_NOBODY_ASIDE, ...ENDS_WITH_US], ENDS_WITH_US, PUSHES_NOBODY_ASIDE];

/** The command that starts rsync as a good child of the service, as far as this system can; empty where it cannot. */
export function findLauncher(): readonly string[] {
  return LAUNCHERS.find((launcher) => works(launcher)) ?? [];
}

function works([program = '', ...args]: readonly string[]): boolean {
  return spawnSync(program, [...args, 'true']).status === 0;
}

/** Whether what it starts ends with the service, also when that is killed. */
export function endsWithService(launcher: readonly string[]): boolean {
  return launcher.includes('--pdeathsig');
}
