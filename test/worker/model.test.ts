import t from "tap";
import type { DimRange, InputSpec } from "../../src/ir/input-spec.js";
import type { Program } from "../../src/ir/module.js";
import { parseIR } from "../../src/ir/parser.js";
import type { JobInput } from "../../src/plan/job.js";
import { TrtorchError } from "../../src/util/errors.js";
import { resolveInputs } from "../../src/worker/model.js";

const GRAPH = parseIR("graph(%x : Tensor):\n  return (%x)");

function resolve(declared: readonly InputSpec[], given: readonly JobInput[] | null): InputSpec[] {
  const program = { file: "m.pt2", inputs: () => declared } as unknown as Program;
  return resolveInputs(program, "forward", GRAPH, given);
}

function refusal(declared: readonly InputSpec[], given: readonly JobInput[] | null): string {
  try {
    resolve(declared, given);
  } catch (error) {
    if (error instanceof TrtorchError) return error.message;
    throw error;
  }
  return "no mistake";
}

const asked = (...dims: (number | DimRange)[]): JobInput => ({ name: "x", dtype: null, dims });
const range = (min: number, max: number): DimRange => ({ min, opt: max, max });
const declare = (...dims: (number | DimRange)[]): InputSpec => ({ name: "x", dtype: "float32", dims });

t.test("a range of torch.export is narrowed to what the config asks for", async (t) => {
  const open = declare({ min: 2, opt: 4, max: Infinity, least: 1, symbol: "s0" }, 3);
  t.strictSame(resolve([open], [asked(range(1, 8), 3)])[0]?.dims, [{ ...range(1, 8), symbol: "s0" }, 3]);
  t.equal(refusal([open], null), 'm.pt2: dim 0 of input "x" has no upper bound');
  const bounded = declare({ min: 3, opt: 4, max: Infinity, symbol: "s0" });
  t.equal(
    refusal([bounded], [asked(range(1, 8))]),
    'input "x": dim 0 was exported with 3 <= s0 <= ∞, the config asks for 1..8',
  );
});

t.test("sizes of one symbol are equal, also within one input", async (t) => {
  const dim: DimRange = { min: 14, opt: 28, max: 140, symbol: "14*s39" };
  t.equal(
    refusal([declare(1, 3, dim, dim)], [asked(1, 3, 28, 42)]),
    'dim 2 of input "x" and dim 3 of input "x" are both 14*s39 in the export, the config gives 28 and 42',
  );
  t.strictSame(resolve([declare(dim, dim)], [asked(28, 28)])[0]?.dims, [28, 28]);
});

t.test("doubles may be declared floats; other dtypes are the program's", async (t) => {
  const double: InputSpec = { name: "x", dtype: "float64", dims: [2] };
  t.equal(resolve([double], [{ ...asked(2), dtype: "float32" }])[0]?.dtype, "float32");
  t.equal(resolve([double], [asked(2)])[0]?.dtype, "float64");
  t.equal(
    refusal([declare(2)], [{ ...asked(2), dtype: "float16" }]),
    'input "x" was exported as float32, the config says float16',
  );
});

t.test("a config need not describe state", async (t) => {
  const state: InputSpec = { name: "buffer_cache", dtype: "float32", dims: [4], isState: true };
  t.strictSame(resolve([declare(2), state], [asked(2)]), [declare(2), state]);
  t.equal(refusal([declare(2), state], []), "m.pt2 takes 1 inputs, the config describes 0");
});
