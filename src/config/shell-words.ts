/** A quote that is never closed. */
export class UnterminatedQuoteError extends Error {
  constructor(readonly quote: string) {
    super(`the quote ${quote} is never closed`);
    this.name = new.target.name;
  }
}

/**
 * The words of a text by the shell's quoting rules (POSIX.1-2017, XCU 2.2) and nothing else of the shell: globs,
 * variables, operators, comments, `~` and `$'...'` are literal text. Throws `UnterminatedQuoteError`.
 */
export function splitWords(text: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  for (let at = 0; at < text.length; at++) {
    const character = text.charAt(at);
    if (character === "'" || character === '"') {
      const quoted = character === "'" ? readSingleQuoted(text, at) : readDoubleQuoted(text, at);
      word = (word ?? '') + quoted.value;
      at = quoted.end;
    } else if (character === '\\') {
      at++;
      // A backslash before a line end joins the lines; one at the very end is itself.
      if (text[at] !== '\n') word = (word ?? '') + (text[at] ?? '\\');
    } else if (/[ \t\r\n]/.test(character)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else {
      word = (word ?? '') + character;
    }
  }
  if (word !== undefined) words.push(word);
  return words;
}

interface Quoted {
  readonly value: string;
  /** Where the closing quote stands. */
  readonly end: number;
}

function readSingleQuoted(text: string, start: number): Quoted {
  const end = text.indexOf("'", start + 1);
  if (end < 0) throw new UnterminatedQuoteError("'");
  return { value: text.slice(start + 1, end), end };
}

function readDoubleQuoted(text: string, start: number): Quoted {
  let value = '';
  for (let at = start + 1; at < text.length; at++) {
    const character = text.charAt(at);
    if (character === '"') return { value, end: at };
    const next = text[at + 1];
    // Within double quotes a backslash is an escape before these alone; elsewhere it stands for itself.
    if (character === '\\' && next !== undefined && '"\\$`\n'.includes(next)) {
      if (next !== '\n') value += next;
      at++;
    } else {
      value += character;
    }
  }
  throw new UnterminatedQuoteError('"');
}
