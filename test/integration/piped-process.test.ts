import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { describe, expect, test } from 'vitest';
import { environment, startByFork, type PipedProcess, type StartProcess } from '../../src/transfer/piped-process.js';
import { loadPosixSpawn } from '../../src/transfer/posix-spawn.js';
import { isAlive, processInfo } from '../support/processes.js';

const posixSpawn = loadPosixSpawn(environment);
const WAYS: readonly [string, StartProcess][] = [
  ['posix_spawn', posixSpawn],
  ['posix_spawn, and heard at its end,', (start) => posixSpawn({ ...start, isHeardAtEnd: true })],
  ['fork', startByFork],
];

/** Of what was open a moment ago. */
function targetOf(link: string): string {
  try {
    return readlinkSync(link);
  } catch {
    return '';
  }
}

async function textOf(stream: NodeJS.ReadableStream): Promise<string> {
  let text = '';
  for await (const chunk of stream) text += String(chunk);
  return text;
}

test('a process that is started in a thread makes Node complain of no descriptor', async () => {
  const program = pathToFileURL(resolve(import.meta.dirname, '../../dist/transfer/start-process.js')).href;
  const worker = new Worker(
    `const { parentPort } = require('node:worker_threads');
     const warnings = [];
     process.on('warning', ({ message }) => warnings.push(message));
     import('${program}').then(async ({ startProcess }) => {
       const child = startProcess({ command: ['true'], cwd: '/' });
       for (const stream of [child.stdout, child.stderr]) stream.resume();
       const { exitCode } = await child.closed;
       setImmediate(() => parentPort.postMessage({ exitCode, warnings }));
     });`,
    { eval: true, trackUnmanagedFds: true },
  );
  const [said] = (await once(worker, 'message')) as [unknown];
  expect(said).toEqual({ exitCode: 0, warnings: [] });
  await worker.terminate();
});

describe('a batch process', () => {
  /** Of a process, or of the thread that asks (proc(5)). */
  const policyIn = (stat: string): string | undefined => stat.slice(stat.lastIndexOf(')')).split(' ')[39];

  test('is what posix_spawn starts, and this thread is none before and after', async () => {
    const own = (): string | undefined => policyIn(readFileSync('/proc/thread-self/stat', 'latin1'));
    expect(own()).toBe('0');
    const child = loadPosixSpawn(environment)({ command: ['cat', '/proc/self/stat'], cwd: '/' });
    child.stderr.resume();
    expect(policyIn(await textOf(child.stdout))).toBe('3');
    expect(own()).toBe('0');
  });

  test('is none when it cannot be started, and this thread is none either', () => {
    expect(() => loadPosixSpawn(environment)({ command: ['/no/such/program'], cwd: '/' })).toThrow(/ENOENT/);
    expect(policyIn(readFileSync('/proc/thread-self/stat', 'latin1'))).toBe('0');
  });
});

describe.each(WAYS)('a process that is started by %s', (_, start) => {
  const shell = (script: string, cwd = '/'): PipedProcess => {
    const child = start({ command: ['sh', '-c', script], cwd });
    // Of one that has ended before it could be given anything.
    child.stdin.on('error', () => undefined);
    return child;
  };

  async function run(script: string, input = ''): Promise<{ said: string; complained: string; exit: unknown }> {
    const child = shell(script);
    child.stdin.end(input);
    const [said, complained, exit] = await Promise.all([textOf(child.stdout), textOf(child.stderr), child.closed]);
    return { said, complained, exit };
  }

  test('reads, says, complains and ends with its code', async () => {
    const { said, complained, exit } = await run('cat; echo "no" >&2; exit 23', 'a\nb\n');
    expect({ said, complained }).toEqual({ said: 'a\nb\n', complained: 'no\n' });
    expect(exit).toEqual({ exitCode: 23, signal: null });
  });

  test('takes and gives more than a pipe holds', async () => {
    const input = 'x'.repeat(3_000_000);
    expect((await run('cat', input)).said).toBe(input);
  });

  test('is told by the signal that ended it', async () => {
    expect((await run('kill -TERM $$')).exit).toEqual({ exitCode: null, signal: 'SIGTERM' });
  });

  test('works in its directory, with English messages', async () => {
    const child = shell('pwd; echo $LC_ALL', '/proc/self');
    expect(await textOf(child.stdout)).toMatch(/^\/proc\/\d+\nC\n$/);
    await child.exited;
  });

  test('leads a process group of its own, and ignores and blocks no signal', async () => {
    const child = shell('grep -E "SigBlk|SigIgn" /proc/self/status; cat');
    const said = textOf(child.stdout);
    expect(processInfo(child.pid!)).toMatchObject({ parent: process.pid });
    process.kill(-child.pid!, 0);
    child.stdin.end();
    const [blocked = NaN, ignored = NaN] = [...(await said).matchAll(/:\t([0-9a-f]+)/g)].map(([, bits]) =>
      parseInt(bits!, 16),
    );
    // What is above 31 is the C library's own.
    expect([blocked % 2 ** 31, ignored % 2 ** 31]).toEqual([0, 0]);
    await child.closed;
  });

  test('is known to be gone though nobody reads what it has said, and leaves no zombie', async () => {
    const child = shell('echo unread');
    expect(await child.exited).toEqual({ exitCode: 0, signal: null });
    expect(child.hasExited()).toBe(true);
    expect(existsSync(`/proc/${child.pid}`)).toBe(false);
    child.stdout.resume();
    child.stderr.resume();
    await child.closed;
  });

  test('lives until it ends', async () => {
    const child = shell('cat');
    expect(isAlive(child.pid!)).toBe(true);
    expect(child.hasExited()).toBe(false);
    process.kill(-child.pid!, 'SIGKILL');
    expect(await child.exited).toEqual({ exitCode: null, signal: 'SIGKILL' });
  });

  test.each<[string, readonly [string, ...string[]], string, RegExp]>([
    ['is not there', ['no-such-program'], '/', /spawn no-such-program ENOENT/],
    ['has arguments that are too long', ['true', 'x'.repeat(300_000)], '/', /E2BIG/],
    ['has no directory', ['true'], '/no/such/directory', /ENOENT/],
  ])('that %s says so', async (_, command, cwd, text) => {
    const failure = async (): Promise<string | undefined> => {
      try {
        return (await start({ command, cwd }).exited).spawnError;
      } catch (error) {
        return String(error);
      }
    };
    expect(await failure()).toMatch(text);
  });

  test('costs no descriptor once it has ended, nor when it cannot be started', async () => {
    const open = (): number => readdirSync('/proc/self/fd').length;
    await run('true');
    const before = open();
    for (let times = 0; times < 20; times++) await run('cat', 'a');
    for (let times = 0; times < 20; times++) {
      try {
        await start({ command: ['no-such-program'], cwd: '/' }).exited;
      } catch {
        // Told above.
      }
    }
    await new Promise(setImmediate);
    expect(open()).toBeLessThanOrEqual(before);
  });

  test('gets no descriptor of ours but its own', async () => {
    const before = new Set(readdirSync('/proc/self/fd').map((fd) => targetOf(`/proc/self/fd/${fd}`)));
    const { said } = await run('ls -l /proc/self/fd');
    // Three streams, the sign that it lives, and the directory that is listed; beside what Node was given itself.
    const targets = said.split('\n').flatMap((line) => line.split(' -> ')[1] ?? []);
    expect(targets.filter((target) => !before.has(target)).length, said).toBeLessThanOrEqual(5);
  });
});
