import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import t from "tap";
import type { Job } from "../../src/plan/job.js";
import { startWorkerProcess } from "../../src/runner/worker-process.js";
import { device, job } from "./fixtures.js";

const GPU = device(0, "NVIDIA L4", 8, 9);

/** A job that builds without a library, so that a worker with an imaginary GPU can do it. */
function portable(outDir: string): Job {
  return job("lenet/fp32-cpu", {
    source: fileURLToPath(new URL("../fixtures/models/lenet/export.pt2", import.meta.url)),
    backend: "onnxruntime",
    target: { kind: "cpu", name: "cpu", computeCapabilities: [] },
    emit: ["onnx"],
    outDir,
  });
}

/** Runs a job in a real worker and notes what it says about its device and its phases. */
function start(outDir: string, lend: () => Promise<boolean>, gpu = true) {
  const said: string[] = [];
  const worker = startWorkerProcess(gpu ? GPU : null);
  const outcome = worker.run(portable(outDir), {
    onEvent: (event) => {
      if (event.type === "phase-start") said.push(event.phase);
    },
    onOutput: () => {},
    lendDevice: () => {
      said.push("wants the device");
      return lend();
    },
    takeDeviceBack: () => said.push("gives the device back"),
  });
  return { worker, said, outcome };
}

t.test("a worker asks for its GPU when it has converted, and builds when it has it", async (t) => {
  const outDir = t.testdir({});
  const { worker, said, outcome } = start(outDir, async () => {
    await sleep(200);
    said.push("lent");
    return true;
  });
  t.match(await outcome, { status: "done" });
  t.same(said, [
    ...["load", "lower", "convert", "convert", "wants the device", "lent"],
    ...["build", "gives the device back", "write"],
  ]);
  t.ok(existsSync(join(outDir, "lenet/fp32-cpu/model.onnx")));
  await worker.close();
});

t.test("a worker of the CPU does not ask", async (t) => {
  const { worker, said, outcome } = start(t.testdir({}), async () => false, false);
  t.match(await outcome, { status: "done" });
  t.notOk(said.some((line) => line.includes("device")));
  await worker.close();
});

t.test("a worker that is stopped while it waits builds nothing, and takes the next job", async (t) => {
  const outDir = t.testdir({});
  const { worker, said, outcome } = start(outDir, async () => {
    worker.cancel();
    return false;
  });
  t.match(await outcome, { status: "failed", error: { code: "cancelled" } });
  t.equal(said.at(-1), "wants the device");
  t.notOk(existsSync(join(outDir, "lenet")));
  const again = await worker.run(portable(outDir), {
    onEvent: () => {},
    onOutput: () => {},
    lendDevice: async () => true,
    takeDeviceBack: () => {},
  });
  t.match(again, { status: "done" });
  await worker.close();
});
