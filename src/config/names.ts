import type { ScalarType } from "../ir/scalar-type.js";
import type { Precision } from "../plan/job.js";

/** All spellings of precisions that are read: ours first, then TRTorch's and PyTorch's. */
export const PRECISION_NAMES = {
  fp32: "fp32",
  fp16: "fp16",
  bf16: "bf16",
  float: "fp32",
  float32: "fp32",
  f32: "fp32",
  half: "fp16",
  float16: "fp16",
  f16: "fp16",
  bfloat16: "bf16",
} as const satisfies Record<string, Precision>;

/** All spellings of an input's dtype that are read. */
export const DTYPE_NAMES = {
  fp32: "float32",
  fp16: "float16",
  bf16: "bfloat16",
  int64: "int64",
  int32: "int32",
  int16: "int16",
  int8: "int8",
  uint8: "uint8",
  bool: "bool",
  fp64: "float64",
  float: "float32",
  float32: "float32",
  f32: "float32",
  half: "float16",
  float16: "float16",
  f16: "float16",
  bfloat16: "bfloat16",
  double: "float64",
  float64: "float64",
  f64: "float64",
  long: "int64",
  i64: "int64",
  int: "int32",
  i32: "int32",
  short: "int16",
  i16: "int16",
  char: "int8",
  i8: "int8",
  byte: "uint8",
  u8: "uint8",
  b: "bool",
} as const satisfies Record<string, ScalarType>;

/** TensorRT-RTX's `ComputeCapability`, without CURRENT, which is the target `device`. */
export const RTX_CAPABILITIES = [75, 80, 86, 89, 120, 121] as const;

export function keysOf<K extends string>(object: Readonly<Record<K, unknown>>): [K, ...K[]] {
  return Object.keys(object) as [K, ...K[]];
}
