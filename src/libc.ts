/** The C library of this process: where functions of the system are declared that Node does not have. */
import { createRequire } from 'node:module';
import type Koffi from 'koffi';

export interface Libc {
  /** The function of a C prototype, as koffi calls it. Throws when this library has none of that name. */
  func(prototype: string): unknown;
  /** The number that the last call in this thread has left; to be asked for right after it. */
  errno(): number;
  /** Such as `ENOENT`. */
  errnoName(errno: number): string;
  /** Closes a descriptor behind Node's back, whose threads keep account of what they have opened themselves. */
  close(descriptor: number): void;
}

let loaded: Libc | undefined;

/** Throws on a platform for which koffi has no binary. */
export function loadLibc(): Libc {
  loaded ??= load();
  return loaded;
}

/** malloc.h of glibc. */
const M_ARENA_MAX = -8;

/**
 * Has all threads of this process share two areas for what they allocate outside of their JavaScript heaps (mallopt(3);
 * glibc gives each thread its own, up to eight for each core). To be called before threads are started. Where there is no
 * such function (musl has one area anyway) nothing happens.
 */
export function shareArenas(): void {
  callIfThere('int mallopt(int option, int value)', M_ARENA_MAX, 2);
}

/** Gives back to the system what is free there (malloc_trim(3)): some milliseconds. Nothing happens where that is unknown. */
export function returnFreeMemory(): void {
  callIfThere('int malloc_trim(size_t pad)', 0);
}

type OnNumbers = (...numbers: readonly number[]) => unknown;

/** By their prototypes. */
const declared = new Map<string, OnNumbers>();

/** For what only saves memory: where it cannot be done it takes some megabytes more. */
function callIfThere(prototype: string, ...numbers: readonly number[]): void {
  try {
    const call = declared.get(prototype) ?? (loadLibc().func(prototype) as OnNumbers);
    declared.set(prototype, call);
    call(...numbers);
  } catch {
    // This C library has no such function, or cannot be loaded here.
  }
}

function load(): Libc {
  // Not a static import: where it fails, whoever has another way must be able to take it.
  const koffi = createRequire(import.meta.url)('koffi') as typeof Koffi;
  // `null` is the program itself, which holds the C library under whatever file name this system gives it.
  const library = koffi.load(null);
  const close = library.func('int close(int fd)') as (descriptor: number) => number;
  // EWOULDBLOCK is EAGAIN by another name on Linux, and would take its place.
  const names = Object.entries(koffi.os.errno).filter(([name]) => name !== 'EWOULDBLOCK');
  const errnoNames = new Map(names.map(([name, number]) => [number, name]));

  return {
    func: (prototype) => library.func(prototype),
    errno: () => koffi.errno(),
    errnoName: (errno) => errnoNames.get(errno) ?? `errno ${errno}`,
    close(descriptor) {
      close(descriptor);
    },
  };
}
