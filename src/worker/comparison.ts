import type { ScalarType } from "../ir/scalar-type.js";
import type { Tensor } from "../ir/tensor.js";
import { DEFAULT_TOLERANCE, type Job, type OutputComparison, type Tolerance } from "../plan/job.js";
import { TrtorchError } from "../util/errors.js";
import { formatError } from "../util/format.js";

/**
 * An output beside its reference: `max|error| <= atol + rtol * (1 + max|ref|)` passes; a NaN on one side only fails. A
 * precision's own tolerance is that of the output's dtype where this is coarser: a model in halves stays so at fp32.
 *
 * @throws TrtorchError `mismatch` where their dims differ
 */
export function compare(name: string, actual: Tensor, expected: Tensor, tolerance: Tolerance): OutputComparison {
  const [a, b] = [actual.toNumbers(), expected.toNumbers()];
  if (actual.sizes.join() !== expected.sizes.join()) {
    throw new TrtorchError(
      "mismatch",
      `${name} is [${actual.sizes.join(", ")}], recorded is [${expected.sizes.join(", ")}]`,
      { hint: "Check that the golden file was recorded with this model file and method." },
    );
  }
  const counts = new Array<number>(BOUNDS.length + 1).fill(0);
  let [maxAbsError, sum, maxAbsReference, nan, referenceNan] = [0, 0, 0, 0, 0];
  let [dot, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    const x = a[i] as number;
    const y = b[i] as number;
    if (Number.isNaN(x)) nan++;
    if (Number.isNaN(y)) referenceNan++;
    else if (Number.isFinite(y)) maxAbsReference = Math.max(maxAbsReference, Math.abs(y));
    const difference = Object.is(x, y) || x === y ? 0 : Math.abs(x - y);
    const error = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference;
    maxAbsError = Math.max(maxAbsError, error);
    sum += error;
    const bin = binOf(error);
    counts[bin] = (counts[bin] as number) + 1;
    dot += x * y;
    aa += x * x;
    bb += y * y;
  }
  const norms = Math.sqrt(aa) * Math.sqrt(bb);
  const { rtol, atol } = widened(tolerance, actual.dtype);
  const allowed = atol + rtol * (1 + maxAbsReference);
  return {
    output: name,
    dims: actual.sizes,
    maxAbsError: finite(maxAbsError),
    meanAbsError: finite(a.length === 0 ? 0 : sum / a.length),
    maxAbsReference,
    allowed,
    cosine: finite(norms === 0 ? Number(aa === bb) : dot / norms),
    nan,
    referenceNan,
    histogram: counts.map((count, i) => ({ below: BOUNDS[i] ?? null, count })),
    passed: maxAbsError <= allowed,
  };
}

/** Outputs by name as they were computed, each {@link compare}d with the reference's in the same place. */
export function compareAll(
  names: readonly string[],
  actual: Readonly<Record<string, Tensor>>,
  expected: readonly Tensor[],
  tolerance: Tolerance,
): OutputComparison[] {
  return names.map((name, i) => compare(name, actual[name] as Tensor, expected[i] as Tensor, tolerance));
}

/** Outputs beyond the tolerance. All of the comparison is kept: it says how far off each output is. */
export class GoldenMismatch extends TrtorchError {
  override readonly name = "GoldenMismatch";
  readonly comparison: readonly OutputComparison[];

  /** `orders`: does the model sort, choose the largest, or suppress boxes? */
  constructor(job: Pick<Job, "golden" | "precision">, comparison: readonly OutputComparison[], orders = false) {
    const { output, device, maxAbsError, allowed } = comparison.find(({ passed }) => !passed) as OutputComparison;
    const how =
      maxAbsError === null
        ? `has other NaNs or infinities than ${job.golden}`
        : `differs from ${job.golden} by ${formatError(maxAbsError)}, allowed is ${formatError(allowed)}`;
    super("mismatch", `${output}${device === undefined ? "" : ` on ${device}`} ${how}`, {
      hint:
        (job.precision === "fp32"
          ? "Check that the golden file was recorded with this model file, in eval mode."
          : `Raise tolerance: for ${job.precision}, or keep operators in fp32: \`trtorch-build precision\` finds fp32_ops.`) +
        (orders ? " The model sorts or selects: equal and nearly equal scores may come in another order." : ""),
    });
    this.comparison = comparison;
  }
}

function widened(tolerance: Tolerance, dtype: ScalarType): Tolerance {
  const own = dtype === "bfloat16" ? DEFAULT_TOLERANCE.bf16 : dtype === "float16" ? DEFAULT_TOLERANCE.fp16 : undefined;
  // One that somebody stated counts as it is.
  const isDefault = Object.values(DEFAULT_TOLERANCE).some(
    ({ rtol, atol }) => rtol === tolerance.rtol && atol === tolerance.atol,
  );
  return own !== undefined && isDefault && own.rtol > tolerance.rtol ? own : tolerance;
}

const BOUNDS = [0, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1, 10];

function binOf(error: number): number {
  if (error === 0) return 0;
  const bin = BOUNDS.findIndex((bound) => error < bound);
  return bin < 0 ? BOUNDS.length : bin;
}

function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}
