/** Starts commands in a thread of its own: starting a process stops the thread that does it for some milliseconds. */
import { parentPort, workerData } from 'node:worker_threads';
import type { CommandAnswer, CommandRequest, CommandThreadData } from './command-messages.js';
import { takePriority } from '../thread-priority.js';
import { hasMembers, runCommand, signalGroup, type RunningCommand } from './command-process.js';

const LOOK_EVERY_MS = 1_000;

const port = parentPort;
if (port === null) throw new Error('this is the code of a thread');
// Commands take it over.
takePriority('ordinary');
const { leftForMs } = workerData as CommandThreadData;
const running = new Map<number, RunningCommand>();
/** Groups that ended commands have left, and until when. */
const left = new Map<number, number>();
let lookTimer: NodeJS.Timeout | undefined;

port.on('message', (request: CommandRequest) => {
  switch (request.kind) {
    case 'run':
      run(request.id, request);
      return;
    case 'cancel':
      running.get(request.id)?.cancel();
      return;
    case 'stop':
      clearInterval(lookTimer);
      for (const group of left.keys()) signalGroup(group, 'SIGKILL');
      answer({ kind: 'stopped' });
  }
});

function run(id: number, { line }: Extract<CommandRequest, { kind: 'run' }>): void {
  const command = runCommand(line, { onLeft });
  running.set(id, command);
  void command.done.then((end) => {
    running.delete(id);
    answer({ kind: 'ended', id, end });
  });
}

/** As long as a group has members its number is given to no other; so it is looked at until it has none. */
function onLeft(group: number): void {
  left.set(group, performance.now() + leftForMs);
  lookTimer ??= setInterval(lookAtLeft, LOOK_EVERY_MS);
}

function lookAtLeft(): void {
  for (const [group, until] of left) {
    const isOver = performance.now() >= until;
    if (isOver) signalGroup(group, 'SIGKILL');
    if (isOver || !hasMembers(group)) left.delete(group);
  }
  if (left.size > 0) return;
  clearInterval(lookTimer);
  lookTimer = undefined;
}

function answer(message: CommandAnswer): void {
  port?.postMessage(message);
}
