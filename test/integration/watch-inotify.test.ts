import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { Hint } from '../../src/core/hint.js';
import { eventually } from '../support/eventually.js';
import { WatchBench } from '../support/watch-bench.js';

/** What the inotify watcher promises beyond the suite that both front ends pass. */

/** Beyond this the kernel's queue takes too long to fill. */
const MOST_EVENTS = 400_000;
const support = new URL('../support/', import.meta.url).pathname;

/** Nobody reads the kernel's queue while the process that watches is stopped; three events a file. What follows is lost. */
const WITH_FULL_QUEUE = `
  trap 'kill -CONT $PPID' EXIT
  kill -STOP $PPID
  seq ${Math.ceil(queueLimit() / 2)} | (cd D && awk '{ print > $1; close($1) }')
`;

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

  it('leaves the event loop a turn between hints that take long to be taken', async () => {
    await bench.start();
    let turns = 0;
    const countTurns = (): void => {
      turns++;
      counting = setImmediate(countTurns);
    };
    let counting = setImmediate(countTurns);
    const takenIn: number[] = [];
    bench.follower.touched = () => {
      takenIn.push(turns);
      const until = performance.now() + 20;
      while (performance.now() < until);
    };
    await bench.shell('touch one two three four five six');
    await eventually(
      () => takenIn.length >= 6,
      { withinMs: 10_000 },
      () => `${takenIn.length} hints were told`,
    );
    clearImmediate(counting);
    expect(new Set(takenIn).size).toBe(takenIn.length);
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
      await bench.shell(`${WITH_FULL_QUEUE}
        mkdir -p x/y/z; echo x > x/y/z/f
        mv A E; mkdir A; mv E/B A/moved; mkdir A/moved/new; rm -r E
      `);
      await bench.untilFollowed(60_000);
      bench.writeEverywhere();
      await bench.untilFollowed(60_000);
      const overflowed = `: kernel event queue overflowed (max_queued_events=${queueLimit()})`;
      expect(bench.follower.sights.slice(0, 2)).toEqual([`blind ${overflowed}`, `lost ${overflowed}`]);
      const repaired = ['sees ', 'lost : events were lost; every directory is watched again'];
      expect(bench.follower.sights.slice(-2)).toEqual(repaired);
      expect(bench.follower.deaths).toEqual([]);
    },
    180_000,
  );

  it.skipIf(queueLimit() > MOST_EVENTS)(
    'tells which directories went, or moved, while the kernel lost events',
    async () => {
      await bench.shell(`
        mkdir -p D gone/x/y kept/sub inner/gone inner/kept moved/in/deep replaced/old filed/old empty/was
        mkdir -p one two/below; echo f > inner/kept/f
      `);
      await bench.start();
      await bench.shell(`${WITH_FULL_QUEUE}
        rm -r gone inner/gone; mv moved kept/elsewhere; rm -r replaced; mkdir -p replaced/new
        rm -r filed; echo f > filed; mv one x; mv two one; mv x two; echo g > inner/kept/f
      `);
      await eventually(
        () => bench.follower.sights.length >= 4,
        { withinMs: 30_000 },
        () => bench.follower.sights.join('\n'),
      );
      const { directory, removed, movedTo, created } = Hint;
      const told = bench.follower.told.filter(({ path }) => !path.startsWith('D/'));
      expect(Object.fromEntries(told.map(({ path, hint }) => [path, hint]))).toEqual({
        gone: removed | directory,
        'inner/gone': removed | directory,
        moved: removed | directory,
        'kept/elsewhere': movedTo | directory,
        replaced: removed | created | directory,
        filed: removed | directory,
        one: removed | created | movedTo | directory,
        two: removed | created | movedTo | directory,
      });
      await bench.untilFollowed(30_000);
    },
    120_000,
  );

  it('has told of every directory of a burst before the fence that follows it', async () => {
    await bench.start();
    const names = Array.from({ length: 5_000 }, (_, index) => `${index}`);
    // Much faster than each is watched and listed.
    for (const name of names) mkdirSync(`${bench.root}/${name}`);
    expect(await bench.fence()).toBe(true);
    expect(names.filter((name) => bench.follower.hintsOf(name) === 0)).toEqual([]);
  });

  it('has told what was changed before a fence, however fast others write and however slowly it is taken', async () => {
    await bench.shell('mkdir -p w/$(seq -s " w/" 4) moving/a');
    await bench.start();
    const writers = bench.shell(`
      trap 'kill $(jobs -p)' EXIT
      for d in $(seq 4); do
        (cd w/$d; while [ ! -e $OUT/enough ]; do for f in $(seq 200); do echo > $f; done; rm -f *; done) &
      done
      while [ ! -e $OUT/enough ]; do mv moving/a $OUT/; mkdir moving/b; mv $OUT/a moving/; rmdir moving/b; done
      wait; trap - EXIT
    `);
    const answers = { told: 0, unsure: 0 };
    try {
      for (let round = 0; round < 50; round++) {
        const name = `w/${1 + (round % 4)}/before-${round}`;
        writeFileSync(`${bench.root}/${name}`, 'x');
        const isTold = await bench.fence();
        if (isTold) expect(bench.follower.hintsOf(name), name).not.toBe(0);
        else expect(bench.follower.losses.length, 'a reason to be unsure').toBeGreaterThan(0);
        answers[isTold ? 'told' : 'unsure'] += 1;
      }
    } finally {
      writeFileSync(`${bench.outside}/enough`, '');
      await writers;
    }
    expect(answers.told, JSON.stringify(answers)).toBeGreaterThan(10);
  }, 180_000);

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
    const withLimit = (setting: string, value: number, script = '', callToCome = ''): Observation =>
      observe(bench.root, script, callToCome, [
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

    it('says once that it is blind there, and that it sees when there are watches again', () => {
      const script = 'mkdir a b; mkdir c; sleep 0.1; mkdir c/d; rmdir a b';
      const { calls } = withLimit('max_inotify_watches', 3, script, 'c is watched again');
      expect(calls.filter((call) => /^(blind|sees|lost) c:/.test(call))).toEqual([
        expect.stringContaining('blind c: cannot watch c: the inotify watches of this user are used up') as string,
        expect.stringContaining('lost c: cannot watch c') as string,
        'sees c:',
        'lost c: c is watched again',
      ]);
    });

    it('tells it as lost again whenever it cannot be watched yet', () => {
      const { calls } = withLimit('max_inotify_watches', 3, 'mkdir a b; mkdir c', 'c still cannot be watched');
      expect(calls.filter((call) => call.includes(' c:')).slice(-1)).toEqual(['lost c: c still cannot be watched']);
      expect(calls.filter((call) => call.startsWith('blind '))).toHaveLength(1);
    });

    it('sees no less when the directory has gone', () => {
      const { calls } = withLimit('max_inotify_watches', 3, 'mkdir a b; mkdir c; sleep 0.1; rmdir c', 'gone');
      expect(calls.filter((call) => /^(sees|lost) c:/.test(call)).slice(1)).toEqual([
        'sees c:',
        'lost c: c could not be watched and is gone',
      ]);
    });

    it('is blind as a whole when it cannot watch very many directories, until it can', () => {
      const script = 'mkdir $(seq 1500); sleep 0.5; rmdir $(seq 1500)';
      const { calls } = withLimit('max_inotify_watches', 3, script, 'every directory is watched again');
      const told = (kind: string): string[] =>
        calls.filter((call) => call.startsWith(kind)).map((call) => call.slice(kind.length).split(':')[0] ?? '');
      expect(told('blind ').filter((path) => path === '')).toHaveLength(1);
      expect(told('blind ')).toHaveLength(1001);
      expect(told('sees ').sort()).toEqual(told('blind ').sort());
      expect(calls.indexOf('lost : events were lost; every directory is watched again')).toBeGreaterThan(
        calls.indexOf('sees :'),
      );
    });
  });

  it.skipIf(!canRun(['setpriv', '--reuid', '65534', 'true']))(
    'loses directories that it may not read, and finds them when it may',
    async () => {
      await bench.shell('mkdir -p open mine/below; chown 65534 . mine; chmod 000 mine');
      chmodSync(bench.root.slice(0, -'/root'.length), 0o755);
      const asNobody = ['setpriv', '--reuid', '65534', '--clear-groups'];
      const { directories, calls, failed } = observe(bench.root, 'chmod 700 mine', '', asNobody);
      expect(failed).toBeUndefined();
      expect(directories).toBe(2);
      expect(calls.slice(0, 5)).toEqual([
        'blind mine: cannot watch mine: permission denied',
        'lost mine: cannot watch mine: permission denied',
        `touched mine: ${Hint.attributes | Hint.created | Hint.directory}`,
        'sees mine:',
        'lost mine: mine is watched again',
      ]);
    },
  );

  describe.skipIf(!canUnshare('-m'))('when something is mounted below the root', () => {
    const observeMounts = (script: string, callToCome: string): Observation =>
      observe(bench.root, script, callToCome, ['unshare', '-m']);

    it('watches what was mounted', () => {
      const { losses, deaths } = observeMounts('mkdir -p d/old; mount -t tmpfs none d; mkdir d/new', 'mounted');
      expect(losses.map(({ below }) => below)).toEqual(['d']);
      expect(deaths).toEqual([]);
    });

    it.each([
      ['a mount', 'mount -t tmpfs none m', 'umount m'],
      ['a mount that is in use, lazily', 'mount -t tmpfs none m', 'exec 9> m/open; umount -l m; exec 9>&-'],
      ['a mount with another one in it', 'mount -t tmpfs none m; mkdir m/n; mount -t tmpfs none m/n', 'umount -R m'],
      [
        'a mount with another one in it, lazily',
        'mount -t tmpfs none m; mkdir m/n; mount -t tmpfs none m/n',
        'umount -l m',
      ],
      ['a directory from elsewhere', 'mount --bind $OUT m', 'umount m'],
      [
        'one mount after which comes another',
        'mount -t tmpfs none m',
        'umount m; mount -t tmpfs none m; mkdir m/other',
      ],
      [
        'a directory from elsewhere after which comes another',
        'mkdir $OUT/b; mount --bind $OUT m',
        'umount m; mount --bind $OUT/b m',
      ],
      ['a mount in a directory that is moved', 'mount -t tmpfs none m', 'umount m; mv m p'],
    ])('does not take what went with %s for removed', (_title, mount, script) => {
      const { calls, told, deaths } = observeMounted(
        `mkdir m; ${mount}`,
        script,
        'lost m: something was .*mounted at m',
      );
      expect(
        told.filter(([path, hint]) => path.startsWith('m/') && (hint & (Hint.removed | Hint.movedFrom)) !== 0),
      ).toEqual([]);
      expect(calls.filter((call) => /^lost (?!m\/n:|m:)/.test(call))).toEqual([]);
      expect(deaths).toEqual([]);
    });

    it('says what was removed before it was unmounted', () => {
      const { told } = observeMounted('mkdir m; mount -t tmpfs none m', 'rm -r m/d1; umount m', 'unmounted at m');
      const removed = told.filter(([, hint]) => (hint & Hint.removed) !== 0).map(([path]) => path);
      // Twice, where the end of its watch and its name are told in two batches.
      expect(new Set(removed.filter((path) => !path.startsWith('m/d1/')))).toEqual(new Set(['m/d1']));
    });

    it.skipIf(queueLimit() > MOST_EVENTS)('does not take it for removed when the kernel lost the events of it', () => {
      const script = `mkdir D; sleep 0.2; ${WITH_FULL_QUEUE} umount m; rm -r beside`;
      const { told, calls } = observeMounted(
        'mkdir -p m beside/b; mount -t tmpfs none m',
        script,
        'every directory is watched',
      );
      const removed = told.filter(([, hint]) => (hint & Hint.removed) !== 0).map(([path]) => path);
      expect(removed.filter((path) => !path.startsWith('D/'))).toEqual(['beside']);
      expect(calls).toContain('lost m: something was unmounted at m');
    });

    /** Mounts below the root, with files and directories in each mount, are there before the watcher starts. */
    function observeMounted(before: string, script: string, callToCome: string): Observation {
      const fill =
        'for d in m m/n; do if mountpoint -q $d; then mkdir -p $d/d{1..20}/{a,b}/c; touch $d/d{1..20}/a/f; fi; done';
      const setUp = `cd ${bench.root}; export OUT=${bench.outside}; ${before}; ${fill}; exec "$@"`;
      return observe(bench.root, script, callToCome, ['unshare', '-m', 'bash', '-euc', setUp, '-']);
    }

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
  /** Every call as a line, in order. */
  readonly calls: readonly string[];
}

/** What a watcher in a process of its own has to say (watch-once.mjs). */
function observe(root: string, script: string, callToCome: string, wrapper: readonly string[]): Observation {
  const [program = '', ...words] = wrapper;
  const watch = [process.execPath, `${support}watch-once.mjs`, root, script, callToCome];
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
