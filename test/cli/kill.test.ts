import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import type { Manifest } from "../../src/runner/summary.js";
import { project, readJson, start, tree, trtorch } from "./project.js";

// TRTORCH_TEST_KILLS=500 is the long form.
const KILLS = Number(process.env.TRTORCH_TEST_KILLS ?? 10);
const SEED = Number(process.env.TRTORCH_TEST_SEED ?? 1);

t.setTimeout(60_000 + KILLS * 10_000);

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
    return pids.map(Number).filter((child) => readFileSync(`/proc/${child}/cmdline`, "utf8").includes("fake-worker"));
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

t.test(
  "kill -9 of the runner or a worker at any moment: the next run continues, nothing is wrong or left over",
  async (t) => {
    const root = t.testdir({ calm: {}, killed: {} });
    const models = ["a", "b", "c", "d", "e", "f"];
    // On cores, and on a GPU, where a job waits while another one builds.
    for (const folder of ["calm", "killed"]) {
      project(join(root, folder), models, "defaults: { retries: 0 }", "sm_86, device");
    }
    const gpu = { FAKE_GPUS: "1" };
    t.equal((await start(join(root, "calm"), [], gpu).finished).code, 0);

    const next = random(SEED);
    const cwd = join(root, "killed");
    const workers = new Set<number>();
    let checked = 0;
    for (let kill = 0; kill < KILLS; kill++) {
      // Built again from the start half of the time, so that there is always something to interrupt.
      if (next() < 0.5) await trtorch(cwd, ["clean", "--cache"]);
      const run = start(cwd, ["--concurrency", "2"], gpu);
      while (!run.output().includes("slots") && run.child.exitCode === null) await sleep(5);
      const aim = next();
      await sleep(next() * 1_500);
      const pid = run.child.pid as number;
      const children = workersOf(pid);
      for (const child of children) workers.add(child);
      const victim = children[Math.floor(next() * children.length)];
      if (aim < 0.3 && victim !== undefined) {
        process.kill(victim, "SIGKILL");
        await run.finished;
      } else {
        run.child.kill("SIGKILL");
        await run.finished;
      }
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
    t.ok(checked > 0, `${checked} records looked at`);
    const last = await start(cwd, [], gpu).finished;
    t.equal(last.code, 0, last.stdout);
    t.same(readJson<Manifest>(cwd, "engines/manifest.json"), readJson<Manifest>(root, "calm/engines/manifest.json"));
    t.same(tree(join(cwd, "engines")), tree(join(root, "calm/engines")), "no file is left over");
    await sleep(500);
    t.same([...workers].filter(alive), [], "no worker outlives its runner");
  },
);
