import type { ITensor } from "../network/layers.js";
import {
  add,
  bounds,
  ceildiv,
  type Dim,
  isStatic,
  lessOrEqual,
  max,
  min,
  mul,
  neg,
  sameDim,
  sub,
} from "../network/symbolic.js";
import { makeWeights } from "../network/weights.js";
import type { ConversionContext } from "./context.js";
import type { TensorValue } from "./values.js";

/** The value with another network tensor behind it: what moves numbers around keeps their dtype. */
export function like(ctx: ConversionContext, self: TensorValue, tensor: ITensor): TensorValue {
  return ctx.tensorValue(tensor, self.dtype);
}

/** `[0, 1, ..., n - 1]`. */
export function range(n: number): number[] {
  return Array.from({ length: n }, (_, i) => i);
}

/** Transposes to the order `axes`; nothing where that is the order already. */
export function permute(ctx: ConversionContext, tensor: ITensor, axes: readonly number[]): ITensor {
  if (axes.every((axis, i) => axis === i)) return tensor;
  return ctx.network.addShuffle(tensor, { firstTranspose: axes });
}

/** The order that brings the axis at `from` to `to` and leaves the others as they are. */
export function movedAxis(rank: number, from: number, to: number): number[] {
  const order = range(rank).filter((axis) => axis !== from);
  order.splice(to, 0, from);
  return order;
}

/** What undoes the transposition `axes`. */
export function inversePermutation(axes: readonly number[]): number[] {
  return axes.map((_, axis) => axes.indexOf(axis));
}

/** `dims` with `by` in place of the `count` dims from `axis` on. */
export function spliceDims(dims: readonly Dim[], axis: number, count: number, ...by: readonly Dim[]): Dim[] {
  return [...dims.slice(0, axis), ...by, ...dims.slice(axis + count)];
}

/** Elements `start`, `start + step`, ... of one axis, `size` of them. */
export function sliceAxis(
  ctx: ConversionContext,
  tensor: ITensor,
  axis: number,
  start: Dim,
  size: Dim,
  step: Dim = 1,
): ITensor {
  const whole = tensor.dims[axis] as Dim;
  if (start === 0 && step === 1 && sameDim(size, whole)) return tensor;
  return ctx.network.addSlice(
    tensor,
    spliceDims(
      tensor.dims.map(() => 0),
      axis,
      1,
      start,
    ),
    spliceDims(tensor.dims, axis, 1, size),
    spliceDims(
      tensor.dims.map(() => 1),
      axis,
      1,
      step,
    ),
  );
}

/** 1 where `value` is negative, else 0; a number wherever bounds decide. */
function isNegative(value: Dim): Dim {
  const { min: low, max: high } = bounds(value);
  if (low >= 0) return 0;
  if (high < 0) return 1;
  return max(0, min(1, neg(value)));
}

/** An index that may count from the end, as one that does not. */
export function fromStart(index: Dim, size: Dim): Dim {
  return add(index, mul(isNegative(index), size));
}

/** Python's bounds of a slice: counted from the end where negative, clamped to the axis. */
function clampToAxis(bound: Dim, size: Dim): Dim {
  // "To the end" is INT64_MAX, beyond every size, also one without a known bound.
  if (bound === Number.POSITIVE_INFINITY || (typeof bound === "number" && bound >= 2 ** 31)) return size;
  if (typeof bound === "number" && bound < -(2 ** 31)) return 0;
  const index = fromStart(bound, size);
  if (typeof bound === "number" && bound < 0) return max(0, index);
  return max(0, min(index, size));
}

/** First element and number of elements of `[start:end:step]` on an axis of `size`. */
export function sliceBounds(
  start: Dim | null,
  end: Dim | null,
  step: Dim,
  size: Dim,
): { readonly start: Dim; readonly size: Dim } {
  const first = start === null ? 0 : clampToAxis(start, size);
  const last = end === null ? size : clampToAxis(end, size);
  const length = lessOrEqual(first, last) === true ? sub(last, first) : max(0, sub(last, first));
  return { start: first, size: step === 1 ? length : ceildiv(length, step) };
}

/** `start, start + step, ...` as `[size]` int64: a constant where everything is known. */
export function iota(ctx: ConversionContext, size: Dim, start: Dim = 0, step: Dim = 1): ITensor {
  if (typeof size === "number" && typeof start === "number" && typeof step === "number") {
    return ctx.constant(
      "kINT64",
      [size],
      range(size).map((i) => start + i * step),
    );
  }
  const { network } = ctx;
  return network.addFill([size], "kLINSPACE", "kINT64", network.scalarTensor(start), network.shapeTensor([step]));
}

/** Constant numbers of one element each in `tensor`'s type and rank, for layers that need equal ranks. */
export function numberLike(ctx: ConversionContext, tensor: ITensor, value: Dim): ITensor {
  const ones = tensor.dims.map(() => 1);
  if (typeof value === "number") return ctx.constant(tensor.type, ones, [value]);
  const { network } = ctx;
  return network.addShuffle(network.addCast(network.scalarTensor(value), tensor.type), { reshape: ones });
}

/** A 0-d constant in the given tensor's type: what a slice fills with. */
function fillValue(ctx: ConversionContext, tensor: ITensor, value: number): ITensor {
  return ctx.network.addConstant(makeWeights(tensor.type, [], [value]));
}

/** The tensor with elements `before` and `after` each axis, given by `mode`; negative amounts crop. */
export function padAxes(
  ctx: ConversionContext,
  tensor: ITensor,
  before: readonly Dim[],
  after: readonly Dim[],
  mode: "kFILL" | "kREFLECT" | "kCLAMP" | "kWRAP",
  fill = 0,
): ITensor {
  const size = tensor.dims.map((dim, axis) => add(dim, before[axis] as Dim, after[axis] as Dim));
  return ctx.network.addSlice(
    tensor,
    before.map(neg),
    size,
    tensor.dims.map(() => 1),
    mode,
    mode === "kFILL" ? fillValue(ctx, tensor, fill) : null,
  );
}

/** How many pieces the node's list is unpacked into, where that is what uses it. */
export function unpackedLength(ctx: ConversionContext): number | undefined {
  for (const { user } of ctx.node.output().uses) if (user.kind === "prim::ListUnpack") return user.outputs.length;
  return undefined;
}

/** Are all of them numbers? Else the operator is refused in the words of `what`. */
export function requireStatic(ctx: ConversionContext, dims: readonly Dim[], what: string): readonly number[] {
  if (isStatic(dims)) return dims;
  return ctx.unsupported(
    `${what} must have fixed sizes, not [${dims.map(String).join(", ")}]`,
    "Give the input dims it depends on a fixed size in the config.",
  );
}
