import type { FilterSpec } from '../core/filter.js';
import type { RelativePath } from '../core/relative-path.js';
import type { ChangedName, WalkSummary } from '../replicate/ports.js';
import type { WalkDetail } from './tree-walk.js';

/** What the thread of a walk is started with. */
export interface TreeWalkThreadData {
  /** Absolute; bytes as in `RelativePath`. */
  readonly root: string;
  readonly filter: FilterSpec;
  readonly below: RelativePath;
  readonly sinceMs: number;
  readonly detail: WalkDetail;
  /** One Int32: how many messages of names the main thread has done with. */
  readonly taken: SharedArrayBuffer;
}

/** What the thread tells; in order, nothing after `finished` or `failed`. */
export type TreeWalkMessage =
  | { readonly kind: 'found'; readonly found: readonly ChangedName[] }
  | { readonly kind: 'finished'; readonly summary: WalkSummary }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string };
