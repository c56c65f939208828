/**
 * The largest int of PyTorch as a double holds it, which is rounded up by one: the "to the end" of a slice, the trips of
 * a loop without a limit.
 */
export const INT64_MAX = 2 ** 63;

/** Saturates: {@link INT64_MAX} is 2^63 - 1. */
export function toInt64(value: number): bigint {
  if (value >= INT64_MAX) return 2n ** 63n - 1n;
  if (value <= -INT64_MAX) return -(2n ** 63n);
  return BigInt(Math.trunc(value));
}

/** What is left of an int in 64 bits; undefined where a double does not hold it exactly. */
export function fromInt64(value: bigint): number | undefined {
  const wrapped = BigInt.asIntN(64, value);
  return toInt64(Number(wrapped)) === wrapped ? Number(wrapped) : undefined;
}
