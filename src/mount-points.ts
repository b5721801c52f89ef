import { readFileSync } from 'node:fs';
import { isBelow, type RelativePath } from './core/relative-path.js';

/**
 * Where something is mounted below `root` (absolute, bytes as in `RelativePath`), relative to it, each with the number of
 * the mount: `12 sub/dir`. Empty where there is no procfs. proc_pid_mountinfo(5).
 */
export function mountsBelow(root: string): Map<string, RelativePath> {
  let text: string;
  try {
    text = readFileSync('/proc/self/mountinfo', 'latin1');
  } catch {
    // Then mounts below the root are seen by the next walk only.
    return new Map();
  }
  const top = root === '/' ? '' : root.slice(1);
  const mounts = text.split('\n').map((line) => {
    const [id = '', , , , point = ''] = line.split(' ');
    return { id, path: unescape(point).slice(1) };
  });
  const below = mounts.filter(({ path }) => isBelow(path, top));
  return new Map(below.map(({ id, path }) => [`${id} ${path}`, path.slice(top === '' ? 0 : top.length + 1)]));
}

/** Blank, tab, newline and backslash are written as three octal digits. */
function unescape(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}
