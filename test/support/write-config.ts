import { writeFileSync } from 'node:fs';

import type { EventSwitches } from '../../src/config/config.js';

export interface ConfigOptions {
  readonly watch: string;
  readonly remotes: readonly { readonly ip: string; readonly name: string }[];
  readonly port?: number;
  /** What differs from the switches of the shipped file. */
  readonly switches?: Partial<EventSwitches>;
  /** Default: `-artz`, with which a remote can be equal (the customary `-u` keeps what is newer there). */
  readonly params?: string;
  readonly debug?: boolean;
  /** `<filter>` expressions. */
  readonly excludes?: readonly string[];
  readonly auth?: { readonly users: string; readonly passwordFile: string };
  readonly timeoutSeconds?: number;
  readonly failLog: string;
  /** Minutes. */
  readonly timeToExecute?: number;
  readonly crontab?: { readonly schedule: string; readonly excludes?: readonly string[] };
}

const SHIPPED_SWITCHES: EventSwitches = {
  delete: true,
  createFolder: true,
  createFile: false,
  closeWrite: true,
  moveFrom: true,
  moveTo: true,
  attrib: false,
  modify: false,
};

export function writeConfig(file: string, options: ConfigOptions): void {
  writeFileSync(file, confxml(options));
}

/** A configuration in the shape and the order of the shipped conf/confxml.xml. */
export function confxml(options: ConfigOptions): string {
  const { auth, crontab } = options;
  return `<?xml version="1.0" encoding="UTF-8"?>
<head version="2.5">
    <host hostip="localhost" port="8008"></host>
    <debug start="${options.debug ?? false}"/>
    <fileSystem xfs="false"/>
    <filter start="${options.excludes !== undefined}">
${exclusions(options.excludes, 8)}    </filter>
    <inotify>
${Object.entries({ ...SHIPPED_SWITCHES, ...options.switches })
  .map(([name, on]) => `        <${name} start="${on}"/>\n`)
  .join('')}    </inotify>
    <sersync>
        <localpath watch=${quote(options.watch)}>
${options.remotes.map(({ ip, name }) => `            <remote ip=${quote(ip)} name=${quote(name)}/>\n`).join('')}        </localpath>
        <rsync>
            <commonParams params=${quote(options.params ?? '-artz')}/>
            <auth start="${auth !== undefined}" users=${quote(auth?.users ?? 'root')} passwordfile=${quote(auth?.passwordFile ?? '/etc/rsync.pas')}/>
            <userDefinedPort start="${options.port !== undefined}" port="${options.port ?? 874}"/>
            <timeout start="${options.timeoutSeconds !== undefined}" time="${options.timeoutSeconds ?? 100}"/>
            <ssh start="false"/>
        </rsync>
        <failLog path=${quote(options.failLog)} timeToExecute="${options.timeToExecute ?? 60}"/>
        <crontab start="${crontab !== undefined}" schedule=${quote(crontab?.schedule ?? '600')}>
            <crontabfilter start="${crontab?.excludes !== undefined}">
${exclusions(crontab?.excludes, 16)}            </crontabfilter>
        </crontab>
        <plugin start="false" name="command"/>
    </sersync>
</head>
`;
}

function exclusions(expressions: readonly string[] | undefined, indent: number): string {
  return (expressions ?? [])
    .map((expression) => `${' '.repeat(indent)}<exclude expression=${quote(expression)}></exclude>\n`)
    .join('');
}

/** A value as an XML attribute. */
function quote(value: string): string {
  const escaped = value
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('"', '&quot;')
    .replaceAll('\n', '&#10;');
  return `"${escaped}"`;
}
