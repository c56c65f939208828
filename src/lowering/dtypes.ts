import { constantOf, type Node, type Value } from "../ir/graph.js";
import { isFloatingPoint, type ScalarType } from "../ir/scalar-type.js";
import { Tensor } from "../ir/tensor.js";

/** How the dtype of what an operator gives depends on its inputs. */
type Rule =
  /** That of the first input, whatever the others are. */
  | "first"
  /** That of the first input where it is a floating-point one; ints become floats, or numbers promote. */
  | "floating"
  /** That of the inputs where they agree. */
  | "joined"
  /** The same, but ints become floats. */
  | "divided"
  /** One dtype for input and weights, since PyTorch takes no others. */
  | "weighted"
  /** That of the second input. */
  | "second";

const RULES: Readonly<Record<Exclude<Rule, "second">, string>> = {
  first:
    "relu neg detach contiguous clone alias view view_as _unsafe_view reshape reshape_as _reshape_alias flatten ravel " +
    "unflatten squeeze unsqueeze transpose swapaxes swapdims movedim moveaxis permute t mT numpy_T expand expand_as " +
    "select slice narrow diagonal as_strided select_scatter slice_scatter diagonal_scatter as_strided_scatter " +
    "slice_inverse lift_fresh data constant_pad_nd roll flip repeat tile tril triu index index_select take_along_dim " +
    "gather masked_fill masked_scatter index_put index_copy index_fill index_add scatter scatter_add scatter_reduce " +
    "zeros_like ones_like empty_like full_like rand_like randn_like new_zeros new_ones new_full new_empty",
  floating:
    "sigmoid tanh softmax log_softmax exp expm1 log log1p sqrt rsqrt reciprocal sin cos erf gelu silu mish elu selu celu " +
    "softplus logsigmoid leaky_relu relu6 hardtanh hardswish hardsigmoid prelu abs square clamp clamp_min clamp_max pow " +
    "dropout feature_dropout alpha_dropout mean sum amax amin cumsum cumprod avg_pool1d avg_pool2d avg_pool3d max_pool1d " +
    "max_pool2d max_pool3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d upsample_nearest1d " +
    "upsample_nearest2d upsample_nearest3d upsample_linear1d upsample_bilinear2d upsample_bicubic2d upsample_trilinear3d " +
    "pad batch_norm instance_norm layer_norm group_norm",
  joined: "add sub mul maximum minimum",
  divided: "div true_divide",
  weighted:
    "conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d convolution _convolution linear addmm " +
    "baddbmm matmul bmm mm mv",
};

const RULE_OF: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ...Object.entries(RULES).flatMap(([rule, names]) =>
    names.split(" ").map((name) => [`aten::${name}`, rule as Rule] as const),
  ),
  ["prim::data", "first"],
  ["aten::type_as", "second"],
]);

/** A dtype, or the value whose dtype it is. */
type Origin = ScalarType | Value;

/**
 * The dtypes of a graph's tensors, as far as the graph alone tells them: by constants, by types, and by what operators
 * make of their inputs. Valid as long as no value gets another dtype, which nodes that are added do not change.
 */
export class Dtypes {
  readonly #known = new Map<Value, Origin>();

  /** Undefined where only the inputs of a run tell. */
  of(value: Value): ScalarType | undefined {
    const origin = this.#origin(value);
    return typeof origin === "string" ? origin : undefined;
  }

  /** Do two tensors have the same dtype whatever the inputs are? False where it cannot be told. */
  areSame(a: Value, b: Value): boolean {
    return this.#origin(a) === this.#origin(b);
  }

  /** From the inputs on, by a stack of its own: graphs may be deeper than the call stack. */
  #origin(value: Value): Origin {
    const open = [value];
    for (let at = open.at(-1); at !== undefined; at = open.at(-1)) {
      const missing = this.#known.has(at) ? undefined : sourcesOf(at).find((source) => !this.#known.has(source));
      if (missing !== undefined) {
        open.push(missing);
        continue;
      }
      if (!this.#known.has(at)) this.#known.set(at, this.#derive(at));
      open.pop();
    }
    return this.#known.get(value) as Origin;
  }

  #derive(value: Value): Origin {
    const stated = statedDtype(value);
    if (stated !== undefined) return stated;
    const origins = sourcesOf(value).map((source) => this.#known.get(source) as Origin);
    const [first] = origins;
    if (first === undefined) return value;
    const isFloating = typeof first === "string" && isFloatingPoint(first);
    switch (ruleOf(value.node)) {
      case "floating":
        return isFloating ? first : value;
      case "divided":
      case "joined":
        if (origins.some((other) => other !== first)) return value;
        // A number promotes ints and bools, and a complex one all.
        if (origins.length === 1) return isFloating && !hasComplex(value.node) ? first : value;
        return isFloating || ruleOf(value.node) === "joined" ? first : value;
      case "weighted":
        return origins.find((origin) => typeof origin === "string") ?? first;
      default:
        return first;
    }
  }
}

function statedDtype({ node, type }: Value): ScalarType | undefined {
  const constant = node.kind === "prim::Constant" ? constantOf(node.output()) : undefined;
  if (constant instanceof Tensor) return constant.dtype;
  return type.kind === "TensorType" ? type.dtype : undefined;
}

/** The inputs that decide the dtype of a value; none where it is nobody's but its own. */
function sourcesOf(value: Value): readonly Value[] {
  const { node } = value;
  if (statedDtype(value) !== undefined || node.outputs[0] !== value) return [];
  const [first, second] = node.inputs;
  switch (ruleOf(node)) {
    case undefined:
      return [];
    case "second":
      return second === undefined ? [] : [second];
    case "first":
    case "floating":
      return first === undefined ? [] : [first];
    default:
      return node.inputs.filter(isTensor);
  }
}

function ruleOf(node: Node): Rule | undefined {
  const rule = RULE_OF.get(node.kind);
  if (rule === undefined || node.schema === undefined) return rule;
  // `view.dtype`, `softmax(x, 0, dtype=torch.float32)`; bounds and the like that are tensors promote.
  const { arguments: formals } = node.schema;
  if (formals.some(({ name }, i) => name === "dtype" && node.inputs[i] !== undefined && !isNone(node.input(i))))
    return undefined;
  const isPromoted =
    /^aten::(?:clamp|pow)/.test(node.kind) && (hasComplex(node) || node.inputs.slice(1).some(isTensor));
  return isPromoted ? undefined : rule;
}

function isTensor({ type }: Value): boolean {
  return type.kind === "TensorType";
}

function hasComplex(node: Node): boolean {
  return node.inputs.some(({ type }) => type.kind === "ComplexType" || type.kind === "NumberType");
}

function isNone(value: Value): boolean {
  return value.type.kind === "NoneType" || constantOf(value) === null;
}
