import { randomUUID } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Hands `action` the path of a file with the rules, readable by nobody else, and removes it afterwards. */
export async function withRulesFile<Result>(rules: Buffer, action: (path: string) => Promise<Result>): Promise<Result> {
  // A pipe would need no disk, but those of node are sockets, which rsync cannot open as /dev/fd/N.
  const path = join(tmpdir(), `sersync-${randomUUID()}.rules`);
  try {
    writeFileSync(path, rules, { mode: 0o600, flag: 'wx' });
    return await action(path);
  } finally {
    rmSync(path, { force: true });
  }
}
