import { Hint } from './hint.js';
import { ROOT, type RelativePath } from './relative-path.js';
import type { Scope } from './scope.js';

/** 2 MB. */
const BITS = 2 ** 24;
const BITS_OF_A_KEY = 7;
/**
 * With so many keys 34 % of the bits are set, and 1 of 1,300 keys that were never added passes for one that was: 1 of 1,900
 * because its bits happen to be set ((1 - e^(-7 n / bits))^7), 1 of 4,300 because it has the hash of another (n / 2^32). A
 * name is asked about with up to four keys, and one for each directory above it.
 */
const MAX_KEYS = 1_000_000;

/** What a key says of the path that it is made of. */
const Key = {
  /** The name was told. */
  name: 0x3c6ef372,
  /** A name in this directory came or went. */
  inside: 0x1b873593,
  /** Everything at and below it was told. */
  below: 0x2545f491,
} as const;
type Key = (typeof Key)[keyof typeof Key];

const CAME_OR_WENT = Hint.created | Hint.removed | Hint.movedFrom | Hint.movedTo | Hint.unknown;
/** A directory that appeared is looked at with all that is below, and of that nothing is told by name. */
const APPEARED = Hint.created | Hint.movedTo | Hint.unknown;

/**
 * Which names a watcher has told, in 2 MB (a Bloom filter): an audit asks whether what it found was told.
 *
 * It answers "was this told", for counting, and not "was it looked at since it changed": what changed without an event
 * after its name was told, or below a directory that was made in the same time, counts as told. It may say yes of one name in some hundred that were
 * not told, never no of one that was.
 */
export class ToldNames {
  readonly #words = new Int32Array(BITS / 32);
  #keys = 0;

  /** So much was told that the answers are worth little: an audit should count nothing by them. */
  get isFull(): boolean {
    return this.#keys >= MAX_KEYS;
  }

  /** What a watcher told of a name. Cheap: it is called for every event. Of what is `lost`, tell `unknown` and `directory`. */
  add(path: RelativePath, hint: Hint): void {
    const hash = hashOf(path, path.length);
    this.#addKey(hash, Key.name);
    if ((hint & Hint.directory) !== 0 && (hint & APPEARED) !== 0) this.#addKey(hash, Key.below);
    if ((hint & CAME_OR_WENT) !== 0 && path !== ROOT) this.#addKey(hashOfLastParent, Key.inside);
  }

  /**
   * Whether the watcher told what an audit found:
   *
   * - `entry`: the name.
   * - `listing`: the directory, or a name in it that came or went; that is what moves a directory's ctime.
   * - `subtree`: the same of the directory and of the one it is in, for both have changed.
   * - any: a directory at or above it with everything below.
   */
  wasTold({ path, scope }: Changed): boolean {
    if (this.#wasToldAbove(path)) return true;
    switch (scope) {
      case 'entry':
        return this.#has(path, path.length, Key.name);
      case 'listing':
        return this.#explains(path, path.length);
      case 'subtree':
        return this.#explains(path, path.length) && this.#explains(path, Math.max(0, path.lastIndexOf('/')));
    }
  }

  /** Whether a changed ctime of the directory at the first `length` characters was to be expected. */
  #explains(path: RelativePath, length: number): boolean {
    return this.#has(path, length, Key.inside) || this.#has(path, length, Key.name);
  }

  #wasToldAbove(path: RelativePath): boolean {
    if (this.#has(path, 0, Key.below)) return true;
    for (let slash = path.indexOf('/'); slash >= 0; slash = path.indexOf('/', slash + 1)) {
      if (this.#has(path, slash, Key.below)) return true;
    }
    return path !== ROOT && this.#has(path, path.length, Key.below);
  }

  #has(path: RelativePath, length: number, key: Key): boolean {
    const hash = hashOf(path, length);
    let bit = mix(hash ^ key);
    const step = stepOf(hash, key);
    for (let count = 0; count < BITS_OF_A_KEY; count++) {
      if (((this.#words[(bit & (BITS - 1)) >>> 5] ?? 0) & (1 << bit)) === 0) return false;
      bit = (bit + step) | 0;
    }
    return true;
  }

  #addKey(hash: number, key: Key): void {
    let bit = mix(hash ^ key);
    const step = stepOf(hash, key);
    let added = 0;
    for (let count = 0; count < BITS_OF_A_KEY; count++) {
      const word = (bit & (BITS - 1)) >>> 5;
      const before = this.#words[word] ?? 0;
      const after = before | (1 << bit);
      added |= before ^ after;
      this.#words[word] = after;
      bit = (bit + step) | 0;
    }
    if (added !== 0) this.#keys += 1;
  }
}

/** A name that an audit found changed. */
export interface Changed {
  readonly path: RelativePath;
  readonly scope: Scope;
}

const SLASH = 0x2f;

/**
 * The hash of the directory that holds the path which `hashOf` read last. Not a result: an object for each event would cost
 * more than the hash.
 */
let hashOfLastParent = 0;

/** Of the first `length` characters: FNV-1a (Fowler, Noll, Vo), 32 bits. */
function hashOf(path: RelativePath, length: number): number {
  let hash = FNV_START;
  hashOfLastParent = hash;
  for (let index = 0; index < length; index++) {
    const character = path.charCodeAt(index);
    if (character === SLASH) hashOfLastParent = hash;
    hash = Math.imul(hash ^ character, 0x01000193);
  }
  return hash;
}

const FNV_START = 0x811c9dc5 | 0;

/** The last step of MurmurHash3 for 32 bits: each bit of the result hangs on all of the input. */
function mix(hash: number): number {
  let mixed = hash ^ (hash >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}

/** Double hashing (Kirsch and Mitzenmacher): a start and a step are as good as many hashes. */
function stepOf(hash: number, key: Key): number {
  return mix(Math.imul(hash, 0x9e3779b1) + key) | 1;
}
