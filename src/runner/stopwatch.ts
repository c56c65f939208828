import type { Clock } from "./clock.js";

/** Measures time but for its pauses, and rings once when that reaches a limit. */
export class Stopwatch {
  readonly #clock: Clock;
  readonly #limit: number | null;
  readonly #ring: () => void;
  #callOff = () => {};
  #since = 0;
  #spent = 0;

  /** @param limit milliseconds; null: it never rings */
  constructor(clock: Clock, limit: number | null, ring: () => void) {
    this.#clock = clock;
    this.#limit = limit;
    this.#ring = ring;
  }

  start(): void {
    this.#since = this.#clock.now();
    if (this.#limit !== null) this.#callOff = this.#clock.after(Math.max(0, this.#limit - this.#spent), this.#ring);
  }

  /** Until {@link start} is called again. */
  pause(): void {
    this.#callOff();
    this.#spent += this.#clock.now() - this.#since;
  }
}
