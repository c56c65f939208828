import { join } from "node:path";
import type { Config, ModelConfig } from "../config/config.js";
import { mapBounded } from "../util/bounded.js";
import { withImports } from "./converter-files.js";
import { computeCapability, type Device, type DeviceDiscovery, deviceKind } from "./device.js";
import { checkFreshness, type Freshness, type KeyParts, keyOf } from "./freshness.js";
import { type Backend, DEFAULT_TOLERANCE, type Job, type Precision, type Target, type Tolerance } from "./job.js";
import { StatCache } from "./stat-cache.js";

/** What a plan has to know of the machine. */
export interface Machine {
  readonly toolVersion: string;
  readonly discoverDevices: DeviceDiscovery;
  /** The library that a backend would use, null where it has none yet. */
  library(backend: Backend, files: StatCache): Promise<LibraryIdentity | null>;
}

export interface LibraryIdentity {
  readonly name: string;
  readonly version: string;
}

/** Where a job may run. */
export type Placement =
  | { readonly slot: "cpu" }
  /** On any GPU of this kind, see {@link deviceKind}. */
  | { readonly slot: "gpu"; readonly kind: string }
  /** Nowhere on this machine, and why. */
  | { readonly slot: "none"; readonly reason: string };

export interface PlannedJob {
  readonly job: Job;
  readonly parts: KeyParts;
  readonly freshness: Freshness;
  readonly placement: Placement;
  /** Files whose change makes the job stale. */
  readonly files: readonly string[];
  /** Milliseconds, recorded or guessed from the file's size: for order and balance only. */
  readonly cost: number;
  /** Milliseconds; null: none. */
  readonly timeout: number | null;
  readonly retries: number;
}

export interface Plan {
  readonly jobs: readonly PlannedJob[];
  readonly devices: readonly Device[];
}

export interface PlanOptions {
  /** Milliseconds that jobs took before, by id. */
  readonly durations?: ReadonlyMap<string, number>;
  readonly files?: StatCache;
}

/** Enough to keep a disk busy, and few enough for any limit on open files. */
const MODELS_AT_ONCE = 16;

/**
 * The jobs of a config, model × precision × target, in the config's order, each fresh or stale with reasons.
 * Where a target means GPUs of this machine, there is a job for each kind of them.
 */
export async function createPlan(config: Config, machine: Machine, options: PlanOptions = {}): Promise<Plan> {
  const files = options.files ?? StatCache.inMemory();
  const needsDevices = config.models.some((model) =>
    model.targets.some((target) => needsDevice(model.backend, target)),
  );
  const devices = needsDevices ? chooseDevices(await machine.discoverDevices(), config.devices) : [];
  const backends = [...new Set(config.models.map((model) => model.backend))];
  const libraries = new Map(
    await Promise.all(backends.map(async (name) => [name, await machine.library(name, files)] as const)),
  );

  const planModel = async (model: ModelConfig): Promise<PlannedJob[]> => {
    const converters = [...new Set((await Promise.all(model.converters.map((file) => withImports(file)))).flat())];
    const inputs = [model.source, ...(model.golden === null ? [] : [model.golden]), ...converters];
    const { size, sha256 } = await files.identify(model.source);
    const library = libraries.get(model.backend) ?? null;
    const hashes: string[] = [];
    for (const file of converters) hashes.push((await files.identify(file)).sha256);
    const shared: Record<string, string> = {
      "trtorch-build": machine.toolVersion,
      "model file": sha256,
      library: library === null ? "none" : `${library.name} ${library.version}`,
      ...(model.golden !== null && { golden: (await files.identify(model.golden)).sha256 }),
      ...(converters.length > 0 && { converters: hashes.join(" ") }),
      ...optionParts(model),
    };
    const jobs: PlannedJob[] = [];
    for (const precision of model.precisions) {
      for (const one of model.targets) {
        for (const { target, placement, device } of place(model.backend, one, devices)) {
          const tolerance = { ...DEFAULT_TOLERANCE[precision], ...model.tolerance };
          const parts: KeyParts = {
            ...shared,
            precision,
            target: target.name,
            ...(model.golden !== null && { tolerance: JSON.stringify(tolerance) }),
            // Timings and kernels belong to the kind of GPU and its driver.
            ...(device !== null && { device: deviceKind(device), driver: device.driver }),
          };
          const job = makeJob(config, model, precision, target, tolerance, keyOf(parts));
          jobs.push({
            job,
            parts,
            freshness: await checkFreshness(job, parts, files),
            placement,
            files: inputs,
            // 50 MB/s and a quarter of a second: only the order of jobs depends on it.
            cost: options.durations?.get(job.id) ?? 250 + size / 50_000,
            timeout: model.timeout,
            retries: model.retries,
          });
        }
      }
    }
    return jobs;
  };
  const perModel = await mapBounded(config.models, MODELS_AT_ONCE, planModel);
  return { jobs: perModel.flat(), devices };
}

function needsDevice(backend: Backend, target: Target): boolean {
  return target.kind === "device" || (backend === "tensorrt" && target.kind === "sm");
}

/** The devices that `devices:` or `--devices` name, by UUID, a beginning of it, or index. */
export function chooseDevices(found: readonly Device[], wanted: readonly string[] | null): readonly Device[] {
  if (wanted === null) return found;
  return found.filter((device, index) =>
    wanted.some((name) => name === String(index) || (name.startsWith("GPU-") && device.uuid.startsWith(name))),
  );
}

function place(
  backend: Backend,
  target: Target,
  devices: readonly Device[],
): { target: Target; placement: Placement; device: Device | null }[] {
  if (!needsDevice(backend, target)) return [{ target, placement: { slot: "cpu" }, device: null }];
  const [wanted] = target.computeCapabilities;
  const matching = devices.filter((device) => wanted === undefined || computeCapability(device) === wanted);
  const kinds = new Map(matching.map((device) => [deviceKind(device), device]));
  if (kinds.size === 0) {
    const have = [...new Set(devices.map(deviceKind))].join(", ") || "none";
    const need = wanted === undefined ? "a GPU" : `a GPU with SM ${Math.floor(wanted / 10)}.${wanted % 10}`;
    const reason = `this job needs ${need} on this machine; GPUs here: ${have}`;
    return [{ target, placement: { slot: "none", reason }, device: null }];
  }
  return [...kinds].map(([kind, device]) => ({
    // One kind is the usual case, and its folder should not depend on what the GPU is called.
    target: kinds.size === 1 ? target : { ...target, name: `${target.name}-${slug(device.name)}` },
    placement: { slot: "gpu", kind },
    device,
  }));
}

function slug(name: string): string {
  return name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-|-$/g, "");
}

/** Options as parts of the key: what is not named here does not change the result. */
function optionParts(model: ModelConfig): KeyParts {
  const { timingCache: _, workspace, ...builder } = model.builder;
  return {
    // Reports, manifests and Triton repositories say what they are of. Engines do not: their key is the network's.
    model: model.name,
    backend: model.backend,
    method: model.method,
    inputs: JSON.stringify(model.inputs),
    ...(model.mutatedBuffers !== "refuse" && { mutated_buffers: model.mutatedBuffers }),
    fallback: JSON.stringify(model.fallback),
    torch_tensorrt: model.torchTensorrt ?? "newest",
    emit: model.emit.join(" "),
    ...(workspace !== null && { workspace: String(workspace) }),
    builder: JSON.stringify(builder),
  };
}

function makeJob(
  config: Config,
  model: ModelConfig,
  precision: Precision,
  target: Target,
  tolerance: Tolerance,
  key: string,
): Job {
  return {
    id: `${model.name}/${precision}-${target.name}`,
    model: model.name,
    source: model.source,
    method: model.method,
    inputs: model.inputs,
    mutatedBuffers: model.mutatedBuffers,
    precision,
    backend: model.backend,
    target,
    converters: model.converters,
    fallback: model.fallback,
    golden: model.golden,
    tolerance,
    torchTensorrt: model.torchTensorrt,
    emit: model.emit,
    outDir: config.outDir,
    builder: model.builder,
    requires: model.requires,
    dumpIr: null,
    force: false,
    store: { directory: join(config.cacheDir, "store"), remotes: config.remotes },
    key,
  };
}
