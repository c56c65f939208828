import { createSession } from "../backends/onnx/runtime.js";
import { constantOf, type Value } from "../ir/graph.js";
import type { ScalarType } from "../ir/scalar-type.js";
import { Tensor } from "../ir/tensor.js";
import type { Network } from "../network/network.js";
import { scalarTypeOf } from "../network/weights.js";
import { convertTorchSegment, type Partition, type PartitionOptions } from "../partition/partition.js";
import { producerOf } from "../partition/segments.js";
import type { ExecutionTrace } from "../partition/trace.js";
import type { OutputComparison, Tolerance } from "../plan/job.js";
import { readNpz } from "../util/npz.js";
import { compare } from "./comparison.js";
import { entry } from "./golden.js";

/**
 * Runs a partition's segments one after the other on the CPU with recorded inputs, and compares what they give in the end. Torch's
 * segments run as networks too, which shows what crosses between segments; null where one of them cannot. `networks` are
 * those of the engines.
 */
export async function compareChainWithGolden(
  partition: Partition,
  networks: readonly Network[],
  options: Pick<PartitionOptions, "registry" | "capabilities">,
  file: string,
  tolerance: Tolerance,
): Promise<OutputComparison[] | null> {
  const { trace, segments } = partition;
  let engine = 0;
  const steps: { network: Network; inputs: readonly Value[]; outputs: readonly Value[] }[] = [];
  for (const [index, segment] of segments.entries()) {
    if (segment.runs === "TensorRT") {
      steps.push({ ...segment, network: networks[engine++] as Network });
      continue;
    }
    const converted = convertTorchSegment(partition, index, options);
    if (converted === null) return null;
    if (converted !== "unused") steps.push(converted);
  }
  const recorded = readNpz(file);
  const values = new Map<Value, Tensor>();
  argumentsOf(trace).forEach((names, i) => {
    for (const value of names) values.set(value, entry(recorded, file, `in${i}`));
  });
  for (const { network, inputs, outputs } of steps) {
    const session = await createSession(network);
    try {
      const given = network.inputs.map((input, i): [string, Tensor] => {
        return [input.name, cast(values.get(inputs[i] as Value) as Tensor, scalarTypeOf(input.type))];
      });
      const results = await session.run(Object.fromEntries(given));
      outputs.forEach((value, i) => {
        values.set(value, results[network.outputs[i]?.name as string] as Tensor);
      });
    } finally {
      await session.release();
    }
  }
  return trace.graph.outputs
    .flatMap((output) => tensorsIn(output, values))
    .map((tensor, i) => compare(`output_${i}`, tensor, entry(recorded, file, `out${i}`), tolerance));
}

/** The tensors that the method takes, in order; one has several values where it is optional. */
function argumentsOf(trace: ExecutionTrace): Value[][] {
  const found: Value[][] = [];
  for (const [value, info] of trace.values) {
    if (info === null || producerOf(value).kind !== "prim::Param") continue;
    if (value.node.kind === "prim::unchecked_unwrap_optional") found.at(-1)?.push(value);
    else found.push([value]);
  }
  return found;
}

function tensorsIn(value: Value, values: ReadonlyMap<Value, Tensor>): Tensor[] {
  const known = values.get(value);
  if (known !== undefined) return [known];
  const constant = constantOf(value);
  if (constant instanceof Tensor) return [constant];
  const { node } = value;
  const parts = node.kind === "prim::DictConstruct" ? node.inputs.filter((_, i) => i % 2 === 1) : node.inputs;
  return STRUCTURES.has(node.kind) ? parts.flatMap((part) => tensorsIn(part, values)) : [];
}

const STRUCTURES = new Set(["prim::TupleConstruct", "prim::ListConstruct", "prim::DictConstruct"]);

function cast(tensor: Tensor, dtype: ScalarType): Tensor {
  return tensor.dtype === dtype ? tensor : Tensor.of(dtype, tensor.sizes, tensor.toNumbers());
}
