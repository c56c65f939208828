/**
 * Whole jobs from the command line: a model to a TensorRT-RTX engine.
 *
 * - beside the Python way (PyTorch, ONNX export, TensorRT-RTX's own ONNX parser and builder): time and peak memory, as ratios
 * - in a warm batch: time outside TensorRT's builder, beside the builder's own
 * - two workers beside one
 *
 *     npx tsc -p . && TRTORCH_TEST_PYTHON=python3 node --import tsx test/bench/job.ts ZOO_FOLDER/resnet50/trace.ts
 *
 * Python needs torch, onnx and tensorrt-rtx-cu13-bindings; without TRTORCH_TEST_PYTHON that part is left out. The model takes [1, 3, 224, 224].
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const ROUNDS = 3;
const JOBS = 20;
const [file] = process.argv.slice(2);
if (file === undefined) {
  console.error("usage: TRTORCH_TEST_PYTHON=python3 node --import tsx test/bench/job.ts MODEL.ts");
  process.exit(2);
}
const model = resolve(file);
const program = fileURLToPath(new URL("../../bin/trtorch-build.js", import.meta.url));
const script = fileURLToPath(new URL("job_python.py", import.meta.url));
const python = process.env.TRTORCH_TEST_PYTHON;

interface Cost {
  readonly seconds: number;
  /** Of all processes together: the sum of what each had at most. */
  readonly megabytes: number;
}

const folder = mkdtempSync(join(tmpdir(), "trtorch-bench-"));
try {
  const job = [program, "build", model, "--input", "1x3x224x224", "--target", "sm_89", "--emit", "engine", "--force"];
  const ours = await best(() => freshly([process.execPath, ...job]));
  console.log("| a whole job | s | peak MB |\n|---|---:|---:|");
  if (python !== undefined) {
    const args = [python, script, model, "[1, 3, 224, 224]", "SM89", join(folder, "python.engine")];
    const theirs = await best(() => freshly(args));
    row("PyTorch, ONNX export, ONNX parser, builder", theirs);
    row("trtorch-build", ours);
    console.log(`| ratio | ${ratio(ours.seconds, theirs.seconds)} | ${ratio(ours.megabytes, theirs.megabytes)} |`);
  } else row("trtorch-build", ours);

  const config = join(folder, "batch.yaml");
  const models = Array.from(
    { length: JOBS },
    (_, i) => `  - { name: m${i}, source: ${model}, inputs: [[${i + 1}, 3, 224, 224]], emit: [engine] }`,
  );
  writeFileSync(config, ["version: 1", "targets: [sm_89]", "models:", ...models, ""].join("\n"));
  const batch = [process.execPath, program, "build", "--config", config, "--force", "--concurrency"];
  const one = await run([...batch, "1"], folder);
  const { inside, outside } = phases(join(folder, "engines", ".trtorch-build"));
  // Stores of their own: an engine that a store has is not built again.
  rmSync(join(folder, ".trtorch-build"), { recursive: true });
  const two = await run([...batch, "2"], folder);
  console.log(`\n| ${JOBS} jobs | s |\n|---|---:|`);
  console.log(`| one worker | ${one.seconds.toFixed(2)} |\n| two workers | ${two.seconds.toFixed(2)} |`);
  console.log(`| one / two | ${ratio(one.seconds, two.seconds)} |`);
  console.log("\n| a job inside a warm batch | ms |\n|---|---:|");
  console.log(`| TensorRT's builder | ${inside.toFixed(0)} |\n| all else | ${outside.toFixed(0)} |`);
} finally {
  rmSync(folder, { recursive: true });
}

/** In an empty folder, so that nothing is shared with an earlier run. */
async function freshly(command: readonly string[]): Promise<Cost> {
  const cwd = mkdtempSync(join(folder, "run-"));
  const cost = await run(command, cwd);
  rmSync(cwd, { recursive: true });
  return cost;
}

async function best(measure: () => Promise<Cost>): Promise<Cost> {
  let found: Cost = { seconds: Number.POSITIVE_INFINITY, megabytes: Number.POSITIVE_INFINITY };
  for (let round = 0; round < ROUNDS; round++) {
    const { seconds, megabytes } = await measure();
    found = { seconds: Math.min(found.seconds, seconds), megabytes: Math.min(found.megabytes, megabytes) };
  }
  return found;
}

async function run([command, ...args]: readonly string[], cwd: string): Promise<Cost> {
  const start = performance.now();
  const child = spawn(command as string, args, { cwd, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text: Buffer) => (output += text.toString()));
  const most = new Map<number, number>();
  const sampling = setInterval(() => sample(child.pid as number, most), 20);
  const code = await new Promise((done) => child.on("close", done));
  clearInterval(sampling);
  if (code !== 0) throw new Error(output);
  const kilobytes = [...most.values()].reduce((sum, value) => sum + value, 0);
  return { seconds: (performance.now() - start) / 1000, megabytes: kilobytes / 1024 };
}

/** The most memory that a process and its descendants have had so far. */
function sample(pid: number, most: Map<number, number>): void {
  try {
    const peak = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
    if (peak !== undefined) most.set(pid, Number(peak));
    for (const task of readdirSync(`/proc/${pid}/task`)) {
      const children = readFileSync(`/proc/${pid}/task/${task}/children`, "utf8");
      for (const child of children.split(" ").filter(Boolean)) sample(Number(child), most);
    }
  } catch {
    // The process has ended meanwhile.
  }
}

/** Medians over the jobs of a batch; one in a cold worker is no median. */
function phases(records: string): { inside: number; outside: number } {
  const jobs = readdirSync(records, { recursive: true, encoding: "utf8" })
    .filter((path) => /^m\d+\/.*\.json$/.test(path))
    .map((path) => {
      const { result } = JSON.parse(readFileSync(join(records, path), "utf8")) as {
        result: { durations: Readonly<Record<string, number>> };
      };
      const { build = 0, ...rest } = result.durations;
      return { build, rest: Object.values(rest).reduce((sum, value) => sum + value, 0) };
    });
  return { inside: median(jobs.map(({ build }) => build)), outside: median(jobs.map(({ rest }) => rest)) };
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

function row(what: string, { seconds, megabytes }: Cost): void {
  console.log(`| ${what} | ${seconds.toFixed(2)} | ${megabytes.toFixed(0)} |`);
}

function ratio(a: number, b: number): string {
  return (a / b).toFixed(2);
}
