import { display, type RelativePath } from './relative-path.js';

/** A place below the watched directory, and what is mounted there (`Source.mountPoints` in transfer/source.ts). */
export interface MountPoint {
  readonly path: RelativePath;
  readonly identity: string;
}

/** Of the mounts that were there those that are not, be it that something else is mounted at their places. */
export function notMounted(were: readonly MountPoint[], are: Iterable<MountPoint>): MountPoint[] {
  const mounted = new Map([...are].map(({ path, identity }) => [path, identity]));
  return were.filter(({ path, identity }) => mounted.get(path) !== identity);
}

/** For a person. */
export function whyNotMounted(places: readonly RelativePath[]): string {
  return `what was mounted at ${places.map(display).join(', ')} is not there any more`;
}
