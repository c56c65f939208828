import { Tensor } from "./tensor.js";
import { AnyType, BoolType, ClassType, DeviceObjType, NoneType, printType, StringType, type Type } from "./type.js";

/** A tuple's value; a list's is a plain array. */
export class TupleValue<T = Constant> {
  readonly elements: readonly T[];
  constructor(elements: readonly T[]) {
    this.elements = elements;
  }
}

/** `torch.device("cuda:0")`. */
export class Device {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

/** A member of a TorchScript Enum class. */
export class EnumValue {
  readonly typeName: string;
  readonly memberName: string;
  readonly value: Constant;
  constructor(typeName: string, memberName: string, value: Constant) {
    this.typeName = typeName;
    this.memberName = memberName;
    this.value = value;
  }
}

/** An instance of a TorchScript class or module, with its attributes as the archive pickled them. */
export class ObjectValue {
  readonly typeName: string;
  readonly attributes: Map<string, Constant>;
  constructor(typeName: string, attributes: Map<string, Constant> = new Map()) {
    this.typeName = typeName;
    this.attributes = attributes;
  }
}

/**
 * What a `prim::Constant` holds and an attribute of a module is: PyTorch's `IValue` without what only exists at run time.
 * An int and a float are both numbers here: the Value's type tells them apart. Ints beyond 2^53 occur only as
 * "to the end" (INT64_MAX), which rounds to 2^63 and saturates where it is used.
 */
export type Constant =
  | null
  | boolean
  | number
  | string
  | Tensor
  | Device
  | EnumValue
  | ObjectValue
  | TupleValue<Constant>
  | Constant[]
  | Map<string | number | boolean, Constant>;

export { Tensor };

/** A tensor, or a container with one somewhere in it. */
export function holdsTensor(value: Constant): boolean {
  if (value instanceof Tensor) return true;
  if (value instanceof TupleValue) return value.elements.some(holdsTensor);
  if (value instanceof Map) return [...value.values()].some(holdsTensor);
  return Array.isArray(value) && value.some(holdsTensor);
}

/** The type of a constant that was declared as `declared`: an Optional that holds something is no Optional any more. */
export function typeOfConstant(value: Constant, declared: Type): Type {
  if (value === null) return NoneType;
  const inner = declared.kind === "OptionalType" ? declared.element : declared;
  if (value instanceof Tensor) return { kind: "TensorType", dtype: value.dtype, sizes: value.sizes };
  if (inner.kind === "AnyType" || inner.kind === "UnionType") {
    if (typeof value === "boolean") return BoolType;
    if (typeof value === "string") return StringType;
    if (value instanceof Device) return DeviceObjType;
    if (value instanceof EnumValue) return { kind: "EnumType", name: value.typeName };
    if (value instanceof ObjectValue) return ClassType(value.typeName);
    if (value instanceof TupleValue) {
      return { kind: "TupleType", elements: value.elements.map((element) => typeOfConstant(element, AnyType)) };
    }
  }
  return inner;
}

/**
 * A key of a map for which constants that are the same are one: numbers, strings, devices and lists of these by their
 * type and what they are, everything else by identity, tensors among them.
 */
export function constantKey(value: Constant, type: Type): unknown {
  return isPlain(value) ? `${printType(value === null ? NoneType : type)} ${textOf(value)}` : value;
}

type PlainConstant = null | boolean | number | string | Device | PlainConstant[];

function isPlain(value: Constant): value is PlainConstant {
  if (Array.isArray(value)) return value.every(isPlain);
  return value === null || typeof value !== "object" || value instanceof Device;
}

function textOf(value: PlainConstant): string {
  if (Array.isArray(value)) return `[${value.map(textOf).join()}]`;
  if (value instanceof Device) return value.name;
  return typeof value === "string" ? JSON.stringify(value) : Object.is(value, -0) ? "-0" : String(value);
}
