import type { ITensor } from "../../network/layers.js";
import { type Dim, sameDim } from "../../network/symbolic.js";
import { like, spliceDims } from "../axes.js";
import type { ConversionContext } from "../context.js";
import { advancedIndex, gatherIndexed, wrapIndices } from "../indexing.js";
import { broadcastShapes, expandTo, normalizeAxis, reshape } from "../operands.js";
import { converter } from "../registry.js";
import type { TensorValue } from "../values.js";
import { viewed } from "./view.js";

const MASK_LIMITS = {
  limits: "Masks known only at run time need a NonZero layer, which TensorRT-RTX lacks.",
};

function indexed(ctx: ConversionContext, self: TensorValue, indices: readonly (TensorValue | null)[]): TensorValue {
  return like(ctx, self, gatherIndexed(ctx, self.tensor, advancedIndex(ctx, self, indices)));
}

export const index = [
  converter(
    "aten::index.Tensor(Tensor self, Tensor?[] indices) -> Tensor",
    (ctx, { self, indices }) => indexed(ctx, self, indices),
    MASK_LIMITS,
  ),
  converter(
    "aten::index.Tensor_hacked_twin(Tensor self, Tensor[] indices) -> Tensor",
    (ctx, { self, indices }) => indexed(ctx, self, indices),
    MASK_LIMITS,
  ),
  converter(
    "aten::_unsafe_index.Tensor(Tensor self, Tensor?[] indices) -> Tensor",
    (ctx, { self, indices }) => indexed(ctx, self, indices),
    MASK_LIMITS,
  ),
  converter(
    "aten::_unsafe_index.Tensor_hacked_twin(Tensor self, Tensor[] indices) -> Tensor",
    (ctx, { self, indices }) => indexed(ctx, self, indices),
    MASK_LIMITS,
  ),
];

export const indexSelect = converter(
  "aten::index_select(Tensor self, int dim, Tensor index) -> Tensor",
  (ctx, { self, dim, index }) => {
    if (self.dims.length === 0) return self;
    const axis = normalizeAxis(ctx, dim, self.dims.length);
    // A 0-d index selects one element, and keeps the axis.
    const places = reshape(ctx, index.tensor, [index.dims[0] ?? 1]);
    return like(ctx, self, ctx.network.addGather(self.tensor, places, axis));
  },
);

/** Elements of `tensor` along `axis` at `indices`, which may be smaller than it in the other axes. */
function gathered(ctx: ConversionContext, tensor: ITensor, axis: number, indices: ITensor): ITensor {
  const size = spliceDims(indices.dims, axis, 1, tensor.dims[axis] as Dim);
  const inside = size.every((dim, i) => sameDim(dim, tensor.dims[i] as Dim))
    ? tensor
    : ctx.network.addSlice(
        tensor,
        size.map(() => 0),
        size,
        size.map(() => 1),
      );
  return ctx.network.addGather(inside, indices, axis, "kELEMENT");
}

export const gather = converter(
  "aten::gather(Tensor self, int dim, Tensor index, *, bool sparse_grad=False) -> Tensor",
  (ctx, { self, dim, index }) => {
    const axis = normalizeAxis(ctx, dim, self.dims.length);
    if (self.dims.length === 0) return viewed(ctx, self, index.dims);
    if (index.dims.length === 0) {
      const one = gathered(ctx, self.tensor, 0, reshape(ctx, index.tensor, [1]));
      return like(ctx, self, reshape(ctx, one, []));
    }
    return like(ctx, self, gathered(ctx, self.tensor, axis, index.tensor));
  },
);

export const take = converter("aten::take(Tensor self, Tensor index) -> Tensor", (ctx, { self, index }) => {
  const flat = viewed(ctx, self, [-1]);
  const places = wrapIndices(ctx, index, flat.dims[0] as Dim);
  return like(ctx, self, ctx.network.addGather(flat.tensor, places, 0));
});

export const takeAlongDim = converter(
  "aten::take_along_dim(Tensor self, Tensor indices, int? dim=None) -> Tensor",
  (ctx, { self, indices, dim }) => {
    if (dim === null) {
      return like(ctx, self, gathered(ctx, viewed(ctx, self, [-1]).tensor, 0, viewed(ctx, indices, [-1]).tensor));
    }
    const axis = normalizeAxis(ctx, dim, self.dims.length);
    const common = broadcastShapes(ctx, spliceDims(self.dims, axis, 1, 1), spliceDims(indices.dims, axis, 1, 1));
    const data = expandTo(ctx, self.tensor, spliceDims(common, axis, 1, self.dims[axis] as Dim));
    const places = expandTo(ctx, indices.tensor, spliceDims(common, axis, 1, indices.dims[axis] as Dim));
    return like(ctx, self, ctx.network.addGather(data, places, axis, "kELEMENT"));
  },
);
