import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import process from 'node:process';
import { pathToFileURL } from 'node:url';

/**
 * Compiles the harness in `test/NAME` into a directory of its own, as Node 20 runs no TypeScript, and ends with what its
 * `main(arguments, root of the checkout)` returns. It runs `dist/`. `scripts`: files that are needed as they are.
 */
export async function runHarness(name, scripts = []) {
  const root = resolve(import.meta.dirname, '../..');
  const directory = mkdtempSync(join(tmpdir(), `sersync-${name}-harness-`));
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }));

  const compiler = join(root, 'node_modules/.bin/tsc');
  const compiled = spawnSync(compiler, ['-p', join(root, `test/${name}/tsconfig.json`), '--outDir', directory], {
    stdio: 'inherit',
  });
  if (compiled.status !== 0) process.exit(1);
  writeFileSync(join(directory, 'package.json'), '{"type":"module"}');
  for (const script of scripts) copyFileSync(join(root, script), join(directory, script));

  process.env['SERSYNC_DIST'] ??= join(root, 'dist');
  process.setSourceMapsEnabled(true);
  const { main } = await import(pathToFileURL(join(directory, `test/${name}/main.js`)).href);
  process.exit(await main(process.argv.slice(2), root));
}
