import { connect, type Socket } from 'node:net';
import type { SocketConfig } from '../config/config.js';
import { toBytes } from '../core/relative-path.js';
import { absoluteOf, type Change, type Plugin } from './plugin.js';

/** A connection whose bytes are on their way is kept for the other side to close, so that nothing of them is lost. */
const LINGER_MS = 1_000;
const MAX_LINGERING = 64;

/** Connects, sends the bytes of the absolute path and nothing else, and closes. What comes back is not looked at. */
export class SocketPlugin implements Plugin {
  readonly name = 'socket';
  readonly limits = { timeMs: 5_000, tries: 5, pauseMs: 100 };
  readonly #config: SocketConfig;
  readonly #lingering = new Set<Socket>();

  constructor(config: SocketConfig) {
    this.#config = config;
  }

  concerns(): boolean {
    return true;
  }

  async run(change: Change, signal: AbortSignal): Promise<undefined> {
    const { host, port } = this.#config;
    await new Promise<void>((resolve, reject) => {
      const socket = connect({ host, port, signal });
      // Read and dropped: closing with bytes unread would take back ours (RFC 2525, 2.17).
      socket.resume();
      socket.on('error', reject);
      socket.once('close', () => {
        reject(new Error('the connection ended before the path was sent'));
      });
      socket.once('finish', () => {
        this.#linger(socket);
        resolve();
      });
      socket.end(toBytes(absoluteOf(change)));
    });
  }

  close(): Promise<void> {
    for (const socket of this.#lingering) socket.destroy();
    return Promise.resolve();
  }

  #linger(socket: Socket): void {
    if (this.#lingering.size >= MAX_LINGERING) {
      socket.destroy();
      return;
    }
    this.#lingering.add(socket);
    socket.setTimeout(LINGER_MS, () => socket.destroy());
    socket.once('close', () => this.#lingering.delete(socket));
  }
}
