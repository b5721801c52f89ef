import { descendantsOf, processInfo, readStat, type ProcessInfo } from '../support/processes.js';

const MS_PER_TICK = 10;
/** Among the fields of /proc/PID/stat. */
const [USER_TIME, SYSTEM_TIME] = [11, 12];
/** There: sizes, and where the stack begins, which is another place for each program that is run. */
const MEMORY = [20, 21, 25];
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
  const residentBytes = (info: ProcessInfo): number =>
    !pids.includes(info.pid) && isStillItsParent(info) ? 0 : info.residentBytes;
  return {
    ownCpuMs: sum(own, ({ pid }) => cpuWithoutChildren(pid)),
    allCpuMs: sum(all, ({ cpuMs }) => cpuMs),
    ownResidentBytes: sum(own, residentBytes),
    allResidentBytes: sum(all, residentBytes),
  };
}

/** Until it runs another program, what was started by vfork has the memory of its parent, which would count twice. */
function isStillItsParent({ pid, parent }: ProcessInfo): boolean {
  const [own, others] = [readStat(pid)?.fields, readStat(parent)?.fields];
  return own !== undefined && MEMORY.every((field) => own[field] === others?.[field]);
}

function sum(infos: readonly ProcessInfo[], valueOf: (info: ProcessInfo) => number): number {
  return infos.reduce((total, info) => total + valueOf(info), 0);
}

/** None when it has ended meanwhile. */
function cpuWithoutChildren(pid: number): number {
  const fields = readStat(pid)?.fields ?? [];
  return (Number(fields[USER_TIME] ?? 0) + Number(fields[SYSTEM_TIME] ?? 0)) * MS_PER_TICK;
}
