import type { ITensor } from "../../network/layers.js";
import { type Dim, mul } from "../../network/symbolic.js";
import { iota, range } from "../axes.js";
import type { ConversionContext } from "../context.js";
import { castTo, constantLike, elementWise, reshape } from "../operands.js";
import { converter } from "../registry.js";

/** Where the window's places look along one axis before they are moved, `[1, kernel, windows]` pixels. */
function lookedAt(ctx: ConversionContext, windows: Dim, stride: number, places: readonly number[]): ITensor {
  const starts = reshape(ctx, iota(ctx, windows, 0, stride), [1, 1, windows]);
  return ctx.network.addElementWise(ctx.constant("kINT64", [1, places.length, 1], places), starts, "kSUM");
}

/** Pixels as grid samples count them: pixel p of `size` has its centre at (2p + 1) / size - 1. */
function normalized(ctx: ConversionContext, pixels: ITensor, size: Dim): ITensor {
  const { network } = ctx;
  const count = reshape(ctx, network.addCast(network.scalarTensor(size), pixels.type), [1, 1, 1, 1]);
  const doubled = network.addElementWise(pixels, constantLike(ctx, pixels, 2), "kPROD");
  const odd = network.addElementWise(doubled, constantLike(ctx, pixels, 1), "kSUM");
  const scaled = network.addElementWise(odd, count, "kDIV");
  return network.addElementWise(scaled, constantLike(ctx, pixels, 1), "kSUB");
}

/**
 * A convolution each place of whose window is moved by an offset of its own: the places are sampled, weighed by the mask,
 * and multiplied with the kernel as a matrix.
 */
export const deformConv2d = converter(
  "torchvision::deform_conv2d(Tensor input, Tensor weight, Tensor offset, Tensor mask, Tensor bias, int stride_h, int stride_w, int pad_h, int pad_w, int dilation_h, int dilation_w, int groups, int offset_groups, bool use_mask) -> Tensor",
  (ctx, args) => {
    const { network } = ctx;
    const { input, weight, offset, mask, bias, groups, offset_groups: moved } = args;
    const [batch, channels, height, width] = input.dims as [Dim, number, Dim, Dim];
    const [maps, depth, kh, kw] = weight.dims as [number, number, number, number];
    const [rows, columns] = offset.dims.slice(2) as [Dim, Dim];
    const [places, windows, samples] = [kh * kw, mul(rows, columns), mul(batch, moved)];
    // Of each place how far down, then how far to the right.
    const moves = reshape(ctx, castTo(ctx, offset, input.dtype).tensor, [samples, places, 2, windows]);
    const along = (axis: 0 | 1, size: Dim): ITensor => {
      const [count, stride, pad, dilation] = (
        axis === 0
          ? [rows, args.stride_h, args.pad_h, args.dilation_h]
          : [columns, args.stride_w, args.pad_w, args.dilation_w]
      ) as [Dim, number, number, number];
      const at = range(places).map((place) => (axis === 0 ? Math.floor(place / kw) : place % kw) * dilation - pad);
      const start = network.addCast(lookedAt(ctx, count, stride, at), moves.type);
      const still = reshape(ctx, start, axis === 0 ? [1, places, rows, 1] : [1, places, 1, columns]);
      const move = network.addSlice(moves, [0, 0, axis, 0], [samples, places, 1, windows], [1, 1, 1, 1]);
      const pixels = network.addElementWise(still, reshape(ctx, move, [samples, places, rows, columns]), "kSUM");
      return reshape(ctx, normalized(ctx, pixels, size), [samples, mul(places, rows), columns, 1]);
    };
    const grid = network.addConcatenation([along(1, width), along(0, height)], 3);
    const image = reshape(ctx, input.tensor, [samples, channels / moved, height, width]);
    const sampled = network.addGridSample(image, grid, {
      interpolationMode: "kLINEAR",
      alignCorners: false,
      sampleMode: "kFILL",
    });
    let seen = reshape(ctx, sampled, [batch, moved, channels / moved, places, windows]);
    if (args.use_mask) {
      const factors = castTo(ctx, mask, input.dtype).tensor;
      seen = network.addElementWise(seen, reshape(ctx, factors, [batch, moved, 1, places, windows]), "kPROD");
    }
    const matrix = reshape(ctx, seen, [batch, groups, depth * places, windows]);
    const kernel = reshape(ctx, weight.tensor, [1, groups, maps / groups, depth * places]);
    const product = reshape(ctx, network.addMatrixMultiply(kernel, "kNONE", matrix, "kNONE"), [
      batch,
      maps,
      rows,
      columns,
    ]);
    const shift = ctx.tensorValue(reshape(ctx, bias.tensor, [maps, 1, 1]), bias.dtype);
    return elementWise(ctx, ctx.tensorValue(product, input.dtype), shift, "kSUM");
  },
);
