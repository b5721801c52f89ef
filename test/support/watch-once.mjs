/**
 * Watches a tree in a process of its own, for what needs one: other limits, another user, other mounts. Arguments: the
 * root, a Bash script to run in it once it is watched, a pattern for the call that is to come of it, and the front end.
 * Prints one line of JSON, and exits without stopping the watcher.
 */
import { execFileSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { writeFileSync } from 'node:fs';
import process from 'node:process';
import { URL } from 'node:url';

const dist = process.env.SERSYNC_DIST ?? new URL('../../dist', import.meta.url).pathname;
const { InotifyWatcher } = await import(`${dist}/watch/inotify-watcher.js`);
const { ParcelWatcher } = await import(`${dist}/watch/parcel-watcher.js`);
const [root, script = '', callToCome = '', frontEnd = 'inotify'] = process.argv.slice(2);

const told = [];
const losses = [];
const deaths = [];
/** Every call as a line, in order. */
const calls = [];
const listener = {
  touched: (path, hint) => {
    told.push([path, hint]);
    calls.push(`touched ${path}: ${hint}`);
  },
  moved: () => undefined,
  lost: (below, reason) => {
    losses.push({ below, reason });
    calls.push(`lost ${below}: ${reason}`);
  },
  blind: (below, reason) => calls.push(`blind ${below}: ${reason}`),
  sees: (below) => calls.push(`sees ${below}:`),
  died: (reason) => deaths.push(reason),
};

async function observe() {
  const options = { root, filter: { excludes: [] }, listener };
  const watcher = frontEnd === 'inotify' ? new InotifyWatcher(options) : new ParcelWatcher(options, { auditMs: 1_000 });
  try {
    const { directories } = await watcher.start();
    execFileSync('bash', ['-euc', script], { cwd: root });
    if (callToCome !== '') await until(() => calls.some((call) => new RegExp(callToCome).test(call)));
    writeFileSync(`${root}/the-end`, '');
    await until(() => told.some(([path]) => path === 'the-end'));
    return { directories, told, losses, deaths, calls };
  } catch (error) {
    return { failed: { code: error.code, message: error.message, hint: error.hint }, told, losses, deaths, calls };
  }
}

async function until(holds) {
  for (let look = 0; look < 500 && deaths.length === 0 && !holds(); look++) await sleep(20);
}

process.stdout.write(JSON.stringify(await observe()), () => process.exit(0));
