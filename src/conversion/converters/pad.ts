import { bounds, type Dim, isSymbolic, max, min } from "../../network/symbolic.js";
import { like, padAxes } from "../axes.js";
import type { ConversionContext } from "../context.js";
import { castTo } from "../operands.js";
import { converter } from "../registry.js";
import * as scalars from "../scalars.js";
import type { TensorValue } from "../values.js";

const SAMPLE_MODES = { constant: "kFILL", reflect: "kREFLECT", replicate: "kCLAMP", circular: "kWRAP" } as const;

type Mode = keyof typeof SAMPLE_MODES;

/** `pad` lists amounts before and after, the last axis first. Negative ones crop. */
export function padded(
  ctx: ConversionContext,
  self: TensorValue,
  pad: readonly Dim[],
  mode: string,
  value: number = 0,
): TensorValue {
  if (!(mode in SAMPLE_MODES)) ctx.unsupported(`unknown padding mode "${mode}"`);
  if (pad.every((amount) => amount === 0)) return self;
  const rank = self.dims.length;
  const amounts = (side: 0 | 1): Dim[] => self.dims.map((_, axis) => pad[2 * (rank - 1 - axis) + side] ?? 0);
  let [before, after] = [amounts(0), amounts(1)];
  // TensorRT fills slices of numbers only.
  const source = self.dtype === "bool" ? castTo(ctx, self, "int32") : self;
  const fill = Number(scalars.castScalar(scalars.float(value), self.dtype).value);
  let { tensor } = source;
  if (mode === "circular" && pad.some((amount) => bounds(amount).min < 0)) {
    // What is cropped does not come round at the other end.
    const cropped = (amount: Dim): Dim => min(amount, 0);
    tensor = padAxes(ctx, tensor, before.map(cropped), after.map(cropped), "kFILL");
    [before, after] = [before, after].map((side) => side.map((amount) => max(amount, 0))) as [Dim[], Dim[]];
  }
  const result = padAxes(ctx, tensor, before, after, SAMPLE_MODES[mode as Mode], fill);
  return castTo(ctx, like(ctx, source, result), self.dtype);
}

export const constantPad = converter(
  "aten::constant_pad_nd(Tensor self, SymInt[] pad, Scalar value=0) -> Tensor",
  (ctx, { self, pad, value }) => {
    if (isSymbolic(value.value)) return ctx.unsupported("the value to pad with must be known at build time");
    return padded(ctx, self, pad, "constant", Number(value.value));
  },
);

export const pad = [
  converter(
    'aten::pad(Tensor self, SymInt[] pad, str mode="constant", float? value=None) -> Tensor',
    (ctx, { self, pad, mode, value }) => padded(ctx, self, pad, mode, value ?? 0),
  ),
  converter(
    "aten::_pad_enum(Tensor self, SymInt[] pad, int mode, float? value=None) -> Tensor",
    (ctx, { self, pad, mode, value }) => {
      // at::padding_mode
      const modes: readonly Mode[] = ["reflect", "replicate", "circular", "constant"];
      return padded(ctx, self, pad, modes[mode] ?? String(mode), value ?? 0);
    },
  ),
  converter("aten::_pad_circular(Tensor self, SymInt[] pad) -> Tensor", (ctx, { self, pad }) =>
    padded(ctx, self, pad, "circular"),
  ),
];

export const reflectionPad = [
  converter("aten::reflection_pad1d(Tensor self, SymInt[2] padding) -> Tensor", (ctx, { self, padding }) =>
    padded(ctx, self, padding, "reflect"),
  ),
  converter("aten::reflection_pad2d(Tensor self, SymInt[4] padding) -> Tensor", (ctx, { self, padding }) =>
    padded(ctx, self, padding, "reflect"),
  ),
  converter("aten::reflection_pad3d(Tensor self, SymInt[6] padding) -> Tensor", (ctx, { self, padding }) =>
    padded(ctx, self, padding, "reflect"),
  ),
];

export const replicationPad = [
  converter("aten::replication_pad1d(Tensor self, SymInt[2] padding) -> Tensor", (ctx, { self, padding }) =>
    padded(ctx, self, padding, "replicate"),
  ),
  converter("aten::replication_pad2d(Tensor self, SymInt[4] padding) -> Tensor", (ctx, { self, padding }) =>
    padded(ctx, self, padding, "replicate"),
  ),
  converter("aten::replication_pad3d(Tensor self, SymInt[6] padding) -> Tensor", (ctx, { self, padding }) =>
    padded(ctx, self, padding, "replicate"),
  ),
];
