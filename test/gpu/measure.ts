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
console.log(
  "| model | batch | precision | max error | verified | ours, ms | ONNX parser's, ms | ratio | FP16 flag, ms | ratio |",
);
console.log("|---|---:|---|---:|---|---:|---:|---:|---:|---:|");
for (const name of names) {
  for (const batch of BATCHES) {
    for (const precision of PRECISIONS) {
      const row = await measure(name, batch, precision);
      if (!row.verified) failed++;
      rows.push(row);
      const beside = (value: number | null): string =>
        value === null ? "- | -" : `${value.toFixed(4)} | ${(row.ours / value).toFixed(3)}`;
      console.log(
        `| ${name} | ${batch} | ${precision} | ${row.maxError.toExponential(1)} | ${row.verified} | ${row.ours.toFixed(4)} | ${beside(row.onnx)} | ${beside(row.flag)} |`,
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
    flag: null as number | null,
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
  const engines = [ours];
  const places: Partial<Record<"onnx" | "flag", number>> = {};
  for (const [key, suffix] of [
    ["onnx", precision],
    ["flag", `${precision}-flag`],
  ] as const) {
    const baseline = join(work, "onnx", `${jobName(name, batch)}-${suffix}.engine`);
    if (existsSync(baseline)) places[key] = engines.push(await loadEngine(baseline)) - 1;
  }
  const times = engines.map((): number[] => []);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, engine] of engines.entries()) {
      const options = { warmup: 20, iterations: ITERATIONS, graph: true };
      const { times: measured } = await engine.bench(feeds(engine), options);
      times[i]?.push(median([...measured]));
    }
  }
  for (const engine of engines) await engine.dispose();
  const at = (place: number | undefined): number | null =>
    place === undefined ? null : median(times[place] as number[]);
  return {
    ...nothing,
    maxError: Math.max(...comparisons.map(({ maxAbsError }) => maxAbsError ?? Number.POSITIVE_INFINITY)),
    verified: comparisons.every(({ passed }) => passed),
    ours: median(times[0] as number[]),
    onnx: at(places.onnx),
    flag: at(places.flag),
  };
}

function median(values: number[]): number {
  const sorted = values.sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
