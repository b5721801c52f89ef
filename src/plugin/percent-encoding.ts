import type { RelativePath } from '../core/relative-path.js';

/** What stands as it is in a value of a query or a form: what no receiver takes for anything else. */
const PLAIN = /^[A-Za-z0-9\-._~/:,;@!$'()*]$/;

/** A value byte by byte: `%XX` for everything else, blanks and bytes that are no UTF-8 among them. */
export function percentEncode(bytes: RelativePath): string {
  return encodeUnless(bytes, (character) => PLAIN.test(character));
}

/**
 * What a person has written into a configuration as a value of a query. A `%XX` in it stays: for sersync 2.5, which sent
 * it as it is, it had to be written so.
 */
export function encodeWritten(bytes: RelativePath): string {
  return bytes
    .split(/(%[0-9A-Fa-f]{2})/)
    .map((part, index) => (index % 2 === 1 ? part : percentEncode(part)))
    .join('');
}

/** The beginning of a URL as written in a configuration: encoded is only what cannot stand in a request line. */
export function encodeUrlBase(bytes: RelativePath): string {
  return encodeUnless(bytes, (character) => /^[!-~]$/.test(character) && !/^["<>\\^`{|}#]$/.test(character));
}

function encodeUnless(bytes: RelativePath, isPlain: (character: string) => boolean): string {
  let encoded = '';
  for (const character of bytes) {
    encoded += isPlain(character)
      ? character
      : `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return encoded;
}
