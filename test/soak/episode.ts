import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Random } from '../support/random.js';
import { readStatus, releaseHeld } from '../support/sersync-status.js';
import { differences, untilSameTree } from '../support/trees.js';
import { CHANGES_WHILE_DOWN, type Fault, giveBack } from './faults.js';
import { MODULE, World, type WorldOptions } from './world.js';

/** All remotes equal the source at the latest so long after the last fault has healed and the last change was made. */
const EQUAL_WITHIN_MS = 60_000;
/** Between two operations of one writer. */
const PAUSE_MS = 10;

const LOOK_AT_HELD_EVERY_MS = 2_000;
const IS_MUCH = 'names would be deleted, more than';
/** No fault, but counted with them. */
const RELEASES = 'held deletions released';

/** How often each fault really happened. */
export type FaultCounts = Map<string, number>;

export interface EpisodePlan {
  readonly churnMs: number;
  /** Each is done at least once, in an order that the seed draws. */
  readonly faults: readonly Fault[];
}

/** What a run of one world came to. */
export interface Outcome {
  readonly operations: ReadonlyMap<string, number>;
  /** How long it took after each episode until all remotes were equal. */
  readonly equalAfterMs: readonly number[];
}

/**
 * Makes a world, starts the service with -r, and goes through the episodes that `next` gives, until it gives none; then
 * ends the service by SIGTERM. What happened is added to `counts`. Rejects with a report when anything is not as
 * promised; the directory is kept then.
 */
export async function soak(
  options: WorldOptions,
  counts: FaultCounts,
  next: (random: Random) => EpisodePlan | undefined,
): Promise<Outcome> {
  const world = await World.make(options);
  const equalAfterMs: number[] = [];
  const verified = new Set<string>();
  try {
    await world.service.start(['-r']);
    for (let plan = next(world.random); plan !== undefined; plan = next(world.random)) {
      equalAfterMs.push(await episode(world, plan, counts, verified));
    }
    await world.service.stop();
    await world.service.expectNothingLeft();
    expectEqual(world, verified);
  } catch (error) {
    const report = describeFailure(options.seed, world, error);
    await world.end();
    throw new Error(report, { cause: error });
  }
  await world.destroy();
  return { operations: world.writers.done, equalAfterMs };
}

/** Changes and faults for a while; resolves once all is equal again, with the milliseconds that it took. */
async function episode(
  world: World,
  { churnMs, faults }: EpisodePlan,
  counts: FaultCounts,
  verified: Set<string>,
): Promise<number> {
  const count = (name: string, times: number): void => void counts.set(name, (counts.get(name) ?? 0) + times);
  const runLane = async (lane: Fault['lane']): Promise<void> => {
    for (const fault of faults.filter((one) => one.lane === lane)) {
      await sleep(world.random.below(churnMs / (1 + faults.length)));
      world.timeline.note(`=== ${fault.name}`);
      count(fault.name, await happened(fault, world));
      world.timeline.note(`=== healed: ${fault.name}`);
      world.service.expectAlive();
    }
  };
  const changesBefore = world.changesWhileDown;
  world.writers.start(PAUSE_MS);
  // All of them to their end, so that what began has healed when the first failure is told.
  const lanes = await Promise.allSettled([sleep(churnMs), runLane('remote'), runLane('service')]);
  await world.writers.stop();
  for (const lane of lanes) if (lane.status === 'rejected') throw lane.reason;
  if (world.changesWhileDown > changesBefore) count(CHANGES_WHILE_DOWN, world.changesWhileDown - changesBefore);
  giveBack(world);
  world.timeline.note('=== all has healed');
  const person = releaseWhatIsMuch(world, count);
  let tookMs: number;
  try {
    tookMs = await untilSameTree(world.source, world.remotePaths, { withinMs: EQUAL_WITHIN_MS, verified });
  } finally {
    await person.leave();
  }
  world.service.expectAlive();
  world.service.forget();
  return tookMs;
}

/**
 * A guard holds back deletions that were inferred and are many, until a person lets them go: here that person is. What is
 * held for any other reason must drop away by itself.
 */
function releaseWhatIsMuch(
  world: World,
  count: (name: string, times: number) => void,
): { readonly leave: () => Promise<void> } {
  const leaving = new AbortController();
  const { stateDirectory } = world.service;
  const look = async (): Promise<void> => {
    const remotes = (await readStatus(stateDirectory)).roots.flatMap((root) => root.remotes);
    const held = remotes.filter((remote) => remote.held > 0);
    if (held.length === 0 || !held.flatMap((remote) => remote.heldReasons).every((reason) => reason.includes(IS_MUCH)))
      return;
    world.timeline.note('=== releases held deletions');
    await releaseHeld(stateDirectory);
    count(RELEASES, 1);
  };
  const looking = (async () => {
    while (!leaving.signal.aborted) {
      await sleep(LOOK_AT_HELD_EVERY_MS, undefined, { signal: leaving.signal }).then(look, () => undefined);
    }
  })();
  return {
    leave: () => {
      leaving.abort();
      return looking;
    },
  };
}

async function happened(fault: Fault, world: World): Promise<number> {
  try {
    return await fault.strike(world);
  } catch (error) {
    throw new Error(`the fault "${fault.name}" failed: ${(error as Error).message}`, { cause: error });
  }
}

function expectEqual(world: World, verified: Set<string>): void {
  const found = world.remotePaths.flatMap((remote) => differences(world.source, remote, { verified }));
  if (found.length > 0) throw new Error(`no longer equal after the end: ${found.slice(0, 5).join('; ')}`);
}

/** Keeps what is needed to understand a failure, and tells it. */
function describeFailure(seed: number, world: World, error: unknown): string {
  const SHOWN = { differences: 20, operations: 80, log: 200 };
  const found = world.remotes.flatMap(({ daemon, name }) =>
    differences(world.source, daemon.path()).map((line) => ({ name, line })),
  );
  world.timeline.writeTo(join(world.directory, 'timeline.log'));
  writeFileSync(join(world.directory, 'service.log'), world.service.tail(1_000_000));
  // It is unmounted with the world.
  const onSmallDisk = world.remotes.find(({ disk }) => disk !== undefined);
  if (onSmallDisk !== undefined) {
    execFileSync('cp', ['-a', onSmallDisk.daemon.path(), join(onSmallDisk.directory, MODULE)]);
  }
  return [
    `seed ${seed}: ${(error as Error).message}`,
    `kept: ${world.directory} (timeline.log, service.log, source, remote-N)`,
    `--- differences (${found.length})`,
    ...found.slice(0, SHOWN.differences).map(({ name, line }) => `${name} ${line}`),
    '--- what was done to these paths, and the faults',
    ...world.timeline.about(
      found.map(({ line }) => line),
      SHOWN.operations,
    ),
    '--- the last of the log',
    world.service.tail(SHOWN.log),
  ].join('\n');
}
