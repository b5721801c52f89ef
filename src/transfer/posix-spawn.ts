/**
 * posix_spawn(3) of the C library, with which a process starts without a copy of anything of ours. Node has nothing like
 * it (libuv forks), so its streams, its end and its exit code are looked after here.
 */
import { closeSync, openSync, readFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { constants } from 'node:os';
import process from 'node:process';
import { finished, Readable } from 'node:stream';
import { loadLibc } from '../libc.js';
import type { PipedProcess, ProcessExit, StartProcess } from './piped-process.js';

/** Linux. The same numbers in glibc and musl (spawn.h, fcntl.h, wait.h). */
const POSIX_SPAWN = { SETSIGDEF: 0x04, SETSIGMASK: 0x08, SETSID: 0x80 };
const O_CLOEXEC = 0x80000;
const MFD_CLOEXEC = 1;
const WNOHANG = 1;
const EINTR = 4;
/** sched.h. */
const SCHED_OTHER = 0;
const SCHED_BATCH = 3;
const CALLING_THREAD = 0;
/** struct sched_param: an int, which is 0 for these. */
const NO_PRIORITY = new Uint8Array(4);
/** Larger than any of these types anywhere: glibc has 80 and 336 bytes. */
const OPAQUE_BYTES = 512;
const SIGNAL_SET_BYTES = 128;
const OUTPUT = 1;
/** The child holds one end of a pipe here until it is gone. */
const ALIVE = 3;
/** Its descriptors are closed a moment before it can be waited for. */
const REAP_AGAIN_MS = 1;

/**
 * A process to be started as a batch process (sched(7)): it does not push aside what runs when it is woken, such as the
 * other side on the same host. Where rsync did, the other side was stopped between two small writes of the handshake, and
 * the second one then waited 40 ms for a delayed ACK: 31 of 42 isolated writes on two busy cores, 2 of 42 as a batch process
 * (rsync 3.5.0, Linux 6.18). posix_spawn(3) knows nothing of it, so the thread becomes one itself for as long as that takes,
 * instead of another program (chrt) in between, which took 0.75 ms. Undefined where a thread may not change what it is, or
 * is something else than an ordinary one.
 */
export function loadBatch(): (<Result>(start: () => Result) => Result) | undefined {
  if (process.platform !== 'linux') return undefined;
  const libc = loadLibc();
  const getScheduler = libc.func('int sched_getscheduler(int pid)') as (pid: number) => number;
  const setScheduler = libc.func('int sched_setscheduler(int pid, int policy, const uint8_t *parameters)') as (
    pid: number,
    policy: number,
    parameters: Uint8Array,
  ) => number;
  const become = (policy: number): boolean => setScheduler(CALLING_THREAD, policy, NO_PRIORITY) === 0;
  if (getScheduler(CALLING_THREAD) !== SCHED_OTHER || !become(SCHED_BATCH) || !become(SCHED_OTHER)) return undefined;
  return (start) => {
    become(SCHED_BATCH);
    try {
      return start();
    } finally {
      become(SCHED_OTHER);
    }
  };
}

/** Throws when this is no Linux, or its C library cannot be loaded. */
export function loadPosixSpawn(environment: () => NodeJS.ProcessEnv): StartProcess {
  if (process.platform !== 'linux')
    throw new Error(`posix_spawn is used on Linux alone, and this is ${process.platform}`);
  const libc = loadLibc();
  const pipe2 = libc.func('int pipe2(_Out_ uint8_t *fds, int flags)') as (fds: Uint8Array, flags: number) => number;
  const memfdCreate = libc.func('int memfd_create(const char *name, unsigned int flags)') as (
    name: string,
    flags: number,
  ) => number;
  const sigfillset = libc.func('int sigfillset(_Inout_ uint8_t *set)') as (set: Uint8Array) => number;
  const initActions = libc.func('int posix_spawn_file_actions_init(_Inout_ uint8_t *actions)') as OnBytes;
  const dropActions = libc.func('int posix_spawn_file_actions_destroy(_Inout_ uint8_t *actions)') as OnBytes;
  const addDup2 = libc.func('int posix_spawn_file_actions_adddup2(_Inout_ uint8_t *actions, int fd, int as)') as (
    actions: Uint8Array,
    fd: number,
    as: number,
  ) => number;
  const addChdir = libc.func(
    'int posix_spawn_file_actions_addchdir_np(_Inout_ uint8_t *actions, const uint8_t *path)',
  ) as (actions: Uint8Array, path: Uint8Array) => number;
  const initAttributes = libc.func('int posix_spawnattr_init(_Inout_ uint8_t *attributes)') as OnBytes;
  const setFlags = libc.func('int posix_spawnattr_setflags(_Inout_ uint8_t *attributes, short flags)') as (
    attributes: Uint8Array,
    flags: number,
  ) => number;
  const setDefaults = libc.func(
    'int posix_spawnattr_setsigdefault(_Inout_ uint8_t *attributes, const uint8_t *set)',
  ) as (attributes: Uint8Array, set: Uint8Array) => number;
  const spawn = libc.func(
    'int posix_spawnp(_Out_ int *pid, const char *file, const uint8_t *actions, const uint8_t *attributes, const char **argv, const char **envp)',
  ) as (
    pid: [number],
    file: string,
    actions: Uint8Array,
    attributes: Uint8Array,
    argv: readonly (string | null)[],
    envp: readonly (string | null)[],
  ) => number;
  const waitpid = libc.func('int waitpid(int pid, _Out_ int *status, int options)') as (
    pid: number,
    status: [number],
    options: number,
  ) => number;

  const asBatch = loadBatch() ?? ((start) => start());

  // As libuv does it: no signal is ignored or blocked in the child. Of the mask nothing is set, which is none.
  const attributes = new Uint8Array(OPAQUE_BYTES);
  const allSignals = new Uint8Array(SIGNAL_SET_BYTES);
  sigfillset(allSignals);
  initAttributes(attributes);
  setFlags(attributes, POSIX_SPAWN.SETSID | POSIX_SPAWN.SETSIGDEF | POSIX_SPAWN.SETSIGMASK);
  setDefaults(attributes, allSignals);

  function makePipe(): Pipe {
    const ends = new Int32Array(2);
    if (pipe2(new Uint8Array(ends.buffer), O_CLOEXEC) !== 0) throw new Error(`pipe2: ${libc.errnoName(libc.errno())}`);
    const [readEnd = -1, writeEnd = -1] = ends;
    return { readEnd, writeEnd };
  }

  /** A file in memory, without a name. Undefined where the system forbids it (vm.memfd_noexec), or shows no /proc. */
  function makeMemory(): Pipe | undefined {
    const writeEnd = memfdCreate('output', MFD_CLOEXEC);
    if (writeEnd < 0) return undefined;
    try {
      return { readEnd: openSync(`/proc/${process.pid}/fd/${writeEnd}`, 'r'), writeEnd };
    } catch {
      libc.close(writeEnd);
      return undefined;
    }
  }

  /** Its exit; undefined as long as it lives. */
  function reap(pid: number): ProcessExit | undefined {
    const status: [number] = [0];
    const result = waitpid(pid, status, WNOHANG);
    if (result === 0 || (result < 0 && libc.errno() === EINTR)) return undefined;
    // Somebody else has waited for it: how it ended is not known.
    if (result < 0) return { exitCode: null, signal: 'unknown' };
    const signal = status[0] & 0x7f;
    return signal === 0
      ? { exitCode: (status[0] >> 8) & 0xff, signal: null }
      : { exitCode: null, signal: nameOf(signal) };
  }

  return ({ command, cwd, isHeardAtEnd = false }) => {
    const pipes: Pipe[] = [];
    const actions = new Uint8Array(OPAQUE_BYTES);
    const pid: [number] = [0];
    let memory: Pipe | undefined;
    let error: number;
    try {
      for (let index = 0; index <= ALIVE; index++) {
        if (index === OUTPUT && isHeardAtEnd) memory = makeMemory();
        pipes.push((index === OUTPUT ? memory : undefined) ?? makePipe());
      }
      initActions(actions);
      pipes.forEach(({ readEnd, writeEnd }, index) => addDup2(actions, index === 0 ? readEnd : writeEnd, index));
      addChdir(actions, Buffer.from(`${cwd}\0`));
      const variables = Object.entries(environment()).map(([name, value]) => `${name}=${value ?? ''}`);
      error = asBatch(() => spawn(pid, command[0], actions, attributes, [...command, null], [...variables, null]));
      dropActions(actions);
      if (error !== 0) throw new Error(`spawn ${command[0]} ${libc.errnoName(error)}`);
    } catch (failure) {
      for (const { readEnd, writeEnd } of pipes) for (const end of [readEnd, writeEnd]) libc.close(end);
      throw failure;
    }
    pipes.forEach(({ readEnd, writeEnd }, index) => {
      libc.close(index === 0 ? readEnd : writeEnd);
    });
    const [toInput, fromOutput, fromErrors, fromAlive] = pipes as [Pipe, Pipe, Pipe, Pipe];
    const input = new Socket({ fd: toInput.writeEnd, readable: false, writable: true });
    const errors = listen(fromErrors);
    const alive = listen(fromAlive);
    const output = memory === undefined ? listen(fromOutput) : readWhenClosed(memory.readEnd, alive);
    return watched(pid[0], { input, output, errors, alive }, reap);
  };
}

type OnBytes = (bytes: Uint8Array) => number;

interface Pipe {
  readonly readEnd: number;
  readonly writeEnd: number;
}

interface Streams {
  readonly input: Socket;
  readonly output: Readable;
  readonly errors: Socket;
  /** Ends with the process, and with what it has started and given this to. */
  readonly alive: Socket;
}

function watched(
  pid: number,
  { input, output, errors, alive }: Streams,
  reap: (pid: number) => ProcessExit | undefined,
): PipedProcess {
  let hasExited = false;
  const exited = new Promise<ProcessExit>((resolve) => {
    const look = (): void => {
      const exit = reap(pid);
      if (exit === undefined) {
        setTimeout(look, REAP_AGAIN_MS);
        return;
      }
      hasExited = true;
      resolve(exit);
    };
    alive.on('error', () => undefined);
    alive.once('close', look);
    alive.resume();
  });
  const closed = Promise.all([exited, closeOf(output), closeOf(errors)]).then(([exit]) => exit);
  return { pid, stdin: input, stdout: output, stderr: errors, hasExited: () => hasExited, exited, closed };
}

function listen({ readEnd }: Pipe): Socket {
  return new Socket({ fd: readEnd, readable: true, writable: false });
}

/** All of a file, when the stream has closed. */
function readWhenClosed(descriptor: number, stream: Readable): Readable {
  const content = new Readable({ read: () => undefined });
  stream.once('close', () => {
    try {
      content.push(readFileSync(descriptor));
      content.push(null);
    } catch (error) {
      content.destroy(error as Error);
    } finally {
      closeSync(descriptor);
    }
  });
  return content;
}

function closeOf(stream: Readable): Promise<void> {
  return new Promise((resolve) => {
    finished(stream, { writable: false }, () => {
      resolve();
    });
  });
}

function nameOf(signal: number): string {
  return Object.entries(constants.signals).find(([, number]) => number === signal)?.[0] ?? `signal ${signal}`;
}
