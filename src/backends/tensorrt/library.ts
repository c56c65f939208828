import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { TrtorchError } from "../../util/errors.js";
import { cacheFolder } from "../../util/native-addon.js";
import { FLAVOUR_FACTS, type Flavour } from "./flavour.js";

/** What `setup` fetches for the `rtx` flavour, and where below the cache. */
export const RTX_PACKAGE = { name: "tensorrt-rtx-cu13-libs", version: "1.7.1.116" } as const;

export function rtxLibraryFolder(cache = cacheFolder()): string {
  return join(cache, `tensorrt-rtx-${RTX_PACKAGE.version}`);
}

/**
 * The library of a flavour: `explicit` (a file or a folder), else the first found in the SDK that TENSORRT_ROOT or
 * TRTORCH_TENSORRT_RTX_ROOT names, LD_LIBRARY_PATH, the cache that `setup` fills, and the system's folders.
 *
 * Throws `missing-library` with every place looked at.
 */
export function findLibrary(flavour: Flavour, explicit?: string): string {
  const { product, libraries } = FLAVOUR_FACTS[flavour];
  if (explicit !== undefined) {
    const path = resolve(explicit);
    const file = [path, ...libraries.map((name) => join(path, name))].find(
      (candidate) => /\.so(\.|$)/.test(candidate) && existsSync(candidate),
    );
    if (file !== undefined) return file;
    throw new TrtorchError("missing-library", `${explicit} is no ${product} library and holds none`, {
      hint: `Name ${libraries[0]}, or the folder that it is in.`,
    });
  }
  const folders = libraryFolders(flavour);
  for (const folder of folders) {
    for (const name of libraries) {
      const file = join(folder, name);
      if (existsSync(file)) return file;
    }
  }
  throw new TrtorchError("missing-library", `${product} was not found: no ${libraries[0]} in ${folders.join(", ")}`, {
    hint:
      flavour === "rtx"
        ? "Run `trtorch-build setup`, or point TRTORCH_TENSORRT_RTX_ROOT at an SDK."
        : "Point TENSORRT_ROOT at the SDK, or put the folder of the library into LD_LIBRARY_PATH.",
  });
}

/**
 * LD_LIBRARY_PATH for processes that build: the full TensorRT opens the libraries of its kernels by bare names, and the
 * loader reads the variable once, when a process starts. Undefined where no full TensorRT is found.
 */
export function loaderPath(): string | undefined {
  const folders = (["trt10", "trt11"] as const).flatMap((flavour) => {
    try {
      return [dirname(findLibrary(flavour))];
    } catch {
      return [];
    }
  });
  if (folders.length === 0) return undefined;
  return [...new Set([...folders, ...searchedFolders()])].join(":");
}

/** The folders that {@link findLibrary} looks in, in its order. */
export function libraryFolders(flavour: Flavour): string[] {
  const roots = FLAVOUR_FACTS[flavour].roots.map((name) => process.env[name]).filter((root) => root !== undefined);
  const cached = flavour === "rtx" ? [join(rtxLibraryFolder(), "tensorrt_rtx_libs")] : [];
  const machine = process.arch === "arm64" ? "aarch64-linux-gnu" : "x86_64-linux-gnu";
  return [
    ...roots.flatMap((root) => [join(root, "lib"), join(root, "lib64"), root]),
    ...searchedFolders(),
    ...cached,
    `/usr/lib/${machine}`,
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/local/tensorrt/lib",
  ];
}

function searchedFolders(): string[] {
  return (process.env.LD_LIBRARY_PATH ?? "").split(":").filter((folder) => folder !== "");
}
