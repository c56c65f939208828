import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { findOtherRunners, setUpOtherRunners } from "./other-runners.js";

// How long a build takes that has nothing to do: 200 jobs over 1 GB of models. Jobs are "built" by workers that compile
// nothing; what is measured is the compiled command line. Beside it Turborepo and Wireit, with 200 tasks over the same files:
// from the node_modules that TRTORCH_BENCH_RUNNERS names, else installed by npm for the time of the bench.
// `npx tsc -p . && node --import tsx test/bench/nothing-to-do.ts`

const MODELS = 200;
const BYTES = 5_000_000;
const RUNS = 7;

const program = fileURLToPath(new URL("../../dist/test/cli/fake-program.js", import.meta.url));
if (!existsSync(program)) throw new Error("compile first: npx tsc -p .");
const folder = mkdtempSync(join(tmpdir(), "trtorch-bench-"));
const root = join(folder, "project");
try {
  const names = Array.from({ length: MODELS }, (_, index) => `m${index}`);
  for (const name of names) {
    mkdirSync(join(root, "packages", name), { recursive: true });
    writeFileSync(join(root, "packages", name, `${name}.ts`), randomBytes(BYTES));
  }
  writeFileSync(
    join(root, "trtorch.config.yaml"),
    'version: 1\ntargets: [sm_86]\nmodels:\n  - { source: "packages/*/m*.ts", inputs: [[1, 3, 224, 224]] }\n',
  );
  const tools = findOtherRunners(join(folder, "tools"), process.env.TRTORCH_BENCH_RUNNERS);
  if (tools === null) console.log("Turborepo and Wireit are left out: npm could not install them");
  const others = tools === null ? [] : setUpOtherRunners(root, names, tools);
  const runners = [
    { name: "trtorch-build", args: [program, "build"], env: {}, allDone: new RegExp(`${MODELS} fresh`) },
    ...others,
    { name: "node itself", args: ["-e", "0"], env: {}, allDone: /^/ },
  ];
  for (const runner of runners) console.log(`${label(runner.name, "first run")} ${time(runner).toFixed(0)} ms`);
  // What was written a moment ago is not trusted by its times; the second run settles that.
  spawnSync("sleep", ["3"]);
  for (const runner of runners) console.log(`${label(runner.name, "second run")} ${time(runner).toFixed(0)} ms`);

  const times = new Map(runners.map(({ name }) => [name, [] as number[]]));
  // In turn, so that what else the machine does falls on all alike.
  for (let run = 0; run < RUNS; run++) {
    for (const runner of runners) times.get(runner.name)?.push(time(runner, runner.allDone));
  }
  const ours = median(times.get("trtorch-build") ?? []);
  for (const [name, all] of times) {
    const least = Math.min(...all).toFixed(0);
    const ratio = (ours / median(all)).toFixed(2);
    console.log(
      `${label(name, "nothing to do")} ${median(all).toFixed(0)} ms, median of ${RUNS} (least ${least}); ratio ${ratio}`,
    );
  }
  process.exitCode = ours < 500 ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true });
}

function label(name: string, what: string): string {
  return `${name}, ${what}`.padEnd(30);
}

function median(times: readonly number[]): number {
  return times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)] as number;
}

/** Milliseconds of one run, which must say what is expected. */
function time({ args, env }: { args: readonly string[]; env: Readonly<Record<string, string>> }, says = /^/): number {
  const started = performance.now();
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: root,
    encoding: "utf8",
    env: { ...process.env, ...env },
  });
  const milliseconds = performance.now() - started;
  if (status !== 0 || !says.test(stdout)) throw new Error(`${args.join(" ")}: ${stdout}${stderr}`);
  return milliseconds;
}
