import { schedule as scheduleCron, validateDetailed, type TaskOptions } from 'node-cron';
import type { Clock } from '../clock.js';
import type { CrontabConfig } from '../config/config.js';
import { messageOf, StartError } from '../errors.js';
import type { Logger } from '../logger.js';

export interface ScheduleSurroundings {
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface ResyncSchedule {
  /** No call of the action after it returns. Idempotent. */
  stop(): void;
}

/**
 * Calls `action` by `<crontab schedule>`: every so many minutes counted from now, or as a cron expression of five or
 * six fields (seconds first) says, in local time. A time that was missed (the machine slept) is made up once at most.
 * Throws a `StartError` for an expression that means nothing.
 */
export function scheduleResync(
  schedule: CrontabConfig['schedule'],
  action: () => void,
  surroundings: ScheduleSurroundings,
): ResyncSchedule {
  const plan =
    'expression' in schedule
      ? planExpression(schedule.expression, action)
      : planMinutes(schedule.everyMinutes, action, surroundings.clock);
  let stopped = false;
  const onTick = (): void => {
    if (stopped) return;
    try {
      plan.onTick();
    } catch (error) {
      // One resync that could not be begun must not end the schedule.
      surroundings.logger.error('crontab:failed', { reason: messageOf(error) });
    }
  };
  const task = scheduleCron(plan.expression, onTick, { logger: cronLogger(surroundings.logger), noOverlap: false });
  return {
    stop() {
      stopped = true;
      void task.destroy();
    },
  };
}

interface Plan {
  /** When node-cron ticks. */
  readonly expression: string;
  readonly onTick: () => void;
}

function planExpression(expression: string, action: () => void): Plan {
  const { valid, errors } = validateDetailed(expression);
  if (valid) return { expression, onTick: action };
  const reasons = errors.map(({ message }) => message).join('; ');
  throw new StartError(
    'SERSYNC_CRONTAB',
    `<crontab schedule="${expression}"> is no cron expression: ${reasons}`,
    'write minute, hour, day, month and weekday, as in schedule="30 3 * * *", or minutes, as in schedule="600"',
  );
}

/** A tick each minute, at the second of the start: cron itself knows only hours that begin at :00. */
function planMinutes(everyMinutes: number, action: () => void, clock: Clock): Plan {
  const second = new Date(clock.now()).getSeconds();
  const count = new MinuteCount(everyMinutes, clock.now());
  return {
    expression: `${second} * * * * *`,
    onTick: () => {
      if (count.isDue(clock.now())) action();
    },
  };
}

/**
 * Which of the ticks, about one a minute, is the one to act at. It measures instead of counting: ticks can be late or
 * missing, and wall clocks are set. What lies in the past is due once, and later times keep to the grid of the start.
 */
export class MinuteCount {
  private next: number;
  private readonly everyMs: number;

  /** `startedAt`: milliseconds of a clock that never goes back. */
  constructor(everyMinutes: number, startedAt: number) {
    this.everyMs = everyMinutes * 60_000;
    this.next = startedAt + this.everyMs;
  }

  /** Whether to act at a tick at `now`; then the following time is the next. */
  isDue(now: number): boolean {
    // The tick of that minute may come a little early: cron's begin at full seconds, and the wall clock is adjusted.
    if (now < this.next - HALF_A_TICK_MS) return false;
    this.next += this.everyMs * Math.max(1, Math.ceil((now - this.next + HALF_A_TICK_MS) / this.everyMs));
    return true;
  }
}

const HALF_A_TICK_MS = 30_000;

function cronLogger(logger: Logger): NonNullable<TaskOptions['logger']> {
  const text = (message: string | Error): string => messageOf(message);
  return {
    info: (message) => {
      logger.debug('crontab:note', { message });
    },
    warn: (message) => {
      logger.warn('crontab:late', { message });
    },
    error: (message) => {
      logger.error('crontab:failed', { reason: text(message) });
    },
    debug: (message) => {
      logger.debug('crontab:note', { message: text(message) });
    },
  };
}
