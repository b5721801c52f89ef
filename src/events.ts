import { EventEmitter } from 'node:events';
import type { RelativePath } from './core/relative-path.js';

/**
 * What happens in the service, as it happens: `noun:verb`. The parts emit, observers log, count and show; a listener
 * changes nothing. Times are milliseconds of the service's clock.
 */
export interface EventMap {
  /** Every directory below the root is watched. */
  'watch:ready': [{ root: string; watcher: string; directories: number; durationMs: number }];
  /** Changes may have been missed; what is below will be looked at. */
  'watch:lost': [{ root: string; path: RelativePath; reason: string }];
  /** Nothing is seen any more until `watch:ready` or `watch:sees`. */
  'watch:blind': [{ root: string; reason: string; retryInMs?: number }];
  /** A part of the tree cannot be watched until `watch:sees`. */
  'watch:partlyBlind': [{ root: string; path: RelativePath; reason: string }];
  'watch:sees': [{ root: string; path: RelativePath }];
  /** A walk has looked for changes that were not told: after a start, after lost events, or as an audit. */
  'walk:finished': [
    {
      root: string;
      path: RelativePath;
      reason: string;
      names: number;
      found: number;
      missed: number;
      durationMs: number;
    },
  ];
  /** A walk could not be carried out; it is tried again. */
  'walk:failed': [{ root: string; reason: string }];
  /** The watched directory is not what it was: names are not deleted on the remotes until it is. */
  'source:troubled': [{ root: string; state: string; reason: string }];
  'source:well': [{ root: string; durationMs: number }];
  /** The start has found out where it can go on: `catch-up` from a point in time, or a `resync` and why. */
  'start:judged': [{ root: string; remote?: string; kind: 'catch-up' | 'resync'; reason: string }];
  /** The journal cannot be written: the service goes on from memory. */
  'journal:failed': [{ directory: string; reason: string; hint: string }];
  'journal:recovered': [{ directory: string; durationMs: number }];
  /** The journal of an earlier run could not be read and was put aside; everything is looked at again. */
  'journal:damaged': [{ directory: string; reason: string; setAside: string }];
  /** A file was written and not closed for long: it is sent at an interval. */
  'file:open': [{ root: string; path: RelativePath; intervalMs: number }];
  /** The filter queue released a path (debug). */
  'path:touched': [{ root: string; path: RelativePath; scope: string; gone: boolean }];
  'run:started': [{ remote: string; kind: string; paths: number }];
  'run:finished': [
    {
      remote: string;
      kind: string;
      paths: number;
      verdict: string;
      exitCode: number | null;
      filesSent: number;
      bytesSent: number;
      durationMs: number;
      command: readonly string[];
    },
  ];
  /** What was looked at is on the remote. `lagMs`: age of its oldest change. */
  'batch:synced': [{ remote: string; kind: string; paths: number; lagMs: number }];
  /** A name could not be brought over; it is tried again. */
  'path:failed': [
    {
      remote: string;
      path: RelativePath;
      reason: string;
      hint?: string;
      exitCode: number;
      attempts: number;
      retryInMs: number;
    },
  ];
  /** A name that had failed has arrived. */
  'path:recovered': [{ remote: string; path: RelativePath; attempts: number }];
  /** rsync said something that loses nothing (times or owner could not be set, ...). */
  'remote:complained': [{ remote: string; message: string; count: number }];
  /** Something stands in the way on the remote that may not be deleted, because deleting is off. */
  'path:blocked': [{ remote: string; path: RelativePath; reason: string }];
  /** Files that are newer on the remote and stay there, because the params contain -u. */
  'path:newer': [{ remote: string; path: RelativePath; count: number }];
  'remote:unreachable': [{ remote: string; reason: string; hint?: string; failures: number; retryInMs: number }];
  'remote:halted': [{ remote: string; reason: string; hint?: string; failures: number; retryInMs: number }];
  /** The remote's rsync has a bug that is worked around at a cost: told once. */
  'remote:outdated': [{ remote: string; reason: string; hint: string }];
  /** The remote takes fewer connections than there are lanes; it is served with fewer. */
  'remote:crowded': [{ remote: string; reason: string; hint?: string; lanes: number }];
  'remote:recovered': [{ remote: string; failures: number; durationMs: number }];
  /** The source is not what it was: nothing is sent or deleted until it is back. */
  'source:refused': [{ remote: string; reason: string; retryInMs: number }];
  /** Names are not deleted on the remote, because the source is empty; tried again when something appears in it. */
  'deletes:held': [{ remote: string; reason: string; count: number }];
  /** Something is only on the remote and stays there: no full resync has been through, so comparing only copies. Told once. */
  'deletes:copyOnly': [{ remote: string; count: number }];
  'source:back': [{ remote: string; durationMs: number }];
  'resync:started': [{ remote: string; reason: string }];
  'resync:progress': [
    { remote: string; reason: string; fraction: number; files: number; bytes: number; durationMs: number },
  ];
  'resync:finished': [
    { remote: string; reason: string; files: number; bytes: number; failed: number; durationMs: number },
  ];
  /** A comparison found names that only the remote has; they are removed there. */
  'extras:found': [{ remote: string; count: number; examples: readonly RelativePath[] }];
  /** The plugin was run for a changed path (absolute here and below). */
  'plugin:ran': [{ plugin: string; path: RelativePath; tries: number; durationMs: number }];
  /** What a command printed, or a CDN answered. */
  'plugin:said': [{ plugin: string; path: RelativePath; text: string }];
  /** Runs have failed since the last such event: how many, and the latest of them. They are not made up for. */
  'plugin:failed': [{ plugin: string; path: RelativePath; reason: string; failures: number }];
  /** A run went well again. */
  'plugin:recovered': [{ plugin: string; failures: number; durationMs: number }];
  /** The plugin is not run for changes: how many since the last such event, and why. */
  'plugin:dropped': [{ plugin: string; count: number; reason: string }];
}

export type Events = EventEmitter<EventMap>;

/** A new bus. A listener that throws is a bug of an observer and must not reach the parts: `onListenerError` gets it. */
export function createEvents(onListenerError: (error: unknown) => void): Events {
  const events = new EventEmitter<EventMap>();
  const emit = events.emit.bind(events);
  events.emit = (...args) => {
    try {
      return emit(...args);
    } catch (error) {
      onListenerError(error);
      return true;
    }
  };
  return events;
}
