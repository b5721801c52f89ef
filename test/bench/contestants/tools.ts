import { spawnSync } from 'node:child_process';

/** Why a contestant is left out when one of its commands is missing. Nothing is installed by the benchmark. */
export function missingTool(command: string, debianPackage: string): string | undefined {
  const { status } = spawnSync('sh', ['-c', 'command -v "$1"', 'sh', command], { stdio: 'ignore' });
  return status === 0 ? undefined : `${command} is not installed (apt-get install ${debianPackage})`;
}
