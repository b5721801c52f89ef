import {
  chmodSync,
  closeSync,
  existsSync,
  fstatSync,
  ftruncateSync,
  futimesSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  type Stats,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

import {
  ancestorsOf,
  isBelow,
  join,
  parentOf,
  type RelativePath,
  ROOT,
  toBytes,
} from '../../src/core/relative-path.js';
import type { Random } from '../support/random.js';
import { locate, readTree } from '../support/trees.js';
import type { Timeline } from './timeline.js';

/** How large the tree may get before the writers turn to removing. */
export interface TreeLimits {
  readonly entries: number;
  readonly bytes: number;
}

/**
 * One change that a program might make, drawn as often as its weight says. It may find its place taken or gone: the
 * error is part of the life of a tree and no failure.
 */
interface Operation {
  readonly name: string;
  readonly weight: number;
  /** Done as well when the tree is full. */
  readonly shrinks?: boolean;
  readonly run: (hand: Hand) => void | Promise<void>;
}

/** Few, so that writers meet each other; of all kinds that ever broke something. Bytes as latin1. */
const NAMES: readonly RelativePath[] = [
  ...['a', 'b', 'c', 'd', 'e', 'index.html', 'data.bin', 'log', 'src', 'lib', 'img', 'cache'],
  ...[
    'two words',
    "it's",
    'say "hi"',
    'line\nbreak',
    'tab\there',
    'back\\slash',
    '-rf',
    '--delete',
    '#comment',
    ';semi',
  ],
  ...['*', '[x]', '$(id)', '`id`', '.hidden', '...', ' lead', 'trail ', '::x', 'a%20b', '\x01'],
  // UTF-8 (u umlaut, two Chinese characters), GBK, and bytes that are neither.
  ...['\xc3\xbc', '\xe4\xb8\xad\xe6\x96\x87', '\xd6\xd0\xce\xc4', '\xff\xfe', 'x\x80'],
  'long-'.repeat(40),
];

/** The directory that no writer touches. */
export const UNTOUCHED = 'untouched';
const UNTOUCHED_NAME = Buffer.from(UNTOUCHED);

/** Inodes of files that a writer holds open: changed through a name that is gone by then, they would change without an event. */
const heldOpen = new Set<number>();

const MODES = [0o644, 0o600, 0o755, 0o640, 0o444, 0o700, 0o000];

/** What an operation works with: a random of its own, the tree as it is now, and the timeline. */
export class Hand {
  constructor(
    readonly random: Random,
    readonly source: string,
    /** Beside the source, on the same file system. */
    readonly outside: string,
    private readonly timeline: Timeline,
    private readonly name: string,
    /** The writers are being stopped: what goes on for long ends now. */
    readonly isEnding: () => boolean,
  ) {}

  /** To be called with what is about to be done, before it is. */
  note(what: string, ...paths: readonly RelativePath[]): void {
    this.timeline.note(`${this.name} ${what}`, ...paths);
  }

  at(path: RelativePath): Buffer {
    return locate(this.source, path);
  }

  /** A name that is there, of that kind where one is found; the root for a directory when there is none. */
  pick(is: (stats: Stats) => boolean): RelativePath {
    for (let attempt = 0; attempt < 6; attempt++) {
      let directory = ROOT;
      for (;;) {
        const names = readdirSync(this.at(directory), { encoding: 'buffer' }).filter(
          (name) => !name.equals(UNTOUCHED_NAME),
        );
        if (names.length === 0) break;
        const path = join(directory, this.random.pick(names).toString('latin1'));
        const stats = lstatSync(this.at(path));
        if (is(stats) && (!stats.isDirectory() || this.random.chance(0.4))) return path;
        if (!stats.isDirectory()) break;
        directory = path;
      }
    }
    throw new NothingFound();
  }

  file(): RelativePath {
    return this.pick((stats) => stats.isFile());
  }

  /** Sometimes the root. */
  directory(): RelativePath {
    if (this.random.chance(0.15)) return ROOT;
    try {
      return this.pick((stats) => stats.isDirectory());
    } catch (error) {
      if (error instanceof NothingFound) return ROOT;
      throw error;
    }
  }

  anything(): RelativePath {
    return this.pick(() => true);
  }

  /** A name in some directory, which may be taken. */
  place(): RelativePath {
    return join(this.directory(), this.fresh());
  }

  fresh(): RelativePath {
    const name = this.random.pick(NAMES);
    return this.random.chance(0.5) ? name : `${name}${this.random.below(30)}`;
  }

  content(): Buffer {
    const kind = this.random.next();
    const bytes =
      kind < 0.1 ? 0 : kind < 0.8 ? this.random.below(4_000) : kind < 0.99 ? this.random.below(100_000) : 1_500_000;
    return this.noise(bytes);
  }

  /** Bytes that do not compress and are not there twice. */
  noise(bytes: number): Buffer {
    const noise = Buffer.allocUnsafe(bytes);
    for (let index = 0; index + 4 <= bytes; index += 4)
      noise.writeUInt32LE((this.random.next() * 2 ** 32) >>> 0, index);
    for (let index = bytes - (bytes % 4); index < bytes; index++) noise[index] = this.random.below(256);
    return noise;
  }
}

class NothingFound extends Error {}

const OPERATIONS: readonly Operation[] = [
  {
    name: 'write',
    weight: 12,
    run: (hand) => {
      const path = hand.place();
      hand.note('writes', path);
      writeFileSync(hand.at(path), hand.content());
    },
  },
  {
    name: 'append',
    weight: 6,
    run: (hand) => {
      const path = hand.file();
      hand.note('appends to', path);
      writeFileSync(hand.at(path), hand.noise(1 + hand.random.below(500)), { flag: 'a' });
    },
  },
  {
    name: 'truncate',
    weight: 3,
    shrinks: true,
    run: (hand) => {
      const path = hand.file();
      hand.note('truncates', path);
      truncateSync(hand.at(path), hand.random.below(Math.max(1, lstatSync(hand.at(path)).size)));
    },
  },
  {
    name: 'rewrite in place',
    weight: 5,
    run: (hand) => {
      const path = hand.file();
      const { size } = lstatSync(hand.at(path));
      hand.note('rewrites in place', path);
      withFile(hand.at(path), 'r+', (file) => {
        const length = 1 + hand.random.below(200);
        writeSync(file, hand.noise(length), 0, length, hand.random.below(Math.max(1, size - length)));
      });
    },
  },
  {
    name: 'replace by rename',
    weight: 6,
    run: (hand) => {
      const path = hand.file();
      const draft = `${path}.new`;
      hand.note('replaces', path, draft);
      writeFileSync(hand.at(draft), hand.content());
      renameSync(hand.at(draft), hand.at(path));
    },
  },
  {
    name: 'replace with the same size and time',
    weight: 3,
    run: (hand) => {
      const path = hand.file();
      const { size, mtimeMs } = lstatSync(hand.at(path));
      // Whole seconds only: others are not kept exactly by utimes.
      const seconds = Number.isInteger(mtimeMs / 1000) ? mtimeMs / 1000 : 1_700_000_000 + hand.random.below(1_000);
      if (hand.random.chance(0.5)) {
        const draft = `${path}.same`;
        hand.note(`replaces with the same size and the time ${seconds}`, path, draft);
        writeFileSync(hand.at(draft), hand.noise(size));
        utimesSync(hand.at(draft), seconds, seconds);
        renameSync(hand.at(draft), hand.at(path));
      } else {
        hand.note(`rewrites with the same size and the time ${seconds}`, path);
        withFile(hand.at(path), 'r+', (file) => {
          writeSync(file, hand.noise(size), 0, size, 0);
          futimesSync(file, seconds, seconds);
        });
      }
    },
  },
  {
    name: 'mkdir -p',
    weight: 6,
    run: (hand) => {
      let path = hand.directory();
      for (let depth = 1 + hand.random.below(4); depth > 0; depth--) path = join(path, hand.fresh());
      hand.note('makes directories down to', path);
      mkdirSync(hand.at(path), { recursive: true });
      if (hand.random.chance(0.7)) writeFileSync(hand.at(join(path, hand.fresh())), hand.content());
    },
  },
  {
    name: 'rm',
    weight: 5,
    shrinks: true,
    run: (hand) => {
      const path = hand.pick((stats) => !stats.isDirectory());
      hand.note('removes', path);
      unlinkSync(hand.at(path));
    },
  },
  {
    name: 'rm -r',
    weight: 2,
    shrinks: true,
    run: (hand) => {
      const path = hand.anything();
      hand.note('removes all of', path);
      rmSync(hand.at(path), { recursive: true, force: true });
    },
  },
  {
    name: 'rename',
    weight: 7,
    run: (hand) => {
      const from = hand.anything();
      const to = hand.random.chance(0.5) ? join(parentOf(from), hand.fresh()) : hand.place();
      hand.note('renames', from, to);
      renameSync(hand.at(from), hand.at(to));
    },
  },
  {
    name: 'rename over another',
    weight: 3,
    shrinks: true,
    run: (hand) => {
      const [from, to] = [hand.file(), hand.file()];
      hand.note('renames over', from, to);
      renameSync(hand.at(from), hand.at(to));
    },
  },
  {
    name: 'swap',
    weight: 3,
    run: (hand) => {
      const [one, other] = [hand.anything(), hand.anything()];
      const between = `${one}.swap`;
      hand.note('swaps', one, other, between);
      renameSync(hand.at(one), hand.at(between));
      renameSync(hand.at(other), hand.at(one));
      renameSync(hand.at(between), hand.at(other));
    },
  },
  {
    name: 'symlink',
    weight: 3,
    run: (hand) => {
      const path = hand.place();
      hand.note('links symbolically', path);
      symlinkSync(toBytes(hand.random.chance(0.5) ? 'nowhere' : `./${hand.fresh()}`), hand.at(path));
    },
  },
  {
    name: 'change of kind',
    weight: 4,
    run: (hand) => {
      const path = hand.anything();
      const kind = hand.random.pick(['file', 'directory', 'link'] as const);
      hand.note(`turns into a ${kind}`, path);
      rmSync(hand.at(path), { recursive: true, force: true });
      if (kind === 'link') symlinkSync('elsewhere', hand.at(path));
      if (kind === 'file') writeFileSync(hand.at(path), hand.content());
      if (kind !== 'directory') return;
      mkdirSync(hand.at(path));
      writeFileSync(hand.at(join(path, hand.fresh())), hand.content());
    },
  },
  {
    name: 'chmod',
    weight: 4,
    run: (hand) => {
      const path = hand.pick((stats) => !stats.isSymbolicLink());
      const mode = hand.random.pick(MODES);
      hand.note(`sets the mode ${mode.toString(8)} of`, path);
      chmodSync(hand.at(path), mode);
    },
  },
  {
    name: 'hard link',
    weight: 2,
    run: (hand) => {
      const [path, other] = [hand.pick((stats) => stats.isFile() && !heldOpen.has(stats.ino)), hand.place()];
      hand.note('links', path, other);
      linkSync(hand.at(path), hand.at(other));
    },
  },
  {
    name: 'write through a hard link',
    weight: 3,
    run: (hand) => {
      const path = hand.pick((stats) => stats.isFile() && stats.nlink > 1);
      hand.note('writes through a link', path);
      writeFileSync(hand.at(path), hand.noise(50), { flag: 'a' });
    },
  },
  {
    name: 'sparse file',
    weight: 1,
    run: (hand) => {
      const path = hand.place();
      hand.note('makes sparse', path);
      withFile(hand.at(path), 'w', (file) => {
        const bytes = 100_000 + hand.random.below(1_500_000);
        ftruncateSync(file, bytes);
        writeSync(file, 'a few bytes', hand.random.below(bytes));
      });
    },
  },
  {
    name: 'large file',
    weight: 0.15,
    run: (hand) => {
      const path = hand.place();
      hand.note('writes much to', path);
      writeFileSync(hand.at(path), Buffer.concat([hand.noise(1_000_000), Buffer.alloc(8_000_000, 'much')]));
    },
  },
  {
    name: 'file that grows for long',
    weight: 1,
    run: async (hand) => {
      const path = hand.place();
      hand.note('opens for long', path);
      const file = openSync(hand.at(path), 'a');
      const { ino } = fstatSync(file);
      heldOpen.add(ino);
      try {
        for (let left = 10 + hand.random.below(50); left > 0 && !hand.isEnding(); left--) {
          writeSync(file, hand.noise(1 + hand.random.below(2_000)));
          await sleep(50);
        }
      } finally {
        hand.note('closes', path);
        closeSync(file);
        heldOpen.delete(ino);
      }
    },
  },
  {
    name: 'cp -r',
    weight: 2,
    run: (hand) => {
      const [from, to] = [hand.directory(), hand.place()];
      // As cp does: it would copy what it has just made, until the path is too long for anybody.
      if (isBelow(to, from)) return;
      hand.note('copies all of', from, to);
      copyTree(hand.at(from), hand.at(to), { left: 60 });
    },
  },
  {
    name: 'move out of the tree and in again',
    weight: 2,
    run: async (hand) => {
      const [path, back] = [hand.anything(), hand.place()];
      const away = `${hand.outside}/${hand.random.below(1_000_000)}`;
      hand.note('moves out', path);
      renameSync(hand.at(path), away);
      await sleep(hand.random.below(400));
      const to = hand.random.chance(0.5) ? path : back;
      hand.note('moves in', to);
      try {
        renameSync(away, hand.at(to));
      } finally {
        rmSync(away, { recursive: true, force: true });
      }
    },
  },
];

const LONGEST_PATH = 1_500;

export const OPERATION_NAMES = OPERATIONS.map(({ name }) => name);

/** Errors of a tree that others change at the same time. */
const EXPECTED = /^(ENOENT|ENOTDIR|EISDIR|EEXIST|ENOTEMPTY|EINVAL|ENAMETOOLONG|EBUSY|ELOOP)$/;

/** Several tasks that change a tree at once, each with a random of its own. */
export class Writers {
  /** How often each operation was done. */
  readonly done = new Map<string, number>();
  #isEnding = false;
  #isFull = false;
  #running: Promise<void>[] = [];

  constructor(
    private readonly where: {
      readonly source: string;
      readonly outside: string;
      readonly timeline: Timeline;
      readonly limits: TreeLimits;
      /** Names of operations that are left out. */
      readonly without: ReadonlySet<string>;
    },
    private readonly randoms: readonly Random[],
  ) {}

  /** `pauseMs`: between two operations of one writer, on average. */
  start(pauseMs: number): void {
    this.#isEnding = false;
    const writers = this.randoms.map((random, index) => this.#write(`writer ${index + 1}`, random, pauseMs));
    this.#running = [...writers, this.#watchSize()];
  }

  /** Resolves when no writer changes anything any more; fails when one of them failed. */
  async stop(): Promise<void> {
    this.#isEnding = true;
    await Promise.all(this.#running.splice(0));
  }

  async #write(name: string, random: Random, pauseMs: number): Promise<void> {
    const { source, outside, timeline } = this.where;
    const hand = new Hand(random, source, outside, timeline, name, () => this.#isEnding);
    while (!this.#isEnding) {
      const operation = draw(random, this.#isFull ? SHRINKING : OPERATIONS, this.where.without);
      try {
        await operation.run(hand);
        this.done.set(operation.name, (this.done.get(operation.name) ?? 0) + 1);
      } catch (error) {
        const isExpected = error instanceof NothingFound || EXPECTED.test((error as NodeJS.ErrnoException).code ?? '');
        if (!isExpected) throw error;
      }
      // Bursts, and quiet between them.
      await sleep(random.chance(0.6) ? 0 : random.below(5 * pauseMs));
    }
  }

  async #watchSize(): Promise<void> {
    const { source, limits, timeline } = this.where;
    while (!this.#isEnding) {
      const tree = readTree(source);
      // Directories moved into directories add up, and what is too long for a system call can be repaired by nobody.
      for (const path of [...tree.keys()].filter((path) => path.length > LONGEST_PATH)) {
        const [top] = ancestorsOf(path);
        timeline.note('removes, as it is too deep,', top ?? path);
        rmSync(locate(source, top ?? path), { recursive: true, force: true });
      }
      const bytes = [...tree.values()].reduce((sum, stats) => sum + Number(stats.size), 0);
      const fill = Math.max(tree.size / limits.entries, bytes / limits.bytes);
      this.#isFull = fill > (this.#isFull ? 0.6 : 1);
      await sleep(200);
    }
  }
}

const SHRINKING = OPERATIONS.filter((operation) => operation.shrinks === true);

function draw(random: Random, operations: readonly Operation[], without: ReadonlySet<string>): Operation {
  const possible = operations.filter(({ name }) => !without.has(name));
  let left = random.next() * possible.reduce((sum, { weight }) => sum + weight, 0);
  return possible.find(({ weight }) => (left -= weight) < 0) ?? possible[0]!;
}

function withFile(path: Buffer, flags: string, action: (file: number) => void): void {
  const file = openSync(path, flags);
  try {
    action(file);
  } finally {
    closeSync(file);
  }
}

/** As `cp -r`; stops after so many names, so that a copy into itself ends. */
function copyTree(from: Buffer, to: Buffer, budget: { left: number }): void {
  if (budget.left-- <= 0) return;
  const stats = lstatSync(from);
  if (stats.isSymbolicLink()) symlinkSync(readlinkSync(from, { encoding: 'buffer' }), to);
  else if (stats.isFile()) writeFileSync(to, readFileSync(from));
  else {
    const names = readdirSync(from, { encoding: 'buffer' });
    if (!existsSync(to)) mkdirSync(to);
    const slash = Buffer.from('/');
    for (const name of names) {
      copyTree(Buffer.concat([from, slash, name]), Buffer.concat([to, slash, name]), budget);
    }
  }
}
