import { readdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import t from "tap";
import { Tensor } from "../../src/ir/constant.js";
import { allNodes, constantOf, type Graph } from "../../src/ir/graph.js";
import { parseIR } from "../../src/ir/parser.js";
import { operatorName } from "../../src/ir/schema.js";
import { lower } from "../../src/lowering/pipeline.js";
import { Archive } from "../../src/torchscript/archive.js";
import { loadTorchScript } from "../../src/torchscript/index.js";
import { printMethod } from "../../src/torchscript/source-writer.js";
import { writeTorchScript } from "../../src/torchscript/writer.js";
import { withSelf } from "../artifacts/torch.js";

const scope = { attributeOf: (_: Tensor, name: string | undefined) => name ?? "constant" };

/** The lines of a method's body. */
function bodyOf(ir: string): string[] {
  const graph = parseIR(ir);
  for (const node of allNodes(graph.block)) {
    if (node.schema === undefined && node.kind.startsWith("aten::")) throw new Error(`${node.kind} has no schema`);
  }
  const source = printMethod("forward", withSelf(graph, "__torch__.M"), scope);
  const body = source.slice(source.indexOf(":\n") + 2, -1);
  return body.split("\n").map((line) => line.slice(4));
}

t.test("constants stand inline, as TorchScript spells them", async (t) => {
  const returned = (type: string, value: string): string | undefined =>
    bodyOf(`graph(%x : Tensor):\n  %c : ${type} = prim::Constant[value=${value}]()\n  return (%c)\n`).at(-1);
  t.equal(returned("int", "-3"), "return -3");
  t.equal(returned("int", "9223372036854775807"), "return 9223372036854775807");
  t.equal(returned("float", "2."), "return 2.");
  t.equal(returned("float", "1e-05"), "return 0.00001");
  t.equal(returned("float", "1e-12"), "return 1e-12");
  t.equal(returned("float", "-inf"), "return -inf");
  t.equal(returned("bool", "1"), "return True");
  t.equal(returned("str", '"a\\"b\\n"'), 'return "a\\"b\\012"');
  t.equal(returned("int[]", "[]"), "return annotate(List[int], [])");
  t.equal(returned("float[]", "[1., 0.5]"), "return [1., 0.5]");
  t.equal(returned("Device", '"cuda:0"'), 'return torch.device("cuda:0")');
});

t.test("calls: defaults at the end left out, keywords by name, other namespaces under ops", async (t) => {
  const body = bodyOf(`graph(%x : Tensor, %y : Tensor):
  %one : int = prim::Constant[value=1]()
  %two : int = prim::Constant[value=2]()
  %none : NoneType = prim::Constant()
  %no : bool = prim::Constant[value=0]()
  %a : Tensor = aten::add(%x, %y, %one)
  %b : Tensor = aten::add(%a, %y, %two)
  %c : Tensor = aten::cumsum(%b, %one, %none)
  %d : Tensor, %e : Tensor = aten::max(%c, %one, %no)
  %f : Tensor = prim::NumToTensor(%two)
  return (%d)
`);
  t.strictSame(body, [
    "a = torch.add(x, y)",
    "b = torch.add(a, y, alpha=2)",
    "c = torch.cumsum(b, 1)",
    "d, e = torch.max(c, 1)",
    "f = ops.prim.NumToTensor(2)",
    "return d",
  ]);
});

t.test("branches, loops and containers", async (t) => {
  const body = bodyOf(`graph(%x : Tensor, %n : int, %flag : bool):
  %true : bool = prim::Constant[value=1]()
  %s : str = prim::Constant[value="k"]()
  %y : Tensor? = prim::If(%flag)
    block0():
      %none : NoneType = prim::Constant()
      -> (%none)
    block1():
      %r : Tensor = aten::relu(%x)
      -> (%r)
  %z : Tensor, %w : Tensor = prim::Loop(%n, %true, %x, %x)
    block0(%i : int, %p : Tensor, %q : Tensor):
      -> (%true, %q, %p)
  %l : Tensor[] = prim::ListConstruct(%z, %w)
  %o : Tensor?[] = prim::ListConstruct(%y)
  %d : Dict(str, Tensor) = prim::DictConstruct(%s, %z)
  %a : Tensor, %b : Tensor = prim::ListUnpack(%l)
  %u : (Tensor) = prim::TupleConstruct(%a)
  return (%u)
`);
  t.strictSame(body, [
    "if flag:",
    "  y = annotate(Optional[Tensor], None)",
    "else:",
    "  r = torch.relu(x)",
    "  y = annotate(Optional[Tensor], r)",
    "z = x",
    "w = x",
    "for i in range(n):",
    "  next = w",
    "  next_0 = z",
    "  z = next",
    "  w = next_0",
    "l = [z, w]",
    "o = annotate(List[Optional[Tensor]], [y])",
    'd = {"k": z}',
    "a, b, = l",
    "u = (a,)",
    "return u",
  ]);
});

t.test("loops that a condition ends, alone and with a count", async (t) => {
  const loop = (trips: number): string[] =>
    bodyOf(`graph(%x : Tensor, %c : bool):
  %n : int = prim::Constant[value=${trips}]()
  %y : Tensor = prim::Loop(%n, %c, %x)
    block0(%i : int, %p : Tensor):
      %q : Tensor = aten::relu(%p)
      %d : bool = aten::Bool(%q)
      -> (%d, %q)
  return (%y)
`).slice(1, -1);
  const body = ["  q = torch.relu(y)", "  d = torch.Bool(q)", "  next = q"];
  t.strictSame(loop(Number.MAX_SAFE_INTEGER), [
    "goes_on = c",
    "while goes_on:",
    ...body,
    "  goes_on = d",
    "  y = next",
  ]);
  t.strictSame(loop(5), [
    "i = 0",
    "goes_on = torch.__and__(torch.lt(i, 5), c)",
    "while goes_on:",
    ...body,
    "  i = torch.add(i, 1)",
    "  goes_on = torch.__and__(torch.lt(i, 5), d)",
    "  y = next",
  ]);
});

t.test("names of the IR that Python cannot have, or that mean something else there", async (t) => {
  const body = bodyOf(`graph(%self.weight : Tensor, %in.1 : Tensor):
  %torch : Tensor = aten::relu(%self.weight)
  %7 : Tensor = aten::relu(%torch)
  %None : Tensor = aten::mul(%7, %in.1)
  return (%None)
`);
  t.strictSame(body, [
    "torch_0 = torch.relu(weight)",
    "_0 = torch.relu(torch_0)",
    "None_0 = torch.mul(_0, in_1)",
    "return None_0",
  ]);
});

t.test("a lowered method written and read back is the same method", async (t) => {
  const models = new URL("../fixtures/models/", import.meta.url);
  const folder = t.testdir();
  const describe = (graph: Graph): string[] =>
    [...allNodes(graph.block)]
      .filter((node) => node.kind !== "prim::Constant")
      .map((node) => (node.schema === undefined ? node.kind : operatorName(node.schema)));
  const tensors = (graph: Graph): Tensor[] =>
    [...allNodes(graph.block)].flatMap((node) => {
      const value = node.kind === "prim::Constant" ? constantOf(node.output()) : null;
      return value instanceof Tensor ? [value] : [];
    });
  let compared = 0;
  const files = ["lenet/trace.ts", "lenet/script.ts", "squeezenet1_1/trace.ts", "bert_tiny/trace.ts"].concat(
    readdirSync(new URL("torchscript_forms/", models))
      .filter((file) => file.endsWith(".ts"))
      .map((file) => `torchscript_forms/${file}`),
  );
  for (const file of files) {
    const program = loadTorchScript(fileURLToPath(new URL(file, models)));
    if (!program.methodNames.includes("forward")) continue;
    const { graph } = lower(program, "forward");
    const typeName = "__torch__.again.M";
    const path = `${folder}/${file.replaceAll("/", "-")}`;
    try {
      const methods = [{ name: "forward", graph: withSelf(graph, typeName) }];
      writeFileSync(path, Buffer.concat([...writeTorchScript({ typeName, objects: [], methods, device: "cpu" })]));
    } catch (error) {
      // Quantized tensors, and objects of classes, are not written.
      t.match(error, { code: "unsupported" }, file);
      continue;
    }
    const again = lower(loadTorchScript(path), "forward").graph;
    // Counting and testing are written out for a loop that both a count and a condition end.
    if (file !== "torchscript_forms/control_flow.ts") t.strictSame(describe(again), describe(graph), file);
    const bytes = (list: readonly Tensor[]): string[] =>
      list
        .map((tensor) => `${tensor.dtype} ${tensor.sizes} ${Buffer.from(tensor.contiguousBytes()).toString("base64")}`)
        .sort();
    t.strictSame(bytes(tensors(again)), bytes(tensors(graph)), `${file}: constants`);
    compared++;
  }
  t.ok(compared > 20, `${compared} methods`);
});

t.test("tensors of one storage share it in the archive", async (t) => {
  const storage = { bytes: new Uint8Array(new Float32Array([1, 2, 3, 4, 5, 6]).buffer) };
  const graph = parseIR("graph(%x : Tensor):\n  return (%x)\n");
  const method = withSelf(graph, "__torch__.M");
  const views = [
    new Tensor("float32", [2, 3], storage),
    new Tensor("float32", [3, 2], storage, { strides: [1, 3] }),
    new Tensor("float32", [2], storage, { storageOffset: 4 }),
  ];
  const values = views.map((view) =>
    method.block.appendNode(method.createConstant(view, { kind: "TensorType" })).output(),
  );
  const tuple = method.createNode("prim::TupleConstruct", values, [
    { kind: "TupleType", elements: values.map(({ type }) => type) },
  ]);
  method.block.appendNode(tuple);
  method.block.returnNode.replaceInput(0, tuple.output());
  const content = Buffer.concat([
    ...writeTorchScript({
      typeName: "__torch__.M",
      objects: [],
      methods: [{ name: "forward", graph: method }],
      device: "cpu",
    }),
  ]);
  t.strictSame(
    Archive.parse(content, "m.ts")
      .names()
      .filter((name) => name.startsWith("data/")),
    ["data/0"],
  );
});
