import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

import type { Contestant, Running, Task } from '../bench/contestant.js';
import { rsync } from '../bench/contestants/rsync.js';
import { runScenario } from '../bench/runner.js';
import type { Scenario } from '../bench/scenario.js';

const FILES = ['first', 'second', 'last'];

/** Waits for the last file only, as a careless scenario would: the comparison has to find what it does not see. */
const SCENARIO: Scenario = {
  name: 'three-files',
  description: 'three files',
  limit: 'a push of them',
  rows: [{ label: 'three files', metric: 'lagMs', statistic: 'median', unit: 'ms' }],
  rounds: 2,
  limitMs: 1_500,
  run: async (turn) => {
    const { paths } = await turn.makeSite({ remotes: 1 });
    await turn.start({ isColdStart: true });
    for (const name of FILES) writeFileSync(turn.source(name), name);
    const since = performance.now();
    const isThere = (): boolean => existsSync(join(paths[0]!, 'last'));
    const lag = await turn.measure({ from: '', to: '' }, since, () => turn.deadline.until(isThere, 'the last file'));
    return { lagMs: [lag] };
  },
};

describe('a run of the benchmark', () => {
  it('counts no time of who loses a file, tries nobody again who failed, and goes on with the others', async () => {
    const said: string[] = [];
    const contestants = [copier('careful'), copier('loses', 'second'), copier('hangs', 'last'), missing(), rsync];
    const { standings } = await runScenario(SCENARIO, {
      contestants,
      compareMs: 300,
      say: (text) => void said.push(text),
    });

    const [careful, loses, hangs, absent, limit] = standings;
    expect(careful).toMatchObject({ contestant: 'careful', state: 'measured' });
    expect(careful!.rounds).toHaveLength(2);
    expect(limit!.rounds).toHaveLength(2);
    expect(loses).toMatchObject({ state: 'timed out', rounds: [] });
    expect(loses!.reason).toContain('remote 1: second is missing');
    expect(hangs).toMatchObject({
      state: 'timed out',
      reason: 'in round 1, not within 2 s: the last file',
      rounds: [],
    });
    expect(absent).toMatchObject({ state: 'left out', reason: 'is not installed', rounds: [] });
    expect(said.filter((line) => line.includes('loses'))).toHaveLength(1);
  });

  it('takes what no row shows, or is no number, for a mistake of the scenario', async () => {
    const options = { contestants: [copier('careful')], rounds: 1, say: () => undefined };
    const run = async (values: Record<string, number[]>): Promise<string | undefined> => {
      const { standings } = await runScenario({ ...SCENARIO, run: () => Promise.resolve(values) }, options);
      return standings[0]!.reason;
    };
    expect(await run({ lag: [1] })).toContain('no row shows lag');
    expect(await run({ lagMs: [Number.NaN] })).toContain('lagMs is NaN');
    expect(await run({ lagMs: [-1] })).toContain('lagMs is -1');
  });
});

/** Copies what it finds every few milliseconds, but never a file of that name. */
function copier(name: string, loses?: string): Contestant {
  return {
    name,
    description: '',
    watches: true,
    unavailable: () => undefined,
    start: ({ source, remotes }: Task): Running => {
      const timer = setInterval(() => {
        for (const file of readdirSync(source)) {
          const target = join(remotes[0]!.path, file);
          if (file === loses || existsSync(target)) continue;
          execFileSync('cp', ['-p', join(source, file), target]);
        }
      }, 5);
      return {
        pids: [],
        push: () => Promise.resolve(),
        expectAlive: () => undefined,
        transcript: () => '',
        stop: () => {
          clearInterval(timer);
          return Promise.resolve();
        },
      };
    },
  };
}

function missing(): Contestant {
  return { ...copier('absent'), unavailable: () => 'is not installed' };
}
