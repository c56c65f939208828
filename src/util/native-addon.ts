import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { homedir } from "node:os";
import { dirname, join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { TrtorchError } from "./errors.js";

/** The folder of this package, from `src/` and from `dist/src/`. */
export const packageRoot = findPackageRoot();

/** Where `setup` keeps what it fetches: `TRTORCH_CACHE`, else `~/.cache/trtorch-build`. */
export function cacheFolder(): string {
  return process.env.TRTORCH_CACHE || join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "trtorch-build");
}

/** Build folders of the native addon, best first: the package's own, and the one in the cache. */
export function addonBuildFolders(): [own: string, cached: string] {
  const { version } = JSON.parse(readFileSync(join(packageRoot, "package.json"), "utf8")) as { version: string };
  return [join(packageRoot, "native", "build"), join(cacheFolder(), `native-${version}`)];
}

/** Whether this package is one that npm installed: what is written into it is gone after the next `npm ci`. */
export const isInstalled = packageRoot.split(sep).includes("node_modules");

/** The compiled file of an addon, `trtorch_core` for example, or undefined where it is not built. */
export function findAddon(name: string): string | undefined {
  return addonBuildFolders()
    .map((folder) => join(folder, "Release", `${name}.node`))
    .find(existsSync);
}

/** Loads an addon; undefined where it is not built. Throws where it is there and does not load. */
export function loadAddon<T>(name: string): T | undefined {
  const file = findAddon(name);
  if (file === undefined) return undefined;
  try {
    return createRequire(import.meta.url)(file) as T;
  } catch (cause) {
    const { message } = cause as Error;
    throw new TrtorchError("missing-library", `the native addon ${file} does not load: ${message}`, {
      hint: /GLIBC|GLIBCXX/.test(message)
        ? "It was compiled on a machine with a newer C library. Run `trtorch-build setup` on this one."
        : "Run `trtorch-build setup` to compile it for this machine.",
      cause,
    });
  }
}

function findPackageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, "native", "CMakeLists.txt"))) {
    const parent = dirname(folder);
    if (parent === folder) throw new TrtorchError("internal", "the package's native/ folder is missing");
    folder = parent;
  }
  return folder;
}
