import type { ITensor, Weights } from "../../network/layers.js";
import { floordiv, volume } from "../../network/symbolic.js";
import { makeWeights, numbersOf } from "../../network/weights.js";
import type { ConversionContext } from "../context.js";
import { castTo, constantLike, elementWise, inFloat32, normalizeAxis, reshape } from "../operands.js";
import { converter } from "../registry.js";
import { Scalar, type TensorValue } from "../values.js";

/** `[1, C, 1, ...]` for a value with one number a channel. */
function perChannel(ctx: ConversionContext, value: TensorValue, rank: number): TensorValue {
  const dims = Array.from({ length: rank }, (_, axis) => (axis === 1 ? (value.dims[0] ?? 1) : 1));
  return ctx.tensorValue(reshape(ctx, value.tensor, dims), value.dtype);
}

function numbers(value: TensorValue | null): ArrayLike<number> | null | undefined {
  if (value === null) return null;
  const weights: Weights | null = value.weights;
  return weights === null ? undefined : numbersOf(weights);
}

/**
 * `(x - mean) / sqrt(var + eps) * weight + bias` with frozen statistics: one product and one sum, whose factors are
 * computed in double precision.
 */
function batchNorm(
  ctx: ConversionContext,
  args: {
    input: TensorValue;
    weight: TensorValue | null;
    bias: TensorValue | null;
    running_mean: TensorValue | null;
    running_var: TensorValue | null;
    eps: number;
  },
): ITensor {
  const { input } = args;
  const rank = input.dims.length;
  if (args.running_mean === null || args.running_var === null) {
    return instanceStatistics(ctx, input, args.weight, args.bias, args.eps, [0, ...spatialAxes(rank)]);
  }
  const [mean, variance, weight, bias] = [
    numbers(args.running_mean),
    numbers(args.running_var),
    numbers(args.weight),
    numbers(args.bias),
  ];
  if (mean != null && variance != null && weight !== undefined && bias !== undefined) {
    const channels = mean.length;
    const scale = new Float64Array(channels);
    const shift = new Float64Array(channels);
    for (let c = 0; c < channels; c++) {
      scale[c] = (weight?.[c] ?? 1) / Math.sqrt((variance[c] as number) + args.eps);
      shift[c] = (bias?.[c] ?? 0) - (mean[c] as number) * (scale[c] as number);
    }
    const dims = Array.from({ length: rank }, (_, axis) => (axis === 1 ? channels : 1));
    const x = input.tensor;
    const scaled = ctx.network.addElementWise(x, ctx.network.addConstant(makeWeights(x.type, dims, scale)), "kPROD");
    return ctx.network.addElementWise(scaled, ctx.network.addConstant(makeWeights(x.type, dims, shift)), "kSUM");
  }
  const along = (value: TensorValue): TensorValue => perChannel(ctx, value, rank);
  const centered = elementWise(ctx, input, along(args.running_mean), "kSUB");
  const shifted = elementWise(ctx, along(args.running_var), new Scalar("float", args.eps), "kSUM");
  const y = elementWise(ctx, centered, ctx.tensorValue(ctx.network.addUnary(shifted.tensor, "kSQRT")), "kDIV");
  return affine(ctx, y, args.weight, args.bias);
}

/** `y * weight + bias`, a number a channel each. */
function affine(ctx: ConversionContext, y: TensorValue, weight: TensorValue | null, bias: TensorValue | null): ITensor {
  const rank = y.dims.length;
  let result = y;
  if (weight !== null) result = elementWise(ctx, result, perChannel(ctx, weight, rank), "kPROD");
  if (bias !== null) result = elementWise(ctx, result, perChannel(ctx, bias, rank), "kSUM");
  return result.tensor;
}

function spatialAxes(rank: number): number[] {
  return Array.from({ length: Math.max(rank - 2, 0) }, (_, i) => i + 2);
}

/** Normalization over `axes`, then weight and bias a channel. */
function instanceStatistics(
  ctx: ConversionContext,
  input: TensorValue,
  weight: TensorValue | null,
  bias: TensorValue | null,
  eps: number,
  axes: readonly number[],
): ITensor {
  return affine(ctx, ctx.tensorValue(normalized(ctx, input.tensor, axes, eps)), weight, bias);
}

/** Mean 0 and variance 1 over `axes`. */
function normalized(ctx: ConversionContext, x: ITensor, axes: readonly number[], eps: number): ITensor {
  const ones = x.dims.map(() => 1);
  return ctx.network.addNormalization(x, ctx.constant(x.type, ones, [1]), ctx.constant(x.type, ones, [0]), axes, eps);
}

function refuseTraining(ctx: ConversionContext, training: boolean): void {
  if (training) {
    ctx.unsupported(
      "the graph was made in training mode",
      "Call model.eval() before tracing, scripting or exporting the model.",
    );
  }
}

export const batchNormEval = converter(
  "aten::batch_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, bool training, float momentum, float eps, bool cudnn_enabled) -> Tensor",
  (ctx, args) => {
    if (args.running_mean !== null) refuseTraining(ctx, args.training);
    return batchNorm(ctx, args);
  },
  { limits: "Not in training mode." },
);

/** The statistics that training would save: an empty tensor each in eval mode, which nothing may use. */
function withoutStatistics(ctx: ConversionContext, y: ITensor): [ITensor, ITensor, ITensor] {
  if (ctx.node.outputs.slice(1).some((output) => output.hasUses)) {
    ctx.unsupported("the saved statistics are used", "They exist for training only.");
  }
  return [y, y, y];
}

export const nativeBatchNormNoTraining = converter(
  "aten::_native_batch_norm_legit_no_training(Tensor input, Tensor? weight, Tensor? bias, Tensor running_mean, Tensor running_var, float momentum, float eps) -> (Tensor, Tensor, Tensor)",
  (ctx, args) => withoutStatistics(ctx, batchNorm(ctx, args)),
);
export const nativeBatchNorm = converter(
  "aten::native_batch_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, bool training, float momentum, float eps) -> (Tensor, Tensor, Tensor)",
  (ctx, args) => {
    refuseTraining(ctx, args.training);
    return withoutStatistics(ctx, batchNorm(ctx, args));
  },
);
export const nativeBatchNormLegit = converter(
  "aten::_native_batch_norm_legit.no_stats(Tensor input, Tensor? weight, Tensor? bias, bool training, float momentum, float eps) -> (Tensor, Tensor, Tensor)",
  (ctx, { input, weight, bias, eps }) =>
    withoutStatistics(ctx, batchNorm(ctx, { input, weight, bias, eps, running_mean: null, running_var: null })),
);

export const instanceNorm = converter(
  "aten::instance_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, bool use_input_stats, float momentum, float eps, bool cudnn_enabled) -> Tensor",
  (ctx, args) => {
    if (!args.use_input_stats) return batchNorm(ctx, args);
    const rank = args.input.dims.length;
    if (rank < 3) ctx.unsupported(`an input of ${rank} dims has no spatial ones to take statistics of`);
    return instanceStatistics(ctx, args.input, args.weight, args.bias, args.eps, spatialAxes(rank));
  },
);

/** Over the trailing `count` dims; weight and bias have those dims. */
export function layerNormOver(
  ctx: ConversionContext,
  input: TensorValue,
  count: number,
  weight: TensorValue | null,
  bias: TensorValue | null,
  eps: number,
): ITensor {
  const x = input.tensor;
  const rank = x.dims.length;
  const axes = Array.from({ length: count }, (_, i) => rank - count + i);
  const dims = x.dims.map((dim, axis) => (axis < rank - count ? 1 : dim));
  const parameter = (value: TensorValue | null, otherwise: number): ITensor =>
    value === null
      ? ctx.constant(
          x.type,
          x.dims.map(() => 1),
          [otherwise],
        )
      : reshape(ctx, ctx.network.addCast(value.tensor, x.type), dims);
  return ctx.network.addNormalization(x, parameter(weight, 1), parameter(bias, 0), axes, eps);
}

export const layerNorm = converter(
  "aten::layer_norm(Tensor input, SymInt[] normalized_shape, Tensor? weight=None, Tensor? bias=None, float eps=1e-05, bool cudnn_enable=True) -> Tensor",
  (ctx, { input, normalized_shape, weight, bias, eps }) =>
    layerNormOver(ctx, input, normalized_shape.length, weight, bias, eps),
);
export const nativeLayerNorm = converter(
  "aten::native_layer_norm(Tensor input, SymInt[] normalized_shape, Tensor? weight, Tensor? bias, float eps) -> (Tensor, Tensor, Tensor)",
  (ctx, { input, normalized_shape, weight, bias, eps }) =>
    withoutStatistics(ctx, layerNormOver(ctx, input, normalized_shape.length, weight, bias, eps)),
);

/** Groups become an axis of their own, which is normalized over with everything behind it. */
function groupNormOver(
  ctx: ConversionContext,
  input: TensorValue,
  groups: number,
  weight: TensorValue | null,
  bias: TensorValue | null,
  eps: number,
): ITensor {
  const x = input.tensor;
  const [batch = 1, ...rest] = x.dims;
  const grouped = reshape(ctx, x, [batch, groups, floordiv(volume(rest), groups)]);
  return affine(ctx, ctx.tensorValue(reshape(ctx, normalized(ctx, grouped, [2], eps), x.dims)), weight, bias);
}

export const groupNorm = converter(
  "aten::group_norm(Tensor input, int num_groups, Tensor? weight=None, Tensor? bias=None, float eps=1e-05, bool cudnn_enabled=True) -> Tensor",
  (ctx, { input, num_groups, weight, bias, eps }) => groupNormOver(ctx, input, num_groups, weight, bias, eps),
);
export const nativeGroupNorm = converter(
  "aten::native_group_norm(Tensor input, Tensor? weight, Tensor? bias, SymInt N, SymInt C, SymInt HxW, int group, float eps) -> (Tensor, Tensor, Tensor)",
  (ctx, { input, weight, bias, group, eps }) =>
    withoutStatistics(ctx, groupNormOver(ctx, input, group, weight, bias, eps)),
);

/** `x / sqrt(mean(x^2) + eps) * weight`, by default with the epsilon of the type that is computed with. */
export const rmsNorm = converter(
  "aten::rms_norm(Tensor input, SymInt[] normalized_shape, Tensor? weight=None, float? eps=None) -> Tensor",
  (ctx, { input, normalized_shape, weight, eps }) => {
    const { network } = ctx;
    return inFloat32(ctx, input.dtype, (dtype) => {
      const x = castTo(ctx, input, dtype).tensor;
      const axes = normalized_shape.map((_, i) => x.dims.length - normalized_shape.length + i);
      const squares = network.addReduce(network.addElementWise(x, x, "kPROD"), "kAVG", axes, true);
      const epsilon = constantLike(ctx, squares, eps ?? (dtype === "float64" ? 2 ** -52 : 2 ** -23));
      const root = network.addUnary(network.addElementWise(squares, epsilon, "kSUM"), "kSQRT");
      const y = ctx.tensorValue(network.addElementWise(x, root, "kDIV"), dtype);
      return weight === null ? y : elementWise(ctx, y, weight, "kPROD");
    });
  },
);

/** `v * g / |v|`, the norm over every axis but `dim`. */
function weightNorm(ctx: ConversionContext, v: TensorValue, g: TensorValue, dim: number): TensorValue {
  const { network } = ctx;
  const axis = dim === -1 ? -1 : normalizeAxis(ctx, dim, v.dims.length);
  const axes = v.dims.map((_, at) => at).filter((at) => at !== axis);
  return inFloat32(ctx, v.dtype, (dtype) => {
    const wide = castTo(ctx, v, dtype);
    const squares = network.addReduce(network.addElementWise(wide.tensor, wide.tensor, "kPROD"), "kSUM", axes, true);
    const norm = ctx.tensorValue(network.addUnary(squares, "kSQRT"), dtype);
    return elementWise(ctx, wide, elementWise(ctx, g, norm, "kDIV", dtype), "kPROD", dtype);
  });
}

export const weightNorms = [
  converter("aten::_weight_norm(Tensor v, Tensor g, int dim=0) -> Tensor", (ctx, { v, g, dim }) =>
    weightNorm(ctx, v, g, dim),
  ),
  converter("aten::_weight_norm_interface(Tensor v, Tensor g, int dim=0) -> (Tensor, Tensor)", (ctx, { v, g, dim }) => {
    const y = weightNorm(ctx, v, g, dim);
    if (ctx.node.outputs[1]?.hasUses) ctx.unsupported("the norm is used beside the weight");
    return [y, y];
  }),
];
