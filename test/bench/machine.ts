import { spawnSync } from 'node:child_process';
import { cpus, release, totalmem } from 'node:os';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly kernel: string;
  readonly memoryBytes: number;
  /** By program; those that are not there are left out. */
  readonly versions: Readonly<Record<string, string>>;
}

export function describeMachine(): Machine {
  const versions = {
    node: process.version,
    rsync: versionOf('rsync', '--version'),
    lsyncd: versionOf('lsyncd', '--version'),
    inotifywait: versionOf('inotifywait', '--help'),
  };
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    kernel: release(),
    memoryBytes: totalmem(),
    versions: Object.fromEntries(
      Object.entries(versions).filter((entry): entry is [string, string] => entry[1] !== undefined),
    ),
  };
}

/** The first number with dots that a program says of itself. */
function versionOf(command: string, option: string): string | undefined {
  const { stdout, stderr, error } = spawnSync(command, [option], { encoding: 'utf8' });
  if (error !== undefined) return undefined;
  return /\d+\.\d+(?:\.\d+)*/.exec(stdout + stderr)?.[0];
}
