import { readParamItems, ruleFor } from '../core/rsync-params.js';
import type { Config, ConfigElement } from './config.js';

/** Something that sersync 2.5 does with this very file and this program does not, or the other way round. */
export interface Difference {
  /** 0: of something that the file does not have. */
  readonly line: number;
  readonly element: string;
  readonly original: string;
  readonly ours: string;
}

/** In the order of lines. `head`: what `config` was read from. */
export function differencesOf(head: ConfigElement, config: Config): Difference[] {
  const file = new FileInView(head);
  return [
    ...missing(file),
    ...filterAndCrontab(file, config),
    ...transfer(file, config),
    ...failures(file, config),
    ...extensions(file),
  ].sort((one, other) => one.line - other.line);
}

class FileInView {
  constructor(readonly head: ConfigElement) {}

  /** The first element on a path of names. */
  find(...names: readonly string[]): ConfigElement | undefined {
    return names.reduce<ConfigElement | undefined>(
      (parent, name) => parent?.children.find((child) => child.name === name),
      this.head,
    );
  }

  all(name: string, below: ConfigElement | undefined): readonly ConfigElement[] {
    return below?.children.filter((child) => child.name === name) ?? [];
  }

  line(...names: readonly string[]): number {
    return this.find(...names)?.line ?? 0;
  }
}

function missing(file: FileInView): Difference[] {
  const needed = [['host'], ['sersync', 'failLog'], ['sersync', 'plugin']] as const;
  return needed
    .filter((names) => file.find(...names) === undefined)
    .map((names) => ({
      line: 0,
      element: names.map((name) => `<${name}>`).join(''),
      original: 'is missing: the program aborts at its start',
      ours: 'the default holds',
    }));
}

function filterAndCrontab(file: FileInView, config: Config): Difference[] {
  const found: Difference[] = [];
  const filter = file.find('filter');
  if (filter?.attributes['start'] === 'true') {
    found.push({
      line: filter.line,
      element: '<filter>',
      original: '-r does nothing, without a word; the filter holds for changes alone',
      ours: '-r works; what is excluded is neither sent nor deleted, by changes, -r and crontab',
    });
    if (config.crontab?.excludes.length === 0) {
      found.push({
        line: file.line('sersync', 'crontab'),
        element: '<crontab>',
        original: 'is off, because the filter is on and the crontabfilter is not',
        ours: 'is on, and heeds the filter',
      });
    }
  }
  if (config.crontab !== undefined && 'expression' in config.crontab.schedule) {
    found.push({
      line: file.line('sersync', 'crontab'),
      element: '<crontab schedule>',
      original: `reads the number it begins with as minutes`,
      ours: `is a cron expression: ${config.crontab.schedule.expression}`,
    });
  }
  found.push({
    line: file.line('inotify'),
    element: '<inotify>',
    original: 'names that begin with a dot or end with ~ are not sent as they change, but by -r',
    ours: 'they are sent, but for known temporaries (*~, .*.swp, 4913 and the like)',
  });
  if (config.events.delete) {
    found.push({
      line: file.line('inotify', 'delete'),
      element: '<delete>',
      original: 'an empty or unmounted source empties every remote at the next -r or crontab',
      ours: 'nothing is deleted then; a full sync that would delete more than half is held (sersync held)',
    });
  }
  return found;
}

function transfer(file: FileInView, config: Config): Difference[] {
  const found: Difference[] = [];
  const [, ...others] = file.all('localpath', file.find('sersync'));
  for (const localpath of others) {
    found.push({
      line: localpath.line,
      element: '<localpath>',
      original: 'is ignored: only the first one counts',
      ours: `${localpath.attributes['watch'] ?? ''} is synced too`,
    });
  }
  if (config.rsync.ssh) {
    found.push({
      line: file.line('sersync', 'rsync', 'ssh'),
      element: '<ssh>',
      original: 'asks for a password on the terminal when the key does not do',
      ours: 'never asks: a key that needs no question must be there',
    });
    if (config.rsync.port !== undefined) {
      found.push({
        line: file.line('sersync', 'rsync', 'userDefinedPort'),
        element: '<userDefinedPort>',
        original: 'is ignored with ssh',
        ours: `is the port of sshd: ssh -p ${config.rsync.port}`,
      });
    }
  }
  if (config.rsync.timeoutSeconds === undefined) {
    found.push({
      line: file.line('sersync', 'rsync', 'timeout'),
      element: '<timeout>',
      original: 'is off: a remote that says nothing holds a thread for ever',
      ours: 'a run is given up after 120 seconds of silence, and tried again',
    });
  }
  return [...found, ...params(file, config)];
}

function params(file: FileInView, { rsync }: Config): Difference[] {
  const line = file.line('sersync', 'rsync', 'commonParams');
  const found = readParamItems(rsync.params).flatMap((item): Difference[] => {
    const rule = ruleFor(item);
    if (rule?.treatment !== 'dropped') return [];
    const ours = `is left out: ${rule.effect}`;
    return [{ line, element: `<commonParams> ${item.text}`, original: 'is handed to rsync', ours }];
  });
  if (readParamItems(rsync.params).some(({ option }) => option === 'u' || option === 'update')) {
    found.push({
      line,
      element: '<commonParams> -u',
      original: 'an older file does not replace a newer one on the remote, without a word',
      ours: 'nor does it here, and the log says so (path:newer)',
    });
  }
  return found;
}

function failures(file: FileInView, config: Config): Difference[] {
  const found: Difference[] = [
    {
      line: file.line('sersync', 'failLog'),
      element: '<failLog>',
      original: `is a script with mode 777 that is run as root every ${config.failLog.retryMinutes} minutes`,
      ours: 'is a list to be read, mode 0600, never run; what failed is tried again within seconds',
    },
  ];
  if (config.afterSyncPlugin !== undefined) {
    const isCommand = config.afterSyncPlugin === 'command';
    found.push({
      line: file.line('sersync', 'plugin'),
      element: `<plugin name="${config.afterSyncPlugin}">`,
      original: isCommand ? 'a shell runs "prefix path suffix"' : 'the next change waits for it',
      ours: isCommand
        ? 'no shell: the words of prefix, the path and the words of suffix are the arguments'
        : 'it never holds up syncing',
    });
  }
  return found;
}

function extensions(file: FileInView): Difference[] {
  const found: Difference[] = [];
  const add = (element: ConfigElement | undefined, name: string, ours: string): void => {
    if (element !== undefined) found.push({ line: element.line, element: name, original: 'is ignored', ours });
  };
  add(file.find('sersync', 'watcher'), '<watcher>', 'says how the directory is watched');
  const limit = file.find('inotify', 'delete');
  if (limit?.attributes['limit'] !== undefined) {
    add(limit, '<delete limit>', 'how much a full sync may delete unasked');
  }
  for (const localpath of file.all('localpath', file.find('sersync'))) {
    for (const remote of file.all('remote', localpath)) {
      add(file.all('auth', remote)[0], '<remote><auth>', 'the user and password of this remote');
    }
  }
  return found;
}
