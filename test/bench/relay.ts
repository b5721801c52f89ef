import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

import type { Endpoint } from '../support/tcp-proxy.js';

/**
 * Passes TCP connections on, counts what goes over them, and holds it up by a fixed time as a long line does: unlike the
 * tests' TcpProxy, whose pieces wait one after another, it has many pieces under way at once.
 */
export class Relay {
  /** What has gone over all connections, in both directions. */
  bytes = 0;
  readonly #sockets = new Set<Socket>();
  readonly #listener: Server;

  /** `delayMs`: in each direction. */
  constructor(
    readonly at: Endpoint,
    private readonly target: Endpoint,
    private readonly delayMs = 0,
  ) {
    this.#listener = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
      const server = connect({ port: target.port, host: target.address, allowHalfOpen: true, noDelay: true });
      this.#pass(client, server);
      this.#pass(server, client);
    });
  }

  async listen(): Promise<void> {
    this.#listener.listen(this.at.port, this.at.address);
    await once(this.#listener, 'listening');
  }

  async close(): Promise<void> {
    this.#listener.close();
    for (const socket of this.#sockets) socket.destroy();
    await once(this.#listener, 'close');
  }

  get route(): string {
    return `${this.at.address}:${this.at.port} -> ${this.target.address}:${this.target.port}`;
  }

  #pass(from: Socket, to: Socket): void {
    this.#sockets.add(from);
    from.on('data', (chunk: Buffer) => {
      this.bytes += chunk.length;
      this.#later(() => {
        if (to.write(chunk)) return;
        from.pause();
        to.once('drain', () => from.resume());
      });
    });
    from.on('end', () => {
      this.#later(() => to.end());
    });
    from.on('error', () => to.destroy());
    from.on('close', () => {
      this.#sockets.delete(from);
      this.#later(() => {
        to.destroySoon();
      });
    });
  }

  #later(action: () => void): void {
    if (this.delayMs === 0) action();
    else setTimeout(action, this.delayMs);
  }
}
