import { type Cell, compare } from './comparison.js';
import { formatRatio, formatValue } from './format.js';
import type { ScenarioResults } from './results.js';
import type { Unit } from './scenario.js';

/** What a scenario has shown, for a terminal: each row with all contestants, then why others are missing. */
export function scenarioTable(scenario: ScenarioResults): string {
  const lines = compare(scenario).flatMap(({ row, cells, lostTo }) => [
    `  ${row.label} (${row.statistic})${lostTo === undefined || lostTo.length === 0 ? '' : `, lost to ${lostTo.join(' and ')}`}`,
    ...cells.filter(({ value }) => value !== undefined).map((cell) => `    ${cellLine(cell, row.unit)}`),
  ]);
  const missing = scenario.standings
    .filter(({ state }) => state !== 'measured')
    .map(({ contestant, state, reason }) => `  ${contestant}: ${state}: ${reason ?? ''}`);
  return [...lines, ...missing].join('\n');
}

function cellLine({ contestant, value, toLimit, toSubject }: Cell, unit: Unit): string {
  const ratios = [
    ...(toLimit === undefined ? [] : [`${formatRatio(toLimit)} of the limit`]),
    ...(toSubject === undefined ? [] : [`${formatRatio(toSubject)} of sersync`]),
  ];
  return `${contestant.padEnd(13)} ${formatValue(value!, unit).padStart(10)}   ${ratios.join(', ')}`.trimEnd();
}
