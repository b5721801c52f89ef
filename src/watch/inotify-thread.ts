import { lstatSync, readdirSync, statSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { createFilter, type Filter } from '../core/filter.js';
import { Hint } from '../core/hint.js';
import { WORTH_MOVING_BYTES } from '../core/moves.js';
import { ancestorsOf, display, isBelow, join, ROOT, type RelativePath } from '../core/relative-path.js';
import { messageOf, StartError } from '../errors.js';
import { mountsBelow } from '../mount-points.js';
import { takePriority } from '../thread-priority.js';
import { HintBatch } from './hint-batch.js';
import { BlindSpots } from './inotify-blind-spots.js';
import { EVENT_HEADER_BYTES, IN, loadInotify, SystemCallError, type Inotify } from './inotify.js';
import { inotifyLimit, instanceLimitError, watchLimitError } from './inotify-limits.js';
import { Control, type InotifyMessage, type InotifyThreadData, type Move } from './inotify-messages.js';
import { FOUND_DIRECTORY, WatchedTree, type WatchedDirectory } from './watched-tree.js';

/**
 * The thread of `InotifyWatcher`: waits in poll(2), keeps the table of watches true, and tells the main thread in few
 * large messages what was touched. It blocks all the time, so it takes no messages: see `Control`.
 */

const EVERY_WATCH =
  IN.CREATE | IN.DELETE | IN.MOVED_FROM | IN.MOVED_TO | IN.CLOSE_WRITE | IN.MODIFY | IN.ATTRIB | IN.ONLYDIR;
const WATCH_MASK = EVERY_WATCH | IN.DONT_FOLLOW | IN.EXCL_UNLINK;
/** What happens to the root has no parent to tell it. Its last component may be a mount point, but no link (realpath). */
const ROOT_MASK = WATCH_MASK | IN.DELETE_SELF | IN.MOVE_SELF;

const READ_BYTES = 512 * 1024;
/** While the table is at work the kernel's queue is emptied this often; 16,384 events (the default) last 50 ms or more. */
const BREATHE_EVERY_MS = 5;
/** What may wait in memory meanwhile. More counts as an overflow. */
const MAX_BACKLOG_BYTES = 256 * 1024 * 1024;
/** After a message, events are gathered for so long: a lone change is told at once, a stream costs 500 messages a second. */
const GATHER_MS = 2;
/** A message holds no more paths than this. */
const FULL_BATCH = 20_000;
/** How many messages may wait in the main thread. When it is slower than that, more is merged here. */
const MAX_WAITING_MESSAGES = 8;
/** More paths than this are not kept for a main thread that does not take them. */
const MAX_KEPT_PATHS = 1_000_000;
/** Both halves of a rename come within microseconds; a process may be suspended between them. */
const MOVED_OUT_AFTER_MS = 200;
const ROOT_CHECK_EVERY_MS = 2_000;
/** A directory that could not be watched is tried again, and told as lost, at pauses that double. */
const FIRST_RETRY_MS = 5_000;
const RETRY_EVERY_MS = 60_000;
const REPAIR_AFTER_MS = 50;

class InotifyThread {
  private readonly controls: Int32Array;
  private readonly filter: Filter;
  private readonly tree: WatchedTree;
  private readonly rootBytes: string;
  private readonly inotify: Inotify;
  private descriptor = -1;
  private rootIdentity = '';
  private mounts: ReadonlyMap<string, RelativePath> = new Map();
  /** Places of which an event said that they were unmounted, since the mounts were last compared. */
  private readonly unmounted = new Set<RelativePath>();

  private readonly readBuffer = new Uint8Array(READ_BYTES);
  /** Events read while the table was at work, still to be handled. */
  private backlog: Uint8Array[] = [];
  private backlogBytes = 0;
  private drainBuffer = new Uint8Array(READ_BYTES);
  private lastBreathMs = 0;
  private readonly wakeBuffer = new Uint8Array(8);

  private readonly batch = new HintBatch();
  private moves: Move[] = [];
  /** The first half of the last rename. */
  private movedFrom = NO_MOVE;
  private hasWaitedForPair = false;
  private messagesSent = 0;
  private lastMessageMs = 0;

  private readonly blindSpots = new BlindSpots({
    blind: (below, reason) => {
      this.post({ kind: 'blind', below, reason });
    },
    sees: (below) => {
      this.post({ kind: 'sees', below });
    },
  });
  private retryAtMs = Infinity;
  private retryPauseMs = FIRST_RETRY_MS;
  private repairAtMs = Infinity;
  private repairPauseMs = REPAIR_AFTER_MS;
  private rootCheckAtMs = 0;
  private fence: Fence | undefined;
  private answeredFence = 0;
  private isStarting = true;
  private deathReason: string | undefined;

  constructor(private readonly data: InotifyThreadData) {
    this.controls = new Int32Array(data.controls);
    this.filter = createFilter(data.filter);
    this.rootBytes = data.root;
    this.inotify = loadInotify();
    this.tree = new WatchedTree(
      {
        addWatch: (path) => this.addWatch(path),
        removeWatch: (wd) => {
          this.inotify.removeWatch(this.descriptor, wd);
        },
        isSameDirectory: (one, other) => this.isSameDirectory(one, other),
        directoriesIn: (path) => directoriesIn(this.absolute(path)),
        mayBeDirectory: (path) => mayBeDirectory(this.absolute(path)),
        breathe: () => {
          this.breathe();
        },
        now,
      },
      this.filter,
      {
        unwatchable: (path, errno) => {
          this.unwatchable(path, errno);
        },
      },
    );
  }

  run(): void {
    // The kernel's queue holds some 50 ms of a fast writer's events (16,384): a turn can take longer than that to come.
    takePriority('urgent');
    try {
      this.start();
      this.isStarting = false;
      this.watch();
    } catch (error) {
      if (error instanceof Stopped) return;
      if (this.isStarting) {
        this.post({ kind: 'failed', ...this.failure(error) });
        return;
      }
      this.deathReason = `the inotify thread failed: ${messageOf(error)}`;
    } finally {
      if (this.descriptor >= 0) this.inotify.close(this.descriptor);
    }
    const reason = this.deathReason ?? 'the inotify thread ended';
    this.post({ kind: 'lost', below: ROOT, reason });
    this.post({ kind: 'died', reason });
  }

  private failure(error: unknown): { code: string; message: string; hint: string | undefined } {
    if (error instanceof StartError) return { code: error.code, message: error.message, hint: error.hint };
    return { code: 'SERSYNC_WATCH', message: `cannot watch ${this.shownRoot}: ${messageOf(error)}`, hint: undefined };
  }

  private start(): void {
    this.rootIdentity = this.identifyRoot();
    this.mounts = mountsBelow(this.rootBytes);
    this.descriptor = this.openInstance();
    const errno = this.tree.start();
    if (errno === 'ENOSPC') throw watchLimitError(this.shownRoot, this.countDirectories());
    if (errno !== undefined) throw rootError(this.shownRoot, errno);
    this.post({ kind: 'started', directories: this.tree.size });
  }

  private openInstance(): number {
    try {
      return this.inotify.open();
    } catch (error) {
      if (error instanceof SystemCallError && (error.code === 'EMFILE' || error.code === 'ENFILE')) {
        throw instanceLimitError(this.shownRoot);
      }
      throw error;
    }
  }

  private watch(): void {
    while (this.deathReason === undefined) {
      this.wait();
      this.stopIfAsked();
      this.beginFence();
      const isEmptied = this.handleEvents();
      this.doWhatIsDue(now());
      this.answerFence(isEmptied);
      this.tell();
    }
  }

  /** Returns when there is something to do. */
  private wait(): void {
    const { wakeDescriptor } = this.data;
    const timeoutMs = Math.max(0, Math.ceil(this.nextDueMs() - now()));
    const [hasEvents, isWoken] = this.inotify.waitReadable([this.descriptor, wakeDescriptor], timeoutMs);
    // Before the controls are looked at: who sets one after that wakes us again.
    if (isWoken === true) this.inotify.read(wakeDescriptor, this.wakeBuffer);
    const gatherMs = Math.ceil(GATHER_MS - (now() - this.lastMessageMs));
    if (hasEvents === true && isWoken !== true && gatherMs > 0) this.inotify.waitReadable([wakeDescriptor], gatherMs);
  }

  private nextDueMs(): number {
    if (this.backlog.length > 0 || this.isFenceUnread) return 0;
    const nowMs = now();
    const strandedMs = this.tree.strandedSince < Infinity ? nowMs + MOVED_OUT_AFTER_MS / 2 : Infinity;
    const heldBackMs = this.batch.size > 0 ? nowMs + GATHER_MS : Infinity;
    return Math.min(this.rootCheckAtMs, this.retryAtMs, this.repairAtMs, strandedMs, heldBackMs);
  }

  private doWhatIsDue(nowMs: number): void {
    // With events still to be handled, the second half of a rename may be among them.
    if (this.backlog.length === 0) this.tree.releaseStranded(nowMs - MOVED_OUT_AFTER_MS);
    if (nowMs >= this.repairAtMs) this.repair();
    if (nowMs >= this.retryAtMs) this.retryBlind();
    if (nowMs >= this.rootCheckAtMs) this.checkRoot();
  }

  // --- fences ---------------------------------------------------------------------------------------------------

  private get wantedFence(): number {
    return Atomics.load(this.controls, Control.fence);
  }

  /** A fence waits for the kernel's queue to be read. */
  private get isFenceUnread(): boolean {
    if (this.fence === undefined) return this.wantedFence !== this.answeredFence;
    return this.fence.emptiedAtMs === undefined;
  }

  /** What was changed before this is in the kernel's queue or in the backlog, but for what raises no event. */
  private beginFence(): void {
    const number = this.wantedFence;
    if (this.fence !== undefined || number === this.answeredFence) return;
    this.fence = { number, emptiedAtMs: undefined };
    this.checkRoot();
  }

  /** `isEmptied`: all that was in the queue when the fence began is handled. */
  private answerFence(isEmptied: boolean): void {
    if (this.fence === undefined || this.deathReason !== undefined) return;
    if (isEmptied) this.fence.emptiedAtMs ??= now();
    const { number, emptiedAtMs } = this.fence;
    const isTold = !this.blindSpots.isAny;
    // What happens in a directory between the two halves of its rename is told with the second half.
    if (isTold && (emptiedAtMs === undefined || this.tree.strandedSince <= emptiedAtMs)) return;
    this.fence = undefined;
    this.answeredFence = number;
    this.post({ kind: 'fence', number, isTold });
  }

  // --- events ---------------------------------------------------------------------------------------------------

  /**
   * Handles what is there now; under a steady stream it comes back now and then, so that the rest gets its turn. True when
   * the kernel's queue was found empty: whatever was in it before the call is handled.
   */
  private handleEvents(): boolean {
    const untilMs = now() + 50;
    do {
      const chunk = this.backlog.shift();
      if (chunk !== undefined) {
        this.backlogBytes -= chunk.byteLength;
        this.handleChunk(chunk, chunk.byteLength);
      } else {
        const bytes = this.inotify.read(this.descriptor, this.readBuffer);
        if (bytes === 0) return true;
        this.handleChunk(this.readBuffer, bytes);
        // A queue that did not fill the buffer was emptied. What came since is gathered for the next message.
        if (bytes < READ_BYTES / 2 && this.backlog.length === 0) return true;
      }
      if (this.batch.size >= FULL_BATCH) this.tell();
      this.stopIfAsked();
    } while (this.deathReason === undefined && now() < untilMs);
    return false;
  }

  private handleChunk(chunk: Uint8Array, bytes: number): void {
    const words = new Int32Array(chunk.buffer, chunk.byteOffset, bytes >> 2);
    const text = Buffer.from(chunk.buffer, chunk.byteOffset, bytes);
    let name = ROOT;
    let nameStart = 0;
    let nameWords = 0;
    for (let word = 0; word < words.length;) {
      const wd = words[word] ?? 0;
      const mask = words[word + 1] ?? 0;
      const cookie = words[word + 2] ?? 0;
      const length = (words[word + 3] ?? 0) >> 2;
      const start = word + EVENT_HEADER_BYTES / 4;
      // Create, modify and close of one file come in a row: the name is decoded once.
      if (length !== nameWords || !sameWords(words, start, nameStart, length)) {
        name = length === 0 ? ROOT : decodeName(text, start << 2, (start + length) << 2);
        nameStart = start;
        nameWords = length;
      }
      this.handleEvent(wd, mask, name, cookie);
      word = start + length;
    }
  }

  private handleEvent(wd: number, mask: number, name: RelativePath, cookie: number): void {
    if ((mask & IN.Q_OVERFLOW) !== 0) {
      this.overflowed(`kernel event queue overflowed (max_queued_events=${inotifyLimit('max_queued_events') ?? '?'})`);
      return;
    }
    const directory = this.tree.find(wd);
    if (directory === 'released') {
      if ((mask & IN.IGNORED) !== 0) this.tree.forgetReleased(wd);
    } else if (directory === undefined) {
      // No watch of ours has this number, so the table is wrong. The end of a watch that we do not know is the end of it.
      if ((mask & IN.IGNORED) === 0) this.overflowed(`inotify told of a watch that is not known (${wd})`);
    } else if (name === ROOT) {
      this.handleSelf(directory, mask);
    } else {
      this.handleName(directory, mask, name, cookie);
    }
  }

  /** An event about a watched directory itself. Except for the root's, its parent's watch tells the same by name. */
  private handleSelf(directory: WatchedDirectory, mask: number): void {
    if (this.tree.isRoot(directory)) {
      if ((mask & IN.ATTRIB) !== 0) this.batch.add(ROOT, Hint.attributes | Hint.directory);
      else if ((mask & IN.DELETE_SELF) !== 0) this.die('was removed');
      else if ((mask & IN.MOVE_SELF) !== 0) this.die('was moved away');
      else if ((mask & IN.UNMOUNT) !== 0) this.die('was unmounted');
      else if ((mask & IN.IGNORED) !== 0) this.die('is not watched by the kernel any more');
      return;
    }
    if ((mask & IN.UNMOUNT) !== 0) this.handleUnmounted(directory);
    else if ((mask & IN.IGNORED) !== 0) this.handleEnded(directory);
  }

  /** It went with its file system, so nobody removed it. A file system is told directory by directory, in no order. */
  private handleUnmounted(directory: WatchedDirectory): void {
    const path = this.tree.pathOf(directory);
    this.tree.ended(directory);
    if (path === undefined) return;
    this.unmounted.add(this.mountOf(path) ?? path);
    this.rootCheckAtMs = 0;
  }

  private handleEnded(directory: WatchedDirectory): void {
    const { parent, name } = directory;
    const path = this.tree.pathOf(directory);
    // That it was unmounted may be among the events that were lost. Then the repair finds out.
    if (path !== undefined && this.repairAtMs !== Infinity && this.mountOf(path) !== undefined) return;
    this.tree.ended(directory);
    if (parent === undefined || path === undefined) return;
    // It was deleted, and the event that tells it by name follows. Whatever is at the name now is looked at.
    const found = this.tree.changed(parent, name, path);
    this.batch.add(path, Hint.removed | Hint.directory | found);
  }

  private handleName(directory: WatchedDirectory, mask: number, name: RelativePath, cookie: number): void {
    const parentPath = this.tree.pathOf(directory);
    if (parentPath === undefined) return;
    const path = join(parentPath, name);
    const isDirectory = (mask & IN.ISDIR) !== 0;
    if (this.filter.isExcluded(path, isDirectory)) return;
    const hint = hintOf(mask);
    if (cookie !== 0) this.pairMove(path, mask, cookie);
    // The table first, then the hint: see the second order in watched-tree.ts.
    this.batch.add(path, isDirectory ? hint | this.settleDirectory(directory, mask, name, path) : hint);
    if (isDirectory && this.blindSpots.isAny) this.lookAtBlind(this.blindSpots.atOrBelow(path));
  }

  /** The two halves of a rename within the tree follow one another (inotify(7)). */
  private pairMove(path: RelativePath, mask: number, cookie: number): void {
    if ((mask & IN.MOVED_FROM) !== 0) {
      this.movedFrom = { path, cookie, atMs: now() };
      return;
    }
    const from = this.movedFrom;
    if ((mask & IN.MOVED_TO) === 0 || from.cookie !== cookie) return;
    this.movedFrom = NO_MOVE;
    const isWorthIt = (mask & IN.ISDIR) !== 0 || sizeOf(this.absolute(path)) >= WORTH_MOVING_BYTES;
    if (isWorthIt && this.moves.length < MAX_MOVES) this.moves.push([from.path, path]);
  }

  private settleDirectory(parent: WatchedDirectory, mask: number, name: RelativePath, path: RelativePath): Hint {
    // The event of what stood at the name before may have been lost, so that it went is told with this one.
    if ((mask & IN.MOVED_TO) !== 0) return Hint.directory | (this.tree.arrived(parent, name, path) & Hint.removed);
    if ((mask & IN.CREATE) !== 0) return Hint.directory | (this.tree.changed(parent, name, path) & Hint.removed);
    const isLeaving = (mask & (IN.DELETE | IN.MOVED_FROM)) !== 0;
    // When its attributes changed, it may be readable now.
    if (!isLeaving && this.tree.knows(parent, name)) return Hint.directory;
    return Hint.directory | (this.tree.changed(parent, name, path) & FOUND_DIRECTORY);
  }

  // --- telling --------------------------------------------------------------------------------------------------

  private tell(): void {
    if (this.batch.size === 0) return;
    if (!this.hasWaitedForPair && now() - this.movedFrom.atMs < PAIR_MS) {
      this.hasWaitedForPair = true;
      return;
    }
    const waiting = this.messagesSent - Atomics.load(this.controls, Control.taken);
    if (waiting < MAX_WAITING_MESSAGES) {
      this.flush();
    } else if (this.batch.size > MAX_KEPT_PATHS) {
      this.batch.take();
      this.overflowed(`more than ${MAX_KEPT_PATHS} changes waited to be taken`);
    }
  }

  private flush(): void {
    if (this.batch.size === 0) return;
    const { paths, hints } = this.batch.take();
    const moves = this.moves;
    this.moves = [];
    this.hasWaitedForPair = false;
    this.messagesSent += 1;
    this.lastMessageMs = now();
    parentPort?.postMessage({ kind: 'hints', paths, hints, moves } satisfies InotifyMessage, [hints.buffer]);
  }

  /** Whatever was gathered is told before. */
  private post(message: InotifyMessage): void {
    this.flush();
    parentPort?.postMessage(message);
  }

  // --- when things go wrong ---------------------------------------------------------------------------------------

  /** Events were lost: says so now, and again when the table has been repaired. */
  private overflowed(reason: string): void {
    if (this.repairAtMs !== Infinity) return;
    this.repairAtMs = now() + this.repairPauseMs;
    this.blindSpots.eventsAreLost(reason);
    this.post({ kind: 'lost', below: ROOT, reason });
  }

  /**
   * The second `lost` is the one that counts: the consumer's look at the tree must come after every directory is watched
   * again. Overflows that follow each other are repaired at a growing distance, so that repairing cannot be all we do.
   */
  private repair(): void {
    const beganMs = now();
    this.repairAtMs = Infinity;
    this.blindSpots.beginWalk();
    const missed = this.tree.walkAgain();
    if (typeof missed === 'string') {
      this.die(`cannot be watched again (${missed})`);
      return;
    }
    // After the walk: what was unmounted while it went on is not taken for removed either.
    const remounted = this.changedMounts();
    for (const [path, hint] of missed) {
      const isByMount = remounted.some((mount) => path === mount || isBelow(path, mount) || isBelow(mount, path));
      if ((hint & Hint.removed) === 0 || !isByMount) this.batch.add(path, hint);
    }
    this.tellMounts(remounted);
    this.repairPauseMs = Math.max(REPAIR_AFTER_MS, 2 * (now() - beganMs));
    this.blindSpots.endWalk(this.repairAtMs !== Infinity);
    const reason = this.blindSpots.isCrowded
      ? 'very many directories still cannot be watched'
      : 'events were lost; every directory is watched again';
    this.post({ kind: 'lost', below: ROOT, reason });
  }

  private unwatchable(path: RelativePath, errno: string): void {
    if (errno === 'ENOSPC' && this.isStarting) throw watchLimitError(this.shownRoot, this.countDirectories());
    const mayPass = !PERMANENT.has(errno);
    if (mayPass && this.retryAtMs === Infinity) this.retryAtMs = now() + this.retryPauseMs;
    const reason = `cannot watch ${display(path)}: ${explainErrno(errno)}`;
    const wasCrowded = this.blindSpots.isCrowded;
    if (this.blindSpots.add(path, reason, mayPass)) this.post({ kind: 'lost', below: path, reason });
    else if (this.blindSpots.isCrowded && !wasCrowded) this.post({ kind: 'lost', below: ROOT, reason });
  }

  private retryBlind(): void {
    this.retryAtMs = Infinity;
    this.retryPauseMs = Math.min(2 * this.retryPauseMs, RETRY_EVERY_MS);
    if (this.blindSpots.isCrowded) this.repair();
    else {
      const paths = this.blindSpots.passing();
      this.lookAtBlind(paths);
      const stillBlind = new Set(this.blindSpots.passing());
      for (const path of paths.filter((path) => stillBlind.has(path))) {
        this.post({ kind: 'lost', below: path, reason: `${display(path)} still cannot be watched` });
      }
    }
    if (!this.isRetryDue()) this.retryPauseMs = FIRST_RETRY_MS;
  }

  /** Asked after something was tried: TypeScript takes a field for what it was before. */
  private isRetryDue(): boolean {
    return this.retryAtMs !== Infinity;
  }

  /** What now can be watched needs a look at what it was blind for. */
  private lookAtBlind(paths: readonly RelativePath[]): void {
    for (const path of paths) {
      const look = this.tree.lookAgain(path);
      if (look === 'unwatchable') continue;
      this.blindSpots.remove(path);
      const reason = look === 'watched' ? 'is watched again' : 'could not be watched and is gone';
      this.post({ kind: 'lost', below: path, reason: `${display(path)} ${reason}` });
    }
  }

  private checkRoot(): void {
    this.rootCheckAtMs = now() + ROOT_CHECK_EVERY_MS;
    // inotify does not tell when a directory above the root is renamed, or when something is mounted over it.
    let identity: string | undefined;
    try {
      identity = this.identifyRoot();
    } catch {
      // Not there any more: that is the answer.
    }
    if (identity !== this.rootIdentity) this.die(identity === undefined ? 'is gone' : 'is another directory now');
    else this.checkMounts();
  }

  /** Nor does it tell when something is mounted below the root, or when something bound there is unmounted. */
  private checkMounts(): void {
    const changed = this.changedMounts();
    if (changed.length === 0) return;
    for (const path of changed) this.tree.lookAgain(path);
    this.tellMounts(changed);
    // What could not be watched at a second place may be at one only by now.
    this.lookAtBlind(this.blindSpots.atOrBelow(ROOT));
  }

  /** The topmost places where something was mounted or unmounted since this was asked last. */
  private changedMounts(): RelativePath[] {
    const before = this.mounts;
    this.mounts = mountsBelow(this.rootBytes);
    const changed = new Set([
      ...[...this.mounts].filter(([mount]) => !before.has(mount)).map(([, path]) => path),
      ...[...before].filter(([mount]) => !this.mounts.has(mount)).map(([, path]) => path),
      ...this.unmounted,
    ]);
    this.unmounted.clear();
    return [...changed].filter((path) => {
      const isCovered = [...ancestorsOf(path)].some((above) => changed.has(above));
      return !isCovered && !this.filter.isExcluded(path, true);
    });
  }

  /**
   * What a mount brings has times of its own, and what it covered appears again with old ones: all of it is told as found.
   * What it took along is not told as removed: nobody did that.
   */
  private tellMounts(changed: readonly RelativePath[]): void {
    const mounted = new Set(this.mounts.values());
    for (const path of changed) {
      if (mayBeDirectory(this.absolute(path))) this.batch.add(path, FOUND_DIRECTORY);
      const what = mounted.has(path) ? 'mounted' : 'unmounted';
      this.post({ kind: 'lost', below: path, reason: `something was ${what} at ${display(path)}` });
    }
  }

  /** The innermost place at or above a path where something was mounted when that was compared last. */
  private mountOf(path: RelativePath): RelativePath | undefined {
    let innermost: RelativePath | undefined;
    for (const mount of this.mounts.values()) {
      if ((path === mount || isBelow(path, mount)) && mount.length > (innermost?.length ?? 0)) innermost = mount;
    }
    return innermost;
  }

  private die(what: string): void {
    this.deathReason ??= `the watched directory ${this.shownRoot} ${what}`;
  }

  private stopIfAsked(): void {
    if (Atomics.load(this.controls, Control.stop) !== 0) throw new Stopped();
  }

  // --- the kernel -------------------------------------------------------------------------------------------------

  private absolute(path: RelativePath): Buffer {
    return Buffer.from(path === ROOT ? this.rootBytes : `${this.rootBytes}/${path}`, 'latin1');
  }

  private addWatch(path: RelativePath): number | string {
    const terminated = Buffer.from(`${this.rootBytes}${path === ROOT ? '' : `/${path}`}\0`, 'latin1');
    return this.inotify.addWatch(this.descriptor, terminated, path === ROOT ? ROOT_MASK : WATCH_MASK);
  }

  /** Empties the kernel's queue into memory, so that it cannot overflow while the table is at work. */
  private breathe(): void {
    const nowMs = now();
    if (nowMs - this.lastBreathMs < BREATHE_EVERY_MS) return;
    this.lastBreathMs = nowMs;
    this.stopIfAsked();
    for (;;) {
      const bytes = this.inotify.read(this.descriptor, this.drainBuffer);
      if (bytes === 0) return;
      if (this.backlogBytes > MAX_BACKLOG_BYTES) {
        this.overflowed(`more than ${MAX_BACKLOG_BYTES} bytes of events waited to be handled`);
      } else {
        this.backlog.push(this.drainBuffer.slice(0, bytes));
        this.backlogBytes += bytes;
      }
      if (bytes < READ_BYTES / 2) return;
    }
  }

  private isSameDirectory(one: RelativePath, other: RelativePath): boolean {
    try {
      return identityOf(this.absolute(one)) === identityOf(this.absolute(other));
    } catch {
      // One of them is gone, so they are not the same.
      return false;
    }
  }

  private identifyRoot(): string {
    try {
      return identityOf(this.absolute(ROOT));
    } catch (error) {
      throw rootError(this.shownRoot, codeOf(error));
    }
  }

  /** For the message about the limit: directories at and below the root, excluded ones left out. */
  private countDirectories(): number {
    const toList: RelativePath[] = [ROOT];
    let count = 0;
    for (let path = toList.pop(); path !== undefined; path = toList.pop()) {
      count += 1;
      const names = directoriesIn(this.absolute(path));
      if (typeof names === 'string') continue;
      for (const name of names) {
        const child = join(path, name);
        if (!this.filter.isExcluded(child, true)) toList.push(child);
      }
    }
    return count;
  }

  private get shownRoot(): string {
    return display(this.rootBytes);
  }
}

/** The question whether all is told that was changed before it was asked. */
interface Fence {
  readonly number: number;
  /** When the kernel's queue was found empty after that. */
  emptiedAtMs: number | undefined;
}

interface HalfMove {
  readonly path: RelativePath;
  readonly cookie: number;
  readonly atMs: number;
}

const NO_MOVE: HalfMove = { path: ROOT, cookie: 0, atMs: -Infinity };
/** What was just moved away waits a moment for its other half, once: alone it would be told as a deletion. */
const PAIR_MS = 5;
/** Renames in one message; of more the data is sent again. */
const MAX_MOVES = 1_000;

/** 0 where there is no file. */
function sizeOf(path: Buffer): number {
  try {
    const stats = lstatSync(path, { throwIfNoEntry: false });
    return stats?.isFile() === true ? stats.size : 0;
  } catch {
    // It may not be looked at: then it is not sent either.
    return 0;
  }
}

/** Thrown wherever the thread is when it is asked to end. */
class Stopped extends Error {}

/** Trying again later cannot help, unless an event tells that something changed. */
const PERMANENT: ReadonlySet<string> = new Set(['EACCES', 'EPERM', 'ENAMETOOLONG', 'EXDEV']);

function explainErrno(errno: string): string {
  switch (errno) {
    case 'ENOSPC':
      return `the inotify watches of this user are used up (fs.inotify.max_user_watches=${inotifyLimit('max_user_watches') ?? '?'}); raise it with sysctl -w`;
    case 'EACCES':
      return 'permission denied';
    case 'ENAMETOOLONG':
      return 'the path is longer than the system takes';
    case 'EXDEV':
      return 'it is mounted at two places in the tree; changes are seen at the other one only';
    default:
      return errno;
  }
}

function rootError(root: string, errno: string): StartError {
  const [found, hint] = ROOT_ERRORS[errno] ?? [errno, undefined];
  return new StartError('SERSYNC_WATCH_ROOT', `cannot watch ${root}: ${found}`, hint);
}

const ROOT_ERRORS: Readonly<Record<string, readonly [string, string]>> = {
  ENOENT: ['there is no such directory', 'create it, or correct <localpath watch="...">'],
  ENOTDIR: ['it is not a directory', 'name a directory in <localpath watch="...">'],
  EACCES: ['permission denied', 'run as a user who may read it'],
};

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : messageOf(error);
}

function hintOf(mask: number): Hint {
  return (
    ((mask & IN.CREATE) !== 0 ? Hint.created : 0) |
    ((mask & IN.MODIFY) !== 0 ? Hint.modified : 0) |
    ((mask & IN.CLOSE_WRITE) !== 0 ? Hint.closed : 0) |
    ((mask & IN.ATTRIB) !== 0 ? Hint.attributes : 0) |
    ((mask & IN.DELETE) !== 0 ? Hint.removed : 0) |
    ((mask & IN.MOVED_FROM) !== 0 ? Hint.movedFrom : 0) |
    ((mask & IN.MOVED_TO) !== 0 ? Hint.movedTo : 0)
  );
}

/** Names are padded with NULs. */
function decodeName(text: Buffer, start: number, end: number): RelativePath {
  const terminator = text.indexOf(0, start);
  return text.toString('latin1', start, terminator < 0 || terminator > end ? end : terminator);
}

function sameWords(words: Int32Array, one: number, other: number, length: number): boolean {
  for (let index = 0; index < length; index++) {
    if (words[one + index] !== words[other + index]) return false;
  }
  return true;
}

/** The same for two paths only if they lead to one directory. Throws when there is none. */
function identityOf(directory: Buffer): string {
  const stats = statSync(directory, { bigint: true });
  if (!stats.isDirectory()) throw new SystemCallError('stat', 'ENOTDIR');
  return `${stats.dev}:${stats.ino}`;
}

/** False when there is no directory for sure. Symbolic links are none. */
function mayBeDirectory(path: Buffer): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
  } catch (error) {
    return codeOf(error) !== 'ENOTDIR' && codeOf(error) !== 'ELOOP';
  }
}

/** The names of the subdirectories, or an errno. Symbolic links are none. */
function directoriesIn(path: Buffer): string[] | string {
  try {
    const entries = readdirSync(path, { withFileTypes: true, encoding: 'latin1' });
    return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  } catch (error) {
    // Where the file system does not tell types (XFS without ftype, some FUSE), node tries to join a Buffer and a string.
    return codeOf(error) === 'ERR_INVALID_ARG_TYPE' ? directoriesByLstat(path) : codeOf(error);
  }
}

function directoriesByLstat(path: Buffer): string[] | string {
  try {
    return readdirSync(path, { encoding: 'latin1' }).filter((name) => {
      const child = Buffer.concat([path, Buffer.from(`/${name}`, 'latin1')]);
      return lstatSync(child, { throwIfNoEntry: false })?.isDirectory() ?? false;
    });
  } catch (error) {
    return codeOf(error);
  }
}

function now(): number {
  return performance.now();
}

if (parentPort !== null) new InotifyThread(workerData as InotifyThreadData).run();
