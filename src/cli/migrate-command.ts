/** `sersync migrate`: what changes from sersync 2.5, and one configuration joined from several. */
import { statSync, writeFileSync } from 'node:fs';
import { extname } from 'node:path';
import { checkConfig, type CheckedConfig } from '../config/check-config.js';
import { mergeConfigs, type Mergeable, type MergedConfig, type MergePlan } from '../config/merge-configs.js';
import { messageOf, SersyncError } from '../errors.js';
import { count } from '../observe/wording.js';
import { describeMigration } from './check-text.js';
import type { MigrateOptions } from './options.js';

export interface Printers {
  readonly print: (text: string) => Promise<unknown>;
  readonly printError: (text: string) => Promise<unknown>;
}

/**
 * Tells what changes for each file, then gives the joined one: to standard output, so that what is told goes to standard
 * error, or into the file of `-o`, which must not exist. Exit code 1 when a file could not be used or not all was given.
 */
export async function runMigrate(
  { files, output }: MigrateOptions,
  env: NodeJS.ProcessEnv,
  { print, printError }: Printers,
): Promise<number> {
  const tell = output === undefined ? printError : print;
  const checked = files.map((file) => checkConfig(file, env));
  for (const one of checked) await tell(`${describeMigration(one)}\n`);
  const usable = checked.flatMap((one) => mergeable(one));
  const plan = mergeConfigs(usable);
  await tell(describePlan(plan, checked));
  const isComplete = usable.length === files.length;
  if (output !== undefined) {
    for (const [index, merged] of plan.merged.entries()) {
      const name = index === 0 ? output : numbered(output, index + 1);
      writeNew(name, merged);
      await print(`${name} written 已写入; next: sersync check -o ${name}\n`);
    }
    return isComplete ? 0 : 1;
  }
  const [only, ...others] = plan.merged;
  if (only === undefined || others.length > 0) return 1;
  await print(only.text);
  return isComplete ? 0 : 1;
}

/** A directory or password file that this machine does not have is no reason. */
function mergeable({ file, reading }: CheckedConfig): Mergeable[] {
  return reading === undefined || reading.fileErrors.length > 0 ? [] : [{ file, reading }];
}

function describePlan({ merged, reasons }: MergePlan, checked: readonly CheckedConfig[]): string {
  const lines: string[] = [];
  const used = new Set(merged.flatMap(({ files }) => files));
  for (const { file } of checked) {
    if (!used.has(file)) lines.push(`${file} is left out: correct its errors first 请先改正其中的错误`);
  }
  lines.push(...reasons);
  for (const { files, notes } of merged) {
    if (files.length > 1) lines.push(`joined 合并: ${files.join(', ')}`);
    lines.push(...notes.map((note) => `  ${note}`));
  }
  if (merged.length > 1) {
    const hint = 'they are written with -o NEWFILE: one service for each, with its own -o and fail log';
    lines.push(`${count(merged.length, 'file')} are needed 需要 ${merged.length} 个配置文件; ${hint}`);
  }
  if (merged.length > 0) {
    lines.push('Comments and what was ignored anyway are not in the joined file. 注释不会保留。');
  }
  return `${lines.join('\n')}\n`;
}

/** `new.xml`, `new-2.xml`, ... */
function numbered(path: string, number: number): string {
  const extension = extname(path);
  return `${path.slice(0, path.length - extension.length)}-${number}${extension}`;
}

function writeNew(path: string, { text, files }: MergedConfig): void {
  try {
    // As open to others as the file that it takes the place of: it may hold a password of <cdninfo>.
    const mode = statSync(files[0] ?? '').mode & 0o777;
    writeFileSync(path, text, { flag: 'wx', mode });
  } catch (error) {
    const exists = error instanceof Error && 'code' in error && error.code === 'EEXIST';
    const message = exists ? `${path} exists, and is not overwritten` : `cannot write ${path}: ${messageOf(error)}`;
    throw new SersyncError('SERSYNC_MIGRATE', message, 'name a new file with -o NEWFILE');
  }
}
