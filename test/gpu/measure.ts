/**
 * Verifies our engines against PyTorch's recorded outputs, and times them beside the engines of TensorRT's ONNX parser:
 * each loaded twice by our runtime, taking turns, medians of CUDA event times. Noise is how far two loads of one engine
 * lie apart.
 *
 * `measure.js WORK OUT.json MODEL...`
 */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Engine, loadEngine } from "../../src/backends/tensorrt/engine.js";
import type { Tensor } from "../../src/ir/tensor.js";
import { compare } from "../../src/worker/comparison.js";
import { BATCHES, jobName, PRECISIONS, readModel } from "./models.js";

const ROUNDS = 10;
const ITERATIONS = 100;
const TOLERANCES = { fp32: { rtol: 2e-3, atol: 0 }, fp16: { rtol: 2e-2, atol: 0 } };

const [work, file, ...names] = process.argv.slice(2) as [string, string, ...string[]];
const rows: object[] = [];
let failed = 0;
console.log(
  "| model | batch | precision | max error | verified | ONNX parser's max error | ours, ms | ONNX parser's, ms | ratio | FP16 flag, ms | ratio | noise |",
);
console.log("|---|---:|---|---:|---|---:|---:|---:|---:|---:|---:|---:|");
for (const name of names) {
  for (const batch of BATCHES) {
    for (const precision of PRECISIONS) {
      const row = await measure(name, batch, precision);
      if (!row.verified) failed++;
      rows.push(row);
      const beside = (value: number | null): string =>
        value === null ? "- | -" : `${value.toFixed(4)} | ${(row.ours / value).toFixed(3)}`;
      console.log(
        `| ${name} | ${batch} | ${precision} | ${row.maxError.toExponential(1)} | ${row.verified} | ${row.onnxError?.toExponential(1) ?? "-"} | ${row.ours.toFixed(4)} | ${beside(row.onnx)} | ${beside(row.flag)} | ${(100 * row.noise).toFixed(1)} % |`,
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
    onnxError: null as number | null,
    ours: Number.NaN,
    onnx: null as number | null,
    flag: null as number | null,
    noise: Number.NaN,
  };
  const job = jobName(name, batch);
  const files = {
    ours: join(work, "engines", job, `${precision}-device`, "model.engine"),
    onnx: join(work, "onnx", `${job}-${precision}.engine`),
    flag: join(work, "onnx", `${job}-${precision}-flag.engine`),
  };
  if (!existsSync(files.ours)) return nothing;
  const { inputs, outputs } = readModel(work, name, batch);
  const feeds = (engine: Engine): Record<string, Tensor> =>
    Object.fromEntries(engine.inputs.map((input, i) => [input.name, inputs[i] as Tensor]));

  const loads: { what: keyof typeof files; engine: Engine; medians: number[] }[] = [];
  for (const what of ["ours", "onnx", "flag", "ours", "onnx", "flag"] as const) {
    if (existsSync(files[what])) loads.push({ what, engine: await loadEngine(files[what]), medians: [] });
  }
  const hold = async ({ engine }: (typeof loads)[number]): Promise<{ passed: boolean; maxError: number }> => {
    const results = await engine.execute(feeds(engine));
    const comparisons = engine.outputs.map((output, i) =>
      compare(output.name, results[output.name] as Tensor, outputs[i] as Tensor, TOLERANCES[precision]),
    );
    return {
      passed: comparisons.every((comparison) => comparison.passed),
      maxError: Math.max(...comparisons.map(({ maxAbsError }) => maxAbsError ?? Number.POSITIVE_INFINITY)),
    };
  };
  const held = await hold(loads[0] as (typeof loads)[number]);
  const parsers = loads.find(({ what }) => what === "onnx");
  const onnxError = parsers === undefined ? null : (await hold(parsers)).maxError;
  for (let round = 0; round < ROUNDS; round++) {
    for (let turn = 0; turn < loads.length; turn++) {
      const { engine, medians } = loads[(round + turn) % loads.length] as (typeof loads)[number];
      const { times } = await engine.bench(feeds(engine), { warmup: 20, iterations: ITERATIONS, graph: true });
      medians.push(median([...times]));
    }
  }
  for (const { engine } of loads) await engine.dispose();
  const apart = (Object.keys(files) as (keyof typeof files)[]).map((what) => {
    const [one, other] = loads.filter((load) => load.what === what).map(({ medians }) => median(medians));
    return one === undefined || other === undefined ? 0 : Math.abs(one / other - 1);
  });
  const time = (what: keyof typeof files): number | null => {
    const medians = loads.filter((load) => load.what === what).flatMap((load) => load.medians);
    return medians.length === 0 ? null : median(medians);
  };
  return {
    ...nothing,
    maxError: held.maxError,
    verified: held.passed,
    onnxError,
    ours: time("ours") ?? Number.NaN,
    onnx: time("onnx"),
    flag: time("flag"),
    noise: Math.max(...apart),
  };
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
