import type { FilterSpec } from '../core/filter.js';
import type { RelativePath } from '../core/relative-path.js';
import type { Hints } from './hint-batch.js';

/** What the thread is started with. */
export interface InotifyThreadData {
  /** Absolute; bytes as in `RelativePath`. */
  readonly root: string;
  readonly filter: FilterSpec;
  /** An eventfd. The thread sits in a foreign call, where no message reaches it: whoever sets a control wakes it by this. */
  readonly wakeDescriptor: number;
  /** `Control` names the cells (Int32). */
  readonly controls: SharedArrayBuffer;
}

/** The cells that both threads see. */
export const Control = {
  /** Not 0: the thread is to end. */
  stop: 0,
  /** How many messages of hints the main thread has taken. */
  taken: 1,
  /** The number of the last fence that was asked for; they count from 1. */
  fence: 2,
} as const;

export const CONTROL_BYTES = 12;

/** A rename within the tree. */
export type Move = readonly [from: RelativePath, to: RelativePath];

/** What the thread tells; in order, nothing after `failed` or `died`. */
export type InotifyMessage =
  | ({ readonly kind: 'hints'; readonly moves: readonly Move[] } & Hints)
  | { readonly kind: 'lost'; readonly below: RelativePath; readonly reason: string }
  | { readonly kind: 'blind'; readonly below: RelativePath; readonly reason: string }
  | { readonly kind: 'sees'; readonly below: RelativePath }
  /** The answer to the fence of that number and to all before it: whether what was changed before is told now. */
  | { readonly kind: 'fence'; readonly number: number; readonly isTold: boolean }
  | { readonly kind: 'started'; readonly directories: number }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string; readonly hint: string | undefined }
  | { readonly kind: 'died'; readonly reason: string };
