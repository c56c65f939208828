import { constantOf, type Graph, type Node, type Value } from "../ir/graph.js";
import { type ScalarType, scalarTypeFromCode } from "../ir/scalar-type.js";
import { IntType, ListType, type Type } from "../ir/type.js";
import { argumentOf, constantBefore, intBefore } from "./blocks.js";
import { Dtypes } from "./dtypes.js";
import { emit } from "./emit.js";
import { Layouts, memoryFormatOf } from "./layouts.js";

/** A value that shares the memory of another tensor, and how either is made from the other. */
export interface View {
  readonly source: Value;
  /** The same view of another value of the source. */
  rebuild(source: Value, before: Node): Value;
  /** The source with what the view shows replaced by `part`; undefined where a write through the view has no such form. */
  readonly write: ((source: Value, part: Value, before: Node) => Value) | undefined;
}

export type Sharing =
  /** The output is the tensor itself or a view of it. */
  | { readonly kind: "view"; readonly view: View }
  /** The output is a list of views. */
  | { readonly kind: "views"; readonly view: View }
  /** Whether it is a view or a copy depends on dtypes and strides at run time. */
  | { readonly kind: "maybe"; readonly source: Value }
  | undefined;

type Write = (node: Node) => View["write"];

const reshapeBack: Write = (node) => (source, part, before) => {
  const size = emit(before, node, "aten::size", [source], ListType(IntType));
  return emit(before, node, "aten::reshape", [part, size]);
};

/** The operator undoes itself with the same arguments. */
const again: Write = (node) => (_source, part, before) =>
  emit(before, node, node.kind, [part, ...node.inputs.slice(1)]);

const scatter =
  (kind: string): Write =>
  (node) =>
  (source, part, before) =>
    emit(before, node, kind, [source, part, ...node.inputs.slice(1)]);

const same: Write = () => (_source, part) => part;

/** PyTorch's operators whose result always shares memory with their first input, and what a write through them is. */
const WRITES: Readonly<Record<string, Write>> = {
  "aten::select": scatter("aten::select_scatter"),
  "aten::slice": scatter("aten::slice_scatter"),
  "aten::diagonal": scatter("aten::diagonal_scatter"),
  "aten::as_strided": scatter("aten::as_strided_scatter"),
  "aten::narrow": (node) => {
    const [, dim, start, length] = node.inputs;
    // The overload whose start is a tensor has no counterpart.
    if (start?.type.kind !== "IntType" || dim === undefined || length === undefined) return undefined;
    return (source, part, before) => {
      const end = sum(start, length, before);
      return emit(before, node, "aten::slice_scatter", [source, part, dim, start, end, intBefore(before, 1)]);
    };
  },
  "aten::transpose": again,
  "aten::swapaxes": again,
  "aten::swapdims": again,
  "aten::t": again,
  "aten::numpy_T": again,
  "aten::mT": again,
  "aten::permute": (node) => {
    const dims = constantList(node.inputs[1]);
    if (dims === undefined) return undefined;
    const inverse: number[] = [];
    for (const [i, dim] of dims.entries()) inverse[dim < 0 ? dim + dims.length : dim] = i;
    return (_source, part, before) =>
      emit(before, node, "aten::permute", [part, constantBefore(before, inverse, ListType(IntType))]);
  },
  "aten::movedim": moveBack,
  "aten::moveaxis": moveBack,
  "aten::unsqueeze": (node) => (_source, part, before) => emit(before, node, "aten::squeeze", [part, node.input(1)]),
  "aten::squeeze": reshapeBack,
  "aten::view": reshapeBack,
  "aten::view_as": reshapeBack,
  "aten::_unsafe_view": reshapeBack,
  "aten::unflatten": reshapeBack,
  "aten::_reshape_alias": reshapeBack,
  "aten::reshape": reshapeBack,
  "aten::reshape_as": reshapeBack,
  "aten::flatten": reshapeBack,
  "aten::ravel": reshapeBack,
  "aten::detach": same,
  "aten::alias": same,
  "aten::lift_fresh": same,
  "aten::data": same,
  "prim::data": same,
  "aten::contiguous": same,
  "aten::to": same,
  "aten::type_as": same,
};

function moveBack(node: Node): View["write"] {
  const [, from, to] = node.inputs;
  if (from === undefined || to === undefined) return undefined;
  return (_source, part, before) => emit(before, node, node.kind, [part, to, from]);
}

function sum(a: Value, b: Value, before: Node): Value {
  const [x, y] = [constantOf(a), constantOf(b)];
  if (typeof x === "number" && typeof y === "number") return intBefore(before, x + y);
  return emit(before, before, "aten::add", [a, b], IntType);
}

function constantList(value: Value | undefined): number[] | undefined {
  if (value === undefined) return undefined;
  const constant = constantOf(value);
  if (Array.isArray(constant)) return constant.every((item) => typeof item === "number") ? constant : undefined;
  if (value.node.kind !== "prim::ListConstruct") return undefined;
  const items = value.node.inputs.map(constantOf);
  return items.every((item) => typeof item === "number") ? items : undefined;
}

/** A tensor, or an Optional one: what the type was narrowed from. */
export function isTensor(type: Type): boolean {
  return type.kind === "TensorType" || (type.kind === "OptionalType" && type.element.kind === "TensorType");
}

/** What is known of tensors before a run. */
export interface Known {
  isContiguous(tensor: Value): boolean | undefined;
  dtypeOf(tensor: Value): ScalarType | undefined;
}

export function knownOf(graph: Graph, dtypes: Dtypes = new Dtypes()): Known {
  const layouts = new Layouts(graph);
  return { isContiguous: (tensor) => layouts.isContiguous(tensor), dtypeOf: (tensor) => dtypes.of(tensor) };
}

/** How the first output of a node shares memory with an input; undefined where it is a tensor of its own. */
export function sharingOf(node: Node, known: Known): Sharing {
  const source = node.inputs[0];
  if (source === undefined || !isTensor(source.type)) return undefined;
  switch (node.kind) {
    case "aten::contiguous":
      return decided(node, source, memoryFormatOf(node) === "other" ? undefined : known.isContiguous(source));
    case "aten::reshape":
    case "aten::reshape_as":
    case "aten::flatten":
    case "aten::ravel":
      return decided(node, source, isReshapeView(node, source, known));
    case "aten::to":
      return decided(node, source, isSameAfter(node, source, known));
    case "aten::type_as": {
      const [from, to] = [source, node.input(1)].map((tensor) => known.dtypeOf(tensor));
      return decided(node, source, from === undefined || to === undefined ? undefined : from === to);
    }
    case "aten::_unsafe_view":
      return view(node, source);
    case "aten::dropout":
    case "aten::feature_dropout":
    case "aten::alpha_dropout":
      // In inference they give the tensor itself, which their schemas do not tell.
      return { kind: "maybe", source };
    default: {
      const alias = node.schema?.returns[0]?.alias;
      if (alias === undefined || alias.isWrite || node.schema?.arguments[0]?.alias === undefined) return undefined;
      return node.outputs[0]?.type.kind === "ListType"
        ? { kind: "views", view: listOf(node, source) }
        : view(node, source);
    }
  }
}

function decided(node: Node, source: Value, isView: boolean | undefined): Sharing {
  if (isView === undefined) return { kind: "maybe", source };
  return isView ? view(node, source) : undefined;
}

/** A copy is contiguous, and so a view is of what is contiguous only. */
function isReshapeView(node: Node, source: Value, known: Known): boolean | undefined {
  const before = known.isContiguous(source);
  if (before === true) return true;
  const after = known.isContiguous(node.output());
  return before === undefined || after === undefined ? undefined : !after;
}

function view(node: Node, source: Value): Sharing {
  return {
    kind: "view",
    view: {
      source,
      rebuild: (current, before) => emit(before, node, node.kind, [current, ...node.inputs.slice(1)]),
      write: WRITES[node.kind]?.(node),
    },
  };
}

function listOf(node: Node, source: Value): View {
  const { type } = node.output();
  return {
    source,
    rebuild: (current, before) => emit(before, node, node.kind, [current, ...node.inputs.slice(1)], type),
    write: undefined,
  };
}

/** `to` gives the tensor itself where nothing is to be converted. There is one device. */
function isSameAfter(node: Node, source: Value, known: Known): boolean | undefined {
  const copy = argumentOf(node, "copy");
  if (copy !== undefined && constantOf(copy) !== false) return constantOf(copy) === true ? false : undefined;
  const [other, dtype] = [argumentOf(node, "other"), argumentOf(node, "dtype")];
  const isKeeping = other === undefined && (dtype === undefined || constantOf(dtype) === null);
  if (!isKeeping) {
    const from = known.dtypeOf(source);
    const code = dtype === undefined ? undefined : constantOf(dtype);
    const to =
      other === undefined ? (typeof code === "number" ? scalarTypeFromCode(code) : undefined) : known.dtypeOf(other);
    if (from === undefined || to === undefined) return undefined;
    if (from !== to) return false;
  }
  const format = memoryFormatOf(node);
  if (format === undefined) return true;
  return format === "contiguous" ? known.isContiguous(source) : undefined;
}

/** The `index`th of the views that `unbind`, `split`, `chunk` give. */
export function elementOf(node: Node, index: number): View {
  const source = node.input();
  const dim = (before: Node): Value => node.inputs[node.kind === "aten::unbind" ? 1 : 2] ?? intBefore(before, 0);
  if (node.kind === "aten::unbind") {
    return {
      source,
      rebuild: (current, before) =>
        emit(before, node, "aten::select", [current, dim(before), intBefore(before, index)]),
      write: (current, part, before) =>
        emit(before, node, "aten::select_scatter", [current, part, dim(before), intBefore(before, index)]),
    };
  }
  const bounds = (current: Value, before: Node): readonly [Value, Value] | undefined => {
    const at = partBounds(node, index);
    if (at !== undefined) return [intBefore(before, at[0]), intBefore(before, at[1])];
    if (node.kind !== "aten::chunk") return undefined;
    // Each chunk but the last has ceil(size / chunks) elements.
    const int = (kind: string, ...inputs: Value[]): Value => emit(before, node, kind, inputs, IntType);
    const count = constantOf(node.input(1));
    if (typeof count !== "number") return undefined;
    const size = int("aten::size", current, dim(before));
    const rounded = int("aten::add", size, intBefore(before, count - 1));
    const each = int("aten::floordiv", rounded, intBefore(before, count));
    const start = int("aten::mul", each, intBefore(before, index));
    return [start, int("aten::add", start, each)];
  };
  const isKnown = partBounds(node, index) !== undefined || node.kind === "aten::chunk";
  return {
    source,
    rebuild: (current, before) => {
      const range = bounds(current, before);
      if (range !== undefined) {
        return emit(before, node, "aten::slice", [current, dim(before), ...range, intBefore(before, 1)]);
      }
      const list = emit(before, node, node.kind, [current, ...node.inputs.slice(1)], ListType(source.type));
      return emit(before, node, "aten::__getitem__", [list, intBefore(before, index)]);
    },
    write: isKnown
      ? (current, part, before) => {
          const [start, end] = bounds(current, before) as readonly [Value, Value];
          return emit(before, node, "aten::slice_scatter", [
            current,
            part,
            dim(before),
            start,
            end,
            intBefore(before, 1),
          ]);
        }
      : undefined,
  };
}

function partBounds(node: Node, index: number): readonly [number, number] | undefined {
  if (node.kind !== "aten::split" && node.kind !== "aten::split_with_sizes") return undefined;
  const size = constantOf(node.input(1));
  if (typeof size === "number") return [index * size, (index + 1) * size];
  const sizes = constantList(node.input(1));
  if (sizes === undefined) return undefined;
  const start = sizes.slice(0, index).reduce((sum, part) => sum + part, 0);
  return [start, start + (sizes[index] ?? 0)];
}
