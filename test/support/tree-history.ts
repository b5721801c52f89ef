import {
  appendFileSync,
  chmodSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';

import { isBelow, join, nameOf, parentOf, ROOT, type RelativePath } from '../../src/core/relative-path.js';
import type { Random } from './random.js';
import { locate, readTree } from './trees.js';

/** One byte that is no UTF-8 among them, and a name of GBK. */
const NAMES = ['a', 'b', 'c', 'd', 'e.txt', 'f g', '\xe9', '\xb2\xe2\xca\xd4'];
const MOST_LEVELS = 4;

/** What can happen to a tree. Each returns false when the tree has nothing that it could happen to. */
type Deed = (history: TreeHistory) => boolean;

/**
 * A tree (`root`) to which random things happen, and a place beside it (`outside`) from where directories come and to
 * where they go. The same `random` does the same.
 */
export class TreeHistory {
  readonly root: string;
  readonly outside: string;
  /** How often each kind of thing has happened. */
  readonly done = new Map<string, number>();
  private texts = 0;

  constructor(
    base: string,
    readonly random: Random,
  ) {
    this.root = `${base}/root`;
    this.outside = `${base}/outside`;
    for (const place of [this.root, this.outside]) {
      mkdirSync(place, { recursive: true });
      this.furnish(place);
    }
  }

  /** One thing of any kind that is possible. */
  happen(): void {
    for (;;) {
      const kind = this.random.pick(Object.keys(DEEDS));
      if (DEEDS[kind]?.(this) !== true) continue;
      this.done.set(kind, (this.done.get(kind) ?? 0) + 1);
      return;
    }
  }

  /** All that there is to know of each name: two names with the same text hold the same. The root is `''`. */
  snapshot(): Map<RelativePath, string> {
    return new Map(
      [...readTree(this.root)].map(([path, { mode, uid, gid, ino, mtimeNs }]) => {
        const place = locate(this.root, path);
        const kind = Number(mode) & 0o170000;
        const content =
          kind === FILE ? `${mtimeNs} ${readFileSync(place, 'latin1')}` : kind === LINK ? readlinkSync(place) : '';
        return [path, [mode, uid, gid, ino, content].join(' ')];
      }),
    );
  }

  make(isDirectory: boolean): boolean {
    const path = this.freshPath(this.root);
    if (path === undefined) return false;
    this.makeAt(this.at(path), isDirectory);
    return true;
  }

  /** A path that is not there, in a directory that is. */
  freshPath(place: string): RelativePath | undefined {
    const parents = this.paths(place, DIRECTORY).filter((path) => path.split('/').length < MOST_LEVELS);
    const path = join(this.random.pick(parents), this.random.pick(NAMES));
    return lstatSync(locate(place, path), { throwIfNoEntry: false }) === undefined ? path : undefined;
  }

  /** Any name of a kind, the root not among them. */
  pick(place: string, kind?: number): RelativePath | undefined {
    const paths = this.paths(place, kind).filter((path) => path !== ROOT);
    return paths.length === 0 ? undefined : this.random.pick(paths);
  }

  at(path: RelativePath): Buffer {
    return locate(this.root, path);
  }

  /** Not twice the same. */
  text(): string {
    this.texts += 1;
    return `text ${this.texts}`;
  }

  private furnish(place: string): void {
    const directories: RelativePath[] = [ROOT];
    const made = new Set<RelativePath>();
    for (let tries = 0; tries < 60; tries++) {
      const path = join(this.random.pick(directories), this.random.pick(NAMES));
      if (made.has(path)) continue;
      const isDirectory = this.random.chance(0.4);
      this.makeAt(locate(place, path), isDirectory);
      made.add(path);
      if (isDirectory && path.split('/').length < MOST_LEVELS) directories.push(path);
    }
  }

  private makeAt(place: Buffer, isDirectory: boolean): void {
    if (isDirectory) mkdirSync(place);
    else if (this.random.chance(0.2)) symlinkSync(this.random.pick(NAMES), place);
    else writeFileSync(place, this.text());
  }

  private paths(place: string, kind?: number): RelativePath[] {
    return [...readTree(place)]
      .filter(([, { mode }]) => kind === undefined || (Number(mode) & 0o170000) === kind)
      .map(([path]) => path);
  }
}

const FILE = 0o100000;
const DIRECTORY = 0o040000;
const LINK = 0o120000;

const DEEDS: Readonly<Record<string, Deed>> = {
  'a file is made': (history) => history.make(false),
  'a directory is made': (history) => history.make(true),
  'directories are made in each other, with a file in the last': (history) => {
    const top = history.freshPath(history.root);
    if (top === undefined) return false;
    const path = join(top, 'b/c');
    mkdirSync(history.at(path), { recursive: true });
    writeFileSync(history.at(join(path, 'd')), history.text());
    return true;
  },
  'a file is written anew': onFile((history, path) => {
    writeFileSync(history.at(path), history.text());
    return true;
  }),
  'a file grows': onFile((history, path) => {
    appendFileSync(history.at(path), 'more');
    return true;
  }),
  'a file is written and gets its old time of modification': onFile((history, path) => {
    const { atime, mtime } = lstatSync(history.at(path));
    const length = readFileSync(history.at(path)).length;
    writeFileSync(history.at(path), history.text().padEnd(length).slice(-length));
    utimesSync(history.at(path), atime, mtime);
    return true;
  }),
  'a file is replaced by another with its time of modification': onFile((history, path) => {
    const temporary = history.freshPath(history.root);
    if (temporary === undefined) return false;
    const { atime, mtime } = lstatSync(history.at(path));
    writeFileSync(history.at(temporary), history.text());
    utimesSync(history.at(temporary), atime, mtime);
    renameSync(history.at(temporary), history.at(path));
    return true;
  }),
  'a mode changes': (history) => {
    const path = history.pick(history.root);
    if (path === undefined || lstatSync(history.at(path)).isSymbolicLink()) return false;
    chmodSync(history.at(path), history.random.pick([0o700, 0o711, 0o750, 0o755]));
    return true;
  },
  'an owner changes': (history) => {
    const path = history.pick(history.root);
    if (path === undefined) return false;
    const { uid, gid } = lstatSync(history.at(path));
    if (process.getuid?.() === 0) lchownSync(history.at(path), uid + 1, gid);
    else lchownSync(history.at(path), uid, gid);
    return true;
  },
  'a file gets another name': onFile((history, path) => {
    const name = history.freshPath(history.root);
    if (name === undefined) return false;
    linkSync(history.at(path), history.at(name));
    return true;
  }),
  'a file is removed': (history) => {
    const path = history.pick(history.root, history.random.chance(0.3) ? LINK : FILE);
    if (path === undefined) return false;
    unlinkSync(history.at(path));
    return true;
  },
  'a directory is removed with all that is in it': onDirectory((history, path) => {
    rmSync(history.at(path), { recursive: true });
    return true;
  }),
  'a file is renamed': onFile((history, path) => {
    const target = history.freshPath(history.root);
    if (target === undefined) return false;
    renameSync(history.at(path), history.at(target));
    return true;
  }),
  'a file is renamed over another': onFile((history, path) => {
    const target = history.pick(history.root, FILE);
    if (target === undefined || target === path) return false;
    renameSync(history.at(path), history.at(target));
    return true;
  }),
  'a directory is renamed': onDirectory((history, path) => {
    const target = history.freshPath(history.root);
    if (target === undefined || target === path || isBelow(target, path)) return false;
    renameSync(history.at(path), history.at(target));
    return true;
  }),
  'two directories change places': onDirectory((history, path) => {
    const other = history.pick(history.root, DIRECTORY);
    if (other === undefined || other === path || isBelow(other, path) || isBelow(path, other)) return false;
    const aside = Buffer.from(`${history.outside}/aside`);
    renameSync(history.at(path), aside);
    renameSync(history.at(other), history.at(path));
    renameSync(aside, history.at(other));
    return true;
  }),
  'a name is moved in from outside': (history) => {
    const path = history.pick(history.outside);
    const target = history.freshPath(history.root);
    if (path === undefined || target === undefined) return false;
    renameSync(locate(history.outside, path), history.at(target));
    return true;
  },
  'a name is moved out': (history) => {
    const path = history.pick(history.root);
    const target = history.freshPath(history.outside);
    if (path === undefined || target === undefined) return false;
    renameSync(history.at(path), locate(history.outside, target));
    return true;
  },
  'a directory is replaced by one from outside': onDirectory((history, path) => {
    const other = history.pick(history.outside, DIRECTORY);
    if (other === undefined) return false;
    rmSync(history.at(path), { recursive: true });
    renameSync(locate(history.outside, other), history.at(path));
    return true;
  }),
  'a file becomes a directory': onFile((history, path) => {
    unlinkSync(history.at(path));
    mkdirSync(history.at(path));
    writeFileSync(history.at(join(path, 'a')), history.text());
    return true;
  }),
  'a directory becomes a file': onDirectory((history, path) => {
    rmSync(history.at(path), { recursive: true });
    writeFileSync(history.at(path), history.text());
    return true;
  }),
  'a directory becomes a file and a directory again': onDirectory((history, path) => {
    const aside = join(parentOf(path), `${nameOf(path)} aside`);
    renameSync(history.at(path), history.at(aside));
    writeFileSync(history.at(path), history.text());
    unlinkSync(history.at(path));
    renameSync(history.at(aside), history.at(path));
    return true;
  }),
};

/** Every kind of thing that can happen. */
export const DEED_KINDS: readonly string[] = Object.keys(DEEDS);

function onFile(deed: (history: TreeHistory, path: RelativePath) => boolean): Deed {
  return onKind(FILE, deed);
}

function onDirectory(deed: (history: TreeHistory, path: RelativePath) => boolean): Deed {
  return onKind(DIRECTORY, deed);
}

function onKind(kind: number, deed: (history: TreeHistory, path: RelativePath) => boolean): Deed {
  return (history) => {
    const path = history.pick(history.root, kind);
    return path !== undefined && deed(history, path);
  };
}
