import { messageOf, StartError } from '../errors.js';
import { loadInotify } from './inotify.js';
import { InotifyWatcher } from './inotify-watcher.js';
import { loadParcel, ParcelWatcher } from './parcel-watcher.js';
import type { TreeWatcher, TreeWatcherOptions } from './tree-watcher.js';

export type WatcherChoice = 'auto' | 'inotify' | 'parcel';

export interface SelectedWatcher {
  readonly watcher: TreeWatcher;
  readonly why: string;
}

/**
 * The front end for a tree, not started, and why it is this one (for the log). `auto` is inotify wherever it can be
 * loaded. Throws `StartError` (`SERSYNC_WATCHER`) when the one that was asked for cannot be had.
 */
export function selectWatcher(choice: WatcherChoice, options: TreeWatcherOptions): SelectedWatcher {
  if (choice === 'parcel') return selectParcel(options, 'as configured');
  const inotify = attempt(loadInotify);
  if ('loaded' in inotify) {
    const why = choice === 'auto' ? 'Linux and libc loaded' : 'as configured';
    return { watcher: new InotifyWatcher(options, inotify.loaded), why: `inotify: ${why}` };
  }
  if (choice === 'inotify') throw unusable('inotify', inotify.reason);
  return selectParcel(
    options,
    process.platform === 'linux' ? `koffi could not be loaded: ${inotify.reason}` : 'not Linux',
  );
}

function selectParcel(options: TreeWatcherOptions, why: string): SelectedWatcher {
  // Loaded here only to see whether it can be: it runs in a process of its own.
  const parcel = attempt(loadParcel);
  if ('reason' in parcel) throw unusable('parcel', `${why}, and @parcel/watcher could not be loaded: ${parcel.reason}`);
  return { watcher: new ParcelWatcher(options), why: `parcel: ${why}` };
}

function unusable(frontEnd: string, reason: string): StartError {
  const hint = 'set the watcher to auto, or install for this platform (npm ci)';
  return new StartError('SERSYNC_WATCHER', `the ${frontEnd} watcher cannot be used: ${reason}`, hint);
}

function attempt<Library>(load: () => Library): { readonly loaded: Library } | { readonly reason: string } {
  try {
    return { loaded: load() };
  } catch (error) {
    return { reason: messageOf(error) };
  }
}
