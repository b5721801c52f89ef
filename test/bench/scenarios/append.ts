import { randomBytes } from 'node:crypto';
import { appendFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { writeLargeFile } from '../files.js';
import type { ScenarioOf } from '../scenario.js';
import { measureBytes, rowsOf } from './metered.js';

const MEGABYTE = 1_000_000;

export const append: ScenarioOf = (isQuick) => {
  const bytes = (isQuick ? 20 : 1_000) * MEGABYTE;
  return {
    name: 'append',
    description: `1 MB is added to a file of ${bytes / MEGABYTE} MB that the remote has`,
    limit: 'a push of that file',
    rows: rowsOf(`${bytes / MEGABYTE} MB file appended by 1 MB`),
    rounds: isQuick ? 2 : 5,
    limitMs: 180_000,
    run: async (turn) => {
      const site = await turn.makeSite({ remotes: 1, isMetered: true });
      writeLargeFile(turn.source('large'), bytes);
      site.seed();
      await turn.start();
      return await measureBytes(
        turn,
        () => {
          appendFileSync(turn.source('large'), randomBytes(MEGABYTE));
        },
        { from: 'large', to: '' },
        (remote) => statSync(join(remote, 'large')).size === bytes + MEGABYTE,
      );
    },
  };
};
