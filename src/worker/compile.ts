import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { makeReport, operatorsInTorch, renderMarkdown, type SupportReport } from "../artifacts/report.js";
import { writeTriton } from "../artifacts/triton.js";
import type { Flavour } from "../backends/tensorrt/flavour.js";
import type { Registry } from "../conversion/registry.js";
import { allNodes, type Graph } from "../ir/graph.js";
import type { Network } from "../network/network.js";
import { applyPrecision } from "../network/precision.js";
import { networkKey, type ProgramRange, toProgram } from "../network/program.js";
import { engineSegments } from "../partition/partition.js";
import { deviceKind } from "../plan/device.js";
import type { ArtifactFile, ArtifactKind, Backend, Job, JobPhase, JobResult, OutputComparison } from "../plan/job.js";
import type { StoreKey } from "../runner/store-entry.js";
import { mergeTimingCache, readTimingCache, timingCachePath } from "../runner/timing-cache.js";
import { publishDirectory, stageDirectory } from "../util/atomic-write.js";
import { bestEffort } from "../util/best-effort.js";
import { TrtorchError } from "../util/errors.js";
import { GoldenMismatch } from "./comparison.js";
import { type ConvertedModel, capabilitiesOf, convertWithFallback, type PartitionedModel } from "./convert-model.js";
import { loadRegistry } from "./custom-converters.js";
import { EngineStore } from "./engine-store.js";
import type { OnDevice } from "./golden-device.js";
import { loadModel } from "./model.js";
import type { JobContext } from "./protocol.js";
import { wrapModel } from "./wrap.js";

/** Runs a job from the model file to its published folder. Nothing appears there unless all of it succeeded. */
export async function compileJob(job: Job, context: JobContext): Promise<JobResult> {
  const run = new JobRun(job, context);
  return run.run();
}

const ORDERING = /^aten::(sort|argsort|msort|topk|kthvalue|unique)|^torchvision::(_*batched_)?nms$/;

/** Do results depend on the order of scores? Near-ties then decide differently for the smallest errors. */
function ordersResults(graph: Graph): boolean {
  return [...allNodes(graph.block)].some(({ kind }) => ORDERING.test(kind));
}

/** What a backend made of a network. */
interface Built {
  /** Null where the network is the result itself, as a portable ONNX model. */
  readonly engine: Uint8Array | null;
  /** Of the engine, where the store has computed it. */
  readonly sha256: string | undefined;
  readonly reused: boolean;
}

/** What builds engines. */
interface Library {
  readonly flavour: Flavour;
  readonly name: string;
  readonly version: string;
}

/** A network of the job, in its precision: one, or one for each segment that TensorRT runs. */
interface Part {
  readonly network: Network;
  /** Equal keys, equal engines. */
  readonly key: string;
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
      program: loadModel(job.source, { mutatedBuffers: job.mutatedBuffers }),
    }));
    const model = await convertWithFallback(program, {
      method: job.method,
      inputs: job.inputs,
      registry,
      capabilities: capabilitiesOf(job.backend),
      // Without TensorRT there is no module that could run the rest in Torch.
      fallback: job.backend === "onnxruntime" ? false : job.fallback,
      warn: (message, hint) => this.#context.emit({ type: "warning", message, hint }),
      dumpIr: job.dumpIr === null ? undefined : join(job.dumpIr, job.model),
      phase: (name, work) => this.#phase(name, work),
    });
    const report = makeReport({ ...model, model: job.model, method: job.method, registry });
    const parts = await this.#phase("convert", () => this.#parts(model));
    const onReference = await this.#verify(model, parts, registry);
    const library = await findBuilder(job.backend);
    // A shared store may let one wait: not while this job has the GPU.
    const taken = await this.#takeFromStore(parts, library);
    const { made, onDevice } = await this.#context.withDevice(async () => {
      const made = await this.#phase("build", async () => {
        const engines: Built[] = [];
        for (const [i, { network }] of parts.entries()) {
          engines.push(taken[i] ?? (await this.#build(network, library)));
        }
        return engines;
      });
      return { made, onDevice: await this.#verifyOnDevice(made) };
    });
    const built = await this.#keepInStore(parts, made, library);
    const comparison = onDevice === null ? onReference : [...(onReference ?? []), ...onDevice.comparison];
    if (comparison?.some((output) => !output.passed))
      throw new GoldenMismatch(job, comparison, ordersResults(model.graph));
    const [first] = parts as [Part];
    const key =
      parts.length === 1
        ? first.key
        : createHash("sha256")
            .update(parts.map((part) => part.key).join())
            .digest("hex");
    const from = library === null ? null : { name: library.name, version: library.version };
    const artifacts = await this.#phase("write", () => this.#write(model, report, parts, built, key, from, comparison));
    return {
      artifacts,
      networkKey: key,
      engineReused: built.every(({ reused }) => reused),
      summary: {
        operators: report.operators.reduce((sum, { count }) => sum + count, 0),
        layers: parts.reduce((sum, { network }) => sum + network.layers.length, 0),
        parameters: report.parameters.elements,
        unsupported: operatorsInTorch(report),
      },
      comparison,
      latencyMs: onDevice?.latencyMs ?? null,
      durations: this.#durations,
      library: from,
    };
  }

  /** The networks in the job's precision. */
  #parts(model: ConvertedModel | PartitionedModel): Part[] {
    const { precision, builder } = this.#job;
    const networks =
      "network" in model
        ? [model.network]
        : engineSegments(model.partition).map(({ conversion }) => conversion.network);
    if (networks.length > 1 && builder.profiles.length > 0) {
      const message = `builder.profiles describe the method's inputs, and are not used for its ${networks.length} engines`;
      this.#warn(message);
    }
    return networks.map((original) => {
      const { network, warnings } = applyPrecision(original, precision, { fp32Ops: builder.fp32Ops });
      for (const warning of warnings) this.#warn(warning);
      return { network, key: this.#networkKey(network) };
    });
  }

  /** Null where there is nothing to compare with, or an operator in Torch has no converter that could stand in for it. */
  async #verify(
    model: ConvertedModel | PartitionedModel,
    parts: readonly Part[],
    registry: Registry,
  ): Promise<readonly OutputComparison[] | null> {
    const { golden, tolerance, backend } = this.#job;
    if (golden === null) return null;
    const networks = parts.map(({ network }) => network);
    const comparison = await this.#phase("verify", async () => {
      const options = { registry, capabilities: capabilitiesOf(backend) };
      if ("partition" in model) {
        const { compareChainWithGolden } = await import("./golden-chain.js");
        return compareChainWithGolden(model.partition, networks, options, golden, tolerance);
      }
      const { compareOnCpu, readGolden } = await import("./golden.js");
      const network = networks[0] as Network;
      return compareOnCpu(network, readGolden(golden, network), tolerance);
    });
    if (comparison === null) {
      const message = `${golden} is not compared with: operators stay with Torch that nothing here can run`;
      const hint = "Run the wrapped module in PyTorch with Torch-TensorRT to compare numbers.";
      this.#context.emit({ type: "warning", message, hint });
      return null;
    }
    if (comparison.some((output) => !output.passed))
      throw new GoldenMismatch(this.#job, comparison, ordersResults(model.graph));
    return comparison;
  }

  /** Null where there is nothing to compare with, no GPU, or no engine that runs by itself. */
  async #verifyOnDevice(built: readonly Built[]): Promise<OnDevice | null> {
    const { golden, tolerance, builder } = this.#job;
    const [engine] = built.map((part) => part.engine);
    // An engine without its weights, or without its runtime, is not what anything here can run.
    const whole = !builder.stripPlan && !builder.excludeLeanRuntime;
    if (golden === null || this.#context.device === null || built.length > 1 || !engine || !whole) return null;
    return this.#phase("verify", async () => {
      const [{ loadEngine }, { compareOnDevice }] = await Promise.all([
        import("../backends/tensorrt/engine.js"),
        import("./golden-device.js"),
      ]);
      // The host code in a version-compatible engine is what was built a moment ago.
      const loaded = await loadEngine(engine, { allowHostCode: builder.versionCompatible });
      return compareOnDevice(loaded, golden, tolerance).finally(() => loaded.dispose());
    });
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
    // Where the worker has a GPU, what it builds is for that one, whatever the target is called.
    const { device } = this.#context;
    return createHash("sha256")
      .update(networkKey(toProgram(network)))
      .update(
        JSON.stringify([
          backend,
          target.kind,
          target.computeCapabilities,
          settings,
          device && [deviceKind(device), device.driver],
        ]),
      )
      .digest("hex");
  }

  /** What is in the store, and null for what is not. */
  async #takeFromStore(parts: readonly Part[], library: Library | null): Promise<(Built | null)[]> {
    const store = this.#store();
    const taken: (Built | null)[] = [];
    for (const { key } of parts) {
      const known =
        store === null || library === null || this.#job.force
          ? null
          : await store.get(storeKey(key, library), this.#context.signal);
      taken.push(known === null ? null : { ...known, reused: true });
    }
    return taken;
  }

  /** Keeps what was built; gives the same with the hashes that this has computed. */
  async #keepInStore(parts: readonly Part[], built: readonly Built[], library: Library | null): Promise<Built[]> {
    const store = this.#store();
    const kept: Built[] = [];
    for (const [i, one] of built.entries()) {
      const { key } = parts[i] as Part;
      if (store === null || library === null || one.engine === null || one.reused) kept.push(one);
      else {
        const { name, version } = library;
        const { signal } = this.#context;
        const sha256 = await store.put(storeKey(key, library), one.engine, { library: { name, version } }, signal);
        kept.push({ ...one, sha256 });
      }
    }
    return kept;
  }

  #store(): EngineStore | null {
    const { store } = this.#job;
    return store === null ? null : EngineStore.open(store, (message) => this.#warn(message));
  }

  #warn(message: string): void {
    this.#context.emit({ type: "warning", message });
  }

  async #build(network: Network, library: Library | null): Promise<Built> {
    const job = this.#job;
    if (library === null) return { engine: null, sha256: undefined, reused: false };
    const { flavour } = library;
    const { buildEngine, combineTimingCaches, findLibrary } = await import("../backends/tensorrt/index.js");
    const cachePath = this.#timingCachePath(library);
    // An empty cache asks for one.
    const noTimings = Buffer.alloc(0);
    const knownTimings =
      cachePath === null ? null : job.force ? noTimings : ((await readTimingCache(cachePath)) ?? noTimings);
    const { engine, timingCache } = await buildEngine(network, {
      flavour,
      library: findLibrary(flavour),
      targets: job.target.computeCapabilities,
      options: { ...job.builder, profiles: job.builder.profiles as readonly { inputs: readonly ProgramRange[] }[] },
      timingCache: knownTimings,
      logLevel: "info",
      signal: this.#context.signal,
      onEvent: (event) => {
        if (event.type === "log") this.#context.log(event.line, event.level);
        else this.#context.emit({ type: "progress", name: event.phase, step: event.step, total: event.total });
      },
    });
    if (cachePath !== null && timingCache !== null) {
      const merge = async () => {
        const dropped = await mergeTimingCache(cachePath, async (current) =>
          // Most often nobody else has added to it meanwhile. What was measured now is kept where the two disagree.
          current === null || knownTimings?.equals(current)
            ? timingCache
            : combineTimingCaches(flavour, timingCache, current),
        );
        if (dropped !== null) this.#warn(`${cachePath} is made anew: ${dropped}`);
      };
      await bestEffort(merge, (message) => this.#warn(message));
    }
    return { engine, sha256: undefined, reused: false };
  }

  #timingCachePath(library: { name: string; version: string }): string | null {
    const { timingCache } = this.#job.builder;
    const { device } = this.#context;
    if (timingCache === null || device === null) return null;
    return timingCachePath(timingCache, library.name, library.version, deviceKind(device));
  }

  async #write(
    model: ConvertedModel | PartitionedModel,
    report: SupportReport,
    parts: readonly Part[],
    built: readonly Built[],
    key: string,
    library: JobResult["library"],
    comparison: readonly OutputComparison[] | null,
  ): Promise<ArtifactFile[]> {
    const job = this.#job;
    const final = join(job.outDir, job.id);
    const staged = await stageDirectory(final);
    const artifacts: ArtifactFile[] = [];
    const add = async (
      kind: ArtifactFile["kind"],
      path: string,
      content: string | Uint8Array,
      sha256 = createHash("sha256").update(content).digest("hex"),
    ): Promise<void> => {
      await mkdir(join(staged, path, ".."), { recursive: true });
      await writeFile(join(staged, path), content);
      artifacts.push({ kind, path, size: Buffer.byteLength(content), sha256 });
    };
    const wanted = new Set(job.emit);
    const engines = built.flatMap(({ engine }) => engine ?? []);
    // `model.engine`; with several `model.0.engine`, `model.1.engine`, ... in the order in which they run.
    const numbered = (i: number, extension: string): string =>
      parts.length === 1 ? `model.${extension}` : `model.${i}.${extension}`;
    if (wanted.has("engine")) {
      for (const [i, { engine, sha256 }] of built.entries()) {
        if (engine !== null) await add("engine", numbered(i, "engine"), engine, sha256);
      }
    }
    if (engines.length === 0 || wanted.has("onnx")) {
      const { writeOnnx } = await import("../backends/onnx/file.js");
      for (const [i, { network }] of parts.entries()) {
        for (const file of await writeOnnx(network, join(staged, numbered(i, "onnx")))) {
          artifacts.push(await describeFile("onnx", staged, file));
        }
      }
    }
    if (wanted.has("report")) {
      await add("report", "report.json", `${JSON.stringify({ ...report, comparison }, null, 2)}\n`);
      await add("report", "report.md", renderMarkdown(report, comparison ?? []));
    }
    // Engines of parts are of no use without the module that runs the rest.
    if (engines.length > 0 && (wanted.has("module") || "partition" in model)) {
      const networks = parts.map(({ network }) => network);
      const module = wrapModel(job, model, networks, engines, this.#context.device);
      await writeFile(join(staged, MODULE_FILE), module);
      artifacts.push(await describeFile("module", staged, join(staged, MODULE_FILE)));
    }
    if (wanted.has("triton")) {
      for (const file of await this.#writeTriton(join(staged, "triton"), model, parts, engines)) {
        artifacts.push(await describeFile("triton", staged, file));
      }
    }
    const manifest = {
      version: 1,
      id: job.id,
      model: job.model,
      method: job.method,
      precision: job.precision,
      target: job.target.name,
      networkKey: key,
      library,
      artifacts,
    };
    await add("manifest", "manifest.json", `${JSON.stringify(manifest, null, 2)}\n`);
    await publishDirectory(staged, final);
    return artifacts;
  }

  async #writeTriton(
    folder: string,
    model: ConvertedModel | PartitionedModel,
    parts: readonly Part[],
    engines: readonly Uint8Array[],
  ): Promise<string[]> {
    const [part] = parts as [Part];
    const [engine] = engines;
    if ("partition" in model) {
      const message = "there is no Triton repository: a part of the method stays with Torch";
      this.#context.emit({ type: "warning", message, hint: "Serve the wrapped module with Triton's PyTorch backend." });
      return [];
    }
    const { writeOnnx } = await import("../backends/onnx/file.js");
    return writeTriton(folder, {
      name: this.#job.model,
      network: part.network,
      backend: engine === undefined ? "onnxruntime" : "tensorrt",
      profiles: 1 + this.#job.builder.profiles.length,
      writeModel: async (path) => {
        if (engine === undefined) return writeOnnx(part.network, path);
        await writeFile(path, engine);
        return [path];
      },
    });
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

const MODULE_FILE = "model.ts";

/** Equal keys, equal engines, and the library is a part of that. */
function storeKey(key: string, { name, version }: Library): StoreKey {
  return `network-${createHash("sha256").update(`${key} ${name} ${version}`).digest("hex")}`;
}

/** Null where the network is the result itself. */
async function findBuilder(backend: Backend): Promise<Library | null> {
  if (backend === "onnxruntime") return null;
  const { libraryVersion } = await import("../backends/tensorrt/index.js");
  const flavour = backend === "tensorrt-rtx" ? "rtx" : await chooseFlavour();
  return {
    flavour,
    name: flavour === "rtx" ? "TensorRT-RTX" : "TensorRT",
    version: await libraryVersion(flavour),
  };
}

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
