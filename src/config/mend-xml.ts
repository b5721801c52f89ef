import type { ConfigProblem } from '../errors.js';
import { attributesOf, ELEMENTS, LEAVES } from './vocabulary.js';

/**
 * Rewrites what people have in their configuration files as well-formed XML of elements and attributes alone, every
 * tag on the line where it was: comments, remarks and declarations become blanks, and what was broken is mended where
 * there is one way to read it. Each mended thing is a warning; what cannot be mended is an error and the rest is
 * still read, so that all errors are found at once. Runs in linear time; depth and number of elements are bounded.
 *
 * `text` has `\n` line ends. Only the first document is kept when there are several.
 */
export function mendXml(text: string): MendedXml {
  const mender = new Mender(text);
  mender.run();
  return { xml: mender.output(), places: mender.places, problems: foldRepeated(mender.problems) };
}

export interface MendedXml {
  readonly xml: string;
  /** Where the tag that begins at an offset of `xml` stands in `text`. */
  readonly places: ReadonlyMap<number, Place>;
  readonly problems: readonly ConfigProblem[];
}

/** A place in the file; both count from 1, a column is a UTF-16 unit. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

const MAX_DEPTH = 32;
const MAX_ELEMENTS = 20_000;
const MAX_PROBLEMS = 1_000;
/** Tags, comments and what stands between them. */
const MAX_PIECES = 100_000;
/** Attributes and stray characters of one tag. */
const MAX_TAG_PARTS = 500;

const NAME = /[\p{L}_][\p{L}\p{N}_.-]*(?::[\p{L}_][\p{L}\p{N}_.-]*)?/uy;
const BLANKS = /\s*/y;
const UNQUOTED = /[^\s>]*/y;
/** Quotation marks of word processors and web pages, as they come with text copied from there. */
const FANCY_QUOTE = /[“”„‟＂‘’]/;
const ANY_QUOTE = /["“”„‟＂'‘’]/;
/** Names with a meaning in JavaScript: the parser behind refuses the whole file for them. */
const RESERVED_NAMES = new Set(['__proto__', 'constructor', 'prototype']);

interface OpenElement {
  readonly name: string;
  readonly place: Place;
}

class Mender {
  readonly problems: ConfigProblem[] = [];
  readonly places = new Map<number, Place>();
  private readonly parts: string[] = [];
  private written = 0;
  private readonly open: OpenElement[] = [];
  private at = 0;
  private line = 1;
  /** Up to where `line` was counted, and where that line begins. */
  private counted = 0;
  private lineStart = 0;
  private elements = 0;
  private rootEnded = false;
  private stopped = false;

  constructor(private readonly text: string) {}

  output(): string {
    return this.parts.join('');
  }

  run(): void {
    const declaration = this.text.indexOf('<?xml');
    if (declaration > 0 && this.text.slice(0, declaration).trim() === '') {
      this.warn(
        this.placeAt(declaration),
        'blanks stand before the XML declaration',
        'it belongs at the very beginning',
        shorten(/^[^>\n]*>?/.exec(this.text.slice(declaration, declaration + 200))?.[0] ?? ''),
      );
    }
    for (let pieces = 0; !this.stopped && this.at < this.text.length; pieces++) {
      if (pieces < MAX_PIECES) this.readNext();
      else this.giveUp();
    }
    this.end();
  }

  private giveUp(): void {
    this.fail(this.placeAt(this.at), `the file has more than ${MAX_PIECES} tags and remarks: this is no configuration`);
    this.stopped = true;
  }

  private readNext(): void {
    const start = this.at;
    const tag = this.text.indexOf('<', start);
    if (tag !== start) {
      this.readRemark(tag < 0 ? this.text.length : tag);
    } else if (this.text.startsWith('<!--', start)) {
      this.skipComment();
    } else if (this.rootEnded && /^<\/?[?\s]*[\p{L}_]/u.test(this.text.slice(start, start + 16))) {
      this.leaveSecondDocument();
    } else if (this.text.startsWith('<?', start)) {
      this.skipTo('>', 'the declaration <? is never closed');
    } else if (this.text.startsWith('<!', start)) {
      this.skipDeclaration();
    } else if (/^<\s*\//.test(this.text.slice(start, start + 16))) {
      this.readClosingTag();
    } else if (/^<\s*[\p{L}_]/u.test(this.text.slice(start, start + 16))) {
      this.readOpeningTag();
    } else {
      this.warn(this.placeAt(start), 'a stray < is ignored', 'write &lt; in a value, or remove it', '');
      this.pass(start + 1);
    }
  }

  /** Text between tags means nothing in this format: each line of it is told once. */
  private readRemark(end: number): void {
    const lines = this.text.slice(this.at, end).split('\n');
    const first = this.placeAt(this.at);
    lines.forEach((content, index) => {
      const remark = content.trim();
      if (remark === '') return;
      const beforeTag = index === lines.length - 1 && end < this.text.length;
      const column = (index === 0 ? first.column : 1) + content.length - content.trimStart().length;
      this.warnOfRemark(remark, { line: first.line + index, column }, beforeTag);
    });
    this.pass(end);
  }

  private warnOfRemark(remark: string, place: Place, beforeTag: boolean): void {
    const innermost = this.open.at(-1);
    // An unknown element is told and ignored as a whole, with the text in it.
    if (innermost !== undefined && !ELEMENTS.has(innermost.name)) return;
    if (beforeTag && /^[-−–+]$/.test(remark)) {
      const found = `"${remark}" before a tag is ignored (it comes with text copied from a browser)`;
      this.warn(place, found, 'remove it', '');
    } else if (/^(-->\s*)+$/.test(remark)) {
      this.warn(place, 'a --> without its <!-- is ignored', 'remove it', '');
    } else if (beforeTag && remark.startsWith('#')) {
      const found = '# does not switch off the element behind it, which is read';
      this.warn(place, found, 'write <!-- ... --> around it', '');
    } else {
      const found = `text outside of tags is ignored: ${shorten(remark)}`;
      this.warn(place, found, 'write remarks as <!-- remark -->', '');
    }
  }

  private skipComment(): void {
    const start = this.at;
    const end = this.text.indexOf('-->', start + 4);
    if (end < 0) {
      this.fail(this.placeAt(start), 'the comment that begins here never ends', 'write --> at its end');
      this.pass(this.text.length);
      return;
    }
    if (this.text.slice(start + 4, end).includes('<!--')) {
      const place = this.placeAt(start);
      this.warn(
        place,
        `the comment that begins here goes on to line ${this.lineAt(end)}, over another <!--: what is between is not read`,
        'comments cannot be nested: end each with --> before the next begins',
        '',
      );
    }
    this.pass(end + 3);
  }

  private skipDeclaration(): void {
    const place = this.placeAt(this.at);
    if (this.text.startsWith('<![CDATA[', this.at)) {
      this.warn(place, 'a CDATA section is ignored', 'write settings as attributes', '');
      this.skipTo(']]>', 'the CDATA section never ends');
      return;
    }
    const end = this.text.indexOf('>', this.at);
    const declaration = this.text.slice(this.at, end < 0 ? undefined : end);
    if (/[[]|<!\s*ENTITY/i.test(declaration)) {
      // Entities are how a small file becomes gigabytes, or reads other files. No configuration needs them.
      this.fail(place, 'a document type with declarations of its own is refused', 'remove the <!DOCTYPE ...> section');
      this.stopped = true;
      return;
    }
    this.warn(place, `${shorten(declaration)}> is ignored`, 'remove it', '');
    this.skipTo('>', 'the declaration <! is never closed');
  }

  private skipTo(closing: string, complaint: string): void {
    const end = this.text.indexOf(closing, this.at);
    if (end < 0) this.fail(this.placeAt(this.at), complaint, `write ${closing} at its end`);
    this.pass(end < 0 ? this.text.length : end + closing.length);
  }

  private leaveSecondDocument(): void {
    const place = this.placeAt(this.at);
    const rest = this.text.slice(this.at, this.at + 200);
    const what = /^<\?xml|^<\s*head/.test(rest)
      ? 'a second document begins here'
      : 'something follows the end of <head>';
    this.warn(place, `${what}: NOTHING from here on is read`, 'keep one <head> ... </head> in the file', '');
    this.stopped = true;
  }

  private readClosingTag(): void {
    const place = this.placeAt(this.at);
    const slash = this.text.indexOf('/', this.at) + 1;
    const nameStart = slash + match(BLANKS, this.text, slash).length;
    const name = match(NAME, this.text, nameStart);
    const rest = match(/[^<>]*>?/y, this.text, nameStart + name.length);
    if (!rest.endsWith('>')) this.warn(place, `</${name} has no >`, `write </${name}>`, `</${name}>`);
    this.close(name, place);
    this.pass(nameStart + name.length + rest.length);
  }

  private close(name: string, place: Place): void {
    const same = (element: OpenElement): boolean => element.name.toLowerCase() === name.toLowerCase();
    const index = this.open.findLastIndex(same);
    if (index < 0) {
      this.warn(place, `</${name}> closes nothing and is ignored`, 'remove it', '');
      return;
    }
    while (this.open.length > index + 1) this.closeInnermost(place.line);
    const opened = this.open[index];
    if (opened !== undefined && opened.name !== name) {
      const mended = `</${opened.name}>`;
      this.warn(place, `</${name}> is read as ${mended}`, `write ${mended}`, mended);
    }
    this.popInnermost();
  }

  /** Closes the innermost element without its closing tag. */
  private closeInnermost(line: number): void {
    const element = this.open.at(-1);
    if (element === undefined) return;
    const mended = `</${element.name}>`;
    this.warn(
      element.place,
      `<${element.name}> is not closed: its end is put before line ${line}`,
      `write ${mended}`,
      mended,
    );
    this.popInnermost();
  }

  private popInnermost(): void {
    const element = this.open.pop();
    if (element === undefined) return;
    this.write(`</${safeName(element.name)}>`);
    this.rootEnded = this.open.length === 0;
  }

  private readOpeningTag(): void {
    const start = this.at;
    const place = this.placeAt(start);
    const found: TagProblem[] = [];
    const tag = new TagReader(this.text, start, (problem) => found.push(problem)).read();
    const innermost = this.open.at(-1);
    if (innermost !== undefined && ELEMENTS.has(tag.name)) {
      if (LEAVES.has(innermost.name) || (innermost.name === tag.name && tag.name !== 'plugin'))
        this.closeInnermost(place.line);
    }
    const limit = this.elements >= MAX_ELEMENTS ? `${MAX_ELEMENTS} elements` : `${MAX_DEPTH} levels`;
    if (this.elements >= MAX_ELEMENTS || this.open.length >= MAX_DEPTH) {
      this.fail(place, `the file has more than ${limit}: this is no configuration`);
      this.stopped = true;
      return;
    }
    this.elements++;
    const mended = textOf(tag);
    const lineEnd = found.length === 0 ? -1 : this.text.indexOf('\n', start);
    for (const { severity, offset, message, hint } of found) {
      // What stands in another line of the tag is told where the tag begins, as all else about it.
      const isInLine = lineEnd < 0 || offset <= lineEnd;
      const at = isInLine ? { line: place.line, column: place.column + offset - start } : place;
      this.add(
        severity,
        at,
        message,
        hint,
        severity === 'warning' ? shorten(withoutPasswords(mended), 200) : undefined,
      );
    }
    this.places.set(this.written, place);
    this.write(mended);
    if (!tag.selfClosing) this.open.push({ name: tag.name, place });
    else this.rootEnded = this.open.length === 0;
    this.at = start;
    this.pass(tag.end);
  }

  private end(): void {
    const root = this.open[0];
    const innermost = this.open.at(-1);
    if (this.open.length > 1 && innermost !== undefined && !this.stopped) {
      // A file that was cut off may have lost remotes or switches: guessing would sync something else than is meant.
      this.fail(
        this.placeAt(this.text.length),
        `the file ends inside <${innermost.name}>, which begins in line ${innermost.place.line}`,
        'is the end of the file missing?',
      );
    } else if (root !== undefined && !this.stopped) {
      const mended = `</${root.name}>`;
      this.warn(
        this.placeAt(this.text.length),
        `${mended} is missing at the end of the file`,
        `write ${mended}`,
        mended,
      );
    }
    while (this.open.length > 0) this.popInnermost();
  }

  /** Goes on at `end`; what is passed leaves its line ends behind. */
  private pass(end: number): void {
    const before = this.lineAt(this.at);
    this.write('\n'.repeat(this.lineAt(end) - before));
    this.write(' ');
    this.at = end;
  }

  private write(xml: string): void {
    this.parts.push(xml);
    this.written += xml.length;
  }

  private placeAt(offset: number): Place {
    const line = this.lineAt(offset);
    const lineStart = offset >= this.lineStart ? this.lineStart : this.text.lastIndexOf('\n', offset - 1) + 1;
    return { line, column: offset - lineStart + 1 };
  }

  /** The 1-based line of an offset. Offsets behind the last one that was asked for are free of cost. */
  private lineAt(offset: number): number {
    if (offset < this.counted) {
      return this.line - countLineEnds(this.text, offset, this.counted);
    }
    const passed = this.text.slice(this.counted, offset);
    this.line += countLineEnds(passed, 0, passed.length);
    const lastLineEnd = passed.lastIndexOf('\n');
    if (lastLineEnd >= 0) this.lineStart = this.counted + lastLineEnd + 1;
    this.counted = offset;
    return this.line;
  }

  private warn(place: Place, message: string, hint: string | undefined, mended: string): void {
    this.add('warning', place, message, hint, mended);
  }

  private fail(place: Place, message: string, hint?: string): void {
    this.add('error', place, message, hint, undefined);
  }

  private add(
    severity: ConfigProblem['severity'],
    place: Place,
    message: string,
    hint: string | undefined,
    mended: string | undefined,
  ): void {
    // Warnings never take the place of an error.
    if (this.problems.length >= (severity === 'warning' ? MAX_PROBLEMS : 2 * MAX_PROBLEMS)) return;
    this.problems.push({
      severity,
      ...place,
      message,
      ...(hint === undefined ? {} : { hint }),
      ...(mended === undefined ? {} : { mended }),
    });
  }
}

interface Tag {
  readonly name: string;
  /** Values as meant: references such as `&amp;` are resolved. */
  readonly attributes: ReadonlyMap<string, string>;
  readonly selfClosing: boolean;
  readonly end: number;
}

interface TagProblem {
  readonly severity: ConfigProblem['severity'];
  readonly offset: number;
  readonly message: string;
  readonly hint: string | undefined;
}

/** As it may be told: warnings go to the log. */
function withoutPasswords(tag: string): string {
  return tag.replace(/ passwd="[^"]*"/g, ' passwd="***"');
}

function textOf({ name, attributes, selfClosing }: Tag): string {
  const written = [...attributes].map(([key, value]) => ` ${safeName(key)}="${escapeValue(value)}"`).join('');
  return `<${safeName(name)}${written}${selfClosing ? '/' : ''}>`;
}

/** Reads one opening tag, however it is written. */
class TagReader {
  private readonly attributes = new Map<string, string>();
  private name = '';
  /** Where what is read now begins. */
  private spot: number;

  constructor(
    private readonly text: string,
    private at: number,
    private readonly tell: (problem: TagProblem) => void,
  ) {
    this.spot = at;
  }

  read(): Tag {
    this.at++;
    if (this.take(BLANKS) !== '') this.report('warning', 'blanks behind < are ignored');
    this.name = this.take(NAME);
    if (this.text[this.at] === '=') this.splitName();
    for (let parts = 0; parts < MAX_TAG_PARTS; parts++) {
      const blanks = this.take(BLANKS);
      this.spot = this.at;
      const ended = this.readEnd();
      if (ended !== undefined) return ended;
      if (this.startsName()) this.readAttribute(blanks === '');
      else this.skipStray();
    }
    this.report(
      'error',
      `the tag <${shorten(this.name)} has more than ${MAX_TAG_PARTS} parts: this is no configuration`,
    );
    return this.tag(true, this.text.length);
  }

  /** `<authstart="true"`: the element's name has run into its first attribute. */
  private splitName(): void {
    const glued = this.name;
    const element = [...ELEMENTS].find(
      (name) => glued.startsWith(name) && attributesOf(name).includes(glued.slice(name.length)),
    );
    if (element === undefined) {
      this.report('error', `<${glued}= is no element`, 'write <element attribute="value"/>');
      return;
    }
    const attribute = glued.slice(element.length);
    this.report('warning', `a blank is missing in <${glued}=`, `write <${element} ${attribute}=`);
    this.name = element;
    this.at -= attribute.length;
    // Without this the attribute would be told a second time, as one that misses its blank.
    this.readAttribute(false);
  }

  /** The tag, when it ends here. */
  private readEnd(): Tag | undefined {
    if (this.at >= this.text.length) {
      this.report('error', `the tag <${this.name} never ends`, 'write /> at its end');
      return this.tag(true, this.at);
    }
    const selfClosing = match(/\/\s*>/y, this.text, this.at);
    if (selfClosing !== '') return this.tag(true, this.at + selfClosing.length);
    if (this.text[this.at] === '>') return this.tag(false, this.at + 1);
    const slash = match(/\/\s*(?=<)/y, this.text, this.at);
    if (slash !== '' || (this.text[this.at] === '<' && !this.text.startsWith('<!--', this.at))) {
      const selfClosed = slash !== '' || LEAVES.has(this.name);
      this.report('warning', `<${this.name} ...> has no >`, `write ${selfClosed ? '/>' : '>'} at its end`);
      return this.tag(selfClosed, this.at + slash.length);
    }
    return undefined;
  }

  private tag(selfClosing: boolean, end: number): Tag {
    return { name: this.name, attributes: this.attributes, selfClosing, end };
  }

  private readAttribute(glued: boolean): void {
    const name = this.take(NAME);
    const value = this.readValue(name);
    if (value === undefined) return;
    if (glued) this.report('warning', `a blank is missing before ${name}=`, `write a blank before ${name}=`);
    if (this.attributes.has(name)) {
      this.report('warning', `${name}= is given twice in <${this.name}>: the first counts`, 'remove one');
      return;
    }
    this.attributes.set(name, value);
  }

  /** `undefined` when it cannot be read; that is told. */
  private readValue(name: string): string | undefined {
    const afterName = this.at;
    this.take(BLANKS);
    const next = this.text[this.at] ?? '';
    if (next === '=') {
      this.at++;
      this.take(BLANKS);
    } else if (ANY_QUOTE.test(next) && attributesOf(this.name).includes(name)) {
      this.report('warning', `= is missing behind ${name}`, `write ${name}="..."`);
    } else if (ANY_QUOTE.test(next)) {
      this.report(
        'error',
        `<${this.name}>: the quotes around its values do not pair (near "${name}")`,
        'write each value as name="value"',
      );
      this.at++;
      return undefined;
    } else {
      this.at = afterName;
      this.report('warning', `${name} in <${this.name}> has no value`, `write ${name}="..."`);
      return '';
    }
    return ANY_QUOTE.test(this.text[this.at] ?? '') ? this.readQuoted(name) : this.readUnquoted(name);
  }

  private readQuoted(name: string): string | undefined {
    const quote = this.text[this.at] ?? '';
    const fancy = FANCY_QUOTE.test(quote);
    const start = this.at + 1;
    const length = fancy ? this.text.slice(start).search(ANY_QUOTE) : this.text.indexOf(quote, start) - start;
    const value = this.text.slice(start, start + length);
    // A legal value may go over lines or, by mistake, hold a `<`. One with both has swallowed other elements.
    if (length < 0 || (value.includes('<') && value.includes('\n'))) {
      this.report('error', `the value of ${name} in <${this.name}> has no closing quote`, `write ${name}="..."`);
      this.at = start + Math.max(this.text.slice(start).search(/\n|\/?>|$/), 0);
      return undefined;
    }
    if (fancy)
      this.report('warning', `${quote} is no quotation mark of XML`, `write ${name}="${tellable(name, value)}"`);
    if (value.includes('<')) this.report('warning', `< stands in the value of ${name}`, 'write &lt; for it');
    this.at = start + length + 1;
    return resolveReferences(value.replace(/[\t\n]/g, ' '));
  }

  private readUnquoted(name: string): string {
    let raw = this.take(UNQUOTED);
    if (this.text[this.at] === '>' && raw.endsWith('/')) {
      raw = raw.slice(0, -1);
      this.at--;
    }
    const value = raw.replace(/["“”„‟＂'‘’]/g, '');
    const what = raw === '' ? 'is missing' : value === raw ? 'has no quotes' : 'has a quote at one end only';
    this.report(
      'warning',
      `the value of ${name} in <${this.name}> ${what}`,
      `write ${name}="${tellable(name, value)}"`,
    );
    return resolveReferences(value);
  }

  private startsName(): boolean {
    return match(NAME, this.text, this.at) !== '';
  }

  private skipStray(): void {
    if (this.text.startsWith('<!--', this.at)) {
      const end = this.text.indexOf('-->', this.at);
      this.report('warning', `a comment inside of <${this.name} ...> is ignored`, 'move it behind the tag');
      this.at = end < 0 ? this.text.length : end + 3;
      return;
    }
    const stray = String.fromCodePoint(this.text.codePointAt(this.at) ?? 0);
    this.report('warning', `a stray ${stray} in <${this.name} ...> is ignored`, 'remove it');
    this.at += stray.length;
  }

  private report(severity: ConfigProblem['severity'], message: string, hint?: string): void {
    this.tell({ severity, offset: this.spot, message, hint });
  }

  private take(pattern: RegExp): string {
    const found = match(pattern, this.text, this.at);
    this.at += found.length;
    return found;
  }
}

/** What the sticky `pattern` finds exactly at `at`; empty when nothing. */
function match(pattern: RegExp, text: string, at: number): string {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0] ?? '';
}

const REFERENCES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

/** The five names of XML and numbers; anything else that begins with `&` stays as it is. */
function resolveReferences(value: string): string {
  return value.replace(
    /&(?:(amp|lt|gt|quot|apos)|#(\d{1,7})|#x([0-9a-f]{1,6}));/gi,
    (whole, name?: string, decimal?: string, hex?: string) => {
      if (name !== undefined) return REFERENCES[name.toLowerCase()] ?? whole;
      const code = decimal === undefined ? parseInt(hex ?? '', 16) : parseInt(decimal, 10);
      return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : whole;
    },
  );
}

function escapeValue(value: string): string {
  return value.replace(/[&<>"]/g, (character) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;' })[character] ?? '&quot;');
}

function safeName(name: string): string {
  return RESERVED_NAMES.has(name) ? `_${name}` : name;
}

function tellable(name: string, value: string): string {
  return name === 'passwd' ? '...' : shorten(value);
}

function shorten(text: string, length = 60): string {
  return text.length <= length ? text : `${text.slice(0, length - 3)}...`;
}

function countLineEnds(text: string, from: number, to: number): number {
  // The slice bounds the search: without it a file of one long line would be searched to its end for every tag.
  const part = text.slice(from, to);
  let count = 0;
  for (let at = part.indexOf('\n'); at >= 0; at = part.indexOf('\n', at + 1)) count++;
  return count;
}

/** A habit repeated on every line is told once, with the number of lines. */
function foldRepeated(problems: readonly ConfigProblem[]): ConfigProblem[] {
  const byMessage = new Map<string, ConfigProblem[]>();
  for (const problem of problems) {
    const key = problem.severity + problem.message;
    const same = byMessage.get(key);
    if (same === undefined) byMessage.set(key, [problem]);
    else same.push(problem);
  }
  return [...byMessage.values()]
    .flatMap((same): readonly ConfigProblem[] => {
      const [first] = same;
      if (first === undefined || same.length <= 3) return same;
      return [{ ...first, message: `${first.message} (and in ${same.length - 1} more places)` }];
    })
    .sort((one, other) => one.line - other.line);
}
