/** `sersync check` for people: what was understood, what is wrong, what differs from sersync 2.5. */
import { spell } from '../config/advice.js';
import type { CheckedConfig } from '../config/check-config.js';
import type { Config, RemoteConfig } from '../config/config.js';
import type { Difference } from '../config/differences.js';
import type { ConfigProblem } from '../errors.js';
import { count } from '../observe/wording.js';

const WIDTH = 96;

export function describeCheck({ file, reading, problems }: CheckedConfig): string {
  const errors = problems.filter(({ severity }) => severity === 'error');
  const warnings = problems.filter(({ severity }) => severity === 'warning');
  const sections = [
    ...(reading === undefined
      ? []
      : [['understood 读取结果', ...understood(reading.config).map(([what, value]) => row(what, value))]]),
    ...(errors.length === 0 ? [] : [[`errors 错误 (${errors.length})`, ...errors.map(describe)]]),
    ...(warnings.length === 0 ? [] : [[`warnings 警告 (${warnings.length})`, ...warnings.map(describe)]]),
    ...(reading === undefined || reading.differences.length === 0
      ? []
      : [['different from sersync 2.5 与 sersync 2.5 的不同', ...reading.differences.map(describeDifference)]]),
  ];
  const encoding = reading === undefined ? '' : ` (${reading.encoding})`;
  const verdict =
    errors.length === 0
      ? `OK, ${count(warnings.length, 'warning')} 可以使用`
      : `NOT usable: ${count(errors.length, 'error')} 不可用，请先改正`;
  return [`${file}${encoding}`, ...sections.map((lines) => lines.join('\n')), `${file}: ${verdict}`, ''].join('\n\n');
}

/** What a file has that sersync 2.5 reads in another way, or not at all; for who changes over. */
export function describeMigration({ file, reading, problems }: CheckedConfig): string {
  const errors = problems.filter(({ severity }) => severity === 'error');
  const mended = problems.filter(({ mended }) => mended !== undefined);
  const sections = [
    ...(errors.length === 0 ? [] : [['errors 错误', ...errors.map(describe)]]),
    ...(mended.length === 0 ? [] : [['mended 已自动修正', ...mended.map(describe)]]),
    ...(reading === undefined ? [] : [['changes 变化', ...reading.differences.map(describeDifference)]]),
  ];
  return [file, ...sections.map((lines) => lines.join('\n')), ''].join('\n\n');
}

/** What a configuration means, units spelled out. */
export function understood(config: Config): [what: string, value: string][] {
  const { rsync, crontab, failLog, events } = config;
  const on = Object.entries(events).filter(([, isOn]) => isOn);
  return [
    ...config.localPaths.flatMap(({ watch, remotes }): [string, string][] => [
      ['watch', watch],
      ...remotes.map((remote): [string, string] => ['  to', describeRemote(remote, config)]),
    ]),
    ['events', on.length === 0 ? 'none: nothing is sent as it changes' : on.map(([name]) => name).join(' ')],
    ['delete', describeDelete(config)],
    ['filter', config.excludes.length === 0 ? 'off: everything is sent' : `excludes ${config.excludes.join('  ')}`],
    ['rsync', rsync.rawParams.trim()],
    ['login', rsync.ssh ? 'by ssh, with a key' : describeAuth(rsync.auth)],
    ['port', rsync.port === undefined ? `the usual one (${rsync.ssh ? 22 : 873})` : String(rsync.port)],
    [
      'timeout',
      rsync.timeoutSeconds === undefined
        ? 'off: a run is given up after 120 seconds without data'
        : `a run is given up after ${count(rsync.timeoutSeconds, 'second')} without data`,
    ],
    [
      'fail log',
      `${failLog.path}; what failed is tried again within seconds, at the latest every ${inMinutes(failLog.retryMinutes)}`,
    ],
    ['crontab', crontab === undefined ? 'off: no full syncs by the clock' : describeCrontab(crontab)],
    ['plugin', config.afterSyncPlugin ?? 'off'],
    ['debug', config.debug ? 'on: each change and each rsync command is logged' : 'off'],
  ];
}

function describeRemote({ ip, name, auth }: RemoteConfig, { rsync }: Config): string {
  const host = ip.includes(':') ? `[${ip}]` : ip;
  const target = `${host}${rsync.ssh ? ':' : '::'}${name}`;
  if (auth === undefined) return target;
  return `${target}, login: ${describeAuth(auth === 'none' ? undefined : auth)}`;
}

function describeAuth(auth: Config['rsync']['auth']): string {
  return auth === undefined ? 'without a password' : `as ${auth.users}, password in ${auth.passwordFile}`;
}

function describeDelete({ events, deleteLimitPercent }: Config): string {
  if (!events.delete) return 'off: nothing is ever deleted on the remotes (unless the params say so)';
  const limit = deleteLimitPercent === 'off' ? 'as many as it finds' : `at most ${deleteLimitPercent}% of the remote`;
  return `what is removed here is removed there; a full sync deletes ${limit} unasked`;
}

function describeCrontab({ schedule, excludes }: NonNullable<Config['crontab']>): string {
  const when =
    'everyMinutes' in schedule
      ? `a full sync every ${inMinutes(schedule.everyMinutes)}`
      : `a full sync at ${schedule.expression}`;
  return excludes.length === 0 ? when : `${when}, without ${excludes.join('  ')}`;
}

/** `60 minutes`; beyond what one sees at a glance also `600 minutes (10 hours)`. */
function inMinutes(minutes: number): string {
  const spelled = spell(minutes);
  const plain = count(minutes, 'minute');
  return plain === spelled ? plain : `${plain} (${spelled})`;
}

function describe({ line, column, message, hint, mended }: ConfigProblem): string {
  const place = line === 0 ? '' : `line ${line}${column === undefined ? '' : `, column ${column}`}: `;
  return [
    wrap(`${place}${message}`, '  ', '    '),
    ...((mended ?? '') === '' ? [] : [wrap(`read as ${mended ?? ''}`, '    ', '      ')]),
    ...(hint === undefined ? [] : [wrap(`-> ${hint}`, '    ', '       ')]),
  ].join('\n');
}

function describeDifference({ line, element, original, ours }: Difference): string {
  return [
    wrap(`${line === 0 ? '' : `line ${line}: `}${element}`, '  ', '    '),
    wrap(`2.5:  ${original}`, '    ', '          '),
    wrap(`here: ${ours}`, '    ', '          '),
  ].join('\n');
}

function row(what: string, value: string): string {
  return wrap(value, `  ${what.padEnd(10)}`, ' '.repeat(12));
}

/** Words in lines of at most `WIDTH` characters, where they have blanks. */
function wrap(text: string, first: string, following: string): string {
  const lines: string[] = [];
  let line = first;
  let isEmpty = true;
  for (const word of text.split(' ')) {
    if (!isEmpty && line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = following + word;
    } else {
      line += isEmpty ? word : ` ${word}`;
    }
    isEmpty = false;
  }
  return [...lines, line].join('\n');
}
