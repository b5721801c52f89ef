import { messageOf, StartError } from '../errors.js';
import { loadInotify } from './inotify.js';
import { InotifyWatcher } from './inotify-watcher.js';
import type { TreeWatcher, TreeWatcherOptions } from './tree-watcher.js';

export type WatcherChoice = 'auto' | 'inotify' | 'parcel';

/**
 * The front end for a tree, not started, and why it is this one (for the log). `auto` is inotify wherever it can be
 * loaded. Throws `StartError` (`SERSYNC_WATCHER`) when the one that was asked for cannot be had.
 */
export function selectWatcher(
  choice: WatcherChoice,
  options: TreeWatcherOptions,
): { readonly watcher: TreeWatcher; readonly why: string } {
  if (choice === 'parcel') throw new StartError('SERSYNC_WATCHER', 'the parcel watcher is not available yet');
  try {
    const watcher = new InotifyWatcher(options, loadInotify());
    return { watcher, why: choice === 'auto' ? 'inotify: Linux and libc loaded' : 'inotify: as configured' };
  } catch (error) {
    throw new StartError(
      'SERSYNC_WATCHER',
      `the inotify watcher cannot be used: ${messageOf(error)}`,
      'set the watcher to auto or parcel',
      { cause: error },
    );
  }
}
