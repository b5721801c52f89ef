import type { RunReport } from '../replicate/ports.js';

/** Two runs of one task as one report: what both said and sent, with the end of the one that ended worse. Pure. */
export function mergeReports(first: RunReport, second: RunReport): RunReport {
  const worse = badness(first) > badness(second) ? first : second;
  return {
    ...first,
    ...second,
    ...endOf(worse),
    cancelled: first.cancelled || second.cancelled,
    complaints: [...first.complaints, ...second.complaints],
    messages: [...first.messages, ...second.messages],
    again: [...first.again, ...second.again],
    extraneous: first.extraneous + second.extraneous,
    extras: [...first.extras, ...second.extras],
    unsent: [...first.unsent, ...second.unsent],
    newer: [...first.newer, ...second.newer],
    filesSent: first.filesSent + second.filesSent,
    bytesSent: first.bytesSent + second.bytesSent,
    durationMs: first.durationMs + second.durationMs,
  };
}

function endOf({ exitCode, signal, command }: RunReport): Pick<RunReport, 'exitCode' | 'signal' | 'command'> {
  return { exitCode, signal, command };
}

/** Whether the run came to the remote's disk, so that the next one of the task has a chance. */
export function wentThrough(report: RunReport): boolean {
  return !report.cancelled && badness(report) < ENDS.length;
}

/** From good to bad; 11 may be a full disk, where deletions are what helps. Any other end is worse. */
const ENDS: readonly (number | null)[] = [0, 24, 23, 11];

function badness({ exitCode }: RunReport): number {
  const rank = ENDS.indexOf(exitCode);
  return rank < 0 ? ENDS.length : rank;
}
