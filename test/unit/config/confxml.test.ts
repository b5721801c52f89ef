import { describe, expect, test } from 'vitest';
import { MAX_CONFIG_BYTES, parseConfXml } from '../../../src/config/confxml.js';
import type { ConfigElement } from '../../../src/config/config.js';

/** Each element on a line: depth, name, attributes, line in the file. */
function outline(element: ConfigElement | undefined, depth = 0): string[] {
  if (element === undefined) return [];
  const attributes = Object.entries(element.attributes).map(([name, value]) => ` ${name}=${value}`);
  const own = `${'.'.repeat(depth)}${element.name}${attributes.join('')} @${element.line}`;
  return [own, ...element.children.flatMap((child) => outline(child, depth + 1))];
}

function read(text: string): { outline: string[]; problems: string[] } {
  const { root, problems } = parseConfXml(Buffer.from(text));
  return { outline: outline(root), problems: problems.map((p) => `${p.severity} ${p.line}: ${p.message}`) };
}

describe('a well-formed file', () => {
  test('is read without a warning, each element with its line', () => {
    const text = `<?xml version="1.0" encoding="ISO-8859-1"?>
<head version="2.5">
  <!-- one
       over lines --> <debug start="true"/>
  <filter start='false'>
    <exclude
       expression="a&amp;b &lt; &#65;&#x4e2d; &quot;"
       ></exclude>
  </filter>
</head>
<!-- the end -->
`;
    expect(read(text)).toEqual({
      outline: [
        'head version=2.5 @2',
        '.debug start=true @4',
        '.filter start=false @5',
        '..exclude expression=a&b < A中 " @6',
      ],
      problems: [],
    });
  });

  test('may have Windows line ends and a byte order mark', () => {
    expect(read('\uFEFF<?xml version="1.0"?>\r\n<head>\r\n<debug start="true"/>\r\n</head>\r\n')).toEqual({
      outline: ['head @2', '.debug start=true @3'],
      problems: [],
    });
  });
});

describe('the encoding is found in the bytes, whatever is declared', () => {
  const declaration = Buffer.from('<?xml version="1.0" encoding="ISO-8859-1"?><head><remote name="');
  const end = Buffer.from('"/></head>');
  test.each([
    ['UTF-8', Buffer.from('模块'), '模块'],
    ['GB18030', Buffer.from([0xc4, 0xa3, 0xbf, 0xe9]), '模块'],
    ['ISO-8859-1', Buffer.from([0x63, 0xff, 0xe9]), 'cÿé'],
  ])('%s', (encoding, bytes, text) => {
    const document = parseConfXml(Buffer.concat([declaration, bytes, end]));
    expect(document.encoding).toBe(encoding);
    expect(document.root?.children[0]?.attributes['name']).toBe(text);
  });

  test('UTF-16, as Windows editors write it, in either order of bytes', () => {
    const bytes = Buffer.from('\uFEFF<head><debug start="真"/></head>', 'utf16le');
    for (const file of [bytes, Buffer.from(bytes).swap16()]) {
      expect(outline(parseConfXml(file).root)).toEqual(['head @1', '.debug start=真 @1']);
    }
  });
});

describe('what people have is mended, with a warning that names its line', () => {
  const rows: [title: string, body: string, elements: string[], problems: string[]][] = [
    [
      'a dash before tags',
      '- <debug start="true">\n</debug>',
      ['.debug start=true @2'],
      ['"-" before a tag is ignored (it comes with text copied from a browser)'],
    ],
    [
      'a remark after an element',
      '<debug start="true"/> # 调试',
      ['.debug start=true @2'],
      ['text outside of tags is ignored: # 调试'],
    ],
    [
      'an element behind #',
      '# <debug start="true"/>',
      ['.debug start=true @2'],
      ['# does not switch off the element behind it, which is read'],
    ],
    ['a stray -->', '-->\n', [], ['a --> without its <!-- is ignored']],
    ['no quotes', '<debug start=true/>', ['.debug start=true @2'], ['the value of start in <debug> has no quotes']],
    [
      'no quotes around a path',
      '<failLog path=/tmp/x/ timeToExecute=60 />',
      ['.failLog path=/tmp/x/ timeToExecute=60 @2'],
      ['the value of path in <failLog> has no quotes', 'the value of timeToExecute in <failLog> has no quotes'],
    ],
    [
      'one quote',
      '<debug start=true"/>',
      ['.debug start=true @2'],
      ['the value of start in <debug> has a quote at one end only'],
    ],
    ['quotes of a web page', '<debug start=“true”/>', ['.debug start=true @2'], ['“ is no quotation mark of XML']],
    [
      'no blank between attributes',
      '<remote ip="a"name="b"/>',
      ['.remote ip=a name=b @2'],
      ['a blank is missing before name='],
    ],
    [
      'no blank after the name',
      '<authstart="true" users="u"/>',
      ['.auth start=true users=u @2'],
      ['a blank is missing in <authstart='],
    ],
    ['no =', '<debug start"true"/>', ['.debug start=true @2'], ['= is missing behind start']],
    ['no value', '<debug start/>', ['.debug start= @2'], ['start in <debug> has no value']],
    [
      'a doubled quote',
      '<remote ip="a"" name="b"/>',
      ['.remote ip=a name=b @2'],
      ['a stray " in <remote ...> is ignored'],
    ],
    [
      'a doubled attribute',
      '<debug start="true" start="false"/>',
      ['.debug start=true @2'],
      ['start= is given twice in <debug>: the first counts'],
    ],
    [
      'a comment in a tag',
      '<remote ip="a" <!-- x --> name="b"/>',
      ['.remote ip=a name=b @2'],
      ['a comment inside of <remote ...> is ignored'],
    ],
    [
      'no > at the end',
      '<debug start="true"/\n<host port="1"',
      ['.debug start=true @2', '.host port=1 @3'],
      ['<debug ...> has no >', '<host ...> has no >'],
    ],
    ['a blank after <', '< debug start="true" / >', ['.debug start=true @2'], ['blanks behind < are ignored']],
    [
      'a leaf that is not closed',
      '<debug start="true">\n<host port="1"/>',
      ['.debug start=true @2', '.host port=1 @3'],
      ['<debug> is not closed: its end is put before line 3'],
    ],
    [
      'a section that is not closed',
      '<sersync>\n<rsync>\n</sersync>',
      ['.sersync @2', '..rsync @3'],
      ['<rsync> is not closed: its end is put before line 4'],
    ],
    [
      'a closing tag too many',
      '<debug start="true"/></debug>',
      ['.debug start=true @2'],
      ['</debug> closes nothing and is ignored'],
    ],
    [
      'a closing tag in another case',
      '<fileSystem xfs="true"></filesystem>',
      ['.fileSystem xfs=true @2'],
      ['</filesystem> is read as </fileSystem>'],
    ],
    [
      'a < in an expression',
      '<exclude expression="(?<!a)b"/>',
      ['.exclude expression=(?<!a)b @2'],
      ['< stands in the value of expression'],
    ],
    ['a bare &', '<exclude expression="a&b&c;"/>', ['.exclude expression=a&b&c; @2'], []],
    ['a CDATA section', '<![CDATA[ <debug/> ]]>', [], ['a CDATA section is ignored']],
    [
      'a stray <',
      '<debug start="true"/> < 3',
      ['.debug start=true @2'],
      ['a stray < is ignored', 'text outside of tags is ignored: 3'],
    ],
  ];
  test.each(rows)('%s', (_title, body, elements, messages) => {
    const found = read(`<head>\n${body}\n</head>`);
    expect(found.outline).toEqual(['head @1', ...elements]);
    expect(found.problems.map((problem) => problem.replace(/^warning \d+: /, ''))).toEqual(messages);
  });

  test.each<[title: string, text: string, place: string, mended: string | undefined]>([
    ['a dash', '<head>\n  - <debug start="true"/></head>', '2:3', ''],
    ['a remark', '<head>\n<debug start="true"/>  # x\n</head>', '2:24', ''],
    ['a stray -->', '<head>\n\t-->\n</head>', '2:2', ''],
    [
      'a value without quotes',
      '<head>\n <timeout start=false time="1"/></head>',
      '2:11',
      '<timeout start="false" time="1"/>',
    ],
    [
      'a missing blank',
      '<head><authstart="true" users="a&amp;b"/></head>',
      '1:7',
      '<auth start="true" users="a&amp;b"/>',
    ],
    ['one in a later line of its tag', '<head>\n <auth\n  start=true/></head>', '2:2', '<auth start="true"/>'],
    ['a missing >', '<head>\n<debug start="true"\n<host port="1"/></head>', '2:1', '<debug start="true"/>'],
    ['a missing closing tag', '<head>\n <sersync>\n</head>', '2:2', '</sersync>'],
    ['a second document', '<head/>\n <head/>', '2:2', ''],
    ['a comment without end', '<head>\n  <!-- x\n</head>', '2:3', undefined],
    ['no closing quote', '<head>\n<debug start="true/>\n<x/></head>', '2:8', undefined],
  ])('line, column and the mended text are told: %s', (_title, text, place, mended) => {
    const [problem] = parseConfXml(Buffer.from(text)).problems;
    expect([`${problem?.line}:${problem?.column}`, problem?.mended]).toEqual([place, mended]);
  });

  test('no password is told with what is mended', () => {
    const { problems } = parseConfXml(
      Buffer.from('<head><cdninfo username=u passwd=secret/><cdninfo passwd=“secret”/></head>'),
    );
    expect(problems).toHaveLength(3);
    expect(JSON.stringify(problems)).not.toContain('secret');
  });

  test('a value may go over lines', () => {
    expect(read('<head><commonParams params="-a\n --delete"/>\n<debug/></head>').outline).toEqual([
      'head @1',
      '.commonParams params=-a  --delete @1',
      '.debug @3',
    ]);
  });

  test('blanks before the declaration', () => {
    expect(read('\n  <?xml version="1.0"?>\n<head/>')).toEqual({
      outline: ['head @3'],
      problems: ['warning 2: blanks stand before the XML declaration'],
    });
  });

  test('of two documents in one file the first counts', () => {
    expect(read('<head><debug start="true"/></head>\n<?xml version="1.0"?>\n<head><debug/></head>')).toEqual({
      outline: ['head @1', '.debug start=true @1'],
      problems: ['warning 2: a second document begins here: NOTHING from here on is read'],
    });
  });

  test('a comment that swallows another one is told with the lines it covers', () => {
    expect(read('<head>\n<!-- a -- >\n<debug start="true"/>\n<!-- b -->\n</head>').problems).toEqual([
      'warning 2: the comment that begins here goes on to line 4, over another <!--: what is between is not read',
    ]);
  });

  test('a missing </head> at the end', () => {
    expect(read('<head>\n<debug start="true"/>\n').problems).toEqual([
      'warning 3: </head> is missing at the end of the file',
    ]);
  });

  test('a habit on many lines is told once', () => {
    expect(read(`<head>\n${'- <debug start="true"/>\n'.repeat(50)}</head>`).problems).toEqual([
      'warning 2: "-" before a tag is ignored (it comes with text copied from a browser) (and in 49 more places)',
    ]);
  });

  test('the text of an unknown element is left alone', () => {
    expect(read('<head><mail>\nhello\n</mail></head>').problems).toEqual([]);
  });
});

describe('what cannot be mended is an error', () => {
  test.each([
    [
      'a value without its closing quote',
      '<head>\n<remote ip="1.2.3.4 name="x"/>\n</head>',
      'error 2: <remote>: the quotes around its values do not pair (near "x")',
    ],
    [
      'a value that runs over other elements',
      '<head>\n<debug start="true/>\n<host port="1"/>\n</head>',
      'error 2: the value of start in <debug> has no closing quote',
    ],
    ['a comment without end', '<head>\n<!-- x\n</head>', 'error 2: the comment that begins here never ends'],
    [
      'a file that was cut off',
      '<head>\n<sersync>\n<rsync>',
      'error 3: the file ends inside <rsync>, which begins in line 3',
    ],
    ['an unknown name that ran into its attribute', '<head>\n<fooBar="1"/></head>', 'error 2: <fooBar= is no element'],
  ])('%s', (_title, text, problem) => {
    expect(read(text).problems).toContain(problem);
  });

  test('what follows a broken tag is still read', () => {
    expect(read('<head>\n<debug start="true/>\n<host port="1"/>\n</head>').outline).toContain('.host port=1 @3');
  });

  test.each([
    ['an empty file', ''],
    ['blanks', ' \n '],
    ['bytes that are no text', Buffer.from([0, 1, 2, 250, 251, 7]).toString('latin1')],
  ])('%s has no root', (_title, text) => {
    expect(parseConfXml(Buffer.from(text)).root).toBeUndefined();
  });
});

describe('hostile files are refused quickly', () => {
  const bomb = `<?xml version="1.0"?><!DOCTYPE head [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><head><debug start="&b;"/></head>`;
  test.each([
    ['entity definitions', bomb],
    ['external entities', `<!DOCTYPE head [<!ENTITY x SYSTEM "file:///etc/passwd">]><head><debug start="&x;"/></head>`],
    ['deep nesting', '<head>' + '<a>'.repeat(100_000)],
    ['very many elements', `<head>${'<a/>'.repeat(500_000)}</head>`],
    ['a file that is too large', ' '.repeat(MAX_CONFIG_BYTES + 1)],
    ['very many broken tags', `<head>${'<a b"c '.repeat(300_000)}`],
    ['very many closing tags', `<head>${'</a'.repeat(1_000_000)}`],
    ['very many quotes', `<head ${`a=“ b='`.repeat(400_000)}`],
    ['one long tag', `<head ${'a '.repeat(1_500_000)}`],
    ['one long line of dashes', `<head>${'- '.repeat(1_500_000)}`],
  ])('%s', { timeout: 10_000 }, (_title, text) => {
    const { root, problems } = parseConfXml(Buffer.from(text));
    const refused = problems.some(({ severity }) => severity === 'error');
    expect(refused || problems.length > 0).toBe(true);
    expect(JSON.stringify(root?.children.at(0)?.attributes ?? {})).not.toContain('aaaa');
    expect(problems.length).toBeLessThanOrEqual(2_000);
  });

  test('a document type without declarations is only a warning', () => {
    expect(read('<!DOCTYPE head SYSTEM "x.dtd">\n<head/>')).toEqual({
      outline: ['head @2'],
      problems: ['warning 1: <!DOCTYPE head SYSTEM "x.dtd"> is ignored'],
    });
  });

  test('names that mean something in JavaScript are plain names', () => {
    const { outline: found, problems } = read('<head __proto__="1" constructor="2"><prototype/></head>');
    expect(found).toEqual(['head ___proto__=1 _constructor=2 @1', '._prototype @1']);
    expect(problems).toEqual([]);
  });
});
