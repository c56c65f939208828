import { isFloatingPoint, isIntegral, type ScalarType } from "../../ir/scalar-type.js";
import { numelOf, Tensor } from "../../ir/tensor.js";
import type { Type } from "../../ir/type.js";
import type { ITensor } from "../../network/layers.js";
import {
  ceildiv,
  type Dim,
  isStatic,
  isSymbolic,
  max,
  round,
  SymBool,
  SymInt,
  sub,
  volume,
} from "../../network/symbolic.js";
import { dataTypeOf, numbersOf } from "../../network/weights.js";
import { describeValue } from "../arguments.js";
import { iota } from "../axes.js";
import type { ConversionContext } from "../context.js";
import {
  asScalar,
  castTo,
  constantLike,
  elementWise,
  expandRank,
  expandTo,
  reshape,
  scalarOfRank,
  scalarTensorOf,
} from "../operands.js";
import { type Converter, converter, evaluator } from "../registry.js";
import * as scalars from "../scalars.js";
import { type IValue, Scalar, TensorValue } from "../values.js";

/** Up to this many elements a constant is written out; a larger one is one number, repeated by the network. */
const LARGEST_CONSTANT = 1 << 16;

/** A tensor of one number, of sizes that may be known only at run time. */
export function filled(ctx: ConversionContext, dims: readonly Dim[], fill: Scalar, dtype: ScalarType): TensorValue {
  if (dims.length === 0) return scalarTensorOf(ctx, fill, dtype);
  const value = scalars.knownNumber(scalars.castScalar(fill, dtype).value);
  if (value !== undefined && isStatic(dims) && numelOf(dims) <= LARGEST_CONSTANT) {
    return ctx.constantTensor(Tensor.of(dtype, dims, new Float64Array(numelOf(dims)).fill(value)));
  }
  return ctx.tensorValue(expandTo(ctx, scalarOfRank(ctx, fill, dtype, dims.length), dims), dtype);
}

/** `start + i * step` for each i below `length`. */
function sequence(ctx: ConversionContext, start: Scalar, step: Scalar, length: Dim, dtype: ScalarType): TensorValue {
  const [first, distance] = [start.value, step.value];
  if (typeof length === "number" && !isSymbolic(first) && !isSymbolic(distance)) {
    const numbers = Float64Array.from({ length }, (_, i) => Number(first) + i * Number(distance));
    return ctx.constantTensor(Tensor.of(dtype, [length], numbers));
  }
  // TensorRT fills floats and integers of 32 and 64 bits.
  const type = isFloatingPoint(dtype) ? "float32" : "int64";
  const fill = ctx.network.addFill(
    [length],
    "kLINSPACE",
    dataTypeOf(type),
    scalarOfRank(ctx, start, type, 0),
    scalarOfRank(ctx, step, type, 1),
  );
  return castTo(ctx, ctx.tensorValue(fill, type), dtype);
}

// --- Of one number ---------------------------------------------------------------------------------------------------

const OPTIONS = "ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None";
const FORMAT = "MemoryFormat? memory_format=None";

interface Options {
  readonly dtype: ScalarType | null;
}

/** `name_like(self)` and `new_name(self, size)`. */
function family(name: "zeros" | "ones" | "empty", fill: number): Converter[] {
  const number = scalars.int(fill);
  return [
    converter(`aten::${name}_like(Tensor self, *, ${OPTIONS}, ${FORMAT}) -> Tensor`, (ctx, { self, dtype }) =>
      filled(ctx, self.dims, number, dtype ?? self.dtype),
    ),
    converter(`aten::new_${name}(Tensor self, SymInt[] size, *, ${OPTIONS}) -> Tensor`, (ctx, { self, size, dtype }) =>
      filled(ctx, size, number, dtype ?? self.dtype),
    ),
  ];
}

export const fills = [
  ...family("zeros", 0),
  ...family("ones", 1),
  ...family("empty", 0),
  converter(`aten::zeros(SymInt[] size, *, ${OPTIONS}) -> Tensor`, (ctx, { size, dtype }) =>
    filled(ctx, size, scalars.int(0), dtype ?? "float32"),
  ),
  converter(`aten::ones(SymInt[] size, *, ${OPTIONS}) -> Tensor`, (ctx, { size, dtype }) =>
    filled(ctx, size, scalars.int(1), dtype ?? "float32"),
  ),
  // Memory that is not initialized is 0 here.
  converter(`aten::empty.memory_format(SymInt[] size, *, ${OPTIONS}, ${FORMAT}) -> Tensor`, (ctx, { size, dtype }) =>
    filled(ctx, size, scalars.int(0), dtype ?? "float32"),
  ),
  converter(`aten::empty_strided(SymInt[] size, SymInt[] stride, *, ${OPTIONS}) -> Tensor`, (ctx, { size, dtype }) =>
    filled(ctx, size, scalars.int(0), dtype ?? "float32"),
  ),
  converter(
    `aten::new_empty_strided(Tensor self, SymInt[] size, SymInt[] stride, *, ${OPTIONS}) -> Tensor`,
    (ctx, { self, size, dtype }) => filled(ctx, size, scalars.int(0), dtype ?? self.dtype),
  ),
  converter(
    `aten::empty_permuted(SymInt[] size, int[] physical_layout, *, ${OPTIONS}) -> Tensor`,
    (ctx, { size, dtype }) => filled(ctx, size, scalars.int(0), dtype ?? "float32"),
  ),
  converter(
    `aten::full(SymInt[] size, Scalar fill_value, *, ${OPTIONS}) -> Tensor`,
    (ctx, { size, fill_value, dtype }) => filled(ctx, size, fill_value, dtype ?? fill_value.dtype),
  ),
  converter(
    `aten::full_like(Tensor self, Scalar fill_value, *, ${OPTIONS}, ${FORMAT}) -> Tensor`,
    (ctx, { self, fill_value, dtype }) => filled(ctx, self.dims, fill_value, dtype ?? self.dtype),
  ),
  converter(
    `aten::new_full(Tensor self, SymInt[] size, Scalar fill_value, *, ${OPTIONS}) -> Tensor`,
    (ctx, { self, size, fill_value, dtype }) => filled(ctx, size, fill_value, dtype ?? self.dtype),
  ),
  converter("aten::fill.Scalar(Tensor self, Scalar value) -> Tensor", (ctx, { self, value }) =>
    filled(ctx, self.dims, value, self.dtype),
  ),
  converter("aten::fill.Tensor(Tensor self, Tensor value) -> Tensor", (ctx, { self, value }) =>
    ctx.tensorValue(expandTo(ctx, castTo(ctx, value, self.dtype).tensor, self.dims), self.dtype),
  ),
  converter("aten::zero(Tensor self) -> Tensor", (ctx, { self }) => filled(ctx, self.dims, scalars.int(0), self.dtype)),
];

// --- Sequences -------------------------------------------------------------------------------------------------------

/** Integer dtypes cut fractions off start, end and step: int64 before the length follows from them, the others after. */
function arange(ctx: ConversionContext, start: Scalar, end: Scalar, step: Scalar, options: Options): TensorValue {
  const isFloat = scalars.isFloat(start, end, step);
  const dtype = options.dtype ?? (isFloat ? "float32" : "int64");
  const [first, last, distance] = [start, end, step].map((number) =>
    isIntegral(dtype) ? scalars.int(scalars.toInt(number)) : number,
  ) as [Scalar, Scalar, Scalar];
  if (distance.value === 0) return ctx.unsupported(`steps of ${String(step.value)} as ${dtype} go nowhere`);
  if (!isFloat || dtype === "int64") {
    const room = sub(scalars.toInt(last), scalars.toInt(first));
    return sequence(ctx, first, distance, max(ceildiv(room, scalars.toInt(distance)), 0), dtype);
  }
  const count = scalars.truediv(scalars.sub(end, start), step).value;
  return sequence(ctx, first, distance, max(round("ceil", scalars.toFloat(new Scalar("float", count))), 0), dtype);
}

/** Ends included. The second half counts from the end, as PyTorch does, so that the last number is exact. */
function linspace(ctx: ConversionContext, start: Scalar, end: Scalar, steps: Dim, options: Options): TensorValue {
  const dtype = options.dtype ?? "float32";
  const [first, last] = [scalars.knownNumber(start.value), scalars.knownNumber(end.value)];
  if (typeof steps === "number" && first !== undefined && last !== undefined) {
    const step = steps > 1 ? (last - first) / (steps - 1) : 0;
    const numbers = Float64Array.from({ length: steps }, (_, i) =>
      i < steps / 2 ? first + i * step : last - (steps - 1 - i) * step,
    );
    if (steps === 1) numbers[0] = first;
    return ctx.constantTensor(Tensor.of(dtype, [steps], numbers));
  }
  const distance = scalars.truediv(scalars.sub(end, start), scalars.int(max(sub(steps, 1), 1)));
  return sequence(ctx, scalars.float(scalars.toFloat(start)), distance, steps, dtype);
}

/** The number in a 0-d tensor, as tracing hands over what was computed from sizes. */
function numberIn(ctx: ConversionContext, tensor: TensorValue): Scalar {
  return (
    asScalar(tensor) ?? ctx.unsupported("ends that depend on tensor data", "Compute the ends from sizes or constants.")
  );
}

const ENDS_KNOWN = { limits: "Ends are constants or computed from sizes." };

export const sequences = [
  converter(`aten::arange(Scalar end, *, ${OPTIONS}) -> Tensor`, (ctx, { end, dtype }) =>
    arange(ctx, scalars.int(0), end, scalars.int(1), { dtype }),
  ),
  converter(`aten::arange.start(Scalar start, Scalar end, *, ${OPTIONS}) -> Tensor`, (ctx, { start, end, dtype }) =>
    arange(ctx, start, end, scalars.int(1), { dtype }),
  ),
  converter(
    `aten::arange.start_step(Scalar start, Scalar end, Scalar step=1, *, ${OPTIONS}) -> Tensor`,
    (ctx, { start, end, step, dtype }) => arange(ctx, start, end, step, { dtype }),
  ),
  converter(
    `aten::linspace(Scalar start, Scalar end, SymInt steps, *, ${OPTIONS}) -> Tensor`,
    (ctx, { start, end, steps, dtype }) => linspace(ctx, start, end, steps, { dtype }),
  ),
  converter(
    `aten::linspace.Tensor_Tensor(Tensor start, Tensor end, SymInt steps, *, ${OPTIONS}) -> Tensor`,
    (ctx, { start, end, steps, dtype }) => linspace(ctx, numberIn(ctx, start), numberIn(ctx, end), steps, { dtype }),
    ENDS_KNOWN,
  ),
  converter(
    `aten::linspace.Tensor_Scalar(Tensor start, Scalar end, SymInt steps, *, ${OPTIONS}) -> Tensor`,
    (ctx, { start, end, steps, dtype }) => linspace(ctx, numberIn(ctx, start), end, steps, { dtype }),
    ENDS_KNOWN,
  ),
  converter(
    `aten::linspace.Scalar_Tensor(Scalar start, Tensor end, SymInt steps, *, ${OPTIONS}) -> Tensor`,
    (ctx, { start, end, steps, dtype }) => linspace(ctx, start, numberIn(ctx, end), steps, { dtype }),
    ENDS_KNOWN,
  ),
  converter(
    `aten::logspace(Scalar start, Scalar end, SymInt steps, float base=10., *, ${OPTIONS}) -> Tensor`,
    (ctx, { start, end, steps, base, dtype }) => {
      const exponents = linspace(ctx, start, end, steps, { dtype: "float32" });
      return castTo(ctx, elementWise(ctx, scalars.float(base), exponents, "kPOW", "float32"), dtype ?? "float32");
    },
  ),
];

// --- Matrices --------------------------------------------------------------------------------------------------------

/** Bool `[rows, columns]`: is the column at most `diagonal` places right of the row's own? */
function lowerTriangle(ctx: ConversionContext, rows: Dim, columns: Dim, diagonal: Dim): ITensor {
  if (typeof rows === "number" && typeof columns === "number" && typeof diagonal === "number") {
    const inside = Uint8Array.from({ length: rows * columns }, (_, i) =>
      (i % columns) - Math.floor(i / columns) <= diagonal ? 1 : 0,
    );
    return ctx.constant("kBOOL", [rows, columns], inside);
  }
  const row = reshape(ctx, iota(ctx, rows, diagonal), [rows, 1]);
  const column = reshape(ctx, iota(ctx, columns), [1, columns]);
  return ctx.network.addUnary(ctx.network.addElementWise(column, row, "kGREATER"), "kNOT");
}

function triangle(ctx: ConversionContext, self: TensorValue, diagonal: Dim, lower: boolean): TensorValue {
  const rank = self.dims.length;
  if (rank < 2) return ctx.unsupported("a triangle of a tensor with less than two dims");
  const [rows, columns] = self.dims.slice(-2) as [Dim, Dim];
  const x = self.tensor;
  const zero = constantLike(ctx, x, 0);
  const mask = expandRank(ctx, lowerTriangle(ctx, rows, columns, lower ? diagonal : sub(diagonal, 1)), rank);
  return ctx.tensorValue(
    lower ? ctx.network.addSelect(mask, x, zero) : ctx.network.addSelect(mask, zero, x),
    self.dtype,
  );
}

function eye(ctx: ConversionContext, rows: Dim, columns: Dim, options: Options): TensorValue {
  const { network } = ctx;
  const below = network.addUnary(lowerTriangle(ctx, rows, columns, -1), "kNOT");
  const diagonal = network.addElementWise(lowerTriangle(ctx, rows, columns, 0), below, "kAND");
  return castTo(ctx, ctx.tensorValue(diagonal, "bool"), options.dtype ?? "float32");
}

/** int64 `[2, count]`: rows and columns of a triangle's elements, row after row. */
function triangleIndices(
  ctx: ConversionContext,
  rows: number,
  columns: number,
  isInside: (right: number) => boolean,
  dtype: ScalarType | null,
): TensorValue {
  const inside = Array.from(
    { length: rows * columns },
    (_, i) => [Math.floor(i / columns), i % columns] as const,
  ).filter(([row, column]) => isInside(column - row));
  const indices = [...inside.map(([row]) => row), ...inside.map(([, column]) => column)];
  return ctx.constantTensor(Tensor.of(dtype ?? "int64", [2, inside.length], indices));
}

export const matrices = [
  converter(
    `aten::tril_indices(int row, int col, int offset=0, *, ${OPTIONS}) -> Tensor`,
    (ctx, { row, col, offset, dtype }) => triangleIndices(ctx, row, col, (right) => right <= offset, dtype),
  ),
  converter(
    `aten::triu_indices(int row, int col, int offset=0, *, ${OPTIONS}) -> Tensor`,
    (ctx, { row, col, offset, dtype }) => triangleIndices(ctx, row, col, (right) => right >= offset, dtype),
  ),
  converter("aten::tril(Tensor self, SymInt diagonal=0) -> Tensor", (ctx, { self, diagonal }) =>
    triangle(ctx, self, diagonal, true),
  ),
  converter("aten::triu(Tensor self, SymInt diagonal=0) -> Tensor", (ctx, { self, diagonal }) =>
    triangle(ctx, self, diagonal, false),
  ),
  converter(`aten::eye(SymInt n, *, ${OPTIONS}) -> Tensor`, (ctx, { n, dtype }) => eye(ctx, n, n, { dtype })),
  converter(`aten::eye.m(SymInt n, SymInt m, *, ${OPTIONS}) -> Tensor`, (ctx, { n, m, dtype }) =>
    eye(ctx, n, m, { dtype }),
  ),
];

// --- From numbers ----------------------------------------------------------------------------------------------------

/** The dtype of `torch.tensor` for Python numbers of the type. */
function dtypeOf(type: Type, value: IValue): ScalarType {
  if (type.kind === "ListType" || type.kind === "OptionalType") {
    return dtypeOf(type.element, Array.isArray(value) ? (value[0] ?? null) : value);
  }
  if (type.kind === "BoolType") return "bool";
  if (type.kind === "FloatType") return "float32";
  if (type.kind === "IntType") return "int64";
  if (value instanceof TensorValue) return value.dtype;
  if (value instanceof Scalar) return value.dtype;
  return typeof value === "boolean"
    ? "bool"
    : typeof value === "number" && !Number.isInteger(value)
      ? "float32"
      : "int64";
}

/** Nested lists of numbers as a tensor; numbers made of sizes are computed by the network. */
function tensorOf(ctx: ConversionContext, data: IValue, dtype: ScalarType): TensorValue {
  const sizes: number[] = [];
  for (let level = data; Array.isArray(level); level = level[0] ?? null) sizes.push(level.length);
  const elements = leavesOf(data).map((element) => numberOf(ctx, element));
  if (sizes.length === 0) return castTo(ctx, elements[0] as Scalar | TensorValue, dtype);
  const known = elements.map((element) =>
    element instanceof Scalar ? scalars.knownNumber(scalars.castScalar(element, dtype).value) : undefined,
  );
  if (known.every((number) => number !== undefined)) return ctx.constantTensor(Tensor.of(dtype, sizes, known));
  const parts = elements.map((element) => reshape(ctx, castTo(ctx, element, dtype).tensor, [1]));
  return ctx.tensorValue(reshape(ctx, ctx.network.addConcatenation(parts, 0), sizes), dtype);
}

function leavesOf(data: IValue): readonly IValue[] {
  return Array.isArray(data) ? data.flatMap(leavesOf) : [data];
}

function numberOf(ctx: ConversionContext, value: IValue): Scalar | TensorValue {
  if (value instanceof Scalar || value instanceof TensorValue) return value;
  if (typeof value === "boolean") return scalars.bool(value);
  if (typeof value === "number") return new Scalar(Number.isInteger(value) ? "int" : "float", value);
  if (isSymbolic(value)) {
    return new Scalar(value instanceof SymInt ? "int" : value instanceof SymBool ? "bool" : "float", value);
  }
  return ctx.unsupported(`a tensor of ${describeValue(value)}`);
}

function fromData(ctx: ConversionContext, data: unknown, dtype: ScalarType | null): TensorValue {
  const value = data as IValue;
  return tensorOf(ctx, value, dtype ?? dtypeOf(ctx.node.input().type, value));
}

export const fromNumbers = [
  ...[
    "aten::tensor.bool(SymBool t, *, ScalarType? dtype=None, Device? device=None, bool requires_grad=False) -> Tensor",
    "aten::tensor.float(SymFloat t, *, ScalarType? dtype=None, Device? device=None, bool requires_grad=False) -> Tensor",
    "aten::tensor.int(SymInt t, *, ScalarType? dtype=None, Device? device=None, bool requires_grad=False) -> Tensor",
    "aten::as_tensor.bool(SymBool t, *, ScalarType? dtype=None, Device? device=None) -> Tensor",
    "aten::as_tensor.float(SymFloat t, *, ScalarType? dtype=None, Device? device=None) -> Tensor",
    "aten::as_tensor.int(SymInt t, *, ScalarType? dtype=None, Device? device=None) -> Tensor",
  ].map((schema) =>
    evaluator(schema as "aten::as_tensor(SymInt t, *, ScalarType? dtype=None) -> Tensor", (ctx, { t, dtype }) =>
      fromData(ctx, t, dtype),
    ),
  ),
  evaluator(
    "aten::tensor(t[] data, *, ScalarType? dtype=None, Device? device=None, bool requires_grad=False) -> Tensor",
    (ctx, { data, dtype }) => fromData(ctx, data, dtype),
  ),
  evaluator(
    "aten::as_tensor.list(t[] data, *, ScalarType? dtype=None, Device? device=None) -> Tensor",
    (ctx, { data, dtype }) => fromData(ctx, data, dtype),
  ),
  converter(
    "aten::as_tensor(Tensor data, *, ScalarType? dtype=None, Device? device=None) -> Tensor",
    (ctx, { data, dtype }) => castTo(ctx, data, dtype ?? data.dtype),
  ),
  evaluator("aten::_list_to_tensor(SymInt[] self) -> Tensor", (ctx, { self }) => tensorOf(ctx, [...self], "int64")),
  converter(`aten::scalar_tensor(Scalar s, *, ${OPTIONS}) -> Tensor`, (ctx, { s, dtype }) =>
    scalarTensorOf(ctx, s, dtype ?? "float32"),
  ),
];

// --- Places ----------------------------------------------------------------------------------------------------------

/** Bools of where each index is, along a new last axis. */
export const oneHot = converter(
  "aten::one_hot(Tensor self, int num_classes=-1) -> Tensor",
  (ctx, { self, num_classes }) => {
    const { weights } = self;
    if (num_classes < 0 && weights === null) {
      ctx.unsupported("without num_classes the sizes depend on the data", "Give one_hot() the number of classes.");
    }
    const classes = num_classes < 0 && weights !== null ? Math.max(...numbersOf(weights), -1) + 1 : num_classes;
    const column = reshape(ctx, castTo(ctx, self, "int64").tensor, [...self.dims, 1]);
    const places = expandRank(ctx, iota(ctx, classes), column.dims.length);
    return castTo(ctx, ctx.tensorValue(ctx.network.addElementWise(column, places, "kEQUAL"), "bool"), "int64");
  },
);

/** How many of the sorted numbers along the last axis are less than each value; with `right` less or equal. */
function countBelow(
  ctx: ConversionContext,
  values: TensorValue,
  sorted: TensorValue,
  right: boolean,
  asInt32: boolean,
): TensorValue {
  const x = ctx.tensorValue(reshape(ctx, values.tensor, [...values.dims, 1]), values.dtype);
  const own = sorted.dims.length > 1 ? [...sorted.dims.slice(0, -1), 1, sorted.dims.at(-1) as Dim] : sorted.dims;
  const boundaries = ctx.tensorValue(reshape(ctx, sorted.tensor, own), sorted.dtype);
  // What is not a number comes last: all that does not lie above it counts.
  const greater = elementWise(ctx, boundaries, x, "kGREATER");
  const above = right ? greater : elementWise(ctx, greater, elementWise(ctx, boundaries, x, "kEQUAL"), "kOR");
  const dtype = asInt32 ? "int32" : "int64";
  const below = ctx.network.addUnary(castTo(ctx, above, "bool").tensor, "kNOT");
  const counts = castTo(ctx, ctx.tensorValue(below, "bool"), dtype).tensor;
  return ctx.tensorValue(ctx.network.addReduce(counts, "kSUM", [counts.dims.length - 1], false), dtype);
}

function zeroDim(ctx: ConversionContext, scalar: Scalar): TensorValue {
  return scalarTensorOf(ctx, scalar, scalar.dtype);
}

export const searches = [
  converter(
    "aten::bucketize.Tensor(Tensor self, Tensor boundaries, *, bool out_int32=False, bool right=False) -> Tensor",
    (ctx, { self, boundaries, out_int32, right }) => countBelow(ctx, self, boundaries, right, out_int32),
  ),
  converter(
    "aten::bucketize.Scalar(Scalar self, Tensor boundaries, *, bool out_int32=False, bool right=False) -> Tensor",
    (ctx, { self, boundaries, out_int32, right }) => countBelow(ctx, zeroDim(ctx, self), boundaries, right, out_int32),
  ),
  converter(
    "aten::searchsorted.Tensor(Tensor sorted_sequence, Tensor self, *, bool out_int32=False, bool right=False, str? side=None, Tensor? sorter=None) -> Tensor",
    (ctx, { sorted_sequence, self, out_int32, right, side, sorter }) => {
      if (sorter !== null) ctx.unsupported("searchsorted with a sorter", "Sort the sequence first.");
      return countBelow(ctx, self, sorted_sequence, right || side === "right", out_int32);
    },
  ),
  converter(
    "aten::searchsorted.Scalar(Tensor sorted_sequence, Scalar self, *, bool out_int32=False, bool right=False, str? side=None, Tensor? sorter=None) -> Tensor",
    (ctx, { sorted_sequence, self, out_int32, right, side, sorter }) => {
      if (sorter !== null) ctx.unsupported("searchsorted with a sorter", "Sort the sequence first.");
      return countBelow(ctx, zeroDim(ctx, self), sorted_sequence, right || side === "right", out_int32);
    },
  ),
];

/** Is each element one of `candidates`? */
function isIn(ctx: ConversionContext, elements: TensorValue, candidates: TensorValue, invert: boolean): TensorValue {
  const { network } = ctx;
  const flat = reshape(ctx, candidates.tensor, [volume(candidates.dims)]);
  const x = ctx.tensorValue(reshape(ctx, elements.tensor, [...elements.dims, 1]), elements.dtype);
  const equal = elementWise(ctx, x, ctx.tensorValue(flat, candidates.dtype), "kEQUAL");
  const numbers = network.addCast(equal.tensor, "kINT32");
  const most = network.addReduce(numbers, "kMAX", [numbers.dims.length - 1], false);
  // Of no candidates the maximum is the least int32.
  const result = network.addElementWise(most, constantLike(ctx, most, 0), "kGREATER");
  return ctx.tensorValue(invert ? network.addUnary(result, "kNOT") : result, "bool");
}

export const memberships = [
  converter(
    "aten::isin.Tensor_Tensor(Tensor elements, Tensor test_elements, *, bool assume_unique=False, bool invert=False) -> Tensor",
    (ctx, { elements, test_elements, invert }) => isIn(ctx, elements, test_elements, invert),
  ),
  converter(
    "aten::isin.Tensor_Scalar(Tensor elements, Scalar test_element, *, bool assume_unique=False, bool invert=False) -> Tensor",
    (ctx, { elements, test_element, invert }) => isIn(ctx, elements, zeroDim(ctx, test_element), invert),
  ),
];
