import type { Contestant } from '../contestant.js';
import { lsyncd } from './lsyncd.js';
import { rsync } from './rsync.js';
import { script } from './script.js';
import { sersync, sersyncCold } from './sersync.js';

/** In the order in which they take turns and stand in tables. */
export const CONTESTANTS: readonly Contestant[] = [sersync, sersyncCold, lsyncd, script, rsync];

/** The one that is measured, and the one that stands for what is possible. */
export const SUBJECT = sersync.name;
export const LIMIT = rsync.name;
