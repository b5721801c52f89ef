import type { Random } from '../support/random.js';
import { type EpisodePlan, type FaultCounts, type Outcome, soak } from './episode.js';
import { CHANGES_WHILE_DOWN, type Fault, FAULTS } from './faults.js';

const SHORT = { churnMs: 5_000, faults: 4, limits: { entries: 400, bytes: 12_000_000 } };
const LONG = { churnMs: 20_000, faults: 6, limits: { entries: 2_500, bytes: 30_000_000 } };

/** What may happen in a run. */
export interface Kinds {
  readonly faults: readonly Fault[];
  /** Names of operations that the writers leave out. */
  readonly without: ReadonlySet<string>;
}

/** Everything that this machine allows. */
export const ALL_KINDS: Kinds = {
  faults: FAULTS.filter(({ obstacle }) => obstacle === undefined),
  without: new Set(),
};

/** The short form: one world, one episode with some of the faults, all drawn by the seed. */
export function shortSoak(seed: number, counts: FaultCounts, { faults, without }: Kinds = ALL_KINDS): Promise<Outcome> {
  let isDone = false;
  return soak({ seed, limits: SHORT.limits, without }, counts, (random): EpisodePlan | undefined => {
    if (isDone) return undefined;
    isDone = true;
    return { churnMs: SHORT.churnMs, faults: shuffled(faults, random).slice(0, SHORT.faults) };
  });
}

/**
 * The long form: one world, in which episodes follow each other for that long, and until each fault has happened.
 * `onEpisode` is told how each ended.
 */
export function longSoak(
  seed: number,
  minutes: number,
  counts: FaultCounts,
  onEpisode: (number: number, plan: EpisodePlan) => void,
  { faults, without }: Kinds = ALL_KINDS,
): Promise<Outcome> {
  const endsAt = performance.now() + minutes * 60_000;
  let waiting: Fault[] = [];
  const used = new Set<Fault>();
  let episodes = 0;
  return soak({ seed, limits: LONG.limits, without }, counts, (random): EpisodePlan | undefined => {
    if (performance.now() >= endsAt && used.size === faults.length) return undefined;
    // All of them in turn, in an order of its own each time.
    if (waiting.length < LONG.faults) waiting = [...waiting, ...shuffled(faults, random)];
    const plan = { churnMs: LONG.churnMs, faults: waiting.splice(0, LONG.faults) };
    for (const fault of plan.faults) used.add(fault);
    onEpisode(++episodes, plan);
    return plan;
  });
}

/** A table of faults and how often each happened, with the reason where one is not possible here. */
export function describeFaults(counts: FaultCounts): string {
  const names = [...new Set([...FAULTS.map(({ name }) => name), CHANGES_WHILE_DOWN, ...counts.keys()])];
  const width = Math.max(...names.map(({ length }) => length));
  const obstacles = new Map(FAULTS.map(({ name, obstacle }) => [name, obstacle]));
  return names
    .map((name) => {
      const obstacle = obstacles.get(name);
      return `${name.padEnd(width)}  ${obstacle === undefined ? (counts.get(name) ?? 0) : `not possible here: ${obstacle}`}`;
    })
    .join('\n');
}

function shuffled<T>(items: readonly T[], random: Random): T[] {
  return items
    .map((item) => ({ item, at: random.next() }))
    .sort((one, other) => one.at - other.at)
    .map(({ item }) => item);
}
