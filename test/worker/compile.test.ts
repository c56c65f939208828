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

async function compile(job: Job, emit: (event: JobEvent) => void = () => {}) {
  return compileJob(job, {
    emit,
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
