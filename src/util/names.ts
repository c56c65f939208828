/** Names of which none is given twice: one that is taken gets a number. */
export class Names {
  readonly #taken: Set<string>;
  readonly #separator: "." | "_";
  readonly #first: number;
  /** The number to try next, by what it is put behind. */
  readonly #next = new Map<string, number>();

  /**
   * `taken` are names that are never given. The number follows the name after `separator` and begins with `first`, and
   * after a dot takes the place of one that is there: `x.1` and `x.1` are `x.1` and `x.2`.
   */
  constructor(separator: "." | "_", first: number, taken: Iterable<string> = []) {
    this.#separator = separator;
    this.#first = first;
    this.#taken = new Set(taken);
  }

  /** `base`, or the first of `base_1`, `base_2`, ... that is free. It is taken from now on. */
  unique(base: string): string {
    let name = base;
    if (this.#taken.has(base)) {
      const stem = this.#separator === "." ? base.replace(/\.\d+$/, "") : base;
      let number = this.#next.get(stem) ?? this.#first;
      do name = `${stem}${this.#separator}${number++}`;
      while (this.#taken.has(name));
      this.#next.set(stem, number);
    }
    this.#taken.add(name);
    return name;
  }
}
