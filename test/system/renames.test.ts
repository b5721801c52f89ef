import { mkdirSync, renameSync, utimesSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { TestBench } from '../support/test-bench.js';

const EQUAL_WITHIN_MS = 20_000;
const FILES = 30;

let bench: TestBench;

beforeEach(() => {
  bench = new TestBench('renames');
});

afterEach(() => bench.close());

describe('directories whose files have the same names, sizes and times', () => {
  it('change places, and get a new name at once, so that their own times say nothing of it', async () => {
    await bench.startDaemons(1);
    plant('one', 'first ');
    plant('two', 'second');
    await bench.startSynced({ params: '-artz' });

    changePlaces('one', 'two');
    for (const name of ['one/new', 'two/new']) writeFileSync(bench.path('source', name), name);

    await bench.untilSame({ withinMs: EQUAL_WITHIN_MS });
  });

  it('do so while the service is down, and get a new name', async () => {
    await bench.startDaemons(1);
    plant('one', 'first ');
    plant('two', 'second');
    const sersync = await bench.startSynced({ params: '-artz' });
    await sersync.stop();

    changePlaces('one', 'two');

    bench.spawnSersync({ config: bench.path('confxml.xml'), args: [] });
    await bench.untilSame({ withinMs: EQUAL_WITHIN_MS });
  });
});

/** rsync takes the time of a file when it makes its list, and reads the file later: it may be another one by then. */
describe('directories that change places all the time', () => {
  it.each([
    ['stop at last', () => undefined],
    ['stop at last while the service is killed', () => bench.startedLast.stop('SIGKILL')],
  ])('are the same on the remote when they %s', async (_, interrupt) => {
    const [daemon] = await bench.startDaemons(1);
    const proxy = await bench.startProxy(daemon!, '127.0.1.1');
    plant('one', 'first ');
    plant('two', 'second');
    await bench.startSersync({
      params: '-artz',
      remotes: [{ ip: proxy.at.address, name: 'backup' }],
      port: proxy.at.port,
    });
    await bench.untilSame({ withinMs: EQUAL_WITHIN_MS });
    daemon!.clearLog();

    proxy.delayMs = 20;
    for (let round = 0; round < 40; round++) {
      if (round % 10 === 0) for (const name of ['one', 'two']) plant(name, `${name} ${round % 20}`.padEnd(6));
      changePlaces('one', 'two');
      await sleep(31);
    }
    await interrupt();
    changePlaces('one', 'two');
    changePlaces('one', 'two');
    proxy.delayMs = 0;

    if (bench.startedLast.hasEnded) bench.spawnSersync({ config: bench.path('confxml.xml'), args: [] });
    await bench.untilSame({ withinMs: EQUAL_WITHIN_MS });
    expect(daemon!.sentNames().length).toBeGreaterThan(FILES);
  });
});

/** Files that only their content tells apart from those of another directory; their time is about that of their making. */
function plant(directory: string, content: string): void {
  mkdirSync(bench.path('source', directory), { recursive: true });
  const now = Math.floor(Date.now() / 1000);
  for (let file = 0; file < FILES; file++) {
    const path = bench.path('source', directory, `file-${file}`);
    writeFileSync(path, content);
    utimesSync(path, now, now);
  }
}

function changePlaces(one: string, two: string): void {
  const away = bench.path('away');
  renameSync(bench.path('source', one), away);
  renameSync(bench.path('source', two), bench.path('source', one));
  renameSync(away, bench.path('source', two));
}
