import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

import type { Contestant } from './contestant.js';
import { CONTESTANTS, SUBJECT } from './contestants/index.js';
import { describeMachine } from './machine.js';
import { writeDocumentation } from './render.js';
import { joinResults, type MeasuredScenario, type Results } from './results.js';
import { runScenario } from './runner.js';
import type { Scenario } from './scenario.js';
import { SCENARIOS } from './scenarios/index.js';
import { scenarioTable } from './table.js';

function usage(): string {
  const scenarios = SCENARIOS.map((make) => make(false)).map(
    ({ name, description, rounds }) => `  ${name.padEnd(18)}${description} (${rounds} rounds)`,
  );
  const contestants = CONTESTANTS.map(({ name, description }) => `  ${name.padEnd(18)}${description}`);
  return `npm run bench -- [--only NAME,...] [--contestants NAME,...] [--rounds N] [--quick] [--json FILE]
npm run bench -- --render FILE
  --only         only these scenarios
  --contestants  only these contestants
  --rounds N     so many rounds of each scenario, instead of what stands below
  --quick        small sizes and two rounds: shows that it works, not how fast it is
  --json FILE    writes all single values there, after each scenario; what it holds of others, from this machine, stays
  --render FILE  writes docs/benchmark.md and docs/benchmark.svg from such a file; measures nothing
Scenarios:
${scenarios.join('\n')}
Contestants:
${contestants.join('\n')}
`;
}

/** `npm run bench`: exit code 0 when ours was measured in every scenario, 1 when it failed in one or the run was interrupted, 2 when not understood. */
export async function main(argv: readonly string[], root: string): Promise<number> {
  let options: Options;
  try {
    options = readOptions(argv);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n${usage()}`);
    return 2;
  }
  if (options.isHelp) {
    process.stdout.write(usage());
    return 0;
  }
  if (options.render !== undefined) {
    writeDocumentation(JSON.parse(readFileSync(options.render, 'utf8')) as Results, root);
    return 0;
  }
  return await measure(argv, options);
}

async function measure(argv: readonly string[], options: Options): Promise<number> {
  const { contestants, scenarios, rounds, json, isQuick } = options;
  const signal = abortOnSignal();
  const beganAt = performance.now();
  const say = (text: string): void => void process.stdout.write(`${elapsed(beganAt)} ${text}\n`);
  const run = { command: commandOf(argv), startedAt: new Date().toISOString() };
  const machine = describeMachine();
  const named = contestants.map(({ name, description }) => ({ name, description }));
  const held = json !== undefined && existsSync(json) ? readFileSync(json, 'utf8') : undefined;
  const names = SCENARIOS.map((make) => make(isQuick).name);
  const resultsOf = (scenarios: readonly MeasuredScenario[]): Results => {
    const results = { schema: 2, isQuick, machine, contestants: named, scenarios } as const;
    return held === undefined ? results : joinResults(JSON.parse(held), results, names);
  };
  try {
    // Whether they go together is better known before hours of measuring than after.
    resultsOf([]);
  } catch (error) {
    process.stderr.write(`--json ${json ?? ''}: ${(error as Error).message}\n`);
    return 2;
  }
  const measured: MeasuredScenario[] = [];
  for (const contestant of contestants) {
    const reason = contestant.unavailable();
    if (reason !== undefined) say(`${contestant.name} is left out: ${reason}`);
  }
  for (const scenario of scenarios) {
    say(`${scenario.name}: ${scenario.description}`);
    const results = await runScenario(scenario, {
      contestants,
      say,
      signal,
      ...(rounds === undefined ? {} : { rounds }),
    });
    // What is not finished is no result.
    if (signal.aborted) return 1;
    measured.push({ ...run, ...results });
    process.stdout.write(`\n${scenarioTable(results)}\n\n`);
    if (json !== undefined) writeFileSync(json, JSON.stringify(resultsOf(measured)));
  }
  const subjects = measured.flatMap(({ standings }) => standings.filter(({ contestant }) => contestant === SUBJECT));
  return subjects.every(({ state }) => state === 'measured') ? 0 : 1;
}

/** As typed, but for the name of the file, which says nothing to others. */
function commandOf(argv: readonly string[]): string {
  const shown = argv.filter((word, index) => !word.startsWith('--json') && argv[index - 1] !== '--json');
  return ['npm run bench', ...(shown.length === 0 ? [] : ['--', ...shown])].join(' ');
}

interface Options {
  readonly scenarios: readonly Scenario[];
  readonly contestants: readonly Contestant[];
  readonly rounds: number | undefined;
  readonly json: string | undefined;
  readonly render: string | undefined;
  readonly isQuick: boolean;
  readonly isHelp: boolean;
}

function readOptions(argv: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      only: { type: 'string' },
      contestants: { type: 'string' },
      rounds: { type: 'string' },
      json: { type: 'string' },
      render: { type: 'string' },
      quick: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const rounds = values.rounds === undefined ? undefined : Number(values.rounds);
  if (rounds !== undefined && !(Number.isInteger(rounds) && rounds > 0)) {
    throw new Error(`${values.rounds ?? ''} is not a number of rounds`);
  }
  return {
    scenarios: chosen(
      values.only,
      SCENARIOS.map((make) => make(values.quick)),
    ),
    contestants: chosen(values.contestants, CONTESTANTS),
    rounds,
    json: values.json,
    render: values.render,
    isQuick: values.quick,
    isHelp: values.help,
  };
}

function chosen<Item extends { readonly name: string }>(list: string | undefined, all: readonly Item[]): Item[] {
  if (list === undefined) return [...all];
  const names = list.split(',').filter((name) => name !== '');
  const unknown = names.find((name) => !all.some((item) => item.name === name));
  if (unknown !== undefined) throw new Error(`${unknown} is none of ${all.map(({ name }) => name).join(', ')}`);
  return all.filter(({ name }) => names.includes(name));
}

/** What an interrupted run has started goes with it. A second signal ends the program at once. */
function abortOnSignal(): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.once(name, () => {
      controller.abort();
    });
  }
  return controller.signal;
}

function elapsed(since: number): string {
  const all = Math.floor((performance.now() - since) / 1000);
  return `[${String(Math.floor(all / 60)).padStart(3)}m${String(all % 60).padStart(2, '0')}s]`;
}
