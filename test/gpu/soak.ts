/**
 * 1,000 loads and 100,000 executions of LeNet's engine leave host and GPU memory flat; a process killed in the middle
 * of an execution harms nothing after it. `node --expose-gc soak.js WORK [--child]`
 */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { loadEngine } from "../../src/backends/tensorrt/engine.js";
import { listDevices } from "../../src/backends/tensorrt/index.js";
import type { Tensor } from "../../src/ir/tensor.js";
import { jobName, readModel } from "./models.js";

const LOADS = 1000;
const EXECUTIONS = 100_000;

const [work, child] = process.argv.slice(2) as [string, string | undefined];
const path = join(work, "engines", jobName("lenet", 1), "fp32-device", "model.engine");
const { inputs } = readModel(work, "lenet", 1);

const run = async (executions: number): Promise<void> => {
  const engine = await loadEngine(path);
  const feeds = Object.fromEntries(engine.inputs.map((input, i) => [input.name, inputs[i] as Tensor]));
  for (let i = 0; i < executions; i++) await engine.execute(feeds);
  await engine.dispose();
};

if (child === "--child") {
  console.log("executing");
  await run(Number.POSITIVE_INFINITY);
}

const memory = async (): Promise<{ host: number; gpu: number }> => {
  globalThis.gc?.();
  await setTimeout(50);
  const [device] = await listDevices();
  return { host: process.memoryUsage().rss / 1e6, gpu: ((device?.totalMemory ?? 0) - (device?.freeMemory ?? 0)) / 1e6 };
};
const report = async (what: string): Promise<{ host: number; gpu: number }> => {
  const now = await memory();
  console.log(`${what}: host ${now.host.toFixed(1)} MB, GPU ${now.gpu.toFixed(1)} MB`);
  return now;
};

for (let i = 0; i < 20; i++) await run(1);
const before = await report("after 20 loads");
for (let i = 0; i < LOADS; i++) await run(1);
const loaded = await report(`after ${LOADS} more`);
await run(1000);
const warm = await report("after 1,000 executions");
await run(EXECUTIONS);
const executed = await report(`after ${EXECUTIONS} more`);
const flat =
  loaded.host - before.host < 64 &&
  loaded.gpu - before.gpu < 8 &&
  executed.host - warm.host < 64 &&
  executed.gpu - warm.gpu < 8;
console.log(flat ? "memory is flat" : "memory grows");

for (let i = 0; i < 3; i++) {
  const victim = spawn(process.execPath, [process.argv[1] as string, work, "--child"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await new Promise((resolve) => victim.stdout.once("data", resolve));
  await setTimeout(500 + 300 * i);
  victim.kill("SIGKILL");
  await new Promise((resolve) => victim.once("exit", resolve));
  await run(100);
}
console.log("three processes were killed while executing; the engine runs as before");
process.exit(flat ? 0 : 1);
