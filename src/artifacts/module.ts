import type { Graph } from "../ir/graph.js";
import { ENGINE_CLASS } from "../partition/stitch.js";
import { writeTorchScript } from "../torchscript/writer.js";
import { TrtorchError } from "../util/errors.js";

/** The first release of Torch-TensorRT of each serialization ABI: releases up to the next entry share it. */
const ABIS: readonly (readonly [release: readonly [number, number], abi: number])[] = [
  [[0, 4], 3],
  [[1, 3], 4],
  [[2, 3], 5],
  [[2, 5], 6],
  [[2, 7], 7],
  [[2, 11], 8],
  [[2, 12], 9],
  [[2, 14], 10],
];

/** The newest release there is, for which modules are written unless told otherwise. */
export const NEWEST_TORCH_TENSORRT = "2.13";

/** The ABI of the engines in modules that a release's runtime loads: no release loads another's. */
export function abiOf(release: string): number {
  const match = /^(\d+)\.(\d+)(\.|$)/.exec(release);
  if (match !== null) {
    const [major, minor] = [Number(match[1]), Number(match[2])];
    const found = ABIS.findLast(([[a, b]]) => major > a || (major === a && minor >= b));
    if (found !== undefined && (major < 2 || (major === 2 && minor <= 14))) return found[1];
  }
  throw new TrtorchError("config", `torch_tensorrt: "${release}" is no release of Torch-TensorRT known here`, {
    hint: `Known are TRTorch 0.4 to Torch-TensorRT 2.14; the newest released is ${NEWEST_TORCH_TENSORRT}.`,
  });
}

/** The GPU that engines are for, as the runtime looks for it among those it sees. */
export interface EngineDevice {
  readonly id: number;
  readonly major: number;
  readonly minor: number;
  /** The GPU's name decides only where several have the compute capability. */
  readonly name: string;
  /** Set for an engine that runs on a Deep Learning Accelerator. */
  readonly isDla?: boolean;
}

export interface WrappedEngine {
  /** The module's attribute that holds it, and the engine's name in the runtime's messages. */
  readonly attribute: string;
  readonly plan: Uint8Array;
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
}

export interface WrappedModule {
  /** The class of the module: see {@link wrappedTypeName}. */
  readonly typeName: string;
  readonly method: string;
  /** The method, with the engines as attributes of its first input. */
  readonly graph: Graph;
  readonly engines: readonly WrappedEngine[];
  /** Of Torch-TensorRT, as `2.11`; null: the newest. */
  readonly torchTensorrt: string | null;
  readonly device: EngineDevice;
  /** The engines run on every GPU from Ampere on. */
  readonly hardwareCompatible: boolean;
  readonly platform: "linux_x86_64" | "linux_aarch64" | "windows_x86_64";
}

/** Torch-TensorRT's compiler appends `_trt` to the class of the module it compiles. */
export function wrappedTypeName(typeName: string): string {
  // Exported programs have Python's names, as `__main__.make.<locals>.Net`; TorchScript's are identifiers.
  const parts = typeName.split(".").filter((part) => part !== "" && !part.startsWith("<"));
  const names = parts.map((part) => part.replace(/\W/g, "_").replace(/^\d/, "_$&"));
  return `${[...(names[0] === "__torch__" ? [] : ["__torch__"]), ...names].join(".")}_trt`;
}

/** The attribute of an engine as Torch-TensorRT names it; `index` where a module has several. */
export function engineAttribute(wrappedType: string, index?: number): string {
  return `${wrappedType.replaceAll(".", "_")}_engine_${index ?? ""}`;
}

/**
 * A TorchScript archive, in pieces, that Torch-TensorRT's own runtime loads (`torch.jit.load` after
 * `torch.ops.load_library("libtorchtrt_runtime.so")`): engines as `torch.classes.tensorrt.Engine`, called by
 * `tensorrt::execute_engine`, and around them the method's own operators.
 */
export function writeWrappedModule(module: WrappedModule): Generator<Uint8Array> {
  const abi = abiOf(module.torchTensorrt ?? NEWEST_TORCH_TENSORRT);
  return writeTorchScript({
    typeName: module.typeName,
    device: `cuda:${module.device.id}`,
    objects: module.engines.map((engine) => ({
      name: engine.attribute,
      className: ENGINE_CLASS,
      state: engineState(module, engine, abi),
    })),
    methods: [{ name: module.method, graph: module.graph }],
  });
}

/** The strings that `torch.classes.tensorrt.Engine` is made of, in the order of their ABI. */
function engineState(module: WrappedModule, engine: WrappedEngine, abi: number): (string | readonly Uint8Array[])[] {
  const { device } = module;
  const fields = [
    String(abi),
    engine.attribute,
    [device.id, device.major, device.minor, device.isDla ? 1 : 0, device.name.replaceAll("%", "_")].join("%"),
    abi === 3 ? [engine.plan] : base64(engine.plan),
  ];
  if (abi === 3) requirePositionalNames(engine);
  if (abi >= 4) fields.push(bindingNames(engine.inputNames), bindingNames(engine.outputNames));
  if (abi >= 5) fields.push(module.hardwareCompatible ? "1" : "0");
  if (abi >= 6) fields.push("", module.platform);
  // No output allocator, static allocation of resources, one device, no outputs that alias inputs.
  return [...fields, ...["0", "0", "0", ""].slice(0, Math.max(0, abi - 6))];
}

/** Without line breaks, at which the runtime would stop; in pieces, since a JavaScript string ends at half a gigabyte. */
function base64(bytes: Uint8Array): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  const step = 3 << 20;
  for (let start = 0; start < bytes.byteLength; start += step) {
    const part = Buffer.from(bytes.buffer, bytes.byteOffset + start, Math.min(step, bytes.byteLength - start));
    pieces.push(Buffer.from(part.toString("base64"), "latin1"));
  }
  return pieces;
}

function bindingNames(names: readonly string[]): string {
  const bad = names.find((name) => name.includes("%"));
  if (bad !== undefined) {
    throw new TrtorchError("config", `a wrapped module cannot have a binding named "${bad}"`, {
      hint: "Torch-TensorRT separates names by %: give the input a name without it.",
    });
  }
  return names.join("%");
}

/** The runtimes of ABI 3 are told no names: they read positions out of the engine's own. */
function requirePositionalNames(engine: WrappedEngine): void {
  for (const names of [engine.inputNames, engine.outputNames]) {
    names.forEach((name, i) => {
      if (!new RegExp(`^[^_.]+_${i}$`).test(name)) {
        throw new TrtorchError(
          "config",
          `Torch-TensorRT before 1.3 finds bindings by position in their name, and "${name}" says none`,
          { hint: "Name the inputs input_0, input_1, ... in the config, or give torch_tensorrt a newer release." },
        );
      }
    });
  }
}
