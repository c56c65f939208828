import { type ScalarType, scalarTypeSize } from "../ir/scalar-type.js";
import { type Quantization, type Storage, Tensor } from "../ir/tensor.js";
import { TrtorchError } from "../util/errors.js";

export interface TensorLayout {
  readonly dtype: ScalarType;
  readonly sizes: readonly number[];
  readonly strides: readonly number[];
  /** In elements. */
  readonly storageOffset: number;
  readonly requiresGrad?: boolean;
  readonly quantization?: Quantization | undefined;
}

/** Elements of the largest tensor that may repeat its storage's (`expand`): whoever reads it makes them all. */
const EXPANDED_LIMIT = 2 ** 31;

/**
 * A tensor of an archive as a view of its storage. Throws a TrtorchError of code `archive` naming `what` (e.g.
 * `the weight "fc.bias"`) when the view reaches beyond the storage.
 */
export function viewOf(storage: Storage, layout: TensorLayout, what: string, file: string): Tensor {
  const { dtype, sizes, strides, storageOffset } = layout;
  const fail = (problem: string): never => {
    throw new TrtorchError("archive", `${what} ${problem}`, {
      location: { file },
      hint: "The file is damaged: copy or download it again, or save the model again.",
    });
  };
  const natural = (n: number): boolean => Number.isSafeInteger(n) && n >= 0;
  if (sizes.length !== strides.length || ![...sizes, ...strides, storageOffset].every(natural)) {
    fail(`has impossible sizes [${sizes}], strides [${strides}] or offset ${storageOffset}`);
  }
  const available = Math.floor(storage.bytes.byteLength / scalarTypeSize(dtype));
  const numel = sizes.reduce((product, size) => product * size, 1);
  const needed =
    numel === 0 ? 0 : sizes.reduce((last, size, i) => last + (size - 1) * (strides[i] as number), storageOffset) + 1;
  if (needed > available) {
    fail(`needs ${needed} elements of ${dtype}, and its storage has ${available} (${storage.bytes.byteLength} bytes)`);
  }
  if (numel > available && numel > EXPANDED_LIMIT) fail(`repeats ${available} elements to ${numel}`);
  return new Tensor(dtype, sizes, storage, {
    strides,
    storageOffset,
    requiresGrad: layout.requiresGrad ?? false,
    quantization: layout.quantization,
  });
}
