import { createSession } from "../backends/onnx/runtime.js";
import type { Tensor } from "../ir/tensor.js";
import type { Network } from "../network/network.js";
import type { OutputComparison, Tolerance } from "../plan/job.js";
import { TrtorchError } from "../util/errors.js";
import { readNpz } from "../util/npz.js";
import { compare } from "./comparison.js";

/** Runs the network on the CPU with the recorded inputs `in0`, `in1`, ... and compares with the recorded outputs. */
export async function compareWithGolden(
  network: Network,
  file: string,
  tolerance: Tolerance,
): Promise<OutputComparison[]> {
  const recorded = readNpz(file);
  const inputs = Object.fromEntries(network.inputs.map((input, i) => [input.name, entry(recorded, file, `in${i}`)]));
  const session = await createSession(network);
  try {
    const outputs = await session.run(inputs);
    return network.outputs.map((output, i) =>
      compare(output.name, outputs[output.name] as Tensor, entry(recorded, file, `out${i}`), tolerance),
    );
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
