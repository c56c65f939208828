import { allNodes, constantOf, type Graph, type Node, type Value } from "../ir/graph.js";
import { isFloatingPoint } from "../ir/scalar-type.js";
import { Tensor } from "../ir/tensor.js";
import type { TensorType } from "../ir/type.js";
import { argumentOf, constantBefore } from "./blocks.js";
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
  const value = argumentOf(node, name);
  if (value !== undefined) return constantOf(value);
  return node.schema?.arguments.find((formal) => formal.name === name)?.default;
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
  const [first = 0, second = 0] = weight.sizes;
  const inner = first * second === 0 ? 0 : weight.numel / (first * second);
  // Runs of elements with one factor, as long as they are: all of an output channel, or of a pair of channels.
  const factors = isTransposed
    ? Float64Array.from({ length: first * second }, (_, at) => {
        const group = Math.floor(Math.floor(at / second) / (first / groups));
        return scale[group * second + (at % second)] as number;
      })
    : scale;
  const run = isTransposed ? inner : second * inner;
  const source = weight.toNumbers();
  if (weight.dtype === "float32") {
    const result = new Float32Array(source.length);
    multiplyRuns(source as Float32Array, factors, run, result);
    return Tensor.from("float32", weight.sizes, result);
  }
  // What the numbers are stored in rounds them, once.
  const result = new Float64Array(source.length);
  multiplyRuns(Float64Array.from(source), factors, run, result);
  return Tensor.of(weight.dtype, weight.sizes, result);
}

/** Both arrays of one kind: a loop that has met one kind of array only is several times faster. */
function multiplyRuns<A extends Float32Array | Float64Array>(source: A, factors: Float64Array, run: number, out: A) {
  for (let i = 0, at = 0; i < factors.length; i++) {
    const factor = factors[i] as number;
    for (const end = at + run; at < end; at++) out[at] = (source[at] as number) * factor;
  }
}
