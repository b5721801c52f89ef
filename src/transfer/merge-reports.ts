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
    unreadable: first.unreadable || second.unreadable,
    names: first.names + second.names,
    extraneous: first.extraneous + second.extraneous,
    extras: [...first.extras, ...second.extras],
    changed: [...first.changed, ...second.changed],
    unnamed: first.unnamed + second.unnamed,
    unsent: [...first.unsent, ...second.unsent],
    unquiet: [...first.unquiet, ...second.unquiet],
    cutOff: [...first.cutOff, ...second.cutOff],
    newer: [...first.newer, ...second.newer],
    linked: [...first.linked, ...second.linked],
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

/** Whether the run ended by itself, so that no file was left in between. rsync(1), "EXIT VALUES": 25 is --max-delete. */
export function cameToItsEnd({ exitCode }: Pick<RunReport, 'exitCode'>): boolean {
  return exitCode === 0 || exitCode === 23 || exitCode === 24 || exitCode === 25;
}

/** From good to bad; 11 may be a full disk, where deletions are what helps. Any other end is worse. */
const ENDS: readonly (number | null)[] = [0, 24, 23, 11];

function badness({ exitCode }: RunReport): number {
  const rank = ENDS.indexOf(exitCode);
  return rank < 0 ? ENDS.length : rank;
}
