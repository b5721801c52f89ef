import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';

import { freePort } from '../../support/rsync-daemon.js';
import { SshServer } from '../../support/ssh-server.js';
import { Deadline } from '../deadline.js';
import { Relay } from '../relay.js';
import type { ScenarioOf } from '../scenario.js';
import type { Turn } from '../turn.js';
import { untilSame } from '../verify.js';
import { writeOneByOne } from './isolated-write.js';

/** In each direction: 20 ms there and back. */
const DELAY_MS = 10;
/** A run that comes too late for one file must be over: it would find the next one, as if it had been told of it. */
const QUIET_MS = 2_000;
const COMPARE_MS = 10_000;

export const sshWrite: ScenarioOf = (isQuick) => ({
  name: 'ssh-write',
  description: `one new file of 1 KB at a time over ssh with 2.0 to 2.2 s of quiet before it, ${2 * DELAY_MS} ms there and back (a relay in front of sshd holds up each direction by ${DELAY_MS} ms)`,
  limit: 'a push of that file',
  rows: (['p50', 'p95'] as const).map((statistic) => ({
    label: `isolated write over ssh with ${2 * DELAY_MS} ms`,
    metric: 'lagMs',
    statistic,
    unit: 'ms',
  })),
  rounds: isQuick ? 1 : 4,
  limitMs: 180_000,
  // Compared below: the remote is none of the site's.
  isCompared: false,
  run: async (turn) => {
    const server = await SshServer.start();
    try {
      return { lagMs: await writeOverSsh(turn, server, isQuick ? 4 : 15) };
    } finally {
      // The contestant first: otherwise it finds its remote gone.
      await turn.stop();
      await server.close();
    }
  },
});

async function writeOverSsh(turn: Turn, server: SshServer, count: number): Promise<number[]> {
  const { address, port } = server;
  const relay = new Relay({ address, port: await freePort([address]) }, { address, port }, DELAY_MS);
  await relay.listen();
  try {
    server.authorize();
    introduce(server, relay.at.port);
    const target = server.path('target');
    mkdirSync(target);
    const { source } = await turn.makeSite({ remotes: 0 });
    const remote = { address, port: relay.at.port, name: target, path: target };
    await turn.start({ remotes: [remote], ssh: server });
    const lags = await writeOneByOne(turn, count, [target], QUIET_MS);
    await untilSame(source, [target], new Deadline(COMPARE_MS));
    return lags;
  } finally {
    await turn.stop();
    await relay.close();
  }
}

/** The host key is known for the port of the relay. */
function introduce(server: SshServer, port: number): void {
  server.introduce();
  const known = readFileSync(server.knownHosts, 'utf8');
  writeFileSync(server.knownHosts, known.replaceAll(`:${server.port} `, `:${port} `));
}
