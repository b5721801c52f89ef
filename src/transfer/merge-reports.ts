import type { RunReport } from '../replicate/ports.js';

/**
 * Several runs of one task as one report: what each said and sent, with the end of the one that ended worst. Pure.
 * `reports`: at least one.
 */
export function mergeReports(reports: readonly [RunReport, ...RunReport[]]): RunReport {
  const worst = reports.reduce((one, other) => (badness(other) > badness(one) ? other : one));
  const sum = (figure: (report: RunReport) => number): number =>
    reports.reduce((total, report) => total + figure(report), 0);
  return {
    ...worst,
    cancelled: reports.some(({ cancelled }) => cancelled),
    complaints: reports.flatMap(({ complaints }) => complaints),
    messages: reports.flatMap(({ messages }) => messages),
    again: reports.flatMap(({ again }) => again),
    extraneous: sum(({ extraneous }) => extraneous),
    extras: reports.flatMap(({ extras }) => extras),
    filesSent: sum(({ filesSent }) => filesSent),
    bytesSent: sum(({ bytesSent }) => bytesSent),
    durationMs: sum(({ durationMs }) => durationMs),
  };
}

/** Whether the run went to its end, or at least reached the remote's disk: what comes next in the task has a chance. */
export function wentThrough(report: RunReport): boolean {
  return !report.cancelled && badness(report) < BROKEN;
}

const BROKEN = 4;
/** 11 is a full disk on the remote, among others: deletions are what helps. */
const ENDS: readonly (number | null)[] = [0, 24, 23, 11];

function badness({ exitCode, complaints }: RunReport): number {
  const rank = ENDS.indexOf(exitCode);
  if (rank < 0) return BROKEN;
  return rank === 0 && complaints.length > 0 ? 0.5 : rank;
}
