import { isFloatingPoint } from "../../ir/scalar-type.js";
import { constantOf } from "../../network/fold.js";
import type { ITensor, Weights } from "../../network/layers.js";
import { like, padAxes, permute, sliceAxis, spliceDims } from "../axes.js";
import type { ConversionContext } from "../context.js";
import { elementWise, reshape } from "../operands.js";
import { converter } from "../registry.js";
import type { TensorValue } from "../values.js";

interface ConvolutionArguments {
  readonly input: TensorValue;
  readonly weight: TensorValue;
  readonly bias: TensorValue | null;
  readonly stride: readonly number[];
  readonly padding: readonly number[];
  readonly dilation: readonly number[];
  readonly transposed?: boolean;
  readonly outputPadding?: readonly number[];
  readonly groups: number;
}

/**
 * Convolution and transposed convolution over 1 to 3 dims, with or without a batch dim. TensorRT has no 1-d convolution:
 * it runs as a 2-d one of height 1.
 */
function convolution(ctx: ConversionContext, args: ConvolutionArguments): TensorValue {
  const { network } = ctx;
  if (!isFloatingPoint(args.input.dtype)) {
    ctx.unsupported(`convolutions of ${args.input.dtype} tensors`, "Cast them to float first.");
  }
  const spatial = args.weight.dims.length - 2;
  if (args.weight.dims.some((dim) => typeof dim !== "number")) {
    ctx.unsupported("the sizes of its weight are known only at run time", "Give the weight's input a fixed shape.");
  }
  const all = (list: readonly number[] | undefined, otherwise: number): number[] =>
    Array.from({ length: spatial }, (_, i) => list?.[i] ?? list?.[0] ?? otherwise);
  let stride = all(args.stride, 1);
  let padding = all(args.padding, 0);
  let dilation = all(args.dilation, 1);
  let outputPadding = all(args.outputPadding, 0);
  let kernelSize = args.weight.dims.slice(2).map((dim) => Number(dim));

  let x = args.input.tensor;
  const unbatched = x.dims.length === spatial + 1;
  if (unbatched) x = reshape(ctx, x, [1, ...x.dims]);
  const flat = spatial === 1;
  if (flat) {
    x = reshape(ctx, x, [...x.dims.slice(0, 2), 1, ...x.dims.slice(2)]);
    [stride, padding, dilation, outputPadding, kernelSize] = [
      [1, ...stride],
      [0, ...padding],
      [1, ...dilation],
      [0, ...outputPadding],
      [1, ...kernelSize],
    ];
  }

  const weights = args.weight.weights;
  const [out, perGroup] = args.weight.dims as number[] as [number, number];
  const nbOutputMaps = args.transposed ? perGroup * args.groups : out;
  const kernelDims = [out, perGroup, ...kernelSize];
  let kernel: ITensor | Weights =
    weights === null ? reshape(ctx, args.weight.tensor, kernelDims) : { ...weights, dims: kernelDims };
  const constantBias = args.bias === null ? null : args.bias.weights;
  const options = { strideNd: stride, prePadding: padding, nbGroups: args.groups };

  let y: ITensor;
  let bias = constantBias;
  if (!args.transposed) {
    y = network.addConvolutionNd(x, nbOutputMaps, kernelSize, kernel, bias, { ...options, dilationNd: dilation });
  } else {
    if (dilation.some((step) => step !== 1)) [kernel, kernelSize] = stretchKernel(ctx, kernel, kernelSize, dilation);
    const postPadding = padding.map((pad, i) => pad - (outputPadding[i] as number));
    const missing = postPadding.map((pad) => Math.max(-pad, 0));
    // Output padding beyond the padding reaches where no input contributes: zeros, and the bias on top of them.
    if (missing.some((count) => count > 0)) bias = null;
    y = network.addDeconvolutionNd(x, nbOutputMaps, kernelSize, kernel, bias, {
      ...options,
      postPadding: postPadding.map((pad) => Math.max(pad, 0)),
    });
    if (missing.some((count) => count > 0)) {
      const behind = [0, 0, ...missing];
      const before = behind.map(() => 0);
      y = padAxes(ctx, y, before, behind, "kFILL");
    }
  }
  if (args.bias !== null && bias === null) {
    const shape = [1, nbOutputMaps, ...kernelSize.map(() => 1)];
    y = elementWise(ctx, ctx.tensorValue(y), ctx.tensorValue(reshape(ctx, args.bias.tensor, shape)), "kSUM").tensor;
  }
  if (flat) y = reshape(ctx, y, [...y.dims.slice(0, 2), ...y.dims.slice(3)]);
  return like(ctx, args.input, unbatched ? reshape(ctx, y, y.dims.slice(1)) : y);
}

/** TensorRT-RTX has no kernels for dilated transposed convolutions: the same kernel with zeros in between is not dilated. */
function stretchKernel(
  ctx: ConversionContext,
  kernel: ITensor | Weights,
  kernelSize: readonly number[],
  dilation: readonly number[],
): [ITensor | Weights, number[]] {
  const { network } = ctx;
  let stretched = "id" in kernel ? kernel : network.addConstant(kernel);
  kernelSize.forEach((size, i) => {
    const step = dilation[i] as number;
    if (step === 1 || size === 1) return;
    const axis = i + 2;
    const dims = stretched.dims as readonly number[];
    // [.., size, ..] to [.., size, 1, ..], padded behind to [.., size, step, ..], flattened, its last zeros cut off.
    const column = reshape(ctx, stretched, [...dims.slice(0, axis + 1), 1, ...dims.slice(axis + 1)]);
    const before = column.dims.map(() => 0);
    const spread = padAxes(ctx, column, before, spliceDims(before, axis + 1, 1, step - 1), "kFILL");
    const flat = reshape(ctx, spread, [...dims.slice(0, axis), size * step, ...dims.slice(axis + 1)]);
    stretched = sliceAxis(ctx, flat, axis, 0, step * (size - 1) + 1);
  });
  const size = stretched.dims.slice(2) as number[];
  return [constantOf(stretched) ?? stretched, size];
}

/** `padding="same"`: the odd element goes behind. */
function namedPadding(
  ctx: ConversionContext,
  padding: string,
  { input, weight, dilation }: { input: TensorValue; weight: TensorValue; dilation: readonly number[] },
): { input: TensorValue; padding: number[] } {
  const kernel = weight.dims.slice(2).map(Number);
  if (padding === "valid") return { input, padding: kernel.map(() => 0) };
  const total = kernel.map((size, i) => (dilation[i] ?? dilation[0] ?? 1) * (size - 1));
  const before = total.map((size) => Math.floor(size / 2));
  if (total.every((size) => size % 2 === 0)) return { input, padding: before };
  const x = input.tensor;
  const lead = x.dims.slice(kernel.length).map(() => 0);
  const behind = total.map((size, i) => size - (before[i] as number));
  const padded = padAxes(ctx, x, [...lead, ...before], [...lead, ...behind], "kFILL");
  return { input: like(ctx, input, padded), padding: kernel.map(() => 0) };
}

export const conv1d = converter(
  "aten::conv1d(Tensor input, Tensor weight, Tensor? bias=None, int[1] stride=1, int[1] padding=0, int[1] dilation=1, int groups=1) -> Tensor",
  (ctx, args) => convolution(ctx, args),
);
export const conv2d = converter(
  "aten::conv2d(Tensor input, Tensor weight, Tensor? bias=None, int[2] stride=1, int[2] padding=0, int[2] dilation=1, int groups=1) -> Tensor",
  (ctx, args) => convolution(ctx, args),
);
export const conv3d = converter(
  "aten::conv3d(Tensor input, Tensor weight, Tensor? bias=None, int[3] stride=1, int[3] padding=0, int[3] dilation=1, int groups=1) -> Tensor",
  (ctx, args) => convolution(ctx, args),
);

export const conv1dPadding = converter(
  'aten::conv1d.padding(Tensor input, Tensor weight, Tensor? bias=None, int[1] stride=1, str padding="valid", int[1] dilation=1, int groups=1) -> Tensor',
  (ctx, args) => convolution(ctx, { ...args, ...namedPadding(ctx, args.padding, args) }),
);
export const conv2dPadding = converter(
  'aten::conv2d.padding(Tensor input, Tensor weight, Tensor? bias=None, int[2] stride=1, str padding="valid", int[2] dilation=1, int groups=1) -> Tensor',
  (ctx, args) => convolution(ctx, { ...args, ...namedPadding(ctx, args.padding, args) }),
);
export const conv3dPadding = converter(
  'aten::conv3d.padding(Tensor input, Tensor weight, Tensor? bias=None, int[3] stride=1, str padding="valid", int[3] dilation=1, int groups=1) -> Tensor',
  (ctx, args) => convolution(ctx, { ...args, ...namedPadding(ctx, args.padding, args) }),
);
/** What tracing records of the three above. */
export const _convolutionMode = converter(
  "aten::_convolution_mode(Tensor input, Tensor weight, Tensor? bias, int[] stride, str padding, int[] dilation, int groups) -> Tensor",
  (ctx, args) => convolution(ctx, { ...args, ...namedPadding(ctx, args.padding, args) }),
);

export const convolutionGeneral = converter(
  "aten::convolution(Tensor input, Tensor weight, Tensor? bias, int[] stride, int[] padding, int[] dilation, bool transposed, int[] output_padding, int groups) -> Tensor",
  (ctx, args) => convolution(ctx, { ...args, outputPadding: args.output_padding }),
);
export const _convolution = converter(
  "aten::_convolution(Tensor input, Tensor weight, Tensor? bias, int[] stride, int[] padding, int[] dilation, bool transposed, int[] output_padding, int groups, bool benchmark, bool deterministic, bool cudnn_enabled, bool allow_tf32) -> Tensor",
  (ctx, args) => convolution(ctx, { ...args, outputPadding: args.output_padding }),
);
export const _convolutionDeprecated = converter(
  "aten::_convolution.deprecated(Tensor input, Tensor weight, Tensor? bias, int[] stride, int[] padding, int[] dilation, bool transposed, int[] output_padding, int groups, bool benchmark, bool deterministic, bool cudnn_enabled) -> Tensor",
  (ctx, args) => convolution(ctx, { ...args, outputPadding: args.output_padding }),
);

export const convTranspose1d = converter(
  "aten::conv_transpose1d(Tensor input, Tensor weight, Tensor? bias=None, int[1] stride=1, int[1] padding=0, int[1] output_padding=0, int groups=1, int[1] dilation=1) -> Tensor",
  (ctx, args) => convolution(ctx, { ...args, transposed: true, outputPadding: args.output_padding }),
);
export const convTranspose2d = converter(
  "aten::conv_transpose2d.input(Tensor input, Tensor weight, Tensor? bias=None, int[2] stride=1, int[2] padding=0, int[2] output_padding=0, int groups=1, int[2] dilation=1) -> Tensor",
  (ctx, args) => convolution(ctx, { ...args, transposed: true, outputPadding: args.output_padding }),
);
export const convTranspose3d = converter(
  "aten::conv_transpose3d.input(Tensor input, Tensor weight, Tensor? bias=None, int[3] stride=1, int[3] padding=0, int[3] output_padding=0, int groups=1, int[3] dilation=1) -> Tensor",
  (ctx, args) => convolution(ctx, { ...args, transposed: true, outputPadding: args.output_padding }),
);

/** `(time, batch, channels)` convolved along time with a weight `(width, in, out)`. */
export const convTbc = converter(
  "aten::conv_tbc(Tensor self, Tensor weight, Tensor bias, int pad=0) -> Tensor",
  (ctx, { self, weight, bias, pad }) => {
    const input = like(ctx, self, permute(ctx, self.tensor, [1, 2, 0]));
    const kernel = like(ctx, weight, permute(ctx, weight.tensor, [2, 1, 0]));
    const y = convolution(ctx, { input, weight: kernel, bias, stride: [1], padding: [pad], dilation: [1], groups: 1 });
    return like(ctx, y, permute(ctx, y.tensor, [2, 0, 1]));
  },
);
