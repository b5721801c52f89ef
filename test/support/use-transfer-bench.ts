import { afterAll, beforeAll, beforeEach } from 'vitest';

import type { RsyncDaemonOptions } from './rsync-daemon.js';
import { TransferBench } from './transfer-bench.js';

/** A bench for the tests of the file that calls it: it lasts as long as they do, and each has trees of its own. */
export function useTransferBench(name: string, options: Partial<RsyncDaemonOptions> = {}): TransferBench {
  const bench = new TransferBench(name);
  beforeAll(() => bench.start(options));
  afterAll(() => bench.close());
  beforeEach(() => {
    bench.newTrees();
  });
  return bench;
}
