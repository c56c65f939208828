import type { DataType } from "../../network/enums.js";
import type { Weights } from "../../network/layers.js";
import { makeWeights, numbersOf } from "../../network/weights.js";
import { type AttributeValue, attribute, type NodeProto, ONNX_TYPES, type TensorProto } from "./proto.js";

export type Attributes = Readonly<Record<string, AttributeValue | undefined>>;

/** What all graphs of a model share: unique names, and the constants, which stand at the top and are seen everywhere. */
export class ModelBuilder {
  readonly initializers: TensorProto[] = [];
  readonly #names = new Set<string>();
  readonly #constants = new Map<string, string>();
  readonly #weights = new Map<Weights, string>();
  /**
   * True: float16 and bfloat16 tensors are float tensors whose values are rounded. onnxruntime's CPU kernels know hardly any
   * of them, but cast to them and back; where it inserts such casts itself it takes them out again between operators, and
   * then nothing is rounded.
   */
  readonly emulateHalves: boolean;

  constructor(emulateHalves: boolean) {
    this.emulateHalves = emulateHalves;
  }

  /** `wanted`, or with a number behind it when a value has that name already. */
  unique(wanted: string): string {
    let name = wanted;
    for (let i = 1; name === "" || this.#names.has(name); i++) name = `${wanted}_${i}`;
    this.#names.add(name);
    return name;
  }

  elementType(type: DataType): number {
    return ONNX_TYPES[this.isEmulated(type) ? "kFLOAT" : type];
  }

  isEmulated(type: DataType): boolean {
    return this.emulateHalves && (type === "kHALF" || type === "kBF16");
  }

  weights(weights: Weights, name: string): string {
    const known = this.#weights.get(weights);
    if (known !== undefined) return known;
    const made = this.unique(name);
    this.#weights.set(weights, made);
    this.initializers.push({
      name: made,
      dataType: this.elementType(weights.type),
      dims: weights.dims,
      rawData: this.isEmulated(weights.type) ? widen(weights) : weights.values,
    });
    return made;
  }

  constant(type: DataType, dims: readonly number[], values: readonly number[]): string {
    const key = `${type}[${dims}]${values.map((value) => (Object.is(value, -0) ? "-0" : value))}`;
    let name = this.#constants.get(key);
    if (name === undefined) {
      name = this.weights(makeWeights(type, dims, values), "constant");
      this.#constants.set(key, name);
    }
    return name;
  }
}

/** The nodes of a graph or subgraph, appended in the order they run. Values are names. */
export class GraphBuilder {
  readonly nodes: NodeProto[] = [];
  readonly model: ModelBuilder;
  /** The name of the layer whose nodes are being added. */
  layer = "";

  constructor(model: ModelBuilder) {
    this.model = model;
  }

  op(opType: string, inputs: readonly string[], attributes: Attributes = {}): string {
    return this.ops(opType, inputs, attributes, 1)[0] as string;
  }

  ops(opType: string, inputs: readonly string[], attributes: Attributes, outputs: number): string[] {
    const output = Array.from({ length: outputs }, () => this.model.unique(`${this.layer}/${opType}`));
    const list = Object.entries(attributes).flatMap(([name, value]) =>
      value === undefined ? [] : [attribute(name, value)],
    );
    this.nodes.push({ name: output[0] as string, opType, input: inputs, output, attribute: list });
    return output;
  }

  /** An operator whose result is known by a given name. */
  named(opType: string, inputs: readonly string[], output: string): void {
    this.nodes.push({ name: output, opType, input: inputs, output: [output], attribute: [] });
  }

  /** A 1-d int64 constant. */
  ints(values: readonly number[]): string {
    return this.model.constant("kINT64", [values.length], values);
  }

  scalar(type: DataType, value: number): string {
    return this.model.constant(type, [], [value]);
  }

  cast(value: string, type: DataType): string {
    return this.op("Cast", [value], { to: this.model.elementType(type) });
  }

  reshape(value: string, dims: readonly number[]): string {
    return this.op("Reshape", [value, this.ints(dims)]);
  }

  /** A 0-d tensor from a tensor of one element. */
  toScalar(value: string): string {
    return this.reshape(value, []);
  }

  /** The size along an axis, as a 1-d int64 of one element. */
  size(value: string, axis: number): string {
    return this.op("Shape", [value], { start: axis, end: axis + 1 });
  }

  /** Computes in `by` and casts back where `type` is none of those that onnxruntime's kernel of an operator takes. */
  via(
    type: DataType,
    kernels: readonly DataType[],
    by: DataType,
    value: string,
    compute: (value: string) => string,
  ): string {
    return kernels.includes(type) ? compute(value) : this.cast(compute(this.cast(value, by)), type);
  }
}

function widen(weights: Weights): Uint8Array {
  const { buffer, byteOffset, byteLength } = numbersOf(weights) as Float32Array;
  return new Uint8Array(buffer, byteOffset, byteLength);
}
