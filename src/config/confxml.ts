import { XMLParser } from 'fast-xml-parser';
import { messageOf, type ConfigProblem } from '../errors.js';
import type { ConfigElement } from './config.js';
import { mendXml, type Place } from './mend-xml.js';
import { decodeText, type DecodedText } from './text-encoding.js';

/** Far above any real file; bounds what a wrong `-o` costs. */
export const MAX_CONFIG_BYTES = 4 * 1024 * 1024;

export interface ParsedDocument {
  /** Missing when there is no element at all, or none that can be read. */
  readonly root: ConfigElement | undefined;
  readonly problems: readonly ConfigProblem[];
  readonly encoding: DecodedText['encoding'];
}

/**
 * The elements of a configuration file, read leniently (see `mendXml`): everything that had to be mended is a warning,
 * what could not be read is an error. No entity, external or internal, is ever expanded.
 */
export function parseConfXml(bytes: Uint8Array): ParsedDocument {
  if (bytes.length > MAX_CONFIG_BYTES) {
    const message = `the file is larger than ${MAX_CONFIG_BYTES / 1024 / 1024} MB: this is no configuration`;
    return { root: undefined, problems: [{ severity: 'error', line: 0, message }], encoding: 'UTF-8' };
  }
  const { text, encoding } = decodeText(bytes);
  const { xml, places, problems } = mendXml(text);
  try {
    const nodes = readNodes(parser.parse(xml), places);
    return { root: nodes[0], problems, encoding };
  } catch (error) {
    const message = `the file cannot be read as XML: ${messageOf(error)}`;
    return { root: undefined, problems: [...problems, { severity: 'error', line: 0, message }], encoding };
  }
}

const ATTRIBUTES = ':@';
// Declared as the wrapper object `Symbol`; it is a plain symbol.
const METADATA = XMLParser.getMetaDataSymbol() as unknown as symbol;

const parser = new XMLParser({
  preserveOrder: true,
  ignoreAttributes: false,
  attributeNamePrefix: '',
  parseTagValue: false,
  parseAttributeValue: false,
  trimValues: false,
  captureMetaData: true,
  // The mended text holds the four names that XML cannot do without; more of them than any file needs is refused.
  processEntities: { enabled: true, maxTotalExpansions: 100_000, maxExpandedLength: MAX_CONFIG_BYTES },
  htmlEntities: false,
});

/**
 * The elements of what fast-xml-parser gives with `preserveOrder`: a list of objects, each with one key that is the
 * element's name (its value is the list of children), `:@` for the attributes and, under a symbol, its place.
 */
function readNodes(nodes: unknown, places: ReadonlyMap<number, Place>): ConfigElement[] {
  if (!Array.isArray(nodes)) return [];
  return nodes.flatMap((node: unknown) => {
    if (!isRecord(node)) return [];
    const name = Object.keys(node).find((key) => key !== ATTRIBUTES && key !== '#text');
    if (name === undefined) return [];
    const metadata: unknown = Reflect.get(node, METADATA);
    const start = isRecord(metadata) ? metadata['startIndex'] : undefined;
    const place = places.get(typeof start === 'number' ? start : -1) ?? { line: 0, column: 0 };
    return [{ name, ...place, attributes: readAttributes(node[ATTRIBUTES]), children: readNodes(node[name], places) }];
  });
}

function readAttributes(attributes: unknown): Record<string, string> {
  if (!isRecord(attributes)) return {};
  return Object.fromEntries(Object.entries(attributes).map(([name, value]) => [name, String(value)]));
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
