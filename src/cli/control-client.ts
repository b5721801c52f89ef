import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import { resolve } from 'node:path';
import { addAbortSignal } from 'node:stream';
import type { PluginName } from '../config/config.js';
import { messageOf, SersyncError } from '../errors.js';
import {
  socketAddress,
  type ControlAnswer,
  type ControlCommand,
  type ControlResults,
} from '../observe/control-socket.js';
import { ownerOf, stateDirectoryFor } from './state-directory.js';

/** Which service is asked. */
export interface ServiceLocation {
  /** Absolute. */
  readonly stateDirectory: string;
  /** What the person can do when no service is found there. */
  readonly hint: string;
}

const ANSWER_WITHIN_MS = 10_000;

/** The service of a configuration file, or of `SERSYNC_STATE_DIR`: then the file need not exist. */
export function locateService(
  configFile: string,
  env: NodeJS.ProcessEnv,
  uid: number,
  plugin?: PluginName,
): ServiceLocation {
  const stateDirectory = stateDirectoryFor(configFile, env, uid, plugin);
  const file = resolve(configFile);
  const isNamed = (env['SERSYNC_STATE_DIR'] ?? '') !== '';
  const hint =
    isNamed || existsSync(file)
      ? `start it: ${isNamed ? `SERSYNC_STATE_DIR=${resolve(env['SERSYNC_STATE_DIR'] ?? '')} ` : ''}sersync -d ` +
        `${plugin === undefined ? '' : `-m ${plugin} `}-o ${file}; ` +
        'a service that runs as another user is asked by that user'
      : `there is no ${file}: name the configuration of the service with -o FILE`;
  return { stateDirectory, hint };
}

/**
 * Asks the service that uses a state directory. Throws a `SersyncError`: `SERSYNC_NOT_RUNNING`, `SERSYNC_STATE_DIR` (not
 * for this user), `SERSYNC_NO_ANSWER` (somebody listens and says nothing of use) or `SERSYNC_REFUSED` (what the service says).
 */
export async function askService<Command extends ControlCommand>(
  { stateDirectory, hint }: ServiceLocation,
  command: Command,
  withinMs = ANSWER_WITHIN_MS,
): Promise<ControlResults[Command]> {
  let answer: ControlAnswer;
  try {
    answer = understand(await exchange(stateDirectory, `${JSON.stringify({ command })}\n`, withinMs));
  } catch (error) {
    throw explain(error, stateDirectory, hint);
  }
  if (!answer.ok) throw new SersyncError('SERSYNC_REFUSED', `sersync does not answer "${command}": ${answer.error}`);
  // The service is this program, so what it sends is what the type says.
  return answer.result as ControlResults[Command];
}

/** Sends one line and returns the line that comes back. */
async function exchange(directory: string, line: string, withinMs: number): Promise<string> {
  const address = socketAddress(directory);
  const socket = addAbortSignal(AbortSignal.timeout(withinMs), connect(address.path));
  try {
    await once(socket, 'connect');
    socket.end(line);
    let text = '';
    for await (const chunk of socket.setEncoding('utf8')) text += chunk as string;
    return text;
  } finally {
    socket.destroy();
    address.release();
  }
}

function understand(text: string): ControlAnswer {
  if (text === '') throw new Error('it ended the connection');
  const answer: unknown = JSON.parse(text);
  if (typeof answer === 'object' && answer !== null && 'ok' in answer) return answer as ControlAnswer;
  throw new Error(`it said ${text.slice(0, 100)}`);
}

function explain(error: unknown, directory: string, hint: string): SersyncError {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ENOENT' || code === 'ECONNREFUSED' || code === 'ENOTDIR') {
    return new SersyncError('SERSYNC_NOT_RUNNING', `no sersync runs with the state directory ${directory}`, hint);
  }
  if (code === 'EACCES' || code === 'EPERM') {
    const why = ownerOf(directory) ?? messageOf(error);
    const step = 'run the command as the user who runs the service, as in: sudo sersync status';
    return new SersyncError('SERSYNC_STATE_DIR', `may not use the state directory ${directory}: ${why}`, step);
  }
  const found = code === 'ABORT_ERR' ? 'it takes too long' : messageOf(error);
  return new SersyncError(
    'SERSYNC_NO_ANSWER',
    `the sersync with the state directory ${directory} does not answer: ${found}`,
    'ask again; if it goes on, look into its log and restart it',
  );
}
