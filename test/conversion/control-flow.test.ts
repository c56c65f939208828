import t from "tap";
import { execute } from "../../src/backends/onnx/runtime.js";
import { buildEngine } from "../../src/backends/tensorrt/index.js";
import { setup } from "../../src/backends/tensorrt/setup.js";
import type { Capabilities } from "../../src/conversion/context.js";
import { convert } from "../../src/conversion/convert.js";
import { defaultRegistry } from "../../src/conversion/default-registry.js";
import type { InputSpec } from "../../src/ir/input-spec.js";
import { parseIR } from "../../src/ir/parser.js";
import { Tensor } from "../../src/ir/tensor.js";
import type { Network } from "../../src/network/network.js";

await setup({ flavours: ["rtx"] });

const capabilities = { backend: "onnxruntime", version: [1, 0] } as const;

function toNetwork(ir: string, inputs: readonly InputSpec[], target: Capabilities = capabilities): Network {
  return convert(parseIR(ir), { inputs, registry: defaultRegistry(), capabilities: target }).network;
}

async function run(network: Network, values: readonly (readonly number[])[]): Promise<number[]> {
  const inputs = Object.fromEntries(
    network.inputs.map((input, i) => [input.name, Tensor.of("float32", [values[i]?.length ?? 0], values[i] ?? [])]),
  );
  const outputs = await execute(network, inputs);
  return [...(outputs.output_0 as Tensor).toNumbers()];
}

const x = { name: "x", dtype: "float32", dims: [3] } as const;

t.test("a condition on data becomes a conditional", async (t) => {
  const network = toNetwork(
    `graph(%x : Tensor):
      %dtype : NoneType = prim::Constant()
      %zero : int = prim::Constant[value=0]()
      %sum : Tensor = aten::sum(%x, %dtype)
      %positive : Tensor = aten::gt(%sum, %zero)
      %condition : bool = aten::Bool(%positive)
      %y : Tensor = prim::If(%condition)
        block0():
          %a : Tensor = aten::relu(%x)
          -> (%a)
        block1():
          %b : Tensor = aten::neg(%x)
          %c : Tensor = aten::mul(%b, %x)
          -> (%c)
      return (%y)`,
    [x],
  );
  t.ok(network.layers.some(({ type }) => type === "kCONDITIONAL_OUTPUT"));
  t.strictSame(await run(network, [[1, -1, 2]]), [1, 0, 2]);
  t.strictSame(await run(network, [[1, -1, -2]]), [-1, -1, -4]);
});

const SIZE_BRANCH = `graph(%x : Tensor):
  %zero : int = prim::Constant[value=0]()
  %one : int = prim::Constant[value=1]()
  %four : int = prim::Constant[value=4]()
  %n : int = aten::size(%x, %zero)
  %large : bool = aten::gt(%n, %four)
  %y : Tensor = prim::If(%large)
    block0():
      %a : Tensor = aten::relu(%x)
      -> (%a)
    block1():
      %b : Tensor = aten::neg(%x)
      -> (%b)
  return (%y)`;

t.test("a condition on a size follows from the range where it can", async (t) => {
  const dims = (min: number, max: number): InputSpec[] => [{ ...x, dims: [{ min, opt: max, max }] }];
  const small = toNetwork(SIZE_BRANCH, dims(1, 4));
  t.notOk(small.layers.some(({ type }) => type === "kCONDITION"));
  t.strictSame(await run(small, [[1, -1]]), [-1, 1]);
  const large = toNetwork(SIZE_BRANCH, dims(5, 9));
  t.notOk(large.layers.some(({ type }) => type === "kCONDITION"));
  t.strictSame(await run(large, [[1, -1, 2, 3, -4]]), [1, 0, 2, 3, 0]);
  const either = toNetwork(SIZE_BRANCH, dims(1, 9));
  t.ok(either.layers.some(({ type }) => type === "kCONDITION"));
  t.strictSame(await run(either, [[1, -1]]), [-1, 1]);
  t.strictSame(await run(either, [[1, -1, 2, 3, -4]]), [1, 0, 2, 3, 0]);
});

t.test("a branch that raises leaves the other", (t) => {
  const network = toNetwork(
    `graph(%x : Tensor):
      %zero : int = prim::Constant[value=0]()
      %four : int = prim::Constant[value=4]()
      %message : str = prim::Constant[value="too large"]()
      %class : NoneType = prim::Constant()
      %n : int = aten::size(%x, %zero)
      %large : bool = aten::gt(%n, %four)
       = prim::If(%large)
        block0():
           = prim::RaiseException(%message, %class)
          -> ()
        block1():
          -> ()
      %y : Tensor = aten::relu(%x)
      return (%y)`,
    [{ ...x, dims: [{ min: 1, opt: 2, max: 9 }] }],
  );
  t.strictSame(
    network.layers.map(({ type }) => type),
    ["kACTIVATION"],
  );
  t.end();
});

const LOOP = `graph(%x : Tensor):
  %zero : int = prim::Constant[value=0]()
  %one : int = prim::Constant[value=1]()
  %true : bool = prim::Constant[value=1]()
  %n : int = aten::size(%x, %zero)
  %y : Tensor = prim::Loop(%n, %true, %x)
    block0(%i : int, %carried : Tensor):
      %next : Tensor = aten::add(%carried, %carried, %one)
      -> (%true, %next)
  return (%y)`;

t.test("a loop of known length is written out", async (t) => {
  const network = toNetwork(LOOP, [x]);
  t.equal(network.layers.filter(({ type }) => type === "kELEMENTWISE").length, 3);
  t.strictSame(await run(network, [[1, 2, 3]]), [8, 16, 24]);
});

t.test("a loop of unknown length becomes a loop", async (t) => {
  const network = toNetwork(LOOP, [{ ...x, dims: [{ min: 1, opt: 2, max: 9 }] }]);
  t.ok(network.layers.some(({ type }) => type === "kTRIP_LIMIT"));
  t.strictSame(await run(network, [[1, 2]]), [4, 8]);
  t.strictSame(await run(network, [[1, 2, 3, 4]]), [16, 32, 48, 64]);
});

t.test("branches of other sizes than each other are refused for TensorRT-RTX", async (t) => {
  const ir = `graph(%x : Tensor, %flag : Tensor):
      %zero : int = prim::Constant[value=0]()
      %one : int = prim::Constant[value=1]()
      %none : NoneType = prim::Constant()
      %condition : bool = aten::Bool(%flag)
      %y : Tensor = prim::If(%condition)
        block0():
          %a : Tensor = aten::slice(%x, %zero, %one, %none, %one)
          -> (%a)
        block1():
          %b : Tensor = aten::neg(%x)
          -> (%b)
      return (%y)`;
  const inputs: InputSpec[] = [x, { name: "flag", dtype: "bool", dims: [] }];
  t.throws(() => toNetwork(ir, inputs, { backend: "tensorrt-rtx", version: [1, 7] }), {
    code: "unsupported",
    message: /^prim::If: its branches give tensors of sizes \[2\] and \[3\]/,
  });
  t.equal(toNetwork(ir, inputs).outputs.length, 1);
});

t.test("TensorRT-RTX builds a loop over the result of another", async (t) => {
  const network = toNetwork(
    `graph(%x : Tensor):
      %yes : bool = prim::Constant[value=1]()
      %zero : int = prim::Constant[value=0]()
      %one : int = prim::Constant[value=1]()
      %n : int = aten::size(%x, %zero)
      %sum : Tensor = prim::Loop(%n, %yes, %x)
        block0(%i : int, %a : Tensor):
          %b : Tensor = aten::add(%a, %x, %one)
          -> (%yes, %b)
      %product : Tensor = prim::Loop(%n, %yes, %x)
        block0(%j : int, %c : Tensor):
          %d : Tensor = aten::mul(%c, %sum)
          -> (%yes, %d)
      return (%product)`,
    [{ ...x, dims: [{ min: 1, opt: 2, max: 4 }] }],
    { backend: "tensorrt-rtx", version: [1, 0] },
  );
  t.strictSame(await run(network, [[1, -2]]), [9, -72]);
  t.ok((await buildEngine(network, { flavour: "rtx", targets: ["sm_89"] })).engine.length > 1000);
});

/** `part` under a condition on data. */
const undecided = (part: string, before = "", result = "%x"): string => `graph(%x : Tensor):
  %none : NoneType = prim::Constant()
  %zero : int = prim::Constant[value=0]()
  %one : int = prim::Constant[value=1]()
  %key : str = prim::Constant[value="a"]()
  %y : Tensor = aten::neg(%x)
  %list : Tensor[] = prim::ListConstruct(%x)
  %numbers : int[] = prim::ListConstruct(%zero, %zero)
  %dict : Dict(str, Tensor) = prim::DictConstruct(%key, %x)
  %lists : (Tensor[], int[]) = prim::TupleConstruct(%list, %numbers)
  %sum : Tensor = aten::sum(%x, %none)
  %positive : Tensor = aten::gt(%sum, %zero)
  %condition : bool = aten::Bool(%positive)
  ${before}
  %z : Tensor = prim::If(%condition)
    block0():
      ${part}
      -> (${result})
    block1():
      -> (%y)
  return (%z)`;

t.test("lists and dicts from outside of a branch that data decides do not change in it", async (t) => {
  const writes = [
    "%r : Tensor[] = aten::append(%list, %y)",
    "aten::extend(%list, %list)",
    "aten::insert(%list, %zero, %y)",
    "%r : Tensor = aten::pop(%list, %zero)",
    "aten::reverse(%list)",
    "aten::clear(%list)",
    "aten::Delete(%list, %zero)",
    "%r : int[] = aten::_set_item(%numbers, %zero, %one)",
    "%r : Dict(str, Tensor) = aten::_set_item(%dict, %key, %y)",
    "%r : Tensor = aten::pop(%dict, %key)",
    "aten::update(%dict, %dict)",
    "%a : Tensor[], %b : int[] = prim::TupleUnpack(%lists)\n      %r : Tensor[] = aten::append(%a, %y)",
  ];
  for (const write of writes) {
    t.throws(
      () => toNetwork(undecided(write), [x]),
      { code: "unsupported", message: /is changed in a branch or loop that data decides/ },
      write,
    );
  }
  const own = "%own : Tensor[] = prim::ListConstruct(%x)\n      %r : Tensor[] = aten::append(%own, %y)";
  t.equal(toNetwork(undecided(own), [x]).outputs.length, 1, "its own");
  t.equal(toNetwork(undecided("", writes[0]), [x]).outputs.length, 1, "before it");
});

t.test("branches that give tensors of two types are refused", async (t) => {
  t.throws(() => toNetwork(undecided("%w : Tensor = aten::isnan(%x)", "", "%w"), [x]), {
    code: "unsupported",
    message: /^prim::If: its branches give tensors of bool and float32/,
  });
});

t.test("what a loop of unknown length carries keeps its type", async (t) => {
  const ir = `graph(%x : Tensor):
    %yes : bool = prim::Constant[value=1]()
    %zero : int = prim::Constant[value=0]()
    %half : float = prim::Constant[value=1.5]()
    %first : Tensor = aten::select(%x, %zero, %zero)
    %n : int = aten::Int(%first)
    %y : Tensor = prim::Loop(%n, %yes, %x)
      block0(%i : int, %a : Tensor):
        %b : Tensor = aten::mul(%a, %half)
        -> (%yes, %b)
    return (%y)`;
  t.throws(() => toNetwork(ir, [{ ...x, dtype: "int64" }]), {
    code: "unsupported",
    message: /^prim::Loop: a value changes its type from kINT64 to kFLOAT/,
  });
});
