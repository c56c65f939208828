import { isTrue, largestMagnitude } from "../../network/analysis.js";
import { isFloat } from "../../network/enums.js";
import { constantOf } from "../../network/fold.js";
import { hidingNumber } from "../../network/half.js";
import type { ITensor } from "../../network/layers.js";
import { type Dim, floordiv, mul } from "../../network/symbolic.js";
import { numbersOf } from "../../network/weights.js";
import { iota, like, range, sliceAxis } from "../axes.js";
import type { ConversionContext } from "../context.js";
import { broadcast, constantLike, elementWise, expandTo, reshape } from "../operands.js";
import { converter } from "../registry.js";
import { Scalar, type TensorValue } from "../values.js";
import { matmul } from "./matmul.js";
import { layerNormOver } from "./normalization.js";
import { visible } from "./softmax.js";

interface AttentionArguments {
  readonly query: TensorValue;
  readonly key: TensorValue;
  readonly value: TensorValue;
  readonly attn_mask: TensorValue | null;
  readonly dropout_p: number;
  readonly is_causal: boolean;
  readonly scale: number | null;
  readonly enable_gqa?: boolean;
}

/**
 * `softmax(query key^T * scale + mask) value` over `[..., length, size]`, as the layers that TensorRT fuses into one
 * attention kernel. The scale goes to the query, where it costs least.
 */
function attention(ctx: ConversionContext, args: AttentionArguments): TensorValue {
  const { query } = args;
  const size = query.dims.at(-1);
  if (args.scale === null && typeof size !== "number") {
    return ctx.unsupported(
      "the size of a head is known only at run time",
      "Fix the last dim of the query, or give scale=.",
    );
  }
  const scale = args.scale ?? 1 / Math.sqrt(size as number);
  const heads = args.enable_gqa ? (query.dims.at(-3) as Dim) : undefined;
  const key = heads === undefined ? args.key : repeatHeads(ctx, args.key, heads);
  const value = heads === undefined ? args.value : repeatHeads(ctx, args.value, heads);
  const scores = matmul(ctx, elementWise(ctx, query, new Scalar("float", scale), "kPROD"), key, true);
  return matmul(ctx, weightsOf(ctx, scores, args), value);
}

/** The softmax of the scores that the mask leaves. */
function weightsOf(
  ctx: ConversionContext,
  scores: TensorValue,
  { attn_mask: mask, is_causal }: Pick<AttentionArguments, "attn_mask" | "is_causal">,
): TensorValue {
  const unlessHidden = (keep: ITensor): TensorValue => where(ctx, keep, scores, Number.NEGATIVE_INFINITY);
  if (is_causal) {
    const [rows, columns] = scores.dims.slice(-2) as [Dim, Dim];
    return softmaxOf(ctx, unlessHidden(causalMask(ctx, rows, columns)));
  }
  if (mask === null) return softmaxOf(ctx, scores);
  if (mask.dtype !== "bool") {
    const sum = elementWise(ctx, scores, mask, "kSUM");
    return leavesEachRow(mask.tensor) ? softmaxOf(ctx, sum) : softmaxWhere(ctx, visible(ctx, mask.tensor), sum);
  }
  const keep = whatHides(ctx, mask.tensor);
  if (keep === null) return softmaxOf(ctx, scores);
  return leavesEachRow(keep) ? softmaxOf(ctx, unlessHidden(keep)) : softmaxWhere(ctx, keep, scores);
}

function softmaxOf(ctx: ConversionContext, scores: TensorValue): TensorValue {
  return like(ctx, scores, ctx.network.addSoftMax(scores.tensor, scores.dims.length - 1));
}

/**
 * Softmax over the scores where `keep` is true, and 0 elsewhere: also in rows without any, of which softmax makes NaNs. The mask is
 * asked twice because TensorRT does both within softmax's kernel, where a reduction of the mask would be one more.
 *
 * In half precision the second time would take apart what is one kernel, attention as a whole. Such rows are hidden by a finite
 * number there and get the mean of the values: here, where the model itself is half, else by {@link applyPrecision}.
 */
function softmaxWhere(ctx: ConversionContext, keep: ITensor, scores: TensorValue): TensorValue {
  const { type } = scores.tensor;
  const [condition] = broadcast(ctx, keep, scores.tensor);
  if (type !== "kFLOAT") return softmaxOf(ctx, where(ctx, condition, scores, hidingNumber(type)));
  return where(ctx, condition, softmaxOf(ctx, where(ctx, condition, scores, Number.NEGATIVE_INFINITY)), 0);
}

/**
 * The mask without those parts of a conjunction that hide nothing, null where all are such. Transformers join one that says nothing of
 * rows and one that says nothing of anything: without the latter, all rows have one mask.
 */
function whatHides(ctx: ConversionContext, mask: ITensor): ITensor | null {
  const parts = conjuncts(mask);
  const hiding = parts.filter((part) => !isTrue(part));
  if (hiding.length === parts.length) return mask;
  if (hiding.length === 0) return null;
  return hiding.reduce((a, b) => ctx.network.addElementWise(...broadcast(ctx, a, b), "kAND"));
}

/** The masks of which a mask is the conjunction. */
function conjuncts(mask: ITensor): readonly ITensor[] {
  const { producer } = mask;
  return producer?.type === "kELEMENTWISE" && producer.attributes.operation === "kAND" && constantOf(mask) === null
    ? producer.inputs.flatMap((input) => conjuncts(input as ITensor))
    : [mask];
}

/** Is it known that each row has something to see: by a constant mask, or because one that is added is finite? */
function leavesEachRow(mask: ITensor): boolean {
  if (isFloat(mask.type) && Number.isFinite(largestMagnitude(mask))) return true;
  const weights = constantOf(mask);
  if (weights === null) return false;
  const hidden = weights.type === "kBOOL" ? 0 : Number.NEGATIVE_INFINITY;
  const numbers = numbersOf(weights);
  const length = mask.dims.at(-1) as number;
  return range(numbers.length / length).every((row) =>
    numbers.subarray(row * length, (row + 1) * length).some((number) => number !== hidden),
  );
}

/** Grouped-query attention: each head of keys and values serves several heads of queries that follow each other. */
function repeatHeads(ctx: ConversionContext, value: TensorValue, heads: Dim): TensorValue {
  const own = value.dims.at(-3) as Dim;
  const repeats = floordiv(heads, own);
  if (repeats === 1) return value;
  const lead = value.dims.slice(0, -3);
  const tail = value.dims.slice(-2);
  const column = reshape(ctx, value.tensor, [...lead, own, 1, ...tail]);
  const repeated = expandTo(ctx, column, [...lead, own, repeats, ...tail]);
  return ctx.tensorValue(reshape(ctx, repeated, [...lead, mul(own, repeats), ...tail]), value.dtype);
}

/** `x` where `keep` is true, `other` elsewhere. */
function where(ctx: ConversionContext, keep: ITensor, x: TensorValue, other: number): TensorValue {
  const [condition, wide] = broadcast(ctx, keep, x.tensor);
  return like(ctx, x, ctx.network.addSelect(condition, wide, constantLike(ctx, wide, other)));
}

/** True on and below the diagonal that starts in the upper left corner. */
function causalMask(ctx: ConversionContext, rows: Dim, columns: Dim): ITensor {
  const { network } = ctx;
  const row = reshape(ctx, iota(ctx, rows), [rows, 1]);
  const column = reshape(ctx, iota(ctx, columns), [1, columns]);
  return network.addUnary(network.addElementWise(column, row, "kGREATER"), "kNOT");
}

const HIDDEN_ROWS = {
  limits: "In half precision, rows whose mask hides everything are the mean of the values, not 0.",
};

export const scaledDotProductAttention = converter(
  "aten::scaled_dot_product_attention(Tensor query, Tensor key, Tensor value, Tensor? attn_mask=None, float dropout_p=0.0, bool is_causal=False, *, float? scale=None, bool enable_gqa=False) -> Tensor",
  (ctx, args) => attention(ctx, args),
  HIDDEN_ROWS,
);

/** The kernels that PyTorch chose while exporting for one device or another; only their first result is attention's. */
function onlyFirst(ctx: ConversionContext, y: TensorValue): TensorValue {
  if (ctx.node.outputs.slice(1).some((output) => output.hasUses)) {
    ctx.unsupported("results beside the attention are used", "They exist for training only.");
  }
  return y;
}

export const attentionKernels = [
  converter(
    "aten::_scaled_dot_product_flash_attention_for_cpu(Tensor query, Tensor key, Tensor value, float dropout_p=0.0, bool is_causal=False, *, Tensor? attn_mask=None, float? scale=None) -> (Tensor output, Tensor logsumexp)",
    (ctx, args) => {
      const y = onlyFirst(ctx, attention(ctx, args));
      return [y, y];
    },
    HIDDEN_ROWS,
  ),
  converter(
    "aten::_scaled_dot_product_flash_attention(Tensor query, Tensor key, Tensor value, float dropout_p=0.0, bool is_causal=False, bool return_debug_mask=False, *, float? scale=None) -> (Tensor output, Tensor logsumexp, Tensor cum_seq_q, Tensor cum_seq_k, int max_q, int max_k, Tensor rng_state, Tensor unused, Tensor debug_attn_mask)",
    (ctx, args) => {
      const y = onlyFirst(ctx, attention(ctx, { ...args, attn_mask: null }));
      return [y, y, y, y, 0, 0, y, y, y];
    },
  ),
  converter(
    "aten::_scaled_dot_product_efficient_attention(Tensor query, Tensor key, Tensor value, Tensor? attn_bias, bool compute_log_sumexp, float dropout_p=0.0, bool is_causal=False, *, float? scale=None) -> (Tensor output, Tensor log_sumexp, Tensor philox_seed, Tensor philox_offset)",
    (ctx, args) => {
      const y = onlyFirst(ctx, attention(ctx, { ...args, attn_mask: args.attn_bias }));
      return [y, y, y, y];
    },
    HIDDEN_ROWS,
  ),
  converter(
    "aten::_scaled_dot_product_attention_math(Tensor query, Tensor key, Tensor value, Tensor? attn_mask=None, float dropout_p=0.0, bool is_causal=False, Tensor? dropout_mask=None, *, float? scale=None, bool enable_gqa=False) -> (Tensor, Tensor)",
    (ctx, args) => {
      const y = onlyFirst(ctx, attention(ctx, args));
      return [y, y];
    },
    HIDDEN_ROWS,
  ),
];

function project(ctx: ConversionContext, x: TensorValue, weight: TensorValue, bias: TensorValue | null): TensorValue {
  const y = matmul(ctx, x, weight, true);
  return bias === null ? y : elementWise(ctx, y, bias, "kSUM");
}

function part(ctx: ConversionContext, value: TensorValue, index: number, size: number): TensorValue {
  return like(ctx, value, sliceAxis(ctx, value.tensor, 0, index * size, size));
}

interface MultiHeadArguments {
  readonly query: TensorValue;
  readonly key: TensorValue;
  readonly value: TensorValue;
  readonly embed_dim: number;
  readonly num_head: number;
  readonly qkv_weight: TensorValue;
  readonly qkv_bias: TensorValue | null;
  readonly proj_weight: TensorValue;
  readonly proj_bias: TensorValue | null;
  readonly mask: TensorValue | null;
  readonly mask_type: number | null;
}

/** `nn.MultiheadAttention` in eval mode: inputs `[batch, length, embed_dim]`; also the weights before the values. */
function multiHeadAttention(
  ctx: ConversionContext,
  args: MultiHeadArguments,
): { output: TensorValue; weights: TensorValue } {
  const { network } = ctx;
  const { embed_dim: size, num_head: heads } = args;
  const head = size / heads;
  const inputs = [args.query, args.key, args.value];
  const [q, k, v] = inputs.map((input, i) => {
    const projected = project(
      ctx,
      input,
      part(ctx, args.qkv_weight, i, size),
      args.qkv_bias === null ? null : part(ctx, args.qkv_bias, i, size),
    );
    const [batch, length] = projected.dims as [Dim, Dim];
    const split = network.addShuffle(projected.tensor, {
      reshape: [batch, length, heads, head],
      secondTranspose: [0, 2, 1, 3],
    });
    return ctx.tensorValue(split, projected.dtype);
  }) as [TensorValue, TensorValue, TensorValue];
  let scores = matmul(ctx, elementWise(ctx, q, new Scalar("float", 1 / Math.sqrt(head)), "kPROD"), k, true);
  if (args.mask !== null) scores = withMask(ctx, scores, args.mask, args.mask_type);
  const weights = ctx.tensorValue(network.addSoftMax(scores.tensor, 3), scores.dtype);
  const mixed = matmul(ctx, weights, v);
  const [batch, , length] = mixed.dims as [Dim, Dim, Dim];
  const joined = network.addShuffle(mixed.tensor, { firstTranspose: [0, 2, 1, 3], reshape: [batch, length, size] });
  return { output: project(ctx, ctx.tensorValue(joined, mixed.dtype), args.proj_weight, args.proj_bias), weights };
}

/**
 * Masks of the fused modules say what to leave out, and a row without anything left gives NaN there: type 0 `[length, length]`, 1 `[batch, length]`, 2
 * `[batch, heads, length, length]`.
 */
function withMask(ctx: ConversionContext, scores: TensorValue, mask: TensorValue, type: number | null): TensorValue {
  const dims = type === 1 && mask.dims.length === 2 ? [mask.dims[0] as Dim, 1, 1, mask.dims[1] as Dim] : mask.dims;
  const shaped = ctx.tensorValue(reshape(ctx, mask.tensor, dims), mask.dtype);
  if (mask.dtype !== "bool") return elementWise(ctx, scores, shaped, "kSUM");
  return where(ctx, ctx.network.addUnary(shaped.tensor, "kNOT"), scores, Number.NEGATIVE_INFINITY);
}

/** Head by head: with a reduction beside the product of weights and values, TensorRT 10.6 gets the product wrong over ranges. */
function meanOfHeads(ctx: ConversionContext, weights: TensorValue): TensorValue {
  const [batch, heads, rows, columns] = weights.dims as [Dim, number, Dim, Dim];
  const parts = range(heads).map((head) => {
    const part = sliceAxis(ctx, weights.tensor, 1, head, 1);
    return ctx.tensorValue(reshape(ctx, part, [batch, rows, columns]), weights.dtype);
  });
  const sum = parts.reduce((total, part) => elementWise(ctx, total, part, "kSUM"));
  return elementWise(ctx, sum, new Scalar("float", 1 / heads), "kPROD");
}

export const nativeMultiHeadAttention = converter(
  "aten::_native_multi_head_attention(Tensor query, Tensor key, Tensor value, int embed_dim, int num_head, Tensor qkv_weight, Tensor qkv_bias, Tensor proj_weight, Tensor proj_bias, Tensor? mask=None, bool need_weights=True, bool average_attn_weights=True, int? mask_type=None) -> (Tensor, Tensor)",
  (ctx, args) => {
    const { output, weights } = multiHeadAttention(ctx, args);
    if (!args.need_weights) return [output, output];
    return [output, args.average_attn_weights ? meanOfHeads(ctx, weights) : weights] as const;
  },
);

export const transformerEncoderLayer = converter(
  "aten::_transformer_encoder_layer_fwd(Tensor src, int embed_dim, int num_heads, Tensor qkv_weight, Tensor qkv_bias, Tensor proj_weight, Tensor proj_bias, bool use_gelu, bool norm_first, float eps, Tensor norm_weight_1, Tensor norm_bias_1, Tensor norm_weight_2, Tensor norm_bias_2, Tensor ffn_weight_1, Tensor ffn_bias_1, Tensor ffn_weight_2, Tensor ffn_bias_2, Tensor? mask=None, int? mask_type=None) -> Tensor",
  (ctx, args) => {
    const norm = (x: TensorValue, weight: TensorValue, bias: TensorValue): TensorValue =>
      ctx.tensorValue(layerNormOver(ctx, x, 1, weight, bias, args.eps), x.dtype);
    const attend = (x: TensorValue): TensorValue =>
      multiHeadAttention(ctx, { ...args, query: x, key: x, value: x, num_head: args.num_heads }).output;
    const feedForward = (x: TensorValue): TensorValue => {
      const hidden = project(ctx, x, args.ffn_weight_1, args.ffn_bias_1);
      const active = ctx.network.addActivation(hidden.tensor, args.use_gelu ? "kGELU_ERF" : "kRELU");
      return project(ctx, ctx.tensorValue(active, hidden.dtype), args.ffn_weight_2, args.ffn_bias_2);
    };
    const sum = (a: TensorValue, b: TensorValue): TensorValue => elementWise(ctx, a, b, "kSUM");
    let x = args.src;
    if (args.norm_first) {
      x = sum(x, attend(norm(x, args.norm_weight_1, args.norm_bias_1)));
      return sum(x, feedForward(norm(x, args.norm_weight_2, args.norm_bias_2)));
    }
    x = norm(sum(x, attend(x)), args.norm_weight_1, args.norm_bias_1);
    return norm(sum(x, feedForward(x)), args.norm_weight_2, args.norm_bias_2);
  },
);
