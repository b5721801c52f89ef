import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';

import type { RelativePath } from '../../src/core/relative-path.js';
import type { TreeWatcher, TreeWatcherOptions } from '../../src/watch/tree-watcher.js';
import { eventually } from './eventually.js';
import { directoriesOf, locate } from './trees.js';
import { createFilter, InotifyWatcher, ParcelWatcher } from './watch-build.js';
import { Follower } from './watch-follower.js';

/** The parcel watcher's last resort, which a test should not have to wait a minute for. */
const AUDIT_MS = 2_000;

export type FrontEnd = 'inotify' | 'parcel';

/** A watched tree (`root`), a place beside it that is not watched (`outside`), and a follower. */
export class WatchBench {
  readonly root: string;
  readonly outside: string;
  private watcher: TreeWatcher | undefined;
  private startedFollower: Follower | undefined;
  private writes = 0;

  constructor(private readonly frontEnd: FrontEnd) {
    const place = existsSync('/dev/shm') ? '/dev/shm' : realpathSync(tmpdir());
    const base = mkdtempSync(`${place}/sersync-watch-`);
    this.root = `${base}/root`;
    this.outside = `${base}/outside`;
    mkdirSync(this.root);
    mkdirSync(this.outside);
  }

  get follower(): Follower {
    if (this.startedFollower === undefined) throw new Error('the watcher has not been started');
    return this.startedFollower;
  }

  async start(excludes: readonly string[] = []): Promise<{ directories: number }> {
    const filter = createFilter({ excludes });
    const follower = new Follower(this.root, (path, isDirectory) => filter.isExcluded(path, isDirectory));
    this.startedFollower = follower;
    this.watcher = this.create({ root: this.root, filter: { excludes }, listener: follower });
    return await this.watcher.start();
  }

  private create(options: TreeWatcherOptions): TreeWatcher {
    if (this.frontEnd === 'inotify') return new InotifyWatcher(options);
    return new ParcelWatcher(options, { auditMs: AUDIT_MS });
  }

  /** Runs a script in the root while the follower follows; `$OUT` is the place outside. */
  async shell(script: string): Promise<void> {
    const child = spawn('bash', ['-euc', script], {
      cwd: this.root,
      env: { ...process.env, OUT: this.outside },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let complaint = '';
    child.stderr.on('data', (text: Buffer) => (complaint += text.toString()));
    const code = await new Promise((resolve) => child.once('close', resolve));
    if (code !== 0) throw new Error(`${script}\nended with ${String(code)}: ${complaint}`);
  }

  /** Resolves once the follower knows all that there is. */
  async untilFollowed(withinMs: number): Promise<void> {
    const mistakes = (): string[] => this.follower.mistakes();
    await eventually(
      () => mistakes().length === 0,
      { withinMs, everyMs: 50 },
      () => {
        const found = mistakes();
        return `${found.length} mistakes:\n  ${found.slice(0, 8).join('\n  ')}`;
      },
    );
  }

  /** The answer of the watcher's fence. */
  async fence(): Promise<boolean> {
    if (this.watcher === undefined) throw new Error('the watcher has not been started');
    return await this.watcher.fence();
  }

  /** Writes a new file in every directory of the tree: a directory that is not watched shows by it. */
  writeEverywhere(excluded: readonly RelativePath[] = []): void {
    this.writes += 1;
    for (const directory of directoriesOf(this.root)) {
      if (excluded.includes(directory)) continue;
      writeFileSync(Buffer.concat([locate(this.root, directory), Buffer.from(`/later-${this.writes}`)]), 'later');
    }
  }

  async stop(): Promise<void> {
    await this.watcher?.stop();
  }

  async close(): Promise<void> {
    await this.stop();
    rmSync(this.root.slice(0, -'/root'.length), { recursive: true, force: true });
  }
}
