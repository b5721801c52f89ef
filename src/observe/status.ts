import { because, count, formatDuration, oneLine } from './wording.js';

/**
 * The service at a glance: one plain object that JSON can hold, for `sersync status`, the health check and whatever shows
 * it. docs/status.md tells people about every field. Times are milliseconds since 1970, names are text. A field with `?`
 * is there only while there is something to tell.
 */
export interface ServiceStatus {
  readonly version: string;
  readonly pid: number;
  /** Absolute path of the configuration file. */
  readonly config: string;
  readonly stateDirectory: string;
  readonly startedAt: number;
  /** When this was put together. */
  readonly at: number;
  /** `failingSince`: what is dirty has been kept in memory alone since then, because of `reason`. */
  readonly journal: { readonly failingSince?: number; readonly reason?: string };
  readonly eventLoop: EventLoopStatus;
  readonly roots: readonly RootStatus[];
  /** The plugin that runs: after each synced change, or alone. */
  readonly plugin?: PluginStatus;
}

/** The longest that the main thread was busy at a stretch, in the last minute and since the start. */
export interface EventLoopStatus {
  readonly stallMs: number;
  readonly maxStallMs: number;
}

export interface PluginStatus {
  readonly name: string;
  /** Changes that wait for their turn, and that it runs for now. */
  readonly waiting: number;
  readonly running: number;
  /** Runs since the start that went well, and that did not. */
  readonly done: number;
  readonly failed: number;
  /** Changes for which it was not run, because too many waited. */
  readonly dropped: number;
  readonly lastError?: { readonly at: number; readonly path: string; readonly reason: string };
}

/** One watched directory. */
export interface RootStatus {
  readonly root: string;
  readonly watcher: WatcherStatus;
  readonly source: SourceStatus;
  /** A walk that looks for what changed unseen is under way. */
  readonly catchUp?: { readonly reason: string };
  readonly remotes: readonly RemoteStatus[];
}

export interface WatcherStatus {
  readonly kind: string;
  readonly directories: number;
  /** Nothing is seen in the whole tree. */
  readonly blind?: { readonly since: number; readonly reason: string };
  /** Parts of the tree in which nothing is seen: the first 100 of `partlyBlindCount`. */
  readonly partlyBlind: readonly { readonly path: string; readonly since: number; readonly reason: string }[];
  readonly partlyBlindCount: number;
  /** Events were lost; what they were about has been looked at. */
  readonly lastOverflow?: { readonly at: number; readonly reason: string };
  /** The last walk that checked the watcher: how many names there were, and how many changes it had missed. */
  readonly audit?: {
    readonly at: number;
    readonly names: number;
    readonly missed: number;
    readonly durationMs: number;
  };
  /** What all audits since the start have found to be missed. */
  readonly missedTotal: number;
}

/** Whether the watched directory is the one that the remotes hold: where it is not, nothing is deleted there. */
export interface SourceStatus {
  readonly state: 'well' | 'missing' | 'replaced' | 'empty' | 'unmounted';
  readonly reason?: string;
}

export interface RemoteStatus {
  readonly remote: string;
  readonly state: 'idle' | 'transferring' | 'backing off' | 'halted' | 'stopped';
  /** Why it backs off or is halted. */
  readonly reason?: string;
  /** Age of the oldest change that is not there yet; 0 when there is none. */
  readonly lagMs: number;
  readonly pending: number;
  readonly inFlight: number;
  readonly retrying: number;
  /** Names that stay on the remote although the source does not have them, and why. */
  readonly held: number;
  readonly heldReasons: readonly string[];
  /** Comparing may delete: a full resync has once completed. */
  readonly mayDelete: boolean;
  readonly resync?: { readonly reason: string; readonly fraction: number };
  readonly lastSyncedAt?: number;
  readonly lastError?: { readonly at: number; readonly reason: string };
  readonly newerOnRemote: number;
  /** Names that could not be brought over and are tried again: the first 20 of `retrying`. */
  readonly failing: readonly { readonly path: string; readonly reason: string; readonly attempts: number }[];
}

/** The deletions that wait for a person or for the source. */
export interface HeldDeletions {
  readonly remotes: readonly HeldOnRemote[];
}

export interface HeldOnRemote {
  readonly root: string;
  readonly remote: string;
  readonly held: readonly { readonly path: string; readonly reason: string; readonly since: number }[];
  /** Places with further names: they were too many to be kept by name. */
  readonly more: number;
}

export interface Health {
  readonly healthy: boolean;
  /** One line: what is wrong, or how far the remotes are. */
  readonly line: string;
}

/** A remote that is behind for longer than this is not served as it should be. */
export const UNHEALTHY_LAG_MS = 60_000;
/** Longer than this the event loop is not to stall: what has just changed waits for it. */
export const LONG_STALL_MS = 50;
/** So many troubles are told in the one line. */
const MAX_TOLD = 3;

/**
 * Whether the service does what it is there for. It does not while it cannot see all of a tree, while a source is not the
 * one that the remotes hold, while the journal cannot be written, and while a remote is halted or far behind. Deletions
 * that are held are for a person to decide about and make nothing unhealthy.
 */
export function judgeHealth(status: ServiceStatus): Health {
  const troubles = [
    ...troublesOfJournal(status),
    ...status.roots.flatMap((root) => [
      ...troublesOfRoot(root, status.at),
      ...root.remotes.flatMap((remote) => troublesOfRemote(remote)),
    ]),
  ];
  if (troubles.length === 0) return { healthy: true, line: progressLine(status) };
  const more = troubles.length - MAX_TOLD;
  const told = more > 0 ? [...troubles.slice(0, MAX_TOLD), `and ${more} more`] : troubles;
  return { healthy: false, line: oneLine(`unhealthy: ${told.join('; ')}`) };
}

function troublesOfJournal({ journal, at }: ServiceStatus): string[] {
  if (journal.failingSince === undefined) return [];
  return [`the journal cannot be written for ${formatDuration(at - journal.failingSince)}${because(journal.reason)}`];
}

function troublesOfRoot({ root, watcher, source }: RootStatus, at: number): string[] {
  const troubles: string[] = [];
  const { blind, partlyBlind, partlyBlindCount } = watcher;
  if (blind !== undefined) {
    troubles.push(`${root} is not watched for ${formatDuration(at - blind.since)}${because(blind.reason)}`);
  }
  if (partlyBlindCount > 0) {
    troubles.push(`${root} is not watched in ${count(partlyBlindCount, 'part')}${because(partlyBlind[0]?.reason)}`);
  }
  if (source.state !== 'well' && source.state !== 'empty') {
    troubles.push(`${root} is ${source.state}${because(source.reason)}`);
  }
  return troubles;
}

function troublesOfRemote({ remote, state, reason, lagMs }: RemoteStatus): string[] {
  if (state === 'halted') return [`${remote} is halted${because(reason)}`];
  if (lagMs > UNHEALTHY_LAG_MS) return [`${remote} is behind by ${formatDuration(lagMs)}${because(reason)}`];
  return [];
}

/** `ok: 3 remotes in sync`, or how many are and what keeps the others. */
function progressLine({ roots, plugin }: ServiceStatus): string {
  const remotes = roots.flatMap((root) => root.remotes);
  if (remotes.length === 0 && plugin !== undefined)
    return `ok: the plugin ${plugin.name} alone, ${describeRuns(plugin)}`;
  const inSync = remotes.filter((remote) => isInSync(remote)).length;
  if (inSync === remotes.length) return `ok: ${count(inSync, 'remote')} in sync`;
  const lagMs = Math.max(...remotes.map((remote) => remote.lagMs));
  const held = remotes.reduce((sum, remote) => sum + remote.held, 0);
  return [
    `ok: ${inSync} of ${count(remotes.length, 'remote')} in sync`,
    ...(lagMs > 0 ? [`farthest behind ${formatDuration(lagMs)}`] : []),
    ...(held > 0 ? [`${count(held, 'deletion')} held`] : []),
  ].join(', ');
}

/** `3 waiting, 1 running, 120 done, 2 failed`: what is nothing is left out, but for what is done. */
export function describeRuns({ waiting, running, done, failed, dropped }: PluginStatus): string {
  return [
    ...(waiting > 0 ? [`${waiting} waiting`] : []),
    ...(running > 0 ? [`${running} running`] : []),
    `${done} done`,
    ...(failed > 0 ? [`${failed} failed`] : []),
    ...(dropped > 0 ? [`${dropped} dropped`] : []),
  ].join(', ');
}

/** Everything is there, and nothing that should not be. */
export function isInSync({ lagMs, held }: RemoteStatus): boolean {
  return lagMs === 0 && held === 0;
}
