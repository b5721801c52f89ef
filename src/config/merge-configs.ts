import type { CheckedConfig } from './check-config.js';
import type { Config, ConfigElement } from './config.js';
import { watchedPath } from './read-config.js';
import { HEAD, isRepeatable, type ElementRule } from './vocabulary.js';

type Reading = NonNullable<CheckedConfig['reading']>;

/** A file that can be joined: one with nothing wrong in it. */
export interface Mergeable {
  readonly file: string;
  readonly reading: Reading;
}

export interface MergedConfig {
  readonly files: readonly string[];
  /** A complete confxml.xml. */
  readonly text: string;
  /** What only the first file's value holds of, since it does not matter to what is synced. */
  readonly notes: readonly string[];
}

export interface MergePlan {
  /** In the order of their first files. One when everything can be joined. */
  readonly merged: readonly MergedConfig[];
  /** Why there are several: the settings in which a group's first file differs from that of the first group. */
  readonly reasons: readonly string[];
}

/**
 * Joins configurations into as few as possible, each with all `<localpath>` of its files: those whose other settings agree.
 * Comments are lost, and so is what was ignored anyway.
 */
export function mergeConfigs(files: readonly Mergeable[]): MergePlan {
  const groups = new Map<string, Mergeable[]>();
  for (const file of files) {
    const key = JSON.stringify([...settingsOf(file.reading)]);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [file]);
    else group.push(file);
  }
  const all = [...groups.values()];
  const [first, ...others] = all.map(([head]) => head).filter((head) => head !== undefined);
  return {
    merged: all.map(mergeGroup),
    reasons: first === undefined ? [] : others.map((other) => explainDifference(first, other)),
  };
}

/** What must agree, each setting as text under its name. */
function settingsOf({ config, head }: Reading): Map<string, string> {
  const { rsync, events, excludes, crontab, failLog, afterSyncPlugin } = config;
  const section = head.children.find(
    ({ name, attributes }) => name === 'plugin' && attributes['name']?.trim() === afterSyncPlugin,
  );
  const settings: Record<string, unknown> = {
    '<filter>': [...excludes].sort(),
    '<inotify>': [events, config.deleteLimitPercent],
    '<commonParams params>': rsync.params,
    '<auth>': rsync.auth ?? 'off',
    '<userDefinedPort>': rsync.port ?? 'off',
    '<timeout>': rsync.timeoutSeconds ?? 'off',
    '<ssh>': rsync.ssh,
    '<standby>': rsync.standby,
    '<failLog timeToExecute>': failLog.retryMinutes,
    '<crontab>': crontab ?? 'off',
    '<plugin>': [afterSyncPlugin ?? 'off', section === undefined ? 'none' : withoutPlaces(section)],
    '<watcher>': [config.watcher, config.auditMinutes],
    ...otherSettings(config),
  };
  return new Map(Object.entries(settings).map(([name, value]) => [name, JSON.stringify(value)]));
}

/** Settings that are compared above, or that may differ, or that are joined. */
const KNOWN_KEYS = new Set(
  'file host debug xfs excludes events localPaths rsync failLog crontab afterSyncPlugin plugin plugins deleteLimitPercent auditMinutes watcher'.split(
    ' ',
  ),
);

/** Whatever else a configuration comes to have must agree. */
function otherSettings(config: Config): Record<string, unknown> {
  return Object.fromEntries(Object.entries(config).filter(([key]) => !KNOWN_KEYS.has(key)));
}

function explainDifference(first: Mergeable, other: Mergeable): string {
  const theirs = settingsOf(other.reading);
  const differing = [...settingsOf(first.reading)].filter(([name, value]) => theirs.get(name) !== value);
  const shown = differing.map(([name, value]) => `${name} (${masked(value)} and ${masked(theirs.get(name) ?? '')})`);
  return `${other.file} cannot be joined with ${first.file}, for they differ in ${shown.join(', ')}`;
}

/** The password of a CDN is nobody's to read. */
function masked(settings: string): string {
  return settings.replace(/"passwd":"(?:[^"\\]|\\.)*"/g, '"passwd":"***"');
}

function mergeGroup(group: readonly Mergeable[]): MergedConfig {
  const [first, ...others] = group;
  if (first === undefined) throw new Error('a group of no files');
  const localpaths = mergeLocalPaths(group);
  const head = keepKnown(first.reading.head, HEAD);
  const children = head.children.map((element) =>
    element.name === 'sersync' ? { ...element, children: withLocalPaths(element.children, localpaths) } : element,
  );
  const sections = pluginSections(group, head);
  const files = group.map(({ file }) => file);
  return {
    files,
    text: write({ ...head, children: [...children, ...sections] }, files),
    notes: others.flatMap((other) => notesOn(first, other)),
  };
}

function notesOn(first: Mergeable, other: Mergeable): string[] {
  const one = first.reading.config;
  const two = other.reading.config;
  const notes: string[] = [];
  const note = (name: string, kept: unknown, lost: unknown): void => {
    if (kept !== lost) {
      notes.push(`${name}: ${String(kept)}, as in ${first.file}; ${other.file} has ${String(lost)}`);
    }
  };
  note('fail log', one.failLog.path, two.failLog.path);
  note('debug', one.debug, two.debug);
  note('host', `${one.host.ip}:${one.host.port}`, `${two.host.ip}:${two.host.port}`);
  return notes;
}

/** One `<localpath>` for each watched directory, with the remotes of all files. */
function mergeLocalPaths(group: readonly Mergeable[]): ConfigElement[] {
  const merged = new Map<string, ConfigElement>();
  for (const { reading } of group) {
    const known = keepKnown(reading.head, HEAD);
    const sersync = known.children.find(({ name }) => name === 'sersync');
    for (const localpath of sersync?.children.filter(({ name }) => name === 'localpath') ?? []) {
      const watch = watchedPath(localpath.attributes['watch']?.trim() ?? '');
      const earlier = merged.get(watch)?.children ?? [];
      const seen = new Set(earlier.map(remoteKey));
      const added = localpath.children.filter((remote) => !seen.has(remoteKey(remote)));
      merged.set(watch, { ...localpath, attributes: { watch }, children: [...earlier, ...added] });
    }
  }
  return [...merged.values()];
}

function remoteKey({ attributes, children }: ConfigElement): string {
  return JSON.stringify([attributes['ip']?.trim(), attributes['name']?.trim(), children.map(withoutPlaces)]);
}

function withLocalPaths(children: readonly ConfigElement[], localpaths: readonly ConfigElement[]): ConfigElement[] {
  const at = children.findIndex(({ name }) => name === 'localpath');
  const others = children.filter(({ name }) => name !== 'localpath');
  return [...others.slice(0, at), ...localpaths, ...others.slice(at)];
}

/** Sections that the first file does not have. */
function pluginSections(group: readonly Mergeable[], head: ConfigElement): ConfigElement[] {
  const names = new Set(
    head.children.filter(({ name }) => name === 'plugin').map(({ attributes }) => attributes['name']),
  );
  const added: ConfigElement[] = [];
  for (const { reading } of group) {
    for (const section of keepKnown(reading.head, HEAD).children.filter(({ name }) => name === 'plugin')) {
      if (names.has(section.attributes['name'])) continue;
      names.add(section.attributes['name']);
      added.push(section);
    }
  }
  return added;
}

/** The element without what has no meaning in it; of what may stand there once the first. */
function keepKnown(element: ConfigElement, rule: ElementRule): ConfigElement {
  const seen = new Set<string>();
  const children = element.children.flatMap((child) => {
    const childRule = Object.hasOwn(rule.children, child.name) ? rule.children[child.name] : undefined;
    if (childRule === undefined) return [];
    if (seen.has(child.name) && !isRepeatable(element.name, child.name)) return [];
    seen.add(child.name);
    return [keepKnown(child, childRule)];
  });
  const attributes = Object.fromEntries(
    Object.entries(element.attributes).filter(([name]) => rule.attributes.includes(name)),
  );
  return { ...element, attributes, children };
}

function withoutPlaces({ name, attributes, children }: ConfigElement): unknown {
  return [name, attributes, children.map(withoutPlaces)];
}

function write(head: ConfigElement, files: readonly string[]): string {
  const from = files.join(', ').replaceAll('--', '- -');
  return `<?xml version="1.0" encoding="UTF-8"?>\n<!-- joined by sersync migrate from ${from} -->\n${writeElement(head, '')}`;
}

function writeElement({ name, attributes, children }: ConfigElement, indent: string): string {
  const written = Object.entries(attributes)
    .map(([key, value]) => ` ${key}="${escape(value)}"`)
    .join('');
  if (children.length === 0) return `${indent}<${name}${written}/>\n`;
  const inner = children.map((child) => writeElement(child, `${indent}    `)).join('');
  return `${indent}<${name}${written}>\n${inner}${indent}</${name}>\n`;
}

const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

function escape(value: string): string {
  return value.replace(/[&<>"]/g, (character) => ESCAPES[character] ?? character);
}
