import { mkdirSync, readFileSync, renameSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import fc from "fast-check";
import t from "tap";
import type { Config } from "../../src/config/config.js";
import { formatDiagnostics } from "../../src/config/diagnostic.js";
import { loadConfig } from "../../src/config/load.js";
import { withImports } from "../../src/plan/converter-files.js";
import type { Device } from "../../src/plan/device.js";
import { createPlan, type Machine } from "../../src/plan/plan.js";
import { affectedJobs, filterJobs, parseShard, shardJobs } from "../../src/plan/select.js";
import { StatCache } from "../../src/plan/stat-cache.js";
import { device, planned } from "../runner/fixtures.js";

function write(root: string, files: Readonly<Record<string, string>>): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }
}

async function load(root: string, text: string): Promise<Config> {
  write(root, { "trtorch.config.yaml": text });
  const result = await loadConfig(join(root, "trtorch.config.yaml"), root);
  if (!result.ok) throw new Error(formatDiagnostics(result.error));
  return result.value;
}

function machine(devices: readonly Device[] = [], version = "1.0"): Machine {
  return {
    toolVersion: "1.0.0",
    discoverDevices: async () => devices,
    library: async (backend) => ({ name: backend, version }),
  };
}

const FILES = {
  "models/a.ts": "a",
  "models/b.pt2": "b",
  "golden/a.npz": "g",
  "converters/one.ts": 'import { two } from "./two.js";\nexport default two;',
  "converters/two.ts": "export const two = 2;",
};

const CONFIG = `version: 1
backend: tensorrt-rtx
targets: [sm_86, [sm_89, sm_120]]
precisions: [fp32, fp16]
converters: [converters/one.ts]
models:
  - { name: a, source: models/a.ts, inputs: [[1, 3]], golden: golden/a.npz }
  - { name: b, source: models/b.pt2, targets: [sm_80], precisions: [bf16], builder: { workspace: 1GiB } }
`;

t.test("jobs are model x precision x target, in the config's order", async (t) => {
  const root = t.testdir({});
  write(root, FILES);
  const { jobs } = await createPlan(await load(root, CONFIG), machine());
  t.same(
    jobs.map(({ job }) => job.id),
    ["a/fp32-sm_86", "a/fp32-sm_89+sm_120", "a/fp16-sm_86", "a/fp16-sm_89+sm_120", "b/bf16-sm_80"],
  );
  t.equal(new Set(jobs.map(({ job }) => job.key)).size, 5);
  t.same(jobs[0]?.job.tolerance, { rtol: 1e-3, atol: 0 });
  t.same(jobs[2]?.job.tolerance, { rtol: 2e-2, atol: 0 });
});

t.test("keys: everything that decides the result changes them, nothing else does", async (t) => {
  const root = t.testdir({ one: {}, two: {} });
  const one = join(root, "one");
  const keys = async (folder: string, text = CONFIG, on = machine()) =>
    (await createPlan(await load(folder, text), on)).jobs.map(({ job }) => job.key);
  write(one, FILES);
  const before = await keys(one);

  write(join(root, "two"), FILES);
  t.same(await keys(join(root, "two")), before, "another checkout");
  t.same(await keys(one, CONFIG.replace("{ name: b,", "{ timeout: 3m, retries: 2, name: b,")), before, "patience");
  utimesSync(join(one, "models/a.ts"), new Date(1), new Date(1));
  t.same(await keys(one), before, "times");

  const changes: readonly [string, () => unknown, number[]][] = [
    ["a model", () => write(one, { "models/a.ts": "other" }), [0, 1, 2, 3]],
    ["a golden file", () => write(one, { "golden/a.npz": "other" }), [0, 1, 2, 3]],
    [
      "a file that a converter imports",
      () => write(one, { "converters/two.ts": "export const two = 3;" }),
      [0, 1, 2, 3, 4],
    ],
    ["a name", () => CONFIG.replace("{ name: a,", "{ name: c,"), [0, 1, 2, 3]],
    ["inputs", () => CONFIG.replace("[1, 3]", "[2, 3]"), [0, 1, 2, 3]],
    ["workspace", () => CONFIG.replace("1GiB", "2GiB"), [4]],
    ["fallback", () => CONFIG.replace("{ name: b,", "{ fallback: false, name: b,"), [4]],
    ["tolerance", () => CONFIG.replace("{ name: a,", "{ tolerance: { rtol: 1 }, name: a,"), [0, 1, 2, 3]],
  ];
  for (const [name, change, expected] of changes) {
    write(one, FILES);
    const text = change();
    const after = await keys(one, typeof text === "string" ? text : CONFIG);
    t.same(
      after.flatMap((key, index) => (key === before[index] ? [] : [index])),
      expected,
      name,
    );
  }
  write(one, FILES);
  t.same(
    (await keys(one, CONFIG, machine([], "1.1"))).filter((key) => before.includes(key)),
    [],
    "the library",
  );
});

t.test("targets on this machine's GPUs", async (t) => {
  const root = t.testdir({});
  write(root, FILES);
  const config = await load(
    root,
    `version: 1
backend: tensorrt
targets: [device, sm_89]
models: [{ source: models/b.pt2 }]
`,
  );
  const l4 = device(0, "NVIDIA L4", 8, 9);
  const show = async (devices: readonly Device[], only: Config = config) =>
    (await createPlan(only, machine(devices))).jobs.map(({ job, placement }) => [
      job.id,
      placement.slot === "gpu" ? placement.kind : placement.slot === "none" ? placement.reason : "cpu",
    ]);
  t.same(await show([]), [
    ["b/fp32-device", "this job needs a GPU on this machine; GPUs here: none"],
    ["b/fp32-sm_89", "this job needs a GPU with SM 8.9 on this machine; GPUs here: none"],
  ]);
  t.same(await show([l4, device(1, "NVIDIA L4", 8, 9)]), [
    ["b/fp32-device", "NVIDIA L4 sm_89 24GiB"],
    ["b/fp32-sm_89", "NVIDIA L4 sm_89 24GiB"],
  ]);
  t.same(await show([l4, device(1, "NVIDIA H200", 9, 0, 141)]), [
    ["b/fp32-device-nvidia-l4", "NVIDIA L4 sm_89 24GiB"],
    ["b/fp32-device-nvidia-h200", "NVIDIA H200 sm_90 141GiB"],
    ["b/fp32-sm_89", "NVIDIA L4 sm_89 24GiB"],
  ]);
  t.same(await show([l4, device(1, "NVIDIA H200", 9, 0, 141)], { ...config, devices: ["1"] }), [
    ["b/fp32-device", "NVIDIA H200 sm_90 141GiB"],
    ["b/fp32-sm_89", "this job needs a GPU with SM 8.9 on this machine; GPUs here: NVIDIA H200 sm_90 141GiB"],
  ]);
  const key = async (devices: readonly Device[]) => (await createPlan(config, machine(devices))).jobs[0]?.job.key;
  t.equal(await key([l4]), await key([device(3, "NVIDIA L4", 8, 9)]), "which one of a kind does not matter");
  t.not(await key([l4]), await key([{ ...l4, driver: "590" }]), "the driver does");
  t.not(
    await key([l4]),
    await key([l4, device(1, "NVIDIA H200", 9, 0, 141)]),
    "nor is what one folder holds of another's name",
  );
});

t.test("filters", async (t) => {
  const jobs = ["lenet/fp32-sm_86", "lenet/fp16-sm_86", "bert.base/fp16-cpu"].map((id) => planned(id));
  const ids = (patterns: string[]) => filterJobs(jobs, patterns).map(({ job }) => job.id);
  t.same(ids([]).length, 3);
  t.same(ids(["lenet"]), ["lenet/fp32-sm_86", "lenet/fp16-sm_86"]);
  t.same(ids(["*/fp16-*"]), ["lenet/fp16-sm_86", "bert.base/fp16-cpu"]);
  t.same(ids(["!lenet"]), ["bert.base/fp16-cpu"]);
  t.same(ids(["l*", "!*fp32*"]), ["lenet/fp16-sm_86"]);
  t.throws(() => ids(["bertXbase"]), { code: "usage", message: "no job matches bertXbase" });
});

t.test("what a changed file affects", async (t) => {
  const root = t.testdir({});
  write(root, FILES);
  const config = await load(root, CONFIG);
  const { jobs } = await createPlan(config, machine());
  const ids = (file: string) => affectedJobs(jobs, [file], config.file, root).map(({ job }) => job.id);
  t.same(ids("models/b.pt2"), ["b/bf16-sm_80"]);
  t.equal(ids("golden/a.npz").length, 4);
  t.equal(ids("converters/two.ts").length, 5, "through an import");
  t.equal(ids("trtorch.config.yaml").length, 5);
  t.same(ids("README.md"), []);
});

t.test("shards: every job in exactly one, whatever the order, and balanced", async (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: 1, maxLength: 60 }),
      fc.integer({ min: 1, max: 9 }),
      fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })),
      (costs, count, order) => {
        const jobs = costs.map((cost, index) => planned(`m${index}/x`, { cost }));
        const shuffled = jobs.map((job) => ({ job, at: order.next().value as number })).sort((a, b) => a.at - b.at);
        const loads: number[] = [];
        const seen = new Set<string>();
        for (let index = 1; index <= count; index++) {
          const shard = shardJobs(jobs, { index, count });
          const again = shardJobs(
            shuffled.map(({ job }) => job),
            { index, count },
          );
          if (new Set([...shard, ...again]).size !== shard.length) return false;
          for (const { job } of shard) {
            if (seen.has(job.id)) return false;
            seen.add(job.id);
          }
          loads.push(shard.reduce((sum, { cost }) => sum + cost, 0));
        }
        const total = costs.reduce((a, b) => a + b, 0);
        // Graham's bound for longest-first.
        const best = Math.max(total / count, ...costs);
        return seen.size === jobs.length && Math.max(...loads) <= (4 / 3) * best + Math.max(...costs) / 3;
      },
    ),
    { seed: 1, numRuns: 300 },
  );
  t.same(parseShard("2/4"), { index: 2, count: 4 });
  for (const wrong of ["0/2", "3/2", "1", "1/0", "a/b"]) t.throws(() => parseShard(wrong), { code: "usage" });
});

t.test("the stat cache reads a file again when, and only when, it may have changed", async (t) => {
  const root = t.testdir({ "model.ts": "one" });
  const [model, file] = [join(root, "model.ts"), join(root, "cache/stat.json")];
  const old = new Date(Date.now() - 60_000);
  const sha = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed";
  const fresh = await StatCache.open(file);
  t.same(await fresh.identify(model), await fresh.identify(model));
  t.match(await fresh.identify(model), { size: 3, sha256: sha });
  await fresh.save();
  t.throws(() => statSync(file), "what was just written could change within the clock's tick: it is not kept");

  await new Promise((resolve) => setTimeout(resolve, 2_100));
  const second = await StatCache.open(file);
  await second.identify(model);
  await second.save();
  // A cache that is believed: its content is made wrong, to see that the file is not read.
  const text = readFileSync(file, "utf8");
  t.ok(text.includes(sha));
  writeFileSync(file, text.replace(sha, "f".repeat(64)));
  t.equal((await (await StatCache.open(file)).identify(model)).sha256, "f".repeat(64));

  // The same size and mtime, by a tool that keeps times; only ctime and inode tell.
  writeFileSync(join(root, "new"), "two");
  utimesSync(join(root, "new"), old, old);
  utimesSync(model, old, old);
  renameSync(join(root, "new"), model);
  t.not((await (await StatCache.open(file)).identify(model)).sha256, "f".repeat(64));

  writeFileSync(file, "{ damaged");
  t.equal((await (await StatCache.open(file)).identify(model)).size, 3);
  await t.rejects((await StatCache.open(file)).identify(join(root, "none")), { code: "ENOENT" });
});

t.test("converter files with what they import", async (t) => {
  const root = t.testdir({
    "a.ts": 'import x from "./b.js";\nimport "trtorch-build";\nexport * from "./sub";',
    "b.ts": 'const a = await import("./a.ts");',
    sub: { "index.ts": "" },
  });
  t.same(
    await withImports(join(root, "a.ts")),
    ["a.ts", "b.ts", "sub/index.ts"].map((file) => join(root, file)),
  );
});

t.test("an import is the file that is loaded for it", async (t) => {
  const root = t.testdir({
    "main.ts": `import { k } from "./k"; import { c } from "./c"; import { u } from "./u"; import { dot } from ".";
import { n } from "./sub/n.js"; import { m } from "./m.mjs"; import gone from "./none";
export const loaded = [k, c, u, dot, n, m];`,
    "k.js": 'export const k = "k.js";',
    "k.ts": 'export const k = "k.ts";',
    "c.cjs": 'exports.c = "c.cjs";',
    "u.cts": 'export const u = "u.cts";',
    "index.ts": 'export const dot = "index.ts";',
    "m.mts": 'export const m = "m.mts";',
    sub: { "n.ts": 'import { dot } from ".."; export const n = "sub/n.ts";' },
  });
  const files = await withImports(join(root, "main.ts"));
  const { createJiti } = await import("jiti");
  writeFileSync(join(root, "none.ts"), "export default 1;");
  const { loaded } = await createJiti(import.meta.url).import<{ loaded: string[] }>(join(root, "main.ts"));
  t.same(
    files,
    ["main.ts", "k.js", "c.cjs", "u.cts", "index.ts", "sub/n.ts", "m.mts"].map((file) => join(root, file)),
  );
  t.same(files.slice(1).toSorted(), loaded.map((file) => join(root, file)).toSorted());
});
