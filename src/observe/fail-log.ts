import { closeSync, constants, fchmodSync, fstatSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import type { Clock } from '../clock.js';
import { decode, display, type RelativePath } from '../core/relative-path.js';
import { messageOf } from '../errors.js';
import type { Logger } from '../logger.js';

/** Something that did not get to a remote and is tried again. */
export interface Failure {
  readonly remote: string;
  readonly path: RelativePath;
  /** rsync's exit code. */
  readonly errno: number;
  /** The command that brings the name over by hand, in words ... */
  readonly command: readonly string[];
  /** ... and the name that it reads from its standard input, bytes as in `RelativePath`, if it reads one. */
  readonly input?: string;
  /** For a person. */
  readonly reason: string;
}

export interface FailLogSurroundings {
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Above this the list is cut: the file is for reading. */
export const MAX_LISTED = 10_000;
const FIRST_LINE = '#!/bin/bash\n';
const INTERVAL_MS = 1_000;

/**
 * `<failLog path>`: what has not arrived yet, for people, in the shape of sersync 2.5's script. The service never reads
 * or executes it; every command in it can be pasted into any shell all the same, in any directory, and brings over the one
 * name. Written at most once a second.
 *
 * The customary place is a name in /tmp, where anybody may put something else: a link, another kind of file, a file
 * with several names or of another owner is refused (told once). An old script that everybody could write and that
 * root executed is emptied and becomes 0600 at the first `write`, which may be one of an empty list.
 */
export class FailLog {
  private latest: readonly Failure[] = [];
  private changed = false;
  private everFailed = false;
  private complained = false;
  private takeBack: (() => void) | undefined;

  constructor(
    private readonly path: string,
    private readonly surroundings: FailLogSurroundings,
  ) {}

  /** `failures` is the whole list as of now. */
  write(failures: readonly Failure[]): void {
    this.latest = failures;
    this.changed = true;
    if (this.takeBack === undefined) this.writeNow();
  }

  /** Writes what is waiting, at once. */
  flush(): void {
    this.takeBack?.();
    this.takeBack = undefined;
    if (this.changed) this.replaceContent();
  }

  private writeNow(): void {
    this.replaceContent();
    this.takeBack = this.surroundings.clock.after(INTERVAL_MS, () => {
      this.takeBack = undefined;
      if (this.changed) this.writeNow();
    });
  }

  private replaceContent(): void {
    this.changed = false;
    this.everFailed ||= this.latest.length > 0;
    try {
      replaceFile(this.path, renderFailures(this.latest), this.everFailed);
      this.complained = false;
    } catch (error) {
      // A list for people is no reason to stop; the failures themselves are in the log and are retried.
      if (!this.complained) {
        this.surroundings.logger.warn('faillog:refused', { path: this.path, reason: messageOf(error) });
      }
      this.complained = true;
    }
  }
}

/** The file's content. One line an entry and part: nothing in a name or a message can begin a line of its own. */
export function renderFailures(failures: readonly Failure[]): string {
  const listed = failures.slice(0, MAX_LISTED).map(
    ({ remote, path, errno, command, input, reason }) => `#errno ${errno}
# ${oneLine(remote)} ${display(path)}: ${oneLine(reason)}
${input === undefined ? '' : `${printCommand(input)} | `}${command.map(quoteForShell).join(' ')}
`,
  );
  const more = failures.length > MAX_LISTED ? `# and ${failures.length - MAX_LISTED} more\n` : '';
  return FIRST_LINE + listed.join('') + more;
}

/**
 * One word of a shell command, in what every POSIX shell reads alike: as it is, in single quotes, or, with control
 * characters, printed, so that it stays on one line (a newline at its very end is lost then). Not `$'...'`, which dash does
 * not know: there a quote in such a word would end it, and what follows would run.
 */
export function quoteForShell(word: string): string {
  if (/^[A-Za-z0-9_@%+:,./-][A-Za-z0-9_@%+=:,./-]*$/.test(word)) return word;
  if (!CONTROL.test(word)) return `'${word.replaceAll("'", "'\\''")}'`;
  return `"$(printf '${printFormat(word, 'utf8')}')"`;
}

/** Prints a name as rsync reads it from a list with `--from0`. */
function printCommand(name: string): string {
  const text = decode(name);
  const isUtf8 = text !== name || !/[\x80-\xff]/.test(name);
  return `printf '${isUtf8 ? printFormat(text, 'utf8') : printFormat(name, 'latin1')}\\000'`;
}

const CONTROL = /[\x00-\x1f\x7f-\x9f\u2028\u2029]/;

/** The format by which printf(1) prints exactly this; of what is no UTF-8 (as latin1) each byte goes as its number. */
function printFormat(text: string, encoding: 'utf8' | 'latin1'): string {
  // A dash in front would begin an option of printf.
  const special = encoding === 'utf8' ? /^-|['\\\x00-\x1f\x7f-\x9f\u2028\u2029]/g : /^-|['\\\x00-\x1f\x7f-\xff]/g;
  return text.replace(special, (character) => octal(Buffer.from(character, encoding))).replaceAll('%', '%%');
}

/** Three digits a byte: a digit that follows cannot be taken for a fourth. */
function octal(bytes: Iterable<number>): string {
  return [...bytes].map((byte) => `\\${byte.toString(8).padStart(3, '0')}`).join('');
}

function oneLine(text: string): string {
  return text.trim().replace(/[\x00-\x1f\x7f-\x9f\u2028\u2029]+/g, ' ');
}

/** Makes `content` the content of our own regular file at `path`. Throws with the reason when it is not ours alone. */
function replaceFile(path: string, content: string, create: boolean): void {
  const descriptor = openOwn(path, create);
  if (descriptor === undefined) return;
  try {
    assertOurs(descriptor);
    fchmodSync(descriptor, 0o600);
    ftruncateSync(descriptor, 0);
    const bytes = Buffer.from(content);
    for (let written = 0; written < bytes.length;) written += writeSync(descriptor, bytes, written, undefined, written);
  } finally {
    closeSync(descriptor);
  }
}

/** `undefined` when there is no such file and it is not to be created. */
function openOwn(path: string, create: boolean): number | undefined {
  // Without O_NONBLOCK a named pipe would hold up the service until somebody reads it.
  const flags = constants.O_WRONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | (create ? constants.O_CREAT : 0);
  try {
    return openSync(path, flags, 0o600);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT' && !create) return undefined;
    if (code === 'ELOOP') throw new Error('it is a symbolic link', { cause: error });
    throw error;
  }
}

function assertOurs(descriptor: number): void {
  const found = fstatSync(descriptor);
  const uid = process.geteuid?.() ?? found.uid;
  if (!found.isFile()) throw new Error('it is not a regular file');
  if (found.nlink > 1) throw new Error(`it has ${found.nlink} hard links`);
  if (found.uid !== uid) throw new Error(`it belongs to user ${found.uid}, not to user ${uid}`);
}
