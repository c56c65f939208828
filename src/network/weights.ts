import type { ScalarType } from "../ir/scalar-type.js";
import { decodeNumbers, encodeNumbers, type NumberArray, Tensor } from "../ir/tensor.js";
import { TrtorchError } from "../util/errors.js";
import type { DataType } from "./enums.js";
import type { Weights } from "./layers.js";

/** The network type that holds a PyTorch dtype. TensorRT has neither doubles nor 8- and 16-bit integer arithmetic. */
const TYPES: Partial<Record<ScalarType, DataType>> = {
  float32: "kFLOAT",
  float64: "kFLOAT",
  float16: "kHALF",
  bfloat16: "kBF16",
  int64: "kINT64",
  int32: "kINT32",
  int16: "kINT32",
  int8: "kINT32",
  uint8: "kINT32",
  bool: "kBOOL",
};

const SCALAR_TYPES: Partial<Record<DataType, ScalarType>> = {
  kFLOAT: "float32",
  kHALF: "float16",
  kBF16: "bfloat16",
  kINT64: "int64",
  kINT32: "int32",
  kINT8: "int8",
  kUINT8: "uint8",
  kBOOL: "bool",
};

export function dataTypeOf(dtype: ScalarType): DataType {
  const type = TYPES[dtype];
  if (type === undefined) {
    throw new TrtorchError("unsupported", `TensorRT has no type for ${dtype} tensors`, {
      hint: dtype.startsWith("complex")
        ? "Rewrite the model with real and imaginary parts as separate real tensors."
        : "Dequantize the tensor in the model, or use fake_quantize, which becomes Quantize and Dequantize layers.",
    });
  }
  return type;
}

/** The PyTorch dtype with the same numbers as a network type. */
export function scalarTypeOf(type: DataType): ScalarType {
  const dtype = SCALAR_TYPES[type];
  if (dtype === undefined) throw new TrtorchError("unsupported", `no PyTorch dtype stands for ${type}`);
  return dtype;
}

/** Weights with the tensor's numbers: its own bytes where the network has its type, converted otherwise. */
export function weightsOf(tensor: Tensor): Weights {
  const type = dataTypeOf(tensor.dtype);
  const same = scalarTypeOf(type) === tensor.dtype;
  return same
    ? { type, dims: tensor.sizes, values: tensor.contiguousBytes() }
    : makeWeights(type, tensor.sizes, tensor.toNumbers());
}

export function makeWeights(type: DataType, dims: readonly number[], numbers: ArrayLike<number>): Weights {
  const data = encodeNumbers(scalarTypeOf(type), numbers);
  return { type, dims, values: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) };
}

export function numbersOf(weights: Weights): NumberArray {
  return decodeNumbers(scalarTypeOf(weights.type), weights.values);
}

export function tensorOf(weights: Weights): Tensor {
  return Tensor.from(scalarTypeOf(weights.type), weights.dims, weights.values);
}
