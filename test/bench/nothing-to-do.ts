import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

// How long a build takes that has nothing to do: 200 jobs over 1 GB of models. Jobs are "built" by workers that compile
// nothing; what is measured is the compiled command line. `npx tsc -p . && node --import tsx test/bench/nothing-to-do.ts`

const MODELS = 100;
const BYTES = 10_000_000;
const RUNS = 7;

const program = fileURLToPath(new URL("../../dist/test/cli/fake-program.js", import.meta.url));
if (!existsSync(program)) throw new Error("compile first: npx tsc -p .");
const root = mkdtempSync(join(tmpdir(), "trtorch-bench-"));
try {
  mkdirSync(join(root, "models"));
  for (let index = 0; index < MODELS; index++) writeFileSync(join(root, `models/m${index}.ts`), randomBytes(BYTES));
  writeFileSync(
    join(root, "trtorch.config.yaml"),
    'version: 1\ntargets: [sm_86, sm_89]\nmodels:\n  - { source: "models/*.ts", inputs: [[1, 3, 224, 224]] }\n',
  );
  const first = run();
  // What was written a moment ago is not trusted by its times; the second run settles that.
  spawnSync("sleep", ["3"]);
  const second = run();
  const times = Array.from({ length: RUNS }, run).sort((a, b) => a - b);
  const empty = Array.from({ length: RUNS }, () => timed(["-e", "0"])).sort((a, b) => a - b);
  const median = times[Math.floor(RUNS / 2)] as number;
  console.log(`first run                ${first.toFixed(0)} ms`);
  console.log(`second, models hashed    ${second.toFixed(0)} ms`);
  console.log(`nothing to do, median    ${median.toFixed(0)} ms (least ${times[0]?.toFixed(0)}; budget 500)`);
  console.log(`node itself, median      ${empty[Math.floor(RUNS / 2)]?.toFixed(0)} ms`);
  process.exitCode = median < 500 ? 0 : 1;
} finally {
  rmSync(root, { recursive: true });
}

function run(): number {
  return timed([program, "build"]);
}

function timed(args: readonly string[]): number {
  const started = performance.now();
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: "utf8" });
  if (status !== 0) throw new Error(`${stdout}${stderr}`);
  return performance.now() - started;
}
