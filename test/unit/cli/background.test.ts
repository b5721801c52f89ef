import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, test, vi } from 'vitest';
import {
  isBackgroundChild,
  isContainer,
  reportFailure,
  reportReady,
  startInBackground,
  type ParentChannel,
} from '../../../src/cli/background.js';

async function start(fixture: string, ...args: string[]): Promise<{ code: number; printed: string; errors: string }> {
  let printed = '';
  let errors = '';
  const code = await startInBackground({
    program: fileURLToPath(new URL(`./fixtures/${fixture}.mjs`, import.meta.url)),
    args,
    env: process.env,
    print: (text) => (printed += text),
    printError: (text) => (errors += text),
  });
  return { code, printed, errors };
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function eventually(holds: () => boolean): Promise<void> {
  while (!holds()) await delay(10);
}

describe('the parent', () => {
  test('says where the service is once it is ready, which lives on', async () => {
    const { code, printed, errors } = await start('ready', '/state');
    const pid = Number(/pid +(\d+)/.exec(printed)?.[1]);
    expect({ code, errors }).toEqual({ code: 0, errors: '' });
    expect(printed).toContain('log    /log\n  state  /state\n');
    expect(isAlive(pid)).toBe(true);
    process.kill(pid, 'SIGTERM');
    await eventually(() => !isAlive(pid));
  });

  test('says why the start failed', async () => {
    expect(await start('failed')).toEqual({ code: 1, printed: '', errors: 'confxml.xml:3: error: no\n' });
  });

  test('shows what the service said last when it ends without a report', async () => {
    const { code, errors } = await start('throws');
    expect(code).toBe(1);
    expect(errors).toContain('it went wrong early');
    expect(errors).toContain('the service ended with exit code 1 before it was ready');
  });

  test('knows an end without any word', async () => {
    expect(await start('exits')).toEqual({
      code: 1,
      printed: '',
      errors: 'the service ended with exit code 7 before it was ready\n',
    });
  });

  test('that is interrupted ends the service that is starting', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'sersync-background-'));
    const started = start('waits', join(directory, 'pid'));
    await eventually(() => existsSync(join(directory, 'pid')));
    process.emit('SIGTERM');
    expect((await started).errors).toBe('the service ended by SIGTERM before it was ready\n');
    rmSync(directory, { recursive: true });
  });
});

describe('the child', () => {
  function channel(error: Error | null = null) {
    return {
      connected: true,
      send: vi.fn((_message: unknown, callback: (error: Error | null) => void) => {
        callback(error);
      }),
      disconnect: vi.fn(),
    } satisfies ParentChannel;
  }
  const info = { pid: 1, logPath: 'l', statePath: 's' };

  test('reports that it is ready and lets its parent go', async () => {
    const parent = channel();
    await reportReady(info, parent);
    expect(parent.send.mock.calls[0]?.[0]).toEqual({ ready: info });
    expect(parent.disconnect).toHaveBeenCalledOnce();
  });

  test('reports a failure', async () => {
    const parent = channel();
    await reportFailure('no', parent);
    expect(parent.send.mock.calls[0]?.[0]).toEqual({ failed: 'no' });
  });

  test('goes on without a parent', async () => {
    await reportReady(info, {});
    await reportReady(info, { ...channel(), connected: false });
    await reportReady(info, channel(new Error('EPIPE')));
  });

  test('knows that it is the one in the background', () => {
    expect(isBackgroundChild({ SERSYNC_BACKGROUND_CHILD: '1' }, channel())).toBe(true);
    expect(isBackgroundChild({ SERSYNC_BACKGROUND_CHILD: '1' }, {})).toBe(false);
    expect(isBackgroundChild({}, channel())).toBe(false);
  });
});

test.each([
  [{}, 1, true],
  [{}, 42, false],
  [{ SERSYNC_CONTAINER: '1' }, 42, true],
  [{ SERSYNC_CONTAINER: '' }, 42, false],
  [{ SERSYNC_CONTAINER: '0' }, 42, false],
])('environment %j and pid %i: in a container %s', (env, pid, expected) => {
  expect(isContainer(env, pid)).toBe(expected);
});
