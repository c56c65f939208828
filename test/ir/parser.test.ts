import t from "tap";
import { type Constant, Device, EnumValue, TupleValue } from "../../src/ir/constant.js";
import { constantOf } from "../../src/ir/graph.js";
import { parseIR } from "../../src/ir/parser.js";
import { printGraph } from "../../src/ir/printer.js";
import { operatorName, parseSchema } from "../../src/ir/schema.js";
import { Tensor } from "../../src/ir/tensor.js";
import { printType } from "../../src/ir/type.js";
import { TrtorchError } from "../../src/util/errors.js";

function constant(text: string): Constant | undefined {
  return constantOf(parseIR(`graph():\n  %c : ${text}\n  return (%c)`).outputs[0] as never);
}

t.test("constants take their form from their type", async (t) => {
  t.equal(constant("int = prim::Constant[value=-3]()"), -3);
  t.equal(constant("float = prim::Constant[value=1.0000000000000001e-05]()"), 1e-5);
  t.equal(constant("float = prim::Constant[value=-inf]()"), -Infinity);
  t.equal(constant("int = prim::Constant[value=9223372036854775807]()"), 2 ** 63);
  t.equal(constant("bool = prim::Constant[value=0]()"), false);
  t.equal(constant("bool = prim::Constant[value=True]()"), true);
  t.equal(constant("NoneType = prim::Constant()"), null);
  t.equal(constant("int? = prim::Constant()"), null);
  t.equal(constant('str = prim::Constant[value="a\\"\\n\\303\\251"]()'), 'a"\né');
  t.strictSame(constant('Device = prim::Constant[value="cuda:0"]()'), new Device("cuda:0"));
  t.strictSame(constant("int[] = prim::Constant[value=[1, 2]]()"), [1, 2]);
  t.strictSame(constant("bool[] = prim::Constant[value=[1, 0]]()"), [true, false]);
  t.strictSame(constant("int[] = prim::Constant[value=annotate(List[int], [])]()"), []);
  t.strictSame(constant("int[][] = prim::Constant[value=[[1], [2, 3]]]()"), [[1], [2, 3]]);
  t.strictSame(constant('(int, float, str) = prim::Constant[value=(1, 2., "x")]()'), new TupleValue([1, 2, "x"]));
  t.strictSame(constant('Dict(str, bool) = prim::Constant[value={"a": 1}]()'), new Map([["a", true]]));
  t.strictSame(
    constant("Enum<__torch__.Color> = prim::Constant[value=__torch__.Color.RED]()"),
    new EnumValue("__torch__.Color", "RED", null),
  );
});

t.test("constant tensors", async (t) => {
  const tensor = (text: string): [string, readonly number[], number[]] => {
    const value = constant(text) as Tensor;
    t.type(value, Tensor);
    return [value.dtype, value.sizes, [...value.toNumbers()]];
  };
  t.strictSame(tensor("Tensor = prim::Constant[value={2}]()"), ["int64", [], [2]]);
  t.strictSame(tensor("Tensor = prim::Constant[value={2.5}]()"), ["float32", [], [2.5]]);
  t.strictSame(tensor("Double() = prim::Constant[value={2}]()"), ["float64", [], [2]]);
  t.strictSame(tensor("Float(1, 1) = prim::Constant[value={-2.5}]()"), ["float32", [1, 1], [-2.5]]);
  t.strictSame(
    tensor("Long(3, strides=[1], requires_grad=0, device=cpu) = prim::Constant[value= 1  2  3 [ CPULongType{3} ]]()"),
    ["int64", [3], [1, 2, 3]],
  );
  t.strictSame(tensor("Tensor = prim::Constant[value=(1,.,.) =  100 *   5.5  1   2  0.25 [ CPUFloatType{1,2,2} ]]()"), [
    "float32",
    [1, 2, 2],
    [550, 100, 200, 25],
  ]);
  t.strictSame(tensor("Half(2, strides=[1]) = prim::Constant[value=<Tensor>]()"), ["float16", [2], [0, 0]]);
});

t.test("types", async (t) => {
  const graph = parseIR(`
    graph(%a : Float(2, *, strides=[3, 1], requires_grad=0, device=cuda:0), %b, %c : Dict(str, Tensor?)[],
          %d : (int, Tensor), %e : NamedTuple(x : int, y : Tensor), %f : __torch__.a.B, %g : FloatTensor, %h : Long()):
      return (%a)`);
  const [a, , , , e] = graph.inputs.map((value) => value.type);
  t.strictSame(a, { kind: "TensorType", dtype: "float32", sizes: [2, null] });
  t.strictSame(e?.kind === "TupleType" && e.fields, ["x", "y"]);
  t.equal(
    graph.inputs.map((value) => printType(value.type)).join("; "),
    "Tensor; Tensor; Dict(str, Tensor?)[]; (int, Tensor); NamedTuple(x : int, y : Tensor); __torch__.a.B; Tensor; Tensor",
  );
  t.match(printGraph(graph), "%a : Float(2, *),\n      %b : Tensor,");
  t.match(printGraph(graph), "%g : FloatTensor,\n      %h : Long()):");
});

t.test("attributes, blocks, source ranges", async (t) => {
  const text = `graph(%x : Tensor,
      %n : int):
  %3 : bool = prim::Constant[value=1]()
  %w : Tensor = prim::GetAttr[name="weight"](%x) # model.py:7:0
  %y : Tensor = prim::Loop(%n, %3, %x) # model.py:8:0
    block0(%i : int, %x.1 : Tensor):
      %z : Tensor = prim::If(%3)
        block0():
          %k : Tensor = aten::add(%x.1, %w, %i)
          -> (%k)
        block1():
           = prim::Print(%x.1)
          -> (%x.1)
      -> (%3, %z)
  return (%y)
`;
  const graph = parseIR(text);
  t.equal(printGraph(graph).replace(/%\d+/g, "%3"), text);
  const loop = [...graph.nodes()][2];
  t.strictSame(loop?.sourceRange, { file: "model.py", line: 8 });
  t.equal(loop?.blocks[0]?.inputs.length, 2);
  t.match(printGraph(graph, { sourceRanges: false }), /prim::Loop\(%n, %2, %x\)\n/);
  const traced = parseIR("graph(%x):\n  %y = aten::relu(%x), scope: __module.a/__module.a.0 # m.py:1:2\n  return (%y)");
  t.equal([...traced.nodes()][0]?.sourceRange?.module, "a.0");
});

t.test("overloads", async (t) => {
  const resolved = (inputs: string, call: string): string | undefined => {
    const graph = parseIR(`graph(${inputs}):\n  %out = ${call}\n  return (%out)`);
    const schema = [...graph.nodes()][0]?.schema;
    return schema && operatorName(schema);
  };
  t.equal(resolved("%a, %b, %c : int", "aten::add(%a, %b, %c)"), "aten::add.Tensor");
  t.equal(resolved("%a, %b : int, %c : int", "aten::add(%a, %b, %c)"), "aten::add.Scalar");
  t.equal(resolved("%a : int, %b : int", "aten::add(%a, %b)"), "aten::add.int");
  t.equal(resolved("%a : int[], %b : int[]", "aten::add(%a, %b)"), "aten::add.t");
  t.equal(resolved("%a : Tensor[], %b : int", "aten::__getitem__(%a, %b)"), "aten::__getitem__.t");
  t.equal(resolved("%a : Dict(str, Tensor), %b : str", "aten::__getitem__(%a, %b)"), "aten::__getitem__.Dict_str");
  t.equal(resolved("%a : int, %b : int", "aten::eq(%a, %b)"), "aten::eq.int");
  t.equal(resolved("%a, %b, %c : int", "aten::flatten(%a, %c, %c)"), "aten::flatten.using_ints");
  t.equal(resolved("%a, %b", "aten::relu(%a)"), "aten::relu");
  // Trailing arguments with defaults may be left out by hand.
  t.equal(resolved("%a, %b", "aten::add(%a, %b)"), "aten::add.Tensor");
  t.equal(resolved("%a", "my::own(%a)"), undefined);
  const mine = parseSchema("my::own(Tensor x, float s=1.0) -> Tensor");
  const graph = parseIR("graph(%a):\n  %b = my::own(%a)\n  return (%b)", {
    schemas: (name) => (name === "my::own" ? [mine] : []),
  });
  t.equal([...graph.nodes()][0]?.schema, mine);
});

t.test("mistakes are named by line and column", async (t) => {
  const fails = (text: string, message: RegExp): void => {
    try {
      parseIR(text);
      t.fail("parsed");
    } catch (error) {
      t.type(error, TrtorchError);
      t.match((error as TrtorchError).message, message);
      t.equal((error as TrtorchError).code, "parse");
    }
  };
  fails("graph(%x):\n  %y = aten::relu(%z)\n  return (%y)", /IR 2:19: %z is used before it is defined/);
  fails("graph(%x):\n  %x = aten::relu(%x)\n  return (%x)", /IR 2:3: %x is defined twice/);
  fails("graph(%x):\n  %y = relu(%x)\n  return (%y)", /IR 2:8: expected an operator such as aten::relu/);
  fails("graph(%x : Tesnor):\n  return (%x)", /IR 1:12: unknown type Tesnor/);
  fails("graph(%x):\n  %y = aten::relu(%x)\n", /IR 3:1: expected an operator/);
  fails(
    "graph():\n  %w : Tensor = prim::Constant[value=<Tensor>]()\n  return (%w)",
    /IR 2:46: expected sizes in the type/,
  );
  fails(
    "graph():\n  %w : complex = prim::Constant[value=1.+2.j]()\n  return (%w)",
    /complex constants are not supported/,
  );
  fails(
    "graph(%c : bool, %x):\n  = prim::If(%c)\n    block0():\n      %y = aten::relu(%x)\n      -> ()\n    block1():\n      -> ()\n  return (%y)",
    /IR 8:11: %y is used before/,
  );
});
