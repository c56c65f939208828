/** What tells the time and wakes up those who wait. */
export interface Clock {
  /** Milliseconds since some moment. */
  now(): number;
  /** Does something after so many milliseconds; gives what calls it off. */
  after(milliseconds: number, action: () => void): () => void;
}

export const SYSTEM_CLOCK: Clock = {
  now: () => performance.now(),
  after(milliseconds, action) {
    const timer = setTimeout(action, milliseconds);
    return () => clearTimeout(timer);
  },
};
