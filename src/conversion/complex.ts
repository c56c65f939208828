import { isComplex, isFloatingPoint, type ScalarType } from "../ir/scalar-type.js";
import type { ITensor } from "../network/layers.js";
import type { ConversionContext } from "./context.js";
import { filled } from "./converters/creation.js";
import { elementWise } from "./operands.js";
import type { ComplexForm, Converter } from "./registry.js";
import * as scalars from "./scalars.js";
import { holdsComplex, type Parts, Scalar, TensorValue } from "./values.js";

// TensorRT has real tensors only: a complex one is a pair of them, and what is computed with it is computed on its parts.

type Arguments = Record<string, unknown>;
type OnReal = (args: Arguments) => unknown;

/** What a converter gives where complex tensors take part; undefined where none does, or where nothing is known of them. */
export function convertComplex(ctx: ConversionContext, converter: Converter, args: Arguments): unknown {
  if (converter.role === "evaluator") return undefined;
  const onReal: OnReal = (other) => converter.convert(ctx, other);
  if (Object.values(args).some(holdsComplex)) {
    return ctx.registry.findComplexForm(converter)?.convert(ctx, args, onReal);
  }
  const { dtype } = args as { dtype?: unknown };
  if (typeof dtype !== "string" || !isComplex(dtype as ScalarType)) return undefined;
  // Made or cast as complex: what it is as a float, and no imaginary part.
  const real = asValue(ctx, onReal({ ...args, dtype: floatOf(dtype as ScalarType) }));
  return TensorValue.complex(ctx.network, real, zerosLike(ctx, real));
}

/** `parts` of a tensor that may be real. */
export function partsOrReal(ctx: ConversionContext, value: TensorValue): Parts {
  return value.parts ?? { real: value, imag: zerosLike(ctx, value) };
}

export function zerosLike(ctx: ConversionContext, { dims, dtype }: TensorValue): TensorValue {
  return filled(ctx, dims, scalars.float(0), isFloatingPoint(dtype) ? dtype : "float32");
}

export function asValue(ctx: ConversionContext, result: unknown): TensorValue {
  return result instanceof TensorValue ? result : ctx.tensorValue(result as ITensor);
}

/** The operators are linear in their tensors: each part of the result is the operator of these parts. */
export function partwise(...operators: readonly string[]): ComplexForm[] {
  return operators.map((complex) => ({ complex, convert: (ctx, args, onReal) => onParts(ctx, args, onReal) }));
}

/** As {@link partwise}, for operators that also put a number, the argument of that name, somewhere: it is real. */
export function partwiseWithNumber(name: string, ...operators: readonly string[]): ComplexForm[] {
  return operators.map((complex) => ({ complex, convert: (ctx, args, onReal) => onParts(ctx, args, onReal, name) }));
}

/** Arguments that say where numbers are, and are none. */
const PLACES: ReadonlySet<string> = new Set(["index", "indices", "condition", "mask"]);

/** The dtype of a complex tensor's parts. */
export function floatOf(dtype: ScalarType): ScalarType {
  return dtype === "complex128" ? "float64" : "float32";
}

function onParts(ctx: ConversionContext, args: Arguments, onReal: OnReal, number?: string): unknown {
  const { dtype } = args as { dtype?: ScalarType | null };
  const float = { ...args, ...(dtype != null && isComplex(dtype) && { dtype: floatOf(dtype) }) };
  const real = replaceTensors(float, (value) => value.parts?.real ?? value);
  const imag = replaceTensors(float, (value) => value.parts?.imag ?? zerosLike(ctx, value), PLACES);
  if (number !== undefined && imag[number] !== null) {
    imag[number] = imag[number] instanceof Scalar ? scalars.float(0) : 0;
  }
  return join(ctx, onReal(real), onReal(imag));
}

function join(ctx: ConversionContext, real: unknown, imag: unknown): unknown {
  if (Array.isArray(real)) return real.map((item, i) => join(ctx, item, (imag as unknown[])[i]));
  return TensorValue.complex(ctx.network, asValue(ctx, real), asValue(ctx, imag));
}

/** The operators are linear in each of two tensors, as products are. */
export function bilinear(...operators: readonly string[]): ComplexForm[] {
  return operators.map((complex) => ({
    complex,
    convert: (ctx, args, onReal) => {
      const tensors = tensorsOf(args);
      if (tensors.length === 1) return onParts(ctx, args, onReal);
      const [x, y] = tensors as [TensorValue, TensorValue];
      if (tensors.length > 2)
        return ctx.unsupported("only products of two complex tensors are computed on their parts");
      const product = (a: TensorValue, b: TensorValue): TensorValue =>
        asValue(ctx, onReal(replaceTensors(args, (value, i) => (i === 0 ? a : i === 1 ? b : value))));
      if (x.parts !== undefined && y.parts !== undefined) return multiplied(ctx, x.parts, y.parts, product);
      const [real, imag] =
        x.parts === undefined ? partsOf(y).map((part) => product(x, part)) : partsOf(x).map((part) => product(part, y));
      return TensorValue.complex(ctx.network, real as TensorValue, imag as TensorValue);
    },
  }));
}

/** (a + bi)(c + di) by four products of real tensors. */
export function multiplied(
  ctx: ConversionContext,
  x: Parts,
  y: Parts,
  product: (a: TensorValue, b: TensorValue) => TensorValue,
): TensorValue {
  const real = elementWise(ctx, product(x.real, y.real), product(x.imag, y.imag), "kSUB");
  const imag = elementWise(ctx, product(x.real, y.imag), product(x.imag, y.real), "kSUM");
  return TensorValue.complex(ctx.network, real, imag);
}

function partsOf({ parts }: TensorValue): TensorValue[] {
  return parts === undefined ? [] : [parts.real, parts.imag];
}

/** The tensors among the arguments, in order. */
function tensorsOf(args: Arguments): TensorValue[] {
  return Object.values(args)
    .flat()
    .filter((value) => value instanceof TensorValue);
}

function replaceTensors(
  args: Arguments,
  replace: (value: TensorValue, index: number) => TensorValue,
  without: ReadonlySet<string> = new Set(),
): Arguments {
  let index = 0;
  const visit = (value: unknown): unknown => {
    if (value instanceof TensorValue) return replace(value, index++);
    return Array.isArray(value) ? value.map(visit) : value;
  };
  return Object.fromEntries(
    Object.entries(args).map(([name, value]) => [name, without.has(name) ? value : visit(value)]),
  );
}
