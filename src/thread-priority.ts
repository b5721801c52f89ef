import { constants, getPriority, setPriority } from 'node:os';
import { getEnvironmentData, setEnvironmentData } from 'node:worker_threads';

/**
 * How soon a thread gets a core where there are not enough: `urgent` before others, for what works little and is waited
 * for; `patient` after them. `ordinary` is what the service was started with (nice(1)).
 */
export type Priority = 'urgent' | 'ordinary' | 'patient';

const NICE_BEYOND_ORDINARY: Record<Priority, number> = {
  urgent: constants.priority.PRIORITY_HIGH,
  ordinary: 0,
  patient: constants.priority.PRIORITY_BELOW_NORMAL,
};
const { PRIORITY_HIGHEST, PRIORITY_LOW } = constants.priority;
/** Threads that are started later know it by this key. */
const ORDINARY_NICE = 'sersync: ordinary nice value';

/**
 * Gives the thread that calls it a priority. On Linux each thread has its own, and what it starts takes that over: threads
 * and processes alike (setpriority(2), sched(7)). Called first in the main thread, and then by each thread that it starts.
 * Where it is not allowed, nothing happens: only root, or CAP_SYS_NICE, may come before others.
 */
export function takePriority(priority: Priority): void {
  // 0 is this thread; elsewhere it would be the whole process.
  if (process.platform === 'linux') tryNice(0, ordinaryNice() + NICE_BEYOND_ORDINARY[priority]);
}

/** A process that an urgent thread has started is as urgent as that, and here no more. */
export function makeOrdinary(pid: number | undefined): void {
  if (pid !== undefined && process.platform === 'linux') tryNice(pid, ordinaryNice());
}

function ordinaryNice(): number {
  const known = getEnvironmentData(ORDINARY_NICE);
  if (typeof known === 'number') return known;
  const nice = getPriority(0);
  setEnvironmentData(ORDINARY_NICE, nice);
  return nice;
}

function tryNice(id: number, nice: number): void {
  try {
    setPriority(id, Math.min(PRIORITY_LOW, Math.max(PRIORITY_HIGHEST, nice)));
  } catch {
    // It is a matter of speed alone.
  }
}
