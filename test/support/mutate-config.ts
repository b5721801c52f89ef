import type { Random } from './random.js';

const VALUES = [
  '',
  'true',
  'TRUE',
  'start',
  '-1',
  '0',
  '1e9',
  '99999999999',
  'NaN',
  '*',
  '(',
  '"',
  "'",
  '/',
  '中文',
  '&amp;',
  '&bomb;',
  '{x}',
];
const BYTES = [0x00, 0x01, 0x80, 0xff, 0xfe, 0xef, 0x3c, 0x3e, 0x22, 0x26, 0x0d];

/** A configuration as bytes with one to three things done to it: cut, doubled, reordered, wrong values, odd bytes. */
export function mutateConfig(sample: string, random: Random): Buffer {
  let bytes: Buffer = Buffer.from(sample);
  for (let count = 1 + random.below(3); count > 0; count--) bytes = random.pick(MUTATIONS)(bytes, random);
  return bytes;
}

type Mutation = (bytes: Buffer, random: Random) => Buffer;

const MUTATIONS: readonly Mutation[] = [
  // Cut at an end, or in the middle.
  (bytes, random) => bytes.subarray(0, random.below(bytes.length + 1)),
  (bytes, random) => {
    const from = random.below(bytes.length + 1);
    return Buffer.concat([bytes.subarray(0, from), bytes.subarray(from + random.below(200))]);
  },
  // Doubled: the document, or a part of it.
  (bytes) => Buffer.concat([bytes, bytes]),
  (bytes, random) => {
    const from = random.below(bytes.length + 1);
    const to = from + random.below(400);
    return Buffer.concat([bytes.subarray(0, to), bytes.subarray(from)]);
  },
  // Lines in another order.
  (bytes, random) => {
    const lines = bytes.toString('latin1').split('\n');
    for (let count = 0; count < 5; count++) {
      const [line = ''] = lines.splice(random.below(lines.length), 1);
      lines.splice(random.below(lines.length + 1), 0, line);
    }
    return Buffer.from(lines.join('\n'), 'latin1');
  },
  // A value of another kind.
  (bytes, random) => {
    const text = bytes.toString('latin1');
    const values = [...text.matchAll(/="[^"]*"/g)];
    if (values.length === 0) return bytes;
    const { index, 0: found } = random.pick(values);
    const value = Buffer.from(random.pick(VALUES)).toString('latin1');
    return Buffer.from(`${text.slice(0, index)}="${value}"${text.slice(index + found.length)}`, 'latin1');
  },
  // Odd bytes.
  (bytes, random) => {
    const changed = Buffer.from(bytes);
    if (changed.length === 0) return changed;
    for (let count = 0; count < 10; count++) changed[random.below(changed.length)] = random.pick(BYTES);
    return changed;
  },
  (bytes) => Buffer.from(`\uFEFF${bytes.toString('utf8')}`, 'utf16le'),
];
