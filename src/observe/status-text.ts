/** The status and the held deletions as text for a person at a terminal. Pure. */
import {
  describeRuns,
  isInSync,
  judgeHealth,
  LONG_STALL_MS,
  type HeldDeletions,
  type HeldOnRemote,
  type RemoteStatus,
  type RootStatus,
  type ServiceStatus,
} from './status.js';
import { because, count, formatDuration, oneLine } from './wording.js';

/** One line of a block: what it is about, and what there is to say. */
type Row = readonly [label: string, text: string];

/** What `sersync status` prints: a block for the service and one for each watched directory; what is empty is left out. */
export function describeStatus(status: ServiceStatus): string {
  const { version, pid, startedAt, at, config, stateDirectory, journal, eventLoop, plugin } = status;
  const service = block(0, [
    ['sersync', `${version}, pid ${pid}, up ${formatDuration(at - startedAt)}`],
    ['config', config],
    ['state', stateDirectory],
    ...row(journal.failingSince, (since) => [
      'journal',
      `cannot be written for ${formatDuration(at - since)}${because(journal.reason)}`,
    ]),
    ...(eventLoop.maxStallMs > LONG_STALL_MS
      ? ([
          ['stalls', `${eventLoop.stallMs} ms in the last minute, ${eventLoop.maxStallMs} ms since the start`],
        ] as const)
      : []),
    ...row(plugin, (running) => ['plugin', `${running.name}: ${describeRuns(running)}`]),
    ...row(plugin?.lastError, (error) => [
      'plugin',
      `failed ${formatDuration(at - error.at)} ago for ${error.path}${because(error.reason)}`,
    ]),
    ['health', judgeHealth(status).line],
  ]);
  return [service, ...status.roots.map((root) => describeRoot(root, at))].join('');
}

function describeRoot({ root, watcher, source, catchUp, remotes }: RootStatus, at: number): string {
  const { kind, directories, blind, partlyBlind, partlyBlindCount, lastOverflow, audit, missedTotal } = watcher;
  const rows: Row[] = [
    ['watcher', `${kind}, ${count(directories, 'directory', 'directories')}`],
    ...row(blind, ({ since, reason }) => ['blind', `for ${formatDuration(at - since)}${because(reason)}`]),
    ...partlyBlind.map(({ path, since, reason }): Row => [
      'not seen',
      `${path} for ${formatDuration(at - since)}${because(reason)}`,
    ]),
    ...more('not seen', partlyBlindCount - partlyBlind.length),
    ...(source.state === 'well' ? [] : ([['source', `${source.state}${because(source.reason)}`]] as const)),
    ...row(catchUp, ({ reason }) => ['catch-up', `under way${because(reason)}`]),
    ...row(lastOverflow, (lost) => ['overflow', `${formatDuration(at - lost.at)} ago${because(lost.reason)}`]),
    ...row(audit, ({ at: audited, names, missed, durationMs }) => [
      'audit',
      `${formatDuration(at - audited)} ago, ${count(names, 'name')} in ${formatDuration(durationMs)}, ` +
        `${missed} missed, ${missedTotal} since the start`,
    ]),
  ];
  return `\n${oneLine(root)}\n${block(2, rows)}${remotes.map((remote) => describeRemote(remote, at)).join('')}`;
}

function describeRemote(remote: RemoteStatus, at: number): string {
  const { state, reason, lagMs, pending, inFlight, retrying, held, heldReasons, failing } = remote;
  const numbers = [
    lagMs > 0 ? `behind ${formatDuration(lagMs)}` : '',
    pending > 0 ? `${pending} pending` : '',
    inFlight > 0 ? `${inFlight} in flight` : '',
    retrying > 0 ? `${retrying} retrying` : '',
    held > 0 ? `${held} held` : '',
    isInSync(remote) ? 'in sync' : '',
  ].filter((text) => text !== '');
  const rows: Row[] = [
    ['state', [state, ...numbers].join(', ')],
    ...row(reason, (text) => ['because', text]),
    ...row(remote.resync, (resync) => ['resync', `${Math.floor(resync.fraction * 100)} %${because(resync.reason)}`]),
    ...row(remote.lastSyncedAt, (synced) => ['synced', `${formatDuration(at - synced)} ago`]),
    ...row(remote.lastError, (error) => ['error', `${formatDuration(at - error.at)} ago${because(error.reason)}`]),
    ...heldReasons.map((text): Row => ['held', text]),
    ...(remote.mayDelete
      ? []
      : ([['deletes', 'comparing only copies: no full resync (-r, crontab) has completed yet']] as const)),
    ...(remote.newerOnRemote > 0
      ? ([['newer', `${count(remote.newerOnRemote, 'file')} there, not overwritten (-u in the params)`]] as const)
      : []),
    ...failing.map(({ path, reason: why, attempts }): Row => [
      'failing',
      `${path}, ${count(attempts, 'attempt')}${because(why)}`,
    ]),
    ...more('failing', retrying - failing.length),
  ];
  return `  ${oneLine(remote.remote)}\n${block(4, rows)}`;
}

/** What `sersync held` prints: for each remote the reasons, and below each all the names. `now`: milliseconds since 1970. */
export function describeHeld({ remotes }: HeldDeletions, now: number): string {
  const waiting = remotes.filter(({ held, more: unnamed }) => held.length > 0 || unnamed > 0);
  if (waiting.length === 0) return 'no deletion is held\n';
  return waiting.map((remote) => describeHeldOnRemote(remote, now)).join('\n');
}

function describeHeldOnRemote({ root, remote, held, more: unnamed }: HeldOnRemote, now: number): string {
  const reasons = [...new Set(held.map(({ reason }) => reason))];
  const groups = reasons.map((reason) => {
    const names = held.filter((name) => name.reason === reason);
    const since = names.reduce((oldest, name) => Math.min(oldest, name.since), now);
    const listed = names.map(({ path }) => `    ${oneLine(path)}\n`).join('');
    return `  ${count(names.length, 'name')} for ${formatDuration(now - since)}${because(oneLine(reason))}\n${listed}`;
  });
  const rest = unnamed > 0 ? `  ${count(unnamed, 'more place')} with names that are not kept one by one\n` : '';
  return `${oneLine(root)} -> ${oneLine(remote)}\n${groups.join('')}${rest}`;
}

function row<T>(value: T | undefined, describe: (value: T) => Row): Row[] {
  return value === undefined ? [] : [describe(value)];
}

function more(label: string, number: number): Row[] {
  return number > 0 ? [[label, `and ${number} more`]] : [];
}

/** Rows below each other, their texts in one column. */
function block(indent: number, rows: readonly Row[]): string {
  const width = Math.max(...rows.map(([label]) => label.length)) + 2;
  return rows.map(([label, text]) => `${' '.repeat(indent)}${label.padEnd(width)}${oneLine(text)}\n`).join('');
}
