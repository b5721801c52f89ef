import { Hint } from '../core/hint.js';

const IN = {
  modify: 0x2,
  attrib: 0x4,
  closeWrite: 0x8,
  movedFrom: 0x40,
  movedTo: 0x80,
  create: 0x100,
  delete: 0x200,
  isDirectory: 0x40000000,
} as const;

/**
 * The mask of inotify(7) that stands for a change, as sersync 2.5 sent it: one event, with IN_ISDIR for directories. Several
 * changes of a name may come as one, and what was found by comparing has no event: then it is the one that leads to what
 * is there now.
 */
export function inotifyMask(hint: Hint, found: 'missing' | 'directory' | 'other'): number {
  const has = (bit: Hint): boolean => (hint & bit) !== 0;
  const isDirectory = found === 'directory' || (found === 'missing' && has(Hint.directory));
  return eventOf(has, found) | (isDirectory ? IN.isDirectory : 0);
}

function eventOf(has: (bit: Hint) => boolean, found: 'missing' | 'directory' | 'other'): number {
  if (found === 'missing') return has(Hint.movedFrom) && !has(Hint.removed) ? IN.movedFrom : IN.delete;
  if (has(Hint.movedTo)) return IN.movedTo;
  if (found === 'other' && has(Hint.closed)) return IN.closeWrite;
  if (has(Hint.created)) return IN.create;
  if (has(Hint.modified)) return IN.modify;
  if (has(Hint.attributes)) return IN.attrib;
  return found === 'directory' ? IN.create : IN.closeWrite;
}
