import { lstat } from 'node:fs/promises';
import type { PluginName } from '../config/config.js';
import { ROOT, toBytes, type RelativePath } from '../core/relative-path.js';
import type { Hint } from '../core/hint.js';

/** A changed name, as a plugin is told of it. */
export interface Change {
  /** The watched directory as configured: absolute, bytes as in `RelativePath`. */
  readonly root: RelativePath;
  readonly path: RelativePath;
  /** What the watcher believed happened, several changes together; 0: it was found by comparing. */
  readonly hint: Hint;
}

export interface PluginLimits {
  /** A run, or one of its tries, is ended after this long. */
  readonly timeMs: number;
  /** How often a run is tried at most. */
  readonly tries: number;
  /** Between the first two tries; doubled each time. */
  readonly pauseMs: number;
}

/** What is done about a changed name, outside of rsync. */
export interface Plugin {
  readonly name: PluginName;
  readonly limits: PluginLimits;
  /** Whether it has something to do for this change. Cheap: asked before the change waits for its turn. */
  concerns(change: Change): boolean;
  /**
   * Does it, and resolves with what came back and is worth a log line, if anything. Rejects with a reason for a person; soon
   * after `signal` has aborted in any case, with nothing left behind.
   */
  run(change: Change, signal: AbortSignal): Promise<string | undefined>;
  /** Gives back what it holds; no run is under way. */
  close(): Promise<void>;
}

/** The whole path, byte for byte. */
export function absoluteOf({ root, path }: Pick<Change, 'root' | 'path'>): RelativePath {
  if (path === ROOT) return root;
  return root === '/' ? `/${path}` : `${root}/${path}`;
}

/** What stands at the name now; `missing` also when it may not be looked at. */
export async function lookAt(absolute: RelativePath): Promise<'missing' | 'directory' | 'other'> {
  try {
    return (await lstat(toBytes(absolute))).isDirectory() ? 'directory' : 'other';
  } catch {
    // A plugin tells of what it can see: that a name cannot be seen is the same to it as that it is gone.
    return 'missing';
  }
}

/**
 * The directory that relative parts of a path begin behind: the plugin's own `watch` when the path is at or below it, as in
 * sersync 2.5, otherwise the watched root.
 */
export function baseOf(change: Change, watch: RelativePath | undefined): RelativePath {
  const absolute = absoluteOf(change);
  const isBelow = watch !== undefined && (absolute === watch || absolute.startsWith(watch === '/' ? '/' : `${watch}/`));
  return isBelow ? watch : change.root;
}
