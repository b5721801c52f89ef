/** Where a service is asked, and in which words: docs/status.md. */
import { closeSync, constants, openSync } from 'node:fs';
import { join } from 'node:path';
import type { HeldDeletions, ServiceStatus } from './status.js';

/** Which service this is. */
export interface ServiceIdentity {
  readonly pid: number;
  /** Absolute path of the configuration file. */
  readonly config: string;
}

/** What each command gives. */
export interface ControlResults {
  /** Answered from the first moment on, while the service starts, too. */
  identify: ServiceIdentity;
  status: ServiceStatus;
  held: HeldDeletions;
  /** How many names were released. */
  release: { readonly released: number };
}

export const CONTROL_COMMANDS = ['identify', 'status', 'held', 'release'] as const satisfies (keyof ControlResults)[];
export type ControlCommand = (typeof CONTROL_COMMANDS)[number];

/** A line of the service, as JSON. */
export type ControlAnswer =
  { readonly ok: true; readonly result: unknown } | { readonly ok: false; readonly error: string };

/** Of a request, without the end of the line. */
export const MAX_REQUEST_LENGTH = 64 * 1024;

const SOCKET_NAME = 'control.sock';
/** Bytes of a socket's name: sun_path in unix(7) has 108 on Linux with the NUL, 104 elsewhere. */
const MAX_NAME_BYTES = 103;

/** A name by which the socket in a state directory can be bound and connected to. */
export interface SocketAddress {
  readonly path: string;
  /** The name may not be used any more afterwards. */
  release(): void;
}

/**
 * The control socket of a state directory. Where the full path is longer than a socket's name may be, it goes by way of a
 * descriptor of the directory (Linux). Throws when the directory cannot be opened for that.
 */
export function socketAddress(directory: string): SocketAddress {
  const path = join(directory, SOCKET_NAME);
  if (Buffer.byteLength(path) <= MAX_NAME_BYTES || process.platform !== 'linux') {
    return { path, release: () => undefined };
  }
  const descriptor = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  return {
    path: `/proc/self/fd/${descriptor}/${SOCKET_NAME}`,
    release: () => {
      closeSync(descriptor);
    },
  };
}
