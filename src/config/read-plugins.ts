/** Reads the `<plugin name="...">` sections: pure. */
import { compileSearch, compileExpression } from '../core/filter.js';
import { messageOf } from '../errors.js';
import type {
  CommandConfig,
  ConfigElement,
  HttpConfig,
  PluginConfig,
  PluginName,
  RefreshCdnConfig,
  SocketConfig,
} from './config.js';
import { splitWords } from './shell-words.js';

/** Takes what is wrong with a section, with its line. */
export interface ProblemReport {
  error(line: number, message: string, hint?: string): void;
  warn(line: number, message: string, hint?: string): void;
}

/** The section of a plugin: the first of that name. */
export function findPluginSection(head: ConfigElement, name: PluginName): ConfigElement | undefined {
  return head.children.find((child) => child.name === 'plugin' && attributeOf(child, 'name') === name);
}

/** The `<localpath>` elements that a plugin watches when it runs alone: `command` those of `<sersync>`, the others their own. */
export function findPluginRoots(
  head: ConfigElement,
  sersync: ConfigElement | undefined,
  name: PluginName,
  report: ProblemReport,
): readonly ConfigElement[] {
  const section = findPluginSection(head, name);
  if (section === undefined) return [];
  const parent = name === 'command' ? sersync : section;
  const elements = parent?.children.filter((child) => child.name === 'localpath') ?? [];
  // Without its own `<localpath>` a section lacks more, and that is told when it is read.
  if (elements.length === 0 && name === 'command') {
    report.error(
      sersync?.line ?? section.line,
      '-m command watches the <localpath> of <sersync>, and there is none',
      'write <localpath watch="/data/www"></localpath> into <sersync>',
    );
  }
  return name === 'command' ? elements : elements.slice(0, 1);
}

/** What a section says: usable only when no error was told, each of which has its line. */
export function readPluginSection(
  section: ConfigElement,
  name: PluginName,
  report: ProblemReport,
): PluginConfig | undefined {
  const reader = new SectionReader(section, name, report);
  switch (name) {
    case 'command':
      return readCommand(reader);
    case 'socket':
      return readSocket(reader);
    case 'http':
      return readHttp(reader);
    case 'refreshCDN':
      return readRefreshCdn(reader);
  }
}

/** Looks for elements and attributes and complains of what is missing. */
class SectionReader {
  constructor(
    readonly section: ConfigElement,
    readonly name: PluginName,
    readonly report: ProblemReport,
  ) {}

  child(parent: ConfigElement, name: string): ConfigElement | undefined {
    const [first, ...others] = parent.children.filter((child) => child.name === name);
    for (const other of others) {
      this.report.warn(
        other.line,
        `a second <${name}> is ignored: the one in line ${first?.line ?? 0} counts`,
        'remove one of them',
      );
    }
    return first;
  }

  needed(parent: ConfigElement, name: string, example: string): ConfigElement | undefined {
    const found = this.child(parent, name);
    if (found === undefined) {
      this.report.error(
        parent.line,
        `<${parent.name}> of the plugin ${this.name} has no <${name}>`,
        `write ${example} into it`,
      );
    }
    return found;
  }

  /** A value that must not be empty. */
  value(element: ConfigElement, attribute: string, example: string): string | undefined {
    const text = attributeOf(element, attribute) ?? '';
    if (text !== '') return text;
    this.report.error(
      element.line,
      `<${element.name}> of the plugin ${this.name}: ${attribute} is empty`,
      `write ${attribute}="${example}"`,
    );
    return undefined;
  }

  host(element: ConfigElement, attribute: string): string | undefined {
    const text = this.value(element, attribute, '192.168.0.2');
    if (text === undefined || !/[\s/"]/.test(text)) return text?.replace(/^\[(.*)\]$/, '$1');
    this.report.error(
      element.line,
      `<${element.name} ${attribute}="${text}"> is no host`,
      `write the address or the name alone, as in ${attribute}="192.168.0.2"`,
    );
    return undefined;
  }

  port(element: ConfigElement, fallback?: number): number | undefined {
    if (attributeOf(element, 'port') === undefined && fallback !== undefined) return fallback;
    const text = this.value(element, 'port', '8009');
    if (text === undefined) return undefined;
    const port = /^\d{1,5}$/.test(text) ? Number(text) : NaN;
    if (port >= 1 && port <= 65_535) return port;
    this.report.error(
      element.line,
      `<${element.name} port="${text}">: a port from 1 to 65535 was expected`,
      'write port="number"',
    );
    return undefined;
  }

  /** The words of a value; undefined after a complaint. */
  words(element: ConfigElement, attribute: string): string[] | undefined {
    const text = element.attributes[attribute] ?? '';
    try {
      const words = splitWords(text);
      const operator = words.find((word) => SHELL_OPERATOR.test(word));
      if (operator !== undefined) {
        this.report.warn(
          element.line,
          `<${element.name} ${attribute}="${text}">: no shell runs it, so that ${operator} is only a word`,
          `let a shell run it: prefix="/bin/sh -c 'what to do with &quot;$0&quot;'", where $0 is the path`,
        );
      }
      return words;
    } catch (error) {
      this.report.error(
        element.line,
        `<${element.name} ${attribute}="${text}">: ${messageOf(error)}`,
        'close it, or write a backslash before a quote that is meant as it is',
      );
      return undefined;
    }
  }
}

/** What only a shell understands. */
const SHELL_OPERATOR = /^(?:&&?|\|\|?|;|\d?[<>].*|&>.*)$|^\S+;$|^\S*\$[({A-Za-z_]\S*$|^`/;

function readCommand(reader: SectionReader): CommandConfig | undefined {
  const { section, report } = reader;
  const param = reader.needed(section, 'param', '<param prefix="/bin/sh" suffix="" ignoreError="true"/>');
  const includes = readIncludes(reader);
  if (param === undefined) return undefined;
  const prefix = reader.words(param, 'prefix');
  const suffix = reader.words(param, 'suffix');
  if (prefix?.length === 0) {
    report.error(
      param.line,
      '<param> of the plugin command: prefix is empty, so that there is no program to run',
      'write prefix="/path/of/a/script": it is run with the changed path as its argument',
    );
  }
  if (prefix === undefined || suffix === undefined || prefix.length === 0) return undefined;
  return {
    name: 'command',
    prefix,
    suffix,
    hidesOutput: param.attributes['ignoreError'] === 'true',
    ...(includes === undefined ? {} : { includes }),
  };
}

/** The include expressions that are in force; undefined when the plugin's filter is off. */
function readIncludes({ section, report, ...reader }: SectionReader): readonly string[] | undefined {
  const filter = section.children.find(({ name }) => name === 'filter');
  if (filter?.attributes['start'] !== 'true') return undefined;
  const elements = filter.children.filter(({ name }) => name === 'include');
  if (elements.length === 0) {
    report.warn(
      filter.line,
      `the filter of the plugin ${reader.name} is on and has no expressions: it runs for nothing`,
      'write <include expression="..."/> into it, or start="false"',
    );
  }
  return elements.flatMap((include) => {
    const expression = include.attributes['expression'] ?? '';
    if (expression.trim() !== '' && isExpression(expression)) return [expression];
    // One that is left out would silently keep the plugin from running; the original ends here, too.
    report.error(
      include.line,
      `<include expression="${expression}"> is no regular expression`,
      'it must match the whole absolute path, as in expression="(.*)\\.php"',
    );
    return [];
  });
}

function isExpression(expression: string): boolean {
  try {
    compileExpression(expression);
    return true;
  } catch {
    // The caller says so.
    return false;
  }
}

function readSocket(reader: SectionReader): SocketConfig | undefined {
  const found = readLocalPathWith(reader, '<deshost ip="192.168.0.2" port="8009"/>');
  const target = found && reader.needed(found.localPath, 'deshost', '<deshost ip="192.168.0.2" port="8009"/>');
  if (found === undefined || target === undefined) return undefined;
  const host = reader.host(target, 'ip');
  const port = reader.port(target);
  return host === undefined || port === undefined ? undefined : { name: 'socket', host, port, ...found.watch };
}

function readHttp(reader: SectionReader): HttpConfig | undefined {
  const example = '<deshost url="http://192.168.0.2/changed" port="80"/>';
  const found = readLocalPathWith(reader, example);
  const target = found && reader.needed(found.localPath, 'deshost', example);
  if (found === undefined || target === undefined) return undefined;
  const written = reader.value(target, 'url', 'http://192.168.0.2/changed');
  if (written === undefined) return undefined;
  const url = parseUrl(/^[a-z][a-z+.-]*:\/\//i.test(written) ? written : `http://${written}`);
  if (url === undefined) {
    reader.report.error(
      target.line,
      `<deshost url="${written}"> is no address of a web server`,
      'write one that begins with http:// or https://',
    );
    return undefined;
  }
  const hasPort = /^[a-z]+:\/\/[^/?#]*:\d+(?:[/?#]|$)/i.test(written) || /^[^/?#]*:\d+(?:[/?#]|$)/.test(written);
  if (!hasPort && attributeOf(target, 'port') !== undefined) {
    const port = reader.port(target);
    if (port === undefined) return undefined;
    url.port = String(port);
  }
  return { name: 'http', url: url.href, ...found.watch };
}

function readRefreshCdn(reader: SectionReader): RefreshCdnConfig | undefined {
  const { report } = reader;
  const info = '<cdninfo domainname="cdn.example.com" port="80" username="..." passwd="..."/>';
  const sendUrl = '<sendurl base="http://www.example.com/path"/>';
  const found = readLocalPathWith(reader, `${info} and ${sendUrl}`);
  if (found === undefined) return undefined;
  const cdn = reader.needed(found.localPath, 'cdninfo', info);
  const send = reader.needed(found.localPath, 'sendurl', sendUrl);
  const host = cdn && reader.host(cdn, 'domainname');
  const port = cdn && reader.port(cdn, 80);
  const user = cdn && reader.value(cdn, 'username', '...');
  const password = cdn && reader.value(cdn, 'passwd', '...');
  const base = send && reader.value(send, 'base', 'http://www.example.com/path');
  const regex = reader.child(found.localPath, 'regexurl');
  const isOn = regex?.attributes['regex'] === 'true';
  const expression = isOn ? reader.value(regex, 'match', 'site([/a-zA-Z0-9]*)') : undefined;
  if (regex !== undefined && expression !== undefined && compileSearch(expression) === undefined) {
    report.error(
      regex.line,
      `<regexurl match="${expression}"> is no regular expression`,
      'its first group and what comes behind the match follow the base of the URL',
    );
    return undefined;
  }
  if (host === undefined || port === undefined || user === undefined || password === undefined || base === undefined) {
    return undefined;
  }
  if (isOn && expression === undefined) return undefined;
  return {
    name: 'refreshCDN',
    host,
    port,
    user,
    password,
    base,
    ...(expression === undefined ? {} : { expression }),
    ...found.watch,
  };
}

interface FoundLocalPath {
  readonly localPath: ConfigElement;
  readonly watch: { readonly watch?: string };
}

/** The section's own `<localpath>`. Its `watch` counts when the plugin runs alone, and is checked there. */
function readLocalPathWith(reader: SectionReader, content: string): FoundLocalPath | undefined {
  const localPath = reader.needed(reader.section, 'localpath', `<localpath watch="/data/www">${content}</localpath>`);
  if (localPath === undefined) return undefined;
  const written = attributeOf(localPath, 'watch') ?? '';
  const watch = `/${written
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .join('/')}`;
  return { localPath, watch: written.startsWith('/') ? { watch } : {} };
}

function parseUrl(text: string): URL | undefined {
  try {
    const url = new URL(text);
    return (url.protocol === 'http:' || url.protocol === 'https:') && url.hostname !== '' ? url : undefined;
  } catch {
    // Whoever asked says what was found.
    return undefined;
  }
}

function attributeOf(element: ConfigElement, name: string): string | undefined {
  return element.attributes[name]?.trim();
}
