import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import t, { type Test } from "tap";
import { setup } from "../../src/backends/tensorrt/setup.js";
import type { Manifest } from "../../src/runner/summary.js";
import { project, type Running, readJson, start, startReal, tree, trtorch, write } from "./project.js";

// TRTORCH_TEST_KILLS=500 is the long form.
const KILLS = Number(process.env.TRTORCH_TEST_KILLS ?? 10);
const SEED = Number(process.env.TRTORCH_TEST_SEED ?? 1);

t.setTimeout(KILLS * 120_000);

/** A small reproducible generator (Park and Miller). */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
}

/** The worker processes of a runner. */
function workersOf(pid: number): number[] {
  try {
    const pids = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean);
    return pids.map(Number).filter((child) => /worker/.test(readFileSync(`/proc/${child}/cmdline`, "utf8")));
  } catch {
    return [];
  }
}

function alive(pid: number): boolean {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

/** What stays the same from build to build: jobs, their keys and networks. TensorRT-RTX's bytes do not always. */
function essence(cwd: string): unknown {
  const { jobs } = readJson<Manifest>(cwd, "engines/manifest.json");
  return jobs.map(({ id, networkKey, artifacts }) => [id, networkKey, artifacts.map(({ kind, path }) => [kind, path])]);
}

/** Kills builds in `killed` and compares what the last one leaves with `calm`'s, which nobody disturbed. */
async function survives(
  t: Test,
  root: string,
  build: (cwd: string, ...args: string[]) => Running,
  same: (cwd: string) => unknown,
): Promise<void> {
  const begun = performance.now();
  t.equal((await build(join(root, "calm")).finished).code, 0);
  const undisturbed = performance.now() - begun;
  const next = random(SEED);
  const cwd = join(root, "killed");
  const workers = new Set<number>();
  let checked = 0;
  for (let kill = 0; kill < KILLS; kill++) {
    // Built again from the start half of the time, so that there is always something to interrupt.
    if (next() < 0.5) await trtorch(cwd, ["clean", "--cache"]);
    const run = build(cwd, "--concurrency", "2");
    while (!run.output().includes("slots") && run.child.exitCode === null) await sleep(5);
    const aim = next();
    await sleep(next() * undisturbed);
    const pid = run.child.pid as number;
    const children = workersOf(pid);
    for (const child of children) workers.add(child);
    const victim = children[Math.floor(next() * children.length)];
    if (aim < 0.3 && victim !== undefined) process.kill(victim, "SIGKILL");
    else run.child.kill("SIGKILL");
    await run.finished;
    // What is called built is whole, at any time.
    const records = tree(cwd).filter((file) => /^engines\/\.trtorch-build\/[^/]+\/[^./][^/]*\.json$/.test(file));
    checked += records.length;
    for (const file of records) {
      const { result } = readJson<{ result: { artifacts: { path: string; sha256: string }[] } }>(cwd, file);
      const folder = file.replace(".trtorch-build/", "").replace(/\.json$/, "");
      for (const artifact of result.artifacts) {
        const content = readFileSync(join(cwd, folder, artifact.path));
        if (createHash("sha256").update(content).digest("hex") !== artifact.sha256) t.fail(`${folder} is damaged`);
      }
    }
  }
  t.ok(checked > 0, `${KILLS} kills, ${checked} records looked at`);
  const last = await build(cwd).finished;
  t.equal(last.code, 0, `${last.stdout}${last.stderr}`);
  t.same(same(cwd), same(join(root, "calm")));
  t.same(tree(join(cwd, "engines")), tree(join(root, "calm/engines")), "no file is left over");
  // Else the test does not end.
  while ([...workers].some(alive)) await sleep(10);
  t.pass("no worker outlives its runner");
}

// kill -9 of the runner or a worker at any moment: the next run continues, nothing is wrong or left over.

t.test("kills, with workers that compile nothing", async (t) => {
  const root = t.testdir({ calm: {}, killed: {} });
  const models = ["a", "b", "c", "d", "e", "f"];
  // On cores, and on a GPU, where a job waits while another one builds.
  for (const folder of ["calm", "killed"]) {
    project(join(root, folder), models, "defaults: { retries: 0 }", "sm_86, device");
  }
  const build = (cwd: string, ...args: string[]) => start(cwd, args, { FAKE_GPUS: "1" });
  await survives(t, root, build, (cwd) => readJson<Manifest>(cwd, "engines/manifest.json"));
});

t.test("kills, with LeNet's real engines", async (t) => {
  await setup({ flavours: ["rtx"] });
  const root = t.testdir({ calm: {}, killed: {} });
  const lenet = fileURLToPath(new URL("../fixtures/models/lenet/", import.meta.url));
  for (const folder of ["calm", "killed"]) {
    write(join(root, folder), {
      "trtorch.config.yaml": [
        "version: 1",
        "targets: [sm_89]",
        "precisions: [fp32, fp16]",
        "defaults: { emit: [engine, report, module] }",
        "models:",
        ...["trace", "script"].map(
          (form) => `  - { name: ${form}, source: ${JSON.stringify(`${lenet}${form}.ts`)}, inputs: [[1, 1, 32, 32]] }`,
        ),
        `  - { name: export, source: ${JSON.stringify(`${lenet}export.pt2`)} }`,
        "",
      ].join("\n"),
    });
  }
  await survives(t, root, (cwd, ...args) => startReal(cwd, args), essence);
});
