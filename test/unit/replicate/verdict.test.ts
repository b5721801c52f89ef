import { describe, expect, test } from 'vitest';
import type { RunReport } from '../../../src/replicate/ports.js';
import { judge, type Verdict } from '../../../src/replicate/verdict.js';
import { parseComplaints } from '../../../src/transfer/rsync-output.js';

const GIVEN = ['x', 'y', 'd/x', 'o', 'big'];

/**
 * A run as rsync 3.5.0 ended it: its exit code and its lines on stderr. Not provoked but known from the source or from
 * ssh: exit 35, `Connection timed out`, `Could not resolve hostname`, `Permission denied (publickey)`, `write error`.
 */
function ended(exitCode: number | null, lines: readonly string[], more: Partial<RunReport> = {}): RunReport {
  return {
    exitCode,
    signal: null,
    cancelled: false,
    ...parseComplaints(lines, { sourceRoot: '/src', modulePrefix: '', isOurs: (path) => GIVEN.includes(path) }),
    again: [],
    unreadable: false,
    names: 0,
    linked: [],
    unquiet: [],
    cutOff: [],
    extras: [],
    changed: [],
    unnamed: 0,
    unsent: [],
    newer: [],
    filesSent: 0,
    bytesSent: 0,
    durationMs: 1,
    command: ['rsync'],
    ...more,
  };
}

const on = { deletes: true };
const off = { deletes: false };

const END_23 =
  'rsync error: some files/attrs were not transferred (see previous errors) (code 23) at main.c(1394) [sender=3.5.0]';
const END_5 = 'rsync error: error starting client-server protocol (code 5) at main.c(1954) [sender=3.5.0]';
const END_10 = 'rsync error: error in socket IO (code 10) at clientserver.c(165) [sender=3.5.0]';
const END_11 = 'rsync error: error in file IO (code 11) at receiver.c(657) [receiver=3.5.0]';
const END_12 = 'rsync error: error in rsync protocol data stream (code 12) at io.c(285) [sender=3.5.0]';

const DENIED = 'rsync: [sender] send_files failed to open "/src/x": Permission denied (13)';
const TIMES = 'rsync: [generator] failed to set times on "/y" (in mod): Operation not permitted (1)';
const VANISHED = 'file has vanished: "/src/y"';
const IN_THE_WAY = 'could not make way for new regular file: o';
const FULL = 'rsync: [receiver] write failed on "/big" (in mod): No space left on device (28)';

test('a directory that holds excluded names is in the way until a person removes it, also where deleting is on', () => {
  const complaints = [{ path: 'o', kind: 'kept', text: 'the directory o stays' } as const];
  expect(judge({ ...ended(0, []), complaints }, on)).toEqual({
    kind: 'blocked',
    paths: ['o'],
    reason: 'the directory o stays',
    hint: 'remove it on the remote by hand, or give the file here another name: what is excluded is not deleted',
  });
});

describe('a run that went to its end', () => {
  test.each<{ why: string; report: RunReport; options?: { deletes: boolean }; verdict: Partial<Verdict> }>([
    { why: 'exit 0 is synced', report: ended(0, []), verdict: { kind: 'synced', warnings: [] } },
    {
      why: 'exit 25 is --max-delete=0 at its work',
      report: ended(25, ['Deletions stopped due to --max-delete limit (3 skipped)']),
      verdict: { kind: 'synced' },
    },
    {
      why: 'a remark at exit 0 is a warning',
      report: ended(0, ['skipping non-regular file "x"']),
      verdict: { kind: 'synced', warnings: ['skipping non-regular file "x"'] },
    },
    {
      why: 'times that could not be set are no loss',
      report: ended(23, [TIMES, END_23]),
      verdict: { kind: 'synced', warnings: [TIMES] },
    },
    {
      why: 'exit 24 is moved, and the others have arrived',
      report: ended(24, [VANISHED]),
      verdict: { kind: 'moved', vanished: ['y'] },
    },
    { why: 'exit 24 without a name is moved', report: ended(24, []), verdict: { kind: 'moved', vanished: [] } },
    {
      why: 'exit 23 that only names what vanished is moved',
      report: ended(23, ['rsync: [sender] link_stat "/src/y" failed: No such file or directory (2)', END_23]),
      verdict: { kind: 'moved', vanished: ['y'] },
    },
    {
      why: 'what vanished after it was listed explains exit 24 and not 23: something else is missing',
      report: ended(23, [VANISHED, END_23]),
      verdict: { kind: 'partial', failed: [], vanished: ['y'], unnamed: true },
    },
    {
      why: 'exit 23 with a name is partial, and the others have arrived',
      report: ended(23, [DENIED, TIMES, VANISHED, END_23]),
      verdict: {
        kind: 'partial',
        failed: [{ path: 'x', reason: DENIED }],
        vanished: ['y'],
        unnamed: false,
        othersMissed: false,
        outOfSpace: false,
        reason: DENIED,
        hint: 'the user that runs this service must be allowed to read it',
      },
    },
    {
      why: 'a loss is a loss at exit 0 too',
      report: ended(0, ['rsync: [generator] delete_file: unlink(o/in/f) failed: Permission denied (13)']),
      verdict: { kind: 'partial', unnamed: false },
    },
    {
      why: 'exit 23 that says nothing may have lost anything',
      report: ended(23, [END_23]),
      verdict: { kind: 'partial', failed: [], unnamed: true, othersMissed: false },
    },
    {
      why: 'so does a failure that names nothing beside one that does',
      report: ended(23, [DENIED, 'rsync: [sender] fstat failed: Input/output error (5)', END_23]),
      verdict: { kind: 'partial', unnamed: true, failed: [{ path: 'x', reason: DENIED }] },
    },
    {
      why: 'with deleting off an obstruction blocks',
      report: ended(23, [IN_THE_WAY, TIMES, END_23]),
      options: off,
      verdict: { kind: 'blocked', paths: ['o'], reason: IN_THE_WAY },
    },
    {
      why: 'with deleting on it is tried again',
      report: ended(23, [IN_THE_WAY, END_23]),
      verdict: { kind: 'partial', failed: [{ path: 'o', reason: IN_THE_WAY }], unnamed: false },
    },
    {
      why: 'an obstruction beside a loss does not hide it',
      report: ended(23, [IN_THE_WAY, DENIED, END_23]),
      options: off,
      verdict: { kind: 'partial', failed: [{ path: 'x', reason: DENIED }] },
    },
  ])('$why', ({ report, options = on, verdict }) => {
    expect(judge(report, options)).toMatchObject(verdict);
  });

  test('the reason says how many more complaints there are', () => {
    const more = 'rsync: [receiver] mkstemp "/d/.x.oRFphU" (in mod) failed: Permission denied (13)';
    expect(judge(ended(23, [DENIED, more]), on)).toMatchObject({ reason: `${DENIED} (and 1 more)` });
  });
});

describe('a run that broke off', () => {
  test.each<{ why: string; report: RunReport; verdict: Partial<Verdict> }>([
    {
      why: 'a full disk names its file and the others go again at once',
      report: ended(11, [FULL, END_11]),
      verdict: {
        kind: 'partial',
        failed: [{ path: 'big', reason: FULL }],
        unnamed: false,
        othersMissed: true,
        outOfSpace: true,
      },
    },
    {
      why: 'exit 12 in the middle without a name halves the batch',
      report: ended(12, ['rsync: connection unexpectedly closed (61 bytes received so far) [sender]', END_12]),
      verdict: { kind: 'partial', failed: [], unnamed: true, othersMissed: true },
    },
    {
      why: 'exit 12 after files were sent too',
      report: ended(12, ['rsync: [sender] write error: Broken pipe (32)', END_12], { filesSent: 3 }),
      verdict: { kind: 'partial', unnamed: true, othersMissed: true },
    },
    {
      why: 'exit 12 before anything came back is the way to the remote',
      report: ended(12, ['rsync: connection unexpectedly closed (0 bytes received so far) [sender]', END_12]),
      verdict: {
        kind: 'unreachable',
        reason: 'rsync: connection unexpectedly closed (0 bytes received so far) [sender]',
      },
    },
    {
      why: 'a connection that is reset at once is the way to the remote',
      report: ended(12, [
        'rsync: [sender] safe_write failed to write 41 bytes to fd 3: Connection reset by peer (104)',
        END_12,
      ]),
      verdict: { kind: 'unreachable' },
    },
    {
      why: 'exit 11 because the destination is not there needs a person',
      report: ended(11, [
        'rsync: [Receiver] mkdir "none/dir" (in mod) failed: No such file or directory (2)',
        'rsync error: error in file IO (code 11) at main.c(808) [Receiver=3.5.0]',
      ]),
      verdict: { kind: 'rejected' },
    },
    {
      why: 'a timeout',
      report: ended(30, ['[sender] io timeout after 2 seconds -- exiting']),
      verdict: { kind: 'unreachable' },
    },
    {
      why: 'a signal from elsewhere',
      report: ended(null, [], { signal: 'SIGKILL' }),
      verdict: { kind: 'unreachable', reason: 'rsync was ended by SIGKILL' },
    },
    { why: 'the same as an exit code', report: ended(20, []), verdict: { kind: 'unreachable' } },
    {
      why: 'an exit code that is none of rsync',
      report: ended(99, []),
      verdict: { kind: 'unreachable', reason: 'rsync ended with exit code 99' },
    },
    {
      why: 'no rsync here',
      report: ended(null, [], { spawnError: 'spawn rsync ENOENT' }),
      verdict: { kind: 'unreachable', reason: 'rsync cannot be started: spawn rsync ENOENT' },
    },
    {
      why: 'a source that is not what it was',
      report: ended(null, [], { refused: 'unmounted' }),
      verdict: { kind: 'refused', reason: 'unmounted' },
    },
    {
      why: 'our own cancelling, whatever rsync says to it',
      report: ended(20, [DENIED], { cancelled: true, signal: 'SIGTERM' }),
      verdict: { kind: 'cancelled' },
    },
  ])('$why', ({ report, verdict }) => {
    expect(judge(report, on)).toMatchObject(verdict);
  });
});

describe('a remote that cannot be had', () => {
  test.each<[kind: 'unreachable' | 'rejected', exitCode: number, lines: string[], hint: RegExp]>([
    [
      'unreachable',
      10,
      ['rsync: [sender] failed to connect to 127.0.0.1 (127.0.0.1): Connection refused (111)', END_10],
      /port/,
    ],
    [
      'unreachable',
      10,
      ['rsync: getaddrinfo: no.such.host.invalid 873: Name or service not known', END_10],
      /<remote ip>/,
    ],
    [
      'unreachable',
      10,
      ['rsync: [sender] failed to connect to 192.0.2.1 (192.0.2.1): Connection timed out (110)', END_10],
      /network/,
    ],
    ['unreachable', 5, ['@ERROR: max connections (1) reached -- try again later', END_5], /max connections/],
    ['unreachable', 5, ['rsync: did not see server greeting', END_5], /port/],
    ['unreachable', 30, ['[sender] io timeout after 2 seconds -- exiting'], /<timeout>/],
    ['unreachable', 35, ['timeout waiting for daemon connection'], /network/],
    [
      'unreachable',
      255,
      [
        'ssh: connect to host 127.0.0.1 port 1: Connection refused',
        'rsync: connection unexpectedly closed (0 bytes received so far) [sender]',
      ],
      /sshd/,
    ],
    [
      'unreachable',
      12,
      [
        'ssh: connect to host x port 22: Connection refused',
        'rsync: connection unexpectedly closed (0 bytes received so far) [sender]',
        END_12,
      ],
      /sshd/,
    ],
    ['unreachable', 255, ['ssh: Could not resolve hostname nope: Name or service not known'], /<remote ip>/],
    ['rejected', 5, ['@ERROR: auth failed on module auth', END_5], /secrets file/],
    ['rejected', 5, ['Password: @ERROR: auth failed on module auth', END_5], /secrets file/],
    ['rejected', 5, ["@ERROR: Unknown module 'nosuch'", END_5], /\[module\]/],
    ['rejected', 5, ['@ERROR: access denied to denied from localhost (127.0.0.1)', END_5], /hosts allow/],
    ['rejected', 5, ['@ERROR: chdir failed', END_5], /path/],
    ['rejected', 5, ['@ERROR: something new', END_5], /log/],
    ['rejected', 5, ['rsync: server sent "HTTP/1.1 400 Bad Request" rather than greeting', END_5], /rsync daemon/],
    [
      'rejected',
      1,
      [
        'ERROR: module is read only',
        'rsync error: syntax or usage error (code 1) at main.c(1185) [Receiver=3.5.0]',
        'rsync: [sender] read error: Connection reset by peer (104)',
      ],
      /read only = no/,
    ],
    [
      'rejected',
      1,
      [
        'ERROR: password file must not be other-accessible',
        'rsync error: syntax or usage error (code 1) at authenticate.c(261) [sender=3.5.0]',
      ],
      /chmod 600/,
    ],
    [
      'rejected',
      1,
      ['rsync: [sender] could not open password file ../nosuchpw: No such file or directory (2)'],
      /passwordfile/,
    ],
    [
      'rejected',
      1,
      [
        'rsync: --nonsense: unknown option',
        'rsync error: syntax or usage error (code 1) at main.c(1886) [client=3.5.0]',
      ],
      /commonParams/,
    ],
    [
      'rejected',
      4,
      [
        'rsync: The server is configured to refuse --delete',
        'rsync: [sender] read error: Connection reset by peer (104)',
      ],
      /refuse options/,
    ],
    [
      'rejected',
      3,
      ['rsync: [Receiver] change_dir#1 "closed/" (in mod) failed: Permission denied (13)'],
      /<remote name>/,
    ],
    [
      'rejected',
      3,
      ['rsync: [Receiver] ERROR: cannot stat destination "file/" (in mod): Not a directory (20)'],
      /<remote name>/,
    ],
    [
      'rejected',
      2,
      [
        'invalid file mode 00 for gone [Receiver]',
        'rsync error: protocol incompatibility (code 2) at flist.c(874) [Receiver=3.2.7]',
      ],
      /3\.4\.4/,
    ],
    ['unreachable', 2, ['ABORTING due to invalid path from sender: a/b'], /went away while it was sent/],
    ['rejected', 2, ['protocol version mismatch -- is your shell clean?'], /start-up files/],
    [
      'rejected',
      127,
      [
        'bash: line 1: rsync: command not found',
        'rsync error: remote command not found (code 127) at io.c(387) [sender=3.5.0]',
      ],
      /install rsync on the remote/,
    ],
    [
      'rejected',
      127,
      ['rsync error: remote command not found (code 127) at io.c(387) [sender=3.5.0]'],
      /install rsync on the remote/,
    ],
    ['rejected', 14, ['rsync: [sender] Failed to exec /nonexistent/ssh: No such file or directory (2)'], /install ssh/],
    [
      'rejected',
      255,
      [
        'Host key verification failed.',
        'rsync: [sender] safe_write failed to write 4 bytes to socket: Broken pipe (32)',
      ],
      /host key/,
    ],
    ['rejected', 255, ['u@h: Permission denied (publickey,password).'], /authorized_keys/],
  ])('%s, exit %i: %j', (kind, exitCode, lines, hint) => {
    const verdict = judge(ended(exitCode, lines), on);
    expect(verdict).toMatchObject({ kind });
    expect('hint' in verdict && verdict.hint).toMatch(hint);
    expect('reason' in verdict && lines.includes(verdict.reason)).toBe(true);
  });
});
