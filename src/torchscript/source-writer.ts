import { type Constant, Device, TupleValue } from "../ir/constant.js";
import { type Block, constantOf, type Graph, type Node, type Value } from "../ir/graph.js";
import { toInt64 } from "../ir/int64.js";
import { operatorName } from "../ir/schema.js";
import { Tensor } from "../ir/tensor.js";
import { printType, type Type } from "../ir/type.js";
import { TrtorchError } from "../util/errors.js";
import { Names } from "../util/names.js";

/** What the source refers to besides itself. */
export interface SourceScope {
  /** The attribute of `self` that holds a constant tensor. */
  readonly attributeOf: (tensor: Tensor, name: string | undefined) => string;
}

/** What cannot be the name of a variable: a word of TorchScript's source, an underscore alone, nothing. */
const RESERVED: readonly string[] = [
  "",
  "_",
  ...(
    "False None True and as assert break class continue def del elif else except finally for from global if import in is " +
    "lambda nonlocal not or pass raise return try while with yield torch ops self CONSTANTS annotate uninitialized " +
    "unchecked_cast int float bool str complex number Tensor List Dict Tuple Optional Any Device inf nan infj nanj print range " +
    "len isinstance getattr hasattr fork Module NamedTuple __torch__"
  ).split(" "),
];

/**
 * A graph as the source of a method, in the language of the `code/` files of TorchScript archives. A graph whose first input is
 * a module is a method of it; constants stand inline, but for tensors, which are attributes of `self`.
 */
export function printMethod(name: string, graph: Graph, scope: SourceScope): string {
  return new MethodPrinter(scope).print(name, graph);
}

type NamedTupleType = Extract<Type, { kind: "TupleType" }> & {
  readonly name: string;
  readonly fields: readonly string[];
};

/** The NamedTuple classes that the types of a graph's arguments and results name. */
export function namedTuplesOf(graph: Graph): NamedTupleType[] {
  const found = new Map<string, NamedTupleType>();
  const visit = (type: Type): void => {
    if (type.kind === "TupleType") {
      type.elements.forEach(visit);
      if (isNamedTuple(type)) found.set(type.name, type);
    } else if (type.kind === "ListType" || type.kind === "OptionalType") visit(type.element);
    else if (type.kind === "DictType") visit(type.value);
  };
  for (const { type } of [...graph.inputs, ...graph.outputs]) visit(type);
  return [...found.values()];
}

function isNamedTuple(type: Type): type is NamedTupleType {
  return type.kind === "TupleType" && type.fields !== undefined && type.name?.startsWith("__torch__") === true;
}

/** The class of a NamedTuple as source. */
export function printNamedTuple(type: NamedTupleType): string {
  const fields = type.fields.map((field, i) => `  ${field} : ${printSourceType(type.elements[i] as Type)}`);
  return [`class ${type.name.slice(type.name.lastIndexOf(".") + 1)}(NamedTuple):`, ...fields, ""].join("\n");
}

/** A type as TorchScript's source spells it: `List[Tensor]`, `Optional[int]`. */
export function printSourceType(type: Type): string {
  switch (type.kind) {
    case "NumberType":
      return "number";
    case "ListType":
      return `List[${printSourceType(type.element)}]`;
    case "OptionalType":
      return `Optional[${printSourceType(type.element)}]`;
    case "FutureType":
      return `Future[${printSourceType(type.element)}]`;
    case "TupleType":
      if (isNamedTuple(type)) return type.name;
      return type.elements.length === 0 ? "Tuple[()]" : `Tuple[${type.elements.map(printSourceType).join(", ")}]`;
    case "DictType":
      return `Dict[${printSourceType(type.key)}, ${printSourceType(type.value)}]`;
    case "UnionType":
      return `Union[${type.members.map(printSourceType).join(", ")}]`;
    case "InterfaceType":
    case "EnumType":
      return type.name;
    case "FunctionType":
    case "VarType":
      throw new TrtorchError("unsupported", `a value of type ${type.kind} cannot be written as TorchScript`);
    default:
      return printType(type);
  }
}

class MethodPrinter {
  readonly #scope: SourceScope;
  readonly #lines: string[] = [];
  readonly #names = new Map<Value, string>();
  readonly #unique = new Names("_", 0, RESERVED);
  #indent = "    ";

  constructor(scope: SourceScope) {
    this.#scope = scope;
  }

  print(name: string, graph: Graph): string {
    const parameters = graph.inputs.map((input, i) => {
      if (i === 0 && input.type.kind === "ClassType") this.#names.set(input, "self");
      return `${this.#name(input)}: ${printSourceType(input.type)}`;
    });
    if (graph.inputs[0]?.type.kind !== "ClassType") throw new TrtorchError("internal", `${name} has no self`);
    for (const node of graph.nodes()) this.#node(node);
    const outputs = graph.outputs.map((output) => this.#use(output));
    const types = graph.outputs.map((output) => printSourceType(output.type));
    const returned = outputs.length === 1 ? outputs[0] : `(${outputs.join(", ")}${outputs.length === 0 ? "" : ","})`;
    const type = types.length === 1 ? types[0] : `Tuple[${types.join(", ")}]`;
    this.#line(`return ${returned}`);
    return [`  def ${name}(${parameters.join(",\n    ")}) -> ${type}:`, ...this.#lines, ""].join("\n");
  }

  #line(text: string): void {
    this.#lines.push(this.#indent + text);
  }

  /** A variable for a value: its debug name where that is one. */
  #name(value: Value): string {
    const known = this.#names.get(value);
    if (known !== undefined) return known;
    const stem = (value.debugName ?? "").replace(/^self\./, "").replace(/\W/g, "_");
    const name = this.#unique.unique(/^\d/.test(stem) ? `_${stem}` : stem);
    this.#names.set(value, name);
    return name;
  }

  /** An expression for a value: a variable or a constant. */
  #use(value: Value): string {
    if (value.node.kind !== "prim::Constant") return this.#name(value);
    return this.#constant(constantOf(value) as Constant, value.type, value.debugName);
  }

  #constant(value: Constant, type: Type, name?: string): string {
    if (value === null) return "None";
    if (typeof value === "boolean") return value ? "True" : "False";
    if (typeof value === "string") return quote(value);
    if (typeof value === "number") return printNumber(value, type);
    if (value instanceof Tensor) return `self.${this.#scope.attributeOf(value, name)}`;
    if (value instanceof Device) return `torch.device(${quote(value.name)})`;
    if (value instanceof TupleValue) {
      const types = type.kind === "TupleType" ? type.elements : [];
      const elements = value.elements.map((element, i) => this.#constant(element, types[i] ?? type));
      return tuple(elements);
    }
    if (Array.isArray(value)) {
      const element = type.kind === "ListType" ? type.element : (elementOf(type) ?? type);
      return annotated(
        `[${value.map((item) => this.#constant(item, element)).join(", ")}]`,
        { kind: "ListType", element },
        value.length === 0 || element.kind === "OptionalType",
      );
    }
    if (value instanceof Map && type.kind === "DictType") {
      const entries = [...value].map(
        ([key, item]) => `${this.#constant(key, type.key)}: ${this.#constant(item, type.value)}`,
      );
      return annotated(`{${entries.join(", ")}}`, type, value.size === 0);
    }
    throw new TrtorchError(
      "unsupported",
      `a constant of type ${printSourceType(type)} cannot be written as TorchScript`,
    );
  }

  #node(node: Node): void {
    if (node.kind === "prim::Constant") return;
    if (node.kind === "prim::If") this.#if(node);
    else if (node.kind === "prim::Loop") this.#loop(node);
    else if (node.kind === "prim::ListUnpack" || node.kind === "prim::TupleUnpack") this.#unpack(node);
    else {
      const expression = this.#expression(node);
      if (expression !== undefined) this.#line(`${this.#name(node.output())} = ${expression}`);
      else if (node.blocks.length === 0 && isOperator(node)) this.#call(node);
      else throw new TrtorchError("unsupported", `${node.kind} cannot be written as TorchScript`);
    }
  }

  /** What has syntax of its own. */
  #expression(node: Node): string | undefined {
    const type = node.outputs[0]?.type;
    if (type === undefined) return undefined;
    const elements = type.kind === "TupleType" ? type.elements : [];
    const inputs = node.inputs.map((input, i) => {
      if (node.kind === "prim::ListConstruct") return this.#useAs(input, elementOf(type) ?? input.type);
      return node.kind === "prim::TupleConstruct" ? this.#useAs(input, elements[i] ?? input.type) : this.#use(input);
    });
    switch (node.kind) {
      case "prim::GetAttr":
        return `${inputs[0]}.${node.string("name")}`;
      case "prim::ListConstruct":
        return annotated(
          `[${inputs.join(", ")}]`,
          type,
          inputs.length === 0 || elementOf(type)?.kind === "OptionalType",
        );
      case "prim::TupleConstruct":
        return isNamedTuple(type) ? `${type.name}(${inputs.join(", ")})` : tuple(inputs);
      case "prim::DictConstruct": {
        const entries = inputs.flatMap((key, i) => (i % 2 === 0 ? [`${key}: ${inputs[i + 1]}`] : []));
        return annotated(`{${entries.join(", ")}}`, type, entries.length === 0);
      }
      case "prim::TupleIndex":
        return `(${inputs[0]})[${inputs[1]}]`;
      case "prim::unchecked_cast":
        return `unchecked_cast(${printSourceType(type)}, ${inputs[0]})`;
      case "prim::Uninitialized":
        return `uninitialized(${printSourceType(type)})`;
      default:
        return undefined;
    }
  }

  #unpack(node: Node): void {
    if (node.outputs.length === 0) return;
    this.#line(`${node.outputs.map((output) => this.#name(output)).join(", ")}, = ${this.#use(node.input())}`);
  }

  #call(node: Node): void {
    const [namespace = "", name = ""] = node.kind.split("::");
    const callee = namespace === "aten" ? `torch.${name}` : `ops.${namespace}.${name}`;
    const call = `${callee}(${this.#arguments(node).join(", ")})`;
    if (node.outputs.length === 0) this.#line(call);
    else this.#line(`${node.outputs.map((output) => this.#name(output)).join(", ")} = ${call}`);
  }

  /** Positional arguments without the defaults at their end, which keeps older PyTorch's schemas matching; then keywords. */
  #arguments(node: Node): string[] {
    const { schema } = node;
    if (schema === undefined) {
      const keywords = (node.attributes.get("keywords") ?? []) as readonly string[];
      const first = node.inputs.length - keywords.length;
      return node.inputs.map((input, i) => (i < first ? "" : `${keywords[i - first]}=`) + this.#use(input));
    }
    if (schema.isVararg) return node.inputs.map((input) => this.#use(input));
    const formals = schema.arguments;
    const positional: { text: string; isDefault: boolean }[] = [];
    const keywords: string[] = [];
    node.inputs.forEach((input, i) => {
      const formal = formals[i];
      if (formal === undefined) {
        throw new TrtorchError("internal", `${operatorName(schema)} has too many arguments`);
      }
      const constant = constantOf(input);
      const isDefault =
        formal.hasDefault &&
        constant !== undefined &&
        isPlain(constant) &&
        sameConstant(constant, formal.default ?? null);
      const text = this.#argument(input, formal.type);
      if (!formal.kwargOnly) positional.push({ text, isDefault });
      else if (!isDefault) keywords.push(`${formal.name}=${text}`);
    });
    while (positional.at(-1)?.isDefault === true) positional.pop();
    return [...positional.map(({ text }) => text), ...keywords];
  }

  /** As the schema takes it: what lowering knows to be there may still have an optional's type. */
  #argument(value: Value, formal: Type): string {
    const constant = constantOf(value);
    if (constant !== undefined && value.type.kind === "AnyType")
      return this.#constant(constant, formal, value.debugName);
    const certain = formal.kind === "TensorType" || formal.kind === "IntType" || formal.kind === "FloatType";
    return certain ? this.#useAs(value, formal) : this.#use(value);
  }

  #useAs(value: Value, type: Type): string {
    const text = this.#use(value);
    const narrows =
      value.type.kind === "OptionalType" && type.kind !== "OptionalType" && constantOf(value) === undefined;
    return narrows ? `unchecked_cast(${printSourceType(type)}, ${text})` : text;
  }

  #if(node: Node): void {
    const names = node.outputs.map((output) => this.#name(output));
    const [thenBlock, elseBlock] = node.blocks as [Block, Block];
    this.#line(`if ${this.#use(node.input())}:`);
    this.#body(thenBlock, names, node.outputs);
    this.#line("else:");
    this.#body(elseBlock, names, node.outputs);
  }

  #body(block: Block, names: readonly string[], targets: readonly Value[]): void {
    const outer = this.#indent;
    this.#indent += "  ";
    const start = this.#lines.length;
    for (const node of block.nodes()) this.#node(node);
    names.forEach((name, i) => {
      const target = targets[i] as Value;
      this.#line(
        `${name} = ${annotated(this.#use(block.outputs[i] as Value), target.type, needsAnnotation(target.type))}`,
      );
    });
    if (this.#lines.length === start) this.#line("pass");
    this.#indent = outer;
  }

  /**
   * `prim::Loop(trips, condition, carried...)`, whose block gives (condition, carried...): a for loop where only the trips count,
   * a while loop where only the condition does, else a while loop that counts.
   */
  #loop(node: Node): void {
    const [body] = node.blocks as [Block];
    const [counter, ...carried] = body.inputs as [Value, ...Value[]];
    const [trips, condition, ...initial] = node.inputs as [Value, Value, ...Value[]];
    const [next, ...results] = body.outputs as [Value, ...Value[]];
    const names = node.outputs.map((output) => this.#name(output));
    const as = (value: Value, i: number): string => {
      const { type } = node.output(i);
      return annotated(this.#use(value), type, needsAnnotation(type));
    };
    carried.forEach((value, i) => {
      this.#names.set(value, names[i] as string);
    });
    initial.forEach((value, i) => {
      this.#line(`${names[i]} = ${as(value, i)}`);
    });
    const isFor = constantOf(condition) === true && constantOf(next) === true;
    const isWhile = !isFor && !counter.hasUses && Number(constantOf(trips)) >= ENDLESS;
    const count = this.#name(counter);
    const goesOn = isFor ? "" : this.#unique.unique("goes_on");
    const proceed = (value: Value): void => {
      const test = isWhile
        ? this.#use(value)
        : `torch.__and__(torch.lt(${count}, ${this.#use(trips)}), ${this.#use(value)})`;
      this.#line(`${goesOn} = ${test}`);
    };
    if (!isFor && !isWhile) this.#line(`${count} = 0`);
    if (!isFor) proceed(condition);
    this.#line(isFor ? `for ${count} in range(${this.#use(trips)}):` : `while ${goesOn}:`);
    const outer = this.#indent;
    const start = this.#lines.length;
    this.#indent += "  ";
    for (const inner of body.nodes()) this.#node(inner);
    // All results are taken before any carried variable changes: one may be another's new value.
    const taken = results.map((value, i) => {
      const name = this.#unique.unique("next");
      this.#line(`${name} = ${as(value, i)}`);
      return name;
    });
    if (!isFor && !isWhile) this.#line(`${count} = torch.add(${count}, 1)`);
    if (!isFor) proceed(next);
    taken.forEach((name, i) => {
      this.#line(`${names[i]} = ${name}`);
    });
    if (this.#lines.length === start) this.#line("pass");
    this.#indent = outer;
  }
}

/** An operator of PyTorch, or one of a user's namespace, whose schema need not be known. */
function isOperator(node: Node): boolean {
  return node.schema !== undefined || !/^(aten|prim)::/.test(node.kind);
}

/** Python's `while` is a loop of so many trips. */
const ENDLESS = 2 ** 31 - 1;

function tuple(elements: readonly string[]): string {
  return elements.length === 1 ? `(${elements[0]},)` : `(${elements.join(", ")})`;
}

function annotated(expression: string, type: Type, needed: boolean): string {
  return needed ? `annotate(${printSourceType(type)}, ${expression})` : expression;
}

/** Where inference alone would settle on the narrower type of what is assigned first. */
function needsAnnotation(type: Type): boolean {
  return type.kind === "OptionalType" || type.kind === "UnionType" || type.kind === "AnyType";
}

function elementOf(type: Type): Type | undefined {
  if (type.kind === "ListType") return type.element;
  return type.kind === "OptionalType" && type.element.kind === "ListType" ? type.element.element : undefined;
}

function printNumber(value: number, type: Type): string {
  const inner = type.kind === "OptionalType" ? type.element : type;
  const isInt = inner.kind === "IntType" || (inner.kind !== "FloatType" && Number.isInteger(value));
  if (isInt) return toInt64(value).toString();
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value < 0 ? "-inf" : "inf";
  const text = String(value);
  return /[.e]/.test(text) ? text : Object.is(value, -0) ? "-0." : `${text}.`;
}

/** As a double-quoted string of Python, with what is not ASCII as octal escapes of its UTF-8. */
function quote(text: string): string {
  let quoted = "";
  for (const byte of Buffer.from(text)) {
    const char = String.fromCharCode(byte);
    if (char === '"' || char === "\\") quoted += `\\${char}`;
    else if (byte >= 0x20 && byte < 0x7f) quoted += char;
    else quoted += `\\${byte.toString(8).padStart(3, "0")}`;
  }
  return `"${quoted}"`;
}

function isPlain(value: Constant): boolean {
  if (Array.isArray(value)) return value.every(isPlain);
  return value === null || typeof value !== "object";
}

function sameConstant(a: Constant, b: Constant): boolean {
  return JSON.stringify(a) === JSON.stringify(b) && (typeof a !== "number" || Object.is(a, b) || a === b);
}
