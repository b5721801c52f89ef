import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import type { ServiceStatus } from '../../src/observe/status.js';
import { PROGRAM } from './sersync-process.js';

/** What `sersync status --json` says of the service with that state directory. */
export async function readStatus(stateDirectory: string): Promise<ServiceStatus> {
  return JSON.parse(await command(stateDirectory, 'status', '--json')) as ServiceStatus;
}

/** `sersync held --release`. */
export async function releaseHeld(stateDirectory: string): Promise<void> {
  await command(stateDirectory, 'held', '--release');
}

async function command(stateDirectory: string, ...args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [PROGRAM, ...args], {
    env: { ...process.env, SERSYNC_STATE_DIR: stateDirectory },
    maxBuffer: 1 << 26,
  });
  return stdout;
}
