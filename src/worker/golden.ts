import { createSession } from "../backends/onnx/runtime.js";
import type { Tensor } from "../ir/tensor.js";
import type { Network } from "../network/network.js";
import type { OutputComparison, Tolerance } from "../plan/job.js";
import { TrtorchError } from "../util/errors.js";
import { readNpz } from "../util/npz.js";
import { compareAll } from "./comparison.js";
import type { Tensors } from "./executable.js";

/** Inputs, and what the outputs should be for them, in their order. */
export interface Reference {
  readonly inputs: Tensors;
  readonly outputs: readonly Tensor[];
}

/** Anything that has bindings: a network, an engine. */
interface Bound {
  readonly inputs: readonly { readonly name: string }[];
  readonly outputs: readonly { readonly name: string }[];
}

/** The recorded inputs `in0`, `in1`, ... and outputs `out0`, `out1`, ... of a golden file, for what has such bindings. */
export function readGolden(file: string, { inputs, outputs }: Bound): Reference {
  const recorded = readNpz(file);
  return {
    inputs: Object.fromEntries(inputs.map(({ name }, i) => [name, entry(recorded, file, `in${i}`)])),
    outputs: outputs.map((_, i) => entry(recorded, file, `out${i}`)),
  };
}

/** Runs the network on the CPU with the reference's inputs, and compares. */
export async function compareOnCpu(
  network: Network,
  reference: Reference,
  tolerance: Tolerance,
): Promise<OutputComparison[]> {
  const session = await createSession(network);
  try {
    const names = network.outputs.map(({ name }) => name);
    return compareAll(names, await session.run(reference.inputs), reference.outputs, tolerance);
  } finally {
    await session.release();
  }
}

export function entry(recorded: ReadonlyMap<string, Tensor>, file: string, name: string): Tensor {
  const tensor = recorded.get(name);
  if (tensor !== undefined) return tensor;
  throw new TrtorchError("config", `${file} has no array "${name}"`, {
    hint: `It has ${[...recorded.keys()].join(", ")}. Golden files hold the inputs as in0, in1, ... and the outputs as out0, out1, ...`,
  });
}
