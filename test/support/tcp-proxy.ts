import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { Transform } from 'node:stream';

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

interface Connection {
  readonly client: Socket;
  readonly server: Socket;
  /** What went from the client to the server. */
  bytes: number;
}

/** Passes TCP connections on, and breaks them as told. What it did to them it counts: a fault that met nobody is none. */
export class TcpProxy {
  /** Connections that could not be passed on because nobody listens at the target. */
  unanswered = 0;
  /** What went to the target, in bytes. */
  sent = 0;
  /** Pieces of data that were held up, by `stall` or `delayMs`. */
  heldUp = 0;
  /** Each piece of data waits so long. */
  delayMs = 0;
  readonly #connections = new Set<Connection>();
  readonly #parked: (() => void)[] = [];
  #listener: Server | undefined;
  #isStalled = false;
  #cut: { readonly afterBytes: number; readonly done: (bytes: number) => void } | undefined;

  constructor(
    readonly at: Endpoint,
    private readonly target: Endpoint,
  ) {}

  /** Connections that are open now. */
  get open(): number {
    return this.#connections.size;
  }

  /** Accepts connections from now on. Idempotent. */
  async listen(): Promise<void> {
    if (this.#listener !== undefined) return;
    const listener = createServer({ allowHalfOpen: true }, (client) => {
      this.#pass(client);
    });
    this.#listener = listener;
    listener.listen(this.at.port, this.at.address);
    await once(listener, 'listening');
  }

  /** New connections are refused by the kernel from now on; those that are open go on. Idempotent. */
  refuse(): void {
    this.#listener?.close();
    this.#listener = undefined;
  }

  /** Nothing passes any more, in either direction, and nobody is told. */
  stall(): void {
    this.#isStalled = true;
  }

  resume(): void {
    this.#isStalled = false;
    for (const go of this.#parked.splice(0)) go();
  }

  /** Resets the next connection over which so many bytes have gone to the server; resolves with their number then. */
  cutAfter(bytes: number): Promise<number> {
    return new Promise((done) => {
      this.#cut = { afterBytes: bytes, done };
    });
  }

  /** Forgets a `cutAfter` that met no connection. */
  spare(): void {
    this.#cut = undefined;
  }

  /** Ends every connection and the listener. */
  close(): void {
    this.refuse();
    for (const connection of this.#connections) this.#end(connection);
    this.resume();
  }

  #pass(client: Socket): void {
    const server = connect({ port: this.target.port, host: this.target.address, allowHalfOpen: true });
    const connection: Connection = { client, server, bytes: 0 };
    this.#connections.add(connection);
    for (const socket of [client, server]) socket.setNoDelay(true);
    server.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED') this.unanswered++;
      this.#end(connection);
    });
    client.on('error', () => {
      this.#end(connection);
    });
    client.pipe(this.#valve(connection, true)).pipe(server);
    server.pipe(this.#valve(connection, false)).pipe(client);
    for (const socket of [client, server]) {
      socket.on('close', () => {
        this.#end(connection);
      });
    }
  }

  #valve(connection: Connection, isUpstream: boolean): Transform {
    return new Transform({
      transform: (chunk: Buffer, _encoding, done) => {
        if (isUpstream) {
          connection.bytes += chunk.length;
          this.sent += chunk.length;
        }
        if (this.#cut !== undefined && connection.bytes >= this.#cut.afterBytes) {
          const { done: told } = this.#cut;
          this.#cut = undefined;
          connection.client.resetAndDestroy();
          connection.server.resetAndDestroy();
          told(connection.bytes);
          return;
        }
        const go = (): void => {
          done(null, chunk);
        };
        if (this.#isStalled || this.delayMs > 0) this.heldUp++;
        if (this.#isStalled) this.#parked.push(go);
        else if (this.delayMs > 0) setTimeout(go, this.delayMs);
        else go();
      },
    });
  }

  #end(connection: Connection): void {
    this.#connections.delete(connection);
    connection.client.destroy();
    connection.server.destroy();
  }
}
