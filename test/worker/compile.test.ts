import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { setup } from "../../src/backends/tensorrt/setup.js";
import type { Job, JobEvent } from "../../src/plan/job.js";
import { compileJob } from "../../src/worker/compile.js";
import { job } from "../runner/fixtures.js";

const LENET = fileURLToPath(new URL("../fixtures/models/lenet/trace.ts", import.meta.url));

t.before(() => setup({ flavours: ["rtx"] }));

/** A job of LeNet for an engine that needs no GPU to be built. */
function lenet(root: string, model: string, changes: Partial<Job> = {}): Job {
  return job(`${model}/fp32-sm_89`, {
    source: LENET,
    inputs: [{ name: null, dtype: null, dims: [1, 1, 32, 32] }],
    backend: "tensorrt-rtx",
    target: { kind: "sm", name: "sm_89", computeCapabilities: [89] },
    outDir: join(root, "engines"),
    store: { directory: join(root, "store"), remotes: [] },
    ...changes,
  });
}

async function compile(job: Job, emit: (event: JobEvent) => unknown = () => {}) {
  return compileJob(job, {
    emit: (event) => void emit(event),
    log: () => {},
    device: null,
    withDevice: (work) => work(),
    signal: new AbortController().signal,
  });
}

t.test(
  "an engine of the same network comes from the store, whatever the model is called, unless it is forced",
  async (t) => {
    const root = t.testdir({});
    const first = await compile(lenet(root, "one"));
    const second = await compile(lenet(root, "two"));
    const forced = await compile(lenet(root, "two", { force: true }));
    t.same(
      [first, second, forced].map(({ engineReused }) => engineReused),
      [false, true, false],
    );
    t.equal(first.networkKey, second.networkKey);
  },
);

t.test("a shared store that fails is told of once, for all jobs of a process", async (t) => {
  const root = t.testdir({});
  const remotes = [{ location: join(root, "not mounted"), read: true, write: true }];
  const warnings: string[] = [];
  for (const model of ["one", "two"]) {
    const { engineReused } = await compile(
      lenet(root, model, { store: { directory: join(root, "store"), remotes }, force: model === "two" }),
      (event) => event.type === "warning" && warnings.push(event.message),
    );
    t.equal(engineReused, false);
  }
  t.equal(warnings.length, 1);
  t.match(warnings[0], /^the shared store .*not mounted failed and is left out of this run: /);
});

t.test("where the store cannot be used, the engine is built", async (t) => {
  const root = t.testdir({ store: "a file" });
  const warnings: string[] = [];
  const result = await compile(lenet(root, "one"), (event) => event.type === "warning" && warnings.push(event.message));
  t.same(
    result.artifacts.map(({ kind }) => kind),
    ["engine", "manifest"],
  );
  t.match(warnings, [/^cannot take an engine from the store: /, /^cannot keep an engine in the store: /]);
});
