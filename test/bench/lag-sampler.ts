import { join } from 'node:path';

import { sizeOf } from './arrival.js';
import { TimedOut } from './deadline.js';

/** So many are looked at each time for a remote: when more are outstanding, their lag is long and need not be as exact. */
const LOOKED_AT = 100;

/**
 * The lag of single files on each remote, from their close until they are visible there. Looks with one stat for each file
 * that is outstanding, so it is to be given a sample of the files only; a watch on the targets would get five events for
 * every file that arrives and cost more than the contestant.
 */
export class LagSampler {
  readonly #outstanding: Map<string, number>[];
  readonly #lags: number[][];

  /** `bytes`: the size of every file, without which it has not arrived. */
  constructor(
    private readonly remotes: readonly string[],
    private readonly bytes: number,
  ) {
    this.#outstanding = remotes.map(() => new Map<string, number>());
    this.#lags = remotes.map(() => []);
  }

  /** A file that did not exist before was closed at that time. */
  closed(name: string, at: number): void {
    for (const outstanding of this.#outstanding) outstanding.set(name, at);
  }

  look(): void {
    for (const [index, remote] of this.remotes.entries()) this.#lookAt(remote, index);
  }

  /** How many have not arrived somewhere. */
  get missing(): number {
    return this.#outstanding.reduce((sum, { size }) => sum + size, 0);
  }

  /** Of every file on each remote, in milliseconds. Fails while one is missing: the slowest must not be left out. */
  get lags(): readonly (readonly number[])[] {
    if (this.missing > 0) throw new TimedOut(this.describe());
    return this.#lags;
  }

  describe(): string {
    const [name] = this.#outstanding.flatMap((outstanding) => [...outstanding.keys()]);
    return `${this.missing} of the sampled files have not arrived, the first is ${name ?? 'none'}`;
  }

  #lookAt(remote: string, index: number): void {
    const outstanding = this.#outstanding[index]!;
    let left = Math.min(LOOKED_AT, outstanding.size);
    for (const [name, at] of outstanding) {
      if (left-- === 0) break;
      outstanding.delete(name);
      if (sizeOf(join(remote, name)) === this.bytes) this.#lags[index]!.push(performance.now() - at);
      // To the end of the line, so that the next look begins with the others.
      else outstanding.set(name, at);
    }
  }
}
