import type { Node, Value } from "../ir/graph.js";
import { printNode } from "../ir/printer.js";
import { scalarTypeFromCode } from "../ir/scalar-type.js";
import { type Argument, operatorName } from "../ir/schema.js";
import type { Type } from "../ir/type.js";
import type { Network } from "../network/network.js";
import { isSymbolic, SymBool, SymFloat, SymInt, type SymScalar } from "../network/symbolic.js";
import { TrtorchError } from "../util/errors.js";
import type { Converter } from "./registry.js";
import { type IValue, Scalar, TensorValue } from "./values.js";

/**
 * The arguments of `converter`'s schema by name, read from the node's inputs. The node's own schema (of the PyTorch that
 * wrote the file) says which input is which argument; an argument that it lacks takes the converter's default.
 */
export function bindArguments(
  network: Network,
  node: Node,
  converter: Converter,
  lookUp: (value: Value) => IValue,
): Record<string, unknown> {
  const formals = converter.schema.arguments;
  const actuals = node.schema?.arguments;
  const bound: Record<string, unknown> = {};
  formals.forEach((formal, position) => {
    let index = actuals === undefined ? position : actuals.findIndex((argument) => argument.name === formal.name);
    // The same argument by another name (`input` became `self`): equal places in lists of one length.
    if (index < 0 && actuals?.length === formals.length) index = position;
    const value = index < 0 ? undefined : node.inputs[index];
    if (value !== undefined) {
      bound[formal.name] = new Reader(network, node, formal).read(formal.type, lookUp(value), value.type);
    } else if (formal.hasDefault) {
      bound[formal.name] = new Reader(network, node, formal).read(
        formal.type,
        (formal.default ?? null) as IValue,
        formal.type,
      );
    } else {
      throw new TrtorchError(
        "conversion",
        `${operatorName(converter.schema)}: the node gives no value for "${formal.name}": ${printNode(node)}`,
      );
    }
  });
  return bound;
}

/** Reads one argument as the type its schema declares, with TorchScript's implicit conversions. */
class Reader {
  readonly #network: Network;
  readonly #node: Node;
  readonly #formal: Argument;

  constructor(network: Network, node: Node, formal: Argument) {
    this.#network = network;
    this.#node = node;
    this.#formal = formal;
  }

  read(type: Type, value: IValue, actual: Type): unknown {
    switch (type.kind) {
      case "OptionalType":
        return value === null ? null : this.read(type.element, value, elementOf(actual, "OptionalType"));
      case "TensorType":
        return this.#tensor(value, actual);
      case "ListType":
        return this.#list(type.element, value, actual);
      case "IntType":
        return this.#int(value);
      case "FloatType":
        return this.#float(value);
      case "BoolType":
        return this.#bool(value);
      case "NumberType":
        return this.#scalar(value, actual);
      case "StringType":
        return typeof value === "string" ? value : this.#fail("a string", value);
      default:
        return value;
    }
  }

  #tensor(value: IValue, actual: Type): TensorValue {
    if (value instanceof TensorValue) return value;
    const scalar = this.#scalar(value, actual);
    return TensorValue.ofScalar(this.#network, scalar.value, scalar.dtype);
  }

  #list(element: Type, value: IValue, actual: Type): unknown[] {
    const inner = actual.kind === "ListType" ? actual.element : element;
    if (Array.isArray(value)) return value.map((item) => this.read(element, item, inner));
    const size = this.#formal.size;
    if (size === undefined) return this.#fail("a list", value);
    const item = this.read(element, value, actual);
    return Array.from({ length: size }, () => item);
  }

  #int(value: IValue): unknown {
    const number = unwrap(value);
    switch (this.#formal.spelling.replace(/[?[\]\d]/g, "")) {
      case "ScalarType":
        return typeof number === "number" ? scalarTypeFromCode(number) : this.#fail("a dtype", value);
      case "SymInt":
        if (number instanceof SymInt) return number;
        break;
      case "Layout":
      case "MemoryFormat":
        return number;
    }
    if (typeof number === "number") return number;
    if (typeof number === "boolean") return Number(number);
    return isSymbolic(number) ? this.#failRuntime(number) : this.#fail("an int", value);
  }

  #float(value: IValue): unknown {
    const number = unwrap(value);
    if (typeof number === "number") return number;
    if (typeof number === "boolean") return Number(number);
    if (this.#formal.spelling.startsWith("SymFloat") && (number instanceof SymFloat || number instanceof SymInt)) {
      return number instanceof SymInt ? new SymFloat("toFloat", [number]) : number;
    }
    return isSymbolic(number) ? this.#failRuntime(number) : this.#fail("a float", value);
  }

  #bool(value: IValue): unknown {
    const number = unwrap(value);
    if (typeof number === "boolean") return number;
    if (typeof number === "number") return number !== 0;
    if (this.#formal.spelling.startsWith("SymBool") && number instanceof SymBool) return number;
    return isSymbolic(number) ? this.#failRuntime(number) : this.#fail("a bool", value);
  }

  #scalar(value: IValue, actual: Type): Scalar {
    if (value instanceof Scalar) return value;
    if (value instanceof TensorValue && value.scalar !== undefined) {
      return new Scalar(/^(u?int)/.test(value.dtype) ? "int" : value.dtype === "bool" ? "bool" : "float", value.scalar);
    }
    if (typeof value === "boolean" || value instanceof SymBool) return new Scalar("bool", value);
    if (value instanceof SymInt) return new Scalar("int", value);
    if (value instanceof SymFloat) return new Scalar("float", value);
    if (typeof value === "number") {
      const base = elementOf(actual, "OptionalType");
      if (base.kind === "FloatType") return new Scalar("float", value);
      if (base.kind === "IntType") return new Scalar("int", value);
      return new Scalar(Number.isInteger(value) ? "int" : "float", value);
    }
    return this.#fail("a number", value);
  }

  #fail(expected: string, value: IValue): never {
    throw new TrtorchError(
      "conversion",
      `${this.#node.kind}: "${this.#formal.name}" should be ${expected}, not ${describeValue(value)}`,
    );
  }

  #failRuntime(value: SymScalar): never {
    throw new TrtorchError(
      "unsupported",
      `${this.#node.kind}: "${this.#formal.name}" must be known at build time, but is ${String(value)}`,
      { hint: "Give the input dims it depends on a fixed size, or compute the value from constants." },
    );
  }
}

/** A number out of what may hold one. */
function unwrap(value: IValue): IValue {
  if (value instanceof Scalar) return value.value;
  if (value instanceof TensorValue && value.scalar !== undefined) return value.scalar;
  return value;
}

function elementOf(type: Type, kind: "OptionalType"): Type {
  return type.kind === kind ? type.element : type;
}

/** For messages. */
export function describeValue(value: IValue): string {
  if (value === null) return "None";
  if (value instanceof TensorValue) return `a ${value.dtype} tensor [${value.dims.map(String).join(", ")}]`;
  if (value instanceof Scalar) return `the ${value.type} ${String(value.value)}`;
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (value instanceof Map) return `a dict of ${value.size}`;
  if (typeof value === "object" && "typeName" in value) return `an object of ${value.typeName}`;
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}
