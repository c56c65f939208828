import { allNodes, constantOf, type Graph, type Node, type Value } from "../ir/graph.js";
import { Tensor } from "../ir/tensor.js";
import type { Type } from "../ir/type.js";
import { argumentOf } from "./blocks.js";

/** Give tensors laid out row by row, whatever they are given. */
const CONTIGUOUS = named(
  "zeros ones full rand randn randint randperm arange linspace logspace eye tensor scalar_tensor one_hot new_zeros " +
    "new_ones new_full mm bmm matmul mv dot linear addmm baddbmm embedding repeat native_layer_norm layer_norm",
);

/** Give tensors laid out as all they are given, where that is row by row. */
const INHERITING = named(
  // Element by element
  "add sub mul div true_divide floor_divide remainder fmod rsub pow maximum minimum max min where lerp addcmul addcdiv " +
    "eq ne lt le gt ge logical_and logical_or logical_xor logical_not bitwise_and bitwise_or bitwise_xor bitwise_not " +
    "__and__ __or__ __xor__ atan2 neg abs sign exp expm1 exp2 log log1p log2 log10 sqrt rsqrt reciprocal square sin cos " +
    "tan asin acos atan sinh cosh asinh acosh atanh erf erfc sigmoid tanh softplus logsigmoid relu relu6 leaky_relu elu selu " +
    "celu gelu silu mish hardtanh hardswish hardsigmoid prelu threshold clamp clamp_min clamp_max floor ceil round trunc " +
    "frac nan_to_num isnan isinf masked_fill dropout zeros_like ones_like full_like empty_like rand_like randn_like clone " +
    "_to_copy cumsum cumprod tril triu flip roll bernoulli " +
    // With weights, over windows, along dims
    "conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d convolution _convolution batch_norm " +
    "instance_norm group_norm softmax log_softmax avg_pool1d avg_pool2d avg_pool3d max_pool1d max_pool2d max_pool3d " +
    "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool2d upsample_nearest1d upsample_nearest2d " +
    "upsample_nearest3d upsample_linear1d upsample_bilinear2d upsample_bicubic2d upsample_trilinear3d pad constant_pad_nd " +
    "reflection_pad2d replication_pad2d sum mean amax amin prod var std argmax argmin any all cat stack",
);

/** Show the elements of their first input in the same order. */
const REORDERING_NOTHING = named(
  "view view_as _unsafe_view unsqueeze squeeze unflatten reshape reshape_as flatten ravel _reshape_alias detach alias " +
    "lift_fresh data to type_as",
);

const TAKING: ReadonlySet<string> = new Set([
  "prim::TupleUnpack",
  "prim::TupleIndex",
  "prim::ListUnpack",
  "aten::__getitem__",
]);

/**
 * Which tensors of a graph are contiguous: laid out row by row, as networks take them. False and true hold in every run;
 * undefined is what depends on it, or is not known. Types that tell strides, as those of exported programs do, come first.
 */
export class Layouts {
  readonly #known = new Map<Value, boolean | undefined>();

  constructor(graph: Graph) {
    for (const input of graph.inputs) this.#known.set(input, statedLayout(input.type) ?? true);
    for (const node of allNodes(graph.block)) {
      for (const output of node.outputs) {
        const isContiguous = statedLayout(output.type) ?? this.#derive(node);
        if (isContiguous !== undefined) this.#known.set(output, isContiguous);
      }
    }
  }

  isContiguous(tensor: Value): boolean | undefined {
    return this.#known.get(tensor);
  }

  #derive(node: Node): boolean | undefined {
    const { kind } = node;
    if (kind === "prim::Constant") {
      const constant = constantOf(node.output());
      return constant instanceof Tensor ? constant.isContiguous : undefined;
    }
    const [source] = node.inputs;
    // Elements of what the network is given.
    if (TAKING.has(kind)) {
      return source === undefined ? undefined : this.#known.get(source);
    }
    const format = memoryFormatOf(node);
    if (format === "other") return undefined;
    if (CONTIGUOUS.has(kind) || kind === "aten::contiguous" || (format === "contiguous" && kind === "aten::clone"))
      return true;
    if (INHERITING.has(kind)) return tensorsOf(node).every((input) => this.#known.get(input)) || undefined;
    if (source?.type.kind !== "TensorType") return undefined;
    const isContiguous = this.#known.get(source) || undefined;
    if (REORDERING_NOTHING.has(kind)) return isContiguous;
    if (kind === "aten::select" || kind === "aten::slice") {
      const step = kind === "aten::slice" ? constantOf(node.input(4)) : 1;
      return constantOf(node.input(1)) === 0 && step === 1 ? isContiguous : undefined;
    }
    return undefined;
  }
}

/** The memory format that a node asks for; undefined where it asks for none, or to keep the tensor's. */
export function memoryFormatOf(node: Node): "contiguous" | "other" | undefined {
  const format = argumentOf(node, "memory_format");
  if (format === undefined) return undefined;
  const constant = constantOf(format);
  if (constant === null || constant === PRESERVE) return undefined;
  return constant === 0 ? "contiguous" : "other";
}

/** PyTorch's numbers: `contiguous_format` is 0. */
const PRESERVE = 1;

function statedLayout(type: Type): boolean | undefined {
  return type.kind === "TensorType" ? type.isContiguous : undefined;
}

/** The tensors that a node takes, in lists too. */
function tensorsOf(node: Node): Value[] {
  return node.inputs.flatMap((input) => {
    if (input.type.kind === "TensorType") return [input];
    if (input.type.kind !== "ListType" || input.type.element.kind !== "TensorType") return [];
    return input.node.kind === "prim::ListConstruct" ? [...input.node.inputs] : [input];
  });
}

function named(names: string): ReadonlySet<string> {
  return new Set([...names.split(" ").map((name) => `aten::${name}`), "prim::data"]);
}
