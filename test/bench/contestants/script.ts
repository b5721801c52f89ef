import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Contestant, Task } from '../contestant.js';
import { WatchingGroup } from './group.js';
import { missingTool } from './tools.js';

/** The loop that is copied from one web page to the next, once for each target. */
export const script: Contestant = {
  name: 'script',
  description:
    'for each target `inotifywait -mrq -e close_write,create,delete,move,attrib SRC | while read; do rsync -a --delete SRC/ HOST::MODULE; done`',
  watches: true,
  unavailable: () => missingTool('inotifywait', 'inotify-tools') ?? missingTool('bash', 'bash'),
  start: (task) => {
    const commands = task.remotes.map((_, index): [string, string] => ['bash', writeScript(task, index)]);
    return WatchingGroup.start(commands, task);
  },
};

function writeScript(task: Task, index: number): string {
  const remote = task.remotes[index]!;
  const options = task.bwlimit === undefined ? '' : ` --bwlimit=${task.bwlimit}`;
  const push =
    task.ssh === undefined
      ? `rsync -a --delete${options} --port=${remote.port} "$SRC/" ${remote.address}::${remote.name}`
      : `rsync -a --delete${options} -e "ssh -p ${remote.port}" "$SRC/" ${remote.address}:${remote.name}`;
  const file = join(task.directory, `watch-${index + 1}.sh`);
  writeFileSync(
    file,
    `#!/bin/bash
SRC=${task.source}
inotifywait -mrq -e close_write,create,delete,move,attrib --format '%w%f' "$SRC" | while read file; do
  ${push}
done
`,
  );
  chmodSync(file, 0o755);
  return file;
}
