import { readFile, realpath } from "node:fs/promises";
import { createRequire } from "node:module";
import type { Backend } from "../plan/job.js";
import type { LibraryIdentity, Machine } from "../plan/plan.js";
import type { StatCache } from "../plan/stat-cache.js";
import { TrtorchError } from "../util/errors.js";
import { toolVersion } from "./version.js";

/** This machine: its GPUs and its libraries, found without loading them. */
export function thisMachine(): Machine {
  return { toolVersion: toolVersion(), discoverDevices, library: identifyLibrary };
}

async function discoverDevices() {
  const addon = await import("../backends/tensorrt/addon.js");
  return addon.discoverDevices();
}

async function identifyLibrary(backend: Backend, files: StatCache): Promise<LibraryIdentity | null> {
  switch (backend) {
    case "onnxruntime":
      return onnxruntime();
    case "tensorrt-rtx":
      return tensorrt(["rtx"], files);
    case "tensorrt":
      return tensorrt(["trt10", "trt11"], files);
  }
}

async function onnxruntime(): Promise<LibraryIdentity | null> {
  try {
    const file = createRequire(import.meta.url).resolve("onnxruntime-node/package.json");
    const { version } = JSON.parse(await readFile(file, "utf8")) as { version: string };
    return { name: "onnxruntime", version };
  } catch {
    return null;
  }
}

async function tensorrt(
  flavours: readonly ("rtx" | "trt10" | "trt11")[],
  files: StatCache,
): Promise<LibraryIdentity | null> {
  const { findLibrary } = await import("../backends/tensorrt/library.js");
  const { FLAVOUR_FACTS } = await import("../backends/tensorrt/flavour.js");
  for (const flavour of flavours) {
    try {
      const path = await realpath(findLibrary(flavour));
      // The path often holds the whole version; the library itself would have to be loaded to be asked.
      const version = /\.so\.(\d+\.\d+\.\d+(\.\d+)?)$/.exec(path)?.[1] ?? /-(\d+\.\d+\.\d+\.\d+)\//.exec(path)?.[1];
      const { product } = FLAVOUR_FACTS[flavour];
      return { name: product, version: version ?? `sha256:${(await files.identify(path)).sha256.slice(0, 16)}` };
    } catch (error) {
      if (!(error instanceof TrtorchError)) throw error;
    }
  }
  return null;
}
