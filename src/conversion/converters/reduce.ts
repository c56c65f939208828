import { isFloatingPoint, type ScalarType } from "../../ir/scalar-type.js";
import type { ReduceOperation } from "../../network/enums.js";
import type { ITensor } from "../../network/layers.js";
import { bounds, type Dim, volume } from "../../network/symbolic.js";
import type { ConversionContext } from "../context.js";
import {
  castTo,
  constantLike,
  differsFrom,
  elementWise,
  floatResult,
  normalizeAxes,
  normalizeAxis,
  scalarOfRank,
  sumResult,
  widened,
  wrap,
} from "../operands.js";
import { converter } from "../registry.js";
import * as scalars from "../scalars.js";
import { Scalar, type TensorValue } from "../values.js";

/** Over all dims where `dims` is null or empty. A 0-d tensor has nothing to reduce. */
export function reduce(
  ctx: ConversionContext,
  x: ITensor,
  operation: ReduceOperation,
  dims: readonly number[] | null,
  keepdim: boolean,
): ITensor {
  if (x.dims.length === 0) {
    normalizeAxes(ctx, dims, 0);
    return x;
  }
  return ctx.network.addReduce(x, operation, normalizeAxes(ctx, dims, x.dims.length), keepdim);
}

function sum(
  ctx: ConversionContext,
  self: TensorValue,
  dims: readonly number[] | null,
  keepdim: boolean,
  dtype: ScalarType | null,
  operation: "kSUM" | "kPROD" = "kSUM",
): TensorValue {
  const type = dtype ?? sumResult(self.dtype);
  // Sums of bools are true where any is, products where all are.
  if (type === "bool")
    return truth(ctx, castTo(ctx, self, "bool"), operation === "kSUM" ? "kMAX" : "kMIN", dims, keepdim);
  const x = castTo(ctx, self, type);
  if (x.dims.length === 0) return x;
  return ctx.tensorValue(wrap(ctx, reduce(ctx, x.tensor, operation, dims, keepdim), type), type);
}

function mean(
  ctx: ConversionContext,
  self: TensorValue,
  dims: readonly number[] | null,
  keepdim: boolean,
  dtype: ScalarType | null,
): TensorValue {
  const type = dtype ?? self.dtype;
  if (!isFloatingPoint(type)) return ctx.unsupported(`a mean of ${type} needs dtype=`, "PyTorch refuses it as well.");
  const x = castTo(ctx, self, type);
  const count = volume(normalizeAxes(ctx, dims, x.dims.length).map((axis) => x.dims[axis] ?? 1));
  if (bounds(count).min > 0) return ctx.tensorValue(reduce(ctx, x.tensor, "kAVG", dims, keepdim), type);
  // The layer's mean of nothing is 0, PyTorch's is not a number: 0 / 0.
  return elementWise(ctx, sum(ctx, x, dims, keepdim, type), new Scalar("int", count), "kDIV", type);
}

export const sums = [
  converter("aten::sum(Tensor self, *, ScalarType? dtype=None) -> Tensor", (ctx, { self, dtype }) =>
    sum(ctx, self, null, false, dtype),
  ),
  converter(
    "aten::sum.dim_IntList(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
    (ctx, { self, dim, keepdim, dtype }) => sum(ctx, self, dim, keepdim, dtype),
  ),
  converter(
    "aten::nansum(Tensor self, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
    (ctx, { self, dim, keepdim, dtype }) => sum(ctx, withoutNan(ctx, self), dim, keepdim, dtype),
  ),
  converter("aten::prod(Tensor self, *, ScalarType? dtype=None) -> Tensor", (ctx, { self, dtype }) =>
    sum(ctx, self, null, false, dtype, "kPROD"),
  ),
  converter(
    "aten::prod.dim_int(Tensor self, int dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
    (ctx, { self, dim, keepdim, dtype }) => sum(ctx, self, [dim], keepdim, dtype, "kPROD"),
  ),
];

function withoutNan(ctx: ConversionContext, self: TensorValue): TensorValue {
  if (!isFloatingPoint(self.dtype)) return self;
  const { tensor } = self;
  const { network } = ctx;
  const kept = network.addSelect(network.addUnary(tensor, "kISNAN"), constantLike(ctx, tensor, 0), tensor);
  return ctx.tensorValue(kept, self.dtype);
}

export const means = [
  converter("aten::mean(Tensor self, *, ScalarType? dtype=None) -> Tensor", (ctx, { self, dtype }) =>
    mean(ctx, self, null, false, dtype),
  ),
  converter(
    "aten::mean.dim(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
    (ctx, { self, dim, keepdim, dtype }) => mean(ctx, self, dim, keepdim, dtype),
  ),
  converter(
    "aten::nanmean(Tensor self, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
    (ctx, { self, dim, keepdim, dtype }) => {
      const type = floatResult(dtype ?? self.dtype);
      const x = castTo(ctx, self, type);
      const present = ctx.network.addUnary(ctx.network.addUnary(x.tensor, "kISNAN"), "kNOT");
      const count = reduce(ctx, castTo(ctx, ctx.tensorValue(present), type).tensor, "kSUM", dim, keepdim);
      return elementWise(
        ctx,
        sum(ctx, withoutNan(ctx, x), dim, keepdim, type),
        ctx.tensorValue(count, type),
        "kDIV",
        type,
      );
    },
  ),
];

// --- Extremes --------------------------------------------------------------------------------------------------------

function extreme(
  ctx: ConversionContext,
  self: TensorValue,
  operation: "kMAX" | "kMIN",
  dims: readonly number[] | null,
  keepdim: boolean,
): TensorValue {
  // TensorRT reduces numbers only.
  const x = self.dtype === "bool" ? castTo(ctx, self, "int32") : self;
  if (x.dims.length === 0) return self;
  return castTo(ctx, ctx.tensorValue(reduce(ctx, x.tensor, operation, dims, keepdim), x.dtype), self.dtype);
}

export const extremes = [
  converter("aten::max(Tensor self) -> Tensor", (ctx, { self }) => extreme(ctx, self, "kMAX", null, false)),
  converter("aten::min(Tensor self) -> Tensor", (ctx, { self }) => extreme(ctx, self, "kMIN", null, false)),
  converter("aten::amax(Tensor self, int[1] dim=[], bool keepdim=False) -> Tensor", (ctx, { self, dim, keepdim }) =>
    extreme(ctx, self, "kMAX", dim, keepdim),
  ),
  converter("aten::amin(Tensor self, int[1] dim=[], bool keepdim=False) -> Tensor", (ctx, { self, dim, keepdim }) =>
    extreme(ctx, self, "kMIN", dim, keepdim),
  ),
  converter(
    "aten::aminmax(Tensor self, *, int? dim=None, bool keepdim=False) -> (Tensor min, Tensor max)",
    (ctx, { self, dim, keepdim }): [TensorValue, TensorValue] => {
      const dims = dim === null ? null : [dim];
      return [extreme(ctx, self, "kMIN", dims, keepdim), extreme(ctx, self, "kMAX", dims, keepdim)];
    },
  ),
];

// --- Truth -----------------------------------------------------------------------------------------------------------

/** Is any, are all of the numbers not 0? uint8 tensors keep their type, as in PyTorch. */
function truth(
  ctx: ConversionContext,
  self: TensorValue,
  operation: "kMAX" | "kMIN",
  dims: readonly number[] | null,
  keepdim: boolean,
): TensorValue {
  const type = self.dtype === "uint8" ? "uint8" : "bool";
  const bools = castTo(ctx, self, "bool");
  if (bools.dims.length === 0) return castTo(ctx, bools, type);
  // TensorRT reduces numbers only. The largest of none is the least int32.
  const found = reduce(ctx, castTo(ctx, bools, "int32").tensor, operation, dims, keepdim);
  const holds = ctx.network.addElementWise(found, constantLike(ctx, found, 0), "kGREATER");
  return castTo(ctx, ctx.tensorValue(holds, "bool"), type);
}

export const truths = (
  [
    ["any", "kMAX"],
    ["all", "kMIN"],
  ] as const
).flatMap(([name, operation]) => [
  converter(`aten::${name}(Tensor self) -> Tensor`, (ctx, { self }) => truth(ctx, self, operation, null, false)),
  converter(`aten::${name}.dim(Tensor self, int dim, bool keepdim=False) -> Tensor`, (ctx, { self, dim, keepdim }) =>
    truth(ctx, self, operation, [dim], keepdim),
  ),
  converter(
    `aten::${name}.dims(Tensor self, int[]? dim=None, bool keepdim=False) -> Tensor`,
    (ctx, { self, dim, keepdim }) =>
      // Unlike None, an empty list of dims names none.
      dim?.length === 0
        ? castTo(ctx, castTo(ctx, self, "bool"), self.dtype === "uint8" ? "uint8" : "bool")
        : truth(ctx, self, operation, dim, keepdim),
  ),
]);

function countNonzero(ctx: ConversionContext, self: TensorValue, dims: readonly number[] | null): TensorValue {
  return sum(ctx, castTo(ctx, self, "bool"), dims, false, "int64");
}

export const counts = [
  converter("aten::count_nonzero(Tensor self, int? dim=None) -> Tensor", (ctx, { self, dim }) =>
    countNonzero(ctx, self, dim === null ? null : [dim]),
  ),
  converter("aten::count_nonzero.dim_IntList(Tensor self, int[] dim) -> Tensor", (ctx, { self, dim }) =>
    countNonzero(ctx, self, dim),
  ),
];

// --- Spread ----------------------------------------------------------------------------------------------------------

/** In the type that is computed with, which may be wider than `dtype`, that of the results. */
interface Spread {
  readonly variance: TensorValue;
  readonly mean: TensorValue;
  readonly dtype: ScalarType;
}

/** The mean of squared distances from the mean, divided by the number of elements less `correction`. */
function spread(
  ctx: ConversionContext,
  self: TensorValue,
  dims: readonly number[] | null,
  correction: number,
  keepdim: boolean,
): Spread {
  const { network } = ctx;
  const wide = castTo(ctx, self, widened(self.dtype));
  const x = wide.tensor;
  const axes = x.dims.length === 0 ? [] : normalizeAxes(ctx, dims, x.dims.length);
  const average = reduce(ctx, x, "kAVG", axes, true);
  const distance = network.addElementWise(x, average, "kSUB");
  const squares = network.addElementWise(distance, distance, "kPROD");
  const total = reduce(ctx, squares, "kSUM", axes, keepdim);
  const count = new Scalar("int", volume(axes.map((axis) => x.dims[axis] as Dim)));
  // With fewer elements than the correction there is no variance: PyTorch divides by 0.
  const divisor = scalars.max(scalars.sub(count, scalars.float(correction)), scalars.float(0));
  const variance = network.addElementWise(total, scalarOfRank(ctx, divisor, wide.dtype, total.dims.length), "kDIV");
  return {
    variance: ctx.tensorValue(variance, wide.dtype),
    mean: keepdim || x.dims.length === 0 ? ctx.tensorValue(average, wide.dtype) : mean(ctx, wide, axes, false, null),
    dtype: self.dtype,
  };
}

function varianceOf(ctx: ConversionContext, { variance, dtype }: Spread): TensorValue {
  return castTo(ctx, variance, dtype);
}

function deviationOf(ctx: ConversionContext, { variance, dtype }: Spread): TensorValue {
  return castTo(ctx, ctx.tensorValue(ctx.network.addUnary(variance.tensor, "kSQRT"), variance.dtype), dtype);
}

function meanOf(ctx: ConversionContext, spread: Spread): TensorValue {
  return castTo(ctx, spread.mean, spread.dtype);
}

type Finish<R> = (ctx: ConversionContext, spread: Spread) => R;

/** The overloads that say how much is corrected for, of `var` and of `std`. */
const ONE: readonly (readonly [string, Finish<TensorValue>])[] = [
  ["var", varianceOf],
  ["std", deviationOf],
];
const TWO: readonly (readonly [string, Finish<[TensorValue, TensorValue]>])[] = [
  ["var_mean", (ctx, spread) => [varianceOf(ctx, spread), meanOf(ctx, spread)]],
  ["std_mean", (ctx, spread) => [deviationOf(ctx, spread), meanOf(ctx, spread)]],
];

function correctionOf(ctx: ConversionContext, correction: Scalar | null): number {
  if (correction === null) return 1;
  return scalars.knownNumber(correction.value) ?? ctx.unsupported("a correction that is known only at run time");
}

export const spreads = [
  ...ONE.flatMap(([name, finish]) => [
    converter(`aten::${name as "var"}(Tensor self, bool unbiased=True) -> Tensor`, (ctx, { self, unbiased }) =>
      finish(ctx, spread(ctx, self, null, Number(unbiased), false)),
    ),
    converter(
      `aten::${name as "var"}.dim(Tensor self, int[1]? dim, bool unbiased=True, bool keepdim=False) -> Tensor`,
      (ctx, { self, dim, unbiased, keepdim }) => finish(ctx, spread(ctx, self, dim, Number(unbiased), keepdim)),
    ),
    converter(
      `aten::${name as "var"}.correction(Tensor self, int[1]? dim=None, *, Scalar? correction=None, bool keepdim=False) -> Tensor`,
      (ctx, { self, dim, correction, keepdim }) =>
        finish(ctx, spread(ctx, self, dim, correctionOf(ctx, correction), keepdim)),
    ),
  ]),
  ...TWO.flatMap(([name, finish]) => [
    converter(
      `aten::${name as "var_mean"}(Tensor self, bool unbiased=True) -> (Tensor, Tensor)`,
      (ctx, { self, unbiased }) => finish(ctx, spread(ctx, self, null, Number(unbiased), false)),
    ),
    converter(
      `aten::${name as "var_mean"}.dim(Tensor self, int[1]? dim, bool unbiased=True, bool keepdim=False) -> (Tensor, Tensor)`,
      (ctx, { self, dim, unbiased, keepdim }) => finish(ctx, spread(ctx, self, dim, Number(unbiased), keepdim)),
    ),
    converter(
      `aten::${name as "var_mean"}.correction(Tensor self, int[1]? dim=None, *, Scalar? correction=None, bool keepdim=False) -> (Tensor, Tensor)`,
      (ctx, { self, dim, correction, keepdim }) =>
        finish(ctx, spread(ctx, self, dim, correctionOf(ctx, correction), keepdim)),
    ),
  ]),
];

// --- Norms -----------------------------------------------------------------------------------------------------------

/** The p-norm of vectors along `dims`. */
export function vectorNorm(
  ctx: ConversionContext,
  self: TensorValue,
  p: number,
  dims: readonly number[] | null,
  keepdim: boolean,
  dtype: ScalarType | null = null,
): TensorValue {
  const type = floatResult(dtype ?? self.dtype);
  const { network } = ctx;
  const wide = widened(type);
  const x = castTo(ctx, castTo(ctx, self, type), wide).tensor;
  const total = (tensor: ITensor, operation: ReduceOperation = "kSUM"): ITensor =>
    reduce(ctx, tensor, operation, dims, keepdim);
  const power = (tensor: ITensor, exponent: number): ITensor =>
    network.addElementWise(tensor, constantLike(ctx, tensor, exponent), "kPOW");
  const result = (): ITensor => {
    switch (p) {
      case 0: {
        const nonzero = differsFrom(ctx, x, 0);
        return total(network.addCast(nonzero, x.type));
      }
      case 1:
        return total(network.addUnary(x, "kABS"));
      case 2:
        return network.addUnary(total(network.addElementWise(x, x, "kPROD")), "kSQRT");
      case Number.POSITIVE_INFINITY:
        return total(network.addUnary(x, "kABS"), "kMAX");
      case Number.NEGATIVE_INFINITY:
        return total(network.addUnary(x, "kABS"), "kMIN");
      default:
        return power(total(power(network.addUnary(x, "kABS"), p)), 1 / p);
    }
  };
  return castTo(ctx, ctx.tensorValue(result(), wide), type);
}

/** Norms of matrices that are sums and maxima; singular values are out of TensorRT's reach. */
function matrixNorm(
  ctx: ConversionContext,
  self: TensorValue,
  ord: number | string,
  dims: readonly number[],
  keepdim: boolean,
  dtype: ScalarType | null,
): TensorValue {
  if (ord === "fro") return vectorNorm(ctx, self, 2, dims, keepdim, dtype);
  const [rows, columns] = dims.map((dim) => normalizeAxis(ctx, dim, self.dims.length)) as [number, number];
  if (typeof ord !== "number" || Math.abs(ord) === 2) {
    return ctx.unsupported(`the matrix norm ${ord} needs singular values`, "Use the Frobenius norm.");
  }
  const [summed, compared] = Math.abs(ord) === 1 ? [rows, columns] : [columns, rows];
  const sums = vectorNorm(ctx, self, 1, [summed], true, dtype);
  const result = ctx.network.addReduce(sums.tensor, ord > 0 ? "kMAX" : "kMIN", [compared], true);
  const dropped = keepdim ? result : ctx.network.addReduce(result, "kSUM", [rows, columns], false);
  return ctx.tensorValue(dropped, sums.dtype);
}

function order(ctx: ConversionContext, p: Scalar | null): number {
  if (p === null) return 2;
  return scalars.knownNumber(p.value) ?? ctx.unsupported("a norm whose order is known only at run time");
}

export const norms = [
  converter("aten::norm.Scalar(Tensor self, Scalar p=2) -> Tensor", (ctx, { self, p }) =>
    vectorNorm(ctx, self, order(ctx, p), null, false),
  ),
  converter(
    "aten::norm.ScalarOpt_dim(Tensor self, Scalar? p, int[1] dim, bool keepdim=False) -> Tensor",
    (ctx, { self, p, dim, keepdim }) => vectorNorm(ctx, self, order(ctx, p), dim, keepdim),
  ),
  converter(
    "aten::norm.ScalarOpt_dtype(Tensor self, Scalar? p, *, ScalarType dtype) -> Tensor",
    (ctx, { self, p, dtype }) => vectorNorm(ctx, self, order(ctx, p), null, false, dtype),
  ),
  converter(
    "aten::norm.ScalarOpt_dim_dtype(Tensor self, Scalar? p, int[1] dim, bool keepdim, *, ScalarType dtype) -> Tensor",
    (ctx, { self, p, dim, keepdim, dtype }) => vectorNorm(ctx, self, order(ctx, p), dim, keepdim, dtype),
  ),
  converter(
    "aten::frobenius_norm.dim(Tensor self, int[1] dim, bool keepdim=False) -> Tensor",
    (ctx, { self, dim, keepdim }) => vectorNorm(ctx, self, 2, dim, keepdim),
  ),
  converter(
    "aten::linalg_vector_norm(Tensor self, Scalar ord=2, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
    (ctx, { self, ord, dim, keepdim, dtype }) => vectorNorm(ctx, self, order(ctx, ord), dim, keepdim, dtype),
  ),
  converter(
    "aten::linalg_matrix_norm(Tensor self, Scalar ord, int[] dim=[-2, -1], bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
    (ctx, { self, ord, dim, keepdim, dtype }) => matrixNorm(ctx, self, order(ctx, ord), dim, keepdim, dtype),
  ),
  converter(
    "aten::linalg_matrix_norm.str_ord(Tensor self, str ord='fro', int[] dim=[-2, -1], bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
    (ctx, { self, ord, dim, keepdim, dtype }) => matrixNorm(ctx, self, ord, dim, keepdim, dtype),
  ),
  // A vector's norm along one dim, a matrix's over two; without an order the tensor is one vector.
  converter(
    "aten::linalg_norm(Tensor self, Scalar? ord=None, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
    (ctx, { self, ord, dim, keepdim, dtype }) => {
      const isMatrix = ord !== null && (dim === null ? self.dims.length === 2 : dim.length === 2);
      if (isMatrix) return matrixNorm(ctx, self, order(ctx, ord), dim ?? [-2, -1], keepdim, dtype);
      return vectorNorm(ctx, self, order(ctx, ord), dim, keepdim, dtype);
    },
  ),
  converter(
    "aten::linalg_norm.ord_str(Tensor self, str ord, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
    (ctx, { self, ord, dim, keepdim, dtype }) => matrixNorm(ctx, self, ord, dim ?? [-2, -1], keepdim, dtype),
  ),
  converter("aten::dist(Tensor self, Tensor other, Scalar p=2) -> Tensor", (ctx, { self, other, p }) =>
    vectorNorm(ctx, elementWise(ctx, self, other, "kSUB"), order(ctx, p), null, false),
  ),
];

/** Similarities of vectors. */
export const distances = [
  converter(
    "aten::pairwise_distance(Tensor x1, Tensor x2, float p=2., float eps=1e-06, bool keepdim=False) -> Tensor",
    (ctx, { x1, x2, p, eps, keepdim }) => {
      const difference = elementWise(ctx, x1, x2, "kSUB");
      return vectorNorm(ctx, elementWise(ctx, difference, scalars.float(eps), "kSUM"), p, [-1], keepdim);
    },
  ),
  converter(
    "aten::cosine_similarity(Tensor x1, Tensor x2, int dim=1, float eps=1e-08) -> Tensor",
    (ctx, { x1, x2, dim, eps }) => {
      const product = elementWise(ctx, x1, x2, "kPROD");
      const axis = normalizeAxis(ctx, dim, product.dims.length) - product.dims.length;
      const [a, b] = [x1, x2].map((x) => {
        const norm = vectorNorm(ctx, x, 2, [axis], true);
        return elementWise(ctx, x, elementWise(ctx, norm, scalars.float(eps), "kMAX"), "kDIV");
      }) as [TensorValue, TensorValue];
      return sum(ctx, elementWise(ctx, a, b, "kPROD"), [axis], false, null);
    },
  ),
];
