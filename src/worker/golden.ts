import { createSession } from "../backends/onnx/runtime.js";
import type { Tensor } from "../ir/tensor.js";
import type { Network } from "../network/network.js";
import type { OutputComparison, Tolerance } from "../plan/job.js";
import { TrtorchError } from "../util/errors.js";
import { readNpz } from "../util/npz.js";

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

/** `max|error| <= atol + rtol * (1 + max|ref|)`; a NaN anywhere on one side only fails. */
export function compare(name: string, actual: Tensor, expected: Tensor, tolerance: Tolerance): OutputComparison {
  const [a, b] = [actual.toNumbers(), expected.toNumbers()];
  if (actual.sizes.join() !== expected.sizes.join()) {
    throw new TrtorchError(
      "mismatch",
      `${name} is [${actual.sizes.join(", ")}], recorded is [${expected.sizes.join(", ")}]`,
    );
  }
  let [maxAbsError, sum, maxAbsReference, dot, aa, bb] = [0, 0, 0, 0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    const x = a[i] as number;
    const y = b[i] as number;
    const error = Object.is(x, y) || x === y ? 0 : Math.abs(x - y);
    maxAbsError = Number.isNaN(error) ? Number.POSITIVE_INFINITY : Math.max(maxAbsError, error);
    sum += error;
    if (Number.isFinite(y)) maxAbsReference = Math.max(maxAbsReference, Math.abs(y));
    dot += x * y;
    aa += x * x;
    bb += y * y;
  }
  const norms = Math.sqrt(aa) * Math.sqrt(bb);
  return {
    output: name,
    maxAbsError,
    meanAbsError: a.length === 0 ? 0 : sum / a.length,
    maxAbsReference,
    cosine: norms === 0 ? Number(aa === bb) : dot / norms,
    passed: maxAbsError <= tolerance.atol + tolerance.rtol * (1 + maxAbsReference),
  };
}
