import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { makeReport, renderMarkdown, type SupportReport } from "../artifacts/report.js";
import type { Network } from "../network/network.js";
import { applyPrecision } from "../network/precision.js";
import { networkKey, type ProgramRange, toProgram } from "../network/program.js";
import type { ArtifactFile, ArtifactKind, Job, JobPhase, JobResult, OutputComparison } from "../plan/job.js";
import { Store, type StoreKey } from "../runner/store.js";
import { mergeTimingCache, readTimingCache, timingCachePath } from "../runner/timing-cache.js";
import { publishDirectory, stageDirectory } from "../util/atomic-write.js";
import { TrtorchError } from "../util/errors.js";
import { type ConvertedModel, capabilitiesOf, convertModel } from "./convert-model.js";
import { loadRegistry } from "./custom-converters.js";
import { compareWithGolden } from "./golden.js";
import { loadModel } from "./model.js";
import type { JobContext } from "./protocol.js";
import { wrapWhole } from "./wrap.js";

/** Runs a job from the model file to its published folder. Nothing appears there unless all of it succeeded. */
export async function compileJob(job: Job, context: JobContext): Promise<JobResult> {
  const run = new JobRun(job, context);
  return run.run();
}

/** What a backend made of a network. */
interface Built {
  /** Null where the network is the result itself, as a portable ONNX model. */
  readonly engine: Uint8Array | null;
  readonly reused: boolean;
  readonly library: { readonly name: string; readonly version: string } | null;
}

class JobRun {
  readonly #job: Job;
  readonly #context: JobContext;
  readonly #durations: Partial<Record<JobPhase, number>> = {};

  constructor(job: Job, context: JobContext) {
    this.#job = job;
    this.#context = context;
  }

  async run(): Promise<JobResult> {
    const job = this.#job;
    const { registry, program } = await this.#phase("load", async () => ({
      registry: await loadRegistry(job.converters),
      program: loadModel(job.source),
    }));
    const model = await convertModel(program, {
      method: job.method,
      inputs: job.inputs,
      registry,
      capabilities: capabilitiesOf(job.backend),
      dumpIr: job.dumpIr === null ? undefined : join(job.dumpIr, job.model),
      phase: (name, work) => this.#phase(name, work),
    });
    const report = makeReport({ ...model, model: job.model, method: job.method, registry });
    const network = await this.#phase("convert", async () =>
      applyPrecision(model.network, job.precision, { fp32Ops: job.builder.fp32Ops }),
    );
    for (const warning of network.warnings) this.#context.emit({ type: "warning", message: warning });
    const comparison =
      job.golden === null
        ? null
        : await this.#phase("verify", () => compareWithGolden(network.network, job.golden as string, job.tolerance));
    const failed = comparison?.find((output) => !output.passed);
    if (failed !== undefined) throw goldenMismatch(job, failed);
    const key = this.#networkKey(network.network);
    const built = await this.#phase("build", () => this.#build(network.network, key));
    const artifacts = await this.#phase("write", () =>
      this.#write(model, report, network.network, built, key, comparison),
    );
    return {
      artifacts,
      networkKey: key,
      engineReused: built.reused,
      summary: {
        operators: report.operators.reduce((sum, { count }) => sum + count, 0),
        layers: network.network.layers.length,
        parameters: report.parameters.elements,
        unsupported: report.operators.filter(({ handledBy }) => handledBy === null).map(({ operator }) => operator),
      },
      comparison,
      durations: this.#durations,
      library: built.library,
    };
  }

  async #phase<R>(phase: JobPhase, work: () => Promise<R> | R): Promise<R> {
    const { emit, signal } = this.#context;
    if (signal.aborted) throw new TrtorchError("cancelled", "cancelled");
    emit({ type: "phase-start", phase });
    const start = performance.now();
    const result = await work();
    const durationMs = performance.now() - start;
    this.#durations[phase] = (this.#durations[phase] ?? 0) + durationMs;
    emit({ type: "phase-end", phase, durationMs });
    return result;
  }

  /** Equal keys, equal engines: network, weights, settings, target. The library's version joins where it is known. */
  #networkKey(network: Network): string {
    const { backend, target, builder } = this.#job;
    const { timingCache: _, fp32Ops: __, ...settings } = builder;
    const device = target.kind === "device" ? this.#context.device : null;
    return createHash("sha256")
      .update(networkKey(toProgram(network)))
      .update(
        JSON.stringify([backend, target, settings, device && [device.name, device.major, device.minor, device.driver]]),
      )
      .digest("hex");
  }

  async #build(network: Network, key: string): Promise<Built> {
    const job = this.#job;
    if (job.backend === "onnxruntime") return { engine: null, reused: false, library: null };
    const { buildEngine, findLibrary, libraryVersion } = await import("../backends/tensorrt/index.js");
    const flavour = job.backend === "tensorrt-rtx" ? "rtx" : await chooseFlavour();
    const library = { name: flavour === "rtx" ? "TensorRT-RTX" : "TensorRT", version: await libraryVersion(flavour) };
    const store =
      job.store === null ? null : new Store(job.store, (message) => this.#context.emit({ type: "warning", message }));
    const storeKey: StoreKey = `network-${createHash("sha256").update(`${key} ${library.name} ${library.version}`).digest("hex")}`;
    const known = await store?.get(storeKey);
    const content = known ? await store?.read(known, "engine") : null;
    if (content) return { engine: content, reused: true, library };
    const cachePath = this.#timingCachePath(library);
    const result = await buildEngine(network, {
      flavour,
      library: findLibrary(flavour),
      targets: job.target.computeCapabilities,
      options: { ...job.builder, profiles: job.builder.profiles as readonly { inputs: readonly ProgramRange[] }[] },
      timingCache: cachePath === null ? null : ((await readTimingCache(cachePath)) ?? new Uint8Array()),
      logLevel: "info",
      signal: this.#context.signal,
      onEvent: (event) => {
        if (event.type === "log") this.#context.log(event.line, event.level);
        else this.#context.emit({ type: "progress", name: event.phase, step: event.step, total: event.total });
      },
    });
    const { timingCache } = result;
    if (cachePath !== null && timingCache !== null) await mergeTimingCache(cachePath, async () => timingCache);
    await store?.put(storeKey, [{ name: "engine", content: result.engine }], { library });
    return { engine: result.engine, reused: false, library };
  }

  #timingCachePath(library: { name: string; version: string }): string | null {
    const { timingCache } = this.#job.builder;
    const { device } = this.#context;
    if (timingCache === null || device === null) return null;
    return timingCachePath(timingCache, library.name, library.version, device.name);
  }

  async #write(
    model: ConvertedModel,
    report: SupportReport,
    network: Network,
    built: Built,
    key: string,
    comparison: readonly OutputComparison[] | null,
  ): Promise<ArtifactFile[]> {
    const job = this.#job;
    const final = join(job.outDir, job.id);
    const staged = await stageDirectory(final);
    const artifacts: ArtifactFile[] = [];
    const add = async (kind: ArtifactFile["kind"], path: string, content: string | Uint8Array): Promise<void> => {
      const bytes = typeof content === "string" ? Buffer.from(content) : content;
      await mkdir(join(staged, path, ".."), { recursive: true });
      await writeFile(join(staged, path), bytes);
      artifacts.push({ kind, path, size: bytes.byteLength, sha256: createHash("sha256").update(bytes).digest("hex") });
    };
    const wanted = new Set(job.emit);
    if (built.engine !== null && wanted.has("engine")) await add("engine", ENGINE_FILE, built.engine);
    if (built.engine === null || wanted.has("onnx")) {
      const { writeOnnx } = await import("../backends/onnx/file.js");
      for (const file of await writeOnnx(network, join(staged, "model.onnx"))) {
        artifacts.push(await describeFile("onnx", staged, file));
      }
    }
    if (wanted.has("report")) {
      await add("report", "report.json", `${JSON.stringify({ ...report, comparison }, null, 2)}\n`);
      await add("report", "report.md", renderMarkdown(report));
    }
    if (built.engine !== null && wanted.has("module")) {
      const module = wrapWhole(job, model, network, built.engine, this.#context.device);
      await writeFile(join(staged, MODULE_FILE), module);
      artifacts.push(await describeFile("module", staged, join(staged, MODULE_FILE)));
    }
    const manifest = {
      version: 1,
      id: job.id,
      model: job.model,
      method: job.method,
      precision: job.precision,
      target: job.target.name,
      networkKey: key,
      library: built.library,
      artifacts,
    };
    await add("manifest", "manifest.json", `${JSON.stringify(manifest, null, 2)}\n`);
    await publishDirectory(staged, final);
    return artifacts;
  }
}

async function describeFile(kind: ArtifactKind, folder: string, file: string): Promise<ArtifactFile> {
  const hash = createHash("sha256");
  let size = 0;
  for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>) {
    hash.update(chunk);
    size += chunk.byteLength;
  }
  return { kind, path: relative(folder, file).split(sep).join("/"), size, sha256: hash.digest("hex") };
}

const ENGINE_FILE = "model.engine";
const MODULE_FILE = "model.ts";

/** The full TensorRT that is there: 10 or 11. */
async function chooseFlavour(): Promise<"trt10" | "trt11"> {
  const { findLibrary } = await import("../backends/tensorrt/index.js");
  try {
    findLibrary("trt10");
    return "trt10";
  } catch (first) {
    try {
      findLibrary("trt11");
      return "trt11";
    } catch {
      throw first;
    }
  }
}

function goldenMismatch(job: Job, output: OutputComparison): TrtorchError {
  const { rtol, atol } = job.tolerance;
  const limit = atol + rtol * (1 + output.maxAbsReference);
  return new TrtorchError(
    "mismatch",
    `${output.output} differs from ${job.golden} by ${output.maxAbsError.toPrecision(3)}, allowed is ${limit.toPrecision(3)}`,
    {
      hint:
        job.precision === "fp32"
          ? "Check that the golden file was recorded with this model file, in eval mode."
          : `Raise tolerance: for ${job.precision}, or name operators that must stay fp32 in builder.fp32_ops.`,
    },
  );
}
