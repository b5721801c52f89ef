import { closeSync, constants, fchmodSync, openSync, renameSync, statSync, writeSync } from 'node:fs';
import { Writable } from 'node:stream';

export interface RotatingFileOptions {
  readonly path: string;
  /** A line that would make the file larger than this begins a new one. */
  readonly maxBytes: number;
  /** How many files there are at most, the current one included: `path`, `path.1` (the youngest), ... */
  readonly maxFiles: number;
  /** What is written first when writing works again after so many lines were lost. */
  readonly resumed: (lost: number) => string;
}

/**
 * A log file that never fails its writer: lines that cannot be written (disk full, directory gone) are lost, counted
 * and told once it works again. Each line is on the disk when `write` returns. It may be moved or truncated by others.
 * Mode 0600; a link is not followed. The constructor throws when the file cannot be opened.
 *
 * Used instead of winston's File transport, which (3.19.0, seen on a full tmpfs) keeps every line in memory after the
 * first ENOSPC, never writes again when there is room, tells nobody and never ends.
 */
export class RotatingFile extends Writable {
  private descriptor: number | undefined;
  /** Of the open file: tells when the name belongs to another one. */
  private inode: bigint | undefined;
  private lost = 0;
  /** The last line got to the disk only in part. */
  private torn = false;

  constructor(private readonly options: RotatingFileOptions) {
    super({ decodeStrings: false });
    this.descriptor = this.open();
  }

  override _write(chunk: Buffer | string, _encoding: string, callback: () => void): void {
    const line = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    try {
      const descriptor = this.prepare(line.length);
      if (this.lost > 0) this.writeAll(descriptor, Buffer.from(this.options.resumed(this.lost)));
      this.lost = 0;
      this.writeAll(descriptor, line);
    } catch {
      // The log is where errors are told; when it fails itself, all that is left is to count and to try again.
      this.lost++;
      this.close();
    }
    callback();
  }

  override _final(callback: () => void): void {
    this.close();
    callback();
  }

  /** The descriptor of a file that has room for `bytes` and is still the one of that name. */
  private prepare(bytes: number): number {
    const found = statSync(this.options.path, { throwIfNoEntry: false, bigint: true });
    if (found !== undefined && found.size > 0n && Number(found.size) + bytes > this.options.maxBytes) {
      this.close();
      this.rotate();
    } else if (found?.ino !== this.inode) {
      this.close();
    }
    this.descriptor ??= this.open();
    return this.descriptor;
  }

  private open(): number {
    const { O_WRONLY, O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants;
    const descriptor = openSync(this.options.path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600);
    try {
      fchmodSync(descriptor, 0o600);
    } catch {
      // Somebody else's file that we may write: its mode is theirs.
    }
    this.inode = statSync(this.options.path, { bigint: true }).ino;
    return descriptor;
  }

  private close(): void {
    const { descriptor } = this;
    this.descriptor = undefined;
    if (descriptor === undefined) return;
    try {
      closeSync(descriptor);
    } catch {
      // A network file system may tell of lost writes only now; the descriptor is closed all the same.
    }
  }

  private rotate(): void {
    const { path, maxFiles } = this.options;
    for (let number = maxFiles - 1; number >= 1; number--) {
      const younger = number === 1 ? path : `${path}.${number - 1}`;
      if (statSync(younger, { throwIfNoEntry: false }) !== undefined) renameSync(younger, `${path}.${number}`);
    }
    // With one file alone there is nowhere to move it.
    if (maxFiles <= 1) closeSync(openSync(path, constants.O_WRONLY | constants.O_TRUNC | constants.O_NOFOLLOW));
  }

  private writeAll(descriptor: number, line: Buffer): void {
    const whole = this.torn ? Buffer.concat([Buffer.from('\n'), line]) : line;
    for (let written = 0; written < whole.length;) {
      this.torn = true;
      written += writeSync(descriptor, whole, written);
    }
    this.torn = false;
  }
}
