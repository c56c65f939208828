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
import { BATCHES, jobName, PRECISIONS, readModel } from "./models.js";
import { hold, median, takeTurns } from "./turns.js";

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
  const recorded = readModel(work, name, batch);
  const loads: { what: keyof typeof files; engine: Engine }[] = [];
  for (const what of ["ours", "onnx", "flag", "ours", "onnx", "flag"] as const) {
    if (existsSync(files[what])) loads.push({ what, engine: await loadEngine(files[what]) });
  }
  const engines = loads.map(({ engine }) => engine);
  const held = await hold(engines[0] as Engine, recorded, precision);
  const parsers = loads.find(({ what }) => what === "onnx");
  const onnxError = parsers === undefined ? null : (await hold(parsers.engine, recorded, precision)).maxError;
  const turns = await takeTurns(engines, recorded);
  for (const engine of engines) await engine.dispose();
  const of = (what: keyof typeof files): number[][] => turns.filter((_, i) => loads[i]?.what === what);
  const apart = (Object.keys(files) as (keyof typeof files)[]).map((what) => {
    const [one, other] = of(what).map(median);
    return one === undefined || other === undefined ? 0 : Math.abs(one / other - 1);
  });
  const time = (what: keyof typeof files): number | null => {
    const medians = of(what).flat();
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
