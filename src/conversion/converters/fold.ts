import type { ITensor } from "../../network/layers.js";
import { add, type Dim, floordiv, mul, sub } from "../../network/symbolic.js";
import { iota, like, movedAxis, padAxes, permute, range, spliceDims } from "../axes.js";
import type { ConversionContext } from "../context.js";
import { normalizeAxis, reshape } from "../operands.js";
import { converter } from "../registry.js";
import type { TensorValue } from "../values.js";
import { viewed } from "./view.js";

/** Places of the elements of sliding windows: `outer * i + inner * j` as `[outerSize, innerSize]`. */
function windowPlaces(ctx: ConversionContext, outerSize: Dim, outer: number, innerSize: Dim, inner: number): ITensor {
  const row = reshape(ctx, iota(ctx, outerSize, 0, outer), [outerSize, 1]);
  const column = reshape(ctx, iota(ctx, innerSize, 0, inner), [1, innerSize]);
  return ctx.network.addElementWise(row, column, "kSUM");
}

/** Windows of `size` elements every `step` along an axis; the windows' elements are the last axis of the result. */
function unfolded(
  ctx: ConversionContext,
  self: TensorValue,
  dimension: number,
  size: number,
  step: number,
): TensorValue {
  if (self.dims.length === 0) return viewed(ctx, self, [size]);
  const axis = normalizeAxis(ctx, dimension, self.dims.length);
  const count = add(floordiv(sub(self.dims[axis] as Dim, size), step), 1);
  const windows = ctx.network.addGather(self.tensor, windowPlaces(ctx, count, step, size, 1), axis);
  const rank = windows.dims.length;
  return like(ctx, self, permute(ctx, windows, movedAxis(rank, axis + 1, rank - 1)));
}

export const unfold = [
  converter(
    "aten::unfold(Tensor(a) self, int dimension, int size, int step) -> Tensor(a)",
    (ctx, { self, dimension, size, step }) => unfolded(ctx, self, dimension, size, step),
  ),
  converter(
    "aten::unfold_copy(Tensor self, int dimension, int size, int step) -> Tensor",
    (ctx, { self, dimension, size, step }) => unfolded(ctx, self, dimension, size, step),
  ),
];

function windowCount(size: Dim, kernel: number, dilation: number, padding: number, stride: number): Dim {
  return add(floordiv(sub(add(size, 2 * padding), dilation * (kernel - 1) + 1), stride), 1);
}

/** `[N, C, H, W]` as `[N, C * kernel, windows]`; without a batch likewise. */
export const im2col = converter(
  "aten::im2col(Tensor self, int[2] kernel_size, int[2] dilation, int[2] padding, int[2] stride) -> Tensor",
  (ctx, { self, kernel_size, dilation, padding, stride }) => {
    const [kh, kw] = kernel_size as [number, number];
    const [dh, dw] = dilation as [number, number];
    const [ph, pw] = padding as [number, number];
    const [sh, sw] = stride as [number, number];
    const [batch, channels, height, width] = [1, ...self.dims].slice(-4) as [Dim, Dim, Dim, Dim];
    const image = reshape(ctx, self.tensor, [batch, channels, height, width]);
    const around = [0, 0, ph, pw];
    const wide = ph === 0 && pw === 0 ? image : padAxes(ctx, image, around, around, "kFILL");
    const [rows, columns] = [windowCount(height, kh, dh, ph, sh), windowCount(width, kw, dw, pw, sw)];
    // [N, C, kh, rows, kw, columns]
    const byRow = ctx.network.addGather(wide, windowPlaces(ctx, kh, dh, rows, sh), 2);
    const windows = ctx.network.addGather(byRow, windowPlaces(ctx, kw, dw, columns, sw), 4);
    const ordered = permute(ctx, windows, [0, 1, 2, 4, 3, 5]);
    const dims = [mul(channels, kh * kw), mul(rows, columns)];
    return like(ctx, self, reshape(ctx, ordered, self.dims.length === 4 ? [batch, ...dims] : dims));
  },
);

/** Which window of an axis holds each output element at each place of the kernel, else the zero behind the last one. */
function sourcePlaces(
  ctx: ConversionContext,
  size: number,
  windows: number,
  kernel: number,
  [dilation, padding, stride]: readonly [number, number, number],
): ITensor {
  const places = range(kernel).flatMap((k) =>
    range(size).map((at) => {
      const window = (at + padding - k * dilation) / stride;
      const exists = Number.isInteger(window) && window >= 0 && window < windows;
      return exists ? k * windows + window : kernel * windows;
    }),
  );
  return ctx.constant("kINT64", [kernel, size], places);
}

/** Sums windows where they overlap. Each output element collects its contributions: exact, unlike a product would be. */
export const col2im = converter(
  "aten::col2im(Tensor self, int[2] output_size, int[2] kernel_size, int[2] dilation, int[2] padding, int[2] stride) -> Tensor",
  (ctx, { self, output_size, kernel_size, dilation, padding, stride }) => {
    const { network } = ctx;
    const [height, width] = output_size as [number, number];
    const [kh, kw] = kernel_size as [number, number];
    const [vertical, horizontal] = [0, 1].map((i) => [dilation[i], padding[i], stride[i]]) as [
      [number, number, number],
      [number, number, number],
    ];
    const rows = windowCount(height, kh, ...vertical) as number;
    const columns = windowCount(width, kw, ...horizontal) as number;
    const [batch, stacked] = [1, ...self.dims].slice(-3) as [Dim, Dim];
    const channels = floordiv(stacked, kh * kw);
    const windows = reshape(ctx, self.tensor, [batch, channels, kh, kw, rows, columns]);
    const grid = reshape(ctx, permute(ctx, windows, [0, 1, 2, 4, 3, 5]), [batch, channels, kh * rows, kw * columns]);
    const zeroBehind = padAxes(ctx, grid, [0, 0, 0, 0], [0, 0, 1, 1], "kFILL");
    const byRow = network.addGather(zeroBehind, sourcePlaces(ctx, height, rows, kh, vertical), 2);
    const summedRows = network.addReduce(byRow, "kSUM", [2], false);
    const byColumn = network.addGather(summedRows, sourcePlaces(ctx, width, columns, kw, horizontal), 3);
    const image = network.addReduce(byColumn, "kSUM", [3], false);
    return like(ctx, self, self.dims.length === 3 ? image : reshape(ctx, image, spliceDims(image.dims, 0, 1)));
  },
  { limits: "output_size must be known at build time." },
);
