/** `sersync check`: reads configurations and starts nothing. */
import { checkConfig, compareFiles, hasErrors, reportOf } from '../config/check-config.js';
import { describeCheck } from './check-text.js';
import type { CheckOptions } from './options.js';

/** Prints what was found, and gives the exit code: 1 when a file has an error. With `--json` one object, or a list of several. */
export async function runCheck(
  { files, json, plugin }: CheckOptions,
  env: NodeJS.ProcessEnv,
  print: (text: string) => Promise<unknown>,
): Promise<number> {
  const checked = compareFiles(files.map((file) => checkConfig(file, env, plugin)));
  if (json) {
    const reports = checked.map(reportOf);
    await print(`${JSON.stringify(reports.length === 1 ? reports[0] : reports, null, 2)}\n`);
  } else {
    await print(checked.map(describeCheck).join('\n'));
  }
  return checked.some(hasErrors) ? 1 : 0;
}
