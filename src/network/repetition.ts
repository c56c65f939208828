import { constantOf } from "./fold.js";
import type { ITensor, Weights } from "./layers.js";
import { numbersOf } from "./weights.js";

/**
 * Is the tensor the same all along an axis, whatever the inputs hold? Told by how it was made: of constants, stretched
 * along the axis, or element by element of such tensors.
 */
export function repeatsAlong(tensor: ITensor, axis: number): boolean {
  if (tensor.dims[axis] === 1) return true;
  const constant = constantOf(tensor);
  if (constant !== null) return isRepeated(constant, axis);
  const layer = tensor.producer;
  const [input] = layer?.inputs ?? [];
  switch (layer?.type) {
    case "kSLICE":
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
