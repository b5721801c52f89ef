/** A quote that is never closed. */
export class UnterminatedQuoteError extends Error {
  constructor(readonly quote: string) {
    super(`the quote ${quote} is never closed`);
    this.name = new.target.name;
  }
}

/** A word, and what of it a shell would look at. */
export interface ShellWord {
  readonly text: string;
  /**
   * As long as what was written of it, quotes aside: what was quoted or escaped is an `x`. In double quotes the shell still
   * replaces variables and runs commands: `$` and backticks stand there as they are.
   */
  readonly bare: string;
}

/**
 * The words of a text by the shell's quoting rules (POSIX.1-2017, XCU 2.2) and nothing else of the shell: globs,
 * variables, operators, comments, `~` and `$'...'` are literal text. Throws `UnterminatedQuoteError`.
 */
export function splitWords(text: string): string[] {
  return readWords(text).map((word) => word.text);
}

/** The same, each with what a shell would have looked at. Throws `UnterminatedQuoteError`. */
export function readWords(text: string): ShellWord[] {
  const words: ShellWord[] = [];
  let word: ShellWord | undefined;
  const add = (part: string, bare: string): void => {
    word = { text: (word?.text ?? '') + part, bare: (word?.bare ?? '') + bare };
  };
  for (let at = 0; at < text.length; at++) {
    const character = text.charAt(at);
    if (character === "'") {
      const { value, end } = readSingleQuoted(text, at);
      add(value, 'x'.repeat(value.length));
      at = end;
    } else if (character === '"') {
      const { value, bare, end } = readDoubleQuoted(text, at);
      add(value, bare);
      at = end;
    } else if (character === '\\') {
      at++;
      // A backslash before a line end joins the lines; one at the very end is itself.
      if (text[at] !== '\n') add(text[at] ?? '\\', 'x');
    } else if (/[ \t\r\n]/.test(character)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else {
      add(character, character);
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

function readDoubleQuoted(text: string, start: number): Quoted & { readonly bare: string } {
  let value = '';
  let bare = '';
  for (let at = start + 1; at < text.length; at++) {
    const character = text.charAt(at);
    if (character === '"') return { value, bare, end: at };
    const next = text[at + 1];
    // Within double quotes a backslash is an escape before these alone; elsewhere it stands for itself.
    if (character === '\\' && next !== undefined && '"\\$`\n'.includes(next)) {
      if (next !== '\n') {
        value += next;
        bare += 'x';
      }
      at++;
    } else {
      value += character;
      // `(` and `{` say something behind a `$` alone here.
      bare += /[$`\w]/.test(character) || (bare.endsWith('$') && /[({]/.test(character)) ? character : 'x';
    }
  }
  throw new UnterminatedQuoteError('"');
}
