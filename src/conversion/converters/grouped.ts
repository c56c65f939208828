import type { ITensor } from "../../network/layers.js";
import { bounds, type Dim, sub, volume } from "../../network/symbolic.js";
import { dataTypeOf } from "../../network/weights.js";
import { iota, like, numberLike } from "../axes.js";
import type { ConversionContext } from "../context.js";
import { castTo, constantLike, reshape } from "../operands.js";
import { converter } from "../registry.js";
import type { TensorValue } from "../values.js";
import { matmul } from "./matmul.js";

/** How many elements fall into each of `bins` stretches from `min` to `max`, both of them included. */
export const histc = converter(
  "aten::histc(Tensor self, int bins=100, Scalar min=0, Scalar max=0) -> Tensor",
  (ctx, { self, bins, min, max }) => {
    const { network } = ctx;
    const [low, high] = [Number(min.value), Number(max.value)];
    if (!(low < high)) {
      ctx.unsupported("bins from the data's minimum to its maximum", "Give histc a min and a max above it.");
    }
    const x = reshape(ctx, castTo(ctx, self, "float32").tensor, [volume(self.dims), 1]);
    const number = (value: number): ITensor => constantLike(ctx, x, value);
    const scaled = network.addElementWise(
      network.addElementWise(network.addElementWise(x, number(low), "kSUB"), number(bins), "kPROD"),
      number(high - low),
      "kDIV",
    );
    const bin = network.addElementWise(network.addUnary(scaled, "kFLOOR"), number(bins - 1), "kMIN");
    const edges = reshape(ctx, network.addCast(iota(ctx, bins), "kFLOAT"), [1, bins]);
    const inside = network.addUnary(network.addElementWise(x, number(high), "kGREATER"), "kNOT");
    const falls = network.addElementWise(network.addElementWise(bin, edges, "kEQUAL"), inside, "kAND");
    const counts = network.addReduce(network.addCast(falls, "kINT32"), "kSUM", [0], false);
    return ctx.tensorValue(network.addCast(counts, dataTypeOf(self.dtype)), self.dtype);
  },
  { limits: "Needs a min and a max above it." },
);

/** `[rows]` int32: how many groups end at or before the row, which is the number of its own. */
function groupOfRows(ctx: ConversionContext, offs: TensorValue, rows: Dim): ITensor {
  const { network } = ctx;
  const ends = castTo(ctx, offs, "int64");
  const row = reshape(ctx, iota(ctx, rows), [1, rows]);
  const end = reshape(ctx, ends.tensor, [ends.dims[0] as Dim, 1]);
  const past = network.addUnary(network.addElementWise(row, end, "kLESS"), "kNOT");
  return network.addReduce(network.addCast(past, "kINT32"), "kSUM", [0], false);
}

const LIMITS = {
  limits: "Groups of rows only. More rows than groups are multiplied by every group's matrix, and one product is kept.",
};

/**
 * Rows `[n, k]`, each times the matrix of its group, of `[groups, k, m]`: experts' layers. TensorRT has no ragged
 * product. Few rows take a copy of their matrix each; many are multiplied by every matrix, and one product is kept.
 * What becomes of rows behind the last group PyTorch leaves open.
 */
function groupedRows(ctx: ConversionContext, rows: TensorValue, matrices: TensorValue, offs: TensorValue): ITensor {
  const { network } = ctx;
  const [n, k] = rows.dims as [Dim, Dim];
  const [groups, , m] = matrices.dims as [Dim, Dim, Dim];
  const group = groupOfRows(ctx, offs, n);
  const batched = (...dims: Dim[]): TensorValue => ctx.tensorValue(reshape(ctx, rows.tensor, dims), rows.dtype);
  if (bounds(n).max <= bounds(groups).min) {
    const last = numberLike(ctx, group, sub(groups, 1));
    const own = network.addGather(matrices.tensor, network.addElementWise(group, last, "kMIN"), 0);
    return reshape(ctx, matmul(ctx, batched(n, 1, k), like(ctx, matrices, own)).tensor, [n, m]);
  }
  const product = matmul(ctx, batched(1, n, k), matrices).tensor;
  const names = reshape(ctx, network.addCast(iota(ctx, groups), group.type), [groups, 1, 1]);
  const owns = network.addElementWise(reshape(ctx, group, [1, n, 1]), names, "kEQUAL");
  const kept = network.addSelect(owns, product, constantLike(ctx, product, 0));
  return network.addReduce(kept, "kSUM", [0], false);
}

export const groupedMatmul = converter(
  "aten::_grouped_mm(Tensor self, Tensor mat2, Tensor? offs=None, Tensor? bias=None, ScalarType? out_dtype=None) -> Tensor",
  (ctx, { self, mat2, offs, bias, out_dtype }) => {
    if (bias !== null) ctx.unsupported("a bias, which PyTorch does not take here either");
    const [x, matrices] = [self.dims.length, mat2.dims.length];
    if (offs === null ? x !== 3 || matrices !== 3 : x !== 2 || matrices !== 3) {
      ctx.unsupported(
        "groups of anything but rows",
        "Multiply [rows, k] by [groups, k, m], with the groups' ends as offs.",
      );
    }
    const product = offs === null ? matmul(ctx, self, mat2).tensor : groupedRows(ctx, self, mat2, offs);
    return castTo(ctx, like(ctx, self, product), out_dtype ?? self.dtype);
  },
  LIMITS,
);

/** What transformers' mixtures of experts export where PyTorch's own kernel does not take the weights. */
export const groupedMatmulFallback = converter(
  "transformers::grouped_mm_fallback(Tensor input, Tensor weight, Tensor offs) -> Tensor",
  (ctx, { input, weight, offs }) => like(ctx, input, groupedRows(ctx, input, weight, offs)),
  LIMITS,
);
