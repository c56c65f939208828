import { TrtorchError } from "../util/errors.js";
import { type Constant, Device, EnumValue, ObjectValue, TupleValue } from "./constant.js";
import { type Attribute, type Block, Graph, type Node, type SourceRange, type Value } from "./graph.js";
import { findSchemas } from "./operators.js";
import { DTYPE_NAMES } from "./printer.js";
import { resolveSchema } from "./resolve.js";
import { isFloatingPoint, type ScalarType, scalarTypeSize } from "./scalar-type.js";
import { Scanner } from "./scanner.js";
import type { FunctionSchema } from "./schema.js";
import { numelOf, Tensor } from "./tensor.js";
import {
  ClassType,
  DictType,
  ListType,
  OptionalType,
  printType,
  SIMPLE_TYPES,
  TensorType,
  TupleType,
  type Type,
} from "./type.js";

export interface ParseOptions {
  /** The operators that nodes are resolved to; PyTorch's own table when not given. */
  readonly schemas?: (name: string) => readonly FunctionSchema[];
}

/**
 * Reads a graph in the textual form that PyTorch prints and `torch._C.parse_ir` reads. Names of values that are not
 * numbers are kept; strides, `requires_grad` and `device` in tensor types are read over. A constant printed as
 * `<Tensor>` has lost its numbers: it becomes zeros of the type's sizes.
 *
 * Throws `parse` with line and column.
 */
export function parseIR(text: string, options: ParseOptions = {}): Graph {
  return new Parser(text, options.schemas ?? findSchemas).parse();
}

const DTYPES: ReadonlyMap<string, ScalarType> = new Map(
  Object.entries(DTYPE_NAMES).map(([dtype, name]) => [name, dtype as ScalarType]),
);

const NUMBER = /[-+]?(?:inf|nan|\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?)(?![\w])/y;
const KIND = /[A-Za-z_]\w*(?:::\w+)+/y;
const IDENTIFIER = /[A-Za-z_]\w*/y;

class Parser extends Scanner {
  readonly #schemas: (name: string) => readonly FunctionSchema[];
  #graph = new Graph();
  #scopes: Map<string, Value>[] = [];
  /** Names that `with prim::fork_0 = graph(...)` gives after the graph, and the nodes that are printed with them. */
  readonly #subgraphs = new Map<string, Node | undefined>();

  constructor(text: string, schemas: (name: string) => readonly FunctionSchema[]) {
    super(text);
    this.#schemas = schemas;
    for (const [, name] of text.matchAll(/^\s*with (\w+::\w+_\d+) = graph/gm))
      this.#subgraphs.set(name as string, undefined);
  }

  parse(): Graph {
    const graph = this.#wholeGraph();
    while (this.accept("with")) {
      const name = this.match(KIND, "a subgraph's name such as prim::fork_0");
      const owner =
        this.#subgraphs.get(name) ?? this.#failAt(this.at - name.length, `no node has the subgraph ${name}`);
      this.expect("=");
      owner.attributes.set("Subgraph", this.#wholeGraph());
    }
    this.expectEnd("the end of the graph");
    return graph;
  }

  #wholeGraph(): Graph {
    this.expect("graph");
    const graph = new Graph();
    this.#graph = graph;
    this.#scopes = [];
    this.#body(graph.block, () => this.accept("return"));
    return graph;
  }

  /** `(inputs): nodes <end> (outputs)` */
  #body(block: Block, isEnd: () => boolean): void {
    this.#scopes.push(new Map());
    this.expect("(");
    while (!this.accept(")")) {
      const { name, type, at } = this.#typedName();
      this.#define(name, block.addInput(type), at);
      if (!this.peek(")")) this.expect(",");
    }
    this.expect(":");
    while (!isEnd()) this.#node(block);
    for (const value of this.#values()) block.registerOutput(value);
    this.#scopes.pop();
  }

  #node(block: Block): void {
    const outputs: { name: string; type: Type; at: number }[] = [];
    while (this.peek("%")) {
      outputs.push(this.#typedName());
      if (!this.accept(",")) break;
    }
    if (outputs.length > 0) this.expect("=");
    else this.accept("=");
    const name = this.match(KIND, "an operator such as aten::relu");
    const kind = this.#subgraphs.has(name) ? name.replace(/_\d+$/, "") : name;
    const node = this.#graph.createNode(kind);
    if (kind !== name) this.#subgraphs.set(name, node);
    if (this.accept("[")) {
      while (!this.accept("]")) {
        const name = this.match(IDENTIFIER, "an attribute's name");
        this.expect("=");
        if (name === "types") node.attributes.set(name, this.#typeNames());
        else node.attributes.set(name, this.#attribute(kind === "prim::Constant" ? outputs[0]?.type : undefined));
        if (!this.peek("]")) this.expect(",");
      }
    }
    for (const value of this.#values()) node.addInput(value);
    const range = this.#sourceRange();
    if (range !== undefined) node.sourceRange = range;
    block.appendNode(node);
    while (this.tryMatch(/block\d+(?=\s*\()/y) !== undefined) this.#body(node.addBlock(), () => this.accept("->"));
    for (const { name, type, at } of outputs) this.#define(name, node.addOutput(type), at);
    if (kind === "prim::Constant") finishConstant(node);
    node.schema = resolveSchema(node, this.#schemas(kind));
  }

  /** `%x.1 : Float(2, 3)`; a Tensor where no type is given. */
  #typedName(): { name: string; type: Type; at: number } {
    this.space();
    const at = this.at;
    const name = this.match(/%[\w.]+/y, "a value such as %x").slice(1);
    return { name, type: this.accept(":") ? this.#type() : TensorType, at };
  }

  #define(name: string, value: Value, at: number): void {
    const scope = this.#scopes[this.#scopes.length - 1] as Map<string, Value>;
    if (scope.has(name)) this.#failAt(at, `%${name} is defined twice`);
    if (!/^\d+$/.test(name)) value.debugName = name;
    scope.set(name, value);
  }

  #values(): Value[] {
    const values: Value[] = [];
    this.expect("(");
    while (!this.accept(")")) {
      this.space();
      const at = this.at;
      const name = this.match(/%[\w.]+/y, "a value such as %x").slice(1);
      // printGraph and PyTorch write types only where values are defined; people write them at uses too.
      if (this.accept(":")) this.#type();
      values.push(this.#lookUp(name) ?? this.#failAt(at, `%${name} is used before it is defined`));
      if (!this.peek(")")) this.expect(",");
    }
    return values;
  }

  #lookUp(name: string): Value | undefined {
    for (let i = this.#scopes.length - 1; i >= 0; i--) {
      const value = this.#scopes[i]?.get(name);
      if (value !== undefined) return value;
    }
    return undefined;
  }

  /** `, scope: __module.0 # file.py:12:8`, on the node's own line. */
  #sourceRange(): SourceRange | undefined {
    const scope = this.here(/[ \t]*,[ \t]*scope:[ \t]*([^#\n]*)/y)?.[1]?.trim();
    const comment = this.here(/[ \t]*#[ \t]*([^\n]*)/y)?.[1];
    const place = comment === undefined ? undefined : /^(.*?):(\d+):\d+\s*$/.exec(comment);
    const module = scope
      ?.split("/")
      .pop()
      ?.replace(/^.*?::/, "")
      .replace(/^__module\.?/, "");
    if (place === undefined && module === undefined) return undefined;
    return {
      file: place?.[1] ?? "",
      line: Number(place?.[2] ?? 0),
      ...(module === undefined || module === "" ? {} : { module }),
    };
  }

  #type(): Type {
    let type = this.#baseType();
    for (;;) {
      if (this.accept("?")) type = OptionalType(type);
      else if (this.tryMatch(/\[\s*\d*\s*\]/y) !== undefined) type = ListType(type);
      else return type;
    }
  }

  #baseType(): Type {
    if (this.accept("(")) return TupleType(this.#typesUntil(")"));
    const name = this.match(/[A-Za-z_]\w*(?:\.\w+)*/y, "a type");
    const dtype = DTYPES.get(name.replace(/Tensor$/, ""));
    if (dtype !== undefined) return this.#tensorType(dtype);
    if (name === "Tensor") return this.#tensorType(undefined);
    const simple = SIMPLE_TYPES[name];
    if (simple !== undefined) return simple;
    switch (name) {
      case "List":
        return ListType(this.#typesInBrackets()[0] ?? this.fail("a type"));
      case "Optional":
        return OptionalType(this.#typesInBrackets()[0] ?? this.fail("a type"));
      case "Future":
        return { kind: "FutureType", element: this.#typesInBrackets()[0] ?? this.fail("a type") };
      case "Dict": {
        const [key, value] = this.#typesInBrackets();
        return key !== undefined && value !== undefined ? DictType(key, value) : this.fail("Dict(key, value)");
      }
      case "Tuple":
        return TupleType(this.#typesInBrackets());
      case "Union":
        return { kind: "UnionType", members: this.#typesInBrackets() };
      case "NamedTuple":
        return this.#namedTuple();
      case "Enum":
      case "InterfaceType": {
        this.expect("<");
        const inner = this.match(/[\w.]+/y, `the name of the ${name}`);
        this.expect(">");
        return { kind: name === "Enum" ? "EnumType" : "InterfaceType", name: inner };
      }
      default:
        return name.includes(".") ? ClassType(name) : this.#failAt(this.at - name.length, `unknown type ${name}`);
    }
  }

  #typesInBrackets(): Type[] {
    if (this.accept("[")) return this.#typesUntil("]");
    this.expect("(");
    return this.#typesUntil(")");
  }

  #typesUntil(close: string): Type[] {
    const types: Type[] = [];
    while (!this.accept(close)) {
      types.push(this.#type());
      if (!this.peek(close)) this.expect(",");
    }
    return types;
  }

  /** PyTorch prints a NamedTuple's fields but not its name. */
  #namedTuple(): Type {
    const fields: string[] = [];
    const elements: Type[] = [];
    this.expect("(");
    while (!this.accept(")")) {
      fields.push(this.match(IDENTIFIER, "a field's name"));
      this.expect(":");
      elements.push(this.#type());
      if (!this.peek(")")) this.expect(",");
    }
    return { kind: "TupleType", elements, name: "NamedTuple", fields };
  }

  /** What may follow a dtype: `(2, *, 3, strides=[3, 1], requires_grad=0, device=cpu)`. */
  #tensorType(dtype: ScalarType | undefined): Type {
    const known = dtype === undefined ? {} : { dtype };
    if (!this.accept("(")) return { kind: "TensorType", ...known };
    const sizes: (number | null)[] = [];
    let hasOnlyAttributes = false;
    while (!this.accept(")")) {
      if (this.tryMatch(/(?:requires_grad|device|strides)\s*=\s*(?:\[[^\]]*\]|[\w:]+)/y) !== undefined) {
        hasOnlyAttributes ||= sizes.length === 0;
      } else if (this.accept("*")) sizes.push(null);
      // Symbolic dims are printed as `SS(-1)`.
      else if (this.tryMatch(/SS\(-?\d+\)/y) !== undefined) sizes.push(null);
      // 1.5 and older print `2:6` for size and stride.
      else sizes.push(Number.parseInt(this.match(/\d+(?::\d+)?/y, "a size"), 10));
      if (!this.peek(")")) this.expect(",");
    }
    // `Long(requires_grad=0, device=cpu)` is both a scalar and one of unknown rank: PyTorch prints them alike.
    return { kind: "TensorType", ...known, ...(hasOnlyAttributes ? {} : { sizes }) };
  }

  /** `prim::isinstance[types=[list, int]]`: types, among which PyTorch has `list` and `tuple` of anything. */
  #typeNames(): string[] {
    this.expect("[");
    const names: string[] = [];
    while (!this.accept("]")) {
      names.push(this.tryMatch(/(?:list|tuple)\b/y) ?? printType(this.#type()));
      if (!this.peek("]")) this.expect(",");
    }
    return names;
  }

  #attribute(type: Type | undefined): Attribute {
    if (type?.kind === "TensorType") return this.#tensor(type);
    return this.#constant(type);
  }

  #constant(expected: Type | undefined): Constant {
    const type = expected?.kind === "OptionalType" ? expected.element : expected;
    if (this.peek('"') || this.peek("'")) {
      const text = this.#string();
      return type?.kind === "DeviceObjType" ? new Device(text) : text;
    }
    if (this.accept("annotate")) {
      this.expect("(");
      const annotated = this.#type();
      this.expect(",");
      const value = this.#constant(annotated);
      this.expect(")");
      return value;
    }
    if (this.accept("[")) {
      const element = type?.kind === "ListType" ? type.element : undefined;
      return this.#constantsUntil("]", () => element);
    }
    if (this.accept("(")) {
      const elements = type?.kind === "TupleType" ? type.elements : [];
      return new TupleValue(this.#constantsUntil(")", (i) => elements[i]));
    }
    // The print of an object says its class and no more.
    if (type?.kind === "ClassType" && this.accept("<object>")) return new ObjectValue(type.name);
    if (this.peek("<")) return this.#tensor(type ?? TensorType);
    if (this.peek("{")) return type?.kind === "DictType" ? this.#dict(type.key, type.value) : this.#tensor(TensorType);
    const number = this.tryMatch(NUMBER);
    if (number !== undefined) {
      if (this.here(/[-+]?[\d.e]*j/y) !== undefined) this.fail("a real number: complex constants are not supported");
      return type?.kind === "BoolType" ? Number(number) !== 0 : toNumber(number);
    }
    const word = this.match(/[A-Za-z_][\w.]*/y, "a value");
    if (word === "None") return null;
    if (word === "True" || word === "False") return word === "True";
    const dot = word.lastIndexOf(".");
    // The text names an enum's member but not its value.
    if (dot > 0) return new EnumValue(word.slice(0, dot), word.slice(dot + 1), null);
    return this.fail("a value");
  }

  #constantsUntil(close: string, typeAt: (index: number) => Type | undefined): Constant[] {
    const items: Constant[] = [];
    while (!this.accept(close)) {
      items.push(this.#attribute(typeAt(items.length)) as Constant);
      if (!this.peek(close)) this.expect(",");
    }
    return items;
  }

  #dict(key: Type, value: Type): Map<string | number | boolean, Constant> {
    const entries = new Map<string | number | boolean, Constant>();
    this.expect("{");
    while (!this.accept("}")) {
      const name = this.#constant(key) as string | number | boolean;
      this.expect(":");
      entries.set(name, this.#attribute(value) as Constant);
      if (!this.peek("}")) this.expect(",");
    }
    return entries;
  }

  /** `{2.5}`, `<Tensor>`, or the digits that PyTorch prints for up to ten elements. */
  #tensor(type: Type): Constant {
    const { dtype, sizes } = type.kind === "TensorType" ? type : { dtype: undefined, sizes: undefined };
    const staticSizes = sizes?.every((size): size is number => size !== null) ? (sizes as number[]) : undefined;
    if (this.accept("None")) return null;
    if (this.accept("{")) {
      const number = this.match(NUMBER, "a number");
      this.expect("}");
      const given = dtype ?? (/[.en]/.test(number) ? "float32" : "int64");
      return Tensor.of(given, staticSizes ?? [], [toNumber(number)]);
    }
    if (this.accept("<Tensor>")) {
      if (staticSizes === undefined) {
        this.fail("sizes in the type of a <Tensor>, as in Float(2, 3) or Long(): its numbers were not printed");
      }
      const given = dtype ?? "float32";
      return new Tensor(given, staticSizes, { bytes: new Uint8Array(numelOf(staticSizes) * scalarTypeSize(given)) });
    }
    const printed = this.tryMatch(/[^[\]]*\[ \w+Type\{[\d,]*\} \]/y) ?? this.fail("a tensor such as {2.5} or <Tensor>");
    return readPrintedTensor(printed, dtype);
  }

  #string(): string {
    const quoted = this.match(/"(?:[^"\\]|\\[\s\S])*"|'(?:[^'\\]|\\[\s\S])*'/y, "a string");
    const bytes: Buffer[] = [];
    for (const [piece] of quoted.slice(1, -1).matchAll(/\\[0-7]{3}|\\[\s\S]|[^\\]+/g)) {
      if (/^\\\d{3}$/.test(piece)) bytes.push(Buffer.from([Number.parseInt(piece.slice(1), 8)]));
      else bytes.push(Buffer.from(piece[0] === "\\" ? (UNESCAPED[piece[1] as string] ?? (piece[1] as string)) : piece));
    }
    return Buffer.concat(bytes).toString("utf8");
  }

  protected space(): void {
    this.here(/(?:\s+|#[^\n]*)*/y);
  }

  protected fail(expected: string): never {
    return this.#failAt(this.at, `expected ${expected}`);
  }

  #failAt(at: number, message: string): never {
    const before = this.text.slice(0, at).split("\n");
    const line = before.length;
    const column = (before[line - 1] ?? "").length + 1;
    const text = this.text.split("\n")[line - 1] ?? "";
    throw new TrtorchError("parse", `IR ${line}:${column}: ${message}\n  ${text.trim()}`, {
      location: { file: "<graph>", line, column, text },
    });
  }
}

const UNESCAPED: Readonly<Record<string, string>> = {
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};

function toNumber(text: string): number {
  if (text.endsWith("inf")) return text.startsWith("-") ? -Infinity : Infinity;
  return text.endsWith("nan") ? Number.NaN : Number(text);
}

/** `Function = prim::Constant[name="f"]()` names its function in the type; a constant tensor gives its type sizes. */
function finishConstant(node: Node): void {
  const output = node.output();
  const value = node.attributes.get("value");
  if (output.type.kind === "FunctionType") output.type = { kind: "FunctionType", name: node.string("name") };
  if (value instanceof Tensor) output.type = { kind: "TensorType", dtype: value.dtype, sizes: value.sizes };
}

const PRINTED_DTYPE = /^(?:CPU|CUDA|QuantizedCPU)?(.*)Type$/;

/**
 * What C++ PyTorch prints for a small tensor, its line ends turned to spaces: `(1,.,.) =  100000 *   5.3278  7.9705
 * [ CPUFloatType{1,1,2} ]`. The numbers have the four digits that were printed.
 */
function readPrintedTensor(text: string, expected: ScalarType | undefined): Tensor {
  const [, body = "", typeName = "", sizeText = ""] = /^([\s\S]*)\[ (\w+)\{([\d,]*)\} \]$/.exec(text) ?? [];
  const dtype = expected ?? DTYPES.get(PRINTED_DTYPE.exec(typeName)?.[1] ?? "") ?? "float32";
  const sizes = sizeText === "" ? [] : sizeText.split(",").map(Number);
  const numbers: number[] = [];
  let scale = 1;
  for (const [token] of body.replace(/\([\d,.]+\) =/g, " ").matchAll(/\S+(?: \*)?/g)) {
    if (token.endsWith("*")) scale = toNumber(token.slice(0, -1).trim());
    else numbers.push(toNumber(token) * scale);
  }
  const numel = numelOf(sizes);
  if (numbers.length !== numel)
    throw new TrtorchError("parse", `a tensor of ${numel} elements is printed as "${text}"`);
  return Tensor.of(dtype, sizes, isFloatingPoint(dtype) ? numbers : numbers.map(Math.round));
}
