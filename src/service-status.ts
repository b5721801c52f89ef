import { display } from './core/relative-path.js';
import type { HeldDeletions, PluginStatus, RemoteStatus, RootStatus } from './observe/status.js';
import type { PluginHostStatus } from './plugin/plugin-host.js';
import type { Replica } from './replicate/replica.js';
import type { Replicator } from './replicate/replicator.js';

/** Names that fail and are shown. */
const SHOWN_FAILING = 20;

/** What is to be told of one watched directory: paths as text, nothing where there is nothing to tell. */
export function rootStatusOf(replicator: Replicator): RootStatus {
  const { blind, lastOverflow, audit, partlyBlind, ...watcher } = replicator.watcherStatus();
  const { catchUpReason, condition } = replicator;
  return {
    root: replicator.root,
    watcher: {
      ...watcher,
      partlyBlind: partlyBlind.map(({ path, since, reason }) => ({
        path: display(path),
        since: Math.round(since),
        reason,
      })),
      ...withoutUndefined({
        blind: blind && { ...blind, since: Math.round(blind.since) },
        lastOverflow: lastOverflow && rounded(lastOverflow),
        audit: audit && { ...rounded(audit), durationMs: Math.round(audit.durationMs) },
      }),
    },
    source: condition,
    ...(catchUpReason === undefined ? {} : { catchUp: { reason: catchUpReason } }),
    remotes: replicator.replicas.map(remoteStatusOf),
  };
}

function remoteStatusOf(replica: Replica): RemoteStatus {
  const { reason, resync, lagMs, lastSyncedAt, lastError, ...status } = replica.status();
  const failing: RemoteStatus['failing'][number][] = [];
  for (const { path, failure, attempts } of replica.failed()) {
    if (failing.length >= SHOWN_FAILING) break;
    failing.push({ path: display(path), reason: failure.reason, attempts });
  }
  return {
    ...status,
    lagMs: Math.round(lagMs),
    failing,
    ...withoutUndefined({
      reason,
      resync,
      lastSyncedAt: lastSyncedAt && Math.round(lastSyncedAt),
      lastError: lastError && rounded(lastError),
    }),
  };
}

/** The plugin, where one runs. */
export function pluginStatusOf({ lastError, ...status }: PluginHostStatus): PluginStatus {
  return {
    ...status,
    ...withoutUndefined({ lastError: lastError && { ...rounded(lastError), path: display(lastError.path) } }),
  };
}

/** The deletions that wait, for a person to read. */
export function heldDeletionsOf(replicators: readonly Replicator[]): HeldDeletions {
  return {
    remotes: replicators.flatMap(({ root, replicas }) =>
      replicas.flatMap((replica) => {
        const { names, more } = replica.held();
        if (names.length + more === 0) return [];
        const held = names.map(({ path, reason, since }) => ({
          path: display(path),
          reason,
          since: Math.round(since),
        }));
        return [{ root, remote: replica.name, held, more }];
      }),
    ),
  };
}

/** Its time in whole milliseconds. */
function rounded<Timed extends { readonly at: number }>(timed: Timed): Timed {
  return { ...timed, at: Math.round(timed.at) };
}

/** The fields that have a value. */
function withoutUndefined<Fields extends object>(
  fields: Fields,
): Partial<{ [Key in keyof Fields]: Exclude<Fields[Key], undefined> }> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<{
    [Key in keyof Fields]: Exclude<Fields[Key], undefined>;
  }>;
}
