import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { Counted } from '../arrival.js';
import { KILOBYTE, makeDirectories, shapeOf, writeFiles } from '../files.js';
import type { Row, ScenarioOf } from '../scenario.js';
import type { SiteRemote } from '../site.js';
import type { Turn } from '../turn.js';

const REMOTES = 4;
const LIVING = [0, 1, 2];
/** A contestant may have found out by then. */
const NOTICED_MS = 2_000;
const QUIET_MS = 2_000;

/** What is the matter with the fourth remote: how it comes about, and how it ends. */
const STATES = {
  alive: { begin: () => Promise.resolve(), end: () => Promise.resolve() },
  refused: {
    begin: ({ daemon }: SiteRemote) => daemon.stop(),
    end: ({ daemon }: SiteRemote) => daemon.start(),
  },
  frozen: {
    begin: ({ daemon }: SiteRemote) => {
      daemon.freeze();
      return Promise.resolve();
    },
    end: ({ daemon }: SiteRemote) => {
      daemon.thaw();
      return Promise.resolve();
    },
  },
};
type State = keyof typeof STATES;
const STATE_NAMES = Object.keys(STATES) as State[];

export const deadRemote: ScenarioOf = (isQuick) => {
  const files = isQuick ? 100 : 1_000;
  return {
    name: 'dead-remote',
    description: `a burst of ${files} files of 1 KB until it is on three of four remotes, when the fourth is alive, refuses connections, or is a black hole (its daemon is stopped by SIGSTOP); all three in each turn, in changing order`,
    limit: 'a push of the finished tree to those that live',
    rows: rows(files),
    rounds: isQuick ? 1 : 9,
    limitMs: 180_000,
    run: async (turn) => {
      const { source, paths } = await turn.makeSite({ remotes: REMOTES });
      for (const state of STATE_NAMES) {
        for (const root of [source, ...paths]) makeDirectories(root, shapeOf(state, files));
      }
      await turn.start();
      const lags: Record<string, number[]> = {};
      for (const [index] of STATE_NAMES.entries()) {
        const state = STATE_NAMES[(index + turn.round) % STATE_NAMES.length]!;
        lags[`${state}Ms`] = [await burst(turn, state, files)];
      }
      return lags;
    },
  };
};

function rows(files: number): Row[] {
  const label = `burst of ${files} files to three remotes`;
  const [alive, refused, frozen] = ['a fourth alive', 'a fourth that refuses', 'a fourth that hangs'];
  return [
    { label: `${label}, ${alive}`, metric: 'aliveMs', statistic: 'median', unit: 'ms' },
    { label: `${label}, ${refused}`, metric: 'refusedMs', statistic: 'median', unit: 'ms' },
    { label: `${label}, ${frozen}`, metric: 'frozenMs', statistic: 'median', unit: 'ms' },
    ...['refusedMs', 'frozenMs'].map((metric, index): Row => {
      const dead = [refused, frozen][index]!;
      return {
        label: `${label}, ${dead} relative to alive`,
        metric,
        statistic: 'median',
        unit: 'times',
        relativeTo: 'aliveMs',
      };
    }),
  ];
}

async function burst(turn: Turn, state: State, files: number): Promise<number> {
  const { site, deadline } = turn;
  const [shape, fourth] = [shapeOf(state, files), site.remotes[REMOTES - 1]!];
  const living = LIVING.map((index) => site.paths[index]!);
  const change = { from: `${state}/`, to: `${state}/` };
  await STATES[state].begin(fourth);
  let lag: number;
  try {
    // Somebody who is to notice has to be given something to do.
    await mark(turn, `${state}-begins`, living, LIVING);
    await sleep(NOTICED_MS);
    writeFiles(site.source, shape);
    const since = performance.now();
    const counted = new Counted(living, shape.directories, shape.filesInEach, KILOBYTE);
    const everywhere = state === 'alive' ? undefined : LIVING;
    lag = await turn.measure(change, since, () => counted.until(deadline), everywhere);
  } finally {
    await STATES[state].end(fourth);
  }
  await catchUp(turn, state, files);
  return lag;
}

/** The fourth gets what it has missed, so that the next state begins as this one did. */
async function catchUp(turn: Turn, state: State, files: number): Promise<void> {
  const { site, deadline } = turn;
  const [shape, path] = [shapeOf(state, files), site.paths[REMOTES - 1]!];
  await turn.push({ from: '', to: '' });
  await mark(turn, `${state}-ends`, site.paths);
  const counted = new Counted([path], shape.directories, shape.filesInEach, KILOBYTE);
  await counted.until(deadline);
  await sleep(QUIET_MS);
}

/** Writes a file and waits for it. */
async function mark(turn: Turn, name: string, paths: readonly string[], remotes?: readonly number[]): Promise<void> {
  writeFileSync(turn.source(name), name);
  await turn.push({ from: name, to: '' }, remotes);
  const isThere = (): boolean => paths.every((path) => existsSync(join(path, name)));
  await turn.deadline.until(isThere, `${name} on the remotes`, 20);
}
