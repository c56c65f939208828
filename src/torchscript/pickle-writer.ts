import { toInt64 } from "../ir/int64.js";
import { type ScalarType, scalarTypeSize } from "../ir/scalar-type.js";
import type { Storage, Tensor } from "../ir/tensor.js";
import { TrtorchError } from "../util/errors.js";

/** PyTorch's names of the storages of each dtype. */
const STORAGES: Partial<Record<ScalarType, string>> = {
  float32: "FloatStorage",
  float64: "DoubleStorage",
  float16: "HalfStorage",
  bfloat16: "BFloat16Storage",
  int64: "LongStorage",
  int32: "IntStorage",
  int16: "ShortStorage",
  int8: "CharStorage",
  uint8: "ByteStorage",
  bool: "BoolStorage",
  complex32: "ComplexHalfStorage",
  complex64: "ComplexFloatStorage",
  complex128: "ComplexDoubleStorage",
};

/** Bytes of a storage beyond those its tensors show, below which it is written whole rather than copied. */
const SLACK = 1 << 16;

/** Writes the opcodes of a pickle of protocol 2, one call a step, as PyTorch's own pickler does. Calls may be chained. */
export class PickleWriter {
  /** Storages of the tensors written, in the order of their keys `0`, `1`, ...: the members beside the pickle. */
  readonly storages: Uint8Array[] = [];
  readonly #pieces: Uint8Array[] = [Buffer.from([0x80, 2])];
  readonly #keys = new Map<Uint8Array, number>();
  readonly #device: string;

  /** `device` is where tensors are put when the file is loaded without a map_location. */
  constructor(device = "cpu") {
    this.#device = device;
  }

  finish(): readonly Uint8Array[] {
    return [...this.#pieces, Buffer.from(".")];
  }

  none(): this {
    return this.#code("N");
  }

  bool(value: boolean): this {
    return this.#code(value ? "\x88" : "\x89");
  }

  int(value: number): this {
    if (Number.isInteger(value) && value >= -(2 ** 31) && value < 2 ** 31) {
      const bytes = Buffer.alloc(4);
      bytes.writeInt32LE(value);
      return this.#code("J", bytes);
    }
    const bytes = Buffer.alloc(9, 8);
    bytes.writeBigInt64LE(toInt64(value), 1);
    return this.#code("\x8a", bytes);
  }

  float(value: number): this {
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleBE(value);
    return this.#code("G", bytes);
  }

  /** Text, or bytes that a C++ string is to hold, in pieces. */
  string(text: string | readonly Uint8Array[]): this {
    const pieces = typeof text === "string" ? [Buffer.from(text)] : text;
    const size = pieces.reduce((sum, piece) => sum + piece.byteLength, 0);
    if (size >= 2 ** 32) {
      throw new TrtorchError("artifact", `a wrapped module cannot hold an engine of ${size} bytes of text`, {
        hint: "TorchScript archives hold texts of up to 4 GiB. Deliver the engine as a file: emit: [engine].",
      });
    }
    const length = Buffer.alloc(4);
    length.writeUInt32LE(size);
    this.#code("X", length);
    this.#pieces.push(...pieces);
    return this;
  }

  global(module: string, name: string): this {
    return this.#code(`c${module}\n${name}\n`);
  }

  /** An instance of a class without arguments; {@link build} gives it its state. */
  newObject(qualifiedName: string): this {
    const dot = qualifiedName.lastIndexOf(".");
    return this.global(qualifiedName.slice(0, dot), qualifiedName.slice(dot + 1)).#code(")\x81");
  }

  emptyTuple(): this {
    return this.#code(")");
  }

  tuple(write: () => void): this {
    this.#code("(");
    write();
    return this.#code("t");
  }

  list(write: () => void): this {
    this.#code("](");
    write();
    return this.#code("e");
  }

  dict(write: () => void): this {
    this.#code("}(");
    write();
    return this.#code("u");
  }

  build(): this {
    return this.#code("b");
  }

  reduce(): this {
    return this.#code("R");
  }

  tensor(tensor: Tensor): this {
    const storage = STORAGES[tensor.dtype];
    if (storage === undefined) {
      throw new TrtorchError("unsupported", `tensors of ${tensor.dtype} cannot be written into a TorchScript archive`, {
        hint: "Dequantize the tensor in the model.",
      });
    }
    const width = scalarTypeSize(tensor.dtype);
    const written = compact(tensor);
    const bytes = written.storage.bytes;
    let key = this.#keys.get(bytes);
    if (key === undefined) {
      key = this.storages.push(bytes) - 1;
      this.#keys.set(bytes, key);
    }
    return this.global("torch._utils", "_rebuild_tensor_v2")
      .tuple(() => {
        this.tuple(() =>
          this.string("storage")
            .global("torch", storage)
            .string(String(key))
            .string(this.#device)
            .int(Math.floor(bytes.byteLength / width)),
        ).#code("Q");
        this.int(written.storageOffset);
        this.tuple(() => {
          for (const size of written.sizes) this.int(size);
        });
        this.tuple(() => {
          for (const stride of written.strides) this.int(stride);
        });
        this.bool(false);
        this.global("collections", "OrderedDict").emptyTuple().reduce();
      })
      .reduce();
  }

  #code(text: string, operand?: Uint8Array): this {
    this.#pieces.push(Buffer.from(text, "latin1"));
    if (operand !== undefined) this.#pieces.push(operand);
    return this;
  }
}

/** A view of a storage that is much larger, as a slice of a big table, takes its elements only. */
function compact(tensor: Tensor): {
  storage: Storage;
  storageOffset: number;
  sizes: readonly number[];
  strides: readonly number[];
} {
  return tensor.storage.bytes.byteLength - tensor.byteLength > SLACK &&
    tensor.storage.bytes.byteLength > 4 * tensor.byteLength
    ? tensor.contiguous()
    : tensor;
}
