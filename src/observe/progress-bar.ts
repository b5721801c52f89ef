import { Writable } from 'node:stream';
import { MultiBar, type SingleBar } from 'cli-progress';

export interface Progress {
  /** Files sent so far. */
  readonly files: number;
  readonly bytes: number;
  /** How much of the tree was looked at: 0 to 1. */
  readonly fraction: number;
  readonly etaSeconds?: number;
}

/** A terminal, or what a test takes for one. */
export type ProgressStream = NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };

const STEPS = 1_000;

/**
 * One bar a remote for the first full sync, on a terminal. While bars are shown, whatever else goes to the same
 * terminal should go through `print`, or it is overwritten.
 */
export class ProgressBars {
  private readonly bars = new Map<string, SingleBar>();
  private readonly multi: MultiBar;
  private stopped = false;

  constructor(stream: ProgressStream = process.stderr) {
    this.multi = new MultiBar({
      stream,
      format: '{remote} {bar} {percentage}%  {files} files  {size}  {rest}',
      barsize: 24,
      fps: 5,
      hideCursor: true,
      emptyOnZero: true,
      // The service decides what a signal means.
      gracefulExit: false,
      autopadding: true,
    });
  }

  update(remote: string, progress: Progress): void {
    if (this.stopped) return;
    const position = Math.round(Math.min(Math.max(progress.fraction, 0), 1) * STEPS);
    this.barOf(remote).update(position, {
      files: progress.files,
      size: formatBytes(progress.bytes),
      rest: progress.etaSeconds === undefined ? '' : `ETA ${formatDuration(progress.etaSeconds)}`,
    });
  }

  /** The remote's bar is full and says `text`. */
  finish(remote: string, text: string): void {
    if (this.stopped) return;
    const bar = this.barOf(remote);
    bar.update(STEPS, { rest: text });
    bar.stop();
  }

  /** Writes a line above the bars. */
  print(line: string): void {
    this.multi.log(`${line}\n`);
  }

  /**
   * A stream for the log on the same terminal: its lines go above the bars while there are any, and to `terminal` when
   * they have stopped.
   */
  logStream(terminal: ProgressStream): ProgressStream {
    const stream: Writable & { isTTY?: boolean } = new Writable({
      decodeStrings: false,
      write: (lines: string | Buffer, _encoding, done) => {
        if (this.bars.size === 0 || this.stopped) terminal.write(lines);
        else this.print(String(lines).replace(/\n$/, ''));
        done();
      },
    });
    stream.isTTY = terminal.isTTY === true;
    return stream;
  }

  /** Leaves the bars as they are and gives the cursor back. Idempotent. */
  stop(): void {
    if (this.stopped) return;
    this.stopped = true;
    // Lines that wait for the next drawing would be lost.
    this.multi.update();
    this.multi.stop();
  }

  private barOf(remote: string): SingleBar {
    const existing = this.bars.get(remote);
    if (existing !== undefined) return existing;
    const bar = this.multi.create(STEPS, 0, { remote, files: 0, size: formatBytes(0), rest: '' });
    this.bars.set(remote, bar);
    return bar;
  }
}

const UNITS = ['B', 'KB', 'MB', 'GB', 'TB', 'PB'];

/** `0 B`, `1.5 KB`, `45 MB`: three digits at most; 1 KB is 1024 bytes. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  // 999.5 would be shown as a fourth digit.
  for (; value >= 999.5 && unit < UNITS.length - 1; unit++) value /= 1024;
  const digits = unit === 0 || value >= 99.5 ? 0 : value >= 9.95 ? 1 : 2;
  return `${Number(value.toFixed(digits))} ${UNITS[unit] ?? ''}`;
}

/** `8s`, `3m12s`, `2h05m`, `3d04h`. */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const pad = (value: number): string => String(value).padStart(2, '0');
  if (whole < 60) return `${whole}s`;
  if (whole < 3_600) return `${Math.floor(whole / 60)}m${pad(whole % 60)}s`;
  if (whole < 86_400) return `${Math.floor(whole / 3_600)}h${pad(Math.floor((whole % 3_600) / 60))}m`;
  return `${Math.floor(whole / 86_400)}d${pad(Math.floor((whole % 86_400) / 3_600))}h`;
}
