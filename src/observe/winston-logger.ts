import { createLogger as createWinston, format, transports } from 'winston';
import { messageOf, StartError } from '../errors.js';
import type { LogFields, Logger } from '../logger.js';
import { RotatingFile } from './rotating-file.js';

export type LogLevel = 'error' | 'warn' | 'info' | 'debug';

export type LogTarget =
  /** One readable line an event; with colours when the stream is a terminal. */
  | { readonly kind: 'terminal'; readonly stream?: LogStream }
  /** One JSON object a line: level, time (ISO 8601, UTC), event, then the fields. */
  | { readonly kind: 'json'; readonly stream?: LogStream }
  /** The same JSON, in a file of mode 0600 that is rotated by size: `path`, `path.1`, ... */
  | { readonly kind: 'file'; readonly path: string; readonly maxBytes: number; readonly maxFiles: number };

export type LogStream = NodeJS.WritableStream & { readonly isTTY?: boolean };

export interface LoggerOptions {
  readonly level: LogLevel;
  readonly target: LogTarget;
  /** The time of a line; for tests. */
  readonly now?: () => Date;
}

export interface ClosableLogger extends Logger {
  /** Resolves when everything that was logged is handed over. Idempotent; what is logged afterwards is dropped. */
  close(): Promise<void>;
}

/**
 * The program's logger. Logging never throws, and no target that fails (full disk, closed pipe) ends the process.
 * Throws a `StartError` when the log file cannot be opened.
 */
export function createLogger(options: LoggerOptions): ClosableLogger {
  const now = options.now ?? (() => new Date());
  const stream = openTarget(options.target, now);
  const render = options.target.kind === 'terminal' ? terminalFormat(isColourful(options.target.stream)) : formatJson;
  // A reader of our output that went away (EPIPE) is no reason to stop syncing.
  const ignore = (): void => undefined;
  stream.on('error', ignore);
  const winston = createWinston({
    level: options.level,
    levels: { error: 0, warn: 1, info: 2, debug: 3 },
    format: format.printf((info) => String(info.message)),
    // eslint-disable-next-line @typescript-eslint/no-unsafe-class-instance-assignment -- winston's types call it an interface
    transports: [new transports.Stream({ stream, eol: '\n' })],
  });
  winston.on('error', ignore);
  let closing: Promise<void> | undefined;

  const log = (level: LogLevel, event: string, fields: LogFields = {}): void => {
    if (closing !== undefined || !winston.isLevelEnabled(level)) return;
    winston.log({ level, message: renderSafely({ level, time: now(), event, fields }, render) });
  };
  return {
    error: (event, fields) => {
      log('error', event, fields);
    },
    warn: (event, fields) => {
      log('warn', event, fields);
    },
    info: (event, fields) => {
      log('info', event, fields);
    },
    debug: (event, fields) => {
      log('debug', event, fields);
    },
    close: () => (closing ??= closeAll(winston, stream, options.target, ignore)),
  };
}

interface Entry {
  readonly level: LogLevel;
  readonly time: Date;
  readonly event: string;
  readonly fields: LogFields;
}

/** Fields come from everywhere and may throw when they are read; the event is logged all the same. */
function renderSafely(entry: Entry, render: (entry: Entry) => string): string {
  try {
    return render(entry);
  } catch (error) {
    return render({ ...entry, fields: { unloggable: messageOf(error) } });
  }
}

function openTarget(target: LogTarget, now: () => Date): LogStream {
  if (target.kind !== 'file') return target.stream ?? process.stdout;
  try {
    const resumed = (lost: number): string =>
      `${formatJson({ level: 'warn', time: now(), event: 'log:resumed', fields: { lostLines: lost } })}\n`;
    return new RotatingFile({ ...target, resumed });
  } catch (error) {
    const message = `cannot write the log file ${target.path}: ${messageOf(error)}`;
    throw new StartError('SERSYNC_LOG_FILE', message, 'create its directory, or run as a user who may write there', {
      cause: error,
    });
  }
}

async function closeAll(
  winston: ReturnType<typeof createWinston>,
  stream: LogStream,
  target: LogTarget,
  ignore: () => void,
): Promise<void> {
  await new Promise<void>((resolve) => {
    winston.once('finish', resolve);
    winston.end();
  });
  if (target.kind === 'file') {
    await new Promise<void>((resolve) => {
      stream.end(resolve);
    });
  } else if (target.stream !== undefined) {
    // stdout keeps its listener: what was handed over to a pipe may fail later.
    stream.removeListener('error', ignore);
  }
}

function isColourful(stream: LogStream | undefined): boolean {
  return ((stream ?? process.stdout).isTTY ?? false) && (process.env['NO_COLOR'] ?? '') === '';
}

/** Level, time and event come first, whatever the fields are called. */
function formatJson({ level, time, event, fields }: Entry): string {
  const head = { level, time: time.toISOString(), event };
  return JSON.stringify({ ...head, ...fields, ...head }, plain);
}

/** Values that JSON does not know, as the text that a person expects. */
function plain(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (value instanceof Error) return value.stack ?? value.message;
  if (value instanceof Set) return [...(value as Set<unknown>)];
  if (value instanceof Map) return Object.fromEntries(value as Map<string, unknown>);
  return value;
}

const COLOURS: Readonly<Record<LogLevel, string>> = { error: '31', warn: '33', info: '32', debug: '90' };

function terminalFormat(colourful: boolean): (entry: Entry) => string {
  return ({ level, time, event, fields }) => {
    const label = level.toUpperCase().padEnd(5);
    const shownLabel = colourful ? `\x1b[${COLOURS[level]}m${label}\x1b[0m` : label;
    const values = Object.entries(fields)
      .filter(([, value]) => value !== undefined)
      .map(([key, value]) => ` ${key}=${showValue(value)}`);
    return `${localTime(time)} ${shownLabel} ${escapeControls(event)}${values.join('')}`;
  };
}

/** `2025-01-31 23:59:59.123` in local time. */
function localTime(time: Date): string {
  const local = new Date(time.getTime() - time.getTimezoneOffset() * 60_000);
  return local.toISOString().replace('T', ' ').replace('Z', '');
}

/** A value as one word: as it is when it reads as one, else quoted. Never with control characters. */
function showValue(value: unknown): string {
  if (value instanceof Error) return showValue(value.message);
  if (typeof value === 'string' && value !== '' && !/[\s"=\\]/.test(value)) return escapeControls(value);
  if (typeof value === 'function' || typeof value === 'symbol') return showValue(String(value));
  return escapeControls(JSON.stringify(value, plain));
}

/** A name or a message of somebody else's must not move the cursor or change the title of a terminal. */
function escapeControls(text: string): string {
  return text.replace(/[\x00-\x1f\x7f-\x9f]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}
