import type { RemoteStatus, RootStatus, ServiceStatus } from '../../src/observe/status.js';

/** When the samples were put together: milliseconds since 1970. */
export const AT = 1_700_000_000_000;

/** A remote that is in sync. */
export function sampleRemote(changes: Partial<RemoteStatus> = {}): RemoteStatus {
  return {
    remote: '10.0.0.1::www',
    state: 'idle',
    lagMs: 0,
    pending: 0,
    inFlight: 0,
    retrying: 0,
    held: 0,
    heldReasons: [],
    mayDelete: true,
    newerOnRemote: 0,
    failing: [],
    ...changes,
  };
}

/** A watched directory that is seen as a whole, with one remote. */
export function sampleRoot({
  watcher,
  ...changes
}: Partial<Omit<RootStatus, 'watcher'>> & { readonly watcher?: Partial<RootStatus['watcher']> } = {}): RootStatus {
  return {
    root: '/data/www',
    watcher: {
      kind: 'inotify',
      directories: 1234,
      partlyBlind: [],
      partlyBlindCount: 0,
      missedTotal: 0,
      ...watcher,
    },
    source: { state: 'well' },
    remotes: [sampleRemote()],
    ...changes,
  };
}

/** A service that is well. */
export function sampleStatus(changes: Partial<ServiceStatus> = {}): ServiceStatus {
  return {
    version: '3.0.0',
    pid: 1234,
    config: '/etc/sersync/confxml.xml',
    stateDirectory: '/var/lib/sersync/confxml-1a2b3c4d',
    startedAt: AT - 3_720_000,
    at: AT,
    journal: {},
    eventLoop: { stallMs: 3, maxStallMs: 12 },
    roots: [sampleRoot()],
    ...changes,
  };
}
