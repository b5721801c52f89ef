import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { SWITCHES, SWITCH_TABLE, type Mark, type SwitchRow } from '../../support/switch-table.js';

/** What test/system/switches.test.ts holds the program to is what people read. */
const PAGES: readonly {
  readonly page: string;
  readonly first: string;
  readonly words: Partial<Record<Mark, string>>;
}[] = [
  { page: 'docs/confxml.md', first: 'operation', words: {} },
  {
    page: 'docs/confxml.zh-CN.md',
    first: '操作',
    words: {
      'files ¹': '文件 ¹',
      '● 10 s': '● 10 秒',
      'with `delete`': '需同时开 `delete`',
      'with `moveFrom`': '需同时开 `moveFrom`',
    },
  },
];

const ROWS: readonly SwitchRow[] = SWITCH_TABLE;

describe.each(PAGES)('the table of the switches in $page', ({ page, first, words }) => {
  const [header, , ...rows] = tableAfter(page, first);

  test('has a column for each switch, in the order of the file', () => {
    expect(header).toEqual([first, ...SWITCHES.map((name) => `\`${name}\``)]);
  });

  test('says of each operation what is tested', () => {
    const tested = ROWS.map(({ marks }) =>
      SWITCHES.map((name) => {
        const mark = marks[name];
        return mark === undefined ? '' : (words[mark] ?? mark);
      }),
    );
    expect(rows.map(([, ...marks]) => marks)).toEqual(tested);
  });

  test.runIf(first === 'operation')('names the operations as the test does', () => {
    expect(rows.map(([operation]) => operation)).toEqual(ROWS.map(({ operation }) => operation));
  });
});

/** The cells of the first table whose header begins so. */
function tableAfter(page: string, first: string): string[][] {
  const lines = readFileSync(page, 'utf8').split('\n');
  const begin = lines.findIndex((line) => line.startsWith(`| ${first} |`));
  if (begin < 0) throw new Error(`${page} has no table that begins with | ${first} |`);
  const length = lines.slice(begin).findIndex((line) => !line.startsWith('|'));
  return lines.slice(begin, begin + length).map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}
