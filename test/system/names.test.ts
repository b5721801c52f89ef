import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { eventually } from '../support/eventually.js';
import type { SersyncProcess } from '../support/sersync-process.js';
import { TestBench } from '../support/test-bench.js';
import { locate } from '../support/trees.js';

/** What a command in a name would leave behind, wherever it ran. */
const TRACE = 'PWNED';

/** Names as bytes (latin1), with what is odd about them. */
const NAMES: readonly (readonly [title: string, name: string])[] = [
  ['a newline', 'new\nline'],
  ['a newline at the end', 'end\n'],
  ['a carriage return and a tab', 'cr\rtab\t'],
  ['single quotes', "it's 'quoted'"],
  ['double quotes', 'say "hello"'],
  ['a double quote that ends an argument', `x";touch ${TRACE};"`],
  ['a backslash', 'back\\slash'],
  ['a backslash at the end', 'back\\'],
  ["rsync's own escape", 'looks\\#012like'],
  ['a command in $()', `$(touch ${TRACE})`],
  ['a command in backticks', `\`touch ${TRACE}\``],
  ['a variable', '$HOME ${PATH}'],
  ['a pipe, an ampersand and a redirection', `a|touch ${TRACE}&b>${TRACE}`],
  ['glob characters', '*?[a-z]{x,y}'],
  ['a star alone', '*'],
  ['a leading dash', '-rf'],
  ['a leading dash that is an option', '--delete'],
  ['an option with a value', '--rsync-path=touch PWNED'],
  ['a leading #', '#comment'],
  ['a leading ;', ';comment'],
  ['a leading + and a rule', '+ rule'],
  ['a leading - and a rule', '- rule'],
  ['leading and trailing blanks', '  blanks  '],
  ['a blank alone', ' '],
  ['two colons', 'host::module'],
  ['a colon', 'host:path'],
  ['a leading tilde', '~root'],
  ['a leading !', '!!'],
  ['a leading dot', '.hidden'],
  ['three dots', '...'],
  ['a percent sign', '%n %s %%'],
  ['control characters', '\x01\x07\x1b[31m\x7f'],
  ['255 bytes', 'n'.repeat(255)],
  ['255 bytes of UTF-8', utf8('名'.repeat(85))],
  ['Chinese in UTF-8', utf8('测试 文件.txt')],
  ['Chinese in GBK', '\xb2\xe2\xca\xd4 \xce\xc4\xbc\xfe.txt'],
  ['GBK whose second byte is a backslash', '\x95\x5c'],
  ['a byte that is never UTF-8', 'x\xff\xfey'],
  ['half a UTF-8 character', 'half\xe6\xb5'],
  ['decomposed and composed accents', utf8('e\u0301 é')],
  ['an emoji', utf8('🎉')],
  ['XML', '<remote ip="1">&amp;'],
];

describe('a name with', () => {
  let bench: TestBench;
  let sersync: SersyncProcess;

  beforeAll(async () => {
    bench = new TestBench('names');
    mkdirSync(bench.path('cwd'));
    await bench.startDaemons(2);
    sersync = bench.spawnSersync({ config: bench.writeConfig({ debug: true }), cwd: bench.path('cwd') });
    await sersync.waitForLog('watch:ready');
    await bench.untilSame({ withinMs: 10_000 });
  });

  afterAll(() => bench.close());

  for (const [title, name] of NAMES) {
    it(`${title} is written, changed, moved and removed on the remotes`, async () => {
      const [file, moved] = [at(name), at(`moved/${name}`)];
      mkdirSync(at('moved'), { recursive: true });

      writeFileSync(file, 'written');
      await bench.untilSame({ withinMs: 3_000 });
      expect(sameOnRemotes(name)).toBe(true);

      appendFileSync(file, ' and changed');
      await bench.untilSame({ withinMs: 3_000 });

      renameSync(file, moved);
      await bench.untilSame({ withinMs: 3_000 });

      rmSync(moved);
      await bench.untilSame({ withinMs: 3_000 });
    });
  }

  it('anything of it: as directories, with one another inside', async () => {
    for (const [, outer] of NAMES.filter(([, name]) => name.length < 200)) {
      mkdirSync(at(outer));
      for (const [, inner] of NAMES) writeFileSync(at(`${outer}/${inner}`), outer);
    }
    await bench.untilSame({ withinMs: 5_000 });

    for (const [, outer] of NAMES.filter(([, name]) => name.length < 200)) {
      appendFileSync(at(`${outer}/${NAMES[0]![1]}`), 'changed');
      rmSync(at(`${outer}/${NAMES[1]![1]}`));
    }
    await bench.untilSame({ withinMs: 3_000 });

    for (const [, outer] of NAMES.filter(([, name]) => name.length < 200)) rmSync(at(outer), { recursive: true });
    await bench.untilSame({ withinMs: 5_000 });
  });

  it('anything of it: when its remote fails, in log and fail log', async () => {
    await bench.daemons[0]!.stop();
    for (const [, name] of NAMES) writeFileSync(at(name), 'while one remote is down');
    await bench.untilSame({ withinMs: 5_000, remotes: bench.remotes.slice(1) });
    await sersync.waitForLog('remote:unreachable', { remote: bench.remoteName(bench.daemons[0]!) });

    await bench.daemons[0]!.start();

    await bench.untilSame({ withinMs: 15_000 });
    for (const [, name] of NAMES) rmSync(at(name));
    await bench.untilSame({ withinMs: 5_000 });
  });

  it('a command runs none', () => {
    const places = [bench.path('cwd'), bench.source, bench.directory, ...bench.remotes, process.cwd(), '/'];
    expect(places.filter((place) => readdirSync(place).includes(TRACE))).toEqual([]);
  });

  it('a newline makes no second line in the log', () => {
    expect(sersync.plainLines.filter((line) => line.trim() !== '')).toEqual([]);
    if (existsSync(bench.failLog)) expect(readFileSync(bench.failLog, 'latin1')).not.toMatch(/^touch/m);
  });

  function at(path: string): Buffer {
    return locate(bench.source, path);
  }

  function sameOnRemotes(path: string): boolean {
    return bench.remotes.every((remote) => readFileSync(locate(remote, path)).equals(readFileSync(at(path))));
  }
});

describe('the name of the watched directory', () => {
  it('may hold blanks, quotes, Chinese and a command', async () => {
    const bench = new TestBench('root-name');
    try {
      await bench.startDaemons(1);
      const watch = bench.path(`it's "the" 源 $(touch ${TRACE}) & <dir>`);
      mkdirSync(watch);
      await bench.startSersync({ watch });

      writeFileSync(join(watch, 'file'), 'content');

      const there = join(bench.remotes[0]!, 'file');
      await eventually(
        () => existsSync(there),
        { withinMs: 5_000 },
        () => `the file did not arrive`,
      );
      expect([...readdirSync(bench.directory), ...readdirSync(watch), ...readdirSync(process.cwd())]).not.toContain(
        TRACE,
      );
    } finally {
      await bench.close();
    }
  });
});

/** Text as the bytes of its UTF-8. */
function utf8(text: string): string {
  return Buffer.from(text).toString('latin1');
}
