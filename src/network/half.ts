import type { DataType } from "./enums.js";

/**
 * Conversion between float32 and the 16-bit floats in plain loops over bits: converting a model's weights takes a few
 * nanoseconds an element.
 */

/** The largest finite float16. */
export const HALF_MAX = 65504;

/** The largest finite bfloat16. */
const BF16_MAX = 3.3895313892515355e38;

/** The largest finite float32. */
export const FLOAT_MAX = 3.4028234663852886e38;

/** The largest finite number of a float type. */
export function largestFinite(type: DataType): number {
  return type === "kHALF" ? HALF_MAX : type === "kBF16" ? BF16_MAX : FLOAT_MAX;
}

/**
 * A finite number so low that softmax gives it no weight beside any other. Not the lowest: attention's kernels multiply by log2(e), to use
 * powers of 2.
 */
export function hidingNumber(type: DataType): number {
  return -largestFinite(type) / 2;
}

/** What a conversion to float16 could not hold. */
export interface Saturation {
  /** Finite values beyond {@link HALF_MAX}, which became it. */
  count: number;
}

/**
 * Rounds to the nearest float16, ties to even. Finite values beyond its range become infinite as in IEEE 754, or with
 * `saturation` the largest finite value, and are counted there. Infinities and NaNs stay.
 */
export function toHalf(values: Float32Array, saturation?: Saturation): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const halves = new Uint16Array(values.length);
  // Adding 0.5 to a value below 2^-14 leaves the float16 subnormal's bits, rounded by the addition itself.
  const float = new Float32Array(1);
  const word = new Uint32Array(float.buffer);
  for (let i = 0; i < bits.length; i++) {
    const all = bits[i] as number;
    const sign = (all >>> 16) & 0x8000;
    const magnitude = all & 0x7fffffff;
    if (magnitude >= 0x38800000 && magnitude < 0x477ff000) {
      halves[i] = sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
    } else if (magnitude < 0x38800000) {
      word[0] = magnitude;
      float[0] = (float[0] as number) + 0.5;
      halves[i] = sign | ((word[0] as number) - 0x3f000000);
    } else if (magnitude > 0x7f800000) {
      halves[i] = sign | 0x7e00;
    } else if (magnitude === 0x7f800000 || saturation === undefined) {
      halves[i] = sign | 0x7c00;
    } else {
      saturation.count++;
      halves[i] = sign | 0x7bff;
    }
  }
  return halves;
}

/** Rounds to the nearest bfloat16, ties to even; NaNs stay. */
export function toBf16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const halves = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) {
    const all = bits[i] as number;
    halves[i] = (all & 0x7fffffff) > 0x7f800000 ? 0x7fc0 : (all + 0x7fff + ((all >>> 16) & 1)) >>> 16;
  }
  return halves;
}

export function fromHalf(halves: Uint16Array): Float32Array {
  const values = new Float32Array(halves.length);
  const bits = new Uint32Array(values.buffer);
  for (let i = 0; i < halves.length; i++) {
    const half = halves[i] as number;
    const sign = (half & 0x8000) << 16;
    const exponent = half & 0x7c00;
    const fraction = half & 0x3ff;
    if (exponent === 0) values[i] = (sign === 0 ? fraction : -fraction) * 2 ** -24;
    else bits[i] = sign | (exponent === 0x7c00 ? 0x7f800000 | (fraction << 13) : ((half & 0x7fff) << 13) + 0x38000000);
  }
  return values;
}

export function fromBf16(halves: Uint16Array): Float32Array {
  const values = new Float32Array(halves.length);
  const bits = new Uint32Array(values.buffer);
  for (let i = 0; i < halves.length; i++) bits[i] = (halves[i] as number) << 16;
  return values;
}
