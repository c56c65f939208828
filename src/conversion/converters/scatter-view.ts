import type { ITensor } from "../../network/layers.js";
import { add, type Dim, sameDim, sub } from "../../network/symbolic.js";
import { fromStart, iota, like, movedAxis, permute, sliceAxis, sliceBounds, spliceDims } from "../axes.js";
import type { ConversionContext } from "../context.js";
import { castTo, expandTo, normalizeAxis } from "../operands.js";
import { converter } from "../registry.js";
import type { TensorValue } from "../values.js";
import { rowsWritten } from "./scatter.js";
import { unsqueezed } from "./view.js";

/** `self` with the elements from `start` on, as many as `part` has, replaced: what is before, the part, what is behind. */
function replaced(ctx: ConversionContext, self: TensorValue, axis: number, start: Dim, part: ITensor): TensorValue {
  const whole = self.dims[axis] as Dim;
  const size = part.dims[axis] as Dim;
  if (sameDim(size, whole)) return like(ctx, self, part);
  const end = add(start, size);
  const pieces = [
    ...(start === 0 ? [] : [sliceAxis(ctx, self.tensor, axis, 0, start)]),
    part,
    ...(sameDim(end, whole) ? [] : [sliceAxis(ctx, self.tensor, axis, end, sub(whole, end))]),
  ];
  return like(ctx, self, ctx.network.addConcatenation(pieces, axis));
}

export const selectScatter = converter(
  "aten::select_scatter(Tensor self, Tensor src, int dim, SymInt index) -> Tensor",
  (ctx, { self, src, dim, index }) => {
    const axis = normalizeAxis(ctx, dim, self.dims.length);
    const at = fromStart(index, self.dims[axis] as Dim);
    const row = unsqueezed(ctx, castTo(ctx, src, self.dtype), axis);
    if (typeof at === "number") return replaced(ctx, self, axis, at, row.tensor);
    // A place that comes from data is no shape: only a scatter takes it.
    const { network } = ctx;
    const place = network.addShuffle(network.scalarTensor(at), { reshape: [1] });
    return rowsWritten(ctx, self, axis, place, permute(ctx, row.tensor, movedAxis(row.dims.length, axis, 0)));
  },
);

export const sliceScatter = converter(
  "aten::slice_scatter(Tensor self, Tensor src, int dim=0, SymInt? start=None, SymInt? end=None, SymInt step=1) -> Tensor",
  (ctx, { self, src, dim, start, end, step }) => {
    const axis = normalizeAxis(ctx, dim, self.dims.length);
    const part = sliceBounds(start, end, step, self.dims[axis] as Dim);
    if (part.size === 0) return self;
    const values = expandTo(ctx, castTo(ctx, src, self.dtype).tensor, spliceDims(self.dims, axis, 1, part.size));
    if (step === 1) return replaced(ctx, self, axis, part.start, values);
    const places = iota(ctx, part.size, part.start, step);
    return rowsWritten(ctx, self, axis, places, permute(ctx, values, movedAxis(self.dims.length, axis, 0)));
  },
);
