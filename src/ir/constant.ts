import { Tensor } from "./tensor.js";

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
