import type { ITensor } from "../../network/layers.js";
import { type Dim, floordiv, sub } from "../../network/symbolic.js";
import { numbersOf } from "../../network/weights.js";
import { iota, like, numberLike } from "../axes.js";
import type { ConversionContext } from "../context.js";
import { castTo, elementWise, reshape } from "../operands.js";
import { converter } from "../registry.js";
import type { TensorValue } from "../values.js";
import { viewed } from "./view.js";

export const embedding = converter(
  "aten::embedding(Tensor weight, Tensor indices, SymInt padding_idx=-1, bool scale_grad_by_freq=False, bool sparse=False) -> Tensor",
  (ctx, { weight, indices }) => like(ctx, weight, ctx.network.addGather(weight.tensor, indices.tensor, 0)),
);

const MODES = ["sum", "mean", "max"] as const;

interface Bags {
  readonly weight: TensorValue;
  readonly indices: TensorValue;
  readonly offsets: TensorValue;
  readonly mode: number;
  readonly per_sample_weights: TensorValue | null;
  readonly include_last_offset: boolean;
}

/** `[bags, 1]` first elements of the bags, and those of the next ones. */
function bagBounds(ctx: ConversionContext, bags: Bags, length: Dim): [starts: ITensor, ends: ITensor] {
  const { network } = ctx;
  const offsets = castTo(ctx, bags.offsets, "int64").tensor;
  const last = network.addShuffle(network.scalarTensor(length), { reshape: [1] });
  const all = bags.include_last_offset ? offsets : network.addConcatenation([offsets, last], 0);
  const count = sub(all.dims[0] as Dim, 1);
  const part = (start: number): ITensor => reshape(ctx, network.addSlice(all, [start], [count], [1]), [count, 1]);
  return [part(0), part(1)];
}

/** Bags of one known size: they are the rows of a matrix. */
function evenSize(bags: Bags, length: Dim): number | undefined {
  const { weights } = bags.offsets;
  if (weights === null || typeof length !== "number") return undefined;
  const bounds = [...numbersOf(weights), ...(bags.include_last_offset ? [] : [length])];
  const size = (bounds[1] ?? 0) - (bounds[0] ?? 0);
  const even = bounds.every((bound, i) => bound === i * size);
  return even && size > 0 && bounds.at(-1) === length ? size : undefined;
}

/** A value an embedding bag: the sum, mean or maximum of the rows that its part of the indices names. */
function bagged(ctx: ConversionContext, bags: Bags, paddingIdx: number | null): TensorValue {
  const { network } = ctx;
  const { weight } = bags;
  const mode = MODES[bags.mode] ?? ctx.unsupported(`mode ${bags.mode}`);
  const indices = viewed(ctx, bags.indices, [-1]);
  const length = indices.dims[0] as Dim;
  const width = weight.dims[1] as Dim;
  let rows = like(ctx, weight, network.addGather(weight.tensor, indices.tensor, 0));
  if (bags.per_sample_weights !== null) {
    rows = elementWise(ctx, rows, viewed(ctx, bags.per_sample_weights, [length, 1]), "kPROD");
  }
  const size = paddingIdx === null ? evenSize(bags, length) : undefined;
  if (size !== undefined) {
    const matrix = reshape(ctx, rows.tensor, [floordiv(length, size), size, width]);
    const operation = ({ sum: "kSUM", mean: "kAVG", max: "kMAX" } as const)[mode];
    return like(ctx, weight, network.addReduce(matrix, operation, [1], false));
  }
  const [starts, ends] = bagBounds(ctx, bags, length);
  const places = reshape(ctx, iota(ctx, length), [1, length]);
  const begun = network.addUnary(network.addElementWise(starts, places, "kGREATER"), "kNOT");
  let inside = network.addElementWise(begun, network.addElementWise(ends, places, "kGREATER"), "kAND");
  if (paddingIdx !== null) {
    const padding = network.addElementWise(indices.tensor, numberLike(ctx, indices.tensor, paddingIdx), "kEQUAL");
    const kept = reshape(ctx, network.addUnary(padding, "kNOT"), [1, length]);
    inside = network.addElementWise(inside, kept, "kAND");
  }
  const count = inside.dims[0] as Dim;
  const cells = reshape(ctx, inside, [count, length, 1]);
  const values = reshape(ctx, rows.tensor, [1, length, width]);
  const outside = numberLike(ctx, values, mode === "max" ? Number.NEGATIVE_INFINITY : 0);
  const chosen = network.addSelect(cells, values, outside);
  const reduced = network.addReduce(chosen, mode === "max" ? "kMAX" : "kSUM", [1], false);
  if (mode === "sum") return like(ctx, weight, reduced);
  const counts = network.addReduce(network.addCast(inside, reduced.type), "kSUM", [1], true);
  if (mode === "mean") {
    const atLeastOne = network.addElementWise(counts, numberLike(ctx, counts, 1), "kMAX");
    return like(ctx, weight, network.addElementWise(reduced, atLeastOne, "kDIV"));
  }
  // An empty bag is 0.
  const filled = network.addElementWise(counts, numberLike(ctx, counts, 0), "kGREATER");
  return like(ctx, weight, network.addSelect(filled, reduced, numberLike(ctx, reduced, 0)));
}

/** The other results serve the backward pass: PyTorch gives them in forms that depend on its kernels. */
function outputOnly(ctx: ConversionContext, output: TensorValue): [TensorValue, TensorValue, TensorValue, TensorValue] {
  if (ctx.node.outputs.slice(1).some((result) => result.hasUses)) {
    ctx.unsupported("offset2bag, bag_size and max_indices are not computed", "Use the first result only.");
  }
  return [output, output, output, output];
}

const LIMITS = { limits: "The first result only. Bags of unequal size compare every bag with every index." };

export const embeddingBag = [
  converter(
    "aten::embedding_bag(Tensor weight, Tensor indices, Tensor offsets, bool scale_grad_by_freq=False, int mode=0, bool sparse=False, Tensor? per_sample_weights=None, bool include_last_offset=False) -> (Tensor, Tensor, Tensor, Tensor)",
    (ctx, args) => outputOnly(ctx, bagged(ctx, args, null)),
    LIMITS,
  ),
  converter(
    "aten::embedding_bag.padding_idx(Tensor weight, Tensor indices, Tensor offsets, bool scale_grad_by_freq, int mode, bool sparse, Tensor? per_sample_weights, bool include_last_offset, int? padding_idx) -> (Tensor, Tensor, Tensor, Tensor)",
    (ctx, args) => outputOnly(ctx, bagged(ctx, args, wrapPadding(args.padding_idx, args.weight))),
    LIMITS,
  ),
  converter(
    "aten::_embedding_bag(Tensor weight, Tensor indices, Tensor offsets, bool scale_grad_by_freq=False, int mode=0, bool sparse=False, Tensor? per_sample_weights=None, bool include_last_offset=False, int padding_idx=-1) -> (Tensor, Tensor, Tensor, Tensor)",
    (ctx, args) => outputOnly(ctx, bagged(ctx, args, args.padding_idx < 0 ? null : args.padding_idx)),
    LIMITS,
  ),
  converter(
    "aten::_embedding_bag_forward_only(Tensor weight, Tensor indices, Tensor offsets, bool scale_grad_by_freq=False, int mode=0, bool sparse=False, Tensor? per_sample_weights=None, bool include_last_offset=False, int padding_idx=-1) -> (Tensor, Tensor, Tensor, Tensor)",
    (ctx, args) => outputOnly(ctx, bagged(ctx, args, args.padding_idx < 0 ? null : args.padding_idx)),
    LIMITS,
  ),
];

function wrapPadding(index: number | null, weight: TensorValue): number | null {
  const [rows] = weight.dims;
  return index !== null && index < 0 && typeof rows === "number" ? index + rows : index;
}
