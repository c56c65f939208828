import { join } from "node:path";
import { Tensor } from "../../src/ir/tensor.js";
import { readNpz } from "../../src/util/npz.js";

export const BATCHES = [1, 32] as const;
export const PRECISIONS = ["fp32", "fp16"] as const;

/** A model with its recorded inputs and outputs, repeated to a batch. */
export interface Recorded {
  readonly file: string;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
}

export function readModel(work: string, name: string, batch: number): Recorded {
  const folder = join(work, "models", name);
  const arrays = readNpz(join(folder, "io.npz"));
  const take = (prefix: string): Tensor[] =>
    [...arrays].filter(([key]) => key.startsWith(prefix)).map(([, tensor]) => repeat(tensor, batch));
  return { file: join(folder, "trace.ts"), inputs: take("in"), outputs: take("out") };
}

/** The tensor with its first dim, of size 1, repeated. */
function repeat(tensor: Tensor, count: number): Tensor {
  const bytes = tensor.contiguousBytes();
  const all = new Uint8Array(bytes.byteLength * count);
  for (let i = 0; i < count; i++) all.set(bytes, i * bytes.byteLength);
  return Tensor.from(tensor.dtype, [count, ...tensor.sizes.slice(1)], all);
}

export function jobName(name: string, batch: number): string {
  return `${name}-b${batch}`;
}
