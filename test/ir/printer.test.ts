import fc from "fast-check";
import t from "tap";
import { TupleValue } from "../../src/ir/constant.js";
import { constantOf, Graph, type Node } from "../../src/ir/graph.js";
import { parseIR } from "../../src/ir/parser.js";
import { nodeError, printConstant, printGraph } from "../../src/ir/printer.js";
import { Tensor } from "../../src/ir/tensor.js";
import { DictType, FloatType, IntType, ListType, StringType, TensorType, TupleType } from "../../src/ir/type.js";

t.test("constants as PyTorch prints them", async (t) => {
  t.equal(printConstant(2, FloatType), "2.");
  t.equal(printConstant(-0, FloatType), "-0.");
  t.equal(printConstant(0.1, FloatType), "0.10000000000000001");
  t.equal(printConstant(1e-5, FloatType), "1.0000000000000001e-05");
  t.equal(printConstant(1e10, FloatType), "10000000000");
  t.equal(printConstant(1e300, FloatType), "1.0000000000000001e+300");
  t.equal(printConstant(2 ** 63, IntType), "9223372036854775807");
  t.equal(printConstant([1, 2], ListType(FloatType)), "[1., 2.]");
  t.equal(printConstant([], ListType(IntType)), "annotate(List[int], [])");
  t.equal(printConstant(new TupleValue([1, 2]), TupleType([IntType, FloatType])), "(1, 2.)");
  t.equal(printConstant(new Map([["k", 1]]), DictType(StringType, FloatType)), '{"k": 1.}');
  t.equal(printConstant(Tensor.of("int64", [1], [7])), "{7}");
  t.equal(printConstant(Tensor.of("float32", [2], [1, 2])), "<Tensor>");
});

t.test("copies of a node get names of their own", async (t) => {
  const graph = parseIR("graph(%x):\n  %y = aten::relu(%x)\n  return (%y)");
  const [relu] = graph.nodes();
  const clone = graph.createClone(relu as Node, (value) => value, new Map());
  graph.registerOutput(graph.block.appendNode(clone).output());
  const text = printGraph(graph);
  t.match(text, "%y : Tensor = aten::relu(%x)\n  %y.1 : Tensor = aten::relu(%x)\n  return (%y, %y.1)");
  t.equal(printGraph(parseIR(text)), text);
});

t.test("doubles, ints and strings survive printing and reading", async (t) => {
  const survives = (value: number | string, type: typeof FloatType): boolean => {
    const graph = new Graph();
    const node = graph.block.appendNode(graph.createConstant(value, type));
    graph.registerOutput(node.output());
    const [output] = parseIR(printGraph(graph)).outputs;
    return output !== undefined && Object.is(constantOf(output), value);
  };
  fc.assert(fc.property(fc.double(), (value) => survives(value, FloatType)));
  fc.assert(fc.property(fc.maxSafeInteger(), (value) => survives(value + 0, IntType)));
  fc.assert(fc.property(fc.string({ unit: "grapheme" }), (value) => survives(value, StringType)));
  t.pass();
});

t.test("an error about a node shows it", async (t) => {
  const graph = parseIR("graph(%x):\n  %y = aten::relu(%x) # model.py:3:1\n  return (%y)");
  const [node] = graph.nodes();
  const error = nodeError("unsupported", node as Node, "no such thing", "do another");
  t.equal(error.message, "no such thing\n  %y : Tensor = aten::relu(%x)");
  t.strictSame(error.location, { file: "model.py", line: 3 });
  t.equal(error.hint, "do another");
  t.equal(TensorType.kind, "TensorType");
  const branch = parseIR(
    "graph(%c : bool):\n  %y : bool = prim::If(%c)\n    block0():\n      -> (%c)\n    block1():\n      -> (%c)\n  return (%y)",
  );
  const [choice] = branch.nodes();
  t.equal(nodeError("ir", choice as Node, "odd").message, "odd\n  %y : bool = prim::If(%c)", "its head alone");
});
