import type { Contestant } from './contestant.js';
import { Deadline, TimedOut } from './deadline.js';
import type { ScenarioResults, Standing } from './results.js';
import type { Scenario, Values } from './scenario.js';
import { Turn } from './turn.js';

export interface RunOptions {
  readonly contestants: readonly Contestant[];
  /** Instead of as many as the scenario has. */
  readonly rounds?: number;
  /** How long the remotes may take to be the source, once all was measured. */
  readonly compareMs?: number;
  /** No turn begins after that, and the one under way ends. */
  readonly signal?: AbortSignal;
  readonly say: (text: string) => void;
}

/** Runs a scenario: in each round every contestant has a turn, so that whatever the machine does meets all of them. */
export async function runScenario(scenario: Scenario, options: RunOptions): Promise<ScenarioResults> {
  const { name, description, limit, rows } = scenario;
  const standings = options.contestants.map((contestant) => initialStanding(scenario, contestant));
  const rounds = options.rounds ?? scenario.rounds;
  try {
    await scenario.prepare?.();
    for (let round = 1; round <= rounds; round++) {
      for (const [index, contestant] of options.contestants.entries()) {
        const standing = standings[index]!;
        if (standing.state !== 'measured' || options.signal?.aborted === true) continue;
        await takeTurn(scenario, contestant, round, standing, options);
      }
    }
  } finally {
    await scenario.clean?.();
  }
  return { name, description, limit, rows, standings };
}

function initialStanding(scenario: Scenario, contestant: Contestant): Standing {
  const reason = contestant.unavailable() ?? scenario.excludes?.[contestant.name];
  const standing = { contestant: contestant.name, rounds: [] };
  return reason === undefined ? { ...standing, state: 'measured' } : { ...standing, state: 'left out', reason };
}

async function takeTurn(
  scenario: Scenario,
  contestant: Contestant,
  round: number,
  standing: Standing,
  { say, compareMs, signal }: RunOptions,
): Promise<void> {
  const turn = new Turn(contestant, round, new Deadline(scenario.limitMs), compareMs);
  const expire = (): void => {
    turn.deadline.expire();
  };
  signal?.addEventListener('abort', expire);
  try {
    const values = await scenario.run(turn);
    expectValues(scenario, values);
    if (scenario.isCompared !== false) await turn.verify();
    standing.rounds.push(values);
    say(`${scenario.name}, round ${round}, ${contestant.name}: ${summarize(values)}`);
  } catch (error) {
    const { message } = error as Error;
    standing.state = error instanceof TimedOut ? 'timed out' : 'failed';
    standing.reason = `in round ${round}, ${message.split('\n')[0]!}`;
    say(`${scenario.name}, round ${round}, ${contestant.name} ${standing.state}: ${message}\n${turn.transcript()}`);
  } finally {
    await turn.end();
    signal?.removeEventListener('abort', expire);
  }
}

/** A mistake in a scenario must not look like a contestant that was very fast. */
function expectValues({ rows }: Scenario, values: Values): void {
  for (const [metric, measured] of Object.entries(values)) {
    if (!rows.some((row) => row.metric === metric || row.relativeTo === metric))
      throw new Error(`no row shows ${metric}`);
    if (measured.some((value) => !Number.isFinite(value) || value < 0))
      throw new Error(`${metric} is ${measured.join(', ')}`);
  }
}

function summarize(values: Values): string {
  return Object.entries(values)
    .map(([metric, measured]) => {
      const shown = measured.slice(0, 3).map((value) => value.toFixed(1));
      return `${metric} ${shown.join(' ')}${measured.length > 3 ? ` ... (${measured.length})` : ''}`;
    })
    .join(', ');
}
