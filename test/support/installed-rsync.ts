import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Whether the installed rsync deletes what it is told by name. Some do not (rsync issue 910), such as Debian's
 * 3.2.7-1+deb12u6; the service then does it in another way, and tests that are about this one have nothing to test.
 */
export function deletesByName(): boolean {
  const directory = mkdtempSync(join(tmpdir(), 'sersync-rsync-'));
  try {
    mkdirSync(join(directory, 'from'));
    const args = ['-a', '-R', '--delete-missing-args', './missing', '../to/'];
    return spawnSync('rsync', args, { cwd: join(directory, 'from') }).status === 0;
  } finally {
    rmSync(directory, { recursive: true });
  }
}
