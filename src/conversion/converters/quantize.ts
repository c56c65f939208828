import { Tensor } from "../../ir/tensor.js";
import type { ITensor } from "../../network/layers.js";
import { type Dim, roundHalfEven } from "../../network/symbolic.js";
import { numbersOf } from "../../network/weights.js";
import type { ConversionContext } from "../context.js";
import { castTo, constantLike, reshape } from "../operands.js";
import { converter } from "../registry.js";
import type { TensorValue } from "../values.js";

/** Numbers of a quantization, named as in the schemas: one for the whole tensor, or one for each index of an axis. */
interface Parameters {
  readonly scale: TensorValue;
  readonly zero_point: TensorValue;
  readonly quant_min: number;
  readonly quant_max: number;
  /** Of the channels; undefined for the whole tensor. */
  readonly axis?: number | undefined;
}

function known(value: TensorValue): number[] | undefined {
  if (typeof value.scalar === "number") return [value.scalar];
  return value.weights === null ? undefined : [...numbersOf(value.weights)];
}

/** The numbers in float32 along their axis of `rank` dims. */
function along(ctx: ConversionContext, value: TensorValue, rank: number, axis: number | undefined): ITensor {
  const dims: Dim[] = Array.from({ length: rank }, (_, i) => (i === axis ? (value.dims[0] as Dim) : 1));
  return reshape(ctx, castTo(ctx, value, "float32").tensor, dims);
}

/**
 * The tensor rounded to `scale * (q - zero_point)` with `q` in `[quant_min, quant_max]`, and where it was inside of that.
 * TensorRT quantizes to int8 around 0, so that the range is `[quant_min - zero_point, quant_max - zero_point]` there: where
 * that fits, Quantize and Dequantize layers do it, which let TensorRT compute what lies between them in int8. All else is
 * arithmetic with the same numbers.
 */
function fakeQuantized(ctx: ConversionContext, self: TensorValue, parameters: Parameters): TensorValue {
  return asLayers(ctx, self, parameters) ?? rounded(ctx, self, parameters).output;
}

function asLayers(ctx: ConversionContext, self: TensorValue, parameters: Parameters): TensorValue | undefined {
  const { network } = ctx;
  const { axis, quant_min, quant_max } = parameters;
  const [scales, zeroPoints] = [known(parameters.scale), known(parameters.zero_point)];
  if (scales === undefined || zeroPoints === undefined || self.dims.length === 0) return undefined;
  const [zero = 0] = zeroPoints;
  if (zeroPoints.some((other) => other !== zero) || scales.some((scale) => !(scale > 0))) return undefined;
  const [low, high] = [quant_min - zero, quant_max - zero];
  if (low < -128 || high > 127) return undefined;
  // TensorRT quantizes only weights a channel.
  if (axis !== undefined && self.weights === null) return undefined;
  const narrow = low !== -128 || high !== 127;
  const [scale = 1] = scales;
  let { tensor } = self;
  if (self.weights !== null) {
    // Rounded here: where nothing computes in int8 after all, TensorRT may leave the layers out.
    tensor = rounded(ctx, self, parameters).output.tensor;
  } else if (narrow) {
    // By these layers, for TensorRT 10.6 quantizes in front of kCLIP and forgets to scale its bounds.
    tensor = castTo(ctx, self, "float32").tensor;
    tensor = network.addElementWise(tensor, constantLike(ctx, tensor, low * Math.fround(scale)), "kMAX");
    tensor = network.addElementWise(tensor, constantLike(ctx, tensor, high * Math.fround(scale)), "kMIN");
    tensor = network.addCast(tensor, self.tensor.type);
  }
  const factor =
    axis === undefined ? ctx.constant("kFLOAT", [], [scale]) : ctx.constant("kFLOAT", [scales.length], scales);
  const quantized = network.addQuantize(tensor, factor, "kINT8", axis ?? -1);
  return ctx.tensorValue(network.addDequantize(quantized, factor, tensor.type, axis ?? -1), self.dtype);
}

function rounded(
  ctx: ConversionContext,
  self: TensorValue,
  { scale, zero_point, quant_min, quant_max, axis }: Parameters,
): { readonly output: TensorValue; readonly inside: () => TensorValue } {
  const { network } = ctx;
  const rank = self.dims.length;
  const factor = along(ctx, scale, rank, axis);
  const zero = along(ctx, zero_point, rank, axis);
  const wide = castTo(ctx, self, "float32").tensor;
  // PyTorch multiplies by the reciprocal, in float.
  const steps = network.addElementWise(
    wide,
    network.addElementWise(constantLike(ctx, factor, 1), factor, "kDIV"),
    "kPROD",
  );
  const quantized = network.addElementWise(network.addUnary(steps, "kROUND"), zero, "kSUM");
  const clamped = network.addActivation(quantized, "kCLIP", quant_min, quant_max);
  const values = network.addElementWise(network.addElementWise(clamped, zero, "kSUB"), factor, "kPROD");
  return {
    output: castTo(ctx, ctx.tensorValue(values, "float32"), self.dtype),
    inside: () => ctx.tensorValue(network.addElementWise(quantized, clamped, "kEQUAL"), "bool"),
  };
}

function withMask(ctx: ConversionContext, self: TensorValue, parameters: Parameters): [TensorValue, TensorValue] {
  if (ctx.node.outputs[1]?.hasUses !== true) {
    const output = fakeQuantized(ctx, self, parameters);
    return [output, output];
  }
  const { output, inside } = rounded(ctx, self, parameters);
  return [output, inside()];
}

/** Numbers of the schema as tensors, as the other overloads have them. */
function constants(ctx: ConversionContext, scale: number, zeroPoint: number): Pick<Parameters, "scale" | "zero_point"> {
  return {
    scale: ctx.constantTensor(Tensor.scalar("float32", scale)),
    zero_point: ctx.constantTensor(Tensor.scalar("int32", zeroPoint)),
  };
}

/** Is a flag that PyTorch keeps as a tensor set? */
function isOn(ctx: ConversionContext, flag: TensorValue, name: string): boolean {
  const [value] =
    known(flag) ??
    ctx.unsupported(`${name} must be known at build time`, "Freeze the model: torch.jit.freeze(model.eval()).");
  return value !== 0;
}

export const fakeQuantize = [
  converter(
    "aten::fake_quantize_per_tensor_affine(Tensor self, float scale, int zero_point, int quant_min, int quant_max) -> Tensor",
    (ctx, { self, scale, zero_point, ...range }) =>
      fakeQuantized(ctx, self, { ...range, ...constants(ctx, scale, zero_point) }),
  ),
  converter(
    "aten::fake_quantize_per_tensor_affine.tensor_qparams(Tensor self, Tensor scale, Tensor zero_point, int quant_min, int quant_max) -> Tensor",
    (ctx, { self, ...parameters }) => fakeQuantized(ctx, self, parameters),
  ),
  converter(
    "aten::fake_quantize_per_channel_affine(Tensor self, Tensor scale, Tensor zero_point, int axis, int quant_min, int quant_max) -> Tensor",
    (ctx, { self, ...parameters }) => fakeQuantized(ctx, self, parameters),
  ),
];

export const fakeQuantizeCachemask = [
  converter(
    "aten::fake_quantize_per_tensor_affine_cachemask(Tensor self, float scale, int zero_point, int quant_min, int quant_max) -> (Tensor output, Tensor mask)",
    (ctx, { self, scale, zero_point, ...range }) =>
      withMask(ctx, self, { ...range, ...constants(ctx, scale, zero_point) }),
  ),
  converter(
    "aten::fake_quantize_per_channel_affine_cachemask(Tensor self, Tensor scale, Tensor zero_point, int axis, int quant_min, int quant_max) -> (Tensor output, Tensor mask)",
    (ctx, { self, ...parameters }) => withMask(ctx, self, parameters),
  ),
  converter(
    "aten::_fake_quantize_per_tensor_affine_cachemask_tensor_qparams(Tensor self, Tensor scale, Tensor zero_point, Tensor fake_quant_enabled, int quant_min, int quant_max) -> (Tensor output, Tensor mask)",
    (ctx, { self, fake_quant_enabled, ...parameters }): [TensorValue, TensorValue] => {
      if (!isOn(ctx, fake_quant_enabled, "fake_quant_enabled")) {
        return ctx.node.outputs[1]?.hasUses === true
          ? ctx.unsupported("the mask of a disabled fake_quantize", "Enable it, or use the first result only.")
          : [self, self];
      }
      return withMask(ctx, self, parameters);
    },
  ),
];

/** Learned zero points are floats, which PyTorch rounds into the range. */
function learned(ctx: ConversionContext, parameters: Parameters): Parameters {
  const { network } = ctx;
  const { zero_point, quant_min, quant_max } = parameters;
  const wide = castTo(ctx, zero_point, "float32").tensor;
  const vector = wide.dims.length === 0 ? reshape(ctx, wide, [1]) : wide;
  const inside = network.addActivation(network.addUnary(vector, "kROUND"), "kCLIP", quant_min, quant_max);
  return { ...parameters, zero_point: ctx.tensorValue(reshape(ctx, inside, zero_point.dims)) };
}

export const fakeQuantizeLearnable = [
  converter(
    "aten::_fake_quantize_learnable_per_tensor_affine(Tensor self, Tensor scale, Tensor zero_point, int quant_min, int quant_max, float grad_factor=1.) -> Tensor",
    (ctx, { self, ...parameters }) => fakeQuantized(ctx, self, learned(ctx, parameters)),
  ),
  converter(
    "aten::_fake_quantize_learnable_per_channel_affine(Tensor self, Tensor scale, Tensor zero_point, int axis, int quant_min, int quant_max, float grad_factor=1.) -> Tensor",
    (ctx, { self, ...parameters }) => fakeQuantized(ctx, self, learned(ctx, parameters)),
  ),
];

interface Observed {
  readonly self: TensorValue;
  readonly observer_on: TensorValue;
  readonly fake_quant_on: TensorValue;
  readonly running_min: TensorValue;
  readonly running_max: TensorValue;
  readonly quant_min: number;
  readonly quant_max: number;
  readonly ch_axis: number;
  readonly per_row_fake_quant: boolean;
  readonly symmetric_quant: boolean;
}

/** PyTorch keeps scales above this, lest they be denormal in half. */
const SMALL_SCALE = Math.fround(6.1e-5);

/** The scale and zero point for numbers from `min` to `max`, as `quant_utils::ChooseQuantizationParams` has them. */
function chooseParameters(
  min: number,
  max: number,
  quantMin: number,
  quantMax: number,
  symmetric: boolean,
): { readonly scale: number; readonly zeroPoint: number } {
  const steps = quantMax - quantMin;
  let low = Math.min(min, 0);
  let high = Math.max(max, 0);
  const centred = symmetric && low < 0 && high > 0;
  if (centred) {
    const half = Math.trunc(steps / 2);
    const widest = Math.max(Math.abs(low / (half + 1)), Math.abs(high / half));
    low = Math.fround(-widest * (half + 1));
    high = Math.fround(widest * half);
  }
  let scale = (high - low) / steps;
  if (Math.fround(scale) === 0 || !Number.isFinite(Math.fround(1 / Math.fround(scale)))) scale = 0.1;
  if (scale < SMALL_SCALE) {
    const amplifier = SMALL_SCALE / scale;
    if (low === 0) high = Math.fround(SMALL_SCALE * steps);
    else if (high === 0) low = Math.fround(-SMALL_SCALE * steps);
    else [low, high] = [Math.fround(low * amplifier), Math.fround(high * amplifier)];
    scale = SMALL_SCALE;
  }
  // Of the two ends, the one that is nearer to 0 gives the zero point with the smaller error.
  const fromLow = Math.abs(quantMin) + Math.abs(low / scale) < Math.abs(quantMax) + Math.abs(high / scale);
  const exact = centred ? (quantMin + quantMax) / 2 : fromLow ? quantMin - low / scale : quantMax - high / scale;
  return { scale: Math.fround(scale), zeroPoint: Math.min(Math.max(roundHalfEven(exact), quantMin), quantMax) };
}

/** Undefined where fake quantization is off. */
function observedParameters(ctx: ConversionContext, args: Observed): Parameters | undefined {
  if (isOn(ctx, args.observer_on, "observer_on")) {
    ctx.unsupported(
      "its observer is on, so that each run would change the scale",
      "Call model.apply(torch.ao.quantization.disable_observer) before tracing or scripting.",
    );
  }
  if (!isOn(ctx, args.fake_quant_on, "fake_quant_on")) return undefined;
  const [mins, maxs] = [known(args.running_min), known(args.running_max)];
  if (mins === undefined || maxs === undefined) {
    return ctx.unsupported("running_min and running_max must be known at build time", "Freeze the model.");
  }
  // PyTorch derives scale and zero point from the observed range at every call, and leaves what it was given unread.
  const chosen = mins.map((min, i) =>
    chooseParameters(min, maxs[i] as number, args.quant_min, args.quant_max, args.symmetric_quant),
  );
  const sizes = args.per_row_fake_quant ? [chosen.length] : [];
  const numbers = (of: "scale" | "zeroPoint"): number[] => chosen.slice(0, sizes[0] ?? 1).map((each) => each[of]);
  return {
    scale: ctx.constantTensor(Tensor.of("float32", sizes, numbers("scale"))),
    zero_point: ctx.constantTensor(Tensor.of("int32", sizes, numbers("zeroPoint"))),
    quant_min: args.quant_min,
    quant_max: args.quant_max,
    axis: args.per_row_fake_quant ? args.ch_axis : undefined,
  };
}

const OBSERVER_LIMITS = { limits: "With the observer disabled, as after torch.ao.quantization.disable_observer." };

export const fusedObserver = [
  converter(
    "aten::fused_moving_avg_obs_fake_quant(Tensor self, Tensor observer_on, Tensor fake_quant_on, Tensor(a!) running_min, Tensor(b!) running_max, Tensor(c!) scale, Tensor(d!) zero_point, float averaging_const, int quant_min, int quant_max, int ch_axis, bool per_row_fake_quant=False, bool symmetric_quant=False) -> Tensor",
    (ctx, args) => {
      const parameters = observedParameters(ctx, args);
      return parameters === undefined ? args.self : fakeQuantized(ctx, args.self, parameters);
    },
    OBSERVER_LIMITS,
  ),
  converter(
    "aten::_fused_moving_avg_obs_fq_helper(Tensor self, Tensor observer_on, Tensor fake_quant_on, Tensor(a!) running_min, Tensor(b!) running_max, Tensor(c!) scale, Tensor(d!) zero_point, float averaging_const, int quant_min, int quant_max, int ch_axis, bool per_row_fake_quant=False, bool symmetric_quant=False) -> (Tensor output, Tensor mask)",
    (ctx, args): [TensorValue, TensorValue] => {
      const parameters = observedParameters(ctx, args);
      return parameters === undefined ? [args.self, args.self] : withMask(ctx, args.self, parameters);
    },
    OBSERVER_LIMITS,
  ),
];

// --- Quantized tensors -----------------------------------------------------------------------------------------------

const RANGES = { qint8: [-128, 127], quint8: [0, 255] } as const;

/** A quantized tensor is kept as the numbers it stands for: rounded already, not yet in integers. */
function quantized(
  ctx: ConversionContext,
  self: TensorValue,
  dtype: string,
  parameters: Pick<Parameters, "scale" | "zero_point" | "axis">,
): TensorValue {
  if (dtype !== "qint8" && dtype !== "quint8") {
    return ctx.unsupported(`quantization to ${dtype}`, "Quantize to qint8 or quint8.");
  }
  const [quant_min, quant_max] = RANGES[dtype];
  const values = fakeQuantized(ctx, self, { ...parameters, quant_min, quant_max });
  return ctx.tensorValue(values.tensor, dtype);
}

export const quantizePerTensor = [
  converter(
    "aten::quantize_per_tensor(Tensor self, float scale, int zero_point, ScalarType dtype) -> Tensor",
    (ctx, { self, scale, zero_point, dtype }) => quantized(ctx, self, dtype, constants(ctx, scale, zero_point)),
  ),
  converter(
    "aten::quantize_per_tensor.tensor_qparams(Tensor self, Tensor scale, Tensor zero_point, ScalarType dtype) -> Tensor",
    (ctx, { self, dtype, ...parameters }) => quantized(ctx, self, dtype, parameters),
  ),
  converter(
    "aten::quantize_per_channel(Tensor self, Tensor scales, Tensor zero_points, int axis, ScalarType dtype) -> Tensor",
    (ctx, { self, scales, zero_points, axis, dtype }) =>
      quantized(ctx, self, dtype, { scale: scales, zero_point: zero_points, axis }),
  ),
];

function dequantized(ctx: ConversionContext, self: TensorValue): TensorValue {
  const { constant } = self;
  if (constant?.quantization !== undefined) return ctx.constantTensor(dequantizedConstant(constant));
  // Already the numbers that the quantized tensor stands for.
  return self.dtype.startsWith("q") ? ctx.tensorValue(self.tensor, "float32") : castTo(ctx, self, "float32");
}

function dequantizedConstant(tensor: Tensor): Tensor {
  const { scale, zeroPoint, axis = 0 } = tensor.quantization ?? { scale: 1, zeroPoint: 0 };
  const inner = tensor.sizes.slice(axis + 1).reduce((product, size) => product * size, 1);
  const channels = tensor.sizes[axis] ?? 1;
  const of = (numbers: number | readonly number[], i: number): number =>
    typeof numbers === "number" ? numbers : (numbers[Math.floor(i / inner) % channels] as number);
  const values = Float32Array.from(tensor.toNumbers(), (q, i) => (q - of(zeroPoint, i)) * of(scale, i));
  return Tensor.of("float32", tensor.sizes, values);
}

export const dequantize = [
  converter("aten::dequantize.self(Tensor self) -> Tensor", (ctx, { self }) => dequantized(ctx, self)),
  converter("aten::dequantize.tensor(Tensor qtensor) -> Tensor", (ctx, { qtensor }) => dequantized(ctx, qtensor)),
  converter("aten::dequantize.tensors(Tensor[] tensors) -> Tensor[]", (ctx, { tensors }) =>
    tensors.map((tensor) => dequantized(ctx, tensor)),
  ),
  converter("aten::dequantize.list(Tensor[] qtensors) -> Tensor[]", (ctx, { qtensors }) =>
    qtensors.map((tensor) => dequantized(ctx, tensor)),
  ),
];
