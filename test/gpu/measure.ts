/**
 * Verifies our engines against PyTorch's recorded outputs, and times them beside the engines of TensorRT's ONNX parser:
 * both loaded by our runtime, alternating, medians of CUDA event times. `measure.js WORK OUT.json MODEL...`
 */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { loadEngine } from "../../src/backends/tensorrt/engine.js";
import type { Tensor } from "../../src/ir/tensor.js";
import { compare } from "../../src/worker/comparison.js";
import { BATCHES, jobName, PRECISIONS, readModel } from "./models.js";

const ROUNDS = 5;
const ITERATIONS = 100;
const TOLERANCES = { fp32: { rtol: 2e-3, atol: 0 }, fp16: { rtol: 2e-2, atol: 0 } };

const [work, file, ...names] = process.argv.slice(2) as [string, string, ...string[]];
const rows: object[] = [];
let failed = 0;
console.log("| model | batch | precision | max error | verified | ours, ms | ONNX parser's, ms | ratio |");
console.log("|---|---:|---|---:|---|---:|---:|---:|");
for (const name of names) {
  for (const batch of BATCHES) {
    for (const precision of PRECISIONS) {
      const row = await measure(name, batch, precision);
      if (!row.verified) failed++;
      rows.push(row);
      const ms = (value: number | null): string => (value === null ? "-" : value.toFixed(4));
      console.log(
        `| ${name} | ${batch} | ${precision} | ${row.maxError.toExponential(1)} | ${row.verified} | ${ms(row.ours)} | ${ms(row.onnx)} | ${row.onnx === null ? "-" : (row.ours / row.onnx).toFixed(3)} |`,
      );
      writeFileSync(file, JSON.stringify(rows, null, 1));
    }
  }
}
process.exit(failed > 0 ? 1 : 0);

async function measure(name: string, batch: number, precision: (typeof PRECISIONS)[number]) {
  const nothing = {
    name,
    batch,
    precision,
    maxError: Number.NaN,
    verified: false,
    ours: Number.NaN,
    onnx: null as number | null,
  };
  const path = join(work, "engines", jobName(name, batch), `${precision}-device`, "model.engine");
  if (!existsSync(path)) return nothing;
  const { inputs, outputs } = readModel(work, name, batch);
  const ours = await loadEngine(path);
  const feeds = (engine: typeof ours): Record<string, Tensor> =>
    Object.fromEntries(engine.inputs.map((input, i) => [input.name, inputs[i] as Tensor]));
  const results = await ours.execute(feeds(ours));
  const comparisons = ours.outputs.map((output, i) =>
    compare(output.name, results[output.name] as Tensor, outputs[i] as Tensor, TOLERANCES[precision]),
  );
  const baseline = join(work, "onnx", `${jobName(name, batch)}-${precision}.engine`);
  const theirs = existsSync(baseline) ? await loadEngine(baseline) : null;
  const times: number[][] = [[], []];
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, engine] of [ours, theirs].entries()) {
      if (engine === null) continue;
      const { times: measured } = await engine.bench(feeds(engine), {
        warmup: 20,
        iterations: ITERATIONS,
        graph: true,
      });
      times[i]?.push(median([...measured]));
    }
  }
  await ours.dispose();
  await theirs?.dispose();
  return {
    ...nothing,
    maxError: Math.max(...comparisons.map(({ maxAbsError }) => maxAbsError ?? Number.POSITIVE_INFINITY)),
    verified: comparisons.every(({ passed }) => passed),
    ours: median(times[0] as number[]),
    onnx: theirs === null ? null : median(times[1] as number[]),
  };
}

function median(values: number[]): number {
  const sorted = values.sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
