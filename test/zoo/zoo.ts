/**
 * The zoo: whole models made by PyTorch, converted, compared with PyTorch's numbers on the CPU reference, held against
 * TensorRT-RTX's own dims and types, and built for sm_89. One line a model; exits with 1 when one falls short.
 *
 *     TRTORCH_TEST_PYTHON=python3 npm run test:zoo -- [NAME ...] [--forms trace,script] [--folder DIR] [--no-engine]
 *         [--precision fp16]
 *
 * Python (PyTorch 2.11, torchvision) makes the models that DIR lacks. `--table docs/ZOO.md` enters the results there;
 * those of a lower precision in their column.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { execa } from "execa";
import { createSession } from "../../src/backends/onnx/runtime.js";
import { buildEngine, describeNetwork } from "../../src/backends/tensorrt/index.js";
import { defaultRegistry } from "../../src/conversion/default-registry.js";
import { allNodes } from "../../src/ir/graph.js";
import type { Tensor } from "../../src/ir/tensor.js";
import type { Network } from "../../src/network/network.js";
import { applyPrecision } from "../../src/network/precision.js";
import { toDims } from "../../src/network/symbolic.js";
import type { JobInput } from "../../src/plan/job.js";
import { TrtorchError } from "../../src/util/errors.js";
import { readNpz } from "../../src/util/npz.js";
import { compare } from "../../src/worker/comparison.js";
import { type ConvertedModel, capabilitiesOf, convertModel } from "../../src/worker/convert-model.js";
import { loadModel } from "../../src/worker/model.js";
import { type TableRow, writeTable } from "./table.js";

/**
 * What an output may be off. Half precision is held to its largest number alone: `1 + max|ref|` would let outputs pass
 * that are much smaller than 1. A half keeps 11 bits, 5e-4 of a number; errors of some dozen layers add up to no more
 * than 2e-2 where nothing overflows and no sum is kept in halves.
 */
const CRITERIA = {
  fp32: { error: 1e-3, floor: 1, cosine: 0.9999 },
  fp16: { error: 2e-2, floor: 0, cosine: 0.999 },
};

interface Row {
  readonly name: string;
  readonly form: string;
  readonly nodes: number;
  readonly layers: number;
  readonly convertMs: number;
  readonly maxError: number;
  /** Of the largest number of the output, at the worst output. */
  readonly relativeError: number;
  readonly cosine: number;
  readonly dims: string;
  readonly engine: string;
  readonly problem: string | null;
}

const UNTRIED = {
  nodes: 0,
  layers: 0,
  convertMs: 0,
  maxError: Number.NaN,
  relativeError: Number.NaN,
  cosine: Number.NaN,
  dims: "",
  engine: "",
  problem: null,
};

const { values: options, positionals: names } = parseArgs({
  allowPositionals: true,
  options: {
    forms: { type: "string", default: "trace,script" },
    folder: { type: "string", default: process.env.TRTORCH_ZOO ?? join(tmpdir(), "trtorch-zoo") },
    "no-engine": { type: "boolean", default: false },
    precision: { type: "string", default: "fp32" },
    table: { type: "string" },
  },
});
const forms = options.forms.split(",");
const precision = precisionOf(options.precision);
const criteria = CRITERIA[precision];
await makeMissing(options.folder, names, forms);

const rows: Row[] = [];
for (const name of names.length > 0 ? names : readdirSync(options.folder).sort()) {
  for (const form of forms) {
    const file = [".ts", ".pt2"].map((end) => join(options.folder, name, form + end)).find(existsSync);
    if (file === undefined) {
      const why = join(options.folder, name, `${form}.failed`);
      if (!existsSync(why)) continue;
      const problem = `PyTorch cannot make it: ${readFileSync(why, "utf8").split("\n")[0]}`;
      console.log(`${name} ${form}: ${problem}`);
      if (options.table !== undefined && precision === "fp32") {
        writeTable(options.table, [tableRow({ ...UNTRIED, name, form, problem })]);
      }
      continue;
    }
    const row = await examine(name, form, file);
    rows.push(row);
    console.log(print(row));
    if (options.table !== undefined) writeTable(options.table, [tableRow(row)]);
  }
}
const failed = rows.filter(({ problem }) => problem !== null);
console.log(`zoo: ${rows.length - failed.length} passed, ${failed.length} failed`);
process.exit(failed.length > 0 ? 1 : 0);

function precisionOf(flag: string): keyof typeof CRITERIA {
  if (flag === "fp32" || flag === "fp16") return flag;
  throw new Error(`--precision is fp32 or fp16, not ${flag}`);
}

async function makeMissing(folder: string, wanted: readonly string[], forms: readonly string[]): Promise<void> {
  const python = process.env.TRTORCH_TEST_PYTHON;
  if (python === undefined) {
    if (existsSync(folder)) return;
    console.log("skipped: the zoo needs PyTorch to make its models; set TRTORCH_TEST_PYTHON to a Python that has it");
    process.exit(0);
  }
  const script = fileURLToPath(new URL("make_models.py", import.meta.url));
  await execa(python, [script, folder, ...wanted, "--forms", forms.join(",")], { stdio: "inherit" });
}

/** What PyTorch computed for a model at one choice of sizes. */
interface Recording {
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
}

async function examine(name: string, form: string, file: string): Promise<Row> {
  const folder = join(options.folder, name);
  const ranges = form === "trace" || form === "script" ? rangesOf(folder) : null;
  const at = form === "export-dynamic" || ranges !== null ? ["", "-min", "-max", "-odd"] : [""];
  const recordings = at
    .map((which) => join(folder, `io${which}.npz`))
    .filter(existsSync)
    .map(read);
  const start = performance.now();
  let row: Row = { ...UNTRIED, name, form };
  try {
    const model = await convertFile(file, (recordings[0] as Recording).inputs, ranges);
    const { network } = applyPrecision(model.network, precision);
    row = {
      ...row,
      nodes: [...allNodes(model.graph.block)].length,
      layers: network.layers.length,
      convertMs: performance.now() - start,
    };
    row = { ...row, ...(await checkNumbers(network, recordings)) };
    if (!options["no-engine"]) row = { ...row, ...(await checkLibrary(network)) };
    return row;
  } catch (error) {
    if (!(error instanceof TrtorchError)) throw error;
    return { ...row, problem: error.message.split("\n").slice(0, 3).join(" ") };
  }
}

function rangesOf(folder: string): readonly JobInput["dims"][] | null {
  const file = join(folder, "inputs.json");
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as JobInput["dims"][]) : null;
}

function read(file: string): Recording {
  const arrays = [...readNpz(file)];
  const named = (start: string): Tensor[] =>
    arrays.filter(([key]) => key.startsWith(start)).map(([, tensor]) => tensor);
  return { inputs: named("in"), outputs: named("out") };
}

function convertFile(
  file: string,
  recorded: readonly Tensor[],
  ranges: readonly JobInput["dims"][] | null,
): Promise<ConvertedModel> {
  const program = loadModel(file);
  const inputs = recorded.map(({ dtype, sizes }, i): JobInput => ({ name: null, dtype, dims: ranges?.[i] ?? sizes }));
  return convertModel(program, {
    method: "forward",
    inputs: program.inputs("forward") === undefined ? inputs : null,
    registry: defaultRegistry(),
    capabilities: capabilitiesOf("tensorrt-rtx"),
  });
}

type Numbers = Pick<Row, "maxError" | "relativeError" | "cosine" | "problem">;

async function checkNumbers(network: Network, recordings: readonly Recording[]): Promise<Numbers> {
  const session = await createSession(network);
  try {
    let numbers: Numbers = { maxError: 0, relativeError: 0, cosine: 1, problem: null };
    for (const { inputs, outputs } of recordings) {
      const given = Object.fromEntries(network.inputs.map(({ name }, i) => [name, inputs[i] as Tensor]));
      const computed = await session.run(given);
      const sizes = recordings.length === 1 ? "" : ` for ${inputs.map((input) => `[${input.sizes}]`).join(", ")}`;
      if (network.outputs.length !== outputs.length) {
        return { ...numbers, problem: `${network.outputs.length} outputs, PyTorch gives ${outputs.length}` };
      }
      for (const [i, { name }] of network.outputs.entries()) {
        const result = compare(name, computed[name] as Tensor, outputs[i] as Tensor, { rtol: 0, atol: 0 });
        const error = result.maxAbsError ?? Number.POSITIVE_INFINITY;
        const cosine = result.cosine ?? 0;
        numbers = {
          ...numbers,
          maxError: Math.max(numbers.maxError, error),
          relativeError: Math.max(numbers.relativeError, error === 0 ? 0 : error / result.maxAbsReference),
          cosine: Math.min(numbers.cosine, cosine),
        };
        const allowed = criteria.error * (criteria.floor + result.maxAbsReference);
        if (error > allowed || cosine < criteria.cosine) {
          const problem = `${name}${sizes}: max error ${error.toPrecision(2)}, allowed is ${allowed.toPrecision(2)}; cosine ${cosine.toFixed(6)}`;
          return { ...numbers, problem };
        }
      }
    }
    return numbers;
  } finally {
    await session.release();
  }
}

async function checkLibrary(network: Network): Promise<Partial<Row>> {
  for (const { tensor, type, dims } of await describeNetwork(network, { flavour: "rtx" })) {
    const own = toDims(tensor.dims);
    const agree = own.length === dims.length && own.every((dim, i) => dim === dims[i] || dims[i] === -1 || dim === -1);
    if (type !== tensor.type || !agree) {
      return { dims: "differ", problem: `${tensor.name}: ours ${tensor.type}[${own}], TensorRT's ${type}[${dims}]` };
    }
  }
  const { engine } = await buildEngine(network, { flavour: "rtx", targets: ["sm_89"] });
  return { dims: "agree", engine: `${(engine.byteLength / 1e6).toFixed(1)} MB` };
}

function print(row: Row): string {
  const error = precision === "fp32" ? `max error ${row.maxError.toPrecision(2)}` : accuracy(row);
  const numbers = `${row.nodes} nodes, ${row.layers} layers, ${row.convertMs.toFixed(0)} ms, ${error}`;
  if (row.problem !== null) return `✗ ${row.name} ${row.form}: ${row.problem}`;
  return `✓ ${row.name} ${row.form}: converted (${numbers})${row.dims === "" ? "" : `, dims ${row.dims}, engine ${row.engine}`}`;
}

function accuracy({ relativeError, cosine }: Row): string {
  return `error ${relativeError.toPrecision(2)} of max, cosine ${cosine.toFixed(6)}`;
}

/** The row as far as this run tells. */
function tableRow(row: Row): TableRow {
  const { name: model, form } = row;
  const problem = row.problem ?? "";
  if (precision !== "fp32") {
    const engine = row.engine === "" ? "" : `, ${row.engine}`;
    return { model, form, fp16: problem === "" ? accuracy(row) + engine : `✗ ${problem}` };
  }
  return {
    model,
    form,
    nodes: row.nodes === 0 ? "" : String(row.nodes),
    layers: row.layers === 0 ? "" : String(row.layers),
    maxError: Number.isNaN(row.maxError) ? "" : row.maxError.toPrecision(2),
    dims: row.dims,
    engine: row.engine,
    problem,
  };
}
