import { request as requestHttp, type IncomingMessage } from 'node:http';
import { request as requestHttps } from 'node:https';
import type { HttpConfig } from '../config/config.js';
import { fromText, type RelativePath } from '../core/relative-path.js';
import { inotifyMask } from './inotify-mask.js';
import { percentEncode } from './percent-encoding.js';
import { absoluteOf, baseOf, lookAt, type Change, type Plugin } from './plugin.js';

const MAX_ANSWER_BYTES = 64 * 1024;

/** Posts each change as a form. A status below 400 is success; redirections are not followed. */
export class HttpPlugin implements Plugin {
  readonly name = 'http';
  readonly limits = { timeMs: 10_000, tries: 1, pauseMs: 0 };
  readonly #url: URL;
  readonly #watch: RelativePath | undefined;

  constructor({ url, watch }: HttpConfig) {
    this.#url = new URL(url);
    this.#watch = watch === undefined ? undefined : fromText(watch);
  }

  concerns(): boolean {
    return true;
  }

  async run(change: Change, signal: AbortSignal): Promise<undefined> {
    const body = formOf(change, this.#watch, await lookAt(absoluteOf(change)));
    const status = await this.#post(body, signal);
    if (status >= 400) throw new Error(`the server answered with status ${status}`);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  async #post(body: string, signal: AbortSignal): Promise<number> {
    const request = this.#url.protocol === 'https:' ? requestHttps : requestHttp;
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const posting = request(this.#url, {
        method: 'POST',
        agent: false,
        signal,
        headers: { 'content-type': 'application/x-www-form-urlencoded', 'content-length': body.length },
      });
      posting.once('response', resolve);
      posting.on('error', reject);
      posting.end(body);
    });
    // Read to its end: some servers stop what they do when the client goes.
    let length = 0;
    for await (const chunk of response as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > MAX_ANSWER_BYTES) break;
    }
    return response.statusCode ?? 0;
  }
}

/** `watchroot=..&isdir=0|1&inotifyPath=..&mask=N`, as sersync 2.5 has it; the values are encoded. */
export function formOf(
  change: Change,
  watch: RelativePath | undefined,
  found: 'missing' | 'directory' | 'other',
): string {
  const mask = inotifyMask(change.hint, found);
  const isDirectory = (mask & 0x40000000) !== 0;
  return [
    `watchroot=${percentEncode(baseOf(change, watch))}`,
    `isdir=${isDirectory ? 1 : 0}`,
    `inotifyPath=${percentEncode(absoluteOf(change))}`,
    `mask=${mask}`,
  ].join('&');
}
