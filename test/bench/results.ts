import type { Machine } from './machine.js';
import type { Row, Values } from './scenario.js';

/**
 * What a run writes with `--json` and `--render` reads. `schema` counts up when a reader has to know of a change.
 *
 *     { schema: 1, command, startedAt, isQuick, machine: { cpu, cores, kernel, memoryBytes, versions: { node, ... } },
 *       contestants: [{ name, description }],
 *       scenarios: [{ name, description, limit, rows: [{ label, metric, statistic, unit, relativeTo? }],
 *                     standings: [{ contestant, state, reason?, rounds: [{ metric: [every value, in order] }] }] }] }
 *
 * Times are milliseconds. A contestant whose `state` is not `measured` has no place in tables and plots but by its `reason`;
 * the rounds that it finished before are kept.
 */
export interface Results {
  readonly schema: 1;
  /** As typed, without `--json`. */
  readonly command: string;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly isQuick: boolean;
  readonly machine: Machine;
  readonly contestants: readonly { readonly name: string; readonly description: string }[];
  readonly scenarios: ScenarioResults[];
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
