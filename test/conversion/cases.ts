import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import { type ScalarType, scalarTypeCode } from "../../src/ir/scalar-type.js";

/** An input of a case: its sizes alone, a float32 tensor of normally distributed numbers, or more. */
export type InputEntry =
  | readonly number[]
  | {
      readonly shape: readonly number[];
      readonly dtype?: ScalarType;
      /** Uniform numbers from the first to the second; ints include both. */
      readonly range?: readonly [number, number];
      /** The numbers themselves, row-major; `nan`, `inf` and `-inf` as strings. */
      readonly values?: readonly (number | string)[];
      /** Dims by axis that are ranges in the dynamic run; without it all above 1 are, from 1 to twice the size. */
      readonly dynamic?: false | Readonly<Record<number, readonly [number, number]>>;
    };

/** A case as it is written in cases/<family>.yaml. */
export interface CaseEntry {
  readonly name?: string;
  /** An operator, with others in its arguments: inputs by name, literals as in Python, dtypes by name. `aten::add(x, y, alpha)`. */
  readonly call?: string;
  /** Its tensors returned, when they are not one: how many, or `list`. */
  readonly returns?: number | "list";
  /** Or a graph. */
  readonly ir?: string;
  readonly inputs?: Readonly<Record<string, InputEntry>>;
  /** Inputs that are constants of the network: frozen weights. */
  readonly constants?: Readonly<Record<string, InputEntry>>;
  /** False: fixed sizes only, with the reason. */
  readonly dynamic?: string;
  /** Refused when converted, with a message like this (a regular expression). */
  readonly error?: string;
  /** Allowed: |error| <= atol + rtol * |expected|; default 1e-4 and 1e-5. */
  readonly rtol?: number;
  readonly atol?: number;
  /** Not run in fp16, with the reason. */
  readonly fp16?: string;
  /** Not given to TensorRT, with the reason. */
  readonly tensorrt?: string;
}

export interface Case extends CaseEntry {
  readonly name: string;
  readonly ir: string;
  readonly inputs: Readonly<Record<string, InputEntry>>;
  readonly constants: Readonly<Record<string, InputEntry>>;
}

export function casesFolder(): URL {
  return new URL("./cases/", import.meta.url);
}

export function readCases(family: string): Case[] {
  const entries = parse(readFileSync(new URL(`${family}.yaml`, casesFolder()), "utf8")) as CaseEntry[];
  const names = new Set<string>();
  return entries.map((entry) => {
    const base = entry.name ?? entry.call ?? "";
    let name = base;
    for (let i = 2; names.has(name); i++) name = `${base} (${i})`;
    names.add(name);
    const inputs = entry.inputs ?? {};
    const constants = entry.constants ?? {};
    const ir = entry.ir ?? graphOf(entry, [...Object.keys(inputs), ...Object.keys(constants)]);
    return { ...entry, name, inputs, constants, ir };
  });
}

/** The graph of one call. */
function graphOf(entry: CaseEntry, inputs: readonly string[]): string {
  const { call = "", returns = 1 } = entry;
  const open = call.indexOf("(");
  const lines: string[] = [];
  const args = new Literals(call.slice(open + 1, call.lastIndexOf(")")), inputs, lines).values();
  const results = Array.from({ length: returns === "list" ? 1 : returns }, (_, i) => `%r${i}`);
  const type = returns === "list" ? "Tensor[]" : "Tensor";
  const outputs = results.map((result) => `${result} : ${type}`).join(", ");
  lines.push(`  ${outputs} = ${call.slice(0, open)}(${args.join(", ")})`);
  if (returns !== 1) {
    const types = results.map(() => "Tensor").join(", ");
    lines.push(`  %r : (${types}) = prim::TupleConstruct(${results.join(", ")})`);
  }
  return [
    `graph(${inputs.map((name) => `%${name} : Tensor`).join(", ")}):`,
    ...lines,
    `  return (${returns === 1 ? "%r0" : "%r"})`,
    "",
  ].join("\n");
}

/** Reads a call's arguments and writes the constants that they are. */
class Literals {
  readonly #text: string;
  readonly #inputs: readonly string[];
  readonly #lines: string[];
  #at = 0;

  constructor(text: string, inputs: readonly string[], lines: string[]) {
    this.#text = text;
    this.#inputs = inputs;
    this.#lines = lines;
  }

  values(): string[] {
    const list: string[] = [];
    for (this.#skip(); this.#at < this.#text.length && this.#text[this.#at] !== ")"; this.#skip()) {
      list.push(this.#value().name);
    }
    return list;
  }

  #skip(): void {
    while (/[\s,]/.test(this.#text[this.#at] ?? "")) this.#at++;
  }

  #value(): { name: string; type: string } {
    if (this.#text[this.#at] === "[") {
      this.#at++;
      const items: { name: string; type: string }[] = [];
      for (this.#skip(); this.#text[this.#at] !== "]"; this.#skip()) items.push(this.#value());
      this.#at++;
      const types = new Set(items.map((item) => item.type));
      const optional = types.has("NoneType");
      types.delete("NoneType");
      const element = types.size === 0 ? "int" : [...types][0];
      const type = `${element}${optional ? "?" : ""}[]`;
      return this.#node(type, `prim::ListConstruct(${items.map((item) => item.name).join(", ")})`);
    }
    const call = /\w+::[\w.]+(?=\()/y;
    call.lastIndex = this.#at;
    const operator = call.exec(this.#text)?.[0];
    if (operator !== undefined) {
      this.#at += operator.length + 1;
      const args = this.values();
      this.#at++;
      return this.#node("Tensor", `${operator}(${args.join(", ")})`);
    }
    const token = /'[^']*'|"[^"]*"|[^,\s\])]+/y;
    token.lastIndex = this.#at;
    const [text] = token.exec(this.#text) as [string];
    this.#at += text.length;
    if (this.#inputs.includes(text)) return { name: `%${text}`, type: "Tensor" };
    if (text === "None") return this.#node("NoneType", "prim::Constant()");
    if (text === "True" || text === "False") return this.#constant("bool", text === "True" ? "1" : "0");
    if (/^['"]/.test(text)) return this.#constant("str", JSON.stringify(text.slice(1, -1)));
    if (/^-?\d+$/.test(text)) return this.#constant("int", text);
    if (/^-?(\d+\.\d*|\.\d+|\d+)(e[-+]?\d+)?$/.test(text)) return this.#constant("float", text);
    if (/^-?(inf|nan)$/.test(text)) return this.#constant("float", text);
    if (/^(cuda|cpu)(:\d)?$/.test(text)) return this.#constant("Device", JSON.stringify(text));
    return this.#constant("int", String(scalarTypeCode(text as ScalarType)));
  }

  #constant(type: string, value: string): { name: string; type: string } {
    return this.#node(type, `prim::Constant[value=${value}]()`);
  }

  #node(type: string, call: string): { name: string; type: string } {
    const name = `%c${this.#lines.length}`;
    this.#lines.push(`  ${name} : ${type} = ${call}`);
    return { name, type };
  }
}

// For record.py: the cases of a family as JSON.
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.stdout.write(JSON.stringify(readCases(process.argv[2] ?? "")));
}
