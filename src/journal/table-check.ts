/**
 * LevelDB checks its log when it reads it, but not its tables (`*.ldb`), and a damaged one ends the process: in
 * classic-level 3.0.0 its assertions are on (seen: TableBuilder::Add, SIGABRT). So they are checked before it may read
 * them. The format is that of leveldb/doc/table_format.md:
 *
 *     blocks, each followed by a byte for its compression and a checksum of both
 *     footer: the places of the metaindex block and the index block, padding, and a number
 */
const FOOTER = 48;
const MAGIC = 0xdb4775248b80fb57n;
const NOT_COMPRESSED = 0;
const TRAILER = 5;

/** Whether each block of the table is as it was written. Tables are written without compression. */
export function isWholeTable(table: Buffer): boolean {
  if (table.length < FOOTER || table.readBigUInt64LE(table.length - 8) !== MAGIC) return false;
  try {
    const footer = new Reader(table.subarray(-FOOTER));
    const metaindex = blockAt(table, footer.place());
    const index = blockAt(table, footer.place());
    for (const place of [...placesIn(metaindex), ...placesIn(index)]) blockAt(table, place);
    return true;
  } catch (error) {
    if (error instanceof NotWhole) return false;
    throw error;
  }
}

class NotWhole extends Error {}

interface Place {
  readonly offset: number;
  readonly size: number;
}

function blockAt(table: Buffer, { offset, size }: Place): Buffer {
  const end = offset + size;
  if (end + TRAILER > table.length - FOOTER) throw new NotWhole();
  const isIntact = table.readUInt32LE(end + 1) === mask(crc32c(table.subarray(offset, end + 1)));
  if (!isIntact || table[end] !== NOT_COMPRESSED) throw new NotWhole();
  return table.subarray(offset, end);
}

/** The places that the entries of an index block name. */
function* placesIn(block: Buffer): Generator<Place> {
  if (block.length < 4) throw new NotWhole();
  const restarts = block.readUInt32LE(block.length - 4);
  const reader = new Reader(block.subarray(0, Math.max(0, block.length - 4 - 4 * restarts)));
  while (!reader.isAtEnd) {
    reader.varint();
    const keyBytes = reader.varint();
    const valueBytes = reader.varint();
    reader.skip(keyBytes);
    yield new Reader(reader.skip(valueBytes)).place();
  }
}

class Reader {
  #offset = 0;

  constructor(readonly bytes: Buffer) {}

  get isAtEnd(): boolean {
    return this.#offset >= this.bytes.length;
  }

  /** Seven bits a byte, the lowest first; the eighth says that there are more. */
  varint(): number {
    let value = 0;
    for (let factor = 1; factor <= 2 ** 42; factor *= 128) {
      const byte = this.bytes[this.#offset++];
      if (byte === undefined) throw new NotWhole();
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
    throw new NotWhole();
  }

  place(): Place {
    return { offset: this.varint(), size: this.varint() };
  }

  skip(count: number): Buffer {
    const start = this.#offset;
    this.#offset += count;
    if (this.#offset > this.bytes.length) throw new NotWhole();
    return this.bytes.subarray(start, this.#offset);
  }
}

const CASTAGNOLI = 0x82f63b78;
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ CASTAGNOLI : crc >>> 1;
  return crc;
});

function crc32c(bytes: Buffer): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (CRC_TABLE[(crc ^ byte) & 0xff] ?? 0) ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/** LevelDB stores checksums like this, so that one of bytes that hold a checksum is no weaker (util/crc32c.h). */
function mask(crc: number): number {
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}
