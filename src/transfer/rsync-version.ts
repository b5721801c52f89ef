import { spawnSync } from 'node:child_process';
import { StartError } from '../errors.js';

/** `--delete-missing-args` came with it (2013). */
const OLDEST: readonly [number, number] = [3, 1];

/** The version of the rsync to be run, such as `3.2.7`. A `StartError` when there is none or it is too old. */
export function checkRsync(program: string): string {
  const { error, stdout } = spawnSync(program, ['--version'], {
    encoding: 'utf8',
    env: { ...process.env, LC_ALL: 'C' },
  });
  if (error !== undefined) {
    throw new StartError(
      'SERSYNC_RSYNC_MISSING',
      `rsync cannot be run: ${error.message}`,
      'install it: apt-get install rsync, or yum install rsync',
    );
  }
  const version = /rsync\s+version\s+v?(\d+)\.(\d+)(\S*)/.exec(stdout);
  if (version === null) {
    throw new StartError('SERSYNC_RSYNC_UNKNOWN', `${program} --version does not say which rsync it is`);
  }
  const [, major = '0', minor = '0', rest = ''] = version;
  const isTooOld = Number(major) < OLDEST[0] || (Number(major) === OLDEST[0] && Number(minor) < OLDEST[1]);
  if (isTooOld) {
    throw new StartError(
      'SERSYNC_RSYNC_OLD',
      `rsync ${major}.${minor}${rest} is too old: ${OLDEST.join('.')}.0 or later is needed`,
      'install a newer rsync here and on the remotes',
    );
  }
  return `${major}.${minor}${rest}`;
}
