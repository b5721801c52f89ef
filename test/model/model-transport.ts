import { createFilter } from '../../src/core/filter.js';
import { join, parentOf, ROOT, type RelativePath } from '../../src/core/relative-path.js';
import {
  NO_RUN,
  type Again,
  type Complaint,
  type Run,
  type RunReport,
  type TransferTask,
  type Transport,
} from '../../src/replicate/ports.js';
import {
  divide,
  ExtraNames,
  surveyAfter,
  surveyEntries,
  surveySent,
  surveyTrees,
  type Kind,
} from '../../src/transfer/survey.js';
import type { Random } from '../support/random.js';
import { newDirectory, type DirectoryNode, type ModelTree, type Node } from './model-tree.js';

export type Fault = 'unreachable' | 'named' | 'unnamed' | 'no space' | 'crash of the thread' | 'rejected';

export const FAULTS: readonly Fault[] = [
  'unreachable',
  'named',
  'unnamed',
  'no space',
  'crash of the thread',
  'rejected',
];

export interface ModelTransportOptions {
  readonly disk: ModelTree;
  readonly remote: ModelTree;
  readonly random: Random;
  /** Chance of a fault for each run. */
  readonly faults: () => number;
  /** Counts faults that struck. */
  readonly onFault: (fault: Fault) => void;
  /** A run has sent names that it was not given. */
  readonly onUntold?: () => void;
}

const filter = createFilter({ excludes: [], patterns: [] });
const LARGE = 99;

/** Thrown by a step at which a fault strikes. */
class Struck extends Error {
  constructor(
    readonly fault: Fault,
    readonly path?: RelativePath,
  ) {
    super(fault);
  }
}

/**
 * rsync as the core sees it, in small steps between which the disk changes: a list is made, then each name is read and a
 * step later written, so that an old reading may be written late; it fails half done.
 */
export class ModelTransport implements Transport {
  readonly #options: ModelTransportOptions;
  readonly #runs = new Set<{
    steps: Generator<void, RunReport>;
    resolve: (r: RunReport) => void;
    reject: (e: unknown) => void;
  }>();

  /** Directories in which a name has come or gone since. */
  static unquiet(before: readonly DirectoryState[], disk: ModelTree): RelativePath[] {
    return before.flatMap(({ path, node, changes }) => {
      const now = stateOf(disk, path);
      return now.node === node && now.changes === changes ? [] : [path];
    });
  }

  constructor(options: ModelTransportOptions) {
    this.#options = options;
  }

  get running(): number {
    return this.#runs.size;
  }

  /** The service was killed, and its rsyncs with it: what they had done stays done. */
  abandon(): void {
    this.#runs.clear();
  }

  begin(task: TransferTask): Run {
    const done = new Promise<RunReport>((resolve, reject) => {
      this.#runs.add({ steps: this.#carryOut(task), resolve, reject });
    });
    return { done, cancel: () => undefined };
  }

  /** Advances one of the runs by one step. */
  step(): void {
    const runs = [...this.#runs];
    if (runs.length === 0) return;
    const run = this.#options.random.pick(runs);
    try {
      const { done, value } = run.steps.next();
      if (done !== true) return;
      this.#runs.delete(run);
      run.resolve(value);
    } catch (error) {
      this.#runs.delete(run);
      run.reject(error);
    }
  }

  *#carryOut(task: TransferTask): Generator<void, RunReport> {
    yield;
    const { disk, random } = this.#options;
    if (task.kind === 'newer' || task.kind === 'sweep') return report({});
    if (task.kind === 'divide') return report({ again: divide(disk, filter) });
    const isStruck = random.chance(this.#options.faults());
    const fault = isStruck ? random.pick(FAULTS) : undefined;
    if (fault === 'crash of the thread' && random.chance(0.5)) {
      this.#options.onFault(fault);
      throw new Error('the worker thread ended');
    }
    switch (task.kind) {
      case 'entries': {
        const { names, again } = surveyEntries(disk, task.looks, task.largeBytes === 0 ? 0 : LARGE);
        // A large file goes alone.
        const full = task.largeBytes > 0 && random.chance(0.5) ? this.#fullAmong(names) : [];
        const asFound = full.map((directory) => stateOf(disk, directory));
        yield;
        for (let pause = full.length > 0 ? random.below(6) : 0; pause > 0; pause--) yield;
        // What has appeared in them since goes along.
        const inFull = full.flatMap((directory) => disk.children(directory).map(({ path }) => path));
        const byName = [...names.keys()].filter((path) => !full.includes(parentOf(path)));
        const ended = yield* this.#send(
          [...inFull, ...byName].map((path) => [path, disk.look(path).kind]),
          fault,
        );
        if (inFull.some((path) => !names.has(path))) this.#options.onUntold?.();
        const unquiet = ModelTransport.unquiet(asFound, disk);
        return { ...ended, unquiet, again: [...again, ...surveyAfter(disk, names), ...ended.again] };
      }
      case 'trees': {
        const { directories, again } = surveyTrees(disk, task.looks);
        yield;
        const list: [RelativePath, Kind][] = [];
        for (const { path, scope } of directories) {
          if (path !== ROOT) list.push([path, disk.look(path).kind]);
          for (const below of scope === 'subtree' ? disk.paths(path) : disk.children(path).map((child) => child.path)) {
            list.push([below, disk.look(below).kind]);
          }
          yield;
        }
        const before = new Set(this.#options.remote.paths());
        const ended = yield* this.#send(list, fault);
        const created = list.map(([path]) => path).filter((path) => !before.has(path));
        const extraneous = this.#extras(directories, new Set(list.map(([path]) => path))).length;
        return {
          ...ended,
          extraneous,
          again: [...again, ...surveySent(disk, created), ...ended.again],
        };
      }
      case 'extras': {
        const { directories, again } = surveyTrees(disk, task.looks);
        yield;
        const there = new Set(disk.paths());
        yield;
        const found = new ExtraNames(filter);
        for (const [path, isDirectory] of this.#extras(directories, there)) found.add(path, isDirectory);
        if (fault !== undefined) return this.#ended(fault, undefined, []);
        return report({ extras: found.result().names, again });
      }
    }
  }

  /** The directories that hold nothing but names of the run, when all of them are there. */
  #fullAmong(names: ReadonlyMap<RelativePath, 'there' | 'missing'>): RelativePath[] {
    if ([...names.values()].includes('missing')) return [];
    return [...new Set([...names.keys()].map(parentOf))].filter(
      (directory) => directory !== ROOT && this.#options.disk.children(directory).every(({ path }) => names.has(path)),
    );
  }

  #extras(
    directories: readonly { path: RelativePath; scope: string }[],
    there: ReadonlySet<RelativePath>,
  ): [RelativePath, boolean][] {
    const { remote } = this.#options;
    const extras: [RelativePath, boolean][] = [];
    for (const { path, scope } of directories) {
      for (const below of scope === 'subtree' ? remote.paths(path) : remote.children(path).map((child) => child.path)) {
        if (!there.has(below)) extras.push([below, remote.get(below)?.kind === 'directory']);
      }
    }
    return extras;
  }

  *#send(list: readonly [RelativePath, Kind][], fault: Fault | undefined): Generator<void, RunReport> {
    const { random } = this.#options;
    const vanished: RelativePath[] = [];
    // A fault strikes at one of the names, in the middle of the run.
    const strikesAt = fault === undefined ? -1 : random.below(list.length + 1);
    let index = 0;
    try {
      for (const [path, listed] of list) {
        if (index++ === strikesAt && fault !== undefined) {
          if (fault === 'named' || fault === 'unnamed') {
            this.#options.onFault(fault);
            continue;
          }
          throw new Struck(fault, path);
        }
        if (!(yield* this.#sendOne(path, listed))) vanished.push(path);
      }
      if (strikesAt === list.length && fault !== undefined && fault !== 'named') throw new Struck(fault);
    } catch (error) {
      if (!(error instanceof Struck)) throw error;
      return this.#ended(error.fault, error.path, vanished);
    }
    const struck = list[strikesAt];
    if (fault !== undefined && struck !== undefined) return this.#ended(fault, struck[0], vanished, false);
    return report({
      exitCode: vanished.length > 0 ? 24 : 0,
      complaints: vanished.map((path) => complain('vanished', path)),
    });
  }

  /** False when the name was gone when it was read. */
  *#sendOne(path: RelativePath, listed: Kind): Generator<void, boolean> {
    const { disk, remote, random } = this.#options;
    if (listed === 'missing') {
      remote.remove(path);
      yield;
      return true;
    }
    if (listed === 'directory') {
      this.#makeParents(path);
      if (remote.get(path)?.kind !== 'directory') remote.put(path, newDirectory());
      yield;
      return true;
    }
    const node = disk.get(path);
    if (node?.kind !== 'file') return false;
    const read: Node = { kind: 'file', content: node.content };
    // What was read may be long under way.
    for (let pause = random.chance(0.2) ? random.below(20) : 1; pause > 0; pause--) yield;
    this.#makeParents(path);
    remote.put(path, read);
    yield;
    return true;
  }

  #makeParents(path: RelativePath): void {
    const { remote } = this.#options;
    let parent: RelativePath = ROOT;
    const directory = parentOf(path);
    for (const name of directory === ROOT ? [] : directory.split('/')) {
      parent = join(parent, name);
      if (remote.get(parent)?.kind !== 'directory') remote.put(parent, newDirectory());
    }
  }

  #ended(fault: Fault, path: RelativePath | undefined, vanished: readonly RelativePath[], counts = true): RunReport {
    if (counts) this.#options.onFault(fault);
    const gone = vanished.map((name) => complain('vanished', name));
    const named = path === undefined ? [] : [complain('lost', path)];
    switch (fault) {
      case 'crash of the thread':
        throw new Error('the worker thread ended');
      case 'unreachable':
        return report({
          exitCode: 10,
          messages: ['rsync: [sender] failed to connect to remote (127.0.0.1): Connection refused (111)'],
        });
      case 'rejected':
        return report({ exitCode: 5, messages: ['@ERROR: auth failed on module backup'] });
      case 'named':
        return report({ exitCode: 23, complaints: [...named, ...gone] });
      case 'unnamed':
        return report({ exitCode: 23, complaints: gone, messages: ['rsync: something went wrong'] });
      case 'no space':
        return report({ exitCode: 11, complaints: [...named, ...gone] });
    }
  }
}

/** Which directory it is, and what changes when a name in it comes or goes. */
interface DirectoryState {
  readonly path: RelativePath;
  readonly node: DirectoryNode | undefined;
  readonly changes: number | undefined;
}

function stateOf(disk: ModelTree, path: RelativePath): DirectoryState {
  const node = disk.directory(path);
  return { path, node, changes: node?.changes };
}

function complain(kind: Complaint['kind'], path: RelativePath): Complaint {
  return { kind, path, text: `${kind === 'vanished' ? 'file has vanished' : kind}: ${path}` };
}

function report(fields: Partial<RunReport> & { again?: readonly Again[] }): RunReport {
  return {
    ...NO_RUN,
    command: ['rsync'],
    ...fields,
  };
}
