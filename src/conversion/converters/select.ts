import { type Dim, sameDim } from "../../network/symbolic.js";
import { fromStart, iota, like, numberLike, sliceAxis, sliceBounds, spliceDims } from "../axes.js";
import type { ConversionContext } from "../context.js";
import { castTo, normalizeAxis, reshape } from "../operands.js";
import { converter } from "../registry.js";
import type { TensorValue } from "../values.js";

/** One element of an axis, without it. */
export function selected(ctx: ConversionContext, self: TensorValue, dim: number, index: Dim): TensorValue {
  const axis = normalizeAxis(ctx, dim, self.dims.length);
  const at = fromStart(index, self.dims[axis] as Dim);
  // A place that comes from data is no shape: only a gather takes it.
  if (typeof at !== "number") {
    return like(ctx, self, ctx.network.addGather(self.tensor, ctx.network.scalarTensor(at), axis));
  }
  return like(ctx, self, reshape(ctx, sliceAxis(ctx, self.tensor, axis, at, 1), spliceDims(self.dims, axis, 1)));
}

export const select = [
  converter("aten::select.int(Tensor(a) self, int dim, SymInt index) -> Tensor(a)", (ctx, { self, dim, index }) =>
    selected(ctx, self, dim, index),
  ),
  converter("aten::select_copy.int(Tensor self, int dim, SymInt index) -> Tensor", (ctx, { self, dim, index }) =>
    selected(ctx, self, dim, index),
  ),
];

function sliced(
  ctx: ConversionContext,
  self: TensorValue,
  dim: number,
  start: Dim | null,
  end: Dim | null,
  step: Dim,
): TensorValue {
  const axis = normalizeAxis(ctx, dim, self.dims.length);
  const whole = self.dims[axis] as Dim;
  const part = sliceBounds(start, end, step, whole);
  if (part.start === 0 && step === 1 && sameDim(part.size, whole)) return self;
  return like(ctx, self, sliceAxis(ctx, self.tensor, axis, part.start, part.size, step));
}

export const slice = [
  converter(
    "aten::slice.Tensor(Tensor(a) self, int dim=0, SymInt? start=None, SymInt? end=None, SymInt step=1) -> Tensor(a)",
    (ctx, { self, dim, start, end, step }) => sliced(ctx, self, dim, start, end, step),
  ),
  converter(
    "aten::slice_copy.Tensor(Tensor self, int dim=0, SymInt? start=None, SymInt? end=None, SymInt step=1) -> Tensor",
    (ctx, { self, dim, start, end, step }) => sliced(ctx, self, dim, start, end, step),
  ),
];

function narrowed(ctx: ConversionContext, self: TensorValue, dim: number, start: Dim, length: Dim): TensorValue {
  const axis = normalizeAxis(ctx, dim, self.dims.length);
  const first = fromStart(start, self.dims[axis] as Dim);
  return like(ctx, self, sliceAxis(ctx, self.tensor, axis, first, length));
}

export const narrow = [
  converter(
    "aten::narrow(Tensor(a) self, int dim, SymInt start, SymInt length) -> Tensor(a)",
    (ctx, { self, dim, start, length }) => narrowed(ctx, self, dim, start, length),
  ),
  converter(
    "aten::narrow_copy(Tensor self, int dim, SymInt start, SymInt length) -> Tensor",
    (ctx, { self, dim, start, length }) => narrowed(ctx, self, dim, start, length),
  ),
  converter(
    "aten::narrow.Tensor(Tensor(a) self, int dim, Tensor start, SymInt length) -> Tensor(a)",
    (ctx, { self, dim, start, length }) => {
      if (typeof start.scalar === "number") return narrowed(ctx, self, dim, start.scalar, length);
      const axis = normalizeAxis(ctx, dim, self.dims.length);
      const { network } = ctx;
      const offset = reshape(ctx, castTo(ctx, start, "int64").tensor, [1]);
      const zero = numberLike(ctx, offset, 0);
      const fromEnd = network.addElementWise(offset, numberLike(ctx, offset, self.dims[axis] as Dim), "kSUM");
      const first = network.addSelect(network.addElementWise(offset, zero, "kLESS"), fromEnd, offset);
      const places = network.addElementWise(iota(ctx, length), first, "kSUM");
      return like(ctx, self, network.addGather(self.tensor, places, axis));
    },
  ),
];
