/**
 * Deleting on a remote that refuses names that are missing. The installed rsync does not, so the mode is forced, or the
 * refusal played by a script in front of rsync. SERSYNC_REFUSING_RSYNC may name a directory with an rsync that does
 * refuse (Debian's 3.2.7-1+deb12u6): then everything is done against its daemon as well.
 */
import { MessageChannel } from 'node:worker_threads';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import type * as delivery from '../../src/transfer/worker.js';
import type * as packing from '../../src/transfer/packed-task.js';
import type * as pooling from '../../src/transfer/pool.js';
import { ancestorsOf, join as joinPath, parentOf, type RelativePath } from '../../src/core/relative-path.js';
import type { DeleteGuard, RunReport, TransferTask } from '../../src/replicate/ports.js';
import { judge } from '../../src/replicate/verdict.js';
import { DeleteMemory } from '../../src/transfer/delete-memory.js';
import { identify } from '../../src/transfer/source.js';
import { ManualClock } from '../support/manual-clock.js';
import { Random } from '../support/random.js';
import { startRsyncDaemon, type RsyncDaemon } from '../support/rsync-daemon.js';
import { locate, readTree } from '../support/trees.js';

const dist = new URL(`${process.env['SERSYNC_DIST'] ?? new URL('../../dist', import.meta.url).pathname}/`, 'file:');
const load = async (file: string): Promise<unknown> => await import(/* @vite-ignore */ new URL(file, dist).href);
const { default: carryOut } = (await load('transfer/worker.js')) as typeof delivery;
const { packTask } = (await load('transfer/packed-task.js')) as typeof packing;
const { TransferPool } = (await load('transfer/pool.js')) as typeof pooling;

const refusing = process.env['SERSYNC_REFUSING_RSYNC'];
const daemons: { name: string; path?: string }[] = [
  { name: 'the installed rsync' },
  ...(refusing === undefined ? [] : [{ name: 'an rsync that refuses', path: refusing }]),
];

describe.each(daemons)('deleting by rules on $name', ({ path }) => {
  let folder: string;
  let daemon: RsyncDaemon;
  let source: string;
  let remote: string;

  beforeAll(async () => {
    folder = realpathSync(mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'sersync-delete-rules-')));
    const before = process.env['PATH'] ?? '';
    if (path !== undefined) process.env['PATH'] = `${path}:${before}`;
    daemon = await startRsyncDaemon({ directory: join(folder, 'daemon') });
    process.env['PATH'] = before;
  });

  afterAll(async () => {
    await daemon.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  let planted = 0;

  beforeEach(() => {
    newTrees();
  });

  /** An empty source and, in a directory of its own below the module, an empty remote. */
  function newTrees(): void {
    planted++;
    source = join(folder, `source-${planted}`);
    remote = join(daemon.path(), `sub-${planted}`, 'dir');
    for (const tree of [source, remote]) mkdirSync(tree, { recursive: true });
    // A source that holds nothing deletes nothing.
    plant(source, ['stays']);
    plant(remote, ['stays']);
  }

  function contextOf(change: Partial<delivery.WorkerContext> = {}, params = ['-artuz']): delivery.WorkerContext {
    return {
      rsync: 'rsync',
      cwd: source,
      root: source,
      target: { ip: daemon.address, port: daemon.port, name: `backup/sub-${planted}/dir`, ssh: false, params },
      deletes: true,
      launcher: [],
      deletesBy: 'rules',
      keepsNewer: false,
      filter: { excludes: [] },
      crontabPatterns: [],
      ...change,
    };
  }

  function guard(): DeleteGuard {
    return { identity: identify(source) ?? '', mounts: [], mayBeEmpty: false };
  }

  async function send(names: readonly RelativePath[], context = contextOf()): Promise<RunReport> {
    const { port1, port2 } = new MessageChannel();
    try {
      return await carryOut({ context, guard: guard(), task: packTask(taskOf(names)), port: port2 });
    } finally {
      port1.close();
    }
  }

  /** Sends the names by rules and expects that exactly `gone` is gone, with what is below, and nobody complains. */
  async function expectGone(names: readonly RelativePath[], gone: readonly RelativePath[], params?: string[]) {
    const expected = namesOf(remote).filter((name) => !isWithin(name, gone));
    const report = await send(names, contextOf({}, params));
    expect(report).toMatchObject({ complaints: [], messages: [], deletesBy: 'rules' });
    expect(judge(report, { deletes: true }).kind).toBe('synced');
    expect(namesOf(remote)).toEqual(expected);
    return report;
  }

  it('removes names of every kind and none beside them', async () => {
    const odd = [
      'a*b',
      'a?b',
      '[ab]',
      'x[1]\\*',
      'back\\slash',
      '#a',
      ';b',
      '- c',
      '!',
      ' d ',
      'new\nline',
      '\xb2\xe2',
    ];
    const decoys = ['axb', 'ab', 'a', 'b', 'x1*', 'backslash', 'c', 'new', 'line', '\xb2'];
    plant(source, ['d/stays']);
    plant(
      remote,
      [...odd, ...decoys].flatMap((name) => [name, `d/${name}`, `d/dir ${name}/file`]),
    );
    const names = odd.flatMap((name) => [name, `d/${name}`, `d/dir ${name}`]);
    await expectGone(names, names);
  });

  it('removes a directory with all it holds, and a link without what it leads to', async () => {
    plant(remote, ['d/sub/deeper/file', 'd/sub/.hidden', 'd/file', 'target/file']);
    symlinkSync('target', join(remote, 'link'));
    await expectGone(['d', 'link'], ['d', 'link']);
  });

  it('takes a name that is not there, also below a directory that is not, for done', async () => {
    plant(source, ['only-here/deep/stays']);
    plant(remote, ['other']);
    await expectGone(['nothing', 'only-here/deep/gone'], []);
  });

  it('sends what is there along with what is gone, and replaces what stands in the way', async () => {
    plant(source, ['d/new', 'd/was-directory', 'e/stays']);
    plant(remote, ['d/gone', 'd/was-directory/file', 'd/not-named', 'e']);
    const report = await send(['d', 'd/new', 'd/was-directory', 'd/gone', 'e', 'e/gone']);
    expect(report).toMatchObject({ complaints: [], messages: [], filesSent: 2 });
    expect(namesOf(remote)).toEqual(['d', 'd/new', 'd/not-named', 'd/was-directory', 'e', 'stays']);
  });

  it('leaves a name alone that is back in the source, whatever it is there', async () => {
    plant(source, ['d/sub/stays']);
    plant(remote, ['d/back', 'd/sub/back/file', 'd/gone', 'd/extra']);
    const context = contextOf({ rsync: script('plant', `mkdir -p d/sub/back; touch d/back; exec rsync "$@"`) });
    const report = await send(['d/back', 'd/sub/back', 'd/gone'], context);
    expect(report.again.map((again) => [again.path, again.because]).sort()).toEqual([
      ['d/back', 'reappeared'],
      ['d/sub/back', 'reappeared'],
    ]);
    expect(namesOf(remote).filter((name) => name.startsWith('d/'))).toEqual([
      'd/back',
      'd/extra',
      'd/sub',
      'd/sub/back',
      'd/sub/back/file',
    ]);
  });

  it('lets a directory that goes away meanwhile hold up no other', async () => {
    plant(source, ['d/stays', 'e/stays']);
    plant(remote, ['d/gone', 'd/extra', 'e/gone', 'e/extra']);
    const report = await send(['d/gone', 'e/gone'], contextOf({ rsync: script('away', `rm -r d; exec rsync "$@"`) }));
    expect(judge(report, { deletes: true })).toMatchObject({ kind: 'moved', vanished: ['d'] });
    expect(namesOf(remote)).toEqual(['d', 'd/extra', 'd/gone', 'e', 'e/extra', 'stays']);
  });

  it('removes 10,000 names from among others', async () => {
    const gone = Array.from({ length: 10_000 }, (_, at) => `d${at % 20}/gone ${at}`);
    const kept = Array.from({ length: 2_000 }, (_, at) => `d${at % 20}/kept ${at}`);
    plant(source, kept);
    plant(remote, [...kept, ...gone]);
    await expectGone(gone, gone);
  });

  it.each([
    ['that exclude names and directories', ['--exclude=*.log', '--exclude=d/', '--filter=H gone']],
    ['that put everything at risk', ['--include=*', '--filter=R **', '--filter=risk extra']],
    ['that clear the list', ['--exclude=!', '--filter=!']],
    ['that protect', ['--filter=P **', '--exclude=*']],
    ['from files, of the tree too', ['-FF', '-C', '--exclude-from=RULES', '--filter=merge RULES']],
    ['that come with other options', ['-m', '-r', '-y', '-x', '--partial-dir=.p', '--delay-updates', '-K']],
  ])('heeds no rules of the params, as deleting by name does: those %s', async (_title, rules) => {
    const file = join(folder, 'rules');
    writeFileSync(file, '- *.tmp\n- name with blanks\n- /d/\n');
    plant(source, ['d/sub/stays']);
    writeFileSync(join(source, '.rsync-filter'), '- *\n');
    plant(remote, ['d/a.log', 'd/extra', 'd/extra.log', 'd/sub/gone', 'd/sub/extra', 'd/name with blanks', 'extra']);
    plant(remote, ['d/full/x.log', 'd/full/y.tmp', 'd/full/gone', 'd/full/.rsync-filter']);
    const names = ['d/a.log', 'd/sub/gone', 'd/full', 'd/name with blanks'];
    const params = ['-artuz', ...rules.map((rule) => rule.replace('RULES', file))];
    await expectGone(names, names, params);
  });

  it('removes exactly what is named, whatever the trees', { timeout: 180_000 }, async () => {
    const seed = Number(process.env['SERSYNC_SEED'] ?? 20_260_101);
    const rounds = Number(process.env['SERSYNC_ROUNDS'] ?? 60);
    let deleted = 0;
    for (let round = 0; round < rounds; round++) {
      const random = new Random(seed + round);
      newTrees();
      plant(source, randomPaths(random, 25));
      plant(remote, [...namesOf(source).filter(() => random.chance(0.7)), ...randomPaths(random, 40)]);
      const here = new Map([...readTree(source)].map(([name, stats]) => [name, stats.isDirectory()]));
      const names = [...namesOf(remote), ...randomPaths(random, 5)]
        .filter(() => random.chance(0.3))
        .map((name) => lift(name, here))
        .filter((name) => !here.has(name));
      if (names.length === 0) continue;

      const before = namesOf(remote);
      const report = await send(names);
      const shown = `seed ${seed + round}: ${JSON.stringify(names)} of ${JSON.stringify(before)}`;
      expect(report, shown).toMatchObject({ exitCode: 0, complaints: [], messages: [], again: [] });
      expect(namesOf(remote), shown).toEqual(before.filter((name) => !isWithin(name, names)));
      deleted += before.length - namesOf(remote).length;
    }
    expect(deleted, 'names deleted in all').toBeGreaterThan(rounds * 3);
  });

  describe('found out by itself', () => {
    /** Refuses as such a remote does, and keeps a list of what it was called for. */
    const REFUSES = `
      case " $* " in
        *" --delete-missing-args "*)
          echo names >> "$0.calls"
          cat > /dev/null
          echo 'invalid file mode 00 for d/gone [Receiver]' >&2
          echo 'rsync error: protocol incompatibility (code 2) at flist.c(874) [Receiver=3.2.7]' >&2
          exit 2 ;;
        *" --delete "*) echo rules >> "$0.calls" ;;
        *) echo present >> "$0.calls" ;;
      esac
      exec rsync "$@"`;

    it('repeats a refused run at once, in a way that no judge takes for a failure', async () => {
      plant(source, ['d/new']);
      plant(remote, ['d/gone', 'd/extra']);
      const program = script('refuses', REFUSES);
      const report = await send(['d/new', 'd/gone'], contextOf({ rsync: program, deletesBy: 'names' }));
      expect(judge(report, { deletes: true })).toEqual({ kind: 'synced', warnings: [] });
      expect(report).toMatchObject({ deletesBy: 'rules', filesSent: 1, exitCode: 0 });
      expect(callsOf(program)).toEqual(['names', 'present', 'rules']);
      expect(namesOf(remote)).toEqual(['d', 'd/extra', 'd/new', 'stays']);
    });

    it.runIf(path !== undefined)('does the same for a remote that does refuse', async () => {
      plant(source, ['d/new']);
      plant(remote, ['d/gone', 'd/extra']);
      const report = await send(['d/new', 'd/gone'], contextOf({ deletesBy: 'names' }));
      expect(judge(report, { deletes: true })).toEqual({ kind: 'synced', warnings: [] });
      expect(report).toMatchObject({ deletesBy: 'rules', filesSent: 1 });
      expect(namesOf(remote)).toEqual(['d', 'd/extra', 'd/new', 'stays']);
    });

    it('is left to a person where rules cannot be used', async () => {
      plant(remote, ['gone', 'extra']);
      const context = contextOf({ rsync: script('stands', REFUSES), deletesBy: 'names' }, ['-a', '--iconv=utf8,gbk']);
      const report = await send(['gone'], context);
      expect(judge(report, { deletes: true })).toMatchObject({ kind: 'rejected' });
      expect(namesOf(remote)).toEqual(['extra', 'gone', 'stays']);
    });

    it('is remembered for the next runs, and forgotten after an hour', async () => {
      plant(remote, ['a', 'b', 'c', 'extra']);
      const program = script('pooled', REFUSES);
      const context = contextOf({ rsync: program });
      const clock = new ManualClock();
      let told = 0;
      const pool = new TransferPool(1, 1, 1);
      const memory = new DeleteMemory(clock, () => {
        told++;
      });
      const transport = pool.transport({ context, memory, guard });
      await transport.begin(taskOf(['a'])).done;
      await transport.begin(taskOf(['b'])).done;
      expect(callsOf(program)).toEqual(['names', 'rules', 'rules']);
      clock.advance(60 * 60_000);
      await transport.begin(taskOf(['c'])).done;
      await pool.close();
      expect(callsOf(program)).toEqual(['names', 'rules', 'rules', 'names', 'rules']);
      expect(told).toBe(1);
      expect(namesOf(remote)).toEqual(['extra', 'stays']);
    });

    it('leaves no file of rules behind', async () => {
      plant(remote, ['gone']);
      const temporary = join(folder, 'tmp');
      mkdirSync(temporary, { recursive: true });
      const before = process.env['TMPDIR'];
      process.env['TMPDIR'] = temporary;
      const program = script('looks', `ls -l "$TMPDIR" >> "$0.calls"; exec rsync "$@"`);
      await send(['gone'], contextOf({ rsync: program }));
      if (before === undefined) delete process.env['TMPDIR'];
      else process.env['TMPDIR'] = before;
      expect(callsOf(program).join('\n')).toMatch(/-rw------- .*\.rules/);
      expect(readdirSync(temporary)).toEqual([]);
    });
  });

  /** A program that is run in place of rsync, in the source. */
  function script(name: string, body: string): string {
    const file = join(folder, `${name}-${planted}.sh`);
    writeFileSync(file, `#!/bin/sh\n${body}\n`, { mode: 0o755 });
    return file;
  }
});

function taskOf(names: readonly RelativePath[]): TransferTask {
  const looks = names.map((path) => ({ path, scope: 'entry', gone: false, since: 0 }) as const);
  return { kind: 'entries', looks, askedAt: 0, largeBytes: 0 };
}

function callsOf(program: string): string[] {
  return readFileSync(`${program}.calls`, 'utf8').trim().split('\n');
}

/** Makes files with the directories above them; leaves out what is in the way of what is there. */
function plant(root: string, files: readonly RelativePath[]): void {
  const types = new Map([...readTree(root)].map(([name, stats]) => [name, stats.isDirectory()]));
  for (const file of files) {
    const above = [...ancestorsOf(file)];
    if (types.has(file) || above.some((name) => types.get(name) === false)) continue;
    for (const name of above) {
      if (!types.has(name)) mkdirSync(locate(root, name));
      types.set(name, true);
    }
    writeFileSync(locate(root, file), '');
    types.set(file, false);
  }
}

function namesOf(root: string): RelativePath[] {
  return [...readTree(root).keys()].filter((name) => name !== '').sort();
}

function isWithin(name: RelativePath, names: readonly RelativePath[]): boolean {
  return names.includes(name) || [...ancestorsOf(name)].some((above) => names.includes(above));
}

/** The name, or the topmost directory above it that is not one in the source. */
function lift(name: RelativePath, here: ReadonlyMap<RelativePath, boolean>): RelativePath {
  const parent = parentOf(name);
  return parent === '' || here.get(parent) === true ? name : lift(parent, here);
}

/** Few letters, many of them special: names are often prefixes and patterns of one another. */
function randomPaths(random: Random, count: number): RelativePath[] {
  const letters = ['a', 'a', 'b', 'b', '*', '?', '[', ']', '\\', '#', '-', ' ', '!', '\n', '\xb2', '~', '.a'];
  const name = (): RelativePath => Array.from({ length: 1 + random.below(3) }, () => random.pick(letters)).join('');
  return Array.from({ length: count }, () => {
    let path = name();
    for (let depth = random.below(4); depth > 0; depth--) path = joinPath(path, name());
    return path;
  });
}
