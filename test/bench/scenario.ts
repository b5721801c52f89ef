import type { Statistic } from './statistics.js';
import type { Turn } from './turn.js';

export type Unit = 'ms' | 'bytes' | 'percent of a core' | 'times';

/** A line of the table. Less is better in all of them. */
export interface Row {
  readonly label: string;
  readonly metric: string;
  readonly statistic: Statistic;
  readonly unit: Unit;
  /** The same statistic of another metric of the same contestant, by which it is divided; the unit is then `times`. */
  readonly relativeTo?: string;
}

/** What was measured in one turn, by metric: all single values. */
export type Values = Readonly<Record<string, readonly number[]>>;

export interface Scenario {
  readonly name: string;
  readonly description: string;
  /** What bare rsync does in it, or why it has no part. */
  readonly limit: string;
  readonly rows: readonly Row[];
  readonly rounds: number;
  /** A contestant whose turn takes longer is shown as timed out, and not tried again. */
  readonly limitMs: number;
  /** At the end of a turn the whole trees are compared; false: where that takes minutes, and `run` has seen enough. */
  readonly isCompared?: false;
  /** Why a contestant has no part in it. */
  readonly excludes?: Readonly<Record<string, string>>;
  /** Something dear that all turns share, such as a large tree. */
  prepare?(): Promise<void>;
  run(turn: Turn): Promise<Values>;
  /** Undoes `prepare`. */
  clean?(): Promise<void>;
}

/** Makes a scenario in its full size, or in a small one that shows in seconds whether it works. */
export type ScenarioOf = (isQuick: boolean) => Scenario;

/** What `Turn.stalls` tells. */
export function stallRow(label: string): Row {
  return {
    label: `${label}: longest stall of the main thread since the start`,
    metric: 'stallMs',
    statistic: 'p99',
    unit: 'ms',
  };
}
