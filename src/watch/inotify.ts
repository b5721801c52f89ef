import { loadLibc } from '../libc.js';

/**
 * The kernel's inotify as it is, through its C functions: no table of directories, no opinion. Every call blocks the
 * thread that makes it. See inotify(7), poll(2), eventfd(2).
 */

/** Bits of an event and of what a watch asks for. Same numbers on every architecture (linux/inotify.h). */
export const IN = {
  MODIFY: 0x2,
  ATTRIB: 0x4,
  CLOSE_WRITE: 0x8,
  MOVED_FROM: 0x40,
  MOVED_TO: 0x80,
  CREATE: 0x100,
  DELETE: 0x200,
  DELETE_SELF: 0x400,
  MOVE_SELF: 0x800,
  UNMOUNT: 0x2000,
  Q_OVERFLOW: 0x4000,
  IGNORED: 0x8000,
  ONLYDIR: 0x0100_0000,
  DONT_FOLLOW: 0x0200_0000,
  EXCL_UNLINK: 0x0400_0000,
  ISDIR: 0x4000_0000,
} as const;

/** An event without its name: wd (int), mask, cookie, len (all uint32). */
export const EVENT_HEADER_BYTES = 16;

/** A call that the system refused, by the name of its errno. */
export class SystemCallError extends Error {
  constructor(
    readonly call: string,
    /** Such as `ENOENT`. */
    readonly code: string,
  ) {
    super(`${call}: ${code}`);
    this.name = 'SystemCallError';
  }
}

/** One inotify instance, bound to the C library of this process. Descriptors are plain numbers. */
export interface Inotify {
  /** A new instance: close-on-exec, reads do not block. Throws `SystemCallError` (`EMFILE`: max_user_instances). */
  open(): number;
  /**
   * Watches `path` (NUL-terminated bytes): its watch descriptor, or the name of the errno. A directory that is watched
   * already keeps its descriptor, whatever path it is named by.
   */
  addWatch(descriptor: number, path: Uint8Array, mask: number): number | string;
  /** Ends a watch. Its number is not used again; that the kernel has ended it before is no error. */
  removeWatch(descriptor: number, watch: number): void;
  /** Events into `buffer`: how many bytes, 0 when there are none now. Throws `SystemCallError`. */
  read(descriptor: number, buffer: Uint8Array): number;
  /**
   * Waits until one of the descriptors is readable, `timeoutMs` have passed (-1: no limit), or a signal arrived: says
   * for each descriptor whether it is readable.
   */
  waitReadable(descriptors: readonly number[], timeoutMs: number): readonly boolean[];
  /** An eventfd: readable from the first `wake` on. */
  openWakeable(): number;
  /** Makes `waitReadable` return wherever it waits for this eventfd. */
  wake(descriptor: number): void;
  close(descriptor: number): void;
}

const O_NONBLOCK = 0x800;
const O_CLOEXEC = 0x80000;
const POLLIN = 1;
const POLLFD_BYTES = 8;

/** Loads the C functions. Throws when this is not Linux or the library cannot be loaded. */
export function loadInotify(): Inotify {
  if (process.platform !== 'linux') throw new Error(`inotify is part of Linux, and this is ${process.platform}`);
  const libc = loadLibc();
  const inotifyInit = libc.func('int inotify_init1(int flags)') as (flags: number) => number;
  // A path is bytes, so it is declared as bytes: koffi would encode a string as UTF-8.
  const inotifyAddWatch = libc.func('int inotify_add_watch(int fd, const uint8_t *path, uint32_t mask)') as (
    fd: number,
    path: Uint8Array,
    mask: number,
  ) => number;
  const inotifyRmWatch = libc.func('int inotify_rm_watch(int fd, int wd)') as (fd: number, wd: number) => number;
  // `long` is what ssize_t is on Linux.
  const systemRead = libc.func('long read(int fd, _Out_ uint8_t *buffer, size_t size)') as IoCall;
  const systemWrite = libc.func('long write(int fd, const uint8_t *buffer, size_t size)') as IoCall;
  const systemPoll = libc.func('int poll(_Inout_ uint8_t *fds, unsigned long count, int timeout)') as (
    fds: Uint8Array,
    count: number,
    timeout: number,
  ) => number;
  const systemEventfd = libc.func('int eventfd(unsigned int initial, int flags)') as (
    initial: number,
    flags: number,
  ) => number;

  const lastError = (): string => libc.errnoName(libc.errno());
  const checked = (call: string, result: number): number => {
    if (result < 0) throw new SystemCallError(call, lastError());
    return result;
  };

  return {
    open: () => checked('inotify_init1', inotifyInit(O_NONBLOCK | O_CLOEXEC)),

    addWatch(descriptor, path, mask) {
      const watch = inotifyAddWatch(descriptor, path, mask);
      return watch >= 0 ? watch : lastError();
    },

    removeWatch(descriptor, watch) {
      // EINVAL alone can come back here: the kernel ended the watch by itself, as we wanted.
      inotifyRmWatch(descriptor, watch);
    },

    read(descriptor, buffer) {
      for (;;) {
        const bytes = systemRead(descriptor, buffer, buffer.byteLength);
        if (bytes >= 0) return bytes;
        const code = lastError();
        if (code === 'EAGAIN') return 0;
        if (code !== 'EINTR') throw new SystemCallError('read', code);
      }
    },

    waitReadable(descriptors, timeoutMs) {
      const pollfds = new ArrayBuffer(POLLFD_BYTES * descriptors.length);
      const fds = new Int32Array(pollfds);
      const events = new Int16Array(pollfds);
      descriptors.forEach((descriptor, index) => {
        fds[index * 2] = descriptor;
        events[index * 4 + 2] = POLLIN;
      });
      if (systemPoll(new Uint8Array(pollfds), descriptors.length, timeoutMs) < 0) {
        const code = lastError();
        if (code !== 'EINTR') throw new SystemCallError('poll', code);
        return descriptors.map(() => false);
      }
      // Not POLLIN alone: an error condition must be read too, so that it is seen.
      return descriptors.map((_, index) => events[index * 4 + 3] !== 0);
    },

    openWakeable: () => checked('eventfd', systemEventfd(0, O_NONBLOCK | O_CLOEXEC)),

    wake(descriptor) {
      const one = new BigUint64Array([1n]);
      const written = systemWrite(descriptor, new Uint8Array(one.buffer), one.byteLength);
      if (written < 0) throw new SystemCallError('write', lastError());
    },

    close(descriptor) {
      libc.close(descriptor);
    },
  };
}

type IoCall = (fd: number, buffer: Uint8Array, size: number) => number;
