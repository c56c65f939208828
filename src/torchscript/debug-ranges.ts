import type { SourceRange } from "../ir/graph.js";
import type { Plain } from "./plain-pickle.js";

/** What `FORMAT_WITH_STRING_TABLE` pickles begin with; those before 1.10 hold texts where these hold numbers. */
const STRING_TABLE_FORMAT = "FORMAT_WITH_STRING_TABLE";

/** A frame of Python's stack as tracing records it: `models/resnet.py(92): forward`. */
const STACK_FRAME = /^(.*)\((\d+)\): \S+\s*$/;

/** Files that belong to PyTorch itself: of a traced model's stack, the user's own lines are wanted. */
const INSIDE_PYTORCH =
  /[\\/](?:site|dist)-packages[\\/]torch[\\/]|(?:^|[\\/])torch[\\/](?:nn|jit|ao|autograd|fx|utils|_\w+|functional|overrides)(?:[\\/.])/;

/**
 * The record that PyTorch keeps beside a code file (`x.py.debug_pkl`): from which of the user's lines each stretch of
 * the file was made.
 */
export class DebugRanges {
  readonly #strings: readonly Plain[] | undefined;
  readonly #records: readonly Plain[];
  /** Where in the code file each record's stretch begins. */
  readonly #starts: readonly number[];
  readonly #ranges = new Map<number, SourceRange | undefined>();
  /** The lines of stacks seen so far; null for those that are none. */
  readonly #frames = new Map<string, SourceRange | null>();

  constructor(pickle: Plain | undefined) {
    const top = elements(pickle);
    const hasTable = top[0] === STRING_TABLE_FORMAT;
    this.#strings = hasTable ? elements(top[1]) : undefined;
    this.#records = hasTable ? elements(top[2]) : top;
    this.#starts = this.#records.map((record) => Number(elements(record)[0] ?? 0));
  }

  /** The user's source of what stands at an offset of the code file. */
  find(offset: number): SourceRange | undefined {
    let low = 0;
    let high = this.#starts.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if ((this.#starts[middle] as number) <= offset) low = middle;
      else high = middle;
    }
    if (!this.#ranges.has(low)) this.#ranges.set(low, this.#range(low));
    return this.#ranges.get(low);
  }

  #range(index: number): SourceRange | undefined {
    const [source, start] = elements(elements(this.#records[index])[1]);
    const [text, file, firstLine] = elements(source);
    const pieces = this.#pieces(text);
    if (pieces.length === 0 || typeof start !== "number") return undefined;
    if (this.#frame(pieces[0] as string) !== undefined) return this.#stackRange(pieces);
    const name = this.#string(file);
    if (name === undefined) return undefined;
    const { line, text: found } = lineAt(pieces, start);
    return { file: name, line: Number(firstLine ?? 0) + line, text: found };
  }

  /** A traced operator has the stack of Python's calls, innermost first. */
  #stackRange(pieces: readonly string[]): SourceRange {
    const frames = pieces.flatMap((piece) => this.#frame(piece) ?? []);
    const own = frames.filter((frame) => !INSIDE_PYTORCH.test(frame.file));
    const [first = frames[0] as SourceRange, ...callers] = own;
    return callers.length === 0 ? first : { ...first, callers };
  }

  #frame(piece: string): SourceRange | undefined {
    let frame = this.#frames.get(piece);
    if (frame === undefined) {
      const match = STACK_FRAME.exec(piece);
      frame = match === null ? null : { file: match[1] as string, line: Number(match[2]) };
      this.#frames.set(piece, frame);
    }
    return frame ?? undefined;
  }

  /** The source's text, which is kept once and line by line where there is a string table. */
  #pieces(text: Plain | undefined): string[] {
    if (typeof text === "string") return text === "" ? [] : text.split(/(?<=\n)/);
    return elements(text)
      .map((piece) => this.#string(piece) ?? "")
      .filter((piece) => piece !== "");
  }

  #string(value: Plain | undefined): string | undefined {
    const string = typeof value === "number" ? this.#strings?.[value] : value;
    return typeof string === "string" && string !== "" ? string : undefined;
  }
}

function elements(value: Plain | undefined): readonly Plain[] {
  return Array.isArray(value) ? value : [];
}

/** The line with the byte `start` of the pieces' text, counted from 0. */
function lineAt(pieces: readonly string[], start: number): { line: number; text: string } {
  let line = 0;
  let before = 0;
  for (const piece of pieces) {
    before += Buffer.byteLength(piece);
    if (start < before) return { line, text: piece.replace(/\r?\n$/, "") };
    if (piece.endsWith("\n")) line++;
  }
  return { line: 0, text: (pieces[0] as string).replace(/\r?\n$/, "") };
}
