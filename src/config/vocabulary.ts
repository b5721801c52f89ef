import type { ConfigProblem } from '../errors.js';
import type { ConfigElement } from './config.js';

/** What may stand in an element. The same name has different contents in different places (`plugin`, `filter`, ...). */
export interface ElementRule {
  readonly attributes: readonly string[];
  readonly children: Readonly<Record<string, ElementRule>>;
}

const START = leaf('start');
const EXCLUDES: ElementRule = { attributes: ['start'], children: { exclude: leaf('expression') } };

/** The elements of confxml.xml, from `<head>` down, as sersync 2.5.4 ships them, and our extensions. */
export const HEAD: ElementRule = {
  attributes: ['version'],
  children: {
    host: leaf('hostip', 'port'),
    debug: START,
    fileSystem: leaf('xfs'),
    filter: EXCLUDES,
    inotify: {
      attributes: [],
      children: {
        // The limit is ours.
        delete: leaf('start', 'limit'),
        createFolder: START,
        createFile: START,
        closeWrite: START,
        moveFrom: START,
        moveTo: START,
        attrib: START,
        modify: START,
        // Ours, not in 2.5.
        dotfiles: START,
      },
    },
    sersync: {
      attributes: [],
      children: {
        localpath: {
          attributes: ['watch'],
          // The auth of a remote is ours.
          children: {
            remote: { attributes: ['ip', 'name'], children: { auth: leaf('start', 'users', 'passwordfile') } },
          },
        },
        rsync: {
          attributes: [],
          children: {
            commonParams: leaf('params'),
            auth: leaf('start', 'users', 'passwordfile'),
            userDefinedPort: leaf('start', 'port'),
            timeout: leaf('start', 'time'),
            ssh: START,
            // Ours, not in 2.5.
            standby: START,
          },
        },
        failLog: leaf('path', 'timeToExecute'),
        crontab: { attributes: ['start', 'schedule'], children: { crontabfilter: EXCLUDES } },
        plugin: leaf('start', 'name'),
        // Ours, not in 2.5.
        watcher: leaf('kind', 'auditMinutes'),
      },
    },
    plugin: {
      attributes: ['name'],
      children: {
        param: leaf('prefix', 'suffix', 'ignoreError'),
        filter: { attributes: ['start'], children: { include: leaf('expression') } },
        deshost: leaf('ip', 'port', 'url'),
        localpath: {
          attributes: ['watch'],
          children: {
            deshost: leaf('ip', 'port', 'url'),
            cdninfo: leaf('domainname', 'port', 'username', 'passwd'),
            sendurl: leaf('base'),
            regexurl: leaf('regex', 'match'),
          },
        },
      },
    },
  },
};

const REPEATABLE = new Set([
  'sersync localpath',
  'localpath remote',
  'filter exclude',
  'filter include',
  'crontabfilter exclude',
  'head plugin',
  'plugin localpath',
  'plugin deshost',
  'localpath deshost',
]);

/** Whether an element may hold several of that name; of others the first counts. */
export function isRepeatable(parent: string, child: string): boolean {
  return REPEATABLE.has(`${parent} ${child}`);
}

/** Elements that hold no others wherever they stand: a tag after one that is not closed is no child of it. */
export const LEAVES: ReadonlySet<string> = collectNames((rule) => Object.keys(rule.children).length === 0);
/** Every name of the vocabulary, `head` included. */
export const ELEMENTS: ReadonlySet<string> = collectNames(() => true).add('head');

/** The attributes that an element of this name may have somewhere. */
export function attributesOf(elementName: string): readonly string[] {
  return [...rulesByName(HEAD, 'head')].flatMap(([name, rule]) => (name === elementName ? rule.attributes : []));
}

const HINTS: Readonly<Record<string, string>> = {
  'ssh port': 'write the port in <userDefinedPort start="true" port="..."/>',
  'ssh user': 'write the user before the address: <remote ip="user@host" .../>',
};

/** A warning for every element and attribute below `head` that has no meaning there. */
export function checkVocabulary(head: ConfigElement): ConfigProblem[] {
  return checkElement(head, HEAD);
}

function checkElement(element: ConfigElement, rule: ElementRule): ConfigProblem[] {
  const attributes = Object.keys(element.attributes)
    .filter((name) => !rule.attributes.includes(name))
    .map((name) => unknownAttribute(element, name, rule));
  const children = element.children.flatMap((child) => {
    const childRule = Object.hasOwn(rule.children, child.name) ? rule.children[child.name] : undefined;
    return childRule === undefined ? [unknownElement(element, child, rule)] : checkElement(child, childRule);
  });
  return [...attributes, ...children];
}

function unknownAttribute(element: ConfigElement, name: string, rule: ElementRule): ConfigProblem {
  const meant = closest(name, rule.attributes);
  const hint = HINTS[`${element.name} ${name}`] ?? (meant === undefined ? undefined : `did you mean ${meant}="..."?`);
  return warning(element.line, `<${element.name}> has no attribute ${name}: it is ignored`, hint);
}

function unknownElement(parent: ConfigElement, child: ConfigElement, rule: ElementRule): ConfigProblem {
  const meant = closest(child.name, Object.keys(rule.children));
  const homes = homesOf(child.name);
  const hint =
    meant !== undefined
      ? `did you mean <${meant}>?`
      : homes.length > 0
        ? `it belongs into ${homes.map((home) => `<${home}>`).join(' or ')}`
        : undefined;
  return warning(child.line, `<${child.name}> in <${parent.name}> is not known: it is ignored`, hint);
}

function warning(line: number, message: string, hint: string | undefined): ConfigProblem {
  return { severity: 'warning', line, message, ...(hint === undefined ? {} : { hint }) };
}

/**
 * The candidate that a person most likely meant: equal but for case, or at most two typing errors away (one in a word
 * of up to four letters).
 */
export function closest(word: string, candidates: readonly string[]): string | undefined {
  const folded = word.toLowerCase();
  const limit = folded.length <= 4 ? 1 : 2;
  let best: string | undefined;
  let bestDistance = limit + 1;
  for (const candidate of candidates) {
    const distance = typingErrors(folded, candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Levenshtein distance, two neighbours swapped counting as one (optimal string alignment). */
function typingErrors(one: string, other: string): number {
  // Far apart in length is far apart; this also keeps hostile names of megabytes out of the table.
  if (Math.abs(one.length - other.length) > 2) return Infinity;
  const rows: number[][] = [Array.from({ length: other.length + 1 }, (_, column) => column)];
  for (let row = 1; row <= one.length; row++) {
    const current = [row];
    for (let column = 1; column <= other.length; column++) {
      const substitution = (rows[row - 1]?.[column - 1] ?? 0) + (one[row - 1] === other[column - 1] ? 0 : 1);
      let cost = Math.min(substitution, (rows[row - 1]?.[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1);
      const swapped = one[row - 1] === other[column - 2] && one[row - 2] === other[column - 1];
      if (row > 1 && column > 1 && swapped) cost = Math.min(cost, (rows[row - 2]?.[column - 2] ?? 0) + 1);
      current.push(cost);
    }
    rows.push(current);
  }
  return rows[one.length]?.[other.length] ?? Infinity;
}

function leaf(...attributes: string[]): ElementRule {
  return { attributes, children: {} };
}

function* rulesByName(rule: ElementRule, name: string): Generator<[name: string, rule: ElementRule]> {
  yield [name, rule];
  for (const [childName, child] of Object.entries(rule.children)) yield* rulesByName(child, childName);
}

function homesOf(elementName: string): string[] {
  const homes = [...rulesByName(HEAD, 'head')].filter(([, rule]) => Object.hasOwn(rule.children, elementName));
  return [...new Set(homes.map(([name]) => name))];
}

function collectNames(accepts: (rule: ElementRule) => boolean): Set<string> {
  const names = [...rulesByName(HEAD, 'head')];
  // `<plugin>` is a leaf in one place only: what is no leaf somewhere is none.
  return new Set(names.map(([name]) => name).filter((name) => names.every(([n, rule]) => n !== name || accepts(rule))));
}
