import { type SourceLocation, TrtorchError } from "../util/errors.js";

/**
 * A file of TorchScript code. Its text holds one character a byte, so that offsets are those that PyTorch's debug
 * records count; {@link decodeUtf8} turns a piece of it into what a person wrote.
 */
export class Source {
  /** The archive's member: `code/__torch__/torchvision/models/resnet.py`. */
  readonly file: string;
  readonly text: string;
  #lineStarts: number[] | undefined;

  constructor(file: string, bytes: Uint8Array) {
    this.file = file;
    this.text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
  }

  static fromText(file: string, text: string): Source {
    return new Source(file, Buffer.from(text, "utf8"));
  }

  location(offset: number): SourceLocation & { readonly line: number; readonly column: number; readonly text: string } {
    const starts = this.#lines();
    let low = 0;
    let high = starts.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if ((starts[middle] as number) <= offset) low = middle;
      else high = middle;
    }
    const start = starts[low] as number;
    const text = decodeUtf8(this.text.slice(start, starts[low + 1] ?? this.text.length).replace(/\r?\n$/, ""));
    return { file: this.file, line: low + 1, column: offset - start + 1, text };
  }

  #lines(): readonly number[] {
    if (this.#lineStarts === undefined) {
      this.#lineStarts = [0];
      for (let at = this.text.indexOf("\n"); at >= 0; at = this.text.indexOf("\n", at + 1)) {
        this.#lineStarts.push(at + 1);
      }
    }
    return this.#lineStarts;
  }

  fail(offset: number, message: string, hint?: string): never {
    throw new TrtorchError("parse", message, { location: this.location(offset), hint });
  }
}

/** Text of one character a byte as the UTF-8 that it is. */
export function decodeUtf8(text: string): string {
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) > 0x7f) return Buffer.from(text, "latin1").toString("utf8");
  }
  return text;
}
