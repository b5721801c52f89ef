import { LIMIT, SUBJECT } from './contestants/index.js';
import type { ScenarioResults, Standing } from './results.js';
import type { Row } from './scenario.js';
import { statisticOf } from './statistics.js';

/** A difference of two percent is no difference: it is a draw. */
const DRAW = 0.02;

/** One row of a scenario with what every contestant has in it. */
export interface Compared {
  readonly scenario: ScenarioResults;
  readonly row: Row;
  readonly cells: readonly Cell[];
  /** Those that were better than ours, bare rsync among them. Undefined when ours was not measured. */
  readonly lostTo: readonly string[] | undefined;
}

export interface Cell {
  readonly contestant: string;
  /** Undefined: was not measured. */
  readonly value: number | undefined;
  readonly state: Standing['state'];
  /** Divided by what the limit has. */
  readonly toLimit?: number;
  /** Divided by what ours has. */
  readonly toSubject?: number;
}

export function compare(scenario: ScenarioResults): Compared[] {
  return scenario.rows.map((row) => compareRow(scenario, row));
}

/** Those that ours loses first, then those in which it was not measured; otherwise in their order. */
export function lossesFirst(rows: readonly Compared[]): Compared[] {
  const rank = ({ lostTo }: Compared): number => (lostTo === undefined ? 1 : lostTo.length > 0 ? 0 : 2);
  return [...rows].sort((one, other) => rank(one) - rank(other));
}

/** The value of a contestant in a row: of all rounds together. Undefined unless it finished every round that it was given. */
export function valueOf({ state, rounds }: Standing, row: Row): number | undefined {
  if (state !== 'measured') return undefined;
  const [value, base] = [row.metric, row.relativeTo].map((metric) => {
    const values = metric === undefined ? [] : rounds.flatMap((round) => round[metric] ?? []);
    return values.length === 0 ? undefined : statisticOf(values, row.statistic);
  });
  if (row.relativeTo === undefined || value === undefined) return value;
  return base === undefined ? undefined : ratio(value, base);
}

function compareRow(scenario: ScenarioResults, row: Row): Compared {
  const values = new Map(scenario.standings.map((standing) => [standing.contestant, valueOf(standing, row)]));
  const [limit, subject] = [LIMIT, SUBJECT].map((name) => values.get(name));
  const cells = scenario.standings.map(({ contestant, state }): Cell => {
    const value = values.get(contestant);
    // What is a ratio by itself is no race.
    if (value === undefined || row.relativeTo !== undefined) return { contestant, state, value };
    const [toLimit, toSubject] = [ratio(value, limit), ratio(value, subject)];
    return {
      contestant,
      state,
      value,
      ...(toLimit === undefined ? {} : { toLimit }),
      ...(toSubject === undefined ? {} : { toSubject }),
    };
  });
  const better = cells.filter(({ toSubject }) => toSubject !== undefined && toSubject < 1 - DRAW);
  return {
    scenario,
    row,
    cells,
    lostTo: subject === undefined ? undefined : better.map(({ contestant }) => contestant).filter(isOther),
  };
}

/** Ours in another configuration is no opponent. */
function isOther(contestant: string): boolean {
  return !contestant.startsWith(SUBJECT);
}

function ratio(value: number, base: number | undefined): number | undefined {
  return base === undefined || base === 0 ? undefined : value / base;
}
