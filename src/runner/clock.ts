/** What tells the time and wakes up those who wait. */
export interface Clock {
  /** Milliseconds since some moment. */
  now(): number;
  /** Does something after so many milliseconds; gives what calls it off. */
  after(milliseconds: number, action: () => void): () => void;
}

/** The longest time that a timer counts: 24.8 days. One for longer fires at once. */
const LONGEST = 2 ** 31 - 1;

export const SYSTEM_CLOCK: Clock = {
  now: () => performance.now(),
  after(milliseconds, action) {
    let timer: NodeJS.Timeout;
    const wait = (left: number) => {
      timer = left <= LONGEST ? setTimeout(action, left) : setTimeout(() => wait(left - LONGEST), LONGEST);
    };
    wait(milliseconds);
    return () => clearTimeout(timer);
  },
};
