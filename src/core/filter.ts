import type { RelativePath } from './relative-path.js';

/** What is left out. Plain data, so that a thread can compile its own. */
export interface FilterSpec {
  /** `<filter>`: regular expressions that match the whole relative path. */
  readonly excludes: readonly string[];
  /** rsync exclude patterns (crontabfilter). */
  readonly patterns: readonly string[];
}

/** Decides which names are ours. Excluded means not touched: neither sent nor deleted. */
export interface Filter {
  /** Whether the name, or a directory above it, is excluded. */
  isExcluded(path: RelativePath, isDirectory: boolean): boolean;
}
