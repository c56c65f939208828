import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { access, constants, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { execa } from "execa";
import { TrtorchError } from "../../util/errors.js";
import { takeLock } from "../../util/lock.js";
import { addonBuildFolders, cacheFolder, isInstalled, packageRoot } from "../../util/native-addon.js";
import { FLAVOUR_FACTS, FLAVOURS, type Flavour } from "./flavour.js";
import { fetchHeaders, findHeaders, hasHeaders, headersDigest, readHeaders } from "./headers.js";
import { findLibrary, RTX_PACKAGE, rtxLibraryFolder } from "./library.js";

/** SHA-256 of the wheels of {@link RTX_PACKAGE}, as pip checks them. */
const RTX_WHEELS = ["e3fd45fed001240d63304e77a2d4006319b839994237cb294b6e7ad72acaabcd"] as const;

export interface SetupOptions {
  /** What to compile the addon for. Default: `rtx`, and each whose headers an SDK or the system has. */
  readonly flavours?: readonly Flavour[];
  /** Told what is being done, a line each. */
  readonly onLine?: (line: string) => void;
}

export interface SetupResult {
  readonly flavours: readonly Flavour[];
  /** The TensorRT-RTX library, where `rtx` was asked for. */
  readonly library: string | null;
  /** The folder of the compiled addon's `.node` files. */
  readonly addon: string;
}

/**
 * Gets everything that building engines needs: TensorRT-RTX's libraries (through pip), headers (an SDK's, or through
 * cargo), and the native addon compiled against them. What is there already is kept: a second run takes milliseconds.
 *
 * Throws `missing-library` that names the tool or package that is missing, and what to do.
 */
export async function setup({ flavours, onLine = () => {} }: SetupOptions = {}): Promise<SetupResult> {
  await mkdir(cacheFolder(), { recursive: true });
  // Two setups at once, as of parallel test files: the second waits and then finds everything there.
  const lock = await takeLock(join(cacheFolder(), ".setup"));
  try {
    const wanted = flavours ?? (await defaultFlavours());
    const library = wanted.includes("rtx") ? await installRtxLibrary(onLine) : null;
    const stamp = await readStamp(join(await buildFolder(), STAMP));
    const compiled: Headers = stamp.sources === (await sourcesDigest()) ? stamp.headers : {};
    const headers: Headers = {};
    for (const flavour of wanted) {
      try {
        // What was compiled elsewhere and brought here needs no headers.
        headers[flavour] = (await findHeaders(flavour)) ?? compiled[flavour] ?? (await fetchHeaders(flavour, onLine));
      } catch (error) {
        // A TensorRT that happens to be on the machine must not stand in the way of TensorRT-RTX.
        if (flavours !== undefined || flavour === "rtx") throw error;
        onLine(`${FLAVOUR_FACTS[flavour].product} is left out: ${(error as Error).message}`);
      }
    }
    const addon = await compileAddon(headers, onLine);
    return { flavours: wanted.filter((flavour) => headers[flavour] !== undefined), library, addon };
  } finally {
    await lock.release();
  }
}

async function defaultFlavours(): Promise<Flavour[]> {
  const found: Flavour[] = ["rtx"];
  for (const flavour of FLAVOURS) {
    if (flavour !== "rtx" && (await hasHeaders(flavour))) found.push(flavour);
  }
  return found;
}

async function installRtxLibrary(onLine: (line: string) => void): Promise<string> {
  try {
    return findLibrary("rtx");
  } catch {
    // Not on this machine yet.
  }
  const { name, version } = RTX_PACKAGE;
  if (process.platform !== "linux" || process.arch !== "x64") {
    throw new TrtorchError(
      "unsupported",
      `setup knows TensorRT-RTX for Linux on x86-64, not ${process.platform} on ${process.arch}`,
      {
        hint: "Install NVIDIA's SDK and point TRTORCH_TENSORRT_RTX_ROOT at it.",
      },
    );
  }
  onLine(`fetching ${name} ${version} (95 MB) through pip`);
  const target = rtxLibraryFolder();
  const parts = `${target}.${process.pid}`;
  await mkdir(parts, { recursive: true });
  try {
    const requirements = join(parts, "requirements.txt");
    // pip itself refuses a file with another hash.
    await writeFile(
      requirements,
      `${name}==${version} ${RTX_WHEELS.map((sha256) => `--hash=sha256:${sha256}`).join(" ")}\n`,
    );
    await pipInstall(["--require-hashes", "--requirement", requirements, "--target", parts]);
    await rm(target, { recursive: true, force: true });
    await rename(parts, target);
  } finally {
    await rm(parts, { recursive: true, force: true });
  }
  return findLibrary("rtx");
}

const PIPS = [["python3", "-m", "pip"], ["pip3"], ["pip"]] as const;

async function pipInstall(args: readonly string[]): Promise<void> {
  for (const [command, ...before] of PIPS) {
    const { code, exitCode, stderr } = await execa(
      command,
      [...before, "install", "--quiet", "--no-deps", "--no-compile", "--disable-pip-version-check", ...args],
      { reject: false, timeout: 1_800_000 },
    );
    if (exitCode === 0) return;
    if (code === "ENOENT" || /No module named pip/.test(stderr)) continue;
    throw new TrtorchError("missing-library", `pip could not install ${RTX_PACKAGE.name}: ${lastLines(stderr)}`, {
      hint: "Check the network and pip's index settings (PIP_INDEX_URL), then run setup again: it starts where it stopped.",
    });
  }
  throw new TrtorchError("missing-library", "pip is not installed, and TensorRT-RTX's libraries come through it", {
    hint: "Install Python 3 with pip (it is needed for this step only), or point TRTORCH_TENSORRT_RTX_ROOT at NVIDIA's SDK.",
  });
}

type PerFlavour = Partial<Record<Flavour, string>>;
/** A folder with NvInfer.h for each flavour to compile. */
type Headers = PerFlavour;

const STAMP = "setup.json";

/** What the build folder holds: written after compiling, compared before. */
interface Stamp {
  readonly sources: string;
  readonly headers: Headers;
  /** {@link headersDigest} of these folders, in which another release may have come since. */
  readonly digests: PerFlavour;
}

const NOTHING: Stamp = { sources: "", headers: {}, digests: {} };

/** Compiles what is out of date. */
async function compileAddon(wanted: Headers, onLine: (line: string) => void): Promise<string> {
  const out = await buildFolder();
  const folder = join(out, "Release");
  const stampFile = join(out, STAMP);
  const before = await readStamp(stampFile);
  // Flavours that an earlier setup compiled are kept.
  const headers: Headers = { ...before.headers, ...wanted };
  const digests: PerFlavour = { ...before.digests };
  const flavours: Flavour[] = [];
  for (const flavour of FLAVOURS) {
    const folder = headers[flavour] ?? "";
    const declared = await readHeaders(folder);
    if (declared?.flavour !== flavour || !declared.usable) continue;
    flavours.push(flavour);
    digests[flavour] = await headersDigest(folder);
  }
  const sources = await sourcesDigest();
  const files = ["core", ...flavours].map((name) => join(folder, `trtorch_${name}.node`));
  const changed = FLAVOURS.filter(
    (flavour) => before.headers[flavour] !== headers[flavour] || before.digests[flavour] !== digests[flavour],
  );
  if (changed.length === 0 && before.sources === sources && files.every(existsSync)) return folder;

  onLine(`compiling the native addon for ${flavours.map((flavour) => FLAVOUR_FACTS[flavour].product).join(", ")}`);
  await mkdir(out, { recursive: true });
  await forgetOtherSources(out);
  // Headers of another release may be older files than what was compiled with those before: none of it is kept.
  for (const flavour of changed) {
    await rm(join(out, "CMakeFiles", `trtorch_${flavour}.dir`), { recursive: true, force: true });
  }
  const cmakeJs = join(dirname(createRequire(import.meta.url).resolve("cmake-js/package.json")), "bin", "cmake-js");
  const folders = flavours.map((flavour) => headers[flavour]).join(";");
  const common = ["--directory", join(packageRoot, "native"), "--out", out, `--CDTRTORCH_HEADERS=${folders}`];
  // Configuring finds new headers; building then compiles only what changed.
  for (const step of ["configure", "build"]) {
    const { exitCode, all = "" } = await execa(process.execPath, [cmakeJs, step, ...common], {
      reject: false,
      all: true,
    });
    if (exitCode !== 0) throw compileError(all);
  }
  const missing = files.find((file) => !existsSync(file));
  if (missing !== undefined) throw new TrtorchError("missing-library", `compiling gave no ${missing}`);
  await writeFile(stampFile, JSON.stringify({ sources, headers, digests } satisfies Stamp));
  return folder;
}

/** In the package's own folder or, where that is read-only or not meant to last, in the cache. */
async function buildFolder(): Promise<string> {
  const [own, cached] = addonBuildFolders();
  return !isInstalled && (await isWritable(dirname(own))) ? own : cached;
}

/** CMake refuses a build folder that was configured for sources elsewhere: those of another project's copy of this package. */
async function forgetOtherSources(out: string): Promise<void> {
  const cache = await readFile(join(out, "CMakeCache.txt"), "utf8").catch(() => null);
  if (cache === null || cache.includes(`CMAKE_HOME_DIRECTORY:INTERNAL=${join(packageRoot, "native")}\n`)) return;
  await rm(join(out, "CMakeCache.txt"));
  await rm(join(out, "CMakeFiles"), { recursive: true, force: true });
}

async function readStamp(file: string): Promise<Stamp> {
  try {
    return { ...NOTHING, ...(JSON.parse(await readFile(file, "utf8")) as Partial<Stamp>) };
  } catch {
    return NOTHING;
  }
}

function compileError(output: string): TrtorchError {
  const tool = /CMake (executable )?is not (found|installed)/i.test(output)
    ? "cmake"
    : /No CMAKE_CXX_COMPILER|compiler toolset is not available/i.test(output)
      ? "a C++ compiler"
      : /CMAKE_MAKE_PROGRAM|Unable to find a build program/i.test(output)
        ? "make or ninja"
        : undefined;
  if (tool !== undefined) {
    return new TrtorchError("missing-library", `the native addon cannot be compiled: ${tool} is not installed`, {
      hint: "On Debian and Ubuntu: apt install cmake g++ ninja-build.",
    });
  }
  const lines = output.split("\n").filter((line) => /error|FAILED|undefined/i.test(line));
  return new TrtorchError(
    "missing-library",
    `the native addon does not compile: ${lines.slice(0, 10).join("\n") || lastLines(output)}`,
    {
      hint: "A compiler for C++17 is needed (GCC 9, Clang 10 or newer).",
    },
  );
}

/** A digest of the addon's sources: what it was compiled from. */
async function sourcesDigest(): Promise<string> {
  const native = join(packageRoot, "native");
  const sources = (await readdir(join(native, "src"))).sort().map((name) => join(native, "src", name));
  const hash = createHash("sha256");
  for (const file of [join(native, "CMakeLists.txt"), ...sources]) hash.update(await readFile(file)).update("\0");
  return hash.digest("hex");
}

async function isWritable(folder: string): Promise<boolean> {
  return access(folder, constants.W_OK).then(
    () => true,
    () => false,
  );
}

function lastLines(text: string): string {
  return text.trim().split("\n").slice(-3).join("\n");
}
