import type { Node, Value } from "../ir/graph.js";
import type { ScalarType } from "../ir/scalar-type.js";
import type { Tensor } from "../ir/tensor.js";
import type { DataType } from "../network/enums.js";
import type { ITensor } from "../network/layers.js";
import type { Network } from "../network/network.js";
import type { SymScalar } from "../network/symbolic.js";
import { makeWeights } from "../network/weights.js";
import { TrtorchError } from "../util/errors.js";
import type { Registry } from "./registry.js";
import { ConstantPool, type Container, type IValue, TensorValue } from "./values.js";

/** A list, dict or object is changed where only the running model knows whether, or how often. */
export class UndecidedWriteError extends TrtorchError {
  override readonly name = "UndecidedWriteError";
  /** Whether it was there before the outermost such branch or loop, so that what it holds is unknown from there on. */
  readonly outlives: boolean;

  constructor(node: Node, outlives: boolean) {
    super(
      "unsupported",
      `${node.kind}: a list, dict or object from outside is changed in a branch or loop that data decides`,
      {
        hint: "Compute the new value in both branches and write it after them (torch.where for tensors), or collect a loop's results in a tensor that is made before it.",
      },
    );
    this.outlives = outlives;
  }
}

/** What the target's TensorRT can do, as far as converters choose by it. */
export interface Capabilities {
  /** `tensorrt-rtx`, `tensorrt`, or the CPU reference, which runs every layer. */
  readonly backend: "tensorrt" | "tensorrt-rtx" | "onnxruntime";
  /** `[major, minor]` of the library. */
  readonly version: readonly [number, number];
}

/** A converter's surroundings: the network it adds layers to, and what values stand for so far. */
export class ConversionContext {
  readonly network: Network;
  readonly registry: Registry;
  readonly capabilities: Capabilities;
  readonly constants: ConstantPool;
  /** The node being converted. */
  node!: Node;
  readonly #values = new Map<Value, IValue>();
  /** What the branches and loops being run must leave as it is, from the outermost one inwards. */
  #kept: readonly ReadonlySet<Container>[] = [];

  constructor(network: Network, registry: Registry, capabilities: Capabilities) {
    this.network = network;
    this.registry = registry;
    this.capabilities = capabilities;
    this.constants = new ConstantPool(network);
  }

  associateValueAndTensor(value: Value, tensor: ITensor): ITensor {
    this.#values.set(value, TensorValue.of(this.network, tensor));
    return tensor;
  }

  associateValueAndIValue(value: Value, ivalue: IValue): void {
    this.#values.set(value, ivalue);
  }

  valueOf(value: Value): IValue {
    const known = this.#values.get(value);
    if (known === undefined) throw new TrtorchError("internal", `%${value.name} of ${value.node.kind} has no value`);
    return known;
  }

  hasValue(value: Value): boolean {
    return this.#values.has(value);
  }

  /**
   * Runs a branch or a loop's body that only the running model decides about. Containers that were there before stay as
   * they are: a change would be made at build time, whatever happens at run time.
   */
  keeping<R>(containers: ReadonlySet<Container>, run: () => R): R {
    const outer = this.#kept;
    this.#kept = [...outer, containers];
    try {
      return run();
    } finally {
      this.#kept = outer;
    }
  }

  /**
   * The container, to be changed.
   *
   * @throws UndecidedWriteError where the branch or loop being run must not
   */
  changed<C extends Container>(container: C): C {
    const depth = this.#kept.findIndex((containers) => containers.has(container));
    if (depth >= 0) throw new UndecidedWriteError(this.node, depth === 0);
    return container;
  }

  /** A constant layer with the given numbers. */
  constant(type: DataType, dims: readonly number[], numbers: ArrayLike<number>): ITensor {
    return this.network.addConstant(makeWeights(type, dims, numbers));
  }

  constantTensor(tensor: Tensor): TensorValue {
    return TensorValue.constant(this.network, tensor);
  }

  tensorValue(tensor: ITensor, dtype?: ScalarType): TensorValue {
    return TensorValue.of(this.network, tensor, dtype);
  }

  scalarValue(scalar: SymScalar, dtype: ScalarType): TensorValue {
    return TensorValue.ofScalar(this.network, scalar, dtype);
  }

  /** Refuses the node being converted: what it asks for, and what the user can do. The place is added by the caller. */
  unsupported(message: string, hint?: string): never {
    throw new TrtorchError("unsupported", `${this.node.kind}: ${message}`, { hint });
  }
}
