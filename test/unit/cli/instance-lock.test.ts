import { mkdirSync, mkdtempSync, readdirSync, readlinkSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  claimsOf,
  hasAbstractSockets,
  takeInstanceLock,
  type InstanceLock,
  type LockedConfig,
} from '../../../src/cli/instance-lock.js';
import { systemClock } from '../../../src/clock.js';
import { StartError } from '../../../src/errors.js';
import { ControlServer } from '../../../src/observe/control-server.js';

let top: string;
const releases: (() => Promise<void>)[] = [];

beforeEach(() => {
  top = realpathSync(mkdtempSync(join(tmpdir(), 'sersync-lock-')));
});

afterEach(async () => {
  for (const release of releases.splice(0)) await release();
  rmSync(top, { recursive: true });
});

function directory(name: string): string {
  const path = join(top, name);
  mkdirSync(path, { recursive: true });
  return path;
}

function config(watches: readonly string[], failLog: string): LockedConfig {
  return { localPaths: watches.map((watch) => ({ watch })), failLog: { path: failLog } };
}

/** Takes what a service with such names has for itself; `who` is its configuration file. */
async function take(
  who: string,
  {
    watch = ['watch'],
    state = 'state',
    failLog = 'fail.sh',
  }: { watch?: string[]; state?: string; failLog?: string } = {},
  pid = 1234,
): Promise<InstanceLock> {
  const stateDirectory = directory(state);
  const claims = claimsOf(config(watch.map(directory), join(top, failLog)), stateDirectory);
  const lock = await takeInstanceLock(claims, stateDirectory, { pid, config: who });
  releases.push(() => lock.release());
  return lock;
}

describe('what is the same on the disk has one key:', () => {
  const keysOf = (watch: string, failLog: string): string[] =>
    claimsOf(config([watch], failLog), directory('state')).map(({ key }) => key);

  test('a watched directory by another path', () => {
    symlinkSync(directory('watch'), join(top, 'link'));
    const [first] = keysOf(directory('watch'), '/f');
    expect(keysOf(join(top, 'link'), '/f')[0]).toBe(first);
    expect(keysOf(directory('other'), '/f')[0]).not.toBe(first);
  });

  test('a fail log in a linked directory, whether it is there or not', () => {
    symlinkSync(directory('logs'), join(top, 'link'));
    const key = keysOf(directory('watch'), join(top, 'logs/fail.sh')).at(-1);
    expect(keysOf(directory('watch'), join(top, 'link/fail.sh')).at(-1)).toBe(key);
    expect(keysOf(directory('watch'), join(top, 'link/other.sh')).at(-1)).not.toBe(key);
    expect(keysOf(directory('watch'), join(top, 'missing/fail.sh')).at(-1)).toBe(join(top, 'missing/fail.sh'));
  });

  test('and a directory that is not there is told', () => {
    expect(() => keysOf(join(top, 'missing'), '/f')).toThrow(StartError);
  });
});

describe.runIf(process.platform === 'linux')('a second service is refused, and told who is the first, with', () => {
  test.each<[string, Parameters<typeof take>[1], string]>([
    ['the same watched directory', { state: 's2', failLog: 'f2' }, 'watches TOP/watch'],
    ['one of several watched directories', { watch: ['w2', 'watch'], state: 's2', failLog: 'f2' }, 'watches TOP/watch'],
    ['the same state directory', { watch: ['w2'], failLog: 'f2' }, 'uses the state directory TOP/state'],
    ['the same fail log', { watch: ['w2'], state: 's2' }, 'writes the fail log TOP/fail.sh'],
  ])('%s', async (_title, names, use) => {
    await take('/etc/a.xml');
    const message = `another sersync (pid 1234, /etc/a.xml) already ${use.replace('TOP', top)}`;
    await expect(take('/etc/b.xml', names)).rejects.toMatchObject({ code: 'SERSYNC_RUNNING', message });
  });

  test('the state directory of one that is seen at its control socket alone', async () => {
    const identity = { pid: 7, config: '/etc/c.xml' };
    const quiet = () => undefined;
    const logger = { error: quiet, warn: quiet, info: quiet, debug: quiet };
    const server = new ControlServer({ directory: directory('state'), identity, logger, clock: systemClock });
    await server.start();
    releases.push(() => server.stop());
    const message = `another sersync (pid 7, /etc/c.xml) already uses the state directory ${join(top, 'state')}`;
    await expect(take('/etc/a.xml')).rejects.toMatchObject({ code: 'SERSYNC_RUNNING', message });

    await server.stop();
    await take('/etc/a.xml');
  });
});

describe.runIf(process.platform === 'linux')('the lock', () => {
  test('lets services run beside each other that share nothing', async () => {
    await take('/etc/a.xml');
    await take('/etc/b.xml', { watch: ['w2'], state: 's2', failLog: 'f2' });
  });

  test('does not refuse a service that watches one directory twice', async () => {
    await take('/etc/a.xml', { watch: ['watch', 'w2', 'watch'] });
  });

  test('can be taken again when it was released, and when taking it broke off', async () => {
    await take('/etc/b.xml', { watch: ['w2'], failLog: 'f2' });
    await expect(take('/etc/a.xml')).rejects.toThrow('/etc/b.xml');
    const lock = await take('/etc/c.xml', { state: 's2' });
    await lock.release();
    await take('/etc/d.xml', { state: 's2' });
  });

  test('goes to exactly one of many that try at the same time', async () => {
    const tries = Array.from({ length: 20 }, (_, index) =>
      take(`/etc/${index}.xml`, { watch: index % 2 === 0 ? ['a', 'b', 'c'] : ['c', 'b', 'a'] }, index),
    );
    const outcomes = await Promise.allSettled(tries);
    const winner = outcomes.findIndex(({ status }) => status === 'fulfilled');
    const refusals = outcomes.filter((outcome) => outcome.status === 'rejected').map(({ reason }) => String(reason));
    expect(refusals).toHaveLength(19);
    for (const refusal of refusals) expect(refusal).toContain(`(pid ${winner}, /etc/${winner}.xml)`);
  });

  test('keeps nothing open in what it locks', async () => {
    await take('/etc/a.xml');
    const open = readdirSync('/proc/self/fd').flatMap((descriptor) => {
      try {
        return [readlinkSync(`/proc/self/fd/${descriptor}`)];
      } catch {
        // The descriptor of the listing itself.
        return [];
      }
    });
    expect(open.filter((path) => path.startsWith(top))).toEqual([]);
    expect(readdirSync(join(top, 'watch'))).toEqual([]);
  });
});

test.each<[NodeJS.Platform, string, boolean]>([
  ['linux', '20.7.0', false],
  ['linux', '20.8.0', true],
  ['linux', '20.20.2', true],
  ['linux', '22.0.0', true],
  ['darwin', '22.0.0', false],
])('%s with Node %s has names for unix sockets that need no file: %s', (platform, version, expected) => {
  expect(hasAbstractSockets(platform, version)).toBe(expected);
});
