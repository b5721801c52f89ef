import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

import type { Change, Contestant, Running, Task } from '../contestant.js';
import { type Remote, urlOf } from '../site.js';
import { missingTool } from './tools.js';

/** The limit: somebody who knows what has changed runs rsync for it, at once and for all remotes side by side. */
export const rsync: Contestant = {
  name: 'rsync',
  description:
    'the limit: a bare `rsync -a --sockopts=TCP_NODELAY` of just that change, a new process, for all remotes at once; it watches nothing',
  watches: false,
  unavailable: () => missingTool('rsync', 'rsync'),
  start: (task) => new BareRsync(task),
};

class BareRsync implements Running {
  readonly pids = [];
  readonly #children = new Set<ChildProcess>();
  #isStopped = false;

  constructor(private readonly task: Task) {}

  async push(change: Change, remotes?: readonly number[]): Promise<void> {
    const chosen = remotes?.map((index) => this.task.remotes[index]!) ?? this.task.remotes;
    await Promise.all(chosen.map((remote) => this.#run(change, remote)));
  }

  expectAlive(): void {
    // Nothing runs between two changes.
  }

  transcript(): string {
    return '';
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    const endings = [...this.#children].map((child) => once(child, 'close'));
    for (const child of this.#children) child.kill('SIGKILL');
    await Promise.all(endings);
  }

  async #run({ from, to, isWithDeletions }: Change, remote: Remote): Promise<void> {
    const { ssh, bwlimit, source } = this.task;
    const args = [
      '-a',
      ...(isWithDeletions === true ? ['--delete'] : []),
      ...(bwlimit === undefined ? [] : [`--bwlimit=${bwlimit}`]),
      ...(ssh === undefined ? ['--sockopts=TCP_NODELAY'] : ['-e', `ssh -p ${remote.port}`]),
      `${source}/${from}`,
      ssh === undefined ? `${urlOf(remote)}/${to}` : `${remote.address}:${remote.name}/${to}`,
    ];
    const env = { ...process.env, ...(ssh === undefined ? {} : { PATH: ssh.clientPath }) };
    const child = spawn('rsync', args, { stdio: ['ignore', 'ignore', 'pipe'], env });
    this.#children.add(child);
    let complaint = '';
    child.stderr.on('data', (text: Buffer) => (complaint += text.toString()));
    const [code] = (await once(child, 'close')) as [number | null];
    this.#children.delete(child);
    if (code !== 0 && !this.#isStopped) throw new Error(`rsync ${args.join(' ')} ended with ${code}: ${complaint}`);
  }
}
