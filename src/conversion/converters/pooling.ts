import { isFloatingPoint } from "../../ir/scalar-type.js";
import { type DataType, isFloat } from "../../network/enums.js";
import type { ITensor } from "../../network/layers.js";
import { add, type Dim, equal, floordiv, mul, sameDim } from "../../network/symbolic.js";
import { inversePermutation, iota, like, padAxes, range } from "../axes.js";
import type { ConversionContext } from "../context.js";
import { constantLike, elementWise, expandTo, reshape } from "../operands.js";
import { converter } from "../registry.js";
import { Scalar, type TensorValue } from "../values.js";
import { filled } from "./creation.js";

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

interface Windows {
  readonly kernel: readonly number[];
  readonly stride: readonly number[];
  readonly dilation: readonly number[];
  readonly pre: readonly number[];
  readonly post: readonly number[];
  /** Sizes known at run time only round up: the padding behind does not say by how much. */
  readonly roundUp: boolean;
}

/** The windows over `x`, as `batched` gives it. */
function windowsOf(ctx: ConversionContext, x: ITensor, args: PoolingArguments, spatial: number): Windows {
  const all = (list: readonly number[] | undefined, otherwise: readonly number[]): number[] =>
    Array.from(
      { length: spatial },
      (_, i) => (list?.length ? (list[i] ?? list[0]) : (otherwise[i] ?? otherwise[0])) as number,
    );
  const lead = spatial === 1 ? [1] : [];
  const kernel = [...lead, ...all(args.kernel_size, [1])];
  const stride = [...lead, ...all(args.stride, all(args.kernel_size, [1]))];
  const dilation = [...lead, ...all(args.dilation, [1])];
  const pre = [...lead.map(() => 0), ...all(args.padding, [0])];
  const windows = { kernel, stride, dilation, pre };
  if (!args.ceil_mode) return { ...windows, post: pre, roundUp: false };
  const sizes = x.dims.slice(2);
  if (sizes.every((size) => typeof size === "number")) {
    const post = sizes.map((size, i) =>
      postPadding(size, kernel[i] as number, stride[i] as number, pre[i] as number, dilation[i] as number),
    );
    return { ...windows, post, roundUp: false };
  }
  // Where a last window could start in the padding, PyTorch drops it and TensorRT keeps it.
  if (pre.every((pad, i) => pad + (stride[i] as number) <= (kernel[i] as number)) && dilation.every((n) => n === 1)) {
    return { ...windows, post: pre, roundUp: true };
  }
  return ctx.unsupported(
    `ceil_mode with stride ${stride}, padding ${pre} and dilation ${dilation} over a size that is known only at run time`,
    "Fix the image size in the config, or use ceil_mode=False.",
  );
}

function pooling(
  ctx: ConversionContext,
  kind: "kMAX" | "kAVERAGE",
  args: PoolingArguments,
  spatial: number,
): TensorValue {
  return like(ctx, args.self, pooled(ctx, kind, args, spatial));
}

function pooled(ctx: ConversionContext, kind: "kMAX" | "kAVERAGE", args: PoolingArguments, spatial: number): ITensor {
  const { network } = ctx;
  const { dtype } = args.self;
  const pool = batched(ctx, args.self, spatial);
  let { x } = pool;
  const windows = windowsOf(ctx, x, args, spatial);
  const { kernel, stride, dilation, roundUp } = windows;
  let { pre, post } = windows;
  if (kind === "kAVERAGE") requireFloats(ctx, args.self);
  // TensorRT's pooling has no dilation, and takes floats only.
  if (dilation.some((step) => step !== 1) || !isFloatingPoint(dtype)) {
    if (roundUp) {
      ctx.unsupported(
        `pooling of ${dtype} tensors in ceil_mode over a size that is known only at run time`,
        "Cast them to float first, fix the image size in the config, or use ceil_mode=False.",
      );
    }
    const seen = windowElements(ctx, x, windows, lowest(x.type));
    return pool.back(seen.reduce((a, b) => network.addElementWise(a, b, "kMAX")));
  }
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
    const around = [0, 0, ...pre];
    x = padAxes(ctx, x, around, around, "kFILL");
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

function requireFloats(ctx: ConversionContext, { dtype }: TensorValue): void {
  if (!isFloatingPoint(dtype)) ctx.unsupported(`this pooling of ${dtype} tensors`, "Cast them to float first.");
}

/** What is less than all else. */
function lowest(type: DataType): number {
  return isFloat(type) ? Number.NEGATIVE_INFINITY : type === "kINT64" ? -(2 ** 63) : -(2 ** 31);
}

function sameList(a: readonly number[], b: readonly number[]): boolean {
  return a.every((value, i) => value === b[i]);
}

/** What each place of the windows holds: a strided slice of the padded input for each. */
function windowElements(ctx: ConversionContext, x: ITensor, windows: Windows, fill: number): ITensor[] {
  const { kernel, stride, dilation, pre, post } = windows;
  const at = (list: readonly number[], i: number): number => list[i] as number;
  const around = (list: readonly number[]): number[] => [0, 0, ...list];
  const isPadded = [...pre, ...post].some((pad) => pad > 0);
  const wide = isPadded ? padAxes(ctx, x, around(pre), around(post), "kFILL", fill) : x;
  const out = wide.dims.slice(2).map((dim, i) => {
    const window = at(dilation, i) * (at(kernel, i) - 1) + 1;
    return add(floordiv(add(dim, -window), at(stride, i)), 1);
  });
  const size = [...wide.dims.slice(0, 2), ...out];
  let offsets: number[][] = [[]];
  kernel.forEach((count, i) => {
    offsets = offsets.flatMap((offset) => range(count).map((step) => [...offset, step * at(dilation, i)]));
  });
  return offsets.map((offset) => ctx.network.addSlice(wide, around(offset), size, [1, 1, ...stride]));
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

/** The maxima, and where each stands among the elements of its channel; of equal ones the first. */
function maxWithIndices(
  ctx: ConversionContext,
  args: PoolingArguments,
  spatial: number,
): [TensorValue, TensorValue | ITensor] {
  const values = pooling(ctx, "kMAX", args, spatial);
  if (!ctx.node.outputs[1]?.hasUses) return [values, values];
  const { network } = ctx;
  const { x, back } = batched(ctx, args.self, spatial);
  const windows = windowsOf(ctx, x, args, spatial);
  if (windows.roundUp) {
    ctx.unsupported(
      "indices in ceil_mode over a size that is known only at run time",
      "Fix the image size in the config, or use ceil_mode=False.",
    );
  }
  const sizes = x.dims.slice(2);
  const places = reshape(ctx, iota(ctx, mul(...sizes)), [1, 1, ...sizes]);
  const elements = windowElements(ctx, x, windows, lowest(x.type));
  const [first, ...others] = windowElements(ctx, places, windows, 0) as [ITensor, ...ITensor[]];
  let largest = elements[0] as ITensor;
  let indices = expandTo(ctx, first, largest.dims);
  others.forEach((place, i) => {
    const element = elements[i + 1] as ITensor;
    indices = network.addSelect(network.addElementWise(element, largest, "kGREATER"), place, indices);
    largest = network.addElementWise(element, largest, "kMAX");
  });
  return [values, back(indices)];
}

export const maxPool1dWithIndices = converter(
  "aten::max_pool1d_with_indices(Tensor self, int[1] kernel_size, int[1] stride=[], int[1] padding=0, int[1] dilation=1, bool ceil_mode=False) -> (Tensor, Tensor)",
  (ctx, args) => maxWithIndices(ctx, args, 1),
);
export const maxPool2dWithIndices = converter(
  "aten::max_pool2d_with_indices(Tensor self, int[2] kernel_size, int[2] stride=[], int[2] padding=0, int[2] dilation=1, bool ceil_mode=False) -> (Tensor, Tensor)",
  (ctx, args) => maxWithIndices(ctx, args, 2),
);
export const maxPool3dWithIndices = converter(
  "aten::max_pool3d_with_indices(Tensor self, int[3] kernel_size, int[3] stride=[], int[3] padding=0, int[3] dilation=1, bool ceil_mode=False) -> (Tensor, Tensor)",
  (ctx, args) => maxWithIndices(ctx, args, 3),
);

/** Each element where it stood before pooling, zeros around it. */
function unpooled(ctx: ConversionContext, self: TensorValue, indices: TensorValue, sizes: readonly Dim[]): TensorValue {
  const leading = self.dims.slice(0, self.dims.length - sizes.length);
  const flat = [...leading, mul(...self.dims.slice(leading.length))];
  const zeros = filled(ctx, [...leading, mul(...sizes)], new Scalar("int", 0), self.dtype);
  const [places, updates] = [indices, self].map(({ tensor }) => reshape(ctx, tensor, flat)) as [ITensor, ITensor];
  const scattered = ctx.network.addScatter(zeros.tensor, places, updates, "kELEMENT", leading.length);
  return like(ctx, self, reshape(ctx, scattered, [...leading, ...sizes]));
}

export const maxUnpool2d = converter(
  "aten::max_unpool2d(Tensor self, Tensor indices, SymInt[2] output_size) -> Tensor",
  (ctx, { self, indices, output_size }) => unpooled(ctx, self, indices, output_size),
);
export const maxUnpool3d = converter(
  "aten::max_unpool3d(Tensor self, Tensor indices, SymInt[3] output_size, int[3] stride, int[3] padding) -> Tensor",
  (ctx, { self, indices, output_size }) => unpooled(ctx, self, indices, output_size),
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
): TensorValue {
  const { network } = ctx;
  requireFloats(ctx, self);
  let x = self.tensor;
  const lead = x.dims.length - output.length;
  if (output.every((size) => size === 1)) {
    const axes = output.map((_, i) => lead + i);
    return like(ctx, self, network.addReduce(x, kind === "kMAX" ? "kMAX" : "kAVG", axes, true));
  }
  const sizes = x.dims.slice(lead);
  const divisible = sizes.every(
    (size, i) => typeof size === "number" && typeof output[i] === "number" && size % (output[i] as number) === 0,
  );
  if (divisible) {
    const kernel = sizes.map((size, i) => (size as number) / (output[i] as number));
    if (kernel.every((size) => size === 1)) return self;
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
      x = network.addShuffle(y, { firstTranspose: inversePermutation([...toLast, axis]) });
    } else {
      const dims = [...x.dims.slice(0, axis), 1, ...x.dims.slice(axis)];
      const shape = dims.map((_, at) => (at === axis ? out : at === axis + 1 ? size : 1));
      const all = network.addShuffle(x, { reshape: dims });
      const spread = network.addSelect(
        network.addShuffle(member, { reshape: shape }),
        all,
        constantLike(ctx, all, Number.NEGATIVE_INFINITY),
      );
      x = network.addReduce(spread, "kMAX", [axis + 1], false);
    }
  });
  return like(ctx, self, x);
}

const BIN_LIMITS = {
  limits:
    "Bins of unequal sizes, or of sizes known only at run time, are a product with a matrix: an infinity spoils the others of its row.",
};

export const adaptiveAvgPool1d = converter(
  "aten::adaptive_avg_pool1d(Tensor self, int[1] output_size) -> Tensor",
  (ctx, { self, output_size }) => adaptivePooling(ctx, "kAVERAGE", self, output_size),
  BIN_LIMITS,
);
export const adaptiveAvgPool2d = converter(
  "aten::adaptive_avg_pool2d(Tensor self, SymInt[2] output_size) -> Tensor",
  (ctx, { self, output_size }) => adaptivePooling(ctx, "kAVERAGE", self, output_size),
  BIN_LIMITS,
);
export const _adaptiveAvgPool2d = converter(
  "aten::_adaptive_avg_pool2d(Tensor self, SymInt[2] output_size) -> Tensor",
  (ctx, { self, output_size }) => adaptivePooling(ctx, "kAVERAGE", self, output_size),
  BIN_LIMITS,
);
export const adaptiveAvgPool3d = converter(
  "aten::adaptive_avg_pool3d(Tensor self, SymInt[3] output_size) -> Tensor",
  (ctx, { self, output_size }) => adaptivePooling(ctx, "kAVERAGE", self, output_size),
  BIN_LIMITS,
);
export const _adaptiveAvgPool3d = converter(
  "aten::_adaptive_avg_pool3d(Tensor self, SymInt[3] output_size) -> Tensor",
  (ctx, { self, output_size }) => adaptivePooling(ctx, "kAVERAGE", self, output_size),
  BIN_LIMITS,
);

const NO_INDICES = "Only the values: the indices must not be used.";

/** Refuses a model that uses the indices beside the values. */
function valuesOnly(ctx: ConversionContext, values: TensorValue): [TensorValue, TensorValue] {
  if (ctx.node.outputs[1]?.hasUses) {
    ctx.unsupported("the indices of adaptive pooling", "Use return_indices=False, or max_pool with a fixed kernel.");
  }
  return [values, values];
}

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
