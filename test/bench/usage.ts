import { readFileSync } from 'node:fs';

import { descendantsOf, processInfo, type ProcessInfo } from '../support/processes.js';

const MS_PER_TICK = 10;
/** What a contestant runs to send: not its own processes, though they work for it. */
const TRANSFER_COMMANDS = new Set(['rsync', 'ssh']);

export interface Usage {
  /** CPU time of the contestant's own processes, without the rsync and ssh that they run. */
  readonly ownCpuMs: number;
  /** With them, also those that have ended. */
  readonly allCpuMs: number;
  readonly ownResidentBytes: number;
  /** With the rsync and ssh that live now. Pages that they share are counted for each. */
  readonly allResidentBytes: number;
}

/** What a contestant that was started as these processes has used until now, and holds now. */
export function usageOf(pids: readonly number[]): Usage {
  const all = pids.flatMap((pid) => [processInfo(pid), ...descendantsOf(pid)]).filter((info) => info !== undefined);
  const own = all.filter(({ command }) => !TRANSFER_COMMANDS.has(command));
  return {
    ownCpuMs: sum(own, ({ pid }) => cpuWithoutChildren(pid)),
    allCpuMs: sum(all, ({ cpuMs }) => cpuMs),
    ownResidentBytes: sum(own, ({ residentBytes }) => residentBytes),
    allResidentBytes: sum(all, ({ residentBytes }) => residentBytes),
  };
}

function sum(infos: readonly ProcessInfo[], valueOf: (info: ProcessInfo) => number): number {
  return infos.reduce((total, info) => total + valueOf(info), 0);
}

function cpuWithoutChildren(pid: number): number {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    // It has ended meanwhile.
    return 0;
  }
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * MS_PER_TICK;
}
