/** Time as the program sees it. Milliseconds; `now` never goes back. Tests move a clock of their own by hand. */
export interface Clock {
  now(): number;
  /** Calls `action` once after `delayMs`; the result takes it back. */
  after(delayMs: number, action: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => performance.timeOrigin + performance.now(),
  after(delayMs, action) {
    const timer = setTimeout(action, delayMs);
    return () => {
      clearTimeout(timer);
    };
  },
};
