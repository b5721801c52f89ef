/** Renames within the tree: what the remote has under the old name is not sent again. Seen from the wire. */
import { randomBytes } from 'node:crypto';
import { cpSync, mkdirSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import type { SersyncProcess } from '../support/sersync-process.js';
import type { TcpProxy } from '../support/tcp-proxy.js';
import { TestBench, type StartOptions } from '../support/test-bench.js';

const FILES = 20;
const FILE_BYTES = 1024 * 1024;

let bench: TestBench;
let proxy: TcpProxy;
let sersync: SersyncProcess;

beforeEach(() => {
  bench = new TestBench('moves');
});

afterEach(() => bench.close());

/** A rename is told in two halves, and when the machine is busy what comes between is sent: that is allowed, and rare. */
const RETRIES = { retry: 2 };

/** Starts with what was planted, over a wire that counts. */
async function start(options: StartOptions = {}, isExcluded?: (path: string) => boolean): Promise<void> {
  const [daemon] = await bench.startDaemons(1);
  proxy = await bench.startProxy(daemon!, '127.0.0.1');
  const remotes = [{ ip: '127.0.0.1', name: daemon!.moduleNames[0]! }];
  sersync = await bench.startSersync({ remotes, port: proxy.at.port, params: '-artz', ...options });
  await bench.untilSame({ withinMs: 60_000, ...(isExcluded && { isExcluded }) });
}

/** What went over the wire until the remote is what the source is, as a share of `bytes`. */
async function shareSent(bytes: number, change: () => void, isExcluded?: (path: string) => boolean): Promise<number> {
  const before = proxy.sent;
  change();
  await bench.untilSame({ withinMs: 60_000, ...(isExcluded && { isExcluded }) });
  return (proxy.sent - before) / bytes;
}

/** Data that does not shrink. */
function plantDirectory(path: string, files = FILES, at?: Date): number {
  mkdirSync(bench.path('source', path), { recursive: true });
  for (let file = 0; file < files; file++) {
    writeFileSync(bench.path('source', path, `file-${file}`), randomBytes(FILE_BYTES));
    if (at !== undefined) utimesSync(bench.path('source', path, `file-${file}`), at, at);
  }
  return files * FILE_BYTES;
}

const rename = (from: string, to: string): void => {
  renameSync(bench.path('source', from), bench.path('source', to));
};

describe('a directory that is renamed', () => {
  const cases: readonly { title: string; options?: StartOptions }[] = [
    { title: 'with the params that are shipped', options: { params: '-artuz' } },
    { title: 'where files are written in place', options: { params: '-artz --inplace' } },
    { title: 'where hard links are kept', options: { params: '-artzH' } },
  ];
  for (const { title, options = {} } of cases) {
    it(`is not sent again, ${title}`, RETRIES, async () => {
      const bytes = plantDirectory('deep/old');
      await start(options);
      expect(
        await shareSent(bytes, () => {
          rename('deep/old', '新 name'.replace(' ', '-'));
        }),
      ).toBeLessThan(0.01);
      expect(sersync.events('path:failed')).toEqual([]);
    });
  }

  it('is not sent again when it is renamed twice, and into its own place', RETRIES, async () => {
    const bytes = plantDirectory('old');
    await start();
    expect(
      await shareSent(bytes, () => {
        rename('old', 'between');
        rename('between', 'new');
      }),
    ).toBeLessThan(0.01);
    expect(
      await shareSent(bytes, () => {
        rename('new', 'other');
        rename('other', 'new');
      }),
    ).toBeLessThan(0.01);
  });

  it('is not sent again when the place that it was in is removed', RETRIES, async () => {
    const bytes = plantDirectory('around/old');
    await start();
    expect(
      await shareSent(bytes, () => {
        rename('around/old', 'new');
        rmSync(bench.path('source/around'), { recursive: true });
      }),
    ).toBeLessThan(0.01);
  });

  it('is what it is here, whatever stands at its old name by then', async () => {
    plantDirectory('old');
    plantDirectory('other');
    await start();
    rename('old', 'new');
    cpSync(bench.path('source/other'), bench.path('source/old'), { recursive: true });
    rename('other', 'swap');
    rename('new', 'other');
    rename('swap', 'new');
    writeFileSync(bench.path('source/new/file-1'), randomBytes(FILE_BYTES));
    await bench.untilSame({ withinMs: 60_000 });
    // And back, while the first is under way.
    rename('new', 'swap');
    rename('other', 'new');
    rename('swap', 'other');
    await bench.untilSame({ withinMs: 60_000 });
  });

  it('takes nothing for its own that only looks the same: same names, sizes and times', async () => {
    const at = new Date(1_700_000_000_000);
    for (const name of ['one', 'two']) plantDirectory(name, 3, at);
    await start();
    for (const [from, to] of [
      ['one', 'aside'],
      ['two', 'one'],
      ['aside', 'two'],
    ] as const)
      rename(from, to);
    await bench.untilSame({ withinMs: 60_000 });
    rename('one/file-1', 'two/moved');
    rename('two/file-2', 'one/file-1');
    await bench.untilSame({ withinMs: 60_000 });
  });

  it('is not written to where a link of the remote leads', async () => {
    for (const name of ['old', 'other']) plantDirectory(name);
    await start();
    const [daemon] = bench.daemons;
    symlinkSync('other', join(daemon!.path(), 'new'));
    rename('old', 'new');
    await bench.untilSame({ withinMs: 60_000 });
  });

  it('is not sent again with a filter, and nothing that is excluded is', RETRIES, async () => {
    const bytes = plantDirectory('old');
    mkdirSync(bench.path('source/old/deep'));
    for (const name of ['secret.key', 'deep/other.key']) {
      writeFileSync(bench.path('source/old', name), randomBytes(FILE_BYTES));
    }
    const isExcluded = (name: string): boolean => name.endsWith('.key');
    await start({ excludes: ['(.*)\\.key'], params: '-artz --exclude=/deep/file-1' }, isExcluded);
    const share = await shareSent(
      bytes,
      () => {
        rename('old', 'new');
      },
      isExcluded,
    );
    expect(share).toBeLessThan(0.01);
    expect(bench.daemons[0]!.sentNames().filter((name) => name.endsWith('.key'))).toEqual([]);
  });
});

describe('a large file that is renamed', () => {
  it.each(['other', 'directory/other'])('to %s is not sent again', RETRIES, async (to) => {
    mkdirSync(bench.path('source/directory'));
    writeFileSync(bench.path('source/file'), randomBytes(FILES * FILE_BYTES));
    await start();
    expect(
      await shareSent(FILES * FILE_BYTES, () => {
        rename('file', to);
      }),
    ).toBeLessThan(0.01);
  });
});
