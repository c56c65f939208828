import { isFloatingPoint, type ScalarType } from "../../ir/scalar-type.js";
import type { ITensor } from "../../network/layers.js";
import { bounds, type Dim, sub } from "../../network/symbolic.js";
import { iota, sliceAxis } from "../axes.js";
import type { ConversionContext } from "../context.js";
import {
  castTo,
  constantLike,
  elementWise,
  expandTo,
  normalizeAxis,
  reshape,
  resultType,
  sumResult,
  wrap,
} from "../operands.js";
import { converter } from "../registry.js";
import type { TensorValue } from "../values.js";

/** How two neighbouring stretches become one, for a scan over tensors that belong together. */
type Combine = (before: readonly ITensor[], after: readonly ITensor[]) => ITensor[];

/**
 * Running totals along an axis by doubling: after the step of width w an element holds the total of the 2w elements up
 * to it. log2(n) steps of two layers, whatever the operation; a dim that is a range takes the steps of its maximum.
 * `identities` stand before the first element.
 */
function scan(
  ctx: ConversionContext,
  tensors: readonly ITensor[],
  axis: number,
  identities: readonly number[],
  combine: Combine,
): readonly ITensor[] {
  const { dims } = tensors[0] as ITensor;
  const { max } = bounds(dims[axis] as Dim);
  if (!Number.isFinite(max)) ctx.unsupported("a running total along a dim without an upper bound");
  let totals = tensors;
  for (let width = 1; width < max; width *= 2) {
    const before = totals.map((tensor, i) => shifted(ctx, tensor, axis, width, identities[i] as number));
    totals = combine(before, totals);
  }
  return totals;
}

/** Every element `width` places further along the axis, and `fill` before the first. */
function shifted(ctx: ConversionContext, tensor: ITensor, axis: number, width: number, fill: number): ITensor {
  return ctx.network.addSlice(
    tensor,
    tensor.dims.map((_, i) => (i === axis ? -width : 0)),
    tensor.dims,
    tensor.dims.map(() => 1),
    "kFILL",
    ctx.constant(tensor.type, [], [fill]),
  );
}

/** `self` as something with an axis, in the type that a scan computes with. */
function prepare(ctx: ConversionContext, self: TensorValue, dim: number, dtype: ScalarType): [ITensor, number] {
  const { tensor } = castTo(ctx, self, dtype);
  return [self.dims.length === 0 ? reshape(ctx, tensor, [1]) : tensor, normalizeAxis(ctx, dim, self.dims.length)];
}

/** Sums of the elements up to each one along an axis. */
export function runningSum(ctx: ConversionContext, x: ITensor, axis: number): ITensor {
  const { backend, version } = ctx.capabilities;
  // TensorRT before 10.8 has no layer for it.
  const hasLayer = backend !== "tensorrt" || version[0] > 10 || (version[0] === 10 && version[1] >= 8);
  return hasLayer ? ctx.network.addCumulative(x, axis) : doubled(ctx, x, axis, "kSUM", 0);
}

function doubled(
  ctx: ConversionContext,
  x: ITensor,
  axis: number,
  operation: "kSUM" | "kPROD",
  identity: number,
): ITensor {
  const combine: Combine = ([a], [b]) => [ctx.network.addElementWise(a as ITensor, b as ITensor, operation)];
  return scan(ctx, [x], axis, [identity], combine)[0] as ITensor;
}

export const totals = (
  [
    ["cumsum", runningSum],
    ["cumprod", (ctx: ConversionContext, x: ITensor, axis: number) => doubled(ctx, x, axis, "kPROD", 1)],
  ] as const
).map(([name, total]) =>
  converter(`aten::${name}(Tensor self, int dim, *, ScalarType? dtype=None) -> Tensor`, (ctx, { self, dim, dtype }) => {
    const type = dtype ?? sumResult(self.dtype);
    const [x, axis] = prepare(ctx, self, dim, type);
    return ctx.tensorValue(reshape(ctx, wrap(ctx, total(ctx, x, axis), type), self.dims), type);
  }),
);

/** Of equal elements the last counts, as in PyTorch, and what is not a number wins. */
export const extremes = (
  [
    ["cummax", "kLESS", Number.NEGATIVE_INFINITY],
    ["cummin", "kGREATER", Number.POSITIVE_INFINITY],
  ] as const
).map(([name, worse, worst]) =>
  converter(
    `aten::${name}(Tensor self, int dim) -> (Tensor values, Tensor indices)`,
    (ctx, { self, dim }): [TensorValue, TensorValue] => {
      const { network } = ctx;
      const type = self.dtype === "bool" ? "int32" : self.dtype;
      const [x, axis] = prepare(ctx, self, dim, type);
      const along = x.dims.map((extent, i) => (i === axis ? extent : 1));
      const places = expandTo(ctx, reshape(ctx, iota(ctx, x.dims[axis] as Dim), along), x.dims);
      const limit = isFloatingPoint(type) ? worst : Math.sign(worst) * (type === "int64" ? 2 ** 63 : 2 ** 31 - 1);
      const [values, indices] = scan(ctx, [x, places], axis, [limit, 0], ([a, i], [b, j]) => {
        const keepsFirst = keeps(ctx, a as ITensor, b as ITensor, worse, isFloatingPoint(type));
        return [
          network.addSelect(keepsFirst, a as ITensor, b as ITensor),
          network.addSelect(keepsFirst, i as ITensor, j as ITensor),
        ];
      }) as [ITensor, ITensor];
      const result = ctx.tensorValue(reshape(ctx, values, self.dims), type);
      return [castTo(ctx, result, self.dtype), ctx.tensorValue(reshape(ctx, indices, self.dims), "int64")];
    },
  ),
);

function keeps(ctx: ConversionContext, a: ITensor, b: ITensor, worse: "kLESS" | "kGREATER", floats: boolean): ITensor {
  const { network } = ctx;
  const better = network.addElementWise(b, a, worse);
  if (!floats) return better;
  const numberAfter = network.addUnary(network.addUnary(b, "kISNAN"), "kNOT");
  return network.addElementWise(
    better,
    network.addElementWise(network.addUnary(a, "kISNAN"), numberAfter, "kAND"),
    "kOR",
  );
}

/** log(e^a + e^b), by the larger one. */
export const logcumsumexp = converter("aten::logcumsumexp(Tensor self, int dim) -> Tensor", (ctx, { self, dim }) => {
  const { network } = ctx;
  const [x, axis] = prepare(ctx, self, dim, self.dtype);
  const [total] = scan(ctx, [x], axis, [Number.NEGATIVE_INFINITY], ([before], [after]) => {
    const [a, b] = [before as ITensor, after as ITensor];
    const larger = network.addElementWise(a, b, "kMAX");
    const away = network.addElementWise(network.addElementWise(a, b, "kMIN"), larger, "kSUB");
    const ratio = network.addUnary(away, "kEXP");
    const rest = network.addUnary(network.addElementWise(ratio, constantLike(ctx, ratio, 1), "kSUM"), "kLOG");
    // Two empty stretches, both -inf, have no difference.
    return [network.addSelect(network.addUnary(away, "kISNAN"), larger, network.addElementWise(larger, rest, "kSUM"))];
  });
  return ctx.tensorValue(reshape(ctx, total as ITensor, self.dims), self.dtype);
});

/** `n` times the differences of neighbours along `dim`. */
export const diff = converter(
  "aten::diff(Tensor self, int n=1, int dim=-1, Tensor? prepend=None, Tensor? append=None) -> Tensor",
  (ctx, { self, n, dim, prepend, append }) => {
    const axis = normalizeAxis(ctx, dim, self.dims.length);
    const parts = [prepend, self, append].filter((part) => part !== null);
    const dtype = resultType(...parts);
    let x = ctx.network.addConcatenation(
      parts.map((part) => castTo(ctx, part, dtype).tensor),
      axis,
    );
    for (let i = 0; i < n; i++) {
      const size = sub(x.dims[axis] as Dim, 1);
      const [after, before] = [1, 0].map((start) => ctx.tensorValue(sliceAxis(ctx, x, axis, start, size), dtype)) as [
        TensorValue,
        TensorValue,
      ];
      x = elementWise(ctx, after, before, dtype === "bool" ? "kXOR" : "kSUB", dtype).tensor;
    }
    return ctx.tensorValue(x, dtype);
  },
);
