import { Tensor } from "../../ir/tensor.js";
import type { ITensor } from "../../network/layers.js";
import { add, type Dim, floordiv, min, sub } from "../../network/symbolic.js";
import { makeWeights, numbersOf } from "../../network/weights.js";
import { inversePermutation, movedAxis, padAxes, permute, requireStatic, sliceAxis } from "../axes.js";
import type { ConversionContext } from "../context.js";
import { castTo, normalizeAxis, reshape } from "../operands.js";
import { type Converter, converter } from "../registry.js";
import * as scalars from "../scalars.js";
import { TensorValue } from "../values.js";
import { asPairs } from "./complex.js";
import { filled } from "./creation.js";
import { padded } from "./pad.js";
import { rolled } from "./rearrange.js";

// Transforms of fixed length as products with the matrix of their sines and cosines: TensorRT has no others. The
// longest one has 64 MiB of weights for a real signal, 256 MiB for a complex one.

const LONGEST = 4096;

function ofFixedLength(converters: readonly Converter[]): Converter[] {
  return converters.map((made) => ({ ...made, notes: { limits: `the length is fixed, and at most ${LONGEST}` } }));
}

/** Which exponent, e^{-2πi jk/n} or e^{+2πi jk/n}, and what each sum is multiplied with. */
interface Direction {
  readonly forward: boolean;
  readonly scale: number;
}

type Norm = string | null;

/** What a transform along an axis of n numbers does. */
type Choose = (n: number) => Direction;

/** at::native::fft_norm_mode, an axis at a time: no factor, 1/√n, 1/n. */
const FACTORS: readonly ((n: number) => number)[] = [() => 1, (n) => 1 / Math.sqrt(n), (n) => 1 / n];

function normalized(ctx: ConversionContext, forward: boolean, mode: number): Choose {
  const factor = FACTORS[mode] ?? ctx.unsupported(`unknown normalization ${mode}`);
  return (n) => ({ forward, scale: factor(n) });
}

/** torch.fft's `norm`: where the factor 1/n goes. */
function direction(ctx: ConversionContext, forward: boolean, norm: Norm): Choose {
  const modes = { backward: forward ? 0 : 2, forward: forward ? 2 : 0, ortho: 1 };
  const mode = modes[(norm ?? "backward") as keyof typeof modes] ?? ctx.unsupported(`unknown norm "${norm}"`);
  return normalized(ctx, forward, mode);
}

/** cos and sin of 2πjk/n, exact in the angle however large j and k are. */
function angle(j: number, k: number, n: number): [cos: number, sin: number] {
  const turn = (2 * Math.PI * ((j * k) % n)) / n;
  return [Math.cos(turn), Math.sin(turn)];
}

/** `x · matrix` along the last axis. */
function times(ctx: ConversionContext, x: ITensor, rows: number, columns: number, matrix: Float32Array): ITensor {
  const rank = Math.max(x.dims.length, 2);
  const left = x.dims.length < 2 ? reshape(ctx, x, [1, ...x.dims]) : x;
  const dims = [...Array.from({ length: rank - 2 }, () => 1), rows, columns];
  const right = ctx.network.addConstant(makeWeights("kFLOAT", dims, matrix));
  const result = ctx.network.addMatrixMultiply(left, "kNONE", right, "kNONE");
  return x.dims.length < 2 ? reshape(ctx, result, [columns]) : result;
}

function lastAxis(ctx: ConversionContext, x: ITensor, start: number, length: number): ITensor {
  return sliceAxis(ctx, x, x.dims.length - 1, start, length);
}

/** Does `work` with the parts along an axis brought to the end, in float32; null for a real tensor's imaginary part. */
function alongAxis(
  ctx: ConversionContext,
  self: TensorValue,
  dim: number,
  work: (real: ITensor, imag: ITensor | null, length: number) => readonly ITensor[],
): TensorValue {
  const rank = self.dims.length;
  const axis = normalizeAxis(ctx, dim, rank);
  const [length] = requireStatic(ctx, [self.dims[axis] as Dim], "the length of a Fourier transform") as [number];
  const order = movedAxis(rank, axis, rank - 1);
  const dtype = self.dtype === "complex128" || self.dtype === "float64" ? "float64" : "float32";
  const prepare = (part: TensorValue): ITensor => permute(ctx, castTo(ctx, part, dtype).tensor, order);
  const { real, imag } = self.parts ?? { real: self, imag: null };
  const results = work(prepare(real), imag && prepare(imag), length).map((result) =>
    ctx.tensorValue(permute(ctx, result, inversePermutation(order)), dtype),
  );
  const [first, second] = results as [TensorValue, TensorValue?];
  return second === undefined ? first : TensorValue.complex(ctx.network, first, second);
}

function checkLength(ctx: ConversionContext, n: number): number {
  if (n < 1) ctx.unsupported(`a Fourier transform of length ${n}`);
  if (n > LONGEST) {
    ctx.unsupported(
      `a Fourier transform of length ${n} is a product with a matrix of ${n} x ${n}; ${LONGEST} is the longest`,
      "Keep this part out of the engine.",
    );
  }
  return n;
}

/** X_k = scale · Σ_j x_j e^{∓2πi jk/n} for the first `bins` k; x is cut or filled with zeros to n. */
function toSpectrum(
  ctx: ConversionContext,
  self: TensorValue,
  dim: number,
  size: number | null,
  choose: Choose,
  onesided: boolean,
): TensorValue {
  return alongAxis(ctx, self, dim, (real, imag, length) => {
    const n = checkLength(ctx, size ?? length);
    const { forward, scale } = choose(n);
    const bins = onesided ? Math.floor(n / 2) + 1 : n;
    const rows = Math.min(length, n);
    const inputs = [real, ...(imag === null ? [] : [imag])].map((part) => lastAxis(ctx, part, 0, rows));
    const matrix = new Float32Array(inputs.length * rows * 2 * bins);
    for (let j = 0; j < rows; j++) {
      for (let k = 0; k < bins; k++) {
        const [cos, sin] = angle(j, k, n);
        const [c, s] = [scale * cos, (forward ? -scale : scale) * sin];
        // (a + bi)(c + si) = (ac - bs) + (as + bc)i
        matrix[j * 2 * bins + k] = c;
        matrix[j * 2 * bins + bins + k] = s;
        if (imag === null) continue;
        matrix[(rows + j) * 2 * bins + k] = -s;
        matrix[(rows + j) * 2 * bins + bins + k] = c;
      }
    }
    const joined = ctx.network.addConcatenation(inputs, real.dims.length - 1);
    const result = times(ctx, joined, inputs.length * rows, 2 * bins, matrix);
    return [lastAxis(ctx, result, 0, bins), lastAxis(ctx, result, bins, bins)];
  });
}

/**
 * How often a number of half a spectrum counts: the first and, for an even length, the middle one stand for themselves, all
 * others also for their conjugate.
 */
function occurrences(k: number, n: number): number {
  return k === 0 || 2 * k === n ? 1 : 2;
}

/** The real x_j = scale · Σ_k X_k e^{±2πi jk/n} of a spectrum whose other half is its conjugate. */
function toReal(
  ctx: ConversionContext,
  self: TensorValue,
  dim: number,
  size: number | null,
  choose: Choose,
): TensorValue {
  return alongAxis(ctx, self, dim, (real, imag, length) => {
    const n = checkLength(ctx, size ?? 2 * (length - 1));
    const { forward, scale } = choose(n);
    const rows = Math.min(length, Math.floor(n / 2) + 1);
    const inputs = [real, ...(imag === null ? [] : [imag])].map((part) => lastAxis(ctx, part, 0, rows));
    const matrix = new Float32Array(inputs.length * rows * n);
    for (let k = 0; k < rows; k++) {
      const twice = scale * occurrences(k, n);
      for (let j = 0; j < n; j++) {
        const [cos, sin] = angle(j, k, n);
        matrix[k * n + j] = twice * cos;
        if (imag !== null) matrix[(rows + k) * n + j] = (forward ? twice : -twice) * sin;
      }
    }
    const joined = ctx.network.addConcatenation(inputs, real.dims.length - 1);
    return [times(ctx, joined, inputs.length * rows, n, matrix)];
  });
}

// --- torch.fft -------------------------------------------------------------------------------------------------------

const ONE = "Tensor self, SymInt? n=None, int dim=-1, str? norm=None";
const TWO = "Tensor self, SymInt[1]? s=None, int[1] dim=[-2,-1], str? norm=None";
const MANY = "Tensor self, SymInt[1]? s=None, int[1]? dim=None, str? norm=None";

function lengthOf(ctx: ConversionContext, n: Dim | null): number | null {
  return n === null || n === -1 ? null : (requireStatic(ctx, [n], "the length of a Fourier transform")[0] as number);
}

export const lines = ofFixedLength([
  ...(["fft", "ifft"] as const).map((name) =>
    converter(`aten::fft_${name as "fft"}(${ONE}) -> Tensor`, (ctx, { self, n, dim, norm }) =>
      toSpectrum(ctx, self, dim, lengthOf(ctx, n), direction(ctx, name === "fft", norm), false),
    ),
  ),
  ...(["rfft", "ihfft"] as const).map((name) =>
    converter(`aten::fft_${name as "rfft"}(${ONE}) -> Tensor`, (ctx, { self, n, dim, norm }) =>
      toSpectrum(ctx, self, dim, lengthOf(ctx, n), direction(ctx, name === "rfft", norm), true),
    ),
  ),
  ...(["irfft", "hfft"] as const).map((name) =>
    converter(`aten::fft_${name as "irfft"}(${ONE}) -> Tensor`, (ctx, { self, n, dim, norm }) =>
      toReal(ctx, self, dim, lengthOf(ctx, n), direction(ctx, name === "hfft", norm)),
    ),
  ),
]);

/** An axis of a transform of several, with its length where one is given. */
interface Axis {
  readonly axis: number;
  readonly n: number | null;
}

interface Several {
  readonly self: TensorValue;
  readonly s: readonly Dim[] | null;
  readonly dim: readonly number[] | null;
  readonly norm: Norm;
}

function axesOf(ctx: ConversionContext, { self, s, dim }: Several): Axis[] {
  const rank = self.dims.length;
  const axes = dim ?? Array.from({ length: s?.length ?? rank }, (_, i) => rank - (s?.length ?? rank) + i);
  return axes.map((axis, i) => ({ axis, n: lengthOf(ctx, s?.[i] ?? null) }));
}

function whole(axes: readonly number[]): Axis[] {
  return axes.map((axis) => ({ axis, n: null }));
}

function several(ctx: ConversionContext, self: TensorValue, axes: readonly Axis[], choose: Choose): TensorValue {
  return axes.reduce((value, { axis, n }) => toSpectrum(ctx, value, axis, n, choose, false), self);
}

function lastOf(ctx: ConversionContext, axes: readonly Axis[]): Axis {
  return axes.at(-1) ?? ctx.unsupported("a Fourier transform along no axis");
}

/** The last axis first: it is the one whose input is real. */
function severalFromReal(
  ctx: ConversionContext,
  self: TensorValue,
  axes: readonly Axis[],
  choose: Choose,
  onesided = true,
): TensorValue {
  const { axis, n } = lastOf(ctx, axes);
  return several(ctx, toSpectrum(ctx, self, axis, n, choose, onesided), axes.slice(0, -1), choose);
}

function severalToReal(ctx: ConversionContext, self: TensorValue, axes: readonly Axis[], choose: Choose): TensorValue {
  const { axis, n } = lastOf(ctx, axes);
  return toReal(ctx, several(ctx, self, axes.slice(0, -1), choose), axis, n, choose);
}

function ofSeveral(work: typeof several, forward: boolean): (ctx: ConversionContext, args: Several) => TensorValue {
  return (ctx, args) => work(ctx, args.self, axesOf(ctx, args), direction(ctx, forward, args.norm));
}

export const planes = ofFixedLength([
  converter(`aten::fft_fft2(${TWO}) -> Tensor`, ofSeveral(several, true)),
  converter(`aten::fft_ifft2(${TWO}) -> Tensor`, ofSeveral(several, false)),
  converter(`aten::fft_rfft2(${TWO}) -> Tensor`, ofSeveral(severalFromReal, true)),
  converter(`aten::fft_irfft2(${TWO}) -> Tensor`, ofSeveral(severalToReal, false)),
  converter(`aten::fft_fftn(${MANY}) -> Tensor`, ofSeveral(several, true)),
  converter(`aten::fft_ifftn(${MANY}) -> Tensor`, ofSeveral(several, false)),
  converter(`aten::fft_rfftn(${MANY}) -> Tensor`, ofSeveral(severalFromReal, true)),
  converter(`aten::fft_irfftn(${MANY}) -> Tensor`, ofSeveral(severalToReal, false)),
]);

/** What torch.fft is made of. */
export const core = ofFixedLength([
  converter(
    "aten::_fft_r2c(Tensor self, int[] dim, int normalization, bool onesided) -> Tensor",
    (ctx, { self, dim, normalization, onesided }) =>
      severalFromReal(ctx, self, whole(dim), normalized(ctx, true, normalization), onesided),
  ),
  converter(
    "aten::_fft_c2c(Tensor self, SymInt[] dim, int normalization, bool forward) -> Tensor",
    (ctx, { self, dim, normalization, forward }) => {
      const axes = requireStatic(ctx, dim, "the axes of a Fourier transform");
      return several(ctx, self, whole(axes), normalized(ctx, forward, normalization));
    },
  ),
  converter(
    "aten::_fft_c2r(Tensor self, int[] dim, int normalization, SymInt last_dim_size) -> Tensor",
    (ctx, { self, dim, normalization, last_dim_size }) => {
      const axes = [...whole(dim.slice(0, -1)), { axis: dim.at(-1) ?? -1, n: lengthOf(ctx, last_dim_size) }];
      return severalToReal(ctx, self, axes, normalized(ctx, false, normalization));
    },
  ),
]);

/** Frequency 0 in the middle, and back at the beginning. */
export const shifts = (["fft_fftshift", "fft_ifftshift"] as const).map((name) =>
  converter(`aten::${name as "fft_fftshift"}(Tensor self, int[1]? dim=None) -> Tensor`, (ctx, { self, dim }) => {
    const axes = dim ?? self.dims.map((_, axis) => axis);
    const by = axes.map((axis) => {
      const size = self.dims[normalizeAxis(ctx, axis, self.dims.length)] as Dim;
      return floordiv(name === "fft_fftshift" ? size : add(size, 1), 2);
    });
    return rolled(ctx, self, by, axes);
  }),
);

/** Frequencies of the bins, in cycles a unit of the spacing d. */
export const frequencies = (["fft_fftfreq", "fft_rfftfreq"] as const).map((name) =>
  converter(
    `aten::${name as "fft_fftfreq"}(int n, float d=1.0, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor`,
    (ctx, { n, d, dtype }) => {
      const bins = name === "fft_rfftfreq" ? Math.floor(n / 2) + 1 : n;
      const numbers = Array.from(
        { length: bins },
        (_, k) => (bins === n && k >= Math.ceil(n / 2) ? k - n : k) / (n * d),
      );
      return ctx.constantTensor(Tensor.of(dtype ?? "float32", [bins], numbers));
    },
  ),
);

// --- Short-time transforms -------------------------------------------------------------------------------------------

interface Frames {
  readonly n: number;
  readonly hop: number;
  /** Of n numbers. */
  readonly window: Float64Array;
  readonly bins: number;
  readonly scale: number;
}

function frames(
  ctx: ConversionContext,
  n: number,
  hop: number | null,
  length: number | null,
  window: TensorValue | null,
  bins: number,
  scale: number,
): Frames {
  checkLength(ctx, n);
  const width = length ?? n;
  const numbers = new Float64Array(n);
  const left = Math.floor((n - width) / 2);
  if (window === null) numbers.fill(1, left, left + width);
  else {
    const { weights } = window;
    if (weights === null)
      return ctx.unsupported("the window must be known at build time", "Register it as a buffer of the module.");
    numbers.set(numbersOf(weights) as ArrayLike<number>, left);
  }
  return { n, hop: hop ?? Math.floor(n / 4), window: numbers, bins, scale };
}

/** Windows every `hop` samples, each transformed: a convolution whose kernels are the windowed sines and cosines. */
function stft(ctx: ConversionContext, signal: TensorValue, { n, hop, window, bins, scale }: Frames): TensorValue {
  const { network } = ctx;
  const x = castTo(ctx, signal, "float32").tensor;
  const samples = x.dims.at(-1) as Dim;
  const batch = x.dims.slice(0, -1);
  const kernel = new Float32Array(2 * bins * n);
  for (let k = 0; k < bins; k++) {
    for (let j = 0; j < n; j++) {
      const [cos, sin] = angle(j, k, n);
      kernel[k * n + j] = scale * (window[j] as number) * cos;
      kernel[(bins + k) * n + j] = -scale * (window[j] as number) * sin;
    }
  }
  const image = reshape(ctx, x, [batch[0] ?? 1, 1, 1, samples]);
  const weights = makeWeights("kFLOAT", [2 * bins, 1, 1, n], kernel);
  const result = network.addConvolutionNd(image, 2 * bins, [1, n], weights, null, { strideNd: [1, hop] });
  const count = result.dims[3] as Dim;
  const [real, imag] = [0, bins].map((start) => {
    const size = [result.dims[0] as Dim, bins, 1, count];
    const part = network.addSlice(result, [0, start, 0, 0], size, [1, 1, 1, 1]);
    return ctx.tensorValue(reshape(ctx, part, [...batch, bins, count]));
  }) as [TensorValue, TensorValue];
  return TensorValue.complex(ctx.network, real, imag);
}

interface StftArguments {
  readonly self: TensorValue;
  readonly n_fft: number;
  readonly hop_length: number | null;
  readonly win_length: number | null;
  readonly window: TensorValue | null;
  readonly normalized: boolean;
  readonly onesided: boolean | null;
  readonly return_complex: boolean | null;
}

function stftOf(ctx: ConversionContext, args: StftArguments, signal: TensorValue): TensorValue {
  const { n_fft: n, hop_length, win_length, window, normalized, onesided, return_complex } = args;
  if (signal.parts !== undefined) ctx.unsupported("stft of a complex signal");
  const bins = (onesided ?? true) ? Math.floor(n / 2) + 1 : n;
  const scale = normalized ? 1 / Math.sqrt(n) : 1;
  const spectrum = stft(ctx, signal, frames(ctx, n, hop_length, win_length, window, bins, scale));
  return return_complex === true ? spectrum : asPairs(ctx, spectrum);
}

export const shortTime = ofFixedLength([
  converter(
    "aten::stft(Tensor self, int n_fft, int? hop_length=None, int? win_length=None, Tensor? window=None, bool normalized=False, bool? onesided=None, bool? return_complex=None, bool? align_to_window=None) -> Tensor",
    (ctx, args) => stftOf(ctx, args, args.self),
  ),
  converter(
    'aten::stft.center(Tensor self, int n_fft, int? hop_length=None, int? win_length=None, Tensor? window=None, bool center=True, str pad_mode="reflect", bool normalized=False, bool? onesided=None, bool? return_complex=None, bool? align_to_window=None) -> Tensor',
    (ctx, args) => {
      const side = args.center ? Math.floor(args.n_fft / 2) : 0;
      return stftOf(ctx, args, padded(ctx, args.self, [side, side], args.pad_mode));
    },
  ),
  converter(
    "aten::istft(Tensor self, int n_fft, int? hop_length=None, int? win_length=None, Tensor? window=None, bool center=True, bool normalized=False, bool? onesided=None, int? length=None, bool return_complex=False) -> Tensor",
    (ctx, { self, n_fft: n, hop_length, win_length, window, center, normalized, onesided, length, return_complex }) => {
      if (return_complex) ctx.unsupported("istft with a complex result");
      const rank = self.dims.length;
      const [bins] = requireStatic(ctx, [self.dims[rank - 2] as Dim], "the number of frequencies") as [number];
      if (!(onesided ?? bins !== n)) ctx.unsupported("istft of both sides of a spectrum");
      const scale = normalized ? 1 / Math.sqrt(n) : 1 / n;
      const framing = frames(ctx, n, hop_length, win_length, window, bins, scale);
      const start = center ? Math.floor(n / 2) : 0;
      const whole = overlapped(ctx, self, framing);
      const end = length === null ? sub(whole.dims[1] as Dim, start) : min(add(start, length), whole.dims[1] as Dim);
      const cut = sliceAxis(ctx, whole, 1, start, sub(end, start));
      const samples = cut.dims[1] as Dim;
      const missing = length === null ? 0 : sub(length, samples);
      const filledUp = padAxes(ctx, cut, [0, 0], [0, missing], "kFILL", 0);
      return reshape(ctx, filledUp, [...self.dims.slice(0, -2), length ?? samples]);
    },
  ),
]);

/**
 * The frames' signals, windowed again and added up where they overlap, divided by the windows' sum of squares: transposed
 * convolutions. [batch, samples]
 */
function overlapped(ctx: ConversionContext, self: TensorValue, { n, hop, window, bins, scale }: Frames): ITensor {
  const { network } = ctx;
  const { real, imag } = self.parts ?? ctx.unsupported("istft of a real tensor", "Pass a complex spectrum.");
  const batch = self.dims.length === 3 ? (self.dims[0] as Dim) : 1;
  const count = self.dims.at(-1) as Dim;
  const images = [real, imag].map((part) => reshape(ctx, castTo(ctx, part, "float32").tensor, [batch, bins, 1, count]));
  const kernel = new Float32Array(2 * bins * n);
  const squares = new Float32Array(n);
  for (let j = 0; j < n; j++) {
    const w = window[j] as number;
    squares[j] = w * w;
    for (let k = 0; k < bins; k++) {
      const [cos, sin] = angle(j, k, n);
      const twice = scale * occurrences(k, n);
      kernel[k * n + j] = w * twice * cos;
      kernel[(bins + k) * n + j] = -w * twice * sin;
    }
  }
  const options = { strideNd: [1, hop] };
  const weights = makeWeights("kFLOAT", [2 * bins, 1, 1, n], kernel);
  const sum = network.addDeconvolutionNd(network.addConcatenation(images, 1), 1, [1, n], weights, null, options);
  const ones = filled(ctx, [1, 1, 1, count], scalars.float(1), "float32").tensor;
  const squared = makeWeights("kFLOAT", [1, 1, 1, n], squares);
  const envelope = network.addDeconvolutionNd(ones, 1, [1, n], squared, null, options);
  const signal = network.addElementWise(sum, envelope, "kDIV");
  return reshape(ctx, signal, [batch, signal.dims[3] as Dim]);
}
