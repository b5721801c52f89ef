import { join, nameOf, parentOf, ROOT, type RelativePath } from '../../src/core/relative-path.js';
import type { Scope } from '../../src/core/scope.js';
import type { Child, Disk, Found } from '../../src/transfer/survey.js';

export interface FileNode {
  readonly kind: 'file';
  content: number;
  ctime?: number;
}

export interface DirectoryNode {
  readonly kind: 'directory';
  ctime?: number;
  /** How often a name in it has come or gone. */
  changes: number;
  readonly children: Map<string, Node>;
}

export type Node = FileNode | DirectoryNode;

export const newDirectory = (): DirectoryNode => ({ kind: 'directory', changes: 0, children: new Map() });

/** A tree in memory, for the disk and for the remotes. A file of content 99 and more counts as large. */
export class ModelTree implements Disk {
  readonly root = newDirectory();
  /** The kernel's clock: whoever changes the tree moves it. */
  time = 0;

  get(path: RelativePath): Node | undefined {
    let node: Node | undefined = this.root;
    if (path === ROOT) return node;
    for (const name of path.split('/')) {
      if (node?.kind !== 'directory') return undefined;
      node = node.children.get(name);
    }
    return node;
  }

  directory(path: RelativePath): DirectoryNode | undefined {
    const node = this.get(path);
    return node?.kind === 'directory' ? node : undefined;
  }

  /** Puts a node; false when the parent is no directory. */
  put(path: RelativePath, node: Node): boolean {
    const parent = this.directory(parentOf(path));
    if (parent === undefined) return false;
    parent.children.set(nameOf(path), node);
    parent.changes++;
    node.ctime = parent.ctime = this.time;
    return true;
  }

  write(node: FileNode, content: number): void {
    node.content = content;
    node.ctime = this.time;
  }

  remove(path: RelativePath): void {
    const parent = this.directory(parentOf(path));
    if (parent === undefined) return;
    parent.children.delete(nameOf(path));
    parent.changes++;
    parent.ctime = this.time;
  }

  /** What has changed since a time, by the rule of the walk: a directory that may have been moved is told as a whole. */
  *changedSince(
    time: number,
    below: RelativePath = ROOT,
    isParentNew = false,
  ): Generator<{ path: RelativePath; scope: Scope }> {
    const directory = this.directory(below);
    if (directory === undefined) return;
    const isNew = (directory.ctime ?? 0) >= time;
    if (isNew && isParentNew) {
      yield { path: below, scope: 'subtree' };
      return;
    }
    if (isNew) yield { path: below, scope: 'listing' };
    for (const [name, node] of directory.children) {
      const path = join(below, name);
      if (node.kind === 'directory') yield* this.changedSince(time, path, isNew);
      else if ((node.ctime ?? 0) >= time) yield { path, scope: 'entry' };
    }
  }

  look(path: RelativePath): Found {
    const node = this.get(path);
    if (node === undefined) return { kind: 'missing', size: 0 };
    return node.kind === 'directory' ? { kind: 'directory', size: 0 } : { kind: 'other', size: node.content };
  }

  children(path: RelativePath): Child[] {
    return [...(this.directory(path)?.children ?? [])].map(([name, node]) => ({
      path: join(path, name),
      isDirectory: node.kind === 'directory',
    }));
  }

  /** All names below a directory, parents first. */
  *paths(below: RelativePath = ROOT): Generator<RelativePath> {
    for (const { path, isDirectory } of this.children(below)) {
      yield path;
      if (isDirectory) yield* this.paths(path);
    }
  }

  /** One line a name, sorted: equal trees give equal lines. */
  describe(): string[] {
    return [...this.paths()]
      .map((path) => {
        const node = this.get(path);
        return node?.kind === 'file' ? `${path}=${node.content}` : `${path}/`;
      })
      .sort();
  }
}
