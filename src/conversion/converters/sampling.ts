import type { ITensor } from "../../network/layers.js";
import { type Dim, type FloatScalar, max, min, SymFloat, sub } from "../../network/symbolic.js";
import { iota, like } from "../axes.js";
import type { ConversionContext } from "../context.js";
import { volumeSampled } from "../decompositions/grid-sample.js";
import { castTo, constantLike, reshape } from "../operands.js";
import { converter } from "../registry.js";
import { type TensorValue, toSymFloat } from "../values.js";

const INTERPOLATION = ["kLINEAR", "kNEAREST", "kCUBIC"] as const;
const PADDING = ["kFILL", "kCLAMP", "kREFLECT"] as const;

function gridSampled(
  ctx: ConversionContext,
  input: TensorValue,
  grid: TensorValue,
  interpolation: number,
  padding: number,
  alignCorners: boolean,
): TensorValue {
  if (input.dims.length === 5 && ctx.capabilities.backend === "tensorrt") {
    if (interpolation === 2) ctx.unsupported("cubic sampling of volumes", "PyTorch refuses it as well.");
    return volumeSampled.convert(ctx, {
      input,
      grid,
      interpolation_mode: interpolation,
      padding_mode: padding,
      align_corners: alignCorners,
    }) as TensorValue;
  }
  const interpolationMode = INTERPOLATION[interpolation] ?? ctx.unsupported(`interpolation mode ${interpolation}`);
  const sampleMode = PADDING[padding] ?? ctx.unsupported(`padding mode ${padding}`);
  const places = castTo(ctx, grid, input.dtype).tensor;
  return like(
    ctx,
    input,
    ctx.network.addGridSample(input.tensor, places, { interpolationMode, alignCorners, sampleMode }),
  );
}

export const gridSampler = [
  converter(
    "aten::grid_sampler(Tensor input, Tensor grid, int interpolation_mode, int padding_mode, bool align_corners) -> Tensor",
    (ctx, { input, grid, interpolation_mode, padding_mode, align_corners }) =>
      gridSampled(ctx, input, grid, interpolation_mode, padding_mode, align_corners),
  ),
  converter(
    "aten::grid_sampler_2d(Tensor input, Tensor grid, int interpolation_mode, int padding_mode, bool align_corners) -> Tensor",
    (ctx, { input, grid, interpolation_mode, padding_mode, align_corners }) =>
      gridSampled(ctx, input, grid, interpolation_mode, padding_mode, align_corners),
  ),
  converter(
    "aten::grid_sampler_3d(Tensor input, Tensor grid, int interpolation_mode, int padding_mode, bool align_corners) -> Tensor",
    (ctx, { input, grid, interpolation_mode, padding_mode, align_corners }) =>
      gridSampled(ctx, input, grid, interpolation_mode, padding_mode, align_corners),
  ),
];

/** Coordinates of pixels from -1 to 1: of their centres, or with the corner pixels' centres at the ends. */
function coordinates(ctx: ConversionContext, size: Dim, alignCorners: boolean): ITensor {
  const { network } = ctx;
  const index = network.addCast(iota(ctx, size), "kFLOAT");
  const number = (value: FloatScalar): ITensor =>
    typeof value === "number"
      ? constantLike(ctx, index, value)
      : reshape(ctx, network.addCast(network.scalarTensor(value), "kFLOAT"), [1]);
  const times = (x: FloatScalar, factor: number): FloatScalar =>
    typeof x === "number" ? x * factor : new SymFloat("mul", [x, factor]);
  // Between the centres of the corners, or of the corners themselves.
  const parts = toSymFloat(alignCorners ? max(sub(size, 1), 1) : size);
  const step = typeof parts === "number" ? 2 / parts : new SymFloat("div", [2, parts]);
  const scaled = network.addElementWise(index, number(step), "kPROD");
  // A single pixel with aligned corners is in the middle.
  const first = alignCorners ? times(toSymFloat(min(sub(size, 1), 1)), -1) : -1;
  const start = network.addElementWise(scaled, number(first), "kSUM");
  return alignCorners ? start : network.addElementWise(start, number(times(step, 0.5)), "kSUM");
}

/** `theta` `[N, 2, 3]` or `[N, 3, 4]`: where each pixel of the output reads the input, `[N, (D,) H, W, 2 or 3]`. */
export const affineGridGenerator = converter(
  "aten::affine_grid_generator(Tensor theta, SymInt[] size, bool align_corners) -> Tensor",
  (ctx, { theta, size, align_corners }) => {
    const { network } = ctx;
    const spatial = size.slice(2);
    const n = spatial.length;
    const batch = size[0] as Dim;
    const wide = castTo(ctx, theta, "float32").tensor;
    const ones = spatial.map(() => 1);
    const column = (at: number): ITensor => {
      const slice = network.addSlice(wide, [0, 0, at], [batch, n, 1], [1, 1, 1]);
      return reshape(ctx, slice, [batch, ...ones, n]);
    };
    // Column 0 goes with x, the last of the spatial dims.
    let sum = column(n);
    spatial.forEach((length, axis) => {
      const dims = [1, ...spatial.map((_, i) => (i === axis ? length : 1)), 1];
      const along = reshape(ctx, coordinates(ctx, length, align_corners), dims);
      sum = network.addElementWise(sum, network.addElementWise(along, column(n - 1 - axis), "kPROD"), "kSUM");
    });
    return castTo(ctx, ctx.tensorValue(sum, "float32"), theta.dtype);
  },
);
