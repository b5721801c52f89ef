/** The composition root: makes the parts from a configuration, starts them in order and stops them in reverse. */
import { lstatSync, realpathSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join as joinPaths } from 'node:path';
import type { Config, LocalPathConfig, RemoteConfig } from './config/config.js';
import { createFilter, type Filter, type FilterSpec } from './core/filter.js';
import type { RuleRoots } from './core/filter-rules.js';
import { fromText, join, ROOT, toBytes, type RelativePath } from './core/relative-path.js';
import { isDotfile } from './core/temporaries.js';
import { systemClock, type Clock } from './clock.js';
import { messageOf, SersyncError, StartError } from './errors.js';
import { createEvents, type Events } from './events.js';
import { LevelJournal } from './journal/level-journal.js';
import type { Logger } from './logger.js';
import { EventLoopMeter } from './observe/event-loop.js';
import { logEvents } from './observe/event-log.js';
import { FailLog } from './observe/fail-log.js';
import type { HeldDeletions, ServiceStatus } from './observe/status.js';
import { createPlugin } from './plugin/create-plugin.js';
import { MAX_WAITING, PluginHost } from './plugin/plugin-host.js';
import { FILTER_QUEUE_TIMES, FilterQueue } from './queue/filter-queue.js';
import { NO_JOURNAL, type DeleteGuard, type Journal } from './replicate/ports.js';
import { paceOf, type PaceLimits } from './replicate/pace.js';
import { Replica, REPLICA_LIMITS } from './replicate/replica.js';
import { ToldNames } from './core/told-names.js';
import { Replicator, type SourceReader } from './replicate/replicator.js';
import { SyncedChanges } from './replicate/synced-changes.js';
import { scheduleResync } from './schedule/resync-schedule.js';
import { heldDeletionsOf, pluginStatusOf, rootStatusOf } from './service-status.js';
import { DeleteMemory } from './transfer/delete-memory.js';
import { DELETES_BY_RULES } from './transfer/delete-rules.js';
import { endsWithService, findLauncher, findParentDeathLauncher } from './transfer/launcher.js';
import { TransferPool } from './transfer/pool.js';
import {
  LIST_ON_STDIN,
  LIST_SOURCE,
  modulePrefixOf,
  readParams,
  remoteName,
  type RemoteTarget,
} from './transfer/rsync-args.js';
import { checkRsync } from './transfer/rsync-version.js';
import { Source } from './transfer/source.js';
import { standbyTerms } from './transfer/standby.js';
import { shareConnection } from './transfer/ssh-master.js';
import { readPresent, touchClock } from './watch/kernel-time.js';
import { namesBelow } from './watch/names-below.js';
import { selectWatcher } from './watch/select-watcher.js';
import { ThreadWalker } from './watch/tree-walker.js';

export interface ServiceOptions {
  /** `-r`: a full resync of every remote once the watch is up. */
  readonly resync: boolean;
  /** `-n`: worker threads at most. */
  readonly threads: number;
  /** Where the journal is kept. Without it nothing is known of what an earlier run left. */
  readonly stateDirectory?: string;
  /** Of the program, for the status. */
  readonly version?: string;
  readonly logger: Logger;
  /** Called with the bus before anything starts, for observers of the caller. */
  readonly onEvents?: (events: Events) => void;
  readonly clock?: Clock;
  /** The program to run; `rsync` from the PATH by default. */
  readonly rsync?: string;
}

export interface Service {
  status(): ServiceStatus;
  /** The deletions that wait for a person or for the source. */
  held(): HeldDeletions;
  /** A person has said that they may go. Returns how many names and places that is. */
  release(): number;
  /** Resolves when the full resync of `-r` has been through; at once without `-r`. */
  readonly resynced: Promise<void>;
  /** Lets what is in flight end within `graceMs`, ends the rest, leaves no rsync behind. Idempotent. */
  stop(graceMs: number): Promise<void>;
  /** Cuts a stop short. */
  cancel(): void;
}

/** A comparison may delete so many names without being asked, whatever part of the remote that is. */
const DELETE_LIMIT_NAMES = 100;
const MINUTE_MS = 60_000;
/** Plugin runs have at least this long to end when the service stops, however long the remotes took. */
const PLUGIN_GRACE_MS = 500;
/** The file in the state directory that is touched to read the kernel's time. */
const CLOCK_FILE = 'clock';
/** Failures come in crowds: the fail log is written once for those of this time. */
const FAIL_LOG_AFTER_MS = 300;
/** Lanes of one remote at most, whatever `-n` allows. */
const MAX_LANES = REPLICA_LIMITS.lanes;

/**
 * Starts to replicate; resolves once every directory of every root is watched. Rejects with a `StartError` when that
 * cannot be, and nothing is left running then. A remote that is away is no reason.
 */
export async function startService(config: Config, options: ServiceOptions): Promise<Service> {
  const { logger, clock = systemClock, rsync = 'rsync', stateDirectory } = options;
  const startedAt = Date.now();
  const events = createEvents((error) => {
    logger.error('observer:failed', { error: messageOf(error) });
  });
  logEvents(events, logger, { debug: config.debug, remindEveryMs: REPLICA_LIMITS.remindEveryMs, clock });
  options.onEvents?.(events);
  const release = new Releases();
  const eventLoop = new EventLoopMeter();
  eventLoop.start();
  release.push(() => {
    eventLoop.stop();
  });
  try {
    const remotes = config.localPaths.reduce((sum, { remotes }) => sum + remotes.length, 0);
    // A plugin that runs alone sends nothing, and needs no rsync.
    const rsyncVersion = remotes === 0 ? undefined : checkRsync(rsync);
    const params = readParams(config.rsync.params);
    logger.info('service:starting', {
      config: config.file,
      ...(rsyncVersion === undefined ? {} : { rsync: rsyncVersion, params: config.rsync.rawParams }),
      ...(config.plugin === undefined ? {} : { plugin: config.plugin.name }),
    });
    if (params.dropped.length > 0) {
      logger.warn('params:ignored', {
        params: params.dropped.join(' '),
        hint: 'sersync decides this itself, for each run; <delete> says whether names are deleted',
      });
    }
    // One lane more than is held by a large file or a full resync; threads are shared where there are more lanes.
    const lanes = Math.min(MAX_LANES, Math.max(2, Math.floor(options.threads / Math.max(1, remotes))));
    const pool = remotes === 0 ? undefined : new TransferPool(options.threads, lanes * remotes, remotes);
    release.push(() => pool?.close());
    const plugin = createPluginHost(config, options.threads, { clock, events });
    let stopAt = 0;
    // After the last run: what that has brought over counts, too.
    release.push(() => plugin?.stop(Math.max(PLUGIN_GRACE_MS, stopAt - clock.now())));

    const kept = stateDirectory === undefined ? undefined : await openJournal(stateDirectory, { events, clock });
    if (kept !== undefined) release.push(() => kept.close());
    const journal = kept ?? NO_JOURNAL;
    const parts: Parts = {
      config,
      events,
      logger,
      clock,
      pool,
      plugin,
      lanes,
      pace: paceOf(remotes, availableParallelism()),
      rsync,
      launcher: findLauncher(),
      journal,
      stateDirectory,
      release,
    };
    const replicators: Replicator[] = [];
    for (const localPath of config.localPaths) replicators.push(createReplicator(localPath, parts));
    journal.forgetOthers();
    // Closed after the last run: what fails on the way out is written, too.
    release.push(keepFailLog(replicators, parts));
    let graceMs = 0;
    release.push(() => stopAll(replicators, graceMs));
    if (options.resync && remotes === 0) {
      logger.info('resync:ignored', { reason: 'a plugin runs alone (-m): there is no remote that -r could sync' });
    }
    const request = options.resync && remotes > 0 ? { reason: '-r', crontab: false, isAsked: true } : undefined;
    const started = await Promise.all(replicators.map((replicator) => replicator.start(request)));

    if (config.crontab !== undefined && remotes > 0) {
      const schedule = scheduleResync(
        config.crontab.schedule,
        () => {
          for (const replicator of replicators) {
            void replicator.resync({ reason: 'crontab', crontab: true, isAsked: true });
          }
        },
        { clock, logger },
      );
      release.push(() => {
        schedule.stop();
      });
    }
    // What was asked for at the start is not asked for again after a crash.
    await journal.flush();
    logger.info('service:started', { roots: replicators.length, remotes, lanesPerRemote: lanes });
    return {
      resynced: Promise.all(started.map(({ resynced }) => resynced)).then(() => undefined),
      status: () => ({
        version: options.version ?? '',
        pid: process.pid,
        config: config.file,
        stateDirectory: stateDirectory ?? '',
        startedAt,
        at: Date.now(),
        journal: kept?.status() ?? {},
        eventLoop: eventLoop.status(),
        roots: replicators.map(rootStatusOf),
        ...(plugin === undefined ? {} : { plugin: pluginStatusOf(plugin.status()) }),
      }),
      held: () => heldDeletionsOf(replicators),
      release: () => replicators.reduce((sum, replicator) => sum + replicator.release(), 0),
      async stop(ms) {
        graceMs = ms;
        stopAt = clock.now() + ms;
        logger.info('service:stopping', { graceMs });
        await release.all();
        logger.info('service:stopped');
      },
      cancel() {
        for (const { replicas } of replicators) for (const replica of replicas) replica.cancelRuns();
        plugin?.cancel();
      },
    };
  } catch (error) {
    await release.all();
    throw error instanceof SersyncError
      ? error
      : new StartError('SERSYNC_START', `cannot start: ${messageOf(error)}`, undefined, { cause: error });
  }
}

async function stopAll(replicators: readonly Replicator[], graceMs: number): Promise<void> {
  await Promise.all(replicators.map((replicator) => replicator.stop(graceMs)));
}

async function openJournal(
  stateDirectory: string,
  { events, clock }: Pick<Parts, 'events' | 'clock'>,
): Promise<LevelJournal> {
  return LevelJournal.open({ directory: joinPaths(stateDirectory, 'journal'), events, clock });
}

function createPluginHost(
  { plugin }: Config,
  threads: number,
  { clock, events }: Pick<Parts, 'events' | 'clock'>,
): PluginHost | undefined {
  if (plugin === undefined) return undefined;
  return new PluginHost({
    plugin: createPlugin(plugin, plugin.name === 'command' ? findParentDeathLauncher() : []),
    concurrency: threads,
    maxWaiting: MAX_WAITING,
    remindEveryMs: REPLICA_LIMITS.remindEveryMs,
    clock,
    events,
  });
}

/** What of a root's changes is for the plugin; undefined where none runs. */
function createSyncedChanges(
  root: RelativePath,
  { plugin, clock }: Pick<Parts, 'plugin' | 'clock'>,
  given: Pick<ConstructorParameters<typeof SyncedChanges>[0], 'replicas' | 'namesBelow' | 'isAwaited'>,
): SyncedChanges | undefined {
  if (plugin === undefined) return undefined;
  return new SyncedChanges({
    ...given,
    maxPending: MAX_WAITING,
    clock,
    onSynced: (path, hint) => {
      plugin.add({ root, path, hint });
    },
    onDropped: (count, reason) => {
      plugin.drop(count, reason);
    },
  });
}

interface Parts {
  readonly config: Config;
  readonly events: Events;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Undefined where there are no remotes. */
  readonly pool: TransferPool | undefined;
  readonly plugin: PluginHost | undefined;
  readonly lanes: number;
  readonly pace: PaceLimits;
  readonly rsync: string;
  readonly launcher: readonly string[];
  readonly journal: Journal;
  readonly stateDirectory: string | undefined;
  /** Closed after the runs have ended. */
  readonly release: Releases;
}

function createReplicator({ watch, remotes }: LocalPathConfig, parts: Parts): Replicator {
  const { config, events, logger, clock, journal } = parts;
  const cwd = realpathSync(watch);
  const root = fromText(cwd);
  const source = new Source(root);
  const { delete: deleteSwitch } = config.events;
  const deletes = deleteSwitch || readParams(config.rsync.params).deletes;
  let replicas: readonly Replica[] = [];
  const filterSpec = {
    excludes: config.excludes,
    rules: config.rsync.filterRules ?? [],
    roots: { sender: root, receiver: ROOT },
  };
  const filter = createFilter(filterSpec);
  const synced = createSyncedChanges(fromText(watch), parts, {
    replicas: () => replicas,
    namesBelow: (path) => namesBelow(root, countedNames(filter, config), path),
    isAwaited: (path) => queue.waitsFor(path),
  });
  const queue: FilterQueue = new FilterQueue({
    filter,
    switches: { ...config.events, delete: deletes },
    dotfiles: config.dotfiles,
    clock,
    times: FILTER_QUEUE_TIMES,
    inspect: (path) => inspect(join(root, path)),
    isInFlight: (path) => replicas.some((replica) => replica.isInFlight(path)),
    filesBelow: (path) => filesBelow(source, path),
    release: (dirty, hint) => {
      // Without `<debug>` nobody listens, and there may be ten thousand a second.
      if (events.listenerCount('path:touched') > 0)
        events.emit('path:touched', { root: watch, path: dirty.path, scope: dirty.scope, gone: dirty.gone });
      for (const replica of replicas) replica.mark(dirty);
      synced?.touched(dirty, hint);
    },
    onOpenFile: (path) => {
      events.emit('file:open', { root: watch, path, intervalMs: FILTER_QUEUE_TIMES.openIntervalMs });
    },
  });
  return new Replicator({
    root: watch,
    createWatcher(listener) {
      const { watcher, why } = selectWatcher(config.watcher, { root, filter: filterSpec, listener });
      logger.info('watch:starting', { root: watch, watcher: watcher.kind, why });
      return watcher;
    },
    walker: new ThreadWalker({ root, filter: filterSpec }),
    createTold: () => new ToldNames(),
    source: sourceReader(root, source, filter, parts.stateDirectory),
    queue,
    createReplicas(given) {
      const source = { ...given, watch, cwd, root, deletes, synced, filterSpec };
      replicas = remotes.map((remote) => createReplica(remote, source, parts));
      return replicas;
    },
    onFound: (dirty) => synced?.found(dirty),
    onStopped: () => synced?.stop(),
    // A wide place says nothing to a plugin that runs alone; to rsync it says all.
    walkDetail: remotes.length === 0 ? 'each' : 'folded',
    journal,
    auditEveryMs: config.auditMinutes === 0 ? Infinity : config.auditMinutes * MINUTE_MS,
    clock,
    random: Math.random,
    events,
  });
}

/** The names whose changes count: with `<dotfiles>` off not those that the filter queue is silent about. */
function countedNames(filter: Filter, { dotfiles }: Config): Filter {
  if (dotfiles) return filter;
  return {
    ...filter,
    isExcluded: (path, isDirectory) => (!isDirectory && isDotfile(path)) || filter.isExcluded(path, isDirectory),
  };
}

interface RemoteSource {
  readonly guard: () => DeleteGuard;
  readonly sourceNames: () => number;
  readonly onLinked: (inodes: readonly number[]) => void;
  readonly synced: SyncedChanges | undefined;
  /** As configured, as text for the working directory, and as bytes. */
  readonly watch: string;
  readonly cwd: string;
  readonly root: RelativePath;
  readonly deletes: boolean;
  readonly filterSpec: FilterSpec & { readonly roots: RuleRoots };
}

function createReplica(remote: RemoteConfig, given: RemoteSource, parts: Parts): Replica {
  const { config, events, clock, pool, journal } = parts;
  const { cwd, root, watch, deletes, guard, sourceNames, onLinked, synced, filterSpec } = given;
  if (pool === undefined) throw new Error('there is a remote, and nothing that runs rsync');
  const params = readParams(config.rsync.params);
  const { auth: commonAuth, filterRules = [], standby: hasStandby, ...rsync } = config.rsync;
  const { auth = commonAuth, ...address } = remote;
  const login = auth === undefined || auth === 'none' ? {} : { auth };
  const target: RemoteTarget = { ...rsync, ...address, ...login, params: params.kept };
  const name = remoteName(target);
  const { launcher, stateDirectory, release } = parts;
  const shared = shareConnection(target, {
    launcher,
    endsWithUs: endsWithService(launcher),
    stateDirectory,
    clock,
  });
  if (shared !== undefined) release.push(() => shared.master.close());
  const memory = new DeleteMemory(clock, () => {
    events.emit('remote:outdated', { remote: name, ...DELETES_BY_RULES });
  });
  const context = {
    rsync: parts.rsync,
    launcher,
    cwd,
    root,
    target: shared?.target ?? target,
    deletes,
    keepsNewer: params.keepsNewer,
    namesChanges: synced !== undefined,
    filter: { ...filterSpec, roots: { ...filterSpec.roots, receiver: modulePrefixOf(target) } },
    crontabPatterns: config.crontab?.excludes ?? [],
  };
  const percent = config.deleteLimitPercent;
  const standby = hasStandby ? standbyTerms(context.target, root, filterRules.length > 0) : undefined;
  const transport = pool.transport({ context, memory, guard, ...(standby === undefined ? {} : { standby }) });
  return new Replica({
    name,
    transport: shared?.master.around(transport) ?? transport,
    clock,
    random: Math.random,
    events,
    limits: { ...REPLICA_LIMITS, lanes: parts.lanes, pace: parts.pace },
    deletes,
    deleteLimit: percent === 'off' ? undefined : { percent, names: DELETE_LIMIT_NAMES },
    sourceNames,
    onLinked,
    ...(synced === undefined
      ? {}
      : {
          onLanded: (landing) => {
            synced.landed(landing);
          },
          onRemoving: (paths) => {
            synced.removing(paths);
          },
        }),
    journal,
    key: `remote ${name} of ${watch}`,
    fingerprint: JSON.stringify([
      params.kept,
      config.excludes,
      config.events,
      config.rsync.ssh,
      ...(config.dotfiles ? [] : ['no dotfiles']),
      ...filterRules,
    ]),
  });
}

function sourceReader(
  root: RelativePath,
  source: Source,
  filter: Filter,
  stateDirectory: string | undefined,
): SourceReader {
  return {
    look: () => {
      const identity = source.identity();
      return {
        identity,
        mounts: source.mountPoints(),
        isEmpty: identity === undefined || source.isEmpty(),
      };
    },
    present: () => readPresent({ root, filter }),
    kernelNow: () => (stateDirectory === undefined ? Date.now() : touchClock(joinPaths(stateDirectory, CLOCK_FILE))),
  };
}

/** What a new name is, from the disk: absolute path, bytes as in `RelativePath`. */
function inspect(path: RelativePath): 'missing' | 'file' | 'other' {
  try {
    const stats = lstatSync(toBytes(path));
    return stats.isFile() && stats.nlink === 1 ? 'file' : 'other';
  } catch {
    // Gone, or below what is no directory any more (ENOTDIR): it is looked at at once, and the run finds out.
    return 'missing';
  }
}

function* filesBelow(source: Source, directory: RelativePath): Generator<RelativePath> {
  for (const { path, isDirectory } of source.children(directory)) {
    if (isDirectory) yield* filesBelow(source, path);
    else yield path;
  }
}

/** Keeps `<failLog>` equal to what is failing now. */
function keepFailLog(replicators: readonly Replicator[], { config, events, clock, logger }: Parts): () => void {
  const failLog = new FailLog(config.failLog.path, { clock, logger });
  const write = (): void => {
    failLog.write(
      replicators.flatMap(({ root, replicas }) =>
        replicas.flatMap((replica) =>
          [...replica.failed()].map(({ path, failure }) => ({
            remote: replica.name,
            path,
            errno: failure.exitCode,
            ...commandFor(root, path, failure.command),
            reason: failure.reason,
          })),
        ),
      ),
    );
  };
  let cancelWrite: (() => void) | undefined;
  const writeSoon = (): void => {
    cancelWrite ??= clock.after(FAIL_LOG_AFTER_MS, () => {
      cancelWrite = undefined;
      write();
    });
  };
  events.on('path:failed', writeSoon);
  events.on('path:recovered', writeSoon);
  return () => {
    cancelWrite?.();
    if (cancelWrite !== undefined) write();
    failLog.flush();
  };
}

/** The command that brings one name over by hand, from any directory: the one that failed, with this name alone. */
function commandFor(
  root: string,
  path: RelativePath,
  command: readonly string[],
): { readonly command: readonly string[]; readonly input?: string } {
  const source = command.lastIndexOf(LIST_SOURCE);
  if (!command.includes(LIST_ON_STDIN[0] ?? '') || source < 0) return { command };
  return { command: command.with(source, root === '/' ? root : `${root}/`), input: `./${path}` };
}

/** What was opened, to be closed in reverse order. */
class Releases {
  readonly #releases: (() => void | Promise<void>)[] = [];

  push(release: () => void | Promise<void>): void {
    this.#releases.push(release);
  }

  /** Releases everything, whatever fails on the way, and throws the first failure at the end. */
  async all(): Promise<void> {
    const failures: unknown[] = [];
    for (let release = this.#releases.pop(); release !== undefined; release = this.#releases.pop()) {
      try {
        await release();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}
