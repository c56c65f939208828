import type { DimRange } from "../ir/input-spec.js";
import { TrtorchError } from "../util/errors.js";
import type { Bound, ExportedProgramJson, SymInt } from "./schema.js";

/** `scale * symbol + offset`; without a symbol the offset alone. */
interface Linear {
  readonly symbol: string | undefined;
  readonly scale: number;
  readonly offset: number;
}

/**
 * The size of an input's dim: a number, or the range that the export allows. `opt` is the size of the example that was
 * exported. Sizes of one symbol share it; a size derived from a symbol (`2*s0`) has that expression as its symbol.
 * A maximum that nobody stated is Infinity.
 */
export function dimOf(
  size: SymInt,
  ranges: ExportedProgramJson["range_constraints"],
  where: string,
): number | DimRange {
  if (size.as_expr === undefined) {
    if (size.as_int !== undefined) return size.as_int;
    throw new TrtorchError("archive", `${where} has no size`);
  }
  const { expr_str: text, hint } = size.as_expr;
  const linear = new ExpressionReader(text, where).read();
  if (linear === undefined || linear.scale < 0) {
    throw new TrtorchError(
      "unsupported",
      `${where} is ${text}, which is more than a multiple of a size plus a number`,
      {
        hint: "Export with torch.export.Dim ranges for the sizes themselves.",
      },
    );
  }
  if (linear.symbol === undefined) return linear.offset;
  const { symbol, scale, offset } = linear;
  const range = ranges?.[symbol];
  // A network's dims are at least 1, whatever the bounds of the symbol.
  const smallest = bound(range?.min_val, 0);
  const min = Math.max(1, smallest * scale + offset);
  // 2 is what torch.export notes for a size that it did not single out as 0 or 1. A program takes a size of 1 there, as
  // PyTorch's own check of a program's inputs does: it asks for a minimum above 2 only.
  const least = smallest === 2 ? Math.max(1, scale + offset) : min;
  const max = bound(range?.max_val, Infinity) * scale + offset;
  if (min === max) return min;
  const opt = Math.min(Math.max(hint?.as_int ?? min, min), max);
  const factor = scale === 1 ? symbol : `${scale}*${symbol}`;
  return {
    min,
    opt,
    max,
    ...(least < min && { least }),
    symbol: offset === 0 ? factor : `${factor} ${offset < 0 ? "-" : "+"} ${Math.abs(offset)}`,
  };
}

function bound(value: Bound | undefined, unbounded: number): number {
  const number = value === null || value === undefined ? unbounded : Number(value);
  // sys.maxsize and its neighbours stand for "no maximum" in older files.
  return number >= 2 ** 62 ? Infinity : number;
}

const TOKEN = /\s*(?:([A-Za-z_]\w*)|(\d+)|'([^']*)'|(\*\*|\/\/|[-+*/(),=]))/y;

/**
 * Reads sympy's expressions in both spellings that files have, `Mul(Integer(2), Symbol('s0', positive=True))` and
 * `2*s0`, as far as they are linear in one symbol. Anything else is `undefined`.
 */
class ExpressionReader {
  readonly #tokens: string[] = [];
  #at = 0;

  constructor(text: string, where: string) {
    TOKEN.lastIndex = 0;
    while (TOKEN.lastIndex < text.trimEnd().length) {
      const found = TOKEN.exec(text);
      if (found === null || this.#tokens.length > 1000) {
        throw new TrtorchError("archive", `${where} is not a readable expression: ${text.slice(0, 100)}`);
      }
      this.#tokens.push(found[3] === undefined ? found[0].trim() : `'${found[3]}`);
    }
  }

  read(): Linear | undefined {
    const value = this.#sum();
    return this.#at === this.#tokens.length ? value : undefined;
  }

  #sum(): Linear | undefined {
    let left = this.#product();
    for (;;) {
      const sign = this.#accept("+") ? 1 : this.#accept("-") ? -1 : 0;
      if (sign === 0) return left;
      left = add(left, multiply(constant(sign), this.#product()));
    }
  }

  #product(): Linear | undefined {
    let left = this.#unary();
    while (this.#accept("*")) left = multiply(left, this.#unary());
    return left;
  }

  #unary(): Linear | undefined {
    if (this.#accept("-")) return multiply(constant(-1), this.#unary());
    if (this.#accept("(")) {
      const inner = this.#sum();
      return this.#accept(")") ? inner : undefined;
    }
    const token = this.#tokens[this.#at++] ?? "";
    if (/^\d/.test(token)) return constant(Number(token));
    if (!/^\w/.test(token)) return undefined;
    return this.#accept("(") ? this.#call(token) : { symbol: token, scale: 1, offset: 0 };
  }

  #call(name: string): Linear | undefined {
    if (name === "Symbol") {
      const symbol = this.#tokens[this.#at]?.slice(1) ?? "";
      // What the symbol is assumed to be: positive=True, integer=True.
      while (this.#at < this.#tokens.length && !this.#accept(")")) this.#at++;
      return { symbol, scale: 1, offset: 0 };
    }
    const args: (Linear | undefined)[] = [];
    while (!this.#accept(")")) {
      if (this.#at >= this.#tokens.length) return undefined;
      const before = this.#at;
      args.push(this.#sum());
      this.#accept(",");
      if (this.#at === before) return undefined;
    }
    if (name === "Integer") return args[0];
    if (name === "Add") return args.reduce(add, constant(0));
    return name === "Mul" ? args.reduce(multiply, constant(1)) : undefined;
  }

  #accept(token: string): boolean {
    if (this.#tokens[this.#at] !== token) return false;
    this.#at++;
    return true;
  }
}

const constant = (offset: number): Linear => ({ symbol: undefined, scale: 0, offset });

function add(a: Linear | undefined, b: Linear | undefined): Linear | undefined {
  if (a === undefined || b === undefined) return undefined;
  if (a.symbol !== undefined && b.symbol !== undefined && a.symbol !== b.symbol) return undefined;
  return { symbol: a.symbol ?? b.symbol, scale: a.scale + b.scale, offset: a.offset + b.offset };
}

function multiply(a: Linear | undefined, b: Linear | undefined): Linear | undefined {
  if (a === undefined || b === undefined) return undefined;
  if (a.symbol !== undefined && b.symbol !== undefined) return undefined;
  const [symbolic, factor] = a.symbol === undefined ? [b, a.offset] : [a, b.offset];
  return { symbol: symbolic.symbol, scale: symbolic.scale * factor, offset: symbolic.offset * factor };
}
