import { describe, expect, it } from 'vitest';
import {
  canResume,
  deletionArgs,
  entriesArgs,
  extrasArgs,
  modulePrefixOf,
  presentArgs,
  targetIn,
  newerArgs,
  readParams,
  remoteName,
  treesArgs,
  type RemoteTarget,
  type RunArgs,
} from '../../../src/transfer/rsync-args.js';

const target: RemoteTarget = { ip: '10.0.0.1', name: 'backup', ssh: false, params: ['-artuz'] };
const run: RunArgs = {
  deletes: true,
  compares: 'nanoseconds',
  isWatched: false,
  rules: [],
  outFormat: '--out-format=x',
};

describe('readParams', () => {
  it.each([
    ['keeps what people customarily write', ['-artuz'], ['-artuz'], []],
    [
      'keeps options with their values',
      ['-az', '--bwlimit=500', '-e', 'ssh -p 22'],
      ['-az', '--bwlimit=500', '-e', 'ssh -p 22'],
      [],
    ],
    [
      'takes deleting out, since it is done by name',
      ['-az', '--delete', '--max-delete=9'],
      ['-az'],
      ['--delete', '--max-delete=9'],
    ],
    ['reads what cannot be read for extra nowhere', ['-a', '--ignore-errors'], ['-a'], ['--ignore-errors']],
    ['takes a dry run and quiet out of a cluster', ['-anzq'], ['-az'], ['-nq']],
    ['lets nobody delete the source', ['-a', '--remove-source-files'], ['-a'], ['--remove-source-files']],
    ['leaves the value of a flag alone', ['-f', '- name', '-aqf', '- n q'], ['-f', '- name', '-af', '- n q'], ['-q']],
    ['leaves the value of a long option alone', ['--exclude', '--delete', '-a'], ['--exclude', '--delete', '-a'], []],
    ['leaves a value attached to a flag alone', ['-essh -q -n'], ['-essh -q -n'], []],
  ])('%s', (_title, words, kept, dropped) => {
    expect(readParams(words)).toMatchObject({ kept, dropped });
  });

  it.each([
    [['-artuz'], true],
    [['-artz'], false],
    [['--update'], true],
    [['-e', 'ssh -u'], false],
    [['-aTu'], false],
  ])('sees in %j whether newer files are kept: %s', (words, keepsNewer) => {
    expect(readParams(words).keepsNewer).toBe(keepsNewer);
  });

  it('sees that the params ask for deleting', () => {
    expect(readParams(['-a', '--delete-after']).deletes).toBe(true);
    expect(readParams(['-a']).deletes).toBe(false);
  });
});

describe('the arguments of a run', () => {
  it('puts what a run needs behind the params, so that it wins', () => {
    const args = entriesArgs(target, run);
    expect(args[0]).toBe('-artuz');
    expect(args.indexOf('--no-r')).toBeGreaterThan(0);
    expect(args.slice(-4)).toEqual(['--files-from=-', '--from0', './', '10.0.0.1::backup/']);
  });

  it('deletes by name, and not at all when deleting is off', () => {
    expect(entriesArgs(target, run)).toEqual(expect.arrayContaining(['--delete-missing-args', '--force']));
    const without = entriesArgs(target, { ...run, deletes: false });
    expect(without).toContain('--ignore-missing-args');
    expect(without.filter((word) => word.includes('delete') || word === '--force')).toEqual([]);
  });

  it('clears the rules of the params before those by which it deletes, and reads only these with --from0', () => {
    const args = deletionArgs({ ...target, params: ['-a', '--exclude-from=x'] }, run, '/tmp/rules');
    const rules = args.filter((word) => /exclude-from|filter|from0/.test(word));
    expect(rules.slice(0, 4)).toEqual(['--exclude-from=x', '--filter=!', '--from0', '--filter=. /tmp/rules']);
    expect(args).toEqual(expect.arrayContaining(['--no-r', '-d', '--delete', '--existing', '--ignore-existing']));
    expect(args).not.toContain('--delete-missing-args');
  });

  it('replaces what stands in the way of names that are there, and deletes none', () => {
    const args = presentArgs(target, run);
    expect(args).toEqual(expect.arrayContaining(['--ignore-missing-args', '--force', '--modify-window=-1']));
    expect(args.filter((word) => word.includes('delete'))).toEqual([]);
  });

  it('never deletes while it copies trees', () => {
    const args = treesArgs(target, true, run);
    expect(args).toEqual(expect.arrayContaining(['-r', '--delete', '--max-delete=0']));
    expect(treesArgs(target, true, { ...run, deletes: false }).filter((word) => word.includes('delete'))).toEqual([]);
  });

  it('changes nothing when it lists what is extra', () => {
    expect(extrasArgs(target, false, run)).toEqual(expect.arrayContaining(['-n', '--no-r', '-d', '--existing']));
  });

  it('lets large files go on where a run broke off, and takes no part that waits for extra', () => {
    const isPartialDir = (word: string): boolean => word.startsWith('--partial-dir');
    for (const args of [entriesArgs, (...given: [RemoteTarget, RunArgs]) => treesArgs(given[0], true, given[1])]) {
      expect(args(target, { ...run, resumes: true })).toContain('--partial-dir=.rsync-partial');
      expect(args(target, run).filter(isPartialDir)).toEqual([]);
      const inplace = { ...target, params: ['-a', '--inplace'] };
      expect(args(inplace, { ...run, resumes: true }).filter(isPartialDir)).toEqual([]);
    }
    for (const args of [treesArgs(target, true, run), extrasArgs(target, true, run)]) {
      expect(args).toContain('--filter=-rp .rsync-partial/');
    }
  });

  it.each([
    [['-artuz'], true],
    [['-aP', '--partial'], true],
    [['-a', '--exclude', '--inplace', '-f', '- W'], true],
    [['-aW'], false],
    [['--whole-file'], false],
    [['--inplace'], false],
    [['--write-devices'], false],
    [['--append'], false],
    [['--append-verify'], false],
    [['--delay-updates'], false],
    [['--no-partial'], false],
    [['--partial-dir=.p'], false],
    [['--partial-dir', '/p'], false],
  ])('takes from %j that parts of files may be kept: %s', (params, may) => {
    expect(canResume(params)).toBe(may);
  });

  it('lets rsync count the names where it is asked to, in digits that can be read', () => {
    const args = treesArgs({ ...target, params: ['-ahh', '--info=stats0'] }, true, { ...run, counts: true });
    expect(args.indexOf('--info=stats2')).toBeGreaterThan(args.indexOf('--info=stats0'));
    expect(args).toContain('--no-h');
    expect(entriesArgs(target, run)).not.toContain('--info=stats2');
  });

  it('lets rsync say how much it has sent instead of each name, whatever the params have it say', () => {
    const args = entriesArgs({ ...target, params: ['-avi'] }, { ...run, outFormat: undefined, counts: true });
    expect(args).toEqual(expect.arrayContaining(['-avi', '--info=stats2,flist1,name0', '--no-h', '--no-i']));
    expect(args.filter((word) => word.startsWith('--out-format'))).toEqual([]);
    expect(entriesArgs(target, run)).toContain('--out-format=x');
  });

  it('asks without -u which files are newer on the remote', () => {
    const args = newerArgs({ ...target, params: ['-artuz', '-f', '- u', '--update'] }, run);
    expect(args.slice(0, 3)).toEqual(['-artz', '-f', '- u']);
    expect(args).toEqual(expect.arrayContaining(['-n', '--existing']));
    expect(args).not.toContain('--update');
  });

  it('compares times exactly only for what has just changed, and never against the params', () => {
    expect(entriesArgs(target, run)).toContain('--modify-window=-1');
    expect(treesArgs(target, true, { ...run, compares: 'seconds' })).not.toContain('--modify-window=-1');
    const theirs = { ...target, params: ['-a', '--modify-window=2'] };
    expect(entriesArgs(theirs, run)).not.toContain('--modify-window=-1');
  });

  it('believes no time, not even as the params compare it, where content must be compared', () => {
    const theirs = { ...target, params: ['-a', '--modify-window=2'] };
    for (const args of [entriesArgs, presentArgs]) {
      expect(args(theirs, { ...run, compares: 'content' })).toContain('--ignore-times');
      expect(args(theirs, run)).not.toContain('--ignore-times');
    }
  });

  it('gives rsync no timeout of its own where silence is watched, but always the one that was asked for', () => {
    const watched = { ...run, isWatched: true };
    expect(entriesArgs(target, watched).filter((word) => word.startsWith('--timeout'))).toEqual([]);
    expect(entriesArgs({ ...target, timeoutSeconds: 100 }, watched)).toContain('--timeout=100');
  });

  it.each<[string, Partial<RemoteTarget>, string[], string]>([
    ['a daemon', {}, ['--sockopts=TCP_NODELAY', '--contimeout=10', '--timeout=120'], '10.0.0.1::backup/'],
    ['a port', { port: 8730 }, ['--port=8730'], '10.0.0.1::backup/'],
    [
      'a password',
      { auth: { users: 'me', passwordFile: '/etc/p' } },
      ['--password-file=/etc/p'],
      'me@10.0.0.1::backup/',
    ],
    ['a timeout', { timeoutSeconds: 100 }, ['--timeout=100'], '10.0.0.1::backup/'],
    ['IPv6', { ip: '::1' }, [], '[::1]::backup/'],
    ['ssh', { ssh: true, name: '/data' }, ['-e', 'ssh -o BatchMode=yes'], '10.0.0.1:/data/'],
    [
      'ssh through a shared connection',
      { ssh: true, name: '/data', port: 22, controlPath: '/s/ssh-1' },
      ['ssh -o BatchMode=yes -o ControlMaster=no -o ControlPath=/s/ssh-1 -p 22'],
      '10.0.0.1:/data/',
    ],
    ['ssh and a port', { ssh: true, name: '/data', port: 22022 }, ['ssh -o BatchMode=yes -p 22022'], '10.0.0.1:/data/'],
  ])('reaches %s', (_title, change, options, destination) => {
    const args = entriesArgs({ ...target, ...change }, run);
    expect(args).toEqual(expect.arrayContaining(options));
    expect(args.at(-1)).toBe(destination);
  });

  it("leaves the user's own ssh, socket options and timeout alone", () => {
    const ssh = entriesArgs({ ...target, ssh: true, port: 22, params: ['-a', '-e', 'ssh -o X=y'] }, run);
    expect(ssh.filter((word) => word.startsWith('ssh'))).toEqual(['ssh -o X=y']);
    const daemon = entriesArgs({ ...target, params: ['-a', '--sockopts=SO_SNDBUF=1', '--timeout=5'] }, run);
    expect(daemon.filter((word) => word.startsWith('--sockopts'))).toEqual(['--sockopts=SO_SNDBUF=1']);
    expect(daemon.filter((word) => word.startsWith('--timeout'))).toEqual(['--timeout=5']);
  });
});

it('names a remote as people know it', () => {
  expect(remoteName(target)).toBe('10.0.0.1::backup');
  expect(remoteName({ ...target, port: 874 })).toBe('10.0.0.1:874::backup');
  expect(remoteName({ ...target, ssh: true, name: '/data' })).toBe('10.0.0.1:/data');
});

it('knows what the remote puts before our names', () => {
  expect(modulePrefixOf({ name: 'm', ssh: false })).toBe('');
  expect(modulePrefixOf({ name: 'm/sub/dir', ssh: false })).toBe('sub/dir');
  expect(modulePrefixOf({ name: '/data', ssh: true })).toBe('/data');
});

describe('the remote from a directory on that it has', () => {
  it('is that directory, which rsync does not make', () => {
    expect(targetIn(target, 'a/b')).toEqual({ ...target, name: `${target.name}/a/b/.` });
    expect(targetIn({ ...target, name: 'module/sub/' }, 'a')?.name).toBe('module/sub/a/.');
  });

  it.each(['a b', 'a*', '$a', '\xb1\xa8'])('is not told where a name may be taken for something else: %j', (name) => {
    expect(targetIn(target, name)).toBeUndefined();
  });

  it.each([['-artuz'], ['-avz', '--timeout=30', '--bwlimit=1000'], ['-az', '--no-perms', '--chmod=D755,F644']])(
    'is told with %j',
    (...params) => {
      expect(targetIn({ ...target, params }, 'a')).toBeDefined();
    },
  );

  it.each([
    '--exclude=/a',
    '-f',
    '--backup-dir=b',
    '--link-dest=c',
    '--temp-dir=t',
    '-T',
    '-aK',
    '--no-implied-dirs',
    '30',
  ])('is not told with %j, which may mean something else there', (word) => {
    expect(targetIn({ ...target, params: ['-a', word] }, 'a')).toBeUndefined();
  });
});
