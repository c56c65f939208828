import { isFloatingPoint } from "../../ir/scalar-type.js";
import type { ReduceOperation } from "../../network/enums.js";
import type { ITensor } from "../../network/layers.js";
import { bounds, type Dim, mul, sameDim, sub, volume } from "../../network/symbolic.js";
import { iota, like, movedAxis, numberLike, padAxes, permute, spliceDims } from "../axes.js";
import type { ConversionContext } from "../context.js";
import { wrapIndices } from "../indexing.js";
import {
  castTo,
  elementWise,
  expandTo,
  floorQuotient,
  normalizeAxis,
  reshape,
  scalarOfRank,
  wrap,
} from "../operands.js";
import { converter } from "../registry.js";
import { Scalar, type TensorValue } from "../values.js";
import { viewed } from "./view.js";

// --- Writing ---------------------------------------------------------------------------------------------------------

/** The leading part of `tensor` as large as `dims`: PyTorch reads no more of a source than the index covers. */
function corner(ctx: ConversionContext, tensor: ITensor, dims: readonly Dim[]): ITensor {
  if (dims.every((dim, axis) => sameDim(dim, tensor.dims[axis] as Dim))) return tensor;
  const [zeros, ones] = [dims.map(() => 0), dims.map(() => 1)];
  return ctx.network.addSlice(tensor, zeros, dims, ones);
}

/** `self[..., index[j], ...] = updates[j]` along `axis`; 0-d tensors count as vectors of one element. */
function written(
  ctx: ConversionContext,
  self: TensorValue,
  dim: number,
  index: TensorValue,
  updates: (indexDims: readonly Dim[]) => ITensor,
): TensorValue {
  const axis = normalizeAxis(ctx, dim, self.dims.length);
  const places = atLeastVector(ctx, index);
  if (places.dims.includes(0)) return self;
  const data = atLeastVector(ctx, self);
  const result = ctx.network.addScatter(data.tensor, places.tensor, updates(places.dims), "kELEMENT", axis);
  return viewed(ctx, like(ctx, self, result), self.dims);
}

function atLeastVector(ctx: ConversionContext, value: TensorValue): TensorValue {
  return value.dims.length === 0 ? viewed(ctx, value, [1]) : value;
}

/** The source where the index reads it, in the type of `self`. */
function sourceFor(ctx: ConversionContext, self: TensorValue, src: TensorValue, dims: readonly Dim[]): ITensor {
  return corner(ctx, atLeastVector(ctx, castTo(ctx, src, self.dtype)).tensor, dims);
}

function filled(ctx: ConversionContext, self: TensorValue, value: Scalar, dims: readonly Dim[]): ITensor {
  return expandTo(ctx, scalarOfRank(ctx, value, self.dtype, dims.length), dims);
}

// --- Reducing --------------------------------------------------------------------------------------------------------

type Reduction = "sum" | "prod" | "mean" | "amax" | "amin";

const REDUCE_OPERATIONS = {
  sum: "kSUM",
  mean: "kSUM",
  prod: "kPROD",
  amax: "kMAX",
  amin: "kMIN",
} as const satisfies Record<Reduction, ReduceOperation>;

const ELEMENT_WISE = { sum: "kSUM", mean: "kSUM", prod: "kPROD", amax: "kMAX", amin: "kMIN" } as const;

function reductionOf(ctx: ConversionContext, name: string): Reduction {
  // scatter's older names.
  if (name === "add") return "sum";
  if (name === "multiply") return "prod";
  if (name in REDUCE_OPERATIONS) return name as Reduction;
  return ctx.unsupported(`unknown reduction "${name}"`);
}

/** What changes nothing in a reduction. */
function neutral(reduction: Reduction, dtype: TensorValue["dtype"]): number {
  if (reduction === "prod") return 1;
  if (reduction === "sum" || reduction === "mean") return 0;
  const sign = reduction === "amax" ? -1 : 1;
  if (isFloatingPoint(dtype)) return sign * Number.POSITIVE_INFINITY;
  return dtype === "int64" ? sign * Number.MAX_SAFE_INTEGER : sign * (2 ** 31 - 1);
}

/**
 * Reduces contributions into the places their indices name. TensorRT's scatter overwrites, so every place looks at every
 * contribution: `contributions` and the bool `hits` broadcast to `[..., places, contributions, ...]`, `axis` is that of
 * the contributions.
 */
function combine(
  ctx: ConversionContext,
  self: TensorValue,
  contributions: ITensor,
  hits: ITensor,
  axis: number,
  reduction: Reduction,
  includeSelf: boolean,
  fit: (tensor: ITensor, fill: number) => ITensor,
): TensorValue {
  const { network } = ctx;
  if (self.dtype === "bool") {
    // TensorRT reduces numbers only: a sum of bools is their maximum, a product their minimum.
    const extreme = reduction === "sum" ? "amax" : reduction === "prod" ? "amin" : reduction;
    const [numbers, terms] = [castTo(ctx, self, "int32"), network.addCast(contributions, "kINT32")];
    return castTo(ctx, combine(ctx, numbers, terms, hits, axis, extreme, includeSelf, fit), "bool");
  }
  const identity = neutral(reduction, self.dtype);
  const nothing = numberLike(ctx, contributions, identity);
  const terms = network.addSelect(hits, contributions, nothing);
  const totals = fit(network.addReduce(terms, REDUCE_OPERATIONS[reduction], [axis], false), identity);
  const sums = reduction === "amax" || reduction === "amin" ? totals : wrap(ctx, totals, self.dtype);
  const counted = (): ITensor => {
    const ones = network.addCast(hits, sums.type);
    const counts = network.addReduce(ones, "kSUM", [axis], false);
    return fit(counts, 0);
  };
  const combined = ctx.tensorValue(sums, self.dtype);
  if (includeSelf) {
    const total = elementWise(ctx, self, combined, ELEMENT_WISE[reduction]);
    if (reduction !== "mean") return total;
    const counts = counted();
    const all = network.addElementWise(counts, numberLike(ctx, counts, 1), "kSUM");
    return like(ctx, self, divided(ctx, total.tensor, all));
  }
  const counts = counted();
  const zero = numberLike(ctx, counts, 0);
  const hit = network.addElementWise(counts, zero, "kGREATER");
  const at = network.addElementWise(counts, numberLike(ctx, counts, 1), "kMAX");
  const result = reduction === "mean" ? divided(ctx, sums, at) : sums;
  return like(ctx, self, network.addSelect(hit, result, self.tensor));
}

/** Means of ints round down in PyTorch. */
function divided(ctx: ConversionContext, sum: ITensor, count: ITensor): ITensor {
  const integers = sum.type === "kINT32" || sum.type === "kINT64";
  return integers ? floorQuotient(ctx, sum, count) : ctx.network.addElementWise(sum, count, "kDIV");
}

/** The vector that an index was expanded from, so that it says the same for all elements of a row. */
function expandedVector(index: ITensor, axis: number): ITensor | undefined {
  const { producer } = index;
  if (producer?.type !== "kSLICE" || producer.attributes.mode !== "kSTRICT_BOUNDS") return undefined;
  const { start, stride } = producer.attributes;
  const vector = producer.inputs[0] as ITensor;
  const isExpanded = vector.dims.every((dim, i) =>
    i === axis
      ? start[i] === 0 && stride[i] === 1 && sameDim(dim, index.dims[i] as Dim)
      : dim === 1 && (stride[i] === 0 || index.dims[i] === 1),
  );
  return isExpanded ? vector : undefined;
}

function scatterReduced(
  ctx: ConversionContext,
  self: TensorValue,
  dim: number,
  index: TensorValue,
  source: (indexDims: readonly Dim[]) => ITensor,
  reduction: Reduction,
  includeSelf: boolean,
): TensorValue {
  const { network } = ctx;
  const data = atLeastVector(ctx, self);
  const places = atLeastVector(ctx, index);
  if (places.dims.includes(0)) return self;
  const rank = data.dims.length;
  const axis = normalizeAxis(ctx, dim, rank);
  const vector = expandedVector(places.tensor, axis);
  if (vector !== undefined && data.dims.every((have, i) => i === axis || sameDim(have, places.dims[i] as Dim))) {
    const rows = like(ctx, self, source(places.dims));
    const row = like(ctx, index, reshape(ctx, vector, [places.dims[axis] as Dim]));
    return rowsReduced(ctx, self, dim, row, rows, reduction, includeSelf);
  }
  const size = data.dims[axis] as Dim;
  // [..., size, contributions, ...]
  const wide = spliceDims(places.dims, axis, 0, 1);
  const targets = reshape(
    ctx,
    network.addCast(iota(ctx, size), places.tensor.type),
    spliceDims(
      wide.map(() => 1),
      axis,
      1,
      size,
    ),
  );
  const hits = network.addElementWise(reshape(ctx, places.tensor, wide), targets, "kEQUAL");
  const contributions = reshape(ctx, source(places.dims), wide);
  const fit = (tensor: ITensor, fill: number): ITensor => {
    const missing = tensor.dims.map((have, i) => sub(data.dims[i] as Dim, have));
    if (missing.every((amount) => amount === 0)) return tensor;
    const zeros = missing.map(() => 0);
    return padAxes(ctx, tensor, zeros, missing, "kFILL", fill);
  };
  const result = combine(ctx, data, contributions, hits, axis + 1, reduction, includeSelf, fit);
  return viewed(ctx, result, self.dims);
}

/** Elements beyond which comparing every place with every row's elements would take too much memory. */
const MANY = 2 ** 24;

/**
 * Adds rows by a product with the matrix of which row goes where: less memory than combining, but rounded as products
 * are, and an infinite row spoils the others.
 */
function rowsAdded(
  ctx: ConversionContext,
  self: TensorValue,
  axis: number,
  index: ITensor,
  rows: ITensor,
): TensorValue {
  const { network } = ctx;
  const rank = self.dims.length;
  const order = movedAxis(rank, axis, 0);
  const front = permute(ctx, self.tensor, order);
  const [size, ...rest] = front.dims as [Dim, ...Dim[]];
  const count = index.dims[0] as Dim;
  const width = volume(rest);
  const targets = reshape(ctx, network.addCast(iota(ctx, size), index.type), [size, 1]);
  const hits = network.addElementWise(targets, reshape(ctx, index, [1, count]), "kEQUAL");
  const which = network.addCast(hits, rows.type);
  const matrix = reshape(ctx, permute(ctx, rows, order), [count, width]);
  const sums = reshape(ctx, network.addMatrixMultiply(which, "kNONE", matrix, "kNONE"), front.dims);
  const total = network.addElementWise(front, sums, "kSUM");
  return like(ctx, self, permute(ctx, total, movedAxis(rank, 0, axis)));
}

/** Reduces rows of `source` along `dim` into the rows of `self` that `index`, 0-d or 1-d, names. */
export function rowsReduced(
  ctx: ConversionContext,
  self: TensorValue,
  dim: number,
  index: TensorValue,
  source: TensorValue,
  reduction: Reduction,
  includeSelf = true,
): TensorValue {
  const data = atLeastVector(ctx, self);
  const rank = data.dims.length;
  const axis = normalizeAxis(ctx, dim, rank);
  const count = index.dims[0] ?? 1;
  const size = data.dims[axis] as Dim;
  const { network } = ctx;
  const values = castTo(ctx, source, self.dtype).tensor;
  if (reduction === "sum" && includeSelf && isFloatingPoint(self.dtype)) {
    if (bounds(mul(volume(data.dims), count)).max > MANY) {
      const places = reshape(ctx, index.tensor, [count]);
      const lines = reshape(ctx, values, spliceDims(data.dims, axis, 1, count));
      return viewed(ctx, rowsAdded(ctx, data, axis, places, lines), self.dims);
    }
  }
  const rows = reshape(ctx, values, spliceDims(data.dims, axis, 1, 1, count));
  const ones = rows.dims.map(() => 1);
  const targets = reshape(ctx, network.addCast(iota(ctx, size), index.tensor.type), spliceDims(ones, axis, 1, size));
  const hits = network.addElementWise(
    reshape(ctx, index.tensor, spliceDims(ones, axis + 1, 1, count)),
    targets,
    "kEQUAL",
  );
  // Counts are the same for all elements of a row.
  const fit = (tensor: ITensor): ITensor => expandTo(ctx, tensor, data.dims);
  return viewed(ctx, combine(ctx, data, rows, hits, axis + 1, reduction, includeSelf, fit), self.dims);
}

const REDUCE_LIMITS = {
  limits:
    "Every place is compared with every index, as TensorRT's scatter cannot add: memory grows with their product. Large sums of whole rows are matrix products, with their rounding.",
};

export const scatter = [
  converter("aten::scatter.src(Tensor self, int dim, Tensor index, Tensor src) -> Tensor", (ctx, args) =>
    written(ctx, args.self, args.dim, args.index, (dims) => sourceFor(ctx, args.self, args.src, dims)),
  ),
  converter("aten::scatter.value(Tensor self, int dim, Tensor index, Scalar value) -> Tensor", (ctx, args) =>
    written(ctx, args.self, args.dim, args.index, (dims) => filled(ctx, args.self, args.value, dims)),
  ),
  converter(
    "aten::scatter.reduce(Tensor self, int dim, Tensor index, Tensor src, *, str reduce) -> Tensor",
    (ctx, { self, dim, index, src, reduce }) =>
      scatterReduced(ctx, self, dim, index, (dims) => sourceFor(ctx, self, src, dims), reductionOf(ctx, reduce), true),
    REDUCE_LIMITS,
  ),
  converter(
    "aten::scatter.value_reduce(Tensor self, int dim, Tensor index, Scalar value, *, str reduce) -> Tensor",
    (ctx, { self, dim, index, value, reduce }) =>
      scatterReduced(ctx, self, dim, index, (dims) => filled(ctx, self, value, dims), reductionOf(ctx, reduce), true),
    REDUCE_LIMITS,
  ),
  converter(
    "aten::scatter_add(Tensor self, int dim, Tensor index, Tensor src) -> Tensor",
    (ctx, { self, dim, index, src }) =>
      scatterReduced(ctx, self, dim, index, (dims) => sourceFor(ctx, self, src, dims), "sum", true),
    REDUCE_LIMITS,
  ),
  converter(
    "aten::scatter_reduce.two(Tensor self, int dim, Tensor index, Tensor src, str reduce, *, bool include_self=True) -> Tensor",
    (ctx, { self, dim, index, src, reduce, include_self }) =>
      scatterReduced(
        ctx,
        self,
        dim,
        index,
        (dims) => sourceFor(ctx, self, src, dims),
        reductionOf(ctx, reduce),
        include_self,
      ),
    REDUCE_LIMITS,
  ),
];

export const indexAdd = [
  converter(
    "aten::index_add(Tensor self, int dim, Tensor index, Tensor source, *, Scalar alpha=1) -> Tensor",
    (ctx, { self, dim, index, source, alpha }) =>
      rowsReduced(ctx, self, dim, index, elementWise(ctx, source, alpha, "kPROD", source.dtype), "sum"),
    REDUCE_LIMITS,
  ),
  converter(
    "aten::index_reduce(Tensor self, int dim, Tensor index, Tensor source, str reduce, *, bool include_self=True) -> Tensor",
    (ctx, { self, dim, index, source, reduce, include_self }) =>
      rowsReduced(ctx, self, dim, index, source, reductionOf(ctx, reduce), include_self),
    REDUCE_LIMITS,
  ),
];

/** Puts rows, whose first axis runs along `index`, in the places of `self` along `axis`. */
export function rowsWritten(
  ctx: ConversionContext,
  self: TensorValue,
  axis: number,
  index: ITensor,
  rows: ITensor,
): TensorValue {
  const rank = self.dims.length;
  const front = permute(ctx, self.tensor, movedAxis(rank, axis, 0));
  const count = index.dims[0] as Dim;
  const result = ctx.network.addScatter(front, reshape(ctx, index, [count, 1]), rows, "kND");
  return like(ctx, self, permute(ctx, result, movedAxis(rank, 0, axis)));
}

function indexFilled(
  ctx: ConversionContext,
  self: TensorValue,
  dim: number,
  index: TensorValue,
  value: Scalar | TensorValue,
): TensorValue {
  const data = atLeastVector(ctx, self);
  const axis = normalizeAxis(ctx, dim, data.dims.length);
  const places = reshape(ctx, wrapIndices(ctx, index, data.dims[axis] as Dim), [index.dims[0] ?? 1]);
  const dims = [places.dims[0] as Dim, ...spliceDims(data.dims, axis, 1)];
  const rows =
    value instanceof Scalar
      ? filled(ctx, self, value, dims)
      : expandTo(ctx, castTo(ctx, value, self.dtype).tensor, dims);
  return viewed(ctx, rowsWritten(ctx, data, axis, places, rows), self.dims);
}

export const indexCopy = converter(
  "aten::index_copy(Tensor self, int dim, Tensor index, Tensor source) -> Tensor",
  (ctx, { self, dim, index, source }) => {
    const data = atLeastVector(ctx, self);
    const axis = normalizeAxis(ctx, dim, data.dims.length);
    const rows = atLeastVector(ctx, source);
    const front = permute(ctx, rows.tensor, movedAxis(rows.dims.length, axis, 0));
    const places = reshape(ctx, index.tensor, [index.dims[0] ?? 1]);
    return viewed(ctx, rowsWritten(ctx, data, axis, places, front), self.dims);
  },
);

export const indexFill = [
  converter(
    "aten::index_fill.int_Scalar(Tensor self, int dim, Tensor index, Scalar value) -> Tensor",
    (ctx, { self, dim, index, value }) => indexFilled(ctx, self, dim, index, value),
  ),
  converter(
    "aten::index_fill.int_Tensor(Tensor self, int dim, Tensor index, Tensor value) -> Tensor",
    (ctx, { self, dim, index, value }) => indexFilled(ctx, self, dim, index, value),
  ),
];

export const put = converter(
  "aten::put(Tensor self, Tensor index, Tensor source, bool accumulate=False) -> Tensor",
  (ctx, { self, index, source, accumulate }) => {
    const flat = viewed(ctx, self, [volume(self.dims)]);
    const places = like(ctx, index, wrapIndices(ctx, viewed(ctx, index, [-1]), flat.dims[0] as Dim));
    const values = viewed(ctx, source, [-1]);
    const result = accumulate
      ? rowsReduced(ctx, flat, 0, places, values, "sum")
      : rowsWritten(ctx, flat, 0, places.tensor, castTo(ctx, values, self.dtype).tensor);
    return viewed(ctx, result, self.dims);
  },
);
