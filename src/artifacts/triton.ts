import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { DataType } from "../network/enums.js";
import type { ITensor } from "../network/layers.js";
import type { Network } from "../network/network.js";
import { bounds, type Dim, sameDim } from "../network/symbolic.js";
import { TrtorchError } from "../util/errors.js";
import { packageRoot } from "../util/native-addon.js";

/** What goes into Triton's model repository for one job. */
export interface TritonModel {
  /** The name that clients ask for. */
  readonly name: string;
  readonly network: Network;
  /** `tensorrt`: the model is an engine of TensorRT; `onnxruntime`: an ONNX file. */
  readonly backend: "tensorrt" | "onnxruntime";
  /** Optimization profiles of the engine; 1 where there is no choice. */
  readonly profiles: number;
  /** Writes the model to this path, and gives the paths of all files it made. */
  readonly writeModel: (path: string) => Promise<readonly string[]>;
}

const VERSION = "1";
const MODEL_FILES = { tensorrt: "model.plan", onnxruntime: "model.onnx" } as const;

/**
 * Writes `<name>/1/model.plan` (or `model.onnx`) and `<name>/config.pbtxt` below `repository`, and returns the paths. The config comes
 * last: a server that polls the repository takes a folder with a config for a whole model.
 *
 * @throws TrtorchError `unsupported` for a binding of a type that Triton does not have
 */
export async function writeTriton(repository: string, model: TritonModel): Promise<string[]> {
  const name = tritonName(model.name);
  const text = await tritonConfig(model);
  const path = join(repository, name, VERSION, MODEL_FILES[model.backend]);
  await mkdir(dirname(path), { recursive: true });
  const files = await model.writeModel(path);
  const config = join(repository, name, "config.pbtxt");
  await writeFile(config, text);
  return [...files, config];
}

/** A model's name is a folder of the repository and a part of URLs. */
function tritonName(name: string): string {
  return name.replace(/[^\w.-]/g, "_");
}

/** The text of `config.pbtxt`: Triton's ModelConfig in protobuf's text format. */
export async function tritonConfig({
  name,
  network,
  backend,
  profiles,
}: Omit<TritonModel, "writeModel">): Promise<string> {
  const template = await readFile(join(packageRoot, "templates", "triton", "config.pbtxt"), "utf8");
  const batch = maxBatchSize(network);
  const bindings = (kind: string, tensors: readonly ITensor[]) =>
    tensors.map((tensor) => binding(kind, tensor, batch > 0)).join("\n");
  const values: Readonly<Record<string, string>> = {
    name: JSON.stringify(tritonName(name)),
    backend: JSON.stringify(backend),
    model: JSON.stringify(MODEL_FILES[backend]),
    max_batch_size: String(batch),
    inputs: bindings("input", network.inputs),
    outputs: bindings("output", network.outputs),
    batching: batch > 0 ? "dynamic_batching { }" : "",
    instances: profiles > 1 ? instanceGroup(profiles) : "",
  };
  const filled = template.replace(/\$\{(\w+)\}/g, (_, key: string) => values[key] as string);
  return `${filled.trimEnd().replace(/\n{2,}/g, "\n")}\n`;
}

/**
 * How many requests Triton may put into one batch; 0: it makes none, and dims are whole shapes. Requests can be joined where every
 * input and output begins with a size from 1 to the same n, and an output's is an input's own.
 */
function maxBatchSize({ inputs, outputs }: Network): number {
  const first = inputs.map((tensor) => tensor.dims[0]);
  const limit = first[0] === undefined ? 0 : bounds(first[0]).max;
  const open = first.every((dim) => isBatch(dim, limit));
  const passed = outputs.every(
    ({ dims: [dim] }) => dim !== undefined && first.some((own) => own !== undefined && sameDim(own, dim)),
  );
  return open && passed ? limit : 0;
}

function isBatch(dim: Dim | undefined, limit: number): boolean {
  if (dim === undefined || typeof dim === "number") return false;
  const { min, max } = bounds(dim);
  return min <= 1 && max === limit && Number.isFinite(max);
}

function binding(kind: string, tensor: ITensor, batched: boolean): string {
  const sizes = tensor.dims.slice(batched ? 1 : 0).map((dim) => (typeof dim === "number" ? dim : -1));
  // Triton knows no shape without sizes: it shows one of a single 1 and takes it away again.
  const shape = sizes.length > 0 ? `dims: [ ${sizes.join(", ")} ]` : "dims: [ 1 ]\n  reshape { shape: [ ] }";
  return `${kind} {
  name: ${JSON.stringify(tensor.name)}
  data_type: ${dataType(tensor)}
  ${shape}
}`;
}

function instanceGroup(profiles: number): string {
  const names = Array.from({ length: profiles }, (_, index) => `"${index}"`);
  return `instance_group {\n  kind: KIND_GPU\n  profile: [ ${names.join(", ")} ]\n}`;
}

const DATA_TYPES: Partial<Record<DataType, string>> = {
  kFLOAT: "TYPE_FP32",
  kHALF: "TYPE_FP16",
  kBF16: "TYPE_BF16",
  kINT8: "TYPE_INT8",
  kINT32: "TYPE_INT32",
  kINT64: "TYPE_INT64",
  kUINT8: "TYPE_UINT8",
  kBOOL: "TYPE_BOOL",
};

function dataType({ name, type }: ITensor): string {
  const known = DATA_TYPES[type];
  if (known !== undefined) return known;
  throw new TrtorchError("unsupported", `Triton has no type for ${name}, which is ${type}`, {
    hint: "Leave triton out of emit, or give the binding another dtype.",
  });
}
