import { accessSync, constants, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { eventually } from './eventually.js';
import { isAlive } from './processes.js';

const SETTING = '/proc/sys/fs/inotify/max_queued_events';
/** Holds the pid of whoever has changed the setting, and what it was. */
const LOCK = join(tmpdir(), 'sersync-max-queued-events.lock');

export function canSetQueueLimit(): boolean {
  try {
    accessSync(SETTING, constants.W_OK);
    return true;
  } catch {
    // Not root, or a container whose settings are read-only.
    return false;
  }
}

/**
 * Runs `action` while an inotify instance that is made gets a queue of so many events: the kernel reads the setting then
 * and never again. It holds for the whole machine, so `action` should do no more than that. One at a time; put back also
 * when this process is ended by a signal that it can see, and otherwise by the next one who comes here.
 */
export async function withQueueLimit<T>(limit: number, action: () => Promise<T>): Promise<T> {
  await eventually(
    takeLock,
    { withinMs: 60_000, everyMs: 50 },
    () => `${LOCK} is held by ${readFileSync(LOCK, 'utf8')}`,
  );
  const restore = (): void => {
    const [, before] = readLock();
    if (before !== undefined) writeFileSync(SETTING, before);
    rmSync(LOCK, { force: true });
  };
  const restoreAndEnd = (): void => {
    restore();
    process.exit(1);
  };
  process.once('exit', restore);
  for (const name of SIGNALS) process.once(name, restoreAndEnd);
  try {
    writeFileSync(SETTING, String(limit));
    return await action();
  } finally {
    restore();
    process.off('exit', restore);
    for (const name of SIGNALS) process.off(name, restoreAndEnd);
  }
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

function takeLock(): boolean {
  const [pid, before] = readLock();
  if (pid !== undefined && before !== undefined && !isAlive(Number(pid))) {
    writeFileSync(SETTING, before);
    rmSync(LOCK);
  }
  try {
    writeFileSync(LOCK, `${process.pid} ${readFileSync(SETTING, 'utf8').trim()}`, { flag: 'wx' });
    return true;
  } catch {
    // Somebody else has it.
    return false;
  }
}

/** The pid and the setting before, where the lock is held. */
function readLock(): string[] {
  try {
    return readFileSync(LOCK, 'utf8').split(' ');
  } catch {
    // Nobody holds it.
    return [];
  }
}
