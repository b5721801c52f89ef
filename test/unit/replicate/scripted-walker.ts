import type { Hint } from '../../../src/core/hint.js';
import type { RelativePath } from '../../../src/core/relative-path.js';
import type { ChangedName, TreeWalker, WalkSummary } from '../../../src/replicate/ports.js';
import type { Told } from '../../../src/replicate/catch-up.js';
import { turns } from './scripted-transport.js';

/** A walk that waits for the test to say what it finds. */
export interface ScriptedWalk {
  readonly below: RelativePath;
  readonly sinceMs: number;
  find(...found: ChangedName[]): void;
  /** Ends it; resolves when the core has dealt with that. */
  end(summary?: Partial<WalkSummary>): Promise<void>;
  fail(reason: string): Promise<void>;
}

/** Walks nothing: collects what the core asks for. */
export class ScriptedWalker implements TreeWalker {
  /** Walks that were begun and have not ended, oldest first. */
  readonly walking: ScriptedWalk[] = [];
  begun = 0;
  readonly #stops: ((error: Error) => void)[] = [];

  walk(below: RelativePath, sinceMs: number, onFound: (found: readonly ChangedName[]) => void): Promise<WalkSummary> {
    this.begun++;
    return new Promise((resolve, reject) => {
      const end = async (settle: () => void): Promise<void> => {
        this.walking.splice(this.walking.indexOf(walk), 1);
        settle();
        await turns();
      };
      const walk: ScriptedWalk = {
        below,
        sinceMs,
        find: (...found) => {
          onFound(found);
        },
        end: (summary = {}) =>
          end(() => {
            resolve({ names: 1_000, unreadable: 0, durationMs: 10, ...summary });
          }),
        fail: (reason) =>
          end(() => {
            reject(new Error(reason));
          }),
      };
      this.walking.push(walk);
      this.#stops.push(reject);
    });
  }

  stop(): Promise<void> {
    for (const stop of this.#stops) stop(new Error('stopped'));
    this.walking.length = 0;
    return Promise.resolve();
  }

  /** The only walk under way. */
  get current(): ScriptedWalk {
    const [walk, ...others] = this.walking;
    if (walk === undefined || others.length > 0) throw new Error(`${this.walking.length} walks are under way`);
    return walk;
  }
}

/** Remembers the names and when they were told last, and nothing below them. */
export class ScriptedTold implements Told {
  isFull = false;
  readonly #names = new Map<RelativePath, number>();

  add(path: RelativePath, _hint: Hint, at: number): void {
    this.#names.set(path, at);
  }

  toldAt({ path }: ChangedName): number {
    return this.#names.get(path) ?? -Infinity;
  }
}

export function changed(path: RelativePath, ctimeMs: number, scope: ChangedName['scope'] = 'entry'): ChangedName {
  return { path, scope, ctimeMs };
}
