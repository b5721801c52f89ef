import { type BigIntStats, closeSync, lstatSync, openSync, readSync, readdirSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

import { display, join, type RelativePath, toBytes } from '../../src/core/relative-path.js';
import { eventually } from './eventually.js';

export interface TreeComparison {
  /** Names (and everything below them) that are looked at on neither side. */
  readonly isExcluded?: (path: RelativePath, isDirectory: boolean) => boolean;
  /** Names that are one file in the source must be one file on the remote. Default: no. */
  readonly hardLinks?: boolean;
  /** Default: when root. */
  readonly owner?: boolean;
  /** Default: yes. */
  readonly mode?: boolean;
  /** Pairs of files whose content was compared and is the same: filled and used, so that each is read once. */
  readonly verified?: Set<string>;
}

/**
 * In what `remote` is not what `source` is, a line each; empty when they are the same. Compared: names byte by byte,
 * types, content, modification time of files (nanoseconds), mode, owner, targets of links. Not compared: times of
 * directories and links, whose change is no change of the tree.
 */
export function differences(source: string, remote: string, comparison: TreeComparison = {}): string[] {
  const [here, there] = [readTree(source, comparison), readTree(remote, comparison)];
  const found = nameDifferences(here, there, comparison);
  // Content last: reading it is dear, and pointless while the rest still differs.
  return found.length > 0 ? found : contentDifferences(source, remote, here, there, comparison);
}

export function expectSameTree(source: string, remotes: readonly string[], comparison: TreeComparison = {}): void {
  const complaint = describeDifferences(source, remotes, comparison);
  if (complaint !== '') throw new Error(complaint);
}

/**
 * Resolves once every remote is what the source is, with the milliseconds until names, types, times and sizes were equal.
 * Content is read after that: what reading takes is not the remotes' delay.
 */
export async function untilSameTree(
  source: string,
  remotes: readonly string[],
  { withinMs, ...comparison }: TreeComparison & { readonly withinMs: number },
): Promise<number> {
  const begin = performance.now();
  for (;;) {
    await eventually(
      () => {
        const here = readTree(source, comparison);
        return remotes.every((remote) => nameDifferences(here, readTree(remote, comparison), comparison).length === 0);
      },
      { withinMs: Math.max(0, withinMs - (performance.now() - begin)) },
      () => describeDifferences(source, remotes, comparison) || 'it was equal at last, but too late',
    );
    const elapsedMs = performance.now() - begin;
    const complaint = describeDifferences(source, remotes, comparison);
    if (complaint === '') return elapsedMs;
    if (elapsedMs > withinMs) throw new Error(complaint);
    await sleep(20);
  }
}

/** The paths below `root`, with what lstat says. The root is `''`. */
export function readTree(root: string, comparison: TreeComparison = {}): Map<RelativePath, BigIntStats> {
  const tree = new Map<RelativePath, BigIntStats>();
  const visit = (path: RelativePath): void => {
    const stats = lookAt(() => lstatSync(locate(root, path), { bigint: true }));
    if (stats === undefined) return;
    if (path !== '' && comparison.isExcluded?.(path, stats.isDirectory()) === true) return;
    tree.set(path, stats);
    if (!stats.isDirectory()) return;
    const names = lookAt(() => readdirSync(locate(root, path), { encoding: 'buffer' })) ?? [];
    for (const name of names) visit(join(path, name.toString('latin1')));
  };
  visit('');
  return tree;
}

/** The directories of a tree, the root among them. */
export function directoriesOf(root: string): RelativePath[] {
  return [...readTree(root)].filter(([, stats]) => stats.isDirectory()).map(([path]) => path);
}

/** What to hand to the file system for a path below `root`. */
export function locate(root: string, path: RelativePath): Buffer {
  return path === '' ? Buffer.from(root) : Buffer.concat([Buffer.from(`${root}/`), toBytes(path)]);
}

function describeDifferences(source: string, remotes: readonly string[], comparison: TreeComparison): string {
  const SHOWN = 8;
  return remotes
    .map((remote) => ({ remote, found: differences(source, remote, comparison) }))
    .filter(({ found }) => found.length > 0)
    .map(({ remote, found }) => {
      const more = found.length > SHOWN ? [`... and ${found.length - SHOWN} more`] : [];
      return [`${remote} is not ${source}:`, ...found.slice(0, SHOWN), ...more].join('\n  ');
    })
    .join('\n');
}

function nameDifferences(
  here: ReadonlyMap<RelativePath, BigIntStats>,
  there: ReadonlyMap<RelativePath, BigIntStats>,
  comparison: TreeComparison,
): string[] {
  return [
    ...[...here.keys()].filter((path) => !there.has(path)).map((path) => `${display(path)}: missing`),
    ...[...there.keys()].filter((path) => !here.has(path)).map((path) => `${display(path)}: extra`),
    ...[...here].flatMap(([path, stats]) => attributeDifferences(path, stats, there.get(path), comparison)),
  ];
}

function attributeDifferences(
  path: RelativePath,
  here: BigIntStats,
  there: BigIntStats | undefined,
  comparison: TreeComparison,
): string[] {
  if (there === undefined) return [];
  const name = display(path);
  if (typeOf(here) !== typeOf(there)) return [`${name}: is a ${typeOf(there)}, not a ${typeOf(here)}`];
  const found: string[] = [];
  if (here.isFile() && here.size !== there.size) found.push(`${name}: ${there.size} bytes, not ${here.size}`);
  if (here.isFile() && here.mtimeNs !== there.mtimeNs) {
    found.push(`${name}: modified at ${there.mtimeNs} ns, not ${here.mtimeNs} ns`);
  }
  // A link's own mode means nothing on Linux.
  if ((comparison.mode ?? true) && !here.isSymbolicLink() && here.mode !== there.mode) {
    found.push(`${name}: mode ${there.mode.toString(8)}, not ${here.mode.toString(8)}`);
  }
  if ((comparison.owner ?? process.getuid?.() === 0) && (here.uid !== there.uid || here.gid !== there.gid)) {
    found.push(`${name}: owner ${there.uid}:${there.gid}, not ${here.uid}:${here.gid}`);
  }
  return found;
}

function contentDifferences(
  source: string,
  remote: string,
  here: ReadonlyMap<RelativePath, BigIntStats>,
  there: ReadonlyMap<RelativePath, BigIntStats>,
  { hardLinks, verified }: TreeComparison,
): string[] {
  const found = [...here].flatMap(([path, stats]) => {
    const paths = [locate(source, path), locate(remote, path)] as const;
    if (stats.isSymbolicLink()) return isSameLink(...paths) ? [] : [`${display(path)}: points elsewhere`];
    if (!stats.isFile()) return [];
    const pair = `${versionOf(stats)} ${versionOf(there.get(path)!)}`;
    if (verified?.has(pair) === true) return [];
    if (!isSameContent(...paths)) return [`${display(path)}: other content`];
    verified?.add(pair);
    return [];
  });
  return [...found, ...(hardLinks === true ? linkDifferences(here, there) : [])];
}

/** Names the content of a file: any change of it moves the ctime (but through a mapping on tmpfs). */
function versionOf(stats: BigIntStats): string {
  return `${stats.dev}:${stats.ino}:${stats.ctimeNs}:${stats.mtimeNs}:${stats.size}`;
}

function linkDifferences(
  here: ReadonlyMap<RelativePath, BigIntStats>,
  there: ReadonlyMap<RelativePath, BigIntStats>,
): string[] {
  const groups = (tree: ReadonlyMap<RelativePath, BigIntStats>): string[] => {
    const byInode = new Map<bigint, string[]>();
    for (const [path, stats] of tree) {
      if (!stats.isFile() || stats.nlink < 2n) continue;
      byInode.set(stats.ino, [...(byInode.get(stats.ino) ?? []), display(path)]);
    }
    return [...byInode.values()].map((group) => group.sort().join(' = '));
  };
  const remote = new Set(groups(there));
  return groups(here)
    .filter((group) => !remote.has(group))
    .map((group) => `${group}: not one file`);
}

function isSameLink(here: Buffer, there: Buffer): boolean {
  const targets = [here, there].map((path) => lookAt(() => readlinkSync(path, { encoding: 'buffer' })));
  return targets[0] !== undefined && targets[1] !== undefined && targets[0].equals(targets[1]);
}

const CHUNK_BYTES = 1 << 20;
const chunks = [Buffer.allocUnsafe(CHUNK_BYTES), Buffer.allocUnsafe(CHUNK_BYTES)] as const;

function isSameContent(here: Buffer, there: Buffer): boolean {
  const files = [here, there].map((path) => lookAt(() => openSync(path, 'r')));
  try {
    const [one, other] = files;
    if (one === undefined || other === undefined) return false;
    for (;;) {
      const length = readSync(one, chunks[0]);
      if (length !== readSync(other, chunks[1])) return false;
      if (length === 0) return true;
      if (chunks[0].compare(chunks[1], 0, length, 0, length) !== 0) return false;
    }
  } finally {
    for (const file of files) if (file !== undefined) closeSync(file);
  }
}

function typeOf(stats: BigIntStats): string {
  if (stats.isFile()) return 'file';
  if (stats.isDirectory()) return 'directory';
  if (stats.isSymbolicLink()) return 'link';
  return stats.isFIFO() ? 'fifo' : 'device or socket';
}

/** Both trees move while a test waits: what goes away under the walk is simply not there. */
function lookAt<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}
