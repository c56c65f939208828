import type { Engine } from "../../src/backends/tensorrt/engine.js";
import type { Tensor } from "../../src/ir/tensor.js";
import { compare } from "../../src/worker/comparison.js";
import type { PRECISIONS, Recorded } from "./models.js";

const ROUNDS = 10;
const ITERATIONS = 100;
const TOLERANCES = { fp32: { rtol: 2e-3, atol: 0 }, fp16: { rtol: 2e-2, atol: 0 } };

function feedsOf(engine: Engine, { inputs }: Recorded): Record<string, Tensor> {
  return Object.fromEntries(engine.inputs.map((input, i) => [input.name, inputs[i] as Tensor]));
}

/** The engine's outputs beside those recorded. */
export async function hold(
  engine: Engine,
  recorded: Recorded,
  precision: (typeof PRECISIONS)[number],
): Promise<{ readonly passed: boolean; readonly maxError: number }> {
  const results = await engine.execute(feedsOf(engine, recorded));
  const comparisons = engine.outputs.map((output, i) =>
    compare(output.name, results[output.name] as Tensor, recorded.outputs[i] as Tensor, TOLERANCES[precision]),
  );
  return {
    passed: comparisons.every((comparison) => comparison.passed),
    maxError: Math.max(...comparisons.map(({ maxAbsError }) => maxAbsError ?? Number.POSITIVE_INFINITY)),
  };
}

/** For each engine the medians, ms, of its turns: CUDA event times of executions as a CUDA graph. */
export async function takeTurns(engines: readonly Engine[], recorded: Recorded): Promise<readonly number[][]> {
  const medians: number[][] = engines.map(() => []);
  for (let round = 0; round < ROUNDS; round++) {
    for (let turn = 0; turn < engines.length; turn++) {
      const at = (round + turn) % engines.length;
      const engine = engines[at] as Engine;
      const { times } = await engine.bench(feedsOf(engine, recorded), {
        warmup: 20,
        iterations: ITERATIONS,
        graph: true,
      });
      medians[at]?.push(median([...times]));
    }
  }
  return medians;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
