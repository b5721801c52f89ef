import { describe, expect, test } from 'vitest';
import { Hint } from '../../../src/core/hint.js';
import { createEvents } from '../../../src/events.js';
import type { Change, Plugin, PluginLimits } from '../../../src/plugin/plugin.js';
import { PluginHost, type PluginHostOptions } from '../../../src/plugin/plugin-host.js';
import { ManualClock } from '../../support/manual-clock.js';

const MINUTE_MS = 60_000;

interface Run {
  readonly path: string;
  readonly change: Change;
  readonly signal: AbortSignal;
  end(said?: string): Promise<void>;
  fail(reason: string): Promise<void>;
}

/** A host and a plugin whose runs the test ends. */
class Bench {
  readonly clock = new ManualClock();
  readonly runs: Run[] = [];
  readonly told: string[] = [];
  readonly host: PluginHost;
  isClosed = false;
  /** Whether a run ends when it is told to. */
  obeys = true;

  constructor(options: Partial<PluginHostOptions> = {}, limits: Partial<PluginLimits> = {}) {
    const events = createEvents((error) => {
      throw error;
    });
    events.on('plugin:failed', ({ path, reason, failures }) =>
      this.told.push(`failed ${failures}: ${path}: ${reason}`),
    );
    events.on('plugin:recovered', ({ failures }) => this.told.push(`recovered after ${failures}`));
    events.on('plugin:dropped', ({ count, reason }) => this.told.push(`dropped ${count}: ${reason}`));
    events.on('plugin:said', ({ path, text }) => this.told.push(`said ${path}: ${text}`));
    const plugin: Plugin = {
      name: 'socket',
      limits: { timeMs: 5_000, tries: 1, pauseMs: 100, ...limits },
      concerns: ({ path }) => !path.startsWith('not-'),
      run: (change, signal) => this.#run(change, signal),
      close: () => {
        this.isClosed = true;
        return Promise.resolve();
      },
    };
    const { clock } = this;
    this.host = new PluginHost({
      plugin,
      concurrency: 2,
      maxWaiting: 3,
      remindEveryMs: 10 * MINUTE_MS,
      clock,
      events,
      ...options,
    });
  }

  add(...paths: string[]): void {
    for (const path of paths) this.host.add({ root: '/d', path, hint: Hint.closed });
  }

  running(): string[] {
    return this.runs.map(({ path }) => path);
  }

  run(path: string): Run {
    const run = this.runs.find((candidate) => candidate.path === path);
    if (run === undefined) throw new Error(`${path} is not run; but ${this.running().join(' ')}`);
    return run;
  }

  async advance(ms: number): Promise<void> {
    this.clock.advance(ms);
    await turns();
  }

  #run(change: Change, signal: AbortSignal): Promise<string | undefined> {
    return new Promise((resolve, reject) => {
      const over = async (settle: () => void): Promise<void> => {
        this.runs.splice(this.runs.indexOf(run), 1);
        settle();
        await turns();
      };
      const run: Run = {
        path: change.path,
        change,
        signal,
        end: (said) =>
          over(() => {
            resolve(said);
          }),
        fail: (reason) =>
          over(() => {
            reject(new Error(reason));
          }),
      };
      this.runs.push(run);
      signal.addEventListener('abort', () => {
        if (this.obeys) void run.fail('aborted');
      });
    });
  }
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < 30; turn++) await Promise.resolve();
}

describe('the host of a plugin', () => {
  test('runs it for some changes at a time, the others in their order', async () => {
    const bench = new Bench();
    bench.add('a', 'b', 'c', 'd');
    expect(bench.running()).toEqual(['a', 'b']);
    await bench.run('b').end();
    expect(bench.running()).toEqual(['a', 'c']);
    expect(bench.host.status()).toMatchObject({ name: 'socket', waiting: 1, running: 2, done: 1, failed: 0 });
  });

  test('folds changes of one path while they wait, with all that was said of them', async () => {
    const bench = new Bench({ concurrency: 1 });
    bench.add('a', 'b', 'b');
    bench.host.add({ root: '/d', path: 'b', hint: Hint.removed });
    await bench.run('a').end();
    expect(bench.run('b').change.hint).toBe(Hint.closed | Hint.removed);
    await bench.run('b').end();
    expect(bench.running()).toEqual([]);
    expect(bench.host.status().done).toBe(2);
  });

  test('runs once more for what changed while it ran, and never twice at once for one path', async () => {
    const bench = new Bench();
    bench.add('a');
    bench.add('a', 'a');
    expect(bench.running()).toEqual(['a']);
    await bench.run('a').end();
    expect(bench.running()).toEqual(['a']);
    await bench.run('a').end();
    expect(bench.running()).toEqual([]);
  });

  test('leaves out what does not concern the plugin', () => {
    const bench = new Bench();
    bench.add('not-this');
    expect(bench.running()).toEqual([]);
  });

  test('drops what comes when too much waits, and tells how much', async () => {
    const bench = new Bench({ concurrency: 1 }, { timeMs: 60 * MINUTE_MS });
    bench.add('a', '1', '2', '3', '4', '5', '6');
    expect(bench.told).toEqual(['dropped 1: 3 changes wait for the plugin already']);
    await bench.advance(10 * MINUTE_MS - 1);
    expect(bench.told).toHaveLength(1);
    await bench.advance(1);
    expect(bench.told[1]).toBe('dropped 2: 3 changes wait for the plugin already');
    expect(bench.host.status()).toMatchObject({ dropped: 3, waiting: 3 });
  });

  test('ends a run that takes too long, says so, and goes on', async () => {
    const bench = new Bench({ concurrency: 1 });
    bench.add('a', 'b');
    await bench.advance(4_999);
    expect(bench.running()).toEqual(['a']);
    await bench.advance(1);
    expect(bench.told).toEqual(['failed 1: /d/a: it took longer than 5 s and was ended']);
    expect(bench.running()).toEqual(['b']);
  });

  test('tries again with growing pauses, as often as the plugin allows', async () => {
    const bench = new Bench({}, { tries: 4 });
    bench.add('a');
    for (const pause of [100, 200, 400]) {
      await bench.run('a').fail('refused');
      expect(bench.running()).toEqual([]);
      await bench.advance(pause - 1);
      expect(bench.running()).toEqual([]);
      await bench.advance(1);
    }
    await bench.run('a').fail('refused for good');
    expect(bench.told).toEqual(['failed 1: /d/a: refused for good']);
    expect(bench.host.status()).toMatchObject({ failed: 1, done: 0, running: 0 });
    expect(bench.host.status().lastError).toMatchObject({ path: '/d/a', reason: 'refused for good' });
  });

  test('has a try that succeeds count as done', async () => {
    const bench = new Bench({}, { tries: 2 });
    bench.add('a');
    await bench.run('a').fail('refused');
    await bench.advance(100);
    await bench.run('a').end();
    expect(bench.host.status()).toMatchObject({ failed: 0, done: 1 });
    expect(bench.told).toEqual([]);
  });

  test('tells the first failure, then one line in an interval with their number, and when it is well again', async () => {
    const bench = new Bench();
    for (let index = 0; index < 5; index++) {
      bench.add('a');
      await bench.run('a').fail('refused');
    }
    expect(bench.told).toEqual(['failed 1: /d/a: refused']);
    await bench.advance(10 * MINUTE_MS);
    expect(bench.told.slice(1)).toEqual(['failed 4: /d/a: refused']);
    bench.add('b');
    await bench.run('b').end();
    expect(bench.told.slice(2)).toEqual(['recovered after 5']);
    bench.add('b');
    await bench.run('b').end();
    expect(bench.told).toHaveLength(3);
  });

  test('tells what came back', async () => {
    const bench = new Bench();
    bench.add('a');
    await bench.run('a').end('whatsup: succeed');
    expect(bench.told).toEqual(['said /d/a: whatsup: succeed']);
  });
});

describe('a host that is stopped', () => {
  test('lets what waits and runs go through, and closes the plugin', async () => {
    const bench = new Bench({ concurrency: 1 });
    bench.add('a', 'b');
    const stopped = bench.host.stop(1_000);
    await bench.run('a').end();
    await bench.run('b').end();
    await stopped;
    expect(bench.isClosed).toBe(true);
    expect(bench.told).toEqual([]);
  });

  test('ends what takes longer than it is given, and tells what it was not run for', async () => {
    const bench = new Bench({ concurrency: 1 });
    bench.add('a', 'b', 'c');
    const stopped = bench.host.stop(1_000);
    await bench.advance(1_000);
    await stopped;
    expect(bench.isClosed).toBe(true);
    expect(bench.told).toContain('dropped 2: the service stops');
    expect(bench.told).toContain('failed 1: /d/a: it was ended, for the service stops');
  });

  test('does not wait for a run that does not end', async () => {
    const bench = new Bench();
    bench.obeys = false;
    bench.add('a');
    const stopped = bench.host.stop(1_000);
    await bench.advance(1_000);
    await bench.advance(2_000);
    await stopped;
    expect(bench.isClosed).toBe(true);
  });

  test('waits no longer when the stop is cut short, and takes nothing more', async () => {
    const bench = new Bench();
    bench.add('a');
    const stopped = bench.host.stop(60_000);
    bench.host.cancel();
    await turns();
    await stopped;
    bench.add('b');
    expect(bench.running()).toEqual([]);
  });
});
