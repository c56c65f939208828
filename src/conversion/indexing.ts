import { isIota } from "../network/analysis.js";
import type { ITensor } from "../network/layers.js";
import { type Dim, sameDim } from "../network/symbolic.js";
import { numbersOf } from "../network/weights.js";
import { inversePermutation, numberLike, permute, range } from "./axes.js";
import type { ConversionContext } from "./context.js";
import { broadcastShapes, castTo, expandTo, reshape } from "./operands.js";
import type { TensorValue } from "./values.js";

/** Indices that count from the start of an axis of `size`: TensorRT does not wrap negative ones. */
export function wrapIndices(ctx: ConversionContext, indices: TensorValue, size: Dim): ITensor {
  const { network } = ctx;
  const { weights } = indices;
  if (weights !== null) {
    const numbers = numbersOf(weights);
    if (numbers.every((index) => index >= 0)) return indices.tensor;
    if (typeof size === "number") {
      return ctx.constant(
        "kINT64",
        weights.dims,
        [...numbers].map((index) => (index < 0 ? index + size : index)),
      );
    }
  }
  const { tensor } = indices;
  if (isIota(tensor)) return tensor;
  const fromEnd = network.addElementWise(tensor, numberLike(ctx, tensor, size), "kSUM");
  return network.addSelect(network.addElementWise(tensor, numberLike(ctx, tensor, 0), "kLESS"), fromEnd, tensor);
}

/** The places of true elements as `[rank, count]` int64. The count is a size of its own unless the mask is known. */
export function nonZero(ctx: ConversionContext, value: TensorValue): ITensor {
  const rank = value.dims.length;
  const { weights } = value;
  if (weights !== null) {
    const numbers = numbersOf(weights);
    const places: number[][] = range(rank).map(() => []);
    for (let i = 0; i < numbers.length; i++) {
      if (numbers[i] === 0) continue;
      for (let axis = rank - 1, rest = i; axis >= 0; axis--) {
        const size = weights.dims[axis] as number;
        places[axis]?.push(rest % size);
        rest = Math.floor(rest / size);
      }
    }
    const count = places[0]?.length ?? 0;
    return ctx.constant("kINT64", [rank, count], places.flat());
  }
  if (ctx.capabilities.backend === "tensorrt-rtx") {
    ctx.unsupported(
      "the size of the result depends on tensor data, and TensorRT-RTX has no NonZero layer",
      "Use torch.where(mask, x, other) or masked_fill, which keep the shape, or build for TensorRT.",
    );
  }
  const { tensor } = value;
  const { network } = ctx;
  // NonZero takes neither int64 nor bfloat16.
  const mask = tensor.type === "kINT64" || tensor.type === "kBF16" ? castTo(ctx, value, "bool").tensor : tensor;
  return network.addNonZero(mask);
}

/** Index tensors with the axes of `self` that they stand for. */
export interface AdvancedIndex {
  readonly axes: readonly number[];
  readonly indices: readonly ITensor[];
  /** What the index tensors broadcast to. */
  readonly shape: readonly Dim[];
  /** Where the indexed dims come in the result: in place of adjacent axes, in front otherwise. */
  readonly position: number;
}

/** Reads `x[i, :, mask, ...]` as PyTorch does: None keeps an axis, a mask stands for the places where it is true. */
export function advancedIndex(
  ctx: ConversionContext,
  self: TensorValue,
  entries: readonly (TensorValue | null)[],
): AdvancedIndex {
  const axes: number[] = [];
  const indices: ITensor[] = [];
  let axis = 0;
  for (const entry of entries) {
    if (entry === null) axis++;
    else if (entry.dtype === "bool" || entry.dtype === "uint8") {
      if (entry.dims.length === 0) {
        ctx.unsupported("a 0-d mask makes an axis whose size depends on it", "Use torch.where, or index with a bool.");
      }
      const places = nonZero(ctx, entry);
      const count = places.dims[1] as Dim;
      for (const row of entry.dims.keys()) {
        const slice = ctx.network.addSlice(places, [row, 0], [1, count], [1, 1]);
        indices.push(reshape(ctx, slice, [count]));
        axes.push(axis++);
      }
    } else {
      indices.push(wrapIndices(ctx, entry, self.dims[axis] as Dim));
      axes.push(axis++);
    }
  }
  const adjacent = axes.every((at, i) => i === 0 || at === (axes[i - 1] as number) + 1);
  return {
    axes,
    indices,
    shape: broadcastShapes(ctx, ...indices.map((index) => index.dims)),
    position: adjacent ? (axes[0] ?? 0) : 0,
  };
}

/** The order that brings the indexed axes to the front. */
export function indexedFirst(rank: number, axes: readonly number[]): number[] {
  return [...axes, ...range(rank).filter((axis) => !axes.includes(axis))];
}

/** The order that brings a result `[...shape, ...rest]` to where PyTorch has the indexed dims. */
export function indexedInPlace(shapeRank: number, restRank: number, position: number): number[] {
  const rest = range(restRank).map((axis) => axis + shapeRank);
  return [...rest.slice(0, position), ...range(shapeRank), ...rest.slice(position)];
}

/** Index tensors side by side as the last axis: `[...shape, n]` int64, rows that address `n` axes. */
function indexRows(ctx: ConversionContext, index: Pick<AdvancedIndex, "indices" | "shape">): ITensor {
  const columns = index.indices.map((indices) => {
    const wide = ctx.network.addCast(indices, "kINT64");
    return reshape(ctx, expandTo(ctx, wide, index.shape), [...index.shape, 1]);
  });
  return ctx.network.addConcatenation(columns, index.shape.length);
}

/**
 * The indexed axes in the order in which the result has them, where `[0, 1, ...]` takes all places of each, along an axis
 * of the result of its own: that is a view. Transformers index their masks so.
 */
function wholeAxes(tensor: ITensor, { axes, indices, shape }: AdvancedIndex): number[] | undefined {
  const taken = axes.map((axis, i) => {
    const { dims } = indices[i] as ITensor;
    const along = dims.findIndex((dim) => dim !== 1);
    const at = along < 0 ? -1 : along + shape.length - dims.length;
    const isWhole = dims.every((dim, j) => sameDim(dim, j === along ? (tensor.dims[axis] as Dim) : 1));
    return {
      axis,
      at,
      isWhole: isWhole && (at < 0 ? tensor.dims[axis] === 1 : sameDim(shape[at] as Dim, dims[along] as Dim)),
    };
  });
  const places = taken.map(({ at }) => at).filter((at) => at >= 0);
  if (!taken.every(({ isWhole }) => isWhole) || new Set(places).size < places.length) return undefined;
  return indices.every(isIota) ? taken.toSorted((a, b) => a.at - b.at).map(({ axis }) => axis) : undefined;
}

/** `self[index]`. */
export function gatherIndexed(ctx: ConversionContext, tensor: ITensor, index: AdvancedIndex): ITensor {
  const { network } = ctx;
  const { axes, indices, shape, position } = index;
  if (indices.length === 0) return tensor;
  const rank = tensor.dims.length;
  const inPlace = (y: ITensor): ITensor => permute(ctx, y, indexedInPlace(shape.length, rank - axes.length, position));
  const whole = wholeAxes(tensor, index);
  if (whole !== undefined) {
    const order = indexedFirst(rank, whole);
    const rest = order.slice(axes.length).map((axis) => tensor.dims[axis] as Dim);
    return inPlace(reshape(ctx, permute(ctx, tensor, order), [...shape, ...rest]));
  }
  if (indices.length === 1) return network.addGather(tensor, indices[0] as ITensor, axes[0] as number);
  const front = permute(ctx, tensor, indexedFirst(rank, axes));
  return inPlace(network.addGather(front, indexRows(ctx, index), 0, "kND"));
}

/** Writes `updates` `[...shape, ...rest]` to the rows that `index` addresses, and gives the whole tensor. */
export function scatterIndexed(
  ctx: ConversionContext,
  tensor: ITensor,
  index: AdvancedIndex,
  updates: ITensor,
): ITensor {
  const order = indexedFirst(tensor.dims.length, index.axes);
  const front = permute(ctx, tensor, order);
  const written = ctx.network.addScatter(front, indexRows(ctx, index), updates, "kND");
  return permute(ctx, written, inversePermutation(order));
}
