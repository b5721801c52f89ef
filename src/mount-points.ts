import { readFileSync } from 'node:fs';
import { isBelow, type RelativePath } from './core/relative-path.js';

/**
 * Where something is mounted below `root` (absolute, bytes as in `RelativePath`), relative to it, each by what is mounted
 * there: `12 0:45 /sub sub/dir`. The number of a mount (12) is given away again at once, so its device and the directory
 * that is mounted belong to it. Empty where there is no procfs. proc_pid_mountinfo(5).
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
    const [number = '', , device = '', mounted = '', point = ''] = line.split(' ');
    return { id: `${number} ${device} ${mounted}`, path: unescape(point).slice(1) };
  });
  const below = mounts.filter(({ path }) => isBelow(path, top));
  return new Map(below.map(({ id, path }) => [`${id} ${path}`, path.slice(top === '' ? 0 : top.length + 1)]));
}

/** Blank, tab, newline and backslash are written as three octal digits. */
function unescape(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}
