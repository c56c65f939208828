/** Measures time but for its pauses, and rings once when that reaches a limit. */
export class Stopwatch {
  readonly #limit: number | null;
  readonly #ring: () => void;
  #timer: NodeJS.Timeout | undefined;
  #since = 0;
  #spent = 0;

  /** @param limit milliseconds; null: it never rings */
  constructor(limit: number | null, ring: () => void) {
    this.#limit = limit;
    this.#ring = ring;
  }

  start(): void {
    this.#since = performance.now();
    if (this.#limit !== null) this.#timer = setTimeout(this.#ring, Math.max(0, this.#limit - this.#spent));
  }

  /** Until {@link start} is called again. */
  pause(): void {
    clearTimeout(this.#timer);
    this.#spent += performance.now() - this.#since;
  }
}
