import { type FunctionSchema, operatorName, parseSchema } from "../ir/schema.js";
import { Source } from "./source.js";

/**
 * Operators whose meaning changed between the file format versions of archives, and operators that PyTorch itself
 * writes in TorchScript, as functions that are compiled in place of the call.
 */
export const BUILTIN_SOURCE = Source.fromText(
  "<built-in>.py",
  `
def div_tensor(self: Tensor, other: Tensor) -> Tensor:
  if torch.__or__(torch.is_floating_point(self), torch.is_floating_point(other)):
    result = torch.true_divide(self, other)
  else:
    result = torch.div(self, other, rounding_mode="trunc")
  return result

def div_scalar(self: Tensor, other: number) -> Tensor:
  if isinstance(other, float):
    result = torch.true_divide(self, other)
  else:
    if torch.is_floating_point(self):
      result = torch.true_divide(self, other)
    else:
      result = torch.div(self, other, rounding_mode="trunc")
  return result

def div_out(self: Tensor, other: Tensor, out: Tensor) -> Tensor:
  if torch.__or__(torch.is_floating_point(self), torch.__or__(torch.is_floating_point(other), torch.is_floating_point(out))):
    result = torch.true_divide(self, other, out=out)
  else:
    result = torch.div(self, other, rounding_mode="trunc", out=out)
  return result

def div_inplace_tensor(self: Tensor, other: Tensor) -> Tensor:
  if torch.__or__(torch.is_floating_point(self), torch.is_floating_point(other)):
    result = torch.true_divide_(self, other)
  else:
    result = torch.div_(self, other, rounding_mode="trunc")
  return result

def div_inplace_scalar(self: Tensor, other: number) -> Tensor:
  if isinstance(other, float):
    result = torch.true_divide_(self, other)
  else:
    if torch.is_floating_point(self):
      result = torch.true_divide_(self, other)
    else:
      result = torch.div_(self, other, rounding_mode="trunc")
  return result

def full(size: List[int], fill_value: number, dtype: Optional[int], layout: Optional[int], device: Optional[Device], pin_memory: Optional[bool]) -> Tensor:
  if dtype is None:
    result = torch.full(size, float(fill_value), dtype=dtype, layout=layout, device=device, pin_memory=pin_memory)
  else:
    result = torch.full(size, fill_value, dtype=dtype, layout=layout, device=device, pin_memory=pin_memory)
  return result

def linspace(start: number, end: number, steps: Optional[int], dtype: Optional[int], layout: Optional[int], device: Optional[Device], pin_memory: Optional[bool]) -> Tensor:
  if steps is None:
    count = 100
  else:
    count = unchecked_cast(int, steps)
  return torch.linspace(start, end, count, dtype=dtype, layout=layout, device=device, pin_memory=pin_memory)

def logspace(start: number, end: number, steps: Optional[int], base: float, dtype: Optional[int], layout: Optional[int], device: Optional[Device], pin_memory: Optional[bool]) -> Tensor:
  if steps is None:
    count = 100
  else:
    count = unchecked_cast(int, steps)
  return torch.logspace(start, end, count, base, dtype=dtype, layout=layout, device=device, pin_memory=pin_memory)

def scalar_add(a: number, b: Tensor) -> Tensor:
  return torch.add(b, a)

def scalar_sub(a: number, b: Tensor) -> Tensor:
  return torch.add(torch.neg(b), a)

def scalar_mul(a: number, b: Tensor) -> Tensor:
  return torch.mul(b, a)

def scalar_div(a: number, b: Tensor) -> Tensor:
  return torch.mul(torch.reciprocal(b), a)

def scalar_eq(a: number, b: Tensor) -> Tensor:
  return torch.eq(b, a)

def scalar_ne(a: number, b: Tensor) -> Tensor:
  return torch.ne(b, a)

def scalar_lt(a: number, b: Tensor) -> Tensor:
  return torch.gt(b, a)

def scalar_le(a: number, b: Tensor) -> Tensor:
  return torch.ge(b, a)

def scalar_gt(a: number, b: Tensor) -> Tensor:
  return torch.lt(b, a)

def scalar_ge(a: number, b: Tensor) -> Tensor:
  return torch.le(b, a)
`,
);

interface Upgrader {
  /** The first version of the file format with today's meaning. */
  readonly since: number;
  /** In {@link BUILTIN_SOURCE}; its parameters are the schema's arguments. */
  readonly function: string;
  /** The schema of then, where it was another. */
  readonly schema?: FunctionSchema;
}

const OLD_FACTORY = "*, int? dtype=None, int? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor";

const UPGRADERS: ReadonlyMap<string, Upgrader> = new Map<string, Upgrader>([
  ["aten::div.Tensor", { since: 4, function: "div_tensor" }],
  ["aten::div.Scalar", { since: 4, function: "div_scalar" }],
  ["aten::div.out", { since: 4, function: "div_out" }],
  ["aten::div_.Tensor", { since: 4, function: "div_inplace_tensor" }],
  ["aten::div_.Scalar", { since: 4, function: "div_inplace_scalar" }],
  ["aten::full", { since: 5, function: "full" }],
  [
    "aten::linspace",
    {
      since: 8,
      function: "linspace",
      schema: parseSchema(`aten::linspace(Scalar start, Scalar end, int? steps=None, ${OLD_FACTORY}`),
    },
  ],
  [
    "aten::logspace",
    {
      since: 9,
      function: "logspace",
      schema: parseSchema(`aten::logspace(Scalar start, Scalar end, int? steps=None, float base=10.0, ${OLD_FACTORY}`),
    },
  ],
]);

/** What an operator of an archive of that version meant, where it is not what it means today. */
export function findUpgrader(schema: FunctionSchema, version: number): Upgrader | undefined {
  const upgrader = UPGRADERS.get(operatorName(schema));
  return upgrader !== undefined && version < upgrader.since ? upgrader : undefined;
}

const SCALAR_FIRST = ["add", "sub", "mul", "div", "eq", "ne", "lt", "le", "gt", "ge"] as const;

const BUILTINS: ReadonlyMap<string, { schema: FunctionSchema; function: string }> = new Map(
  SCALAR_FIRST.map((name) => [
    `aten::${name}`,
    { schema: parseSchema(`aten::${name}(Scalar a, Tensor b) -> Tensor`), function: `scalar_${name}` },
  ]),
);

/** An overload that PyTorch writes in TorchScript; tried after the operator's own. */
export function findBuiltin(name: string): { readonly schema: FunctionSchema; readonly function: string } | undefined {
  return BUILTINS.get(name);
}
