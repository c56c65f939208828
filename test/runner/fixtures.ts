import type { Device } from "../../src/plan/device.js";
import { deviceKind } from "../../src/plan/device.js";
import type { Job, JobResult } from "../../src/plan/job.js";
import type { Placement, PlannedJob } from "../../src/plan/plan.js";

/** Imaginary GPUs. */
export function device(index: number, name: string, major: number, minor: number, gib = 24): Device {
  const bytes = gib * 2 ** 30;
  return { uuid: `GPU-${index}`, name, major, minor, totalMemory: bytes, freeMemory: bytes, driver: "580.1" };
}

export function onGpu(kind: Device): Placement {
  return { slot: "gpu", kind: deviceKind(kind) };
}

export const RESULT: JobResult = {
  artifacts: [],
  networkKey: "0".repeat(64),
  engineReused: false,
  summary: { operators: 10, layers: 9, parameters: 1000, unsupported: [] },
  comparison: null,
  latencyMs: null,
  durations: { load: 1, build: 2 },
  library: { name: "fake", version: "1" },
};

export function job(id: string, changes: Partial<Job> = {}): Job {
  return {
    id,
    model: id.split("/")[0] as string,
    source: "/nowhere/model.ts",
    method: "forward",
    inputs: null,
    mutatedBuffers: "refuse",
    precision: "fp32",
    backend: "tensorrt",
    target: { kind: "device", name: "device", computeCapabilities: [] },
    converters: [],
    fallback: false,
    golden: null,
    tolerance: { rtol: 1, atol: 0 },
    torchTensorrt: null,
    emit: ["engine"],
    outDir: "/nowhere/engines",
    builder: {
      workspace: null,
      optimizationLevel: null,
      avgTimingIterations: null,
      maxAuxStreams: null,
      profilingVerbosity: "layer_names_only",
      timingCache: null,
      tf32: true,
      sparsity: false,
      refit: false,
      stripPlan: false,
      versionCompatible: false,
      excludeLeanRuntime: false,
      hardwareCompatible: "none",
      dla: null,
      profiles: [],
      fp32Ops: [],
    },
    requires: { minMemory: null },
    dumpIr: null,
    force: false,
    store: null,
    key: "f".repeat(64),
    ...changes,
  };
}

export function planned(id: string, changes: Partial<PlannedJob> = {}, jobChanges: Partial<Job> = {}): PlannedJob {
  return {
    job: job(id, jobChanges),
    parts: {},
    freshness: { fresh: false, reasons: ["not built yet"] },
    placement: { slot: "cpu" },
    files: [],
    cost: 1,
    timeout: null,
    retries: 0,
    ...changes,
  };
}
