/** So much work in one turn of the event loop is enough: what is left waits for the next one. */
const ENOUGH_MS = 10;

let workedMs = 0;
let isTurnAwaited = false;
const left: (() => void)[] = [];

/**
 * Does the work when the code that runs now has ended. Where other such work has taken long in this turn of the event loop,
 * in one of the next, in the order in which it was asked for: so messages, timers and people's questions come in between.
 */
export function doSoon(work: () => void): void {
  queueMicrotask(() => {
    if (left.length > 0 || workedMs >= ENOUGH_MS) {
      left.push(work);
      awaitTurn();
    } else {
      measure(work);
    }
  });
}

function measure(work: () => void): void {
  const startedAt = performance.now();
  try {
    work();
  } finally {
    workedMs += performance.now() - startedAt;
    awaitTurn();
  }
}

function awaitTurn(): void {
  if (isTurnAwaited) return;
  isTurnAwaited = true;
  setImmediate(() => {
    isTurnAwaited = false;
    workedMs = 0;
    while (workedMs < ENOUGH_MS) {
      const work = left.shift();
      if (work === undefined) return;
      measure(work);
    }
  });
}
