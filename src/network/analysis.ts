import { type DataType, isFloat } from "./enums.js";
import { constantOf } from "./fold.js";
import { largestFinite } from "./half.js";
import type { ITensor } from "./layers.js";
import { numbersOf } from "./weights.js";

// What is known of a tensor by how it was made, whatever the inputs hold.

/** Are its elements, in order, 0, 1, 2 and so on? */
export function isIota(tensor: ITensor): boolean {
  const constant = constantOf(tensor);
  if (constant !== null) return numbersOf(constant).every((number, i) => number === i);
  const layer = tensor.producer;
  const [input, alpha, beta] = layer?.inputs ?? [];
  switch (layer?.type) {
    case "kFILL":
      return tensor.dims.length === 1 && isNumber(alpha, 0) && isNumber(beta, 1);
    case "kSHUFFLE":
      return !layer.attributes.firstTranspose && !layer.attributes.secondTranspose && isIota(input as ITensor);
    case "kCAST":
      return !isFloat(tensor.type) && isIota(input as ITensor);
    case "kELEMENTWISE":
      // Positions from an offset, which may be 0.
      return layer.attributes.operation === "kSUM" && isNumber(layer.inputs[1], 0) && isIota(input as ITensor);
    default:
      return false;
  }
}

/** Is a bool true everywhere? So is a place that is not less than 0. */
export function isTrue(tensor: ITensor): boolean {
  const constant = constantOf(tensor);
  if (constant !== null) return !constant.values.includes(0);
  const layer = tensor.producer;
  const opposite = layer?.type === "kUNARY" && layer.attributes.operation === "kNOT" ? layer.inputs[0]?.producer : null;
  if (opposite?.type !== "kELEMENTWISE" || opposite.attributes.operation !== "kLESS") return false;
  const [place, number] = opposite.inputs as [ITensor, ITensor];
  return isNumber(number, 0) && isIota(place);
}

function isNumber(tensor: ITensor | null | undefined, number: number): boolean {
  const weights = tensor ? constantOf(tensor) : null;
  return weights?.dims.every((dim) => dim === 1) === true && numbersOf(weights)[0] === number;
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
