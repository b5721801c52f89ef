import { describe, expect, test, vi } from 'vitest';
import { systemClock } from '../../../src/clock.js';
import { StartError } from '../../../src/errors.js';
import type { Logger } from '../../../src/logger.js';
import { MinuteCount, scheduleResync } from '../../../src/schedule/resync-schedule.js';

const logger = { error: vi.fn(), warn: vi.fn(), info: vi.fn(), debug: vi.fn() } satisfies Logger;
const surroundings = { clock: systemClock, logger };

/** At which of the ticks (seconds since the start) it acts. */
function dueAt(everyMinutes: number, ticks: readonly number[]): number[] {
  const count = new MinuteCount(everyMinutes, 500_000);
  return ticks.filter((seconds) => count.isDue(500_000 + seconds * 1_000));
}

const minutely = (minutes: number, shift = 0): number[] =>
  Array.from({ length: minutes }, (_, tick) => (tick + 1) * 60 + shift);

describe('minutes are counted from the start', () => {
  test.each<[title: string, everyMinutes: number, ticks: number[], due: number[]]>([
    ['every minute', 1, minutely(4), [60, 120, 180, 240]],
    ['every third', 3, minutely(10), [180, 360, 540]],
    ['ticks that come a little early', 2, minutely(6, -0.6), [119.4, 239.4, 359.4]],
    ['ticks that come a little late', 2, minutely(6, 0.9), [120.9, 240.9, 360.9]],
    ['not at once', 600, minutely(599), []],
    ['after 600 minutes', 600, minutely(1_300), [36_000, 72_000]],
    ['ticks that are missing', 3, [60, 200, 260, 320, 360, 420], [200, 360]],
    ['a long sleep is made up once, then the grid goes on', 3, [60, 2_000, 2_060, 2_120, 2_160, 2_220], [2_000, 2_160]],
    ['a wall clock that was set by some seconds', 1, [60, 120, 167, 227, 287], [60, 120, 167, 227, 287]],
  ])('%s', (_title, everyMinutes, ticks, due) => {
    expect(dueAt(everyMinutes, ticks)).toEqual(due);
  });

  test("the schedule is node-cron's and can be stopped", () => {
    const action = vi.fn();
    const schedule = scheduleResync({ everyMinutes: 600 }, action, surroundings);
    schedule.stop();
    schedule.stop();
    expect(action).not.toHaveBeenCalled();
  });
});

describe('a cron expression', () => {
  test('of six fields begins with seconds and ticks until it is stopped', async () => {
    let ticks = 0;
    await new Promise<void>((resolve) => {
      const schedule = scheduleResync(
        { expression: '* * * * * *' },
        () => {
          ticks++;
          schedule.stop();
          resolve();
        },
        surroundings,
      );
    });
    expect(ticks).toBe(1);
  });

  test('goes on after an action that failed, which is told', async () => {
    let ticks = 0;
    logger.error.mockClear();
    await new Promise<void>((resolve) => {
      const schedule = scheduleResync(
        { expression: '* * * * * *' },
        () => {
          ticks++;
          if (ticks === 1) throw new Error('no');
          schedule.stop();
          resolve();
        },
        surroundings,
      );
    });
    expect(logger.error.mock.calls).toEqual([['crontab:failed', { reason: 'no' }]]);
  });

  test.each(['30 3 * * *', '*/5 * * * mon-fri', '0 0 1,15 * *'])('%s is accepted', (expression) => {
    scheduleResync({ expression }, vi.fn(), surroundings).stop();
  });

  test.each([
    ['61 * * * *', '61 is a invalid expression for minute'],
    ['0 0 30 2 *', '30 2 is an impossible day of month'],
    ['x y z a b', 'x is a invalid expression for minute; y'],
  ])('%s means nothing', (expression, reason) => {
    const act = (): unknown => scheduleResync({ expression }, vi.fn(), surroundings);
    expect(act).toThrow(StartError);
    expect(act).toThrow(`<crontab schedule="${expression}"> is no cron expression: ${reason}`);
  });
});
