import t from "tap";
import { Graph, type Node } from "../../src/ir/graph.js";
import { parseIR } from "../../src/ir/parser.js";
import { verify } from "../../src/ir/verifier.js";

const good = `graph(%x : Tensor, %c : bool, %n : int):
  %one : int = prim::Constant[value=1]()
  %y : Tensor = prim::If(%c)
    block0():
      %a : Tensor = aten::relu(%x)
      -> (%a)
    block1():
      -> (%x)
  %z : Tensor = prim::Loop(%n, %c, %y)
    block0(%i : int, %v : Tensor):
      %w : Tensor = aten::add(%v, %x, %one)
      -> (%c, %w)
  return (%z)`;

/** The nodes of the graph by their operator. */
function broken(change: (nodes: ReadonlyMap<string, Node>, graph: Graph) => void): () => void {
  const graph = parseIR(good);
  const nodes = new Map([...graph.nodes()].map((node) => [node.kind, node]));
  change(nodes, graph);
  return () => verify(graph);
}

const at = (nodes: ReadonlyMap<string, Node>, kind: string): Node => nodes.get(kind) as Node;

t.test("a sound graph passes", async (t) => {
  t.doesNotThrow(() => verify(parseIR(good)));
});

t.test("broken ones are named with the node", async (t) => {
  const fails = (change: Parameters<typeof broken>[0], message: RegExp): void => {
    t.throws(broken(change), { code: "ir", message });
  };
  fails((nodes) => {
    const branch = at(nodes, "prim::If");
    const inner = branch.blocks[0]?.firstNode as Node;
    branch.graph.block.returnNode.replaceInput(0, inner.output());
  }, /%a, is not defined before it or not in sight\n.*prim::Return\(%a\)/);
  fails((nodes) => at(nodes, "prim::Loop").moveBefore(at(nodes, "prim::If")), /%y, is not defined before it/);
  fails(
    (nodes) => at(nodes, "prim::If").blocks[1]?.returnNode.removeAllInputs(),
    /each branch gives every output of the If/,
  );
  fails((nodes) => at(nodes, "prim::Loop").removeInput(2), /a Loop takes trip count, condition and each carried value/);
  fails((nodes) => at(nodes, "prim::Loop").blocks[0]?.returnNode.removeInput(1), /a Loop's body gives the condition/);
  fails((nodes) => {
    const add = at(nodes, "prim::Loop").blocks[0]?.firstNode as Node;
    add.removeInput(1);
    add.removeInput(1);
  }, /aten::add.Tensor takes at least 2 arguments/);
  fails((_, graph) => {
    const other = new Graph();
    graph.block.returnNode.replaceInput(0, other.addInput("foreign"));
  }, /%foreign, is not defined before it/);
  fails((nodes, graph) => {
    graph.createNode("aten::relu", [at(nodes, "prim::If").output()]);
  }, /%y is used by a node outside the graph/);
});
