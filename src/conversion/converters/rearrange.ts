import { bounds, type Dim, floordiv, isStatic, max, mod, mul, neg, sub } from "../../network/symbolic.js";
import { like, permute, range, spliceDims } from "../axes.js";
import type { ConversionContext } from "../context.js";
import { normalizeAxis, reshape } from "../operands.js";
import { converter } from "../registry.js";
import type { TensorValue } from "../values.js";
import { transposed } from "./permute.js";
import { viewed } from "./view.js";

/** The start of a window that wraps around: in front of the first element by `shift`. */
function wrappedStart(shift: Dim, size: Dim): Dim {
  if (size === 0) return 0;
  const { min: low, max: high } = bounds(shift);
  const inside = Math.max(Math.abs(low), Math.abs(high)) <= bounds(size).min;
  return inside && !isStatic([size]) ? neg(shift) : mod(neg(shift), max(size, 1));
}

/** Elements moved by `shifts` along the axes; those that leave at an end come back at the other. */
export function rolled(
  ctx: ConversionContext,
  self: TensorValue,
  shifts: readonly Dim[],
  axes: readonly number[],
): TensorValue {
  const rank = self.dims.length;
  if (rank === 0) return self;
  const start: Dim[] = self.dims.map(() => 0);
  axes.forEach((dim, i) => {
    const axis = normalizeAxis(ctx, dim, rank);
    start[axis] = sub(start[axis] as Dim, shifts[i] as Dim);
  });
  const wrapped = start.map((first, axis) => wrappedStart(neg(first), self.dims[axis] as Dim));
  if (wrapped.every((first) => first === 0)) return self;
  const ones = self.dims.map(() => 1);
  return like(ctx, self, ctx.network.addSlice(self.tensor, wrapped, self.dims, ones, "kWRAP"));
}

export const roll = converter(
  "aten::roll(Tensor self, SymInt[1] shifts, int[1] dims=[]) -> Tensor",
  (ctx, { self, shifts, dims }) => {
    if (dims.length > 0) return rolled(ctx, self, shifts, dims);
    return viewed(ctx, rolled(ctx, viewed(ctx, self, [-1]), shifts, [0]), self.dims);
  },
);

export function flipped(ctx: ConversionContext, self: TensorValue, dims: readonly number[]): TensorValue {
  const rank = self.dims.length;
  if (rank === 0 || dims.length === 0) return self;
  const axes = new Set(dims.map((dim) => normalizeAxis(ctx, dim, rank)));
  const start = self.dims.map((dim, axis) => (axes.has(axis) && dim !== 0 ? sub(dim, 1) : 0));
  const stride = self.dims.map((dim, axis) => (axes.has(axis) && dim !== 0 ? -1 : 1));
  return like(ctx, self, ctx.network.addSlice(self.tensor, start, self.dims, stride));
}

export const flip = [
  converter("aten::flip(Tensor self, int[] dims) -> Tensor", (ctx, { self, dims }) => flipped(ctx, self, dims)),
  converter("aten::fliplr(Tensor self) -> Tensor", (ctx, { self }) => flipped(ctx, self, [1])),
  converter("aten::flipud(Tensor self) -> Tensor", (ctx, { self }) => flipped(ctx, self, [0])),
];

export const rot90 = converter(
  "aten::rot90(Tensor self, int k=1, int[] dims=[0, 1]) -> Tensor",
  (ctx, { self, k, dims }) => {
    const [from, to] = dims as [number, number];
    switch (((k % 4) + 4) % 4) {
      case 1:
        return transposed(ctx, flipped(ctx, self, [to]), from, to);
      case 2:
        return flipped(ctx, self, [from, to]);
      case 3:
        return transposed(ctx, flipped(ctx, self, [from]), from, to);
      default:
        return self;
    }
  },
);

export const pixelShuffle = converter(
  "aten::pixel_shuffle(Tensor self, int upscale_factor) -> Tensor",
  (ctx, { self, upscale_factor: r }) => {
    const batch = self.dims.slice(0, -3);
    const [channels, height, width] = self.dims.slice(-3) as [Dim, Dim, Dim];
    const outputs = floordiv(channels, r * r);
    const n = batch.length;
    const blocks = reshape(ctx, self.tensor, [...batch, outputs, r, r, height, width]);
    const rows = permute(ctx, blocks, [...range(n), n, n + 3, n + 1, n + 4, n + 2]);
    return like(ctx, self, reshape(ctx, rows, [...batch, outputs, mul(height, r), mul(width, r)]));
  },
);

export const pixelUnshuffle = converter(
  "aten::pixel_unshuffle(Tensor self, int downscale_factor) -> Tensor",
  (ctx, { self, downscale_factor: r }) => {
    const batch = self.dims.slice(0, -3);
    const [channels, height, width] = self.dims.slice(-3) as [Dim, Dim, Dim];
    const [rows, columns] = [floordiv(height, r), floordiv(width, r)];
    const n = batch.length;
    const blocks = reshape(ctx, self.tensor, [...batch, channels, rows, r, columns, r]);
    const pixels = permute(ctx, blocks, [...range(n), n, n + 2, n + 4, n + 1, n + 3]);
    return like(ctx, self, reshape(ctx, pixels, [...batch, mul(channels, r * r), rows, columns]));
  },
);

function shuffledChannels(ctx: ConversionContext, self: TensorValue, groups: Dim): TensorValue {
  const channels = self.dims[1] as Dim;
  const grouped = reshape(ctx, self.tensor, spliceDims(self.dims, 1, 1, groups, floordiv(channels, groups)));
  const order = range(grouped.dims.length);
  order.splice(1, 2, 2, 1);
  return like(ctx, self, reshape(ctx, permute(ctx, grouped, order), self.dims));
}

export const channelShuffle = [
  converter("aten::channel_shuffle(Tensor self, SymInt groups) -> Tensor", (ctx, { self, groups }) =>
    shuffledChannels(ctx, self, groups),
  ),
  converter("aten::native_channel_shuffle(Tensor self, SymInt groups) -> Tensor", (ctx, { self, groups }) =>
    shuffledChannels(ctx, self, groups),
  ),
];
