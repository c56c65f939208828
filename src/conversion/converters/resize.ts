import { isFloatingPoint } from "../../ir/scalar-type.js";
import { isFloat } from "../../network/enums.js";
import type { ITensor } from "../../network/layers.js";
import { bounds, type Dim, type FloatScalar, mul, round, SymFloat, SymInt } from "../../network/symbolic.js";
import { makeWeights } from "../../network/weights.js";
import { like } from "../axes.js";
import type { ConversionContext } from "../context.js";
import { reshape } from "../operands.js";
import { type Converter, converter } from "../registry.js";
import type { TensorValue } from "../values.js";

type Mode = "nearest" | "nearest-exact" | "linear" | "cubic";

interface ResizeArguments {
  readonly self: TensorValue;
  /** Spatial sizes of the output; null: the input's times `scales`. */
  readonly outputSize: readonly Dim[] | null;
  readonly scales: readonly (FloatScalar | null)[] | null;
  readonly alignCorners?: boolean;
}

/**
 * `torch.nn.functional.interpolate` over the trailing dims. Where the caller gave scale factors, PyTorch maps
 * coordinates by them rather than by the ratio of the sizes, which differ when a size was rounded; aligned corners
 * always go by sizes.
 */
function resize(ctx: ConversionContext, mode: Mode, args: ResizeArguments): ITensor {
  const { network } = ctx;
  let x = args.self.tensor;
  const spatial = x.dims.length - 2;
  const sizes = x.dims.slice(2);
  const scales = args.scales?.every((scale) => typeof scale === "number") ? (args.scales as number[]) : undefined;
  const out =
    args.outputSize ??
    sizes.map((size, i) =>
      scaledSize(ctx, size, args.scales?.[i] ?? ctx.unsupported("neither a size nor a scale factor is given")),
    );
  let outputDimensions: Dim[] = [...x.dims.slice(0, 2), ...out];
  let factors = scales === undefined || args.alignCorners ? undefined : [1, 1, ...scales];
  // With the ratio of the sizes equal to the factor there is nothing to tell apart; sizes serve every library version.
  if (
    factors !== undefined &&
    sizes.every((size, i) => typeof size === "number" && out[i] === size * (factors?.[i + 2] as number))
  ) {
    factors = undefined;
  }
  factors = factors?.map((factor, axis) => layerFactor(ctx, x.dims[axis] as Dim, factor));
  // Resizing 1-d signals as images of height 1 keeps to what every mode of the layer supports.
  if (spatial === 1) {
    x = reshape(ctx, x, [...x.dims.slice(0, 2), 1, ...x.dims.slice(2)]);
    outputDimensions = [...outputDimensions.slice(0, 2), 1, ...outputDimensions.slice(2)];
    if (factors !== undefined) factors = [1, 1, 1, ...factors.slice(2)];
  }
  // Bytes, which PyTorch resizes to the nearest: their numbers are floats too.
  const y = network.addResize(isFloat(x.type) ? x : network.addCast(x, "kFLOAT"), outputDimensions, {
    resizeMode: mode === "linear" ? "kLINEAR" : mode === "cubic" ? "kCUBIC" : "kNEAREST",
    coordinateTransformation: args.alignCorners ? "kALIGN_CORNERS" : mode === "nearest" ? "kASYMMETRIC" : "kHALF_PIXEL",
    // floor(i * scale) for nearest; floor((i + 0.5) * scale), half up from the half-pixel coordinate, for nearest-exact.
    nearestRounding: mode === "nearest-exact" ? "kHALF_UP" : "kFLOOR",
    cubicCoeff: -0.75,
    scales: factors,
  });
  const resized = network.addCast(y, x.type);
  return spatial === 1 ? reshape(ctx, resized, [...resized.dims.slice(0, 2), ...resized.dims.slice(3)]) : resized;
}

/**
 * The float32 by which the layer, which multiplies in float32, finds the size that PyTorch's doubles give: 100 * 0.29 is
 * 28.999... there. The factor itself or a neighbour of it, for every value of the size.
 */
function layerFactor(ctx: ConversionContext, size: Dim, factor: number): number {
  const { min, max } = bounds(size);
  const nearest = Math.fround(factor);
  if (max - min > 2 ** 20) return nearest;
  const isSafe = (candidate: number): boolean => {
    for (let n = min; n <= max; n++) {
      if (Math.floor(Math.fround(n * candidate)) !== Math.floor(n * factor)) return false;
    }
    return true;
  };
  const step = nearest * 2 ** -24;
  const candidates = [0, -1, 1, -2, 2].map((steps) => Math.fround(nearest + steps * 1.5 * step));
  return (
    candidates.find(isSafe) ??
    ctx.unsupported(
      `${size} * ${factor} is another size in float32 than in Python`,
      "Give interpolate() the size instead, made of integers (h * 29 // 100), or narrow the range of the input's size.",
    )
  );
}

function scaledSize(ctx: ConversionContext, size: Dim, scale: FloatScalar): Dim {
  if (typeof size === "number" && typeof scale === "number") return Math.floor(size * scale);
  if (typeof scale === "number" && Number.isInteger(scale) && size instanceof SymInt) return mul(size, scale);
  if (typeof scale === "number" || scale instanceof SymFloat) return round("floor", new SymFloat("mul", [size, scale]));
  return ctx.unsupported("the scale factor is not a number");
}

const NAMES: readonly (readonly [name: string, mode: Mode, spatial: number, align: boolean])[] = [
  ["upsample_nearest1d", "nearest", 1, false],
  ["upsample_nearest2d", "nearest", 2, false],
  ["upsample_nearest3d", "nearest", 3, false],
  ["_upsample_nearest_exact1d", "nearest-exact", 1, false],
  ["_upsample_nearest_exact2d", "nearest-exact", 2, false],
  ["_upsample_nearest_exact3d", "nearest-exact", 3, false],
  ["upsample_linear1d", "linear", 1, true],
  ["upsample_bilinear2d", "linear", 2, true],
  ["upsample_trilinear3d", "linear", 3, true],
  ["upsample_bicubic2d", "cubic", 2, true],
];

const SCALES: Readonly<Record<number, readonly string[]>> = {
  1: ["scales"],
  2: ["scales_h", "scales_w"],
  3: ["scales_d", "scales_h", "scales_w"],
};

/** What every `upsample` operator's arguments are, with those it lacks undefined. */
interface UpsampleArguments {
  readonly self?: TensorValue;
  readonly input?: TensorValue;
  readonly output_size: readonly Dim[] | null;
  readonly scale_factors?: readonly FloatScalar[] | null;
  readonly align_corners?: boolean;
  readonly scales?: FloatScalar | null;
  readonly scales_d?: FloatScalar | null;
  readonly scales_h?: FloatScalar | null;
  readonly scales_w?: FloatScalar | null;
}

/** The two overloads of each: sizes with optional scales an axis, and `.vec` with either. */
export const upsample: readonly Converter[] = NAMES.flatMap(([name, mode, spatial, align]) => {
  const corners = align ? ", bool align_corners" : "";
  const names = SCALES[spatial] as readonly string[];
  const perAxis: string = names.map((scale) => `, SymFloat? ${scale}=None`).join("");
  const convert = (ctx: ConversionContext, args: UpsampleArguments): TensorValue => {
    const each = names.map((scale) => args[scale as "scales"] ?? null);
    const self = (args.self ?? args.input) as TensorValue;
    const resized = resize(ctx, mode, {
      self,
      outputSize: args.output_size,
      scales: args.scale_factors ?? (each.includes(null) ? null : each),
      ...(args.align_corners === undefined ? {} : { alignCorners: args.align_corners }),
    });
    return like(ctx, self, resized);
  };
  return [
    converter(
      `aten::${name}(Tensor self, SymInt[${spatial}] output_size${corners}${perAxis}) -> Tensor` as string,
      convert as never,
    ),
    converter(
      `aten::${name}.vec(Tensor input, SymInt[]? output_size${corners}, SymFloat[]? scale_factors) -> Tensor` as string,
      convert as never,
    ),
  ];
});

/** The weight of an input element at a distance from the output's center, in units of the output's step. */
type Filter = { readonly support: number; readonly weight: (distance: number) => number };

const TRIANGLE: Filter = { support: 1, weight: (x) => Math.max(1 - Math.abs(x), 0) };

/** The cubic convolution kernel with a = -0.5, as Pillow has it; without antialiasing PyTorch uses a = -0.75. */
const CUBIC: Filter = {
  support: 2,
  weight: (distance) => {
    const x = Math.abs(distance);
    if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
    return x < 2 ? -0.5 * (((x - 5) * x + 8) * x - 4) : 0;
  },
};

/** How much each input element adds to each output element of an axis, `[out, size]`: the filter spread over `step` elements. */
function spreadWeights(filter: Filter, size: number, out: number, step: number): Float32Array {
  const weights = new Float32Array(out * size);
  const reach = filter.support * Math.max(step, 1);
  for (let i = 0; i < out; i++) {
    const center = step * (i + 0.5);
    const first = Math.max(Math.trunc(center - reach + 0.5), 0);
    const end = Math.min(Math.trunc(center + reach + 0.5), size);
    const row = Array.from({ length: end - first }, (_, j) =>
      filter.weight((first + j - center + 0.5) / Math.max(step, 1)),
    );
    const sum = row.reduce((a, b) => a + b, 0);
    row.forEach((weight, j) => {
      weights[i * size + first + j] = weight / sum;
    });
  }
  return weights;
}

/** Resizing with antialiasing: a product with a matrix of weights along each axis. */
function antialiased(ctx: ConversionContext, filter: Filter, args: ResizeArguments): ITensor {
  const { network } = ctx;
  const { self, outputSize, scales, alignCorners = false } = args;
  if (!isFloatingPoint(self.dtype))
    return ctx.unsupported(`antialiasing of ${self.dtype} images`, "Cast them to float32 first.");
  const x = self.tensor;
  const weightsOf = (axis: 0 | 1): ITensor => {
    const size = self.dims[axis + 2] as Dim;
    const scale = scales?.[axis] ?? null;
    const out =
      outputSize?.[axis] ??
      scaledSize(ctx, size, scale ?? ctx.unsupported("neither a size nor a scale factor is given"));
    if (typeof size !== "number" || typeof out !== "number" || !(scale === null || typeof scale === "number")) {
      return ctx.unsupported(
        "antialiasing computes its weights at build time, and a size is known only at run time",
        "Fix the height and width in inputs:; the batch may be a range.",
      );
    }
    const ratio = scale === null ? size / out : 1 / scale;
    const step = alignCorners ? (size - 1) / Math.max(out - 1, 1) : ratio;
    return network.addConstant(makeWeights(x.type, [1, 1, out, size], spreadWeights(filter, size, out, step)));
  };
  const rows = network.addMatrixMultiply(weightsOf(0), "kNONE", x, "kNONE");
  return network.addMatrixMultiply(rows, "kNONE", weightsOf(1), "kTRANSPOSE");
}

export const antialiasedUpsample: readonly Converter[] = (
  [
    ["_upsample_bilinear2d_aa", TRIANGLE],
    ["_upsample_bicubic2d_aa", CUBIC],
  ] as const
).flatMap(([name, filter]) => [
  converter(
    `aten::${name}(Tensor self, SymInt[2] output_size, bool align_corners, SymFloat? scales_h=None, SymFloat? scales_w=None) -> Tensor`,
    (ctx, { self, output_size, align_corners, scales_h, scales_w }) =>
      antialiased(ctx, filter, {
        self,
        outputSize: output_size,
        scales: [scales_h, scales_w],
        alignCorners: align_corners,
      }),
    { limits: "Height and width must be known at build time." },
  ),
  converter(
    `aten::${name}.vec(Tensor input, SymInt[]? output_size, bool align_corners, SymFloat[]? scale_factors) -> Tensor`,
    (ctx, { input, output_size, align_corners, scale_factors }) =>
      antialiased(ctx, filter, {
        self: input,
        outputSize: output_size,
        scales: scale_factors,
        alignCorners: align_corners,
      }),
    { limits: "Height and width must be known at build time." },
  ),
]);
