import { constantOf, type Value } from "../ir/graph.js";
import type { ScalarType } from "../ir/scalar-type.js";
import { Tensor } from "../ir/tensor.js";

/** Take input and weight of one dtype, and give that. */
const WEIGHTED =
  /^aten::(?:conv|_conv|linear|addmm|baddbmm|matmul|bmm|mm|batch_norm|layer_norm|group_norm|instance_norm|prelu)/;

/** Give the dtype of their first input, whatever the others are. */
const KEEPING =
  /^aten::(?:relu|relu6|leaky_relu|elu|selu|gelu|silu|mish|hard(?:swish|sigmoid|tanh)|sigmoid|tanh|softmax|clamp\w*|neg|abs|dropout|detach|contiguous|clone|alias|view\w*|reshape\w*|flatten|unflatten|squeeze|unsqueeze|transpose|permute|t|expand\w*|select\w*|slice\w*|narrow|(?:adaptive_)?(?:avg|max)_pool\dd|upsample\w*|interpolate|pad|constant_pad_nd|roll|flip|repeat|tile|zeros_like|index|index_select|gather|masked_fill|index_put|type_as)$/;

const JOINING = /^aten::(?:add|sub|mul|div|maximum|minimum)$/;

/**
 * Do two tensors have the same dtype whatever the inputs are? True only where that can be told from the graph: both
 * come from weights of one dtype, or one from the other.
 */
export function sameDtype(a: Value, b: Value): boolean {
  const memo = new Map<Value, ScalarType | Value>();
  return dtypeOf(a, memo) === dtypeOf(b, memo);
}

/** A dtype, or the value that decides it. */
function dtypeOf(value: Value, memo: Map<Value, ScalarType | Value>): ScalarType | Value {
  let known = memo.get(value);
  if (known === undefined) {
    // A guard for chains through loops' values, which have no end.
    memo.set(value, value);
    known = derive(value, memo);
    memo.set(value, known);
  }
  return known;
}

function derive(value: Value, memo: Map<Value, ScalarType | Value>): ScalarType | Value {
  const { node, type } = value;
  const constant = constantOf(value);
  if (constant instanceof Tensor) return constant.dtype;
  if (type.kind === "TensorType" && type.dtype !== undefined) return type.dtype;
  const [first, second] = node.inputs;
  if (first === undefined) return value;
  if (node.kind === "aten::type_as" && second !== undefined) return dtypeOf(second, memo);
  if (WEIGHTED.test(node.kind)) {
    for (const input of node.inputs) {
      const weight = constantOf(input);
      if (weight instanceof Tensor) return weight.dtype;
    }
    return dtypeOf(first, memo);
  }
  if (KEEPING.test(node.kind)) return dtypeOf(first, memo);
  if (JOINING.test(node.kind) && second?.type.kind === "TensorType") {
    const left = dtypeOf(first, memo);
    return left === dtypeOf(second, memo) ? left : value;
  }
  return value;
}
