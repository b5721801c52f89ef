import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { startRsyncDaemon } from '../support/rsync-daemon.js';
import { type StartOptions, TestBench } from '../support/test-bench.js';
import { untilSameTree } from '../support/trees.js';

interface Row {
  readonly title: string;
  /** Where the daemon listens; default 127.0.0.1. */
  readonly address?: string;
  /** As written in the configuration. */
  readonly ip?: string;
  readonly name?: string;
  readonly watch?: (source: string) => string;
  readonly options?: StartOptions;
  /** Where in the module the tree must arrive. */
  readonly at?: string;
  /** What each rsync must be given. */
  readonly given?: readonly string[];
}

const HAS_IPV6 = await canListen('::1');

const ROWS: readonly (Row & { readonly needs?: boolean })[] = [
  { title: 'a port of its own', given: ['--port='] },
  { title: 'a timeout', options: { timeoutSeconds: 77 }, given: ['--timeout=77'] },
  {
    title: 'a timeout of the params, which wins',
    options: { timeoutSeconds: 77, params: '-artuz --timeout=55' },
    given: ['--timeout=55'],
  },
  { title: 'a host name', ip: 'localhost' },
  { title: 'an IPv6 address', address: '::1', ip: '::1', needs: HAS_IPV6 },
  { title: 'an IPv6 address in brackets', address: '::1', ip: '[::1]', needs: HAS_IPV6 },
  { title: 'a directory below the module', name: 'backup/sub/dir', at: 'sub/dir' },
  { title: 'a directory below the module, with blanks and quotes', name: `backup/it's "a"  dir`, at: `it's "a"  dir` },
  { title: 'slashes at the end of the name', name: 'backup/sub//', at: 'sub' },
  { title: 'slashes at the end of the watched directory', watch: (source) => `${source}///` },
];

let bench: TestBench;

beforeEach(() => {
  bench = new TestBench('elements');
});

afterEach(() => bench.close());

describe('a tree is synced, and nothing beside it is touched, with', () => {
  for (const {
    title,
    needs = true,
    address = '127.0.0.1',
    ip = address,
    name = 'backup',
    watch,
    options,
    at = '',
    given = [],
  } of ROWS) {
    it.runIf(needs)(title, async () => {
      const daemon = await startRsyncDaemon({ directory: bench.path('daemon'), address });
      bench.daemons.push(daemon);
      bench.onClose(() => daemon.stop());
      const there = join(daemon.path(), at);
      mkdirSync(there, { recursive: true });
      mkdirSync(bench.path('source/directory'));
      writeFileSync(bench.path('source/directory/file'), 'before');
      writeFileSync(join(there, 'extra'), 'goes with -r');
      if (at !== '') writeFileSync(join(daemon.path(), 'beside'), 'stays');

      const sersync = await bench.startSersync({
        remotes: [{ ip, name }],
        watch: watch?.(bench.source) ?? bench.source,
        debug: true,
        ...options,
      });
      await untilSameTree(bench.source, [there], { withinMs: 15_000 });
      writeFileSync(bench.path('source/directory/file'), 'changed');
      writeFileSync(bench.path('source/new'), 'new');
      await untilSameTree(bench.source, [there], { withinMs: 10_000 });
      rmSync(bench.path('source/directory'), { recursive: true });
      await untilSameTree(bench.source, [there], { withinMs: 10_000 });

      if (at !== '') expect(readFileSync(join(daemon.path(), 'beside'), 'utf8')).toBe('stays');
      // A run that only looks at the disk has no command.
      const commands = sersync
        .events('run:finished')
        .map((line) => String(line['command']))
        .filter((command) => command !== '');
      expect(commands).not.toEqual([]);
      for (const word of given) expect(commands.filter((command) => !command.includes(word))).toEqual([]);
    });
  }
});

async function canListen(address: string): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => {
      resolve(false);
    });
    server.listen(0, address, () => {
      server.close(() => {
        resolve(true);
      });
    });
  });
}
