import { join, nameOf, parentOf, ROOT, type RelativePath } from '../../src/core/relative-path.js';
import type { Child, Disk, Found } from '../../src/transfer/survey.js';

export interface FileNode {
  readonly kind: 'file';
  content: number;
}

export interface DirectoryNode {
  readonly kind: 'directory';
  readonly children: Map<string, Node>;
}

export type Node = FileNode | DirectoryNode;

export const newDirectory = (): DirectoryNode => ({ kind: 'directory', children: new Map() });

/** A tree in memory, for the disk and for the remotes. A file of content 99 and more counts as large. */
export class ModelTree implements Disk {
  readonly root = newDirectory();

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
    parent?.children.set(nameOf(path), node);
    return parent !== undefined;
  }

  remove(path: RelativePath): void {
    this.directory(parentOf(path))?.children.delete(nameOf(path));
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
