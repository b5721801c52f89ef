import { randomUUID } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

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

/** A file of rules that the params name, relative to the directory in which rsync runs; bytes as latin1. */
export function readRulesFile(cwd: string, path: string): string | undefined {
  try {
    return readFileSync(resolve(cwd, path), 'latin1');
  } catch {
    // Then nobody knows what it says; rsync tells that it cannot be read.
    return undefined;
  }
}
