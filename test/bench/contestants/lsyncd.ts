import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Contestant, Task } from '../contestant.js';
import { type Remote, urlOf } from '../site.js';
import { WatchingGroup } from './group.js';
import { missingTool } from './tools.js';

/** One service for all targets, as its manual has it. */
export const lsyncd: Contestant = {
  name: 'lsyncd',
  description: 'Debian package; for each target a `sync { default.rsync, delay = 1, rsync = { archive = true } }`',
  watches: true,
  unavailable: () => missingTool('lsyncd', 'lsyncd'),
  start: (task) => {
    const file = join(task.directory, 'lsyncd.conf.lua');
    writeFileSync(file, configuration(task));
    return WatchingGroup.start([['lsyncd', '-nodaemon', file]], task);
  },
};

/**
 * `archive` as the examples of its manual, without `compress`, which the limit has not either, and no socket options, which
 * none of the examples gives. The delay is the smallest that it has but none: 1 s, where the manual's default is 15.
 * `insist`: a remote that is not there is tried again.
 */
function configuration(task: Task): string {
  const rsync = ['archive = true', ...(task.bwlimit === undefined ? [] : [`bwlimit = ${task.bwlimit}`])];
  const syncs = task.remotes.map((remote) => {
    const shell = task.ssh === undefined ? [] : [`rsh = "ssh -p ${remote.port}"`];
    return `sync {
  default.rsync,
  source = "${task.source}",
  target = "${targetOf(remote, task)}",
  delay = 1,
  rsync = { ${[...rsync, ...shell].join(', ')} },
}
`;
  });
  return `settings { nodaemon = true, insist = true }\n${syncs.join('')}`;
}

function targetOf(remote: Remote, { ssh }: Task): string {
  return ssh === undefined ? `${urlOf(remote)}/` : `${remote.address}:${remote.name}/`;
}
