/**
 * Filter rules among the params: events and full syncs bring each remote to what one `rsync -a --delete` with these params
 * makes of the same remote. The real rsync is the oracle.
 */
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  lstatSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  type Stats,
} from 'node:fs';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { systemClock } from '../../src/clock.js';
import { DEFAULTS } from '../../src/config/config.js';
import { createFilter, type FilterSpec } from '../../src/core/filter.js';
import { readFilterRules } from '../../src/core/filter-rules.js';
import { Hint } from '../../src/core/hint.js';
import { createEvents } from '../../src/events.js';
import { FILTER_QUEUE_TIMES, FilterQueue } from '../../src/queue/filter-queue.js';
import { NO_JOURNAL } from '../../src/replicate/ports.js';
import { Replica, REPLICA_LIMITS } from '../../src/replicate/replica.js';
import { readParams } from '../../src/transfer/rsync-args.js';
import { eventually } from '../support/eventually.js';
import { TransferBench } from '../support/transfer-bench.js';
import { differences, readTree } from '../support/trees.js';

const seed = Number(process.env['SERSYNC_TEST_SEED'] ?? 20_241_122);
const bench = new TransferBench('filter-params');

beforeAll(async () => {
  await bench.start();
  console.log(`filter-params: seed ${seed} (SERSYNC_TEST_SEED)`);
});
afterAll(() => bench.close());

// Few names, so that rules, source and remote meet.
const name = fc.constantFrom('a', 'b', 'c', 'x.log', 'y.o', 'k');
const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((names) => names.join('/'));

const pattern = fc.oneof(
  fc.constantFrom('a', 'b', 'c', '*.log', '*.o', 'k', '*'),
  fc.constantFrom('/a', '/b/', 'a/', '*/', 'a/b', '/a/b', 'b/*', '/c/**', 'a/***', '**/c', '/a/*/k', '[ab]', '?.*'),
);
const rule: fc.Arbitrary<string[]> = fc.oneof(
  { weight: 5, arbitrary: pattern.map((text) => [`--exclude=${text}`]) },
  { weight: 3, arbitrary: pattern.map((text) => ['--include', text]) },
  {
    weight: 6,
    arbitrary: fc
      .tuple(
        fc.constantFrom('-', '+', 'H', 'S', 'P', 'R', 'P', 'H', 'hide', 'protect', '-s', '-r', '-p', '+r', '-!'),
        pattern,
      )
      .map(([prefix, text]) => ['-f', `${prefix} ${text}`]),
  },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom('-C', '--filter=!', '--filter=-C', '--exclude=- a', '--include=- b')
      .map((word) => [word]),
  },
);
const rules = fc.array(rule, { minLength: 1, maxLength: 4 }).map((lists) => lists.flat());

type Operation =
  | { readonly kind: 'write' | 'makeDirectory' | 'link' | 'remove'; readonly path: string }
  | { readonly kind: 'move'; readonly path: string; readonly to: string };
const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({ kind: fc.constantFrom('write', 'makeDirectory', 'link', 'remove', 'remove', 'write'), path }),
  fc.record({ kind: fc.constant('move' as const), path, to: path }),
);
const place = fc.record({ path, isDirectory: fc.boolean() });

test('events and full syncs do with rules of the params what one rsync does', async () => {
  const counts = { steps: 0, deleted: 0, spared: 0, sent: 0 };
  await fc.assert(
    fc.asyncProperty(
      rules,
      fc.array(place, { minLength: 3, maxLength: 10 }),
      fc.array(place, { minLength: 3, maxLength: 12 }),
      fc.array(fc.array(operation, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 4 }),
      async (words, here, there, steps) => {
        const world = new World(words, here, there);
        try {
          await world.resync();
          world.compare('after the full sync', counts);
          for (const [at, operations] of steps.entries()) {
            for (const each of operations) world.carryOut(each);
            await world.settle();
            world.compare(`after step ${at + 1}`, counts);
          }
        } finally {
          await world.stop();
        }
      },
    ),
    // To shrink takes hundreds of rsyncs: what is told of the first failure is short enough.
    { seed, numRuns: Number(process.env['SERSYNC_TEST_RUNS'] ?? 20), endOnFailure: true },
  );
  expect(Math.min(counts.deleted, counts.spared, counts.sent), JSON.stringify(counts)).toBeGreaterThan(20);
});

/** A source, the remote that the program serves, and the one that rsync alone does. */
class World {
  readonly #oracle = join(bench.directory, 'oracle');
  readonly #words: readonly string[];
  readonly #replica: Replica;
  readonly #queue: FilterQueue;
  readonly #done: string[] = [];
  readonly #failures: string[] = [];
  #writes = 0;

  constructor(words: readonly string[], here: readonly Place[], there: readonly Place[]) {
    this.#words = words;
    const filter: FilterSpec = {
      excludes: [],
      ...readFilterRules(words, () => {
        throw new Error('there are no files with rules');
      }),
    };
    bench.newTrees();
    for (const each of there) this.#plant(bench.remote, each);
    for (const each of here) this.#plant(bench.source, each);
    rmSync(this.#oracle, { recursive: true, force: true });
    cpSync(bench.remote, this.#oracle, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true });
    const events = createEvents((error) => {
      throw error;
    });
    events.on('path:failed', ({ path: at, reason }) => {
      this.#failures.push(`${at}: ${reason}`);
    });
    this.#replica = new Replica({
      name: 'remote',
      transport: {
        begin: (task) => {
          if ('looks' in task)
            this.#done.push(`${task.kind} of ${task.looks.map((look) => `${look.path} (${look.scope})`).join(', ')}`);
          return bench.begin(task, { params: readParams(['-a', ...words]).kept, context: { filter } });
        },
      },
      clock: systemClock,
      random: () => 0.5,
      events,
      limits: REPLICA_LIMITS,
      deletes: true,
      deleteLimit: undefined,
      sourceNames: () => 0,
      onLinked: () => undefined,
      journal: NO_JOURNAL,
      key: 'remote',
      fingerprint: 'same',
    });
    this.#queue = new FilterQueue({
      filter: createFilter(filter),
      switches: DEFAULTS.events,
      dotfiles: DEFAULTS.dotfiles,
      clock: systemClock,
      times: FILTER_QUEUE_TIMES,
      inspect: (at) => (this.#stats(at) === undefined ? 'missing' : 'other'),
      isInFlight: (at) => this.#replica.isInFlight(at),
      filesBelow: () => [],
      release: (dirty) => {
        this.#replica.mark(dirty);
      },
      onOpenFile: () => undefined,
    });
  }

  async resync(): Promise<void> {
    await this.#replica.resync({ reason: '-r', crontab: false, isAsked: true });
    await this.settle();
  }

  async settle(): Promise<void> {
    await eventually(
      () => {
        const { pending, inFlight, retrying } = this.#replica.status();
        return this.#queue.size + pending + inFlight + retrying === 0;
      },
      { withinMs: 20_000, everyMs: 5 },
      () => `${this.#describe()}\n${JSON.stringify([this.#replica.status(), ...this.#replica.failed()], null, 1)}`,
    );
  }

  async stop(): Promise<void> {
    this.#queue.stop();
    await this.#replica.stop(0);
  }

  compare(when: string, counts: { steps: number; deleted: number; spared: number; sent: number }): void {
    const before = readTree(this.#oracle);
    const { status, stderr } = spawnSync('rsync', [
      '-a',
      '--delete',
      ...this.#words,
      `${bench.source}/`,
      `${this.#oracle}/`,
    ]);
    if (status !== 0 && status !== 23) throw new Error(`rsync exits ${String(status)}: ${stderr.toString()}`);
    const after = readTree(this.#oracle);
    const source = readTree(bench.source);
    counts.steps++;
    for (const at of before.keys()) if (!after.has(at)) counts.deleted++;
    for (const at of after.keys()) if (!source.has(at)) counts.spared++;
    for (const at of after.keys()) if (!before.has(at)) counts.sent++;
    const found = [...differences(this.#oracle, bench.remote), ...this.#failures];
    if (found.length > 0)
      throw new Error(`${when} the remote is not what rsync makes of it: ${found.join('; ')}\n${this.#describe()}`);
  }

  /** Does it on the disk, if it can be done, and tells the filter queue what a watcher tells. */
  carryOut(each: Operation): void {
    const from = this.#stats(each.path);
    const isDirectory = from?.isDirectory() === true;
    if (this.#stats(dirname(each.path))?.isDirectory() !== true) return;
    const at = join(bench.source, each.path);
    switch (each.kind) {
      case 'write':
        if (isDirectory || from?.isSymbolicLink() === true) return;
        this.#write(at);
        this.#tell(each.path, Hint.created | Hint.closed, false);
        break;
      case 'makeDirectory':
        if (from !== undefined) return;
        mkdirSync(at);
        this.#tell(each.path, Hint.created, true);
        break;
      case 'link':
        if (from !== undefined) return;
        symlinkSync('nowhere', at);
        this.#tell(each.path, Hint.created, false);
        break;
      case 'remove':
        if (from === undefined) return;
        this.#tellAll(each.path, Hint.removed);
        rmSync(at, { recursive: true });
        break;
      case 'move': {
        const to = this.#stats(each.to);
        if (each.to === each.path) return;
        const isPossible = to === undefined || (!to.isDirectory() && !isDirectory);
        if (from === undefined || !isPossible || this.#stats(dirname(each.to))?.isDirectory() !== true) return;
        if (`${each.to}/`.startsWith(`${each.path}/`)) return;
        renameSync(at, join(bench.source, each.to));
        this.#tell(each.path, Hint.movedFrom, isDirectory);
        this.#tell(each.to, Hint.movedTo, isDirectory);
        break;
      }
    }
    this.#done.push(JSON.stringify(each));
  }

  #tell(at: string, hint: Hint, isDirectory: boolean): void {
    this.#queue.touched(at, isDirectory ? hint | Hint.directory : hint);
  }

  #tellAll(at: string, hint: Hint): void {
    const tree = readTree(join(bench.source, at));
    for (const [below, stats] of [...tree].reverse()) this.#tell(join(at, below), hint, stats.isDirectory());
  }

  #plant(root: string, { path: at, isDirectory }: Place): void {
    const parts = at.split('/');
    for (let depth = 1; depth < parts.length; depth++) {
      const above = join(root, ...parts.slice(0, depth));
      const stats = lstatSync(above, { throwIfNoEntry: false });
      if (stats === undefined) mkdirSync(above);
      else if (!stats.isDirectory()) return;
    }
    if (lstatSync(join(root, at), { throwIfNoEntry: false }) !== undefined) return;
    if (isDirectory) mkdirSync(join(root, at));
    else this.#write(join(root, at));
    this.#done.push(`${root === bench.source ? 'source' : 'remote'}: ${at}${isDirectory ? '/' : ''}`);
  }

  /** Each content is of its time and size, so that rsync sees a change. */
  #write(file: string): void {
    this.#writes++;
    writeFileSync(file, 'x'.repeat(this.#writes));
    utimesSync(file, 1_700_000_000 + this.#writes, 1_700_000_000 + this.#writes);
  }

  /** Undefined also where there is no directory above it. */
  #stats(at: string): Stats | undefined {
    const parent = dirname(at);
    if (parent !== '.' && this.#stats(parent)?.isDirectory() !== true) return undefined;
    return lstatSync(join(bench.source, at), { throwIfNoEntry: false });
  }

  #describe(): string {
    return [this.#words.join(' '), ...this.#done].join('\n');
  }
}

interface Place {
  readonly path: string;
  readonly isDirectory: boolean;
}
