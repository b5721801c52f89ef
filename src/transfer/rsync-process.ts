import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { messageOf } from '../errors.js';
import type { PipedProcess, ProcessExit, ProcessStart } from './piped-process.js';
import { startProcess } from './start-process.js';

export type RsyncStart = ProcessStart;

export interface RsyncFeed {
  /** What goes to standard input, then its end. */
  readonly input: Iterable<Buffer> | AsyncIterable<Buffer>;
  /** A line of standard output or error without its end, a character for each byte (latin1). */
  readonly onLine: (line: string) => void;
  readonly onErrorLine: (line: string) => void;
  /** rsync is ended when it has read and written nothing for this long. Linux only: elsewhere it is not watched. */
  readonly silenceMs?: number;
}

export type RsyncExit = ProcessExit;

export interface RsyncProcess {
  /** Undefined when it could not be started. It stands in its directory already. */
  readonly pid: number | undefined;
  readonly done: Promise<RsyncExit>;
  /** Ends rsync and whatever it started (ssh): SIGTERM to the process group, SIGKILL when that does not help. */
  cancel(): void;
}

const KILL_AFTER_MS = 2_000;
const SILENCE_CHECK_MS = 10_000;

/** An rsync that runs and has been given nothing yet: with a list on its standard input it connects and logs in, and waits. */
export interface WaitingRsync {
  /** Undefined when it could not be started. It stands in its directory already. */
  readonly pid: number | undefined;
  hasEnded(): boolean;
  /** Resolves when the process is gone. */
  readonly exited: Promise<void>;
  /** Gives it its work. `done` never rejects but for an error of `input` itself. */
  feed(feed: RsyncFeed): RsyncProcess;
  /** Gives it none: its list is empty, and it ends, at the latest after `graceMs`. Resolves when it has. */
  release(graceMs: number): Promise<void>;
}

/** Starts an rsync in a process group of its own, to be fed later. */
export function startRsync(start: RsyncStart): WaitingRsync {
  let child: PipedProcess;
  try {
    child = startProcess(start);
  } catch (error) {
    const done = Promise.resolve({ exitCode: null, signal: null, spawnError: messageOf(error) });
    return {
      pid: undefined,
      hasEnded: () => true,
      exited: Promise.resolve(),
      feed: () => ({ pid: undefined, done, cancel: () => undefined }),
      release: () => Promise.resolve(),
    };
  }
  // Of one that is not fed: with a process that has ended its pipe breaks.
  child.stdin.on('error', () => undefined);
  // Streams that nobody reads never close: that the process is gone is heard of before.
  const exited = child.exited.then(() => undefined);

  return {
    pid: child.pid,
    hasEnded: () => child.hasExited(),
    exited,
    feed: (feed) => feedChild(child, feed),
    async release(graceMs) {
      child.stdout.resume();
      child.stderr.resume();
      child.stdin.end();
      const timer = setTimeout(() => {
        signalGroup(child.pid, 'SIGKILL');
      }, graceMs);
      await exited;
      clearTimeout(timer);
    },
  };
}

function feedChild(child: PipedProcess, { input, onLine, onErrorLine, silenceMs }: RsyncFeed): RsyncProcess {
  let killTimer: NodeJS.Timeout | undefined;
  splitLines(child.stdout, onLine);
  splitLines(child.stderr, onErrorLine);

  const cancel = (): void => {
    if (child.hasExited()) return;
    signalGroup(child.pid, 'SIGTERM');
    killTimer ??= setTimeout(() => {
      signalGroup(child.pid, 'SIGKILL');
    }, KILL_AFTER_MS);
  };
  const stopWatching =
    silenceMs === undefined
      ? undefined
      : onSilence(child.pid, silenceMs, () => {
          onErrorLine(`io timeout after ${silenceMs / 1000} seconds of silence`);
          cancel();
        });

  let inputError: unknown;
  const fed = pipeline(Readable.from(input, { objectMode: false }), child.stdin).catch((error: unknown) => {
    // rsync that ends before it has read its list says why with its exit code; only our own errors count here.
    if (!isBrokenPipe(error)) inputError = error;
  });

  return {
    pid: child.pid,
    done: child.closed.then(async (exit) => {
      clearTimeout(killTimer);
      stopWatching?.();
      child.stdin.destroy();
      await fed;
      if (inputError !== undefined) throw inputError as Error;
      return exit;
    }),
    cancel,
  };
}

/** Calls `act` once when the process has read and written nothing for `silenceMs` (proc(5), /proc/PID/io). */
function onSilence(pid: number | undefined, silenceMs: number, act: () => void): () => void {
  let seen = '';
  let since = performance.now();
  const timer = setInterval(
    () => {
      let now: string;
      try {
        now = readFileSync(`/proc/${pid ?? 0}/io`, 'latin1');
      } catch {
        // Ended, or no Linux: there is nothing to be watched.
        return;
      }
      if (now !== seen) {
        seen = now;
        since = performance.now();
      } else if (performance.now() - since >= silenceMs) {
        clearInterval(timer);
        act();
      }
    },
    Math.min(silenceMs / 4, SILENCE_CHECK_MS),
  );
  timer.unref();
  return () => {
    clearInterval(timer);
  };
}

function signalGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // The group has ended already.
  }
}

function isBrokenPipe(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return (
    code === 'EPIPE' ||
    code === 'ERR_STREAM_PREMATURE_CLOSE' ||
    code === 'ECONNRESET' ||
    code === 'ERR_STREAM_DESTROYED'
  );
}

/** Each line is a string of its own: a part of a larger one would keep all of that as long as somebody keeps the part. */
function splitLines(stream: Readable, onLine: (line: string) => void): void {
  let rest: Buffer = Buffer.alloc(0);
  stream.on('data', (chunk: Buffer) => {
    const data = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let start = 0;
    for (let end = data.indexOf(10); end >= 0; end = data.indexOf(10, start)) {
      onLine(data.toString('latin1', start, end));
      start = end + 1;
    }
    rest = data.subarray(start);
  });
  stream.on('end', () => {
    if (rest.length > 0) onLine(rest.toString('latin1'));
  });
}
