import { spawnSync } from "node:child_process";
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import type { FreshnessRecord } from "../../src/plan/freshness.js";
import type { RunEvent } from "../../src/runner/event.js";
import type { Manifest, SummaryFile } from "../../src/runner/summary.js";
import { FAKE_COMMAND, project, readJson, start, startLimited, tree, trtorch, write } from "./project.js";

/** What a run says without what differs from time to time. */
function steady(text: string, root: string): string {
  return text
    .replaceAll(root, "ROOT")
    .replace(/\d+\.\d s/g, "0.0 s")
    .replace(/cpu \d/g, "cpu N");
}

t.test("builds, then has nothing to do, then only what changed", async (t) => {
  const root = t.testdir({});
  project(root, ["a", "b"]);
  const first = await trtorch(root, ["build", "--concurrency", "1"]);
  t.equal(first.stderr, "");
  t.equal(first.code, 0);
  t.equal(
    steady(first.stdout, root),
    [
      "4 jobs, 1 slot",
      "a/fp32-sm_86: started on cpu N",
      "[1/4] a/fp32-sm_86: built in 0.0 s, engine 76 B",
      "a/fp32-sm_89: started on cpu N",
      "[2/4] a/fp32-sm_89: built in 0.0 s, engine 76 B",
      "b/fp32-sm_86: started on cpu N",
      "[3/4] b/fp32-sm_86: built in 0.0 s, engine 76 B",
      "b/fp32-sm_89: started on cpu N",
      "[4/4] b/fp32-sm_89: built in 0.0 s, engine 76 B",
      "4 jobs: 4 built in 0.0 s",
      "",
    ].join("\n"),
  );
  t.same(tree(join(root, "engines")), [
    ".trtorch-build/a/fp32-sm_86.json",
    ".trtorch-build/a/fp32-sm_89.json",
    ".trtorch-build/b/fp32-sm_86.json",
    ".trtorch-build/b/fp32-sm_89.json",
    "a/fp32-sm_86/manifest.json",
    "a/fp32-sm_86/model.engine",
    "a/fp32-sm_89/manifest.json",
    "a/fp32-sm_89/model.engine",
    "b/fp32-sm_86/manifest.json",
    "b/fp32-sm_86/model.engine",
    "b/fp32-sm_89/manifest.json",
    "b/fp32-sm_89/model.engine",
    "manifest.json",
    "report.html",
    "summary.json",
  ]);
  t.match(readJson<SummaryFile>(root, "engines/summary.json"), { shard: null, summary: { built: 4, failed: 0 } });

  const again = await trtorch(root, []);
  t.equal(steady(again.stdout, root), "4 jobs, 2 slots\n4 jobs: 4 fresh in 0.0 s\n");

  // Content decides, not times.
  utimesSync(join(root, "models/a.ts"), new Date(), new Date());
  t.match((await trtorch(root, [])).stdout, /4 jobs: 4 fresh/);

  writeFileSync(join(root, "models/a.ts"), "other weights");
  writeFileSync(join(root, "engines/b/fp32-sm_86/model.engine"), "damaged");
  rmSync(join(root, "engines/b/fp32-sm_89"), { recursive: true });
  t.equal(
    (await trtorch(root, ["plan"])).stdout,
    [
      "stale  a/fp32-sm_86  model file changed",
      "stale  a/fp32-sm_89  model file changed",
      "stale  b/fp32-sm_86  artifact changed since it was written: model.engine",
      "stale  b/fp32-sm_89  artifact missing: model.engine; artifact missing: manifest.json",
      "0 fresh, 4 to build",
      "",
    ].join("\n"),
  );
  const last = await trtorch(root, []);
  t.match(last.stdout, /4 jobs: 2 built, 2 from the store in/);
  t.equal(readFileSync(join(root, "engines/b/fp32-sm_86/model.engine"), "utf8").slice(64), "weights of b");
});

t.test("a model that changes while a run is under way is not taken for the one that was planned", async (t) => {
  const root = t.testdir({});
  project(root, ["slow-a", "b"], "", "sm_86");
  const run = start(root, ["--concurrency", "1"]);
  while (!run.output().includes("slow-a/fp32-sm_86: started") && run.child.exitCode === null)
    await new Promise((r) => setTimeout(r, 10));
  writeFileSync(join(root, "models/b.ts"), "other weights");
  const { code, stdout } = await run.finished;
  t.equal(code, 1);
  t.match(
    stdout,
    `b/fp32-sm_86: failed: ${join(root, "models/b.ts")} changed while it was built\n  hint: build again\n`,
  );
  t.match(stdout, "2 jobs: 1 built, 1 failed");
  // Nothing says that what was built is of the model that is back now, and nobody gets it from the store.
  writeFileSync(join(root, "models/b.ts"), "weights of b");
  t.match((await trtorch(root, ["plan"])).stdout, "stale  b/fp32-sm_86       not built yet");
  rmSync(join(root, "engines"), { recursive: true });
  t.match((await trtorch(root, [])).stdout, "2 jobs: 1 built, 1 from the store");
  t.match(readFileSync(join(root, "engines/b/fp32-sm_86/model.engine"), "utf8"), /weights of b$/);
});

t.test("failures: the other jobs are built, each failure says why, the exit code is 1", async (t) => {
  const root = t.testdir({});
  project(root, ["crash-1", "fail-1", "good"]);
  const { code, stdout } = await trtorch(root, ["build", "--concurrency", "1", "--filter", "*/fp32-sm_86"]);
  t.equal(code, 1);
  t.equal(
    steady(stdout, root),
    [
      "3 jobs, 1 slot",
      "crash-1/fp32-sm_86: started on cpu N",
      "[1/3] crash-1/fp32-sm_86: failed: the worker process died of SIGSEGV (11): a crash in native code",
      "  hint: the job's log holds what it wrote before",
      "  | fake compile of crash-1",
      "  log: ROOT/.trtorch-build/logs/crash-1/fp32-sm_86.log",
      "fail-1/fp32-sm_86: started on cpu N",
      "[2/3] fail-1/fp32-sm_86: failed: the library failed",
      "  log: ROOT/.trtorch-build/logs/fail-1/fp32-sm_86.log",
      "good/fp32-sm_86: started on cpu N",
      "[3/3] good/fp32-sm_86: built in 0.0 s, engine 79 B",
      "3 jobs: 1 built, 2 failed in 0.0 s",
      "",
    ].join("\n"),
  );
  t.match(readFileSync(join(root, ".trtorch-build/logs/crash-1/fp32-sm_86.log"), "utf8"), /fake compile of crash-1/);
  t.match(readJson<SummaryFile>(root, "engines/summary.json").jobs, [
    { id: "crash-1/fp32-sm_86", status: "failed", error: { code: "library" } },
    { id: "fail-1/fp32-sm_86", status: "failed", error: { code: "library", message: "the library failed" } },
    { id: "good/fp32-sm_86", status: "built" },
  ]);
});

t.test("a timeout stops a hanging job; retries try again", async (t) => {
  const root = t.testdir({});
  project(root, ["hang-1"], "defaults: { timeout: 0.2, retries: 1 }");
  const { code, stdout } = await trtorch(root, ["--filter", "*-sm_86"]);
  t.equal(code, 1);
  t.match(stdout, /hang-1\/fp32-sm_86: attempt 1 failed: timed out after 0 s/);
  t.match(stdout, /\[1\/1\] hang-1\/fp32-sm_86: failed: timed out after 0 s/);
});

t.test("a GPU: one build at a time, and the next job is begun meanwhile", async (t) => {
  const root = t.testdir({});
  project(root, ["slow-a", "slow-b", "slow-c"], "", "device");
  const run = await start(root, ["--reporter", "json"], { FAKE_GPUS: "1" }).finished;
  t.equal(run.code, 0, run.stderr);
  const events = run.stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as RunEvent);
  const steps = events.flatMap((event) => {
    if (event.type === "job-start") return [`${event.id} starts`];
    if (event.type !== "job-event" || !event.event.type.startsWith("phase")) return [];
    return [`${event.id} ${event.event.type === "phase-start" ? "builds" : "has built"}`];
  });
  // Of the first two the one that is ready first builds first.
  const [a, b, c] = events.flatMap((event) => (event.type === "job-device" ? [event.id] : []));
  t.same(
    steps.filter((step) => !step.endsWith("starts")),
    [a, b, c].flatMap((id) => [`${id} builds`, `${id} has built`]),
  );
  t.ok(steps.indexOf(`${b} starts`) < steps.indexOf(`${a} has built`));
  t.ok(steps.indexOf(`${c} starts`) < steps.indexOf(`${b} has built`));
  // The second may be ready only when the first has built; the third waits.
  const waits = events.flatMap((event) => (event.type === "job-wait" ? [[event.id, event.reason]] : []));
  t.same(waits.at(-1), [c, `${b} has gpu 0 NVIDIA L4`]);
  if (waits.length > 1) t.same(waits, [[b, `${a} has gpu 0 NVIDIA L4`], waits[1]]);
  // A job is on the GPU's row of the report from when it has it.
  const { jobs } = readJson<SummaryFile>(root, "engines/summary.json");
  const spans = new Map(jobs.map(({ id, span }) => [id, span]));
  t.ok((spans.get(b as string)?.start ?? 0) - (spans.get(a as string)?.start ?? 0) >= 990);
});

t.test("a signal: running jobs stop, nothing half is left, 130; a second one kills", async (t) => {
  for (const [model, signals] of [
    ["hang-1", 1],
    ["deaf-1", 2],
  ] as const) {
    const root = t.testdir({});
    project(root, [model, "a", "b"]);
    const run = start(root, ["--concurrency", "1", "--filter", model, "--filter", "a"]);
    while (!run.output().includes(`${model}/fp32-sm_86: started`) && run.child.exitCode === null)
      await new Promise((r) => setTimeout(r, 10));
    for (let i = 0; i < signals; i++) {
      run.child.kill(i % 2 === 0 ? "SIGINT" : "SIGTERM");
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    const { code, stdout } = await run.finished;
    t.equal(code, 130);
    t.match(stdout, /stopping; once more to stop at once/);
    t.match(stdout, /hang-1|deaf-1/);
    t.match(stdout, /cancelled in/);
    t.same(
      tree(join(root, "engines")).filter((file) => file.includes(".tmp-")),
      [],
    );
  }
});

t.test("a signal ends the waiting for a shared store that does not answer", async (t) => {
  // It has nothing, and takes nothing: where it answers at all, its answer to a question is no.
  for (const answers of [false, true]) {
    const server = createServer((request, response) => {
      if (answers && request.method === "GET") response.writeHead(404).end();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    t.teardown(() => {
      server.closeAllConnections();
      server.close();
    });
    const root = t.testdir({});
    project(root, ["a"], `store: ["http://127.0.0.1:${(server.address() as AddressInfo).port}"]`, "sm_86");
    const silent = new Promise<void>((resolve) => {
      server.on("request", ({ method }) => {
        if (!answers || method !== "GET") resolve();
      });
    });
    const run = start(root, ["--concurrency", "1"]);
    await silent;
    // Uploads are worth waiting for; a second signal means it.
    run.child.kill("SIGINT");
    if (answers) {
      while (!run.output().includes("stopping")) await new Promise((resolve) => setTimeout(resolve, 10));
      run.child.kill("SIGINT");
    }
    const { code, stdout } = await run.finished;
    t.equal(code, 130);
    t.match(stdout, answers ? "1 job: 1 built in" : "1 job: 1 cancelled in");
    t.notMatch(stdout, "failed and is left out", "nobody has waited until the request's own end");
  }
});

t.test("two runs at once on one folder: one waits, nothing is built twice", async (t) => {
  const root = t.testdir({});
  project(root, ["slow-1", "slow-2"]);
  const log = join(root, "builds.log");
  const [one, two] = await Promise.all([
    start(root, [], { FAKE_LOG: log }).finished,
    start(root, [], { FAKE_LOG: log }).finished,
  ]);
  t.same([one.code, two.code], [0, 0]);
  t.equal(readFileSync(log, "utf8").split("\n").length - 1, 4);
  const waited = [one, two].filter(({ stdout }) =>
    stdout.includes("waiting for another run on this output folder (process "),
  );
  t.equal(waited.length, 1);
  t.match(waited[0]?.stdout, /4 jobs: 4 fresh/);
});

t.test("the store brings back what another checkout or an earlier state has built", async (t) => {
  const root = t.testdir({ one: {}, two: {}, share: {} });
  for (const checkout of ["one", "two"]) project(join(root, checkout), ["known-a"], `store: [${join(root, "share")}]`);
  t.match((await trtorch(join(root, "one"), [])).stdout, /2 jobs: 2 built/);
  t.match((await trtorch(join(root, "two"), [])).stdout, /2 jobs: 2 from the store/);
  t.same(
    readFileSync(join(root, "one/engines/manifest.json"), "utf8"),
    readFileSync(join(root, "two/engines/manifest.json"), "utf8"),
  );

  rmSync(join(root, "one/engines"), { recursive: true });
  t.match((await trtorch(join(root, "one"), [])).stdout, /2 jobs: 2 from the store/);
  t.match((await trtorch(join(root, "one"), ["--force"])).stdout, /2 jobs: 2 built/);
  const reused = () =>
    readJson<FreshnessRecord>(root, "one/engines/.trtorch-build/known-a/fp32-sm_86.json").result.engineReused;
  t.equal(reused(), false, "not even the engine alone");

  t.match((await trtorch(join(root, "one"), ["cache"])).stdout, /^\.trtorch-build\/store: 2 entries, \d+ B\n$/);
  t.match(
    (await trtorch(join(root, "one"), ["cache", "prune", "--max-size", "0"])).stdout,
    /removed 2 entries, \d+ B; 0 entries, 0 B stay/,
  );
  writeFileSync(join(root, "one/models/known-a.ts"), "other weights");
  t.match((await trtorch(join(root, "one"), [])).stdout, /2 jobs: 2 built/);
  t.equal(reused(), true);
});

t.test("artifacts say what they are of: a model under another name is not taken from the store", async (t) => {
  const root = t.testdir({});
  project(root, ["a"], "", "sm_86");
  t.match((await trtorch(root, [])).stdout, /1 job: 1 built/);
  const config = readFileSync(join(root, "trtorch.config.yaml"), "utf8");
  writeFileSync(join(root, "trtorch.config.yaml"), config.replace("name: a,", "name: other,"));
  t.match((await trtorch(root, [])).stdout, /1 job: 1 built/);
  t.match(readJson(root, "engines/other/fp32-sm_86/manifest.json"), { id: "other/fp32-sm_86" });
});

t.test("shards build every job once, and merge to what one run makes", async (t) => {
  const root = t.testdir({ whole: {}, parts: {} });
  const models = ["a", "b", "c"];
  project(join(root, "whole"), models);
  project(join(root, "parts"), models);
  t.equal((await trtorch(join(root, "whole"), [])).code, 0);
  const ids: string[] = [];
  for (const shard of ["1/2", "2/2"]) {
    const out = `part-${shard[0]}`;
    t.equal((await trtorch(join(root, "parts"), ["--shard", shard, "-o", out])).code, 0);
    ids.push(...readJson<SummaryFile>(root, "parts", out, "summary.json").jobs.map((job) => job.id));
  }
  t.equal(ids.length, 6);
  t.equal(new Set(ids).size, 6);
  const half = await trtorch(join(root, "parts"), ["merge", "part-1", "-o", "half"]);
  t.equal(half.code, 1);
  t.match(half.stdout, /3 jobs of 6 in half\nin no shard: /);
  const merged = await trtorch(join(root, "parts"), ["merge", "part-1", "part-2", "-o", "engines"]);
  t.equal(merged.stdout, "6 jobs of 6 in engines\n");
  t.equal(merged.code, 0);
  t.same(
    readJson<Manifest>(root, "parts/engines/manifest.json"),
    readJson<Manifest>(root, "whole/engines/manifest.json"),
  );
  t.match((await trtorch(join(root, "parts"), [])).stdout, /6 jobs: 6 fresh/, "and a build has nothing to do there");
});

t.test("hundreds of models need no more open files than a few", async (t) => {
  const root = t.testdir({});
  project(
    root,
    Array.from({ length: 600 }, (_, index) => `m${index}`),
  );
  const { code, stdout, stderr } = await startLimited(root, ["plan"], 128).finished;
  t.equal(code, 0, stderr);
  t.match(stdout, "0 fresh, 1200 to build");
});

t.test("what only saves work may be damaged, or impossible to write", async (t) => {
  const root = t.testdir({});
  project(root, ["a"], "", "sm_86");
  // A folder in a file's place is as bad as a full disk or somebody else's checkout.
  for (const cache of ["stat-cache.json", "durations.json"]) write(root, { [`.trtorch-build/${cache}/x`]: "" });
  write(root, { ".trtorch-build/logs": "", ".trtorch-build/store": "" });
  const built = await trtorch(root, []);
  t.equal(built.code, 0, built.stderr);
  t.match(built.stdout, /warning: cannot write .*durations\.json: /);
  t.equal(built.stdout.match(/1 job: 1 built/g)?.length, 1);
  t.match(readJson<SummaryFile>(root, "engines/summary.json"), { summary: { built: 1 } });
  t.match(readJson<Manifest>(root, "engines/manifest.json"), { jobs: [{ id: "a/fp32-sm_86" }] });

  const record = join(root, "engines/.trtorch-build/a/fp32-sm_86.json");
  rmSync(join(root, ".trtorch-build"), { recursive: true });
  for (const damage of ["null", '{"version":1}', '{"version":1,"files":[],"result":{"artifacts":[null]}}', "[", ""]) {
    write(root, { ".trtorch-build/stat-cache.json": damage, ".trtorch-build/durations.json": damage });
    writeFileSync(record, damage);
    t.match((await trtorch(root, ["plan"])).stdout, "stale  a/fp32-sm_86  not built yet", damage);
    writeFileSync(join(root, "engines/summary.json"), damage);
    const report = await trtorch(root, ["report"]);
    t.match([report.code, report.stderr], [2, /^error: .*summary\.json is no summary that this version reads\n$/]);
  }
  t.match((await trtorch(root, [])).stdout, "1 job: 1 built");

  // A model that is older than a moment is one whose hash is worth keeping.
  const lenet = fileURLToPath(new URL("../fixtures/models/lenet/trace.ts", import.meta.url));
  rmSync(join(root, ".trtorch-build/stat-cache.json"));
  write(root, { ".trtorch-build/stat-cache.json/x": "" });
  for (const command of ["plan", "fingerprint"]) {
    const ran = await trtorch(root, [command, lenet, "--input", "1x1x32x32"]);
    t.match([ran.code, ran.stderr], [0, /^warning: cannot write .*stat-cache\.json: .*\n$/]);
  }
});

t.test("a run with nothing to do leaves the summary of the one that had, with its timeline", async (t) => {
  const root = t.testdir({});
  project(root, ["a", "b"]);
  await trtorch(root, []);
  const summary = join(root, "engines/summary.json");
  const before = readFileSync(summary, "utf8");
  t.match(JSON.parse(before), { jobs: [{ span: { slot: /cpu/ } }] });
  t.match((await trtorch(root, [])).stdout, "4 jobs: 4 fresh");
  t.match((await trtorch(root, ["--filter", "a"])).stdout, "2 jobs: 2 fresh");
  t.equal(readFileSync(summary, "utf8"), before);
  // Of another plan it tells nothing.
  project(root, ["a"]);
  t.match((await trtorch(root, [])).stdout, "2 jobs: 2 fresh");
  t.match(readJson<SummaryFile>(summary), { summary: { fresh: 2 }, plan: ["a/fp32-sm_86", "a/fp32-sm_89"] });
});

t.test("clean removes what was built and nothing else", async (t) => {
  const root = t.testdir({});
  project(root, ["a"]);
  await trtorch(root, []);
  appendFileSync(join(root, "engines/a/mine.txt"), "mine");
  t.equal((await trtorch(root, ["clean"])).stdout, "removed the artifacts of 2 jobs from engines\n");
  t.same(tree(join(root, "engines")), ["a/mine.txt"]);
  t.equal(
    (await trtorch(root, ["clean", "--cache"])).stdout,
    "removed the artifacts of 0 jobs from engines and the cache from .trtorch-build\n",
  );
  t.same(tree(root), ["engines/a/mine.txt", "models/a.ts", "trtorch.config.yaml"]);
  t.notOk(existsSync(join(root, ".trtorch-build")));
});

t.test("clean --cache removes from a shared folder only what a build puts there", async (t) => {
  const root = t.testdir({ shared: { "mine.txt": "mine" }, project: {} });
  const folder = join(root, "project");
  project(folder, ["a"], "cache_dir: ../shared");
  t.equal((await trtorch(folder, [])).code, 0);
  t.ok(tree(join(root, "shared")).length > 3);
  t.equal((await trtorch(folder, ["clean", "--cache"])).code, 0);
  t.same(readdirSync(join(root, "shared")), ["mine.txt"]);

  project(folder, ["a"], "cache_dir: .\nout_dir: ../out");
  const refused = await trtorch(folder, ["clean", "--cache"]);
  t.match(refused, { code: 2, stderr: /:4:12: error: cache_dir is the folder of the config itself\n/ });
  t.same(tree(folder), ["models/a.ts", "trtorch.config.yaml"]);
});

t.test("commands for folders need no model files", async (t) => {
  const root = t.testdir({});
  project(root, ["a"]);
  t.equal((await trtorch(root, [])).code, 0);
  rmSync(join(root, "models"), { recursive: true });
  for (const args of [["report"], ["cache"], ["cache", "prune", "--max-size", "0"], ["clean"]]) {
    t.match(await trtorch(root, args), { code: 0, stderr: "" }, args.join(" "));
  }
  t.notOk(existsSync(join(root, "engines")));
});

t.test("an output folder on the command line never takes a model away", async (t) => {
  const root = t.testdir({});
  write(root, {
    "trtorch.config.yaml":
      "version: 1\ntargets: [sm_86]\nmodels: [{ source: build/a/fp32-sm_86/a.ts, inputs: [[1, 3]] }]\n",
    "build/a/fp32-sm_86/a.ts": "weights",
  });
  const refused = await trtorch(root, ["-o", "build"]);
  t.match(refused, { code: 2, stderr: /build\/a\/fp32-sm_86\/a\.ts lies in --out build, whose folders are replaced/ });
  t.same(tree(root), ["build/a/fp32-sm_86/a.ts", "trtorch.config.yaml"]);
  t.match(await trtorch(root, ["-o", "."]), { code: 2, stderr: /--out \. is the folder of the config itself/ });
  t.match(await trtorch(root, ["clean", "-o", "build"]), { code: 2 });
  t.equal((await trtorch(root, ["-o", "other"])).code, 0);
  t.match(await trtorch(root, ["merge", "other", "-o", "build"]), { code: 2, stderr: /lies in --out build/ });
  t.match(await trtorch(join(root, "other"), ["merge", ".", "-o", "../.trtorch-build/x"]), { code: 2 });
  const bare = mkdtempSync(join(tmpdir(), "trtorch-"));
  t.teardown(() => rmSync(bare, { recursive: true }));
  t.match(await trtorch(bare, ["merge", join(root, "other"), "-o", "."]), {
    code: 2,
    stderr:
      "error: --out . is the folder that the command runs in itself, and artifacts replace whole folders\n  hint: choose a folder of its own\n",
  });
  t.equal((await trtorch(bare, ["merge", join(root, "other"), "-o", "all"])).code, 0);
});

t.test("merge says of each job that is missing how it ended", async (t) => {
  const root = t.testdir({});
  project(root, ["a", "b"], "", "sm_86");
  const summary = (id: string, status: string, other: string, otherStatus: string) => ({
    version: 1,
    shard: null,
    plan: ["a/fp32-sm_86", "b/fp32-sm_86", "c/fp32-sm_86", "d/fp32-sm_86"],
    summary: { built: 0, fresh: 0, restored: 0, failed: 0, cancelled: 0, skipped: 0, durationMs: 1 },
    jobs: [
      { id, key: id, precision: "fp32", target: "sm_86", status },
      { id: other, key: other, precision: "fp32", target: "sm_86", status: otherStatus },
    ],
  });
  const manifest = JSON.stringify({ version: 1, jobs: [] });
  write(root, {
    "s/1/summary.json": JSON.stringify(summary("a/fp32-sm_86", "cancelled", "b/fp32-sm_86", "skipped")),
    "s/1/manifest.json": manifest,
    "s/2/summary.json": JSON.stringify(summary("a/fp32-sm_86", "failed", "c/fp32-sm_86", "cancelled")),
    "s/2/manifest.json": manifest,
  });
  const merged = await trtorch(root, ["merge", "s/1", "s/2", "-o", "m"]);
  t.equal(merged.code, 1);
  t.equal(
    merged.stdout,
    `0 jobs of 4 in m
failed: a/fp32-sm_86
skipped: b/fp32-sm_86
cancelled: c/fp32-sm_86
in no shard: d/fp32-sm_86
`,
  );
  t.match(JSON.parse((await trtorch(root, ["merge", "s/1", "s/2", "-o", "m", "--json"])).stdout), {
    jobs: 0,
    missing: [{ id: "a/fp32-sm_86", status: "failed" }, {}, {}, { id: "d/fp32-sm_86", status: "in no shard" }],
  });
});

t.test("reporters: json beside others, files with commas, variables that are empty, one that fails", async (t) => {
  const root = t.testdir({ "file.txt": "" });
  project(root, ["a"], "", "sm_86");
  const both = await trtorch(root, ["--json", "--reporter", "json", "--reporter", "junit=out,1.xml"]);
  t.equal(both.code, 0);
  t.equal(both.stdout.match(/"run-end"/g)?.length, 1);
  t.match(readFileSync(join(root, "out,1.xml"), "utf8"), /<testcase classname="a"/);

  const github = await trtorch(root, ["--reporter", "github"], { env: { GITHUB_STEP_SUMMARY: "" } });
  t.match(github, { code: 0, stderr: "" });

  const failing = await trtorch(root, ["--force", "--reporter", "junit=file.txt/j.xml", "--reporter", "plain"]);
  t.equal(failing.code, 0, "the engines are there");
  t.match(failing.stdout, /1 built in/);
  t.match(failing.stderr, /^warning: a reporter could not finish: cannot write \S+j\.xml: a file is where a folder/);
});

/** Runs a shell's line in which "$@" is the command line with workers that compile nothing. */
function shell(cwd: string, line: string): { status: number | null; stdout: string; stderr: string } {
  return spawnSync("bash", ["-o", "pipefail", "-c", line, "bash", process.execPath, ...FAKE_COMMAND], {
    cwd,
    encoding: "utf8",
    env: { ...process.env, CI: "1", GITHUB_ACTIONS: "" },
  });
}

t.test(
  "output that is lost is an error, a reader that has seen enough is none",
  { skip: !existsSync("/dev/full") },
  (t) => {
    const root = t.testdir({});
    project(root, ["a"], "", "sm_86");
    const full = shell(root, '"$@" plan --json > /dev/full');
    t.match(full, { status: 1, stderr: "error: cannot write the output: the disk is full\n" });
    t.equal(shell(root, '"$@" plan --json 2> /dev/full').status, 0, "nothing was to be said there");
    t.equal(shell(root, '"$@" plan nope.ts 2> /dev/full').status, 2);
    t.match(shell(root, '"$@" plan --json | true'), { status: 0, stderr: "" });
    t.match(shell(root, '"$@" watch | head -1'), { status: 0, stdout: /^1 job, \d+ slots?\n$/ });
    t.end();
  },
);

t.test("usage: exit code 2, one clear line", async (t) => {
  const root = t.testdir({});
  project(root, ["a"]);
  const cases: readonly [string[], string][] = [
    [["--filter", "nothing"], "error: no job matches nothing\n  hint: the models are a\n"],
    [["--shard", "3/2"], 'error: "3/2" is no shard\n  hint: --shard 2/4 is the second of four\n'],
    [
      ["--reporter", "xml"],
      'error: there is no reporter "xml"\n  hint: the reporters are tty, plain, json, github, junit=FILE\n',
    ],
    [
      ["--precision", "fp16"],
      "error: --precision belongs to models named on the command line\n  hint: name a model file too, or write the option into the config\n",
    ],
    [["--frobnicate"], "error: unknown option '--frobnicate'\n(`trtorch-build help` shows the commands)\n"],
    [
      ["--filter", "a", "plan"],
      'error: "plan" comes after an option\n  hint: the command comes first: trtorch-build plan ...\n',
    ],
    [
      ["--concurrency", "0"],
      "error: option '--concurrency <n>' argument '0' is invalid. It is a whole number, at least 1.\n(`trtorch-build help` shows the commands)\n",
    ],
    [
      ["--on-failure", "stop"],
      "error: option '--on-failure <mode>' argument 'stop' is invalid. Allowed choices are finish, continue, kill.\n(`trtorch-build help` shows the commands)\n",
    ],
    [["report", "engines", "-c", "x"], "error: a folder and --config are given\n  hint: one or the other\n"],
    [["check", "-o", "x"], "error: unknown option '-o'\n(`trtorch-build help` shows the commands)\n"],
    [["cache", "-o", "x"], "error: unknown option '-o'\n(`trtorch-build help` shows the commands)\n"],
    [
      ["plan", "--json", "--shards", "4"],
      "error: option '--format <name>' cannot be used with option '--json'\n(`trtorch-build help` shows the commands)\n",
    ],
    [["biuld"], 'error: there is no command "biuld"\n  hint: did you mean "build"?\n'],
  ];
  for (const [args, stderr] of cases) {
    const result = await trtorch(root, args);
    t.same([result.code, result.stdout, result.stderr], [2, "", stderr]);
  }
  const blocked = await trtorch(root, ["--out", "trtorch.config.yaml"]);
  t.equal(blocked.code, 1);
  t.equal(
    blocked.stderr,
    `error: cannot lock ${join(root, "trtorch.config.yaml", ".trtorch-build/.lock")}: a file is where a folder should be
  hint: artifacts go to out_dir or --out, logs and the store to cache_dir
`,
  );
  const empty = mkdtempSync(join(tmpdir(), "trtorch-"));
  t.teardown(() => rmSync(empty, { recursive: true }));
  const nowhere = await trtorch(empty, ["plan", "--json"]);
  t.match(JSON.parse(nowhere.stdout), { error: { code: "usage" } });
});
