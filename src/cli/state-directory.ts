import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { messageOf, StartError } from '../errors.js';

/**
 * Where a service keeps its state and, in the background, its log: one directory for each configuration file.
 * `SERSYNC_STATE_DIR` names it; otherwise it lies below /var/lib/sersync for root and below the XDG state directory for
 * others. Made when missing, for its owner alone. A `StartError` when that fails.
 */
export function openStateDirectory(configFile: string, env: NodeJS.ProcessEnv, uid: number): string {
  const directory = resolve(env['SERSYNC_STATE_DIR'] ?? join(baseDirectory(env, uid), nameFor(resolve(configFile))));
  try {
    const created = mkdirSync(directory, { recursive: true, mode: 0o700 });
    if (created !== undefined) chmodSync(directory, 0o700);
  } catch (error) {
    throw new StartError(
      'SERSYNC_STATE_DIR',
      `cannot use the state directory ${directory}: ${messageOf(error)}`,
      'name one that this user may write to: SERSYNC_STATE_DIR=DIR sersync ...',
    );
  }
  return directory;
}

function baseDirectory(env: NodeJS.ProcessEnv, uid: number): string {
  if (uid === 0) return '/var/lib/sersync';
  const state = env['XDG_STATE_HOME'];
  return join(state === undefined || state === '' ? join(homedir(), '.local/state') : state, 'sersync');
}

/** Readable, and different for two files of the same name. */
function nameFor(configFile: string): string {
  const name = basename(configFile, '.xml').replace(/[^\w.-]/g, '_');
  return `${name}-${createHash('sha256').update(configFile).digest('hex').slice(0, 8)}`;
}
