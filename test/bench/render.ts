import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { type Cell, type Compared, compare, lossesFirst } from './comparison.js';
import { LIMIT, SUBJECT } from './contestants/index.js';
import { formatRatio, formatValue } from './format.js';
import { plotRatios } from './plot.js';
import type { Results, ScenarioResults } from './results.js';

/** Writes docs/benchmark.md and docs/benchmark.svg. */
export function writeDocumentation(results: Results, root: string): void {
  const rows = results.scenarios.flatMap(compare);
  writeFileSync(join(root, 'docs/benchmark.md'), renderPage(results, rows));
  writeFileSync(join(root, 'docs/benchmark.svg'), plotRatios(rows, SUBJECT));
}

export function renderPage(results: Results, rows: readonly Compared[]): string {
  return `# The benchmark

[README](../README.md) · [architecture](architecture.md) · [soak](soak.md)

Everything below was measured on one machine, each scenario in one run for all contestants, and written by
\`npm run bench -- --render FILE.json\`; do not edit it. Absolute times say little about another machine, ratios of one run more.${
    results.isQuick
      ? '\n\n**This was a run with `--quick`: it shows that the harness works and says nothing about speed.**'
      : ''
  }

${machineLines(results)}

![ratios](benchmark.svg)

## Results

${verdict(rows)}

${table(
  results.contestants.map(({ name }) => name),
  lossesFirst(rows),
)}

In parentheses: divided by what ${LIMIT} needs, which stands for what is possible, and by what ${SUBJECT} needs. A difference of
two percent counts as none. Of memory and CPU \`with rsync\` means with the rsync and ssh processes that a contestant runs.

${notMeasured(results.scenarios)}## Contestants

${results.contestants.map(({ name, description }) => `- \`${name}\`: ${description}`).join('\n')}

## Scenarios

${results.scenarios.map(scenarioParagraph).join('\n')}

${METHOD}`;
}

const METHOD = `## How it is measured

\`\`\`
npm run bench                                  everything, which takes hours; on a machine that does nothing else
npm run bench -- --only NAME,... --json FILE   some scenarios; all single values go into the file
npm run bench -- --quick                       small sizes: shows in minutes that all of it works
npm run bench -- --help                        all options, scenarios and contestants
\`\`\`

- Sources, targets and everything else lie in memory (tmpfs); the targets are rsync daemons on loopback addresses. They set no
  limits and log each file, alike for all.
- Contestants take turns, round by round. In its turn a contestant is alone, on trees of its own, newly started; it has answered
  probes and had time to settle before anything is timed, and writes and bursts before those that count warm it up.
- A time ends when a file is *visible on the remote, under its name and with its size*, seen by the same eyes for all. For bare
  rsync this is a little before its process ends. Single files and removals are seen by the kernel's events on the target's
  directory. A burst is watched by one stat for each remote every 2 ms (on tmpfs the size of a directory tells the number of
  names in it), then the files are counted and their sizes looked at. Under steady load up to 50 files a second are looked for
  every millisecond, and the others are not looked at.
- Bytes are counted by a relay between contestant and daemon, in both directions, with rsync's protocol and without TCP's headers.
- After each turn the remotes are compared with the source: names, types, sizes, times to the second as rsync compares them, and
  content (of 20,000 files at most); only \`start\` compares nothing but its probes. A file that is missing or wrong is a failure,
  whatever the time was. A contestant that fails or times out is shown as such, has no numbers in that scenario, and is not tried
  in its later rounds.
- Percentiles are the nearest rank of the values of all rounds together, medians as well.
- The delay of ssh is made by a relay, not by \`tc netem\`, which not every kernel has.
- A missing program leaves its contestant out, with the reason: \`apt-get install rsync lsyncd inotify-tools openssh-server\`.
`;

function machineLines({ machine, scenarios }: Results): string {
  const versions = Object.entries(machine.versions).map(([program, version]) => `${program} ${version}`);
  const runs = new Set(scenarios.map(({ command, startedAt }) => `- Run: \`${command}\`, ${startedAt.slice(0, 10)}`));
  return [
    ...runs,
    `- Machine: ${machine.cpu}, ${machine.cores} cores, ${formatValue(machine.memoryBytes, 'bytes')} of memory, Linux ${machine.kernel}`,
    `- Versions: ${versions.join(', ')}`,
  ].join('\n');
}

/** What is lost is named before anything else. */
function verdict(rows: readonly Compared[]): string {
  const lost = rows.filter(({ lostTo }) => lostTo !== undefined && lostTo.length > 0);
  if (lost.length === 0) return `Nobody is better than ${SUBJECT} in any row.`;
  const lines = lost.map(({ row, lostTo }) => `- ${row.label} (${row.statistic}): ${lostTo!.join(', ')}`);
  return `${SUBJECT} is not the best in ${lost.length} of ${rows.length} rows, which stand first in the table. Better are:\n\n${lines.join('\n')}`;
}

function table(contestants: readonly string[], rows: readonly Compared[]): string {
  const head = ['', ...contestants].join(' | ');
  const lines = rows.map(({ row, cells }) => {
    const values = contestants.map((name) =>
      cellText(
        cells.find(({ contestant }) => contestant === name),
        row.unit,
      ),
    );
    return `| ${[`${row.label} (${row.statistic})`, ...values].join(' | ')} |`;
  });
  return [`|${head} |`, `|${' --- |'.repeat(contestants.length + 1)}`, ...lines].join('\n');
}

function cellText(cell: Cell | undefined, unit: Compared['row']['unit']): string {
  if (cell?.value === undefined) return cell?.state === undefined || cell.state === 'measured' ? '-' : cell.state;
  const { contestant, toLimit, toSubject } = cell;
  const ratios = [
    ...(toLimit === undefined || contestant === LIMIT ? [] : [formatRatio(toLimit)]),
    ...(toSubject === undefined || contestant === SUBJECT ? [] : [formatRatio(toSubject)]),
  ];
  return `${formatValue(cell.value, unit)}${ratios.length === 0 ? '' : ` (${ratios.join('; ')})`}`;
}

function notMeasured(scenarios: readonly ScenarioResults[]): string {
  const lines = scenarios.flatMap(({ name, standings }) =>
    standings
      .filter(({ state }) => state !== 'measured')
      .map(({ contestant, state, reason }) => `- ${name}, ${contestant}: ${state}: ${reason ?? ''}`),
  );
  return lines.length === 0 ? '' : `## Not measured\n\n${lines.join('\n')}\n\n`;
}

function scenarioParagraph({ name, description, limit, standings }: ScenarioResults): string {
  const rounds = Math.max(0, ...standings.map((standing) => standing.rounds.length));
  return `- \`${name}\` (${rounds} rounds): ${description}. The limit: ${limit}.`;
}
