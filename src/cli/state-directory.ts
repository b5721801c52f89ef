import { createHash } from 'node:crypto';
import { accessSync, chmodSync, constants, mkdirSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import type { PluginName } from '../config/config.js';
import { messageOf, StartError } from '../errors.js';

/**
 * Where a service keeps its state and, in the background, its log: one directory for each configuration file.
 * `SERSYNC_STATE_DIR` names it; otherwise it lies below /var/lib/sersync for root and below the XDG state directory for
 * others. Absolute; the file need not exist. A link to it is not followed: what it points to may change with each release.
 * A plugin that runs alone (`-m`) may run beside the service that syncs: it has a directory of its own in that one's.
 */
export function stateDirectoryFor(
  configFile: string,
  env: NodeJS.ProcessEnv,
  uid: number,
  plugin?: PluginName,
): string {
  const named = env['SERSYNC_STATE_DIR'] ?? '';
  const directory = resolve(named === '' ? join(baseDirectory(env, uid), nameFor(resolve(configFile))) : named);
  return plugin === undefined ? directory : join(directory, `plugin-${plugin}`);
}

/** Makes the state directory where it is missing, for its owner alone. A `StartError` when it cannot be used. */
export function openStateDirectory(directory: string): void {
  try {
    const created = mkdirSync(directory, { recursive: true, mode: 0o700 });
    if (created !== undefined) chmodSync(directory, 0o700);
    accessSync(directory, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new StartError(
      'SERSYNC_STATE_DIR',
      `cannot use the state directory ${directory}: ${ownerOf(directory) ?? messageOf(error)}`,
      'name one that this user may write to: SERSYNC_STATE_DIR=DIR sersync ...',
    );
  }
}

/** `it belongs to user 0`, when it is somebody else's; undefined when that is not so or cannot be seen. */
export function ownerOf(directory: string): string | undefined {
  try {
    const { uid } = statSync(directory);
    return uid === process.getuid?.() ? undefined : `it belongs to user ${uid}${uid === 0 ? ' (root)' : ''}`;
  } catch {
    // It is not there, or what is above it may not be entered: whoever asked says what was found.
    return undefined;
  }
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
