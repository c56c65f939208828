import { createHash } from "node:crypto";
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Device } from "../../src/plan/device.js";
import type { ArtifactFile, Job, JobResult } from "../../src/plan/job.js";
import { publishDirectory, stageDirectory } from "../../src/util/atomic-write.js";
import type { RunnerMessage, WorkerMessage } from "../../src/worker/protocol.js";

// A worker process that compiles nothing: its "engine" is made of the model file's bytes and the job's options. The model's
// name says what happens: crash-…, hang-…, deaf-…, fail-…, slow-…, known-… (the store has its engine).

const send = (message: WorkerMessage) => process.send?.(message);
const controller = { abort: new AbortController() };
let lend = () => {};

process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));
process.on("SIGINT", () => {});
process.on("SIGTERM", () => {});
process.on("message", (message: RunnerMessage) => {
  if (message.type === "exit") process.exit(0);
  if (message.type === "cancel") controller.abort.abort();
  if (message.type === "device") lend();
  if (message.type === "job") void run(message.job, message.device);
});

async function run(job: Job, device: Device | null): Promise<void> {
  controller.abort = new AbortController();
  try {
    send({ type: "done", id: job.id, result: await compile(job, device), peakMemory: 1000 });
  } catch (error) {
    const cancelled = controller.abort.signal.aborted;
    const code = cancelled ? "cancelled" : "library";
    send({
      type: "failed",
      id: job.id,
      error: { code, message: cancelled ? "cancelled" : String((error as Error).message) },
    });
  }
}

async function compile(job: Job, device: Device | null): Promise<JobResult> {
  const [behaviour] = job.model.split("-");
  console.log(`fake compile of ${job.model}`);
  if (process.env.FAKE_LOG !== undefined) appendFileSync(process.env.FAKE_LOG, `${job.id}\n`);
  if (device !== null) {
    await sleep(10, undefined, { signal: controller.abort.signal });
    const lent = new Promise<void>((resolve, reject) => {
      lend = resolve;
      controller.abort.signal.addEventListener("abort", reject);
    });
    send({ type: "device-wanted", id: job.id });
    await lent;
  }
  send({ type: "event", id: job.id, event: { type: "phase-start", phase: "build" } });
  if (behaviour === "crash") process.kill(process.pid, "SIGSEGV");
  if (behaviour === "fail") throw new Error("the library failed");
  if (behaviour === "deaf") await sleep(600_000);
  if (behaviour === "hang") await sleep(600_000, undefined, { signal: controller.abort.signal });
  await sleep(behaviour === "slow" ? 1_000 : 15, undefined, { signal: controller.abort.signal });
  send({ type: "event", id: job.id, event: { type: "phase-end", phase: "build", durationMs: 15 } });
  if (device !== null) send({ type: "device-free", id: job.id });

  const source = readFileSync(job.source);
  const networkKey = createHash("sha256").update(source).update(job.precision).update(job.target.name).digest("hex");
  const final = join(job.outDir, job.id);
  const staged = await stageDirectory(final);
  const artifacts: ArtifactFile[] = [];
  for (const [kind, path, content] of [
    ["engine", "model.engine", Buffer.concat([Buffer.from(networkKey), source])],
    ["manifest", "manifest.json", Buffer.from(`${JSON.stringify({ id: job.id, networkKey })}\n`)],
  ] as const) {
    writeFileSync(join(staged, path), content.subarray(0, content.length / 2));
    await sleep(3);
    writeFileSync(join(staged, path), content);
    const sha256 = createHash("sha256").update(content).digest("hex");
    artifacts.push({ kind, path, size: content.length, sha256 });
  }
  await publishDirectory(staged, final);
  return {
    artifacts,
    networkKey,
    engineReused: behaviour === "known" && !job.force,
    summary: { operators: 1, layers: 1, parameters: source.length, unsupported: [] },
    comparison: null,
    latencyMs: null,
    durations: { build: 15 },
    library: { name: "fake", version: "1" },
  };
}

send({ type: "ready", pid: process.pid });
