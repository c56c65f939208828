import { createCipheriv, createHash } from "node:crypto";
import { isFloatingPoint } from "../ir/scalar-type.js";
import { numelOf, Tensor } from "../ir/tensor.js";
import type { ProgramRange } from "../network/program.js";
import { scalarTypeOf } from "../network/weights.js";
import type { ExecutableInput, Tensors } from "./executable.js";

export interface SampleOptions {
  readonly seed: number;
  /** Which of the shapes that an input may have. */
  readonly shape: keyof ProgramRange;
}

/**
 * Inputs that are the same on every machine for the same seed: floats are normally distributed, as `torch.randn` gives
 * them; integers are 0 or 1, which every embedding and mask takes.
 */
export function sampleInputs(inputs: readonly ExecutableInput[], { seed, shape }: SampleOptions): Tensors {
  return Object.fromEntries(
    inputs.map((input, index) => {
      const dtype = scalarTypeOf(input.type);
      const sizes = input.shape[shape];
      if (input.values !== null) return [input.name, Tensor.of(dtype, sizes, input.values[shape])];
      const words = randomWords(`${seed} ${index}`, numelOf(sizes) * 2);
      return [input.name, Tensor.of(dtype, sizes, isFloatingPoint(dtype) ? normal(words) : bits(words))];
    }),
  );
}

/** The key stream of a cipher: random numbers that are specified, and fast. */
function randomWords(seed: string, count: number): Uint32Array {
  const key = createHash("sha256").update(seed).digest();
  const cipher = createCipheriv("aes-256-ctr", key, Buffer.alloc(16));
  const bytes = cipher.update(new Uint8Array(count * 4));
  return new Uint32Array(Uint8Array.prototype.slice.call(bytes).buffer);
}

/** Two words a number, by the transform of Box and Muller. */
function normal(words: Uint32Array): Float64Array {
  return Float64Array.from({ length: words.length / 2 }, (_, i) => {
    // Of (0, 1]: the logarithm of 0 is none.
    const radius = ((words[2 * i] as number) + 1) / 2 ** 32;
    const angle = (words[2 * i + 1] as number) / 2 ** 32;
    return Math.sqrt(-2 * Math.log(radius)) * Math.cos(2 * Math.PI * angle);
  });
}

function bits(words: Uint32Array): Uint8Array {
  return Uint8Array.from({ length: words.length / 2 }, (_, i) => (words[2 * i] as number) & 1);
}
