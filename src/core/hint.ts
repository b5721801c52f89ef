/**
 * What a watcher believes happened to a name: a set of these bits. It only helps to decide *whether* and *when* to look;
 * what is found on the disk at delivery decides what is done. Several changes of one name may arrive as one hint.
 */
export type Hint = number;

export const Hint = {
  /** The name appeared (create, mkdir, link, symlink). */
  created: 1,
  /** Content was written by someone who may go on writing. A later `closed` takes it back. */
  modified: 2,
  /** A writer closed the file. */
  closed: 4,
  /** Mode, owner, times, extended attributes or link count changed. */
  attributes: 8,
  /** The name was removed. */
  removed: 16,
  /** The name was moved away from here: elsewhere in the tree or out of it. */
  movedFrom: 32,
  /** The name was moved here: from elsewhere in the tree or from outside. */
  movedTo: 64,
  /** The watcher cannot tell what happened: any of the above. */
  unknown: 128,
  /** The name is (or was) a directory. */
  directory: 256,
} as const;
