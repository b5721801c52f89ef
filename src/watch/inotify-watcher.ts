import { Worker } from 'node:worker_threads';
import { display, ROOT } from '../core/relative-path.js';
import { messageOf, StartError } from '../errors.js';
import { ENOUGH_MS } from '../turns.js';
import { loadInotify, type Inotify } from './inotify.js';
import { CONTROL_BYTES, Control, type InotifyMessage, type InotifyThreadData } from './inotify-messages.js';
import type { TreeWatcher, TreeWatcherListener, TreeWatcherOptions, WatchStarted } from './tree-watcher.js';

/**
 * Watches a tree by the kernel's inotify, in a thread of its own (inotify-thread.ts).
 *
 * ```
 *   new ── start() ──► starting ── 'started' ──► watching ── 'died', or the thread ends ──► over
 *                          └── 'failed' ──► over                └── stop() ──────────────────► over
 * ```
 */
export class InotifyWatcher implements TreeWatcher {
  readonly kind = 'inotify';
  private readonly listener: TreeWatcherListener;
  private thread: Thread | undefined;
  private isOver = false;
  /** What the thread has told and is not handed on yet, in order. While there is something, a turn for it is to come. */
  private readonly told: ToldMessage[] = [];
  /** How many hints of the first of these messages are handed on. */
  private handedOn = 0;
  /** Fences that wait for their answer, by number. */
  private readonly fences = new Map<number, (isTold: boolean) => void>();

  constructor(
    private readonly options: TreeWatcherOptions,
    /** Loading it fails where there is no inotify: see `selectWatcher`. */
    private readonly inotify: Inotify = loadInotify(),
  ) {
    this.listener = options.listener;
  }

  start(): Promise<WatchStarted> {
    if (this.thread !== undefined || this.isOver) throw new Error('a watcher is started once');
    return new Promise((resolve, reject) => {
      let failure: StartError | undefined;
      this.thread = new Thread(this.inotify, this.options, {
        message: (message) => {
          if (message.kind === 'started') resolve({ directories: message.directories });
          else if (message.kind === 'failed') {
            this.end();
            failure = new StartError(message.code, message.message, message.hint);
          } else this.keep(message);
        },
        ended: (reason) => {
          // Each does nothing when it is not the first to tell.
          reject(failure ?? new StartError('SERSYNC_WATCH', `cannot watch ${display(this.options.root)}: ${reason}`));
          this.keep({ kind: 'lost', below: ROOT, reason });
          this.keep({ kind: 'died', reason });
        },
      });
    });
  }

  fence(): Promise<boolean> {
    const { thread } = this;
    if (thread === undefined || this.isOver) return Promise.resolve(false);
    return new Promise((resolve) => {
      this.fences.set(thread.requestFence(), resolve);
    });
  }

  async stop(): Promise<void> {
    this.end();
    await this.thread?.stop();
  }

  private keep(message: ToldMessage): void {
    if (this.isOver) return;
    this.told.push(message);
    if (this.told.length === 1) this.handOnSoon();
  }

  private handOnSoon(): void {
    setImmediate(() => {
      this.handOn();
    });
  }

  /** What this turn of the event loop has no time for is left to the next one. The remotes have a share of their own. */
  private handOn(): void {
    const untilMs = performance.now() + ENOUGH_MS;
    for (let [message] = this.told; message !== undefined && !this.isOver; [message] = this.told) {
      if (performance.now() >= untilMs) {
        this.handOnSoon();
        return;
      }
      if (message.kind !== 'hints') this.tell(message);
      else if (!this.touchNext(message)) continue;
      this.told.shift();
    }
  }

  /** Hands on one of the hints; true when that was the last. */
  private touchNext({ paths, hints, moves }: HintsMessage): boolean {
    const index = this.handedOn++;
    if (index === 0) for (const [from, to] of moves) this.listener.moved(from, to);
    this.listener.touched(paths[index] ?? ROOT, hints[index] ?? 0);
    if (this.handedOn < paths.length) return false;
    this.handedOn = 0;
    this.thread?.taken();
    return true;
  }

  private tell(message: Exclude<ToldMessage, { kind: 'hints' }>): void {
    switch (message.kind) {
      case 'lost':
        this.listener.lost(message.below, message.reason);
        return;
      case 'blind':
        this.listener.blind(message.below, message.reason);
        return;
      case 'sees':
        this.listener.sees(message.below);
        return;
      case 'fence':
        this.answerFences(message.number, message.isTold);
        return;
      case 'died':
        this.end();
        this.listener.died(message.reason);
    }
  }

  private answerFences(upTo: number, isTold: boolean): void {
    for (const [number, answer] of this.fences) {
      if (number > upTo) return;
      this.fences.delete(number);
      answer(isTold);
    }
  }

  private end(): void {
    this.isOver = true;
    this.answerFences(Infinity, false);
  }
}

type ToldMessage = Exclude<InotifyMessage, { kind: 'started' | 'failed' }>;
type HintsMessage = Extract<InotifyMessage, { kind: 'hints' }>;

/**
 * The first walk leaves much garbage, and a heap that has grown for it does not shrink: with 100,000 directories the
 * thread takes 36 MB by this and 65 MB without (Node 20). Events are told no slower.
 */
const YOUNG_GENERATION_MB = 4;

/** The running thread and what wakes it. Closes everything when the thread has ended, however it did. */
class Thread {
  private readonly worker: Worker;
  private readonly controls = new Int32Array(new SharedArrayBuffer(CONTROL_BYTES));
  private readonly wakeDescriptor: number;
  private readonly ended: Promise<void>;
  private isRunning = true;

  constructor(
    private readonly inotify: Inotify,
    { root, filter }: TreeWatcherOptions,
    on: { message: (message: InotifyMessage) => void; ended: (reason: string) => void },
  ) {
    this.wakeDescriptor = inotify.openWakeable();
    const workerData: InotifyThreadData = {
      root,
      filter,
      wakeDescriptor: this.wakeDescriptor,
      controls: this.controls.buffer,
    };
    this.worker = new Worker(new URL('./inotify-thread.js', import.meta.url), {
      workerData,
      name: 'inotify',
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
    });
    // A thread in a foreign call cannot be terminated: an exit without `stop` would wait for it for ever.
    process.once('exit', this.requestStop);
    let reason = 'the inotify thread ended';
    this.worker.on('message', on.message);
    this.worker.on('error', (error: unknown) => {
      reason = `the inotify thread failed: ${messageOf(error)}`;
    });
    this.ended = new Promise((resolve) => {
      this.worker.once('exit', () => {
        this.isRunning = false;
        process.off('exit', this.requestStop);
        inotify.close(this.wakeDescriptor);
        on.ended(reason);
        resolve();
      });
    });
  }

  /** One message of hints has been handed on. */
  taken(): void {
    Atomics.add(this.controls, Control.taken, 1);
  }

  /** Its number. */
  requestFence(): number {
    const number = Atomics.add(this.controls, Control.fence, 1) + 1;
    if (this.isRunning) this.inotify.wake(this.wakeDescriptor);
    return number;
  }

  async stop(): Promise<void> {
    this.requestStop();
    await this.ended;
  }

  private readonly requestStop = (): void => {
    if (!this.isRunning) return;
    Atomics.store(this.controls, Control.stop, 1);
    this.inotify.wake(this.wakeDescriptor);
  };
}
