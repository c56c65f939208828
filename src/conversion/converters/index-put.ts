import type { ITensor } from "../../network/layers.js";
import { type Dim, volume } from "../../network/symbolic.js";
import { inversePermutation, like, numberLike, permute, spliceDims } from "../axes.js";
import type { ConversionContext } from "../context.js";
import { type AdvancedIndex, advancedIndex, indexedFirst, indexedInPlace, scatterIndexed } from "../indexing.js";
import { castTo, elementWise, expandRank, expandTo, reshape } from "../operands.js";
import { converter } from "../registry.js";
import type { TensorValue } from "../values.js";
import { rowsReduced } from "./scatter.js";

/**
 * A write under one mask whose values do not run along the mask's elements, such as `x[mask] = 0`: a select, which needs
 * to know neither where nor how many they are. Undefined where the values do run along them.
 */
function underMask(
  ctx: ConversionContext,
  self: TensorValue,
  entries: readonly (TensorValue | null)[],
  values: TensorValue,
  accumulate: boolean,
): TensorValue | undefined {
  const present = entries.filter((entry) => entry !== null);
  const [mask] = present;
  if (present.length !== 1 || mask === undefined || (mask.dtype !== "bool" && mask.dtype !== "uint8")) return undefined;
  const before = entries.indexOf(mask);
  const covered = mask.dims.length;
  const behind = self.dims.length - before - covered;
  // The result of self[mask] has one axis for the mask's elements.
  const place = values.dims.length - behind - 1;
  if (place >= 0 && values.dims[place] !== 1) return undefined;
  const cast = castTo(ctx, values, self.dtype).tensor;
  const ones = mask.dims.map(() => 1);
  const value = place < 0 ? cast : reshape(ctx, cast, spliceDims(cast.dims, place, 1, ...ones));
  const wide = [...self.dims.keys()].map((axis) => mask.dims[axis - before] ?? 1);
  const condition = reshape(ctx, castTo(ctx, mask, "bool").tensor, wide);
  // A single value may come with more dims than the tensor has.
  const excess = Math.max(value.dims.length - self.dims.length, 0);
  if (value.dims.slice(0, excess).some((dim) => dim !== 1)) return undefined;
  const written = expandRank(ctx, reshape(ctx, value, value.dims.slice(excess)), self.dims.length);
  const other = accumulate ? elementWise(ctx, self, like(ctx, self, written), "kSUM").tensor : written;
  return like(ctx, self, ctx.network.addSelect(condition, other, self.tensor));
}

/** Values stretched to the result of `self[index]`, as rows: `[...shape, ...rest]`. */
function rowsOf(ctx: ConversionContext, self: TensorValue, index: AdvancedIndex, values: TensorValue): ITensor {
  const rest = self.dims.filter((_, axis) => !index.axes.includes(axis));
  const order = indexedInPlace(index.shape.length, rest.length, index.position);
  const rowDims = [...index.shape, ...rest];
  const inPlace = order.map((axis) => rowDims[axis] as Dim);
  const stretched = expandTo(ctx, castTo(ctx, values, self.dtype).tensor, inPlace);
  return permute(ctx, stretched, inversePermutation(order));
}

/** Adds rows to the places they name; places may be named more than once, which a scatter would not add up. */
function accumulated(ctx: ConversionContext, self: TensorValue, index: AdvancedIndex, rows: ITensor): TensorValue {
  const { network } = ctx;
  const order = indexedFirst(self.dims.length, index.axes);
  const front = permute(ctx, self.tensor, order);
  const sizes = front.dims.slice(0, index.axes.length);
  const rest = front.dims.slice(index.axes.length);
  let flat: ITensor | undefined;
  index.indices.forEach((indices, i) => {
    const wide = expandTo(ctx, network.addCast(indices, "kINT64"), index.shape);
    if (flat === undefined) flat = wide;
    else {
      const scaled = network.addElementWise(flat, numberLike(ctx, flat, sizes[i] as Dim), "kPROD");
      flat = network.addElementWise(scaled, wide, "kSUM");
    }
  });
  const [places, count, width] = [volume(sizes), volume(index.shape), volume(rest)];
  const matrix = like(ctx, self, reshape(ctx, front, [places, width]));
  const named = ctx.tensorValue(reshape(ctx, flat as ITensor, [count]));
  const updates = like(ctx, self, reshape(ctx, rows, [count, width]));
  const total = reshape(ctx, rowsReduced(ctx, matrix, 0, named, updates, "sum").tensor, front.dims);
  return like(ctx, self, permute(ctx, total, inversePermutation(order)));
}

function indexPut(
  ctx: ConversionContext,
  self: TensorValue,
  entries: readonly (TensorValue | null)[],
  values: TensorValue,
  accumulate: boolean,
): TensorValue {
  const masked = underMask(ctx, self, entries, values, accumulate);
  if (masked !== undefined) return masked;
  const index = advancedIndex(ctx, self, entries);
  if (index.shape.includes(0)) return self;
  if (index.indices.length === 0) {
    const written = expandTo(ctx, castTo(ctx, values, self.dtype).tensor, self.dims);
    return accumulate ? elementWise(ctx, self, like(ctx, self, written), "kSUM") : like(ctx, self, written);
  }
  const rows = rowsOf(ctx, self, index, values);
  if (accumulate) return accumulated(ctx, self, index, rows);
  return like(ctx, self, scatterIndexed(ctx, self.tensor, index, rows));
}

const LIMITS = {
  limits:
    "A mask known only at run time whose values run along its elements needs NonZero, which TensorRT-RTX lacks; accumulate compares every place with every index.",
};

export const indexPuts = [
  ...["index_put", "_unsafe_index_put", "_index_put_impl"].flatMap((name) => {
    const unsafe = name === "_index_put_impl" ? ", bool unsafe=False" : "";
    return ["(Tensor self, Tensor?[] indices", ".hacked_twin(Tensor self, Tensor[] indices"].map((start) =>
      converter(
        `aten::${name}${start}, Tensor values, bool accumulate=False${unsafe}) -> Tensor` as "aten::index_put(Tensor self, Tensor?[] indices, Tensor values, bool accumulate=False) -> Tensor",
        (ctx, { self, indices, values, accumulate }) => indexPut(ctx, self, indices, values, accumulate),
        LIMITS,
      ),
    );
  }),
];
