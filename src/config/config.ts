import type { EventSwitches } from '../core/event-switches.js';
import type { FilterRule } from '../core/filter-rules.js';

export type { EventSwitches };

/**
 * The configuration as the program uses it: complete, typed and validated. What confxml.xml leaves out has its default
 * in `DEFAULTS`, and nowhere else. Text is as in the file (Unicode); paths of the disk are turned into bytes where used.
 */

/** One `<remote>`: an rsync server that receives the tree. */
export interface RemoteConfig {
  /** Host name, IPv4, or IPv6 without brackets; `user@` may stand before it. Never begins with a dash. */
  readonly ip: string;
  /** In daemon mode `module` or `module/sub/dir`; with ssh a path, absolute or not. No slash at the end (but `/` itself). */
  readonly name: string;
  /** Its own `<auth>`, in place of that of `<rsync>`; `none`: it is switched off here. Missing: that of `<rsync>` holds. */
  readonly auth?: AuthConfig | 'none';
}

/** `<auth>` when it is on. */
export interface AuthConfig {
  readonly users: string;
  readonly passwordFile: string;
}

/** One `<localpath>`: a watched tree and where it goes. */
export interface LocalPathConfig {
  /** Absolute, without a trailing slash (but `/` itself). */
  readonly watch: string;
  readonly remotes: readonly RemoteConfig[];
}

export interface RsyncConfig {
  /** `commonParams`, split into words by shell rules. */
  readonly params: readonly string[];
  /** The filter rules among them, those in the files that they name included. Missing when there are none. */
  readonly filterRules?: readonly FilterRule[];
  /** `commonParams` as written. */
  readonly rawParams: string;
  /** `auth` when it is on. Missing with ssh, where it has no meaning. */
  readonly auth?: AuthConfig;
  /** `userDefinedPort` when it is on: the daemon's port, with ssh the port of sshd. */
  readonly port?: number;
  /** `timeout` when it is on and not 0: seconds without I/O after which rsync gives up. */
  readonly timeoutSeconds?: number;
  readonly ssh: boolean;
  /** `<standby>`: for each remote an rsync is kept ready, connected and logged in, so that a change goes out at once. */
  readonly standby: boolean;
}

export interface FailLogConfig {
  readonly path: string;
  /** Whatever failed is tried again at the latest after this long. */
  readonly retryMinutes: number;
}

/** `<crontab>` when it is on. */
export interface CrontabConfig {
  /** Minutes between full resyncs, or a cron expression of five or six fields. */
  readonly schedule: { readonly everyMinutes: number } | { readonly expression: string };
  /** `<crontabfilter>` patterns, in rsync's exclude syntax; for the crontab's resyncs only. */
  readonly excludes: readonly string[];
}

/** A `<plugin name="...">` section as written. */
export interface PluginSection {
  readonly name: string;
  readonly line: number;
  readonly element: ConfigElement;
}

/** What the section of the plugin that is to run says (read-plugins.ts). */
export type PluginConfig = CommandConfig | SocketConfig | HttpConfig | RefreshCdnConfig;

/** Runs a program with the changed path as an argument. */
export interface CommandConfig {
  readonly name: 'command';
  /** The program and what comes before the path: one word at least. */
  readonly prefix: readonly string[];
  /** What comes behind it. */
  readonly suffix: readonly string[];
  /** `ignoreError`: what the program prints goes nowhere; otherwise into the log. */
  readonly hidesOutput: boolean;
  /** One of these must match the whole absolute path; undefined: the plugin's filter is off. */
  readonly includes?: readonly string[];
}

/** Sends the changed path to a TCP server. */
export interface SocketConfig {
  readonly name: 'socket';
  readonly host: string;
  readonly port: number;
  readonly watch?: string;
}

/** Posts the change to a web server. */
export interface HttpConfig {
  readonly name: 'http';
  /** http or https, with the port where one was written. */
  readonly url: string;
  readonly watch?: string;
}

/** Tells a CDN that the URL of the changed path is stale. */
export interface RefreshCdnConfig {
  readonly name: 'refreshCDN';
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** Never shown. */
  readonly password: string;
  /** The URL begins so. */
  readonly base: string;
  /** Searched in the absolute path: its first group and what comes behind the match follow `base`. */
  readonly expression?: string;
  /** Otherwise what comes behind this directory, or behind the watched one, follows `base`. */
  readonly watch?: string;
}

/** An element of the file: names and values as written, in order. */
export interface ConfigElement {
  readonly name: string;
  readonly line: number;
  readonly column: number;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: readonly ConfigElement[];
}

export interface Config {
  /** Where it was read from. */
  readonly file: string;
  readonly host: { readonly ip: string; readonly port: number };
  readonly debug: boolean;
  readonly xfs: boolean;
  /**
   * `<filter>` expressions that are in force, each once: empty when the filter is off. Each compiles as a regular
   * expression with the flag `s`; those that do not were warned about and left out.
   */
  readonly excludes: readonly string[];
  readonly events: EventSwitches;
  /**
   * `<dotfiles>`: changes of files whose name begins with a dot, ends with `~`, or is `4913` count. Off: they do not, as in
   * 2.5; such a file comes with a directory that is looked at as a whole.
   */
  readonly dotfiles: boolean;
  readonly localPaths: readonly LocalPathConfig[];
  readonly rsync: RsyncConfig;
  readonly failLog: FailLogConfig;
  readonly crontab?: CrontabConfig;
  /** The plugin that follows each synced change (`<sersync><plugin start="true" name=...>`): one of `PLUGIN_NAMES`. */
  readonly afterSyncPlugin?: PluginName;
  readonly plugins: readonly PluginSection[];
  /** The plugin that runs: the one of `-m`, otherwise `afterSyncPlugin`, where it has a section. */
  readonly plugin?: PluginConfig;
  /**
   * `<delete limit>`: how much a comparison may delete on a remote without being asked, in percent of what the remote holds
   * there (and 100 names in any case); `off`: all of it.
   */
  readonly deleteLimitPercent: number | 'off';
  /** `<watcher auditMinutes>`: how often the tree is walked to find what was not told; 0: never. */
  readonly auditMinutes: number;
  /** `SERSYNC_WATCHER` or `<sersync><watcher kind=...>`: which front end watches the tree. */
  readonly watcher: WatcherChoice;
}

export const WATCHER_CHOICES = ['auto', 'inotify', 'parcel'] as const;
export type WatcherChoice = (typeof WATCHER_CHOICES)[number];

export const PLUGIN_NAMES = ['command', 'socket', 'http', 'refreshCDN'] as const;
export type PluginName = (typeof PLUGIN_NAMES)[number];

/** What is used where the file says nothing: the values of the confxml.xml that 2.5.4 ships. */
export const DEFAULTS = {
  host: { ip: 'localhost', port: 8008 },
  debug: false,
  xfs: false,
  events: {
    delete: true,
    createFolder: true,
    createFile: false,
    closeWrite: true,
    moveFrom: true,
    moveTo: true,
    attrib: false,
    modify: false,
  },
  dotfiles: true,
  standby: true,
  params: '-artuz',
  failLog: { path: '/tmp/rsync_fail_log.sh', retryMinutes: 60 },
  crontabEveryMinutes: 600,
  watcher: 'auto',
  deleteLimitPercent: 50,
  auditMinutes: 60,
} as const satisfies {
  host: Config['host'];
  debug: boolean;
  xfs: boolean;
  events: EventSwitches;
  dotfiles: boolean;
  standby: boolean;
  params: string;
  failLog: FailLogConfig;
  crontabEveryMinutes: number;
  watcher: WatcherChoice;
  deleteLimitPercent: number;
  auditMinutes: number;
};
