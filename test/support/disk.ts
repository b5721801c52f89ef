import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { eventually } from './eventually.js';

/** Whether file systems can be mounted here: by root, where no container forbids it. */
export function canMount(): boolean {
  return succeeds('mount -t tmpfs -o size=1m tmpfs "$d"');
}

/** Whether a file can be a disk here: a loop device is needed. */
export function canMakeDisk(): boolean {
  return succeeds('truncate -s 4m "$d.img" && mkfs.ext4 -q -F "$d.img" && mount -o loop "$d.img" "$d"');
}

export function mountTmpfs(at: string, size: string): void {
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', at]);
}

export function mountBound(directory: string, at: string): void {
  execFileSync('mount', ['--bind', directory, at]);
}

/** Unmounts what was mounted last at a place, as a person does who tries again while it is busy for a moment. */
export async function unmount(at: string, withinMs = 10_000): Promise<void> {
  let complaint = '';
  await eventually(
    () => {
      const { status, stderr } = spawnSync('umount', [at], { encoding: 'utf8' });
      complaint = stderr;
      return status === 0;
    },
    { withinMs },
    () => complaint + usersOf(at),
  );
}

/** As `umount -l` does: at once, while it is busy; who is in it goes on in it. */
export function unmountBusy(at: string): void {
  execFileSync('umount', ['-l', at]);
}

/** Unmounts whatever is mounted below a directory, busy or not. */
export function unmountAll(below: string): void {
  const points = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((point) => point.startsWith(`${below}/`));
  for (const point of points.reverse()) execFileSync('umount', ['-l', point]);
}

/** A file system that keeps what it holds while it is not mounted: ext4 in a file. */
export class Disk {
  readonly #image: string;
  readonly #aside: string;

  /** `directory`: a new one, for the disk itself. */
  constructor(directory: string) {
    this.#image = join(directory, 'image');
    this.#aside = join(directory, 'aside');
    mkdirSync(this.#aside, { recursive: true });
    writeFileSync(this.#image, '');
    truncateSync(this.#image, 32 * 1024 * 1024);
    execFileSync('mkfs.ext4', ['-q', '-F', '-E', 'root_owner=0:0', this.#image]);
    this.change((top) => {
      rmSync(join(top, 'lost+found'), { recursive: true });
    });
  }

  mount(at: string): void {
    execFileSync('mount', ['-o', 'loop', this.#image, at]);
  }

  /** Changes it elsewhere, as another machine would: while it is not mounted. */
  change(make: (top: string) => void): void {
    this.mount(this.#aside);
    try {
      make(this.#aside);
    } finally {
      execFileSync('umount', [this.#aside]);
    }
  }
}

/** Who keeps a place busy, for a message. */
function usersOf(place: string): string {
  const script =
    'for l in /proc/[0-9]*/cwd /proc/[0-9]*/fd/*; do readlink "$l" | grep -q "^$0" && echo "$l $(readlink "$l")"; done';
  return spawnSync('sh', ['-c', script, place], { encoding: 'utf8' }).stdout.slice(0, 1_000);
}

function succeeds(mount: string): boolean {
  const place = mkdtempSync(join(tmpdir(), 'sersync-mount-'));
  const script = `d=$1; ${mount} && umount "$d"; s=$?; rm -f "$d.img"; exit $s`;
  const { status } = spawnSync('sh', ['-c', script, 'sh', place], { stdio: 'ignore' });
  rmSync(place, { recursive: true });
  return process.getuid?.() === 0 && status === 0;
}
