import { parseArgs } from 'node:util';

import type { EpisodePlan, FaultCounts, Outcome } from './episode.js';
import { type Fault, FAULTS } from './faults.js';
import { ALL_KINDS, describeFaults, type Kinds, longSoak, shortSoak } from './runs.js';
import { World } from './world.js';
import { OPERATION_NAMES } from './writers.js';

const FAULT_NAMES = FAULTS.map(({ name }) => name);

const USAGE = `npm run soak -- [--minutes N | --seeds N] [--seed S] [--faults NAME,...] [--without NAME,...]
  --minutes N   one world, episode after episode for so long (default 10)
  --seeds N     the short form instead: so many worlds of some seconds, one after another
  --seed S      where to begin; default by chance. Printed, so that a run can be repeated
  --faults      only these kinds of faults
  --without     none of these kinds of faults or operations of the writers
Faults:
${FAULT_NAMES.map((name) => `  ${name}`).join('\n')}
Operations:
${OPERATION_NAMES.map((name) => `  ${name}`).join('\n')}
`;

/** `npm run soak`: exit code 0 when nothing was lost, 1 when something was, 2 when not understood. */
export async function main(argv: readonly string[]): Promise<number> {
  let options: Options;
  try {
    options = readOptions(argv);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n${USAGE}`);
    return 2;
  }
  leaveNothingOnSignal();
  const { seed, seeds, kinds } = options;
  const beganAt = performance.now();
  const say = (text: string): void => void process.stdout.write(`${elapsed(beganAt)} ${text}\n`);
  const counts: FaultCounts = new Map();
  const outcomes =
    seeds === undefined ? [await runLong(options, counts, say)] : await runShort({ ...options, seeds }, counts, say);

  const missing = kinds.faults.filter(({ name }) => (counts.get(name) ?? 0) === 0).map(({ name }) => name);
  process.stdout.write(`\n${describeFaults(counts)}\n\n`);
  if (missing.length > 0) say(`never happened: ${missing.join(', ')}`);
  const succeeded = outcomes.filter((outcome) => outcome !== undefined);
  const failed = outcomes.length - succeeded.length;
  const slowestMs = Math.max(0, ...succeeded.flatMap(({ equalAfterMs }) => equalAfterMs));
  say(
    `seed ${seed}: ${failed === 0 ? 'nothing was lost' : `${failed} failed`}; equal again after at most ${seconds(slowestMs)}`,
  );
  return failed === 0 ? 0 : 1;
}

/** Mounts and processes of a run that is interrupted go with it. */
function leaveNothingOnSignal(): void {
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.once(name, () => {
      void Promise.allSettled([...World.living].map((world) => world.destroy())).then(() => process.exit(1));
    });
  }
}

async function runLong(
  { seed, minutes, kinds }: Options,
  counts: FaultCounts,
  say: (text: string) => void,
): Promise<Outcome | undefined> {
  say(`soak of ${minutes} minutes, seed ${seed}`);
  const report = (episode: number, { faults }: EpisodePlan): void => {
    say(`episode ${episode}: ${faults.map(({ name }) => name).join(', ')}`);
  };
  try {
    const outcome = await longSoak(seed, minutes, counts, report, kinds);
    say([...outcome.operations].map(([name, times]) => `${times} x ${name}`).join(', '));
    return outcome;
  } catch (error) {
    say((error as Error).message);
    return undefined;
  }
}

async function runShort(
  { seed, seeds, kinds }: Options & { readonly seeds: number },
  counts: FaultCounts,
  say: (text: string) => void,
): Promise<(Outcome | undefined)[]> {
  say(`${seeds} short soaks, seeds ${seed} to ${seed + seeds - 1}`);
  const outcomes: (Outcome | undefined)[] = [];
  for (let index = 0; index < seeds; index++) {
    try {
      const happened: FaultCounts = new Map();
      const outcome = await shortSoak(seed + index, happened, kinds);
      for (const [name, times] of happened) counts.set(name, (counts.get(name) ?? 0) + times);
      outcomes.push(outcome);
      say(`seed ${seed + index}: equal after ${seconds(outcome.equalAfterMs[0]!)}; ${[...happened.keys()].join(', ')}`);
    } catch (error) {
      outcomes.push(undefined);
      say((error as Error).message);
    }
  }
  return outcomes;
}

interface Options {
  readonly seed: number;
  readonly minutes: number;
  readonly seeds: number | undefined;
  readonly kinds: Kinds;
}

function readOptions(argv: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      minutes: { type: 'string', default: '10' },
      seeds: { type: 'string' },
      seed: { type: 'string' },
      faults: { type: 'string' },
      without: { type: 'string' },
    },
  });
  const only = namesIn(values.faults ?? '', FAULT_NAMES);
  const without = namesIn(values.without ?? '', [...FAULT_NAMES, ...OPERATION_NAMES]);
  const isWanted = ({ name }: Fault): boolean => (only.size === 0 || only.has(name)) && !without.has(name);
  return {
    seed: values.seed === undefined ? Math.floor(Math.random() * 1_000_000) : numberOf(values.seed),
    minutes: numberOf(values.minutes),
    seeds: values.seeds === undefined ? undefined : numberOf(values.seeds),
    kinds: { faults: ALL_KINDS.faults.filter(isWanted), without },
  };
}

function numberOf(text: string): number {
  const number = Number(text);
  if (!(number > 0)) throw new Error(`${text} is not a number above 0`);
  return number;
}

function namesIn(list: string, known: readonly string[]): Set<string> {
  const names = list.split(',').filter((name) => name !== '');
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new Error(`no fault or operation is called ${unknown}`);
  return new Set(names);
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

function elapsed(since: number): string {
  const all = Math.floor((performance.now() - since) / 1000);
  return `[${String(Math.floor(all / 60)).padStart(2)}m${String(all % 60).padStart(2, '0')}s]`;
}
