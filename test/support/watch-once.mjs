/**
 * Watches a tree by inotify in a process of its own, for what needs one: other limits, another user, other mounts.
 * Arguments: the root, a Bash script to run in it once it is watched, and a pattern for the reason of the loss that is
 * to come of it. Prints one line of JSON, and exits without stopping the watcher.
 */
import { execFileSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { writeFileSync } from 'node:fs';
import process from 'node:process';
import { URL } from 'node:url';

const dist = process.env.SERSYNC_DIST ?? new URL('../../dist', import.meta.url).pathname;
const { InotifyWatcher } = await import(`${dist}/watch/inotify-watcher.js`);
const [root, script = '', lossToCome = ''] = process.argv.slice(2);

const told = [];
const losses = [];
const deaths = [];
const listener = {
  touched: (path, hint) => told.push([path, hint]),
  lost: (below, reason) => losses.push({ below, reason }),
  died: (reason) => deaths.push(reason),
};

async function observe() {
  const watcher = new InotifyWatcher({ root, excludes: [], listener });
  try {
    const { directories } = await watcher.start();
    execFileSync('bash', ['-euc', script], { cwd: root });
    if (lossToCome !== '') await until(() => losses.some(({ reason }) => new RegExp(lossToCome).test(reason)));
    writeFileSync(`${root}/the-end`, '');
    await until(() => told.some(([path]) => path === 'the-end'));
    return { directories, told, losses, deaths };
  } catch (error) {
    return { failed: { code: error.code, message: error.message, hint: error.hint }, told, losses, deaths };
  }
}

async function until(holds) {
  for (let look = 0; look < 500 && deaths.length === 0 && !holds(); look++) await sleep(20);
}

process.stdout.write(JSON.stringify(await observe()), () => process.exit(0));
