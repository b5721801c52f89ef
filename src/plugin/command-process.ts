/** Runs one command without a shell, in a process group of its own. */
import { spawn, type ChildProcess } from 'node:child_process';
import { decode, toBytes, type RelativePath } from '../core/relative-path.js';
import { messageOf } from '../errors.js';

/** What is run: plain data, so that a thread can be given it. */
export interface CommandLine {
  readonly prefix: readonly string[];
  /** Absolute; bytes as in `RelativePath`. */
  readonly path: RelativePath;
  readonly suffix: readonly string[];
  /** What it prints goes nowhere. */
  readonly hidesOutput: boolean;
  /** What starts it (launcher.ts of transfer): a command and its arguments, or nothing. */
  readonly launcher: readonly string[];
}

export interface CommandEnd {
  /** Why it is no success; undefined when it ended with 0. */
  readonly failure: string | undefined;
  /** The beginning of what it printed. */
  readonly output: string;
}

export interface RunningCommand {
  readonly done: Promise<CommandEnd>;
  /** Ends it and whatever it started in its process group: SIGTERM, then SIGKILL. */
  cancel(): void;
}

const MAX_OUTPUT_BYTES = 2_000;
const KILL_AFTER_MS = 1_000;
/** Something that the command left behind may hold its output open. */
const OUTPUT_AFTER_EXIT_MS = 100;

export interface ProcessGroups {
  /** A command has ended and left processes of its group behind. */
  onLeft(group: number): void;
}

export function runCommand(line: CommandLine, groups: ProcessGroups): RunningCommand {
  const { args, input } = argumentsOf(line);
  const [program = '', ...rest] = [...line.launcher, ...args];
  let child: ChildProcess;
  try {
    const output = line.hidesOutput ? 'ignore' : 'pipe';
    child = spawn(program, rest, {
      stdio: [input === undefined ? 'ignore' : 'pipe', output, output],
      detached: true,
    });
  } catch (error) {
    // Most failures to start come as an event; some, such as E2BIG, are thrown.
    return { done: Promise.resolve({ failure: messageOf(error), output: '' }), cancel: () => undefined };
  }
  const output = collect(child);
  if (input !== undefined) {
    // A program that does not read it says why with its exit code.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input);
  }
  let killTimer: NodeJS.Timeout | undefined;
  const done = new Promise<string | undefined>((resolve) => {
    child.once('error', (error) => {
      resolve(messageOf(error));
    });
    child.once('exit', (code, signal) => {
      clearTimeout(killTimer);
      if (child.pid !== undefined && hasMembers(child.pid)) groups.onLeft(child.pid);
      resolve(code === 0 ? undefined : signal === null ? `exit code ${code ?? -1}` : `ended by ${signal}`);
    });
  }).then(async (failure) => ({ failure, output: await output.end() }));
  return {
    done,
    cancel() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      signalGroup(child.pid, 'SIGTERM');
      killTimer ??= setTimeout(() => {
        signalGroup(child.pid, 'SIGKILL');
      }, KILL_AFTER_MS);
    },
  };
}

/**
 * Node hands over arguments as text, which it writes as UTF-8. A name in other bytes comes to its program through xargs,
 * which is given it on its standard input.
 */
function argumentsOf({ prefix, path, suffix }: CommandLine): { args: readonly string[]; input?: Buffer } {
  const text = decode(path);
  if (Buffer.from(text, 'utf8').equals(toBytes(path))) return { args: [...prefix, text, ...suffix] };
  const input = Buffer.concat([toBytes(path), ...suffix.map((word) => Buffer.from(word))].flatMap(withNul));
  return { args: ['xargs', '-0', ...prefix], input };
}

function withNul(word: Buffer): Buffer[] {
  return [word, Buffer.from([0])];
}

/** Keeps the beginning of what a process prints and reads the rest, so that it never waits for us. */
function collect({ stdout, stderr }: ChildProcess): { end(): Promise<string> } {
  const streams = [stdout, stderr].filter((stream) => stream !== null);
  const chunks: Buffer[] = [];
  let length = 0;
  for (const stream of streams) {
    stream.on('data', (chunk: Buffer) => {
      if (length < MAX_OUTPUT_BYTES) chunks.push(chunk.subarray(0, MAX_OUTPUT_BYTES - length));
      length += chunk.length;
    });
    stream.on('error', () => undefined);
  }
  return {
    async end() {
      await Promise.all(streams.map((stream) => closedOr(stream, OUTPUT_AFTER_EXIT_MS)));
      for (const stream of streams) stream.destroy();
      const cut = length > MAX_OUTPUT_BYTES ? ` ... (${length} bytes)` : '';
      return Buffer.concat(chunks).toString('utf8').trim() + cut;
    },
  };
}

function closedOr(stream: NodeJS.ReadableStream & { readonly closed: boolean }, ms: number): Promise<void> {
  return new Promise((resolve) => {
    if (stream.closed) {
      resolve();
      return;
    }
    const timer = setTimeout(resolve, ms);
    stream.once('close', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** Whether a process of the group is left, also one that has ended and was not waited for. */
export function hasMembers(group: number): boolean {
  try {
    process.kill(-group, 0);
    return true;
  } catch (error) {
    // Not ours any more (EPERM) is still there.
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

export function signalGroup(group: number | undefined, signal: NodeJS.Signals): void {
  if (group === undefined) return;
  try {
    process.kill(-group, signal);
  } catch {
    // The group has ended already.
  }
}
