import { TrtorchError } from "../util/errors.js";

/** PyTorch's `c10::ScalarType`, by the names that Python prints without `torch.`. */
export type ScalarType =
  | "uint8"
  | "int8"
  | "int16"
  | "int32"
  | "int64"
  | "float16"
  | "float32"
  | "float64"
  | "complex32"
  | "complex64"
  | "complex128"
  | "bool"
  | "qint8"
  | "quint8"
  | "qint32"
  | "bfloat16"
  | "float8_e5m2"
  | "float8_e4m3fn"
  | "uint16"
  | "uint32"
  | "uint64";

/** The numbers that TorchScript sources and schemas use for dtypes (c10/core/ScalarType.h). */
const CODES: ReadonlyMap<number, ScalarType> = new Map([
  [0, "uint8"],
  [1, "int8"],
  [2, "int16"],
  [3, "int32"],
  [4, "int64"],
  [5, "float16"],
  [6, "float32"],
  [7, "float64"],
  [8, "complex32"],
  [9, "complex64"],
  [10, "complex128"],
  [11, "bool"],
  [12, "qint8"],
  [13, "quint8"],
  [14, "qint32"],
  [15, "bfloat16"],
  [23, "float8_e5m2"],
  [24, "float8_e4m3fn"],
  [27, "uint16"],
  [28, "uint32"],
  [29, "uint64"],
]);

const NUMBERS = new Map([...CODES].map(([code, type]) => [type, code]));

const SIZES: Readonly<Record<ScalarType, number>> = {
  uint8: 1,
  int8: 1,
  int16: 2,
  int32: 4,
  int64: 8,
  float16: 2,
  float32: 4,
  float64: 8,
  complex32: 4,
  complex64: 8,
  complex128: 16,
  bool: 1,
  qint8: 1,
  quint8: 1,
  qint32: 4,
  bfloat16: 2,
  float8_e5m2: 1,
  float8_e4m3fn: 1,
  uint16: 2,
  uint32: 4,
  uint64: 8,
};

export function scalarTypeFromCode(code: number): ScalarType {
  const type = CODES.get(code);
  if (type === undefined) throw new TrtorchError("ir", `unknown dtype number ${code}`);
  return type;
}

export function scalarTypeCode(type: ScalarType): number {
  return NUMBERS.get(type) as number;
}

/** Bytes an element. */
export function scalarTypeSize(type: ScalarType): number {
  return SIZES[type];
}

export function isFloatingPoint(type: ScalarType): boolean {
  return type.startsWith("float") || type === "bfloat16";
}

export function isIntegral(type: ScalarType): boolean {
  return /^u?int\d/.test(type);
}

export function isComplex(type: ScalarType): boolean {
  return type.startsWith("complex");
}
