import { isIPv6 } from 'node:net';
import { compileExpression } from '../core/filter.js';
import type { ConfigProblem } from '../errors.js';
import { messageOf } from '../errors.js';
import {
  DEFAULTS,
  PLUGIN_NAMES,
  WATCHER_CHOICES,
  type Config,
  type ConfigElement,
  type CrontabConfig,
  type EventSwitches,
  type LocalPathConfig,
  type PluginConfig,
  type PluginName,
  type RemoteConfig,
  type RsyncConfig,
  type WatcherChoice,
} from './config.js';
import { parseConfXml } from './confxml.js';
import { readCommonParams } from './read-params.js';
import { findPluginRoots, findPluginSection, readPluginSection } from './read-plugins.js';
import { hasFilterRules, type RuleSource } from './read-rules.js';
import type { DecodedText } from './text-encoding.js';
import { checkVocabulary, closest } from './vocabulary.js';

/** What the program is started for: to sync, or to run this plugin alone (`-m`), which needs no remotes. */
export type Purpose = 'sync' | PluginName;

/** Something that only the disk can tell: asked for by the pure part, answered by `load-config`. */
export interface DiskCheck {
  readonly kind: 'watched-directory' | 'password-file';
  readonly path: string;
  readonly line: number;
}

export interface ConfigReading {
  /** What it was read from; `undefined` when the file has no `<head>`. */
  readonly head: ConfigElement | undefined;
  readonly encoding: DecodedText['encoding'];
  /** Usable only when no problem is an error. */
  readonly config: Config;
  /** In the order of lines. */
  readonly problems: readonly ConfigProblem[];
  readonly diskChecks: readonly DiskCheck[];
  /** Where filter rules come from, some of them from files: to be read into `config.rsync.filterRules`. */
  readonly ruleSource: RuleSource | undefined;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The configuration in the bytes of a confxml.xml, with all that is wrong with it. Pure: `file` is only a name, `env`
 * gives `SERSYNC_WATCHER`. Throws nothing.
 */
export function readConfig(
  bytes: Uint8Array,
  file: string,
  env: Environment,
  purpose: Purpose = 'sync',
): ConfigReading {
  const document = parseConfXml(bytes);
  const report = new Report(document.problems);
  const head = findHead(document.root, report);
  report.addAll(document.root?.name === 'head' ? checkVocabulary(document.root) : []);
  const diskChecks: DiskCheck[] = [];
  const sersync = only(head, 'sersync', report);
  const inotify = only(head, 'inotify', report);
  const watcher = only(sersync, 'watcher', report);
  const crontab = readCrontab(only(sersync, 'crontab', report), report);
  const afterSyncPlugin = readAfterSyncPlugin(head, sersync, report);
  const plugin = readPlugin(head, purpose, afterSyncPlugin, report);
  const config: Config = {
    file,
    host: readHost(only(head, 'host', report), report),
    debug: readSwitch(only(head, 'debug', report), 'start', DEFAULTS.debug, report),
    xfs: readSwitch(only(head, 'fileSystem', report), 'xfs', DEFAULTS.xfs, report),
    excludes: readFilter(only(head, 'filter', report), report),
    events: readEvents(inotify, report),
    dotfiles: readSwitch(only(inotify, 'dotfiles', report), 'start', DEFAULTS.dotfiles, report),
    ...(purpose === 'sync'
      ? readDestinations(sersync, report, diskChecks)
      : readPluginRoots(head, sersync, purpose, report, diskChecks)),
    failLog: readFailLog(only(sersync, 'failLog', report), report),
    ...(crontab === undefined ? {} : { crontab }),
    ...(afterSyncPlugin === undefined ? {} : { afterSyncPlugin }),
    plugins: childrenOf(head, 'plugin').map((element) => ({
      name: (element.attributes['name'] ?? '').trim(),
      line: element.line,
      element,
    })),
    ...(plugin === undefined ? {} : { plugin }),
    deleteLimitPercent: readDeleteLimit(childrenOf(inotify, 'delete')[0], report),
    auditMinutes: readAudit(watcher, report),
    watcher: readWatcher(watcher, env, report),
  };
  return {
    head: head === NOTHING ? undefined : head,
    encoding: document.encoding,
    config,
    problems: report.inOrder(),
    diskChecks,
    ruleSource: ruleSourceOf(config, sersync),
  };
}

function ruleSourceOf({ rsync, localPaths }: Config, sersync: ConfigElement | undefined): RuleSource | undefined {
  if (!hasFilterRules(rsync.params)) return undefined;
  const [element] = childrenOf(childrenOf(sersync, 'rsync')[0], 'commonParams');
  return {
    params: rsync.params,
    watched: localPaths.map(({ watch }) => watch),
    line: element?.line ?? 0,
  };
}

/** Gathers problems; a line that could not be read as XML is not complained about a second time. */
class Report {
  private readonly problems: ConfigProblem[];
  private readonly brokenLines: ReadonlySet<number>;

  constructor(found: readonly ConfigProblem[]) {
    this.problems = [...found];
    this.brokenLines = new Set(
      found.filter(({ severity, line }) => severity === 'error' && line > 0).map(({ line }) => line),
    );
  }

  error(line: number, message: string, hint?: string): void {
    if (!this.brokenLines.has(line)) this.add('error', line, message, hint);
  }

  warn(line: number, message: string, hint?: string): void {
    this.add('warning', line, message, hint);
  }

  addAll(problems: readonly ConfigProblem[]): void {
    this.problems.push(...problems);
  }

  inOrder(): ConfigProblem[] {
    return this.problems.map(bounded).sort((one, other) => one.line - other.line);
  }

  private add(severity: ConfigProblem['severity'], line: number, message: string, hint?: string): void {
    this.problems.push({ severity, line, message, ...(hint === undefined ? {} : { hint }) });
  }
}

/** Of a value of megabytes nobody wants to read more. */
const MAX_TEXT = 600;

function bounded(problem: ConfigProblem): ConfigProblem {
  const cut = (text: string): string => (text.length <= MAX_TEXT ? text : `${text.slice(0, MAX_TEXT)}...`);
  const { message, hint } = problem;
  return { ...problem, message: cut(message), ...(hint === undefined ? {} : { hint: cut(hint) }) };
}

const NOTHING: ConfigElement = { name: '', line: 0, column: 0, attributes: {}, children: [] };

function findHead(root: ConfigElement | undefined, report: Report): ConfigElement {
  if (root?.name === 'head') return root;
  if (root === undefined) {
    report.error(0, 'there is no <head> element in it', 'begin with the sample conf/confxml.xml');
  } else {
    report.error(
      root.line,
      `the file begins with <${root.name}>, not with <head>`,
      'put <head version="2.5"> ... </head> around everything',
    );
  }
  return NOTHING;
}

function childrenOf(parent: ConfigElement | undefined, name: string): readonly ConfigElement[] {
  return parent?.children.filter((child) => child.name === name) ?? [];
}

/** The element of that name; when there are several the first, as sersync 2.5 has it. */
function only(parent: ConfigElement | undefined, name: string, report: Report): ConfigElement | undefined {
  const [first, ...others] = childrenOf(parent, name);
  for (const other of others) {
    report.warn(
      other.line,
      `a second <${name}> is ignored: the one in line ${first?.line ?? 0} counts`,
      'remove one of them',
    );
  }
  return first;
}

function attributeOf(element: ConfigElement | undefined, name: string): string | undefined {
  return element?.attributes[name]?.trim();
}

function isOn(element: ConfigElement | undefined, report: Report): boolean {
  return readSwitch(element, 'start', false, report);
}

/** On only when the value is exactly `true`, as in sersync 2.5; `fallback` where the element is missing. */
function readSwitch(element: ConfigElement | undefined, attribute: string, fallback: boolean, report: Report): boolean {
  if (element === undefined) return fallback;
  const value = element.attributes[attribute];
  if (value === undefined) {
    report.warn(
      element.line,
      `<${element.name}> has no ${attribute}=: it is off`,
      `write ${attribute}="true" or ${attribute}="false"`,
    );
  } else if (value !== 'true' && value !== 'false') {
    const what = `<${element.name} ${attribute}="${value}"> is neither "true" nor "false": it is off`;
    report.warn(element.line, what, `write ${attribute}="true" to switch it on`);
  }
  return value === 'true';
}

interface NumberRange {
  readonly from: number;
  readonly to: number;
  readonly what: string;
}

const PORT: NumberRange = { from: 1, to: 65_535, what: 'a port' };
const MINUTES: NumberRange = { from: 1, to: 10_000_000, what: 'a number of minutes' };
const SECONDS: NumberRange = { from: 0, to: 1_000_000, what: 'a number of seconds' };

/** The number in an attribute; `fallback` where it is missing, and after a complaint. */
function readNumber<T>(
  element: ConfigElement,
  attribute: string,
  range: NumberRange,
  fallback: T,
  report: Report,
): number | T {
  const text = attributeOf(element, attribute);
  if (text === undefined) return fallback;
  const number = parseNumber(text, range);
  if (number !== undefined) return number;
  const found = `<${element.name} ${attribute}="${text}">: ${range.what} from ${range.from} to ${range.to} was expected`;
  report.error(element.line, found, `write ${attribute}="number"`);
  return fallback;
}

function parseNumber(text: string, range: NumberRange): number | undefined {
  const number = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
  return number >= range.from && number <= range.to ? number : undefined;
}

function readHost(element: ConfigElement | undefined, report: Report): Config['host'] {
  if (element === undefined) return DEFAULTS.host;
  return {
    ip: attributeOf(element, 'hostip') ?? DEFAULTS.host.ip,
    port: readNumber(element, 'port', PORT, DEFAULTS.host.port, report),
  };
}

function readFilter(element: ConfigElement | undefined, report: Report): string[] {
  if (!isOn(element, report) || element === undefined) return [];
  const elements = childrenOf(element, 'exclude');
  if (elements.length === 0) {
    report.warn(
      element.line,
      'the filter is on and has no expressions: nothing is excluded',
      'write <exclude expression="..."/> into it',
    );
  }
  const expressions = elements.flatMap((exclude) => readExpression(exclude, report));
  return [...new Set(expressions)];
}

function readExpression(exclude: ConfigElement, report: Report): string[] {
  const expression = exclude.attributes['expression'] ?? '';
  if (expression.trim() === '') {
    report.warn(
      exclude.line,
      '<exclude> has an empty expression: it excludes nothing',
      'write expression="..." or remove it',
    );
    return [];
  }
  const complaint = complainAboutExpression(expression);
  if (complaint === undefined) return [expression];
  report.warn(
    exclude.line,
    `<exclude expression="${expression}"> is no regular expression (${complaint}): it EXCLUDES NOTHING, the others work`,
    /^[*?]/.test(expression)
      ? `did you mean expression="${suggestForGlob(expression)}"?`
      : 'write it as a regular expression of the relative path',
  );
  return [];
}

function complainAboutExpression(expression: string): string | undefined {
  try {
    compileExpression(expression);
    return undefined;
  } catch (error) {
    return messageOf(error)
      .replace(/^Invalid regular expression: \/.*\/[a-z]*: /s, '')
      .toLowerCase();
  }
}

/** `*.php`, a file name pattern, as the expression that it was meant to be. */
function suggestForGlob(pattern: string): string {
  return pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '(.*)')
    .replaceAll('?', '.');
}

function readEvents(element: ConfigElement | undefined, report: Report): EventSwitches {
  const read = (name: keyof EventSwitches): boolean =>
    readSwitch(only(element, name, report), 'start', DEFAULTS.events[name], report);
  return {
    delete: read('delete'),
    createFolder: read('createFolder'),
    createFile: read('createFile'),
    closeWrite: read('closeWrite'),
    moveFrom: read('moveFrom'),
    moveTo: read('moveTo'),
    attrib: read('attrib'),
    modify: read('modify'),
  };
}

const PERCENT: NumberRange = { from: 0, to: 100, what: 'off, or a number of percent' };
const AUDIT_MINUTES: NumberRange = { from: 0, to: 10_000_000, what: 'a number of minutes' };

function readDeleteLimit(element: ConfigElement | undefined, report: Report): Config['deleteLimitPercent'] {
  if (element === undefined) return DEFAULTS.deleteLimitPercent;
  if (attributeOf(element, 'limit') === 'off') return 'off';
  return readNumber(element, 'limit', PERCENT, DEFAULTS.deleteLimitPercent, report);
}

function readAudit(element: ConfigElement | undefined, report: Report): number {
  if (element === undefined) return DEFAULTS.auditMinutes;
  return readNumber(element, 'auditMinutes', AUDIT_MINUTES, DEFAULTS.auditMinutes, report);
}

type Destinations = Pick<Config, 'localPaths' | 'rsync'>;

function readDestinations(sersync: ConfigElement | undefined, report: Report, checks: DiskCheck[]): Destinations {
  const rsync = readRsync(only(sersync, 'rsync', report), report, checks);
  const elements = childrenOf(sersync, 'localpath');
  if (elements.length === 0) {
    const hint =
      'write <localpath watch="/data/www"><remote ip="192.168.0.2" name="module"/></localpath> into <sersync>';
    report.error(sersync?.line ?? 0, 'there is no <localpath> to be watched in <sersync>', hint);
  }
  const read = elements.flatMap((element) => readLocalPath(element, rsync.ssh, 'sync', report, checks));
  const localPaths = mergeSameWatch(read, report);
  warnOfOverlaps(localPaths, report);
  return { localPaths: localPaths.map(withoutLines), rsync };
}

/** What a plugin that runs alone watches. Nothing is sent, so neither `<remote>` nor `<rsync>` is read. */
function readPluginRoots(
  head: ConfigElement,
  sersync: ConfigElement | undefined,
  name: PluginName,
  report: Report,
  checks: DiskCheck[],
): Destinations {
  const elements = findPluginRoots(head, sersync, name, report).map((element) => ({ ...element, children: [] }));
  const read = elements.flatMap((element) => readLocalPath(element, false, name, report, checks));
  return {
    localPaths: mergeSameWatch(read, report).map(withoutLines),
    rsync: readRsync(undefined, report, checks),
  };
}

/** A value and the line where it was found, until all are compared. */
interface RemoteAt extends RemoteConfig {
  readonly line: number;
}
interface LocalPathAt {
  readonly watch: string;
  readonly line: number;
  readonly remotes: readonly RemoteAt[];
}

function withoutLines(localPath: LocalPathAt): LocalPathConfig {
  return {
    watch: localPath.watch,
    remotes: localPath.remotes.map(({ ip, name, auth }) => ({ ip, name, ...(auth === undefined ? {} : { auth }) })),
  };
}

function readLocalPath(
  element: ConfigElement,
  ssh: boolean,
  purpose: Purpose,
  report: Report,
  checks: DiskCheck[],
): LocalPathAt[] {
  const { line } = element;
  const remoteElements = childrenOf(element, 'remote');
  const remotes = remoteElements.flatMap((remote) => readRemote(remote, ssh, report, checks));
  const written = attributeOf(element, 'watch') ?? '';
  if (remoteElements.length === 0 && purpose === 'sync') {
    const hint = 'write <remote ip="192.168.0.2" name="module"/> into it';
    report.error(line, `<localpath watch="${written}"> has no <remote>: there is nowhere to sync to`, hint);
  }
  if (!written.startsWith('/')) {
    const found = written === '' ? '<localpath> does not say what to watch' : `watch="${written}" is no absolute path`;
    report.error(line, found, 'write the full path of the directory, as in watch="/data/www"');
    return [];
  }
  const watch = normalizeWatch(written);
  checks.push({ kind: 'watched-directory', path: watch, line });
  return [{ watch, line, remotes }];
}

/** A `watch` as it is used; as it is written when it is no absolute path. */
export function watchedPath(written: string): string {
  return written.startsWith('/') ? normalizeWatch(written) : written;
}

/** Without doubled slashes, `.` parts and a slash at the end. `..` stays: behind a link it is for the disk to resolve. */
function normalizeWatch(path: string): string {
  return `/${path
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .join('/')}`;
}

function readRemote(element: ConfigElement, ssh: boolean, report: Report, checks: DiskCheck[]): RemoteAt[] {
  const { line } = element;
  const address = readAddress(attributeOf(element, 'ip') ?? '', line, report);
  const name = readRemoteName(attributeOf(element, 'name') ?? '', ssh, line, report);
  const own = only(element, 'auth', report);
  const auth = own === undefined ? undefined : (readAuth(own, ssh, report, checks) ?? 'none');
  return address === undefined || name === undefined
    ? []
    : [{ ip: address, name, ...(auth === undefined ? {} : { auth }), line }];
}

function readAddress(text: string, line: number, report: Report): string | undefined {
  const [, user = '', host = ''] = /^(?:([^@]*)@)?(.*)$/s.exec(text) ?? [];
  const bare = /^\[(.*)\]$/.exec(host)?.[1] ?? host;
  if (bare === '') {
    report.error(
      line,
      '<remote>: ip is empty',
      'write the address or the name of the rsync server, as in ip="192.168.0.2"',
    );
  } else if (text.startsWith('-') || bare.startsWith('-') || /[\s/]/.test(text)) {
    report.error(
      line,
      `<remote ip="${text}">: this is no host`,
      'write the address or the name alone, as in ip="192.168.0.2"',
    );
  } else if (bare.includes(':') && !isIPv6(bare)) {
    const hint = 'write the address alone; a port goes into <userDefinedPort start="true" port="..."/>';
    report.error(line, `<remote ip="${text}">: this is neither a host nor an IPv6 address`, hint);
  } else {
    return user === '' ? bare : `${user}@${bare}`;
  }
  return undefined;
}

function readRemoteName(text: string, ssh: boolean, line: number, report: Report): string | undefined {
  const name = text.replace(/(?<=[^/])\/+$/, '').replace(/^\/+/, '/');
  if (name === '') {
    const what = ssh
      ? 'the path on the remote, as in name="/data/backup"'
      : 'the rsync server\'s module, as in name="backup"';
    report.error(line, '<remote>: name is empty', `write ${what}`);
    return undefined;
  }
  if (!ssh && /^[/:]/.test(name)) {
    // rsync: "The remote path must start with a module name not a /".
    const hint = `write the module of the server's rsyncd.conf, as in name="backup"; a path needs <ssh start="true"/>`;
    report.error(line, `<remote name="${text}">: a module's name was expected`, hint);
    return undefined;
  }
  return name;
}

function mergeSameWatch(localPaths: readonly LocalPathAt[], report: Report): LocalPathAt[] {
  const byWatch = new Map<string, LocalPathAt>();
  for (const localPath of localPaths) {
    const first = byWatch.get(localPath.watch);
    if (first !== undefined) {
      const found = `${localPath.watch} is watched by the <localpath> of line ${first.line} already: their remotes are joined`;
      report.warn(localPath.line, found, 'write all its remotes into one <localpath>');
    }
    const remotes = [...(first?.remotes ?? []), ...localPath.remotes];
    byWatch.set(localPath.watch, { ...localPath, ...first, remotes });
  }
  return [...byWatch.values()].map((localPath) => ({
    ...localPath,
    remotes: withoutRepeated(localPath.remotes, report),
  }));
}

function withoutRepeated(remotes: readonly RemoteAt[], report: Report): RemoteAt[] {
  const seen = new Map<string, RemoteAt>();
  for (const remote of remotes) {
    const key = `${remote.ip} ${remote.name}`;
    const first = seen.get(key);
    if (first === undefined) seen.set(key, remote);
    else
      report.warn(
        remote.line,
        `the remote ${remote.ip} ${remote.name} stands in line ${first.line} already: it counts once`,
        'remove one',
      );
  }
  return [...seen.values()];
}

function warnOfOverlaps(localPaths: readonly LocalPathAt[], report: Report): void {
  localPaths.forEach((later, index) => {
    for (const earlier of localPaths.slice(0, index)) {
      if (isWithin(later.watch, earlier.watch) || isWithin(earlier.watch, later.watch)) {
        report.warn(
          later.line,
          `${later.watch} and ${earlier.watch} (line ${earlier.line}) overlap: what is in both is sent twice`,
        );
      }
      for (const remote of later.remotes) warnOfSharedTarget(remote, earlier, report);
    }
  });
}

function warnOfSharedTarget(remote: RemoteAt, earlier: LocalPathAt, report: Report): void {
  const other = earlier.remotes.find(
    ({ ip, name }) => ip === remote.ip && (isWithin(name, remote.name) || isWithin(remote.name, name)),
  );
  if (other === undefined) return;
  const found = `the remote ${remote.ip} ${remote.name} also receives ${earlier.watch} (line ${other.line}): each full sync may delete what the other one brought`;
  report.warn(remote.line, found, 'give each <localpath> a module or directory of its own');
}

/** Whether `path` is `ancestor` or below it. */
function isWithin(path: string, ancestor: string): boolean {
  return path === ancestor || path.startsWith(ancestor === '/' ? '/' : `${ancestor}/`);
}

function readRsync(element: ConfigElement | undefined, report: Report, checks: DiskCheck[]): RsyncConfig {
  const ssh = isOn(only(element, 'ssh', report), report);
  const auth = readAuth(only(element, 'auth', report), ssh, report, checks);
  const port = readPort(only(element, 'userDefinedPort', report), report);
  const timeoutSeconds = readTimeout(only(element, 'timeout', report), report);
  return {
    ...readParams(only(element, 'commonParams', report), report),
    ...(auth === undefined ? {} : { auth }),
    ...(port === undefined ? {} : { port }),
    ...(timeoutSeconds === undefined ? {} : { timeoutSeconds }),
    ssh,
    standby: readSwitch(only(element, 'standby', report), 'start', DEFAULTS.standby, report),
  };
}

function readParams(element: ConfigElement | undefined, report: Report): Pick<RsyncConfig, 'params' | 'rawParams'> {
  const rawParams = element?.attributes['params'] ?? '';
  if (element !== undefined && rawParams.trim() === '') {
    report.warn(
      element.line,
      `<commonParams> is empty: ${DEFAULTS.params} is used`,
      `write params="${DEFAULTS.params}"`,
    );
  }
  if (element === undefined || rawParams.trim() === '')
    return { params: [DEFAULTS.params], rawParams: DEFAULTS.params };
  const { words, findings } = readCommonParams(rawParams);
  for (const { severity, message, hint } of findings) {
    const found = `<commonParams params=...>: ${message}`;
    if (severity === 'error') report.error(element.line, found, hint);
    else report.warn(element.line, found, hint);
  }
  return { params: words, rawParams };
}

function readAuth(
  element: ConfigElement | undefined,
  ssh: boolean,
  report: Report,
  checks: DiskCheck[],
): RsyncConfig['auth'] {
  if (!isOn(element, report) || element === undefined) return undefined;
  const { line } = element;
  if (ssh) {
    report.warn(line, '<auth> has no effect while <ssh> is on', 'ssh logs in by key: write ip="user@host" for a user');
    return undefined;
  }
  const users = attributeOf(element, 'users') ?? '';
  const passwordFile = attributeOf(element, 'passwordfile') ?? '';
  if (users === '')
    report.error(
      line,
      '<auth> is on and users is empty',
      'write users="..." as in "auth users" of rsyncd.conf, or start="false"',
    );
  if (passwordFile === '')
    report.error(
      line,
      '<auth> is on and passwordfile is empty',
      'write passwordfile="/etc/rsync.pas", or start="false"',
    );
  if (passwordFile !== '') checks.push({ kind: 'password-file', path: passwordFile, line });
  return { users, passwordFile };
}

function readPort(element: ConfigElement | undefined, report: Report): number | undefined {
  if (!isOn(element, report) || element === undefined) return undefined;
  if (attributeOf(element, 'port') === undefined) {
    report.error(element.line, '<userDefinedPort> is on and has no port', 'write port="873", or start="false"');
  }
  return readNumber(element, 'port', PORT, undefined, report);
}

function readTimeout(element: ConfigElement | undefined, report: Report): number | undefined {
  if (!isOn(element, report) || element === undefined) return undefined;
  if (attributeOf(element, 'time') === undefined) {
    report.error(element.line, '<timeout> is on and has no time', 'write time="100" (seconds), or start="false"');
  }
  const seconds = readNumber(element, 'time', SECONDS, undefined, report);
  return seconds === 0 ? undefined : seconds;
}

function readFailLog(element: ConfigElement | undefined, report: Report): Config['failLog'] {
  if (element === undefined) return DEFAULTS.failLog;
  const path = attributeOf(element, 'path') ?? DEFAULTS.failLog.path;
  if (!path.startsWith('/')) {
    report.error(
      element.line,
      `<failLog path="${path}">: an absolute path was expected`,
      `write path="${DEFAULTS.failLog.path}"`,
    );
  }
  return { path, retryMinutes: readNumber(element, 'timeToExecute', MINUTES, DEFAULTS.failLog.retryMinutes, report) };
}

function readCrontab(element: ConfigElement | undefined, report: Report): CrontabConfig | undefined {
  if (!isOn(element, report) || element === undefined) return undefined;
  const filter = only(element, 'crontabfilter', report);
  const patterns = isOn(filter, report)
    ? childrenOf(filter, 'exclude').map((exclude) => exclude.attributes['expression'] ?? '')
    : [];
  return { schedule: readSchedule(element, report), excludes: patterns.filter((pattern) => pattern.trim() !== '') };
}

/** What one field of a cron expression may be made of; the scheduler checks the values. */
const CRON_FIELD = /^[\d*/,\-A-Za-z#?]+$/;

function readSchedule(element: ConfigElement, report: Report): CrontabConfig['schedule'] {
  const everyMinutes = DEFAULTS.crontabEveryMinutes;
  const text = attributeOf(element, 'schedule');
  if (text === undefined) return { everyMinutes };
  const minutes = parseNumber(text, MINUTES);
  if (minutes !== undefined) return { everyMinutes: minutes };
  const fields = text.split(/\s+/);
  if ((fields.length === 5 || fields.length === 6) && fields.every((field) => CRON_FIELD.test(field))) {
    return { expression: fields.join(' ') };
  }
  const hint = 'write minutes, as in schedule="600", or a cron expression, as in schedule="30 3 * * *"';
  report.error(element.line, `<crontab schedule="${text}"> is neither a number of minutes nor a cron expression`, hint);
  return { everyMinutes };
}

function readAfterSyncPlugin(
  head: ConfigElement,
  sersync: ConfigElement | undefined,
  report: Report,
): PluginName | undefined {
  const element = only(sersync, 'plugin', report);
  if (!isOn(element, report) || element === undefined) return undefined;
  const written = attributeOf(element, 'name') ?? '';
  const name = PLUGIN_NAMES.find((known) => known === written);
  if (name === undefined) {
    const meant = closest(written, PLUGIN_NAMES);
    const hint = meant === undefined ? `write one of ${PLUGIN_NAMES.join(', ')}` : `did you mean name="${meant}"?`;
    report.error(element.line, `there is no plugin "${written}"`, hint);
  } else if (!childrenOf(head, 'plugin').some((section) => attributeOf(section, 'name') === name)) {
    report.warn(
      element.line,
      `the plugin ${name} is on and has no <plugin name="${name}"> section in <head>`,
      'add the section',
    );
  }
  return name;
}

/** The settings of the plugin that is to run. */
function readPlugin(
  head: ConfigElement,
  purpose: Purpose,
  afterSyncPlugin: PluginName | undefined,
  report: Report,
): PluginConfig | undefined {
  const name = purpose === 'sync' ? afterSyncPlugin : purpose;
  const section = name === undefined ? undefined : findPluginSection(head, name);
  if (name !== undefined && section !== undefined) return readPluginSection(section, name, report);
  if (purpose !== 'sync') {
    report.error(
      0,
      `-m ${purpose}: there is no <plugin name="${purpose}"> section in <head>`,
      'add it: the sample conf/confxml.xml has one of each',
    );
  }
  return undefined;
}

function readWatcher(element: ConfigElement | undefined, env: Environment, report: Report): WatcherChoice {
  const fromEnvironment = env['SERSYNC_WATCHER']?.trim() ?? '';
  const written = fromEnvironment !== '' ? fromEnvironment : attributeOf(element, 'kind');
  if (written === undefined) return DEFAULTS.watcher;
  const choice = WATCHER_CHOICES.find((known) => known === written);
  if (choice !== undefined) return choice;
  const hint = `write one of ${WATCHER_CHOICES.join(', ')}`;
  if (fromEnvironment !== '') report.error(0, `the environment's SERSYNC_WATCHER="${written}" is no watcher`, hint);
  else report.error(element?.line ?? 0, `<watcher kind="${written}"> is no watcher`, hint);
  return DEFAULTS.watcher;
}
