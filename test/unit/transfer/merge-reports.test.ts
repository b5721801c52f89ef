import { describe, expect, it } from 'vitest';
import { NO_RUN, type RunReport } from '../../../src/replicate/ports.js';
import { cameToItsEnd, mergeReports, wentThrough } from '../../../src/transfer/merge-reports.js';

function reportOf(part: Partial<RunReport>): RunReport {
  return {
    ...NO_RUN,
    ...part,
  };
}

describe('two runs as one report', () => {
  it('hold what both said and sent', () => {
    const lost = (path: string) => ({ path, kind: 'lost', text: path }) as const;
    const merged = mergeReports(
      reportOf({
        complaints: [lost('a')],
        messages: ['x'],
        filesSent: 2,
        bytesSent: 5,
        durationMs: 1,
        cutOff: ['c'],
        names: 3,
      }),
      reportOf({
        complaints: [lost('b')],
        messages: ['y'],
        filesSent: 1,
        bytesSent: 1,
        durationMs: 2,
        linked: [7],
        names: 4,
        unreadable: true,
      }),
    );
    expect(merged).toMatchObject({ messages: ['x', 'y'], filesSent: 3, bytesSent: 6, durationMs: 3, linked: [7] });
    expect(merged).toMatchObject({ cutOff: ['c'], names: 7, unreadable: true });
    expect(merged.complaints.map(({ path }) => path)).toEqual(['a', 'b']);
  });

  it.each<[number | null, number | null, number | null]>([
    [0, 0, 0],
    [0, 23, 23],
    [24, 23, 23],
    [23, 24, 23],
    [11, 23, 11],
    [0, 10, 10],
    [12, 0, 12],
    [23, null, null],
  ])('that exit with %s and %s end with %s, and show that command', (one, other, end) => {
    const merged = mergeReports(
      reportOf({ exitCode: one, command: ['first'] }),
      reportOf({ exitCode: other, command: ['second'] }),
    );
    expect(merged.exitCode).toBe(end);
    expect(merged.command).toEqual([end === other ? 'second' : 'first']);
  });

  it('keep how the remote must be told to delete, and why rsync could not be started', () => {
    const merged = mergeReports(reportOf({ deletesBy: 'rules' }), reportOf({ exitCode: null, spawnError: 'ENOENT' }));
    expect(merged).toMatchObject({ deletesBy: 'rules', spawnError: 'ENOENT', exitCode: null });
  });
});

it.each<[string, Partial<RunReport>, boolean]>([
  ['went through', { exitCode: 0 }, true],
  ['lost something', { exitCode: 23 }, true],
  ['lost its connection', { exitCode: 12 }, false],
  ['met a full disk', { exitCode: 11 }, false],
  ['was ended by a signal', { exitCode: null, signal: 'SIGKILL' }, false],
])('a run that %s came to its end: %j %s', (_title, end, came) => {
  expect(cameToItsEnd(reportOf(end))).toBe(came);
});

it('goes on after a full disk and after names that failed, not after a broken connection or a cancel', () => {
  expect([0, 24, 23, 11].map((exitCode) => wentThrough(reportOf({ exitCode })))).toEqual([true, true, true, true]);
  expect([10, 12, 2, null].map((exitCode) => wentThrough(reportOf({ exitCode })))).toEqual([
    false,
    false,
    false,
    false,
  ]);
  expect(wentThrough(reportOf({ cancelled: true }))).toBe(false);
});
