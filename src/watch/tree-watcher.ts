import type { FilterSpec } from '../core/filter.js';
import type { RelativePath } from '../core/relative-path.js';
import type { Hint } from '../core/hint.js';

/**
 * The port behind which a tree is watched. It promises two things and nothing more:
 * whatever changes below the root is `touched`, or something at or above it is `lost`.
 *
 * `removed` and `movedFrom` are said of what was seen to go, never of what was unmounted: that is `lost`.
 */
export interface TreeWatcher {
  readonly kind: 'inotify' | 'parcel';
  /**
   * Resolves once every directory that was there is watched: from then on nothing is missed. Calls to the listener may
   * begin before. Rejects with a `StartError` (`SERSYNC_WATCH_LIMIT`, `SERSYNC_WATCH_ROOT`, ...) and holds nothing then.
   */
  start(): Promise<WatchStarted>;
  /**
   * Resolves with true once every change that was made before the call has been told, by `touched` or `lost`; with false
   * when it cannot know that: because it is blind anywhere, is over, or (parcel) has no time to look now. Soon, and cheap
   * enough to be asked every few seconds.
   */
  fence(): Promise<boolean>;
  /** Idempotent. No call to the listener after it resolves. */
  stop(): Promise<void>;
}

export interface WatchStarted {
  /** How many directories are watched. */
  readonly directories: number;
}

export interface TreeWatcherListener {
  /** `path` may have changed in the ways of `hint`. Called in runs: many calls in one turn of the event loop. */
  touched(path: RelativePath, hint: Hint): void;
  /**
   * A directory, or a large file, was renamed within the tree: a hint, told before `touched` is called for the names, by
   * watchers that know.
   */
  moved(from: RelativePath, to: RelativePath): void;
  /** Changes at or below `below` may have been missed from some moment before this call on. `reason` is for a person. */
  lost(below: RelativePath, reason: string): void;
  /**
   * Changes at and below `below` may go untold from some moment before this call on, until `sees` of the same place. Told
   * once; places within each other end one by one.
   */
  blind(below: RelativePath, reason: string): void;
  /**
   * What `blind` said of `below` is over: it is watched, or gone. `lost` is called after it for what was missed, unless
   * that was found and told.
   */
  sees(below: RelativePath): void;
  /**
   * The watcher is dead and will call nothing any more: `lost` for the root is called before. The owner starts a new one.
   */
  died(reason: string): void;
}

export interface TreeWatcherOptions {
  /** Absolute, without symbolic links at its end: `realpath` was taken. Bytes as in `RelativePath` (latin1). */
  readonly root: string;
  /** Directories that it excludes are not watched and nothing below them is told. */
  readonly filter: FilterSpec;
  readonly listener: TreeWatcherListener;
}
