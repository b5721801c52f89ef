/**
 * Reads what rsync prints (LC_ALL=C): pure. Names are bytes, as in `RelativePath`; rsync writes what it takes for
 * unprintable as `\#ooo`, which is taken back here. Texts were compared with 3.5.0 and 3.2.7 (the test says which were
 * seen); 3.1 leaves out the `[sender] ` after `rsync: `, going by its source.
 */
import {
  ancestorsOf,
  display,
  join,
  nameOf,
  parentOf,
  pathIn,
  ROOT,
  type RelativePath,
} from '../core/relative-path.js';
import type { Complaint, ComplaintKind, RunReport } from '../replicate/ports.js';

/**
 * What our runs print for each name: the itemized change, the length and the name, which comes last because it may hold
 * anything. No `--8-bit-output`: in the C locale every high byte comes as `\#ooo`, and with the user's own `-8` it comes
 * as it is; both are read.
 */
export const OUT_FORMAT = '--out-format=%i %l %n';

/** One line of `OUT_FORMAT`. rsync says "sent" when it begins to send the content, not when the remote has stored it. */
export interface ItemizedLine {
  /** Relative to the destination of the run; directories without the slash at their end. */
  readonly path: RelativePath;
  readonly isDirectory: boolean;
  /** The content of a file went over. */
  readonly isSentFile: boolean;
  /** The name is new on the remote. */
  readonly isCreated: boolean;
  /** Content went over, or a name that is no file was made anew; not where only times, mode or owner were set. */
  readonly isChanged: boolean;
  /** The name is deleted on the remote, or with `-n` would be: what a directory holds comes before it. */
  readonly isDeletion: boolean;
  /** Bytes of the file; 0 for deletions. */
  readonly length: number;
}

/** What stands before the name: eleven characters of `%i`, then the length. */
const ITEM = /^(?:[<>ch.][fdLDS][-+?.a-zA-Z ]{9}|\*deleting {2}) \d+ ./s;
const LENGTH_AT = 12;

/** `undefined` for any other line: progress, `--stats`, `cannot delete non-empty directory: x`, ... */
export function parseItemized(line: string): ItemizedLine | undefined {
  // Ten thousand lines a second may come: taken apart by hand, and not by what the expression found.
  if (!ITEM.test(line)) return undefined;
  const lengthEnd = line.indexOf(' ', LENGTH_AT);
  const name = unescape(line.slice(lengthEnd + 1));
  const change = line[0];
  const type = line[1];
  const isDeletion = change === '*';
  return {
    path: withoutDots(name),
    isDirectory: isDeletion ? name.endsWith('/') : type === 'd',
    isSentFile: type === 'f' && (change === '<' || change === '>'),
    isCreated: line[2] === '+',
    isChanged: !isDeletion && change !== '.',
    isDeletion,
    length: isDeletion ? 0 : Number(line.slice(LENGTH_AT, lengthEnd)),
  };
}

export interface ComplaintContext {
  /** The watched root: absolute, bytes as in `RelativePath`. */
  readonly sourceRoot: RelativePath;
  /** What comes before our paths in the remote's: '' or `sub/dir` for `module/sub/dir`; the path on the host with ssh. */
  readonly modulePrefix: RelativePath;
  /** The directory in which the run has begun, when not the root. */
  readonly directory?: RelativePath;
  /** Whether a path is one that the run was given, or lies below one. */
  readonly isOurs: (path: RelativePath) => boolean;
  /** Whether the source has the name now: decides where a text may mean either of two. */
  readonly exists?: (path: RelativePath) => boolean;
  /** The run only asks whether something is extra: a directory that it does not delete stands in nobody's way. */
  readonly onlyCompares?: boolean;
}

export type Complaints = Pick<
  RunReport,
  'complaints' | 'messages' | 'extraneous' | 'unreadable' | 'names' | 'filesSent' | 'bytesSent'
> & {
  /** It came to the remote, and began to look at its names; told by a run without `OUT_FORMAT`. */
  readonly hasBegun: boolean;
  /** Files that changed while they were sent, so that rsync sends them again in the same run; bounded. */
  readonly sentTwice: readonly RelativePath[];
};

/** What the lines of stderr (latin1, without their ends) say. */
export function parseComplaints(lines: Iterable<string>, context: ComplaintContext): Complaints {
  const reader = new ComplaintReader(context);
  for (const line of lines) reader.read(line);
  return reader.result();
}

/** `--info=stats2`, and what `-v` says at the end. Names: directories and the destination itself are among them. */
const STATISTICS =
  /^(?:Number of (?:files: (?<names>\d+)|created files|deleted files|regular files transferred: (?<files>\d+))|Total (?:transferred file size: (?<bytes>\d+)|file size:|bytes sent:|bytes received:)|(?:Literal|Matched) data:|File list (?:size|generation time|transfer time):|sent [\d,.KMGT]+ bytes |total size is )/;
/** `--info=flist1`: of a list that is sent as a whole, and of one that is sent as it grows. */
const BEGINS = /^(?:building file list \.\.\.|sending incremental file list$)/;
/** Also where deleting is only asked for (3.5.0 and 3.2.7, on standard error or output): what is extra is then not told. */
const UNREADABLE = 'IO error encountered -- skipping file deletion';

/**
 * Said of what is extra in a listing, for its content is not looked at (3.5.0: `-d --delete --max-delete=0`), and before
 * `could not make way` of what stands in the way.
 */
const NOT_DELETED = 'cannot delete non-empty directory: ';

/** rsync complains with ERROR if that fails too. */
const SENT_AGAIN = /^WARNING: (.*) failed verification -- update .* \((?:will|may) try again\)\.$/s;

const MAX_COMPLAINTS = 10_000;
const MAX_MESSAGES = 50;

/**
 * Reads stderr line by line in bounded memory. Nothing gets lost by the bound: a complaint too many is kept as one that
 * names nothing, so that the whole run counts as failed.
 */
export class ComplaintReader {
  readonly #context: ComplaintContext;
  readonly #complaints = new Map<string, Complaint>();
  readonly #messages: string[] = [];
  readonly #sentTwice: RelativePath[] = [];
  #extraneous = 0;
  #unreadable = false;
  #names = 0;
  #filesSent = 0;
  #bytesSent = 0;
  #hasBegun = false;

  constructor(context: ComplaintContext) {
    this.#context = context;
  }

  read(line: string): void {
    const bytes = unescape(line.replace(/\r$/, ''));
    const skipped = /^Deletions stopped due to --max-delete limit \((\d+) skipped\)/.exec(bytes);
    if (skipped !== null) {
      this.#extraneous += Number(skipped[1]);
      return;
    }
    if (this.#context.onlyCompares === true && bytes.startsWith(NOT_DELETED)) {
      this.#extraneous++;
      return;
    }
    if (bytes === UNREADABLE) {
      this.#unreadable = true;
      return;
    }
    const statistics = STATISTICS.exec(bytes);
    if (statistics !== null) {
      const { names, files, bytes } = statistics.groups ?? {};
      this.#names = Number(names ?? this.#names);
      this.#filesSent = Number(files ?? this.#filesSent);
      this.#bytesSent = Number(bytes ?? this.#bytesSent);
      return;
    }
    if (BEGINS.test(bytes)) {
      this.#hasBegun = true;
      return;
    }
    const again = SENT_AGAIN.exec(bytes);
    if (again !== null) {
      const path = fromHere(again[1] ?? '', this.#context);
      if (this.#sentTwice.length < MAX_COMPLAINTS) this.#sentTwice.push(path);
      return;
    }
    const finding = classify(bytes, this.#context);
    if (finding === 'nothing') return;
    const text = display(bytes);
    if (finding === 'message') {
      if (bytes !== '' && this.#messages.length < MAX_MESSAGES) this.#messages.push(text);
      return;
    }
    for (const path of finding.paths) this.#add({ path, kind: finding.kind, text });
  }

  result(): Complaints {
    return {
      complaints: [...this.#complaints.values()],
      messages: this.#messages,
      extraneous: this.#extraneous,
      unreadable: this.#unreadable,
      names: this.#names,
      filesSent: this.#filesSent,
      bytesSent: this.#bytesSent,
      hasBegun: this.#hasBegun,
      sentTwice: this.#sentTwice,
    };
  }

  /** rsync may complain of one name several times: the first text says the cause. */
  #add(complaint: Complaint): void {
    const key = complaint.path === undefined ? complaint.kind : `${complaint.kind} ${complaint.path}`;
    if (this.#complaints.has(key)) return;
    if (this.#complaints.size < MAX_COMPLAINTS) this.#complaints.set(key, complaint);
    else
      this.#complaints.set('too many', {
        path: undefined,
        kind: 'lost',
        text: `and more than ${MAX_COMPLAINTS} others`,
      });
  }
}

interface Finding {
  readonly kind: ComplaintKind;
  /** `undefined`: the line is about a name that cannot be told. */
  readonly paths: readonly (RelativePath | undefined)[];
}

type Reading = Finding | 'message' | 'nothing';

/** Lines that are no system error: their form, what they mean, and whose name follows. */
const PLAIN_LINES: readonly { pattern: RegExp; kind: ComplaintKind | 'nothing'; names?: 'source' }[] = [
  { pattern: /^\*\*\* Skipping any contents from this failed directory \*\*\*$/, kind: 'nothing' },
  { pattern: /^ERROR: (.*) failed verification -- update .*\.$/s, kind: 'lost' },
  { pattern: /^(?:file|directory) has vanished: "(.*)"(?: \(in [^"]*\))?$/s, kind: 'vanished', names: 'source' },
  { pattern: /^WARNING: parent dir is absent in the file list: (.*)$/s, kind: 'vanished' },
  { pattern: /^could not make way for (?:new|backup) [a-z ]+: (.*)$/s, kind: 'obstructed' },
  { pattern: /^cannot delete non-empty directory: (.*)$/s, kind: 'obstructed' },
  { pattern: /^skipping non-regular file "(.*)"$/s, kind: 'cosmetic' },
  { pattern: /^ERROR: daemon refused to receive (?:file|directory) "(.*)"$/s, kind: 'lost' },
  { pattern: /^filename overflows max-path len by \d+: (.*)$/s, kind: 'lost' },
  { pattern: /^(?:skipping overly long name|temporary filename too long|path too long): (.*)$/s, kind: 'lost' },
  { pattern: /^symlink has no referent: "(.*)"$/s, kind: 'lost', names: 'source' },
  { pattern: /^recv_files: (.*) is a directory$/s, kind: 'lost' },
];

function classify(line: string, context: ComplaintContext): Reading {
  for (const { pattern, kind, names } of PLAIN_LINES) {
    const match = pattern.exec(line);
    if (match === null) continue;
    if (kind === 'nothing') return 'nothing';
    const name = match[1] ?? '';
    return { kind, paths: [names === 'source' ? fromSource(name, context) : fromHere(name, context)] };
  }
  const failure = /^rsync: (?:\[([A-Za-z ]+)\] )?(.*): ([^:"]+) \((\d+)\)$/s.exec(line);
  if (failure === null) return 'message';
  return classifyFailure({ who: failure[1], what: failure[2] ?? '', errno: Number(failure[4]) }, context);
}

/** A failed system call: `rsync: [who] what: text of the error (errno)`. */
interface Failure {
  readonly who: string | undefined;
  readonly what: string;
  readonly errno: number;
}

/** The connection, and what happens before the first name (`[Receiver]`: the destination itself). */
const NOT_OF_A_NAME =
  /^(?:failed to connect|read error$|write error$|safe_(?:read|write)|getaddrinfo|connection |unable to (?:bind|connect)|bind|socket|poll|select|could not open password file|Failed to (?:exec|dup)|mkdir |change_dir#|chdir |chroot |(?:ERROR: )?cannot (?:stat|overwrite) destination|open of files-from)/i;

const ENOENT = 2;
const EPERM = 1;
const ENOTDIR = 20;
const EISDIR = 21;
const EINVAL = 22;
const ELOOP = 40;
const ENODATA = 61;
const EOPNOTSUPP = 95;

function classifyFailure(failure: Failure, context: ComplaintContext): Reading {
  const { who, what } = failure;
  if (who === 'Receiver' || NOT_OF_A_NAME.test(what)) return 'message';
  // The old file cannot be read, so the new one is sent whole: if that fails too, another line says so.
  if (what.endsWith(', continuing')) return 'nothing';

  const deleted = /^delete_file: [a-z_]+\((.*)\) failed$/s.exec(what);
  if (deleted !== null) return { kind: 'lost', paths: [fromHere(deleted[1] ?? '', context)] };

  const renamed = /^(?:rename|copy) ".*" *(?:\(in [^"]*\))? -> "(.*)"$/s.exec(what);
  if (renamed !== null) return { kind: 'lost', paths: [fromHere(renamed[1] ?? '', context)] };

  if (what.startsWith('mkstemp '))
    return { kind: 'lost', paths: namesOfTemporary(quotedName(failure, context), context) };
  return { kind: kindOf(failure, context), paths: [quotedName(failure, context)?.path] };
}

/**
 * Times, owner, mode, ACL or extended attributes that may not be set are not a loss: the content is there, trying again
 * does not help, and a mode that is not set leaves the stricter one of a new file. On any other error it is one.
 */
function kindOf(failure: Failure, context: ComplaintContext): ComplaintKind {
  const { what, errno } = failure;
  const isAttribute =
    /^(?:failed to (?:set|modify) (?:times|permissions|attributes)|chown |chgrp |(?:set|get)_acl|rsync_xal_set|set_xattr_acl|copy_xattrs|get_xattr|failed to (?:read|write) xattr|do_fallocate)/;
  if (isAttribute.test(what)) {
    return [EPERM, EINVAL, EOPNOTSUPP].includes(errno) || what.startsWith('do_fallocate') ? 'cosmetic' : 'lost';
  }
  // Where the file stood that rsync had listed, a link (which it does not follow) or a directory stands now.
  const isGone = [ENOENT, ENOTDIR, EISDIR, ELOOP].includes(errno);
  // The file became shorter while it was read.
  const isShortened = errno === ENODATA && what.startsWith('read errors mapping');
  return isShortened || (isGone && isOfSource(failure, context)) ? 'vanished' : 'lost';
}

function isOfSource({ who, what }: Failure, { sourceRoot }: ComplaintContext): boolean {
  if (who !== undefined) return who === 'sender' || who === 'client';
  return what.includes(`"${sourceRoot === '/' ? '' : sourceRoot}/`);
}

interface Quoted {
  /** The path as the remote or the source calls it, and as we do. */
  readonly raw: string;
  readonly path: RelativePath | undefined;
}

/**
 * The name between the quotes of a failure: `"x"`, `"x" (in module)`, `"x" (in module) -> "target"`. A name may hold
 * quotes and ` (in `, so every quote that could end it is tried, the longest name first; one of ours is preferred.
 */
function quotedName(failure: Failure, context: ComplaintContext): Quoted | undefined {
  const { what } = failure;
  const start = what.indexOf('"') + 1;
  if (start === 0) return undefined;
  const afterName = /^"(?: \(in [^)"]*\))?(?:\)|,.*| -> .*| => .*| \(from .*)?(?: failed)?$/s;
  const candidates: Quoted[] = [];
  for (let end = what.lastIndexOf('"'); end >= start; end = what.lastIndexOf('"', end - 1)) {
    if (!afterName.test(what.slice(end))) continue;
    const raw = what.slice(start, end);
    candidates.push({ raw, path: isOfSource(failure, context) ? fromSource(raw, context) : fromRemote(raw, context) });
    if (end === 0) break;
  }
  const isLink = / [-=]> /.test(what);
  return candidates.find(({ path }) => path !== undefined && context.isOurs(path)) ?? candidates.at(isLink ? -1 : 0);
}

/** From about this length on rsync shortens the name in the temporary's: NAME_MAX less the dots and the six letters. */
const SHORTENED_FROM = 240;

/**
 * The file that `.NAME.XXXXXX` was to become: `NAME` or `.NAME`, for rsync adds no second dot. Where both may be ours
 * both are named; where neither is or the name was shortened, its directory.
 */
function namesOfTemporary(
  quoted: Quoted | undefined,
  context: ComplaintContext,
): readonly (RelativePath | undefined)[] {
  const temporary = quoted?.raw;
  const inner = temporary === undefined ? undefined : /^\.(.*)\.[A-Za-z0-9]{6}$/s.exec(nameOf(temporary))?.[1];
  if (temporary === undefined || inner === undefined) return [quoted?.path];
  const directory = temporary.includes('/') ? parentOf(temporary) || '/' : ROOT;
  if (inner.length >= SHORTENED_FROM) return [fromRemote(directory, context)];
  const paths = [inner, `.${inner}`].map((name) => fromRemote(join(directory, name).replace(/^\/\//, '/'), context));
  const ours = paths.filter((path) => path !== undefined).filter(context.isOurs);
  const there = ours.filter((path) => context.exists?.(path) === true);
  if (there.length > 0) return there;
  return ours.length > 0 ? ours : paths.slice(0, 1);
}

/** A name as rsync has it in its list. */
function fromHere(raw: string, context: ComplaintContext): RelativePath {
  return claim(inOurTerms(raw, context), context);
}

/** From the root, where it is relative to the directory in which the run has begun. */
function inOurTerms(raw: string, { directory = ROOT }: ComplaintContext): RelativePath {
  const path = withoutDots(raw);
  return raw.startsWith('/') ? path : pathIn(directory, path);
}

function fromSource(raw: string, context: ComplaintContext): RelativePath | undefined {
  const path = inOurTerms(raw, context);
  return raw.startsWith('/') ? below(path, withoutDots(context.sourceRoot)) : path;
}

/** With a slash in front the remote's own path (in a module: from its root), else relative to the destination. */
function fromRemote(raw: string, context: ComplaintContext): RelativePath | undefined {
  if (!raw.startsWith('/')) return fromHere(raw, context);
  const path = withoutDots(raw);
  const prefix = withoutDots(context.modulePrefix.replace(/^~\//, ''));
  const stripped = below(path, prefix) ?? afterPrefix(path, prefix);
  if (stripped !== undefined) return claim(stripped, context);
  // A link on the remote leads elsewhere: only the end of the path is known, and it counts if just one end can be ours.
  const ends = suffixesOf(path).filter(context.isOurs);
  return ends.length === 1 ? ends[0] : undefined;
}

/** A path relative to an ssh login's home comes back absolute. */
function afterPrefix(path: RelativePath, prefix: RelativePath): RelativePath | undefined {
  const at = `/${path}/`.indexOf(`/${prefix}/`);
  return prefix === '' || at < 0 ? undefined : path.slice(at + prefix.length + 1);
}

/**
 * The path to look at again: what lies below a name that we gave (a directory that is being deleted) stands for that
 * name; a directory above our names stands for itself.
 */
function claim(path: RelativePath, { isOurs }: ComplaintContext): RelativePath {
  if (isOurs(path)) return path;
  let nearest = path;
  for (const above of ancestorsOf(path)) if (isOurs(above)) nearest = above;
  return nearest;
}

function below(path: RelativePath, root: RelativePath): RelativePath | undefined {
  if (path === root) return ROOT;
  if (root === '') return path;
  return path.startsWith(`${root}/`) ? path.slice(root.length + 1) : undefined;
}

function suffixesOf(path: RelativePath): RelativePath[] {
  const parts = path.split('/');
  return parts.map((_, at) => parts.slice(at).join('/'));
}

/** A part that is empty or `.`. */
const NO_PART = /(?:^|\/)\.?(?:\/|$)/;

/** Without `.` parts and without slashes at the ends: `./a/./b/` is `a/b`. Most paths are so already. */
function withoutDots(path: string): RelativePath {
  if (!NO_PART.test(path)) return path;
  return path
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .join('/');
}

/** `\#ooo` as the byte it stands for. rsync writes a real `\#134` of a name as `\#134#134`, so this is exact. */
function unescape(text: string): string {
  return text.includes('\\#')
    ? text.replace(/\\#([0-3][0-7]{2})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)))
    : text;
}
