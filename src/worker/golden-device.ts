import type { Engine } from "../backends/tensorrt/engine.js";
import type { OutputComparison, Tolerance } from "../plan/job.js";
import { compareAll } from "./comparison.js";
import { readGolden } from "./golden.js";
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
  const reference = readGolden(file, engine);
  const options = { warmup: WARMUP, iterations: ITERATIONS, graph: true };
  const { outputs, times } = await engine.bench(reference.inputs, options);
  const names = engine.outputs.map(({ name }) => name);
  const comparison = compareAll(names, outputs, reference.outputs, tolerance);
  return {
    comparison: comparison.map((output) => ({ ...output, device: engine.device })),
    latencyMs: summarizeTimes(times).p50,
  };
}
