import { Device } from "../../ir/constant.js";
import { isComplex, isFloatingPoint, scalarTypeCode, scalarTypeSize } from "../../ir/scalar-type.js";
import { type Dim, equal, mul, SymBool, volume } from "../../network/symbolic.js";
import { normalizeAxis, promoteTypes } from "../operands.js";
import { evaluator, nodeEvaluator } from "../registry.js";
import * as scalars from "../scalars.js";
import type { TensorValue } from "../values.js";

/** What tensors say about themselves. Sizes of dynamic dims are numbers computed by the network. */
export const sizes = [
  evaluator("aten::size(Tensor self) -> int[]", (_ctx, { self }) => self.dims),
  evaluator("aten::size.int(Tensor self, int dim) -> int", (ctx, { self, dim }) => sizeOf(ctx, self, dim)),
  evaluator("aten::sym_size(Tensor self) -> SymInt[]", (_ctx, { self }) => self.dims),
  evaluator("aten::sym_size.int(Tensor self, int dim) -> SymInt", (ctx, { self, dim }) => sizeOf(ctx, self, dim)),
  evaluator("prim::shape(Tensor a) -> int[]", (_ctx, { a }) => a.dims),
  evaluator("aten::_shape_as_tensor(Tensor self) -> Tensor", (ctx, { self }) => ctx.network.shapeTensor(self.dims)),
  evaluator("aten::numel(Tensor self) -> int", (_ctx, { self }) => volume(self.dims)),
  evaluator("aten::sym_numel(Tensor self) -> SymInt", (_ctx, { self }) => volume(self.dims)),
  evaluator("aten::dim(Tensor self) -> int", (_ctx, { self }) => self.dims.length),
  evaluator("aten::stride(Tensor self) -> int[]", (_ctx, { self }) => stridesOf(self)),
  evaluator(
    "aten::stride.int(Tensor self, int dim) -> int",
    (ctx, { self, dim }) => stridesOf(self)[normalizeAxis(ctx, dim, self.dims.length)] ?? 1,
  ),
  evaluator(
    "aten::sym_stride.int(Tensor self, int dim) -> SymInt",
    (ctx, { self, dim }) => stridesOf(self)[normalizeAxis(ctx, dim, self.dims.length)] ?? 1,
  ),
  evaluator("aten::storage_offset(Tensor self) -> int", () => 0),
  evaluator("aten::sym_storage_offset(Tensor self) -> SymInt", () => 0),
  evaluator("aten::is_same_size(Tensor self, Tensor other) -> bool", (_ctx, { self, other }) => {
    if (self.dims.length !== other.dims.length) return false;
    return self.dims
      .map((dim, i) => scalars.bool(equal(dim, other.dims[i] as Dim) ?? new SymBool("eq", [dim, other.dims[i] as Dim])))
      .reduce(scalars.and, scalars.bool(true)).value;
  }),
];

export const types = [
  evaluator("prim::dtype(Tensor a) -> int", (_ctx, { a }) => scalarTypeCode(a.dtype)),
  evaluator("aten::is_floating_point(Tensor self) -> bool", (_ctx, { self }) => isFloatingPoint(self.dtype)),
  evaluator("aten::is_complex(Tensor self) -> bool", (_ctx, { self }) => isComplex(self.dtype)),
  evaluator("aten::is_signed(Tensor self) -> bool", (_ctx, { self }) => !/^uint|^bool/.test(self.dtype)),
  evaluator("aten::element_size(Tensor self) -> int", (_ctx, { self }) => scalarTypeSize(self.dtype)),
  evaluator("prim::itemsize(Tensor a) -> int", (_ctx, { a }) => scalarTypeSize(a.dtype)),
  evaluator("aten::promote_types(ScalarType type1, ScalarType type2) -> ScalarType", (_ctx, { type1, type2 }) =>
    scalarTypeCode(promoteTypes(type1, type2)),
  ),
];

/** An engine runs on a GPU, on strided tensors, and learns nothing. */
export const placement = [
  nodeEvaluator("prim::device", () => [new Device("cuda:0")]),
  nodeEvaluator("prim::type", (_ctx, _node, [device]) => [(device as Device).name.replace(/:.*/, "")]),
  nodeEvaluator("prim::index", (_ctx, _node, [device]) => {
    const index = /:(\d+)/.exec((device as Device).name)?.[1];
    return [index === undefined ? null : Number(index)];
  }),
  evaluator("aten::device(str a) -> Device", (_ctx, { a }) => new Device(a)),
  evaluator(
    "aten::device.with_index(str type, int index) -> Device",
    (_ctx, { type, index }) => new Device(`${type}:${index}`),
  ),
  evaluator("aten::get_device(Tensor self) -> int", () => 0),
  evaluator("prim::layout(Tensor a) -> Layout", () => 0),
  evaluator("prim::name(Tensor a) -> str?", () => null),
  evaluator("aten::is_contiguous(Tensor self) -> bool", () => true),
  evaluator("aten::is_contiguous.memory_format(Tensor self, MemoryFormat memory_format) -> bool", () => true),
  evaluator("aten::is_leaf(Tensor self) -> bool", () => true),
  ...["is_cuda"].map((name) => nodeEvaluator(`prim::${name}`, () => [true])),
  ...[
    "is_cpu",
    "is_ipu",
    "is_maia",
    "is_meta",
    "is_mkldnn",
    "is_mps",
    "is_mtia",
    "is_nested",
    "is_quantized",
    "is_sparse",
    "is_sparse_csr",
    "is_vulkan",
    "is_xla",
    "is_xpu",
    "requires_grad",
  ].map((name) => nodeEvaluator(`prim::${name}`, () => [false])),
  ...[
    "is_autocast_enabled",
    "is_autocast_cpu_enabled",
    "is_grad_enabled",
    "is_conj",
    "is_neg",
    "is_inference",
    "is_pinned",
    "is_vulkan_available",
    "_get_tracing_state",
  ].map((name) => nodeEvaluator(`aten::${name}`, () => [false])),
  nodeEvaluator("aten::is_scripting", () => [true]),
  nodeEvaluator("aten::set_grad_enabled", () => []),
  nodeEvaluator("aten::manual_seed", () => []),
];

function sizeOf(ctx: Parameters<typeof normalizeAxis>[0], self: TensorValue, dim: number): Dim {
  return self.dims[normalizeAxis(ctx, dim, self.dims.length)] ?? ctx.unsupported("a 0-d tensor has no sizes");
}

/** Of the contiguous tensor that it is for the engine. */
function stridesOf(self: TensorValue): Dim[] {
  return self.dims.map((_, i) => mul(...self.dims.slice(i + 1)));
}
