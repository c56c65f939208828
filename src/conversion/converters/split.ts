import {
  add,
  bounds,
  ceildiv,
  type Dim,
  floordiv,
  lessOrEqual,
  max,
  min,
  mod,
  mul,
  sub,
} from "../../network/symbolic.js";
import { numbersOf } from "../../network/weights.js";
import { like, range, sliceAxis, sliceBounds, spliceDims, unpackedLength } from "../axes.js";
import type { ConversionContext } from "../context.js";
import { normalizeAxis, reshape } from "../operands.js";
import { converter } from "../registry.js";
import type { TensorValue } from "../values.js";

interface Piece {
  readonly start: Dim;
  readonly size: Dim;
}

function cut(ctx: ConversionContext, self: TensorValue, axis: number, pieces: readonly Piece[]): TensorValue[] {
  const { tensor } = self;
  return pieces.map(({ start, size }) => like(ctx, self, sliceAxis(ctx, tensor, axis, start, size)));
}

/** Pieces of `size`, the last one smaller where that does not divide the axis. */
function piecesOf(size: Dim, count: number, whole: Dim): Piece[] {
  return range(count).map((i) => {
    const start = mul(size, i);
    const rest = sub(whole, start);
    if (i < count - 1 && lessOrEqual(size, rest) === true) return { start, size };
    return lessOrEqual(rest, size) === true && bounds(rest).min >= 0
      ? { start, size: rest }
      : // A dynamic axis may end before this piece begins.
        { start: min(start, whole), size: max(0, min(size, rest)) };
  });
}

/** How many pieces: known from the sizes, or from the number of names that the list is unpacked into. */
function pieceCount(ctx: ConversionContext, count: Dim): number {
  if (typeof count === "number") return count;
  return (
    unpackedLength(ctx) ??
    ctx.unsupported(
      `the number of pieces, ${String(count)}, is known only at run time`,
      "Give the dim that is split a fixed size, or unpack the result into names: a, b = torch.split(...).",
    )
  );
}

function splitBySize(ctx: ConversionContext, self: TensorValue, size: Dim, dim: number): TensorValue[] {
  const axis = normalizeAxis(ctx, dim, self.dims.length);
  const whole = self.dims[axis] as Dim;
  if (size === 0 || whole === 0) return [self];
  return cut(ctx, self, axis, piecesOf(size, pieceCount(ctx, ceildiv(whole, size)), whole));
}

function splitBySizes(ctx: ConversionContext, self: TensorValue, sizes: readonly Dim[], dim: number): TensorValue[] {
  let start: Dim = 0;
  const pieces = sizes.map((size) => {
    const piece = { start, size };
    start = add(start, size);
    return piece;
  });
  return cut(ctx, self, normalizeAxis(ctx, dim, self.dims.length), pieces);
}

/**
 * At most `chunks` pieces of equal size but the last. A dynamic axis gives as many as the list is unpacked into, else all
 * of them, some perhaps empty.
 */
function chunked(ctx: ConversionContext, self: TensorValue, chunks: number, dim: number): TensorValue[] {
  const axis = normalizeAxis(ctx, dim, self.dims.length);
  const whole = self.dims[axis] as Dim;
  const size = ceildiv(whole, chunks);
  if (size === 0) return range(chunks).map(() => self);
  const count = ceildiv(whole, size);
  return cut(
    ctx,
    self,
    axis,
    piecesOf(size, typeof count === "number" ? count : (unpackedLength(ctx) ?? chunks), whole),
  );
}

export const split = [
  converter(
    "aten::split.Tensor(Tensor(a -> *) self, SymInt split_size, int dim=0) -> Tensor(a)[]",
    (ctx, { self, split_size, dim }) => splitBySize(ctx, self, split_size, dim),
  ),
  converter(
    "aten::unsafe_split.Tensor(Tensor self, SymInt split_size, int dim=0) -> Tensor[]",
    (ctx, { self, split_size, dim }) => splitBySize(ctx, self, split_size, dim),
  ),
  converter(
    "aten::split_copy.Tensor(Tensor self, SymInt split_size, int dim=0) -> Tensor[]",
    (ctx, { self, split_size, dim }) => splitBySize(ctx, self, split_size, dim),
  ),
  converter(
    "aten::split(Tensor(a -> *) self, SymInt[] split_sizes, int dim=0) -> Tensor(a)[]",
    (ctx, { self, split_sizes, dim }) => splitBySizes(ctx, self, split_sizes, dim),
  ),
  converter(
    "aten::split.sizes(Tensor(a -> *) self, SymInt[] split_size, int dim=0) -> Tensor(a)[]",
    (ctx, { self, split_size, dim }) => splitBySizes(ctx, self, split_size, dim),
  ),
  converter(
    "aten::split_with_sizes(Tensor(a -> *) self, SymInt[] split_sizes, int dim=0) -> Tensor(a)[]",
    (ctx, { self, split_sizes, dim }) => splitBySizes(ctx, self, split_sizes, dim),
  ),
  converter(
    "aten::unsafe_split_with_sizes(Tensor self, SymInt[] split_sizes, int dim=0) -> Tensor[]",
    (ctx, { self, split_sizes, dim }) => splitBySizes(ctx, self, split_sizes, dim),
  ),
  converter(
    "aten::split_with_sizes_copy(Tensor self, SymInt[] split_sizes, int dim=0) -> Tensor[]",
    (ctx, { self, split_sizes, dim }) => splitBySizes(ctx, self, split_sizes, dim),
  ),
];

const CHUNK_LIMITS = {
  limits: "A dim that is a range gives all pieces, also where PyTorch gives fewer: the last ones are empty then.",
};

export const chunk = [
  converter(
    "aten::chunk(Tensor(a -> *) self, int chunks, int dim=0) -> Tensor(a)[]",
    (ctx, { self, chunks, dim }) => chunked(ctx, self, chunks, dim),
    CHUNK_LIMITS,
  ),
  converter(
    "aten::unsafe_chunk(Tensor self, int chunks, int dim=0) -> Tensor[]",
    (ctx, { self, chunks, dim }) => chunked(ctx, self, chunks, dim),
    CHUNK_LIMITS,
  ),
];

/** Exactly `sections` pieces; the first ones are longer by one where the axis does not divide evenly. */
function sectioned(ctx: ConversionContext, self: TensorValue, sections: number, dim: number): TensorValue[] {
  const axis = normalizeAxis(ctx, dim, self.dims.length);
  const whole = self.dims[axis] as Dim;
  const pieces = range(sections).map((i) => ({
    start: add(mul(floordiv(whole, sections), i), min(i, mod(whole, sections))),
    size: floordiv(add(whole, sections - 1 - i), sections),
  }));
  return cut(ctx, self, axis, pieces);
}

/** `[:i0], [i0:i1], ..., [in:]`. */
function splitAt(ctx: ConversionContext, self: TensorValue, indices: readonly Dim[], dim: number): TensorValue[] {
  const axis = normalizeAxis(ctx, dim, self.dims.length);
  const whole = self.dims[axis] as Dim;
  const pieces = range(indices.length + 1).map((i) =>
    sliceBounds(indices[i - 1] ?? null, indices[i] ?? null, 1, whole),
  );
  return cut(ctx, self, axis, pieces);
}

export const tensorSplit = [
  converter(
    "aten::tensor_split.sections(Tensor(a -> *) self, int sections, int dim=0) -> Tensor(a)[]",
    (ctx, { self, sections, dim }) => sectioned(ctx, self, sections, dim),
  ),
  converter(
    "aten::tensor_split.indices(Tensor(a -> *) self, SymInt[] indices, int dim=0) -> Tensor(a)[]",
    (ctx, { self, indices, dim }) => splitAt(ctx, self, indices, dim),
  ),
  converter(
    "aten::tensor_split.tensor_indices_or_sections(Tensor(a -> *) self, Tensor tensor_indices_or_sections, int dim=0) -> Tensor(a)[]",
    (ctx, { self, tensor_indices_or_sections: where, dim }) => {
      const { weights } = where;
      if (weights === null) {
        return ctx.unsupported(
          "where to split is known only at run time",
          "Pass a list of ints, or a tensor known at build time.",
        );
      }
      const numbers = [...numbersOf(weights)];
      return where.dims.length === 0
        ? sectioned(ctx, self, numbers[0] as number, dim)
        : splitAt(ctx, self, numbers, dim);
    },
  ),
  converter("aten::hsplit.int(Tensor(a -> *) self, int sections) -> Tensor(a)[]", (ctx, { self, sections }) =>
    sectioned(ctx, self, sections, self.dims.length === 1 ? 0 : 1),
  ),
  converter("aten::hsplit.array(Tensor(a -> *) self, int[] indices) -> Tensor(a)[]", (ctx, { self, indices }) =>
    splitAt(ctx, self, indices, self.dims.length === 1 ? 0 : 1),
  ),
  converter("aten::vsplit.int(Tensor(a -> *) self, int sections) -> Tensor(a)[]", (ctx, { self, sections }) =>
    sectioned(ctx, self, sections, 0),
  ),
  converter("aten::vsplit.array(Tensor(a -> *) self, int[] indices) -> Tensor(a)[]", (ctx, { self, indices }) =>
    splitAt(ctx, self, indices, 0),
  ),
  converter("aten::dsplit.int(Tensor(a -> *) self, int sections) -> Tensor(a)[]", (ctx, { self, sections }) =>
    sectioned(ctx, self, sections, 2),
  ),
  converter("aten::dsplit.array(Tensor(a -> *) self, int[] indices) -> Tensor(a)[]", (ctx, { self, indices }) =>
    splitAt(ctx, self, indices, 2),
  ),
];

/** Every element of an axis, without it. */
function unbound(ctx: ConversionContext, self: TensorValue, dim: number): TensorValue[] {
  const axis = normalizeAxis(ctx, dim, self.dims.length);
  const count = pieceCount(ctx, self.dims[axis] as Dim);
  const rest = spliceDims(self.dims, axis, 1);
  const { tensor } = self;
  return range(count).map((i) => like(ctx, self, reshape(ctx, sliceAxis(ctx, tensor, axis, i, 1), rest)));
}

export const unbind = [
  converter("aten::unbind.int(Tensor(a -> *) self, int dim=0) -> Tensor(a)[]", (ctx, { self, dim }) =>
    unbound(ctx, self, dim),
  ),
  converter("aten::unbind_copy.int(Tensor self, int dim=0) -> Tensor[]", (ctx, { self, dim }) =>
    unbound(ctx, self, dim),
  ),
];
