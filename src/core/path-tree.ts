import { lastSlashIn, ROOT, type RelativePath } from './relative-path.js';

/** What a tree has at a path: the value there, and whether there are paths below it. */
export interface Place<Value> {
  readonly value: Value | undefined;
  readonly hasBelow: boolean;
}

/** Its children are a list: in the order in which they came, and any of them can go without the others being touched. */
class Node<Value> implements Place<Value> {
  value: Value | undefined = undefined;
  firstChild: Node<Value> | undefined = undefined;
  private lastChild: Node<Value> | undefined = undefined;
  private previous: Node<Value> | undefined = undefined;
  next: Node<Value> | undefined = undefined;

  constructor(
    readonly path: RelativePath,
    readonly parent: Node<Value> | undefined,
  ) {}

  get hasBelow(): boolean {
    return this.firstChild !== undefined;
  }

  get isEmpty(): boolean {
    return this.value === undefined && this.firstChild === undefined;
  }

  append(child: Node<Value>): void {
    child.previous = this.lastChild;
    child.next = undefined;
    if (this.lastChild === undefined) this.firstChild = child;
    else this.lastChild.next = child;
    this.lastChild = child;
  }

  remove(child: Node<Value>): void {
    const { previous, next } = child;
    if (previous === undefined) this.firstChild = next;
    else previous.next = next;
    if (next === undefined) this.lastChild = previous;
    else next.previous = previous;
  }

  moveToBack(child: Node<Value>): void {
    this.remove(child);
    this.append(child);
  }
}

/**
 * Values at paths, with cheap answers to "what stands above, what stands below". A path is present when it has a value.
 * Iteration is depth first; siblings come in the order in which they were set.
 */
export class PathTree<Value extends object> {
  #root = new Node<Value>(ROOT, undefined);
  /** All but the root: to look a path up costs one look, and no string for a part of it. */
  readonly #nodes = new Map<RelativePath, Node<Value>>();
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

  /** For who asks several things of one path; undefined when nothing is there, nor below it. */
  at(path: RelativePath): Place<Value> | undefined {
    return this.#find(path);
  }

  set(path: RelativePath, value: Value): void {
    const node = this.#make(path);
    if (node.value === undefined) this.#size++;
    node.value = value;
  }

  /** The same where `at` has just said that nothing is there. */
  add(path: RelativePath, value: Value): void {
    this.#insert(path).value = value;
    this.#size++;
  }

  /** Returns what was there. */
  delete(path: RelativePath): Value | undefined {
    const node = this.#find(path);
    const value = node?.value;
    if (node === undefined || value === undefined) return undefined;
    node.value = undefined;
    this.#size--;
    this.#removeEmpty(node);
    return value;
  }

  clear(): void {
    this.#root = new Node<Value>(ROOT, undefined);
    this.#nodes.clear();
    this.#lastDirectory = undefined;
    this.#size = 0;
  }

  /** One of the values strictly above `path` that `isWanted`, with their distance in levels (1: the parent); the nearest. */
  findAbove(path: RelativePath, isWanted: (value: Value, levels: number) => boolean): Value | undefined {
    if (this.#size === 0 || path === ROOT) return undefined;
    let levels = 1;
    let slash = lastSlashIn(path);
    let node = this.#directoryAt(path, slash);
    for (; node === undefined; levels++) {
      slash = lastSlashIn(path, slash);
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
    return this.#size > 0 && this.#find(path)?.firstChild !== undefined;
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
      if (node.firstChild === undefined || isClosed(path)) return;
      const staying: Node<Value>[] = [];
      let isPartial = false;
      for (let child: Node<Value> | undefined = node.firstChild; child !== undefined;) {
        isPartial = taken.length >= limit;
        if (isPartial) break;
        const { next }: Node<Value> = child;
        visit(child);
        if (child.isEmpty) this.#remove(child);
        else staying.push(child);
        child = next;
      }
      if (isPartial) for (const child of staying) node.moveToBack(child);
    };
    if (limit > 0) visit(this.#root);
    return taken;
  }

  #find(path: RelativePath): Node<Value> | undefined {
    return path === ROOT ? this.#root : this.#nodes.get(path);
  }

  /** The node whose path ends before the slash at `slash` in `path`; -1: the root. */
  #directoryAt(path: RelativePath, slash: number): Node<Value> | undefined {
    if (slash < 0) return this.#root;
    const last = this.#lastDirectory;
    if (last?.path.length === slash && path.startsWith(last.path)) return last;
    const directory = this.#nodes.get(path.slice(0, slash));
    if (directory !== undefined) this.#lastDirectory = directory;
    return directory;
  }

  #make(path: RelativePath): Node<Value> {
    return this.#find(path) ?? this.#insert(path);
  }

  #insert(path: RelativePath): Node<Value> {
    const slash = lastSlashIn(path);
    const parent = this.#directoryAt(path, slash) ?? this.#make(path.slice(0, slash));
    const node = new Node<Value>(path, parent);
    this.#nodes.set(path, node);
    parent.append(node);
    return node;
  }

  #remove(node: Node<Value>): void {
    node.parent?.remove(node);
    this.#nodes.delete(node.path);
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
    for (let child = node.firstChild; child !== undefined;) {
      const { next } = child;
      this.#prune(child, isPruned, levels + 1);
      if (child.value !== undefined && isPruned(child.value, levels, child.path)) {
        child.value = undefined;
        this.#size--;
      }
      if (child.isEmpty) this.#remove(child);
      child = next;
    }
  }
}

function* entriesBelow<Value>(node: Node<Value>): Generator<[RelativePath, Value]> {
  for (let child = node.firstChild; child !== undefined; child = child.next) {
    if (child.value !== undefined) yield [child.path, child.value];
    yield* entriesBelow(child);
  }
}
