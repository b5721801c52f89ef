import type { ConfigProblem } from '../errors.js';
import type { Config, ConfigElement } from './config.js';
import { adviseOnParams } from './read-params.js';

/**
 * What works and is probably not meant: told by `sersync check`, not at every start. `head`: what `config` was read from.
 */
export function adviseOn(head: ConfigElement, config: Config): ConfigProblem[] {
  const sersync = child(head, 'sersync');
  const rsync = child(sersync, 'rsync');
  const commonParams = child(rsync, 'commonParams');
  const params = adviseOnParams(config.rsync.params).map(({ message, hint }) =>
    advice(commonParams, `<commonParams params=...>: ${message}`, hint),
  );
  return [
    ...filterAdvice(head),
    ...crontabAdvice(child(sersync, 'crontab')),
    ...unitAdvice(child(sersync, 'failLog'), child(rsync, 'timeout')),
    ...addressAdvice(sersync),
    ...params,
  ];
}

/** The expressions of the shipped file: nobody wrote them. */
const SHIPPED = new Set([String.raw`(.*)\.svn`, String.raw`(.*)\.gz`, '^info/*', '^static/*']);

function filterAdvice(head: ConfigElement): ConfigProblem[] {
  const filter = child(head, 'filter');
  const excludes = children(filter, 'exclude');
  if (filter === undefined) return [];
  if (filter.attributes['start'] !== 'true') {
    const own = excludes.filter(({ attributes }) => !SHIPPED.has(attributes['expression'] ?? ''));
    if (own.length === 0) return [];
    return [
      advice(
        filter,
        'the filter is off: its expressions exclude nothing',
        'write <filter start="true">, or remove them',
      ),
    ];
  }
  return excludes.flatMap((exclude) => expressionAdvice(exclude));
}

/** Expressions must match the whole path relative to `watch`. */
function expressionAdvice(exclude: ConfigElement): ConfigProblem[] {
  const expression = exclude.attributes['expression'] ?? '';
  const shown = `<exclude expression="${expression}">`;
  const bare = expression.replace(/^\^/, '').replace(/\$$/, '');
  if (/^\.?\//.test(bare)) {
    const hint = `write the path relative to watch, without the / in front: expression="${bare.replace(/^\.?\/+/, '')}"`;
    return [advice(exclude, `${shown} excludes nothing: paths are relative and never begin with /`, hint)];
  }
  if (/^[\w./-]*\w[*?]([\w./-]*)$/.test(bare)) {
    const meant = bare.replace(/[.]/g, '\\.').replaceAll('*', '.*').replaceAll('?', '.');
    const found = `${shown} looks like a file name pattern and is a regular expression: * repeats what stands before it`;
    return [advice(exclude, found, `did you mean expression="${meant}"?`)];
  }
  if (/^(\\?[\w.-])+$/.test(bare) && bare !== '') {
    const found = `${shown} excludes this name at the top of the watched directory alone`;
    return [advice(exclude, found, `write expression="(.*/)?${bare}" to exclude it everywhere`)];
  }
  return [];
}

function crontabAdvice(crontab: ConfigElement | undefined): ConfigProblem[] {
  if (crontab === undefined) return [];
  const filter = child(crontab, 'crontabfilter');
  const isFilterOn = filter?.attributes['start'] === 'true';
  if (crontab.attributes['start'] !== 'true') {
    if (!isFilterOn) return [];
    return [
      advice(
        filter,
        'the crontabfilter is on while <crontab> is off: it has no effect',
        'write <crontab start="true" ...>',
      ),
    ];
  }
  const patterns = isFilterOn ? children(filter, 'exclude').flatMap((exclude) => patternAdvice(exclude)) : [];
  return [...minutesAdvice(crontab, 'schedule'), ...patterns];
}

/** Patterns are rsync's; `(.*)\.gz` is none. */
function patternAdvice(exclude: ConfigElement): ConfigProblem[] {
  const pattern = exclude.attributes['expression'] ?? '';
  if (!/\(\.\*\)|\\\.|^\^|\$$|(^|[^.])\.\*|\.\+/.test(pattern)) return [];
  const meant = pattern
    .replace(/^\^/, '/')
    .replace(/\$$/, '')
    .replace(/\(\.[*+]\)|\.[*+]/g, '*')
    .replace(/\\(.)/g, '$1')
    .replace(/\/\*$/, '/');
  const found = `<exclude expression="${pattern}">: a crontabfilter has rsync's exclude patterns, and this looks like a regular expression`;
  return [advice(exclude, found, `did you mean expression="${meant}"?`)];
}

function unitAdvice(failLog: ConfigElement | undefined, timeout: ConfigElement | undefined): ConfigProblem[] {
  const found = minutesAdvice(failLog, 'timeToExecute');
  const seconds = numberOf(timeout, 'time');
  if (timeout?.attributes['start'] !== 'true' || seconds === undefined) return found;
  if (seconds >= 3_600) {
    const shown = `<timeout time="${seconds}">: seconds, that is ${spell(seconds / 60)}`;
    found.push(advice(timeout, `${shown}; a remote that is silent holds a run for so long`, 'write time="100"'));
  } else if (seconds > 0 && seconds < 10) {
    const shown = `<timeout time="${seconds}">: seconds; a busy remote is silent for longer, and each run to it fails then`;
    found.push(advice(timeout, shown, 'write time="100"'));
  }
  return found;
}

/** Minutes of two days or more that are whole minutes in seconds: `3600` is an hour for many. */
function minutesAdvice(element: ConfigElement | undefined, attribute: string): ConfigProblem[] {
  const minutes = numberOf(element, attribute);
  if (minutes === undefined || minutes < 2_880 || minutes % 60 !== 0) return [];
  const shown = `<${element?.name ?? ''} ${attribute}="${minutes}">: minutes, that is ${spell(minutes)}`;
  return [
    advice(element, `${shown}; are seconds meant?`, `write ${attribute}="${minutes / 60}" for ${spell(minutes / 60)}`),
  ];
}

/** As people say it: `60 minutes`, `2.5 days`. */
export function spell(minutes: number): string {
  const [count, unit] =
    minutes >= 2_880 ? [minutes / 1_440, 'day'] : minutes >= 120 ? [minutes / 60, 'hour'] : [minutes, 'minute'];
  const rounded = Math.round(count * 10) / 10;
  return `${rounded} ${unit}${rounded === 1 ? '' : 's'}`;
}

function addressAdvice(sersync: ConfigElement | undefined): ConfigProblem[] {
  return children(sersync, 'localpath')
    .flatMap((localpath) => children(localpath, 'remote'))
    .filter(({ attributes }) => /[^\u0020-\u007e]|[{}$<>]|xxx/i.test(attributes['ip'] ?? ''))
    .map((remote) =>
      advice(
        remote,
        `<remote ip="${remote.attributes['ip'] ?? ''}">: a placeholder stands where an address should be`,
        'write the address or the name of the rsync server, as in ip="192.168.0.2"',
      ),
    );
}

function numberOf(element: ConfigElement | undefined, attribute: string): number | undefined {
  const text = element?.attributes[attribute]?.trim() ?? '';
  return /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}

function child(parent: ConfigElement | undefined, name: string): ConfigElement | undefined {
  return children(parent, name)[0];
}

function children(parent: ConfigElement | undefined, name: string): readonly ConfigElement[] {
  return parent?.children.filter((element) => element.name === name) ?? [];
}

function advice(element: ConfigElement | undefined, message: string, hint: string): ConfigProblem {
  const place = element === undefined ? { line: 0 } : { line: element.line, column: element.column };
  return { severity: 'warning', ...place, message, hint };
}
