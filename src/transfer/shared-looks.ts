import { lastSlashIn, ROOT, type RelativePath } from '../core/relative-path.js';
import type { Look } from '../replicate/ports.js';
import type { Found, KnownLooks } from './survey.js';

/**
 * What the runs of a thread that are under way have found of their names: a run for another remote need not look at them
 * again (10,000 names for three remotes took the service 257 ms of CPU so, and 292 before; medians of 20). A look holds for
 * a mark that stands for one change (`Look.once`), which was told before: what happens to the name after that is told as
 * well, also what else would not count (core/event-switches.ts), because a run looks at it. So nothing is taken from a run
 * that has ended.
 */
export class SharedLooks {
  readonly #underWay = new Set<LooksOfRun>();

  /** For a run that was asked for at `askedAt`, on the clock of `Look.since`, and looks at its names from now on. */
  begin(askedAt: number): LooksOfRun {
    const looks = new LooksOfRun(askedAt, this.#underWay);
    this.#underWay.add(looks);
    return looks;
  }
}

/** The looks of one run. What it has found others may take until it has ended. */
export class LooksOfRun implements KnownLooks {
  readonly #askedAt: number;
  readonly #underWay: Set<LooksOfRun>;
  readonly #own = new Map<RelativePath, Found>();
  readonly #seenMs = new Map<RelativePath, number>();
  /** The directory of the name that came last, and whose look that was. */
  #last: { readonly directory: RelativePath; readonly by: LooksOfRun } | undefined;

  constructor(askedAt: number, underWay: Set<LooksOfRun>) {
    this.#askedAt = askedAt;
    this.#underWay = underWay;
  }

  find({ path, once, since }: Look): Found | undefined {
    if (once !== true) return undefined;
    for (const other of this.#underWay) {
      const found = other === this || since > other.#askedAt ? undefined : other.#own.get(path);
      if (found === undefined) continue;
      this.#noteTime(path, other);
      return found;
    }
    return undefined;
  }

  note(path: RelativePath, found: Found): void {
    this.#own.set(path, found);
    this.#noteTime(path, this);
  }

  /** The names of the run in that directory were looked at then or later: milliseconds since 1970. */
  seenMs(directory: RelativePath): number {
    return this.#seenMs.get(directory) ?? -Infinity;
  }

  /** The run has ended. */
  end(): void {
    this.#underWay.delete(this);
  }

  #noteTime(path: RelativePath, by: LooksOfRun): void {
    const slash = lastSlashIn(path);
    const last = this.#last;
    // Names of one directory usually follow one another.
    if (last?.by === by && last.directory.length === slash && path.startsWith(last.directory)) return;
    const directory = slash < 0 ? ROOT : path.slice(0, slash);
    const seenMs = by === this ? Date.now() : by.seenMs(directory);
    this.#seenMs.set(directory, Math.min(this.#seenMs.get(directory) ?? Infinity, seenMs));
    this.#last = { directory, by };
  }
}
