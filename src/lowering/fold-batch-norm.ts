import { allNodes, constantOf, type Graph, type Node, type Value } from "../ir/graph.js";
import { isFloatingPoint } from "../ir/scalar-type.js";
import { Tensor } from "../ir/tensor.js";
import type { TensorType } from "../ir/type.js";
import { constantBefore } from "./blocks.js";
import type { LoweringReport } from "./report.js";

/**
 * Multiplies the weights of a convolution by what the batch normalization after it does to each channel:
 * `scale = gamma / sqrt(var + eps)`, `weight' = weight * scale`, `bias' = (bias - mean) * scale + beta`. In double
 * precision, rounded once. Where the convolution's result has no other use and all of these are constants.
 */
export function foldBatchNorm(graph: Graph, report: LoweringReport): boolean {
  let changed = false;
  for (const node of allNodes(graph.block)) {
    const eps = isInference(node) ? argument(node, "eps") : undefined;
    if (typeof eps === "number" && fold(node, eps)) {
      report.record("fold-batch-norm", node.kind, node);
      node.destroy();
      changed = true;
    }
  }
  return changed;
}

/** A normalization by running statistics whose only use is its result. The second form is what torch.export decomposes to. */
function isInference(node: Node): boolean {
  if (node.kind === "aten::batch_norm") return argument(node, "training") === false;
  return (
    node.kind === "aten::_native_batch_norm_legit_no_training" &&
    node.outputs.slice(1).every((statistic) => !statistic.hasUses)
  );
}

/** The constant that an argument is; undefined where it is computed. */
function argument(node: Node, name: string): unknown {
  const index = node.schema?.arguments.findIndex((formal) => formal.name === name) ?? -1;
  const value = node.inputs[index];
  return value === undefined ? node.schema?.arguments[index]?.default : constantOf(value);
}

/** How a kind of convolution lays its weights out: `[out, in / groups, ...]`, or `[in, out / groups, ...]` transposed. */
function layoutOf(node: Node): { readonly isTransposed: boolean; readonly groups: number } | undefined {
  const isGeneral = /^aten::_?convolution$/.test(node.kind);
  if (!isGeneral && !/^aten::conv(?:_transpose)?[123]d$/.test(node.kind)) return undefined;
  const isTransposed = isGeneral ? argument(node, "transposed") : node.kind.includes("transpose");
  const groups = argument(node, "groups");
  return typeof isTransposed === "boolean" && typeof groups === "number" ? { isTransposed, groups } : undefined;
}

function fold(norm: Node, eps: number): boolean {
  const convolution = norm.input().node;
  const layout = layoutOf(convolution);
  if (layout === undefined || norm.input().uses.size !== 1) return false;
  const weight = constantOf(convolution.input(1));
  if (!(weight instanceof Tensor) || !isFloatingPoint(weight.dtype)) return false;
  const channels = layout.isTransposed ? (weight.sizes[1] as number) * layout.groups : (weight.sizes[0] as number);
  // PyTorch's order: weight, bias, running mean, running variance.
  const bias = perChannel(convolution.inputs[2], channels, 0);
  const gamma = perChannel(norm.input(1), channels, 1);
  const beta = perChannel(norm.input(2), channels, 0);
  const mean = perChannel(norm.input(3), channels, undefined);
  const variance = perChannel(norm.input(4), channels, undefined);
  if (!bias || !gamma || !beta || !mean || !variance) return false;

  const scale = gamma.map((factor, i) => factor / Math.sqrt((variance[i] as number) + eps));
  const shift = bias.map((value, i) => (value - (mean[i] as number)) * (scale[i] as number) + (beta[i] as number));
  const folded = constantBefore(convolution, scaled(weight, scale, layout), tensorType(weight));
  folded.debugName = nameOf(convolution.input(1));
  const shiftTensor = Tensor.of(weight.dtype, [channels], shift);
  const foldedBias = constantBefore(convolution, shiftTensor, tensorType(shiftTensor));
  foldedBias.debugName = nameOf(convolution.input(1))?.replace(/weight/, "bias");
  convolution.replaceInput(1, folded);
  convolution.replaceInput(2, foldedBias);
  const output = convolution.output();
  norm.output().replaceAllUsesWith(output);
  output.debugName = norm.output().debugName;
  return true;
}

function nameOf(weight: Value): string | undefined {
  return weight.debugName === undefined ? undefined : `${weight.debugName}_fused_bn`;
}

function tensorType(tensor: Tensor): typeof TensorType {
  return { kind: "TensorType", dtype: tensor.dtype, sizes: tensor.sizes };
}

/** A number a channel; `absent` for each where the argument is None. Undefined where it is no such constant. */
function perChannel(value: Value | undefined, channels: number, absent: number | undefined): Float64Array | undefined {
  const constant = value === undefined ? undefined : constantOf(value);
  if (constant === null && absent !== undefined) return new Float64Array(channels).fill(absent);
  if (!(constant instanceof Tensor) || constant.numel !== channels) return undefined;
  return Float64Array.from(constant.toNumbers());
}

function scaled(
  weight: Tensor,
  scale: Float64Array,
  { isTransposed, groups }: { readonly isTransposed: boolean; readonly groups: number },
): Tensor {
  const source = weight.toNumbers();
  // Numbers are doubles while they are multiplied; what they are stored in rounds them.
  const result = weight.dtype === "float32" ? new Float32Array(source.length) : new Float64Array(source.length);
  const [first = 0, second = 0] = weight.sizes;
  const inner = first * second === 0 ? 0 : source.length / (first * second);
  for (let i = 0, at = 0; i < first; i++) {
    const group = Math.floor(i / (first / groups));
    for (let j = 0; j < second; j++) {
      const factor = scale[isTransposed ? group * second + j : i] as number;
      for (let k = 0; k < inner; k++, at++) result[at] = (source[at] as number) * factor;
    }
  }
  return weight.dtype === "float32"
    ? Tensor.from("float32", weight.sizes, result)
    : Tensor.of(weight.dtype, weight.sizes, result);
}
