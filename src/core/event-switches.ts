import { Hint } from './hint.js';

/** `<inotify>`: which changes count (docs/confxml.md has the table of what each one does). */
export interface EventSwitches {
  /** Names that are removed are removed on the remotes. Off: nothing is ever deleted there. */
  readonly delete: boolean;
  readonly createFolder: boolean;
  readonly createFile: boolean;
  readonly closeWrite: boolean;
  readonly moveFrom: boolean;
  readonly moveTo: boolean;
  readonly attrib: boolean;
  readonly modify: boolean;
}

/** What a change calls for. Several may be true. */
export interface Effect {
  /** The name was there and went: a seen deletion. */
  readonly gone: boolean;
  /** Look at the name at once. */
  readonly now: boolean;
  /** Look at the name when it has been quiet for a moment. */
  readonly whenQuiet: boolean;
  /** Somebody may be writing: look when the file is closed, at the latest after an interval. */
  readonly whenClosed: boolean;
  /** The writer has closed the file: look at once if it is being waited for. */
  readonly release: boolean;
  /** A new name that may be complete already (a link, a device): look at once if it is no ordinary file. */
  readonly inspect: boolean;
  /** A directory of which nothing is known: look at all of it. */
  readonly whole: boolean;
  /** A directory that does not count itself, but what is in it does. */
  readonly contents: boolean;
}

const NOTHING: Effect = {
  gone: false,
  now: false,
  whenQuiet: false,
  whenClosed: false,
  release: false,
  inspect: false,
  whole: false,
  contents: false,
};

/**
 * What `<inotify>` makes of a change (docs/confxml.md shows this as a table). A file that is new or written is sent when
 * its writer closes it (`closeWrite`), as it grows (`modify`), or as it appears (`createFile`); a file that stays open
 * with `closeWrite` alone is sent at an interval. Links and devices have no writer: they count as soon as they are there.
 */
export function effectsOf(switches: EventSwitches): (hint: Hint) => Effect {
  // There are few hints and many changes.
  const known: Effect[] = [];
  return (hint) => (known[hint] ??= effectOf(hint, switches));
}

function effectOf(hint: Hint, switches: EventSwitches): Effect {
  const has = (bit: Hint): boolean => (hint & bit) !== 0;
  const gone = switches.delete && (has(Hint.removed) || (has(Hint.movedFrom) && switches.moveFrom));
  const isMovedHere = has(Hint.movedTo) && switches.moveTo;
  const isChanged = has(Hint.attributes) && switches.attrib;
  const sendsFiles = switches.createFile || switches.closeWrite || switches.modify;

  if (has(Hint.directory)) {
    const whole = has(Hint.unknown) || isMovedHere || (has(Hint.created) && switches.createFolder);
    return { ...NOTHING, gone, whole, now: isChanged, contents: !whole && has(Hint.created) && sendsFiles };
  }
  const isClosed = has(Hint.closed);
  const isNew = has(Hint.created);
  const isOpen = has(Hint.modified) || (isNew && !isClosed);
  const now =
    isMovedHere ||
    isChanged ||
    (isClosed && (switches.closeWrite || switches.modify || (isNew && switches.createFile)));
  return {
    ...NOTHING,
    gone,
    now,
    whenQuiet:
      has(Hint.unknown) || (isOpen && ((isNew && switches.createFile) || (has(Hint.modified) && switches.modify))),
    whenClosed: isOpen && switches.closeWrite,
    release: isClosed,
    inspect: isNew && !now && sendsFiles,
  };
}
