/** Gives a device to one job at a time, in the order in which they ask. */
export class DeviceLease {
  #holder: string | null = null;
  #last: Promise<void> = Promise.resolve();

  /** The id of the job that has the device; null: none. */
  get holder(): string | null {
    return this.#holder;
  }

  /** Resolves when the device is the job's, with the function that gives it back; that is called once. */
  async take(id: string): Promise<() => void> {
    const before = this.#last;
    let free = () => {};
    this.#last = new Promise((resolve) => {
      free = resolve;
    });
    await before;
    this.#holder = id;
    return () => {
      this.#holder = null;
      free();
    };
  }
}
