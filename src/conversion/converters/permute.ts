import { inversePermutation, like, permute as permuted, range } from "../axes.js";
import type { ConversionContext } from "../context.js";
import { normalizeAxis } from "../operands.js";
import { type Converter, converter } from "../registry.js";
import type { TensorValue } from "../values.js";

function reordered(ctx: ConversionContext, self: TensorValue, axes: readonly number[]): TensorValue {
  return axes.every((axis, i) => axis === i) ? self : like(ctx, self, permuted(ctx, self.tensor, axes));
}

/** With two axes exchanged. */
export function transposed(ctx: ConversionContext, self: TensorValue, dim0: number, dim1: number): TensorValue {
  const rank = self.dims.length;
  if (rank === 0) return self;
  const axes = range(rank);
  const [a, b] = [normalizeAxis(ctx, dim0, rank), normalizeAxis(ctx, dim1, rank)];
  axes[a] = b;
  axes[b] = a;
  return reordered(ctx, self, axes);
}

function permutedTo(ctx: ConversionContext, self: TensorValue, dims: readonly number[]): TensorValue {
  return reordered(
    ctx,
    self,
    dims.map((dim) => normalizeAxis(ctx, dim, self.dims.length)),
  );
}

export const permute = [
  "permute(Tensor(a) self, int[] dims) -> Tensor(a)",
  "permute_copy(Tensor self, int[] dims) -> Tensor",
].map((schema) =>
  converter(`aten::${schema as "permute(Tensor self, int[] dims) -> Tensor"}`, (ctx, { self, dims }) =>
    permutedTo(ctx, self, dims),
  ),
);

export const transpose = [
  ...[
    "transpose.int(Tensor(a) self, int dim0, int dim1) -> Tensor(a)",
    "transpose_copy.int(Tensor self, int dim0, int dim1) -> Tensor",
    "swapdims(Tensor(a) self, int dim0, int dim1) -> Tensor(a)",
  ].map((schema) =>
    converter(
      `aten::${schema as "transpose.int(Tensor self, int dim0, int dim1) -> Tensor"}`,
      (ctx, { self, dim0, dim1 }) => transposed(ctx, self, dim0, dim1),
    ),
  ),
  converter("aten::swapaxes(Tensor(a) self, int axis0, int axis1) -> Tensor(a)", (ctx, { self, axis0, axis1 }) =>
    transposed(ctx, self, axis0, axis1),
  ),
];

/** Tensors of fewer than two dims are their own transpose. */
function transposedMatrix(ctx: ConversionContext, self: TensorValue): TensorValue {
  return self.dims.length < 2 ? self : transposed(ctx, self, -2, -1);
}

/** Views of one tensor; the conjugate of a real matrix is itself. */
const views = (
  names: readonly string[],
  view: (ctx: ConversionContext, self: TensorValue) => TensorValue,
): Converter[] =>
  names.map((name) =>
    converter(`aten::${name as "t"}(Tensor(a) self) -> Tensor(a)`, (ctx, { self }) => view(ctx, self)),
  );

export const matrixTranspose = [
  ...views(["t", "mT", "mT.a", "mH", "mH.a", "adjoint", "matrix_H", "matrix_H.a"], transposedMatrix),
  converter("aten::t_copy(Tensor self) -> Tensor", (ctx, { self }) => transposedMatrix(ctx, self)),
];

export const reversed = views(["numpy_T", "numpy_T.a"], (ctx, self) =>
  reordered(ctx, self, range(self.dims.length).reverse()),
);

/** The axes `source` come to the places `destination`; the others keep their order. */
function moved(
  ctx: ConversionContext,
  self: TensorValue,
  source: readonly number[],
  destination: readonly number[],
): TensorValue {
  const rank = self.dims.length;
  const from = source.map((dim) => normalizeAxis(ctx, dim, rank));
  const to = destination.map((dim) => normalizeAxis(ctx, dim, rank));
  const places = new Map(from.map((axis, i) => [axis, to[i] as number]));
  const freePlaces = range(rank).filter((place) => !to.includes(place));
  const placeOf = range(rank).map((axis) => places.get(axis) ?? (freePlaces.shift() as number));
  return reordered(ctx, self, inversePermutation(placeOf));
}

export const movedim = ["movedim", "moveaxis"].flatMap((name) => [
  converter(
    `aten::${name as "movedim"}.int(Tensor(a) self, int source, int destination) -> Tensor(a)`,
    (ctx, { self, source, destination }) => moved(ctx, self, [source], [destination]),
  ),
  converter(
    `aten::${name as "movedim"}.intlist(Tensor(a) self, int[] source, int[] destination) -> Tensor(a)`,
    (ctx, { self, source, destination }) => moved(ctx, self, source, destination),
  ),
]);
