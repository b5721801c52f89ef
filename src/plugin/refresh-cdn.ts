import { connect } from 'node:net';
import type { RefreshCdnConfig } from '../config/config.js';
import { compileSearch } from '../core/filter.js';
import { Hint } from '../core/hint.js';
import { fromText, type RelativePath } from '../core/relative-path.js';
import { encodeUrlBase, encodeWritten, percentEncode } from './percent-encoding.js';
import { absoluteOf, baseOf, lookAt, type Change, type Plugin } from './plugin.js';

const MAX_ANSWER_BYTES = 16 * 1024;

/** Tells the CDN that a URL is stale, with the request of sersync 2.5, and reads what it says to that. */
export class RefreshCdnPlugin implements Plugin {
  readonly name = 'refreshCDN';
  readonly limits = { timeMs: 10_000, tries: 1, pauseMs: 0 };
  readonly #config: RefreshCdnConfig;
  readonly #urlOf: (change: Change) => string | undefined;

  constructor(config: RefreshCdnConfig) {
    this.#config = config;
    this.#urlOf = createUrls(config);
  }

  concerns(change: Change): boolean {
    return this.#urlOf(change) !== undefined;
  }

  async run(change: Change, signal: AbortSignal): Promise<string | undefined> {
    const url = this.#urlOf(change);
    if (url === undefined) return undefined;
    const found = await lookAt(absoluteOf(change));
    const isDirectory = found === 'directory' || (found === 'missing' && (change.hint & Hint.directory) !== 0);
    const answer = readAnswer(await this.#ask(requestOf(this.#config, url, isDirectory), signal));
    if (answer.error !== undefined) throw new Error(answer.error);
    return answer.whatsup === undefined ? undefined : `whatsup: ${answer.whatsup}`;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** The beginning of the answer, until its headers are over or the CDN hangs up. */
  async #ask(request: string, signal: AbortSignal): Promise<string> {
    const { host, port } = this.#config;
    const socket = connect({ host, port, signal });
    socket.setEncoding('latin1');
    let answer = '';
    try {
      socket.write(request, 'latin1');
      for await (const chunk of socket as AsyncIterable<string>) {
        answer += chunk;
        if (/\r?\n\r?\n/.test(answer) || answer.length > MAX_ANSWER_BYTES) break;
      }
    } finally {
      socket.destroy();
    }
    return answer;
  }
}

/** The bytes that are sent. They hold the password: for no log. */
export function requestOf({ host, user, password }: RefreshCdnConfig, url: string, isDirectory: boolean): string {
  const stale = isDirectory ? `dirs=${url}/` : `urls=${url}`;
  const login = `user=${encodeWritten(fromText(user))}&pswd=${encodeWritten(fromText(password))}`;
  return `HEAD /index.jsp?${login}&ok=ok&${stale} HTTP/1.0\r\nHost: ${host}\r\n\r\n`;
}

/**
 * The URL of a change: the base, then what comes behind the watched directory; with an expression its first group and what
 * comes behind the match, and none where it finds nothing.
 */
export function createUrls({ base, expression, watch }: RefreshCdnConfig): (change: Change) => string | undefined {
  const start = encodeUrlBase(fromText(base));
  const watched = watch === undefined ? undefined : fromText(watch);
  const search = expression === undefined ? undefined : compileSearch(expression);
  return (change) => {
    const absolute = absoluteOf(change);
    if (search !== undefined) {
      const found = search(absolute);
      return found && start + percentEncode(found.group + found.rest);
    }
    return start + percentEncode(behind(absolute, baseOf(change, watched)));
  };
}

function behind(absolute: RelativePath, directory: RelativePath): RelativePath {
  return directory === '/' ? absolute : absolute.slice(directory.length);
}

/** What the CDN says: its `whatsup` header, which holds `succeed` when it has accepted, or why it counts as a failure. */
export function readAnswer(text: string): { readonly whatsup?: string; readonly error?: string } {
  if (text === '') return { error: 'the CDN hung up without an answer' };
  const status = Number(/^HTTP\/\d\.\d (\d{3})(?:[ \r\n]|$)/.exec(text)?.[1] ?? NaN);
  if (Number.isNaN(status)) return { error: 'what the CDN answered is no HTTP' };
  const whatsup = /^whatsup:[ \t]*(.*?)[ \t]*\r?$/im.exec(text)?.[1];
  const said = whatsup === undefined ? '' : `, whatsup: ${whatsup}`;
  if (status >= 400) return { error: `the CDN answered with status ${status}${said}` };
  if (whatsup === undefined) return {};
  return /succe/i.test(whatsup) ? { whatsup } : { error: `the CDN did not accept it: whatsup: ${whatsup}` };
}
