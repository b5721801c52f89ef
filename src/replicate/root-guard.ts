import { notMounted, whyNotMounted, type MountPoint } from '../core/mount-point.js';
import type { DeleteGuard } from './ports.js';

/** What the watched directory is at a moment. */
export interface SourceLook {
  /** Which directory it is; undefined when there is none. */
  readonly identity: string | undefined;
  /** What is mounted below it. */
  readonly mounts: readonly MountPoint[];
  readonly isEmpty: boolean;
}

/**
 * - `missing`: there is nothing to send.
 * - `replaced`: another directory stands at the path (unmounted, mounted over, moved); it is sent, and nothing is deleted.
 * - `empty`: it held something before.
 * - `unmounted`: something that was mounted in it is not, or something else is; nothing is deleted there.
 */
export type SourceState = 'well' | 'missing' | 'replaced' | 'empty' | 'unmounted';

export interface SourceCondition {
  readonly state: SourceState;
  /** For a person. */
  readonly reason?: string;
}

/** What the journal keeps of the source: JSON. */
export interface SourceFacts {
  readonly identity: string;
  readonly mounts: readonly MountPoint[];
}

/**
 * What the watched directory must be for names to be deleted on the remotes: what it was when it was last known to be
 * right. A mount that appears in it is taken over; one that vanishes or is replaced, or another directory at the path, is
 * not, until it is back or a person says that it is right so. Pure: it is told what the source is.
 */
export class RootGuard {
  #identity: string;
  #mounts: readonly MountPoint[];
  #mayBeEmpty = false;

  /** `saved`: what an earlier run of the service knew. `isSame` compares its identity with that of now. */
  constructor(now: SourceLook & { readonly identity: string }, saved: SourceFacts | undefined, isSame: boolean) {
    this.#identity = saved === undefined || isSame ? now.identity : saved.identity;
    this.#mounts = saved === undefined ? now.mounts : union(saved.mounts, now.mounts);
  }

  get facts(): SourceFacts {
    return { identity: this.#identity, mounts: this.#mounts };
  }

  guard(): DeleteGuard {
    return { identity: this.#identity, mounts: this.#mounts, mayBeEmpty: this.#mayBeEmpty };
  }

  /** Judges a look at the source, and takes over what is new in it. */
  judge({ identity, mounts, isEmpty }: SourceLook): SourceCondition {
    if (identity === undefined) {
      return { state: 'missing', reason: 'the watched directory is missing: unmounted or removed' };
    }
    if (identity !== this.#identity) {
      return {
        state: 'replaced',
        reason: 'the watched directory is not the one that it was: unmounted, mounted over or replaced',
      };
    }
    if (!isEmpty) this.#mayBeEmpty = false;
    else if (!this.#mayBeEmpty) return { state: 'empty', reason: 'the watched directory is empty' };
    const vanished = notMounted(this.#mounts, mounts);
    this.#mounts = union(this.#mounts, mounts);
    if (vanished.length === 0) return { state: 'well' };
    return { state: 'unmounted', reason: whyNotMounted(vanished.map(({ path }) => path)) };
  }

  /** A person has said that the source is right as it is; nothing, while there is none. */
  accept({ identity, mounts, isEmpty }: SourceLook): void {
    if (identity === undefined) return;
    this.#identity = identity;
    this.#mounts = mounts;
    this.#mayBeEmpty = isEmpty;
  }
}

/** What was at a place before stays what should be there. */
function union(before: readonly MountPoint[], now: readonly MountPoint[]): MountPoint[] {
  const known = new Set(before.map(({ path }) => path));
  return [...before, ...now.filter(({ path }) => !known.has(path))];
}
