/**
 * The arguments of every rsync that is run: the user's params first, then what a run needs, which wins. No shell is ever
 * involved. Behaviour checked with rsync 3.5.0; the options exist since 3.1.0 (rsync(1)).
 */

import { posix } from 'node:path';
import { decode, fromText, isPlain, ROOT, type RelativePath } from '../core/relative-path.js';
import { takeOut, takeOutOurs } from '../core/rsync-params.js';

/** One remote and the way to it: plain data, sent to the worker threads. */
export interface RemoteTarget {
  readonly ip: string;
  /** `module`, `module/sub/dir`, or with ssh a path. */
  readonly name: string;
  readonly ssh: boolean;
  readonly port?: number;
  readonly auth?: { readonly users: string; readonly passwordFile: string };
  readonly timeoutSeconds?: number;
  /** With ssh: the socket of a connection that runs share, where there is one (ssh-master.ts). */
  readonly controlPath?: string;
  /** `commonParams` as `readParams` leaves them. */
  readonly params: readonly string[];
}

/** Seconds without I/O after which a run is given up where `<timeout>` is off: a silent remote must not hold a lane for ever. */
const DEFAULT_TIMEOUT_SECONDS = 120;
const CONNECT_TIMEOUT_SECONDS = 10;

/** rsync puts these rules behind all others, also behind ours, which let every directory through. */
const CVS = /^--cvs-exclude$/;
const CVS_FLAG = /C/g;
const CVS_RULES = ['--filter=:C', '--filter=-C'];
const UPDATE = /^--update$/;
const UPDATE_FLAG = /u/g;

export interface Params {
  /** What is handed to rsync. */
  readonly kept: readonly string[];
  /** What is left out, because the service decides it. */
  readonly dropped: readonly string[];
  /** The params ask for deleting, whatever `<delete>` says. */
  readonly deletes: boolean;
  /** `-u`: a file that is newer on the remote stays there. */
  readonly keepsNewer: boolean;
}

/** Sorts the words of `commonParams` into what rsync gets and what the service decides itself. */
export function readParams(words: readonly string[]): Params {
  const { kept: all, dropped } = takeOutOurs(words);
  const { kept, dropped: cvs } = takeOut(all, CVS, CVS_FLAG);
  return {
    kept: cvs.length > 0 ? [...kept, ...CVS_RULES] : kept,
    dropped,
    deletes: dropped.some((word) => word.startsWith('--del')),
    keepsNewer: takeOut(kept, UPDATE, UPDATE_FLAG).dropped.length > 0,
  };
}

export interface RunArgs {
  readonly deletes: boolean;
  /**
   * How rsync tells that a file of the same size is the same: by its time; by a checksum, which both sides work out
   * before anything is sent, silently, so that it is for small files; or not at all: then it is sent by the delta
   * algorithm, in a few bytes where the content is the same.
   */
  readonly compares: 'nanoseconds' | 'seconds' | 'checksum' | 'content';
  /**
   * We watch for silence ourselves instead of giving rsync a timeout, for which each push waits 41 ms more (a delayed ACK;
   * 3.5.0, 7 ms against 50 ms). Only for small files: without a timeout rsync sends nothing while it compares a large one.
   */
  readonly isWatched: boolean;
  /** May carry large files: they go on where a run broke off, as far as the params allow it (`canResume`). */
  readonly resumes?: boolean;
  /** rsync says at its end how many names its list holds (`STATISTICS` in rsync-output.ts). */
  readonly counts?: boolean;
  /** A directory of the remote that holds something is not deleted for a name, but told of: excluded names may be in it. */
  readonly spares?: boolean;
  /** `--filter`-like rules for what rsync finds by itself. */
  readonly rules: readonly string[];
  /**
   * Itemized changes, length and name: read back by `parseItemized` (rsync-output.ts). Without it rsync says that it begins, and
   * how much it has sent (`counts`), and no name.
   */
  readonly outFormat?: string | undefined;
  /** The names as arguments (source-args.ts); without them they come as a list on standard input. */
  readonly names?: readonly string[] | undefined;
}

/** Names, each for itself; what is missing here is deleted there. */
export function entriesArgs(target: RemoteTarget, run: RunArgs): string[] {
  const missing = run.deletes ? ['--delete-missing-args', ...force(run)] : ['--ignore-missing-args'];
  const options = ['--no-r', '-d', ...missing, ...resuming(target, run), ...precision(target, run)];
  return rsyncArgs(target, run, options);
}

/**
 * Names that are there, and directories with the names that are in them: nothing is deleted but what is in their way. For a
 * remote that refuses names that are missing (delete-rules.ts), and for directories that may be gone by then.
 */
export function presentArgs(target: RemoteTarget, run: RunArgs): string[] {
  const forced = run.deletes ? force(run) : [];
  const options = [
    '--no-r',
    '-d',
    '--ignore-missing-args',
    ...forced,
    ...resuming(target, run),
    ...precision(target, run),
  ];
  return rsyncArgs(target, run, [...options, ...run.rules]);
}

function force({ spares = false }: RunArgs): string[] {
  return spares ? [] : ['--force'];
}

/**
 * Deletes what the rules in the file put at risk, in the directories given on standard input. The params' own rules are
 * cleared before: one that puts more at risk would delete what nobody named, and `--delete-missing-args` does not heed
 * them either (seen with 3.5.0, also for what a deleted directory holds). Their files of rules come before `--from0`,
 * which changes how such a file is read. `--ignore-errors`: a directory that is gone here holds up no other.
 */
export function deletionArgs(target: RemoteTarget, run: RunArgs, rulesFile: string): string[] {
  const rules = ['--filter=!', '--from0', `--filter=. ${rulesFile}`];
  const deleting = ['--delete', '--force', '--ignore-errors', '--existing', '--ignore-existing'];
  return rsyncArgs(target, run, [...rules, '--no-r', '-d', ...deleting]);
}

/** Lists what the same would delete; changes nothing. */
export function deletionListArgs(target: RemoteTarget, run: RunArgs, rulesFile: string): string[] {
  return ['-n', ...deletionArgs(target, run, rulesFile)];
}

/** Directories with what is in them. Deletes nothing; says on stderr whether something is extra. */
export function treesArgs(target: RemoteTarget, recursive: boolean, run: RunArgs): string[] {
  const ask = run.deletes ? ['--delete', '--max-delete=0'] : [];
  return rsyncArgs(target, run, [
    ...depth(recursive),
    ...ask,
    ...resuming(target, run),
    ...precision(target, run),
    ...keepingPartials(target),
    ...run.rules,
  ]);
}

/** What was moved, and where the remote may have it. */
export interface Relocation {
  /** The directory that was moved, or that the file is in now. */
  readonly directory: RelativePath;
  /** The directory where the remote may have it, as text: relative to that. */
  readonly basis: string;
  /** A single file, which may have had any name there. */
  readonly file?: string;
}

/**
 * Sends what is named on standard input of a directory, relative to it, or a file, whose content the remote may have elsewhere: it is copied there, where size and time agree.
 * Not linked: as long as both names are there, a change of one would change the other (seen: of the time).
 */
export function relocationArgs(target: RemoteTarget, run: RunArgs, place: Relocation): string[] {
  const { directory, basis, file } = place;
  const source = decode(directory);
  // A single file may have had another name: `--fuzzy` twice looks for one of its size and time in the basis as well.
  const from =
    file === undefined
      ? [...LIST_ON_STDIN.slice(0, -1), `./${source}/`]
      : ['--no-R', '--fuzzy', '--fuzzy', `./${posix.join(source, file)}`];
  return [
    ...target.params,
    ...connectionArgs(target, run.isWatched),
    '--no-r',
    '-d',
    ...precision(target, run),
    `--copy-dest=${basis}`,
    ...saying(run),
    ...from,
    destinationOf({ ...target, name: posix.join(target.name, source) }),
  ];
}

/** Lists what only the remote has in directories; changes nothing. */
export function extrasArgs(target: RemoteTarget, recursive: boolean, run: RunArgs): string[] {
  return rsyncArgs(target, run, [
    '-n',
    ...depth(recursive),
    '--delete',
    '--existing',
    '--ignore-existing',
    ...keepingPartials(target),
    ...run.rules,
  ]);
}

/** What a run that broke off had of a file: in this directory beside the file, or as `.NAME.` and six of these letters. */
export const PARTIAL_DIR = '.rsync-partial';
const TEMPORARY_PATTERN = `.*.${'[A-Za-z0-9]'.repeat(6)}`;

/**
 * Lists what runs that broke off may have left in directories; changes nothing. The sender
 * names directories only, and on the receiver nothing else is at risk, so that little is sent.
 */
export function leftoversArgs(target: RemoteTarget, recursive: boolean, run: RunArgs): string[] {
  const atRisk = [`${PARTIAL_DIR}/`, `${PARTIAL_DIR}/**`, TEMPORARY_PATTERN].map((pattern) => `--filter=R ${pattern}`);
  const rules = ['--filter=!', ...atRisk, '--filter=P *', '--filter=S */', '--filter=H *'];
  const listing = ['-n', ...depth(recursive), '--delete', '--existing', '--ignore-existing'];
  return rsyncArgs(target, run, [...listing, ...rules]);
}

const NOT_RESUMABLE =
  /^--(inplace|append|append-verify|write-devices|whole-file|delay-updates|no-partial|partial-dir(=.*)?)$/;
const WHOLE_FILE_FLAG = /W/g;

/**
 * Whether the params leave it to us what becomes of a file that was sent in part (rsync(1), --partial-dir): `--inplace`
 * and what implies it, and `--append`, cannot go with it; with `--whole-file` nothing is resumed; `--delay-updates` keeps
 * whole files in that directory; their own directory and their no stand. `--partial` (`-P`) is for the same end: it would
 * leave the part in place of the whole file.
 */
export function canResume(params: readonly string[]): boolean {
  return takeOut(params, NOT_RESUMABLE, WHOLE_FILE_FLAG).dropped.length === 0;
}

function resuming({ params }: RemoteTarget, { resumes = false }: RunArgs): string[] {
  return resumes && canResume(params) ? [`--partial-dir=${PARTIAL_DIR}`] : [];
}

/**
 * A part that waits is not extra, unless the directory is that holds it. rsync has this rule by itself, but behind all
 * others; and for the receiver only, so that a directory of this name in the source is sent like any other.
 */
function keepingPartials({ params }: RemoteTarget): string[] {
  return canResume(params) ? [`--filter=-rp ${PARTIAL_DIR}/`] : [];
}

/**
 * rsync takes two files of the same size for equal when their times differ by less than a second (3.5.0, no
 * --modify-window): a file that is written twice within a second would keep its first content. A full resync compares by
 * the second all the same, so that a remote whose file system knows nothing finer is not sent everything each time.
 */
function precision({ params }: RemoteTarget, { compares }: RunArgs): string[] {
  if (compares === 'content') return ['--ignore-times'];
  if (compares === 'checksum') return ['--checksum'];
  const isTheirs = params.some((word) => word.startsWith('--modify-window') || /^-[a-zA-Z]*@/.test(word));
  return compares === 'nanoseconds' && !isTheirs ? ['--modify-window=-1'] : [];
}

/** Lists which of the files given on standard input would be sent if `-u` did not keep what is newer; changes nothing. */
export function newerArgs(target: RemoteTarget, run: RunArgs): string[] {
  const options = ['-n', '--no-r', '-d', '--existing', '--ignore-missing-args'];
  return rsyncArgs(withoutUpdate(target), run, options);
}

/** The remote, without `-u` among its params. rsync has no --no-update (3.5.0). */
export function withoutUpdate(target: RemoteTarget): RemoteTarget {
  return { ...target, params: takeOut(target.params, UPDATE, UPDATE_FLAG).kept };
}

function depth(recursive: boolean): string[] {
  return recursive ? ['-r'] : ['--no-r', '-d'];
}

/** The source that names in a list are relative to: where rsync stands. */
export const LIST_SOURCE = './';
/** What stands where the names would stand as arguments. */
export const LIST_ON_STDIN = ['--files-from=-', '--from0', LIST_SOURCE];

function rsyncArgs(target: RemoteTarget, run: RunArgs, options: readonly string[]): string[] {
  return [
    ...target.params,
    ...connectionArgs(target, run.isWatched),
    ...saying(run),
    // The user's -r must not recurse into listed names, and names are relative to the root: both come after the params.
    ...options,
    '-R',
    ...(run.names ?? LIST_ON_STDIN),
    destinationOf(target),
  ];
}

/** What rsync says on standard output. Numbers in plain digits, and no names of its own accord, whatever the params say. */
function saying({ outFormat, counts = false }: RunArgs): string[] {
  const words = [...(counts ? ['stats2'] : []), ...(outFormat === undefined ? ['flist1', 'name0'] : [])];
  return [...(words.length === 0 ? [] : [`--info=${words.join(',')}`, '--no-h']), outFormat ?? '--no-i'];
}

function connectionArgs(target: RemoteTarget, isWatched: boolean): string[] {
  const { ssh, port, auth, timeoutSeconds, params, controlPath } = target;
  const has = (option: string): boolean => params.some((word) => word === option || word.startsWith(`${option}=`));
  const args: string[] = [];
  const timeout = timeoutSeconds ?? (isWatched ? undefined : DEFAULT_TIMEOUT_SECONDS);
  if (timeout !== undefined && !has('--timeout')) args.push(`--timeout=${timeout}`);
  if (ssh) {
    // The user's own wins.
    if (!hasOwnShell(params)) args.push('-e', sshCommand(port, controlPath));
    return args;
  }
  // Without it each push waits four times for a delayed ACK: 0.17 s instead of 10 ms for one small file.
  if (!has('--sockopts')) args.push('--sockopts=TCP_NODELAY');
  if (!has('--contimeout')) args.push(`--contimeout=${CONNECT_TIMEOUT_SECONDS}`);
  if (port !== undefined) args.push(`--port=${port}`);
  if (auth !== undefined) args.push(`--password-file=${auth.passwordFile}`);
  return args;
}

/** BatchMode: nobody is there to type a password. */
export const SSH: readonly string[] = ['ssh', '-o', 'BatchMode=yes'];

/** Whether the params say by themselves how rsync gets to the remote. */
export function hasOwnShell(params: readonly string[]): boolean {
  return params.some((word) => word === '--rsh' || /^(-[a-zA-Z]*e|--rsh=)/.test(word));
}

/** One word for rsync, which splits it at blanks. */
function sshCommand(port: number | undefined, controlPath: string | undefined): string {
  const shared = controlPath === undefined ? [] : ['-o', 'ControlMaster=no', '-o', `ControlPath=${controlPath}`];
  return [...SSH, ...shared, ...(port === undefined ? [] : ['-p', `${port}`])].join(' ');
}

function destinationOf({ ip, name, ssh, auth }: RemoteTarget): string {
  const host = ip.includes(':') ? `[${ip}]` : ip;
  if (ssh) return `${host}:${name}/`;
  return `${auth === undefined ? '' : `${auth.users}@`}${host}::${name}/`;
}

/** Params that mean the same wherever below the module a run begins: no rules, and no directory of the remote. */
const WITHOUT_PLACE =
  /^(?:-[acghijlmopqrstuvxzADEHIJLNOPSUWX]+|--(?:no-[a-z]+|archive|update|compress|compress-level=\d+|compress-choice=\w+|checksum-choice=\w+|bwlimit=[\w.]+|timeout=\d+|contimeout=\d+|sockopts=[\w=,]+|numeric-ids|links|perms|times|owner|group|acls|xattrs|hard-links|sparse|whole-file|omit-dir-times|chmod=[\w=+,-]+|chown=[\w:]+))$/;

/**
 * The remote from a directory on that it has. Where it has none after all the run fails at its beginning:
 * the `.` keeps rsync from making one (3.5.0 and 3.2.7). Undefined where it cannot be said to rsync, or where that would
 * change what the params mean.
 */
export function targetIn(target: RemoteTarget, directory: RelativePath): RemoteTarget | undefined {
  if (!isPlain(directory) || !target.params.every((word) => WITHOUT_PLACE.test(word))) return undefined;
  return { ...target, name: `${posix.join(target.name, decode(directory))}/.` };
}

/** What stands before our names where the remote names them: below its module, or on its disk with ssh. */
export function modulePrefixOf({ name, ssh }: Pick<RemoteTarget, 'name' | 'ssh'>): RelativePath {
  if (ssh) return fromText(name);
  const slash = name.indexOf('/');
  return slash < 0 ? ROOT : fromText(name.slice(slash + 1));
}

/** The remote as people know it: `ip::name`, with the port where one is set. */
export function remoteName({ ip, name, ssh, port }: Pick<RemoteTarget, 'ip' | 'name' | 'ssh' | 'port'>): string {
  const host = ip.includes(':') ? `[${ip}]` : ip;
  return `${port === undefined ? host : `${host}:${port}`}${ssh ? ':' : '::'}${name}`;
}
