/**
 * The commands that ask a running service. Each prints its answer, gives the exit code, and throws a `SersyncError` when
 * the service cannot be asked.
 */
import { SersyncError } from '../errors.js';
import { describeHeld, describeStatus } from '../observe/status-text.js';
import { judgeHealth, type Health } from '../observe/status.js';
import { count } from '../observe/wording.js';
import { askService, type ServiceLocation } from './control-client.js';
import type { HeldOptions, StatusOptions } from './options.js';

/** Resolves when the text is out. */
type Print = (text: string) => Promise<unknown>;

/** `sersync status`: how the service is; with `--health` one line, and 1 when it is not well. */
export async function runStatus(options: StatusOptions, location: ServiceLocation, print: Print): Promise<number> {
  if (options.health) {
    const health = await healthOf(location);
    await print(options.json ? asJson(health) : `${health.line}\n`);
    return health.healthy ? 0 : 1;
  }
  const status = await askService(location, 'status');
  await print(options.json ? asJson(status) : describeStatus(status));
  return 0;
}

/** `sersync held`: the deletions that wait, or `--release`: lets them go. `now`: milliseconds since 1970. */
export async function runHeld(
  options: HeldOptions,
  location: ServiceLocation,
  now: number,
  print: Print,
): Promise<number> {
  if (options.release) {
    const result = await askService(location, 'release');
    await print(options.json ? asJson(result) : `${count(result.released, 'name')} released\n`);
    return 0;
  }
  const held = await askService(location, 'held');
  await print(options.json ? asJson(held) : describeHeld(held, now));
  return 0;
}

/** A service that cannot be asked is not healthy, whatever the reason. */
async function healthOf(location: ServiceLocation): Promise<Health> {
  try {
    return judgeHealth(await askService(location, 'status'));
  } catch (error) {
    if (error instanceof SersyncError) return { healthy: false, line: `unhealthy: ${error.message}` };
    throw error;
  }
}

function asJson(value: object): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
