import { basename, dirname, isAbsolute, join, relative, resolve, sep } from "node:path";
import type { z } from "zod";
import type { DimRange } from "../ir/input-spec.js";
import { STATE_FOLDER } from "../plan/freshness.js";
import {
  ARTIFACTS,
  type ArtifactKind,
  type Backend,
  type BuilderSettings,
  type Fallback,
  type JobInput,
  type OptimizationProfile,
  type Precision,
  type StoreSettings,
  type Target,
} from "../plan/job.js";
import { TrtorchError } from "../util/errors.js";
import type { Config, ConfigFolders, ConfigOutline, ModelConfig } from "./config.js";
import type { Diagnostic, Result } from "./diagnostic.js";
import type { ConfigDocument, Path } from "./document.js";
import { DTYPE_NAMES, PRECISION_NAMES, RTX_CAPABILITIES } from "./names.js";
import { findFiles, isFile, isGlob, isInside } from "./patterns.js";
import * as text from "./schema.js";
import { checkShape } from "./shape-check.js";

const DEFAULT_TARGETS: Readonly<Record<Backend, z.input<typeof text.targets>>> = {
  tensorrt: ["device"],
  // One engine for every kind of GPU since 2020 that TensorRT-RTX builds for: several in one cost next to nothing.
  "tensorrt-rtx": [["sm_80", "sm_86", "sm_89", "sm_120"]],
  onnxruntime: ["cpu"],
};

const DEFAULT_EMIT: Readonly<Record<Backend, readonly ArtifactKind[]>> = {
  tensorrt: ["engine", "report", "module"],
  "tensorrt-rtx": ["engine", "report"],
  onnxruntime: ["onnx", "report"],
};

export const DEFAULT_CACHE_DIR = ".trtorch-build";

const TORCHSCRIPT = [".ts", ".pt", ".pth", ".jit", ".torchscript"];

const MODEL_NAME = /^[A-Za-z0-9][A-Za-z0-9._+-]*$/;

interface SourceFile {
  readonly path: string;
  readonly name: string;
}

/** Where a config stands. */
export interface ConfigPlace {
  /** What relative paths are relative to. */
  readonly root: string;
  /** Null where the models came from the command line. */
  readonly file: string | null;
  readonly cwd: string;
  /** `--out`, relative to `cwd`, in place of the config's out_dir. */
  readonly out?: string | undefined;
}

/**
 * Turns a config as written into one with nothing left open. All mistakes are found in one go: those of shape, and, in the parts
 * whose shape is right, those of meaning.
 */
export async function resolveConfig(
  document: ConfigDocument,
  place: ConfigPlace,
): Promise<Result<Config, Diagnostic[]>> {
  const resolver = new Resolver(document, place);
  const config = await resolver.config();
  return resolver.diagnostics.length === 0 && config !== null
    ? { ok: true, value: config }
    : { ok: false, error: resolver.diagnostics };
}

/** For what needs no model: those that are missing are no mistake. */
export async function resolveOutline(
  document: ConfigDocument,
  place: ConfigPlace,
): Promise<Result<ConfigOutline, Diagnostic[]>> {
  const resolver = new Resolver(document, place);
  const outline = await resolver.outline();
  return resolver.diagnostics.length === 0 ? { ok: true, value: outline } : { ok: false, error: resolver.diagnostics };
}

/** Why a folder cannot be the output folder, whose folders are replaced and cleaned away as wholes; null where it can. */
export function whyNoOutDir(folders: ConfigFolders): string | null {
  const { root, outDir, cacheDir } = folders;
  const replaced = "and artifacts replace whole folders";
  if (isInside(root, outDir)) return `${around(outDir, folders)}, ${replaced}`;
  if (isInside(outDir, cacheDir)) return `the cache's folder, ${replaced}`;
  const state = join(outDir, STATE_FOLDER);
  return isInside(cacheDir, state) ? `a folder whose own ${STATE_FOLDER} is the cache's folder` : null;
}

function around(folder: string, { root, file }: ConfigFolders): string {
  const what = file === null ? "the folder that the command runs in" : "the folder of the config";
  return folder === root ? `${what} itself` : `a folder around ${what}`;
}

class Resolver {
  readonly diagnostics: Diagnostic[];
  readonly #document: ConfigDocument;
  readonly #root: string;
  readonly #file: string | null;
  readonly #folders: ConfigFolders;
  /** The output folder as the person wrote it: out_dir, or the option in its place. */
  readonly #outName: string;

  constructor(document: ConfigDocument, { root, file, cwd, out }: ConfigPlace) {
    this.#document = document;
    this.#root = root;
    this.#file = file;
    this.diagnostics = checkShape(text.configSchema, document);
    const read = isRecord(document.value) ? document.value : {};
    const cacheDir = this.#path(typeof read.cache_dir === "string" ? read.cache_dir : DEFAULT_CACHE_DIR);
    const written = typeof read.out_dir === "string" ? read.out_dir : "engines";
    this.#outName = out === undefined ? "out_dir" : `--out ${out}`;
    this.#folders = { file, root, cacheDir, outDir: out === undefined ? this.#path(written) : resolve(cwd, out) };
    this.#checkFolders(out);
  }

  #checkFolders(out: string | undefined): void {
    const own = "choose a folder of its own";
    const { root, cacheDir } = this.#folders;
    if (isInside(root, cacheDir)) this.#error(["cache_dir"], `cache_dir is ${around(cacheDir, this.#folders)}`, own);
    const reason = whyNoOutDir(this.#folders);
    if (reason === null) return;
    const message = `${this.#outName} is ${reason}`;
    if (out === undefined) this.#error(["out_dir"], message, own);
    else {
      const line = `trtorch-build --out ${out}`;
      const span = { offset: line.length - out.length, length: Math.max(1, out.length) };
      const source = { name: "command line", text: line };
      this.diagnostics.push({ severity: "error", message, source, span, hint: own });
    }
  }

  async outline(): Promise<ConfigOutline> {
    const read = isRecord(this.#document.value) ? this.#document.value : {};
    const defaults = isRecord(read.defaults) ? read.defaults : {};
    const patterns = texts(read.converters);
    for (const [index, item] of (Array.isArray(read.models) ? (read.models as unknown[]) : []).entries()) {
      if (!isRecord(item) || typeof item.source !== "string") continue;
      patterns.push(item.source, ...texts(item.converters));
      const golden = item.golden ?? defaults.golden;
      for (const file of await findFiles(item.source, this.#root)) {
        this.#checkSource(file, ["models", index, "source"]);
        if (typeof golden === "string") patterns.push(this.#fill(golden, file));
      }
    }
    return { ...this.#folders, patterns: [...new Set(patterns)] };
  }

  async config(): Promise<Config | null> {
    const read = this.#document.value;
    if (!isRecord(read)) return null;

    // Every model is looked at on its own, so that a mistake in one hides none in another.
    const items = Array.isArray(read.models) ? (read.models as unknown[]) : [];
    const models: ModelConfig[] = [];
    const names = new Map<string, { source: string; index: number }>();
    const sourcesOf = new Map<number, SourceFile[]>();
    for (const [index, item] of items.entries()) {
      if (isRecord(item)) sourcesOf.set(index, await this.#sources(item, ["models", index]));
    }
    // A command line has no place for names.
    if (this.#file === null) this.#nameByFolders(sourcesOf);
    for (const [index, item] of items.entries()) {
      if (!isRecord(item)) continue;
      const path = ["models", index];
      const sources = sourcesOf.get(index) as SourceFile[];
      for (const source of sources) {
        const key = source.name.toLowerCase();
        const other = names.get(key);
        if (other !== undefined) {
          const both = `${this.#relative(other.source)} and ${this.#relative(source.path)}`;
          const hint =
            other.index === index
              ? 'make names differ with name: "{parent}-{stem}"'
              : "give one of them another name: both would be written to the same folder";
          this.#error([...path, "name"], `two models are called "${source.name}": ${both}`, hint);
        }
        names.set(key, { source: source.path, index });
      }
      models.push(...(await this.#model(read, item, path, sources)));
    }
    if (this.diagnostics.length > 0) return null;

    const config = read as text.ConfigText;
    return {
      ...this.#folders,
      models,
      concurrency: config.concurrency ?? null,
      devices: config.devices ?? null,
      onFailure: config.on_failure ?? "continue",
      remotes: (config.store ?? []).map((remote): StoreSettings["remotes"][number] => {
        const { location, read, write } = typeof remote === "string" ? { location: remote } : { ...remote };
        const place = /^https?:\/\//.test(location) ? location : this.#path(location);
        return { location: place, read: read ?? true, write: write ?? true };
      }),
    };
  }

  async #model(
    top: Record<string, unknown>,
    item: Record<string, unknown>,
    path: Path,
    sources: readonly SourceFile[],
  ): Promise<ModelConfig[]> {
    const shapeIsWrong = !text.model.safeParse(item).success;
    const defaults = isRecord(top.defaults) ? top.defaults : {};
    /** The value for this model, where it is well formed, and where it stands. */
    const option = <T extends z.ZodType>(schema: T, key: string): { value: z.output<T>; path: Path } | null => {
      const places: readonly [unknown, Path][] = [
        [item[key], [...path, key]],
        [defaults[key], ["defaults", key]],
        [top[key], [key]],
      ];
      for (const [value, at] of places) {
        if (value === undefined) continue;
        const parsed = schema.safeParse(value);
        return parsed.success ? { value: parsed.data, path: at } : null;
      }
      return null;
    };
    const shape = text.model.shape;

    const backendOption = option(text.backend, "backend");
    // Where the backend itself is wrong, nothing can be said of what depends on it.
    if (backendOption === null && (item.backend ?? top.backend) !== undefined) return [];
    const backend = backendOption?.value ?? "tensorrt-rtx";
    const targets = this.#targets(backend, option(text.targets, "targets"), path);
    const precisions = this.#precisions(option(text.precisions, "precisions"));
    const converterOption = option(text.converters, "converters");
    const converters =
      converterOption === null ? [] : await this.#converters(converterOption.value, converterOption.path);

    const [writtenInputs, inputsPath] =
      item.inputs === undefined ? [defaults.inputs, ["defaults", "inputs"]] : [item.inputs, [...path, "inputs"]];
    const inputs = Array.isArray(writtenInputs) ? this.#inputs(writtenInputs, inputsPath) : null;
    if (writtenInputs === undefined) await this.#missingInputs(sources, path);

    const emit = option(shape.emit.unwrap(), "emit");
    if (emit !== null) this.#checkEmit(backend, emit.value, emit.path);
    const builderOption = option(shape.builder.unwrap(), "builder");
    const builder = this.#builder(builderOption?.value ?? {}, builderOption?.path ?? path, backend, inputs);
    const golden = option(shape.golden.unwrap(), "golden");
    const goldenFiles = new Map<string, string>();
    for (const source of golden === null ? [] : sources) {
      const file = this.#path(this.#fill(golden?.value as string, source.path));
      if (await isFile(file)) goldenFiles.set(source.path, file);
      else
        this.#error(
          golden?.path as Path,
          `there is no file ${this.#relative(file)}`,
          "golden is a .npz with in0… and out0…",
        );
    }
    if (shapeIsWrong || this.diagnostics.length > 0) return [];

    const fallback = option(shape.fallback.unwrap(), "fallback")?.value;
    const requires = option(shape.requires.unwrap(), "requires")?.value;
    const fp32Ops = option(shape.fp32_ops.unwrap(), "fp32_ops")?.value ?? [];
    const timeout = option(shape.timeout.unwrap(), "timeout")?.value;
    const tolerance = option(shape.tolerance.unwrap(), "tolerance")?.value;
    const shared = {
      method: option(shape.method.unwrap(), "method")?.value ?? "forward",
      inputs,
      mutatedBuffers: option(shape.mutated_buffers.unwrap(), "mutated_buffers")?.value ?? ("refuse" as const),
      backend,
      targets,
      precisions,
      converters,
      fallback: toFallback(fallback),
      tolerance:
        tolerance === undefined
          ? null
          : {
              ...(tolerance.rtol !== undefined && { rtol: tolerance.rtol }),
              ...(tolerance.atol !== undefined && { atol: tolerance.atol }),
            },
      torchTensorrt: option(shape.torch_tensorrt.unwrap(), "torch_tensorrt")?.value ?? null,
      emit: ARTIFACTS.filter((kind) => (emit?.value ?? DEFAULT_EMIT[backend]).includes(kind)),
      builder: { ...builder, fp32Ops },
      requires: { minMemory: requires?.min_memory === undefined ? null : toBytes(requires.min_memory) },
      timeout: timeout === undefined ? null : toMilliseconds(timeout),
      retries: option(shape.retries.unwrap(), "retries")?.value ?? 0,
    };
    return sources.map(({ name, path }) => ({ ...shared, name, source: path, golden: goldenFiles.get(path) ?? null }));
  }

  /** The first file that needs inputs, or holds no program: inputs would not help that one. */
  async #missingInputs(sources: readonly SourceFile[], path: Path): Promise<void> {
    const unsure = sources.filter((source) => !source.path.endsWith(".pt2"));
    if (unsure.length === 0) return;
    const { Archive } = await import("../torchscript/archive.js");
    for (const source of unsure) {
      const name = this.#relative(source.path);
      try {
        // A torch.export program under another name says what its inputs are, too.
        if (Archive.open(source.path).kind === "exported") continue;
      } catch (error) {
        if (!(error instanceof TrtorchError)) throw error;
        this.#error([...path, "source"], `${name}: ${error.message}`, error.hint ?? "save the model again");
        return;
      }
      const hint = this.#file === null ? "add --input 1x3x224x224" : "add inputs: [[1, 3, 224, 224]]";
      this.#error(
        path,
        `the inputs of ${name} are missing: a TorchScript file does not hold their shapes`,
        `${hint}, or a range with min, opt and max`,
      );
      return;
    }
  }

  /** Files of one name in several folders take the folder's name to their own. */
  #nameByFolders(sourcesOf: Map<number, SourceFile[]>): void {
    const count = new Map<string, number>();
    const keyOf = ({ name }: SourceFile): string => name.toLowerCase();
    for (const source of [...sourcesOf.values()].flat()) count.set(keyOf(source), (count.get(keyOf(source)) ?? 0) + 1);
    for (const [index, sources] of sourcesOf) {
      const named = sources.map((source) => {
        const name = this.#fill("{parent}-{stem}", source.path);
        return (count.get(keyOf(source)) ?? 0) > 1 && MODEL_NAME.test(name) ? { ...source, name } : source;
      });
      sourcesOf.set(index, named);
    }
  }

  async #sources(item: Record<string, unknown>, path: Path): Promise<SourceFile[]> {
    if (typeof item.source !== "string") return [];
    const at = [...path, "source"];
    const files = await this.#expand(item.source, at, "a .ts or .pt2 file");
    const pattern = typeof item.name === "string" ? item.name : "{stem}";
    const sources: SourceFile[] = [];
    for (const file of files) {
      if (![...TORCHSCRIPT, ".pt2"].some((extension) => file.endsWith(extension))) {
        const known = [...TORCHSCRIPT, ".pt2"].join(", ");
        this.#error(
          at,
          `${this.#relative(file)} is no model file by its name`,
          `TorchScript and torch.export: ${known}`,
        );
        continue;
      }
      this.#checkSource(file, at);
      const name = this.#fill(pattern, file);
      if (!MODEL_NAME.test(name)) {
        const where = typeof item.name === "string" ? [...path, "name"] : at;
        this.#error(
          where,
          `"${name}" cannot name a model`,
          "letters, digits, . _ + and -, starting with a letter or digit",
        );
        continue;
      }
      sources.push({ path: file, name });
    }
    return sources;
  }

  /** What is built anew, or cleaned away, must not be what it is built of. */
  #checkSource(file: string, at: Path): void {
    const { outDir, cacheDir } = this.#folders;
    const [folder, what] = isInside(file, outDir)
      ? [this.#outName, "whose folders are replaced"]
      : isInside(file, cacheDir)
        ? ["cache_dir", "which may be emptied at any time"]
        : [null];
    if (folder === null) return;
    this.#error(at, `${this.#relative(file)} lies in ${folder}, ${what}`, "keep models elsewhere");
  }

  /** The files that a path or glob stands for; none is an error. */
  async #expand(pattern: string, at: Path, what: string): Promise<string[]> {
    const found = await findFiles(pattern, this.#root);
    if (found.length > 0) return found;
    if (isGlob(pattern)) this.#error(at, `no file matches ${pattern}`, `it should match ${what}`);
    else {
      this.#error(
        at,
        `there is no file ${this.#relative(this.#path(pattern))}`,
        `paths are relative to ${this.#relative(this.#root) || "."}`,
      );
    }
    return [];
  }

  async #converters(patterns: readonly string[], path: Path): Promise<string[]> {
    const files: string[] = [];
    for (const [index, pattern] of patterns.entries()) {
      files.push(...(await this.#expand(pattern, [...path, index], "TypeScript or JavaScript files")));
    }
    return [...new Set(files)];
  }

  #precisions(option: { value: z.output<typeof text.precisions>; path: Path } | null): Precision[] {
    if (option === null) return ["fp32"];
    const precisions: Precision[] = [];
    for (const [index, name] of option.value.entries()) {
      const precision = PRECISION_NAMES[name];
      if (precisions.includes(precision)) {
        this.#error([...option.path, index], `${precision} is listed twice`, "each precision once");
      }
      precisions.push(precision);
    }
    return precisions;
  }

  #targets(
    backend: Backend,
    option: { value: z.output<typeof text.targets>; path: Path } | null,
    model: Path,
  ): Target[] {
    const names = option?.value ?? DEFAULT_TARGETS[backend];
    const path = option?.path ?? model;
    const seen = new Set<string>();
    return names.map((entry, index): Target => {
      const group = typeof entry === "string" ? [entry] : entry;
      const at = [...path, index];
      const capabilities = group.map((name) => Number(/^sm_?(\d+)$/.exec(name)?.[1] ?? Number.NaN));
      const special = group.find((name) => name === "device" || name === "cpu");
      const kind = special === "device" || special === "cpu" ? special : "sm";
      const name = kind === "sm" ? capabilities.map((capability) => `sm_${capability}`).join("+") : kind;
      if (seen.has(name)) this.#error(at, `the target ${name} is listed twice`, "each target once");
      seen.add(name);
      if (special !== undefined && group.length > 1) {
        this.#error(at, `${special} cannot share an engine with other targets`, "list it on its own");
      } else if (backend === "onnxruntime" && kind !== "cpu") {
        this.#error(at, `onnxruntime runs on the CPU, not on ${name}`, "targets: [cpu]");
      } else if (backend !== "onnxruntime" && kind === "cpu") {
        this.#error(at, `${backend} builds no engines for the CPU`, "the backend for the target cpu is onnxruntime");
      } else if (backend === "tensorrt" && capabilities.length > 1) {
        const hint = "list them one by one, or build with backend: tensorrt-rtx";
        this.#error(at, "a TensorRT engine is for one kind of GPU", hint);
      } else if (backend === "tensorrt-rtx" && kind === "sm") {
        const known: readonly number[] = RTX_CAPABILITIES;
        const unknown = capabilities.find((capability) => !known.includes(capability));
        if (unknown !== undefined) {
          const hint = `it knows ${known.map((capability) => `sm_${capability}`).join(", ")} and device`;
          this.#error(at, `TensorRT-RTX cannot build for sm_${unknown}`, hint);
        }
      }
      return { kind, name, computeCapabilities: kind === "sm" ? capabilities : [] };
    });
  }

  /** Every input is checked on its own, so that the mistakes of all are found. */
  #inputs(written: readonly unknown[], path: Path): JobInput[] {
    const names = new Map<string, number>();
    const symbols = new Map<string, DimRange>();
    const inputs: JobInput[] = [];
    for (const [index, item] of written.entries()) {
      const parsed = text.input.safeParse(item);
      if (!parsed.success) continue;
      const input = parsed.data;
      const at = [...path, index];
      const named: Exclude<typeof input, readonly unknown[]> = Array.isArray(input) ? { shape: input } : input;
      if (named.name !== undefined) {
        if (names.has(named.name))
          this.#error([...at, "name"], `two inputs are called "${named.name}"`, "each name once");
        names.set(named.name, index);
      }
      const dims = this.#dims(named, Array.isArray(input) ? at : [...at, "shape"], at);
      for (const dim of dims) {
        if (typeof dim === "number" || dim.symbol === undefined) continue;
        const other = symbols.get(dim.symbol);
        if (other !== undefined && (other.min !== dim.min || other.opt !== dim.opt || other.max !== dim.max)) {
          this.#error(at, `the symbol "${dim.symbol}" has two different ranges`, "dims of one symbol are always equal");
        }
        symbols.set(dim.symbol, dim);
      }
      inputs.push({
        name: named.name ?? null,
        dtype: named.dtype === undefined ? null : DTYPE_NAMES[named.dtype],
        dims,
      });
    }
    return inputs;
  }

  #dims(
    input: Exclude<z.output<typeof text.input>, readonly unknown[]>,
    shapePath: Path,
    at: Path,
  ): (number | DimRange)[] {
    const { shape, min, opt, max } = input;
    if (shape !== undefined) {
      const both = (["min", "opt", "max"] as const).find((key) => input[key] !== undefined);
      if (both !== undefined) {
        this.#error(
          [...at, both],
          `an input has a shape or a range, not both`,
          "remove shape, or min, opt and max",
          "key",
        );
      }
      return shape.map((dim, index): number | DimRange => {
        if (typeof dim === "number") return dim;
        this.#checkRange(dim.min, dim.opt, dim.max, index, [...shapePath, index], [...shapePath, index]);
        const { symbol, ...range } = dim;
        return symbol === undefined ? range : { ...range, symbol };
      });
    }
    if (min === undefined || opt === undefined || max === undefined) {
      const missing = (["min", "opt", "max"] as const).filter((key) => input[key] === undefined);
      if (missing.length === 3)
        this.#error(at, "an input needs a shape", "shape: [1, 3, 224, 224], or min, opt and max");
      else
        this.#error(
          at,
          `a range needs min, opt and max; ${missing.join(" and ")} is missing`,
          "opt is the shape to optimize for",
        );
      return [];
    }
    for (const [key, other] of [
      ["opt", opt],
      ["max", max],
    ] as const) {
      if (other.length !== min.length) {
        this.#error([...at, key], `${key} has ${other.length} dims, min has ${min.length}`, "a range keeps its rank");
        return [];
      }
    }
    return min.map((low, index): number | DimRange => {
      const [mid, high] = [opt[index] as number, max[index] as number];
      this.#checkRange(low, mid, high, index, [...at, "min", index], [...at, "opt", index]);
      return low === high ? low : { min: low, opt: mid, max: high };
    });
  }

  #checkRange(min: number, opt: number, max: number, dim: number, minPath: Path, optPath: Path): void {
    if (min > max) this.#error(minPath, `min ${min} is more than max ${max} in dim ${dim}`, "min <= opt <= max");
    else if (opt < min) this.#error(optPath, `opt ${opt} is less than min ${min} in dim ${dim}`, "min <= opt <= max");
    else if (opt > max) this.#error(optPath, `opt ${opt} is more than max ${max} in dim ${dim}`, "min <= opt <= max");
  }

  #checkEmit(backend: Backend, emit: readonly ArtifactKind[], path: Path): void {
    for (const [index, kind] of emit.entries()) {
      const at = [...path, index];
      if (emit.indexOf(kind) !== index) this.#error(at, `${kind} is listed twice`, "each artifact once");
      else if (backend === "onnxruntime" && (kind === "engine" || kind === "module")) {
        this.#error(at, `onnxruntime makes no ${kind}`, "it emits onnx, report and triton");
      } else if (backend === "tensorrt-rtx" && kind === "triton") {
        this.#error(at, "Triton loads no engine of tensorrt-rtx", "set backend: tensorrt, or onnxruntime");
      }
    }
  }

  #builder(
    settings: z.output<NonNullable<(typeof text.model.shape)["builder"]>>,
    path: Path,
    backend: Backend,
    inputs: readonly JobInput[] | null,
  ): Omit<BuilderSettings, "fp32Ops"> {
    const { dla } = settings ?? {};
    const only = (key: string, set: boolean) => {
      if (set && backend !== "tensorrt")
        this.#error(
          [...path, key],
          `${key} is an option of the backend tensorrt`,
          `remove it, or set backend: tensorrt`,
          "key",
        );
    };
    only("avg_timing_iterations", settings?.avg_timing_iterations !== undefined);
    only("dla", dla !== undefined);
    only("version_compatible", settings?.version_compatible === true);
    if (settings?.exclude_lean_runtime === true && settings.version_compatible !== true)
      this.#error(
        [...path, "exclude_lean_runtime"],
        "exclude_lean_runtime is of a version-compatible engine",
        "remove it, or set version_compatible: true",
        "key",
      );
    const level = settings?.hardware_compatible ?? "none";
    only("hardware_compatible", level !== "none");
    return {
      workspace: settings?.workspace === undefined ? null : toBytes(settings.workspace),
      optimizationLevel: settings?.optimization_level ?? null,
      avgTimingIterations: settings?.avg_timing_iterations ?? null,
      maxAuxStreams: settings?.max_aux_streams ?? null,
      profilingVerbosity: settings?.profiling_verbosity ?? "layer_names_only",
      timingCache: (settings?.timing_cache ?? true) ? join(this.#folders.cacheDir, "timing") : null,
      tf32: settings?.tf32 ?? true,
      sparsity: settings?.sparsity ?? false,
      refit: settings?.refit ?? false,
      stripPlan: settings?.strip_plan ?? false,
      versionCompatible: settings?.version_compatible ?? false,
      excludeLeanRuntime: settings?.exclude_lean_runtime ?? false,
      hardwareCompatible: level,
      dla: dla === undefined ? null : { core: dla.core, gpuFallback: dla.gpu_fallback ?? true },
      profiles: this.#profiles(settings?.profiles ?? [], [...path, "profiles"], inputs),
    };
  }

  #profiles(
    profiles: readonly Record<string, { min: number[]; opt: number[]; max: number[] }>[],
    path: Path,
    inputs: readonly JobInput[] | null,
  ): OptimizationProfile[] {
    return profiles.map((profile, index) => {
      const known = (inputs ?? []).map((input, position) => input.name ?? String(position));
      for (const [name, range] of Object.entries(profile)) {
        const at = [...path, index, name];
        const input = inputs?.[known.indexOf(name)];
        if (input === undefined) {
          this.#error(at, `a profile names "${name}", which is no input`, `the inputs are ${known.join(", ")}`, "key");
        } else if ([range.min, range.opt, range.max].some((dims) => dims.length !== input.dims.length)) {
          this.#error(
            at,
            `the input ${name} has ${input.dims.length} dims`,
            "min, opt and max of a profile have as many",
          );
        } else {
          for (const [dim, min] of range.min.entries()) {
            this.#checkRange(
              min,
              range.opt[dim] as number,
              range.max[dim] as number,
              dim,
              [...at, "min", dim],
              [...at, "opt", dim],
            );
          }
        }
      }
      return {
        inputs: (inputs ?? []).map((input, position) => {
          const own = profile[known[position] as string];
          if (own !== undefined) return own;
          const bound = (key: "min" | "opt" | "max") =>
            input.dims.map((dim) => (typeof dim === "number" ? dim : dim[key]));
          return { min: bound("min"), opt: bound("opt"), max: bound("max") };
        }),
      };
    });
  }

  /** `{stem}`: the file's name without extension; `{parent}`: its folder's name; `{dir}`: its folder, from the root. */
  #fill(pattern: string, source: string): string {
    const stem = basename(source).replace(/\.[^.]+$/, "");
    const dir = this.#relative(dirname(source)) || ".";
    return pattern
      .replaceAll("{stem}", () => stem)
      .replaceAll("{parent}", () => basename(dirname(source)))
      .replaceAll("{dir}", () => dir);
  }

  #path(path: string): string {
    return isAbsolute(path) ? resolve(path) : resolve(this.#root, path);
  }

  #relative(path: string): string {
    return relative(this.#root, path).split(sep).join("/");
  }

  #error(path: Path, message: string, hint: string, part: "key" | "value" = "value"): void {
    const span = this.#document.locate(path, part);
    // An option that models share is checked with each of them, and reported once.
    const known = this.diagnostics.some((other) => other.span.offset === span.offset && other.message === message);
    if (known) return;
    this.diagnostics.push({ severity: "error", message, source: this.#document.source, span, hint });
  }
}

function toFallback(written: z.output<typeof text.model>["fallback"]): Fallback | false {
  if (written === false) return false;
  return {
    minBlockSize: written?.min_block_size ?? 3,
    torchExecutedOps: written?.torch_executed_ops ?? [],
    torchExecutedModules: written?.torch_executed_modules ?? [],
  };
}

const UNITS: Readonly<Record<string, number>> = { K: 1, M: 2, G: 3, T: 4 };

/** Bytes of `4GiB`, `512M` (as MiB) or `4GB` (decimal); null where it is no size. */
export function parseBytes(size: string): number | null {
  const match = /^(\d+(\.\d+)?)\s*([KMGT]?)(i?B?)$/i.exec(size);
  if (match === null) return null;
  const [, number, , unit, suffix] = match;
  const base = suffix?.toUpperCase() === "B" ? 1000 : 1024;
  return Math.round(Number(number) * base ** (UNITS[(unit ?? "").toUpperCase()] ?? 0));
}

/** For a size that the schema has accepted. */
function toBytes(size: number | string): number {
  return typeof size === "number" ? size : (parseBytes(size) as number);
}

function toMilliseconds(duration: number | string): number {
  if (typeof duration === "number") return duration * 1000;
  const [, number, , unit] = /^(\d+(\.\d+)?)\s*(s|m|h)$/.exec(duration) as RegExpExecArray;
  return Number(number) * { s: 1_000, m: 60_000, h: 3_600_000 }[unit as "s" | "m" | "h"];
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
