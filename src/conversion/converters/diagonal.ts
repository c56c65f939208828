import { isFloatingPoint } from "../../ir/scalar-type.js";
import type { ITensor } from "../../network/layers.js";
import { add, type Dim, max, min, mul, sub } from "../../network/symbolic.js";
import { inversePermutation, iota, like, padAxes, permute, range } from "../axes.js";
import type { ConversionContext } from "../context.js";
import { castTo, expandTo, normalizeAxis, reshape } from "../operands.js";
import { converter } from "../registry.js";
import type { TensorValue } from "../values.js";
import { viewed } from "./view.js";

/** The order that brings two axes to the end. */
function pairLast(rank: number, first: number, second: number): number[] {
  return [...range(rank).filter((axis) => axis !== first && axis !== second), first, second];
}

function diagonalLength(rows: Dim, columns: Dim, offset: number): Dim {
  return max(0, min(add(rows, Math.min(offset, 0)), sub(columns, Math.max(offset, 0))));
}

/** A diagonal is a stride through the matrix laid out flat. */
function diagonalOf(
  ctx: ConversionContext,
  self: TensorValue,
  offset: number,
  dim1: number,
  dim2: number,
): TensorValue {
  const rank = self.dims.length;
  const [first, second] = [normalizeAxis(ctx, dim1, rank), normalizeAxis(ctx, dim2, rank)];
  const matrices = permute(ctx, self.tensor, pairLast(rank, first, second));
  const batch = matrices.dims.slice(0, -2);
  const [rows, columns] = matrices.dims.slice(-2) as [Dim, Dim];
  const flat = reshape(ctx, matrices, [...batch, mul(rows, columns)]);
  const length = diagonalLength(rows, columns, offset);
  const start = length === 0 ? 0 : offset >= 0 ? offset : mul(columns, -offset);
  const slice = ctx.network.addSlice(
    flat,
    [...batch.map(() => 0), start],
    [...batch, length],
    [...batch.map(() => 1), add(columns, 1)],
  );
  return like(ctx, self, slice);
}

/** `[..., n]` on the diagonal of `[..., rows, columns]` that begins `offset` right of, or below, the corner. */
function onDiagonal(ctx: ConversionContext, tensor: ITensor, rows: Dim, columns: Dim, offset: number): ITensor {
  const batch = tensor.dims.slice(0, -1);
  const length = tensor.dims.at(-1) as Dim;
  const zeros = batch.map(() => 0);
  const column = reshape(ctx, tensor, [...batch, length, 1]);
  // Rows longer by one than the matrix has columns: each element moves one column to the right.
  const spaced = padAxes(ctx, column, [...zeros, 0, 0], [...zeros, 0, columns], "kFILL");
  const run = mul(length, add(columns, 1));
  const lead = offset >= 0 ? offset : mul(columns, -offset);
  const flat = reshape(ctx, spaced, [...batch, run]);
  const total = mul(rows, columns);
  const placed = padAxes(ctx, flat, [...zeros, lead], [...zeros, sub(sub(total, run), lead)], "kFILL");
  return reshape(ctx, placed, [...batch, rows, columns]);
}

/** A square matrix for each vector, with it on a diagonal. */
function embedded(ctx: ConversionContext, self: TensorValue, offset: number, dim1: number, dim2: number): TensorValue {
  const rank = self.dims.length + 1;
  const size = add(self.dims.at(-1) as Dim, Math.abs(offset));
  // TensorRT fills slices of numbers only.
  const source = self.dtype === "bool" ? castTo(ctx, self, "int32") : self;
  const square = like(ctx, source, onDiagonal(ctx, source.tensor, size, size, offset));
  const order = inversePermutation(pairLast(rank, normalizeAxis(ctx, dim1, rank), normalizeAxis(ctx, dim2, rank)));
  const matrix = castTo(ctx, square, self.dtype);
  return like(ctx, self, permute(ctx, matrix.tensor, order));
}

export const diagonal = [
  converter(
    "aten::diagonal(Tensor(a) self, int offset=0, int dim1=0, int dim2=1) -> Tensor(a)",
    (ctx, { self, offset, dim1, dim2 }) => diagonalOf(ctx, self, offset, dim1, dim2),
  ),
  converter(
    "aten::diagonal_copy(Tensor self, int offset=0, int dim1=0, int dim2=1) -> Tensor",
    (ctx, { self, offset, dim1, dim2 }) => diagonalOf(ctx, self, offset, dim1, dim2),
  ),
  converter(
    "aten::linalg_diagonal(Tensor(a) A, *, int offset=0, int dim1=-2, int dim2=-1) -> Tensor(a)",
    (ctx, { A, offset, dim1, dim2 }) => diagonalOf(ctx, A, offset, dim1, dim2),
  ),
];

export const diag = [
  converter("aten::diag(Tensor self, int diagonal=0) -> Tensor", (ctx, { self, diagonal: offset }) =>
    self.dims.length === 1 ? embedded(ctx, self, offset, 0, 1) : diagonalOf(ctx, self, offset, 0, 1),
  ),
  converter("aten::diagflat(Tensor self, int offset=0) -> Tensor", (ctx, { self, offset }) =>
    embedded(ctx, viewed(ctx, self, [-1]), offset, 0, 1),
  ),
  converter(
    "aten::diag_embed(Tensor self, int offset=0, int dim1=-2, int dim2=-1) -> Tensor",
    (ctx, { self, offset, dim1, dim2 }) => embedded(ctx, self, offset, dim1, dim2),
  ),
];

export const trace = converter("aten::trace(Tensor self) -> Tensor", (ctx, { self }) => {
  const elements = diagonalOf(ctx, self, 0, 0, 1);
  const summed = castTo(ctx, elements, isFloatingPoint(self.dtype) ? self.dtype : "int64");
  return like(ctx, summed, ctx.network.addReduce(summed.tensor, "kSUM", [0], false));
});

export const diagonalScatter = converter(
  "aten::diagonal_scatter(Tensor self, Tensor src, int offset=0, int dim1=0, int dim2=1) -> Tensor",
  (ctx, { self, src, offset, dim1, dim2 }) => {
    const { network } = ctx;
    const rank = self.dims.length;
    const order = pairLast(rank, normalizeAxis(ctx, dim1, rank), normalizeAxis(ctx, dim2, rank));
    const matrices = permute(ctx, self.tensor, order);
    const batch = matrices.dims.slice(0, -2);
    const [rows, columns] = matrices.dims.slice(-2) as [Dim, Dim];
    const values = castTo(ctx, src, self.dtype);
    const numbers = self.dtype === "bool" ? castTo(ctx, values, "int32") : values;
    const length = diagonalLength(rows, columns, offset);
    const vectors = expandTo(ctx, numbers.tensor, [...batch, length]);
    const placed = castTo(ctx, like(ctx, numbers, onDiagonal(ctx, vectors, rows, columns, offset)), self.dtype);
    const ones = batch.map(() => 1);
    const column = reshape(ctx, iota(ctx, rows, offset), [...ones, rows, 1]);
    const row = reshape(ctx, iota(ctx, columns), [...ones, 1, columns]);
    const result = network.addSelect(network.addElementWise(column, row, "kEQUAL"), placed.tensor, matrices);
    return like(ctx, self, permute(ctx, result, inversePermutation(order)));
  },
);
