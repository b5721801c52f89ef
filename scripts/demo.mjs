/**
 * Three rsync daemons, one source, the program between them, and a screen that tells how far each remote is. Everything
 * shown is measured from outside, by looking at the directories and at the daemons' logs. Called by demo.sh.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';

const REMOTES = 3;
const SCREEN_EVERY_MS = 1000;
const SETTLE_AT_END_MS = 15_000;
const PROGRAM = resolve(import.meta.dirname, '../dist/main.js');
const isRoot = process.getuid?.() === 0;
const isTerminal = process.stdout.isTTY === true;

/** Names that the program never sends: editors' and rsync's own temporaries. */
const TEMPORARY = /^(4913|.*~|\..*\.sw.|\.#.*|\.nfs.*|\..+\.[A-Za-z0-9]{6}|sed[A-Za-z0-9]{6}|\.goutputstream-.*)$/s;

const releases = [];
let interrupted = false;
let wakeUp;
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(name, () => {
    interrupted = true;
    wakeUp?.();
  });
}

async function demo(directory) {
  const work = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'sersync-demo-')));
  releases.push(() => fs.rmSync(work, { recursive: true, force: true }));
  const source = directory === undefined ? join(work, 'source') : usersDirectory(directory, work);
  if (directory === undefined) plantSource(source);

  const remotes = await startRemotes(work);
  console.log(`source   ${source}${directory === undefined ? '' : ' (only read)'}`);
  for (const remote of remotes) console.log(`remote   ${remote.url}  in ${remote.path}`);
  const sersync = startSersync(work, source, remotes);
  console.log(`program  ${sersync.command}\n`);

  const seconds = Number(process.env.SERSYNC_DEMO_SECONDS ?? (isTerminal ? Infinity : 20));
  if (Number.isNaN(seconds)) throw new Error('SERSYNC_DEMO_SECONDS is not a number of seconds');
  const writer = directory === undefined ? new Writer(source) : undefined;
  await run({ source, remotes, sersync, writer, endAt: performance.now() + seconds * 1000 });
  return judge(source, remotes, sersync);
}

/** Shows and changes until the time is over, Ctrl-C is pressed or the program ends. */
async function run({ source, remotes, sersync, writer, endAt }) {
  const screen = new Screen(writer);
  while (!interrupted && performance.now() < endAt && !sersync.hasEnded()) {
    const nextScreen = performance.now() + SCREEN_EVERY_MS;
    const here = walk(source);
    for (const remote of remotes) measure(here, remote);
    screen.draw(remotes);
    while (!interrupted && performance.now() < Math.min(nextScreen, endAt)) {
      if (writer !== undefined) writer.change();
      await pause(Math.min(100, nextScreen - performance.now()));
    }
  }
}

/** Waits until the remotes had time to catch up, stops the program, and says how it ended. */
async function judge(source, remotes, sersync) {
  const deadline = performance.now() + SETTLE_AT_END_MS;
  const isBehind = (remote) => compareTrees(walk(source), walk(remote.path)).length > 0;
  while (remotes.some(isBehind) && performance.now() < deadline && !sersync.hasEnded()) await sleep(50);
  const hadEnded = sersync.hasEnded();
  await sersync.stop();
  if (hadEnded) console.log(`\nthe program ended by itself; the last it said:\n${sersync.lastWords()}`);

  const tree = walk(source);
  const findings = remotes.map((remote) => finding(source, tree, remote)).filter((found) => found !== undefined);
  const files = [...tree.values()].filter((stats) => stats.isFile()).length;
  const verdict =
    findings.length > 0 ? findings.join('; ') : `all ${remotes.length} remotes equal the source (${files} files)`;
  const isWell = findings.length === 0 && !hadEnded;
  console.log(`\n${isWell ? 'OK' : 'FAILED'}: ${verdict}`);
  return isWell ? 0 : 1;
}

/** In what a remote is not what the source is, or `undefined`. */
function finding(source, tree, remote) {
  const names = compareTrees(tree, walk(remote.path)).map(({ name }) => name);
  const different = names.length > 0 ? names : compareContents(source, remote.path, tree).map(([name]) => name);
  if (different.length === 0) return undefined;
  return `${remote.url} differs in ${different.length} names, such as ${printable(different[0])}`;
}

// --- what takes part ---------------------------------------------------------------------------------------------------

function usersDirectory(directory, work) {
  const source = fs.realpathSync(directory);
  if (!fs.statSync(source).isDirectory()) throw new Error(`${directory} is not a directory`);
  const bytes = [...walk(source).values()].reduce((sum, stats) => sum + Number(stats.isFile() ? stats.size : 0n), 0);
  const disk = fs.statfsSync(work);
  const free = disk.bavail * disk.bsize;
  if (bytes * REMOTES > free) {
    const [needed, there] = [bytes * REMOTES, free].map((value) => `${Math.ceil(value / 2 ** 20)} MiB`);
    throw new Error(
      `${REMOTES} copies of ${source} need ${needed}; ${tmpdir()} has ${there}. Set TMPDIR to a larger disk.`,
    );
  }
  return source;
}

function plantSource(source) {
  for (let directory = 0; directory < 20; directory++) {
    const path = join(source, `section-${directory}`, 'pages');
    fs.mkdirSync(path, { recursive: true });
    for (let file = 0; file < 25; file++)
      fs.writeFileSync(join(path, `page-${file}.html`), `<p>${directory}.${file}</p>\n`);
  }
}

/** One port for all, each at a loopback address of its own: confxml.xml has one port. */
async function startRemotes(work) {
  const addresses = Array.from({ length: REMOTES }, (_, index) => `127.0.0.${index + 1}`);
  const port = await freePort(addresses);
  const remotes = addresses.map((address, index) => {
    const directory = join(work, `remote-${index + 1}`);
    return {
      address,
      port,
      directory,
      url: `rsync://${address}:${port}/backup`,
      path: join(directory, 'backup'),
      log: join(directory, 'rsyncd.log'),
      logRead: 0,
      filesSent: 0,
      lagMs: 0,
      open: 0,
    };
  });
  for (const remote of remotes) await startDaemon(remote);
  return remotes;
}

async function startDaemon({ address, port, directory, path, log }) {
  fs.mkdirSync(path, { recursive: true });
  const lines = [
    `address = ${address}`,
    `port = ${port}`,
    `log file = ${log}`,
    `lock file = ${join(directory, 'rsyncd.lock')}`,
    'use chroot = no',
    'munge symlinks = no',
    'reverse lookup = no',
    'read only = no',
    ...(isRoot ? ['uid = root', 'gid = root'] : []),
    'transfer logging = yes',
    'log format = %o %l %i %f',
    '[backup]',
    `path = ${path}`,
  ];
  const file = join(directory, 'rsyncd.conf');
  fs.writeFileSync(file, `${lines.join('\n')}\n`);
  const daemon = start('rsync', ['--daemon', '--no-detach', `--config=${file}`], join(directory, 'rsync.out'));
  releases.push(() => daemon.stop());
  while (!(await accepts(port, address))) {
    if (daemon.hasEnded()) throw new Error(`rsync --daemon did not start:\n${daemon.lastWords()}`);
    await sleep(20);
  }
}

function startSersync(work, source, remotes) {
  const config = join(work, 'confxml.xml');
  fs.writeFileSync(config, confxml(work, source, remotes));
  const args = [PROGRAM, '-r', '-o', config];
  const sersync = start(process.execPath, args, join(work, 'sersync.log'), { SERSYNC_STATE_DIR: join(work, 'state') });
  releases.push(() => sersync.stop());
  return { ...sersync, command: `sersync -r -o ${config}` };
}

function confxml(work, source, remotes) {
  const quote = (text) => `"${text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')}"`;
  return `<?xml version="1.0" encoding="UTF-8"?>
<head version="2.5">
    <inotify>
        <delete start="true"/>
        <createFolder start="true"/>
        <createFile start="false"/>
        <closeWrite start="true"/>
        <moveFrom start="true"/>
        <moveTo start="true"/>
        <attrib start="true"/>
        <modify start="false"/>
    </inotify>
    <sersync>
        <localpath watch=${quote(source)}>
${remotes.map((remote) => `            <remote ip="${remote.address}" name="backup"/>`).join('\n')}
        </localpath>
        <rsync>
            <commonParams params="-artz"/>
            <userDefinedPort start="true" port="${remotes[0].port}"/>
        </rsync>
        <failLog path=${quote(join(work, 'fail-log.sh'))} timeToExecute="60"/>
    </sersync>
</head>
`;
}

/** A process in a group of its own: Ctrl-C is ours, and each is ended by its id. */
function start(command, args, output, env = {}) {
  const file = fs.openSync(output, 'a');
  const child = spawn(command, args, {
    detached: true,
    stdio: ['ignore', file, file],
    env: { ...process.env, ...env },
  });
  fs.closeSync(file);
  const ended = new Promise((resolve) => {
    child.on('close', resolve);
    child.on('error', resolve);
  });
  const hasEnded = () => child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
  return {
    hasEnded,
    lastWords: () => fs.readFileSync(output, 'utf8').trimEnd().split('\n').slice(-15).join('\n'),
    async stop() {
      if (!hasEnded()) child.kill('SIGTERM');
      const patience = sleep(20_000, 'impatient', { ref: false });
      if ((await Promise.race([ended, patience])) === 'impatient') child.kill('SIGKILL');
      await ended;
    },
  };
}

/** Changes the source a few times a second, in all the ways that people do. */
class Writer {
  changes = 0;

  constructor(source) {
    this.source = source;
  }

  change() {
    const number = this.changes++;
    const section = join(this.source, `section-${number % 20}`);
    const page = (name) => join(section, 'pages', name);
    const ways = [
      () => fs.writeFileSync(page('page-0.html'), `<p>changed ${number}</p>\n`),
      () => fs.appendFileSync(page('log.txt'), `line ${number}\n`),
      () => fs.writeFileSync(page(`new-${number}.html`), 'new\n'),
      () => fs.mkdirSync(join(section, `deep-${number}/a/b`), { recursive: true }),
      () => fs.writeFileSync(join(section, `photo ${number}.jpg`), Buffer.alloc(100_000, number)),
      () => this.#moveFirst(section, /^photo/, (name) => `moved ${name}`),
      () => this.#moveFirst(section, /^deep-/, (name) => `was-${name}`),
      () => this.#removeFirst(section, /^(moved|was-)/),
      () => this.#removeFirst(join(section, 'pages'), /^new-/),
      () => this.#burst(number),
    ];
    // Every section meets every way: 20 and 11 have no divisor in common.
    const way = ways[(number * 7 + Math.floor(number / 20)) % ways.length];
    if (way === ways.at(-1) && number % 30 !== 0) ways[0]();
    else way();
  }

  #moveFirst(directory, pattern, rename) {
    const name = fs.readdirSync(directory).find((entry) => pattern.test(entry));
    if (name !== undefined) fs.renameSync(join(directory, name), join(directory, rename(name)));
  }

  #removeFirst(directory, pattern) {
    const name = fs.readdirSync(directory).find((entry) => pattern.test(entry));
    if (name !== undefined) fs.rmSync(join(directory, name), { recursive: true });
  }

  #burst(number) {
    const directory = join(this.source, 'bursts', `burst-${number}`);
    fs.mkdirSync(directory, { recursive: true });
    for (let file = 0; file < 300; file++) fs.writeFileSync(join(directory, `file-${file}`), `${number}.${file}\n`);
  }
}

// --- what is measured --------------------------------------------------------------------------------------------------

/** Brings up to date what the screen shows of a remote. `here`: the source as it was just walked. */
function measure(here, remote) {
  const there = walk(remote.path);
  const open = compareTrees(here, there);
  remote.open = open.length;
  remote.lagMs =
    open.length === 0 ? 0 : Date.now() - open.reduce((oldest, { sinceMs }) => Math.min(oldest, sinceMs), Infinity);
  remote.medianDelayMs = medianDelay(here, there);
  readLog(remote);
}

/**
 * The names in which a remote is not what the source is, and since when: since the source's name changed, or, for what
 * is gone there, since its directory did.
 */
function compareTrees(here, there) {
  const found = [];
  for (const [name, stats] of here) {
    const other = there.get(name);
    if (other !== undefined && isSameEntry(stats, other)) continue;
    // What was moved with its directory is older than the move: that changed the directory which is missing there.
    const moved = other === undefined ? topmostMissing(here, there, name) : stats;
    found.push({ name, sinceMs: Math.max(Number(stats.ctimeMs), Number(moved.ctimeMs)) });
  }
  for (const name of there.keys()) {
    if (!here.has(name)) found.push({ name, sinceMs: Number(nearestDirectory(here, name).mtimeMs) });
  }
  return found;
}

function topmostMissing(here, there, name) {
  for (let slash = name.indexOf('/'); slash >= 0; slash = name.indexOf('/', slash + 1)) {
    const directory = name.slice(0, slash);
    if (!there.has(directory)) return here.get(directory) ?? here.get(name);
  }
  return here.get(name);
}

function isSameEntry(one, other) {
  if ((one.mode & 0o170000n) !== (other.mode & 0o170000n)) return false;
  return !one.isFile() || (one.size === other.size && one.mtimeNs === other.mtimeNs);
}

/** Names that look alike on both sides and are not. */
function compareContents(source, remote, tree) {
  return [...tree].filter(([name, stats]) => {
    const [here, there] = [locate(source, name), locate(remote, name)];
    if (stats.isSymbolicLink()) return fs.readlinkSync(here, 'latin1') !== fs.readlinkSync(there, 'latin1');
    return stats.isFile() && !fs.readFileSync(here).equals(fs.readFileSync(there));
  });
}

function nearestDirectory(tree, name) {
  let directory = name;
  do directory = directory.slice(0, Math.max(0, directory.lastIndexOf('/')));
  while (directory !== '' && tree.get(directory)?.isDirectory() !== true);
  return tree.get(directory);
}

/** From the change of a file to its arrival, over the files that arrived in the last second; both clocks are one. */
function medianDelay(here, there) {
  const now = Date.now();
  const delays = [...there]
    .filter(([name, stats]) => stats.isFile() && now - Number(stats.ctimeMs) < SCREEN_EVERY_MS && here.has(name))
    .map(([name, stats]) => Number(stats.ctimeNs - here.get(name).ctimeNs) / 1e6)
    .filter((delay) => delay >= 0)
    .sort((one, other) => one - other);
  return delays[Math.floor(delays.length / 2)];
}

function readLog(remote) {
  const size = fs.statSync(remote.log).size;
  const bytes = Buffer.alloc(size - remote.logRead);
  const file = fs.openSync(remote.log, 'r');
  fs.readSync(file, bytes, 0, bytes.length, remote.logRead);
  fs.closeSync(file);
  const complete = bytes.lastIndexOf(0x0a) + 1;
  remote.logRead += complete;
  remote.filesSent += bytes.toString('latin1', 0, complete).split(/ recv \d+ [<>]f/).length - 1;
}

/** Names below a directory (bytes as latin1, the root is '') with what lstat says, without temporaries. */
function walk(root) {
  const tree = new Map();
  const visit = (name) => {
    const path = locate(root, name);
    try {
      const stats = fs.lstatSync(path, { bigint: true });
      tree.set(name, stats);
      if (!stats.isDirectory()) return;
      for (const child of fs.readdirSync(path, 'latin1')) {
        if (!TEMPORARY.test(child)) visit(name === '' ? child : `${name}/${child}`);
      }
    } catch (error) {
      // It went away while we looked: everything moves here.
      if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw error;
    }
  };
  visit('');
  return tree;
}

/** What to hand to the file system for a name below `root`. */
function locate(root, name) {
  return Buffer.concat([Buffer.from(name === '' ? root : `${root}/`), Buffer.from(name, 'latin1')]);
}

// --- what is shown -----------------------------------------------------------------------------------------------------

class Screen {
  #drawn = 0;
  #begin = performance.now();

  constructor(writer) {
    this.writer = writer;
  }

  draw(remotes) {
    const seconds = Math.floor((performance.now() - this.#begin) / 1000);
    const changes = this.writer === undefined ? '' : `   ${this.writer.changes} changes made`;
    const lines = [`${seconds} s${changes}`, ...remotes.map(describe)];
    if (isTerminal && this.#drawn > 0) process.stdout.write(`\x1b[${this.#drawn}A`);
    process.stdout.write(lines.map((line) => `${line}${isTerminal ? '\x1b[K' : ''}\n`).join(''));
    this.#drawn = lines.length;
  }
}

function describe(remote) {
  const state = remote.open === 0 ? 'in sync' : `${remote.open} behind`;
  const lag = `lag ${Math.max(0, Math.round(remote.lagMs))} ms`;
  const delay = remote.medianDelayMs === undefined ? '' : `   a change took ${Math.round(remote.medianDelayMs)} ms`;
  return `  ${remote.url}   ${state.padEnd(12)} ${lag.padEnd(12)} ${String(remote.filesSent).padStart(6)} files sent${delay}`;
}

function printable(name) {
  return JSON.stringify(Buffer.from(name, 'latin1').toString());
}

// --- small things ------------------------------------------------------------------------------------------------------

/** Ends early when a signal comes. */
async function pause(milliseconds) {
  const woken = new Promise((resolve) => {
    wakeUp = resolve;
  });
  await Promise.race([sleep(Math.max(0, milliseconds)), woken]);
}

async function freePort(addresses) {
  for (;;) {
    const port = await bind(0, addresses[0]);
    const others = await Promise.all(addresses.slice(1).map((address) => bind(port, address)));
    if (others.every((bound) => bound === port)) return port;
  }
}

async function bind(port, address) {
  const server = createServer();
  try {
    server.listen(port, address);
    await once(server, 'listening');
    const bound = server.address().port;
    server.close();
    await once(server, 'close');
    return bound;
  } catch (error) {
    if (error.code !== 'EADDRINUSE') throw error;
    return undefined;
  }
}

async function accepts(port, address) {
  const socket = connect(port, address);
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    // Nobody listens yet.
    return false;
  } finally {
    socket.destroy();
  }
}

// Last, because classes exist only from their line on.
try {
  process.exitCode = await demo(process.argv[2]);
} catch (error) {
  console.error(`error: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
} finally {
  for (const release of releases.reverse()) await release();
}
