import { isFloatingPoint, type ScalarType, scalarTypeFromCode } from "../../ir/scalar-type.js";
import { castTo, expandTo } from "../operands.js";
import { converter, nodeEvaluator } from "../registry.js";
import { type IValue, TensorValue } from "../values.js";

/**
 * Changes of dtype. Where a tensor lives and how its memory is laid out is TensorRT's affair: a call for nothing else
 * gives the tensor itself.
 */
export const conversions = [
  converter(
    "aten::to.dtype(Tensor self, ScalarType dtype, bool non_blocking=False, bool copy=False, MemoryFormat? memory_format=None) -> Tensor",
    (ctx, { self, dtype }) => castTo(ctx, self, dtype),
  ),
  converter(
    "aten::to.device(Tensor self, Device device, ScalarType dtype, bool non_blocking=False, bool copy=False, MemoryFormat? memory_format=None) -> Tensor",
    (ctx, { self, dtype }) => castTo(ctx, self, dtype),
  ),
  converter(
    "aten::to.dtype_layout(Tensor self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool non_blocking=False, bool copy=False, MemoryFormat? memory_format=None) -> Tensor",
    (ctx, { self, dtype }) => castTo(ctx, self, dtype ?? self.dtype),
  ),
  converter(
    "aten::to.other(Tensor self, Tensor other, bool non_blocking=False, bool copy=False, MemoryFormat? memory_format=None) -> Tensor",
    (ctx, { self, other }) => castTo(ctx, self, other.dtype),
  ),
  converter(
    "aten::to.prim_Device(Tensor self, Device? device, int? dtype=None, bool non_blocking=False, bool copy=False) -> Tensor",
    (ctx, { self, dtype }) => castTo(ctx, self, dtype === null ? self.dtype : scalarTypeFromCode(dtype)),
  ),
  converter(
    "aten::to.prim_dtype(Tensor self, int? dtype=None, bool non_blocking=False, bool copy=False) -> Tensor",
    (ctx, { self, dtype }) => castTo(ctx, self, dtype === null ? self.dtype : scalarTypeFromCode(dtype)),
  ),
  converter(
    "aten::_to_copy(Tensor self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool non_blocking=False, MemoryFormat? memory_format=None) -> Tensor",
    (ctx, { self, dtype }) => castTo(ctx, self, dtype ?? self.dtype),
  ),
  converter("aten::type_as(Tensor self, Tensor other) -> Tensor", (ctx, { self, other }) =>
    castTo(ctx, self, other.dtype),
  ),
  converter(
    "aten::to.prim_other(Tensor self, bool non_blocking=False, bool copy=False) -> Tensor",
    (_ctx, { self }) => self,
  ),
  ...(
    [
      ["Float", "float32"],
      ["Double", "float64"],
      ["Half", "float16"],
      ["Int", "int32"],
      ["Long", "int64"],
      ["Short", "int16"],
      ["Char", "int8"],
      ["Byte", "uint8"],
    ] as readonly (readonly [string, ScalarType])[]
  ).map(([name, dtype]) =>
    converter(`aten::_cast_${name as "Float"}(Tensor self, bool non_blocking=False) -> Tensor`, (ctx, { self }) =>
      castTo(ctx, self, dtype),
    ),
  ),
  converter(
    "aten::_autocast_to_full_precision(Tensor self, bool cuda_enabled, bool cpu_enabled) -> Tensor",
    (ctx, { self, cuda_enabled }) =>
      castTo(ctx, self, cuda_enabled && isFloatingPoint(self.dtype) ? "float32" : self.dtype),
  ),
  converter(
    "aten::_autocast_to_reduced_precision(Tensor self, bool cuda_enabled, bool cpu_enabled, ScalarType cuda_dtype, ScalarType cpu_dtype) -> Tensor",
    (ctx, { self, cuda_enabled, cuda_dtype }) =>
      castTo(ctx, self, cuda_enabled && isFloatingPoint(self.dtype) ? cuda_dtype : self.dtype),
  ),
];

/** Operators that give the tensor itself: values do not change, so a copy is the original. */
export const identities = [
  "clone",
  "contiguous",
  "detach",
  "detach_copy",
  "alias",
  "alias_copy",
  "lift",
  "lift_fresh",
  "lift_fresh_copy",
  "cpu",
  "cuda",
  "pin_memory",
  "resolve_conj",
  "resolve_neg",
  "requires_grad_",
  "dropout",
  "feature_dropout",
  "alpha_dropout",
  "feature_alpha_dropout",
].map((name) =>
  nodeEvaluator(`aten::${name}`, (ctx, _node, [tensor, probability, train]) => {
    const drops = name.includes("dropout") && train === true && probability !== 0;
    return [
      drops
        ? ctx.unsupported("dropout in training mode is random", "Save the model after model.eval().")
        : (tensor as IValue),
    ];
  }),
);

export const nativeDropout = converter(
  "aten::native_dropout(Tensor input, float p, bool? train) -> (Tensor, Tensor)",
  (ctx, { input, train }): [TensorValue, TensorValue] => {
    if (train === true) ctx.unsupported("dropout in training mode is random", "Save the model after model.eval().");
    const kept = ctx.network.addElementWise(input.tensor, input.tensor, "kEQUAL");
    return [input, TensorValue.of(ctx.network, kept, "bool")];
  },
);

/** `self.copy_(src)` as a value: src in self's type, stretched to its sizes. */
export const copy = converter(
  "aten::copy(Tensor self, Tensor src, bool non_blocking=False) -> Tensor",
  (ctx, { self, src }) => {
    const cast = castTo(ctx, src, self.dtype);
    return ctx.tensorValue(expandTo(ctx, cast.tensor, self.dims), self.dtype);
  },
);
