import type { Engine } from "../backends/tensorrt/engine.js";
import type { Tensor } from "../ir/tensor.js";
import type { OutputComparison, Tolerance } from "../plan/job.js";
import { readNpz } from "../util/npz.js";
import { compare } from "./comparison.js";
import { entry } from "./golden.js";
import { summarizeTimes } from "./latency.js";

/** What an engine gave on the device that it was built for. */
export interface OnDevice {
  readonly comparison: readonly OutputComparison[];
  /** The median of single executions as a CUDA graph, between events, in milliseconds. */
  readonly latencyMs: number;
}

const WARMUP = 10;
const ITERATIONS = 100;

/** Executes an engine with the recorded inputs `in0`, `in1`, ..., compares with the recorded outputs, and times it. */
export async function compareOnDevice(
  engine: Pick<Engine, "device" | "inputs" | "outputs" | "bench">,
  file: string,
  tolerance: Tolerance,
): Promise<OnDevice> {
  const recorded = readNpz(file);
  const inputs = Object.fromEntries(engine.inputs.map(({ name }, i) => [name, entry(recorded, file, `in${i}`)]));
  const { outputs, times } = await engine.bench(inputs, { warmup: WARMUP, iterations: ITERATIONS, graph: true });
  const comparison = engine.outputs.map(({ name }, i) => ({
    ...compare(name, outputs[name] as Tensor, entry(recorded, file, `out${i}`), tolerance),
    device: engine.device,
  }));
  return { comparison, latencyMs: summarizeTimes(times).p50 };
}
