import { Hint } from '../../src/core/hint.js';
import { join, ROOT, type RelativePath } from '../../src/core/relative-path.js';
import type { DirectoryNode, ModelTree } from './model-tree.js';

interface KernelEvent {
  readonly directory: DirectoryNode;
  readonly name: string;
  readonly hint: Hint;
  /** The directory that was created, moved or removed. */
  readonly node?: DirectoryNode;
}

/**
 * The kernel's notifications and their reader: a watch belongs to a directory, not to a path; events wait in a queue; a
 * new directory is watched only when its event is read, and what happened in it before is never told.
 */
export class ModelWatcher {
  readonly #watched = new Map<DirectoryNode, { parent: DirectoryNode | undefined; name: string }>();
  #queue: KernelEvent[] = [];
  #isOverflown = false;
  /** The last name that was moved away: files are paired by chance, which makes wrong hints. */
  #movedFrom: { readonly path: RelativePath; readonly node: DirectoryNode | undefined } | undefined;

  constructor(
    readonly disk: ModelTree,
    readonly touched: (path: RelativePath, hint: Hint) => void,
    readonly lost: (below: RelativePath) => void,
    readonly moved: (from: RelativePath, to: RelativePath) => void,
  ) {
    this.#watchBelow(disk.root, undefined, '');
  }

  get pending(): number {
    return this.#queue.length + (this.#isOverflown ? 1 : 0);
  }

  /** Something happened to a name in a directory. */
  notify(directory: DirectoryNode, name: string, hint: Hint, node?: DirectoryNode): void {
    if (this.#watched.has(directory)) this.#queue.push({ directory, name, hint, ...(node && { node }) });
  }

  /** The queue overflows: what is in it is gone. */
  overflow(): void {
    this.#queue = [];
    this.#isOverflown = true;
  }

  /** Reads one event. */
  read(): void {
    if (this.#isOverflown) {
      this.#isOverflown = false;
      this.#watched.clear();
      this.#watchBelow(this.disk.root, undefined, '');
      this.lost(ROOT);
      return;
    }
    const event = this.#queue.shift();
    if (event === undefined) return;
    const parent = this.#pathOf(event.directory);
    if (parent === undefined) return;
    const { node, hint, directory, name } = event;
    // Events are old news: the directory may be elsewhere by now, and known there already.
    const isStillThere = node !== undefined && this.disk.get(join(parent, name)) === node;
    if (isStillThere && (hint & (Hint.created | Hint.movedTo)) !== 0) this.#watchBelow(node, directory, name);
    if (node !== undefined && (hint & (Hint.removed | Hint.movedFrom)) !== 0) {
      const at = this.#watched.get(node);
      if (at?.parent === directory && at.name === name) this.#watched.delete(node);
    }
    this.#pairMove(join(parent, name), hint, node);
    this.touched(join(parent, name), hint);
  }

  #pairMove(path: RelativePath, hint: Hint, node: DirectoryNode | undefined): void {
    const from = this.#movedFrom;
    if ((hint & Hint.movedTo) !== 0 && from?.node === node && from !== undefined) this.moved(from.path, path);
    if ((hint & Hint.movedFrom) !== 0) this.#movedFrom = { path, node };
  }

  #watchBelow(node: DirectoryNode, parent: DirectoryNode | undefined, name: string): void {
    this.#watched.set(node, { parent, name });
    for (const [child, childNode] of node.children) {
      if (childNode.kind === 'directory') this.#watchBelow(childNode, node, child);
    }
  }

  #pathOf(node: DirectoryNode): RelativePath | undefined {
    const at = this.#watched.get(node);
    if (at === undefined) return undefined;
    if (at.parent === undefined) return node === this.disk.root ? ROOT : undefined;
    const parent = this.#pathOf(at.parent);
    return parent === undefined ? undefined : join(parent, at.name);
  }
}
