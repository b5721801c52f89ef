import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { type Row, type Scenario, type ScenarioOf, stallRow } from '../scenario.js';
import { Site } from '../site.js';

const FILES_IN_EACH = 10;
const BRANCHES = 100;
/** What a start has used only for itself is given back by then. */
const SETTLE_MS = 3_000;

export const startUps: readonly ScenarioOf[] = [10_000, 100_000].map((full) => (isQuick) => {
  const directories = isQuick ? full / 50 : full;
  let site: Site | undefined;
  const scenario: Scenario = {
    name: `start-${full}`,
    description: `start beside ${directories} directories with ${directories * FILES_IN_EACH} empty files, which the remote has already; until a change made meanwhile reaches it, and the memory 3 s later`,
    limit: 'a push of the whole tree, unchanged',
    rows: rowsOf(`start with ${directories} directories`),
    rounds: isQuick ? 2 : 5,
    limitMs: 300_000,
    // Nothing but the probes is written, and to compare a million files takes longer than all the rest.
    isCompared: false,
    prepare: async () => {
      site = await Site.make({ remotes: 1 });
      plant(site.source, directories);
      site.seed();
    },
    run: async (turn) => {
      turn.useSite(site!);
      const since = performance.now();
      const { readyAfterMs, watchingAfterMs, inSyncAfterMs, resyncMs } = await turn.start({ isColdStart: true });
      if (!turn.contestant.watches) {
        await turn.push({ from: '', to: '' });
        const elapsedMs = performance.now() - since;
        return { readyMs: [elapsedMs], inSyncMs: [elapsedMs], resyncMs: [elapsedMs] };
      }
      await sleep(SETTLE_MS);
      const { ownResidentBytes, allResidentBytes } = turn.usage();
      return {
        readyMs: [readyAfterMs],
        ...(watchingAfterMs === undefined ? {} : { watchingMs: [watchingAfterMs] }),
        ...(inSyncAfterMs === undefined ? {} : { inSyncMs: [inSyncAfterMs] }),
        ...(resyncMs === undefined ? {} : { resyncMs: [resyncMs] }),
        ownBytes: [ownResidentBytes],
        allBytes: [allResidentBytes],
        ...(await turn.stalls()),
      };
    },
    clean: async () => {
      await site?.close();
    },
  };
  return scenario;
});

function rowsOf(label: string): Row[] {
  return [
    { label: `${label}: until the first change arrives`, metric: 'readyMs', statistic: 'median', unit: 'ms' },
    { label: `${label}: until all are watched`, metric: 'watchingMs', statistic: 'median', unit: 'ms' },
    { label: `${label}: until the first resync is over`, metric: 'inSyncMs', statistic: 'median', unit: 'ms' },
    { label: `${label}: the first resync by itself`, metric: 'resyncMs', statistic: 'median', unit: 'ms' },
    { label: `${label}: memory without rsync`, metric: 'ownBytes', statistic: 'median', unit: 'bytes' },
    { label: `${label}: memory with rsync`, metric: 'allBytes', statistic: 'median', unit: 'bytes' },
    stallRow(label),
  ];
}

/** Two levels: directories of directories, as far as the number goes. */
function plant(root: string, directories: number): void {
  const leaves = directories / BRANCHES - 1;
  for (let branch = 0; branch < BRANCHES; branch++) {
    const above = join(root, `branch-${branch}`);
    plantDirectory(above);
    for (let leaf = 0; leaf < leaves; leaf++) plantDirectory(join(above, `directory-${leaf}`));
  }
}

function plantDirectory(directory: string): void {
  mkdirSync(directory);
  for (let file = 0; file < FILES_IN_EACH; file++) writeFileSync(join(directory, `file-${file}`), '');
}
