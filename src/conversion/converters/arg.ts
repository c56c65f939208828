import type { ITensor } from "../../network/layers.js";
import { add, bounds, type Dim, floordiv, sub, volume } from "../../network/symbolic.js";
import { sliceAxis } from "../axes.js";
import type { ConversionContext } from "../context.js";
import { castTo, normalizeAxis, reshape } from "../operands.js";
import { converter } from "../registry.js";
import { TensorValue } from "../values.js";

/** The most elements that TensorRT's top-k gives in order. */
const LARGEST_K = 3840;

interface Ordered {
  readonly values: TensorValue;
  /** int64 */
  readonly indices: TensorValue;
}

/** The k largest or smallest along `dim`, in order. TensorRT orders nothing of less than two dims: those get leading 1s. */
function topK(
  ctx: ConversionContext,
  self: TensorValue,
  k: Dim,
  dim: number,
  largest: boolean,
): { values: ITensor; indices: ITensor; axis: number } {
  const axis = normalizeAxis(ctx, dim, self.dims.length);
  const { max } = bounds(k);
  if (max > LARGEST_K) {
    ctx.unsupported(
      `the order of up to ${max} elements: TensorRT's top-k gives ${LARGEST_K} at most`,
      "Sort fewer elements, or bound the dim in inputs: to that many.",
    );
  }
  // TensorRT orders numbers, not bools.
  const x = self.dtype === "bool" ? castTo(ctx, self, "int32").tensor : self.tensor;
  const leading = Array.from({ length: Math.max(2 - x.dims.length, 0) }, () => 1);
  const ranked = reshape(ctx, x, [...leading, ...x.dims]);
  const [values, indices] = ctx.network.addTopK(
    ranked,
    largest ? "kMAX" : "kMIN",
    k,
    axis + ranked.dims.length - Math.max(self.dims.length, 1),
  );
  return { values, indices, axis };
}

function ordered(ctx: ConversionContext, self: TensorValue, k: Dim, dim: number, largest: boolean): Ordered {
  const { values, indices, axis } = topK(ctx, self, k, dim, largest);
  const dims = self.dims.map((extent, i) => (i === axis ? k : extent));
  return finish(ctx, self, values, indices, dims);
}

function finish(
  ctx: ConversionContext,
  self: TensorValue,
  values: ITensor,
  indices: ITensor,
  dims: readonly Dim[],
): Ordered {
  const computed = ctx.tensorValue(reshape(ctx, values, dims), self.dtype === "bool" ? "int32" : self.dtype);
  return { values: castTo(ctx, computed, self.dtype), indices: ctx.tensorValue(reshape(ctx, indices, dims), "int64") };
}

/** The element of rank `rank` (from 0) along `dim`. */
function nth(
  ctx: ConversionContext,
  self: TensorValue,
  rank: Dim,
  dim: number,
  keepdim: boolean,
  largest: boolean,
): Ordered {
  const { values, indices, axis } = topK(ctx, self, add(rank, 1), dim, largest);
  const offset = values.dims.length - Math.max(self.dims.length, 1);
  const last = (tensor: ITensor): ITensor => sliceAxis(ctx, tensor, axis + offset, rank, 1);
  const dims = keepdim
    ? self.dims.map((extent, i) => (i === axis ? 1 : extent))
    : self.dims.filter((_, i) => i !== axis);
  return finish(ctx, self, last(values), last(indices), dims);
}

function extent(ctx: ConversionContext, self: TensorValue, dim: number): Dim {
  return self.dims[normalizeAxis(ctx, dim, self.dims.length)] ?? 1;
}

const pair = ({ values, indices }: Ordered): [TensorValue, TensorValue] => [values, indices];

export const extremes = (
  [
    ["max", true],
    ["min", false],
  ] as const
).flatMap(([name, largest]) => [
  converter(
    `aten::${name}.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)`,
    (ctx, { self, dim, keepdim }) => pair(nth(ctx, self, 0, dim, keepdim, largest)),
  ),
  converter(
    `aten::arg${name}(Tensor self, int? dim=None, bool keepdim=False) -> Tensor`,
    (ctx, { self, dim, keepdim }) => {
      if (dim !== null) return nth(ctx, self, 0, dim, keepdim, largest).indices;
      // Of all elements in row-major order.
      const flat = ctx.tensorValue(reshape(ctx, self.tensor, [volume(self.dims)]), self.dtype);
      const { indices } = nth(ctx, flat, 0, 0, false, largest);
      return keepdim
        ? reshape(
            ctx,
            indices.tensor,
            self.dims.map(() => 1),
          )
        : indices;
    },
  ),
]);

export const topk = converter(
  "aten::topk(Tensor self, SymInt k, int dim=-1, bool largest=True, bool sorted=True) -> (Tensor values, Tensor indices)",
  (ctx, { self, k, dim, largest }) => pair(ordered(ctx, self, k, dim, largest)),
  { limits: `k up to ${LARGEST_K}` },
);

const SORT_LIMITS = { limits: `up to ${LARGEST_K} elements; equal ones in any order` };

export const sorts = [
  converter(
    "aten::sort(Tensor self, int dim=-1, bool descending=False) -> (Tensor values, Tensor indices)",
    (ctx, { self, dim, descending }) => pair(ordered(ctx, self, extent(ctx, self, dim), dim, descending)),
    SORT_LIMITS,
  ),
  converter(
    "aten::sort.stable(Tensor self, *, bool? stable, int dim=-1, bool descending=False) -> (Tensor values, Tensor indices)",
    (ctx, { self, dim, descending }) => pair(ordered(ctx, self, extent(ctx, self, dim), dim, descending)),
    SORT_LIMITS,
  ),
  converter(
    "aten::argsort(Tensor self, int dim=-1, bool descending=False) -> Tensor",
    (ctx, { self, dim, descending }) => ordered(ctx, self, extent(ctx, self, dim), dim, descending).indices,
    SORT_LIMITS,
  ),
  converter(
    "aten::argsort.stable(Tensor self, *, bool stable, int dim=-1, bool descending=False) -> Tensor",
    (ctx, { self, dim, descending }) => ordered(ctx, self, extent(ctx, self, dim), dim, descending).indices,
    SORT_LIMITS,
  ),
  converter(
    "aten::msort(Tensor self) -> Tensor",
    (ctx, { self }) => ordered(ctx, self, extent(ctx, self, 0), 0, false).values,
    SORT_LIMITS,
  ),
];

/** The k-th smallest, from 1. */
export const kthvalue = converter(
  "aten::kthvalue(Tensor self, SymInt k, int dim=-1, bool keepdim=False) -> (Tensor values, Tensor indices)",
  (ctx, { self, k, dim, keepdim }) => pair(nth(ctx, self, sub(k, 1), dim, keepdim, false)),
  { limits: `k up to ${LARGEST_K}` },
);

/** The lower one of two in the middle. */
export const medians = [
  converter(
    "aten::median.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)",
    (ctx, { self, dim, keepdim }) =>
      pair(nth(ctx, self, floordiv(sub(extent(ctx, self, dim), 1), 2), dim, keepdim, false)),
    SORT_LIMITS,
  ),
  converter(
    "aten::median(Tensor self) -> Tensor",
    (ctx, { self }) => {
      const count = volume(self.dims);
      const flat = TensorValue.of(ctx.network, reshape(ctx, self.tensor, [count]), self.dtype);
      return nth(ctx, flat, floordiv(sub(count, 1), 2), 0, false, false).values;
    },
    SORT_LIMITS,
  ),
];
