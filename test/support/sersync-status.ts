import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';

import type { ServiceStatus } from '../../src/observe/status.js';
import { PROGRAM } from './sersync-process.js';

/** What `sersync status --json` says of the service with that state directory. */
export async function readStatus(stateDirectory: string): Promise<ServiceStatus> {
  return JSON.parse(await command(stateDirectory, 'status', '--json')) as ServiceStatus;
}

/** The same at its control socket, without the cost of a process: to be asked again and again. */
export async function askStatus(stateDirectory: string): Promise<ServiceStatus> {
  const socket = connect(join(stateDirectory, 'control.sock'));
  await once(socket, 'connect');
  socket.end('{"command":"status"}\n');
  const answer = JSON.parse(await text(socket)) as { ok: boolean; result?: ServiceStatus; error?: string };
  if (answer.result === undefined) throw new Error(`no status: ${answer.error ?? ''}`);
  return answer.result;
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
