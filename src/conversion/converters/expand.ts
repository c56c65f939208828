import type { ITensor } from "../../network/layers.js";
import { type Dim, mul } from "../../network/symbolic.js";
import { numbersOf } from "../../network/weights.js";
import { iota, like, numberLike, range, spliceDims } from "../axes.js";
import type { ConversionContext } from "../context.js";
import { broadcastShapes, castTo, expandRank, expandTo, normalizeAxis, reshape } from "../operands.js";
import { converter } from "../registry.js";
import type { TensorValue } from "../values.js";
import { stacked } from "./concat.js";
import { viewed } from "./view.js";

function expanded(ctx: ConversionContext, self: TensorValue, dims: readonly Dim[]): TensorValue {
  return like(ctx, self, expandTo(ctx, self.tensor, dims));
}

/** A size of -1 leaves the dim as it is. */
function expandedTo(ctx: ConversionContext, self: TensorValue, size: readonly Dim[]): TensorValue {
  const missing = size.length - self.dims.length;
  return expanded(
    ctx,
    self,
    size.map((dim, i) => (dim === -1 ? (self.dims[i - missing] as Dim) : dim)),
  );
}

export const expand = [
  converter("aten::expand(Tensor(a) self, SymInt[] size, *, bool implicit=False) -> Tensor(a)", (ctx, { self, size }) =>
    expandedTo(ctx, self, size),
  ),
  converter("aten::expand_copy(Tensor self, SymInt[] size, *, bool implicit=False) -> Tensor", (ctx, { self, size }) =>
    expandedTo(ctx, self, size),
  ),
  converter("aten::broadcast_to(Tensor(a) self, SymInt[] size) -> Tensor(a)", (ctx, { self, size }) =>
    expandedTo(ctx, self, size),
  ),
  converter("aten::expand_as(Tensor(a) self, Tensor other) -> Tensor(a)", (ctx, { self, other }) =>
    expanded(ctx, self, other.dims),
  ),
  converter("aten::broadcast_tensors(Tensor[] tensors) -> Tensor[]", (ctx, { tensors }) => {
    const dims = broadcastShapes(ctx, ...tensors.map((tensor) => tensor.dims));
    return tensors.map((tensor) => expanded(ctx, tensor, dims));
  }),
];

/** Whole copies along each axis. Missing leading axes are taken as 1. */
function repeated(ctx: ConversionContext, self: TensorValue, repeats: readonly Dim[]): TensorValue {
  const tensor = expandRank(ctx, self.tensor, repeats.length);
  const dims = tensor.dims.map((dim, axis) => mul(dim, repeats[axis] as Dim));
  if (tensor.dims.every((dim, axis) => dim === 1 || repeats[axis] === 1))
    return like(ctx, self, expandTo(ctx, tensor, dims));
  const zeros = dims.map(() => 0);
  const ones = dims.map(() => 1);
  return like(ctx, self, ctx.network.addSlice(tensor, zeros, dims, ones, "kWRAP"));
}

export const repeat = [
  converter("aten::repeat(Tensor self, SymInt[] repeats) -> Tensor", (ctx, { self, repeats }) =>
    repeated(ctx, self, repeats),
  ),
  converter("aten::tile(Tensor self, SymInt[] dims) -> Tensor", (ctx, { self, dims }) =>
    repeated(ctx, self, [...range(Math.max(0, self.dims.length - dims.length)).map(() => 1), ...dims]),
  ),
];

/** Each element `repeats` times along an axis. */
function interleaved(ctx: ConversionContext, self: TensorValue, repeats: Dim, axis: number): TensorValue {
  if (repeats === 1) return self;
  const size = self.dims[axis] as Dim;
  const columns = reshape(ctx, self.tensor, spliceDims(self.dims, axis + 1, 0, 1));
  const copies = expandTo(ctx, columns, spliceDims(self.dims, axis + 1, 0, repeats));
  return like(ctx, self, reshape(ctx, copies, spliceDims(self.dims, axis, 1, mul(size, repeats))));
}

/**
 * Which element stands at each place when element i is repeated `repeats[i]` times: that of the first running total
 * beyond the place.
 */
function interleavedIndices(ctx: ConversionContext, repeats: TensorValue, outputSize: Dim | null): ITensor {
  const { network } = ctx;
  const { weights } = repeats;
  if (weights !== null) {
    const indices = [...numbersOf(weights)].flatMap((count, i) => range(count).map(() => i));
    return ctx.constant("kINT64", [indices.length], indices);
  }
  if (outputSize === null) {
    return ctx.unsupported(
      "the size of the result depends on the values of repeats",
      "Pass output_size=, or repeats known at build time.",
    );
  }
  const count = repeats.dims[0] as Dim;
  const counts = castTo(ctx, repeats, "int64").tensor;
  const row = reshape(ctx, iota(ctx, count), [1, count]);
  const column = reshape(ctx, iota(ctx, count), [count, 1]);
  const upTo = network.addUnary(network.addElementWise(row, column, "kGREATER"), "kNOT");
  const zero = numberLike(ctx, row, 0);
  const terms = network.addSelect(upTo, reshape(ctx, counts, [1, count]), zero);
  const totals = network.addReduce(terms, "kSUM", [1], false);
  const places = reshape(ctx, iota(ctx, outputSize), [outputSize, 1]);
  const passed = network.addUnary(network.addElementWise(reshape(ctx, totals, [1, count]), places, "kGREATER"), "kNOT");
  return network.addReduce(network.addCast(passed, "kINT64"), "kSUM", [1], false);
}

export const repeatInterleave = [
  converter(
    "aten::repeat_interleave.self_int(Tensor self, SymInt repeats, int? dim=None, *, SymInt? output_size=None) -> Tensor",
    (ctx, { self, repeats, dim }) =>
      dim === null
        ? interleaved(ctx, viewed(ctx, self, [-1]), repeats, 0)
        : interleaved(ctx, self, repeats, normalizeAxis(ctx, dim, self.dims.length)),
  ),
  converter(
    "aten::repeat_interleave.self_Tensor(Tensor self, Tensor repeats, int? dim=None, *, SymInt? output_size=None) -> Tensor",
    (ctx, { self, repeats, dim, output_size }) => {
      const source = dim === null ? viewed(ctx, self, [-1]) : self;
      const axis = normalizeAxis(ctx, dim ?? 0, source.dims.length);
      const same = singleNumber(repeats);
      if (same !== undefined) return interleaved(ctx, source, same, axis);
      const indices = interleavedIndices(ctx, repeats, output_size);
      return like(ctx, source, ctx.network.addGather(source.tensor, indices, axis));
    },
    { limits: "Repeats that are known only at run time need output_size." },
  ),
  converter(
    "aten::repeat_interleave.Tensor(Tensor repeats, *, SymInt? output_size=None) -> Tensor",
    (ctx, { repeats, output_size }) =>
      ctx.tensorValue(
        ctx.network.addCast(
          interleavedIndices(ctx, repeats, output_size),
          repeats.dtype === "int32" ? "kINT32" : "kINT64",
        ),
        repeats.dtype === "int32" ? "int32" : "int64",
      ),
    { limits: "Repeats that are known only at run time need output_size." },
  ),
];

/** The number in a tensor of one element that is known at build time. */
function singleNumber(value: TensorValue): number | undefined {
  if (typeof value.scalar === "number") return value.scalar;
  const { weights } = value;
  return weights === null || value.dims.some((dim) => dim !== 1) ? undefined : numbersOf(weights)[0];
}

/** Each tensor along an axis of its own of a common grid; "xy" exchanges the first two axes. */
function grid(ctx: ConversionContext, tensors: readonly TensorValue[], indexing: string): TensorValue[] {
  const axes = range(tensors.length);
  if (indexing === "xy" && tensors.length >= 2) [axes[0], axes[1]] = [1, 0];
  const dims: Dim[] = [];
  tensors.forEach((tensor, i) => {
    dims[axes[i] as number] = tensor.dims[0] ?? 1;
  });
  return tensors.map((tensor, i) => {
    const own = dims.map((dim, axis) => (axis === axes[i] ? dim : 1));
    return like(ctx, tensor, expandTo(ctx, reshape(ctx, tensor.tensor, own), dims));
  });
}

export const meshgrid = [
  converter("aten::meshgrid(Tensor[] tensors) -> Tensor[]", (ctx, { tensors }) => grid(ctx, tensors, "ij")),
  converter("aten::meshgrid.indexing(Tensor[] tensors, *, str indexing) -> Tensor[]", (ctx, { tensors, indexing }) =>
    grid(ctx, tensors, indexing),
  ),
];

/** Every choice of one element from each vector, a row each; a single vector is itself. */
export const cartesianProduct = converter("aten::cartesian_prod(Tensor[] tensors) -> Tensor", (ctx, { tensors }) => {
  const [only] = tensors;
  if (tensors.length === 1 && only !== undefined) return only;
  const columns = grid(ctx, tensors, "ij").map((tensor) => viewed(ctx, tensor, [-1]));
  return stacked(ctx, columns, 1);
});

/** Every choice of `r` elements, in their order. */
export const combinations = converter(
  "aten::combinations(Tensor self, int r=2, bool with_replacement=False) -> Tensor",
  (ctx, { self, r, with_replacement }) => {
    const [length] = self.dims;
    if (typeof length !== "number") {
      return ctx.unsupported("the number of elements must be known at build time", "Give that dim a fixed size.");
    }
    let rows: number[][] = [[]];
    for (let i = 0; i < r; i++) {
      rows = rows.flatMap((row) => {
        const last = row.at(-1);
        const first = last === undefined ? 0 : with_replacement ? last : last + 1;
        return range(length)
          .slice(first)
          .map((next) => [...row, next]);
      });
    }
    if (r === 0) rows = [];
    const places = ctx.constant("kINT64", [rows.length, r], rows.flat());
    return like(ctx, self, ctx.network.addGather(self.tensor, places, 0));
  },
);
