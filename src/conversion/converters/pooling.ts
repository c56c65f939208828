import type { ITensor } from "../../network/layers.js";
import { add, type Dim, equal, floordiv, sameDim } from "../../network/symbolic.js";
import { iota } from "../axes.js";
import type { ConversionContext } from "../context.js";
import { elementWise, reshape } from "../operands.js";
import { converter } from "../registry.js";
import { Scalar, type TensorValue } from "../values.js";

interface PoolingArguments {
  readonly self: TensorValue;
  readonly kernel_size: readonly number[];
  readonly stride: readonly number[];
  readonly padding: readonly number[];
  readonly dilation?: readonly number[];
  readonly ceil_mode: boolean;
  readonly count_include_pad?: boolean;
  readonly divisor_override?: number | null;
}

/** The input as `[N, C, ...]` with 2 or 3 spatial dims, and the way back. */
function batched(
  ctx: ConversionContext,
  self: TensorValue,
  spatial: number,
): { x: ITensor; back: (y: ITensor) => ITensor } {
  let x = self.tensor;
  const unbatched = x.dims.length === spatial + 1;
  if (unbatched) x = reshape(ctx, x, [1, ...x.dims]);
  if (spatial === 1) x = reshape(ctx, x, [...x.dims.slice(0, 2), 1, ...x.dims.slice(2)]);
  return {
    x,
    back: (y) => {
      const dims = spatial === 1 ? [...y.dims.slice(0, 2), ...y.dims.slice(3)] : y.dims;
      if (spatial !== 1 && !unbatched) return y;
      return reshape(ctx, y, unbatched ? dims.slice(1) : dims);
    },
  };
}

/**
 * Padding behind the input for which rounding down gives PyTorch's output size. In ceil mode that is as much as the
 * last window needs, and no window starts in the padding behind.
 */
function postPadding(size: number, kernel: number, stride: number, pad: number, dilation: number): number {
  const window = dilation * (kernel - 1) + 1;
  let out = Math.ceil((size + 2 * pad - window) / stride) + 1;
  if ((out - 1) * stride >= size + pad) out--;
  return Math.max((out - 1) * stride + window - size - pad, 0);
}

function pooling(ctx: ConversionContext, kind: "kMAX" | "kAVERAGE", args: PoolingArguments, spatial: number): ITensor {
  const { network } = ctx;
  const all = (list: readonly number[] | undefined, otherwise: readonly number[]): number[] =>
    Array.from(
      { length: spatial },
      (_, i) => (list?.length ? (list[i] ?? list[0]) : (otherwise[i] ?? otherwise[0])) as number,
    );
  const lead = spatial === 1 ? [1] : [];
  const kernel = [...lead, ...all(args.kernel_size, [1])];
  const stride = [...lead, ...all(args.stride, all(args.kernel_size, [1]))];
  const dilation = [...lead, ...all(args.dilation, [1])];
  let pre = [...lead.map(() => 0), ...all(args.padding, [0])];
  const pool = batched(ctx, args.self, spatial);
  let { x } = pool;

  let post = pre;
  let roundUp = false;
  if (args.ceil_mode) {
    const sizes = x.dims.slice(2);
    if (sizes.every((size) => typeof size === "number")) {
      post = sizes.map((size, i) =>
        postPadding(size, kernel[i] as number, stride[i] as number, pre[i] as number, dilation[i] as number),
      );
    } else if (pre.every((pad, i) => pad + (stride[i] as number) <= (kernel[i] as number))) {
      // A last window that starts in the padding, which PyTorch drops and TensorRT keeps, cannot occur.
      roundUp = true;
    } else {
      ctx.unsupported(
        `ceil_mode with stride ${stride} and padding ${pre} over a size that is known only at run time`,
        "Fix the image size in the config, or use ceil_mode=False.",
      );
    }
  }

  if (dilation.some((step) => step !== 1))
    return pool.back(dilatedMaxPool(ctx, x, { kernel, stride, dilation, pre, post }));
  if (kind === "kMAX") {
    return pool.back(
      network.addPoolingNd(x, kind, kernel, { strideNd: stride, prePadding: pre, postPadding: post, roundUp }),
    );
  }
  if (args.divisor_override != null) {
    const mean = network.addPoolingNd(x, kind, kernel, {
      strideNd: stride,
      prePadding: pre,
      postPadding: post,
      roundUp,
      averageCountExcludesPadding: false,
    });
    const factor = kernel.reduce((product, size) => product * size, 1) / args.divisor_override;
    return pool.back(elementWise(ctx, ctx.tensorValue(mean), new Scalar("float", factor), "kPROD").tensor);
  }
  if (args.count_include_pad !== false && (args.ceil_mode || !sameList(pre, post)) && pre.some((pad) => pad > 0)) {
    // Padding counts, what ceil mode adds behind it does not: so the padding becomes part of the input.
    const size = x.dims.map((dim, axis) => (axis < 2 ? dim : add(dim, 2 * (pre[axis - 2] as number))));
    const start = x.dims.map((_, axis) => (axis < 2 ? 0 : -(pre[axis - 2] as number)));
    x = network.addSlice(
      x,
      start,
      size,
      size.map(() => 1),
      "kFILL",
      ctx.constant(x.type, [], [0]),
    );
    post = post.map((pad, i) => Math.max(pad - (pre[i] as number), 0));
    pre = pre.map(() => 0);
  }
  return pool.back(
    network.addPoolingNd(x, kind, kernel, {
      strideNd: stride,
      prePadding: pre,
      postPadding: post,
      roundUp,
      averageCountExcludesPadding: args.count_include_pad === false || args.ceil_mode,
    }),
  );
}

function sameList(a: readonly number[], b: readonly number[]): boolean {
  return a.every((value, i) => value === b[i]);
}

/** TensorRT's pooling has no dilation: the maximum over one strided slice a window position. */
function dilatedMaxPool(
  ctx: ConversionContext,
  x: ITensor,
  args: { kernel: number[]; stride: number[]; dilation: number[]; pre: readonly number[]; post: readonly number[] },
): ITensor {
  const { network } = ctx;
  const at = (list: readonly number[], i: number): number => list[i] as number;
  const padded = x.dims.map((dim, axis) =>
    axis < 2 ? dim : add(dim, at(args.pre, axis - 2) + at(args.post, axis - 2)),
  );
  if (padded.some((dim, axis) => !sameDim(dim, x.dims[axis] as Dim))) {
    const start = x.dims.map((_, axis) => (axis < 2 ? 0 : -at(args.pre, axis - 2)));
    const lowest = ctx.constant(x.type, [], [Number.NEGATIVE_INFINITY]);
    x = network.addSlice(
      x,
      start,
      padded,
      padded.map(() => 1),
      "kFILL",
      lowest,
    );
  }
  const out = x.dims.slice(2).map((dim, i) => {
    const window = at(args.dilation, i) * (at(args.kernel, i) - 1) + 1;
    return add(floordiv(add(dim, -window), at(args.stride, i)), 1);
  });
  const size = [...x.dims.slice(0, 2), ...out];
  let offsets: number[][] = [[]];
  args.kernel.forEach((count, i) => {
    offsets = offsets.flatMap((offset) =>
      Array.from({ length: count }, (_, step) => [...offset, step * at(args.dilation, i)]),
    );
  });
  return offsets
    .map((offset) => network.addSlice(x, [0, 0, ...offset], size, [1, 1, ...args.stride]))
    .reduce((a, b) => network.addElementWise(a, b, "kMAX"));
}

export const maxPool1d = converter(
  "aten::max_pool1d(Tensor self, int[1] kernel_size, int[1] stride=[], int[1] padding=0, int[1] dilation=1, bool ceil_mode=False) -> Tensor",
  (ctx, args) => pooling(ctx, "kMAX", args, 1),
);
export const maxPool2d = converter(
  "aten::max_pool2d(Tensor self, int[2] kernel_size, int[2] stride=[], int[2] padding=0, int[2] dilation=1, bool ceil_mode=False) -> Tensor",
  (ctx, args) => pooling(ctx, "kMAX", args, 2),
);
export const maxPool3d = converter(
  "aten::max_pool3d(Tensor self, int[3] kernel_size, int[3] stride=[], int[3] padding=0, int[3] dilation=1, bool ceil_mode=False) -> Tensor",
  (ctx, args) => pooling(ctx, "kMAX", args, 3),
);

const NO_INDICES = "Only the values: the indices must not be used.";

/** Refuses a model that uses the indices beside the values. */
function valuesOnly(ctx: ConversionContext, values: ITensor): [ITensor, ITensor] {
  if (ctx.node.outputs[1]?.hasUses) {
    ctx.unsupported("TensorRT's pooling gives no indices", "Use return_indices=False, or leave the operator to Torch.");
  }
  return [values, values];
}

export const maxPool1dWithIndices = converter(
  "aten::max_pool1d_with_indices(Tensor self, int[1] kernel_size, int[1] stride=[], int[1] padding=0, int[1] dilation=1, bool ceil_mode=False) -> (Tensor, Tensor)",
  (ctx, args) => valuesOnly(ctx, pooling(ctx, "kMAX", args, 1)),
  { limits: NO_INDICES },
);
export const maxPool2dWithIndices = converter(
  "aten::max_pool2d_with_indices(Tensor self, int[2] kernel_size, int[2] stride=[], int[2] padding=0, int[2] dilation=1, bool ceil_mode=False) -> (Tensor, Tensor)",
  (ctx, args) => valuesOnly(ctx, pooling(ctx, "kMAX", args, 2)),
  { limits: NO_INDICES },
);
export const maxPool3dWithIndices = converter(
  "aten::max_pool3d_with_indices(Tensor self, int[3] kernel_size, int[3] stride=[], int[3] padding=0, int[3] dilation=1, bool ceil_mode=False) -> (Tensor, Tensor)",
  (ctx, args) => valuesOnly(ctx, pooling(ctx, "kMAX", args, 3)),
  { limits: NO_INDICES },
);

export const avgPool1d = converter(
  "aten::avg_pool1d(Tensor self, int[1] kernel_size, int[1] stride=[], int[1] padding=0, bool ceil_mode=False, bool count_include_pad=True) -> Tensor",
  (ctx, args) => pooling(ctx, "kAVERAGE", args, 1),
);
export const avgPool2d = converter(
  "aten::avg_pool2d(Tensor self, int[2] kernel_size, int[2] stride=[], int[2] padding=0, bool ceil_mode=False, bool count_include_pad=True, int? divisor_override=None) -> Tensor",
  (ctx, args) => pooling(ctx, "kAVERAGE", args, 2),
);
export const avgPool3d = converter(
  "aten::avg_pool3d(Tensor self, int[3] kernel_size, int[3] stride=[], int[3] padding=0, bool ceil_mode=False, bool count_include_pad=True, int? divisor_override=None) -> Tensor",
  (ctx, args) => pooling(ctx, "kAVERAGE", args, 3),
);

/** Which elements of an axis of `size` belong to each of `out` bins: bin i is [floor(i*size/out), ceil((i+1)*size/out)). */
function binMembership(ctx: ConversionContext, size: Dim, out: Dim): { member: ITensor; count: ITensor } {
  const { network } = ctx;
  const bins = network.addShuffle(iota(ctx, out), { reshape: [out, 1] });
  const elements = network.addShuffle(iota(ctx, size), { reshape: [1, size] });
  const scalar = (value: Dim): ITensor => network.addShuffle(network.scalarTensor(value), { reshape: [1, 1] });
  const scaled = network.addElementWise(bins, scalar(size), "kPROD");
  const start = network.addElementWise(scaled, scalar(out), "kFLOOR_DIV");
  const last = network.addElementWise(
    network.addElementWise(scaled, scalar(add(size, out, -1)), "kSUM"),
    scalar(out),
    "kFLOOR_DIV",
  );
  const from = network.addUnary(network.addElementWise(elements, start, "kLESS"), "kNOT");
  const member = network.addElementWise(from, network.addElementWise(elements, last, "kLESS"), "kAND");
  return { member, count: network.addElementWise(last, start, "kSUB") };
}

/** One axis at a time: a mean over a box is the mean of means, a maximum the maximum of maxima. */
function adaptivePooling(
  ctx: ConversionContext,
  kind: "kMAX" | "kAVERAGE",
  self: TensorValue,
  output: readonly Dim[],
): ITensor {
  const { network } = ctx;
  let x = self.tensor;
  const lead = x.dims.length - output.length;
  if (output.every((size) => size === 1)) {
    return network.addReduce(
      x,
      kind === "kMAX" ? "kMAX" : "kAVG",
      output.map((_, i) => lead + i),
      true,
    );
  }
  const sizes = x.dims.slice(lead);
  const divisible = sizes.every(
    (size, i) => typeof size === "number" && typeof output[i] === "number" && size % (output[i] as number) === 0,
  );
  if (divisible) {
    const kernel = sizes.map((size, i) => (size as number) / (output[i] as number));
    if (kernel.every((size) => size === 1)) return x;
    return pooling(
      ctx,
      kind,
      { self, kernel_size: kernel, stride: kernel, padding: [0], ceil_mode: false },
      output.length,
    );
  }
  output.forEach((out, i) => {
    const axis = lead + i;
    const size = x.dims[axis] as Dim;
    if (sameDim(size, out) || equal(size, out) === true) return;
    const { member, count } = binMembership(ctx, size, out);
    // The axis goes last, is contracted with its bins, and goes back.
    const toLast = x.dims.map((_, at) => at).filter((at) => at !== axis);
    const rank = x.dims.length;
    if (kind === "kAVERAGE") {
      const weights = network.addElementWise(network.addCast(member, x.type), network.addCast(count, x.type), "kDIV");
      const matrix = network.addShuffle(weights, {
        reshape: [...Array.from({ length: rank - 2 }, () => 1), out, size],
      });
      const moved = network.addShuffle(x, { firstTranspose: [...toLast, axis] });
      const y = network.addMatrixMultiply(moved, "kNONE", matrix, "kTRANSPOSE");
      x = network.addShuffle(y, { firstTranspose: inverse([...toLast, axis]) });
    } else {
      const dims = [...x.dims.slice(0, axis), 1, ...x.dims.slice(axis)];
      const shape = dims.map((_, at) => (at === axis ? out : at === axis + 1 ? size : 1));
      const lowest = ctx.constant(
        x.type,
        dims.map(() => 1),
        [Number.NEGATIVE_INFINITY],
      );
      const spread = network.addSelect(
        network.addShuffle(member, { reshape: shape }),
        network.addShuffle(x, { reshape: dims }),
        lowest,
      );
      x = network.addReduce(spread, "kMAX", [axis + 1], false);
    }
  });
  return x;
}

function inverse(permutation: readonly number[]): number[] {
  const result: number[] = [];
  permutation.forEach((from, to) => {
    result[from] = to;
  });
  return result;
}

export const adaptiveAvgPool1d = converter(
  "aten::adaptive_avg_pool1d(Tensor self, int[1] output_size) -> Tensor",
  (ctx, { self, output_size }) => adaptivePooling(ctx, "kAVERAGE", self, output_size),
);
export const adaptiveAvgPool2d = converter(
  "aten::adaptive_avg_pool2d(Tensor self, SymInt[2] output_size) -> Tensor",
  (ctx, { self, output_size }) => adaptivePooling(ctx, "kAVERAGE", self, output_size),
);
export const _adaptiveAvgPool2d = converter(
  "aten::_adaptive_avg_pool2d(Tensor self, SymInt[2] output_size) -> Tensor",
  (ctx, { self, output_size }) => adaptivePooling(ctx, "kAVERAGE", self, output_size),
);
export const adaptiveAvgPool3d = converter(
  "aten::adaptive_avg_pool3d(Tensor self, SymInt[3] output_size) -> Tensor",
  (ctx, { self, output_size }) => adaptivePooling(ctx, "kAVERAGE", self, output_size),
);
export const _adaptiveAvgPool3d = converter(
  "aten::_adaptive_avg_pool3d(Tensor self, SymInt[3] output_size) -> Tensor",
  (ctx, { self, output_size }) => adaptivePooling(ctx, "kAVERAGE", self, output_size),
);
export const adaptiveMaxPool1d = converter(
  "aten::adaptive_max_pool1d(Tensor self, int[1] output_size) -> (Tensor, Tensor)",
  (ctx, { self, output_size }) => valuesOnly(ctx, adaptivePooling(ctx, "kMAX", self, output_size)),
  { limits: NO_INDICES },
);
export const adaptiveMaxPool2d = converter(
  "aten::adaptive_max_pool2d(Tensor self, int[2] output_size) -> (Tensor, Tensor)",
  (ctx, { self, output_size }) => valuesOnly(ctx, adaptivePooling(ctx, "kMAX", self, output_size)),
  { limits: NO_INDICES },
);
export const adaptiveMaxPool3d = converter(
  "aten::adaptive_max_pool3d(Tensor self, int[3] output_size) -> (Tensor, Tensor)",
  (ctx, { self, output_size }) => valuesOnly(ctx, adaptivePooling(ctx, "kMAX", self, output_size)),
  { limits: NO_INDICES },
);
