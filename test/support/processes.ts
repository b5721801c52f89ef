import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

import { eventually } from './eventually.js';

/** What the kernel says about a process (proc(5), /proc/PID/stat). Linux only, like the tests that use it. */
export interface ProcessInfo {
  readonly pid: number;
  readonly parent: number;
  /** As in `ps`: `R`, `S`, `T` (stopped), `Z` (ended, not yet waited for) ... */
  readonly state: string;
  readonly command: string;
  /** User and system time of the process and of its children that ended and were waited for, in milliseconds. */
  readonly cpuMs: number;
  readonly residentBytes: number;
}

const TICKS_PER_SECOND = 100;
const PAGE_BYTES = 4096;

/** The process, or `undefined` when it is gone. */
export function processInfo(pid: number): ProcessInfo | undefined {
  const stat = readStat(pid);
  if (stat === undefined) return undefined;
  const { command, fields } = stat;
  const ticks = [11, 12, 13, 14].reduce((sum, index) => sum + Number(fields[index]), 0);
  return {
    pid,
    state: fields[0]!,
    parent: Number(fields[1]),
    command,
    cpuMs: (ticks * 1000) / TICKS_PER_SECOND,
    residentBytes: Number(fields[21]) * PAGE_BYTES,
  };
}

/** /proc/PID/stat (proc(5)): the name, and the fields from the third on; `undefined` when the process is gone. */
export function readStat(pid: number): { command: string; fields: string[] } | undefined {
  const stat = readProc(pid, 'stat');
  if (stat === undefined) return undefined;
  // The name stands in parentheses and may hold anything; what follows the last one is numbers.
  const end = stat.lastIndexOf(')');
  return { command: stat.slice(stat.indexOf('(') + 1, end), fields: stat.slice(end + 2).split(' ') };
}

/** All processes that live; those that ended and wait to be collected are left out. */
export function allProcesses(): ProcessInfo[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => processInfo(Number(name)))
    .filter((info) => info !== undefined)
    .filter((info) => info.state !== 'Z');
}

/** Children, grandchildren and so on of a process, without itself. */
export function descendantsOf(pid: number): ProcessInfo[] {
  const all = allProcesses();
  const found: ProcessInfo[] = [];
  let parents = new Set([pid]);
  while (parents.size > 0) {
    const children = all.filter((info) => parents.has(info.parent));
    found.push(...children);
    parents = new Set(children.map((info) => info.pid));
  }
  return found;
}

/**
 * Stops (SIGSTOP) a process and its descendants, and returns them all. One list of them and then a signal to each would
 * leave out what was started in between; so they are listed again until all of them stand.
 */
export function freezeFamily(pid: number): number[] {
  for (;;) {
    const family = [processInfo(pid), ...descendantsOf(pid)].filter((info) => info !== undefined);
    const running = family.filter((info) => !'TZ'.includes(info.state));
    if (running.length === 0) return family.map((info) => info.pid);
    for (const info of running) signal(info.pid, 'SIGSTOP');
  }
}

/**
 * What was started with `NAME=value` in its environment, and what that has started since, also when its parent is gone. A
 * harness ends these: so the value is one that nothing else on the machine can have.
 */
export function processesMarked(mark: string): ProcessInfo[] {
  return othersWhere(({ pid }) => readProc(pid, 'environ')?.split('\0').includes(mark) === true);
}

/** What works in, or was given, something below an absolute `directory`. */
export function processesAt(directory: string): ProcessInfo[] {
  return othersWhere(
    ({ pid }) =>
      readProc(pid, 'cmdline')?.includes(directory) === true || workingDirectoryOf(pid).startsWith(directory),
  );
}

function othersWhere(condition: (info: ProcessInfo) => boolean): ProcessInfo[] {
  return allProcesses().filter((info) => info.pid !== process.pid && condition(info));
}

export function isAlive(pid: number): boolean {
  const info = processInfo(pid);
  return info !== undefined && info.state !== 'Z';
}

/** Signals a process; one that is gone already is no error. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/**
 * Stops a process; resolves when none of its threads runs any more. The kernel stops the others only once one of them has
 * taken the signal, which on a busy machine takes its turn.
 */
export async function suspend(pid: number): Promise<void> {
  signal(pid, 'SIGSTOP');
  await eventually(
    () => threadStates(pid).every((state) => state === 'T'),
    { withinMs: 20_000, everyMs: 2 },
    () => `of process ${pid} still run ${threadStates(pid).join(' ')}`,
  );
}

function threadStates(pid: number): string[] {
  return readdirSync(`/proc/${pid}/task`).map((thread) => {
    const stat = readProc(pid, `task/${thread}/stat`) ?? ') T';
    return stat.slice(stat.lastIndexOf(')') + 2).charAt(0);
  });
}

function readProc(pid: number, name: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'latin1');
  } catch {
    // It ended between the listing and the reading.
    return undefined;
  }
}

function workingDirectoryOf(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    // It ended meanwhile, or is a kernel thread.
    return '';
  }
}
