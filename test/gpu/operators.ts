/**
 * Every recorded case of the operators' tests, built by the full TensorRT and executed on this machine's GPUs: the numbers
 * must be PyTorch's. First all with fixed sizes, then with ranges, then in half precision, as far as SECONDS go.
 *
 * `operators.js OUT.json SECONDS [PROCESSES] [PART...]`, PART of "FAMILY: NAME, FORM" as a failure is printed; GPUS lists
 * those that the processes share (default: 0).
 * Building and executing happens in these, so that a crash is one case's. What OUT.json has from a run before is not run again.
 */
import { type ChildProcess, fork } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { buildEngine, libraryVersion, loadEngine } from "../../src/backends/tensorrt/index.js";
import type { Capabilities } from "../../src/conversion/context.js";
import type { Tensor } from "../../src/ir/tensor.js";
import { dataTypeOf } from "../../src/network/weights.js";
import { TrtorchError } from "../../src/util/errors.js";
import { casesFolder } from "../conversion/cases.js";
import { type Form, type RecordedCase, recordedCases } from "../conversion/recorded-case.js";

interface Task {
  readonly family: string;
  readonly name: string;
  readonly what: Form["what"];
}

type Outcome = "agrees" | "differs" | "refused" | "failed" | "crashed";

interface Result extends Task {
  readonly outcome: Outcome;
  /** What differs, or TensorRT's or our words. */
  readonly message?: string;
  readonly ms: number;
}

const TIMEOUT = 120_000;
const families = readdirSync(casesFolder())
  .filter((file) => file.endsWith(".yaml"))
  .map((file) => file.slice(0, -".yaml".length));

if (process.send === undefined) await direct();
else work();

/** Hands tasks to processes, one at a time each, until all are done or the time is up. */
async function direct(): Promise<void> {
  const [file, seconds = "300", processes = "4", ...parts] = process.argv.slice(2) as [string, ...string[]];
  const gpus = (process.env.GPUS ?? "0").split(",");
  const deadline = performance.now() + 1000 * Number(seconds);
  const wanted = families
    .flatMap((family) =>
      recordedCases(family)
        .filter(({ entry }) => entry.error === undefined)
        .flatMap(({ entry, forms }) => forms.map(({ what }): Task => ({ family, name: entry.name, what }))),
    )
    .filter((task) => parts.length === 0 || parts.some((part) => labelOf(task).includes(part)));
  const results: Result[] = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : [];
  const known = new Set(results.map(labelOf));
  const order: readonly Form["what"][] = ["fixed sizes", "ranges", "fp16"];
  const tasks = wanted
    .filter((task) => !known.has(labelOf(task)))
    .sort((a, b) => order.indexOf(a.what) - order.indexOf(b.what));
  let next = 0;
  const worker = async (index: number): Promise<void> => {
    let child: ChildProcess | undefined;
    while (next < tasks.length && performance.now() < deadline) {
      const task = tasks[next++] as Task;
      child ??= fork(process.argv[1] as string, [], {
        env: { ...process.env, CUDA_VISIBLE_DEVICES: gpus[index % gpus.length] },
        stdio: ["ignore", "ignore", "ignore", "ipc"],
      });
      const result = await hand(child, task);
      results.push(result);
      if (result.outcome === "crashed") {
        child.kill("SIGKILL");
        child = undefined;
      }
      if (result.outcome !== "agrees") {
        console.log(`${result.outcome}: ${labelOf(result)}: ${result.message}`);
      }
      if (results.length % 100 === 0) writeFileSync(file, JSON.stringify(results));
    }
    child?.kill("SIGKILL");
  };
  await Promise.all(Array.from({ length: Number(processes) }, (_, i) => worker(i)));
  writeFileSync(file, JSON.stringify(results, null, 1));
  const count = (outcome: Outcome): number => results.filter((result) => result.outcome === outcome).length;
  console.log(
    `${results.length} of ${wanted.length} run: ${count("agrees")} agree, ${count("differs")} differ, ${count("refused")} refused beforehand, ` +
      `${count("failed")} not built or not run, ${count("crashed")} crashed`,
  );
  process.exit(count("agrees") + count("refused") === results.length ? 0 : 1);
}

function labelOf({ family, name, what }: Task): string {
  return `${family}: ${name}, ${what}`;
}

function hand(child: ChildProcess, task: Task): Promise<Result> {
  const start = performance.now();
  return new Promise((resolve) => {
    const end = (result: Pick<Result, "outcome" | "message">): void => {
      clearTimeout(timer);
      child.removeAllListeners();
      resolve({ ...task, ...result, ms: Math.round(performance.now() - start) });
    };
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      end({ outcome: "crashed", message: `no answer after ${TIMEOUT / 1000} s` });
    }, TIMEOUT);
    child.once("message", end);
    child.once("exit", (code, signal) => end({ outcome: "crashed", message: signal ?? `exit code ${code}` }));
    child.send(task);
  });
}

/** In a child: does what it is sent. */
function work(): void {
  const known = new Map<string, Map<string, RecordedCase>>();
  process.on("message", async ({ family, name, what }: Task) => {
    if (!known.has(family)) known.set(family, new Map(recordedCases(family).map((one) => [one.entry.name, one])));
    const recorded = known.get(family)?.get(name) as RecordedCase;
    const form = recorded.forms.find((one) => one.what === what) as Form;
    process.send?.(await run(recorded, form));
  });
}

async function run(recorded: RecordedCase, form: Form): Promise<Pick<Result, "outcome" | "message">> {
  try {
    const [major, minor] = (await libraryVersion("trt10")).split(".").map(Number) as [number, number];
    const capabilities: Capabilities = { backend: "tensorrt", version: [major, minor] };
    const network = recorded.convert(form, capabilities);
    // TF32 would hide errors of three digits.
    const { engine: plan } = await buildEngine(network, { flavour: "trt10", options: { tf32: false } });
    const engine = await loadEngine(plan, { flavour: "trt10" });
    const outputs = await engine.execute(recorded.inputs);
    await engine.dispose();
    const differences = recorded.expected.flatMap((expected, i) => {
      const actual = outputs[network.outputs[i]?.name ?? ""] as Tensor;
      if (actual.dtype !== expected.dtype && dataTypeOf(actual.dtype) !== dataTypeOf(expected.dtype))
        return [`output ${i} is ${actual.dtype}, not ${expected.dtype}`];
      const difference = recorded.difference(form, actual, expected);
      return difference === undefined ? [] : [`output ${i}: ${difference}`];
    });
    return differences.length === 0 ? { outcome: "agrees" } : { outcome: "differs", message: differences.join("; ") };
  } catch (error) {
    if (error instanceof TrtorchError && error.code === "unsupported")
      return { outcome: "refused", message: error.message };
    const message = error instanceof Error ? error.message : String(error);
    // An error of the GPU's own stays in the process: nothing works there any more.
    if (/CUDA|Cuda Runtime/.test(message)) return { outcome: "crashed", message };
    // The case says itself why TensorRT does not take it.
    return { outcome: recorded.entry.tensorrt === undefined ? "failed" : "refused", message };
  }
}
