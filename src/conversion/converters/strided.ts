import type { Value } from "../../ir/graph.js";
import { contiguousStrides, numelOf } from "../../ir/tensor.js";
import type { ITensor } from "../../network/layers.js";
import { type Dim, isStatic } from "../../network/symbolic.js";
import { like, permute, range, requireStatic } from "../axes.js";
import type { ConversionContext } from "../context.js";
import { castTo, reshape } from "../operands.js";
import { converter } from "../registry.js";
import { TensorValue } from "../values.js";

/**
 * The order of a tensor's axes in PyTorch's memory, slowest first: what strides refer to. Views that transpose change it;
 * other operators are taken to give contiguous results.
 */
function memoryOrder(ctx: ConversionContext, value: Value): number[] {
  const known = ctx.valueOf(value);
  const rank = known instanceof TensorValue ? known.dims.length : 0;
  const { node } = value;
  const source = node.inputs[0];
  const numberAt = (index: number): number => {
    const number = ctx.valueOf(node.input(index));
    return typeof number === "number" ? (number < 0 ? number + rank : number) : 0;
  };
  if (source === undefined || value !== node.outputs[0]) return range(rank);
  switch (node.kind) {
    case "aten::transpose":
    case "aten::swapaxes":
    case "aten::swapdims": {
      const [a, b] = [numberAt(1), numberAt(2)];
      return memoryOrder(ctx, source).map((axis) => (axis === a ? b : axis === b ? a : axis));
    }
    case "aten::permute": {
      const list = ctx.valueOf(node.input(1));
      const dims = Array.isArray(list) ? list.map((dim) => ((dim as number) + rank) % rank) : range(rank);
      return memoryOrder(ctx, source).map((axis) => dims.indexOf(axis));
    }
    case "aten::t":
      return rank === 2 ? memoryOrder(ctx, source).map((axis) => 1 - axis) : range(rank);
    case "aten::view":
    case "aten::reshape":
    case "aten::unsqueeze":
    case "aten::squeeze":
    case "aten::alias":
    case "aten::detach":
      return known instanceof TensorValue && isStatic(known.dims) && !known.dims.includes(0)
        ? viewOrder(ctx, source, value)
        : range(rank);
    default:
      return range(rank);
  }
}

/** A view of memory in another order splits and merges its axes where it can; else reshape copies. */
function viewOrder(ctx: ConversionContext, source: Value, value: Value): number[] {
  const [from, to] = [source, value].map((each) => (ctx.valueOf(each) as TensorValue).dims) as [number[], number[]];
  // Axes of size 1 are nowhere in memory.
  const order = memoryOrder(ctx, source).filter((axis) => from[axis] !== 1);
  const places = new Map<number, number>();
  for (let i = 0, j = 0; i < from.length || j < to.length; ) {
    // The fewest next axes of both that hold the same elements.
    const [first, start] = [i, j];
    let left = from[i++] ?? 1;
    let right = to[j++] ?? 1;
    while (left !== right) {
      if (left < right) left *= from[i++] as number;
      else right *= to[j++] as number;
    }
    const merged = range(i)
      .slice(first)
      .filter((axis) => from[axis] !== 1)
      .map((axis) => order.indexOf(axis));
    if (merged.some((place, k) => k > 0 && place !== (merged[k - 1] as number) + 1)) return range(to.length);
    for (let axis = start; axis < j && axis < to.length; axis++) places.set(axis, merged[0] ?? -1);
  }
  return range(to.length).sort((a, b) => (places.get(a) as number) - (places.get(b) as number) || a - b);
}

/** How an axis of memory is read: at which of its elements, for the axes of the result that run along it. */
interface AxisReading {
  readonly results: number[];
  readonly start: number;
}

/**
 * Splits strides over the axes of memory: an element of the result takes from each axis the start plus a multiple of each
 * of its own indices. Undefined where that would run over an axis' end.
 */
function readings(
  memory: readonly number[],
  size: readonly number[],
  stride: readonly number[],
  offset: number,
): AxisReading[] | undefined {
  const strides = contiguousStrides(memory);
  const result: AxisReading[] = [];
  let rest = offset;
  memory.forEach((_, axis) => {
    const start = Math.floor(rest / (strides[axis] as number));
    rest -= start * (strides[axis] as number);
    result.push({ results: [], start });
  });
  for (let i = 0; i < size.length; i++) {
    const step = stride[i] as number;
    if (size[i] === 1 || step === 0) continue;
    const axis = strides.findIndex((own, a) => memory[a] !== 1 && own <= step && step % own === 0);
    if (axis < 0) return undefined;
    result[axis]?.results.push(i);
  }
  const fits = result.every(({ results, start }, axis) => {
    const own = strides[axis] as number;
    const last = results.reduce((sum, i) => sum + (((size[i] as number) - 1) * (stride[i] as number)) / own, start);
    return last < (memory[axis] as number);
  });
  return fits ? result : undefined;
}

/** The offset in memory of every element of the result. */
function offsets(size: readonly number[], stride: readonly number[], offset: number): number[] {
  let places = [offset];
  size.forEach((count, axis) => {
    places = places.flatMap((place) => range(count).map((i) => place + i * (stride[axis] as number)));
  });
  return places;
}

function strided(
  ctx: ConversionContext,
  self: TensorValue,
  size: readonly Dim[],
  stride: readonly Dim[],
  storageOffset: Dim | null,
): TensorValue {
  const { network } = ctx;
  const dims = requireStatic(ctx, self.dims, "a tensor read by strides");
  const sizes = requireStatic(ctx, size, "the result of as_strided");
  const strides = requireStatic(ctx, stride, "the strides");
  const offset = storageOffset ?? 0;
  if (typeof offset !== "number") return ctx.unsupported("storage_offset must be known at build time");
  const order = memoryOrder(ctx, ctx.node.input(0));
  const memory = permute(ctx, self.tensor, order);
  const sizesInMemory = order.map((axis) => dims[axis] as number);
  const plan = numelOf(sizes) === 0 ? undefined : readings(sizesInMemory, sizes, strides, offset);
  if (plan === undefined) {
    const last = sizes.reduce((sum, count, i) => sum + Math.max(count - 1, 0) * (strides[i] as number), offset);
    if (numelOf(sizes) > 0 && last >= numelOf(dims)) {
      ctx.unsupported(
        "the strides reach beyond the tensor, into memory of which it is a view",
        "Call as_strided on the whole tensor, or write the view with slice, unfold and permute.",
      );
    }
    const flat = reshape(ctx, memory, [numelOf(dims)]);
    const places = ctx.constant("kINT64", sizes, offsets(sizes, strides, offset));
    return like(ctx, self, network.addGather(flat, places, 0));
  }
  let tensor: ITensor = memory;
  const produced: number[] = [];
  const own = contiguousStrides(sizesInMemory);
  plan.forEach(({ results, start }, axis) => {
    const at = produced.length;
    const counts = results.map((i) => sizes[i] as number);
    const steps = results.map((i) => (strides[i] as number) / (own[axis] as number));
    tensor = network.addGather(tensor, ctx.constant("kINT64", counts, offsets(counts, steps, start)), at);
    produced.push(...results);
  });
  // Axes of size 1 and of stride 0 were left out.
  const missing = range(sizes.length).filter((i) => !produced.includes(i));
  const all = [...produced, ...missing];
  const ranked = reshape(ctx, tensor, [...tensor.dims, ...missing.map(() => 1)]);
  const ordered = permute(
    ctx,
    ranked,
    range(sizes.length).map((i) => all.indexOf(i)),
  );
  const repeat = ordered.dims.map((dim, i) => (dim === sizes[i] ? 1 : 0));
  if (repeat.every((step) => step === 1)) return like(ctx, self, ordered);
  const zeros = sizes.map(() => 0);
  return like(ctx, self, network.addSlice(ordered, zeros, sizes, repeat));
}

const LIMITS = {
  limits: "Fixed sizes only; the memory meant is that of a contiguous tensor, or of a transposed view of one.",
};

export const asStrided = [
  converter(
    "aten::as_strided(Tensor(a) self, SymInt[] size, SymInt[] stride, SymInt? storage_offset=None) -> Tensor(a)",
    (ctx, { self, size, stride, storage_offset }) => strided(ctx, self, size, stride, storage_offset),
    LIMITS,
  ),
  converter(
    "aten::as_strided_copy(Tensor self, SymInt[] size, SymInt[] stride, SymInt? storage_offset=None) -> Tensor",
    (ctx, { self, size, stride, storage_offset }) => strided(ctx, self, size, stride, storage_offset),
    LIMITS,
  ),
];

export const asStridedScatter = converter(
  "aten::as_strided_scatter(Tensor self, Tensor src, SymInt[] size, SymInt[] stride, SymInt? storage_offset=None) -> Tensor",
  (ctx, { self, src, size, stride, storage_offset }) => {
    const dims = requireStatic(ctx, self.dims, "a tensor written by strides");
    const sizes = requireStatic(ctx, size, "what as_strided_scatter writes");
    const strides = requireStatic(ctx, stride, "the strides");
    const offset = storage_offset ?? 0;
    if (typeof offset !== "number") return ctx.unsupported("storage_offset must be known at build time");
    const count = numelOf(sizes);
    if (count === 0) return self;
    const places = ctx.constant("kINT64", [count, 1], offsets(sizes, strides, offset));
    const flat = reshape(ctx, self.tensor, [numelOf(dims)]);
    const values = reshape(ctx, castTo(ctx, src, self.dtype).tensor, [count]);
    return like(ctx, self, reshape(ctx, ctx.network.addScatter(flat, places, values, "kND"), dims));
  },
  LIMITS,
);
