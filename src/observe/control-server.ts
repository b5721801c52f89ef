import { once } from 'node:events';
import { chmodSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Clock } from '../clock.js';
import { messageOf } from '../errors.js';
import type { Logger } from '../logger.js';
import {
  CONTROL_COMMANDS,
  MAX_REQUEST_LENGTH,
  socketAddress,
  type ControlAnswer,
  type ControlCommand,
  type ControlResults,
  type ServiceIdentity,
  type SocketAddress,
} from './control-socket.js';
import type { HeldDeletions, ServiceStatus } from './status.js';

/** What the service answers. What a handler throws is told to whoever asked. */
export interface ControlHandlers {
  status(): ServiceStatus;
  held(): HeldDeletions;
  /** Returns how many names were released. */
  release(): number;
}

export interface ControlServerOptions {
  /** The state directory: the socket lies in it. */
  readonly directory: string;
  readonly identity: ServiceIdentity;
  readonly logger: Logger;
  readonly clock: Clock;
}

export const CONTROL_LIMITS = {
  /** Connections at the same time. */
  clients: 32,
  /** From the connection, or from the answer before, until a request is there and its answer is taken. */
  requestMs: 10_000,
  /** Until a socket that could not be had is tried again. */
  retryMs: 30_000,
} as const;

/**
 * Answers questions about the service on a unix socket that its owner alone may use. Nothing that is sent to it can hurt
 * the service, and a socket that cannot be had (full disk, read-only directory) is told once and tried again.
 */
export class ControlServer {
  readonly #options: ControlServerOptions;
  readonly #clients = new Set<Socket>();
  #handlers: ControlHandlers | undefined;
  #server: Server | undefined;
  #address: SocketAddress | undefined;
  #opening: Promise<void> = Promise.resolve();
  #cancelRetry: (() => void) | undefined;
  #isStopped = false;
  /** Why the socket cannot be had, as it was told. */
  #trouble: string | undefined;

  constructor(options: ControlServerOptions) {
    this.#options = options;
  }

  /** Resolves when the socket is there or will be tried again; never rejects. Until `serve` only `identify` is answered. */
  start(): Promise<void> {
    this.#opening = this.#open().then(
      () => {
        this.#recover();
      },
      (error: unknown) => this.#fail(error),
    );
    return this.#opening;
  }

  /** The service is up: `handlers` answer from now on. */
  serve(handlers: ControlHandlers): void {
    this.#handlers = handlers;
  }

  /** Ends all connections and removes the socket. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancelRetry?.();
    await this.#opening;
    await this.#close();
  }

  async #open(): Promise<void> {
    const { directory } = this.#options;
    const address = socketAddress(directory);
    this.#address = address;
    try {
      await this.#listen(address.path);
    } catch (error) {
      if (!isInUse(error)) throw error;
      if (await isAnswered(address.path)) {
        throw new Error(`another process answers at the control socket in ${directory}`, { cause: error });
      }
      // Left behind by a service that was killed: nobody listens at it any more.
      rmSync(address.path, { force: true });
      await this.#listen(address.path);
    }
    // The directory should be its owner's alone, but somebody else may have made it.
    chmodSync(address.path, 0o600);
  }

  async #listen(path: string): Promise<void> {
    const server = createServer({ allowHalfOpen: true }, (socket) => void this.#converse(socket));
    server.maxConnections = CONTROL_LIMITS.clients;
    server.listen(path);
    await once(server, 'listening');
    this.#server = server;
    // Accepting may fail later, such as when no descriptor is left.
    server.on('error', (error) => void this.#fail(error));
  }

  async #fail(error: unknown): Promise<void> {
    const { directory, logger, clock } = this.#options;
    const { retryMs } = CONTROL_LIMITS;
    await this.#close();
    if (this.#isStopped) return;
    const reason = messageOf(error);
    if (this.#trouble !== reason) {
      const hint = 'the service runs, but "sersync status" and "sersync held" cannot ask it until this is repaired';
      logger.warn('control:failed', { directory, reason, hint, retryInMs: retryMs });
    }
    this.#trouble = reason;
    this.#cancelRetry?.();
    this.#cancelRetry = clock.after(retryMs, () => void this.start());
  }

  #recover(): void {
    const { directory, logger } = this.#options;
    if (this.#trouble !== undefined) logger.info('control:recovered', { directory });
    this.#trouble = undefined;
  }

  async #close(): Promise<void> {
    const server = this.#server;
    const address = this.#address;
    this.#server = undefined;
    this.#address = undefined;
    for (const client of this.#clients) client.destroy();
    if (server !== undefined) {
      const closed = once(server, 'close');
      server.close();
      await closed;
    }
    // Closing has removed the socket by this name: only now it may become that of something else.
    address?.release();
  }

  /** Answers each line of a connection with a line, one after the other, as fast as the answers are taken. */
  async #converse(socket: Socket): Promise<void> {
    const { clock } = this.#options;
    let cancelDeadline: (() => void) | undefined;
    const renewDeadline = (): void => {
      cancelDeadline?.();
      cancelDeadline = clock.after(CONTROL_LIMITS.requestMs, () => socket.destroy());
    };
    this.#clients.add(socket);
    socket.once('close', () => {
      cancelDeadline?.();
      this.#clients.delete(socket);
    });
    renewDeadline();
    try {
      // A stream of its own between: iterating over the socket itself would destroy it once the client has said all.
      const requests = new PassThrough({ encoding: 'utf8' });
      await pipeline(socket, requests, (chunks) => this.#answers(chunks, renewDeadline), socket);
    } catch {
      // The client has gone, or was too slow: there is nobody left to tell.
    }
  }

  async *#answers(chunks: AsyncIterable<string>, onTaken: () => void): AsyncGenerator<string> {
    for await (const line of linesOf(chunks)) {
      yield `${JSON.stringify(this.#answer(line))}\n`;
      onTaken();
    }
  }

  #answer(line: string): ControlAnswer {
    try {
      return { ok: true, result: this.#obey(commandOf(line)) };
    } catch (error) {
      return { ok: false, error: messageOf(error) };
    }
  }

  #obey(command: ControlCommand): ControlResults[ControlCommand] {
    if (command === 'identify') return this.#options.identity;
    const handlers = this.#handlers;
    if (handlers === undefined) throw new Error('the service is starting; ask again when it is up');
    switch (command) {
      case 'status':
        return handlers.status();
      case 'held':
        return handlers.held();
      case 'release':
        return { released: handlers.release() };
    }
  }
}

/** The lines of a stream; one that is longer than a request may be comes cut, too long by one character. */
async function* linesOf(chunks: AsyncIterable<string>): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of chunks) {
    const [first = '', ...others] = chunk.split('\n');
    rest = (rest + first).slice(0, MAX_REQUEST_LENGTH + 1);
    for (const next of others) {
      yield rest;
      rest = next.slice(0, MAX_REQUEST_LENGTH + 1);
    }
  }
  if (rest !== '') yield rest;
}

function commandOf(line: string): ControlCommand {
  if (line.length > MAX_REQUEST_LENGTH) throw new Error(`a request is at most ${MAX_REQUEST_LENGTH} characters long`);
  const request = parse(line);
  const command: unknown = typeof request === 'object' && request !== null && 'command' in request && request.command;
  const known = CONTROL_COMMANDS.find((name) => name === command);
  if (known !== undefined) return known;
  throw new Error(`a request is a line such as {"command":"status"}; the commands are ${CONTROL_COMMANDS.join(', ')}`);
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    // Said by `commandOf`, in its own words.
    return undefined;
  }
}

function isInUse(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EADDRINUSE';
}

/** Whether a process listens at a socket, answering or not. */
async function isAnswered(path: string): Promise<boolean> {
  const socket = connect(path);
  try {
    await once(socket, 'connect');
    return true;
  } catch (error) {
    // Anything else, such as EAGAIN for a full queue, may well be a process that listens.
    return !(error instanceof Error && 'code' in error && (error.code === 'ECONNREFUSED' || error.code === 'ENOENT'));
  } finally {
    socket.destroy();
  }
}
