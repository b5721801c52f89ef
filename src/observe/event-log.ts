import type { Clock } from '../clock.js';
import { display } from '../core/relative-path.js';
import type { EventMap, Events } from '../events.js';
import type { Logger } from '../logger.js';

type Level = 'warn' | 'info' | 'debug';

/** Which events are logged, and how loudly: info is rare and tells of a changed state, debug has a line for each run. */
const LEVELS: Partial<Record<keyof EventMap, Level>> = {
  'watch:ready': 'info',
  'watch:lost': 'warn',
  'watch:blind': 'warn',
  'watch:partlyBlind': 'warn',
  'watch:sees': 'info',
  'walk:finished': 'info',
  'walk:failed': 'warn',
  'start:judged': 'info',
  'source:troubled': 'warn',
  'source:well': 'info',
  'journal:failed': 'warn',
  'journal:recovered': 'info',
  'journal:damaged': 'warn',
  'file:open': 'info',
  'path:touched': 'debug',
  'run:started': 'debug',
  'run:finished': 'debug',
  'batch:synced': 'debug',
  'path:failed': 'warn',
  'path:recovered': 'info',
  'path:blocked': 'warn',
  'path:newer': 'warn',
  'remote:complained': 'warn',
  'remote:unreachable': 'warn',
  'remote:halted': 'warn',
  'remote:outdated': 'warn',
  'remote:crowded': 'warn',
  'remote:recovered': 'info',
  'source:refused': 'warn',
  'source:back': 'info',
  'deletes:held': 'warn',
  'deletes:copyOnly': 'warn',
  'resync:started': 'info',
  'resync:progress': 'info',
  'resync:finished': 'info',
  'extras:found': 'info',
  'plugin:ran': 'debug',
  'plugin:said': 'info',
  'plugin:failed': 'warn',
  'plugin:recovered': 'info',
  'plugin:dropped': 'warn',
};

/** Lines of one event in an interval; beyond that they are counted. */
const BURST = 50;
const PROGRESS_EVERY_MS = 10_000;

export interface EventLogOptions {
  /** Whether there is a line for each event and run (`<debug>`). */
  readonly debug: boolean;
  /** A path that keeps failing is logged once, then once in this time. */
  readonly remindEveryMs: number;
  readonly clock: Clock;
}

/** Logs the events of the bus. */
export function logEvents(events: Events, logger: Logger, { debug, remindEveryMs, clock }: EventLogOptions): void {
  for (const [event, level] of Object.entries(LEVELS) as [keyof EventMap, Level][]) {
    if (level === 'debug' && !debug) continue;
    const isDue = dueTest(event, remindEveryMs, clock);
    const burst = new Burst(remindEveryMs, clock, (count) => {
      logger[level](event, { more: count, hint: `${count} more of these since the last line` });
    });
    events.on(event, (fields: EventMap[typeof event][0]) => {
      if (level === 'debug') logger.debug(event, shown(fields));
      else if (isDue(fields) && burst.admits()) logger[level](event, shown(fields));
    });
  }
}

function dueTest(event: keyof EventMap, remindEveryMs: number, clock: Clock): (fields: object) => boolean {
  // The others are told when something changed, by whoever tells them.
  if (event === 'resync:progress') return everySoOften(PROGRESS_EVERY_MS, clock, () => false);
  if (event === 'path:failed') {
    return everySoOften(remindEveryMs, clock, (fields) => 'attempts' in fields && fields.attempts === 1);
  }
  return () => true;
}

/** True for a path when it `isNews`; otherwise when the same remote was not told of for `everyMs`, the first time included. */
function everySoOften(everyMs: number, clock: Clock, isNews: (fields: object) => boolean): (fields: object) => boolean {
  const toldAt = new Map<string, number>();
  return (fields) => {
    const { remote, path } = fields as { remote: string; path?: string };
    const isRepeated = !isNews(fields) || path === undefined;
    const last = toldAt.get(remote);
    if (last === undefined) toldAt.set(remote, clock.now());
    if (isRepeated && (last === undefined || clock.now() - last < everyMs)) return false;
    toldAt.set(remote, clock.now());
    return true;
  };
}

class Burst {
  #count = 0;
  #since: number;

  constructor(
    readonly everyMs: number,
    readonly clock: Clock,
    readonly onMore: (count: number) => void,
  ) {
    this.#since = clock.now();
  }

  admits(): boolean {
    const now = this.clock.now();
    if (now - this.#since >= this.everyMs) {
      if (this.#count > BURST) this.onMore(this.#count - BURST);
      this.#count = 0;
      this.#since = now;
    }
    return ++this.#count <= BURST;
  }
}

/** Paths as people read them, numbers without tails. */
function shown(fields: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([key, value]: [string, unknown]) => {
      if (key === 'path' && typeof value === 'string') return [key, display(value)];
      if (key === 'examples' && Array.isArray(value)) return [key, value.map((path) => display(String(path)))];
      if (key === 'command' && Array.isArray(value)) return [key, value.join(' ')];
      if (key === 'fraction' && typeof value === 'number') return ['percent', Math.floor(value * 100)];
      return [key, typeof value === 'number' && !Number.isInteger(value) ? Math.round(value * 10) / 10 : value];
    }),
  );
}
