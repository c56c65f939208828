import type { Tensor } from "../ir/tensor.js";
import type { OutputComparison, Tolerance } from "../plan/job.js";
import { compare } from "./golden.js";

/** How many elements are off by less than a power of ten. */
export interface ErrorBin {
  /** 0: equal; null: all others, and those that are a number on one side only. */
  readonly below: number | null;
  readonly count: number;
}

export interface OutputVerification extends OutputComparison {
  readonly dims: readonly number[];
  /** The largest error that passes. */
  readonly allowed: number;
  /** Elements that are NaN, here and in the reference. Those of one side only fail. */
  readonly nan: number;
  readonly referenceNan: number;
  readonly histogram: readonly ErrorBin[];
}

/**
 * An output beside its reference.
 *
 * @throws TrtorchError `mismatch` where their dims differ
 */
export function verifyOutput(name: string, actual: Tensor, expected: Tensor, tolerance: Tolerance): OutputVerification {
  const comparison = compare(name, actual, expected, tolerance);
  const [a, b] = [actual.toNumbers(), expected.toNumbers()];
  const counts = new Array<number>(BOUNDS.length + 1).fill(0);
  let [nan, referenceNan] = [0, 0];
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i] as number, b[i] as number];
    if (Number.isNaN(x)) nan++;
    if (Number.isNaN(y)) referenceNan++;
    const bin = Object.is(x, y) || x === y ? 0 : BOUNDS.findIndex((bound) => Math.abs(x - y) < bound);
    const at = bin < 0 ? BOUNDS.length : bin;
    counts[at] = (counts[at] as number) + 1;
  }
  return {
    ...comparison,
    dims: actual.sizes,
    allowed: tolerance.atol + tolerance.rtol * (1 + comparison.maxAbsReference),
    nan,
    referenceNan,
    histogram: counts.map((count, i) => ({ below: BOUNDS[i] ?? null, count })),
  };
}

const BOUNDS = [0, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1, 10];
