import { accessSync, closeSync, constants, openSync, readSync, statSync, type Stats } from 'node:fs';
import { resolve } from 'node:path';
import { ConfigError, messageOf, type ConfigProblem } from '../errors.js';
import type { Config } from './config.js';
import { MAX_CONFIG_BYTES } from './confxml.js';
import { readConfig, type DiskCheck, type Purpose } from './read-config.js';
import { readRules, type RuleSource } from './read-rules.js';

/** Each rule costs time for each name: more than this would be a mistake. */
const MAX_RULE_BYTES = 4 * 1024 * 1024;

export interface LoadedConfig {
  readonly config: Config;
  readonly warnings: readonly ConfigProblem[];
}

/**
 * Reads a confxml.xml and checks on the disk what it names. Throws `ConfigError` with everything that is wrong, warnings
 * included, in the order of lines.
 */
export function loadConfig(
  file: string,
  env: Readonly<Record<string, string | undefined>>,
  purpose: Purpose = 'sync',
): LoadedConfig {
  const path = resolve(file);
  const reading = readConfig(readConfigFile(file), path, env, purpose);
  const { config, ruleSource } = reading;
  const onDisk = reading.diskChecks.flatMap((check) => lookAtDisk(check));
  const filterRules = ruleSource === undefined ? undefined : lookAtRules(ruleSource);
  const problems = [...reading.problems, ...onDisk, ...(filterRules?.problems ?? [])].sort(
    (one, other) => one.line - other.line,
  );
  if (problems.some(({ severity }) => severity === 'error')) throw new ConfigError(file, problems);
  if (filterRules === undefined) return { config, warnings: problems };
  return { config: { ...config, rsync: { ...config.rsync, filterRules: filterRules.rules } }, warnings: problems };
}

/** The filter rules among the params, with the files that they name. */
export function lookAtRules(source: RuleSource): ReturnType<typeof readRules> {
  return readRules(source, readRuleFile);
}

/** A file with filter rules, as bytes. */
function readRuleFile(path: string): string {
  try {
    const bytes = readBounded(path, MAX_RULE_BYTES + 1);
    if (bytes.length <= MAX_RULE_BYTES) return bytes.toString('latin1');
  } catch (error) {
    throw new Error(`cannot read the filter rules in ${path}: ${describe(error)}`, { cause: error });
  }
  throw new Error(`the filter rules in ${path} are larger than ${MAX_RULE_BYTES / 1024 / 1024} MB`);
}

/**
 * The file's bytes, one more than the limit at most. Pipes work too (`-o <(...)`), as long as somebody writes to them.
 * Throws `ConfigError`.
 */
export function readConfigFile(file: string): Buffer {
  try {
    return readBounded(resolve(file), MAX_CONFIG_BYTES + 1);
  } catch (error) {
    const code = codeOf(error);
    const message =
      code === 'EISDIR' ? 'it is a directory, not a file' : `cannot read the configuration: ${describe(error)}`;
    const hint =
      code === 'ENOENT'
        ? 'give its path with -o FILE, or copy the sample conf/confxml.xml there'
        : 'give the path of a readable confxml.xml with -o FILE';
    throw new ConfigError(file, [{ severity: 'error', line: 0, message, hint }]);
  }
}

/** How long a pipe may keep us waiting, all in all. */
const PIPE_PATIENCE_MS = 1_500;
const PIPE_PAUSE_MS = 10;

function readBounded(path: string, limit: number): Buffer {
  if (statSync(path).isCharacterDevice()) throw new Error('it is a device, not a file');
  // Opening a pipe that nobody writes to would wait for ever; so would reading one whose writer has stopped.
  const descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const chunks: Buffer[] = [];
    let patience = PIPE_PATIENCE_MS;
    for (let length = 0; length < limit;) {
      const chunk = Buffer.alloc(Math.min(65_536, limit - length));
      const count = readAvailable(descriptor, chunk);
      if (count === 0) break;
      if (count === undefined) {
        if (patience <= 0) throw new Error('it is a pipe, and nothing comes out of it');
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PIPE_PAUSE_MS);
        patience -= PIPE_PAUSE_MS;
        continue;
      }
      chunks.push(chunk.subarray(0, count));
      length += count;
    }
    return Buffer.concat(chunks);
  } finally {
    closeSync(descriptor);
  }
}

/** `undefined`: a pipe has nothing yet. */
function readAvailable(descriptor: number, chunk: Buffer): number | undefined {
  try {
    return readSync(descriptor, chunk);
  } catch (error) {
    if (codeOf(error) === 'EAGAIN') return undefined;
    throw error;
  }
}

/** What the disk says about something that a configuration names. */
export function lookAtDisk(check: DiskCheck): ConfigProblem[] {
  return check.kind === 'watched-directory' ? lookAtDirectory(check) : lookAtPasswordFile(check);
}

function lookAtDirectory({ path, line }: DiskCheck): ConfigProblem[] {
  try {
    if (!statSync(path).isDirectory()) {
      return [
        problem('error', line, `the watched path ${path} is not a directory`, 'write the directory that holds it'),
      ];
    }
    accessSync(path, constants.R_OK | constants.X_OK);
    return [];
  } catch (error) {
    const missing = codeOf(error) === 'ENOENT';
    const message = missing
      ? `the watched directory ${path} does not exist`
      : `cannot read the watched directory ${path}: ${describe(error)}`;
    const hint = missing
      ? `create it (mkdir -p ${path}), mount it, or correct watch="..."`
      : 'run as a user who may read it';
    return [problem('error', line, message, hint)];
  }
}

/** What rsync(1) demands of `--password-file`: see `complainAboutPasswordFile`. */
function lookAtPasswordFile({ path, line }: DiskCheck): ConfigProblem[] {
  try {
    const complaint = complainAboutPasswordFile(path, statSync(path), process.getuid?.());
    if (complaint !== undefined) return [{ ...complaint, line }];
    accessSync(path, constants.R_OK);
    return [];
  } catch (error) {
    const hint = `put the password alone into it and: chmod 600 ${path}`;
    return [problem('error', line, `cannot read the password file ${path}: ${describe(error)}`, hint)];
  }
}

/**
 * rsync refuses a password file that others (not the group) may read or write, and, run by root, one that is not
 * root's. Seen with 3.5.0; rsync's authenticate.c. Access by the group is only a warning: it works.
 */
export function complainAboutPasswordFile(
  path: string,
  stats: Pick<Stats, 'isFile' | 'mode' | 'uid'>,
  uid: number | undefined,
): ConfigProblem | undefined {
  const others = stats.mode & 0o006;
  const group = stats.mode & 0o060;
  if (!stats.isFile())
    return problem('error', 0, `the password file ${path} is not a file`, 'name a file with the password alone');
  if (others !== 0)
    return problem(
      'error',
      0,
      `others may read or write the password file ${path}: rsync refuses it`,
      `chmod 600 ${path}`,
    );
  if (uid === 0 && stats.uid !== 0)
    return problem(
      'error',
      0,
      `the password file ${path} is not root's: rsync refuses it when root runs it`,
      `chown root ${path}`,
    );
  if (group !== 0)
    return problem('warning', 0, `the group may read or write the password file ${path}`, `chmod 600 ${path}`);
  return undefined;
}

function problem(severity: ConfigProblem['severity'], line: number, message: string, hint: string): ConfigProblem {
  return { severity, line, message, hint };
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** `no such file or directory` out of Node's `ENOENT: no such file or directory, open '...'`. */
function describe(error: unknown): string {
  return messageOf(error)
    .replace(/^[A-Z0-9]+: /, '')
    .replace(/, \w+( '.*')?$/s, '');
}
