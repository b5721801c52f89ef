/** The service from its options to its end: in the background, locked against a second one, logged, asked and stopped. */
import { join } from 'node:path';
import { systemClock } from '../clock.js';
import { loadConfig, type LoadedConfig } from '../config/load-config.js';
import { startService, type Service } from '../daemon.js';
import { messageOf } from '../errors.js';
import type { Events } from '../events.js';
import { shareArenas } from '../libc.js';
import { ControlServer } from '../observe/control-server.js';
import { ProgressBars } from '../observe/progress-bar.js';
import { createLogger, type ClosableLogger, type LogTarget } from '../observe/winston-logger.js';
import { takePriority } from '../thread-priority.js';
import { isBackgroundChild, isContainer, reportReady, startInBackground } from './background.js';
import { claimsOf, takeInstanceLock } from './instance-lock.js';
import type { Options } from './options.js';
import { packageVersion } from './package-version.js';
import { openStateDirectory, stateDirectoryFor } from './state-directory.js';

/** How long runs may go on after the first signal. Below the ten seconds that `docker stop` waits. */
const GRACE_MS = 8_000;
const LOG_FILE = { name: 'sersync.log', maxBytes: 10 * 1024 * 1024, maxFiles: 5 };

/** Runs the service until it is told to stop, or starts it in the background, and gives the exit code. */
export async function runService(options: Options, argv: readonly string[]): Promise<number> {
  const isChild = isBackgroundChild(process.env, process);
  const staysInForeground = isContainer(process.env, process.pid);
  if (options.background && !isChild && !staysInForeground) {
    return startInBackground({
      program: process.argv[1] ?? '',
      args: [...argv],
      env: process.env,
      print: (text) => process.stdout.write(text),
      printError: (text) => process.stderr.write(text),
    });
  }

  // What follows starts threads.
  shareArenas();
  // It takes what is told, answers people and says what runs next: all wait for it, and it works little.
  takePriority('urgent');
  const { configFile, plugin } = options;
  const loaded = loadConfig(configFile, process.env, plugin ?? 'sync');
  const { config } = loaded;
  const stateDirectory = stateDirectoryFor(configFile, process.env, process.getuid?.() ?? 0, plugin);
  openStateDirectory(stateDirectory);
  const identity = { pid: process.pid, config: config.file };
  const lock = await takeInstanceLock(claimsOf(config, stateDirectory, plugin), stateDirectory, identity);
  try {
    // All paths are absolute by now; a working directory inside a mount would keep it from being unmounted.
    if (isChild) process.chdir('/');
    await logAndServe(options, { ...loaded, stateDirectory, isChild, staysInForeground });
    return 0;
  } finally {
    await lock.release();
  }
}

interface Surroundings extends LoadedConfig {
  readonly stateDirectory: string;
  /** In the background, with a parent that waits for a report. */
  readonly isChild: boolean;
  readonly staysInForeground: boolean;
}

async function logAndServe(options: Options, surroundings: Surroundings): Promise<void> {
  const { config, warnings, stateDirectory, isChild, staysInForeground } = surroundings;
  const logPath = join(stateDirectory, LOG_FILE.name);
  const bars = options.resync && !isChild && process.stdout.isTTY ? new ProgressBars() : undefined;
  const logger = createLogger({ level: config.debug ? 'debug' : 'info', target: logTarget(isChild, logPath, bars) });
  const identity = { pid: process.pid, config: config.file };
  const control = new ControlServer({ directory: stateDirectory, identity, logger, clock: systemClock });
  try {
    for (const { line, message, hint } of warnings) logger.warn('config:warning', { line, message, hint });
    if (options.background && staysInForeground) {
      logger.info('service:foreground', { reason: '-d stays in the foreground in a container' });
    }
    const signals = listenForSignals();
    ignoreHangUp(isChild || !process.stdout.isTTY, logger);
    endOnBug(logger);
    // Before the service: who shares the state directory from another network namespace asks here whether we run.
    await control.start();
    const service = await startService(config, {
      resync: options.resync,
      threads: options.threads,
      stateDirectory,
      version: packageVersion(),
      logger,
      onEvents: (events) => {
        if (bars !== undefined) showProgress(events, bars);
      },
    });
    control.serve(service);
    if (isChild) await reportReady({ pid: process.pid, logPath, statePath: stateDirectory }, process);
    await serve(service, signals, logger);
  } finally {
    await control.stop();
    bars?.stop();
    await logger.close();
  }
}

function logTarget(isChild: boolean, path: string, bars: ProgressBars | undefined): LogTarget {
  if (isChild) return { kind: 'file', path, maxBytes: LOG_FILE.maxBytes, maxFiles: LOG_FILE.maxFiles };
  if (bars !== undefined) return { kind: 'terminal', stream: bars.logStream(process.stdout) };
  return { kind: process.stdout.isTTY ? 'terminal' : 'json' };
}

/** Runs until the first signal, then lets runs end; a second signal cuts that short. */
async function serve(service: Service, signals: SignalQueue, logger: ClosableLogger): Promise<void> {
  const signal = await signals.next();
  logger.info('signal:received', { signal });
  void signals.next().then((second) => {
    logger.warn('signal:received', { signal: second, effect: 'runs in flight are ended now' });
    service.cancel();
  });
  await service.stop(GRACE_MS);
}

/** A bug must not leave half a service behind: it is logged and the process ends, for whoever watches it to start again. */
function endOnBug(logger: ClosableLogger): void {
  process.on('uncaughtException', (error) => {
    logger.error('service:crashed', { error: error.stack ?? messageOf(error) });
    void logger.close().finally(() => process.exit(1));
  });
}

interface SignalQueue {
  /** The next signal that asks for an end: one that has come already, or the one to come. */
  next(): Promise<string>;
}

/** Listens from the start on, so that a signal during the start is not lost and ends nothing half way. */
function listenForSignals(): SignalQueue {
  const arrived: string[] = [];
  const waiting: ((signal: string) => void)[] = [];
  for (const signal of ['SIGTERM', 'SIGINT', ...(process.stdout.isTTY ? (['SIGHUP'] as const) : [])] as const) {
    process.on(signal, () => {
      const taker = waiting.shift();
      if (taker === undefined) arrived.push(signal);
      else taker(signal);
    });
  }
  return {
    next: () =>
      new Promise((resolve) => {
        const signal = arrived.shift();
        if (signal === undefined) waiting.push(resolve);
        else resolve(signal);
      }),
  };
}

/** A terminal that is closed ends what runs on it; a service in the background or in a container has none to lose. */
function ignoreHangUp(isService: boolean, logger: ClosableLogger): void {
  if (!isService) return;
  process.on('SIGHUP', () => {
    logger.info('signal:ignored', { signal: 'SIGHUP', hint: 'restart the service to read the configuration again' });
  });
}

/** Bars for the full resync of `-r`. */
function showProgress(events: Events, bars: ProgressBars): void {
  const open = new Set<string>();
  events.on('resync:started', ({ remote }) => {
    open.add(remote);
  });
  events.on('resync:progress', ({ remote, fraction, files, bytes, durationMs }) => {
    const etaSeconds = fraction > 0 ? (durationMs / fraction - durationMs) / 1000 : undefined;
    bars.update(remote, { fraction, files, bytes, ...(etaSeconds === undefined ? {} : { etaSeconds }) });
  });
  events.on('resync:finished', ({ remote, failed }) => {
    bars.finish(remote, failed === 0 ? 'done' : `done, ${failed} failed`);
    open.delete(remote);
    if (open.size === 0) bars.stop();
  });
}
