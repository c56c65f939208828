import { TrtorchError } from "../util/errors.js";
import type { Constant } from "./constant.js";
import { scalarTypeCode } from "./scalar-type.js";
import { Scanner } from "./scanner.js";
import { SIMPLE_TYPES, type Type } from "./type.js";

/** `(a!)` and the like: which arguments and results may share memory, and whether the argument is written. */
export interface AliasInfo {
  readonly before: readonly string[];
  readonly after: readonly string[];
  readonly isWrite: boolean;
}

export interface Argument {
  readonly name: string;
  readonly type: Type;
  /** `int[2]`: a single int stands for that many. */
  readonly size?: number;
  /** As the schema spells the type, where several spellings share a type here (`SymInt`, `ScalarType`). */
  readonly spelling: string;
  readonly hasDefault: boolean;
  readonly default?: Constant;
  readonly kwargOnly: boolean;
  readonly alias?: AliasInfo;
}

export interface FunctionSchema {
  /** With its namespace: `aten::conv2d`. */
  readonly name: string;
  /** Empty for the overload without a name. */
  readonly overload: string;
  readonly arguments: readonly Argument[];
  readonly returns: readonly Argument[];
  readonly isVararg: boolean;
  readonly isVarret: boolean;
  /** Made up from a call of an operator that nobody registered: what it writes to is not known. */
  readonly isInvented?: boolean;
}

/** `aten::add.Tensor`: name and overload, the key of PyTorch's operator table. */
export function operatorName(schema: FunctionSchema): string {
  return schema.overload === "" ? schema.name : `${schema.name}.${schema.overload}`;
}

/** Does the operator write to one of its arguments? */
export function isMutating(schema: FunctionSchema): boolean {
  return schema.arguments.some((argument) => argument.alias?.isWrite === true);
}

/** The schema as text that {@link parseSchema} reads, without alias annotations. */
export function printSchema(schema: FunctionSchema): string {
  let keyword = false;
  const args = schema.arguments.map((argument) => {
    const star = argument.kwargOnly && !keyword ? "*, " : "";
    keyword ||= argument.kwargOnly;
    const value = argument.hasDefault ? `=${printDefault(argument.default ?? null)}` : "";
    return `${star}${argument.spelling} ${argument.name}${value}`;
  });
  const returns = schema.returns.map((argument) => argument.spelling);
  const result = returns.length === 1 ? returns[0] : `(${returns.join(", ")})`;
  return `${operatorName(schema)}(${args.join(", ")}) -> ${result}`;
}

function printDefault(value: Constant): string {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "string") return JSON.stringify(value);
  return Array.isArray(value) ? `[${value.map(printDefault).join(", ")}]` : String(value);
}

/** Reads the schema language of PyTorch: `aten::add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor`. */
export function parseSchema(text: string): FunctionSchema {
  return new SchemaParser(text).parse();
}

class SchemaParser extends Scanner {
  parse(): FunctionSchema {
    const full = this.match(/[\w:]+(?:\.[\w]+)?/y, "an operator name");
    const dot = full.indexOf(".");
    const { list, isVararg } = this.#arguments();
    this.expect("->");
    const { returns, isVarret } = this.#returns();
    this.expectEnd("the end");
    return {
      name: dot < 0 ? full : full.slice(0, dot),
      overload: dot < 0 ? "" : full.slice(dot + 1),
      arguments: list,
      returns,
      isVararg,
      isVarret,
    };
  }

  #arguments(): { list: Argument[]; isVararg: boolean } {
    const list: Argument[] = [];
    let isVararg = false;
    let kwargOnly = false;
    this.expect("(");
    while (!this.accept(")")) {
      if (this.accept("...")) isVararg = true;
      else if (this.accept("*")) kwargOnly = true;
      else list.push(this.#argument(kwargOnly, list.length));
      this.accept(",");
    }
    return { list, isVararg };
  }

  #returns(): { returns: Argument[]; isVarret: boolean } {
    if (this.accept("...")) return { returns: [], isVarret: true };
    if (!this.accept("(")) return { returns: [this.#argument(false, 0)], isVarret: false };
    const returns: Argument[] = [];
    let isVarret = false;
    while (!this.accept(")")) {
      if (this.accept("...")) isVarret = true;
      else returns.push(this.#argument(false, returns.length));
      this.accept(",");
    }
    return { returns, isVarret };
  }

  #argument(kwargOnly: boolean, index: number): Argument {
    const start = this.at;
    const typed = this.#type();
    const spelling = this.text
      .slice(start, this.at)
      .replace(/\(\w[^)]*\)/g, "")
      .trim();
    const name = this.tryMatch(/[A-Za-z_]\w*/y) ?? `_${index}`;
    const hasDefault = this.accept("=");
    const value = hasDefault ? this.#default(typed.type) : undefined;
    return {
      name,
      type: typed.type,
      spelling,
      kwargOnly,
      hasDefault,
      ...(value === undefined ? {} : { default: value }),
      ...(typed.size === undefined ? {} : { size: typed.size }),
      ...(typed.alias === undefined ? {} : { alias: typed.alias }),
    };
  }

  #type(): { type: Type; size?: number; alias?: AliasInfo } {
    let type = this.#baseType();
    let size: number | undefined;
    let alias = this.#alias();
    for (;;) {
      if (this.accept("?")) type = { kind: "OptionalType", element: type };
      else if (this.accept("[")) {
        const digits = this.tryMatch(/\d+/y);
        if (digits !== undefined) size = Number(digits);
        this.expect("]");
        type = { kind: "ListType", element: type };
        alias = this.#alias() ?? alias;
      } else break;
    }
    return { type, ...(size === undefined ? {} : { size }), ...(alias === undefined ? {} : { alias }) };
  }

  #baseType(): Type {
    if (this.accept("(")) {
      const elements: Type[] = [];
      while (!this.accept(")")) {
        elements.push(this.#type().type);
        this.accept(",");
      }
      return { kind: "TupleType", elements };
    }
    const name = this.match(/[A-Za-z_][\w.]*/y, "a type");
    if (name === "Dict") {
      this.expect("(");
      const key = this.#type().type;
      this.expect(",");
      const value = this.#type().type;
      this.expect(")");
      return { kind: "DictType", key, value };
    }
    if (name === "Future" || name === "RRef" || name === "Await") {
      this.expect("(");
      const element = this.#type().type;
      this.expect(")");
      return { kind: "FutureType", element };
    }
    if (name === "Union") {
      this.expect("(");
      const members: Type[] = [];
      while (!this.accept(")")) {
        members.push(this.#type().type);
        this.accept(",");
      }
      return { kind: "UnionType", members };
    }
    const simple = SIMPLE_TYPES[name];
    if (simple !== undefined) return simple;
    if (name.includes(".")) return { kind: "ClassType", name };
    return /^t[A-Z]?\w*$/.test(name) ? { kind: "VarType", name } : { kind: "ClassType", name };
  }

  #alias(): AliasInfo | undefined {
    // `(a)`, `(a!)`, `(a -> *)`, `(a|b)`; a tuple type never follows a type without a comma.
    const text = this.tryMatch(/\(\s*[\w*|]+\s*!?(?:\s*->\s*[\w*|]+)?\s*\)/y);
    if (text === undefined) return undefined;
    const [before = "", after] = text.slice(1, -1).split("->");
    const sets = (part: string): string[] => part.replace("!", "").trim().split("|");
    return { before: sets(before), after: sets(after ?? before), isWrite: before.includes("!") };
  }

  #default(type: Type): Constant {
    const text = this.tryMatch(/None|True|False/y);
    if (text !== undefined) return text === "None" ? null : text === "True";
    const number = this.tryMatch(/[-+]?(?:inf|nan|\d+\.?\d*(?:e[-+]?\d+)?|\.\d+)/y);
    if (number !== undefined)
      return number.endsWith("inf") ? (number[0] === "-" ? -Infinity : Infinity) : Number(number);
    const string = this.tryMatch(/"[^"]*"|'[^']*'/y);
    if (string !== undefined) return string.slice(1, -1);
    if (this.accept("[")) {
      const items: Constant[] = [];
      while (!this.accept("]")) {
        items.push(this.#default(type));
        this.accept(",");
      }
      return items;
    }
    const word = this.match(/\w+/y, "a default value");
    return WORDS.get(word) ?? word;
  }

  protected space(): void {
    while (this.text[this.at] === " ") this.at++;
  }

  protected fail(expected: string): never {
    throw new TrtorchError(
      "parse",
      `operator schema: expected ${expected} at column ${this.at + 1} of "${this.text}"`,
      {
        hint: "A schema looks like: my_ops::scale(Tensor self, float factor=1.0) -> Tensor",
      },
    );
  }
}

/** Names that native_functions.yaml uses as defaults, by the ints TorchScript knows them as. */
const WORDS: ReadonlyMap<string, Constant> = new Map<string, Constant>([
  ["Mean", 1],
  ["long", scalarTypeCode("int64")],
  ["strided", 0],
  ["contiguous_format", 0],
  ["preserve_format", 1],
]);
