/** Runs in a thread of the pool: carries out one task with one rsync and reports how it went. */
import { posix } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import type { MessagePort } from 'node:worker_threads';
import { createFilter, isFiltering, type Filter, type FilterSpec } from '../core/filter.js';
import {
  decode,
  display,
  isBelow,
  levelsBelow,
  parentOf,
  ROOT,
  toBytes,
  type RelativePath,
} from '../core/relative-path.js';
import { temporaryRules } from '../core/temporaries.js';
import { takePriority, type Priority } from '../thread-priority.js';
import {
  NO_RUN,
  type Again,
  type Complaint,
  type DeleteGuard,
  type Look,
  type Moved,
  type RunReport,
  type TransferTask,
} from '../replicate/ports.js';
import { holdBack, reasonToKeep, refusal, REPLACED } from './delete-guard.js';
import {
  canDeleteByRules,
  planDeletions,
  refusesMissingNames,
  type DeletesBy,
  type DeletionRun,
} from './delete-rules.js';
import { byDirectory, FullDirectories, unquietAmong, type DirectoryFound } from './full-directories.js';
import { ItemReader, type WhoHears } from './item-reader.js';
import { isLeftover, leftoverPlaces, partialDirOf } from './leftovers.js';
import { cameToItsEnd, mergeReports, wentThrough } from './merge-reports.js';
import {
  canResume,
  deletionArgs,
  deletionListArgs,
  entriesArgs,
  extrasArgs,
  leftoversArgs,
  modulePrefixOf,
  presentArgs,
  treesArgs,
  type RemoteTarget,
  type RunArgs,
  newerArgs,
  targetIn,
  withoutUpdate,
  relocationArgs,
} from './rsync-args.js';
import { relocationOf } from './relocation.js';
import { namesAsArguments } from './source-args.js';
import { startRsync, type WaitingRsync } from './rsync-process.js';
import { withRulesFile } from './rules-file.js';
import { ComplaintReader, OUT_FORMAT } from './rsync-output.js';
import { unpackTask, type PackedTask } from './packed-task.js';
import { SharedLooks, type LooksOfRun } from './shared-looks.js';
import { identify, Source, type RootIdentity } from './source.js';
import { listUnwanted, removeUnwanted, withoutObstructed, type RuleRuns } from './spare-excluded.js';
import { pinDirectory, Standby, type PinnedDirectory, type StandbyTerms } from './standby.js';
import {
  createLift,
  divide,
  ExtraNames,
  surveyAfter,
  surveyBackdated,
  surveyDoubtful,
  surveySent,
  surveyTrees,
  walk,
  within,
  EntriesSurveyor,
  type EntriesSurvey,
  type Extras,
  type Unwanted,
} from './survey.js';

/** All that a thread must know to serve one remote: plain data. */
export interface WorkerContext {
  readonly rsync: string;
  /** What starts rsync (launcher.ts): a command and its arguments, or nothing. */
  readonly launcher: readonly string[];
  /** The watched root as text, for the working directory, and as bytes. */
  readonly cwd: string;
  readonly root: RelativePath;
  readonly target: RemoteTarget;
  readonly deletes: boolean;
  /** What the remote is known to understand. */
  readonly deletesBy: DeletesBy;
  /** `-u` is among the params. */
  readonly keepsNewer: boolean;
  /** Somebody wants to know the names that have changed in directories (`RunReport.changed`). */
  readonly namesChanges?: boolean;
  readonly filter: FilterSpec;
  readonly crontabPatterns: readonly string[];
}

/** The same in the thread, for one task. */
interface Context extends WorkerContext {
  /** Aborted when the task is cancelled. */
  readonly signal: AbortSignal;
  /** The rsync that waits there for names to send. */
  readonly standby?: Standby;
  /** Takes the files that are sent, where it matters which. */
  readonly sent?: Set<RelativePath>;
}

export interface WorkerJob {
  readonly context: WorkerContext;
  /** Of the thread, from this task on. */
  readonly priority?: Priority;
  /** An rsync is kept ready in this thread, to be used by such tasks. */
  readonly standby?: StandbyTerms;
  readonly guard: DeleteGuard;
  readonly task: PackedTask;
  /** `cancel` comes in, progress goes out. */
  readonly port: MessagePort;
}

/** Runs of smaller files only are watched for silence from here (rsync-args.ts says why). */
const WATCHED_BELOW_BYTES = 8 * 1024 * 1024;
const SILENCE_MS = 30_000;
/** rsync(1): "Error in file I/O", such as a full disk. */
const BROKEN_FILE = 11;
/** rsync 3.5.0, of a file whose checksum is not that of what was sent, in a run that goes on to its end. */
const PUT_INTO_PARTIAL_DIR = 'failed verification -- update put into partial-dir';
/** In the directories of one run; where more is doubtful, all of a directory is compared by content. */
const MAX_DOUBTFUL = 10_000;
/** Of so many of them it is seen whether their times were set meanwhile. */
const BACKDATED_AT_MOST = 20_000;
/** ctimes come from a clock that lags by less than this. */
const TICK_MS = 20;
/** Names that are looked at in one turn of the event loop: some 1 ms. Directories that are counted: as much. */
const LOOKS_IN_A_TURN = 500;
const COUNTS_IN_A_TURN = 20;
/**
 * An rsync that waits reads its list byte by byte, a microsecond each (source-args.ts): for a longer one another rsync,
 * with the names as its arguments, is quicker from its start on. (200 names of 20 bytes: 19.4 ms by the one that waits, 21.5
 * by a new one; 500: 39.6 and 34.0.)
 */
const READY_AT_MOST_BYTES = 6 * 1024;
/**
 * So many names pay for a run that begins in the directory which the remote has, for full directories, and for what rsync
 * says of them in sum or in a file.
 */
const MANY_NAMES = 200;
/** rsync(1): "Errors selecting input/output files, dirs" and "Error in file I/O": what it says of a destination that is not there. */
const NO_DESTINATION = [3, 11];
/** A run that changes nothing. */
const LISTING: RunArgs = { deletes: false, compares: 'seconds', isWatched: false, rules: [], outFormat: OUT_FORMAT };
/** A run that sends what has changed and deletes nothing. */
const COPYING: RunArgs = { ...LISTING, compares: 'nanoseconds' };

// What has started this thread is urgent.
takePriority('ordinary');

/** Those that wait in one thread. */
const MAX_STANDBYS = 8;
/** Of this thread, by their keys. */
const standbys = new Map<string, Standby>();

/** What this thread knows of them, whichever remote they are sent to. */
const fullDirectories = new FullDirectories();
/** Of the runs for names in this thread. */
const sharedLooks = new SharedLooks();

/** Gives up the connection that is kept ready for a remote, for others need it. Resolves with whether there was one. */
export async function yieldStandby(key: string): Promise<boolean> {
  return (await standbys.get(key)?.yield()) ?? false;
}

/** Ends all that wait in this thread. */
export async function dropStandbys(): Promise<void> {
  await Promise.all([...standbys.values()].map((standby) => standby.drop()));
}

function standbyOn(terms: StandbyTerms): Standby {
  const standby = standbys.get(terms.key) ?? new Standby(terms);
  // In the order of their use.
  standbys.delete(terms.key);
  standbys.set(terms.key, standby);
  for (const unused of [...standbys.values()].slice(0, -MAX_STANDBYS)) void unused.drop();
  return standby;
}

export default async function carryOut(job: WorkerJob): Promise<RunReport> {
  if (job.priority !== undefined) takePriority(job.priority);
  const cancellation = new AbortController();
  job.port.once('message', () => {
    cancellation.abort();
  });
  const source = new Source(job.context.root);
  try {
    return await carryOutTask(job, source, cancellation.signal);
  } finally {
    source.unpin();
  }
}

async function carryOutTask(job: WorkerJob, source: Source, signal: AbortSignal): Promise<RunReport> {
  const { guard, port, standby } = job;
  const task = unpackTask(job.task);
  const plain: Context = { ...job.context, signal };
  const context: Context = {
    ...plain,
    ...(standby === undefined ? {} : { standby: standbyOn(standby) }),
    ...(job.context.keepsNewer && !(task.kind === 'trees' && task.resync) ? { sent: new Set() } : {}),
  };
  const refused = refusal(source);
  if (refused !== undefined) return { ...NO_RUN, exitCode: null, refused };
  switch (task.kind) {
    case 'entries':
      return sendWithTimes(plain, port, source, context.sent, () => sendEntries(context, guard, source, task, port));
    case 'trees':
      return sendWithTimes(plain, port, source, context.sent, () => sendTrees(context, guard, source, task, port));
    case 'extras':
      return listExtras(context, guard, source, task, port);
    case 'sweep':
      return sweep(context, guard, source, task, port);
    case 'newer':
      return listNewer(context, task, port);
    case 'divide':
      return { ...NO_RUN, again: divide(source, filterFor(context, task.crontab)) };
  }
}

/**
 * Many programs set the time of a file after they have closed it (git, unzip). Where rsync has read it in between, the
 * remote has the later time, and `-u` would keep that: so what was sent here is sent again without it.
 */
async function sendWithTimes(
  context: Context,
  port: MessagePort,
  source: Source,
  sent: ReadonlySet<RelativePath> | undefined,
  send: () => Promise<RunReport>,
): Promise<RunReport> {
  const sinceMs = Date.now() - TICK_MS;
  const report = await send();
  if (sent === undefined || sent.size === 0 || sent.size > BACKDATED_AT_MOST || !wentThrough(report)) return report;
  const names = new Map(surveyBackdated(source, sent, sinceMs).map((path) => [path, 'there'] as const));
  if (names.size === 0) return report;
  const resending = await sendNames(
    { ...context, target: withoutUpdate(context.target) },
    {
      names,
      runArgs: COPYING,
      run: (run) => runTask(context, port, { ...rsyncOf(run), isOurs: within(names) }),
    },
  );
  return mergeReports(report, resending);
}

/**
 * The names as they are; what is missing here is deleted there. What a comparison has found may be the crontab's finding, so
 * that what its patterns exclude stays in it; they say nothing of what was seen to go.
 */
async function sendEntries(
  context: Context,
  guard: DeleteGuard,
  source: Source,
  task: Extract<TransferTask, { kind: 'entries' }>,
  port: MessagePort,
): Promise<RunReport> {
  const { crontabPatterns: patterns, filter } = context;
  const isInferred = ({ path, gone }: Look): boolean => !gone && source.look(path).kind === 'missing';
  const inferred = new Set(patterns.length === 0 ? [] : task.looks.filter(isInferred));
  if (inferred.size === 0) return sendLooks(context, guard, source, task, port);

  const others = { ...task, looks: task.looks.filter((look) => !inferred.has(look)) };
  const first = others.looks.length === 0 ? NO_RUN : await sendLooks(context, guard, source, others, port);
  if (!wentThrough(first)) return first;
  const patient = { ...context, filter: { ...filter, patterns } };
  const second = await sendLooks(patient, guard, source, { ...task, looks: [...inferred] }, port);
  const held = [first, second].flatMap((report) => report.held ?? []);
  return {
    ...mergeReports(first, second),
    ...(held[0] === undefined ? {} : { held: { reason: held[0].reason, paths: held.flatMap(({ paths }) => paths) } }),
  };
}

async function sendLooks(
  context: Context,
  guard: DeleteGuard,
  source: Source,
  task: Extract<TransferTask, { kind: 'entries' }>,
  port: MessagePort,
): Promise<RunReport> {
  const looks = sharedLooks.begin(task.askedAt);
  try {
    return await sendLooked(context, guard, source, task, port, looks);
  } finally {
    looks.end();
  }
}

async function sendLooked(
  context: Context,
  guard: DeleteGuard,
  source: Source,
  task: Extract<TransferTask, { kind: 'entries' }>,
  port: MessagePort,
  looks: LooksOfRun,
): Promise<RunReport> {
  const filter = isFiltering(context.filter) ? createFilter(context.filter) : undefined;
  const survey = await surveyInTurns(source, task, filter, looks);
  const missing = missingOf(survey.names);
  const toDelete = [...missing, ...survey.unwanted.map(({ path }) => path)];
  // Also with nothing missing yet: what goes away before rsync looks is deleted there as well.
  const reason = reasonToKeep(guard, source);
  const deletes = context.deletes && reason === undefined;
  const held = context.deletes ? holdBack(toDelete, reason, guard, source) : undefined;
  const kept = new Set(held?.paths);
  // With deleting off a missing name asks for nothing.
  const names = without(survey.names, deletes ? missing.filter((path) => kept.has(path)) : missing);
  const unwanted = deletes ? survey.unwanted.filter(({ path }) => !kept.has(path)) : [];
  const { again, linked } = survey;
  const outcome = { linked, ...(held === undefined ? {} : { held }) };
  if (names.size + unwanted.length === 0) return { ...NO_RUN, ...outcome, again };

  const isWatched = survey.largest < WATCHED_BELOW_BYTES;
  const { sent } = context;
  // What is missing may be a directory of partial files, which rsync protects in a run that makes them.
  const isAllThere = [...names.values()].every((state) => state === 'there');
  const resumes = !isWatched && isAllThere;
  const mayBeFull = filter === undefined && isAllThere && reason === undefined && names.size >= MANY_NAMES;
  // What appears in a full directory before rsync goes through it must be no excluded name.
  const full = mayBeFull ? await fullAmong(source, names, looks) : NONE_FULL;
  const given: NamesToSend = {
    names,
    full,
    // Otherwise somebody must be told which of them were sent.
    ...(sent === undefined && context.namesChanges !== true ? { files: survey.files } : {}),
    ...(task.known === undefined ? {} : { known: task.known }),
    runArgs: {
      deletes,
      compares: survey.isDoubtful ? contentOf(survey.largest) : 'nanoseconds',
      isWatched,
      resumes,
      spares: filter !== undefined,
      rules: [],
      outFormat: OUT_FORMAT,
    },
    run: (run) =>
      runTask(context, port, {
        ...rsyncOf(run),
        isWatched,
        isOurs: within({ has: (path) => names.has(path) || full.has(path) }),
        ...(deletes || run.directory !== undefined || full.size > 0 ? { mustStandIn: guard.identity } : {}),
        namesChanges: context.namesChanges === true,
        ...(sent === undefined ? {} : { onSent: (path) => sent.add(path) }),
      }),
  };
  if (await bringOver(context, source, task, port)) return { ...NO_RUN, cancelled: true };
  const report =
    filter === undefined || !deletes
      ? await sendNames(context, given)
      : await sendSparing(context, filter, { ...given, unwanted, runs: ruleRuns(context, guard, port) });
  return {
    ...(resumes ? await dropParts(context, guard, source, report, port) : report),
    ...outcome,
    unsent: sent === undefined ? [] : survey.files.filter((path) => !sent.has(path)),
    again: [...again, ...surveyAfter(source, withMissing(names, unwanted)), ...report.again],
    unquiet: unquietAmong(full, source),
  };
}

/** Those that hold nothing but some of the names, all of which were there, as they are. */
async function fullAmong(source: Source, names: EntriesSurvey['names'], looks: LooksOfRun): Promise<FullOnes> {
  const full = new Map<RelativePath, DirectoryFound>();
  let counted = 0;
  for (const [directory, { length }] of byDirectory(names.keys())) {
    if (++counted % COUNTS_IN_A_TURN === 0) await setImmediate();
    const times = { seenMs: looks.seenMs(directory), nowMs: Date.now() };
    const found = fullDirectories.findFull(directory, length, source, times);
    if (found !== undefined) full.set(directory, found);
  }
  return full;
}

/** So that ten thousand names hold up other tasks of this thread for a moment only. */
async function surveyInTurns(
  source: Source,
  { looks, largeBytes }: Extract<TransferTask, { kind: 'entries' }>,
  filter: Filter | undefined,
  shared: LooksOfRun,
): Promise<EntriesSurvey> {
  source.pin();
  const survey = new EntriesSurveyor(source, largeBytes, filter, shared);
  for (const [index, look] of looks.entries()) {
    if (index > 0 && index % LOOKS_IN_A_TURN === 0) await setImmediate();
    survey.add(look);
  }
  return survey.result();
}

function missingOf(names: EntriesSurvey['names']): RelativePath[] {
  const missing: RelativePath[] = [];
  names.forEach((state, path) => {
    if (state === 'missing') missing.push(path);
  });
  return missing;
}

function without(names: EntriesSurvey['names'], dropped: readonly RelativePath[]): EntriesSurvey['names'] {
  if (dropped.length === 0) return names;
  const left = new Map(names);
  for (const path of dropped) left.delete(path);
  return left;
}

function withMissing(names: EntriesSurvey['names'], unwanted: readonly Unwanted[]): EntriesSurvey['names'] {
  const missing = unwanted.flatMap(({ path, isHere }) => (isHere ? [] : [[path, 'missing'] as const]));
  return missing.length === 0 ? names : new Map([...names, ...missing]);
}

/** Full directories, as they were found. */
type FullOnes = ReadonlyMap<RelativePath, DirectoryFound>;

const NONE_FULL: FullOnes = new Map();

interface NamesToSend {
  readonly names: ReadonlyMap<RelativePath, 'there' | 'missing'>;
  /** Directories of which all names are among those. */
  readonly full?: FullOnes;
  /** The ordinary files among them, where it need not be told which of them were sent. */
  readonly files?: readonly RelativePath[];
  /** A directory that the remote has: the run may begin there. */
  readonly known?: RelativePath;
  readonly runArgs: RunArgs;
  readonly run: (names: NamesRun) => Promise<RunReport>;
}

/** One rsync for names: they are among its arguments, or in a list on its standard input. */
interface NamesRun {
  readonly args: readonly string[];
  readonly list?: Buffer;
  readonly shownArgs?: readonly string[];
  readonly ready?: ReadyRsync;
  readonly directory?: RelativePath;
  readonly isHeardAtEnd?: boolean;
  readonly files?: readonly RelativePath[];
}

function rsyncOf({ list, ...run }: NamesRun): Omit<NamesRun, 'list'> & Pick<RsyncTask, 'input'> {
  return { ...run, input: list === undefined ? [] : [list] };
}

/** All in one run; where the remote refuses names that are missing, at once again in several that it understands. */
async function sendNames(context: Context, given: NamesToSend): Promise<RunReport> {
  const { target, deletesBy } = context;
  const { runArgs } = given;
  const canUseRules = runArgs.deletes && canDeleteByRules(target.params);
  if (deletesBy === 'rules' && canUseRules) return sendByRules(target, given);
  const report = await sendAll(context, given);
  return canUseRules && !report.cancelled && refusesMissingNames(report) ? sendByRules(target, given) : report;
}

async function sendAll(context: Context, given: NamesToSend): Promise<RunReport> {
  const { rsync, launcher, target, standby } = context;
  const { runArgs } = given;
  if (standby === undefined || !runArgs.isWatched || runArgs.compares !== 'nanoseconds') return sendCold(target, given);
  const asList = entriesArgs(target, runArgs);
  standby.hold();
  const readily = isShort(given.names.keys()) ? await sendReadily(context.root, standby, given, asList) : undefined;
  const report = readily ?? (await sendCold(target, given));
  const [program = rsync, ...args] = [...launcher, rsync, ...asList];
  if (cameToItsEnd(report)) standby.prepare({ purpose: purposeOf(asList), command: [program, ...args] });
  return report;
}

function isShort(paths: Iterable<RelativePath>): boolean {
  let bytes = 0;
  for (const path of paths) {
    bytes += path.length;
    if (bytes > READY_AT_MOST_BYTES) return false;
  }
  return true;
}

async function sendCold(target: RemoteTarget, given: NamesToSend): Promise<RunReport> {
  const { names, full = NONE_FULL, run } = given;
  const isByName = full.size === 0;
  const isLong = names.size >= MANY_NAMES;
  const files = isLong ? given.files : undefined;
  const runArgs = files === undefined ? given.runArgs : { ...given.runArgs, outFormat: undefined, counts: true };
  const argsFor = (there: RemoteTarget, asArguments?: readonly string[]): string[] =>
    isByName
      ? entriesArgs(there, { ...runArgs, names: asArguments })
      : presentArgs(there, { ...runArgs, rules: temporaryRules(), names: asArguments });
  const cold: ColdNames = {
    ...given,
    paths: [...contentsOf(full.keys()), ...[...names.keys()].filter((path) => isByName || !full.has(parentOf(path)))],
    argsFor,
    run: (names) => run({ ...names, ...(files === undefined ? { isHeardAtEnd: isLong } : { files }) }),
  };
  const fromTop = (asArguments?: readonly string[]): string[] => argsFor(target, asArguments);
  return (await sendFromKnown(target, cold)) ?? giveNames(cold.paths, fromTop, cold.run);
}

/** Names for an rsync of their own. */
interface ColdNames extends Pick<NamesToSend, 'names' | 'known' | 'run'> {
  /** As they are given to rsync: of a directory with a slash at its end the content. */
  readonly paths: readonly string[];
  readonly argsFor: (there: RemoteTarget, asArguments?: readonly string[]) => readonly string[];
}

function contentsOf(directories: Iterable<RelativePath>): string[] {
  return [...directories].map((path) => (path === ROOT ? ROOT : `${path}/`));
}

/**
 * By an rsync that begins in the directory which the remote is known to have. Undefined where that does not pay or cannot
 * be, and where one of the two has no such directory after all: then all of it is to be sent from the top.
 */
async function sendFromKnown(
  target: RemoteTarget,
  { names, paths, known, argsFor, run }: ColdNames,
): Promise<RunReport | undefined> {
  if (known === undefined || names.size < MANY_NAMES) return undefined;
  const there = targetIn(target, known);
  // A missing directory is named instead of all that was in it.
  if (there === undefined || !paths.every((path) => isBelow(path, known))) return undefined;
  const asArguments = namesAsArguments(paths.map((path) => path.slice(known.length + 1)));
  if (asArguments === undefined) return undefined;
  const report = await run({
    args: argsFor(there, asArguments),
    shownArgs: argsFor(there),
    directory: known,
  });
  const cameToNames = report.filesSent > 0 || report.complaints.length > 0;
  const isMissingThere = report.exitCode !== null && NO_DESTINATION.includes(report.exitCode) && !cameToNames;
  const isMissingHere = report.spawnError !== undefined || report.refused !== undefined;
  return isMissingThere || isMissingHere ? undefined : report;
}

/** One run for the names: among its arguments where they can stand there, else in a list on standard input. */
async function giveNames(
  paths: Iterable<string>,
  argsFor: (names?: readonly string[]) => readonly string[],
  run: (given: NamesRun) => Promise<RunReport>,
): Promise<RunReport> {
  const asList = argsFor();
  const all = [...paths];
  const asArguments = namesAsArguments(all);
  if (asArguments !== undefined) {
    const report = await run({ args: argsFor(asArguments), shownArgs: asList });
    if (report.spawnError?.includes('E2BIG') !== true) return report;
  }
  return run({ args: asList, list: nameList(all) });
}

/**
 * By the rsync that waits. Undefined where none does, or where its connection had ended meanwhile: that is no failure, and
 * as nothing is known to have arrived, all of it is to be sent.
 */
async function sendReadily(
  root: RelativePath,
  standby: Standby,
  { names, run }: NamesToSend,
  asList: readonly string[],
): Promise<RunReport | undefined> {
  const rsync = standby.take(purposeOf(asList));
  if (rsync === undefined) return undefined;
  const directory = pinDirectory(root);
  if (directory === undefined) {
    await rsync.release(0);
    return undefined;
  }
  try {
    const list = nameList(names.keys(), `${directory.name}/./`);
    const report = await run({ args: asList, list, ready: { rsync, directory } });
    return cameToItsEnd(report) || report.cancelled || report.refused !== undefined ? report : undefined;
  } finally {
    directory.close();
  }
}

function purposeOf(args: readonly string[]): string {
  return args.join('\0');
}

interface NamesToSpare extends NamesToSend {
  readonly unwanted: readonly Unwanted[];
  readonly runs: RuleRuns;
}

/**
 * The same where excluded names stay on the remote: a directory that holds something is not deleted for a name at once, but
 * what the filter lets go in it. Where that was in the way of a file, the file goes again.
 */
async function sendSparing(context: Context, filter: Filter, given: NamesToSpare): Promise<RunReport> {
  const { target } = context;
  const { names, runs } = given;
  const canUseRules = canDeleteByRules(target.params);
  const { report: sending, isByRules } = await sendWithoutForce(context, given);
  if (!wentThrough(sending)) return sending;

  const obstructed = new Set(
    sending.complaints.flatMap(({ kind, path }) => (kind === 'obstructed' ? (path ?? []) : [])),
  );
  const left = new Map<RelativePath, Unwanted>();
  for (const path of isByRules ? [...names.keys(), ...obstructed] : obstructed) {
    const state = names.get(path);
    if (state === 'missing' || (state === 'there' && obstructed.has(path)))
      left.set(path, { path, isHere: state === 'there', isInTheWay: state === 'there' });
  }
  const unwanted = [...left.values(), ...given.unwanted];
  if (unwanted.length === 0) return sending;
  if (!canUseRules) return stuck(sending, left, 'with --iconv it cannot be told what of it may be deleted');

  const { report: removing, spared } = await removeUnwanted(unwanted, filter, runs);
  let report = mergeReports(withoutObstructed(sending, left), removing);
  const there = new Map([...left].flatMap(([path, { isHere }]) => (isHere ? [[path, 'there'] as const] : [])));
  const isFree = (path: RelativePath): boolean => !spared.has(path);
  const again = new Map([...there].filter(([path]) => isFree(path)));
  if (again.size > 0 && wentThrough(report))
    report = mergeReports(report, await sendAll(context, { ...given, names: again }));
  return stuck(report, new Map([...there].filter(([path]) => !isFree(path))), 'it holds names that are excluded');
}

async function sendWithoutForce(
  context: Context,
  given: NamesToSend,
): Promise<{ report: RunReport; isByRules: boolean }> {
  const { target, deletesBy } = context;
  const { names, runArgs, run } = given;
  const canUseRules = canDeleteByRules(target.params);
  if (names.size === 0) return { report: NO_RUN, isByRules: false };
  if (deletesBy !== 'rules' || !canUseRules) {
    const report = await sendAll(context, given);
    if (!canUseRules || report.cancelled || !refusesMissingNames(report)) return { report, isByRules: false };
  }
  const there = [...names].flatMap(([path, state]) => (state === 'there' ? [path] : []));
  const report: RunReport = { ...NO_RUN, deletesBy: 'rules' };
  if (there.length === 0) return { report, isByRules: true };
  const sending = await run({ args: presentArgs(target, runArgs), list: nameList(there) });
  return { report: mergeReports(report, sending), isByRules: true };
}

function stuck(report: RunReport, names: ReadonlyMap<RelativePath, unknown>, reason: string): RunReport {
  if (names.size === 0) return report;
  const { complaints, ...others } = withoutObstructed(report, names);
  const stuckThere = [...names.keys()].map((path) => ({
    path,
    kind: 'kept' as const,
    text: `the directory ${display(path)} stays on the remote: ${reason}`,
  }));
  return { ...others, complaints: [...complaints, ...stuckThere] };
}

/** Deletions by rules, and the question what they would delete. */
function ruleRuns(context: Context, guard: DeleteGuard, port: MessagePort): RuleRuns {
  const { target } = context;
  const start = (run: DeletionRun, args: (file: string) => string[], more: Partial<RsyncTask>): Promise<RunReport> =>
    withRulesFile(run.rules, (file) =>
      runTask(context, port, {
        args: args(file),
        input: [run.list],
        isOurs: within(new Set(run.names)),
        ...more,
      }),
    );
  return {
    list: (run, onExtra) => start(run, (file) => deletionListArgs(target, LISTING, file), { onExtra }),
    remove: (run) => start(run, (file) => deletionArgs(target, LISTING, file), { mustStandIn: guard.identity }),
  };
}

/** First the names that are there, then the deletions, which never name what is missing. */
async function sendByRules(target: RemoteTarget, { names, runArgs, run }: NamesToSend): Promise<RunReport> {
  const pathsOf = (wanted: string): RelativePath[] =>
    [...names].flatMap(([path, state]) => (state === wanted ? [path] : []));
  const { runs, tooLong } = planDeletions(pathsOf('missing'));
  const there = pathsOf('there');
  const complaints = tooLong.map((path) => ({
    path,
    kind: 'lost' as const,
    text: 'its name is too long for the rules by which this remote is told what to delete: update rsync there',
  }));
  let report: RunReport = { ...NO_RUN, complaints, deletesBy: 'rules' };
  if (there.length > 0)
    report = mergeReports(report, await run({ args: presentArgs(target, runArgs), list: nameList(there) }));
  for (const { list, rules } of runs) {
    if (!wentThrough(report)) break;
    const deletion = await withRulesFile(rules, (file) => run({ args: deletionArgs(target, runArgs, file), list }));
    report = mergeReports(report, deletion);
  }
  return report;
}

/** A file that the remote has no room for must not keep what room there was: other files need it. */
async function dropParts(
  context: Context,
  guard: DeleteGuard,
  source: Source,
  report: RunReport,
  port: MessagePort,
): Promise<RunReport> {
  if (report.exitCode !== BROKEN_FILE || report.cancelled || !canResume(context.target.params)) return report;
  const lost = report.complaints.flatMap(({ path, kind }) => (kind === 'lost' ? (path ?? []) : []));
  return mergeReports(report, await removeLeftovers(context, guard, source, lost.map(partialDirOf), port));
}

/** Lists what runs that broke off have left, and removes it. */
async function sweep(
  context: Context,
  guard: DeleteGuard,
  source: Source,
  task: Extract<TransferTask, { kind: 'sweep' }>,
  port: MessagePort,
): Promise<RunReport> {
  const places = leftoverPlaces(source, task.looks);
  const filter = filterFor(context, false);
  const found = new Set<RelativePath>();
  let report = NO_RUN;
  for (const scope of ['subtree', 'listing'] as const) {
    const directories = places.directories.filter((look) => look.scope === scope);
    if (directories.length === 0 || !wentThrough(report)) continue;
    const listing = await runInDirectories(context, port, directories, {
      argsFor: (isRecursive, names) => leftoversArgs(context.target, isRecursive, { ...LISTING, names }),
      onExtra: (path, isDirectory) => {
        if (filter.isExcluded(parentOf(path), true)) return;
        if (isLeftover(source, places, path, isDirectory)) found.add(path);
      },
    });
    report = mergeReports(report, listing);
  }
  if (!wentThrough(report)) return report;
  return mergeReports(report, await removeLeftovers(context, guard, source, [...found], port));
}

/** Removes names that we have put there ourselves, so whatever `<delete>` says. */
async function removeLeftovers(
  context: Context,
  guard: DeleteGuard,
  source: Source,
  paths: readonly RelativePath[],
  port: MessagePort,
): Promise<RunReport> {
  const missing = paths.filter((path) => source.look(path).kind === 'missing');
  const held = holdBack(missing, reasonToKeep(guard, source), guard, source);
  const kept = new Set(held?.paths);
  const names = new Map(missing.filter((path) => !kept.has(path)).map((path) => [path, 'missing'] as const));
  const outcome = held === undefined ? {} : { held };
  if (names.size === 0) return { ...NO_RUN, ...outcome };
  const isOurs = within(names);
  const report = await sendNames(context, {
    names,
    runArgs: { deletes: true, compares: 'seconds', isWatched: true, rules: [], outFormat: OUT_FORMAT },
    run: (names) =>
      runTask(context, port, {
        ...rsyncOf(names),
        isWatched: true,
        isOurs,
        mustStandIn: guard.identity,
      }),
  });
  return { ...report, ...outcome, extras: [...names.keys()] };
}

/** Which of the files are newer on the remote, so that `-u` keeps them there. */
async function listNewer(
  context: Context,
  task: Extract<TransferTask, { kind: 'newer' }>,
  port: MessagePort,
): Promise<RunReport> {
  const newer: RelativePath[] = [];
  const paths = task.looks.map(({ path }) => path);
  const report = await runTask(context, port, {
    args: newerArgs(context.target, { ...LISTING, isWatched: true }),
    isWatched: true,
    input: [nameList(paths)],
    isOurs: within(new Set(paths)),
    onSent: (path) => newer.push(path),
  });
  return { ...report, newer, cutOff: [] };
}

/** The directories with what is in them. */
async function sendTrees(
  context: Context,
  guard: DeleteGuard,
  source: Source,
  task: Extract<TransferTask, { kind: 'trees' }>,
  port: MessagePort,
): Promise<RunReport> {
  const { directories, doubtful, again } = surveyTrees(source, looksOf(context, task), filterFor(context, false));
  if (directories.length === 0) return { ...NO_RUN, again };

  const created: RelativePath[] = [];
  // A full resync takes every directory, and would compare all content of those that were moved in since they were made.
  const { groups, inside, linked, largest } = task.resync
    ? {
        groups: [{ compares: 'seconds', looks: directories }] as const,
        inside: new Map() satisfies Doubtful,
        linked: [],
        largest: Infinity,
      }
    : sortByDoubt(source, filterFor(context, task.crontab), directories, doubtful);
  if (await bringOver(context, source, task, port)) return { ...NO_RUN, cancelled: true };
  let report = NO_RUN;
  for (const { looks, compares } of groups) {
    if (looks.length === 0 || !wentThrough(report)) continue;
    const directoriesToSend = { looks, largest, compares, crontab: task.crontab, created, doubtful: inside };
    report = mergeReports(report, await sendDirectories(context, source, directoriesToSend, port));
  }
  return {
    ...(await dropParts(context, guard, source, report, port)),
    // Then what is extra must be asked for.
    extraneous: isWalked(context, task.crontab) && context.deletes ? 1 : report.extraneous,
    again: [...again, ...surveySent(source, created), ...compareByContent(inside), ...report.again],
    linked,
  };
}

/**
 * Has the remote take what was moved from where it has it. How that ends is no matter: all of it is sent and compared
 * afterwards, like anything else, and what is there by then costs nothing. Resolves with whether it was cancelled.
 */
async function bringOver(
  context: Context,
  source: Source,
  { moved = [] }: { readonly moved?: readonly Moved[] },
  port: MessagePort,
): Promise<boolean> {
  if (moved.length === 0) return false;
  const filter = filterFor(context, false);
  const places = moved.flatMap((each) => relocationOf(each, source, filter) ?? []);
  const standing = await sendDirectoriesAlone(context, new Set(places.map(({ directory }) => directory)), port);
  if (!wentThrough(standing)) return standing.cancelled;
  for (const place of places) {
    const report = await runTask(context, port, {
      args: relocationArgs(context.target, COPYING, place),
      input: place.file === undefined ? nameLists(namesIn(place.directory, source, filter)) : [],
      isOurs: within(new Set([place.directory])),
    });
    if (report.cancelled) return true;
  }
  return false;
}

/** What the filter lets through in the directory, relative to it: rules that are anchored would mean another place there. */
function* namesIn(directory: RelativePath, source: Source, filter: Filter): Generator<RelativePath[]> {
  const look = { path: directory, scope: 'subtree', gone: false, since: 0 } as const;
  for (const names of walk(source, filter, [look], () => undefined)) {
    yield names.flatMap((path) => (path === directory ? [] : [path.slice(directory.length + 1)]));
  }
}

/** Where the remote has a link at the place of a directory, rsync would write to where that leads. */
async function sendDirectoriesAlone(
  context: Context,
  directories: ReadonlySet<RelativePath>,
  port: MessagePort,
): Promise<RunReport> {
  const paths = [...directories].filter((path) => path !== ROOT);
  if (paths.length === 0) return NO_RUN;
  return sendNames(context, {
    names: new Map(paths.map((path) => [path, 'there'])),
    runArgs: { ...COPYING, isWatched: true },
    run: (names) => runTask(context, port, { ...rsyncOf(names), isWatched: true, isOurs: within(directories) }),
  });
}

/** Places that must be compared by content, and how deep. */
type Doubtful = Map<RelativePath, 'entry' | 'subtree'>;

interface SortedByDoubt {
  readonly groups: readonly Pick<DirectoriesToSend, 'looks' | 'compares'>[];
  /** What is doubtful in the directories that are compared by time. */
  readonly inside: Doubtful;
  /** Inodes of the files with several names. */
  readonly linked: readonly number[];
  /** Bytes of the largest file; `Infinity` where not all of them were looked at. */
  readonly largest: number;
}

/** `moved`: the directories that may have been moved in, with children of any age. */
function sortByDoubt(
  source: Source,
  filter: Filter,
  directories: readonly Look[],
  moved: ReadonlySet<Look>,
): SortedByDoubt {
  const looks = { nanoseconds: [] as Look[], checksum: [] as Look[], content: [] as Look[] };
  const inside: Doubtful = new Map();
  const linked: number[] = [];
  let largestOfAll = 0;
  for (const look of directories) {
    if (moved.has(look)) {
      looks.content.push(look);
      largestOfAll = Infinity;
      continue;
    }
    const { doubtful, isMany, largest, ...survey } = surveyDoubtful(source, filter, look, MAX_DOUBTFUL - inside.size);
    linked.push(...survey.linked);
    largestOfAll = Math.max(largestOfAll, largest);
    if (isMany) looks[contentOf(largest)].push(look);
    else {
      looks.nanoseconds.push(look);
      for (const [path, scope] of doubtful) inside.set(path, scope);
    }
  }
  const compares = ['nanoseconds', 'checksum', 'content'] as const;
  const groups = compares.map((how) => ({ compares: how, looks: looks[how] }));
  return { groups, inside, linked, largest: largestOfAll };
}

/** How content is compared where no file is larger than that: see `RunArgs`. */
function contentOf(largest: number): 'checksum' | 'content' {
  return largest < WATCHED_BELOW_BYTES ? 'checksum' : 'content';
}

function compareByContent(doubtful: Doubtful): Again[] {
  return [...doubtful].map(([path, scope]) => ({ path, scope, gone: false, because: 'doubtful' }));
}

interface DirectoriesToSend extends Pick<RunArgs, 'compares'> {
  readonly looks: readonly Look[];
  /** Bytes of the largest file in them; `Infinity` where it is not known. */
  readonly largest: number;
  readonly crontab: boolean;
  /** Takes the names that are new on the remote. */
  readonly created: RelativePath[];
  /** Loses what was sent whole. */
  readonly doubtful: Doubtful;
}

async function sendDirectories(
  context: Context,
  source: Source,
  { looks, largest, compares, crontab, created, doubtful }: DirectoriesToSend,
  port: MessagePort,
): Promise<RunReport> {
  const { sent } = context;
  const runArgs = {
    deletes: context.deletes,
    compares,
    isWatched: false,
    // Of each file the remote sees whether there is a part of it: an eighth of the time that 10,000 files of 1 KB take.
    resumes: largest >= WATCHED_BELOW_BYTES,
    counts: true,
    rules: rulesFor(context, crontab),
    outFormat: OUT_FORMAT,
  };
  const unreadable: Complaint[] = [];
  const noteUnreadable = (path: RelativePath, error: string): void => {
    unreadable.push({ path, kind: 'lost', text: `the directory ${display(path)} cannot be read: ${error}` });
  };
  const told = {
    onlyCompares: true,
    onSent: (path: RelativePath) => {
      if (sent !== undefined && sent.size <= BACKDATED_AT_MOST) sent.add(path);
      doubtful.delete(path);
    },
    onCreated: (path: RelativePath) => {
      created.push(path);
      doubtful.delete(path);
    },
    namesChanges: context.namesChanges === true,
  };
  const report = await (isWalked(context, crontab)
    ? runTask(context, port, {
        ...told,
        args: entriesArgs(context.target, { ...runArgs, deletes: false }),
        input: nameLists(walk(source, filterFor(context, crontab), looks, noteUnreadable)),
        isOurs: withinLooks(looks),
      })
    : runInDirectories(context, port, looks, {
        ...told,
        argsFor: (isRecursive, names) => treesArgs(context.target, isRecursive, { ...runArgs, names }),
      }));
  if (unreadable.length === 0) return report;
  return { ...report, unreadable: true, complaints: [...report.complaints, ...unreadable] };
}

/**
 * rsync knows nothing of regular expressions: with a filter the walk is ours. So it is with patterns beside rules of the
 * params: of two lists in one the first would decide, and may let through what the other excludes.
 */
function isWalked({ filter, crontabPatterns }: WorkerContext, crontab: boolean): boolean {
  return filter.excludes.length > 0 || (crontab && crontabPatterns.length > 0 && hasRules(filter));
}

function hasRules({ rules = [] }: FilterSpec): boolean {
  return rules.length > 0;
}

/** Without what the crontab's patterns exclude. */
function looksOf(
  { crontabPatterns }: WorkerContext,
  { looks, crontab }: { readonly looks: readonly Look[]; readonly crontab: boolean },
): readonly Look[] {
  if (!crontab || crontabPatterns.length === 0) return looks;
  const filter = createFilter({ excludes: [], patterns: crontabPatterns });
  return looks.filter(({ path }) => !filter.isExcluded(path, true));
}

/** What only the remote has in the directories, through the filter. */
async function listExtras(
  context: Context,
  guard: DeleteGuard,
  source: Source,
  task: Extract<TransferTask, { kind: 'extras' }>,
  port: MessagePort,
): Promise<RunReport> {
  const { directories, again } = surveyTrees(source, looksOf(context, task), filterFor(context, false));
  if (directories.length === 0) return { ...NO_RUN, again };

  const filter = filterFor(context, task.crontab);
  // rsync heeds the rules of the params by itself in this.
  const found = new ExtraNames(filterFor({ ...context, filter: { ...context.filter, rules: [] } }, task.crontab));
  const runArgs = { ...LISTING, counts: true, rules: rulesFor(context, task.crontab) };
  const report = await runInDirectories(context, port, directories, {
    argsFor: (isRecursive, names) => extrasArgs(context.target, isRecursive, { ...runArgs, names }),
    onExtra: (path, isDirectory) => {
      found.add(path, isDirectory);
    },
  });
  if (!wentThrough(report)) return { ...report, again: [...again, ...report.again] };
  const { names, count } = found.result();
  const inside = hasRules(context.filter)
    ? await lookWithin(context, guard, source, { names, filter }, port)
    : undefined;
  const extras = inside?.names ?? names;
  // The names are told all the same: a person sees what would go.
  const held = holdBack(extras, reasonToKeep(guard, source), guard, source);
  return {
    ...(inside === undefined ? report : mergeReports(report, inside.report)),
    ...(held === undefined ? {} : { held }),
    names: report.names,
    extraneous: inside?.count ?? count,
    extras,
    again: [...again, ...report.again],
  };
}

/**
 * What goes of names that only the remote has, where the params have rules: rsync names a directory in a deleted one also
 * when a rule protects something in it (3.5.0, with -n), so the directories are looked into again, without their rules.
 */
async function lookWithin(
  context: Context,
  guard: DeleteGuard,
  source: Source,
  { names, filter }: { readonly names: readonly RelativePath[]; readonly filter: Filter },
  port: MessagePort,
): Promise<(Pick<Extras, 'names' | 'count'> & { report: RunReport }) | undefined> {
  if (names.length === 0 || !canDeleteByRules(context.target.params)) return undefined;
  const lift = createLift(source, filter);
  const places = [...new Set(names.map(lift))].map((path) => ({ path, isHere: source.look(path).kind !== 'missing' }));
  const { report, extras } = await listUnwanted(places, filter, ruleRuns(context, guard, port));
  return { ...extras, report };
}

function filterFor({ filter, crontabPatterns }: WorkerContext, crontab: boolean): Filter {
  return createFilter({ ...filter, patterns: crontab ? crontabPatterns : [] });
}

function rulesFor(context: WorkerContext, crontab: boolean): string[] {
  const isTheirs = crontab && !isWalked(context, crontab);
  const patterns = isTheirs ? context.crontabPatterns.map((pattern) => `--exclude=${pattern}`) : [];
  return [...patterns, ...temporaryRules()];
}

function withinLooks(looks: readonly Look[]): (path: RelativePath) => boolean {
  return within(new Set(looks.map(({ path }) => path)));
}

/** A list for `--files-from=- --from0`. `./` before each name: one that begins with `#` or `;` would be a comment. */
function nameList(paths: Iterable<RelativePath>, before = './'): Buffer {
  let list = '';
  for (const path of paths) list += `${before}${path}\0`;
  return toBytes(list);
}

/** One rsync for what is in the directories of some looks, which are all of one scope. */
function runInDirectories(
  context: Context,
  port: MessagePort,
  looks: readonly Look[],
  { argsFor, ...task }: DirectoriesTask,
): Promise<RunReport> {
  const isRecursive = looks[0]?.scope === 'subtree';
  return giveNames(
    contentsOf(looks.map(({ path }) => path)),
    (names) => argsFor(isRecursive, names),
    (given) => runTask(context, port, { ...task, ...rsyncOf(given), isOurs: withinLooks(looks) }),
  );
}

function* nameLists(chunks: Iterable<RelativePath[]>): Generator<Buffer> {
  for (const paths of chunks) yield nameList(paths);
}

/**
 * A file that changed while it was sent is no use as it arrived: with `--partial-dir` it waits there for the next try. rsync
 * makes one itself, and leaves the part when the file is gone by then (3.5.0; it says "discarded" all the same).
 */
function partsKept(complaints: readonly Complaint[], sentTwice: readonly RelativePath[]): RelativePath[] {
  const kept = complaints.flatMap(({ path, text }) =>
    path !== undefined && text.includes(PUT_INTO_PARTIAL_DIR) ? [path] : [],
  );
  return [...kept, ...sentTwice];
}

/** An rsync that has waited, and the directory that it was told of. */
interface ReadyRsync {
  readonly rsync: WaitingRsync;
  readonly directory: PinnedDirectory;
}

interface RsyncTask extends WhoHears {
  readonly args: readonly string[];
  /** What the log shows instead: thousands of names tell nobody anything. */
  readonly shownArgs?: readonly string[];
  readonly input: Iterable<Buffer>;
  /** What carries it out, instead of an rsync that is started for it. */
  readonly ready?: ReadyRsync;
  /** Where it begins, on both sides: its names are relative to that. Default: the root. */
  readonly directory?: RelativePath;
  /** What it says of its names is wanted when it has ended. */
  readonly isHeardAtEnd?: boolean;
  /** The files that it may send, where it does not say which it sends. */
  readonly files?: readonly RelativePath[];
  /** Whether a path that rsync names can be one that it was given. */
  readonly isOurs: (path: RelativePath) => boolean;
  /** It deletes nothing, and says whether something is extra. */
  readonly onlyCompares?: boolean;
  /** rsync is given no timeout: whether it moves is watched from here. */
  readonly isWatched?: boolean;
  /** The directory in which rsync must stand, because what it does not find there it deletes. */
  readonly mustStandIn?: RootIdentity;
}

interface DirectoriesTask extends Omit<RsyncTask, 'args' | 'shownArgs' | 'input' | 'isOurs'> {
  /** `names`: they stand among the arguments. */
  readonly argsFor: (isRecursive: boolean, names?: readonly string[]) => readonly string[];
}

async function runTask(
  { rsync, launcher, cwd, root, target, signal }: Context,
  port: MessagePort,
  {
    args,
    shownArgs = args,
    input,
    ready,
    directory = ROOT,
    isHeardAtEnd = false,
    files,
    isOurs,
    onlyCompares = false,
    isWatched = false,
    mustStandIn,
    ...told
  }: RsyncTask,
): Promise<RunReport> {
  if (signal.aborted) {
    await ready?.rsync.release(0);
    return { ...NO_RUN, cancelled: true };
  }
  const startedAt = performance.now();
  const [program = rsync, ...programArgs] = [...launcher, rsync, ...args];
  const process =
    ready?.rsync ??
    startRsync({ command: [program, ...programArgs], cwd: posix.join(cwd, decode(directory)), isHeardAtEnd });
  const source = new Source(root);
  const items = new ItemReader(directory, told, (progress) => {
    port.postMessage(progress);
  });
  const complaints = new ComplaintReader({
    sourceRoot: root,
    modulePrefix: modulePrefixOf(target),
    directory,
    isOurs,
    exists: (path) => source.look(path).kind !== 'missing',
    onlyCompares,
  });

  // What it knows by another name people know by this one.
  const complain = (line: string): void => {
    complaints.read(ready === undefined ? line : line.replaceAll(ready.directory.path, root));
  };
  // It looks at its names by paths relative to where it stands, or to a directory that is held open: so a root that is
  // unmounted or replaced from here on is still the one that it looks at.
  const place = ready?.directory.path ?? `/proc/${process.pid ?? 0}/cwd`;
  const standsIn = process.pid === undefined ? undefined : identify(`${place}/${upFrom(directory)}.`);
  const isAstray = mustStandIn !== undefined && standsIn !== undefined && standsIn !== mustStandIn;

  const run = process.feed({
    input: isAstray ? [] : input,
    ...(isWatched ? { silenceMs: SILENCE_MS } : {}),
    onLine(line) {
      // Some complaints come on standard output: "cannot delete non-empty directory: x" (3.5.0).
      if (!items.read(line)) complain(line);
    },
    onErrorLine: complain,
  });
  if (isAstray) run.cancel();
  const cancel = (): void => {
    run.cancel();
  };
  signal.addEventListener('abort', cancel);
  const exit = await run.done;
  signal.removeEventListener('abort', cancel);
  const { sentTwice, hasBegun, filesSent, bytesSent, ...said } = complaints.result();
  const sent = files === undefined ? items : { filesSent, bytesSent };
  const sentLast = files ?? items.sentLast();
  const hasBrokenOff = !cameToItsEnd(exit) && (files === undefined || hasBegun);
  return {
    ...NO_RUN,
    ...exit,
    ...(isAstray ? { refused: REPLACED } : {}),
    cancelled: signal.aborted,
    ...said,
    changed: items.changed,
    unnamed: items.unnamed,
    cutOff: [...(hasBrokenOff ? sentLast : []), ...partsKept(said.complaints, sentTwice)],
    filesSent: sent.filesSent,
    bytesSent: sent.bytesSent,
    durationMs: performance.now() - startedAt,
    command: [rsync, ...shownArgs],
  };
}

/** The way up from there to the root: where that is elsewhere, one of the directories on the way is a link now. */
function upFrom(directory: RelativePath): string {
  return directory === ROOT ? '' : '../'.repeat(levelsBelow(directory, ROOT));
}
