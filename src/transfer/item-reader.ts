import { pathIn, type RelativePath } from '../core/relative-path.js';
import type { RunProgress } from '../replicate/ports.js';
import { parseItemized } from './rsync-output.js';

/** Who wants to know what of the names in a run. Paths are relative to the root. */
export interface WhoHears {
  /** Names that have changed are kept (`ItemReader.changed`). */
  readonly namesChanges?: boolean;
  readonly onSent?: (path: RelativePath) => unknown;
  readonly onCreated?: (path: RelativePath) => unknown;
  readonly onExtra?: (path: RelativePath, isDirectory: boolean) => void;
}

/** Of a run that broke off so many files are told that were sent last. */
const CUT_OFF_AT_MOST = 1_000;
/** Of the names that have changed in directories so many are told at most. */
const CHANGED_AT_MOST = 20_000;
/** How often progress is told at most. */
const PROGRESS_EVERY_MS = 200;

/** Reads the lines of one run that say what rsync does to a name (`OUT_FORMAT`). */
export class ItemReader {
  readonly changed: RelativePath[] = [];
  filesSent = 0;
  bytesSent = 0;
  #changes = 0;
  readonly #sentLast: RelativePath[] = [];
  #toldAt = performance.now();
  readonly #directory: RelativePath;
  readonly #hears: WhoHears;
  readonly #onProgress: (progress: RunProgress) => void;

  /** `directory`: where the run has begun, which its names are relative to. */
  constructor(directory: RelativePath, hears: WhoHears, onProgress: (progress: RunProgress) => void) {
    this.#directory = directory;
    this.#hears = hears;
    this.#onProgress = onProgress;
  }

  /** How many names have changed beyond those that are kept. */
  get unnamed(): number {
    return this.#changes - this.changed.length;
  }

  /** The files that were sent last. */
  sentLast(): RelativePath[] {
    return this.#sentLast.slice(-CUT_OFF_AT_MOST);
  }

  /** Returns whether it is such a line. */
  read(line: string): boolean {
    const item = parseItemized(line);
    if (item === undefined) return false;
    const path = pathIn(this.#directory, item.path);
    const { namesChanges, onSent, onCreated, onExtra } = this.#hears;
    if (item.isDeletion) onExtra?.(path, item.isDirectory);
    if (item.isCreated) onCreated?.(path);
    if (namesChanges === true && item.isChanged && ++this.#changes <= CHANGED_AT_MOST) this.changed.push(path);
    if (!item.isSentFile) return true;
    onSent?.(path);
    this.#countSent(path, item.length);
    return true;
  }

  #countSent(path: RelativePath, bytes: number): void {
    if (this.#sentLast.length >= 2 * CUT_OFF_AT_MOST) this.#sentLast.splice(0, CUT_OFF_AT_MOST);
    this.#sentLast.push(path);
    this.filesSent++;
    this.bytesSent += bytes;
    const now = performance.now();
    if (now - this.#toldAt < PROGRESS_EVERY_MS) return;
    this.#toldAt = now;
    this.#onProgress({ filesSent: this.filesSent, bytesSent: this.bytesSent });
  }
}
