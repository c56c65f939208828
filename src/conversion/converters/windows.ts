import type { ScalarType } from "../../ir/scalar-type.js";
import { Tensor } from "../../ir/tensor.js";
import type { ConversionContext } from "../context.js";
import { converter } from "../registry.js";
import type { TensorValue } from "../values.js";

const OPTIONS = "ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None";

/** The height of a window at `x`, from 0 to 1 over its length. */
type Shape = (x: number) => number;

/** Periodic windows are symmetric ones of one number more, without the last. */
function windowOf(
  ctx: ConversionContext,
  length: number,
  periodic: boolean,
  dtype: ScalarType | null,
  shape: Shape,
): TensorValue {
  const last = periodic ? length : length - 1;
  const numbers = Array.from({ length }, (_, i) => (length === 1 ? 1 : shape(i / last)));
  return ctx.constantTensor(Tensor.of(dtype ?? "float32", [length], numbers));
}

const cosine =
  (alpha: number, beta: number): Shape =>
  (x) =>
    alpha - beta * Math.cos(2 * Math.PI * x);
const bartlett: Shape = (x) => 1 - Math.abs(2 * x - 1);
const blackman: Shape = (x) => 0.42 - 0.5 * Math.cos(2 * Math.PI * x) + 0.08 * Math.cos(4 * Math.PI * x);

/** I0(β √(1 - (2x - 1)²)) / I0(β). */
const kaiser =
  (beta: number): Shape =>
  (x) =>
    besselI0(beta * Math.sqrt(Math.max(1 - (2 * x - 1) ** 2, 0))) / besselI0(beta);

/** The modified Bessel function of order 0 by its power series, Σ ((x/2)^k / k!)². */
function besselI0(x: number): number {
  let [sum, term] = [1, 1];
  for (let k = 1; term > sum * 1e-17; k++) {
    term *= (x / 2 / k) ** 2;
    sum += term;
  }
  return sum;
}

const SHAPES = { hann: cosine(0.5, 0.5), hamming: cosine(0.54, 0.46), bartlett, blackman, kaiser: kaiser(12) } as const;

export const windows = (["hann", "hamming", "bartlett", "blackman", "kaiser"] as const).flatMap((name) => [
  converter(`aten::${name as "hann"}_window(int window_length, *, ${OPTIONS}) -> Tensor`, (ctx, args) =>
    windowOf(ctx, args.window_length, true, args.dtype, SHAPES[name]),
  ),
  converter(
    `aten::${name as "hann"}_window.periodic(int window_length, bool periodic, *, ${OPTIONS}) -> Tensor`,
    (ctx, args) => windowOf(ctx, args.window_length, args.periodic, args.dtype, SHAPES[name]),
  ),
]);

export const shapedWindows = [
  converter(
    `aten::hamming_window.periodic_alpha(int window_length, bool periodic, float alpha, *, ${OPTIONS}) -> Tensor`,
    (ctx, args) => windowOf(ctx, args.window_length, args.periodic, args.dtype, cosine(args.alpha, 0.46)),
  ),
  converter(
    `aten::hamming_window.periodic_alpha_beta(int window_length, bool periodic, float alpha, float beta, *, ${OPTIONS}) -> Tensor`,
    (ctx, args) => windowOf(ctx, args.window_length, args.periodic, args.dtype, cosine(args.alpha, args.beta)),
  ),
  converter(
    `aten::kaiser_window.beta(int window_length, bool periodic, float beta, *, ${OPTIONS}) -> Tensor`,
    (ctx, args) => windowOf(ctx, args.window_length, args.periodic, args.dtype, kaiser(args.beta)),
  ),
];
