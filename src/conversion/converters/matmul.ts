import type { ScalarType } from "../../ir/scalar-type.js";
import { isFloat } from "../../network/enums.js";
import type { ITensor } from "../../network/layers.js";
import { type Dim, mul, sameDim } from "../../network/symbolic.js";
import { iota, like } from "../axes.js";
import type { ConversionContext } from "../context.js";
import { elementWise, expandRank, promote, reshape, wrap } from "../operands.js";
import { converter } from "../registry.js";
import type { Scalar, TensorValue } from "../values.js";

/** PyTorch's `matmul` for all ranks: vectors gain a dim and lose it again, batches broadcast. */
export function matmul(
  ctx: ConversionContext,
  left: TensorValue,
  right: TensorValue,
  transposeRight = false,
): TensorValue {
  const { network } = ctx;
  const [a, b] = promote(ctx, left, right);
  const [leftVector, rightVector] = [a.dims.length === 1, b.dims.length === 1];
  if (a.dims.length === 0 || b.dims.length === 0) ctx.unsupported("both arguments need at least one dim");
  const rank = Math.max(a.dims.length, b.dims.length, 2);
  const x = leftVector ? reshape(ctx, a.tensor, [...ones(rank - 1), ...a.dims]) : expandRank(ctx, a.tensor, rank);
  const y = rightVector ? reshape(ctx, b.tensor, [...ones(rank - 2), ...b.dims, 1]) : expandRank(ctx, b.tensor, rank);
  const product = asFloats(ctx, [x, y], a.dtype, ([p, q]) => {
    const weight = transposeRight ? undefined : transposedConstant(q as ITensor);
    return weight === undefined
      ? network.addMatrixMultiply(p as ITensor, "kNONE", q as ITensor, transposeRight ? "kTRANSPOSE" : "kNONE")
      : network.addMatrixMultiply(p as ITensor, "kNONE", weight, "kTRANSPOSE");
  });
  if (!leftVector && !rightVector) return ctx.tensorValue(product, a.dtype);
  const dims = product.dims.filter(
    (_, axis) => !(leftVector && axis === rank - 2) && !(rightVector && axis === rank - 1),
  );
  return ctx.tensorValue(reshape(ctx, product, dims), a.dtype);
}

/** TensorRT multiplies and contracts floats only: integers are computed as float32, which is exact up to 2^24. */
function asFloats(
  ctx: ConversionContext,
  tensors: readonly ITensor[],
  dtype: ScalarType,
  compute: (tensors: readonly ITensor[]) => ITensor,
): ITensor {
  const { network } = ctx;
  const [{ type }] = tensors as readonly [ITensor];
  if (isFloat(type)) return compute(tensors);
  const result = compute(tensors.map((tensor) => network.addCast(tensor, "kFLOAT")));
  return wrap(ctx, network.addCast(network.addUnary(result, "kROUND"), type), dtype);
}

/** `w` where the matrix is `w.t()`, as decomposed linear layers have it: multiplied transposed, its bytes stay where they are. */
function transposedConstant(matrix: ITensor): ITensor | undefined {
  const { producer } = matrix;
  if (producer?.type !== "kSHUFFLE" || matrix.dims.length !== 2) return undefined;
  const { firstTranspose, reshapeDimensions, secondTranspose } = producer.attributes;
  const [source] = producer.inputs;
  const isTransposed = firstTranspose?.[0] === 1 && reshapeDimensions === null && secondTranspose === null;
  return isTransposed && source?.producer?.type === "kCONSTANT" ? source : undefined;
}

function ones(count: number): number[] {
  return Array.from({ length: Math.max(count, 0) }, () => 1);
}

/** `beta * self + alpha * product`. */
function addProduct(
  ctx: ConversionContext,
  self: TensorValue,
  product: TensorValue,
  beta: Scalar,
  alpha: Scalar,
): TensorValue {
  const scaled = (value: TensorValue, factor: Scalar): TensorValue =>
    factor.value === 1 ? value : elementWise(ctx, value, factor, "kPROD");
  const right = scaled(product, alpha);
  // beta = 0 ignores self, whatever it holds.
  if (beta.value === 0) return right;
  return elementWise(ctx, scaled(self, beta), right, "kSUM");
}

/** `input` `[..., in]`, `weight` `[out, in]` or `[in]`, `bias` `[out]`. */
function linearLayer(
  ctx: ConversionContext,
  input: TensorValue,
  weight: TensorValue,
  bias: TensorValue | null,
): TensorValue {
  const product = matmul(ctx, input, weight, weight.dims.length > 1);
  return bias === null ? product : elementWise(ctx, product, bias, "kSUM");
}

export const linear = converter(
  "aten::linear(Tensor input, Tensor weight, Tensor? bias=None) -> Tensor",
  (ctx, { input, weight, bias }) => linearLayer(ctx, input, weight, bias),
);

export const products = [
  converter("aten::matmul(Tensor self, Tensor other) -> Tensor", (ctx, { self, other }) => matmul(ctx, self, other)),
  converter("aten::linalg_matmul(Tensor self, Tensor other) -> Tensor", (ctx, { self, other }) =>
    matmul(ctx, self, other),
  ),
  converter("aten::mm(Tensor self, Tensor mat2) -> Tensor", (ctx, { self, mat2 }) => matmul(ctx, self, mat2)),
  converter("aten::bmm(Tensor self, Tensor mat2) -> Tensor", (ctx, { self, mat2 }) => matmul(ctx, self, mat2)),
  converter("aten::mv(Tensor self, Tensor vec) -> Tensor", (ctx, { self, vec }) => matmul(ctx, self, vec)),
  converter("aten::dot(Tensor self, Tensor tensor) -> Tensor", (ctx, { self, tensor }) => matmul(ctx, self, tensor)),
  converter("aten::vdot(Tensor self, Tensor other) -> Tensor", (ctx, { self, other }) => matmul(ctx, self, other)),
  converter("aten::inner(Tensor self, Tensor other) -> Tensor", (ctx, { self, other }) =>
    self.dims.length === 0 || other.dims.length === 0
      ? elementWise(ctx, self, other, "kPROD")
      : self.dims.length > 1 && other.dims.length > 1
        ? contractLast(ctx, self, other)
        : matmul(ctx, self, other, other.dims.length > 1),
  ),
];

/** `out[i.., j..] = sum over k of a[i.., k] * b[j.., k]`. */
function contractLast(ctx: ConversionContext, a: TensorValue, b: TensorValue): TensorValue {
  const letters = "abcdefghijklmnopqrstuvwxy";
  const left = letters.slice(0, a.dims.length - 1);
  const right = letters.slice(a.dims.length - 1, a.dims.length + b.dims.length - 2);
  return contract(ctx, [a, b], `${left}z,${right}z->${left}${right}`);
}

export const addmm = converter(
  "aten::addmm(Tensor self, Tensor mat1, Tensor mat2, *, Scalar beta=1, Scalar alpha=1) -> Tensor",
  (ctx, { self, mat1, mat2, beta, alpha }) => addProduct(ctx, self, matmul(ctx, mat1, mat2), beta, alpha),
);
export const addmv = converter(
  "aten::addmv(Tensor self, Tensor mat, Tensor vec, *, Scalar beta=1, Scalar alpha=1) -> Tensor",
  (ctx, { self, mat, vec, beta, alpha }) => addProduct(ctx, self, matmul(ctx, mat, vec), beta, alpha),
);
export const baddbmm = converter(
  "aten::baddbmm(Tensor self, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1) -> Tensor",
  (ctx, { self, batch1, batch2, beta, alpha }) => addProduct(ctx, self, matmul(ctx, batch1, batch2), beta, alpha),
);
export const addbmm = converter(
  "aten::addbmm(Tensor self, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1) -> Tensor",
  (ctx, { self, batch1, batch2, beta, alpha }) => {
    const product = matmul(ctx, batch1, batch2);
    const sum = wrap(ctx, ctx.network.addReduce(product.tensor, "kSUM", [0], false), product.dtype);
    return addProduct(ctx, self, like(ctx, product, sum), beta, alpha);
  },
);

function outerProduct(ctx: ConversionContext, self: TensorValue, other: TensorValue): TensorValue {
  const column = ctx.tensorValue(reshape(ctx, self.tensor, [...self.dims, 1]), self.dtype);
  return elementWise(ctx, column, other, "kPROD");
}

export const outer = converter("aten::outer(Tensor self, Tensor vec2) -> Tensor", (ctx, { self, vec2 }) =>
  outerProduct(ctx, self, vec2),
);
export const ger = converter("aten::ger(Tensor self, Tensor vec2) -> Tensor", (ctx, { self, vec2 }) =>
  outerProduct(ctx, self, vec2),
);
export const addr = converter(
  "aten::addr(Tensor self, Tensor vec1, Tensor vec2, *, Scalar beta=1, Scalar alpha=1) -> Tensor",
  (ctx, { self, vec1, vec2, beta, alpha }) => addProduct(ctx, self, outerProduct(ctx, vec1, vec2), beta, alpha),
);
export const kron = converter("aten::kron(Tensor self, Tensor other) -> Tensor", (ctx, { self, other }) => {
  const rank = Math.max(self.dims.length, other.dims.length);
  const x = expandRank(ctx, self.tensor, rank);
  const y = expandRank(ctx, other.tensor, rank);
  const spread = x.dims.flatMap((dim) => [dim, 1]);
  const repeated = y.dims.flatMap((dim) => [1, dim]);
  const product = elementWise(
    ctx,
    like(ctx, self, reshape(ctx, x, spread)),
    like(ctx, other, reshape(ctx, y, repeated)),
    "kPROD",
  );
  const dims: Dim[] = [];
  for (let axis = 0; axis < rank; axis++)
    dims.push(mul(product.dims[2 * axis] as Dim, product.dims[2 * axis + 1] as Dim));
  return like(ctx, product, reshape(ctx, product.tensor, dims));
});

export const tensordot = converter(
  "aten::tensordot(Tensor self, Tensor other, int[] dims_self, int[] dims_other) -> Tensor",
  (ctx, { self, other, dims_self, dims_other }) => {
    const letters = "abcdefghijklmnopqrstuvwxyz";
    const left = [...letters.slice(0, self.dims.length)];
    const right = [...letters.slice(self.dims.length, self.dims.length + other.dims.length)];
    const axis = (dim: number, rank: number): number => (dim < 0 ? dim + rank : dim);
    const contracted = new Set<string>();
    dims_self.forEach((dim, i) => {
      const label = left[axis(dim, left.length)] as string;
      contracted.add(label);
      right[axis(dims_other[i] as number, right.length)] = label;
    });
    const kept = [...left, ...right].filter((label) => !contracted.has(label));
    return contract(ctx, [self, other], `${left.join("")},${right.join("")}->${kept.join("")}`);
  },
);

/**
 * `einsum` of any number of operands, two at a time from the left: a label leaves with the contraction after which
 * nobody needs it. The equation is explicit and without an ellipsis.
 */
function contract(ctx: ConversionContext, operands: readonly TensorValue[], equation: string): TensorValue {
  const [inputs = "", output = ""] = equation.split("->");
  const terms = inputs.split(",");
  const [first] = operands as readonly [TensorValue];
  let current = diagonal(ctx, first, terms[0] as string);
  const einsum = (values: readonly TensorValue[], text: string): TensorValue => {
    const [{ dtype }] = values as readonly [TensorValue];
    const inputs = values.map(({ tensor }) => tensor);
    const result = asFloats(ctx, inputs, dtype, (tensors) => ctx.network.addEinsum(tensors, text));
    return ctx.tensorValue(result, dtype);
  };
  if (operands.length === 1) return einsum([current.value], `${current.labels}->${output}`);
  for (let i = 1; i < operands.length; i++) {
    const next = diagonal(ctx, operands[i] as TensorValue, terms[i] as string);
    const later = new Set([...terms.slice(i + 1).join(""), ...output]);
    const kept = [...new Set([...current.labels, ...next.labels])].filter((label) => later.has(label)).join("");
    const target = i === operands.length - 1 ? output : kept;
    const pair = promote(ctx, current.value, next.value);
    current = { value: einsum(pair, `${current.labels},${next.labels}->${target}`), labels: target };
  }
  return current.value;
}

/** A label that stands twice in one operand means its diagonal. */
function diagonal(ctx: ConversionContext, value: TensorValue, labels: string): { value: TensorValue; labels: string } {
  const { network } = ctx;
  let { tensor } = value;
  for (let first = 0; first < labels.length; first++) {
    const second = labels.indexOf(labels[first] as string, first + 1);
    if (second < 0) continue;
    const size = tensor.dims[first] as Dim;
    if (!sameDim(size, tensor.dims[second] as Dim)) ctx.unsupported(`the sizes of label "${labels[first]}" differ`);
    const rest = tensor.dims.map((_, axis) => axis).filter((axis) => axis !== first && axis !== second);
    const moved = network.addShuffle(tensor, { firstTranspose: [first, second, ...rest] });
    const index = network.addShuffle(iota(ctx, size), { reshape: [size, 1] });
    const pairs = network.addConcatenation([index, index], 1);
    tensor = network.addGather(moved, pairs, 0, "kND");
    labels = `${labels[first]}${rest.map((axis) => labels[axis]).join("")}`;
    first = -1;
  }
  return { value: like(ctx, value, tensor), labels };
}

export const einsum = converter(
  "aten::einsum(str equation, Tensor[] tensors, *, int[]? path=None) -> Tensor",
  (ctx, { equation, tensors }) => contract(ctx, tensors, explicitEquation(ctx, equation.replaceAll(" ", ""), tensors)),
);

/** `nn.Bilinear`: both inputs `[..., features]`, the weight `[out, features1, features2]`. */
export const bilinear = converter(
  "aten::bilinear(Tensor input1, Tensor input2, Tensor weight, Tensor? bias=None) -> Tensor",
  (ctx, { input1, input2, weight, bias }) => {
    const leading = [..."abcdefgh"].slice(0, input1.dims.length - 1).join("");
    const product = contract(ctx, [input1, weight, input2], `${leading}x,zxy,${leading}y->${leading}z`);
    return bias === null ? product : elementWise(ctx, product, bias, "kSUM");
  },
);

/** What a bilinear layer decomposes into: a product of three, each spread over the dims it lacks, summed over `sumdim`. */
export const trilinear = converter(
  "aten::_trilinear(Tensor i1, Tensor i2, Tensor i3, int[] expand1, int[] expand2, int[] expand3, int[] sumdim, int unroll_dim=1) -> Tensor",
  (ctx, { i1, i2, i3, expand1, expand2, expand3, sumdim }) => {
    const labels = [..."abcdefghijklmnop"].slice(0, i1.dims.length + expand1.length);
    const without = (dims: readonly number[]): string => labels.filter((_, axis) => !dims.includes(axis)).join("");
    return contract(ctx, [i1, i2, i3], `${[expand1, expand2, expand3].map(without).join()}->${without(sumdim)}`);
  },
);

/** With the output written out, and an ellipsis replaced by labels of its own. */
function explicitEquation(ctx: ConversionContext, equation: string, tensors: readonly TensorValue[]): string {
  const [left = "", right] = equation.split("->");
  const free = [..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"].filter((label) => !equation.includes(label));
  let widest = 0;
  const terms = left.split(",").map((term, i) => {
    const rank = (tensors[i] as TensorValue).dims.length;
    if (!term.includes("...")) return { term, width: 0 };
    const width = rank - (term.length - 3);
    widest = Math.max(widest, width);
    return { term, width };
  });
  const shared = free.slice(0, widest);
  const spread = (term: string, width: number): string => term.replace("...", shared.slice(widest - width).join(""));
  const inputs = terms.map(({ term, width }) => spread(term, width));
  if (right !== undefined) return toLowerLabels(ctx, `${inputs.join(",")}->${spread(right, widest)}`);
  const counts = new Map<string, number>();
  for (const label of inputs.join("")) counts.set(label, (counts.get(label) ?? 0) + 1);
  const once = [...counts].filter(([label, count]) => count === 1 && !shared.includes(label)).map(([label]) => label);
  return toLowerLabels(ctx, `${inputs.join(",")}->${shared.join("")}${once.sort().join("")}`);
}

/** TensorRT's einsum knows lower-case labels only. */
function toLowerLabels(ctx: ConversionContext, equation: string): string {
  const labels = [...new Set(equation.replace(/[^a-zA-Z]/g, ""))];
  if (labels.length > 26) ctx.unsupported(`einsum with ${labels.length} labels`);
  return equation.replace(/[a-zA-Z]/g, (label) => "abcdefghijklmnopqrstuvwxyz"[labels.indexOf(label)] as string);
}
