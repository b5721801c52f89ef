import type { ScenarioOf } from '../scenario.js';
import { append } from './append.js';
import { besideBigFile } from './beside-big.js';
import { bursts } from './burst.js';
import { deadRemote } from './dead-remote.js';
import { idle } from './idle.js';
import { isolatedWrites } from './isolated-write.js';
import { remove } from './remove.js';
import { renameDirectory, renameFile } from './rename.js';
import { sshWrite } from './ssh-write.js';
import { startUps } from './start-up.js';
import { steadyChanges } from './steady.js';

/** In the order in which they run and stand in tables. */
export const SCENARIOS: readonly ScenarioOf[] = [
  ...isolatedWrites,
  ...bursts,
  ...steadyChanges,
  remove,
  renameDirectory,
  renameFile,
  append,
  besideBigFile,
  deadRemote,
  ...startUps,
  idle,
  sshWrite,
];
