import { isDeepStrictEqual } from 'node:util';
import type { Machine } from './machine.js';
import type { Row, Values } from './scenario.js';

/**
 * What `--json` writes and `--render` reads. `schema` counts up when a reader has to know of a change.
 *
 *     { schema: 2, isQuick, machine: { cpu, cores, kernel, memoryBytes, versions: { node, ... } },
 *       contestants: [{ name, description }],
 *       scenarios: [{ command, startedAt, name, description, limit, rows: [{ label, metric, statistic, unit, relativeTo? }],
 *                     standings: [{ contestant, state, reason?, rounds: [{ metric: [every value, in order] }] }] }] }
 *
 * Times are milliseconds. A contestant whose `state` is not `measured` has no place in tables and plots but by its `reason`;
 * the rounds that it finished before are kept.
 */
export interface Results {
  readonly schema: 2;
  readonly isQuick: boolean;
  readonly machine: Machine;
  readonly contestants: readonly NamedContestant[];
  readonly scenarios: readonly MeasuredScenario[];
}

export interface NamedContestant {
  readonly name: string;
  readonly description: string;
}

/** All of a scenario is measured in one run; others may have been in other runs. */
export interface MeasuredScenario extends ScenarioResults {
  /** As typed, without `--json`. */
  readonly command: string;
  /** ISO 8601, of the run. */
  readonly startedAt: string;
}

/**
 * The results with what a file holds of other scenarios, in the order of `names`. Throws when the file is no such file, or
 * its results say nothing beside these: another machine, other versions, or `--quick`.
 */
export function joinResults(held: unknown, results: Results, names: readonly string[]): Results {
  const older = held as Partial<Results>;
  const isAlike =
    older.schema === results.schema &&
    older.isQuick === results.isQuick &&
    isDeepStrictEqual(older.machine, results.machine);
  if (!isAlike) throw new Error('it holds results of another machine, of other versions or sizes: name another file');
  const { scenarios = [], contestants = [] } = older;
  const all = [...results.scenarios, ...scenarios.filter(({ name }) => !isIn(results.scenarios, name))];
  return {
    ...results,
    contestants: [...results.contestants, ...contestants.filter(({ name }) => !isIn(results.contestants, name))],
    scenarios: all.sort((one, other) => names.indexOf(one.name) - names.indexOf(other.name)),
  };
}

function isIn(list: readonly { readonly name: string }[], name: string): boolean {
  return list.some((item) => item.name === name);
}

export interface ScenarioResults {
  readonly name: string;
  readonly description: string;
  readonly limit: string;
  readonly rows: readonly Row[];
  readonly standings: readonly Standing[];
}

/** How one contestant stands in one scenario. */
export interface Standing {
  readonly contestant: string;
  state: 'measured' | 'timed out' | 'failed' | 'left out';
  reason?: string;
  readonly rounds: Values[];
}
