import { once } from 'node:events';
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** What a TCP listener does with whoever connects. */
export type Manners =
  /** Reads until the other side has said all, then closes. */
  | 'polite'
  /** Accepts, and neither reads, answers nor closes. */
  | 'silent'
  /** Closes at once. */
  | 'hangs up'
  /** Answers bytes that mean nothing, then closes. */
  | 'garbage'
  /** Reads the headers of a request and answers `answer`. */
  | 'answers';

/** A TCP server on loopback that keeps what it was sent, byte for byte (latin1), one text for each connection. */
export class TcpListener {
  readonly received: string[] = [];
  connections = 0;
  answer = 'HTTP/1.0 200 OK\r\nwhatsup: content="succeed"\r\n\r\n';
  /** Called with each text as it is complete. */
  onReceived: (text: string) => void = () => undefined;
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;

  private constructor(public manners: Manners) {
    this.#server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
      this.#serve(socket);
    });
  }

  static async start(manners: Manners): Promise<TcpListener> {
    const listener = new TcpListener(manners);
    listener.#server.listen(0, '127.0.0.1');
    await once(listener.#server, 'listening');
    return listener;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #serve(socket: Socket): void {
    this.connections++;
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    // Whoever tests us may hang up at any time.
    socket.on('error', () => undefined);
    if (this.manners === 'silent') return;
    if (this.manners === 'hangs up') {
      socket.destroy();
      return;
    }
    if (this.manners === 'garbage') socket.write('\x00\xff\x13garbage\r\n\r\nmore of it\n', 'latin1');
    let text = '';
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => {
      text += chunk;
      if (this.manners !== 'answers' || !text.includes('\r\n\r\n')) return;
      this.#take(text);
      text = '';
      socket.end(this.answer, 'latin1');
    });
    socket.on('end', () => {
      if (this.manners !== 'answers') this.#take(text);
      socket.end();
    });
    socket.resume();
  }

  #take(text: string): void {
    this.received.push(text);
    this.onReceived(text);
  }
}

export interface Post {
  readonly method: string;
  readonly url: string;
  readonly contentType: string;
  readonly body: string;
}

/** A web server on loopback that keeps what was posted. */
export class WebListener {
  readonly received: Post[] = [];
  status = 200;
  onReceived: (post: Post) => void = () => undefined;
  readonly #server: HttpServer;

  private constructor() {
    this.#server = createHttpServer((request, response) => {
      let body = '';
      request.setEncoding('latin1');
      request.on('data', (chunk: string) => (body += chunk));
      request.on('end', () => {
        const { method = '', url = '', headers } = request;
        const post = { method, url, contentType: headers['content-type'] ?? '', body };
        this.received.push(post);
        this.onReceived(post);
        response.writeHead(this.status).end('thank you');
      });
    });
  }

  static async start(): Promise<WebListener> {
    const listener = new WebListener();
    listener.#server.listen(0, '127.0.0.1');
    await once(listener.#server, 'listening');
    return listener;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }
}
