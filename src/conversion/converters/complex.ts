import { isComplex, type ScalarType, scalarTypeFromCode } from "../../ir/scalar-type.js";
import { sliceAxis } from "../axes.js";
import {
  asValue,
  bilinear,
  floatOf,
  multiplied,
  partsOrReal,
  partwise,
  partwiseWithNumber,
  zerosLike,
} from "../complex.js";
import type { ConversionContext } from "../context.js";
import { castTo, elementWise, floatResult, reshape, resultType } from "../operands.js";
import { type ComplexForm, converter } from "../registry.js";
import { type Parts, type Scalar, TensorValue } from "../values.js";
import { atan2 } from "./element-wise.js";
import { unsqueezed } from "./view.js";

function complexOf(ctx: ConversionContext, real: TensorValue, imag: TensorValue): TensorValue {
  const dtype = floatResult(resultType(real, imag));
  return TensorValue.complex(ctx.network, castTo(ctx, real, dtype), castTo(ctx, imag, dtype));
}

function unary(ctx: ConversionContext, value: TensorValue, operation: "kNEG" | "kEXP" | "kSIN" | "kCOS" | "kSQRT") {
  return ctx.tensorValue(ctx.network.addUnary(value.tensor, operation), value.dtype);
}

function product(ctx: ConversionContext, a: TensorValue, b: TensorValue): TensorValue {
  return elementWise(ctx, a, b, "kPROD");
}

function times(ctx: ConversionContext, x: Parts, y: Parts): TensorValue {
  return multiplied(ctx, x, y, (a, b) => product(ctx, a, b));
}

/** |z|², without a root. */
function squaredAbs(ctx: ConversionContext, { real, imag }: Parts): TensorValue {
  return elementWise(ctx, product(ctx, real, real), product(ctx, imag, imag), "kSUM");
}

function conjugate(ctx: ConversionContext, self: TensorValue): TensorValue {
  const { parts } = self;
  return parts === undefined ? self : complexOf(ctx, parts.real, unary(ctx, parts.imag, "kNEG"));
}

/** 1 / z = conj(z) / |z|². */
function reciprocal(ctx: ConversionContext, parts: Parts): Parts {
  const squared = squaredAbs(ctx, parts);
  const imag = elementWise(ctx, parts.imag, squared, "kDIV");
  return { real: elementWise(ctx, parts.real, squared, "kDIV"), imag: unary(ctx, imag, "kNEG") };
}

/** r · e^{iθ}. */
function polar(ctx: ConversionContext, abs: TensorValue, angle: TensorValue): TensorValue {
  return complexOf(ctx, product(ctx, abs, unary(ctx, angle, "kCOS")), product(ctx, abs, unary(ctx, angle, "kSIN")));
}

/** The parts as a last axis of two. */
export function asPairs(ctx: ConversionContext, self: TensorValue): TensorValue {
  const { real, imag } = self.parts ?? ctx.unsupported("it takes a complex tensor");
  const pair = [real, imag].map((part) => unsqueezed(ctx, part, part.dims.length).tensor);
  return ctx.tensorValue(ctx.network.addConcatenation(pair, real.dims.length));
}

function fromPairs(ctx: ConversionContext, self: TensorValue): TensorValue {
  const axis = self.dims.length - 1;
  const [real, imag] = [0, 1].map((part) => {
    const taken = sliceAxis(ctx, self.tensor, axis, part, 1);
    return ctx.tensorValue(reshape(ctx, taken, self.dims.slice(0, -1)), self.dtype);
  }) as [TensorValue, TensorValue];
  return complexOf(ctx, real, imag);
}

/** From real tensors to complex ones, and back. */
export const parts = [
  converter("aten::complex(Tensor real, Tensor imag) -> Tensor", (ctx, { real, imag }) => complexOf(ctx, real, imag)),
  converter("aten::polar(Tensor abs, Tensor angle) -> Tensor", (ctx, { abs, angle }) => polar(ctx, abs, angle)),
  converter("aten::view_as_complex(Tensor self) -> Tensor", (ctx, { self }) => fromPairs(ctx, self)),
  converter("aten::view_as_complex_copy(Tensor self) -> Tensor", (ctx, { self }) => fromPairs(ctx, self)),
  converter("aten::view_as_real(Tensor self) -> Tensor", (ctx, { self }) => asPairs(ctx, self)),
  converter("aten::view_as_real_copy(Tensor self) -> Tensor", (ctx, { self }) => asPairs(ctx, self)),
  converter("aten::real(Tensor self) -> Tensor", (_ctx, { self }) => self.parts?.real ?? self),
  converter(
    "aten::imag(Tensor self) -> Tensor",
    (ctx, { self }) => self.parts?.imag ?? ctx.unsupported("it takes a complex tensor"),
  ),
];

/** Of a real number: 0, or π where it is negative. */
export const angle = converter("aten::angle(Tensor self) -> Tensor", (ctx, { self }) =>
  atan2(ctx, zerosLike(ctx, self), self),
);

export const conjugates = (["conj", "_conj", "_conj_physical", "conj_physical"] as const).map((name) =>
  converter(`aten::${name}(Tensor self) -> Tensor`, (ctx, { self }) => conjugate(ctx, self)),
);

/** What moves numbers about, or adds them up, does so with each part. */
const MOVING = `
  view reshape view_copy _unsafe_view view_as flatten.using_ints unflatten.int unsqueeze unsqueeze_copy squeeze squeeze.dim
  squeeze.dims squeeze_copy.dim permute permute_copy transpose.int transpose_copy.int t numpy_T swapaxes swapdims movedim.int
  movedim.intlist moveaxis.int select.int select_copy.int slice.Tensor slice_copy.Tensor narrow expand expand_as expand_copy
  repeat tile roll flip cat concat concatenate stack hstack vstack chunk split.Tensor split.sizes split_with_sizes unbind.int
  index_select index.Tensor gather diagonal tril triu unfold slice_scatter select_scatter index_put copy where.self
  sum sum.dim_IntList mean mean.dim cumsum neg mul.Scalar div.Scalar add.Tensor sub.Tensor rsub.Tensor
  fft_fftshift fft_ifftshift`;

export const moving = [
  ...partwise(...named(MOVING)),
  ...partwiseWithNumber("other", ...named("add.Scalar sub.Scalar rsub.Scalar")),
  ...partwiseWithNumber("value", ...named("constant_pad_nd pad masked_fill.Scalar fill.Scalar")),
];

export const products = bilinear(...named("mul.Tensor matmul mm bmm mv dot outer einsum"));

function named(list: string): string[] {
  return list
    .trim()
    .split(/\s+/)
    .map((name) => `aten::${name}`);
}

/** Functions of complex tensors by their formulas. */
export const functions: ComplexForm[] = [
  ...["aten::abs", "aten::absolute"].map((complex) => of(complex, (ctx, z) => unary(ctx, squaredAbs(ctx, z), "kSQRT"))),
  of("aten::angle", (ctx, { real, imag }) => atan2(ctx, imag, real)),
  of("aten::square", (ctx, z) => times(ctx, z, z)),
  of("aten::exp", (ctx, { real, imag }) => polar(ctx, unary(ctx, real, "kEXP"), imag)),
  of("aten::reciprocal", (ctx, z) => {
    const { real, imag } = reciprocal(ctx, z);
    return complexOf(ctx, real, imag);
  }),
  {
    complex: "aten::div.Tensor",
    convert: (ctx, args, onReal) => {
      const { self, other } = args as { self: TensorValue; other: TensorValue };
      if (other.parts !== undefined) return times(ctx, partsOrReal(ctx, self), reciprocal(ctx, other.parts));
      const [real, imag] = [self.parts?.real, self.parts?.imag].map((part) =>
        asValue(ctx, onReal({ ...args, self: part })),
      );
      return complexOf(ctx, real as TensorValue, imag as TensorValue);
    },
  },
  {
    complex: "aten::pow.Tensor_Scalar",
    convert: (ctx, args) => {
      const { self, exponent } = args as { self: TensorValue; exponent: Scalar };
      const power = Number(exponent.value);
      if (!Number.isInteger(power) || power < 1 || power > 8)
        ctx.unsupported("complex tensors have powers 1 to 8 here");
      let result = self;
      for (let i = 1; i < power; i++) result = times(ctx, result.parts as Parts, self.parts as Parts);
      return result;
    },
  },
  ...named("zeros_like ones_like full_like empty_like new_zeros new_ones new_full new_empty").map(
    (complex): ComplexForm => ({
      complex,
      convert: (ctx, args, onReal) => {
        const { self, dtype } = args as { self: TensorValue; dtype: ScalarType | null };
        const { real } = self.parts as Parts;
        const isReal = dtype !== null && !isComplex(dtype);
        const made = asValue(ctx, onReal({ ...args, self: real, dtype: isReal ? dtype : real.dtype }));
        return isReal ? made : complexOf(ctx, made, zerosLike(ctx, made));
      },
    }),
  ),
  ...["to.dtype", "to.device", "to.dtype_layout", "to.prim_dtype", "to.prim_Device", "_to_copy", "to.other"].map(
    (name): ComplexForm => ({
      complex: `aten::${name}`,
      convert: (ctx, args, onReal) => {
        const { self, dtype, other } = args as { self: TensorValue; dtype?: ScalarType | number; other?: TensorValue };
        const wanted = (typeof dtype === "number" ? scalarTypeFromCode(dtype) : dtype) ?? other?.dtype ?? self.dtype;
        const { real, imag } = partsOrReal(ctx, self);
        // The imaginary part is dropped, as PyTorch does with a warning.
        if (!isComplex(wanted)) return onReal({ ...args, self: real });
        return complexOf(ctx, castTo(ctx, real, floatOf(wanted)), castTo(ctx, imag, floatOf(wanted)));
      },
    }),
  ),
];

function of(complex: string, convert: (ctx: ConversionContext, parts: Parts) => TensorValue): ComplexForm {
  return { complex, convert: (ctx, { self }) => convert(ctx, (self as TensorValue).parts as Parts) };
}
