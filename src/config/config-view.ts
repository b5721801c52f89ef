import { DEFAULTS, type Config, type ConfigElement, type EventSwitches, type PluginName } from './config.js';

/**
 * What a configuration says, in the words and forms of sersync 2.5: texts as they are written in the file (numbers too), and
 * nothing of what is switched off. Only the first `<localpath>` has a place in it.
 */
export interface ConfigView {
  readonly hostip: string;
  readonly hostport: string;
  readonly filter: boolean;
  readonly excludes: readonly string[];
  /** The inotify switches that are on. */
  readonly events: readonly (keyof EventSwitches)[];
  readonly debug: boolean;
  readonly xfs: boolean;
  readonly failLog: string;
  readonly failLogSeconds: string;
  /** Minutes, or a cron expression; `-1`: off. */
  readonly crontabMinutes: string;
  readonly crontabExcludes: readonly string[];
  readonly auth: boolean;
  readonly users: string;
  readonly passwordfile: string;
  readonly ssh: boolean;
  readonly port: string;
  readonly timeout: string;
  readonly params: string;
  readonly afterSyncPlugin: string;
  /** As written. */
  readonly watch: string;
  /** `ip :: name` */
  readonly remotes: readonly string[];
  readonly prefix?: string;
  readonly suffix?: string;
  readonly ignoreError?: string;
  readonly pluginFilter?: boolean;
  readonly includes?: readonly string[];
}

const EVENT_ORDER = [
  'delete',
  'createFile',
  'createFolder',
  'closeWrite',
  'moveFrom',
  'moveTo',
  'attrib',
  'modify',
] as const satisfies readonly (keyof EventSwitches)[];

/** `plugin`: the one that is to run alone (`-m`). */
export function viewOf(head: ConfigElement, config: Config, plugin?: PluginName): ConfigView {
  const sersync = first(head, 'sersync');
  const rsync = first(sersync, 'rsync');
  const host = first(head, 'host');
  const filter = first(head, 'filter');
  const auth = first(rsync, 'auth');
  const afterSync = first(sersync, 'plugin');
  const localpath = first(sersync, 'localpath');
  const section = head.children.find(
    (child) => child.name === 'plugin' && child.attributes['name']?.trim() === plugin && plugin !== undefined,
  );
  const watched = plugin === undefined || plugin === 'command' ? localpath : first(section, 'localpath');
  return {
    hostip: host?.attributes['hostip'] ?? DEFAULTS.host.ip,
    hostport: host?.attributes['port'] ?? String(DEFAULTS.host.port),
    filter: isOn(filter),
    excludes: isOn(filter) ? expressionsOf(filter, 'exclude') : [],
    events: EVENT_ORDER.filter((name) => config.events[name]),
    debug: config.debug,
    xfs: config.xfs,
    failLog: config.failLog.path,
    failLogSeconds: String(config.failLog.retryMinutes * 60),
    crontabMinutes: crontabOf(config),
    crontabExcludes: config.crontab?.excludes ?? [],
    auth: isOn(auth),
    users: whenOn(auth, 'users'),
    passwordfile: whenOn(auth, 'passwordfile'),
    ssh: config.rsync.ssh,
    port: whenOn(first(rsync, 'userDefinedPort'), 'port'),
    timeout: whenOn(first(rsync, 'timeout'), 'time'),
    params: config.rsync.rawParams,
    afterSyncPlugin: whenOn(afterSync, 'name'),
    watch: watched?.attributes['watch']?.trim() ?? '',
    remotes: (localpath?.children ?? [])
      .filter(({ name }) => name === 'remote')
      .map(({ attributes }) => `${attributes['ip'] ?? ''} :: ${attributes['name'] ?? ''}`),
    ...(plugin === 'command' ? commandView(section) : {}),
  };
}

function commandView(
  section: ConfigElement | undefined,
): Pick<ConfigView, 'prefix' | 'suffix' | 'ignoreError' | 'pluginFilter' | 'includes'> {
  const param = first(section, 'param');
  const filter = first(section, 'filter');
  return {
    prefix: param?.attributes['prefix'] ?? '',
    suffix: param?.attributes['suffix'] ?? '',
    ignoreError: param?.attributes['ignoreError'] ?? '',
    pluginFilter: isOn(filter),
    includes: isOn(filter) ? expressionsOf(filter, 'include') : [],
  };
}

function crontabOf({ crontab }: Config): string {
  if (crontab === undefined) return '-1';
  return 'everyMinutes' in crontab.schedule ? String(crontab.schedule.everyMinutes) : crontab.schedule.expression;
}

function first(parent: ConfigElement | undefined, name: string): ConfigElement | undefined {
  return parent?.children.find((child) => child.name === name);
}

function isOn(element: ConfigElement | undefined): boolean {
  return element?.attributes['start'] === 'true';
}

function whenOn(element: ConfigElement | undefined, attribute: string): string {
  return isOn(element) ? (element?.attributes[attribute] ?? '') : '';
}

function expressionsOf(parent: ConfigElement | undefined, name: string): string[] {
  return (parent?.children ?? [])
    .filter((child) => child.name === name)
    .map(({ attributes }) => attributes['expression'] ?? '');
}
