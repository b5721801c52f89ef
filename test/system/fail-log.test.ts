import { execFileSync } from 'node:child_process';
import { chownSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

import { eventually } from '../support/eventually.js';
import { TestBench } from '../support/test-bench.js';
import { locate } from '../support/trees.js';

/** What a command in a name would leave behind, wherever it ran. */
const TRACE = 'PWNED';
const NOBODY = 65534;

/** Names as bytes (latin1), in a directory that the remote may not write to. */
const NAMES = [
  'plain',
  'with  blanks ',
  "it's",
  'say "hello"',
  'back\\slash\\012',
  '%s %d %%',
  `$(touch ${TRACE})`,
  `\`touch ${TRACE}\``,
  `x";touch ${TRACE};"`,
  `x';touch ${TRACE};'`,
  `\n';touch ${TRACE};'`,
  `new\ntouch ${TRACE}\nline`,
  '-rf',
  '#comment',
  '*?[a]{b,c}',
  '!!',
  '名',
  '\xb2\xe2\xca\xd4',
].map((name) => (/[\u0100-\uffff]/.test(name) ? Buffer.from(name).toString('latin1') : name));

// The remote refuses by the owner of a directory, which only root can change.
it.runIf(process.getuid?.() === 0)(
  'each line of the fail log, pasted into a shell, brings over what it is about and runs nothing else',
  async () => {
    const bench = new TestBench('fail-log');
    try {
      const [daemon] = await bench.startDaemons(1, { uid: 'nobody', gid: 'nogroup' });
      const there = join(daemon!.path(), 'blocked');
      for (const directory of [there, bench.path('source/blocked'), bench.path('cwd')]) mkdirSync(directory);
      for (const directory of [daemon!.path(), there]) chownSync(directory, NOBODY, NOBODY);
      writeFileSync(bench.path("source/blocked/rm 'x'"), 'to be removed');
      const sersync = await bench.startSersync();
      await bench.untilSame({ withinMs: 10_000, owner: false });
      chownSync(there, 0, 0);

      for (const name of NAMES) writeFileSync(at(name), name, 'latin1');
      rmSync(bench.path("source/blocked/rm 'x'"));
      await eventually(
        () => commands().length === NAMES.length + 1,
        { withinMs: 20_000 },
        () => `${commands().length} commands for ${NAMES.length + 1} failures:\n${failLog()}\n${sersync.transcript()}`,
      );
      // From here on nobody brings them but the commands.
      await sersync.stop();
      chownSync(there, NOBODY, NOBODY);

      commands().forEach((command, index) => {
        const shell = index % 2 === 0 ? 'sh' : 'bash';
        execFileSync(shell, ['-c', command], { cwd: bench.path('cwd'), stdio: ['ignore', 'ignore', 'pipe'] });
      });

      await bench.untilSame({ withinMs: 1_000, owner: false });
      const places = [bench.path('cwd'), bench.source, bench.path('source/blocked'), there, process.cwd(), '/'];
      expect(places.filter((place) => readdirSync(place).includes(TRACE))).toEqual([]);
    } finally {
      await bench.close();
    }

    function at(name: string): Buffer {
      return locate(bench.source, `blocked/${name}`);
    }

    function failLog(): string {
      return existsSync(bench.failLog) ? readFileSync(bench.failLog, 'utf8') : '';
    }

    /** Every line but comments, and the first. */
    function commands(): string[] {
      return failLog()
        .split('\n')
        .filter((line) => line !== '' && !line.startsWith('#'));
    }
  },
);
