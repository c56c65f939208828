import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { execa } from "execa";
import { computeCapability, type Device } from "../../plan/device.js";
import { TrtorchError } from "../../util/errors.js";
import { findAddon } from "../../util/native-addon.js";
import { fromNative, listDevices, tensorrtAddon } from "./addon.js";
import { FLAVOUR_FACTS, FLAVOURS, type Flavour, RTX_COMPUTE_CAPABILITIES } from "./flavour.js";
import { findHeaders } from "./headers.js";
import { findLibrary } from "./library.js";

/** What stands in the way, and what to do about it. */
export interface Problem {
  readonly message: string;
  readonly hint: string | undefined;
}

/** A tool that `setup` uses. */
export interface Tool {
  readonly name: string;
  readonly neededFor: string;
  /** The first line it prints for `--version`; null where it is not installed. */
  readonly version: string | null;
}

export interface FlavourReport {
  readonly flavour: Flavour;
  readonly product: string;
  /** The folder of NvInfer.h. */
  readonly headers: string | null;
  readonly library: { readonly path: string; readonly version: string | null } | null;
  /** The compiled addon. */
  readonly addon: { readonly file: string; readonly headersVersion: string } | null;
  /** What engines can be built for here: `sm_86`, or `device` for this machine's GPU. Empty: nothing, see problems. */
  readonly targets: readonly string[];
  readonly problems: readonly Problem[];
}

/** What this machine can build and why not. Plain JSON. */
export interface DoctorReport {
  readonly node: string;
  readonly platform: string;
  readonly flavours: readonly FlavourReport[];
  readonly devices: readonly Device[];
  /** Why there is no GPU; null where there is one. */
  readonly noDevice: Problem | null;
  /** The version of onnxruntime-node, the CPU reference; null where it is not installed. */
  readonly onnxruntime: string | null;
  readonly tools: readonly Tool[];
  /** What to do next, most useful first; empty where everything wanted is there. */
  readonly nextSteps: readonly string[];
}

const TOOLS: readonly { readonly command: readonly string[]; readonly neededFor: string }[] = [
  { command: ["cmake", "--version"], neededFor: "compiling the addon" },
  { command: ["c++", "--version"], neededFor: "compiling the addon" },
  { command: ["ninja", "--version"], neededFor: "compiling the addon (or make)" },
  { command: ["make", "--version"], neededFor: "compiling the addon (or ninja)" },
  { command: ["python3", "-m", "pip", "--version"], neededFor: "fetching TensorRT-RTX's libraries" },
  { command: ["cargo", "--version"], neededFor: "fetching TensorRT's headers" },
];

/** Looks at this machine. Never rejects: what fails is what it reports. */
export async function doctor(): Promise<DoctorReport> {
  const [devices, noDevice] = await listDevices().then(
    (found): [Device[], Problem | null] => [
      found,
      found.length > 0 ? null : { message: "CUDA shows no GPU", hint: undefined },
    ],
    (error: unknown): [Device[], Problem | null] => [[], problemOf(error)],
  );
  const flavours: FlavourReport[] = [];
  for (const flavour of FLAVOURS) flavours.push(await examine(flavour, devices));
  const onnxruntime = await onnxruntimeVersion();
  const tools = await Promise.all(TOOLS.map(examineTool));
  return {
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
    flavours,
    devices,
    noDevice,
    onnxruntime,
    tools,
    nextSteps: nextSteps(flavours, onnxruntime, tools),
  };
}

async function examine(flavour: Flavour, devices: readonly Device[]): Promise<FlavourReport> {
  const { product, needsGpu } = FLAVOUR_FACTS[flavour];
  const problems: Problem[] = [];
  const attempt = async <T>(work: () => T | Promise<T>): Promise<T | null> => {
    try {
      return await work();
    } catch (error) {
      problems.push(problemOf(error));
      return null;
    }
  };
  const headers = (await findHeaders(flavour)) ?? null;
  const path = await attempt(() => findLibrary(flavour));
  const module = await attempt(() => tensorrtAddon(flavour));
  const version = path === null || module === null ? null : await attempt(() => module.libraryVersion(path));
  if (needsGpu && devices.length === 0) {
    problems.push({ message: `${product} builds engines only on a machine with a GPU`, hint: undefined });
  }
  const targets = needsGpu
    ? devices.map((device) => `device (${device.name}, sm_${computeCapability(device)})`)
    : RTX_COMPUTE_CAPABILITIES.map((capability) => `sm_${capability}`);
  return {
    flavour,
    product,
    headers,
    library: path === null ? null : { path, version },
    addon:
      module === null ? null : { file: findAddon(`trtorch_${flavour}`) ?? "", headersVersion: module.headersVersion },
    targets: problems.length === 0 ? targets : [],
    problems,
  };
}

async function examineTool({ command, neededFor }: (typeof TOOLS)[number]): Promise<Tool> {
  const [file = "", ...args] = command;
  const { exitCode, stdout } = await execa(file, args, { reject: false, timeout: 20_000 });
  const name = args.includes("pip") ? "pip" : file;
  return { name, neededFor, version: exitCode === 0 ? (stdout.split("\n")[0] ?? "") : null };
}

async function onnxruntimeVersion(): Promise<string | null> {
  try {
    const file = createRequire(import.meta.url).resolve("onnxruntime-node/package.json");
    return (JSON.parse(await readFile(file, "utf8")) as { version: string }).version;
  } catch {
    return null;
  }
}

function nextSteps(flavours: readonly FlavourReport[], onnxruntime: string | null, tools: readonly Tool[]): string[] {
  const steps: string[] = [];
  const builds = flavours.some(({ targets }) => targets.length > 0);
  const has = (name: string): boolean => tools.some((tool) => tool.name === name && tool.version !== null);
  if (!builds) {
    const missing = ["cmake", "c++", "pip", "cargo"].filter((name) => !has(name));
    if (missing.length > 0) steps.push(`Install ${missing.join(", ")}: setup uses them.`);
    steps.push("Run `trtorch-build setup`: it fetches TensorRT-RTX and compiles the native addon.");
  }
  for (const { targets, problems, library } of flavours) {
    // A TensorRT that is installed and does not work is wanted; one that is not there is not missed.
    if (targets.length === 0 && library !== null) {
      steps.push(...problems.map(({ hint }) => hint).filter((hint) => hint !== undefined));
    }
  }
  if (onnxruntime === null) {
    steps.push("Install onnxruntime-node for the CPU reference: npm i onnxruntime-node --ignore-scripts");
  }
  return [...new Set(steps)];
}

function problemOf(error: unknown): Problem {
  const known = fromNative(error);
  return { message: (known as Error).message, hint: known instanceof TrtorchError ? known.hint : undefined };
}
