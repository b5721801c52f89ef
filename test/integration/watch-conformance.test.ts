import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { Hint } from '../../src/core/hint.js';
import type { StartError } from '../../src/errors.js';
import { eventually, holdsFor } from '../support/eventually.js';
import { Random } from '../support/random.js';
import { WatchBench, type FrontEnd } from '../support/watch-bench.js';

/**
 * What every front end must do, one row for each way in which a tree changes. After it, and after one more write in
 * every directory of the tree, the follower (the strictest consumer there can be) must know all that is on the disk.
 */
interface Row {
  readonly title: string;
  /** Bash, in the root, before the watcher starts. `$OUT` is a place outside. */
  readonly before?: string;
  /** Bash, in the root, while it is watched. */
  readonly change: string;
  readonly excludes?: readonly string[];
  /** What raises no event with parcel, and why: the row asserts that its audit alone tells of it. */
  readonly parcel?: { readonly toldByAudit: string; readonly path: string };
  readonly timeoutMs?: number;
}

const support = new URL('../support/', import.meta.url).pathname;
const NODE = `'${process.execPath}'`;
const GROVE =
  'mkdir -p A/s1/s2/s3 B/t1/t2; for d in A A/s1 A/s1/s2 A/s1/s2/s3 B B/t1 B/t1/t2; do echo old > $d/f; done';
const FOREST =
  'for d in $(seq 200); do mkdir -p $OUT/forest/$((d % 20))/$d; for f in 1 2 3 4 5; do echo $d > $OUT/forest/$((d % 20))/$d/$f; done; done';

const ROWS: readonly Row[] = [
  { title: 'a new file', change: 'echo new > f' },
  { title: 'an empty file', change: ': > f' },
  { title: 'an overwritten file', before: 'echo old > f', change: 'echo other > f' },
  { title: 'an appended file', before: 'echo old > f', change: 'echo more >> f' },
  { title: 'a truncated file', before: 'echo old > f', change: 'truncate -s 1 f' },
  { title: 'a file that is removed', before: 'echo old > f', change: 'rm f' },
  {
    title: 'a file written through a mapping',
    before: 'echo old > f',
    change: `${NODE} ${support}mmap-write.mjs f NEW`,
    parcel: {
      toldByAudit: 'it does not ask the kernel for closed files, and a mapping raises no other event',
      path: 'f',
    },
  },
  { title: 'a mode', before: GROVE, change: 'chmod 600 A/f; chmod 700 A/s1' },
  { title: 'a time', before: 'echo old > f', change: 'touch -d 2001-01-01 f' },
  { title: 'a directory', change: 'mkdir d' },
  {
    title: 'sixty deep paths with a file',
    change: 'for i in $(seq 60); do mkdir -p $i/a/b/c/d; echo x > $i/a/b/c/d/f; done',
  },
  { title: 'a copied tree of 200 directories', before: FOREST, change: 'cp -r $OUT/forest copy' },
  {
    title: 'an unpacked archive',
    before: `${FOREST}; tar cf $OUT/forest.tar -C $OUT forest`,
    change: 'tar xf $OUT/forest.tar',
  },
  {
    title: 'a cloned repository',
    before:
      'git init -q $OUT/r; cd $OUT/r; mkdir -p a/b c; echo 1 > a/b/f; echo 2 > c/f; git add .; git -c user.name=t -c user.email=t@t commit -qm one',
    change: 'git clone -q $OUT/r clone',
  },
  { title: 'a tree brought by rsync', before: FOREST, change: 'rsync -a $OUT/forest/ here/' },
  { title: 'a renamed file', before: 'echo old > f', change: 'mv f g' },
  {
    title: 'a file replaced by rename and then removed',
    before: 'echo old > f',
    change: 'echo new > f.new; mv f.new f; rm f',
  },
  { title: 'a file replaced by rename', before: 'echo old > f', change: 'echo new > f.new; mv f.new f' },
  {
    title: 'a deep directory renamed, and written below',
    before: GROVE,
    change: 'mv A C; echo new > C/s1/s2/f; mkdir C/s1/new; echo new > C/s1/new/f',
  },
  {
    title: 'a directory renamed twice in a row',
    before: GROVE,
    change: 'mv A C; mv C D; mkdir D/s1/new; echo new > D/s1/s2/s3/f',
  },
  {
    title: 'a directory renamed away and back',
    before: GROVE,
    change: 'mv A C; mkdir -p C/s1/x/y; mv C A; echo new > A/s1/x/y/f',
  },
  {
    title: 'a directory renamed forty times while it is written',
    before: GROVE,
    change:
      '(for i in $(seq 200); do for d in A C; do mkdir -p $d/s1/$i/x && echo $i > $d/s1/$i/x/f || true; done; done) 2>/dev/null & for i in $(seq 20); do mv A C; mv C A; done 2>/dev/null || true; wait',
  },
  { title: 'two directories swapped by three renames', before: GROVE, change: 'mv A x; mv B A; mv x B' },
  { title: 'two directories swapped in one step', before: GROVE, change: `${NODE} ${support}watch-exchange.mjs A B` },
  {
    title: 'a file and a directory swapped in one step',
    before: `${GROVE}; echo f > f`,
    change: `${NODE} ${support}watch-exchange.mjs A/s1 f`,
  },
  { title: 'a directory swapped for one deeper in the tree', before: GROVE, change: 'mv A/s1 x; mv A x/a; mv x A' },
  {
    title: 'a tree removed and copied anew, twenty times',
    before: `${FOREST}; cp -r $OUT/forest A`,
    change: 'for i in $(seq 20); do rm -rf A; cp -r $OUT/forest A; done',
  },
  {
    title: 'a directory removed and made again',
    before: GROVE,
    change: 'for i in $(seq 50); do rm -r A; mkdir -p A/s1; echo $i > A/s1/f; done',
  },
  { title: 'a tree moved in', before: FOREST, change: 'mv $OUT/forest here; echo new > here/1/1/new' },
  { title: 'a tree moved out', before: GROVE, change: 'mv A $OUT/A' },
  {
    title: 'a tree moved out, changed and moved in again',
    before: GROVE,
    change: 'mv A $OUT/A; mkdir -p $OUT/A/s1/x/y; rm -r $OUT/A/s1/s2; mv $OUT/A A; echo new > A/s1/x/y/f',
  },
  {
    title: 'links',
    before: 'mkdir d; echo old > d/f; echo out > $OUT/f',
    change: 'ln -s d to-directory; ln -s nowhere dangling; ln -s $OUT outside; ln d/f hard; ln -sfn $OUT to-directory',
  },
  {
    title: 'a file replaced by a directory and back',
    before: 'echo old > f',
    change: 'rm f; mkdir -p f/g; echo x > f/g/h; rm -r f; echo again > f; rm f; mkdir f; echo y > f/z',
  },
  {
    title: 'odd names',
    change:
      'n=$\'new\\nline\'; q="quote\'\\"s"; b=\'back\\slash\'; g=$\'\\xb2\\xe2\\xca\\xd4\'; l=$(printf \'l%.0s\' $(seq 255)); for x in "$n" "$q" "$b" "$g" "$l" \'#h\' \'-r\' \' \' \'*\'; do mkdir "./$x"; echo 1 > "./$x/$x"; done; mv "./$g" "./$g$g"; rm -r "./$n"',
  },
  {
    title: 'a path of 300 directories',
    change: 'mkdir -p $(printf "d/%.0s" $(seq 300)); echo x > $(printf "d/%.0s" $(seq 300))f',
  },
  {
    title: 'excluded directories',
    before: `${GROVE}; mkdir -p skip/x`,
    excludes: ['skip', '.*/skip'],
    change:
      'echo x > skip/f; mkdir -p B/skip/y; echo x > B/skip/y/f; mv A/s1 skip/s1; mv skip/x out-of-skip; mkdir skip/s1/more; mv B/t1 B/t2; echo y > B/t2/f',
  },
  {
    title: 'twenty thousand files',
    change:
      'for d in $(seq 100); do mkdir $d; done; seq 1 20000 | awk \'{ f = ($1 % 100 + 1) "/" $1; print $1 > f; close(f) }\'',
    timeoutMs: 60_000,
  },
  {
    title: 'a thousand directories removed',
    before: 'for i in $(seq 1000); do mkdir -p A/$((i % 30))/$i; echo x > A/$((i % 30))/$i/f; done',
    change: 'rm -rf A',
  },
  { title: 'fifos and sockets', change: 'mkfifo p; chmod 600 p; mv p q' },
  {
    title: 'files that come and go',
    change: 'for i in $(seq 300); do echo $i > t$((i % 7)); rm t$(((i + 3) % 7)) 2>/dev/null || true; done',
  },
];

const FRONT_ENDS: readonly FrontEnd[] = ['inotify', 'parcel'];

describe.each(FRONT_ENDS)('the %s watcher', (frontEnd) => {
  let bench: WatchBench;

  beforeEach(() => {
    bench = new WatchBench(frontEnd);
  });

  afterEach(async () => {
    await bench.close();
  });

  it.each(ROWS.map((row) => [row.title, row] as const))(
    'tells of %s, and leaves no directory blind',
    async (_title, row) => {
      if (row.before !== undefined) await bench.shell(row.before);
      await bench.start(row.excludes);
      await bench.shell(row.change);
      await bench.untilFollowed(row.timeoutMs ?? 10_000);
      if (frontEnd === 'parcel' && row.parcel !== undefined) {
        // An event would say more: what the audit finds, it knows nothing about.
        expect(bench.follower.hintsOf(row.parcel.path), row.parcel.toldByAudit).toBe(Hint.unknown);
      }
      bench.writeEverywhere();
      await bench.untilFollowed(row.timeoutMs ?? 10_000);
      expect(bench.follower.deaths).toEqual([]);
    },
    120_000,
  );

  it('tells nothing of a directory that was moved out', async () => {
    await bench.shell(GROVE);
    await bench.start();
    await bench.shell('mv A $OUT/A');
    await bench.untilFollowed(10_000);
    // The watcher waits for a while whether the directory turns up elsewhere in the tree, and tells what changes in it.
    const tellsMarkerAlone = async (): Promise<boolean> => {
      const before = bench.follower.told.length;
      const since = (): string[] => bench.follower.told.slice(before).map(({ path }) => path);
      await bench.shell('echo new > $OUT/A/s1/f; echo new > marker');
      await eventually(
        () => since().includes('marker'),
        { withinMs: 10_000 },
        () => 'the marker was not told',
      );
      return !since().some((path) => path.startsWith('A/'));
    };
    await eventually(tellsMarkerAlone, { withinMs: 20_000 }, () => 'what changes outside is told');
    const told = bench.follower.told.length;
    await bench.shell('for i in $(seq 20); do echo $i > $OUT/A/s1/f; mkdir $OUT/A/s1/$i; sleep 0.05; done');
    const afterwards = (): string[] => bench.follower.told.slice(told).map(({ path }) => path);
    const isInside = (path: string): boolean => !path.startsWith('A/');
    await holdsFor(
      () => afterwards().every(isInside) && bench.follower.losses.length === 0,
      500,
      () => `told of ${afterwards().join(', ')}`,
    );
  });

  it('tells nothing of excluded directories', async () => {
    await bench.shell('mkdir -p skip/x keep');
    await bench.start(['skip']);
    await bench.shell('echo x > skip/x/f; mkdir skip/y; echo y > skip/y/f; echo k > keep/f');
    await bench.untilFollowed(10_000);
    expect(bench.follower.told.filter(({ path }) => path.startsWith('skip'))).toEqual([]);
  });

  it.each([
    { title: 'is removed', end: remove },
    { title: 'is moved away', end: moveAway },
    {
      title: 'is replaced',
      end: (root: string) => {
        moveAway(root);
        mkdirSync(root);
      },
    },
  ])('loses everything and dies, once, when the root $title', async ({ end }) => {
    await bench.shell(GROVE);
    await bench.start();
    end(bench.root);
    await eventually(
      () => bench.follower.deaths.length > 0,
      { withinMs: 10_000 },
      () => 'it lives on',
    );
    expect(bench.follower.losses.at(-1)?.below).toBe('');
    await bench.stop();
    expect(bench.follower.deaths).toHaveLength(1);
  });

  it.each([
    { title: 'is missing', change: remove },
    {
      title: 'is a file',
      change: (root: string) => {
        remove(root);
        writeFileSync(root, '');
      },
    },
  ])('does not start when the root $title, and says so', async ({ change }) => {
    change(bench.root);
    const outcome: unknown = await bench.start().catch((error: unknown) => error);
    expect(outcome).toMatchObject({ code: 'SERSYNC_WATCH_ROOT' });
    expect((outcome as StartError).message).toContain(bench.root);
    expect(bench.follower.deaths).toEqual([]);
  });

  it('has told what was changed before a fence that is true', async () => {
    await bench.shell(GROVE);
    await bench.start();
    const untold: string[] = [];
    let fences = 0;
    for (let round = 0; round < 40; round++) {
      const changes = [`A/s1/new-${round}`, `made-${round}/below`, `B/t1/${round}`];
      await bench.shell(
        `echo x > ${changes[0]}; mkdir -p ${changes[1]}; ln A/f ${changes[2]}; mv B/t1 B/t3; mv B/t3 B/t1`,
      );
      if (!(await bench.fence())) continue;
      fences += 1;
      untold.push(...bench.follower.mistakes());
    }
    expect(fences).toBeGreaterThan(0);
    expect(untold).toEqual([]);
  });

  it('has no fence that is true before it is started and after it was stopped', async () => {
    await bench.start();
    const asked = bench.stop();
    expect(await bench.fence()).toBe(false);
    await asked;
    expect(await bench.fence()).toBe(false);
  });

  it('tells nothing after it was stopped, and can be stopped again', async () => {
    await bench.start();
    await bench.shell('echo x > f');
    await bench.stop();
    const told = bench.follower.told.length;
    await bench.shell('echo y > g');
    await bench.stop();
    expect(bench.follower.told).toHaveLength(told);
    expect(bench.follower.deaths).toEqual([]);
  });

  it.each([1, 2, 3, 4, 5])(
    'follows random changes of files and directories (seed %i)',
    async (seed) => {
      const random = new Random(seed);
      await bench.shell(GROVE);
      await bench.start();
      for (let round = 0; round < 4; round++) {
        await bench.shell(randomScript(random, 150));
        await bench.untilFollowed(15_000);
      }
      bench.writeEverywhere();
      await bench.untilFollowed(15_000);
      expect(bench.follower.deaths).toEqual([]);
    },
    120_000,
  );
});

function remove(directory: string): void {
  rmSync(directory, { recursive: true });
}

function moveAway(directory: string): void {
  renameSync(directory, `${directory}-moved`);
}

/** Commands over few names at three depths, so that they meet. Many fail; that is part of it. */
function randomScript(random: Random, commands: number): string {
  const name = (): string => random.pick(['A', 'B', 'C', 'd', 'e', 'f', "$'\\xb2\\xe2'"]);
  const path = (): string => Array.from({ length: 1 + random.below(4) }, name).join('/');
  const command = (): string => {
    switch (random.below(12)) {
      case 0:
      case 1:
        return `mkdir -p ${path()}`;
      case 2:
      case 3:
        return `echo ${random.below(1000)} > ${path()}`;
      case 4:
        return `p=${path()}; mkdir -p $p && echo ${random.below(1000)} > $p/file`;
      case 5:
      case 6:
      case 7:
        return `mv -T ${path()} ${path()}`;
      case 8:
        return `rm -rf ${path()}`;
      case 9:
        return `cp -r ${path()} ${path()}`;
      case 10:
        return `o=$OUT/${random.below(3)}; if [ -e $o ]; then mv $o ${path()}; else mv ${path()} $o; fi`;
      default:
        return `chmod ${random.pick(['700', '755', '644'])} ${path()}`;
    }
  };
  const lines = Array.from({ length: commands }, () => `{ ${command()}; } 2>/dev/null || true`);
  return lines.join('\n');
}
