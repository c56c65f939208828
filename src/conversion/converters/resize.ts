import type { ITensor } from "../../network/layers.js";
import { type Dim, type FloatScalar, mul, round, SymFloat, SymInt } from "../../network/symbolic.js";
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
  // Resizing 1-d signals as images of height 1 keeps to what every mode of the layer supports.
  if (spatial === 1) {
    x = reshape(ctx, x, [...x.dims.slice(0, 2), 1, ...x.dims.slice(2)]);
    outputDimensions = [...outputDimensions.slice(0, 2), 1, ...outputDimensions.slice(2)];
    if (factors !== undefined) factors = [1, 1, 1, ...factors.slice(2)];
  }
  const y = network.addResize(x, outputDimensions, {
    resizeMode: mode === "linear" ? "kLINEAR" : mode === "cubic" ? "kCUBIC" : "kNEAREST",
    coordinateTransformation: args.alignCorners ? "kALIGN_CORNERS" : mode === "nearest" ? "kASYMMETRIC" : "kHALF_PIXEL",
    // floor(i * scale) for nearest; floor((i + 0.5) * scale), half up from the half-pixel coordinate, for nearest-exact.
    nearestRounding: mode === "nearest-exact" ? "kHALF_UP" : "kFLOOR",
    cubicCoeff: -0.75,
    scales: factors,
  });
  return spatial === 1 ? reshape(ctx, y, [...y.dims.slice(0, 2), ...y.dims.slice(3)]) : y;
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
  const convert = (ctx: ConversionContext, args: UpsampleArguments): ITensor => {
    const each = names.map((scale) => args[scale as "scales"] ?? null);
    return resize(ctx, mode, {
      self: (args.self ?? args.input) as TensorValue,
      outputSize: args.output_size,
      scales: args.scale_factors ?? (each.includes(null) ? null : each),
      ...(args.align_corners === undefined ? {} : { alignCorners: args.align_corners }),
    });
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
