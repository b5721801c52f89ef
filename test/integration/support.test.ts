import { chmodSync, linkSync, mkdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { TestBench } from '../support/test-bench.js';
import { differences, untilSameTree } from '../support/trees.js';

/** The ground on which the system tests stand: a comparison that sees nothing would make them all pass. */
describe('what the system tests stand on', () => {
  let bench: TestBench;

  beforeEach(() => {
    bench = new TestBench('support');
  });

  afterEach(() => bench.close());

  describe('the comparison of two trees sees', () => {
    const TREE = { directory: 'd', file: 'd/f', link: 'd/l', odd: 'd/\xb2\xe2\n' };
    const rows: { title: string; change: (remote: string) => void; found: RegExp }[] = [
      {
        title: 'a missing file',
        change: (remote) => {
          rmSync(join(remote, 'd/f'));
        },
        found: /^d\/f: missing$/,
      },
      {
        title: 'a missing name that is not UTF-8',
        change: (remote) => {
          rmSync(Buffer.from(join(remote, TREE.odd), 'latin1'));
        },
        found: /^d\/\\#262\\#342\\#012: missing$/,
      },
      {
        title: 'an extra directory',
        change: (remote) => {
          mkdirSync(join(remote, 'd/more'));
        },
        found: /^d\/more: extra$/,
      },
      {
        title: 'another length',
        change: (remote) => {
          writeFileSync(join(remote, 'd/f'), 'longer');
          utimesSync(join(remote, 'd/f'), 1000, 1000);
        },
        found: /^d\/f: 6 bytes, not 3$/,
      },
      {
        title: 'another content of the same length and time',
        change: (remote) => {
          writeFileSync(join(remote, 'd/f'), 'two');
          utimesSync(join(remote, 'd/f'), 1000, 1000);
        },
        found: /^d\/f: other content$/,
      },
      {
        title: 'another time',
        change: (remote) => {
          utimesSync(join(remote, 'd/f'), 1000, 1000.5);
        },
        found: /^d\/f: modified at/,
      },
      {
        title: 'another mode',
        change: (remote) => {
          chmodSync(join(remote, 'd'), 0o700);
        },
        found: /^d: mode 40700, not 40755$/,
      },
      {
        title: 'another target of a link',
        change: (remote) => {
          rmSync(join(remote, 'd/l'));
          symlinkSync('elsewhere', join(remote, 'd/l'));
        },
        found: /^d\/l: points elsewhere$/,
      },
      {
        title: 'a directory in the place of a file',
        change: (remote) => {
          rmSync(join(remote, 'd/f'));
          mkdirSync(join(remote, 'd/f'));
        },
        found: /^d\/f: is a directory, not a file$/,
      },
    ];

    for (const { title, change, found } of rows) {
      it(title, () => {
        const [one, other] = [bench.path('one'), bench.path('other')];
        for (const root of [one, other]) plant(root);
        expect(differences(one, other)).toEqual([]);

        change(other);

        expect(differences(one, other)).toEqual([expect.stringMatching(found)]);
      });
    }

    it('names that are one file here and two there, when asked', () => {
      const [one, other] = [bench.path('one'), bench.path('other')];
      for (const root of [one, other]) plant(root);
      linkSync(join(one, 'd/f'), join(one, 'g'));
      writeFileSync(join(other, 'g'), 'one', { mode: 0o644 });
      utimesSync(join(other, 'g'), 1000, 1000);

      expect(differences(one, other)).toEqual([]);
      expect(differences(one, other, { hardLinks: true })).toEqual(['d/f = g: not one file']);
    });

    it('nothing that is excluded', () => {
      const [one, other] = [bench.path('one'), bench.path('other')];
      for (const root of [one, other]) plant(root);
      rmSync(join(other, 'd'), { recursive: true });

      expect(differences(one, other, { isExcluded: (path) => path === 'd' })).toEqual([]);
    });

    function plant(root: string): void {
      mkdirSync(join(root, 'd'), { recursive: true, mode: 0o755 });
      writeFileSync(join(root, 'd/f'), 'one', { mode: 0o644 });
      utimesSync(join(root, 'd/f'), 1000, 1000);
      symlinkSync('f', join(root, 'd/l'));
      writeFileSync(Buffer.from(join(root, TREE.odd), 'latin1'), '');
      utimesSync(Buffer.from(join(root, TREE.odd), 'latin1'), 1000, 1000);
    }
  });

  describe('the rsync daemon', () => {
    it('receives a tree, and tells how many connections it had and what was sent', async () => {
      const [daemon] = await bench.startDaemons(1);
      writeFileSync(join(bench.source, 'a\tb'), 'x');
      symlinkSync('a', join(bench.source, 'link'));

      push(daemon!.url());

      await untilSameTree(bench.source, bench.remotes, { withinMs: 1000 });
      expect(daemon!.connections()).toBe(1);
      expect(daemon!.sentNames().sort()).toEqual(['a\tb', 'link']);
    });

    it('refuses connections when stopped and is there again, on the same port, when restarted', async () => {
      const [daemon] = await bench.startDaemons(1);
      await daemon!.stop();
      expect(() => {
        push(daemon!.url());
      }).toThrow(/refused/);

      await daemon!.start();

      push(daemon!.url());
    });

    it('accepts and never answers while frozen', async () => {
      const [daemon] = await bench.startDaemons(1);
      daemon!.freeze();
      expect(() => {
        push(daemon!.url(), '--timeout=1', '--contimeout=1');
      }).toThrow(/timeout/i);

      daemon!.thaw();

      push(daemon!.url());
    });

    it('asks for a password when it has secrets', async () => {
      const [daemon] = await bench.startDaemons(1, { secrets: { sync: 'secret' } });
      writeFileSync(bench.path('password'), 'secret\n', { mode: 0o600 });
      expect(() => {
        push(daemon!.url());
      }).toThrow(/auth failed/);

      push(daemon!.url().replace('//', '//sync@'), `--password-file=${bench.path('password')}`);
    });

    function push(url: string, ...options: string[]): void {
      execFileSync('rsync', ['-artz', ...options, `${bench.source}/`, url], {
        stdio: 'pipe',
        env: { ...process.env, RSYNC_PASSWORD: 'wrong' },
      });
    }
  });
});
