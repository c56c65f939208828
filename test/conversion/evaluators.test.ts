import t from "tap";
import { execute } from "../../src/backends/onnx/runtime.js";
import { convert } from "../../src/conversion/convert.js";
import { defaultRegistry } from "../../src/conversion/default-registry.js";
import { parseIR } from "../../src/ir/parser.js";
import { Tensor } from "../../src/ir/tensor.js";

/** What a graph of `%x : [2, 3]` without tensors of data gives. */
async function run(ir: string, rows: number | { min: number; opt: number; max: number } = 2): Promise<number[]> {
  const { network } = convert(parseIR(ir), {
    inputs: [{ name: "x", dtype: "float32", dims: [rows, 3] }],
    registry: defaultRegistry(),
    capabilities: { backend: "onnxruntime", version: [1, 30] },
  });
  const outputs = await execute(network, { x: Tensor.of("float32", [2, 3], [1, 2, 3, 4, 5, 6]) });
  return Object.values(outputs).flatMap((tensor) => [...(tensor.toNumbers() as Float32Array)]);
}

const PREAMBLE = `
  %none : NoneType = prim::Constant()
  %false : bool = prim::Constant[value=0]()
  %zero : int = prim::Constant[value=0]()
  %one : int = prim::Constant[value=1]()
  %two : int = prim::Constant[value=2]()
  %n : int = aten::size(%x, %zero)`;

t.test("lists are changed in place, by whatever name they go", async (t) => {
  const ir = `graph(%x : Tensor):${PREAMBLE}
  %l : int[] = prim::ListConstruct(%one, %two)
  %pair : (int[], int[]) = prim::TupleConstruct(%l, %l)
  %a : int[], %b : int[] = prim::TupleUnpack(%pair)
  %m : int[] = prim::ListConstruct(%n, %n)
   = aten::extend(%a, %m)
   = aten::insert(%a, %one, %zero)
   = aten::reverse(%b)
  %c : int[] = aten::add_(%l, %m)
   = aten::Delete(%l, %zero)
  %r : Tensor = aten::tensor(%b, %none, %none, %false)
  return (%r)`;
  t.same(await run(ir), [2, 2, 0, 1, 2, 2]);
  t.same(await run(ir, { min: 1, opt: 2, max: 4 }), [2, 2, 0, 1, 2, 2]);
});

t.test("lists are sorted and searched", async (t) => {
  const ir = `graph(%x : Tensor):${PREAMBLE}
  %three : int = prim::Constant[value=3]()
  %l : int[] = prim::ListConstruct(%three, %one, %two, %one)
  %s : int[] = aten::sorted(%l)
   = aten::sort(%l, %false)
  %same : bool = aten::eq(%l, %s)
  %i : int = aten::Int(%same)
  %at : int = aten::index(%l, %two)
   = aten::remove(%l, %two)
  %u : int[] = aten::append(%l, %i)
  %v : int[] = aten::append(%l, %at)
  %r : Tensor = aten::tensor(%l, %none, %none, %false)
  return (%r)`;
  t.same(await run(ir), [1, 1, 3, 1, 2]);
});

t.test("dicts are changed in place", async (t) => {
  const ir = `graph(%x : Tensor):${PREAMBLE}
  %a : str = prim::Constant[value="a"]()
  %b : str = prim::Constant[value="b"]()
  %c : str = prim::Constant[value="c"]()
  %d : Dict(str, int) = prim::DictConstruct(%a, %one)
  %e : Dict(str, int) = aten::dict(%d)
   = aten::_set_item(%d, %b, %n)
   = aten::update(%e, %d)
  %f : int = aten::setdefault(%e, %c, %two)
  %g : int = aten::pop(%e, %a)
  %h : int? = aten::get(%e, %a)
  %gone : bool = aten::__is__(%h, %none)
  %i : int = aten::Int(%gone)
  %count : int = aten::len(%e)
  %first : int = aten::len(%d)
  %items : (str, int)[] = aten::items(%e)
  %item : (str, int) = aten::__getitem__(%items, %zero)
  %key : str, %value : int = prim::TupleUnpack(%item)
  %l : int[] = prim::ListConstruct(%f, %g, %i, %count, %first, %value)
  %r : Tensor = aten::tensor(%l, %none, %none, %false)
  return (%r)`;
  t.same(await run(ir), [2, 1, 1, 2, 2, 2]);
});

t.test("objects keep what is written to them", async (t) => {
  const ir = `graph(%x : Tensor):${PREAMBLE}
  %o : __torch__.Counter = prim::CreateObject()
   = prim::SetAttr[name="count"](%o, %one)
  %pair : (__torch__.Counter, int) = prim::TupleConstruct(%o, %one)
  %p : __torch__.Counter, %q : int = prim::TupleUnpack(%pair)
   = prim::SetAttr[name="count"](%p, %n)
  %c : int = prim::GetAttr[name="count"](%o)
  %l : int[] = prim::ListConstruct(%c)
  %r : Tensor = aten::tensor(%l, %none, %none, %false)
  return (%r)`;
  t.same(await run(ir), [2]);
});

t.test("types are asked for", async (t) => {
  const ask = async (type: string, list = false): Promise<number> => {
    const ir = `graph(%x : Tensor):${PREAMBLE}
  %l : int[] = prim::ListConstruct(%one)
  %a : bool = prim::isinstance[types=[${type}]](${list ? "%l" : "%x"})
  %i : int = aten::Int(%a)
  %m : int[] = prim::ListConstruct(%i)
  %r : Tensor = aten::tensor(%m, %none, %none, %false)
  return (%r)`;
    return (await run(ir))[0] as number;
  };
  t.equal(await ask("Tensor"), 1);
  t.equal(await ask("int"), 0);
  t.equal(await ask("list", true), 1);
  t.equal(await ask("int[]", true), 1);
  t.equal(await ask("float[]", true), 0);
});

t.test("an index that is out of range is told", async (t) => {
  const ir = `graph(%x : Tensor):${PREAMBLE}
  %l : int[] = prim::ListConstruct(%one, %two)
  %i : int = aten::__getitem__(%l, %two)
  %m : int[] = prim::ListConstruct(%i)
  %r : Tensor = aten::tensor(%m, %none, %none, %false)
  return (%r)`;
  await t.rejects(run(ir), { message: /index 2 is out of range for 2 elements/ });
});
