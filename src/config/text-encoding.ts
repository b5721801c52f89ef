/** A text and how its bytes were read. */
export interface DecodedText {
  readonly text: string;
  readonly encoding: 'UTF-8' | 'UTF-16' | 'GB18030' | 'ISO-8859-1';
}

/**
 * The text of a configuration file. What it declares is not believed: the shipped file declares ISO-8859-1 and people
 * put UTF-8 or GBK into it. UTF-8 is tried first (a GBK text is practically never valid UTF-8), then GB18030 (which
 * contains GBK), then every byte is a character. Line ends become `\n`; a byte order mark and NUL characters go.
 */
export function decodeText(bytes: Uint8Array): DecodedText {
  const { text, encoding } = decodeBytes(bytes);
  return { text: text.replace(/\r\n?/g, '\n').replace(/[\0\uFEFF]/g, ''), encoding };
}

function decodeBytes(bytes: Uint8Array): DecodedText {
  if (bytes[0] === 0xff && bytes[1] === 0xfe)
    return { text: new TextDecoder('utf-16le').decode(bytes), encoding: 'UTF-16' };
  if (bytes[0] === 0xfe && bytes[1] === 0xff)
    return { text: new TextDecoder('utf-16be').decode(bytes), encoding: 'UTF-16' };
  return (
    tryDecode(bytes, 'utf-8', 'UTF-8') ??
    tryDecode(bytes, 'gb18030', 'GB18030') ?? { text: Buffer.from(bytes).toString('latin1'), encoding: 'ISO-8859-1' }
  );
}

function tryDecode(bytes: Uint8Array, label: string, encoding: DecodedText['encoding']): DecodedText | undefined {
  try {
    return { text: new TextDecoder(label, { fatal: true }).decode(bytes), encoding };
  } catch {
    // Not this encoding: the caller has the next one.
    return undefined;
  }
}
