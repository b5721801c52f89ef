import { createHash } from 'node:crypto';
import { lstatSync, readFileSync, readdirSync, readlinkSync, type Stats } from 'node:fs';

import { Hint } from '../../src/core/hint.js';
import { display, isBelow, join, parentOf, ROOT, type RelativePath } from '../../src/core/relative-path.js';
import type { TreeWatcherListener } from '../../src/watch/tree-watcher.js';
import { locate } from './trees.js';

/** What a follower believes about a name. */
type Impression = string;

/**
 * The strictest consumer of a watcher: it looks at the disk in the moment it is told, and only where it is told, by the
 * rules of the service (a directory that appeared: its whole subtree; anything else: the one name). If what it remembers
 * is what the disk holds, no change was left untold, nor told too early.
 */
export class Follower implements TreeWatcherListener {
  readonly told: { path: RelativePath; hint: Hint }[] = [];
  readonly moves: (readonly [from: RelativePath, to: RelativePath])[] = [];
  readonly losses: { below: RelativePath; reason: string }[] = [];
  readonly deaths: string[] = [];
  /** `blind` and `sees` and `lost`, a line each, in order. */
  readonly sights: string[] = [];
  private readonly memory = new Map<RelativePath, Impression>();
  private readonly hints = new Map<RelativePath, Hint>();

  constructor(
    readonly root: string,
    private readonly isExcluded: (path: RelativePath, isDirectory: boolean) => boolean,
  ) {
    this.look(ROOT);
  }

  touched(path: RelativePath, hint: Hint): void {
    this.told.push({ path, hint });
    this.hints.set(path, this.hintsOf(path) | hint);
    this.lookAt(path, hint);
  }

  moved(from: RelativePath, to: RelativePath): void {
    this.moves.push([from, to]);
  }

  lost(below: RelativePath, reason: string): void {
    this.losses.push({ below, reason });
    this.sights.push(`lost ${below}: ${reason}`);
    this.look(below);
  }

  /** What is missed there is told by `lost`. */
  blind(below: RelativePath, reason: string): void {
    this.sights.push(`blind ${below}: ${reason}`);
  }

  sees(below: RelativePath): void {
    this.sights.push(`sees ${below}`);
  }

  died(reason: string): void {
    this.deaths.push(reason);
  }

  /** The hints about a name so far, as one. */
  hintsOf(path: RelativePath): Hint {
    return this.hints.get(path) ?? 0;
  }

  /** Where its memory differs from the disk, a line each. */
  mistakes(): string[] {
    const disk = new Map<RelativePath, Impression>();
    this.visit(ROOT, disk, true);
    return [
      ...[...disk].filter(([path]) => !this.memory.has(path)).map(([path]) => `${display(path)}: not told of it`),
      ...[...this.memory.keys()].filter((path) => !disk.has(path)).map((path) => `${display(path)}: gone, not told`),
      ...[...disk]
        .filter(([path, impression]) => (this.memory.get(path) ?? impression) !== impression)
        .map(([path, impression]) => `${display(path)}: is ${impression}, told ${this.memory.get(path) ?? ''}`),
    ];
  }

  private lookAt(path: RelativePath, hint: Hint): void {
    const appeared = (hint & (Hint.created | Hint.movedTo | Hint.unknown)) !== 0;
    if ((hint & Hint.directory) !== 0 && appeared) this.look(path);
    else this.remember(path);
  }

  /** The whole subtree. */
  private look(path: RelativePath): void {
    this.forget(path);
    this.visit(path, this.memory, true);
    this.rememberAncestors(path);
  }

  private remember(path: RelativePath): void {
    const found = new Map<RelativePath, Impression>();
    this.visit(path, found, false);
    const now = found.get(path);
    if (now === undefined || isDirectory(this.memory.get(path)) !== isDirectory(now)) this.forget(path);
    if (now !== undefined) this.memory.set(path, now);
    this.rememberAncestors(path);
  }

  /** As rsync does it: a name brings the directories above it. */
  private rememberAncestors(path: RelativePath): void {
    for (let above = parentOf(path); above !== ROOT; above = parentOf(above)) {
      if (!this.memory.has(above)) this.visit(above, this.memory, false);
    }
  }

  private forget(path: RelativePath): void {
    const known = this.memory.get(path);
    this.memory.delete(path);
    if (known !== undefined && !isDirectory(known)) return;
    for (const below of this.memory.keys()) if (isBelow(below, path)) this.memory.delete(below);
  }

  private visit(path: RelativePath, into: Map<RelativePath, Impression>, isDeep: boolean): void {
    const bytes = locate(this.root, path);
    const stats = lookAt(bytes);
    if (stats === undefined || (path !== ROOT && this.isExcluded(path, stats.isDirectory()))) return;
    const impression = describe(bytes, stats);
    if (impression === undefined) return;
    into.set(path, impression);
    if (!isDeep || !stats.isDirectory()) return;
    for (const name of namesIn(bytes)) this.visit(join(path, name), into, true);
  }
}

function isDirectory(impression: Impression | undefined): boolean {
  return impression?.startsWith('directory') ?? false;
}

function lookAt(path: Buffer): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch {
    // A directory above it is a file by now.
    return undefined;
  }
}

/** What a copy would hold. Undefined when it vanished under our eyes. */
function describe(bytes: Buffer, stats: Stats): Impression | undefined {
  const { mode, uid, mtimeMs, size } = stats;
  try {
    if (stats.isDirectory()) return `directory ${mode} ${uid}`;
    if (stats.isSymbolicLink()) return `link ${readlinkSync(bytes, { encoding: 'latin1' })}`;
    if (!stats.isFile()) return `special ${mode} ${uid}`;
    return `file ${mode} ${uid} ${mtimeMs} ${size} ${size > 0 && size <= 4096 ? digest(bytes) : ''}`;
  } catch {
    return undefined;
  }
}

function digest(bytes: Buffer): string {
  return createHash('md5').update(readFileSync(bytes)).digest('hex');
}

function namesIn(bytes: Buffer): string[] {
  try {
    return readdirSync(bytes, { encoding: 'latin1' });
  } catch {
    // It vanished, or is a file by now: another call is on its way.
    return [];
  }
}
