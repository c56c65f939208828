import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import t from "tap";
import type { Job } from "../../src/plan/job.js";
import { WorkerProcess, workerStarter } from "../../src/runner/worker-process.js";
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
  const worker = workerStarter()(gpu ? GPU : null);
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

t.test("a worker has the variables that it is started with, and sees its GPU alone", async (t) => {
  const folder = t.testdir({
    "worker.mjs": `process.once("message", () => {
      const { LD_LIBRARY_PATH, CUDA_VISIBLE_DEVICES, HOME } = process.env;
      process.stdout.write([LD_LIBRARY_PATH, CUDA_VISIBLE_DEVICES, HOME].join("\\n"), () => process.exit(0));
    });`,
  });
  const lines: string[] = [];
  const worker = new WorkerProcess(GPU, join(folder, "worker.mjs"), { LD_LIBRARY_PATH: "/opt/tensorrt/lib" });
  const outcome = await worker.run(portable(folder), {
    onEvent: () => {},
    onOutput: (line) => lines.push(line),
    lendDevice: async () => false,
    takeDeviceBack: () => {},
  });
  t.match(outcome, { status: "died", reason: "the worker process left with exit code 0" });
  t.same(lines, ["/opt/tensorrt/lib", GPU.uuid, process.env.HOME]);
});
