import fc from "fast-check";

export type Dtype = "float32" | "int64" | "int32" | "bool";

/** A tensor of a composition: what PyTorch will make of it, as far as generators of arguments need it. */
export interface Operand {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: Dtype;
  /** Every implementation of IEEE arithmetic gives these very numbers: what jumps (rounding, comparing) may come next. */
  readonly exact: boolean;
  /** No two elements of an input are equal, and none has been changed: sorting has one answer. */
  readonly distinct: boolean;
}

export interface CompositionInput {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: Dtype;
  /** A frozen weight rather than an input of the network. */
  readonly constant: boolean;
}

/** A graph of a few operators, as text. */
export interface Composition {
  readonly inputs: readonly CompositionInput[];
  /** Returns what nothing else uses. */
  readonly ir: string;
  /** Returns every tensor, in order. */
  readonly irOfAll: string;
}

/** Writes a composition, drawing its choices from fast-check. */
export class Composer {
  readonly #draw: fc.GeneratorValue;
  readonly #lines: string[] = [];
  readonly #inputs: CompositionInput[] = [];
  readonly #constants = new Map<string, string>();
  readonly #used = new Set<string>();
  readonly operands: Operand[] = [];
  #count = 0;

  constructor(draw: fc.GeneratorValue) {
    this.#draw = draw;
  }

  int(min: number, max: number): number {
    return this.#draw(fc.integer, { min, max });
  }

  chance(percent: number): boolean {
    return this.int(0, 99) < percent;
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.int(0, choices.length - 1)] as T;
  }

  /** An operand so far that suits, the later ones more often. */
  operand(suits: (operand: Operand) => boolean = () => true): Operand | undefined {
    const choices = this.operands.filter(suits);
    if (choices.length === 0) return undefined;
    return this.chance(50) ? choices.at(-1) : this.pick(choices);
  }

  addInput(shape: readonly number[], dtype: Dtype, constant = false): Operand {
    const name = `in${this.#inputs.length}`;
    this.#inputs.push({ name, shape, dtype, constant });
    const operand = { name, shape, dtype, exact: true, distinct: dtype === "float32" };
    this.operands.push(operand);
    return operand;
  }

  /** A call with arguments as {@link literal} writes them; its results as operands. */
  call(kind: string, args: readonly Argument[], ...results: readonly Partial<Operand>[]): Operand[] {
    const inputs = args.map((argument) => this.literal(argument));
    const outputs = results.map(
      (result): Operand => ({
        name: `v${this.#count++}`,
        shape: [],
        dtype: "float32",
        exact: false,
        distinct: false,
        ...result,
      }),
    );
    this.#lines.push(`  ${outputs.map(({ name }) => `%${name} : Tensor`).join(", ")} = ${kind}(${inputs.join(", ")})`);
    this.operands.push(...outputs);
    return outputs;
  }

  /** A call that gives a list of tensors, taken apart. */
  callList(kind: string, args: readonly Argument[], results: readonly Partial<Operand>[]): Operand[] {
    const list = `l${this.#count++}`;
    this.#lines.push(`  %${list} : Tensor[] = ${kind}(${args.map((argument) => this.literal(argument)).join(", ")})`);
    return this.call("prim::ListUnpack", [{ raw: list }], ...results);
  }

  /** A call that gives a number, as an argument for later ones. */
  scalar(type: "int" | "float" | "bool" | "Scalar", kind: string, args: readonly Argument[]): Argument {
    const name = `s${this.#count++}`;
    this.#lines.push(`  %${name} : ${type} = ${kind}(${args.map((argument) => this.literal(argument)).join(", ")})`);
    return { raw: name };
  }

  /** Lines as they are, for what has blocks; `%` of arguments comes from {@link literal}. The results as operands. */
  text(lines: readonly string[], ...results: readonly (Partial<Operand> & { readonly name: string })[]): Operand[] {
    this.#lines.push(...lines);
    const outputs = results.map(
      (result): Operand => ({ shape: [], dtype: "float32", exact: false, distinct: false, ...result }),
    );
    this.operands.push(...outputs);
    return outputs;
  }

  /** A name that nothing has yet. */
  fresh(prefix: string): string {
    return `${prefix}${this.#count++}`;
  }

  /** `%name` of an argument: tensors by name, the rest as constants. */
  literal(argument: Argument): string {
    if (argument === null) return this.#constant("NoneType", "prim::Constant()");
    if (typeof argument === "boolean") return this.#constant("bool", `prim::Constant[value=${Number(argument)}]()`);
    if (typeof argument === "string")
      return this.#constant("str", `prim::Constant[value=${JSON.stringify(argument)}]()`);
    if (typeof argument === "number") return this.#constant("int", `prim::Constant[value=${argument}]()`);
    if ("float" in argument) {
      const text = Number.isInteger(argument.float) ? `${argument.float}.` : String(argument.float);
      return this.#constant("float", `prim::Constant[value=${text}]()`);
    }
    if ("raw" in argument) return `%${argument.raw}`;
    if ("list" in argument) {
      const items = argument.list.map((item) => this.literal(item));
      return this.#constant(`${argument.of}[]`, `prim::ListConstruct(${items.join(", ")})`, false);
    }
    this.#used.add(argument.name);
    return `%${argument.name}`;
  }

  #constant(type: string, text: string, shared = true): string {
    const key = `${type} ${text}`;
    const known = shared ? this.#constants.get(key) : undefined;
    if (known !== undefined) return known;
    const name = `%c${this.#count++}`;
    this.#lines.push(`  ${name} : ${type} = ${text}`);
    this.#constants.set(key, name);
    return name;
  }

  finish(): Composition {
    const computed = this.operands.filter(({ name }) => name.startsWith("v"));
    const leaves = computed.filter(({ name }) => !this.#used.has(name));
    return {
      inputs: this.#inputs,
      ir: this.#returning(leaves.length > 0 ? leaves : computed.slice(-1)),
      irOfAll: this.#returning(computed),
    };
  }

  #returning(operands: readonly Operand[]): string {
    const names = operands.map(({ name }) => `%${name}`).join(", ");
    const types = operands.map(() => "Tensor").join(", ");
    return [
      `graph(${this.#inputs.map(({ name }) => `%${name} : Tensor`).join(", ")}):`,
      ...this.#lines,
      `  %out : (${types}) = prim::TupleConstruct(${names})`,
      "  return (%out)",
      "",
    ].join("\n");
  }
}

export type Argument =
  | null
  | boolean
  | number
  | string
  | Operand
  | { readonly float: number }
  /** The name of a value that is no operand. */
  | { readonly raw: string }
  | { readonly list: readonly Argument[]; readonly of: "int" | "float" | "bool" | "Tensor" | "Tensor?" };

const CATEGORY: Readonly<Record<Dtype, number>> = { bool: 0, int32: 1, int64: 1, float32: 2 };

/** PyTorch's promotion for tensors: a dtype of a higher kind wins; within a kind those with dims before 0-d ones. */
export function promote(a: Operand, b: Operand): Dtype {
  if (CATEGORY[a.dtype] !== CATEGORY[b.dtype]) return CATEGORY[a.dtype] > CATEGORY[b.dtype] ? a.dtype : b.dtype;
  const [ranked, other] = a.shape.length === 0 && b.shape.length > 0 ? [b, a] : [a, b];
  if (ranked.shape.length > 0 && other.shape.length === 0) return ranked.dtype;
  return a.dtype === "int64" || b.dtype === "int64" ? (CATEGORY[a.dtype] === 1 ? "int64" : a.dtype) : a.dtype;
}

/** The shape that two shapes broadcast to, or undefined. */
export function broadcast(a: readonly number[], b: readonly number[]): number[] | undefined {
  const rank = Math.max(a.length, b.length);
  const shape: number[] = [];
  for (let i = 0; i < rank; i++) {
    const x = a[a.length - rank + i] ?? 1;
    const y = b[b.length - rank + i] ?? 1;
    if (x !== y && x !== 1 && y !== 1) return undefined;
    shape.push(x === 1 ? y : x);
  }
  return shape;
}

export function dtypeCode(dtype: Dtype): number {
  return { int32: 3, int64: 4, float32: 6, bool: 11 }[dtype];
}
