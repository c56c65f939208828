import type { Dim } from "../../network/symbolic.js";
import { like, numberLike, sliceAxis } from "../axes.js";
import type { ConversionContext } from "../context.js";
import { nonZero } from "../indexing.js";
import { broadcastShapes, castTo, expandTo, reshape } from "../operands.js";
import { converter } from "../registry.js";
import type { TensorValue } from "../values.js";
import { runningSum } from "./scan.js";
import { atLeast, viewed } from "./view.js";

const LIMITS = { limits: "Of values known only at run time not for TensorRT-RTX, which has no NonZero layer." };

/** `[count, rank]` int64. */
function places(ctx: ConversionContext, self: TensorValue): TensorValue {
  if (self.dims.length === 0)
    return ctx.tensorValue(sliceAxis(ctx, places(ctx, viewed(ctx, self, [1])).tensor, 1, 0, 0));
  return ctx.tensorValue(ctx.network.addShuffle(nonZero(ctx, self), { firstTranspose: [1, 0] }));
}

/** A vector of places an axis. */
function placesByAxis(ctx: ConversionContext, self: TensorValue): TensorValue[] {
  const source = atLeast(ctx, self, 1);
  const found = nonZero(ctx, source);
  const count = found.dims[1] as Dim;
  return source.dims.map((_, axis) => ctx.tensorValue(reshape(ctx, sliceAxis(ctx, found, 0, axis, 1), [count])));
}

export const nonzero = [
  converter("aten::nonzero(Tensor self) -> Tensor", (ctx, { self }) => places(ctx, self), LIMITS),
  converter("aten::argwhere(Tensor self) -> Tensor", (ctx, { self }) => places(ctx, self), LIMITS),
  converter("aten::nonzero_numpy(Tensor self) -> Tensor[]", (ctx, { self }) => placesByAxis(ctx, self), LIMITS),
  converter("aten::where(Tensor condition) -> Tensor[]", (ctx, { condition }) => placesByAxis(ctx, condition), LIMITS),
];

export const maskedSelect = converter(
  "aten::masked_select(Tensor self, Tensor mask) -> Tensor",
  (ctx, { self, mask }) => {
    const dims = broadcastShapes(ctx, self.dims, mask.dims);
    if (dims.length === 0) dims.push(1);
    const everywhere = like(ctx, mask, expandTo(ctx, mask.tensor, dims));
    const rows = ctx.network.addShuffle(nonZero(ctx, everywhere), { firstTranspose: [1, 0] });
    return like(ctx, self, ctx.network.addGather(expandTo(ctx, self.tensor, dims), rows, 0, "kND"));
  },
  LIMITS,
);

/** The n-th true element of the mask takes the n-th element of the source: a running count of the mask says which. */
export const maskedScatter = converter(
  "aten::masked_scatter(Tensor self, Tensor mask, Tensor source) -> Tensor",
  (ctx, { self, mask, source }) => {
    const { network } = ctx;
    const dims = broadcastShapes(ctx, self.dims, mask.dims);
    const everywhere = expandTo(ctx, mask.tensor, dims);
    const flatMask = viewed(ctx, ctx.tensorValue(everywhere, "bool"), [-1]);
    const ones = network.addCast(flatMask.tensor, "kINT32");
    const counts = runningSum(ctx, ones, 0);
    const zero = numberLike(ctx, counts, 0);
    const nth = network.addElementWise(
      network.addElementWise(counts, numberLike(ctx, counts, 1), "kSUB"),
      zero,
      "kMAX",
    );
    const values = castTo(ctx, viewed(ctx, source, [-1]), self.dtype).tensor;
    const chosen = reshape(ctx, network.addGather(values, nth, 0), dims);
    return like(ctx, self, network.addSelect(everywhere, chosen, expandTo(ctx, self.tensor, dims)));
  },
);

/** `size` rows of places; what is missing is `fill_value`, what is too much is cut off. */
export const nonzeroStatic = converter(
  "aten::nonzero_static(Tensor self, *, int size, int fill_value=-1) -> Tensor",
  (ctx, { self, size, fill_value }) => {
    const found = places(ctx, self).tensor;
    const { network } = ctx;
    const rank = found.dims[1] as Dim;
    const fill = ctx.constant("kINT64", [], [fill_value]);
    return ctx.tensorValue(network.addSlice(found, [0, 0], [size, rank], [1, 1], "kFILL", fill));
  },
  LIMITS,
);
