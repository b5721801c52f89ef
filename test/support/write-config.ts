import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

import type { EventSwitches } from '../../src/config/config.js';
import { PROGRAM } from './sersync-process.js';

export interface ConfigOptions {
  readonly watch: string;
  readonly remotes: readonly { readonly ip: string; readonly name: string }[];
  readonly port?: number;
  /** What differs from the switches of the shipped file. */
  readonly switches?: Partial<EventSwitches>;
  readonly dotfiles?: boolean;
  /** Default: the shipped `-artuz`. With `-u` a name that is newer on the remote stays there; `-artz` makes it equal. */
  readonly params?: string;
  readonly debug?: boolean;
  /** `<filter>` expressions. */
  readonly excludes?: readonly string[];
  readonly auth?: { readonly users: string; readonly passwordFile: string };
  readonly timeoutSeconds?: number;
  readonly ssh?: boolean;
  /** `<standby>`; default: on. */
  readonly standby?: boolean;
  readonly failLog: string;
  /** Minutes. */
  readonly timeToExecute?: number;
  readonly crontab?: { readonly schedule: string; readonly excludes?: readonly string[] };
  /** The plugin after each synced change. */
  readonly plugin?: string;
  /** `<plugin name="...">` sections, as they are. */
  readonly sections?: string;
}

export function writeConfig(file: string, options: ConfigOptions): void {
  writeFileSync(file, confxml(options));
}

/** conf/confxml.xml, which is the file that 2.5.4 ships, edited as people edit it: by the number of the line. */
export function confxml(options: ConfigOptions): string {
  const {
    watch,
    remotes,
    port,
    switches,
    dotfiles,
    params,
    debug,
    excludes,
    auth,
    timeoutSeconds,
    ssh,
    standby,
    failLog,
    timeToExecute,
    crontab,
    plugin,
    sections,
  } = options;
  const file = new ShippedFile();
  if (debug !== undefined) file.set(4, 'debug', { start: debug });
  if (excludes !== undefined) {
    file.set(6, 'filter', { start: true });
    file.replace(7, 10, excludes.map(exclude));
  }
  Object.entries(switches ?? {}).forEach(([name, on]) => {
    file.set(13 + SWITCHES.indexOf(name), name, { start: on });
  });
  if (dotfiles !== undefined) file.insertAfter(20, [`<dotfiles start="${dotfiles}"/>`]);
  file.set(24, 'localpath', { watch });
  file.replace(
    25,
    25,
    remotes.map(({ ip, name }) => `<remote ip=${quote(ip)} name=${quote(name)}/>`),
  );
  if (params !== undefined) file.set(30, 'commonParams', { params });
  if (auth !== undefined) file.set(31, 'auth', { start: true, users: auth.users, passwordfile: auth.passwordFile });
  if (port !== undefined) file.set(32, 'userDefinedPort', { start: true, port });
  if (timeoutSeconds !== undefined) file.set(33, 'timeout', { start: true, time: timeoutSeconds });
  if (ssh !== undefined) file.set(34, 'ssh', { start: ssh });
  if (standby !== undefined) file.insertAfter(34, [`<standby start="${standby}"/>`]);
  // Its own one for each: the shipped one, in /tmp, belongs to the machine's service.
  file.set(36, 'failLog', { path: failLog });
  if (timeToExecute !== undefined) file.set(36, 'failLog', { timeToExecute });
  if (crontab !== undefined) file.set(37, 'crontab', { start: true, schedule: crontab.schedule });
  if (crontab?.excludes !== undefined) {
    file.set(38, 'crontabfilter', { start: true });
    file.replace(39, 40, crontab.excludes.map(exclude));
  }
  if (plugin !== undefined) file.set(43, 'plugin', { start: true, name: plugin });
  if (sections !== undefined) file.replace(46, 65, [sections]);
  return file.text();
}

const SHIPPED = resolve(dirname(PROGRAM), '../conf/confxml.xml');
/** In the order of the file. */
const SWITCHES = ['delete', 'createFolder', 'createFile', 'closeWrite', 'moveFrom', 'moveTo', 'attrib', 'modify'];

/** The shipped file, its lines counted from 1 as an editor does, also after edits that make them more or fewer. */
class ShippedFile {
  readonly #lines = readFileSync(SHIPPED, 'utf8').split('\n');

  /** Gives attributes of the element on a line other values. */
  set(number: number, element: string, values: Readonly<Record<string, string | number | boolean>>): void {
    let line = this.#line(number);
    for (const [name, value] of Object.entries(values)) {
      const pattern = new RegExp(`(<${element}\\b[^>]*?\\b${name}=)"[^"]*"`);
      if (!pattern.test(line)) throw new Error(`line ${number} of ${SHIPPED} has no <${element} ${name}=...>: ${line}`);
      line = line.replace(pattern, (_, before: string) => before + quote(String(value)));
    }
    this.#lines[number - 1] = line;
  }

  /** Puts other lines in place of some. */
  replace(from: number, to: number, lines: readonly string[]): void {
    for (let number = from; number <= to; number++) this.#lines[number - 1] = number === from ? lines.join('\n') : '';
  }

  insertAfter(number: number, lines: readonly string[]): void {
    this.replace(number, number, [this.#line(number), ...lines]);
  }

  text(): string {
    return this.#lines.join('\n');
  }

  #line(number: number): string {
    return this.#lines[number - 1] ?? '';
  }
}

function exclude(expression: string): string {
  return `<exclude expression=${quote(expression)}></exclude>`;
}

/** A value as an XML attribute. */
export function quote(value: string): string {
  const escaped = value
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll('\n', '&#10;');
  return `"${escaped}"`;
}
