import { existsSync, mkdirSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { writeLargeFile } from '../files.js';
import type { ScenarioOf } from '../scenario.js';
import { measureBytes, rowsOf } from './metered.js';

const MEGABYTE = 1_000_000;

export const renameDirectory: ScenarioOf = (isQuick) => {
  const [files, bytesInEach] = [100, isQuick ? MEGABYTE / 10 : 10 * MEGABYTE];
  return {
    name: 'rename-directory',
    description: `a directory with ${files} files of ${bytesInEach / MEGABYTE} MB gets another name, until the remote has it under the new one and not under the old one`,
    limit: 'a push of the whole tree with --delete',
    rows: rowsOf(`rename of a directory with ${(files * bytesInEach) / MEGABYTE} MB`),
    rounds: isQuick ? 2 : 3,
    limitMs: 240_000,
    run: async (turn) => {
      const site = await turn.makeSite({ remotes: 1, isMetered: true });
      mkdirSync(turn.source('old'));
      const names = Array.from({ length: files }, (_, index) => `file-${index}`);
      for (const name of names) writeLargeFile(turn.source('old', name), bytesInEach);
      site.seed();
      await turn.start();
      return await measureBytes(
        turn,
        () => {
          renameSync(turn.source('old'), turn.source('new'));
        },
        { from: '', to: '', isWithDeletions: true },
        (remote) => !existsSync(join(remote, 'old')) && names.every((name) => existsSync(join(remote, 'new', name))),
      );
    },
  };
};

export const renameFile: ScenarioOf = (isQuick) => {
  const bytes = (isQuick ? 5 : 100) * MEGABYTE;
  return {
    name: 'rename-file',
    description: `a file of ${bytes / MEGABYTE} MB gets another name in the same directory, until the remote has it under the new one and not under the old one`,
    limit: 'a push of the whole tree with --delete',
    rows: rowsOf(`rename of a file of ${bytes / MEGABYTE} MB`),
    rounds: isQuick ? 2 : 5,
    limitMs: 120_000,
    run: async (turn) => {
      const site = await turn.makeSite({ remotes: 1, isMetered: true });
      writeLargeFile(turn.source('old'), bytes);
      site.seed();
      await turn.start();
      return await measureBytes(
        turn,
        () => {
          renameSync(turn.source('old'), turn.source('new'));
        },
        { from: '', to: '', isWithDeletions: true },
        (remote) =>
          !existsSync(join(remote, 'old')) && statSync(join(remote, 'new'), { throwIfNoEntry: false })?.size === bytes,
      );
    },
  };
};
