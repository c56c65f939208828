import t from "tap";
import type { Graph } from "../../src/ir/graph.js";
import { bindDefaults } from "../../src/lowering/bind-defaults.js";
import { LoweringReport } from "../../src/lowering/report.js";
import { compile } from "../torchscript/compile.js";

const inputs = (graph: Graph): (string | undefined)[] => graph.inputs.map(({ debugName }) => debugName);

t.test("what is no tensor becomes what the signature says, in a copy as well", async (t) => {
  const graph = compile(
    "def f(x: Tensor, n: int=12, flag: Optional[bool]=None) -> Tensor:\n  return torch.add(x, n)\n",
  );
  const copy = graph.copy();
  const report = new LoweringReport();
  t.equal(bindDefaults(copy, undefined, report), true);
  t.match(report.removals, [{ kind: "default of an argument", count: 2, details: ["n = 12", "flag = None"] }]);
  t.strictSame(inputs(copy), ["x"]);
  const [add] = [...copy.nodes()].filter(({ kind }) => kind === "aten::add");
  t.equal(add?.input(1).node.attributes.get("value"), 12);
  t.strictSame(inputs(graph), ["x", "n", "flag"], "the graph that was copied is as it was");
  t.equal(bindDefaults(copy), false);
});

t.test("optional tensors beyond those that are given are None; without a default inputs stay", async (t) => {
  const source =
    "def f(x: Tensor, mask: Optional[Tensor]=None, n: int, bias: Optional[Tensor]=None) -> Optional[Tensor]:\n  return bias\n";
  const left = (count?: number): (string | undefined)[] => {
    const graph = compile(source);
    bindDefaults(graph, count);
    return inputs(graph);
  };
  t.strictSame(left(), ["x", "mask", "n", "bias"]);
  t.strictSame(left(3), ["x", "mask", "n", "bias"]);
  t.strictSame(left(2), ["x", "mask", "n"]);
  t.strictSame(left(1), ["x", "n"]);
});
