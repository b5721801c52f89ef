import { spawnSync } from 'node:child_process';

/**
 * What starts rsync so that it ends when the service is killed: otherwise an rsync in a process group of its own goes on
 * with its old list (seen after SIGKILL). `setpriv --pdeathsig` (util-linux 2.33) asks the kernel for the signal when the
 * thread that started it ends; where there is none, rsync is started by itself.
 */
export function findLauncher(): readonly string[] {
  const launcher = ['setpriv', '--pdeathsig', 'TERM', '--'];
  const [program = '', ...args] = launcher;
  return spawnSync(program, [...args, 'true']).status === 0 ? launcher : [];
}
