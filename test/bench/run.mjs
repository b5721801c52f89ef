/**
 * `npm run bench`: compiles the harness into a directory of its own, as Node 20 runs no TypeScript, and runs it on `dist/`.
 * Options: `npm run bench -- --help`.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import process from 'node:process';
import { pathToFileURL } from 'node:url';

const root = resolve(import.meta.dirname, '../..');
const directory = mkdtempSync(join(tmpdir(), 'sersync-bench-harness-'));
process.once('exit', () => rmSync(directory, { recursive: true, force: true }));

const compiler = join(root, 'node_modules/.bin/tsc');
const compiled = spawnSync(compiler, ['-p', join(root, 'test/bench/tsconfig.json'), '--outDir', directory], {
  stdio: 'inherit',
});
if (compiled.status !== 0) process.exit(1);
writeFileSync(join(directory, 'package.json'), '{"type":"module"}');

process.env['SERSYNC_DIST'] ??= join(root, 'dist');
process.setSourceMapsEnabled(true);
const { main } = await import(pathToFileURL(join(directory, 'test/bench/main.js')).href);
process.exit(await main(process.argv.slice(2), root));
