/** So much work of a kind in one turn of the event loop is enough: what is left waits for the next one. */
export const ENOUGH_MS = 5;

/** When the first such work of this turn began. */
let beganAt: number | undefined;
const left: (() => void)[] = [];

/**
 * Does the work when the code that runs now has ended. Where there has been much to do in this turn of the event loop, in
 * one of the next, in the order in which it was asked for: so messages, timers and people's questions come in between.
 */
export function doSoon(work: () => void): void {
  queueMicrotask(() => {
    if (left.length === 0 && hasTime()) work();
    else left.push(work);
  });
}

/** Where work comes in pieces: waits for the next turn of the event loop when this one has had enough of such work. */
export async function nextPiece(): Promise<void> {
  if (left.length === 0 && hasTime()) return;
  await new Promise<void>((resolve) => {
    left.push(resolve);
  });
}

/** What is left over is taken up when the next turn begins, which is awaited from the first question on. */
function hasTime(): boolean {
  const now = performance.now();
  if (beganAt === undefined) {
    beganAt = now;
    setImmediate(beginTurn);
  }
  return now - beganAt < ENOUGH_MS;
}

function beginTurn(): void {
  beganAt = undefined;
  while (left.length > 0 && hasTime()) left.shift()?.();
}
