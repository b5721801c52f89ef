import { Hint } from './hint.js';
import { ROOT, type RelativePath } from './relative-path.js';
import type { Scope } from './scope.js';

/** Slots at first and at most: 12 bytes each. */
const [FIRST_SLOTS, MAX_SLOTS] = [2 ** 10, 2 ** 20];
/** The table doubles when it is this full. */
const MAX_LOAD = 0.7;
/**
 * With so many keys 1 of 5,800 that were never added has the hash of another (n / 2^32). A name is asked about with up to
 * four keys, and one for each directory above it.
 */
const MAX_KEYS = MAX_LOAD * MAX_SLOTS;

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
 * Which names a watcher has told, and when last: an audit asks whether what it found was told since it changed. A table of
 * hashes and times, of 12 KB to 12 MB. It may say of one name in some thousand that it was told later than it was.
 */
export class ToldNames {
  /** 0: nothing is there. */
  #hashes = new Int32Array(FIRST_SLOTS);
  #times = new Float64Array(FIRST_SLOTS);
  #keys = 0;

  /** So much was told that more is not remembered: an audit should count nothing by the answers. */
  get isFull(): boolean {
    return this.#keys >= MAX_KEYS;
  }

  /**
   * What a watcher told of a name, and when, in any unit. Cheap: it is called for every event. Of what is `lost`, tell
   * `unknown` and `directory`.
   */
  add(path: RelativePath, hint: Hint, at: number): void {
    const hash = hashOf(path, path.length);
    this.#addKey(hash, Key.name, at);
    if ((hint & Hint.directory) !== 0 && (hint & APPEARED) !== 0) this.#addKey(hash, Key.below, at);
    if ((hint & CAME_OR_WENT) !== 0 && path !== ROOT) this.#addKey(hashOfLastParent, Key.inside, at);
  }

  /**
   * When the watcher last told what an audit found; `-Infinity`: never.
   *
   * - `entry`: the name.
   * - `listing`: the directory, or a name in it that came or went; that is what moves a directory's ctime.
   * - `subtree`: the same of the directory, where it was told of the one that it is in as well, for both have changed.
   * - any: a directory at or above it with everything below.
   */
  toldAt({ path, scope }: Changed): number {
    return Math.max(this.#toldAboveAt(path), this.#toldItselfAt(path, scope));
  }

  #toldItselfAt(path: RelativePath, scope: Scope): number {
    switch (scope) {
      case 'entry':
        return this.#get(path, path.length, Key.name);
      case 'listing':
        return this.#explainedAt(path, path.length);
      case 'subtree': {
        const isParentTold = this.#explainedAt(path, Math.max(0, path.lastIndexOf('/'))) > -Infinity;
        return isParentTold ? this.#explainedAt(path, path.length) : -Infinity;
      }
    }
  }

  /** When something was told that moves the ctime of the directory at the first `length` characters. */
  #explainedAt(path: RelativePath, length: number): number {
    return Math.max(this.#get(path, length, Key.inside), this.#get(path, length, Key.name));
  }

  #toldAboveAt(path: RelativePath): number {
    let at = this.#get(path, 0, Key.below);
    for (let slash = path.indexOf('/'); slash >= 0; slash = path.indexOf('/', slash + 1)) {
      at = Math.max(at, this.#get(path, slash, Key.below));
    }
    return path === ROOT ? at : Math.max(at, this.#get(path, path.length, Key.below));
  }

  #get(path: RelativePath, length: number, key: Key): number {
    const hash = keyOf(hashOf(path, length), key);
    const slot = this.#slotOf(hash);
    return this.#hashes[slot] === hash ? (this.#times[slot] ?? -Infinity) : -Infinity;
  }

  #addKey(pathHash: number, key: Key, at: number): void {
    const hash = keyOf(pathHash, key);
    const slot = this.#slotOf(hash);
    if (this.#hashes[slot] === hash) {
      this.#times[slot] = Math.max(at, this.#times[slot] ?? at);
      return;
    }
    if (this.isFull) return;
    this.#hashes[slot] = hash;
    this.#times[slot] = at;
    this.#keys++;
    if (this.#keys > MAX_LOAD * this.#hashes.length && this.#hashes.length < MAX_SLOTS) this.#grow();
  }

  /** Where the hash is, or the free slot where it belongs: one is always free. */
  #slotOf(hash: number): number {
    const last = this.#hashes.length - 1;
    let slot = hash & last;
    while (this.#hashes[slot] !== 0 && this.#hashes[slot] !== hash) slot = (slot + 1) & last;
    return slot;
  }

  #grow(): void {
    const [hashes, times] = [this.#hashes, this.#times];
    this.#hashes = new Int32Array(2 * hashes.length);
    this.#times = new Float64Array(2 * hashes.length);
    for (const [index, hash] of hashes.entries()) {
      if (hash === 0) continue;
      const slot = this.#slotOf(hash);
      this.#hashes[slot] = hash;
      this.#times[slot] = times[index] ?? -Infinity;
    }
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

/** Never 0. */
function keyOf(hash: number, key: Key): number {
  return mix(hash ^ key) || 1;
}
