/** Reads a text token by token: what the parsers of schemas and of graphs have in common. */
export abstract class Scanner {
  /** The offset of the next character. */
  protected at = 0;

  constructor(protected readonly text: string) {}

  /** Passes over what stands between tokens. */
  protected abstract space(): void;

  /** Throws `parse`, with the place and what was expected there. */
  protected abstract fail(expected: string): never;

  protected peek(token: string): boolean {
    this.space();
    return this.text.startsWith(token, this.at);
  }

  protected accept(token: string): boolean {
    if (!this.peek(token)) return false;
    this.at += token.length;
    return true;
  }

  protected expect(token: string): void {
    if (!this.accept(token)) this.fail(`'${token}'`);
  }

  /** `pattern` is sticky, here and below. */
  protected tryMatch(pattern: RegExp): string | undefined {
    this.space();
    return this.here(pattern)?.[0];
  }

  protected match(pattern: RegExp, what: string): string {
    return this.tryMatch(pattern) ?? this.fail(what);
  }

  /** What `pattern` finds at this very character. */
  protected here(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text) ?? undefined;
    if (found !== undefined) this.at += found[0].length;
    return found;
  }

  protected expectEnd(what: string): void {
    this.space();
    if (this.at !== this.text.length) this.fail(what);
  }
}
