import type * as filter from '../../src/core/filter.js';
import type * as inotify from '../../src/watch/inotify-watcher.js';
import type * as parcel from '../../src/watch/parcel-watcher.js';
import type * as selection from '../../src/watch/select-watcher.js';

/**
 * The compiled watchers. They start files of their own (a thread, a process), which exist as JavaScript only, so the
 * sources cannot be run here. `SERSYNC_DIST` names another folder than `dist/` for a build of one's own.
 */
const dist = new URL(`${process.env['SERSYNC_DIST'] ?? new URL('../../dist', import.meta.url).pathname}/`, 'file:');

async function load(file: string): Promise<unknown> {
  return await import(/* @vite-ignore */ new URL(file, dist).href);
}

export const { createFilter } = (await load('core/filter.js')) as typeof filter;
export const { InotifyWatcher } = (await load('watch/inotify-watcher.js')) as typeof inotify;
export const { ParcelWatcher } = (await load('watch/parcel-watcher.js')) as typeof parcel;
export const { selectWatcher } = (await load('watch/select-watcher.js')) as typeof selection;
