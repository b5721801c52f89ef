import { describe, expect, test } from 'vitest';
import { describeHeld, describeStatus } from '../../../src/observe/status-text.js';
import { AT, sampleRemote, sampleRoot, sampleStatus } from '../../support/sample-status.js';

describe('the status as text', () => {
  test('of a service that is well leaves out what is empty', () => {
    expect(describeStatus(sampleStatus())).toBe(`sersync  3.0.0, pid 1234, up 1h02m
config   /etc/sersync/confxml.xml
state    /var/lib/sersync/confxml-1a2b3c4d
health   ok: 1 remote in sync

/data/www
  watcher  inotify, 1,234 directories
  10.0.0.1::www
    state  idle, in sync
`);
  });

  test('tells of the plugin, and of one that runs alone in the line of its health', () => {
    const plugin = { name: 'socket', waiting: 3, running: 1, done: 120, failed: 2, dropped: 0 };
    const lastError = { at: AT - 5_000, path: '/data/a', reason: 'connect ECONNREFUSED' };
    const text = describeStatus(sampleStatus({ plugin: { ...plugin, lastError } }));
    expect(text).toContain('plugin   socket: 3 waiting, 1 running, 120 done, 2 failed\n');
    expect(text).toContain('plugin   failed 5.0 s ago for /data/a: connect ECONNREFUSED\n');
    expect(text).toContain('health   ok: 1 remote in sync\n');
    const alone = describeStatus(sampleStatus({ plugin, roots: [sampleRoot({ remotes: [] })] }));
    expect(alone).toContain('health   ok: the plugin socket alone, 3 waiting, 1 running, 120 done, 2 failed\n');
  });

  test('tells how long the event loop stalled once that was long', () => {
    const text = describeStatus(sampleStatus({ eventLoop: { stallMs: 7, maxStallMs: 340 } }));
    expect(text).toContain('stalls   7 ms in the last minute, 340 ms since the start\n');
    expect(describeStatus(sampleStatus({ eventLoop: { stallMs: 7, maxStallMs: 50 } }))).not.toContain('stalls');
  });

  test('tells all that is wrong', () => {
    const troubled = sampleRemote({
      state: 'backing off',
      reason: 'connection refused',
      lagMs: 12_300,
      pending: 7,
      inFlight: 2,
      retrying: 3,
      held: 120,
      heldReasons: ['120 of 150 names would be deleted, more than 50 %'],
      mayDelete: false,
      resync: { reason: '-r', fraction: 0.459 },
      lastSyncedAt: AT - 60_000,
      lastError: { at: AT - 500, reason: 'rsync: connection refused\n' },
      newerOnRemote: 1,
      failing: [{ path: 'a/b', reason: 'Permission denied (13)', attempts: 2 }],
    });
    const status = sampleStatus({
      journal: { failingSince: AT - 1000, reason: 'no space left on device' },
      roots: [
        sampleRoot({
          watcher: {
            blind: { since: AT - 2000, reason: 'the thread died' },
            partlyBlind: [{ path: 'x', since: AT - 3000, reason: 'no watch left' }],
            partlyBlindCount: 11,
            lastOverflow: { at: AT - 4000, reason: 'queue overflow' },
            audit: { at: AT - 5000, names: 2000, missed: 1, durationMs: 900 },
            missedTotal: 4,
          },
          source: { state: 'replaced', reason: 'another directory' },
          catchUp: { reason: 'start' },
          remotes: [troubled],
        }),
      ],
    });
    const text = describeStatus(status);
    expect(text).toContain('journal  cannot be written for 1.0 s: no space left on device\n');
    expect(text.slice(text.indexOf('\n/data/www'))).toBe(`
/data/www
  watcher   inotify, 1,234 directories
  blind     for 2.0 s: the thread died
  not seen  x for 3.0 s: no watch left
  not seen  and 10 more
  source    replaced: another directory
  catch-up  under way: start
  overflow  4.0 s ago: queue overflow
  audit     5.0 s ago, 2,000 names in 0.9 s, 1 missed, 4 since the start
  10.0.0.1::www
    state    backing off, behind 12.3 s, 7 pending, 2 in flight, 3 retrying, 120 held
    because  connection refused
    resync   45 %: -r
    synced   1m00s ago
    error    0.5 s ago: rsync: connection refused
    held     120 of 150 names would be deleted, more than 50 %
    deletes  comparing only copies: no full resync (-r, crontab) has completed yet
    newer    1 file there, not overwritten (-u in the params)
    failing  a/b, 2 attempts: Permission denied (13)
    failing  and 2 more
`);
  });

  test('lets no name or message begin a line or steer the terminal', () => {
    const text = describeStatus(
      sampleStatus({
        roots: [sampleRoot({ root: '/data\nhealth  ok', remotes: [sampleRemote({ reason: '\u001b[2Jgone' })] })],
      }),
    );
    expect(text).toContain('\n/data health  ok\n');
    expect(text).toContain('because  [2Jgone\n');
  });
});

describe('the held deletions as text', () => {
  test('name everything, for each remote by its reason', () => {
    const text = describeHeld(
      {
        remotes: [
          { root: '/data/www', remote: '10.0.0.1::www', held: [], more: 0 },
          {
            root: '/data/www',
            remote: '10.0.0.2::www',
            held: [
              { path: 'old/a', reason: 'too many', since: AT - 5000 },
              { path: 'img', reason: 'the source is empty', since: AT - 1000 },
              { path: 'old/b', reason: 'too many', since: AT - 192_000 },
            ],
            more: 2,
          },
        ],
      },
      AT,
    );
    expect(text).toBe(`/data/www -> 10.0.0.2::www
  2 names for 3m12s: too many
    old/a
    old/b
  1 name for 1.0 s: the source is empty
    img
  2 more places with names that are not kept one by one
`);
  });

  test('are said to be none', () => {
    expect(describeHeld({ remotes: [] }, AT)).toBe('no deletion is held\n');
  });
});
