import { ROOT, type RelativePath } from './relative-path.js';

class Node<Value> {
  value: Value | undefined = undefined;
  children: Map<string, Node<Value>> | undefined = undefined;

  constructor(
    readonly path: RelativePath,
    /** The last part of the path. */
    readonly name: string,
    readonly parent: Node<Value> | undefined,
  ) {}

  get isEmpty(): boolean {
    return this.value === undefined && !this.hasChildren;
  }

  get hasChildren(): boolean {
    return this.children !== undefined && this.children.size > 0;
  }

  childNamed(name: string): Node<Value> {
    this.children ??= new Map();
    let child = this.children.get(name);
    if (child === undefined) {
      child = new Node<Value>(this.parent === undefined ? name : `${this.path}/${name}`, name, this);
      this.children.set(name, child);
    }
    return child;
  }
}

/**
 * Values at paths, with cheap answers to "what stands above, what stands below". A path is present when it has a value.
 * Iteration is depth first; siblings come in the order in which they were set.
 */
export class PathTree<Value extends object> {
  #root = new Node<Value>(ROOT, ROOT, undefined);
  #size = 0;
  /** Names of one directory usually follow one another. */
  #lastDirectory: Node<Value> | undefined;

  /** How many paths have a value. */
  get size(): number {
    return this.#size;
  }

  get(path: RelativePath): Value | undefined {
    // Most sets are empty most of the time.
    return this.#size === 0 ? undefined : this.#find(path)?.value;
  }

  set(path: RelativePath, value: Value): void {
    const node = this.#make(path);
    if (node.value === undefined) this.#size++;
    node.value = value;
  }

  delete(path: RelativePath): void {
    const node = this.#find(path);
    if (node?.value === undefined) return;
    node.value = undefined;
    this.#size--;
    this.#removeEmpty(node);
  }

  clear(): void {
    this.#root = new Node<Value>(ROOT, ROOT, undefined);
    this.#lastDirectory = undefined;
    this.#size = 0;
  }

  /** One of the values strictly above `path` that `isWanted`, with their distance in levels (1: the parent); the nearest. */
  findAbove(path: RelativePath, isWanted: (value: Value, levels: number) => boolean): Value | undefined {
    if (this.#size === 0 || path === ROOT) return undefined;
    let levels = 1;
    let slash = path.lastIndexOf('/');
    let node = this.#directoryAt(path, slash);
    for (; node === undefined; levels++) {
      slash = path.lastIndexOf('/', slash - 1);
      node = this.#directoryAt(path, slash);
    }
    for (; node !== undefined; node = node.parent, levels++) {
      if (node.value !== undefined && isWanted(node.value, levels)) return node.value;
    }
    return undefined;
  }

  /** The paths strictly below `path` and their values. The tree must not be changed meanwhile. */
  *below(path: RelativePath): Generator<[RelativePath, Value]> {
    const node = this.#find(path);
    if (node !== undefined) yield* entriesBelow(node);
  }

  hasBelow(path: RelativePath): boolean {
    return this.#size > 0 && this.#find(path)?.hasChildren === true;
  }

  /** Removes the values strictly below `path` for which `isPruned` says so. */
  pruneBelow(path: RelativePath, isPruned: (value: Value, levels: number, path: RelativePath) => boolean): void {
    const node = this.#find(path);
    // The node itself may hold nothing then and hang in its parents: setting and deleting it would tidy, and costs more
    // than the few empty nodes, for the caller is about to set a value here.
    if (node !== undefined) this.#prune(node, isPruned, 1);
  }

  *entries(): Generator<[RelativePath, Value]> {
    if (this.#root.value !== undefined) yield [ROOT, this.#root.value];
    yield* entriesBelow(this.#root);
  }

  /**
   * Removes and returns up to `limit` of the values for which `isWanted` says so. What stays behind in a directory that
   * was looked at only in part moves to the back, so that a busy directory cannot starve the others. Nothing strictly
   * below a path that `isClosed` is looked at.
   */
  take(
    limit: number,
    isWanted: (path: RelativePath, value: Value) => boolean,
    isClosed: (path: RelativePath) => boolean = () => false,
  ): Value[] {
    const taken: Value[] = [];
    const visit = (node: Node<Value>): void => {
      const { path, value } = node;
      if (value !== undefined && isWanted(path, value)) {
        taken.push(value);
        node.value = undefined;
        this.#size--;
      }
      if (node.children === undefined || isClosed(path)) return;
      const staying: Node<Value>[] = [];
      let isPartial = false;
      for (const child of node.children.values()) {
        isPartial = taken.length >= limit;
        if (isPartial) break;
        visit(child);
        if (child.isEmpty) this.#remove(child);
        else staying.push(child);
      }
      if (isPartial) for (const child of staying) moveToBack(node.children, child);
    };
    if (limit > 0) visit(this.#root);
    return taken;
  }

  #find(path: RelativePath): Node<Value> | undefined {
    if (path === ROOT) return this.#root;
    const slash = path.lastIndexOf('/');
    return this.#directoryAt(path, slash)?.children?.get(path.slice(slash + 1));
  }

  /** The node whose path ends before the slash at `slash` in `path`; -1: the root. */
  #directoryAt(path: RelativePath, slash: number): Node<Value> | undefined {
    if (slash < 0) return this.#root;
    if (this.#isLastDirectory(path, slash)) return this.#lastDirectory;
    let node: Node<Value> | undefined = this.#root;
    for (let start = 0; start < slash;) {
      const end = path.indexOf('/', start);
      node = node.children?.get(path.slice(start, end));
      if (node === undefined) return undefined;
      start = end + 1;
    }
    this.#lastDirectory = node;
    return node;
  }

  #isLastDirectory(path: RelativePath, slash: number): boolean {
    const last = this.#lastDirectory?.path;
    return last?.length === slash && path.startsWith(last);
  }

  #make(path: RelativePath): Node<Value> {
    if (path === ROOT) return this.#root;
    const slash = path.lastIndexOf('/');
    let node = slash >= 0 && this.#isLastDirectory(path, slash) ? this.#lastDirectory : undefined;
    if (node === undefined) {
      node = this.#root;
      for (let start = 0; start < slash;) {
        const end = path.indexOf('/', start);
        node = node.childNamed(path.slice(start, end));
        start = end + 1;
      }
      if (slash >= 0) this.#lastDirectory = node;
    }
    return node.childNamed(path.slice(slash + 1));
  }

  #remove(node: Node<Value>): void {
    node.parent?.children?.delete(node.name);
    if (node === this.#lastDirectory) this.#lastDirectory = undefined;
  }

  /** Nodes that hold nothing any more go, so that memory follows `size`. */
  #removeEmpty(lowest: Node<Value>): void {
    for (let node = lowest; node.parent !== undefined && node.isEmpty; node = node.parent) this.#remove(node);
  }

  #prune(
    node: Node<Value>,
    isPruned: (value: Value, levels: number, path: RelativePath) => boolean,
    levels: number,
  ): void {
    if (node.children === undefined) return;
    for (const child of node.children.values()) {
      this.#prune(child, isPruned, levels + 1);
      if (child.value !== undefined && isPruned(child.value, levels, child.path)) {
        child.value = undefined;
        this.#size--;
      }
      if (child.isEmpty) this.#remove(child);
    }
  }
}

function moveToBack<Value>(children: Map<string, Node<Value>>, child: Node<Value>): void {
  children.delete(child.name);
  children.set(child.name, child);
}

function* entriesBelow<Value>(node: Node<Value>): Generator<[RelativePath, Value]> {
  if (node.children === undefined) return;
  for (const child of node.children.values()) {
    if (child.value !== undefined) yield [child.path, child.value];
    yield* entriesBelow(child);
  }
}
