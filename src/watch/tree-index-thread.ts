import { parentPort, workerData } from 'node:worker_threads';
import { createFilter, type FilterSpec } from '../core/filter.js';
import type { RelativePath } from '../core/relative-path.js';
import { takePriority } from '../thread-priority.js';
import { TreeIndex, type Comparison, type Sighting } from './tree-index.js';

/** The thread that keeps the index of `ParcelWatcher`, because walking a large tree takes seconds. */

export interface IndexThreadData {
  readonly root: string;
  readonly filter: FilterSpec;
}

export type IndexRequest =
  | { readonly kind: 'note'; readonly sightings: readonly Sighting[] }
  | { readonly kind: 'sweep' }
  | { readonly kind: 'audit'; readonly below: RelativePath }
  | { readonly kind: 'count' };

/** One for each request but `note`, in order. */
export interface IndexAnswer extends Comparison {
  readonly durationMs: number;
  /** `count`: directories at and below the root. */
  readonly directories: number;
}

function serve(port: NonNullable<typeof parentPort>, { root, filter }: IndexThreadData): void {
  const index = new TreeIndex(root, createFilter(filter));
  port.on('message', (request: IndexRequest) => {
    if (request.kind === 'note') {
      for (const sighting of request.sightings) index.note(sighting);
      return;
    }
    const beganMs = performance.now();
    const comparison = compare(index, request);
    const directories = request.kind === 'count' ? index.directories : 0;
    port.postMessage({ ...comparison, directories, durationMs: performance.now() - beganMs } satisfies IndexAnswer);
  });
}

function compare(index: TreeIndex, request: Exclude<IndexRequest, { kind: 'note' }>): Comparison {
  switch (request.kind) {
    case 'sweep':
      return index.sweep();
    case 'audit':
      return index.audit(request.below);
    case 'count':
      return { found: [], directoriesMoved: false };
  }
}

if (parentPort !== null) {
  takePriority('ordinary');
  serve(parentPort, workerData as IndexThreadData);
}
