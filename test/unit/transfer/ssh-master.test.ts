import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { NO_RUN, type RunReport, type Transport } from '../../../src/replicate/ports.js';
import type { RemoteTarget } from '../../../src/transfer/rsync-args.js';
import { shareConnection, SshMaster, type SshSurroundings } from '../../../src/transfer/ssh-master.js';
import { eventually } from '../../support/eventually.js';
import { ManualClock } from '../../support/manual-clock.js';
import { processesAt } from '../../support/processes.js';

const TARGET: RemoteTarget = { ip: 'user@host', name: '/data', ssh: true, port: 2222, params: ['-artuz'] };

let directory: string;
let clock: ManualClock;
let master: SshMaster;
let transport: Transport;
/** Ends the runs in flight, in the order in which they began. */
let runs: ((report: Partial<RunReport>) => void)[];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'sersync-master-'));
  clock = new ManualClock();
  runs = [];
  // It stays, as an ssh does that holds a connection.
  writeFileSync(join(directory, 'held'), '');
  const command = ['tail', '-f', join(directory, 'held')];
  master = new SshMaster({ command, controlPath: join(directory, 'socket'), clock });
  transport = master.around({
    begin: () => ({
      done: new Promise((resolve) =>
        runs.push((report) => {
          resolve({ ...NO_RUN, exitCode: 0, ...report });
        }),
      ),
      cancel: () => undefined,
    }),
  });
});

afterEach(async () => {
  await master.close();
  rmSync(directory, { recursive: true });
});

const connections = (): number => processesAt(directory).filter(({ command }) => command === 'tail').length;

async function untilConnections(count: number): Promise<void> {
  await eventually(
    () => connections() === count,
    { withinMs: 10_000 },
    () => `${connections()} connections, not ${count}`,
  );
}

function begin(): Promise<RunReport> {
  return transport.begin({ kind: 'divide', path: '', crontab: false }).done;
}

describe('the connection that runs share', () => {
  test('comes about with the first run, serves the next ones, and goes when it was idle for a minute', async () => {
    expect(connections()).toBe(0);
    const both = [begin(), begin()];
    await untilConnections(1);
    clock.advance(600_000);
    runs.forEach((end) => {
      end({});
    });
    await Promise.all(both);

    clock.advance(59_000);
    const again = begin();
    runs.at(-1)?.({});
    await again;
    clock.advance(59_000);
    expect(connections()).toBe(1);

    clock.advance(1_000);
    await untilConnections(0);
  });

  test('takes the place of the socket that a killed service has left', async () => {
    writeFileSync(join(directory, 'socket'), '');
    void begin();
    await untilConnections(1);
    expect(existsSync(join(directory, 'socket'))).toBe(false);
  });

  test.each([10, 12, 20, 30, 35, 255, null])(
    'is not trusted any more after a run that ended with %s',
    async (exitCode) => {
      const [lost, other] = [begin(), begin()];
      await untilConnections(1);
      runs[0]?.({ exitCode });
      await lost;
      // It may still carry the other one.
      expect(connections()).toBe(1);
      runs[1]?.({});
      await other;
      await untilConnections(0);

      clock.advance(5_000);
      // A run that begins before its end was noticed goes without.
      await eventually(
        () => {
          void begin();
          return connections() === 1;
        },
        { withinMs: 10_000 },
        () => 'no new connection',
      );
    },
  );

  test.each([{ exitCode: 23 }, { exitCode: 24 }, { exitCode: 255, cancelled: true }])(
    'stays after a run that ended with %o',
    async (report) => {
      const run = begin();
      await untilConnections(1);
      runs[0]?.(report);
      await run;
      clock.advance(30_000);
      expect(connections()).toBe(1);
    },
  );

  test('that does not come about is tried again after 5 s at the earliest', async () => {
    master = new SshMaster({ command: ['false'], controlPath: join(directory, 'socket'), clock });
    const around = master.around({
      begin: () => ({ done: Promise.resolve({ ...NO_RUN, exitCode: 255 }), cancel: () => undefined }),
    });
    // That its program is missing altogether hurts nobody either.
    for (let at = 0; at < 3; at++) await around.begin({ kind: 'divide', path: '', crontab: false }).done;
    await master.close();
    expect(clock.waiting).toBe(0);
  });

  test('is gone when the service has ended', async () => {
    const run = begin();
    await untilConnections(1);
    runs[0]?.({});
    await run;
    await master.close();
    expect(connections()).toBe(0);
    expect(clock.waiting).toBe(0);
  });
});

describe('a connection is shared', () => {
  const surroundings = (given: Partial<SshSurroundings> = {}): SshSurroundings => ({
    launcher: [],
    endsWithUs: true,
    stateDirectory: '/var/lib/sersync/confxml-1234abcd',
    clock,
    ...given,
  });

  test('at a socket in the state directory, one for each remote', () => {
    const path = shareConnection(TARGET, surroundings())?.target.controlPath;
    expect(path).toMatch(/^\/var\/lib\/sersync\/confxml-1234abcd\/ssh-[0-9a-f]{8}$/);
    expect(shareConnection({ ...TARGET, ip: 'other' }, surroundings())?.target.controlPath).not.toBe(path);
  });

  test.each<[why: string, target: Partial<RemoteTarget>, given: Partial<SshSurroundings>]>([
    ['without ssh', { ssh: false }, {}],
    ["with the user's own ssh", { params: ['-az', '-e', 'ssh -i key'] }, {}],
    ["with the user's own ssh, written out", { params: ['-az', '--rsh=ssh -i key'] }, {}],
    ['where it would outlive a service that is killed', {}, { endsWithUs: false }],
    ['without a state directory', {}, { stateDirectory: undefined }],
    ['where the path of the socket is too long', {}, { stateDirectory: `/${'x'.repeat(80)}` }],
    ['where rsync or ssh would take the path for something else', {}, { stateDirectory: '/state of mine' }],
    ['where ssh would replace something in the path', {}, { stateDirectory: '/state%h' }],
  ])('not %s', (_why, target, given) => {
    expect(shareConnection({ ...TARGET, ...target }, surroundings(given))).toBeUndefined();
  });
});
