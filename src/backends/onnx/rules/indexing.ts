import { type DataType, isFloat, type SampleMode } from "../../../network/enums.js";
import type { LayerOf } from "../../../network/layers.js";
import { type Dim, isStatic, sameDim } from "../../../network/symbolic.js";
import type { GraphBuilder } from "../graph.js";
import { at, inputOf, type Rules, where } from "./rule.js";

/** An end before the first element, for slices that run backwards: ONNX counts -1 from the back. */
const BEFORE_FIRST = -(2 ** 31);

export const INDEXING: Rules<
  | "kCONSTANT"
  | "kSHUFFLE"
  | "kCONCATENATION"
  | "kSLICE"
  | "kSHAPE"
  | "kGATHER"
  | "kSCATTER"
  | "kTOPK"
  | "kFILL"
  | "kONE_HOT"
  | "kNON_ZERO"
> = {
  kCONSTANT: (g, layer) => g.model.weights(layer.attributes.weights, layer.name),
  kSHUFFLE: (g, layer, [x = "", shape = ""]) => {
    const { firstTranspose, reshapeDimensions, secondTranspose, dims, zeroIsPlaceholder } = layer.attributes;
    let value = firstTranspose === null ? x : g.op("Transpose", [x], { perm: firstTranspose });
    if (shape !== "") {
      value = g.op("Reshape", [value, toInt64(g, inputOf(layer, 1).type, shape)], {
        allowzero: Number(!zeroIsPlaceholder),
      });
    } else if (reshapeDimensions !== null) {
      value = isStatic(dims)
        ? g.op("Reshape", [value, g.ints(dims)], { allowzero: 1 })
        : g.op("Reshape", [value, g.ints(reshapeDimensions)], { allowzero: Number(!zeroIsPlaceholder) });
    }
    return secondTranspose === null ? value : g.op("Transpose", [value], { perm: secondTranspose });
  },
  kCONCATENATION: (g, layer, inputs) => g.op("Concat", inputs, { axis: layer.attributes.axis }),
  kSLICE: (g, layer, inputs) => {
    const axes = sliceAxes(g, layer, inputs);
    if (layer.attributes.mode !== "kSTRICT_BOUNDS") return sample(g, layer, inputs, axes);
    return strictSlice(g, at(inputs, 0), inputOf(layer, 0).dims.length, axes);
  },
  kSHAPE: (g, _, [x = ""]) => g.op("Shape", [x]),
  kGATHER: (g, layer, [data = "", indices = ""]) => {
    const { mode, axis, nbElementWiseDims: batch } = layer.attributes;
    const type = inputOf(layer, 1).type;
    if (mode === "kELEMENT") return g.op("GatherElements", [data, indices], { axis });
    if (mode === "kND") return g.op("GatherND", [data, toInt64(g, type, indices)], { batch_dims: batch });
    if (batch === 0) return g.op("Gather", [data, indices], { axis });
    // The dims that data and indices share, then the gathered axis, which GatherND indexes; the dims between go behind.
    const rank = inputOf(layer, 0).dims.length;
    const between = axis - batch;
    const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);
    const moved =
      between === 0
        ? data
        : g.op("Transpose", [data], {
            perm: [...range(0, batch), axis, ...range(batch, axis), ...range(axis + 1, rank)],
          });
    const rows = g.op("Unsqueeze", [toInt64(g, type, indices), g.ints([-1])]);
    const gathered = g.op("GatherND", [moved, rows], { batch_dims: batch });
    const indexed = inputOf(layer, 1).dims.length - batch;
    if (between === 0 || indexed === 0) return gathered;
    const first = batch + indexed;
    return g.op("Transpose", [gathered], {
      perm: [
        ...range(0, batch),
        ...range(first, first + between),
        ...range(batch, first),
        ...range(first + between, rank - 1 + indexed),
      ],
    });
  },
  kSCATTER: (g, layer, [data = "", indices = "", updates = ""]) =>
    layer.attributes.mode === "kELEMENT"
      ? g.op("ScatterElements", [data, indices, updates], { axis: layer.attributes.axis })
      : g.op("ScatterND", [data, toInt64(g, inputOf(layer, 1).type, indices), updates]),
  kTOPK: (g, layer, [x = "", k = ""]) => {
    const a = layer.attributes;
    const count = typeof a.k === "number" ? g.ints([a.k]) : g.reshape(g.cast(k, "kINT64"), [1]);
    return g.ops("TopK", [x, count], { axis: a.axis, largest: Number(a.operation === "kMAX"), sorted: 1 }, 2);
  },
  kFILL: (g, layer, [shape = "", alpha = "", beta = ""]) => {
    const { dimensions, operation, toType } = layer.attributes;
    const target = isStatic(dimensions) ? g.ints(dimensions) : toInt64(g, inputOf(layer, 0).type, shape);
    // Range has no half kernel: halves are computed in float and rounded once.
    const type: DataType = isFloat(toType) ? "kFLOAT" : toType;
    const convert = (index: number, value: string): string =>
      inputOf(layer, index).type === type ? value : g.cast(value, type);
    const start = g.toScalar(convert(1, alpha));
    let result: string;
    if (operation === "kLINSPACE") {
      result = g.op("Expand", [start, target]);
      dimensions.forEach((dim, axis) => {
        const limit = typeof dim === "number" ? g.scalar("kINT64", dim) : g.toScalar(element(g, target, axis));
        const index = g.cast(g.op("Range", [g.scalar("kINT64", 0), limit, g.scalar("kINT64", 1)]), type);
        const step = element(g, convert(2, beta), axis);
        const ramp = g.reshape(
          g.op("Mul", [index, step]),
          dimensions.map((_, other) => (other === axis ? -1 : 1)),
        );
        result = g.op("Add", [result, ramp]);
      });
    } else {
      const like = g.op("Expand", [g.scalar("kFLOAT", 0), target]);
      const random = g.op(operation === "kRANDOM_UNIFORM" ? "RandomUniformLike" : "RandomNormalLike", [like]);
      const second = g.toScalar(convert(2, beta));
      const factor = operation === "kRANDOM_UNIFORM" ? g.op("Sub", [second, start]) : second;
      result = g.op("Add", [g.op("Mul", [random, factor]), start]);
    }
    return type === toType ? result : g.cast(result, toType);
  },
  kONE_HOT: (g, layer, [indices = "", values = "", depth = ""]) => {
    // Not ONNX's OneHot, which counts negative indices from the back.
    const { axis } = layer.attributes;
    const [{ type, dims }, { type: valueType }] = [inputOf(layer, 0), inputOf(layer, 1)];
    const limit = g.toScalar(toInt64(g, inputOf(layer, 2).type, depth));
    const range = g.op("Range", [g.scalar("kINT64", 0), limit, g.scalar("kINT64", 1)]);
    const classes = g.reshape(
      range,
      Array.from({ length: dims.length + 1 }, (_, i) => (i === axis ? -1 : 1)),
    );
    const hot = g.op("Equal", [g.op("Unsqueeze", [toInt64(g, type, indices), g.ints([axis])]), classes]);
    return where(g, valueType, hot, g.toScalar(element(g, values, 1)), g.toScalar(element(g, values, 0)));
  },
  kNON_ZERO: (g, layer, [x = ""]) =>
    g.op("NonZero", [["kHALF", "kBF16", "kINT8"].includes(inputOf(layer, 0).type) ? g.cast(x, "kFLOAT") : x]),
};

function toInt64(g: GraphBuilder, type: DataType, value: string): string {
  return type === "kINT64" ? value : g.cast(value, "kINT64");
}

/** One element of a 1-d tensor, as a 1-d tensor. */
function element(g: GraphBuilder, value: string, index: number): string {
  return g.op("Slice", [value, g.ints([index]), g.ints([index + 1])]);
}

/** How one axis is sliced; numbers where they are known, with names to compute with where they are not. */
interface SliceAxis {
  readonly axis: number;
  readonly start: Dim;
  readonly size: Dim;
  readonly stride: Dim;
  readonly length: Dim;
  /** Names of 1-d int64 tensors of one element. */
  name(part: "start" | "size" | "stride" | "length"): string;
}

/** The axes along which the slice is not the whole input. */
function sliceAxes(g: GraphBuilder, layer: LayerOf<"kSLICE">, inputs: readonly string[]): SliceAxis[] {
  const { start, size, stride } = layer.attributes;
  const shapes = { start: 1, size: 2, stride: 3 };
  return inputOf(layer, 0).dims.flatMap((length, axis) => {
    const dims = { start: at(start, axis), size: at(size, axis), stride: at(stride, axis), length };
    if (dims.start === 0 && dims.stride === 1 && sameDim(dims.size, length)) return [];
    const name = (part: "start" | "size" | "stride" | "length"): string => {
      const dim = dims[part];
      if (typeof dim === "number") return g.ints([dim]);
      if (part === "length") return g.size(at(inputs, 0), axis);
      return element(g, toInt64(g, inputOf(layer, shapes[part]).type, at(inputs, shapes[part])), axis);
    };
    return [{ axis, ...dims, name }];
  });
}

function strictSlice(g: GraphBuilder, x: string, rank: number, axes: readonly SliceAxis[]): string {
  if (axes.length === 0) return g.op("Identity", [x]);
  let value = x;
  // An axis of stride 0 repeats one element: that one is cut out, and stretched below.
  const sliced = axes.filter(
    ({ stride, length, size }) => typeof stride === "number" && !(stride === 0 && length === 1 && size !== 0),
  );
  if (sliced.length > 0) {
    value = g.op("Slice", [
      value,
      concat(
        g,
        sliced.map((axis) => axis.name("start")),
      ),
      concat(
        g,
        sliced.map((axis) => sliceEnd(g, axis)),
      ),
      g.ints(sliced.map(({ axis }) => axis)),
      g.ints(sliced.map(({ stride }) => (stride as number) || 1)),
    ]);
  }
  for (const axis of axes) {
    // The sign of the stride, which ONNX's ends depend on, is not known.
    if (typeof axis.stride !== "number") value = g.op("Gather", [value, positions(g, axis)], { axis: axis.axis });
  }
  if (!axes.some(({ stride }) => stride === 0)) return value;
  const sizes = Array.from(
    { length: rank },
    (_, i) => axes.find(({ axis, stride }) => axis === i && stride === 0)?.name("size") ?? g.ints([1]),
  );
  return g.op("Expand", [value, concat(g, sizes)]);
}

/** Where ONNX's slice ends, as a 1-d tensor of one element. */
function sliceEnd(g: GraphBuilder, axis: SliceAxis): string {
  const { start, size } = axis;
  const stride = axis.stride as number;
  if (stride === 0 && size !== 0)
    return typeof start === "number" ? g.ints([start + 1]) : g.op("Add", [axis.name("start"), g.ints([1])]);
  if (typeof start === "number" && typeof size === "number") {
    const end = start + size * stride;
    return g.ints([end < 0 ? BEFORE_FIRST : end]);
  }
  const end = g.op("Add", [axis.name("start"), times(g, axis.name("size"), stride)]);
  return stride > 0 ? end : g.op("Where", [g.op("Less", [end, g.ints([0])]), g.ints([BEFORE_FIRST]), end]);
}

function times(g: GraphBuilder, value: string, by: number): string {
  return by === 1 ? value : g.op("Mul", [value, g.ints([by])]);
}

function concat(g: GraphBuilder, names: readonly string[]): string {
  return names.length === 1 ? at(names, 0) : g.op("Concat", names, { axis: 0 });
}

/** The positions of an axis that the slice reads, inside the input or not: `start + stride * i`, 1-d. */
function positions(g: GraphBuilder, axis: SliceAxis): string {
  const { start, size, stride } = axis;
  if (typeof start === "number" && typeof size === "number" && typeof stride === "number") {
    return g.ints(Array.from({ length: size }, (_, i) => start + i * stride));
  }
  const index = g.op("Range", [g.scalar("kINT64", 0), g.toScalar(axis.name("size")), g.scalar("kINT64", 1)]);
  return g.op("Add", [g.op("Mul", [index, axis.name("stride")]), axis.name("start")]);
}

/** A slice that may read outside its input, which the mode then brings inside or fills. */
function sample(
  g: GraphBuilder,
  layer: LayerOf<"kSLICE">,
  inputs: readonly string[],
  axes: readonly SliceAxis[],
): string {
  const { mode } = layer.attributes;
  const { type, dims } = inputOf(layer, 0);
  const rank = dims.length;
  let value = at(inputs, 0);
  if (mode === "kFILL") {
    const fill = inputs[4] ?? g.scalar(type, 0);
    if (axes.every(({ start, size, stride, length }) => stride === 1 && isStatic([start, size, length]))) {
      const before = new Array<number>(rank).fill(0);
      const behind = new Array<number>(rank).fill(0);
      for (const { axis, start, size, length } of axes as readonly (SliceAxis &
        Record<"start" | "size" | "length", number>)[]) {
        before[axis] = -start;
        behind[axis] = start + size - length;
      }
      return g.op("Pad", [value, g.ints([...before, ...behind]), fill]);
    }
    let inside = "";
    for (const axis of axes) {
      const index = positions(g, axis);
      const last = g.op("Sub", [axis.name("length"), g.ints([1])]);
      const clamped = g.op("Max", [g.op("Min", [index, last]), g.ints([0])]);
      value = g.op("Gather", [value, clamped], { axis: axis.axis });
      const kept = g.reshape(
        g.op("Equal", [index, clamped]),
        dims.map((_, i) => (i === axis.axis ? -1 : 1)),
      );
      inside = inside === "" ? kept : g.op("And", [inside, kept]);
    }
    return inside === "" ? g.op("Identity", [value]) : where(g, type, inside, value, g.toScalar(fill));
  }
  for (const axis of axes) {
    const index = positions(g, axis);
    const last = g.op("Sub", [axis.name("length"), g.ints([1])]);
    value = g.op("Gather", [value, inward(g, mode, index, axis.name("length"), last)], { axis: axis.axis });
  }
  return axes.length === 0 ? g.op("Identity", [value]) : value;
}

function inward(g: GraphBuilder, mode: SampleMode, index: string, length: string, last: string): string {
  // ONNX's Mod has the sign of the divisor, as wrapping needs it.
  if (mode === "kWRAP") return g.op("Mod", [index, length]);
  if (mode === "kCLAMP") return g.op("Max", [g.op("Min", [index, last]), g.ints([0])]);
  // There and back again, without the ends twice: a period of 2 * (length - 1).
  const period = g.op("Max", [times(g, last, 2), g.ints([1])]);
  return g.op("Sub", [last, g.op("Abs", [g.op("Sub", [last, g.op("Mod", [index, period])])])]);
}
