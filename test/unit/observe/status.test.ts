import { describe, expect, test } from 'vitest';
import { judgeHealth, UNHEALTHY_LAG_MS, type ServiceStatus } from '../../../src/observe/status.js';
import { formatDuration } from '../../../src/observe/wording.js';
import { AT, sampleRemote, sampleRoot, sampleStatus } from '../../support/sample-status.js';

function withRemotes(...remotes: Parameters<typeof sampleRemote>[0][]): ServiceStatus {
  return sampleStatus({ roots: [sampleRoot({ remotes: remotes.map((remote) => sampleRemote(remote)) })] });
}

function withRoot(...changes: Parameters<typeof sampleRoot>): ServiceStatus {
  return sampleStatus({ roots: [sampleRoot(...changes)] });
}

describe('healthy:', () => {
  test.each<[string, ServiceStatus, string]>([
    ['everything in sync', sampleStatus(), 'ok: 1 remote in sync'],
    [
      'remotes of several roots',
      sampleStatus({ roots: [sampleRoot(), sampleRoot({ remotes: [sampleRemote(), sampleRemote()] })] }),
      'ok: 3 remotes in sync',
    ],
    [
      'a remote that is a little behind',
      withRemotes({}, {}, { lagMs: 1234 }),
      'ok: 2 of 3 remotes in sync, farthest behind 1.2 s',
    ],
    [
      'a remote that is behind as far as may be',
      withRemotes({ lagMs: UNHEALTHY_LAG_MS }),
      'ok: 0 of 1 remote in sync, farthest behind 1m00s',
    ],
    [
      'a remote that backs off for a moment',
      withRemotes({ state: 'backing off', lagMs: 400, reason: 'connection refused' }),
      'ok: 0 of 1 remote in sync, farthest behind 0.4 s',
    ],
    ['deletions that are held', withRemotes({}, { held: 12 }), 'ok: 1 of 2 remotes in sync, 12 deletions held'],
    ['an empty source', withRoot({ source: { state: 'empty', reason: 'it holds nothing' } }), 'ok: 1 remote in sync'],
    ['a walk under way', withRoot({ catchUp: { reason: 'start' } }), 'ok: 1 remote in sync'],
    [
      'an overflow that is over',
      withRoot({ watcher: { lastOverflow: { at: AT - 5, reason: 'queue overflow' } } }),
      'ok: 1 remote in sync',
    ],
  ])('%s', (_title, status, line) => {
    expect(judgeHealth(status)).toEqual({ healthy: true, line });
  });
});

describe('not healthy, and why:', () => {
  test.each<[string, ServiceStatus, string]>([
    [
      'the journal cannot be written',
      sampleStatus({ journal: { failingSince: AT - 192_000, reason: 'no space left on device' } }),
      'unhealthy: the journal cannot be written for 3m12s: no space left on device',
    ],
    [
      'nothing is seen',
      withRoot({ watcher: { blind: { since: AT - 2000, reason: 'the thread died' } } }),
      'unhealthy: /data/www is not watched for 2.0 s: the thread died',
    ],
    [
      'a part is not seen',
      withRoot({ watcher: { partlyBlind: [{ path: 'a', since: AT, reason: 'no watch left' }], partlyBlindCount: 1 } }),
      'unhealthy: /data/www is not watched in 1 part: no watch left',
    ],
    [
      'many parts are not seen',
      withRoot({ watcher: { partlyBlindCount: 5000 } }),
      'unhealthy: /data/www is not watched in 5,000 parts',
    ],
    ['the source is missing', withRoot({ source: { state: 'missing' } }), 'unhealthy: /data/www is missing'],
    [
      'the source is another',
      withRoot({ source: { state: 'replaced', reason: 'another directory is there' } }),
      'unhealthy: /data/www is replaced: another directory is there',
    ],
    [
      'something in the source is unmounted',
      withRoot({ source: { state: 'unmounted', reason: 'nothing is mounted at a/b' } }),
      'unhealthy: /data/www is unmounted: nothing is mounted at a/b',
    ],
    [
      'a remote is halted, however little it is behind',
      withRemotes({ state: 'halted', reason: 'unknown module' }),
      'unhealthy: 10.0.0.1::www is halted: unknown module',
    ],
    [
      'a remote is far behind',
      withRemotes({ state: 'backing off', lagMs: UNHEALTHY_LAG_MS + 1000, reason: 'connection refused' }),
      'unhealthy: 10.0.0.1::www is behind by 1m01s: connection refused',
    ],
  ])('%s', (_title, status, line) => {
    expect(judgeHealth(status)).toEqual({ healthy: false, line });
  });

  test('several troubles are told in one line, and of many the first', () => {
    const halted = ['a', 'b', 'c', 'd', 'e'].map((remote) => ({ remote, state: 'halted' as const }));
    expect(judgeHealth(withRemotes(...halted)).line).toBe(
      'unhealthy: a is halted; b is halted; c is halted; and 2 more',
    );
  });

  test('a message with line ends stays one line', () => {
    const status = withRemotes({ state: 'halted', reason: 'one\r\ntwo\u001b[31m' });
    expect(judgeHealth(status).line).toBe('unhealthy: 10.0.0.1::www is halted: one two [31m');
  });
});

test.each([
  [-5, '0.0 s'],
  [0, '0.0 s'],
  [1249, '1.2 s'],
  [59_949, '59.9 s'],
  [59_950, '1m00s'],
  [192_000, '3m12s'],
  [3_599_000, '59m59s'],
  [7_500_000, '2h05m'],
  [86_399_000, '23h59m'],
  [273_600_000, '3d04h'],
])('%i ms are %s', (ms, text) => {
  expect(formatDuration(ms)).toBe(text);
});
