import type { Capabilities } from "../conversion/context.js";
import { type ConversionResult, convert, failedNode } from "../conversion/convert.js";
import type { Registry } from "../conversion/registry.js";
import type { Graph, Node, Value } from "../ir/graph.js";
import type { DimRange, InputSpec } from "../ir/input-spec.js";
import type { Network } from "../network/network.js";
import { bounds, type Dim, evaluate } from "../network/symbolic.js";
import { TrtorchError } from "../util/errors.js";
import { chooseSegments, producerOf, readsOf, type Segment, segmentGraph } from "./segments.js";
import { type ExecutionTrace, isRefusal, nameOf, type TensorInfo, traceExecution } from "./trace.js";

export interface PartitionOptions {
  readonly inputs: readonly InputSpec[];
  readonly registry: Registry;
  readonly capabilities: Capabilities;
  /** A segment of fewer operators is not worth an engine. */
  readonly minBlockSize: number;
  /** Why the user wants a node to stay with Torch; undefined: they do not. */
  readonly forced: (node: Node) => string | undefined;
}

/** A segment for which there is an engine. */
export interface EngineSegment extends Segment {
  readonly runs: "TensorRT";
  readonly graph: Graph;
  readonly conversion: ConversionResult;
  /** The trace's values that the engine takes and gives, in the order of its bindings. */
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
}

export interface TorchSegment extends Segment {
  readonly runs: "Torch";
}

/** A method taken apart: its segments in the order in which they run. */
export interface Partition {
  readonly trace: ExecutionTrace;
  readonly segments: readonly (EngineSegment | TorchSegment)[];
}

export function engineSegments({ segments }: Partition): EngineSegment[] {
  return segments.filter((segment) => segment.runs === "TensorRT");
}

/**
 * Decides which operators of a lowered graph TensorRT runs and which stay with Torch, and converts the segments for TensorRT. No
 * model is executed: the shapes between segments are inferred, so an operator stays with Torch too when the shape of
 * what it takes cannot be.
 *
 * @throws TrtorchError `unsupported` where nothing is left for TensorRT.
 */
export function partition(lowered: Graph, options: PartitionOptions): Partition {
  let trace = traceExecution(lowered, options);
  for (;;) {
    const segments = chooseSegments(trace, options.minBlockSize);
    const refused = new Map<Node, string>();
    const converted = segments.map((segment, index) =>
      segment.runs === "Torch"
        ? { ...segment, runs: "Torch" as const }
        : convertSegment(trace, segments, index, options, refused),
    );
    if (refused.size === 0) {
      const kept = converted.filter((segment) => segment !== null);
      if (!kept.some(({ runs }) => runs === "TensorRT")) throw nothingLeft(kept, options.minBlockSize);
      return { trace, segments: kept };
    }
    trace = {
      ...trace,
      operations: trace.operations.map((operation) => {
        const torch = operation.torch ?? refused.get(operation.node) ?? null;
        return torch === operation.torch ? operation : { ...operation, torch };
      }),
    };
  }
}

/** Null for a segment whose results nobody needs, or one with operators that are `refused` now. */
function convertSegment(
  trace: ExecutionTrace,
  segments: readonly Segment[],
  index: number,
  options: PartitionOptions,
  refused: Map<Node, string>,
): EngineSegment | null {
  const segment = segments[index] as Segment;
  const own = segmentGraph(trace, segments, index);
  if (own === null) return null;
  const inputs = own.inputs.map((value, i) => specOf(`input_${i}`, trace.values.get(value) as TensorInfo));
  const open = own.inputs.find((_, i) => inputs[i] === null);
  if (open !== undefined) {
    for (const { node } of segment.operations) {
      if (readsOf(trace, node).includes(open)) {
        refused.set(node, `it takes a result of ${nameOf(producerOf(open))}, whose size has no upper bound`);
      }
    }
    return null;
  }
  try {
    const conversion = convert(own.graph, {
      inputs: inputs as InputSpec[],
      registry: options.registry,
      capabilities: options.capabilities,
    });
    const { graph, inputs: taken, outputs } = own;
    return { ...segment, runs: "TensorRT", graph, conversion, inputs: taken, outputs };
  } catch (error) {
    // What held for the whole method need not hold for a part of it, which knows less of the sizes of its inputs.
    if (!(error instanceof TrtorchError) || error.code === "internal") throw error;
    const operations = new Map(own.operations.map(({ operation, copy }) => [copy, operation]));
    let failed = failedNode(error);
    while (failed !== undefined && !operations.has(failed)) failed = failed.owningBlock?.owningNode;
    const operation = failed === undefined ? undefined : operations.get(failed);
    if (operation === undefined) throw error;
    refused.set(operation.node, error.message.split("\n")[0] as string);
    return null;
  }
}

/** A Torch segment as a network, for the CPU reference; null where conversion refuses it, "unused" where nobody needs it. */
export function convertTorchSegment(
  { trace, segments }: Partition,
  index: number,
  options: Pick<PartitionOptions, "registry" | "capabilities">,
): { network: Network; inputs: readonly Value[]; outputs: readonly Value[] } | "unused" | null {
  const own = segmentGraph(trace, segments, index);
  if (own === null) return "unused";
  const inputs = own.inputs.flatMap((value, i) => {
    const info = trace.values.get(value);
    return (info == null ? null : specOf(`input_${i}`, info)) ?? [];
  });
  if (inputs.length !== own.inputs.length) return null;
  try {
    const { network } = convert(own.graph, { ...options, inputs });
    return { network, inputs: own.inputs, outputs: own.outputs };
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return null;
  }
}

/** Null where a size has no bound, so that no engine can be built for it. */
function specOf(name: string, { dtype, dims }: TensorInfo): InputSpec | null {
  const ranges = dims.map(rangeOf);
  if (ranges.some((range) => range === null)) return null;
  // TensorRT has no doubles; the wrapped module casts.
  return { name, dtype: dtype === "float64" ? "float32" : dtype, dims: ranges as (number | DimRange)[] };
}

function rangeOf(dim: Dim): number | DimRange | null {
  if (typeof dim === "number") return dim;
  const { min, max } = bounds(dim);
  if (!Number.isFinite(max)) return null;
  const low = Math.max(min, 0);
  const opt = Math.min(Math.max(evaluate(dim, "opt"), low), max);
  return low === max ? max : { min: low, opt, max, symbol: dim.key };
}

function nothingLeft(segments: readonly Segment[], minBlockSize: number): TrtorchError {
  const reasons = new Map<string, string>();
  for (const { operations } of segments) {
    for (const { node, torch } of operations) reasons.set(nameOf(node), torch ?? "");
  }
  const shown = [...reasons].slice(0, 5).map(([name, reason]) => `  ${name}: ${reason}`);
  return new TrtorchError("unsupported", `nothing of the method is left for TensorRT\n${shown.join("\n")}`, {
    hint: `Register converters for what has none, name less in torch_executed_ops and torch_executed_modules, or lower min_block_size (${minBlockSize}).`,
  });
}
