import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { Hint } from '../../src/core/hint.js';
import { eventually } from '../support/eventually.js';
import { WatchBench } from '../support/watch-bench.js';

/** What the inotify watcher promises beyond the suite that both front ends pass. */

/** Beyond this the kernel's queue takes too long to fill. */
const MOST_EVENTS = 400_000;
const support = new URL('../support/', import.meta.url).pathname;

describe('the inotify watcher', () => {
  let bench: WatchBench;

  beforeEach(() => {
    bench = new WatchBench('inotify');
  });

  afterEach(async () => {
    await bench.close();
  });

  it.each<readonly [change: string, before: string, script: string, hints: Readonly<Record<string, Hint>>]>([
    ['written and closed', ': > f', 'echo x > f', { f: Hint.closed }],
    ['created, written and closed', '', 'echo x > f', { f: Hint.created | Hint.closed }],
    ['created by a link', 'echo x > f', 'ln f g; ln -s f s', { g: Hint.created, s: Hint.created, f: 0 }],
    [
      'changed in its mode',
      ': > f; mkdir d',
      'chmod 600 f d',
      { f: Hint.attributes, d: Hint.attributes | Hint.directory },
    ],
    ['removed', ': > f; mkdir d', 'rm f; rmdir d', { f: Hint.removed, d: Hint.removed | Hint.directory }],
    ['renamed', ': > f; mkdir d', 'mv f d/g', { f: Hint.movedFrom, 'd/g': Hint.movedTo }],
    [
      'renamed as a directory',
      'mkdir -p d/e',
      'mv d c',
      { d: Hint.movedFrom | Hint.directory, c: Hint.movedTo | Hint.directory, 'd/e': 0 },
    ],
    ['moved out', ': > f; mkdir d', 'mv f d $OUT', { f: Hint.movedFrom, d: Hint.movedFrom | Hint.directory }],
    ['moved in', ': > $OUT/f; mkdir $OUT/d', 'mv $OUT/* .', { f: Hint.movedTo, d: Hint.movedTo | Hint.directory }],
    ['made as a directory', '', 'mkdir d', { d: Hint.created | Hint.directory }],
    ['closed without a write', ': > f', ': >> f', { f: Hint.closed }],
    ['read', 'echo x > f', 'cat f', { f: 0 }],
    [
      'written through a mapping',
      'echo x > f',
      `'${process.execPath}' ${support}mmap-write.mjs f y`,
      { f: Hint.closed },
    ],
    ['written through another link', 'echo x > f; ln f g', 'echo y > g', { f: 0, g: Hint.closed }],
  ])('tells what a name is that was %s', async (_change, before, script, hints) => {
    await bench.shell(before);
    await bench.start();
    await bench.shell(script);
    await bench.shell('mkdir the-end');
    await eventually(
      () => bench.follower.hintsOf('the-end') !== 0,
      { withinMs: 10_000 },
      () => 'the end was not told',
    );
    // `modified` comes and goes with the moment at which the events are read: `closed` takes it back.
    const found = Object.keys(hints).map((path) => [path, bench.follower.hintsOf(path) & ~Hint.modified]);
    expect(Object.fromEntries(found)).toEqual(hints);
  });

  it('tells of a file that is written and kept open as modified, not closed', async () => {
    await bench.start();
    const writer = bench.shell('exec 3> f; echo x >&3; until [ -e $OUT/seen ]; do sleep 0.02; done');
    await eventually(
      () => (bench.follower.hintsOf('f') & Hint.modified) !== 0,
      { withinMs: 10_000 },
      () => `f was told as ${bench.follower.hintsOf('f')}`,
    );
    expect(bench.follower.hintsOf('f') & Hint.closed).toBe(0);
    writeFileSync(`${bench.outside}/seen`, '');
    await eventually(
      () => (bench.follower.hintsOf('f') & Hint.closed) !== 0,
      { withinMs: 10_000 },
      () => 'the close was not told',
    );
    await writer;
  });

  it('tells a hundred thousand new files, each once or twice', async () => {
    await bench.shell('mkdir $(seq 100)');
    await bench.start();
    await bench.shell('seq 1 100000 | awk \'{ f = ($1 % 100 + 1) "/" $1; print $1 > f; close(f) }\'');
    await bench.untilFollowed(120_000);
    // A machine that is busy with other things may take longer to read the queue than it lasts; that is repaired.
    if (bench.follower.losses.length === 0) expect(bench.follower.told.length).toBeLessThan(200_000);
  }, 180_000);

  it.skipIf(queueLimit() > MOST_EVENTS)(
    'repairs the table of watches after the kernel lost events, and only then says so for the last time',
    async () => {
      await bench.shell('mkdir -p A/B/C D; echo old > A/B/C/f');
      await bench.start();
      // Nobody reads the kernel's queue while this process is stopped; three events a file. What follows is lost.
      await bench.shell(`
        trap 'kill -CONT $PPID' EXIT
        kill -STOP $PPID
        seq ${Math.ceil(queueLimit() / 2)} | (cd D && awk '{ print > $1; close($1) }')
        mkdir -p x/y/z; echo x > x/y/z/f
        mv A E; mkdir A; mv E/B A/moved; mkdir A/moved/new; rm -r E
      `);
      await bench.untilFollowed(60_000);
      bench.writeEverywhere();
      await bench.untilFollowed(60_000);
      const reasons = bench.follower.losses.map(({ below, reason }) => `${below}: ${reason}`);
      expect(reasons[0]).toBe(`: kernel event queue overflowed (max_queued_events=${queueLimit()})`);
      expect(reasons.at(-1)).toBe(': events were lost; every directory is watched again');
      expect(bench.follower.deaths).toEqual([]);
    },
    180_000,
  );

  it('gives back its descriptors when it is stopped, and when it cannot start', async () => {
    const descriptors = (): number => readdirSync('/proc/self/fd').length;
    await bench.start();
    await bench.stop();
    const before = descriptors();
    for (let round = 0; round < 5; round++) {
      const another = new WatchBench('inotify');
      if (round % 2 === 0) await another.shell('rmdir ../root');
      await another.start().catch(() => undefined);
      await another.close();
    }
    expect(descriptors()).toBe(before);
  });

  it('does not keep a process from ending that forgot to stop it', () => {
    // A thread in a foreign call cannot be terminated, so a plain exit would hang.
    const { status } = spawnSync(process.execPath, [`${support}watch-once.mjs`, bench.root], { timeout: 20_000 });
    expect(status).toBe(0);
  });

  describe.skipIf(!canUnshare('-Ur'))('when the watches of the user are used up', () => {
    const withLimit = (setting: string, value: number, script = '', lossToCome = ''): Observation =>
      observe(bench.root, script, lossToCome, [
        'unshare',
        '-Ur',
        'sh',
        '-c',
        `echo ${value} > /proc/sys/user/${setting} && exec "$@"`,
        '-',
      ]);

    it('does not start, and says what there is, what is needed and how to get it', async () => {
      await bench.shell('for d in $(seq 20); do mkdir -p $d/a; done');
      const { failed } = withLimit('max_inotify_watches', 30);
      expect(failed?.code).toBe('SERSYNC_WATCH_LIMIT');
      expect(failed?.message).toContain('with its 41 directories');
      expect(failed?.message).toContain('max_user_watches is 30');
      expect(failed?.hint).toMatch(/sysctl -w fs\.inotify\.max_user_watches=524288 .*\/etc\/sysctl\.d\//);
    });

    it('says so when no instance can be opened', () => {
      const { failed } = withLimit('max_inotify_instances', 0);
      expect(failed?.code).toBe('SERSYNC_WATCH_LIMIT');
      expect(failed?.hint).toContain('sysctl -w fs.inotify.max_user_instances=');
    });

    it('loses a new directory that it cannot watch, and goes on with the others', () => {
      const { failed, losses, told, deaths } = withLimit('max_inotify_watches', 3, 'mkdir a b; mkdir c', 'used up');
      expect(failed).toBeUndefined();
      expect(losses).toEqual([{ below: 'c', reason: expect.stringContaining('max_user_watches=3') as string }]);
      expect(told.map(([path]) => path)).toContain('c');
      expect(deaths).toEqual([]);
    });
  });

  it.skipIf(!canRun(['setpriv', '--reuid', '65534', 'true']))(
    'loses directories that it may not read, and finds them when it may',
    async () => {
      await bench.shell('mkdir -p open mine/below; chown 65534 . mine; chmod 000 mine');
      chmodSync(bench.root.slice(0, -'/root'.length), 0o755);
      const asNobody = ['setpriv', '--reuid', '65534', '--clear-groups'];
      const { directories, losses, told, failed } = observe(bench.root, 'chmod 700 mine', '', asNobody);
      expect(failed).toBeUndefined();
      expect(directories).toBe(2);
      expect(losses).toEqual([{ below: 'mine', reason: 'cannot watch mine: permission denied' }]);
      expect(told[0]).toEqual(['mine', Hint.attributes | Hint.created | Hint.directory]);
    },
  );

  describe.skipIf(!canUnshare('-m'))('when something is mounted below the root', () => {
    const observeMounts = (script: string, lossToCome: string): Observation =>
      observe(bench.root, script, lossToCome, ['unshare', '-m']);

    it('watches what was mounted', () => {
      const { losses, deaths } = observeMounts('mkdir -p d/old; mount -t tmpfs none d; mkdir d/new', 'mounted');
      expect(losses.map(({ below }) => below)).toEqual(['d']);
      expect(deaths).toEqual([]);
    });

    it('says so when one directory is mounted at two places', () => {
      const { losses } = observeMounts('mkdir -p d/x e; mount --bind d e', 'two places');
      expect(losses.map(({ below }) => below)).toContain('e');
    });

    it('dies when the root is unmounted', () => {
      const { deaths } = observeMounts('cd ..; mount -t tmpfs none root', 'another directory');
      expect(deaths).toHaveLength(1);
    });
  });
});

interface Observation {
  readonly failed?: { readonly code: string; readonly message: string; readonly hint: string };
  readonly directories: number;
  readonly told: readonly (readonly [path: string, hint: Hint])[];
  readonly losses: readonly { readonly below: string; readonly reason: string }[];
  readonly deaths: readonly string[];
}

/** What a watcher in a process of its own has to say (watch-once.mjs). */
function observe(root: string, script: string, lossToCome: string, wrapper: readonly string[]): Observation {
  const [program = '', ...words] = wrapper;
  const watch = [process.execPath, `${support}watch-once.mjs`, root, script, lossToCome];
  const text = execFileSync(program, [...words, ...watch], { encoding: 'utf8', timeout: 30_000 });
  return JSON.parse(text) as Observation;
}

function queueLimit(): number {
  return Number(readFileSync('/proc/sys/fs/inotify/max_queued_events', 'latin1'));
}

function canUnshare(kind: string): boolean {
  return canRun(['unshare', kind, 'true']);
}

function canRun([program = '', ...words]: readonly string[]): boolean {
  return spawnSync(program, words).status === 0;
}
