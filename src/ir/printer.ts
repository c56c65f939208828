import { TrtorchError } from "../util/errors.js";
import { Names } from "../util/names.js";
import { type Constant, Device, EnumValue, ObjectValue, TupleValue } from "./constant.js";
import { type Block, Graph, type Node, type SourceRange, type Value } from "./graph.js";
import { toInt64 } from "./int64.js";
import { isComplex, isFloatingPoint, type ScalarType } from "./scalar-type.js";
import { Tensor } from "./tensor.js";
import { printType, type Type } from "./type.js";

export interface PrintOptions {
  /** `# file.py:12:0` at the end of a node's line; true where not given, as PyTorch does. */
  readonly sourceRanges?: boolean;
}

/** The text of a graph, in the form of PyTorch's `print(module.graph)`. `parseIR` reads it back. */
export function printGraph(graph: Graph, options: PrintOptions = {}): string {
  return new Printer(options.sourceRanges ?? true).all(graph);
}

/** A single node with its blocks, in the same form, without a line end. */
export function printNode(node: Node, options: PrintOptions = {}): string {
  return new Printer(options.sourceRanges ?? true).single(node);
}

/** The line of a single node, without those of its blocks. */
export function printHead(node: Node): string {
  return new Printer(false).head(node);
}

class Printer {
  readonly #sourceRanges: boolean;
  readonly #lines: string[] = [];
  readonly #names = new Map<Value, string>();
  /** Copies of a node share its debug name, and text needs names of their own: `x`, `x.1`, `x.2`. */
  readonly #unique = new Names(".", 1);
  readonly #subgraphs: Map<string, Graph>;

  constructor(sourceRanges: boolean, subgraphs: Map<string, Graph> = new Map()) {
    this.#sourceRanges = sourceRanges;
    this.#subgraphs = subgraphs;
  }

  /** The graph, then those that are attributes of its nodes: `with prim::fork_0 = graph(...)`. */
  all(graph: Graph): string {
    let text = this.graph(graph);
    // Subgraphs found while printing subgraphs join the end of the map, and this loop.
    for (const [name, subgraph] of this.#subgraphs) {
      text += `with ${name} = ${new Printer(this.#sourceRanges, this.#subgraphs).graph(subgraph)}`;
    }
    return text;
  }

  graph(graph: Graph): string {
    this.#lines.push(`graph(${graph.inputs.map((value) => this.#definition(value)).join(",\n      ")}):`);
    for (const node of graph.nodes()) this.#node(node, "  ");
    this.#lines.push(`  return (${this.#uses(graph.outputs)})`, "");
    return this.#lines.join("\n");
  }

  head(node: Node): string {
    const attributes: string[] = [];
    let kind = node.kind;
    for (const [name, value] of node.attributes) {
      if (value instanceof Graph) kind = this.#subgraph(node.kind, value);
      else attributes.push(`${name}=${printAttribute(node, name, value)}`);
    }
    const brackets = attributes.length > 0 ? `[${attributes.join(", ")}]` : "";
    const results = node.outputs.map((value) => this.#definition(value)).join(", ");
    return `${results} = ${kind}${brackets}(${this.#uses(node.inputs)})${this.#comment(node.sourceRange)}`;
  }

  single(node: Node): string {
    this.#node(node, "");
    return this.#lines.join("\n");
  }

  #node(node: Node, indent: string): void {
    this.#lines.push(indent + this.head(node));
    node.blocks.forEach((block, i) => {
      this.#block(block, i, `${indent}  `);
    });
  }

  /** PyTorch numbers the node's kind and prints the graph, its attribute `Subgraph`, under that name. */
  #subgraph(kind: string, graph: Graph): string {
    const name = `${kind}_${this.#subgraphs.size}`;
    this.#subgraphs.set(name, graph);
    return name;
  }

  #block(block: Block, index: number, indent: string): void {
    this.#lines.push(`${indent}block${index}(${block.inputs.map((value) => this.#definition(value)).join(", ")}):`);
    for (const node of block.nodes()) this.#node(node, `${indent}  `);
    this.#lines.push(`${indent}  -> (${this.#uses(block.outputs)})`);
  }

  #definition(value: Value): string {
    const constant = value.node.kind === "prim::Constant" ? value.node.attributes.get("value") : undefined;
    const type = constant instanceof Tensor ? printTensorType(constant) : printValueType(value.type);
    return `%${this.#name(value)} : ${type}`;
  }

  #uses(values: readonly Value[]): string {
    return values.map((value) => `%${this.#name(value)}`).join(", ");
  }

  #name(value: Value): string {
    let name = this.#names.get(value);
    if (name === undefined) {
      name = this.#unique.unique(value.name);
      this.#names.set(value, name);
    }
    return name;
  }

  #comment(range: SourceRange | undefined): string {
    return this.#sourceRanges && range !== undefined && range.file !== "" ? ` # ${range.file}:${range.line}:0` : "";
  }
}

function printAttribute(node: Node, name: string, value: Constant): string {
  // The types that isinstance asks for are names, not strings.
  if (name === "types" && Array.isArray(value)) return `[${value.join(", ")}]`;
  return printConstant(value, node.kind === "prim::Constant" ? node.outputs[0]?.type : undefined);
}

/** A constant as PyTorch prints the `value` of a `prim::Constant`. The type tells ints from floats. */
export function printConstant(value: Constant, type?: Type): string {
  const inner = type?.kind === "OptionalType" ? type.element : type;
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "1" : "0";
  if (typeof value === "string") return quote(value);
  if (typeof value === "number") {
    const isFloat =
      inner === undefined || inner.kind === "NumberType" ? !Number.isInteger(value) : inner.kind === "FloatType";
    return isFloat ? printFloat(value) : printInt(value);
  }
  if (value instanceof Tensor) return printTensor(value);
  if (value instanceof Device) return quote(value.name);
  if (value instanceof EnumValue) return `${value.typeName}.${value.memberName}`;
  if (value instanceof ObjectValue) return "<object>";
  if (value instanceof TupleValue) {
    const types = inner?.kind === "TupleType" ? inner.elements : [];
    return `(${value.elements.map((element, i) => printConstant(element, types[i])).join(", ")})`;
  }
  if (Array.isArray(value)) {
    const element = inner?.kind === "ListType" ? inner.element : undefined;
    if (value.length === 0 && element !== undefined) return `annotate(List[${printType(element)}], [])`;
    return `[${value.map((item) => printConstant(item, element)).join(", ")}]`;
  }
  const [keyType, valueType] = inner?.kind === "DictType" ? [inner.key, inner.value] : [];
  const entries = [...value].map(([key, item]) => `${printConstant(key, keyType)}: ${printConstant(item, valueType)}`);
  return `{${entries.join(", ")}}`;
}

function printInt(value: number): string {
  return Number.isSafeInteger(value) ? String(value) : toInt64(value).toString();
}

/** As c10's IValue prints doubles: `2.`, `0.10000000000000001`, `1.0000000000000001e-05`, `inf`. */
function printFloat(value: number): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  if (Number.isInteger(value) && Math.abs(value) < 1e10) return Object.is(value, -0) ? "-0." : `${value}.`;
  // C's %.17g: an exponent from 1e17 on and below 1e-4, no trailing zeros, two digits of exponent.
  const [mantissa = "", exponent = "0"] = value.toExponential(16).split("e");
  const power = Number(exponent);
  if (power >= -4 && power < 17) return trimZeros(value.toFixed(Math.max(0, 16 - power)));
  const digits = String(Math.abs(power)).padStart(2, "0");
  return `${trimZeros(mantissa)}e${power < 0 ? "-" : "+"}${digits}`;
}

function trimZeros(text: string): string {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

/** One element in braces, as PyTorch prints boxed scalars; the numbers of larger tensors are left out. */
function printTensor(tensor: Tensor): string {
  if (tensor.numel !== 1 || isComplex(tensor.dtype) || tensor.dtype.startsWith("float8")) return "<Tensor>";
  const value = tensor.item();
  return isFloatingPoint(tensor.dtype) ? `{${trimPoint(printFloat(value))}}` : `{${printInt(value)}}`;
}

/** Inside braces PyTorch prints `2` for 2.0: the type in front says that it is a float. */
function trimPoint(text: string): string {
  return text.endsWith(".") ? text.slice(0, -1) : text;
}

/** PyTorch's C++ names of dtypes. */
export const DTYPE_NAMES: Readonly<Record<ScalarType, string>> = {
  uint8: "Byte",
  int8: "Char",
  int16: "Short",
  int32: "Int",
  int64: "Long",
  float16: "Half",
  float32: "Float",
  float64: "Double",
  complex32: "ComplexHalf",
  complex64: "ComplexFloat",
  complex128: "ComplexDouble",
  bool: "Bool",
  qint8: "QInt8",
  quint8: "QUInt8",
  qint32: "QInt32",
  bfloat16: "BFloat16",
  float8_e5m2: "Float8_e5m2",
  float8_e4m3fn: "Float8_e4m3fn",
  uint16: "UInt16",
  uint32: "UInt32",
  uint64: "UInt64",
};

/** The type with what is known of dtype and sizes: `Float(1, *, 224)`, `FloatTensor`, `Tensor`. */
function printValueType(type: Type): string {
  if (type.kind !== "TensorType") return printType(type);
  const name = type.dtype === undefined ? "Tensor" : DTYPE_NAMES[type.dtype];
  if (type.sizes === undefined) return type.dtype === undefined ? name : `${name}Tensor`;
  return `${name}(${type.sizes.map((size) => size ?? "*").join(", ")})`;
}

function printTensorType(tensor: Tensor): string {
  const strides = tensor.dim === 0 ? [] : [`strides=[${tensor.strides.join(", ")}]`];
  return `${DTYPE_NAMES[tensor.dtype]}(${[...tensor.sizes, ...strides, "requires_grad=0", "device=cpu"].join(", ")})`;
}

const ESCAPES: Readonly<Record<string, string>> = {
  "\\": "\\\\",
  "'": "\\'",
  '"': '\\"',
  "\x07": "\\a",
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\v": "\\v",
};

/** Bytes outside printable ASCII become three octal digits each, as in PyTorch. */
function quote(text: string): string {
  let out = "";
  for (const byte of Buffer.from(text, "utf8")) {
    const character = String.fromCharCode(byte);
    if (ESCAPES[character] !== undefined) out += ESCAPES[character];
    else if (byte >= 0x20 && byte < 0x7f) out += character;
    else out += `\\${byte.toString(8).padStart(3, "0")}`;
  }
  return `"${out}"`;
}

/** An error about a node that shows the node. */
export function nodeError(
  code: "ir" | "unsupported" | "internal",
  node: Node,
  message: string,
  hint?: string,
): TrtorchError {
  const range = node.sourceRange;
  return new TrtorchError(code, `${message}\n  ${printHead(node)}`, {
    ...(range === undefined
      ? {}
      : {
          location: { file: range.file, line: range.line, ...(range.text === undefined ? {} : { text: range.text }) },
        }),
    ...(hint === undefined ? {} : { hint }),
  });
}
