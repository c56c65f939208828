import { type Constant, type Device, type EnumValue, ObjectValue, TupleValue } from "../ir/constant.js";
import { isComplex, type ScalarType } from "../ir/scalar-type.js";
import { partsOf, Tensor } from "../ir/tensor.js";
import { constantOf } from "../network/fold.js";
import type { ITensor, Weights } from "../network/layers.js";
import type { Network } from "../network/network.js";
import {
  type Dim,
  type FloatScalar,
  isSymbolic,
  SymBool,
  SymFloat,
  SymInt,
  type SymScalar,
} from "../network/symbolic.js";
import { dataTypeOf, makeWeights, scalarTypeOf, weightsOf } from "../network/weights.js";
import { TrtorchError } from "../util/errors.js";

/** A PyTorch `Scalar`: a number that knows whether it is an int, a float or a bool. */
export class Scalar {
  readonly type: "int" | "float" | "bool";
  readonly value: SymScalar;

  constructor(type: Scalar["type"], value: SymScalar) {
    this.type = type;
    this.value = value;
  }

  /** The dtype PyTorch gives a tensor made of it. */
  get dtype(): ScalarType {
    return this.type === "int" ? "int64" : this.type === "float" ? "float32" : "bool";
  }
}

/** A complex tensor's real and imaginary part, of the same dims. */
export interface Parts {
  readonly real: TensorValue;
  readonly imag: TensorValue;
}

/**
 * A tensor during conversion: constant, computed by the network, or a number from shape arithmetic in tensor's clothes
 * (traces turn `x.size(0)` into 0-d tensors and back). A complex tensor is two of them: the network has real ones only.
 */
export class TensorValue {
  /** PyTorch's dtype. The network's type may be narrower: see {@link dataTypeOf}. */
  readonly dtype: ScalarType;
  readonly dims: readonly Dim[];
  /** For a 0-d tensor made of sizes: the number itself. */
  readonly scalar: SymScalar | undefined;
  readonly #network: Network;
  readonly #constant: Tensor | undefined;
  #tensor: ITensor | undefined;
  #weights: Weights | null | undefined;
  #parts: Parts | undefined;

  private constructor(
    network: Network,
    content: { constant?: Tensor; tensor?: ITensor; scalar?: SymScalar; parts?: Parts },
    dtype: ScalarType,
    dims: readonly Dim[],
  ) {
    this.#network = network;
    this.#constant = content.constant;
    this.#tensor = content.tensor;
    this.#parts = content.parts;
    this.scalar = content.scalar;
    this.dtype = dtype;
    this.dims = dims;
  }

  static constant(network: Network, tensor: Tensor): TensorValue {
    const scalar =
      tensor.sizes.length === 0 && !/complex|^q/.test(tensor.dtype)
        ? tensor.dtype === "bool"
          ? tensor.item() !== 0
          : tensor.item()
        : undefined;
    return new TensorValue(
      network,
      { constant: tensor, ...(scalar === undefined ? {} : { scalar }) },
      tensor.dtype,
      tensor.sizes,
    );
  }

  /** `dtype` where it is not the network type's own, for example float64, which the network computes as float32. */
  static of(network: Network, tensor: ITensor, dtype: ScalarType = scalarTypeOf(tensor.type)): TensorValue {
    return new TensorValue(network, { tensor }, dtype, tensor.dims);
  }

  /** A 0-d tensor with a number from shape arithmetic. */
  static ofScalar(network: Network, scalar: SymScalar, dtype: ScalarType): TensorValue {
    return new TensorValue(network, { scalar }, dtype, []);
  }

  /** A complex tensor with the parts given, both of the same float type. */
  static complex(network: Network, real: TensorValue, imag: TensorValue): TensorValue {
    const dtype = real.dtype === "float64" ? "complex128" : "complex64";
    return new TensorValue(network, { parts: { real, imag } }, dtype, real.dims);
  }

  /** Undefined unless the tensor is complex. */
  get parts(): Parts | undefined {
    if (this.#parts === undefined && this.#constant !== undefined && isComplex(this.dtype)) {
      const [real, imag] = partsOf(this.#constant).map((part) => TensorValue.constant(this.#network, part));
      this.#parts = { real: real as TensorValue, imag: imag as TensorValue };
    }
    return this.#parts;
  }

  /**
   * As a tensor of the network: a constant layer or shape layers, made when first asked for.
   *
   * @throws TrtorchError `unsupported` for a complex tensor
   */
  get tensor(): ITensor {
    if (isComplex(this.dtype)) {
      throw new TrtorchError(
        "unsupported",
        "TensorRT has no complex numbers, and this is not computed on their parts",
        {
          hint: "Take the parts with torch.view_as_real before it, or write it with real tensors.",
        },
      );
    }
    if (this.#tensor === undefined) {
      const weights = this.#ownWeights();
      if (weights !== null) return this.#network.addConstant(weights);
      this.#tensor = this.#network.addCast(
        this.#network.scalarTensor(this.scalar as SymScalar),
        dataTypeOf(this.dtype),
      );
    }
    return this.#tensor;
  }

  /** The values where they are known at build time: frozen parameters, and what the network computes from constants only. */
  get weights(): Weights | null {
    let weights = this.#weights;
    if (weights === undefined) {
      weights = this.#tensor === undefined ? this.#ownWeights() : constantOf(this.#tensor);
      this.#weights = weights;
    }
    return weights;
  }

  /** The constant as the model file has it, if it is one. */
  get constant(): Tensor | undefined {
    return this.#constant;
  }

  #ownWeights(): Weights | null {
    if (this.#constant !== undefined) return weightsOf(this.#constant);
    if (this.scalar === undefined || isSymbolic(this.scalar)) return null;
    return makeWeights(dataTypeOf(this.dtype), [], [Number(this.scalar)]);
  }
}

/** An object whose attributes may change while its methods run. */
export class ObjectInstance {
  readonly typeName: string;
  readonly attributes = new Map<string, IValue>();

  constructor(typeName: string) {
    this.typeName = typeName;
  }
}

/** What a Value stands for during conversion: PyTorch's `IValue`, where tensors may be of the network and sizes symbolic. */
export type IValue =
  | null
  | boolean
  | number
  | string
  | SymInt
  | SymFloat
  | SymBool
  | Scalar
  | TensorValue
  | Device
  | EnumValue
  | ObjectInstance
  | TupleValue<IValue>
  | IValue[]
  | Map<string | number | boolean, IValue>;

/** What can be changed after it is made, and lives at build time only. */
export type Container = IValue[] | Map<string | number | boolean, IValue> | ObjectInstance;

/** Adds every container in the value, and in those, to `found`. */
export function collectContainers(value: IValue, found: Set<Container>): void {
  if (value instanceof TupleValue) for (const element of value.elements) collectContainers(element, found);
  const isContainer = Array.isArray(value) || value instanceof Map || value instanceof ObjectInstance;
  if (!isContainer || found.has(value)) return;
  found.add(value);
  const elements = value instanceof ObjectInstance ? value.attributes.values() : value.values();
  for (const element of elements) collectContainers(element, found);
}

/** Turns constants of the graph into values; an object stays one and the same however often it is reached. */
export class ConstantPool {
  readonly #network: Network;
  readonly #objects = new Map<ObjectValue, ObjectInstance>();
  readonly #tensors = new Map<Tensor, TensorValue>();

  constructor(network: Network) {
    this.#network = network;
  }

  value(constant: Constant): IValue {
    if (constant instanceof Tensor) {
      let value = this.#tensors.get(constant);
      if (value === undefined) {
        value = TensorValue.constant(this.#network, constant);
        this.#tensors.set(constant, value);
      }
      return value;
    }
    if (constant instanceof TupleValue) return new TupleValue(constant.elements.map((element) => this.value(element)));
    if (Array.isArray(constant)) return constant.map((element) => this.value(element));
    if (constant instanceof Map) return new Map([...constant].map(([key, value]) => [key, this.value(value)]));
    if (constant instanceof ObjectValue) {
      let object = this.#objects.get(constant);
      if (object === undefined) {
        object = new ObjectInstance(constant.typeName);
        this.#objects.set(constant, object);
        for (const [name, value] of constant.attributes) object.attributes.set(name, this.value(value));
      }
      return object;
    }
    return constant;
  }
}

/** Is there a complex tensor in it? */
export function holdsComplex(value: unknown): boolean {
  if (value instanceof TensorValue) return isComplex(value.dtype);
  if (value instanceof TupleValue) return value.elements.some(holdsComplex);
  return Array.isArray(value) && value.some(holdsComplex);
}

/** Is every number in it known? */
export function isKnown(value: SymScalar): value is number | boolean {
  return !isSymbolic(value);
}

export function toSymFloat(value: SymScalar): FloatScalar {
  if (typeof value === "boolean") return Number(value);
  if (value instanceof SymInt || value instanceof SymBool) return new SymFloat("toFloat", [value as SymInt]);
  return value;
}
