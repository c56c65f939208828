import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { cp, mkdir, readdir, readFile, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { execa } from "execa";
import { TrtorchError } from "../../util/errors.js";
import { cacheFolder } from "../../util/native-addon.js";
import { FLAVOUR_FACTS, type Flavour } from "./flavour.js";

interface HeaderPackage {
  readonly crate: string;
  readonly version: string;
  /** Below the crate's `TensorRT-Headers/`, which itself holds a `cuda_runtime_api.h` that suffices. */
  readonly folder: string;
  /** Of {@link digestOf} all files of the folder. */
  readonly sha256: string;
}

/** The crate whose packages hold NVIDIA's Apache-2.0 headers, fetched by name through cargo. */
const HEADER_PACKAGES: Readonly<Record<Flavour, HeaderPackage>> = {
  rtx: {
    crate: "trtx-sys",
    version: "0.9.1+rtx1.7",
    folder: "TRT-RTX-1.7",
    sha256: "e9b7992d1c21815a220eaed59b9bb85fb545be03ea209a7c1455465eab6a5388",
  },
  trt10: {
    crate: "trtx-sys",
    version: "0.5.0",
    folder: "TRT-Enterprise-10.16",
    sha256: "699ebf8fdae1f6fec46e69b18748b74b995e3ef9af0987c77989336778b3a1e8",
  },
  trt11: {
    crate: "trtx-sys",
    version: "0.9.1+rtx1.7",
    folder: "TRT-Enterprise-11.4",
    sha256: "da84d71bff7f55647cf6b63d86269955a8849d844e2b4633d89bf184db34ff5c",
  },
};

/**
 * The first minor release of TensorRT 10 whose headers have every method that the addon calls. Older libraries are
 * driven through newer headers: a release only adds methods behind those of the one before.
 */
const OLDEST_TRT10_HEADERS = 14;

/** What a folder's `NvInferVersion.h` declares. */
export interface DeclaredHeaders {
  readonly flavour: Flavour;
  /** Whether the addon compiles against them. */
  readonly usable: boolean;
}

/**
 * The folder with `NvInfer.h` for a flavour: an SDK's that the environment names, what an earlier {@link fetchHeaders}
 * kept, or the system's. Undefined where there is none that the addon compiles against.
 */
export async function findHeaders(flavour: Flavour): Promise<string | undefined> {
  return firstFolder(flavour, ({ usable }) => usable);
}

/** Whether an SDK or the system has a flavour's headers, be they too old to compile the addon against. */
export async function hasHeaders(flavour: Flavour): Promise<boolean> {
  return (await firstFolder(flavour, () => true)) !== undefined;
}

async function firstFolder(
  flavour: Flavour,
  accepts: (declared: DeclaredHeaders) => boolean,
): Promise<string | undefined> {
  const roots = FLAVOUR_FACTS[flavour].roots.map((name) => process.env[name]).filter((root) => root !== undefined);
  const machine = process.arch === "arm64" ? "aarch64-linux-gnu" : "x86_64-linux-gnu";
  const folders = [
    ...roots.map((root) => join(root, "include")),
    join(fetchedFolder(flavour), HEADER_PACKAGES[flavour].folder),
    "/usr/local/tensorrt/include",
    `/usr/include/${machine}`,
    "/usr/include",
  ];
  for (const folder of folders) {
    const declared = await readHeaders(folder);
    if (declared?.flavour === flavour && accepts(declared)) return folder;
  }
  return undefined;
}

/** Undefined where a folder has no headers, or those of a TensorRT that no flavour stands for. */
export async function readHeaders(folder: string): Promise<DeclaredHeaders | undefined> {
  const text = await readFile(join(folder, "NvInferVersion.h"), "utf8").catch(() => "");
  if (/TRT_MAJOR_RTX\s+1\b/.test(text)) return { flavour: "rtx", usable: true };
  const number = (name: string) =>
    Number(new RegExp(`(?:TRT_${name}_ENTERPRISE|NV_TENSORRT_${name})\\s+(\\d+)`).exec(text)?.[1]);
  const major = number("MAJOR");
  if (major === 10) return { flavour: "trt10", usable: number("MINOR") >= OLDEST_TRT10_HEADERS };
  return major === 11 ? { flavour: "trt11", usable: true } : undefined;
}

/** SHA-256 of a folder's TensorRT headers, which may lie among others: a package manager replaces them in place. */
export async function headersDigest(folder: string): Promise<string> {
  const names = (await readdir(folder)).filter((name) => /^NvInfer.*\.h$/.test(name));
  return digestOf(
    folder,
    names.map((name) => join(folder, name)),
  );
}

/** Fetches a flavour's headers by package name and keeps a verified copy in the cache. Throws `missing-library`. */
export async function fetchHeaders(flavour: Flavour, onLine: (line: string) => void): Promise<string> {
  const { crate, version, folder, sha256 } = HEADER_PACKAGES[flavour];
  const target = join(fetchedFolder(flavour), folder);
  if (existsSync(target)) return target;

  let unpacked = await findUnpacked(crate, version);
  if (unpacked === undefined) {
    onLine(`fetching ${crate} ${version} (TensorRT's headers) through cargo`);
    await fetchCrate(crate, version);
    unpacked = await findUnpacked(crate, version);
  }
  if (unpacked === undefined) {
    throw new TrtorchError(
      "missing-library",
      `cargo fetched ${crate} ${version}, but its sources are not in CARGO_HOME`,
    );
  }
  const source = join(unpacked, "TensorRT-Headers");
  const digest = await digestOf(join(source, folder), await filesIn(join(source, folder)));
  if (digest !== sha256) {
    throw new TrtorchError(
      "missing-library",
      `the headers in ${join(source, folder)} are not the ones known: SHA-256 ${digest}, not ${sha256}`,
      {
        hint: `Remove ${unpacked} and run setup again.`,
      },
    );
  }
  const parts = `${fetchedFolder(flavour)}.${process.pid}`;
  await mkdir(parts, { recursive: true });
  await cp(join(source, folder), join(parts, folder), { recursive: true });
  await cp(join(source, "cuda_runtime_api.h"), join(parts, "cuda_runtime_api.h"));
  await rm(fetchedFolder(flavour), { recursive: true, force: true });
  await rename(parts, fetchedFolder(flavour));
  return target;
}

function fetchedFolder(flavour: Flavour): string {
  return join(cacheFolder(), `headers-${flavour}-${HEADER_PACKAGES[flavour].version}`);
}

async function filesIn(folder: string): Promise<string[]> {
  const files = await readdir(folder, { recursive: true, withFileTypes: true });
  return files.filter((file) => file.isFile()).map((file) => join(file.parentPath ?? file.path, file.name));
}

/** SHA-256 over the names and contents of a folder's files, sorted. */
async function digestOf(folder: string, files: readonly string[]): Promise<string> {
  const hash = createHash("sha256");
  for (const path of [...files].sort()) {
    hash.update(path.slice(folder.length)).update("\0");
    hash.update(await readFile(path)).update("\0");
  }
  return hash.digest("hex");
}

/** Where cargo unpacked a crate. */
async function findUnpacked(crate: string, version: string): Promise<string | undefined> {
  const sources = join(process.env.CARGO_HOME ?? join(homedir(), ".cargo"), "registry", "src");
  const registries = await readdir(sources).catch(() => []);
  return registries.map((registry) => join(sources, registry, `${crate}-${version}`)).find(existsSync);
}

async function fetchCrate(crate: string, version: string): Promise<void> {
  try {
    // `cargo info` unpacks the one crate, without its dependencies.
    await execa("cargo", ["info", "--quiet", `${crate}@${version}`], { cwd: dirname(cacheFolder()) });
  } catch (cause) {
    const missing = (cause as { code?: string }).code === "ENOENT";
    const { stderr = "" } = cause as { stderr?: string };
    throw new TrtorchError(
      "missing-library",
      missing
        ? "cargo is not installed, and TensorRT's headers come through it"
        : `cargo could not fetch ${crate} ${version}: ${stderr.trim().split("\n").at(-1)}`,
      {
        hint: "Install Rust's cargo (1.82 or newer), or point TENSORRT_ROOT at an SDK, whose include/ has the headers (TensorRT 10.14 or newer).",
        cause,
      },
    );
  }
}
