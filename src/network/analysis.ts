import type { DataType } from "./enums.js";
import { constantOf } from "./fold.js";
import { largestFinite } from "./half.js";
import type { ITensor, Weights } from "./layers.js";
import { numbersOf } from "./weights.js";

// What is known of a tensor by how it was made, whatever the inputs hold.

/** Is the tensor the same all along an axis? So are such constants, what is stretched, and what such tensors make together. */
export function repeatsAlong(tensor: ITensor, axis: number): boolean {
  if (tensor.dims[axis] === 1) return true;
  const constant = constantOf(tensor);
  if (constant !== null) return isRepeated(constant, axis);
  const layer = tensor.producer;
  const [input] = layer?.inputs ?? [];
  switch (layer?.type) {
    case "kSLICE":
      if (layer.attributes.mode === "kFILL") return false;
      return layer.attributes.stride[axis] === 0 || repeatsAlong(input as ITensor, axis);
    case "kCAST":
    case "kUNARY":
    case "kELEMENTWISE":
    case "kSELECT":
      return layer.inputs.every((one) => repeatsAlong(one as ITensor, axis));
    default:
      return false;
  }
}

function isRepeated(weights: Weights, axis: number): boolean {
  const numbers = numbersOf(weights);
  const size = weights.dims[axis] as number;
  const inner = weights.dims.slice(axis + 1).reduce((product, dim) => product * dim, 1);
  return numbers.every((number, i) => Math.floor(i / inner) % size === 0 || number === numbers[i - inner]);
}

const INTEGERS: Partial<Record<DataType, number>> = {
  kBOOL: 1,
  kUINT8: 2 ** 8,
  kINT8: 2 ** 7,
  kINT32: 2 ** 31,
  kINT64: 2 ** 63,
};

/** No element is farther from 0; infinite where nothing is known, where it could overflow, and where one could be NaN. */
export function largestMagnitude(tensor: ITensor): number {
  const bound = magnitude(tensor);
  return bound <= largestFinite(tensor.type) ? bound : Number.POSITIVE_INFINITY;
}

function magnitude(tensor: ITensor): number {
  const integer = INTEGERS[tensor.type];
  if (integer !== undefined) return integer;
  const constant = constantOf(tensor);
  if (constant !== null) {
    let most = 0;
    for (const x of numbersOf(constant)) most = Math.max(most, Math.abs(x));
    return most;
  }
  const layer = tensor.producer;
  const of = (index: number): number => largestMagnitude(layer?.inputs[index] as ITensor);
  switch (layer?.type) {
    case "kCAST":
    case "kSHUFFLE":
    case "kGATHER":
      return of(0);
    case "kSLICE":
      return layer.attributes.mode === "kFILL" ? Number.POSITIVE_INFINITY : of(0);
    case "kSELECT":
      return Math.max(of(1), of(2));
    case "kELEMENTWISE":
      switch (layer.attributes.operation) {
        case "kSUM":
        case "kSUB":
          return of(0) + of(1);
        case "kPROD":
          return of(0) * of(1);
        case "kMAX":
        case "kMIN":
          return Math.max(of(0), of(1));
        default:
          return Number.POSITIVE_INFINITY;
      }
    default:
      return Number.POSITIVE_INFINITY;
  }
}
