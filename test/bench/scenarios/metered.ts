import { setTimeout as sleep } from 'node:timers/promises';

import type { Change } from '../contestant.js';
import type { Row, Values } from '../scenario.js';
import type { Turn } from '../turn.js';

/** What is sent after all is there belongs to it, too. */
const LATE_MS = 2_000;

/** The rows of what `measureBytes` measures. */
export function rowsOf(label: string): Row[] {
  return [
    { label: `${label}: time`, metric: 'lagMs', statistic: 'median', unit: 'ms' },
    { label: `${label}: bytes sent and received`, metric: 'bytes', statistic: 'median', unit: 'bytes' },
  ];
}

/** Time and bytes of a change that is made now, at the only remote of a metered site. */
export async function measureBytes(
  turn: Turn,
  make: () => void,
  change: Change,
  isThere: (remote: string) => boolean,
): Promise<Values> {
  const [{ relay, path }] = turn.site.remotes as [(typeof turn.site.remotes)[number]];
  const before = relay!.bytes;
  make();
  const lag = await turn.measure(change, performance.now(), () =>
    turn.deadline.until(() => isThere(path), 'the change on the remote', 3),
  );
  if (turn.contestant.watches) await sleep(LATE_MS);
  return { lagMs: [lag], bytes: [relay!.bytes - before] };
}
