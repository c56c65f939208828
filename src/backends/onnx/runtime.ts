import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import type { ScalarType } from "../../ir/scalar-type.js";
import { Tensor } from "../../ir/tensor.js";
import type { DataType } from "../../network/enums.js";
import { describe } from "../../network/inference.js";
import type { ITensor } from "../../network/layers.js";
import type { Network } from "../../network/network.js";
import { scalarTypeOf } from "../../network/weights.js";
import { TrtorchError } from "../../util/errors.js";
import { toOnnx } from "./export.js";
import { exceedsMessage, writeModel } from "./file.js";
import { encodeModel } from "./proto.js";

type Runtime = typeof import("onnxruntime-node");

let runtime: Promise<Runtime> | undefined;

/** onnxruntime is loaded when it is first used: it is optional, and 100 MB large. */
function loadRuntime(): Promise<Runtime> {
  runtime ??= import("onnxruntime-node").catch((cause: unknown) => {
    runtime = undefined;
    const missing = (cause as NodeJS.ErrnoException).code === "ERR_MODULE_NOT_FOUND";
    throw new TrtorchError(
      "missing-library",
      missing ? "onnxruntime-node is not installed" : `onnxruntime-node cannot be loaded: ${(cause as Error).message}`,
      {
        // Its install script would fetch CUDA libraries, which the CPU reference has no use for.
        hint: "Install it beside trtorch-build: npm i onnxruntime-node --ignore-scripts",
        cause,
      },
    );
  });
  return runtime;
}

export interface SessionOptions {
  /** Threads that one operator runs on; by default as many as there are cores. */
  readonly threads?: number;
}

/** A network ready to run on the CPU, as often as wanted. */
export class OnnxSession {
  readonly #network: Network;
  readonly #session: InferenceSession;
  readonly #ort: Runtime;

  /** @internal Use {@link createSession}. */
  constructor(network: Network, session: InferenceSession, ort: Runtime) {
    this.#network = network;
    this.#session = session;
    this.#ort = ort;
  }

  /**
   * Outputs by name for inputs by name. Numbers of another dtype than the input's are converted to it.
   *
   * @throws TrtorchError `mismatch` for missing inputs or wrong sizes, `library` where onnxruntime fails.
   */
  async run(inputs: Readonly<Record<string, Tensor>>): Promise<Record<string, Tensor>> {
    const feeds: Record<string, OrtTensor> = {};
    for (const tensor of this.#network.inputs) feeds[tensor.name] = this.#feed(tensor, inputs[tensor.name]);
    const results = await this.#session.run(feeds).catch(fail("cannot run the network"));
    return Object.fromEntries(
      this.#network.outputs.map((tensor) => {
        const value = results[tensor.name] as OrtTensor;
        return [tensor.name, fromOrt(tensor.type, value)];
      }),
    );
  }

  async release(): Promise<void> {
    await this.#session.release();
  }

  #feed(tensor: ITensor, value: Tensor | undefined): OrtTensor {
    if (value === undefined) {
      const names = this.#network.inputs.map(({ name }) => name).join(", ");
      throw new TrtorchError("mismatch", `there is no value for the input ${tensor.name}`, {
        hint: `Inputs: ${names}.`,
      });
    }
    const fits =
      value.dim === tensor.dims.length &&
      tensor.dims.every((dim, i) => typeof dim !== "number" || dim === value.sizes[i]);
    if (!fits) {
      throw new TrtorchError(
        "mismatch",
        `input ${tensor.name} is ${describe(tensor)}, not [${value.sizes.join(", ")}]`,
        {
          hint: "Values, those of a golden file too, have a shape that the inputs allow: record others, or change the inputs.",
        },
      );
    }
    const type = ORT_TYPES[tensor.type];
    if (type === undefined) throw new TrtorchError("unsupported", `onnxruntime takes no ${tensor.type} inputs`);
    const exact = convert(value, scalarTypeOf(tensor.type));
    // Half precision is emulated in float.
    const source = isHalf(tensor.type) ? convert(exact, "float32") : exact;
    // onnxruntime keeps a view while it runs, and typed arrays need aligned memory.
    const bytes = source.contiguousBytes();
    const { array: TypedArray } = type;
    const aligned = bytes.byteOffset % TypedArray.BYTES_PER_ELEMENT === 0 ? bytes : bytes.slice();
    const data = new TypedArray(
      aligned.buffer as ArrayBuffer,
      aligned.byteOffset,
      aligned.byteLength / TypedArray.BYTES_PER_ELEMENT,
    );
    return new this.#ort.Tensor(type.name as "float32", data as Float32Array, value.sizes);
  }
}

/** Prepares a network for the CPU. Release the session when done. */
export async function createSession(network: Network, options: SessionOptions = {}): Promise<OnnxSession> {
  const ort = await loadRuntime();
  const model = toOnnx(network, { emulateHalves: true });
  const settings: InferenceSession.SessionOptions = {
    executionProviders: ["cpu"],
    // What fails is thrown, and need not be printed too.
    logSeverityLevel: 4,
    ...(options.threads === undefined ? {} : { intraOpNumThreads: options.threads }),
  };
  const refuse = fail("does not accept the network");
  if (!exceedsMessage(model)) {
    const session = await ort.InferenceSession.create(encodeModel(model), settings).catch(refuse);
    return new OnnxSession(network, session, ort);
  }
  const folder = await mkdtemp(join(tmpdir(), "trtorch-onnx-"));
  try {
    const [file] = await writeModel(model, join(folder, "model.onnx"), true);
    const session = await ort.InferenceSession.create(file as string, settings).catch(refuse);
    return new OnnxSession(network, session, ort);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Runs a network once on the CPU. */
export async function execute(
  network: Network,
  inputs: Readonly<Record<string, Tensor>>,
): Promise<Record<string, Tensor>> {
  const session = await createSession(network);
  try {
    return await session.run(inputs);
  } finally {
    await session.release();
  }
}

interface OrtType {
  readonly name: string;
  readonly array: {
    readonly BYTES_PER_ELEMENT: number;
    new (buffer: ArrayBuffer, offset: number, length: number): ArrayBufferView;
  };
}

const ORT_TYPES: Partial<Record<DataType, OrtType>> = {
  kFLOAT: { name: "float32", array: Float32Array },
  kHALF: { name: "float32", array: Float32Array },
  kBF16: { name: "float32", array: Float32Array },
  kINT32: { name: "int32", array: Int32Array },
  kINT64: { name: "int64", array: BigInt64Array },
  kINT8: { name: "int8", array: Int8Array },
  kUINT8: { name: "uint8", array: Uint8Array },
  kBOOL: { name: "bool", array: Uint8Array },
};

function fromOrt(type: DataType, value: OrtTensor): Tensor {
  const data = value.data as unknown as ArrayBufferView;
  if (isHalf(type)) return Tensor.of(scalarTypeOf(type), value.dims, data as unknown as Float32Array);
  return Tensor.from(scalarTypeOf(type), value.dims, data);
}

function convert(value: Tensor, dtype: ScalarType): Tensor {
  return value.dtype === dtype ? value : Tensor.of(dtype, value.sizes, value.toNumbers());
}

function isHalf(type: DataType): boolean {
  return type === "kHALF" || type === "kBF16";
}

function fail(what: string): (cause: unknown) => never {
  return (cause) => {
    throw new TrtorchError("library", `onnxruntime ${what}: ${(cause as Error).message}`, { cause });
  };
}
