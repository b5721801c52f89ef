import { join, ROOT, type RelativePath } from './relative-path.js';

interface Node<Value> {
  value: Value | undefined;
  children: Map<string, Node<Value>> | undefined;
}

/**
 * Values at paths, with cheap answers to "what stands above, what stands below". A path is present when it has a value.
 * Iteration is depth first; siblings come in the order in which they were set.
 */
export class PathTree<Value extends object> {
  readonly #root: Node<Value> = { value: undefined, children: undefined };
  #size = 0;

  /** How many paths have a value. */
  get size(): number {
    return this.#size;
  }

  get(path: RelativePath): Value | undefined {
    // Most sets are empty most of the time.
    if (this.#size === 0) return undefined;
    return this.#find(path)?.value;
  }

  set(path: RelativePath, value: Value): void {
    let node = this.#root;
    for (const name of namesOf(path)) {
      node.children ??= new Map();
      let child = node.children.get(name);
      if (child === undefined) node.children.set(name, (child = { value: undefined, children: undefined }));
      node = child;
    }
    if (node.value === undefined) this.#size++;
    node.value = value;
  }

  delete(path: RelativePath): void {
    const trail: [Node<Value>, string][] = [];
    let node = this.#root;
    for (const name of namesOf(path)) {
      const child = node.children?.get(name);
      if (child === undefined) return;
      trail.push([node, name]);
      node = child;
    }
    if (node.value === undefined) return;
    node.value = undefined;
    this.#size--;
    // Nodes that hold nothing any more go, so that memory follows `size`.
    for (let [parent, name] = trail.pop() ?? []; parent !== undefined && name !== undefined;) {
      if (node.value !== undefined || (node.children?.size ?? 0) > 0) return;
      parent.children?.delete(name);
      node = parent;
      [parent, name] = trail.pop() ?? [];
    }
  }

  clear(): void {
    this.#root.value = undefined;
    this.#root.children = undefined;
    this.#size = 0;
  }

  /** The values strictly above `path`, from the root down, with their distance in levels (1: the parent). */
  *above(path: RelativePath): Generator<[Value, number]> {
    if (this.#size === 0) return;
    let node: Node<Value> | undefined = this.#root;
    const names = namesOf(path);
    for (let depth = 0; depth < names.length; depth++) {
      if (node.value !== undefined) yield [node.value, names.length - depth];
      node = node.children?.get(names[depth] ?? '');
      if (node === undefined) return;
    }
  }

  /** The paths strictly below `path` and their values. The tree must not be changed meanwhile. */
  *below(path: RelativePath): Generator<[RelativePath, Value]> {
    const node = this.#find(path);
    if (node !== undefined) yield* entriesBelow(path, node);
  }

  hasBelow(path: RelativePath): boolean {
    return this.#size > 0 && (this.#find(path)?.children?.size ?? 0) > 0;
  }

  /** Removes the values strictly below `path` for which `isPruned` says so. */
  pruneBelow(path: RelativePath, isPruned: (value: Value, levels: number, path: RelativePath) => boolean): void {
    const node = this.#find(path);
    if (node?.children === undefined) return;
    this.#prune(path, node, isPruned, 1);
    // The node itself may hold nothing now and hang in its parents: setting and deleting it would tidy, and costs more
    // than the few empty nodes, for the caller is about to set a value here.
  }

  *entries(): Generator<[RelativePath, Value]> {
    if (this.#root.value !== undefined) yield [ROOT, this.#root.value];
    yield* entriesBelow(ROOT, this.#root);
  }

  /**
   * Removes and returns up to `limit` of the entries for which `isWanted` says so. What stays behind in a directory that
   * was looked at only in part moves to the back, so that a busy directory cannot starve the others. Nothing strictly
   * below a path that `isClosed` is looked at.
   */
  take(
    limit: number,
    isWanted: (path: RelativePath, value: Value) => boolean,
    isClosed: (path: RelativePath) => boolean = () => false,
  ): [RelativePath, Value][] {
    const taken: [RelativePath, Value][] = [];
    const root = this.#root;
    const visit = (path: RelativePath, node: Node<Value>): void => {
      if (node.value !== undefined && isWanted(path, node.value)) {
        taken.push([path, node.value]);
        node.value = undefined;
        this.#size--;
      }
      if (node.children === undefined || isClosed(path)) return;
      const visited: [string, Node<Value>][] = [];
      for (const [name, child] of node.children) {
        if (taken.length >= limit) break;
        visit(join(path, name), child);
        visited.push([name, child]);
      }
      const isPartial = visited.length < node.children.size;
      for (const [name, child] of visited) {
        const isEmpty = child.value === undefined && child.children === undefined;
        if (isEmpty || isPartial) node.children.delete(name);
        if (!isEmpty && isPartial) node.children.set(name, child);
      }
      if (node.children.size === 0) node.children = undefined;
    };
    if (limit > 0) visit(ROOT, root);
    return taken;
  }

  #find(path: RelativePath): Node<Value> | undefined {
    let node: Node<Value> | undefined = this.#root;
    for (const name of namesOf(path)) {
      node = node.children?.get(name);
      if (node === undefined) return undefined;
    }
    return node;
  }

  #prune(
    path: RelativePath,
    node: Node<Value>,
    isPruned: (value: Value, levels: number, path: RelativePath) => boolean,
    levels: number,
  ): void {
    if (node.children === undefined) return;
    for (const [name, child] of node.children) {
      const childPath = join(path, name);
      this.#prune(childPath, child, isPruned, levels + 1);
      if (child.value !== undefined && isPruned(child.value, levels, childPath)) {
        child.value = undefined;
        this.#size--;
      }
      if (child.value === undefined && child.children === undefined) node.children.delete(name);
    }
    if (node.children.size === 0) node.children = undefined;
  }
}

function* entriesBelow<Value>(path: RelativePath, node: Node<Value>): Generator<[RelativePath, Value]> {
  for (const [name, child] of node.children ?? []) {
    const childPath = join(path, name);
    if (child.value !== undefined) yield [childPath, child.value];
    yield* entriesBelow(childPath, child);
  }
}

/** The last path that was split: one is usually asked about several times in a row, by several trees. */
const lastSplit: { path: RelativePath; names: readonly string[] } = { path: ROOT, names: [] };

function namesOf(path: RelativePath): readonly string[] {
  if (path !== lastSplit.path) {
    lastSplit.path = path;
    lastSplit.names = path === ROOT ? [] : path.split('/');
  }
  return lastSplit.names;
}
