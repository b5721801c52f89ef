import { decode, display } from './core/relative-path.js';
import type { HeldDeletions, RemoteStatus, RootStatus } from './observe/status.js';
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
      partlyBlind: partlyBlind.map((part) => ({ ...part, path: display(part.path) })),
      ...withoutUndefined({ blind, lastOverflow, audit }),
    },
    source: condition,
    ...(catchUpReason === undefined ? {} : { catchUp: { reason: catchUpReason } }),
    remotes: replicator.replicas.map(remoteStatusOf),
  };
}

function remoteStatusOf(replica: Replica): RemoteStatus {
  const { reason, resync, lastSyncedAt, lastError, ...status } = replica.status();
  const failing: RemoteStatus['failing'][number][] = [];
  for (const { path, failure, attempts } of replica.failed()) {
    if (failing.length >= SHOWN_FAILING) break;
    failing.push({ path: display(path), reason: failure.reason, attempts });
  }
  return { ...status, failing, ...withoutUndefined({ reason, resync, lastSyncedAt, lastError }) };
}

/** The deletions that wait, for a person to read. */
export function heldDeletionsOf(replicators: readonly Replicator[]): HeldDeletions {
  return {
    remotes: replicators.flatMap(({ root, replicas }) =>
      replicas.flatMap((replica) => {
        const { names, more } = replica.held();
        if (names.length + more === 0) return [];
        const held = names.map((name) => ({ ...name, path: display(name.path), reason: decode(name.reason) }));
        return [{ root, remote: replica.name, held, more }];
      }),
    ),
  };
}

/** The fields that have a value. */
function withoutUndefined<Fields extends object>(
  fields: Fields,
): Partial<{ [Key in keyof Fields]: Exclude<Fields[Key], undefined> }> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<{
    [Key in keyof Fields]: Exclude<Fields[Key], undefined>;
  }>;
}
