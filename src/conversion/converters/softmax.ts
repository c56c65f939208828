import type { ScalarType } from "../../ir/scalar-type.js";
import type { ITensor } from "../../network/layers.js";
import type { ConversionContext } from "../context.js";
import { castTo, constantLike, differsFrom, floatResult, normalizeAxes, normalizeAxis, reshape } from "../operands.js";
import { converter } from "../registry.js";
import type { TensorValue } from "../values.js";

/** In `dtype`, or the tensor's own type; integers become float32. A 0-d tensor is computed as one element. */
function prepare(ctx: ConversionContext, self: TensorValue, dtype: ScalarType | null): [ITensor, ScalarType] {
  const type = dtype ?? floatResult(self.dtype);
  const { tensor } = castTo(ctx, self, type);
  return [self.dims.length === 0 ? reshape(ctx, tensor, [1]) : tensor, type];
}

function softmax(ctx: ConversionContext, self: TensorValue, dim: number, dtype: ScalarType | null): TensorValue {
  const [x, type] = prepare(ctx, self, dtype);
  const axis = normalizeAxis(ctx, dim, self.dims.length);
  // TensorRT takes no vectors.
  const result =
    x.dims.length > 1 ? ctx.network.addSoftMax(x, axis) : ctx.network.addSoftMax(reshape(ctx, x, [1, ...x.dims]), 1);
  return ctx.tensorValue(reshape(ctx, result, self.dims), type);
}

/** x - max - log(sum(e^(x - max))): the logarithm of a softmax that has rounded to 0 would be lost. */
function logSoftmax(ctx: ConversionContext, self: TensorValue, dim: number, dtype: ScalarType | null): TensorValue {
  const { network } = ctx;
  const [x, type] = prepare(ctx, self, dtype);
  const axes = [normalizeAxis(ctx, dim, self.dims.length)];
  const shifted = network.addElementWise(x, network.addReduce(x, "kMAX", axes, true), "kSUB");
  const sum = network.addReduce(network.addUnary(shifted, "kEXP"), "kSUM", axes, true);
  const result = network.addElementWise(shifted, network.addUnary(sum, "kLOG"), "kSUB");
  return ctx.tensorValue(reshape(ctx, result, self.dims), type);
}

/** Where scores are more than minus infinity. */
export function visible(ctx: ConversionContext, scores: ITensor): ITensor {
  return differsFrom(ctx, scores, Number.NEGATIVE_INFINITY);
}

/**
 * `y`, and 0 in the rows of which nothing along `axis`, which `y` may have in another size, is visible: softmax makes NaNs
 * of them. Infinities are told before they are reduced: the largest of nothing but minus infinity is TensorRT's least float.
 */
function withoutHiddenRows(ctx: ConversionContext, y: ITensor, isVisible: ITensor, axis: number): ITensor {
  const { network } = ctx;
  const seen = network.addReduce(network.addCast(isVisible, "kFLOAT"), "kMAX", [axis], true);
  const isSeen = network.addElementWise(seen, constantLike(ctx, seen, 0), "kGREATER");
  return network.addSelect(isSeen, y, constantLike(ctx, y, 0));
}

const halfToFloat = (value: boolean): ScalarType | null => (value ? "float32" : null);

export const softmaxes = [
  converter("aten::softmax.int(Tensor self, int dim, ScalarType? dtype=None) -> Tensor", (ctx, { self, dim, dtype }) =>
    softmax(ctx, self, dim, dtype),
  ),
  converter(
    "aten::special_softmax(Tensor self, int dim, ScalarType? dtype=None) -> Tensor",
    (ctx, { self, dim, dtype }) => softmax(ctx, self, dim, dtype),
  ),
  converter("aten::_softmax(Tensor self, int dim, bool half_to_float) -> Tensor", (ctx, { self, dim, half_to_float }) =>
    softmax(ctx, self, dim, halfToFloat(half_to_float)),
  ),
  // Rows that are masked as a whole give 0, not nan.
  converter(
    "aten::_safe_softmax(Tensor self, int dim, ScalarType? dtype=None) -> Tensor",
    (ctx, { self, dim, dtype }) => {
      const result = softmax(ctx, self, dim, dtype);
      const [x] = prepare(ctx, self, dtype);
      const axis = normalizeAxis(ctx, dim, self.dims.length);
      const safe = withoutHiddenRows(ctx, reshape(ctx, result.tensor, x.dims), visible(ctx, x), axis);
      return ctx.tensorValue(reshape(ctx, safe, self.dims), result.dtype);
    },
  ),
  converter(
    "aten::log_softmax.int(Tensor self, int dim, ScalarType? dtype=None) -> Tensor",
    (ctx, { self, dim, dtype }) => logSoftmax(ctx, self, dim, dtype),
  ),
  converter(
    "aten::special_log_softmax(Tensor self, int dim, *, ScalarType? dtype=None) -> Tensor",
    (ctx, { self, dim, dtype }) => logSoftmax(ctx, self, dim, dtype),
  ),
  converter(
    "aten::_log_softmax(Tensor self, int dim, bool half_to_float) -> Tensor",
    (ctx, { self, dim, half_to_float }) => logSoftmax(ctx, self, dim, halfToFloat(half_to_float)),
  ),
];

/** By the maximum, so that nothing overflows; an infinite one is not subtracted, or all would be nan. */
export const logsumexp = ["logsumexp", "special_logsumexp"].map((name) =>
  converter(
    `aten::${name as "logsumexp"}(Tensor self, int[1] dim, bool keepdim=False) -> Tensor`,
    (ctx, { self, dim, keepdim }) => {
      const { network } = ctx;
      const [x, type] = prepare(ctx, self, null);
      const axes = normalizeAxes(ctx, dim, x.dims.length);
      const max = network.addReduce(x, "kMAX", axes, true);
      const finite = network.addSelect(network.addUnary(max, "kISINF"), constantLike(ctx, max, 0), max);
      const powers = network.addUnary(network.addElementWise(x, finite, "kSUB"), "kEXP");
      const log = network.addUnary(network.addReduce(powers, "kSUM", axes, true), "kLOG");
      const result = network.addElementWise(log, finite, "kSUM");
      const dims = keepdim ? result.dims : result.dims.filter((_, axis) => !axes.includes(axis));
      return ctx.tensorValue(reshape(ctx, result, self.dims.length === 0 ? [] : dims), type);
    },
  ),
);
