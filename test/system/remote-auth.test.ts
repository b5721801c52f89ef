import { readFileSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { freePort, startRsyncDaemon, type RsyncDaemon } from '../support/rsync-daemon.js';
import { TestBench } from '../support/test-bench.js';
import { untilSameTree } from '../support/trees.js';

let bench: TestBench;

beforeEach(() => {
  bench = new TestBench('remote-auth');
});

afterEach(() => bench.close());

const ADDRESSES = ['127.0.0.1', '127.0.0.2', '127.0.0.3'];

/** Daemons that want a user and password of their own; the last lets everybody in. */
async function startDaemons(): Promise<RsyncDaemon[]> {
  const port = await freePort(ADDRESSES);
  const secrets: readonly (Readonly<Record<string, string>> | undefined)[] = [
    { one: 'first' },
    { two: 'second' },
    undefined,
  ];
  for (const [index, address] of ADDRESSES.entries()) {
    const known = secrets[index];
    const daemon = await startRsyncDaemon({
      address,
      port,
      directory: bench.path(`remote-${index}`),
      ...(known === undefined ? {} : { secrets: known }),
    });
    bench.daemons.push(daemon);
    bench.onClose(() => daemon.stop());
  }
  return bench.daemons;
}

function passwordFile(name: string, password: string): string {
  writeFileSync(bench.path(name), `${password}\n`, { mode: 0o600 });
  return bench.path(name);
}

/** The bench's configuration, with an `<auth>` in some remotes. */
function configWith(auths: Readonly<Record<string, string>>): string {
  const file = bench.writeConfig({ auth: { users: 'one', passwordFile: passwordFile('common.pas', 'first') } });
  const text = readFileSync(file, 'utf8').replace(
    /<remote ip="([^"]*)" (name="[^"]*")\/>/g,
    (whole, ip: string, name) => {
      const auth = auths[ip];
      return auth === undefined ? whole : `<remote ip="${ip}" ${String(name)}>${auth}</remote>`;
    },
  );
  writeFileSync(file, text);
  return file;
}

describe('an <auth> in a <remote>', () => {
  it('logs in there with its own user and password, and is switched off where it says so', async () => {
    const daemons = await startDaemons();
    writeFileSync(bench.path('source', 'file'), 'content');
    const own = `<auth start="true" users="two" passwordfile="${passwordFile('own.pas', 'second')}"/>`;
    const off = '<auth start="false" users="nobody" passwordfile="/nosuch"/>';
    const sersync = bench.spawnSersync({ config: configWith({ '127.0.0.2': own, '127.0.0.3': off }) });
    await sersync.waitForLog('watch:ready', {}, 30_000);
    await untilSameTree(bench.source, bench.remotes, { withinMs: 20_000 });
    expect(sersync.events('remote:halted')).toEqual([]);
    expect(daemons[1]?.log()).toContain('two@');
    expect(daemons[2]?.log()).not.toContain('one@');
  });

  it('does not help another remote: without it the common login is refused there', async () => {
    const daemons = await startDaemons();
    writeFileSync(bench.path('source', 'file'), 'content');
    const sersync = bench.spawnSersync({ config: configWith({}) });
    const halted = await sersync.waitForLog('remote:halted', {}, 30_000);
    expect(halted['remote']).toBe(bench.remoteName(daemons[1]!));
    await untilSameTree(bench.source, [daemons[0]!.path()], { withinMs: 20_000 });
  });
});
